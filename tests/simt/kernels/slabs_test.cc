// The planner of steps: every step is bounded, nothing is left out, and cuts fall where they may.
#include <gtest/gtest.h>

#include <random>

#include "cuda/gemm/slabs.h"

namespace {

constexpr int64_t MiB = 1 << 20;

/* Bytes of a step: A's expansion, the sums, and B's. */
struct step_bytes {
  int64_t a_and_sums, b;
};
step_bytes bytes_of(const mfq_slab_question &q, const mfq_slabs &s) {
  const int64_t a_rows = q.a_cut > 0 && !q.a_is_shared ? s.rows : q.a_is_shared ? 0 : q.m;
  const int64_t b_rows = q.b_cut > 0 && !q.b_is_shared ? s.cols : q.b_is_shared ? 0 : q.n;
  return {s.batches * (a_rows * q.a_row_bytes + s.rows * q.sum_row_bytes), s.batches * b_rows * q.b_row_bytes};
}

mfq_slab_question matrices(int64_t m, int64_t n, int64_t k) {
  mfq_slab_question q = {};
  q.batches = 1;
  q.m = m;
  q.n = n;
  q.a_row_bytes = q.b_row_bytes = 2 * k;
  q.sum_row_bytes = 4 * n;
  q.a_cut = q.b_cut = 1;
  return q;
}

void expect_steps(const mfq_slab_question &q, const mfq_slabs &want) {
  const mfq_slabs got = mfq_slabs_of(&q);
  EXPECT_EQ(got.batches, want.batches);
  EXPECT_EQ(got.rows, want.rows);
  EXPECT_EQ(got.cols, want.cols);
}

TEST(Slabs, SmallProductsAreOneStep) {
  expect_steps(matrices(1, 1, 1), {1, 1, 1});
  expect_steps(matrices(4096, 4096, 4096), {1, 4096, 4096});
  mfq_slab_question q = matrices(512, 512, 128);
  q.batches = 16;
  expect_steps(q, {16, 512, 512});
}

TEST(Slabs, RowsAreCutInEqualParts) {
  /* 96 KiB a row: 2730 rows in 256 MiB, 2688 in multiples of 128; 16384 rows are 7 steps of 2432. */
  expect_steps(matrices(16384, 16384, 16384), {1, 2432, 16384});
  mfq_slab_question q = matrices(16384, 16384, 16384);
  q.a_cut = 96; /* multiples of 384 */
  expect_steps(q, {1, 2688, 16384});
  q.a_cut = 0; /* whole: only the sums are cut, 64 KiB a row */
  q.a_is_shared = 1;
  expect_steps(q, {1, 4096, 16384});
  q.sum_row_bytes = 0;
  expect_steps(q, {1, 16384, 16384});
}

TEST(Slabs, BIsCutWhereItIsTooLarge) {
  mfq_slab_question q = matrices(128, 100000, 16384); /* 32 KiB a row of B, 32768 rows in 1 GiB */
  q.sum_row_bytes = 0;
  expect_steps(q, {1, 128, 25088});
  q.b_cut = 0;
  q.b_is_shared = 1;
  expect_steps(q, {1, 128, 100000});
}

TEST(Slabs, BatchesAreTakenTogetherWhileTheyFit) {
  mfq_slab_question q = matrices(1024, 1024, 1024); /* 6 MiB each */
  q.batches = 100;
  expect_steps(q, {42, 1024, 1024});
  q.is_one_by_one = 1;
  expect_steps(q, {1, 1024, 1024});
}

TEST(Slabs, RandomQuestions) {
  std::mt19937_64 random(1);
  const auto up_to = [&](int bits) { return (int64_t)(random() >> (64 - 1 - random() % bits)) + 1; };
  for (int i = 0; i < 200000; ++i) {
    mfq_slab_question q = {};
    q.batches = up_to(8);
    q.m = up_to(20);
    q.n = up_to(20);
    const int64_t k = up_to(16);
    q.a_row_bytes = random() % 4 == 0 ? 0 : 2 * k;
    q.b_row_bytes = random() % 4 == 0 ? 0 : 2 * k;
    q.sum_row_bytes = random() % 4 == 0 ? 0 : 4 * q.n;
    q.a_cut = up_to(8);
    q.b_cut = up_to(8);
    q.a_is_shared = random() % 8 == 0;
    q.b_is_shared = random() % 8 == 0;
    q.is_one_by_one = random() % 8 == 0;
    const mfq_slabs s = mfq_slabs_of(&q);
    ASSERT_TRUE(s.batches >= 1 && s.batches <= q.batches && s.rows >= 1 && s.rows <= q.m && s.cols >= 1 &&
                s.cols <= q.n);
    ASSERT_TRUE(s.batches == 1 || (s.rows == q.m && s.cols == q.n)) << "one axis at a time";
    ASSERT_TRUE(q.batches == 1 || !q.is_one_by_one || s.batches == 1);
    ASSERT_TRUE(s.rows == q.m || s.rows % MFQ_SLAB_ROWS == 0);
    ASSERT_TRUE(s.rows == q.m || q.a_is_shared || s.rows % q.a_cut == 0);
    ASSERT_TRUE(s.cols == q.n || s.cols % q.b_cut == 0);
    const step_bytes bytes = bytes_of(q, s);
    const int64_t a_unit = mfq_slab_unit(q.a_cut), b_unit = mfq_slab_unit(q.b_cut);
    const int64_t row = q.sum_row_bytes + (q.a_is_shared ? 0 : q.a_row_bytes);
    ASSERT_LE(bytes.a_and_sums, std::max(256 * MiB, std::min(a_unit, q.m) * row));
    ASSERT_LE(bytes.b, std::max(1024 * MiB, std::min(b_unit, q.n) * q.b_row_bytes));
  }
}

} // namespace
