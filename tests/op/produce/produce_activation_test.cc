// Activations, gated or not, and their backward against double.
#include "support/produced.h"
#include "support/sample.h"
#include "support/tree.h"

namespace {

using namespace mfq_test;

struct ActivationCase {
  int64_t rows, units;
  ActivationOracle oracle;
  uint32_t seed;
  bool is_gated() const { return oracle.gate != MFQ_GATE_NONE; }
  int64_t cols() const { return is_gated() ? 2 * units : units; }
  std::string text() const {
    return std::to_string(rows) + " x " + std::to_string(units) + ", activation " + std::to_string(oracle.activation) +
           ", gate " + std::to_string(oracle.gate) + ", limit " + std::to_string(oracle.limit) + ", slope " +
           std::to_string(oracle.slope);
  }
};

template <typename Check> void for_activations(Check check) {
  const int64_t rows[] = {1, 0, 5, 33}, cols[] = {1, 0, 7, 300};
  uint32_t seed = 0;
  sample({4, 4, 5, 3, 2, 2, 2}, 80, [&](const std::vector<size_t> &at) {
    ActivationOracle o = {(mfq_activation)at[2], (mfq_gate)at[3], 0.0, 1.0, 0.0};
    if (o.gate != MFQ_GATE_NONE && at[4] != 0) o.limit = 1.5;
    if (o.activation == MFQ_ACTIVATION_SILU && at[5] != 0) o.slope = 1.702f;
    if (o.gate != MFQ_GATE_NONE && at[6] != 0) o.offset = 1.0;
    const ActivationCase c = {rows[at[0]], cols[at[1]], o, ++seed};
    SCOPED_TRACE(c.text());
    if (!testing::Test::HasFatalFailure()) check(c);
  });
}

mfq_activating describe(const ActivationCase &c) {
  mfq_activating a;
  mfq_activating_init(&a);
  a.activation = c.oracle.activation;
  a.gate = c.oracle.gate;
  a.limit = (float)c.oracle.limit;
  a.slope = (float)c.oracle.slope;
  a.offset = (float)c.oracle.offset;
  return a;
}

mfq_activating_gradient describe_gradient(const ActivationCase &c) {
  mfq_activating_gradient g;
  mfq_activating_gradient_init(&g);
  g.activation = c.oracle.activation;
  g.gate = c.oracle.gate;
  g.limit = (float)c.oracle.limit;
  g.slope = (float)c.oracle.slope;
  g.offset = (float)c.oracle.offset;
  return g;
}

/* Activations have errors below 4 units in the last place: 8 roundings; a product and a sum come on top. */
TEST(ProduceActivation, Forward) {
  const Context context = make_context();
  for_activations([&](const ActivationCase &c) {
    Operand x(MFQ_DTYPE_F32, {c.rows, c.cols()}), y(MFQ_DTYPE_F32, {c.rows, c.units});
    fill_drawn(&x, c.seed, 2.5f);
    const mfq_tensor in = x.here(), out = y.here();
    mfq_activating a = describe(c);
    a.x = &in;
    a.y.plain = &out;
    ASSERT_EQ(mfq_activation_forward(context.get(), &a), MFQ_OK) << mfq_last_error();
    expect_close(y, c.oracle.forward(matrix_of(x)), 12);
  });
}

TEST(ProduceActivation, Backward) {
  const Context context = make_context();
  for_activations([&](const ActivationCase &c) {
    Operand x(MFQ_DTYPE_F32, {c.rows, c.cols()}), dy(MFQ_DTYPE_F32, {c.rows, c.units}), dx(x);
    Operand dbias(MFQ_DTYPE_F32, {c.cols()});
    fill_drawn(&x, c.seed, 2.5f);
    fill_drawn(&dy, c.seed + 1);
    fill_drawn(&dbias, c.seed + 2);
    const Operand before = dbias;
    const mfq_tensor at[] = {x.here(), dy.here(), dx.here(), dbias.here()};
    mfq_activating_gradient g = describe_gradient(c);
    g.x = &at[0];
    g.dy = &at[1];
    g.dx.plain = &at[2];
    g.dbias = &at[3];
    g.accumulate = c.seed % 2 == 0;
    ASSERT_EQ(mfq_activation_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
    const Expected want = c.oracle.backward(matrix_of(x), matrix_of(dy));
    expect_close(dx, want, 12);
    Expected sums(1, (size_t)c.cols());
    for (size_t j = 0; j < sums.value.cols; ++j) {
      double sum = g.accumulate ? number_at(before, j) : 0.0, size = std::fabs(sum);
      for (size_t i = 0; i < want.value.rows; ++i) {
        sum += want.value.at(i, j);
        size += want.size.at(i, j);
      }
      sums.put(0, j, sum, size);
    }
    expect_close(dbias, sums, roundings((size_t)c.rows, 14));
  });
}

TEST(ProduceActivation, GradientsAreDifferences) {
  uint32_t seed = 0;
  for (int activation = 0; activation <= MFQ_ACTIVATION_SILU; ++activation)
    for (int gate = 0; gate <= MFQ_GATE_INTERLEAVED; ++gate) {
      const bool is_gated = gate != MFQ_GATE_NONE;
      const ActivationOracle oracle = {(mfq_activation)activation, (mfq_gate)gate, is_gated ? 1.5 : 0.0,
                                       activation == MFQ_ACTIVATION_SILU ? 1.702 : 1.0, is_gated ? 1.0 : 0.0};
      const size_t cols = is_gated ? 14 : 7;
      const std::vector<float> drawn = drawn_numbers(5 * cols, ++seed, 2.5f), up = drawn_numbers(35, 1);
      Matrix x(5, cols), dy(5, 7);
      std::copy(drawn.begin(), drawn.end(), x.numbers.begin());
      std::copy(up.begin(), up.end(), dy.numbers.begin());
      const std::vector<double> want = differences(x.numbers, [&](const std::vector<double> &at) {
        Matrix m = x;
        m.numbers = at;
        const Expected y = oracle.forward(m);
        double sum = 0;
        for (size_t i = 0; i < dy.numbers.size(); ++i) sum += y.value.numbers[i] * dy.numbers[i];
        return sum;
      });
      const Expected dx = oracle.backward(x, dy);
      for (size_t i = 0; i < want.size(); ++i)
        ASSERT_NEAR(dx.value.numbers[i], want[i], 1e-7) << i << ", activation " << activation << ", gate " << gate;
    }
}

/* Limits count where a number is equal to one, RELU is flat at 0, and NaN comes through. */
TEST(ProduceActivation, Edges) {
  const Context context = make_context();
  const float inf = HUGE_VALF,
              rows[][2] = {{2, 1},   {2.5f, 1}, {1, 2},    {1, -2},  {1, 2.5f}, {1, -2.5f}, {NAN, 1},
                           {1, NAN}, {inf, 1},  {-inf, 1}, {1, inf}, {1, -inf}, {0, 0},     {-0.0f, 1}};
  const size_t n = sizeof rows / sizeof rows[0];
  ActivationCase c = {(int64_t)n, 1, {MFQ_ACTIVATION_SILU, MFQ_GATE_HALVES, 2.0, 1.0, 0.0}, 0};
  for (const mfq_activation activation :
       {MFQ_ACTIVATION_NONE, MFQ_ACTIVATION_RELU, MFQ_ACTIVATION_GELU, MFQ_ACTIVATION_GELU_TANH, MFQ_ACTIVATION_SILU}) {
    c.oracle.activation = activation;
    Operand x(MFQ_DTYPE_F32, {(int64_t)n, 2}), y(MFQ_DTYPE_F32, {(int64_t)n, 1}), dx(x), dy(y);
    x.fill([&](size_t i) { return float_bits(rows[i / 2][i % 2]); });
    dy.fill([&](size_t) { return float_bits(3.0f); });
    const mfq_tensor at[] = {x.here(), y.here(), dx.here(), dy.here()};
    mfq_activating a = describe(c);
    a.x = &at[0];
    a.y.plain = &at[1];
    ASSERT_EQ(mfq_activation_forward(context.get(), &a), MFQ_OK) << mfq_last_error();
    mfq_activating_gradient g = describe_gradient(c);
    g.x = &at[0];
    g.dy = &at[3];
    g.dx.plain = &at[2];
    ASSERT_EQ(mfq_activation_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
    SCOPED_TRACE(activation);
    if (activation == MFQ_ACTIVATION_NONE) { /* -infinity is no limit of a gate without an activation */
      expect_close(y, c.oracle.forward(matrix_of(x)), 0);
      expect_close(dx, c.oracle.backward(matrix_of(x), matrix_of(dy)), 0);
      continue;
    }
    Expected value = c.oracle.forward(matrix_of(x)), gradient = c.oracle.backward(matrix_of(x), matrix_of(dy));
    expect_close(y, value, 12);
    expect_close(dx, gradient, 12);
  }
}

/* Without activation and gate the backward is a copy and the sum of a bias; x need not be there. */
TEST(ProduceActivation, BiasAlone) {
  const Context context = make_context();
  Operand dy(MFQ_DTYPE_BF16, {70, 13}), dx(MFQ_DTYPE_F32, {70, 13}), dbias(MFQ_DTYPE_F32, {13});
  fill_drawn(&dy, 3);
  const mfq_tensor at[] = {dy.here(), dx.here(), dbias.here()};
  mfq_activating_gradient g;
  mfq_activating_gradient_init(&g);
  g.dy = &at[0];
  g.dbias = &at[2];
  ASSERT_EQ(mfq_activation_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
  for (size_t j = 0; j < 13; ++j) {
    std::vector<float> terms;
    for (size_t i = 0; i < 70; ++i) terms.push_back((float)number_at(dy, i * 13 + j));
    ASSERT_EQ((float)number_at(dbias, j), tree_of(terms));
  }
  g.dx.plain = &at[1];
  ASSERT_EQ(mfq_activation_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
  for (size_t i = 0; i < 70 * 13; ++i) ASSERT_EQ(number_at(dx, i), number_at(dy, i));
}

} // namespace
