/* Quotients by reciprocals against divisions: where they are nearest to a tie, over the range of divisors, and beyond it
 * where they need only be small. */
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include <mfq/num/quotient.h>

namespace {

float quotient(float x, float s) { return mfqn_quotient(x, s, 1.0f / s); }

uint32_t inverse_of_odd(uint32_t a) {
  uint32_t x = a;
  for (int i = 0; i < 5; ++i) x *= 2 - a * x;
  return x;
}

/* Calls check(x, s) for the significands x, as integers, whose quotient by s is `k` units of 2^-bits / s beside a middle
 * between two numbers: x * 2^bits - m * s = k, for odd m in 2^24 ... 2^25. */
template <class Check> void hard_dividends(uint32_t s, int k, int bits, Check check) {
  const int twos = __builtin_ctz(s), part = k >> twos;
  if (part << twos != k || part % 2 == 0) return;
  const uint32_t modulus = 1u << (bits - twos);
  for (uint64_t m = (uint32_t)-part * inverse_of_odd(s >> twos) & (modulus - 1); m < 1u << 25; m += modulus) {
    const int64_t x = ((int64_t)(m * s) + k) >> bits;
    if (m < 1u << 24 || x < 1 << 23 || x >= 1 << 24 || (bits == 24) != (x >= (int64_t)s)) continue;
    check((float)x, (float)s);
  }
}

/* num/quotient.h shows that no others can fail. */
TEST(Quotient, NearestToTies) {
  int64_t count = 0, wrong = 0;
  for (uint32_t s = 1u << 23; s < 1u << 24; ++s)
    for (int k = s % 2 ? -5 : -4; k <= 5; k += 2)
      for (int bits = 24; bits <= 25; ++bits)
        if (k != 0)
          hard_dividends(s, k, bits, [&](float x, float by) {
            wrong += quotient(x, by) != x / by;
            ++count;
          });
  EXPECT_GT(count, 20000000);
  EXPECT_EQ(wrong, 0);
}

float drawn(std::mt19937 &generator, int lowest, int highest) {
  const float significand = 1 + (float)(generator() & 0x7fffff) / 8388608.0f;
  return std::ldexp(significand, lowest + (int)(generator() % (uint32_t)(highest - lowest + 1)));
}

/* What a depth promises: from 2^-(depth + 2) on the quotient, below it something small. */
TEST(Quotient, RangeOfDivisors) {
  std::mt19937 generator(5);
  int quotients = 0;
  for (int depth : {0, 6, 10, 17, 60})
    for (int i = 0; i < 400000; ++i) {
      const float s = drawn(generator, depth - 98, i % 2 ? 109 : depth - 97), t = drawn(generator, -depth - 2, 16);
      ASSERT_TRUE(mfqn_has_quotients(mfqn_bits(s), depth)) << s;
      const float x = i % 3 ? s * t : std::nextafter(s * std::ldexp(std::floor(std::ldexp(t, depth)), -depth), 0.0f);
      const float least = std::ldexp(1.0f, -depth - 2), want = x / s;
      quotients += want >= least && std::isfinite(x);
      if (!std::isfinite(x)) continue;
      if (want >= least)
        ASSERT_EQ(quotient(x, s), want) << x << " / " << s;
      else
        ASSERT_LT(quotient(x, s), 2 * least) << x << " / " << s;
      ASSERT_EQ(quotient(-x, s), -quotient(x, s));
    }
  EXPECT_GT(quotients, 1000000);
}

TEST(Quotient, SmallElements) {
  std::mt19937 generator(6);
  for (int depth : {0, 10, 60})
    for (int i = 0; i < 100000; ++i) {
      const float s = drawn(generator, depth - 98, depth - 90), x = mfqn_float_of(generator() & 0xffffff);
      ASSERT_LT(quotient(x, s), std::ldexp(1.0f, -depth - 1)) << x << " / " << s;
      ASSERT_GE(quotient(x, s), 0.0f);
    }
}

/* Zeros, and the smallest normal number, the scale of zeros. */
TEST(Quotient, Ends) {
  const float least = 0x1p-126f;
  for (int depth : {0, 17}) {
    EXPECT_TRUE(mfqn_has_quotients(mfqn_bits(least), depth));
    EXPECT_FALSE(mfqn_has_quotients(mfqn_bits(std::nextafter(least, 1.0f)), depth));
    EXPECT_FALSE(mfqn_has_quotients(mfqn_bits(std::ldexp(1.0f, depth - 99)), depth));
    EXPECT_TRUE(mfqn_has_quotients(mfqn_bits(std::ldexp(1.0f, depth - 98)), depth));
    EXPECT_TRUE(mfqn_has_quotients(mfqn_bits(0x1p110f), depth));
    EXPECT_FALSE(mfqn_has_quotients(mfqn_bits(0x1p111f), depth));
    for (uint32_t bits : {0u, 1u, 0x7fffffu, MFQN_INF, MFQN_NAN, 0x80800000u, mfqn_bits(-1.0f)})
      EXPECT_FALSE(mfqn_has_quotients(bits, depth)) << bits;
  }
  for (float s : {least, 0x1p-90f, 1.0f, 0x1.fffffep100f}) EXPECT_EQ(quotient(0.0f, s), 0.0f);
  for (uint32_t u = 0; u < 0x4000000; u += 4099) {
    const float x = mfqn_float_of(u);
    ASSERT_EQ(quotient(x, least), x / least);
  }
}

} // namespace
