/* The functions of num/making.h against definitions in long double: exp, log and SiLU with a slope in units of the last
 * place, derivatives of activations relative to what they are made of, and what is no number. */
#include <gtest/gtest.h>

#include <mfq/num/making.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

namespace {

const long double kPi = std::acos(-1.0L);

float float_of_bits(uint32_t u) {
  float f;
  std::memcpy(&f, &u, sizeof f);
  return f;
}

uint32_t bits_of(float f) {
  uint32_t u;
  std::memcpy(&u, &f, sizeof u);
  return u;
}

/* The distance of float32 numbers at a value; 2^-149 for subnormal ones. */
long double step_at(long double value) {
  int exponent = -200;
  if (value != 0) std::frexp(value, &exponent);
  return std::ldexp(1.0L, std::max(exponent - 24, -149));
}

/* Every 9973rd float32 of magnitudes up to `most`, of both signs or one. */
void for_numbers(float most, bool has_negative, const std::function<void(float)> &visit) {
  for (uint32_t u = 0; u <= bits_of(most); u += 9973) {
    visit(float_of_bits(u));
    if (has_negative) visit(float_of_bits(u | 0x80000000u));
  }
}

/* The largest error in steps. */
struct Worst {
  long double error = 0;
  float at = 0;
  void look(float x, float got, long double want) {
    const long double e = std::fabs((long double)got - want) / step_at(want);
    if (e <= error) return;
    error = e; /* NaN too */
    at = x;
  }
};

TEST(Making, ExpOfTheNegative) {
  Worst worst;
  for_numbers(150.0f, false, [&](float x) { worst.look(x, mfqn_exp_minus(x), std::exp(-(long double)x)); });
  EXPECT_LT(worst.error, 0.93L) << worst.at;
  EXPECT_EQ(bits_of(mfqn_exp_minus(0.0f)), bits_of(1.0f));
  EXPECT_EQ(bits_of(mfqn_exp_minus(-0.0f)), bits_of(1.0f));
  EXPECT_EQ(bits_of(mfqn_exp_minus(HUGE_VALF)), 0u);
  EXPECT_TRUE(std::isnan(mfqn_exp_minus(NAN)));
}

TEST(Making, Log) {
  Worst worst;
  for (uint32_t u = bits_of(1.0f); u < 0x7f800000u; u += u < bits_of(2.0f) ? 97 : 9973) {
    const float x = float_of_bits(u);
    worst.look(x, mfqn_log(x), std::log((long double)x));
  }
  EXPECT_LT(worst.error, 0.86L) << worst.at;
  EXPECT_EQ(bits_of(mfqn_log(1.0f)), 0u);
  EXPECT_EQ(mfqn_log(HUGE_VALF), HUGE_VALF);
  EXPECT_TRUE(std::isnan(mfqn_log(NAN)));
}

TEST(Making, SlopedSilu) {
  for (const float slope : {0x1p-10f, 0.3f, 1.702f, 7.0f, 0x1p10f}) {
    Worst worst;
    for_numbers(std::min(100.0f / slope, 1e30f), true, [&](float x) {
      const long double z = (long double)x * slope;
      const long double want = z < 0 ? x * (std::exp(z) / (1 + std::exp(z))) : x / (1 + std::exp(-z));
      if (std::fabs(want) >= 0x1p-126L) worst.look(x, mfqn_silu_sloped(x, slope), want);
    });
    EXPECT_LT(worst.error, 2.6L) << worst.at << ", slope " << slope;
    EXPECT_EQ(mfqn_silu_sloped(-HUGE_VALF, slope), 0.0f);
    EXPECT_EQ(mfqn_silu_sloped(HUGE_VALF, slope), HUGE_VALF);
    EXPECT_EQ(mfqn_silu_sloped(-3e38f, slope), 0.0f);
  }
  for_numbers(3e38f, true, [](float x) { ASSERT_EQ(bits_of(mfqn_silu_sloped(x, 1.0f)), bits_of(mfqn_silu(x))) << x; });
}

/* What a derivative at x is, and what its terms come to: the error is measured by that. */
struct Slope {
  long double value, size;
};

/* sigma(w) * (1 + m * sigma(-w)), m being x * dw/dx. */
Slope logistic_slope(long double w, long double m) {
  const long double small = std::exp(-std::fabs(w)) / (1 + std::exp(-std::fabs(w)));
  const long double s = w < 0 ? small : 1 - small, rest = w < 0 ? 1 - small : small;
  return {s * (1 + m * rest), s * (1 + std::fabs(m) * rest)};
}

Slope slope_of(int activation, long double x, long double slope) {
  const long double c = 2 * std::sqrt(2 / kPi), a = 0.044715L;
  if (activation == MFQN_ACTIVATION_SILU) return logistic_slope(slope * x, slope * x);
  if (activation == MFQN_ACTIVATION_GELU_TANH)
    return logistic_slope(c * (x + a * x * x * x), c * (x + 3 * a * x * x * x));
  const long double tail = std::erfc(std::fabs(x) / std::sqrt(2.0L)) / 2;
  const long double density = std::fabs(x) * std::exp(-x * x / 2) / std::sqrt(2 * kPi);
  if (x < 0) return {tail - density, tail + density};
  return {1 - tail + density, 1 + tail + density};
}

/* Within so many 2^-24 of the size. */
TEST(Making, Derivatives) {
  const struct {
    int activation;
    float slope;
    long double most;
  } rows[] = {{MFQN_ACTIVATION_GELU, 1.0f, 7.0L},
              {MFQN_ACTIVATION_GELU_TANH, 1.0f, 6.0L},
              {MFQN_ACTIVATION_SILU, 1.0f, 5.0L},
              {MFQN_ACTIVATION_SILU, 1.702f, 5.0L}};
  for (const auto &row : rows) {
    mfqn_make m = {};
    m.activation = row.activation;
    m.slope = row.slope;
    long double worst = 0;
    float at = 0;
    for_numbers(100.0f, true, [&](float x) {
      const Slope want = slope_of(row.activation, x, row.slope);
      const long double got = mfqn_activate_backward(&m, x, 1.0f);
      const long double error = (std::fabs(got - want.value) - 0x1p-149L) / (want.size * 0x1p-24L + 0x1p-170L);
      if (error <= worst) return;
      worst = error;
      at = x;
    });
    EXPECT_LT(worst, row.most) << "activation " << row.activation << " at " << at;
    EXPECT_EQ(mfqn_activate_backward(&m, HUGE_VALF, 2.0f), 2.0f);
    EXPECT_EQ(bits_of(mfqn_activate_backward(&m, -HUGE_VALF, 2.0f)), 0x80000000u);
    EXPECT_TRUE(std::isnan(mfqn_activate_backward(&m, NAN, 2.0f)));
    EXPECT_EQ(mfqn_activate_backward(&m, 0.0f, 2.0f), 1.0f);
  }
}

TEST(Making, Relu) {
  mfqn_make m = {};
  m.activation = MFQN_ACTIVATION_RELU;
  EXPECT_EQ(mfqn_activate_backward(&m, 0.0f, 3.0f), 0.0f);
  EXPECT_EQ(mfqn_activate_backward(&m, -1.0f, HUGE_VALF), 0.0f);
  EXPECT_EQ(mfqn_activate_backward(&m, 1e-45f, 3.0f), 3.0f);
  EXPECT_TRUE(std::isnan(mfqn_activate_backward(&m, NAN, 3.0f)));
  m.activation = MFQN_ACTIVATION_NONE;
  EXPECT_EQ(mfqn_activate_backward(&m, NAN, 3.0f), 3.0f);
}

TEST(Making, LargerOnes) {
  EXPECT_EQ(mfqn_larger(1.0f, 2.0f), 2.0f);
  EXPECT_EQ(mfqn_larger(2.0f, 1.0f), 2.0f);
  EXPECT_TRUE(std::isnan(mfqn_larger(NAN, HUGE_VALF)));
  EXPECT_TRUE(std::isnan(mfqn_larger(HUGE_VALF, NAN)));
}

TEST(Making, CausalCounts) {
  for (int64_t rows = 0; rows < 7; ++rows)
    for (int64_t cols = 0; cols < 7; ++cols)
      for (int64_t row = 0; row < rows; ++row) {
        int64_t count = 0;
        for (int64_t j = 0; j < cols; ++j) count += j <= row + cols - rows ? 1 : 0;
        EXPECT_EQ(mfqn_causal_count(row, rows, cols), count);
      }
}

TEST(Making, LossOfTargets) {
  EXPECT_EQ(mfqn_loss_counts(3, -100, 4), 1.0f);
  EXPECT_EQ(mfqn_loss_counts(0, -100, 4), 1.0f);
  EXPECT_EQ(mfqn_loss_counts(-100, -100, 4), 0.0f);
  EXPECT_EQ(mfqn_loss_counts(2, 2, 4), 0.0f);
  EXPECT_TRUE(std::isnan(mfqn_loss_counts(4, -100, 4)));
  EXPECT_TRUE(std::isnan(mfqn_loss_counts(-1, -100, 4)));
  mfqn_make m = {};
  m.kept = 1.0f;
  const mfqn_row bad = {{0.0f, 2.0f, 1.0f, NAN}}, ignored = {{NAN, NAN, NAN, 0.0f}};
  const mfqn_inputs in = {1.0f, 0.0f, 0.0f};
  EXPECT_EQ(bits_of(mfqn_loss_value(&m, &bad, 0.0f, 0.0f)), 0x7fc00000u);
  EXPECT_TRUE(std::isnan(mfqn_loss_gradient(in, &bad)));
  EXPECT_EQ(bits_of(mfqn_loss_value(&m, &ignored, 0.0f, 0.0f)), 0u);
  EXPECT_EQ(bits_of(mfqn_loss_gradient(in, &ignored)), 0u);
}

} // namespace
