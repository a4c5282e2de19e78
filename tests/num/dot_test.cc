/* The reproducible dot against sums without any rounding. */
#include <cmath>

#include <gtest/gtest.h>

#include <mfq/num/dot.h>

#include "num_scheme.h"
#include "support/exact_sum.h"

namespace {

using mfq_test::ExactSum;

constexpr float kInf = std::numeric_limits<float>::infinity();

/* One operand of a run: its format, codes, zero point and group scale. */
struct Side {
  mfq_format format;
  mfqn_scheme scheme;
  std::vector<uint32_t> codes;
  int zero_point = 0;
  float scale = 1;

  Side(const mfq_format &f, mfq_scale_format scale_format)
      : format(f), scheme(lowered(f, scale_format, rule(scale_format))) {}
  static mfq_scale_rule rule(mfq_scale_format s) { return s == MFQ_SCALE_UE8M0 ? MFQ_RULE_FLOOR : MFQ_RULE_ABSMAX; }

  mfqn_dot_side dot_side() const { return mfqn_dot_side_make(&scheme, scheme.scale != MFQN_SCALE_NONE); }
  double element(size_t k) const { return mfqn_dot_element(&scheme, codes[k], zero_point); }
  double value(const oracle::Grid &grid, size_t k) const {
    const double step = std::ldexp(1.0, -format.frac_bits);
    return grid.decode(codes[k]) - (grid.is_integer() ? zero_point * step : 0.0);
  }
  void fill(inputs::Random *random, size_t n, bool is_extreme) {
    const oracle::Grid grid(format);
    codes.clear();
    while (codes.size() < n) {
      const uint32_t pick = random->word() % 4;
      uint32_t code = random->word() % grid.codes();
      if (is_extreme && pick < 3) code = (pick == 0 ? grid.max_code() : pick) | (code & grid.sign_bit());
      if (std::isfinite(grid.decode(code % grid.codes()))) codes.push_back(code % grid.codes());
    }
  }
};

float scale_from(const mfqn_scheme &s, uint32_t word) {
  const uint32_t magnitude = s.scale == MFQN_SCALE_F32    ? word % 0x7f800000u
                             : s.scale == MFQN_SCALE_BF16 ? word % 0x7f80u
                             : s.scale == MFQN_SCALE_F16  ? word % 0x7c00u
                                                          : word % (s.scale == MFQN_SCALE_UE8M0 ? 255u : 0x7fu);
  return mfqn_group_load(&s, magnitude, 1.0f).scale;
}

float term_of(const Side &a, const Side &b, const mfqn_dot_plan &plan) {
  mfqn_dot dot = {0, 0};
  for (size_t k = 0; k < a.codes.size(); ++k)
    mfqn_dot_add(&dot, a.element(k), b.element(k), plan.kind == MFQN_DOT_WIDE);
  return mfqn_dot_round(dot, (double)a.scale * (double)b.scale, plan);
}

float exact_term(const Side &a, const Side &b) {
  const oracle::Grid ga(a.format), gb(b.format);
  ExactSum sum;
  for (size_t k = 0; k < a.codes.size(); ++k) {
    const double scale = (double)a.scale * (double)b.scale;
    sum.add(a.value(ga, k) * b.value(gb, k), scale); /* both products are exact */
  }
  return sum.to_f32();
}

float ordered_term(const Side &a, const Side &b) {
  const oracle::Grid ga(a.format), gb(b.format);
  double dot = 0;
  for (size_t k = 0; k < a.codes.size(); ++k) dot += a.value(ga, k) * b.value(gb, k);
  ExactSum sum;
  sum.add(dot, (double)a.scale * (double)b.scale);
  return sum.to_f32();
}

std::vector<mfq_format> formats() {
  std::vector<mfq_format> all;
  for (const oracle::NamedFormat &row : oracle::named_formats()) all.push_back(row.format);
  all.push_back(oracle::minifloat(1, 6, 1, 31, MFQ_SPECIALS_NONE));
  all.push_back(oracle::minifloat(1, 7, 0, 63, MFQ_SPECIALS_NONE));
  all.push_back(oracle::minifloat(0, 8, 0, 127, MFQ_SPECIALS_FN));
  all.push_back(oracle::minifloat(0, 4, 3, 7, MFQ_SPECIALS_FN));
  all.push_back(oracle::minifloat(1, 5, 2, 160, MFQ_SPECIALS_IEEE));
  all.push_back(oracle::minifloat(1, 2, 4, -64, MFQ_SPECIALS_NONE));
  all.push_back({MFQ_KIND_INTEGER, 1, 0, 7, 0, MFQ_SPECIALS_NONE, 16, 0});
  return all;
}

const mfq_scale_format kScales[] = {MFQ_SCALE_NONE, MFQ_SCALE_F32,   MFQ_SCALE_BF16,
                                    MFQ_SCALE_F16,  MFQ_SCALE_UE8M0, MFQ_SCALE_UE4M3};

testing::AssertionResult check_run(const Side &a, const Side &b) {
  const mfqn_dot_plan plan = mfqn_dot_plan_make(a.dot_side(), b.dot_side());
  const float got = 0.0f + term_of(a, b, plan); /* as in a sum, where no term of 0 leaves its sign */
  const float want = 0.0f + (plan.kind == MFQN_DOT_ORDERED ? ordered_term(a, b) : exact_term(a, b));
  if (inputs::bits_of(got) == inputs::bits_of(want)) return testing::AssertionSuccess();
  /* Two roundings, the first to 53 bits: rarely another result, and then the next one. */
  if (plan.kind == MFQN_DOT_WIDE && !plan.is_product_exact && std::nextafter(got, want) == want)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << oracle::describe(a.format) << " x " << oracle::describe(b.format) << ", kind "
                                     << plan.kind << ", scales " << a.scale << ", " << b.scale << ", " << a.codes.size()
                                     << " products: got " << got << ", want " << want;
}

TEST(Dot, EveryCodeAsElement) {
  auto all = oracle::generic_formats({-64, 0, 7, 160});
  for (const mfq_format &f : formats()) all.push_back(f);
  for (const mfq_format &f : all) {
    const oracle::Grid grid(f);
    const mfqn_scheme s = lowered(f, MFQ_SCALE_NONE, MFQ_RULE_ABSMAX);
    for (uint32_t code = 0; code < grid.codes(); ++code) {
      const double got = mfqn_dot_element(&s, code, 0), want = grid.decode(code);
      const bool same = std::isnan(want) ? std::isnan(got) : got == want && std::signbit(got) == std::signbit(want);
      ASSERT_TRUE(same) << oracle::describe(f) << " code " << code << ": " << got << ", want " << want;
    }
  }
}

/* The largest element in units of the smallest fits the bits that the plan counts with, and not one less. */
TEST(Dot, BitsOfElements) {
  for (const mfq_format &f : oracle::generic_formats({0, 7})) {
    const oracle::Grid grid(f);
    const mfqn_scheme s = lowered(f, MFQ_SCALE_NONE, MFQ_RULE_ABSMAX);
    EXPECT_EQ(mfqn_dot_side_make(&s, 0).element_bits, std::ilogb(grid.max_value() / grid.magnitude(1)) + 1)
        << oracle::describe(f);
  }
}

TEST(Dot, EveryPairOfFormatsRoundsOnce) {
  inputs::Random random(1);
  int kinds[3] = {};
  for (const mfq_format &fa : formats())
    for (const mfq_format &fb : formats())
      for (int i = 0; i < 36; ++i) {
        Side a(fa, kScales[i % 6]), b(fb, kScales[i / 6]);
        const size_t n = 1 + random.word() % 32;
        a.fill(&random, n, i % 2 != 0);
        b.fill(&random, n, i % 3 != 0);
        if (a.scheme.is_integer) a.zero_point = (int)(random.word() % (1u << a.scheme.bits)) + a.scheme.integer.lowest;
        if (b.scheme.is_integer) b.zero_point = b.scheme.integer.highest;
        a.scale = scale_from(a.scheme, random.word());
        b.scale = scale_from(b.scheme, random.word());
        ++kinds[mfqn_dot_plan_make(a.dot_side(), b.dot_side()).kind];
        ASSERT_TRUE(check_run(a, b));
      }
  for (const int count : kinds) EXPECT_GT(count, 1000);
}

/* The kinds that the documentation names. */
TEST(Dot, Kinds) {
  struct Row {
    const char *a, *b;
    int kind;
  };
  const Row rows[] = {{"e4m3fn", "e4m3fn", MFQN_DOT_EXACT}, {"e2m1", "e5m2", MFQN_DOT_EXACT},
                      {"int8", "uint8", MFQN_DOT_EXACT},    {"e5m2", "e4m3fn", MFQN_DOT_WIDE},
                      {"e5m2", "e5m2", MFQN_DOT_WIDE},      {"e5m2none", "e5m2fnuz", MFQN_DOT_WIDE}};
  for (const Row &row : rows) {
    const Side a(oracle::named(row.a), MFQ_SCALE_UE8M0), b(oracle::named(row.b), MFQ_SCALE_UE8M0);
    EXPECT_EQ(mfqn_dot_plan_make(a.dot_side(), b.dot_side()).kind, row.kind) << row.a << " x " << row.b;
    EXPECT_EQ(mfqn_dot_plan_make(a.dot_side(), mfqn_dot_side_plain()).kind, MFQN_DOT_ORDERED) << row.a;
  }
}

TEST(Dot, KindsAtTheLimits) {
  const mfq_format e6m1 = oracle::minifloat(1, 6, 1, 31, MFQ_SPECIALS_NONE), e5m2 = oracle::named("e5m2");
  const mfq_format e6m0 = oracle::minifloat(1, 6, 0, 31, MFQ_SPECIALS_NONE);
  const auto kind = [](const mfq_format &a, const mfq_format &b) {
    const Side x(a, MFQ_SCALE_NONE), y(b, MFQ_SCALE_NONE);
    return mfqn_dot_plan_make(x.dot_side(), y.dot_side()).kind;
  };
  EXPECT_EQ(kind(e6m1, e5m2), MFQN_DOT_WIDE); /* 64 + 32 + 5 bits */
  EXPECT_EQ(kind(e6m1, e6m0), MFQN_DOT_ORDERED);
  EXPECT_EQ(kind(e6m1, e6m1), MFQN_DOT_ORDERED);
}

/* Double holds the dot times both scales where their bits are at most 53. */
TEST(Dot, ProductsThatNeedNoCare) {
  struct Row {
    const char *element; /* of both */
    mfq_scale_format a, b;
    int is_exact;
  };
  const Row rows[] = {{"e4m3fn", MFQ_SCALE_UE8M0, MFQ_SCALE_UE8M0, 1}, {"e4m3fn", MFQ_SCALE_UE4M3, MFQ_SCALE_UE4M3, 1},
                      {"e4m3fn", MFQ_SCALE_BF16, MFQ_SCALE_UE4M3, 1},  {"e4m3fn", MFQ_SCALE_BF16, MFQ_SCALE_BF16, 0},
                      {"e4m3fn", MFQ_SCALE_F16, MFQ_SCALE_NONE, 1},    {"e4m3fn", MFQ_SCALE_F16, MFQ_SCALE_UE4M3, 0},
                      {"e2m1", MFQ_SCALE_F32, MFQ_SCALE_BF16, 1},      {"e2m1", MFQ_SCALE_F32, MFQ_SCALE_F32, 0},
                      {"e5m2", MFQ_SCALE_UE8M0, MFQ_SCALE_NONE, 1},    {"e5m2", MFQ_SCALE_UE8M0, MFQ_SCALE_UE4M3, 0}};
  for (const Row &row : rows) {
    const Side a(oracle::named(row.element), row.a), b(oracle::named(row.element), row.b);
    EXPECT_EQ(mfqn_dot_plan_make(a.dot_side(), b.dot_side()).is_product_exact, row.is_exact)
        << row.element << ' ' << row.a << ' ' << row.b;
  }
  const Side f32(oracle::named("e2m1"), MFQ_SCALE_F32);
  EXPECT_EQ(mfqn_dot_plan_make(mfqn_dot_side_make(&f32.scheme, 0), f32.dot_side()).is_product_exact, 1);
}

/* 2^30 + 2^6 lies half way between two float32 numbers; 2^-32 more does not, and no double holds the sum. */
TEST(Dot, WideSumsDecideTies) {
  Side a(oracle::named("e5m2"), MFQ_SCALE_UE8M0), b = a;
  const oracle::Grid grid(a.format);
  const auto code = [&](double x) { return grid.encode(x, MFQ_ROUND_EVEN, true); };
  for (const double rest : {0x1p-16, -0x1p-16, 0.0})
    for (int exp2 : {0, 60, -100, -127}) {
      a.codes = {code(0x1p15), code(8), code(rest)};
      b.codes = {code(0x1p15), code(8), code(0x1p-16)};
      a.scale = std::ldexp(1.0f, exp2);
      b.scale = 1;
      const float want = std::ldexp(rest > 0 ? 0x1p30f + 128 : 0x1p30f, exp2);
      EXPECT_EQ(term_of(a, b, mfqn_dot_plan_make(a.dot_side(), b.dot_side())), want) << rest << ' ' << exp2;
      EXPECT_EQ(exact_term(a, b), want);
    }
}

/* dot * scale = (2 * t + 1) * 2^40 +- 1, a hair beside a tie that rounding to double first would hit. */
TEST(Dot, ProductsWithScalesRoundOnce) {
  inputs::Random random(7);
  const mfqn_dot_plan plan = {MFQN_DOT_EXACT, 0};
  int tried = 0;
  while (tried < 2000) {
    const int64_t dot = (int64_t)(random.word() % (1 << 23) | 1u << 23 | 1u), sign = random.word() % 2 != 0 ? 1 : -1;
    int64_t power = 1; /* 2^40 mod dot */
    for (int i = 0; i < 40; ++i) power = power * 2 % dot;
    int64_t tie = 1; /* tie * 2^40 + sign = 0 mod dot, by powers of two halved back */
    for (int i = 0; i < 40; ++i) tie = tie % 2 == 0 ? tie / 2 : (tie + dot) / 2;
    tie = (sign > 0 ? dot - tie : tie) + dot;
    if (tie % 2 == 0 || tie < 1 << 24 || tie >= 1 << 25) continue;
    ASSERT_EQ((tie % dot * power + sign + dot) % dot, 0);
    __extension__ typedef __int128 wide;
    const wide product = (wide)tie * ((wide)1 << 40) + sign;
    const double scale = (double)(int64_t)(product / dot);
    ExactSum sum;
    sum.add((double)dot, scale);
    for (const double of : {1.0, -1.0}) {
      const float got = mfqn_dot_round({of * (double)dot, 0}, scale, plan);
      ASSERT_EQ(got, (float)of * sum.to_f32()) << dot << " * " << scale;
    }
    EXPECT_EQ(sum.to_f32(), std::ldexp((float)((tie + sign) / 2), 41));
    ++tried;
  }
}

TEST(Dot, SubnormalResultsAndOverflow) {
  inputs::Random random(3);
  Side a(oracle::named("e4m3fn"), MFQ_SCALE_F32), b(oracle::named("e5m2"), MFQ_SCALE_UE8M0);
  int subnormal = 0, infinite = 0;
  for (int i = 0; i < 20000; ++i) {
    a.fill(&random, 32, false);
    b.fill(&random, 32, false);
    a.scale = inputs::f32(random.word() % 0x7f800000u);
    b.scale = std::ldexp(1.0f, i % 2 != 0 ? -127 : 100);
    const mfqn_dot_plan plan = mfqn_dot_plan_make(a.dot_side(), b.dot_side());
    ASSERT_TRUE(check_run(a, b));
    const float y = std::fabs(term_of(a, b, plan));
    subnormal += y > 0 && y < 0x1p-126f;
    infinite += y == kInf;
  }
  EXPECT_GT(subnormal, 100);
  EXPECT_GT(infinite, 100);
}

/* What IEEE arithmetic makes of infinities and NaN, in each kind. */
TEST(Dot, InfinitiesAndNan) {
  const mfqn_dot_plan plans[] = {
      {MFQN_DOT_EXACT, 1}, {MFQN_DOT_EXACT, 0}, {MFQN_DOT_WIDE, 1}, {MFQN_DOT_WIDE, 0}, {MFQN_DOT_ORDERED, 0}};
  for (const mfqn_dot_plan &plan : plans) {
    const auto run = [&](std::vector<double> a, std::vector<double> b, double scale) {
      mfqn_dot dot = {0, 0};
      for (size_t k = 0; k < a.size(); ++k) mfqn_dot_add(&dot, a[k], b[k], plan.kind == MFQN_DOT_WIDE);
      return mfqn_dot_round(dot, scale, plan);
    };
    const double inf = kInf, nan = std::nan("");
    EXPECT_EQ(run({1, inf, 3}, {2, 2, -5}, 1), kInf);
    EXPECT_EQ(run({1, inf, 3}, {2, -2, 5}, 3), -kInf);
    EXPECT_TRUE(std::isnan(run({inf, -inf}, {1, 1}, 1)));
    EXPECT_TRUE(std::isnan(run({inf, 0}, {0, 1}, 1)));
    EXPECT_TRUE(std::isnan(run({nan, 5}, {0, 1}, 1)));
    EXPECT_TRUE(std::isnan(run({0, 0}, {1, 1}, nan)));
    EXPECT_TRUE(std::isnan(run({0, 0}, {1, 1}, inf)));
    EXPECT_TRUE(std::isnan(run({inf}, {1}, 0)));
    EXPECT_EQ(run({2, 3}, {1, 1}, inf), kInf);
    EXPECT_EQ(inputs::bits_of(run({0, 1, -1}, {-5, 1, 1}, 1)), 0u); /* +0 */
  }
}

TEST(Dot, RunsEndAtEveryBoundary) {
  struct Row {
    int64_t depth, a, b;
    std::vector<int64_t> ends;
  };
  const Row rows[] = {{70, 0, 0, {32, 64, 70}},
                      {64, 32, 0, {32, 64}},
                      {64, 16, 32, {16, 32, 48, 64}},
                      {60, 24, 0, {24, 32, 48, 60}},
                      {45, 20, 30, {20, 30, 32, 40, 45}},
                      {40, 128, 64, {32, 40}},
                      {3, 1, 0, {1, 2, 3}},
                      {0, 16, 0, {}}};
  for (const Row &row : rows) {
    std::vector<int64_t> ends;
    for (int64_t k = 0; k < row.depth; k = ends.back()) ends.push_back(mfqn_dot_run_end(k, row.depth, row.a, row.b));
    EXPECT_EQ(ends, row.ends) << row.depth << ' ' << row.a << ' ' << row.b;
  }
}

} // namespace
