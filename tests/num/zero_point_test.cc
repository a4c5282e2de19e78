/* Zero points: the sum of a quotient and an integer is rounded once, in every rounding, against sums of 128 bits. */
#include <cmath>

#include <gtest/gtest.h>

#include <mfq/num/clip.h>
#include <mfq/num/random.h>

#include "num_scheme.h"

namespace {

__extension__ typedef __int128 Wide;

constexpr int kFraction = 100; /* bits of a Wide below 1 */
constexpr mfq_rounding kRoundings[] = {MFQ_ROUND_EVEN, MFQ_ROUND_AWAY, MFQ_ROUND_ZERO,      MFQ_ROUND_FLOOR,
                                       MFQ_ROUND_CEIL, MFQ_ROUND_DPU,  MFQ_ROUND_STOCHASTIC};

/* t + zero_point, for |t| < 1024. What lies below 2^-100 becomes one bit there, which no rounding tells apart. */
Wide exact_sum(float t, int zero_point) {
  int exponent;
  const float significand = std::frexp(std::fabs(t), &exponent);
  const Wide man = (Wide)(uint32_t)std::ldexp(significand, 24);
  const int shift = exponent - 24 + kFraction;
  Wide magnitude = shift >= 0 ? man << shift : shift < -24 ? 0 : man >> -shift;
  if (shift < 0 && (shift < -24 ? man : man & (((Wide)1 << -shift) - 1)) != 0) magnitude |= 1;
  const Wide one = (Wide)1 << kFraction;
  return zero_point * one + (std::signbit(t) ? -magnitude : magnitude);
}

int rounded(Wide sum, mfq_rounding rounding, uint32_t random) {
  const Wide one = (Wide)1 << kFraction, half = one / 2;
  const bool negative = sum < 0;
  const Wide magnitude = negative ? -sum : sum;
  Wide low = magnitude / one;
  const Wide rest = magnitude % one;
  const bool odd = low % 2 != 0;
  switch (rounding) {
    case MFQ_ROUND_AWAY: low += rest >= half; break;
    case MFQ_ROUND_ZERO: break;
    case MFQ_ROUND_FLOOR: low += negative && rest != 0; break;
    case MFQ_ROUND_CEIL: low += !negative && rest != 0; break;
    case MFQ_ROUND_DPU: low += rest > half || (rest == half && odd && !negative); break;
    case MFQ_ROUND_STOCHASTIC: low += (rest >> (kFraction - 32)) + random >= (Wide)1 << 32; break;
    default: low += rest > half || (rest == half && odd);
  }
  return (int)(negative ? -low : low);
}

/* Ties and their neighbours, integers and theirs, tiny numbers, and anything. */
std::vector<float> quotients(int zero_point) {
  std::vector<float> all = {0.0f, -0.0f};
  inputs::Random random(9);
  for (int n = -300; n <= 300; ++n) {
    const float at = (float)n / 2 - (float)zero_point;
    all.insert(all.end(), {at, std::nextafterf(at, 2000.0f), std::nextafterf(at, -2000.0f)});
  }
  for (int exponent = -149; exponent <= 10; ++exponent)
    for (int i = 0; i < 4; ++i) {
      const float significand = i == 0 ? 1.0f : 1 + (float)(random.word() >> 9) / 8388608.0f;
      const float magnitude = std::ldexp(significand, exponent);
      all.insert(all.end(), {magnitude, -magnitude});
    }
  return all;
}

class ZeroPointSum : public testing::TestWithParam<const char *> {
protected:
  const mfqn_scheme scheme = scheme_of(MFQ_ROUND_EVEN);
  const mfqn_integer format = scheme.integer;

  static mfqn_scheme scheme_of(mfq_rounding rounding) {
    mfq_scheme s = group_scheme(oracle::named(GetParam()), MFQ_SCALE_F32, MFQ_RULE_ABSMAX);
    s.statistic = MFQ_STATISTIC_MINMAX;
    s.zero_point = 1;
    s.rounding = rounding;
    return lowered(s);
  }
  std::vector<int> zero_points() const {
    return {format.lowest, format.lowest + 1, (format.lowest + format.highest) / 2, -1, 0, 3, format.highest};
  }
};

TEST_P(ZeroPointSum, IsRoundedOnce) {
  for (const int zero_point : zero_points())
    for (const float t : quotients(zero_point))
      for (const mfq_rounding rounding : kRoundings)
        for (const uint32_t random : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xfffffffeu, 0xffffffffu}) {
          const int want = std::fabs(t) < 1024 ? rounded(exact_sum(t, zero_point), rounding, random)
                           : t < 0             ? -2000
                                               : 2000;
          ASSERT_EQ(mfqn_integer_round_sum(inputs::bits_of(t), zero_point, &format, rounding, random),
                    std::clamp(want, format.lowest, format.highest))
              << t << " + " << zero_point << ", rounding " << rounding << ", random " << random;
          if (rounding != MFQ_ROUND_STOCHASTIC) break;
        }
}

TEST_P(ZeroPointSum, EncodingTakesIt) {
  for (const mfq_rounding rounding : kRoundings) {
    const mfqn_scheme s = scheme_of(rounding);
    mfqn_group g = mfqn_group_load(&s, inputs::bits_of(1.0f), 1.0f);
    g.zero_point = format.lowest + 1;
    for (const float t : quotients(g.zero_point)) {
      const int want = mfqn_integer_round_sum(inputs::bits_of(t), g.zero_point, &format, rounding, 77);
      ASSERT_EQ(mfqn_encode(&s, &g, inputs::bits_of(t), 77), mfqn_integer_code(want, &format)) << t;
    }
  }
}

/* The forms of the loops; infinities and NaN too. */
TEST_P(ZeroPointSum, CentralFormIsTheSame) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const int zero_point : zero_points()) {
    std::vector<float> all = quotients(zero_point);
    all.insert(all.end(), {inf, -inf, nan, 3e38f, -3e38f, 1023.9f, -1024.0f});
    for (const float t : all) {
      const int want = mfqn_integer_round_sum(inputs::bits_of(t), zero_point, &format, MFQN_ROUND_EVEN, 0);
      ASSERT_EQ(mfqn_integer_sum_central(t, (float)zero_point, &format), want) << t << " + " << zero_point;
      for (const uint32_t half : {0u, 1u, 0x7fffu, 0x8000u, 0xfffeu, 0xffffu, inputs::bits_of(t) * 2654435761u >> 16}) {
        const uint32_t random = mfqn_random_fraction(half);
        ASSERT_EQ(mfqn_integer_sum_drawn(t, (float)zero_point, &format, half),
                  mfqn_integer_round_sum(inputs::bits_of(t), zero_point, &format, MFQN_ROUND_STOCHASTIC, random))
            << t << " + " << zero_point << ", half " << half;
      }
    }
  }
}

/* Up to the end a quotient is rounded into the format, behind it beyond. */
TEST_P(ZeroPointSum, EndsAreTheLastOnesThatPass) {
  const auto passes = [&](float t, int zero_point) {
    const int r = rounded(exact_sum(t, zero_point), MFQ_ROUND_EVEN, 0);
    return r >= format.lowest && r <= format.highest;
  };
  for (int z = format.lowest; z <= format.highest; ++z) {
    const float hi = mfqn_integer_end(format.highest - z, format.highest);
    const float lo = mfqn_integer_end(z - format.lowest, format.lowest);
    ASSERT_TRUE(passes(hi, z) && !passes(std::nextafterf(hi, 2000.0f), z)) << z;
    ASSERT_TRUE(passes(-lo, z) && !passes(-std::nextafterf(lo, 2000.0f), z)) << z;
  }
}

INSTANTIATE_TEST_SUITE_P(Elements, ZeroPointSum, testing::Values("uint8", "uint4", "int8", "int4", "int8n"),
                         [](const auto &row) { return std::string(row.param); });

/* The zero point itself: to the nearest, from the exact sum with the lowest code; of Brevitas as its elements are. */
TEST(ZeroPointOfAGroup, RoundsOnce) {
  mfq_scheme s = group_scheme(oracle::named("int8"), MFQ_SCALE_F32, MFQ_RULE_ABSMAX);
  s.statistic = MFQ_STATISTIC_MINMAX;
  s.zero_point = 1;
  /* Scale 1. In float32 0.50000006 - 128 is -127.5, a tie. */
  const float depth = std::nextafterf(0.5f, 1.0f);
  const Quantized q = quantized(lowered(s), {-depth, 254.5f});
  EXPECT_EQ(q.group.scale, 1.0f);
  EXPECT_EQ(q.group.zero_point, -127);
}

TEST(ZeroPointOfAGroup, BrevitasRoundsItAsItsElements) {
  const struct {
    mfq_rounding rounding;
    int want; /* of 0.6 */
  } rows[] = {{MFQ_ROUND_EVEN, 1}, {MFQ_ROUND_FLOOR, 0}, {MFQ_ROUND_ZERO, 0}, {MFQ_ROUND_CEIL, 1}, {MFQ_ROUND_AWAY, 1}};
  for (const auto &row : rows)
    for (const bool is_brevitas : {false, true}) {
      mfq_scheme s = group_scheme(oracle::named("uint8"), MFQ_SCALE_F32, MFQ_RULE_ABSMAX);
      s.statistic = MFQ_STATISTIC_MINMAX;
      s.zero_point = 1;
      s.rounding = row.rounding;
      s.arith = is_brevitas ? MFQ_ARITH_BREVITAS : MFQ_ARITH_EXACT;
      EXPECT_EQ(quantized(lowered(s), {-0.6f, 254.4f}).group.zero_point, is_brevitas ? row.want : 1)
          << "rounding " << row.rounding << ", brevitas " << is_brevitas;
    }
}

/* ---- Ranges wider than float32 ---- */

TEST(WideRange, KeepsItsEnds) {
  const float most = std::numeric_limits<float>::max();
  for (const char *name : {"uint8", "int8", "uint4", "int4"})
    for (const mfq_scale_rule rule : {MFQ_RULE_ABSMAX, MFQ_RULE_CEIL, MFQ_RULE_RCEIL})
      for (const std::vector<float> &x :
           {std::vector<float>{-most, most}, {-most, most / 2}, {-most / 4, most}, {-0.9f * most, 0.2f * most}}) {
        mfq_scheme s = group_scheme(oracle::named(name), MFQ_SCALE_F32, rule);
        s.statistic = MFQ_STATISTIC_MINMAX;
        s.zero_point = 1;
        const Quantized q = quantized(lowered(s), x);
        const double levels = lowered(s).integer.highest - lowered(s).integer.lowest;
        const double width = (double)x[1] - (double)x[0], scale = (double)q.group.scale;
        /* The width is rounded, then the quotient: 2^-24 each. */
        if (rule == MFQ_RULE_ABSMAX) EXPECT_NEAR(scale / (width / levels), 1.0, 1.3e-7) << name;
        if (rule == MFQ_RULE_CEIL) EXPECT_EQ(std::ilogb(scale), std::ilogb(width) + 1 - std::ilogb(levels)) << name;
        for (size_t i = 0; i < 2; ++i)
          EXPECT_LE(std::fabs((double)q.values[i] - (double)x[i]), 1.0001 * scale) << name << " rule " << rule;
      }
}

} // namespace
