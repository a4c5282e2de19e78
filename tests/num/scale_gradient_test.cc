/* Sums by the tree's definition; gradients of scales, zero points and statistics against finite differences. */
#include <cmath>

#include <gtest/gtest.h>

#include <mfq/num/gradient.h>

#include "num_scheme.h"
#include "support/tree.h"

namespace {

using mfq_test::tree_of;

const float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

/* ---- The tree ---- */

TEST(Tree, IsPairsOfPairs) {
  inputs::Random random(5);
  for (size_t count = 0; count < 600; ++count) {
    std::vector<float> terms;
    mfqn_tree tree = {};
    for (size_t i = 0; i < count; ++i) {
      terms.push_back(std::ldexp((float)random.word() - 2147483648.0f, (int)(random.word() % 40)));
      if (count < 5) terms.back() = -0.0f;
      mfqn_tree_add(&tree, terms.back());
    }
    ASSERT_EQ(inputs::bits_of(mfqn_tree_sum(&tree)), inputs::bits_of(tree_of(terms))) << count;
    if (count == 0) continue;
    mfqn_tree blocks = {}; /* sums of 16 terms each, as threads make them; the last ones are short */
    for (size_t first = 0; first < count; first += 16) {
      std::vector<float> block(terms.begin() + (std::ptrdiff_t)first,
                               terms.begin() + (std::ptrdiff_t)std::min(first + 16, count));
      block.resize(count > 16 ? 16 : block.size(), 0.0f);
      mfqn_tree_add(&blocks, tree_of(block));
    }
    ASSERT_EQ(inputs::bits_of(mfqn_tree_sum(&blocks)), inputs::bits_of(tree_of(terms))) << count;
  }
}

TEST(LearnedScale, MustBePositiveAndFinite) {
  const mfqn_scheme given = lowered(oracle::named("int8"), MFQ_SCALE_F32, MFQ_RULE_GIVEN);
  for (const float scale : {0.0f, -0.5f, kNan, kInf, 0.5f}) {
    const mfqn_group g = mfqn_group_load(&given, inputs::bits_of(scale), 1.0f);
    EXPECT_EQ(std::isnan(mfqn_gradient_scale(&given, &g, 1.0f, 0)), scale != 0.5f) << scale;
  }
}

/* ---- Extremes: differences of the formulas of scale and zero point, without their rounding ---- */

TEST(Extremes, AreTheDerivativesOfTheStatistic) {
  const struct {
    const char *element;
    mfq_scale_rule rule;
    mfq_statistic statistic;
    int zero_point;
    double lo, hi;
  } rows[] = {{"e4m3fn", MFQ_RULE_ABSMAX, MFQ_STATISTIC_ABSMAX, 0, -1.5, 6.0},
              {"e4m3fn", MFQ_RULE_FLOOR, MFQ_STATISTIC_ABSMAX, 0, -1.5, 6.0},
              {"int8", MFQ_RULE_ABSMAX, MFQ_STATISTIC_MINMAX, 0, -1.5, 6.0},
              {"int8", MFQ_RULE_ABSMAX, MFQ_STATISTIC_MINMAX, 0, 1.5, 6.0},
              {"uint8", MFQ_RULE_ABSMAX, MFQ_STATISTIC_MINMAX, 1, -1.5, 6.0},
              {"uint8", MFQ_RULE_FLOOR, MFQ_STATISTIC_MINMAX, 1, -1.5, 6.0},
              {"uint8", MFQ_RULE_ABSMAX, MFQ_STATISTIC_MINMAX, 1, -6.0, -1.0},
              {"uint8", MFQ_RULE_ABSMAX, MFQ_STATISTIC_MINMAX, 1, 1.0, 6.0}};
  for (const auto &row : rows) {
    mfq_scheme scheme = group_scheme(oracle::named(row.element), MFQ_SCALE_F32, row.rule);
    scheme.statistic = row.statistic;
    scheme.zero_point = row.zero_point;
    const mfqn_scheme s = lowered(scheme);
    const mfqn_statistic statistic = statistic_of(std::vector<float>{(float)row.lo, (float)row.hi});
    const mfqn_group g = mfqn_group_make(&s, &statistic, 1.0f);
    const double ds = 0.75, dz = row.zero_point ? -1.25 : 0.0;
    auto range = [&](double lo, double hi) {
      const bool lifted = row.zero_point != 0;
      if (row.statistic == MFQ_STATISTIC_ABSMAX) return std::max(std::fabs(lo), std::fabs(hi));
      return (lifted ? std::max(hi, 0.0) : hi) - std::min(lo, 0.0);
    };
    /* A power of two follows A as A does: log s = log A + constant. */
    const double at = g.scale / range(row.lo, row.hi);
    auto loss = [&](double lo, double hi) {
      const double scale = row.rule == MFQ_RULE_ABSMAX ? range(lo, hi) / s.threshold : at * range(lo, hi);
      return ds * scale + dz * (-std::min(lo, 0.0) / scale);
    };
    const double h = 1e-5;
    const double lo = (loss(row.lo + h, row.hi) - loss(row.lo - h, row.hi)) / (2 * h);
    const double hi = (loss(row.lo, row.hi + h) - loss(row.lo, row.hi - h)) / (2 * h);
    const mfqn_extremes e = mfqn_gradient_extremes(&s, &statistic, &g, (float)ds, (float)dz);
    EXPECT_NEAR(e.lo, lo, 2e-5 * (1 + std::fabs(lo))) << row.element << " " << row.lo << " ... " << row.hi;
    EXPECT_NEAR(e.hi, hi, 2e-5 * (1 + std::fabs(hi))) << row.element << " " << row.lo << " ... " << row.hi;
  }
}

TEST(Extremes, SignTiesAndNone) {
  const mfqn_scheme s = lowered(oracle::named("e4m3fn"), MFQ_SCALE_UE8M0, MFQ_RULE_FLOOR);
  const mfqn_extremes e = {0.0f, 6.0f};
  const mfqn_spots first = {-1, 4}, three = {0, 3}, own = {-1, 4}, other = {-1, 5}, one = {0, 1}, none = {0, 0};
  auto through = [&](mfqn_spots mine, mfqn_spots all, float x) {
    return mfqn_gradient_through(&s, &e, mine, all, inputs::bits_of(x), all.lo == 0);
  };
  EXPECT_EQ(through(own, first, -2.0f), -6.0f);
  EXPECT_EQ(through(other, first, 2.0f), 0.0f);
  EXPECT_EQ(through(one, three, 2.0f), 2.0f);
  EXPECT_EQ(through(none, three, 2.0f), 0.0f);
  EXPECT_EQ(through(own, first, -0.0f), 0.0f);
  for (const std::vector<float> &x : {std::vector<float>{0, 0}, {1, kNan}, {kInf, 1}}) {
    const mfqn_statistic statistic = statistic_of(x);
    const mfqn_group g = mfqn_group_make(&s, &statistic, 1.0f);
    const mfqn_extremes e_none = mfqn_gradient_extremes(&s, &statistic, &g, 1.0f, 0.0f);
    EXPECT_EQ(e_none.hi, 0.0f);
    EXPECT_EQ(e_none.lo, 0.0f);
  }
}

/* ---- Finite differences where the value itself has a derivative: beyond the clip ---- */

TEST(FiniteDifferences, ClippedValueOverScaleAndZeroPoint) {
  mfq_scheme scheme = group_scheme(oracle::named("uint8"), MFQ_SCALE_F32, MFQ_RULE_ABSMAX);
  scheme.zero_point = 1;
  const mfqn_scheme s = lowered(scheme);
  const float scale = 0.5f, h = 0x1p-6f, dy = 1.5f;
  for (const float x : {1000.0f, -1000.0f}) {
    mfqn_group g = mfqn_group_load(&s, inputs::bits_of(scale), 1.0f);
    g.zero_point = 7;
    auto value = [&](float of_scale, int zero_point) {
      mfqn_group moved = mfqn_group_load(&s, inputs::bits_of(of_scale), 1.0f);
      moved.zero_point = zero_point;
      return (double)inputs::f32(mfqn_fake(&s, &moved, inputs::bits_of(x), 0));
    };
    const mfqn_passage p = mfqn_element_passage(&s, &g, inputs::bits_of(x), 0);
    const float ds = mfqn_gradient_scale_term(&p, MFQN_STE_CLIPPED, dy);
    const double by_scale = (value(scale + h, 7) - value(scale - h, 7)) / (2 * h);
    EXPECT_EQ(mfqn_gradient_scale(&s, &g, ds, 0), dy * by_scale);
    EXPECT_FLOAT_EQ(mfqn_gradient_scale(&s, &g, ds, 1), (float)(dy * by_scale * scale * std::log(2.0)));
    EXPECT_EQ(mfqn_gradient_zero_point(&g, mfqn_gradient_zero_point_term(&p, MFQN_STE_CLIPPED, dy)),
              dy * (value(scale, 8) - value(scale, 6)) / 2);
  }
}

} // namespace
