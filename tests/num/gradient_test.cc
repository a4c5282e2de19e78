/* Gradients of elements against an oracle in double, against Brevitas' steps differentiated, and tables by hand. */
#include <cmath>

#include <gtest/gtest.h>

#include <mfq/num/gradient.h>

#include "num_scheme.h"
#include "support/gradient_oracle.h"

namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
const int kVariants[] = {MFQN_STE_IDENTITY, MFQN_STE_CLIPPED, MFQN_STE_BREVITAS};
const mfq_rounding kRoundings[] = {MFQ_ROUND_EVEN, MFQ_ROUND_AWAY, MFQ_ROUND_ZERO,      MFQ_ROUND_FLOOR,
                                   MFQ_ROUND_CEIL, MFQ_ROUND_DPU,  MFQ_ROUND_STOCHASTIC};

/* ---- Comparison ---- */

float slope_of(const mfqn_passage &p, int variant) { return inputs::f32(mfqn_gradient_element(&p, variant, 1.0f)); }

bool near(double got, double want, double scale) { return std::fabs(got - want) <= std::ldexp(scale, -21) + 1e-44; }

/* One element in every variant; `t` as the oracle sees it. */
testing::AssertionResult agrees(const mfqn_passage &p, const oracle::Gradient::Element &want, double t) {
  for (const int variant : kVariants) {
    const double slope = want.slope[variant], got = slope_of(p, variant);
    if (variant == MFQN_STE_BREVITAS ? !near(got, slope, slope) : got != slope)
      return testing::AssertionFailure() << "variant " << variant << ": dv/dt is " << got << ", want " << slope;
    const double term = mfqn_gradient_scale_term(&p, variant, -2.0f), of_slope = want.v - t * slope;
    if (!near(term, -2 * of_slope, std::fabs(t) + std::fabs(want.v)))
      return testing::AssertionFailure() << "variant " << variant << ": dy/ds is " << term / -2 << ", want "
                                         << of_slope;
    const double zero_point = mfqn_gradient_zero_point_term(&p, variant, 3.0f), clipped = slope == 0 ? -3.0 : 0.0;
    if (zero_point != clipped)
      return testing::AssertionFailure() << "variant " << variant << ": dy/dz is " << zero_point << ", not " << clipped;
  }
  return testing::AssertionSuccess();
}

/* ---- Elements, our own arithmetic ---- */

class Elements : public testing::TestWithParam<oracle::NamedFormat> {
protected:
  const oracle::Gradient oracle{GetParam().format};
  const oracle::Grid grid{GetParam().format};

  void check(const mfqn_scheme &s, const mfqn_group &g, const std::vector<uint32_t> &all) const {
    inputs::Random random(17);
    const auto rounding = (mfq_rounding)s.rounding;
    for (const uint32_t u : all) {
      const float x = inputs::f32(u);
      if (!std::isfinite(x)) continue;
      const uint32_t word = random.word();
      const double t = g.by_exponent ? std::ldexp((double)x, -g.exp2) : (double)(x / g.divisor);
      const mfqn_passage p = mfqn_element_passage(&s, &g, u, word);
      ASSERT_TRUE(agrees(p, oracle.at(t, g.zero_point, rounding, word), t))
          << GetParam().name << " rounding " << rounding << " of " << x << " / " << g.divisor;
    }
  }
  mfqn_scheme scheme(mfq_scale_format scale, mfq_rounding rounding, bool zero_point = false) const {
    mfq_scheme s = group_scheme(GetParam().format, scale, scale == MFQ_SCALE_UE8M0 ? MFQ_RULE_FLOOR : MFQ_RULE_ABSMAX);
    s.rounding = rounding;
    s.zero_point = zero_point;
    s.statistic = zero_point ? MFQ_STATISTIC_MINMAX : MFQ_STATISTIC_ABSMAX;
    return lowered(s);
  }
};

TEST_P(Elements, PowersOfTwo) {
  for (const mfq_rounding rounding : kRoundings)
    for (const int exp2 : {0, 3, -117}) {
      const mfqn_scheme s = scheme(exp2 == 0 ? MFQ_SCALE_NONE : MFQ_SCALE_UE8M0, rounding);
      check(s, mfqn_group_load(&s, (uint32_t)(exp2 + 127), 1.0f), inputs::boundaries(grid, exp2));
      if (HasFatalFailure()) return;
    }
}

/* What overflows does not pass, whatever it becomes. */
TEST_P(Elements, SaturationIsNoMatter) {
  mfq_scheme open = group_scheme(GetParam().format, MFQ_SCALE_F32, MFQ_RULE_ABSMAX);
  open.no_saturate = !grid.is_integer();
  const mfqn_scheme a = scheme(MFQ_SCALE_F32, MFQ_ROUND_EVEN), b = lowered(open);
  const mfqn_group g = mfqn_group_load(&a, inputs::bits_of(0.37f), 1.0f);
  for (const uint32_t u : inputs::boundaries(grid, -1)) {
    const mfqn_passage p = mfqn_element_passage(&a, &g, u, 0), q = mfqn_element_passage(&b, &g, u, 0);
    for (const int variant : kVariants) ASSERT_EQ(slope_of(p, variant), slope_of(q, variant)) << inputs::f32(u);
  }
}

TEST_P(Elements, FloatScales) {
  for (const mfq_rounding rounding : kRoundings) {
    const mfqn_scheme s = scheme(MFQ_SCALE_F32, rounding);
    for (const float scale : {0.37f, 3.1e-7f}) {
      std::vector<uint32_t> all;
      for (const uint32_t u : inputs::boundaries(grid, 0)) all.push_back(inputs::bits_of(inputs::f32(u) * scale));
      check(s, mfqn_group_load(&s, inputs::bits_of(scale), 1.0f), all);
      if (HasFatalFailure()) return;
    }
  }
}

class WholeNumbers : public Elements {};

TEST_P(WholeNumbers, ZeroPoints) {
  for (const mfq_rounding rounding : kRoundings) {
    const mfqn_scheme s = scheme(MFQ_SCALE_F32, rounding, true);
    mfqn_group g = mfqn_group_load(&s, inputs::bits_of(0.25f), 1.0f);
    for (const int zero_point : {s.integer.lowest, s.integer.highest, 1}) {
      g.zero_point = zero_point;
      std::vector<uint32_t> all;
      for (int n = -1200; n <= 1200; ++n) all.push_back(inputs::bits_of((float)n * 0.0625f));
      check(s, g, all);
      if (HasFatalFailure()) return;
    }
  }
}

/* Equality at the ends passes; what rounds beyond, infinity and NaN do not. */
TEST_P(Elements, Ends) {
  const mfqn_scheme s = scheme(MFQ_SCALE_NONE, MFQ_ROUND_EVEN);
  const mfqn_group g = mfqn_group_load(&s, 0, 1.0f);
  auto passes = [&](double x) { return mfqn_element_passage(&s, &g, inputs::bits_of((float)x), 0).passes != 0; };
  const double top = grid.max_value(), beyond = grid.magnitude(grid.max_code() + 1);
  EXPECT_TRUE(passes(top));
  EXPECT_TRUE(passes(oracle.lowest()));
  EXPECT_TRUE(passes(0.0));
  EXPECT_TRUE(passes(-0.0));
  EXPECT_TRUE(passes(-grid.magnitude(1) / 4)) << "rounds to zero, which every format holds";
  if (beyond < 3e38) {
    EXPECT_FALSE(passes(beyond));
    EXPECT_FALSE(passes(-beyond - grid.magnitude(1)));
    EXPECT_EQ(passes(-grid.magnitude(1)), GetParam().format.is_signed != 0);
  }
  for (const float bad : {kNan, kInf, -kInf}) {
    const mfqn_passage p = mfqn_element_passage(&s, &g, inputs::bits_of(bad), 0);
    EXPECT_EQ(p.passes, 0u);
    EXPECT_EQ(mfqn_gradient_element(&p, MFQN_STE_CLIPPED, 5.0f), 0u);
    EXPECT_EQ(slope_of(p, MFQN_STE_IDENTITY), 1.0f);
    EXPECT_EQ(std::isnan(slope_of(p, MFQN_STE_BREVITAS)), !grid.is_integer());
  }
}

std::vector<oracle::NamedFormat> whole_numbers() {
  std::vector<oracle::NamedFormat> rows;
  for (const oracle::NamedFormat &row : oracle::named_formats())
    if (row.format.kind == MFQ_KIND_INTEGER && row.format.frac_bits == 0) rows.push_back(row);
  return rows;
}

INSTANTIATE_TEST_SUITE_P(
    Formats, Elements, testing::ValuesIn(oracle::named_formats()), [](const auto &row) { return row.param.name; });
INSTANTIATE_TEST_SUITE_P(Formats, WholeNumbers, testing::ValuesIn(whole_numbers()),
                         [](const auto &row) { return row.param.name; });

/* ---- Brevitas: reverse mode through its own steps ---- */

float rounded(float x, mfq_rounding rounding) {
  switch (rounding) {
    case MFQ_ROUND_AWAY: return std::round(x);
    case MFQ_ROUND_ZERO: return (float)((x > 0) - (x < 0)) * std::floor(std::fabs(x));
    case MFQ_ROUND_FLOOR: return std::floor(x);
    case MFQ_ROUND_CEIL: return std::ceil(x);
    case MFQ_ROUND_DPU: return x < 0 && x - std::floor(x) == 0.5f ? std::ceil(x) : std::nearbyint(x);
    default: return std::nearbyint(x);
  }
}

struct Chain {
  double dx, ds;
};

/* t = x / s, a = |t| + tiny, p = max(floor(log2 a) - m, 1 - b - m), u = 2^p, v = clamp(u * round(t / u)), y = v * s, and
 * back, every step differentiated by itself. */
Chain float_chain(const mfq_format &f, double highest, mfq_rounding rounding, float x, float s) {
  const float t = x / s, a = std::fabs(t) + 1.17549435e-38f, e = std::floor(std::log2(a));
  const float least = (float)(1 - f.bias - f.man_bits), p = std::max(e - (float)f.man_bits, least);
  const double u = std::ldexp(1.0, (int)p), r = rounded((float)(t / u), rounding), v = u * r;
  const double lowest = f.is_signed ? -highest : 0.0, held = std::min(std::max(v, lowest), highest);
  double g = v >= lowest && v <= highest ? s : 0.0;
  const double dr = g * u;
  double dt = dr / u;
  const double du = g * r - dr * (t / u) / u, dp = e - (float)f.man_bits >= least ? du * u * std::log(2.0) : 0.0;
  dt += dp / (a * std::log(2.0)) * (t > 0 ? 1 : t < 0 ? -1 : 0);
  return {dt / s, held - dt * t / s};
}

TEST(BrevitasGradient, IsTheChainOfItsSteps) {
  for (const oracle::NamedFormat &row : oracle::named_formats()) {
    if (row.format.kind == MFQ_KIND_INTEGER) continue;
    const oracle::Grid grid(row.format);
    for (const mfq_rounding rounding : kRoundings)
      for (const float scale : {1.0f, 0.37f}) {
        if (rounding == MFQ_ROUND_STOCHASTIC) continue; /* Brevitas' own cannot be reproduced */
        mfq_scheme scheme = group_scheme(row.format, MFQ_SCALE_F32, MFQ_RULE_ABSMAX);
        scheme.arith = MFQ_ARITH_BREVITAS;
        scheme.rounding = rounding;
        const mfqn_scheme s = lowered(scheme);
        const mfqn_group g = mfqn_group_load(&s, inputs::bits_of(scale), 1.0f);
        for (const uint32_t u : inputs::boundaries(grid, 0)) {
          const float x = inputs::f32(u) * scale;
          const Chain want = float_chain(row.format, grid.max_value(), rounding, x, scale);
          const mfqn_passage p = mfqn_element_passage(&s, &g, inputs::bits_of(x), 0);
          const double span = std::fabs((double)x / scale);
          ASSERT_TRUE(near(slope_of(p, MFQN_STE_BREVITAS), want.dx, 1.0)) << row.name << " " << rounding << " " << x;
          ASSERT_TRUE(near(mfqn_gradient_scale_term(&p, MFQN_STE_BREVITAS, 1.0f), want.ds, span + std::fabs(want.ds)))
              << row.name << " " << rounding << " " << x;
        }
      }
  }
}

TEST(BrevitasGradient, Integers) {
  for (const oracle::NamedFormat &row : oracle::named_formats()) {
    if (row.format.kind != MFQ_KIND_INTEGER || row.format.frac_bits != 0) continue;
    for (const mfq_rounding rounding : kRoundings) {
      if (rounding == MFQ_ROUND_STOCHASTIC) continue;
      mfq_scheme scheme = group_scheme(row.format, MFQ_SCALE_F32, MFQ_RULE_ABSMAX);
      scheme.arith = MFQ_ARITH_BREVITAS;
      scheme.rounding = rounding;
      const mfqn_scheme s = lowered(scheme);
      mfqn_group g = mfqn_group_load(&s, inputs::bits_of(0.5f), 1.0f);
      const int low = s.integer.lowest, high = s.integer.highest;
      for (const int zero_point : {0, 3})
        for (int n = -1300; n <= 1300; ++n) {
          g.zero_point = zero_point;
          const float t = (float)n / 4, r = rounded(t + (float)zero_point, rounding);
          const bool passes = r >= (float)low && r <= (float)high;
          const float held = std::min(std::max(r, (float)low), (float)high) - (float)zero_point;
          const mfqn_passage p = mfqn_element_passage(&s, &g, inputs::bits_of(t / 2), 0);
          ASSERT_EQ(slope_of(p, MFQN_STE_BREVITAS), passes ? 1.0f : 0.0f) << row.name << " " << rounding << " " << t;
          ASSERT_EQ(mfqn_gradient_scale_term(&p, MFQN_STE_BREVITAS, 1.0f), passes ? held - t : held);
          ASSERT_EQ(mfqn_gradient_scale_term(&p, MFQN_STE_IDENTITY, 1.0f), held - t);
        }
    }
  }
}

/* ---- Tables by hand ---- */

mfqn_scheme mx(const char *element, mfq_arith arith) {
  const bool exact = arith == MFQ_ARITH_EXACT;
  mfq_scheme s = group_scheme(oracle::named(element), exact ? MFQ_SCALE_UE8M0 : MFQ_SCALE_F32, MFQ_RULE_FLOOR);
  s.arith = arith;
  s.statistic_min = exact ? 0.0f : 1e-10f;
  return lowered(s);
}

TEST(ByHand, SlopesOfE4m3) {
  const struct {
    float t, slope, scale_term;
  } rows[] = {{1.0f, 1.0f, 0.0f},         {1.03f, 0.9708738f, 0.0f}, {0.3f, 1.0416666f, 0.0f},
              {0.0f, 1.0f, 0.0f},         {448.0f, 1.0f, 0.0f},      {464.0f, 0.9655172f, 0.0f},
              {465.0f, 0.0f, 448.0f},     {-1e9f, 0.0f, -448.0f},    {0x1.8p-10f, 1.0f, 0x1p-9f - 0x1.8p-10f},
              {-0x1p-11f, 1.0f, 0x1p-11f}};
  for (const mfq_arith arith : {MFQ_ARITH_EXACT, MFQ_ARITH_BREVITAS}) {
    const mfqn_scheme s = mx("e4m3fn", arith);
    const mfqn_group g = mfqn_group_load(&s, arith == MFQ_ARITH_EXACT ? 127 : inputs::bits_of(1.0f), 1.0f);
    for (const auto &row : rows) {
      const mfqn_passage p = mfqn_element_passage(&s, &g, inputs::bits_of(row.t), 0);
      EXPECT_FLOAT_EQ(slope_of(p, MFQN_STE_BREVITAS), row.slope) << row.t;
      EXPECT_EQ(mfqn_gradient_scale_term(&p, MFQN_STE_BREVITAS, 1.0f), row.scale_term) << row.t;
    }
  }
}

/* Gradients of all elements, what the scale sends to the first largest one included. */
std::vector<float> total_gradients(const mfqn_scheme &s, const std::vector<float> &x, int variant) {
  const mfqn_statistic statistic = statistic_of(x);
  const mfqn_group g = mfqn_group_make(&s, &statistic, 1.0f);
  mfqn_tree scale = {}, zero_point = {};
  std::vector<float> dx;
  for (const float v : x) {
    const mfqn_passage p = mfqn_element_passage(&s, &g, inputs::bits_of(v), 0);
    mfqn_tree_add(&scale, mfqn_gradient_scale_term(&p, variant, 1.0f));
    mfqn_tree_add(&zero_point, mfqn_gradient_zero_point_term(&p, variant, 1.0f));
    dx.push_back(slope_of(p, variant));
  }
  const mfqn_extremes e =
      mfqn_gradient_extremes(&s, &statistic, &g, mfqn_gradient_scale(&s, &g, mfqn_tree_sum(&scale), 0),
                             mfqn_gradient_zero_point(&g, mfqn_tree_sum(&zero_point)));
  mfqn_spots spots = mfqn_spots_none(0);
  auto own = [&](size_t i) { return mfqn_spots_of(&s, &statistic, inputs::bits_of(x[i]), (int64_t)i, 0); };
  for (size_t i = 0; i < x.size(); ++i) spots = mfqn_spots_merge(spots, own(i), 0);
  for (size_t i = 0; i < x.size(); ++i) dx[i] += mfqn_gradient_through(&s, &e, own(i), spots, inputs::bits_of(x[i]), 0);
  return dx;
}

TEST(ByHand, GroupWithTwoLargestElements) {
  std::vector<float> x = {1.9f, -1.9f, 1.3f, 0.1f, 1.99f, 1.99f}, want = {0, 0, 0.9615385f, 1.015625f, 1.7587940f, 0};
  x.resize(32, 0.0f);
  want.resize(32, 1.0f);
  for (const mfq_arith arith : {MFQ_ARITH_EXACT, MFQ_ARITH_BREVITAS}) {
    const std::vector<float> got = total_gradients(mx("e4m3fn", arith), x, MFQN_STE_BREVITAS);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_FLOAT_EQ(got[i], want[i]) << i;
  }
  const mfqn_scheme s = mx("e4m3fn", MFQ_ARITH_BREVITAS);
  const std::vector<float> zeros(32, 0.0f), ones(32, 1.0f);
  EXPECT_EQ(total_gradients(s, zeros, MFQN_STE_BREVITAS), ones) << "a group of zeros: 1 an element";
}

/* ---- Scales that cannot be divided by ---- */

TEST(Unusable, OnlyZeroUnderZeroPasses) {
  for (const char *element : {"e2m1", "int8"}) {
    const mfqn_scheme s = lowered(oracle::named(element), MFQ_SCALE_F32, MFQ_RULE_GIVEN);
    for (const float scale : {0.0f, -0.0f, kNan, kInf})
      for (const float x : {0.0f, 1.0f}) {
        const mfqn_group g = mfqn_group_load(&s, inputs::bits_of(scale), 1.0f);
        const mfqn_passage p = mfqn_element_passage(&s, &g, inputs::bits_of(x), 0);
        const bool passes = x == 0 && scale == 0;
        EXPECT_EQ(p.passes != 0, passes) << element << " " << x << " / " << scale;
        EXPECT_EQ(slope_of(p, MFQN_STE_CLIPPED), passes ? 1.0f : 0.0f);
        EXPECT_EQ(std::isnan(slope_of(p, MFQN_STE_BREVITAS)), !passes);
        EXPECT_EQ(std::isnan(mfqn_gradient_scale_term(&p, MFQN_STE_CLIPPED, 1.0f)), !passes);
      }
  }
}

} // namespace
