// RMSNorm and LayerNorm against double: results, what is kept for the backward, gradients.
#include "support/produced.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

/* Which of the tensors that may be missing are there. */
struct NormCase {
  int64_t rows, cols;
  mfq_norm_kind kind;
  bool has_residual, has_gain, has_shift;
  uint32_t seed;
  std::string text() const {
    return std::to_string(rows) + " x " + std::to_string(cols) + ", kind " + std::to_string(kind) + ", residual " +
           std::to_string(has_residual) + ", gain " + std::to_string(has_gain) + ", shift " + std::to_string(has_shift);
  }
};

template <typename Check> void for_norms(Check check) {
  const int64_t rows[] = {1, 0, 3, 7, 40}, cols[] = {1, 2, 33, 64, 1000};
  uint32_t seed = 0;
  sample({5, 5, 2, 2, 2, 2}, 60, [&](const std::vector<size_t> &at) {
    const NormCase c = {rows[at[0]], cols[at[1]], (mfq_norm_kind)at[2], at[3] != 0, at[4] != 0, at[5] != 0, ++seed};
    SCOPED_TRACE(c.text());
    if (!testing::Test::HasFatalFailure()) check(c);
  });
}

/* The tensors of a call. */
struct NormTensors {
  Operand x, residual, sum, gain, shift, mean, scale, y;
  mfq_norm norm;
  mfq_tensor at[8];

  explicit NormTensors(const NormCase &c)
      : x(MFQ_DTYPE_F32, {c.rows, c.cols}), residual(x), sum(x), gain(MFQ_DTYPE_F32, {c.cols}), shift(gain),
        mean(MFQ_DTYPE_F32, {c.rows}), scale(mean), y(x) {
    fill_drawn(&x, c.seed, 3.0f);
    fill_drawn(&residual, c.seed + 1);
    fill_drawn(&gain, c.seed + 2);
    fill_drawn(&shift, c.seed + 3);
    Operand *const all[] = {&x, &residual, &sum, &gain, &shift, &mean, &scale, &y};
    for (int i = 0; i < 8; ++i) at[i] = all[i]->here();
    mfq_norm_init(&norm);
    norm.kind = c.kind;
    norm.x = &at[0];
    norm.residual = given(at[1], c.has_residual);
    norm.sum = given(at[2], c.has_residual);
    norm.gain = given(at[3], c.has_gain);
    norm.shift = given(at[4], c.has_shift);
    norm.mean = given(at[5], c.kind == MFQ_NORM_LAYER);
    norm.scale = &at[6];
    norm.y.plain = &at[7];
  }
  NormTensors(const NormTensors &) = delete;
  NormOracle oracle(const NormCase &c) const {
    NormOracle o = {c.kind == MFQ_NORM_LAYER, norm.epsilon, {}, {}};
    if (c.has_gain) o.gain = matrix_of(gain).numbers;
    if (c.has_shift) o.shift = matrix_of(shift).numbers;
    return o;
  }
};

TEST(ProduceNorm, Forward) {
  const Context context = make_context();
  for_norms([&](const NormCase &c) {
    NormTensors t(c);
    ASSERT_EQ(mfq_norm_forward(context.get(), &t.norm), MFQ_OK) << mfq_last_error();
    Matrix h = matrix_of(t.x);
    if (c.has_residual) {
      const Matrix r = matrix_of(t.residual);
      for (size_t i = 0; i < h.numbers.size(); ++i) {
        h.numbers[i] = (float)(h.numbers[i] + r.numbers[i]); /* one rounding */
        ASSERT_EQ(number_at(t.sum, i), h.numbers[i]);
      }
    }
    const NormOracle oracle = t.oracle(c);
    expect_close(t.y, oracle.forward(h), 2 * roundings((size_t)c.cols, 8));
    Expected mean(h.rows, 1), scale(h.rows, 1);
    for (size_t i = 0; i < h.rows; ++i) {
      mean.put(i, 0, oracle.mean(h, i), NormOracle::largest(h, i));
      const double s = oracle.scale(h, i);
      scale.put(i, 0, s, s * (1 + (oracle.is_layer ? NormOracle::largest(h, i) * s : 0)));
    }
    if (oracle.is_layer) expect_close(t.mean, mean, roundings((size_t)c.cols, 2));
    expect_close(t.scale, scale, 2 * roundings((size_t)c.cols, 8));
  });
}

TEST(ProduceNorm, Backward) {
  const Context context = make_context();
  for_norms([&](const NormCase &c) {
    NormTensors t(c);
    ASSERT_EQ(mfq_norm_forward(context.get(), &t.norm), MFQ_OK) << mfq_last_error();
    Operand &h = c.has_residual ? t.sum : t.x;
    Operand dy(t.x), dresidual(t.x), dgain(t.gain), dshift(t.gain), dx(MFQ_DTYPE_F32, {c.rows, c.cols});
    fill_drawn(&dy, c.seed + 5);
    fill_drawn(&dresidual, c.seed + 6);
    const Operand dgain_before = dgain;
    const mfq_tensor at[] = {dy.here(), h.here(), dresidual.here(), dgain.here(), dshift.here(), dx.here()};
    mfq_norm_gradient g;
    mfq_norm_gradient_init(&g);
    g.kind = c.kind;
    g.dy = &at[0];
    g.h = &at[1];
    g.gain = t.norm.gain;
    g.mean = t.norm.mean;
    g.scale = t.norm.scale;
    g.dresidual = given(at[2], c.has_residual);
    g.dgain = given(at[3], c.has_gain);
    g.dshift = given(at[4], c.has_shift);
    g.accumulate = c.seed % 2 == 0;
    g.dx.plain = &at[5];
    ASSERT_EQ(mfq_norm_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
    const NormOracle oracle = t.oracle(c);
    Matrix kept((size_t)c.rows, 2);
    for (size_t i = 0; i < kept.rows; ++i) {
      kept.at(i, 0) = oracle.is_layer ? number_at(t.mean, i) : 0.0;
      kept.at(i, 1) = number_at(t.scale, i);
    }
    const Matrix upstream = matrix_of(dy), normalized = matrix_of(h), past = matrix_of(dresidual);
    expect_close(dx, oracle.backward(upstream, normalized, kept, c.has_residual ? &past : nullptr),
                 2 * roundings((size_t)c.cols, 8));
    for (const bool is_shift : {false, true}) {
      if (!(is_shift ? c.has_shift : c.has_gain)) continue;
      Expected sums = oracle.columns(upstream, normalized, kept, is_shift);
      for (size_t j = 0; g.accumulate && j < sums.value.cols; ++j) {
        const double before = number_at(dgain_before, j);
        sums.put(0, j, sums.value.at(0, j) + before, sums.size.at(0, j) + std::fabs(before));
      }
      expect_close(is_shift ? dshift : dgain, sums, 2 * roundings((size_t)c.rows, 4));
    }
  });
}

/* The formulas of the oracle are those of its own forward's derivative. */
TEST(ProduceNorm, GradientsAreDifferences) {
  for (const bool is_layer : {false, true}) {
    const size_t n = 6;
    const std::vector<float> drawn = drawn_numbers(3 * n, 5);
    const std::vector<double> h(drawn.begin(), drawn.begin() + n), gain(drawn.begin() + n, drawn.begin() + 2 * n);
    Matrix dy(1, n);
    for (size_t j = 0; j < n; ++j) dy.at(0, j) = drawn[2 * n + j];
    const auto loss = [&](const std::vector<double> &at, const std::vector<double> &by) {
      Matrix m(1, n);
      m.numbers = at;
      const NormOracle oracle = {is_layer, 0.01, by, {}};
      const Expected y = oracle.forward(m);
      double sum = 0;
      for (size_t j = 0; j < n; ++j) sum += y.value.at(0, j) * dy.at(0, j);
      return sum;
    };
    const NormOracle oracle = {is_layer, 0.01, gain, {}};
    Matrix m(1, n), kept(1, 2);
    m.numbers = h;
    kept.at(0, 0) = oracle.mean(m, 0);
    kept.at(0, 1) = oracle.scale(m, 0);
    const Expected dx = oracle.backward(dy, m, kept, nullptr), dgain = oracle.columns(dy, m, kept, false);
    const std::vector<double> want = differences(
        h, [&](const std::vector<double> &x) { return loss(x, gain); });
    const std::vector<double> want_gain = differences(gain, [&](const std::vector<double> &x) { return loss(h, x); });
    for (size_t j = 0; j < n; ++j) {
      EXPECT_NEAR(dx.value.at(0, j), want[j], 1e-8);
      EXPECT_NEAR(dgain.value.at(0, j), want_gain[j], 1e-8);
    }
  }
}

/* h is what its tensor holds after rounding, and may take the place of x or of the residual. */
TEST(ProduceNorm, SumIsRoundedAndInPlace) {
  const Context context = make_context();
  for (const mfq_dtype dtype : kDtypes)
    for (const int place : {0, 1, 2}) {
      Operand x(dtype, {5, 24}), residual(x), sum(x), y(MFQ_DTYPE_F32, {5, 24}), again(y);
      fill_drawn(&x, 1);
      fill_drawn(&residual, 2);
      const Operand before[] = {x, residual};
      const mfq_tensor at[] = {x.here(), residual.here(), sum.here()}, results[] = {y.here(), again.here()};
      mfq_norm norm;
      mfq_norm_init(&norm);
      norm.x = &at[0];
      norm.residual = &at[1];
      norm.sum = &at[place];
      norm.y.plain = &results[0];
      ASSERT_EQ(mfq_norm_forward(context.get(), &norm), MFQ_OK) << mfq_last_error();
      const Operand &h = place == 0 ? x : place == 1 ? residual : sum;
      for (size_t i = 0; i < 120; ++i) {
        const float exact = (float)(number_at(before[0], i) + number_at(before[1], i));
        const Operand want = Operand(dtype, {1}).fill([&](size_t) { return nearest_bits(dtype, exact); });
        ASSERT_EQ(number_at(h, i), number_at(want, 0)) << i;
      }
      norm.x = &at[place];
      norm.residual = norm.sum = nullptr;
      norm.y.plain = &results[1];
      ASSERT_EQ(mfq_norm_forward(context.get(), &norm), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(y.bytes, again.bytes);
    }
}

TEST(ProduceNorm, NotANumber) {
  const Context context = make_context();
  for (const float bad : {NAN, HUGE_VALF, -HUGE_VALF})
    for (const mfq_norm_kind kind : {MFQ_NORM_RMS, MFQ_NORM_LAYER}) {
      Operand x(MFQ_DTYPE_F32, {3, 9}), y(x);
      fill_drawn(&x, 1);
      x.put(13, float_bits(bad));
      const mfq_tensor in = x.here(), out = y.here();
      mfq_norm norm;
      mfq_norm_init(&norm);
      norm.kind = kind;
      norm.x = &in;
      norm.y.plain = &out;
      ASSERT_EQ(mfq_norm_forward(context.get(), &norm), MFQ_OK) << mfq_last_error();
      /* An infinity of RMS has the scale 0: 0 everywhere, and NaN where it was. */
      for (size_t i = 0; i < 27; ++i) {
        const bool is_row = i / 9 == 1, is_zero = kind == MFQ_NORM_RMS && !std::isnan(bad) && i != 13;
        EXPECT_EQ(std::isnan(number_at(y, i)), is_row && !is_zero) << i << ' ' << bad;
        if (is_row && is_zero) EXPECT_EQ(number_at(y, i), 0.0);
      }
      if (std::isnan(bad)) EXPECT_EQ(y.bytes[13 * 4 + 3], 0x7f);
    }
}

} // namespace
