// Softmax, causal or not, and its backward against double.
#include "support/produced.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

struct SoftmaxCase {
  int64_t batch, queries, keys;
  bool causal;
  float scale;
  uint32_t seed;
  SoftmaxOracle oracle() const { return {scale, causal ? (size_t)queries : 0}; }
  Shape shape() const { return {batch, queries, keys}; }
};

template <typename Check> void for_softmaxes(Check check) {
  const int64_t batches[] = {1, 3}, queries[] = {1, 0, 5, 17}, keys[] = {1, 0, 5, 64, 401};
  uint32_t seed = 0;
  sample({2, 4, 5, 2, 3}, 60, [&](const std::vector<size_t> &at) {
    const float scales[] = {1.0f, 0.125f, -2.0f};
    const SoftmaxCase c = {batches[at[0]], queries[at[1]], keys[at[2]], at[3] != 0, scales[at[4]], ++seed};
    SCOPED_TRACE(text_of(c.shape()) + ", causal " + std::to_string(c.causal) + ", scale " + std::to_string(c.scale));
    if (!testing::Test::HasFatalFailure()) check(c);
  });
}

mfq_status run_softmax(mfq_context *context, const SoftmaxCase &c, const mfq_tensor &x, const mfq_tensor &y) {
  mfq_softmaxing s;
  mfq_softmaxing_init(&s);
  s.scale = c.scale;
  s.causal = c.causal;
  s.x = &x;
  s.y.plain = &y;
  return mfq_softmax_forward(context, &s);
}

mfq_status run_gradient(mfq_context *context, float scale, const mfq_tensor &y, const mfq_tensor &dy,
                        const mfq_tensor &dx) {
  mfq_softmaxing_gradient g;
  mfq_softmaxing_gradient_init(&g);
  g.scale = scale;
  g.y = &y;
  g.dy = &dy;
  g.dx.plain = &dx;
  return mfq_softmax_backward(context, &g);
}

TEST(ProduceSoftmax, Forward) {
  const Context context = make_context();
  for_softmaxes([&](const SoftmaxCase &c) {
    Operand x(MFQ_DTYPE_F32, c.shape()), y(x);
    fill_drawn(&x, c.seed, 4.0f);
    ASSERT_EQ(run_softmax(context.get(), c, x.here(), y.here()), MFQ_OK) << mfq_last_error();
    expect_close(y, c.oracle().forward(matrix_of(x)), roundings((size_t)c.keys, 8));
  });
}

TEST(ProduceSoftmax, Backward) {
  const Context context = make_context();
  for_softmaxes([&](const SoftmaxCase &c) {
    Operand x(MFQ_DTYPE_F32, c.shape()), y(x), dy(x), dx(x);
    fill_drawn(&x, c.seed, 4.0f);
    fill_drawn(&dy, c.seed + 1);
    ASSERT_EQ(run_softmax(context.get(), c, x.here(), y.here()), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run_gradient(context.get(), c.scale, y.here(), dy.here(), dx.here()), MFQ_OK) << mfq_last_error();
    expect_close(dx, c.oracle().backward(matrix_of(y), matrix_of(dy)), roundings((size_t)c.keys, 6));
  });
}

TEST(ProduceSoftmax, GradientsAreDifferences) {
  for (const size_t queries : {(size_t)0, (size_t)3}) {
    const SoftmaxOracle oracle = {0.7, queries};
    const std::vector<float> drawn = drawn_numbers(30, 1);
    Matrix x(3, 5), dy(3, 5), y(3, 5);
    std::copy(drawn.begin(), drawn.begin() + 15, x.numbers.begin());
    std::copy(drawn.begin() + 15, drawn.end(), dy.numbers.begin());
    const std::vector<double> want = differences(x.numbers, [&](const std::vector<double> &at) {
      Matrix m = x;
      m.numbers = at;
      const Expected out = oracle.forward(m);
      double sum = 0;
      for (size_t i = 0; i < 15; ++i) sum += out.value.numbers[i] * dy.numbers[i];
      return sum;
    });
    const Expected dx = oracle.backward(oracle.forward(x).value, dy);
    for (size_t i = 0; i < 15; ++i) EXPECT_NEAR(dx.value.numbers[i], want[i], 1e-9);
  }
}

/* What is out is neither read nor anything but 0; what is in and no number takes its row. */
TEST(ProduceSoftmax, CausalRowsAndNotANumber) {
  const Context context = make_context();
  const SoftmaxCase c = {1, 5, 3, true, 1.0f, 0}; /* two rows have nothing in, then 1, 2, 3 */
  Operand x(MFQ_DTYPE_F32, {1, 5, 3}), y(x);
  const float inf = HUGE_VALF;
  const float numbers[] = {NAN, NAN, NAN, inf, -inf, NAN, 5, NAN, NAN, -inf, 7, inf, 1, NAN, 2};
  const float want[] = {0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, NAN, NAN, NAN};
  x.fill([&](size_t i) { return float_bits(numbers[i]); });
  ASSERT_EQ(run_softmax(context.get(), c, x.here(), y.here()), MFQ_OK) << mfq_last_error();
  for (size_t i = 0; i < 15; ++i)
    if (std::isnan(want[i]))
      EXPECT_TRUE(std::isnan(number_at(y, i))) << i;
    else
      EXPECT_EQ(number_at(y, i), want[i]) << i;
  const SoftmaxCase all = {1, 5, 3, false, 1.0f, 0};
  const float others[] = {-inf, -inf, -inf, inf, 1, 2, -inf, 1, -inf, 1, 2, NAN, 200, -300, 0};
  const float expected[] = {NAN, NAN, NAN, NAN, NAN, NAN, 0, 1, 0, NAN, NAN, NAN, 1, 0, 0};
  x.fill([&](size_t i) { return float_bits(others[i]); });
  ASSERT_EQ(run_softmax(context.get(), all, x.here(), y.here()), MFQ_OK) << mfq_last_error();
  for (size_t i = 0; i < 15; ++i)
    if (std::isnan(expected[i]))
      EXPECT_TRUE(std::isnan(number_at(y, i))) << i;
    else
      EXPECT_EQ(number_at(y, i), expected[i]) << i;
}

/* Where y is 0 nothing of dy counts. */
TEST(ProduceSoftmax, ZerosPassNothing) {
  const Context context = make_context();
  Operand y(MFQ_DTYPE_F32, {1, 4}), dy(y), dx(y);
  const float p[] = {0.5f, 0, 0.5f, 0}, d[] = {2, NAN, 4, HUGE_VALF}, want[] = {-0.5f, 0, 0.5f, 0};
  y.fill([&](size_t i) { return float_bits(p[i]); });
  dy.fill([&](size_t i) { return float_bits(d[i]); });
  ASSERT_EQ(run_gradient(context.get(), 1.0f, y.here(), dy.here(), dx.here()), MFQ_OK) << mfq_last_error();
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(number_at(dx, i), want[i]) << i;
}

} // namespace
