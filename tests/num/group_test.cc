/* Whole groups: statistics, zero points, and properties that hold whatever the numbers are. */
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "num_scheme.h"

namespace {

const mfq_scale_rule kRules[] = {MFQ_RULE_FLOOR, MFQ_RULE_CEIL, MFQ_RULE_RCEIL, MFQ_RULE_EVEN};
const float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

/* Groups of 32 of both signs; some spread over 30 binades, some over two, some with equal magnitudes, one of zeros. */
std::vector<std::vector<float>> random_groups(uint64_t seed, int count, int exponent = 0) {
  inputs::Random random(seed);
  std::vector<std::vector<float>> groups;
  for (int n = 0; n < count; ++n) {
    const uint32_t spread = n % 3 == 0 ? 30 : n % 3 == 1 ? 2 : 1;
    const int centre = exponent + (int)(random.word() % 41) - 20;
    std::vector<float> group;
    for (int i = 0; i < 32; ++i) {
      const float significand = 1 + (float)(random.word() >> 9) / 8388608.0f;
      const float magnitude = std::ldexp(significand, centre - (int)(random.word() % spread));
      group.push_back(random.word() & 1 ? -magnitude : magnitude);
    }
    if (n % 7 == 0) group[5] = 0;
    groups.push_back(group);
  }
  groups.push_back(std::vector<float>(32, 0.0f));
  return groups;
}

float absmax_of(const std::vector<float> &x) {
  float a = 0;
  for (float v : x) a = std::max(a, std::fabs(v));
  return a;
}

/* ---- Statistics ---- */

TEST(Statistic, AbsmaxMinimumAndMaximum) {
  for (const std::vector<float> &x : random_groups(61, 50)) {
    const mfqn_statistic s = statistic_of(x);
    EXPECT_EQ(inputs::f32(s.absmax), absmax_of(x));
    EXPECT_EQ(s.lo, *std::min_element(x.begin(), x.end()));
    EXPECT_EQ(s.hi, *std::max_element(x.begin(), x.end()));
  }
}

TEST(Statistic, AnySplitMergesToTheSame) {
  std::vector<std::vector<float>> groups = random_groups(62, 20);
  groups.back()[3] = kNan;
  groups[4][31] = -kInf;
  for (const std::vector<float> &x : groups)
    for (size_t cut = 0; cut <= x.size(); ++cut) {
      mfqn_statistic left = statistic_of(std::vector<float>(x.begin(), x.begin() + (std::ptrdiff_t)cut));
      const mfqn_statistic right = statistic_of(std::vector<float>(x.begin() + (std::ptrdiff_t)cut, x.end()));
      const mfqn_statistic whole = statistic_of(x);
      mfqn_statistic_merge(&left, &right);
      EXPECT_EQ(left.absmax, whole.absmax);
      EXPECT_EQ(left.lo, whole.lo);
      EXPECT_EQ(left.hi, whole.hi);
    }
}

TEST(Statistic, NanAndInfinityAreNotLost) {
  EXPECT_TRUE(inputs::is_nan(statistic_of(std::vector<float>{1, kNan, -kInf}).absmax));
  EXPECT_TRUE(inputs::is_nan(statistic_of(std::vector<float>{-kNan, 2}).absmax));
  EXPECT_EQ(statistic_of(std::vector<float>{1, -kInf}).absmax, 0x7f800000u);
}

mfq_scheme ranged(const char *element, mfq_scale_format scale, mfq_scale_rule rule, bool zero_point) {
  mfq_scheme s = group_scheme(oracle::named(element), scale, rule);
  s.statistic = MFQ_STATISTIC_MINMAX;
  s.zero_point = zero_point;
  return s;
}

float range_of(const mfq_scheme &scheme, const std::vector<float> &x) {
  const mfqn_scheme s = lowered(scheme);
  const mfqn_statistic statistic = statistic_of(x);
  return inputs::f32(mfqn_statistic_value(&statistic, &s));
}

/* max - min(min, 0), and with a zero point max(max, 0) instead of max unless Brevitas is followed. */
TEST(Statistic, Range) {
  mfq_scheme plain = ranged("int8", MFQ_SCALE_F32, MFQ_RULE_ABSMAX, false);
  mfq_scheme shifted = ranged("uint8", MFQ_SCALE_F32, MFQ_RULE_ABSMAX, true);
  mfq_scheme brevitas = shifted;
  brevitas.arith = MFQ_ARITH_BREVITAS;
  EXPECT_EQ(range_of(plain, {-1, 3}), 4);
  EXPECT_EQ(range_of(plain, {1, 3}), 3);
  EXPECT_EQ(range_of(plain, {-3, -1}), 2);
  EXPECT_EQ(range_of(shifted, {-3, -1}), 3);
  EXPECT_EQ(range_of(brevitas, {-3, -1}), 2);
  EXPECT_EQ(range_of(shifted, {0, 0}), 0);
  EXPECT_TRUE(std::isnan(range_of(shifted, {1, kNan})));
  EXPECT_EQ(range_of(shifted, {1, -kInf}), kInf);
  const float big = 3.0e38f;
  EXPECT_EQ(range_of(shifted, {-big, big}), kInf) << "wider than float32: the scale goes by its half";
}

/* ---- Zero points ---- */

class ZeroPoint : public testing::TestWithParam<const char *> {};

TEST_P(ZeroPoint, RangeFitsAndZeroIsExact) {
  const mfqn_scheme s = lowered(ranged(GetParam(), MFQ_SCALE_F32, MFQ_RULE_ABSMAX, true));
  for (std::vector<float> x : random_groups(63, 300)) {
    const float shift = x[0];
    for (float &v : x) v += 2 * shift; /* ranges on one side of zero too */
    const Quantized q = quantized(s, x);
    const float low = std::min(0.0f, *std::min_element(x.begin(), x.end()));
    const float high = std::max(0.0f, *std::max_element(x.begin(), x.end()));
    const int levels = s.integer.highest - s.integer.lowest;
    if (high - low == 0) continue;
    ASSERT_EQ(q.group.scale, (float)((double)(high - low) / levels));
    const double z = std::nearbyint((double)(float)((double)-low / q.group.scale) + s.integer.lowest);
    ASSERT_EQ(q.group.zero_point, std::clamp((int)z, s.integer.lowest, s.integer.highest));
    const uint32_t zero = mfqn_encode(&s, &q.group, 0, 0);
    ASSERT_EQ(mfqn_integer_value(zero, &s.integer), q.group.zero_point);
    ASSERT_EQ(mfqn_decode(&s, &q.group, zero), 0u) << "zero has a code of its own";
    /* Half a step from rounding the value, and half from rounding the zero point where the range ends. */
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_LE(std::fabs(x[i] - q.values[i]), q.group.scale * 1.0001) << x[i] << " in " << low << " ... " << high;
  }
}

TEST_P(ZeroPoint, UnusableScaleGivesTheLowest) {
  const mfqn_scheme s = lowered(ranged(GetParam(), MFQ_SCALE_F32, MFQ_RULE_ABSMAX, true));
  const Quantized q = quantized(s, {1, kNan, 2});
  EXPECT_EQ(q.group.zero_point, s.integer.lowest);
  EXPECT_EQ(q.codes, (std::vector<uint32_t>{0, 0, 0}));
  for (float v : q.values) EXPECT_TRUE(std::isnan(v));
}

INSTANTIATE_TEST_SUITE_P(Elements, ZeroPoint, testing::Values("uint8", "uint4", "int8", "int4"),
                         [](const auto &row) { return std::string(row.param); });

TEST(ZeroPoints, ExampleByHand) {
  const mfqn_scheme s = lowered(ranged("uint8", MFQ_SCALE_F32, MFQ_RULE_ABSMAX, true));
  const Quantized q = quantized(s, {-1.0f, 0.0f, 0.5f, 4.1f}); /* scale 5.1 / 255 = 0.02 */
  EXPECT_EQ(q.group.zero_point, 50);
  EXPECT_EQ(q.codes, (std::vector<uint32_t>{0, 50, 75, 255}));
}

/* ---- Groups with power-of-two scales ---- */

class PowerOfTwoGroup : public testing::TestWithParam<const char *> {
protected:
  const mfq_format element = oracle::named(GetParam());
  const oracle::Grid grid{element};
  mfqn_scheme scheme(mfq_scale_rule rule, bool saturate = true) const {
    mfq_scheme s = group_scheme(element, MFQ_SCALE_UE8M0, rule);
    s.no_saturate = !saturate;
    return lowered(s);
  }
};

/* Codes and values are the oracle's for x / scale. */
TEST_P(PowerOfTwoGroup, ElementsAreTheOracles) {
  for (mfq_scale_rule rule : kRules) {
    const mfqn_scheme s = scheme(rule);
    for (int exponent : {0, 105, -105, -128})
      for (const std::vector<float> &x : random_groups(64, 60, exponent)) {
        const Quantized q = quantized(s, x);
        const int exp2 = (int)q.group.stored - 127;
        for (size_t i = 0; i < x.size(); ++i) {
          const double t = std::ldexp((double)x[i], -exp2);
          ASSERT_EQ(q.codes[i], grid.encode(t, MFQ_ROUND_EVEN, true)) << x[i] << " * 2^-" << exp2;
          ASSERT_EQ(q.values[i], (float)std::ldexp(grid.decode(q.codes[i]), exp2)) << x[i];
        }
      }
  }
}

TEST_P(PowerOfTwoGroup, EquivariantUnderPowersOfTwo) {
  for (mfq_scale_rule rule : kRules)
    for (const std::vector<float> &x : random_groups(65, 60))
      for (int k : {-9, -1, 1, 12}) {
        if (absmax_of(x) == 0) continue;
        std::vector<float> moved = x;
        for (float &v : moved) v = std::ldexp(v, k);
        const Quantized a = quantized(scheme(rule), x), b = quantized(scheme(rule), moved);
        ASSERT_EQ((int)b.group.stored, (int)a.group.stored + k);
        ASSERT_EQ(a.codes, b.codes);
      }
}

TEST_P(PowerOfTwoGroup, PermutationsAndSmallerElementsKeepTheScale) {
  for (mfq_scale_rule rule : kRules)
    for (const std::vector<float> &x : random_groups(66, 60)) {
      const Quantized a = quantized(scheme(rule), x);
      std::vector<float> turned = x;
      std::rotate(turned.begin(), turned.begin() + 13, turned.end());
      std::vector<uint32_t> codes = a.codes;
      std::rotate(codes.begin(), codes.begin() + 13, codes.end());
      const Quantized b = quantized(scheme(rule), turned);
      ASSERT_EQ(b.group.stored, a.group.stored);
      ASSERT_EQ(b.codes, codes);
      std::vector<float> more = x;
      for (float v : x) more.push_back(v * 0.75f);
      ASSERT_EQ(quantized(scheme(rule), more).group.stored, a.group.stored);
    }
}

/* Quantizing what was quantized changes no value; with FLOOR and EVEN neither codes nor scale. */
TEST_P(PowerOfTwoGroup, Idempotent) {
  for (mfq_scale_rule rule : kRules)
    for (const std::vector<float> &x : random_groups(67, 300)) {
      const Quantized once = quantized(scheme(rule), x), twice = quantized(scheme(rule), once.values);
      ASSERT_EQ(once.values, twice.values) << "rule " << rule;
      if (rule != MFQ_RULE_FLOOR && rule != MFQ_RULE_EVEN) continue;
      ASSERT_EQ(once.group.stored, twice.group.stored) << "rule " << rule;
      ASSERT_EQ(once.codes, twice.codes) << "rule " << rule;
    }
}

TEST_P(PowerOfTwoGroup, RulesAreOrdered) {
  for (const std::vector<float> &x : random_groups(68, 500)) {
    int exp2[6] = {};
    for (mfq_scale_rule rule : kRules) exp2[rule] = (int)quantized(scheme(rule), x).group.stored;
    ASSERT_LE(exp2[MFQ_RULE_FLOOR], exp2[MFQ_RULE_EVEN]);
    ASSERT_LE(exp2[MFQ_RULE_EVEN], exp2[MFQ_RULE_CEIL]);
    ASSERT_LE(exp2[MFQ_RULE_FLOOR], exp2[MFQ_RULE_RCEIL]);
    ASSERT_LE(exp2[MFQ_RULE_RCEIL], exp2[MFQ_RULE_CEIL]);
    ASSERT_LE(exp2[MFQ_RULE_CEIL], exp2[MFQ_RULE_FLOOR] + 1);
  }
}

/* The scaled maximum stays within the format, and one scale lower it would not (RCEIL). */
TEST_P(PowerOfTwoGroup, RceilAndCeilNeverSaturate) {
  for (mfq_scale_rule rule : {MFQ_RULE_RCEIL, MFQ_RULE_CEIL})
    for (const std::vector<float> &x : random_groups(69, 500)) {
      if (absmax_of(x) == 0) continue;
      const Quantized q = quantized(scheme(rule), x);
      const double top = std::ldexp((double)absmax_of(x), 127 - (int)q.group.stored);
      ASSERT_LE(top, grid.max_value());
      ASSERT_TRUE(rule == MFQ_RULE_CEIL || 2 * top > grid.max_value());
      ASSERT_EQ(q.codes, quantized(scheme(rule, false), x).codes) << "saturation had something to do";
    }
}

TEST_P(PowerOfTwoGroup, NanOrInfinityMakesTheGroupNan) {
  for (float bad : {kNan, kInf, -kInf}) {
    std::vector<float> x = random_groups(70, 1)[0];
    x[17] = bad;
    const Quantized q = quantized(scheme(MFQ_RULE_EVEN), x);
    EXPECT_EQ(q.group.stored, 255u);
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(q.codes[i], 0u);
      EXPECT_TRUE(std::isnan(q.values[i]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Elements, PowerOfTwoGroup,
                         testing::Values("e4m3fn", "e5m2", "e3m2", "e2m3", "e2m1", "mxint8", "e4m3fnuz", "e3m4ieee"),
                         [](const auto &row) { return std::string(row.param); });

/* MXINT8 is a float of 1 exponent and 6 mantissa bits whose subnormals and first binade share a step. */
TEST(Mxint8, HasTheValuesOfAMinifloat) {
  const mfq_format e1m6 = oracle::minifloat(1, 1, 6, 1, MFQ_SPECIALS_NONE);
  for (mfq_scale_rule rule : kRules) {
    const mfqn_scheme a = lowered(oracle::named("mxint8"), MFQ_SCALE_UE8M0, rule);
    const mfqn_scheme b = lowered(e1m6, MFQ_SCALE_UE8M0, rule);
    for (const std::vector<float> &x : random_groups(71, 300)) {
      const Quantized p = quantized(a, x), q = quantized(b, x);
      ASSERT_EQ(p.group.stored, q.group.stored);
      ASSERT_EQ(p.values, q.values);
    }
  }
}

/* ---- Elements ---- */

class Element : public testing::TestWithParam<oracle::NamedFormat> {
protected:
  const mfqn_scheme s = lowered(GetParam().format, MFQ_SCALE_NONE, MFQ_RULE_ABSMAX);
  const mfqn_group g = mfqn_group_load(&s, 0, 1.0f);
  float fake(float x) const { return inputs::f32(mfqn_fake(&s, &g, inputs::bits_of(x), 0)); }
};

TEST_P(Element, MonotonicSymmetricAndIdempotent) {
  float last = fake(-kInf);
  const bool is_signed = GetParam().format.is_signed;
  for (int h = 0x7f7f; h > -0x7f80; --h) { /* every finite bfloat16, ascending */
    const float x = -inputs::f32((uint32_t)std::abs(h) << 16) * (h < 0 ? -1.0f : 1.0f), y = fake(x);
    ASSERT_GE(y, last) << x;
    ASSERT_EQ(fake(y), y) << x;
    const bool is_asymmetric = !is_signed || (s.is_integer && s.integer.lowest != -s.integer.highest);
    ASSERT_TRUE(is_asymmetric || fake(-x) == -y) << x;
    last = y;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Element, testing::ValuesIn(oracle::named_formats()),
                         [](const auto &row) { return row.param.name; });

/* ---- Float scales ---- */

/* Scales of 4, 8 and 11 bits: division to float32 and rounding equal the rounding of the exact quotient. */
TEST(FloatScale, ShortScalesRoundOnce) {
  const mfq_scale_format scales[] = {MFQ_SCALE_BF16, MFQ_SCALE_F16, MFQ_SCALE_UE4M3};
  for (const char *name : {"e4m3fn", "e2m1", "int8n"})
    for (mfq_scale_format scale : scales) {
      const mfqn_scheme s = lowered(oracle::named(name), scale, MFQ_RULE_ABSMAX);
      const oracle::Grid grid(oracle::named(name));
      for (const std::vector<float> &x : random_groups(72, 300, -8)) {
        const Quantized q = quantized(s, x);
        if (!q.group.usable) continue;
        for (size_t i = 0; i < x.size(); ++i)
          ASSERT_EQ(q.codes[i], grid.encode((double)x[i] / q.group.scale, MFQ_ROUND_EVEN, true))
              << name << " of " << x[i] << " / " << q.group.scale;
      }
    }
}

/* NVFP4: (code * block scale) is exact, and the tensor scale rounds it once. */
TEST(FloatScale, TensorScaleRoundsOnce) {
  const mfqn_scheme s = lowered(oracle::named("e2m1"), MFQ_SCALE_UE4M3, MFQ_RULE_ABSMAX);
  const oracle::Grid grid(oracle::named("e2m1"));
  for (const std::vector<float> &x : random_groups(73, 300)) {
    const float tensor_scale = mfqn_tensor_scale(inputs::bits_of(absmax_of(x)), s.statistic_min, s.tensor_threshold);
    const Quantized q = quantized(s, x, tensor_scale);
    if (absmax_of(x) == 0) {
      ASSERT_EQ(q.group.stored, 0u);
      continue;
    }
    ASSERT_EQ(q.group.stored, 0x7eu) << "the group with the tensor's maximum has the largest scale, 448";
    const float divisor = (float)((double)q.group.scale * tensor_scale);
    for (size_t i = 0; i < x.size(); ++i) {
      const float t = (float)((double)x[i] / divisor);
      ASSERT_EQ(q.codes[i], grid.encode(t, MFQ_ROUND_EVEN, true)) << x[i];
      ASSERT_EQ(q.values[i], (float)(grid.decode(q.codes[i]) * q.group.scale * tensor_scale)) << x[i];
    }
  }
}

/* Powers of two times 4/3: the largest element is below 6 scales, so that E2M1 never saturates, and elements are divided by
 * the product. */
TEST(FloatScale, PowersTimesAGain) {
  mfq_scheme scheme = group_scheme(oracle::named("e2m1"), MFQ_SCALE_F32, MFQ_RULE_FLOOR);
  scheme.scale_gain = 4.0f / 3;
  const mfqn_scheme s = lowered(scheme);
  const oracle::Grid grid(oracle::named("e2m1"));
  for (const std::vector<float> &x : random_groups(74, 300)) {
    const Quantized q = quantized(s, x, 1.0f);
    const float a = absmax_of(x), power = a == 0 ? 0x1p-126f : std::ldexp(1.0f, std::ilogb(a) - 2);
    ASSERT_EQ(q.group.scale, power * scheme.scale_gain);
    ASSERT_LT(a / q.group.scale, 6.0f);
    for (size_t i = 0; i < x.size(); ++i) {
      const float t = x[i] / q.group.scale;
      ASSERT_EQ(q.codes[i], grid.encode(t, MFQ_ROUND_EVEN, true)) << x[i];
      ASSERT_EQ(q.values[i], (float)(grid.decode(q.codes[i]) * q.group.scale)) << x[i];
    }
  }
}

} // namespace
