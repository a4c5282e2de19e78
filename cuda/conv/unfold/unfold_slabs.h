/* cuda/conv/unfold/unfold_slabs.h: an unfolded convolution cut into steps, so that its workspace is bounded. Pure.
 *
 * A step multiplies `rows` pixels, `groups` groups of channels and `cols` channels of each (of the result; of y for the
 * gradient of the weight). Forward and for the gradient of the input it makes the sums of its pixels, with all channels,
 * and finishes them; for the gradient of the weight all pixels are added to the sums of some channels first. */
#ifndef MFQ_CUDA_CONV_UNFOLD_SLABS_H
#define MFQ_CUDA_CONV_UNFOLD_SLABS_H

#include "host/core/problem/slab.h"

/* Bytes of the parts of a workspace, 64 MiB in all: pixels unfolded, the other operand expanded, sums, what cuBLASLt
 * wants, and 1 MiB of scratch memory. Unfolded pixels are read again from the L2 cache where that is large. */
static const int64_t MFQ_UNFOLD_BYTES = (int64_t)24 << 20, MFQ_UNFOLD_DIRECT_BYTES = (int64_t)12 << 20,
                     MFQ_UNFOLD_SUM_BYTES = (int64_t)12 << 20, MFQ_UNFOLD_LIBRARY_BYTES = (int64_t)15 << 20;

/* Of the first part, for a convolution that quantizes on the way: codes, and values of the result, of some images
 * (conv_cuda.h). */
static const int64_t MFQ_UNFOLD_KEPT_BYTES = (int64_t)8 << 20;

enum { MFQ_UNFOLD_ROWS = 128, MFQ_UNFOLD_COLS = 16 }; /* rows worth a step; columns at whose multiples steps are cut */

typedef struct mfq_unfold_question {
  int64_t rows;         /* pixels of all images */
  int64_t period;       /* of a row of pixels: steps are whole ones, or lie in one; 0: anything */
  int64_t groups, cols; /* channels of one group */
  int64_t line_bytes;   /* one pixel of one group, unfolded */
  int64_t
      direct_col_bytes; /* the other operand, one channel: in all; with is_weight_gradient of one pixel; 0: in place */
  int64_t sum_bytes;    /* sums of one pixel; with is_weight_gradient of one channel; 0: written at once, or kept */
  int64_t kept_bytes;   /* of the room for unfolded pixels, kept for other things */
  int32_t is_weight_gradient;
} mfq_unfold_question;

typedef struct mfq_unfold_slabs {
  int64_t rows, groups, cols; /* groups: all of them, or 1; cols: all unless groups is 1 */
  int64_t period;             /* no step crosses a multiple of it */
  int32_t direct_is_whole;    /* weights: expanded once, before all steps */
} mfq_unfold_slabs;

static inline int64_t mfq_unfold_columns(int64_t cols) { return mfq_round_up(cols, MFQ_UNFOLD_COLS); }

/* Bytes of the other operand for some columns and rows of one group. */
static inline int64_t mfq_unfold_direct_bytes(const mfq_unfold_question *q, int64_t cols, int64_t rows) {
  return mfq_unfold_columns(cols) * q->direct_col_bytes * (q->is_weight_gradient ? rows : 1);
}

/* Columns of the other operand that fit, `few` rows of them at least. */
static inline int64_t mfq_unfold_direct_cols(const mfq_unfold_question *q, int64_t few) {
  const int64_t all = mfq_unfold_columns(q->cols), each = mfq_unfold_direct_bytes(q, 1, few) / MFQ_UNFOLD_COLS;
  const int64_t most = mfq_slab_fit(MFQ_UNFOLD_DIRECT_BYTES, each, all);
  return most < MFQ_UNFOLD_COLS ? 0 : mfq_slab_equal(q->cols, most, MFQ_UNFOLD_COLS);
}

/* Rows of a step: no more than `most`, whole periods, or equal parts of one. */
static inline void mfq_unfold_cut_rows(const mfq_unfold_question *q, int64_t most, mfq_unfold_slabs *s) {
  s->period = q->rows;
  if (q->period == 0 || most >= q->rows) {
    s->rows = mfq_slab_equal(q->rows, most, MFQ_UNFOLD_ROWS);
  } else if (most >= q->period) {
    s->rows = mfq_slab_equal(q->rows / q->period, most / q->period, 1) * q->period;
  } else {
    s->period = q->period;
    s->rows = mfq_slab_equal(q->period, most, MFQ_UNFOLD_ROWS);
  }
}

/* Returns 0 where a single pixel or channel is beyond these bounds. */
static inline int mfq_unfold_slabs_of(const mfq_unfold_question *q, mfq_unfold_slabs *s) {
  const int64_t few = q->rows < MFQ_UNFOLD_ROWS ? q->rows : (int64_t)MFQ_UNFOLD_ROWS;
  const int64_t unfolded = MFQ_UNFOLD_BYTES - q->kept_bytes;
  const int64_t of_group = mfq_unfold_direct_bytes(q, q->cols, few), sums = q->is_weight_gradient ? q->sum_bytes : 0;
  const int is_together = q->groups * q->line_bytes * few <= unfolded &&
                          q->groups * of_group <= MFQ_UNFOLD_DIRECT_BYTES &&
                          q->groups * q->cols * sums <= MFQ_UNFOLD_SUM_BYTES;
  s->groups = is_together ? q->groups : 1;
  s->cols = q->cols;
  if (!is_together) {
    const int64_t by_direct = mfq_unfold_direct_cols(q, few), fit = mfq_slab_fit(MFQ_UNFOLD_SUM_BYTES, sums, q->cols),
                  by_sums = mfq_slab_equal(q->cols, fit, MFQ_UNFOLD_COLS);
    s->cols = mfq_smaller(by_direct, by_sums);
  }
  s->direct_is_whole = !q->is_weight_gradient && s->groups == q->groups && s->cols == q->cols;
  const int64_t of_row = q->is_weight_gradient ? s->groups * mfq_unfold_direct_bytes(q, s->cols, 1) : 0;
  const int64_t by_direct = mfq_slab_fit(MFQ_UNFOLD_DIRECT_BYTES, of_row, q->rows);
  const int64_t by_sums = mfq_slab_fit(MFQ_UNFOLD_SUM_BYTES, q->is_weight_gradient ? 0 : q->sum_bytes, q->rows);
  const int64_t by_line = mfq_slab_fit(unfolded, s->groups * q->line_bytes, q->rows);
  const int64_t most = mfq_smaller(by_line, mfq_smaller(by_direct, by_sums));
  if (most < 1 || s->cols < 1) return 0;
  mfq_unfold_cut_rows(q, most, s);
  return 1;
}

/* Pixels of the step that begins at `row`. */
static inline int64_t mfq_unfold_rows_at(const mfq_unfold_slabs *s, int64_t row) {
  const int64_t left = s->period - row % s->period;
  return mfq_smaller(left, s->rows);
}

#endif
