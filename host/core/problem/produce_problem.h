/* host/core/problem/produce_problem.h: something made between products as backends see it: rows of elements that follow
 * from rows of inputs (num/making.h), and where they go: plain, as codes, as sums of columns. */
#ifndef MFQ_HOST_CORE_PRODUCE_PROBLEM_H
#define MFQ_HOST_CORE_PRODUCE_PROBLEM_H

#include <mfq/num/making.h>

#include "host/core/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Axes that rows may have: those of a tensor but for its last one. */
enum { MFQ_MADE_AXES = MFQ_MAX_RANK - 1 };

/* A tensor as rows of elements; strides in elements. */
typedef struct mfq_made_side {
  uint8_t *data; /* NULL: there is none */
  mfq_dtype dtype;
  int64_t row_strides[MFQ_MADE_AXES]; /* of the row axes */
  int64_t col_stride;
} mfq_made_side;

/* Arguments are valid and do not overlap, with one exception: `plain` and `sum` may be the very memory of an input, the
 * same elements in the same places (`is_in_place`, and for `sum` always possible). */
typedef struct mfq_made {
  mfqn_make make;
  int64_t rows, cols; /* of the results */
  int64_t units;      /* columns of the inputs: `cols`, or half of it where results are pairs (make.pairs) */
  /* Rows are numbered in row-major order of these axes, which are merged as far as the strides of all sides allow: one
   * axis where every side is a matrix. At least one. */
  int32_t axes;
  int64_t shape[MFQ_MADE_AXES];

  mfq_made_side
      in[3]; /* a, b, c of mfqn_inputs, before sums and conversions: of NORM x and the residual, whose sum is a */
  mfq_made_side gain, shift; /* one row, of `units`; of ROTARY cosines and sines, rows by position: row_strides[0] */
  int32_t is_inverse;        /* of ROTARY: sines are negated */

  mfq_made_side plain;          /* the results */
  const mfq_qview *row, *col;   /* their codes, of a tensor with the shape of `result`; NULL: none */
  mfq_tensor result;            /* its rank, shape, and strides as if it were dense; f32, without memory */
  int32_t is_in_place;          /* `plain` is an input's memory */
  mfq_made_side sum;            /* of NORM: where h goes, rounded to its dtype, and h is that number then */
  mfq_made_side mean, scale;    /* f32, one a row (col_stride 0): written by NORM, read by NORM_BACKWARD */
  mfq_made_side losses, loss;   /* f32: one a row; one alone */
  mfq_made_side column_sums[2]; /* one row: the sums of mfqn_make_column_terms over all rows, of `cols` columns */
  int32_t accumulate;           /* column sums are added to what is there: there + sum, rounded to its dtype */

  int64_t queries,
      is_causal; /* of SOFTMAX: row r is row r % queries of a matrix of scores, mfqn_causal_count of it in */
  /* Of ROTARY the position of row r is number (r / heads) % count of the indices, or (r / heads) % tokens without; those of
   * LOSS are targets, one a row. */
  mfq_indices indices;
  const char *argument; /* the indices, for sentences */
  int64_t index_end;    /* they are below */
  int64_t ignored;      /* of LOSS: this target alone may be another, and its row counts nothing */
  int64_t heads, tokens;
} mfq_made;

/* Merges neighbouring row axes; sizes of 1 go. */
void mfq_made_merge(mfq_made *made);

/* Where a row of a side begins, in elements. */
static inline int64_t mfq_made_row_offset(const mfq_made *made, const mfq_made_side *side, int64_t row) {
  int64_t offset = 0;
  for (int32_t i = made->axes - 1; i > 0; --i) {
    offset += row % made->shape[i] * side->row_strides[i];
    row /= made->shape[i];
  }
  return offset + row * side->row_strides[0];
}

/* Where column `col` of the results has its inputs, and which of a pair it is. */
typedef struct mfq_made_place {
  int64_t unit;
  int part;
} mfq_made_place;
static inline mfq_made_place mfq_made_place_of(const mfq_made *made, int64_t col) {
  mfq_made_place place = {col, 0};
  if (made->make.pairs == MFQN_PAIRS_HALVES && col >= made->units) {
    place.unit = col - made->units;
    place.part = 1;
  } else if (made->make.pairs == MFQN_PAIRS_INTERLEAVED) {
    place.unit = col / 2;
    place.part = (int)(col % 2);
  }
  return place;
}

#ifdef __cplusplus
}
#endif

#endif
