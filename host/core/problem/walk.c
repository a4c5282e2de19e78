/* host/core/problem/walk.c: codes row by row in the order in which they are stored, each row with the index of its
 * first scale; all else about order is worked out once, when the walk begins. */
#include "walk.h"

#include <string.h>

static int64_t run_along(const mfq_qview *view, int32_t axis) {
  const mfq_scheme *s = &view->q.scheme;
  const int32_t rank = view->q.rank;
  if (s->granularity == MFQ_GRANULARITY_GROUP && axis == view->sizes.axis) return s->group_size;
  if (s->granularity == MFQ_GRANULARITY_BLOCK && axis == rank - 1) return s->block_cols;
  if (s->granularity == MFQ_GRANULARITY_BLOCK && axis == rank - 2) return s->block_rows;
  return 1;
}

static int has_scale_axis(const mfq_qview *view, int32_t axis) {
  switch (view->q.scheme.granularity) {
    case MFQ_GRANULARITY_TENSOR: return 0;
    case MFQ_GRANULARITY_CHANNEL: return axis == view->sizes.axis;
    default: return 1;
  }
}

int32_t mfq_code_axis(const mfq_qview *view, int32_t place) {
  const int32_t last = view->q.rank - 1, axis = view->sizes.axis;
  switch (view->q.layout.codes) {
    case MFQ_CODES_GROUP_LAST: return place == last ? axis : place < axis ? place : place + 1;
    case MFQ_CODES_TRANSPOSED: return place >= last - 1 ? 2 * last - 1 - place : place;
    default: return place;
  }
}

int32_t mfq_code_place(const mfq_qview *view, int32_t axis) {
  const int32_t last = view->q.rank - 1, group = view->sizes.axis;
  switch (view->q.layout.codes) {
    case MFQ_CODES_GROUP_LAST: return axis == group ? last : axis < group ? axis : axis - 1;
    case MFQ_CODES_TRANSPOSED: return axis >= last - 1 ? 2 * last - 1 - axis : axis;
    default: return axis;
  }
}

int mfq_code_order_is(const mfq_qview *a, const mfq_qview *b) {
  for (int32_t k = 0; k < a->q.rank; ++k)
    if (mfq_code_axis(a, k) != mfq_code_axis(b, k)) return 0;
  return 1;
}

void mfq_walk_init(const mfq_qview *view, const int64_t *strides, mfq_walk *walk) {
  const int32_t rank = view->q.rank;
  memset(walk, 0, sizeof *walk);
  walk->rank = rank;
  int64_t logical[MFQ_MAX_RANK], step = 1, scale_step = 1;
  for (int32_t d = rank - 1; d >= 0; --d) {
    logical[d] = step;
    step *= view->q.shape[d];
  }
  walk->rows = 1;
  for (int32_t k = rank - 1; k >= 0; --k) {
    const int32_t d = mfq_code_axis(view, k);
    walk->shape[k] = view->q.shape[d];
    walk->offset_stride[k] = strides ? strides[d] : 0;
    walk->logical_stride[k] = logical[d];
    walk->scale_run[k] = run_along(view, d);
    walk->scale_stride[k] = has_scale_axis(view, d) ? scale_step : 0;
    if (has_scale_axis(view, d)) scale_step *= (walk->shape[k] + walk->scale_run[k] - 1) / walk->scale_run[k];
    if (k < rank - 1) walk->rows *= walk->shape[k];
  }
  walk->length = walk->shape[rank - 1];
  if (walk->length == 0) walk->rows = 0; /* there may be very many rows of nothing */
}

mfq_walk_row mfq_walk_at(const mfq_walk *walk, int64_t row) {
  mfq_walk_row at = {0, 0, 0};
  for (int32_t k = walk->rank - 2; k >= 0; --k) {
    const int64_t i = row % walk->shape[k];
    row /= walk->shape[k];
    at.offset += i * walk->offset_stride[k];
    at.logical += i * walk->logical_stride[k];
    at.scale += i / walk->scale_run[k] * walk->scale_stride[k];
  }
  return at;
}

void mfq_code_strides(const mfq_qview *view, const int64_t *shape, int64_t *strides) {
  int64_t step = 1;
  for (int32_t k = view->q.rank - 1; k >= 0; --k) {
    strides[mfq_code_axis(view, k)] = step;
    step *= shape[k];
  }
}

void mfq_code_bit_strides(const mfq_qview *view, int64_t *strides) {
  mfq_walk walk;
  mfq_walk_init(view, NULL, &walk);
  mfq_code_strides(view, walk.shape, strides); /* in codes of rows without padding */
  const int32_t last = mfq_code_axis(view, view->q.rank - 1);
  for (int32_t d = 0; d < view->q.rank; ++d)
    strides[d] = d == last          ? mfq_code_bits(&view->q)
                 : walk.length == 0 ? 0
                                    : strides[d] / walk.length * (int64_t)view->sizes.row_bits;
}

int mfq_has_scale_shape(const mfq_qview *view, const mfq_tensor *tensor) {
  const int32_t rank = view->sizes.scale_rank;
  if (tensor->rank != rank) return rank == 0 && tensor->rank == 1 && tensor->shape[0] == 1;
  return memcmp(tensor->shape, view->sizes.scale_shape, (size_t)rank * sizeof tensor->shape[0]) == 0;
}

int64_t mfq_offset_of(const mfq_tensor *tensor, int64_t index) {
  int64_t offset = 0;
  for (int32_t d = tensor->rank - 1; d >= 0; --d) {
    offset += index % tensor->shape[d] * tensor->strides[d];
    index /= tensor->shape[d];
  }
  return offset;
}

int mfq_scale_is_short(const mfq_qview *view, int64_t index) {
  const mfq_scheme *s = &view->q.scheme;
  if (s->granularity != MFQ_GRANULARITY_GROUP) return 0;
  const int64_t length = view->q.shape[view->sizes.axis], groups = (length + s->group_size - 1) / s->group_size;
  if (length % s->group_size == 0) return 0;
  int64_t inner = 1;
  if (view->q.layout.codes == MFQ_CODES_LOGICAL)
    for (int32_t d = view->sizes.axis + 1; d < view->q.rank; ++d) inner *= view->q.shape[d];
  return index / inner % groups == groups - 1;
}

int32_t mfq_code_bits(const mfq_qtensor *q) {
  const mfq_format *e = &q->scheme.element;
  return q->layout.packing == MFQ_PACK_BYTE ? 8 : e->is_signed + e->exp_bits + e->man_bits;
}

void mfq_scale_axes(const mfq_qview *view, mfq_scale_axis *axes) {
  mfq_walk walk;
  mfq_walk_init(view, NULL, &walk);
  for (int32_t d = 0; d < view->q.rank; ++d) {
    const int32_t place = mfq_code_place(view, d);
    axes[d] = (mfq_scale_axis){walk.scale_stride[place], walk.scale_run[place]};
  }
}
