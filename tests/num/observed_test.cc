// num/observed.h and the root that it takes: against the C library, and ranks against the formulas written out.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include <mfq/num/observed.h>

namespace {

TEST(Sqrt, IsTheRoundedOne) {
  uint64_t wrong = 0;
  for (uint32_t u = 0; u < MFQN_INF; u += 4093)
    wrong += mfqn_bits(mfqn_sqrt(mfqn_float_of(u))) != mfqn_bits(std::sqrt(mfqn_float_of(u)));
  for (uint32_t u = 0; u < 5000; ++u) /* subnormal numbers, and squares and their neighbours */
    for (const float x :
         {mfqn_float_of(u), (float)(u * u), std::nextafterf((float)(u * u), 0), std::nextafterf((float)(u * u), 1e9f)})
      wrong += mfqn_bits(mfqn_sqrt(x)) != mfqn_bits(std::sqrt(x));
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(mfqn_sqrt(mfqn_float_of(MFQN_MAX_FINITE)), std::sqrt(mfqn_float_of(MFQN_MAX_FINITE)));
  EXPECT_EQ(mfqn_sqrt(INFINITY), INFINITY);
  EXPECT_TRUE(std::isnan(mfqn_sqrt(NAN)));
}

TEST(Observed, Ranks) {
  const struct {
    double percent;
    int64_t n, nearest, up;
  } rows[] = {{0, 10, 1, 1},
              {100, 10, 10, 10},
              {50, 10, 5, 5},
              {50, 9, 5, 5},
              {99.999, 672, 672, 672},
              {0.001, 672, 1, 1},
              {99.999, 100000, 99999, 99999},
              {24, 10, 2, 3},
              {25, 10, 3, 3},
              {1, 1, 1, 1},
              {99, 1000000007, 990000007, 990000007}};
  for (const auto &row : rows) {
    EXPECT_EQ(mfqn_rank(row.percent, row.n, 0), row.nearest) << row.percent << " of " << row.n;
    EXPECT_EQ(mfqn_rank(row.percent, row.n, 1), row.up) << row.percent << " of " << row.n;
  }
}

TEST(Observed, KeysHaveTheOrderOfTheirElements) {
  const float x[] = {-INFINITY, -3e38f, -1.0f, -1e-40f, -0.0f, 0.0f, 1e-40f, 1.0f, 3e38f, INFINITY};
  for (size_t i = 0; i + 1 < sizeof x / sizeof *x; ++i) {
    EXPECT_LT(mfqn_rank_key(mfqn_bits(x[i]), 1), mfqn_rank_key(mfqn_bits(x[i + 1]), 1)) << x[i];
    EXPECT_EQ(mfqn_rank_value(mfqn_rank_key(mfqn_bits(x[i]), 1), 1), mfqn_bits(x[i]));
    EXPECT_EQ(mfqn_rank_value(mfqn_rank_key(mfqn_bits(x[i]), 0), 0), mfqn_bits(std::fabs(x[i])));
  }
  EXPECT_LT(mfqn_rank_key(mfqn_bits(-1.0f), 0), mfqn_rank_key(mfqn_bits(2.0f), 0));
}

TEST(Observed, StepsAreRoundedOneByOne) {
  const mfqn_running momentum = {MFQN_RUNNING_MOMENTUM, 0, 0, 0.9f, 0.1f, 0},
                     mean = {MFQN_RUNNING_MEAN, 0, 0, 2.0f / 3.0f, 3.0f, 0};
  const mfqn_running first = {MFQN_RUNNING_MEAN, 1, 0, 0.0f, 1.0f, mfqn_bits(0.5f)},
                     low = {MFQN_RUNNING_EXTREME, 0, 1, 0, 0, 0};
  for (int i = 1; i < 2000; ++i) {
    const float old = (float)i * 0.37f, c = 811.0f / (float)i;
    const volatile float kept = old * 0.9f, taken = c * 0.1f, kept_mean = old * (2.0f / 3.0f), taken_mean = c / 3.0f;
    const volatile float sum = kept + taken, sum_mean = kept_mean + taken_mean;
    EXPECT_EQ(mfqn_running_step(&momentum, mfqn_bits(old), mfqn_bits(c)), mfqn_bits(sum)) << i;
    EXPECT_EQ(mfqn_running_step(&mean, mfqn_bits(old), mfqn_bits(c)), mfqn_bits(sum_mean)) << i;
  }
  EXPECT_EQ(mfqn_running_step(&first, MFQN_NAN, mfqn_bits(0.25f)), mfqn_bits(0.5f))
      << "raised; what was there is not read";
  EXPECT_EQ(mfqn_running_step(&low, mfqn_bits(-1.0f), mfqn_bits(-2.0f)), mfqn_bits(-2.0f));
  EXPECT_EQ(mfqn_running_step(&low, MFQN_NAN, mfqn_bits(-2.0f)), MFQN_NAN);
}

TEST(Observed, ScalesOfBrevitas) {
  mfqn_scheme s = {};
  s.is_brevitas = 1;
  s.threshold = 448.0f;
  s.statistic_min = mfqn_bits(1e-10f);
  s.brevitas.threshold_exp2 = 8;
  const volatile float quotient = 3.0f / 448.0f, least = 1e-10f / 448.0f;
  EXPECT_EQ(mfqn_collected_brevitas(mfqn_bits(3.0f), &s, 0), mfqn_bits(quotient));
  EXPECT_EQ(mfqn_collected_brevitas(mfqn_bits(1e-12f), &s, 0), mfqn_bits(1e-10f)) << "the scale is limited";
  EXPECT_EQ(mfqn_collected_brevitas(mfqn_bits(1e-12f), &s, 1), mfqn_bits(least)) << "the statistic is limited";
  s.rule = MFQN_RULE_FLOOR;
  EXPECT_EQ(mfqn_collected_brevitas(mfqn_bits(3.0f), &s, 0), mfqn_bits(2.0f / 256.0f));
  s.rule = MFQN_RULE_CEIL;
  EXPECT_EQ(mfqn_collected_brevitas(mfqn_bits(3.0f), &s, 0), mfqn_bits(4.0f / 256.0f));
  EXPECT_EQ(mfqn_collected_brevitas(MFQN_NAN, &s, 1), MFQN_NAN);
}

} // namespace
