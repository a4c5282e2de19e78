// The planner of unfolded convolutions: every step is bounded, steps cover all and fall where the finish can take them.
#include <gtest/gtest.h>

#include <random>

#include "cuda/conv/unfold/unfold_slabs.h"

namespace {

constexpr int64_t kMiB = 1 << 20;

/* Bytes that a step takes of each part of the workspace. */
struct StepBytes {
  int64_t unfolded, direct, sums;
};
StepBytes bytes_of(const mfq_unfold_question &q, const mfq_unfold_slabs &s) {
  const int64_t columns = s.cols * q.direct_col_bytes, per_row = q.is_weight_gradient ? s.rows : 1;
  return {s.rows * s.groups * q.line_bytes, s.groups * columns * per_row,
          q.is_weight_gradient ? s.groups * s.cols * q.sum_bytes : s.rows * q.sum_bytes};
}

/* What must hold of all steps of a question that is answered. */
void expect_sound(const mfq_unfold_question &q, const mfq_unfold_slabs &s) {
  const StepBytes bytes = bytes_of(q, s);
  EXPECT_LE(bytes.unfolded, MFQ_UNFOLD_BYTES - q.kept_bytes);
  EXPECT_LE(bytes.direct, MFQ_UNFOLD_DIRECT_BYTES);
  EXPECT_LE(bytes.sums, MFQ_UNFOLD_SUM_BYTES);
  EXPECT_TRUE(s.groups == q.groups || s.groups == 1);
  EXPECT_TRUE(s.cols == q.cols || s.groups == 1);
  EXPECT_TRUE(s.cols >= 1 && s.cols <= q.cols && s.rows >= 1 && s.rows <= q.rows);
  ASSERT_GE(s.period, 1);
  EXPECT_EQ(q.rows % s.period, 0);
  EXPECT_EQ(s.direct_is_whole, !q.is_weight_gradient && s.groups == q.groups && s.cols == q.cols);
}

/* Rows are taken once each, in steps of two sizes at most, in or over whole periods. */
void expect_covered(const mfq_unfold_question &q, const mfq_unfold_slabs &s) {
  const int64_t last = mfq_slab_last(s.period, s.rows);
  int64_t row = 0, rows = 0;
  for (; row < q.rows; row += rows) {
    rows = mfq_unfold_rows_at(&s, row);
    ASSERT_TRUE(rows == s.rows || rows == last) << rows;
    if (q.period == 0) continue;
    const bool is_whole = row % q.period == 0 && rows % q.period == 0;
    ASSERT_TRUE(is_whole || row / q.period == (row + rows - 1) / q.period) << row;
  }
  ASSERT_EQ(row, q.rows);
}

mfq_unfold_question layer(int64_t images, int64_t width, int64_t depth, int64_t cols) {
  mfq_unfold_question q = {};
  q.rows = images * width * width;
  q.period = width;
  q.groups = 1;
  q.cols = cols;
  q.line_bytes = depth * 4;
  q.direct_col_bytes = depth * 4;
  q.sum_bytes = cols * 4;
  return q;
}

TEST(UnfoldSlabs, AllPartsAre64MiB) {
  EXPECT_EQ(MFQ_UNFOLD_BYTES + MFQ_UNFOLD_DIRECT_BYTES + MFQ_UNFOLD_SUM_BYTES + MFQ_UNFOLD_LIBRARY_BYTES + kMiB,
            64 * kMiB);
}

TEST(UnfoldSlabs, SmallConvolutionsAreOneStep) {
  const mfq_unfold_question q = layer(2, 14, 576, 64);
  mfq_unfold_slabs s;
  ASSERT_TRUE(mfq_unfold_slabs_of(&q, &s));
  EXPECT_EQ(s.rows, 2 * 14 * 14);
  EXPECT_EQ(s.groups, 1);
  EXPECT_EQ(s.cols, 64);
  EXPECT_TRUE(s.direct_is_whole);
}

TEST(UnfoldSlabs, LargeOnesAreCutInWholeRowsOfPixels) {
  const mfq_unfold_question q = layer(256, 56, 576, 64); /* 2304 bytes a pixel: 10922 in 24 MiB, 195 rows of 56 */
  mfq_unfold_slabs s;
  ASSERT_TRUE(mfq_unfold_slabs_of(&q, &s));
  EXPECT_EQ(s.rows, 194 * 56); /* 14336 rows in 74 equal steps */
  expect_sound(q, s);
  expect_covered(q, s);
}

TEST(UnfoldSlabs, WeightsThatAreTooLargeAreCut) {
  const mfq_unfold_question q = layer(1, 7, 4608 * 4, 4096); /* 73728 bytes a channel: 170 in 12 MiB */
  mfq_unfold_slabs s;
  ASSERT_TRUE(mfq_unfold_slabs_of(&q, &s));
  EXPECT_EQ(s.cols, 160);
  EXPECT_FALSE(s.direct_is_whole);
  expect_sound(q, s);
}

TEST(UnfoldSlabs, AnImageRowBeyondAStepIsCut) {
  mfq_unfold_question q = layer(1, 1, 576, 64);
  q.rows = 3000000;
  q.period = 1000000;
  mfq_unfold_slabs s;
  ASSERT_TRUE(mfq_unfold_slabs_of(&q, &s));
  EXPECT_EQ(s.period, q.period);
  EXPECT_LT(s.rows, 10923);
  expect_covered(q, s);
}

TEST(UnfoldSlabs, GroupsAreTogetherWhereTheyFit) {
  mfq_unfold_question q = layer(8, 14, 36, 4);
  q.groups = 32;
  q.sum_bytes *= 32;
  mfq_unfold_slabs s;
  ASSERT_TRUE(mfq_unfold_slabs_of(&q, &s));
  EXPECT_EQ(s.groups, 32);
  q.groups = 100000; /* 14 MiB of one pixel */
  ASSERT_TRUE(mfq_unfold_slabs_of(&q, &s));
  EXPECT_EQ(s.groups, 1);
}

TEST(UnfoldSlabs, WhatCannotFitIsRefused) {
  mfq_unfold_slabs s;
  mfq_unfold_question q = layer(1, 7, 7 * kMiB, 8); /* 28 MiB a pixel */
  EXPECT_FALSE(mfq_unfold_slabs_of(&q, &s));
  q.direct_col_bytes = 0;
  EXPECT_FALSE(mfq_unfold_slabs_of(&q, &s));
  q = layer(1, 7, 16, 8);
  q.sum_bytes = 13 * kMiB;
  EXPECT_FALSE(mfq_unfold_slabs_of(&q, &s));
  q.is_weight_gradient = 1;
  EXPECT_FALSE(mfq_unfold_slabs_of(&q, &s));
}

TEST(UnfoldSlabs, EveryPartOfWidths) {
  for (int64_t all = 1; all <= 300; ++all)
    for (int64_t most = 1; most <= 300; ++most)
      for (const int64_t unit : {1, 16, 128}) {
        const int64_t part = mfq_slab_equal(all, most, unit);
        ASSERT_TRUE(part >= 1 && part <= most && part <= all) << all << " " << most << " " << unit;
        if (part < all && most >= unit) ASSERT_EQ(part % unit, 0);
      }
}

TEST(UnfoldSlabs, RandomQuestions) {
  std::mt19937_64 random(1);
  const auto up_to = [&](int bits) { return (int64_t)(random() >> (64 - 1 - random() % bits)) + 1; };
  int answered = 0;
  for (int i = 0; i < 100000; ++i) {
    mfq_unfold_question q = {};
    const int64_t width = up_to(12), depth = up_to(22);
    q.rows = width * up_to(8);
    q.period = random() % 2 == 0 ? 0 : width;
    q.groups = random() % 2 == 0 ? 1 : up_to(10);
    q.cols = up_to(12);
    q.is_weight_gradient = random() % 2 == 0;
    q.line_bytes = 2 * depth;
    q.direct_col_bytes = random() % 4 == 0 ? 0 : q.is_weight_gradient ? 2 : 2 * depth;
    q.sum_bytes = random() % 4 == 0 ? 0 : q.is_weight_gradient ? 4 * depth : 4 * q.cols * q.groups;
    if (q.is_weight_gradient) q.period = 0;
    q.kept_bytes = random() % 2 == 0 ? 0 : MFQ_UNFOLD_KEPT_BYTES;
    mfq_unfold_slabs s;
    if (!mfq_unfold_slabs_of(&q, &s)) {
      const bool is_wide = q.line_bytes > MFQ_UNFOLD_BYTES - q.kept_bytes || q.sum_bytes > MFQ_UNFOLD_SUM_BYTES ||
                           q.direct_col_bytes * MFQ_UNFOLD_COLS > MFQ_UNFOLD_DIRECT_BYTES;
      ASSERT_TRUE(is_wide) << "refused what fits: question " << i;
      continue;
    }
    ++answered;
    expect_sound(q, s);
    expect_covered(q, s);
    ASSERT_FALSE(HasFailure()) << "question " << i;
  }
  EXPECT_GT(answered, 50000);
}

} // namespace
