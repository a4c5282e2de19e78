// num/half_quadratic.h against long double: the power, the shrunk error, and what an element gives to a zero point.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include <mfq/num/half_quadratic.h>

namespace {

/* Positive floats, subnormal ones too, spread over all exponents. */
float positive(std::mt19937 &generator) { return mfqn_float_of(1u + generator() % (MFQN_INF - 1u)); }

/* How far a float is from a number, in units of its last place. */
long double ulps(float got, long double want) {
  const float next = std::nextafter(got, std::numeric_limits<float>::infinity());
  return std::fabs(got - want) / ((long double)next - got);
}

TEST(HalfQuadratic, PowerIsTheNearestButForTies) {
  std::mt19937 generator(1);
  for (int i = 0; i < 100000; ++i) {
    const float z = i < 40 ? std::ldexp(1.0f + (float)(i % 2) * 0.5f, i - 20) : positive(generator);
    ASSERT_LE(ulps(mfqn_inverse_power(z), std::pow((long double)z, -0.3L)), 0.5001L) << z;
  }
}

TEST(HalfQuadratic, ErrorsShrinkTowardsZero) {
  std::mt19937 generator(2);
  for (int i = 0; i < 20000; ++i) {
    const float z = std::ldexp((float)((int)(generator() % 20001) - 10000), -10),
                softness = 1.0f / (float)(1 << i % 20);
    for (const int is_zero_point : {0, 1}) {
      const long double size = std::fabs((long double)z), power = is_zero_point ? -0.5L : -0.3L;
      const long double left = size == 0 ? 0 : std::max(0.0L, size - softness * std::pow(size, power));
      const float got = mfqn_shrunk(z, softness, is_zero_point);
      ASSERT_NEAR((double)std::fabs(got), (double)left,
                  3e-7 * (double)(size + std::pow(size + 1e-9L, power) * softness));
      ASSERT_TRUE(got == 0.0f || std::signbit(got) == std::signbit(z)) << z;
    }
  }
}

TEST(HalfQuadratic, CandidatesStayWhereTheyAre) {
  mfqn_scheme s = {};
  s.threshold = 7.0f;
  s.statistic_min = mfqn_bits(2.0f);
  EXPECT_EQ(mfqn_hqo_next_scale(&s, 5, 1.0f), mfqn_bits(7.0f));
  EXPECT_EQ(mfqn_hqo_next_scale(&s, 5, 0.125f), mfqn_bits(2.0f));
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    EXPECT_EQ(mfqn_hqo_next_scale(&s, 5, bad), 5u) << bad;
  EXPECT_EQ(mfqn_hqo_next_low(5, -6.0f, 4), mfqn_bits(-1.5f));
  EXPECT_EQ(mfqn_hqo_next_low(5, 6.0f, 4), mfqn_bits(1.5f));
  EXPECT_EQ(mfqn_hqo_next_low(5, std::numeric_limits<float>::quiet_NaN(), 4), 5u);
}

} // namespace
