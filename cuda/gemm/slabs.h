/* cuda/gemm/slabs.h: a product cut into steps, so that expanded operands and sums take a bounded workspace. Pure. */
#ifndef MFQ_CUDA_GEMM_SLABS_H
#define MFQ_CUDA_GEMM_SLABS_H

#include "host/core/problem/slab.h"

/* Expanded rows of A and the sums of a step, and expanded B, take at most this: large enough that a step keeps a GPU
 * busy for long, small beside its memory. */
static const int64_t MFQ_SLAB_BYTES = (int64_t)256 << 20, MFQ_SLAB_B_BYTES = (int64_t)1 << 30;

enum { MFQ_SLAB_ROWS = 128 }; /* steps are multiples of it: whole tiles of any kernel */

typedef struct mfq_slab_question {
  int64_t batches, m, n;
  int64_t a_row_bytes;              /* expanded, one row of A; 0: nothing is expanded */
  int64_t b_row_bytes;              /* one row of B, that is one column of D */
  int64_t sum_row_bytes;            /* sums of one row of D; 0: D is written at once, or all sums are kept anyway */
  int64_t a_cut, b_cut;             /* rows at whose multiples the expansion can be cut; 0: it is made whole */
  int32_t a_is_shared, b_is_shared; /* by several batches: made whole, and once */
  int32_t is_one_by_one;            /* batches are not equally far apart somewhere */
} mfq_slab_question;

/* A step takes so many batches, rows and columns; only one of the three is less than all unless batches is 1. */
typedef struct mfq_slabs {
  int64_t batches, rows, cols;
} mfq_slabs;

/* At least one. */
static inline int64_t mfq_slab_most(int64_t limit, int64_t each, int64_t all) {
  return mfq_larger(mfq_slab_fit(limit, each, all), 1);
}

/* The rows at whose multiples steps are cut. */
static inline int64_t mfq_slab_unit(int64_t cut) { return mfq_common_multiple(cut > 0 ? cut : 1, MFQ_SLAB_ROWS); }

/* Equal parts of `all`, of at most `most`, but at least one unit. */
static inline int64_t mfq_slab_part(int64_t all, int64_t most, int64_t cut) {
  const int64_t unit = mfq_slab_unit(cut);
  return mfq_slab_equal(all, mfq_larger(most, unit), unit);
}

static inline mfq_slabs mfq_slabs_of(const mfq_slab_question *q) {
  const int64_t whole_a = q->a_is_shared ? 0 : q->m * q->a_row_bytes;
  const int64_t whole_b = q->b_is_shared ? 0 : q->n * q->b_row_bytes;
  const int64_t by_a = mfq_slab_most(MFQ_SLAB_BYTES, whole_a + q->m * q->sum_row_bytes, q->batches);
  const int64_t by_b = mfq_slab_most(MFQ_SLAB_B_BYTES, whole_b, q->batches);
  mfq_slabs s = {mfq_smaller(by_a, by_b), q->m, q->n};
  if (q->is_one_by_one) s.batches = 1;
  if (s.batches > 1) return s;
  const int a_cuts = q->a_cut > 0 && !q->a_is_shared, b_cuts = q->b_cut > 0 && !q->b_is_shared;
  const int64_t row_bytes = q->sum_row_bytes + (a_cuts ? q->a_row_bytes : 0);
  s.rows = mfq_slab_part(q->m, mfq_slab_most(MFQ_SLAB_BYTES, row_bytes, q->m), q->a_cut);
  if (b_cuts) s.cols = mfq_slab_part(q->n, mfq_slab_most(MFQ_SLAB_B_BYTES, q->b_row_bytes, q->n), q->b_cut);
  return s;
}

#endif
