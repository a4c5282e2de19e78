// Candidates of a search: their statistics and ranks, the unit of errors, and which of them is kept.
#include <gtest/gtest.h>

#include <mfq/num/candidate.h>

#include "num_scheme.h"

namespace {

mfqn_scheme e4m3(mfq_arith arith) {
  mfq_scheme s = group_scheme(oracle::named("e4m3fn"), MFQ_SCALE_F32, MFQ_RULE_ABSMAX);
  s.arith = arith;
  return lowered(s);
}

const mfqn_scheme exact = e4m3(MFQ_ARITH_EXACT), brevitas = e4m3(MFQ_ARITH_BREVITAS);
const mfqn_candidates grid = {0, 20, 2, 20, 0};

/* Two roundings, as Brevitas has them. */
TEST(Candidate, Statistics) {
  for (uint32_t u = mfqn_bits(1.0f); u < mfqn_bits(2.0f); u += 99991) {
    const float a = mfqn_float_of(u), base = (float)((double)a / 20);
    for (int i = 2; i < 20; ++i) EXPECT_EQ(mfqn_candidate(&exact, &grid, u, i), mfqn_bits((float)((double)base * i)));
    EXPECT_EQ(mfqn_candidate(&exact, &grid, u, 20), u);
    EXPECT_EQ(mfqn_candidate(&brevitas, &grid, u, 20), mfqn_bits((float)((double)base * 20)));
  }
  const mfqn_candidates twice = {0, 1, 1, 2, 0};
  EXPECT_EQ(mfqn_candidate(&exact, &twice, MFQN_MAX_FINITE, 2), MFQN_MAX_FINITE);
}

TEST(Candidate, Ranks) {
  const mfqn_candidates c = {1, 200, 190, 200, 0};
  EXPECT_EQ(mfqn_candidate_rank(&c, 200, 190), 190);
  EXPECT_EQ(mfqn_candidate_rank(&c, 201, 190), 191);
  EXPECT_EQ(mfqn_candidate_rank(&c, 32, 190), 31);
  EXPECT_EQ(mfqn_candidate_rank(&c, 32, 200), 32);
  EXPECT_EQ(mfqn_candidate_rank(&c, 1, 1), 1);
  EXPECT_EQ(mfqn_candidate_rank(&c, 5, 300), 5);
  EXPECT_EQ(mfqn_candidate_rank(&c, (int64_t)1 << 46, 100), (int64_t)1 << 45);
}

TEST(Candidate, WhatIsSearched) {
  EXPECT_FALSE(mfqn_is_searched(0));
  EXPECT_TRUE(mfqn_is_searched(1));
  EXPECT_TRUE(mfqn_is_searched(MFQN_MAX_FINITE));
  EXPECT_FALSE(mfqn_is_searched(MFQN_INF));
  EXPECT_FALSE(mfqn_is_searched(MFQN_NAN));
}

/* From 2^-40 to 2^41 errors are as they are. */
TEST(Candidate, Unit) {
  EXPECT_EQ(mfqn_error_unit(mfqn_bits(0x1p-40f)), 1.0f);
  EXPECT_EQ(mfqn_error_unit(mfqn_bits(0x1.8p40f)), 1.0f);
  EXPECT_EQ(mfqn_error_unit(mfqn_bits(0x1p-41f)), 0x1p41f);
  EXPECT_EQ(mfqn_error_unit(mfqn_bits(0x1.8p100f)), 0x1p-100f);
  EXPECT_EQ(mfqn_error_unit(mfqn_bits(0x1p127f)), 0x1p-126f);
  EXPECT_EQ(mfqn_error_unit(1u), 0x1p126f);
  EXPECT_EQ(mfqn_squared_error(mfqn_bits(3.0f), mfqn_bits(1.0f), 0.25f), 0.25f);
}

/* The zero point is the plain one, under the candidate's scale. */
TEST(Candidate, Groups) {
  mfq_scheme scheme = group_scheme(oracle::named("uint8"), MFQ_SCALE_F32, MFQ_RULE_ABSMAX);
  scheme.zero_point = 1;
  scheme.statistic = MFQ_STATISTIC_MINMAX;
  const mfqn_scheme s = lowered(scheme);
  mfqn_statistic statistic = mfqn_statistic_none();
  mfqn_statistic_add(&statistic, mfqn_bits(-1.0f));
  mfqn_statistic_add(&statistic, mfqn_bits(4.0f));
  const mfqn_group g = mfqn_candidate_group(&s, &statistic, mfqn_bits(2.55f), 1.0f);
  EXPECT_FLOAT_EQ(g.scale, 0.01f);
  EXPECT_EQ(g.zero_point, 100);
}

TEST(Candidate, Best) {
  const float inf = mfqn_float_of(MFQN_INF), nan = mfqn_float_of(MFQN_NAN);
  mfqn_best best = mfqn_best_start(500);
  mfqn_best_offer(&exact, &grid, 2, 50, inf, &best);
  mfqn_best_offer(&exact, &grid, 3, 75, nan, &best);
  EXPECT_EQ(best.candidate, 500u) << "no loss is finite";
  mfqn_best_offer(&exact, &grid, 4, 100, 3.0f, &best);
  mfqn_best_offer(&exact, &grid, 5, 125, 3.0f, &best);
  EXPECT_EQ(best.candidate, 100u) << "a tie";
  mfqn_best_offer(&exact, &grid, 6, 150, 0.0f, &best);
  mfqn_best_offer(&exact, &grid, 20, 500, 0.0f, &best);
  EXPECT_EQ(best.candidate, 500u) << "without an error";
  best = mfqn_best_start(500);
  mfqn_best_offer(&brevitas, &grid, 6, 150, 0.0f, &best);
  mfqn_best_offer(&brevitas, &grid, 20, 500, 0.0f, &best);
  EXPECT_EQ(best.candidate, 150u);
}

} // namespace
