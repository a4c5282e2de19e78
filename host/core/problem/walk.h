/* host/core/problem/walk.h: the codes of a quantized tensor row by row, beside a strided tensor of the same shape. */
#ifndef MFQ_HOST_CORE_WALK_H
#define MFQ_HOST_CORE_WALK_H

#include "host/core/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A row is a run along the last axis in code order; element j of it is at `offset + j * offset_step` in the tensor,
 * has the row-major index `logical + j * logical_step`, and the scale `scale + j / run * scale_step`. */
typedef struct mfq_walk {
  int32_t rank;
  int64_t rows, length;
  int64_t shape[MFQ_MAX_RANK]; /* in code order, like all arrays here */
  int64_t offset_stride[MFQ_MAX_RANK];
  int64_t logical_stride[MFQ_MAX_RANK];
  int64_t scale_stride[MFQ_MAX_RANK];
  int64_t scale_run[MFQ_MAX_RANK]; /* indices that share a scale along the axis */
} mfq_walk;

typedef struct mfq_walk_row {
  int64_t offset, logical, scale;
} mfq_walk_row;

/* `strides` are those of the tensor, by logical axis; NULL: zeros. */
void mfq_walk_init(const mfq_qview *view, const int64_t *strides, mfq_walk *walk);
mfq_walk_row mfq_walk_at(const mfq_walk *walk, int64_t row);

/* The scale of element `j` of a row. */
static inline int64_t mfq_walk_scale(const mfq_walk *walk, mfq_walk_row row, int64_t j) {
  const int32_t last = walk->rank - 1;
  return row.scale + j / walk->scale_run[last] * walk->scale_stride[last];
}

/* The logical axis at a place of the codes, and the place of a logical axis. */
int32_t mfq_code_axis(const mfq_qview *view, int32_t place);
int32_t mfq_code_place(const mfq_qview *view, int32_t axis);

/* Whether codes of two views of one shape stand in the same order of axes. */
int mfq_code_order_is(const mfq_qview *a, const mfq_qview *b);

/* Row-major strides of a shape given in code order, by logical axis. */
void mfq_code_strides(const mfq_qview *view, const int64_t *shape, int64_t *strides);

/* Bits from one index of each logical axis to the next, padding of rows included. */
void mfq_code_bit_strides(const mfq_qview *view, int64_t *strides);

/* Where the scales of each logical axis stand: their stride, and the indices that share one. */
typedef struct mfq_scale_axis {
  int64_t stride, run;
} mfq_scale_axis;
void mfq_scale_axes(const mfq_qview *view, mfq_scale_axis *axes);

/* Whether a plain tensor has the view's scale shape. */
int mfq_has_scale_shape(const mfq_qview *view, const mfq_tensor *tensor);

/* Where the element with row-major index `index` of a plain tensor stands, in elements. */
int64_t mfq_offset_of(const mfq_tensor *tensor, int64_t index);

/* Whether the group that a scale belongs to is cut short by the end of its axis. */
int mfq_scale_is_short(const mfq_qview *view, int64_t index);

/* Bits that one stored code takes: the format's, or 8. */
int32_t mfq_code_bits(const mfq_qtensor *q);

#ifdef __cplusplus
}
#endif

#endif
