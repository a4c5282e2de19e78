/* Scales from statistics: power-of-two rules against inequalities in double, float scales against exact quotients, and
 * log2 against the C library. */
#include <cmath>

#include <gtest/gtest.h>

#include "num_scheme.h"

namespace {

const mfq_scale_rule kRules[] = {MFQ_RULE_FLOOR, MFQ_RULE_CEIL,  MFQ_RULE_RCEIL,
                                 MFQ_RULE_EVEN,  MFQ_RULE_ROUND, MFQ_RULE_MIDMAX};
const char *const kRuleElements[] = {"e4m3fn", "e5m2",     "e3m2", "e2m3", "e2m1",
                                     "mxint8", "e4m3ieee", "e4m3", "int4", "e3m0"};

/* The rules by what they mean, for one element format. */
class RuleOracle {
public:
  explicit RuleOracle(const mfq_format &format) {
    const oracle::Grid grid(format);
    max_ = grid.max_value();
    emax_ = std::ilogb(max_);
    round_ = (int)std::nearbyint(std::log2(max_));
    man_bits_ = emax_ - std::ilogb(grid.magnitude(grid.max_code() + 1) - max_);
  }

  /* Whether the statistic `a` has the scale 2^exp2. */
  bool holds(double a, int rule, int exp2) const {
    switch (rule) {
      case MFQ_RULE_FLOOR: return power(exp2 + emax_) <= a && a < power(exp2 + emax_ + 1);
      case MFQ_RULE_CEIL: return power(exp2 + emax_ - 1) < a && a <= power(exp2 + emax_);
      case MFQ_RULE_RCEIL: return max_ * power(exp2 - 1) < a && a <= max_ * power(exp2);
      case MFQ_RULE_ROUND: return power(exp2 + round_) * M_SQRT1_2 < a && a < power(exp2 + round_) * M_SQRT2;
      case MFQ_RULE_MIDMAX: return middle_exponent(a) - emax_ == exp2;
      default: return even_exponent(a) - emax_ == exp2;
    }
  }

private:
  static double power(int exp2) { /* a table: the calls are many */
    static const std::vector<double> table = [] {
      std::vector<double> t;
      for (int e = -600; e <= 600; ++e) t.push_back(std::ldexp(1.0, e));
      return t;
    }();
    return table[(size_t)(exp2 + 600)];
  }

  /* The exponent of `a` after its significand is rounded to the element's, halves up. */
  int even_exponent(double a) const {
    const int t = std::ilogb(a);
    const double significand = std::floor(a * power(man_bits_ - t) + 0.5);
    return significand >= power(man_bits_ + 1) ? t + 1 : t;
  }

  /* The exponent of `a`, one more beyond the middle of the largest value and the next power of two. */
  int middle_exponent(double a) const {
    const int t = std::ilogb(a);
    return a > (max_ * power(t - emax_) + power(t + 1)) / 2 ? t + 1 : t;
  }

  double max_;
  int emax_, man_bits_, round_;
};

class PowerOfTwoRule : public testing::TestWithParam<const char *> {
  void report(uint32_t u, int rule) const {
    FAIL() << GetParam() << " rule " << rule << " of " << inputs::f32(u) << ": got 2^"
           << mfqn_scale_exp2(u, rule, range_of(rule));
  }

protected:
  const mfq_format element = oracle::named(GetParam());
  const RuleOracle want{element};
  const mfqn_range plain = lowered(element, MFQ_SCALE_UE8M0, MFQ_RULE_FLOOR).range,
                   rounded = lowered(element, MFQ_SCALE_UE8M0, MFQ_RULE_ROUND).range;
  const mfqn_range *range_of(int rule) const { return rule == MFQ_RULE_ROUND ? &rounded : &plain; }

  void check(uint32_t u) const {
    const double a = inputs::f32(u);
    for (mfq_scale_rule rule : kRules)
      if (!want.holds(a, rule, mfqn_scale_exp2(u, rule, range_of(rule)))) report(u, rule);
  }
};

/* In one binade every mantissa; the rules see an exponent only as a number to add, which the next test checks. */
TEST_P(PowerOfTwoRule, EveryMantissa) {
  for (uint32_t fraction = 0; fraction < 1u << 23 && !HasFatalFailure(); ++fraction) check(127u << 23 | fraction);
}

/* Every exponent with each mantissa that any rule of any format could change at, and its neighbours. */
TEST_P(PowerOfTwoRule, EveryExponent) {
  std::vector<uint32_t> fractions = {0, 1, 2, 0x7ffffeu, 0x7fffffu};
  for (uint32_t top = 1; top < 1024; ++top)
    for (uint32_t near = 0; near < 3; ++near) fractions.push_back((top << 13) + near - 1);
  for (uint32_t field = 0; field < 255 && !HasFatalFailure(); ++field)
    for (uint32_t fraction : fractions)
      if (field != 0 || fraction != 0) check(field << 23 | fraction);
}

TEST_P(PowerOfTwoRule, RandomStatistics) {
  for (uint32_t u : inputs::random(51, 200000)) {
    const uint32_t a = u & 0x7fffffffu;
    if (a != 0 && a < 0x7f800000u) check(a);
    if (HasFatalFailure()) return;
  }
}

/* Every stored power of two is the rule's, limited to what the scale format holds. */
TEST_P(PowerOfTwoRule, StoredAndLimited) {
  const struct {
    mfq_scale_format scale;
    int low, high;
  } formats[] = {
      {MFQ_SCALE_UE8M0, -127, 127}, {MFQ_SCALE_F32, -126, 127}, {MFQ_SCALE_BF16, -126, 127}, {MFQ_SCALE_F16, -24, 15}};
  for (const auto &f : formats)
    for (mfq_scale_rule rule : kRules) {
      const mfqn_scheme s = lowered(element, f.scale, rule);
      for (uint32_t high = 0; high < 0x7f80u; ++high) {
        const uint32_t u = high << 16;
        const int exp2 = u == 0 ? f.low : mfqn_scale_exp2(u, rule, range_of(rule)),
                  limited = std::clamp(exp2, f.low, f.high);
        const mfqn_group g = mfqn_group_load(&s, stored_scale(s, u), 1.0f);
        ASSERT_EQ(g.scale, std::ldexp(1.0f, limited)) << GetParam() << " rule " << rule << " of " << inputs::f32(u);
        ASSERT_EQ(g.exp2, limited);
        ASSERT_TRUE(g.usable);
      }
      for (uint32_t bad : {0x7f800000u, 0x7fc00000u, 0xffffffffu}) {
        const mfqn_group g = mfqn_group_load(&s, stored_scale(s, bad), 1.0f);
        ASSERT_TRUE(std::isnan(g.scale)) << "an infinity or NaN in a group makes it NaN";
        ASSERT_FALSE(g.usable);
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Elements, PowerOfTwoRule, testing::ValuesIn(kRuleElements),
                         [](const auto &row) { return std::string(row.param); });

/* Every minifloat, biases at both ends of what is allowed included: statistics around its own thresholds. */
TEST(PowerOfTwoRules, EveryMinifloat) {
  for (const mfq_format &format : oracle::generic_formats({-64, -1, 0, 7, 15, 127, 160})) {
    const RuleOracle want(format);
    const oracle::Grid grid(format);
    const mfqn_range plain = lowered(format, MFQ_SCALE_UE8M0, MFQ_RULE_FLOOR).range,
                     rounded = lowered(format, MFQ_SCALE_UE8M0, MFQ_RULE_ROUND).range;
    const double next = grid.magnitude(grid.max_code() + 1), middle = (grid.max_value() + next) / 2;
    std::vector<uint32_t> all;
    for (int exp2 : {-149, -126, -60, 0, 60, 126})
      for (double t : {grid.max_value(), next, middle, 1.0})
        inputs::add_near(std::ldexp(t, exp2 - std::ilogb(t)), &all);
    for (uint32_t u : all)
      for (mfq_scale_rule rule : kRules) {
        if (u == 0 || u >= 0x7f800000u) continue;
        const int exp2 = mfqn_scale_exp2(u, rule, rule == MFQ_RULE_ROUND ? &rounded : &plain);
        ASSERT_TRUE(want.holds(inputs::f32(u), rule, exp2))
            << oracle::describe(format) << " rule " << rule << " of " << inputs::f32(u) << ": got 2^" << exp2;
      }
  }
}

/* For element maxima of 1.75, 1.875 and 1.5 the thresholds of the specifications, in numbers. */
TEST(PowerOfTwoRules, PrintedThresholds) {
  const struct {
    const char *element;
    mfq_scale_rule rule;
    float below, from; /* the last statistic with scale 1, the first with scale 2 */
  } rows[] = {{"e4m3fn", MFQ_RULE_RCEIL, 448.0f, std::nextafter(448.0f, 1e9f)},
              {"e2m1", MFQ_RULE_RCEIL, 6.0f, std::nextafter(6.0f, 9.0f)},
              {"mxint8", MFQ_RULE_RCEIL, 127.0f / 64, std::nextafter(127.0f / 64, 9.0f)},
              {"e2m1", MFQ_RULE_EVEN, std::nextafter(7.0f, 0.0f), 7.0f},
              {"e4m3fn", MFQ_RULE_EVEN, std::nextafter(496.0f, 0.0f), 496.0f},
              {"e5m2", MFQ_RULE_EVEN, std::nextafter(61440.0f, 0.0f), 61440.0f},
              {"e2m3", MFQ_RULE_EVEN, std::nextafter(7.75f, 0.0f), 7.75f},
              {"e2m1", MFQ_RULE_FLOOR, std::nextafter(8.0f, 0.0f), 8.0f},
              {"e2m1", MFQ_RULE_CEIL, 4.0f, std::nextafter(4.0f, 9.0f)}};
  for (const auto &row : rows) {
    const mfqn_scheme s = lowered(oracle::named(row.element), MFQ_SCALE_UE8M0, row.rule);
    EXPECT_EQ(stored_scale(s, inputs::bits_of(row.below)), 127u) << row.element << " " << row.below;
    EXPECT_EQ(stored_scale(s, inputs::bits_of(row.from)), 128u) << row.element << " " << row.from;
  }
}

std::vector<uint32_t> statistics() {
  std::vector<uint32_t> all;
  for (uint32_t u : inputs::structured())
    if (u < 0x7f800000u) all.push_back(u);
  for (uint32_t u : inputs::random(52, 50000))
    if ((u & 0x7fffffffu) < 0x7f800000u) all.push_back(u & 0x7fffffffu);
  return all;
}

/* fl32(a / b) limited to normal numbers. A double quotient rounded to float is the float quotient (53 >= 2 * 24 + 2),
 * which the exact comparison confirms. */
float quotient(float a, float b) {
  const double q = std::clamp((double)a / b, 0x1p-126, (double)std::numeric_limits<float>::max());
  const bool is_limited = q <= 0x1p-126 || q >= 0x1p127;
  EXPECT_TRUE(is_limited || oracle::is_nearest_quotient((float)q, a, b)) << a << " / " << b;
  return (float)q;
}

class AbsmaxScale : public testing::TestWithParam<const char *> {
protected:
  const mfq_format element = oracle::named(GetParam());
  const float threshold = (float)oracle::Grid(element).max_value();
};

TEST_P(AbsmaxScale, Float32) {
  const mfqn_scheme s = lowered(element, MFQ_SCALE_F32, MFQ_RULE_ABSMAX);
  ASSERT_EQ(s.threshold, threshold);
  for (uint32_t u : statistics())
    ASSERT_EQ(inputs::f32(stored_scale(s, u)), quotient(inputs::f32(u), threshold)) << inputs::f32(u);
}

TEST_P(AbsmaxScale, HalfPrecision) {
  const oracle::Grid bf16(oracle::minifloat(1, 8, 7, 127, MFQ_SPECIALS_IEEE));
  const oracle::Grid f16(oracle::minifloat(1, 5, 10, 15, MFQ_SPECIALS_IEEE));
  const mfqn_scheme in_bf16 = lowered(element, MFQ_SCALE_BF16, MFQ_RULE_ABSMAX);
  const mfqn_scheme in_f16 = lowered(element, MFQ_SCALE_F16, MFQ_RULE_ABSMAX);
  for (uint32_t u : statistics()) {
    const float q = quotient(inputs::f32(u), threshold);
    const uint32_t in_range = std::max(bf16.encode(q, MFQ_ROUND_EVEN, true), 0x80u); /* normal numbers only */
    ASSERT_EQ(stored_scale(in_bf16, u), in_range) << inputs::f32(u);
    ASSERT_EQ(stored_scale(in_f16, u), std::max(f16.encode(q, MFQ_ROUND_EVEN, true), 1u)) << inputs::f32(u);
  }
}

TEST_P(AbsmaxScale, Ue4m3UnderATensorScale) {
  const oracle::Grid e4m3(oracle::minifloat(0, 4, 3, 7, MFQ_SPECIALS_FN));
  const mfqn_scheme s = lowered(element, MFQ_SCALE_UE4M3, MFQ_RULE_ABSMAX);
  for (float tensor_scale : {1.0f, 0.37f, 1.1e-20f, 3e25f})
    for (uint32_t u : statistics()) {
      const double first = (float)((double)inputs::f32(u) / threshold), second = (float)(first / tensor_scale);
      const uint32_t want = u == 0 ? 0 : std::max(e4m3.encode(second, MFQ_ROUND_EVEN, true), 1u);
      ASSERT_EQ(stored_scale(s, u, tensor_scale), want) << inputs::f32(u) << " under " << tensor_scale;
    }
}

TEST_P(AbsmaxScale, InfinityAndNanGiveNan) {
  const struct {
    mfq_scale_format scale;
    uint32_t nan;
  } rows[] = {{MFQ_SCALE_F32, 0x7fc00000}, {MFQ_SCALE_BF16, 0x7fc0}, {MFQ_SCALE_F16, 0x7e00}, {MFQ_SCALE_UE4M3, 0x7f}};
  for (const auto &row : rows)
    for (uint32_t bad : {0x7f800000u, 0xff800000u, 0x7f800001u, 0xffc00000u})
      EXPECT_EQ(stored_scale(lowered(element, row.scale, MFQ_RULE_ABSMAX), bad), row.nan);
}

INSTANTIATE_TEST_SUITE_P(Elements, AbsmaxScale, testing::Values("e4m3fn", "e5m2", "e2m1", "int8n", "int4"),
                         [](const auto &row) { return std::string(row.param); });

/* NVFP4: absmax / 2688, 1 for a zero tensor, never subnormal. */
TEST(TensorScale, IsAbsmaxOverTheLargestProduct) {
  EXPECT_EQ(mfqn_tensor_scale(0, 0, 2688.0f), 1.0f);
  EXPECT_EQ(mfqn_tensor_scale(0, inputs::bits_of(2688.0f), 2688.0f), 1.0f);
  EXPECT_EQ(mfqn_tensor_scale(inputs::bits_of(1.0f), inputs::bits_of(5376.0f), 2688.0f), 2.0f);
  EXPECT_EQ(mfqn_tensor_scale(inputs::bits_of(2688.0f), 0, 2688.0f), 1.0f);
  EXPECT_EQ(mfqn_tensor_scale(1, 0, 2688.0f), 0x1p-126f);
  for (uint32_t u : statistics()) {
    if (u == 0) continue;
    ASSERT_EQ(mfqn_tensor_scale(u, 0, 2688.0f), quotient(inputs::f32(u), 2688.0f)) << inputs::f32(u);
  }
}

/* Gain and bound move both divisors, each by one rounding: 17/16 with a bound of 256, as stochastic NVFP4 has it. */
TEST(TensorScale, GainAndBound) {
  mfq_scheme scheme = group_scheme(oracle::named("e2m1"), MFQ_SCALE_UE4M3, MFQ_RULE_ABSMAX);
  EXPECT_EQ(lowered(scheme).tensor_threshold, 2688.0f);
  scheme.scale_gain = 1.0625f;
  const float threshold = (float)(6.0 / 1.0625);
  EXPECT_EQ(lowered(scheme).threshold, threshold);
  EXPECT_EQ(lowered(scheme).tensor_threshold, (float)(448.0 * (double)threshold));
  scheme.scale_bound = 256;
  const mfqn_scheme s = lowered(scheme);
  EXPECT_EQ(s.tensor_threshold, 256 * threshold);
  const float g = mfqn_tensor_scale(inputs::bits_of(1.0f), 0, s.tensor_threshold);
  EXPECT_EQ(stored_scale(s, inputs::bits_of(1.0f), g), 0x78u) << "the largest scale is 256";
  /* No quotient of a group exceeds 6, wherever its scale is rounded to. */
  for (int i = 1; i <= 4096; ++i) {
    const float a = (float)i / 4096;
    const float scale = inputs::f32(mfqn_ue4m3_value(stored_scale(s, inputs::bits_of(a), g)));
    if (scale >= 0x1p-6f) ASSERT_LE(a / (scale * g), 6 * (1 + 0x1p-22f)) << a;
  }
}

/* Near every power of two, where float32 logarithms are whole numbers although the values are not. */
std::vector<uint32_t> logarithm_inputs() {
  std::vector<uint32_t> all = statistics();
  for (int field = 1; field < 255; ++field)
    for (int near = -200; near <= 200; ++near) all.push_back(((uint32_t)field << 23) + (uint32_t)near);
  for (uint32_t top = 1; top < 1u << 23; top *= 2)
    for (uint32_t near = 0; near <= 200; ++near) {
      all.push_back(top + near);
      all.push_back(top - std::min(top - 1, near));
    }
  for (uint32_t near = 1; near <= 200; ++near) all.push_back(0x7f800000u - near);
  return all;
}

TEST(Logarithm, FloorAndCeilAreThoseOfLog2f) {
  for (uint32_t u : logarithm_inputs()) {
    if (u == 0 || u >= 0x7f800000u) continue;
    const float log2 = std::log2(inputs::f32(u));
    ASSERT_EQ(mfqn_log2_floor(u), (int)std::floor(log2)) << inputs::f32(u) << " bits " << u;
    ASSERT_EQ(mfqn_log2_ceil(u), (int)std::ceil(log2)) << inputs::f32(u) << " bits " << u;
  }
}

/* Every float32 around every 2^(k + 1/2): logarithms half-way between two integers go to the even one. */
TEST(Logarithm, RoundIsThatOfLog2) {
  std::vector<uint32_t> all = logarithm_inputs();
  for (uint32_t field = 1; field < 255; ++field)
    for (uint32_t near = 0; near <= 400; ++near) all.push_back((field << 23) + 0x3504f3 - 200 + near);
  for (uint32_t u : all) {
    if (u == 0 || u >= 0x7f800000u) continue;
    const float log2 = (float)std::log2((double)inputs::f32(u));
    ASSERT_EQ(mfqn_log2_round(u), (int)std::nearbyint(log2)) << inputs::f32(u) << " bits " << u;
  }
}

/* How many steps below 2^k count as 2^k, as measured over all floats. */
int steps_below(int k) {
  const struct {
    int from, to, steps;
  } rows[] = {{1, 2, 0},  {3, 4, 1},   {5, 8, 2},   {9, 16, 5},   {17, 32, 11},   {33, 64, 22},   {65, 128, 44},
              {-1, 0, 0}, {-3, -2, 1}, {-7, -4, 2}, {-15, -8, 5}, {-31, -16, 11}, {-63, -32, 22}, {-125, -64, 44}};
  for (const auto &row : rows)
    if (row.from <= k && k <= row.to) return row.steps;
  return -1;
}

TEST(Logarithm, FloorStepsUpWhereMeasured) {
  for (int k = -125; k <= 128; ++k)
    for (int n = 0; n <= 60; ++n) {
      const uint32_t u = ((uint32_t)(k + 127) << 23) - (uint32_t)n;
      if (u >= 0x7f800000u) continue;
      ASSERT_EQ(mfqn_log2_floor(u), n <= steps_below(k) ? k : k - 1) << n << " steps below 2^" << k;
    }
}

} // namespace
