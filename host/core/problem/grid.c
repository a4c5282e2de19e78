/* host/core/problem/grid.c: axes whose strides continue each other are one; what is left around the scheme's axis is
 * outer, middle and inner. Tensors that need more than three are left to general paths. */
#include "grid.h"

#include <string.h>

/* Merges axes [first, end) of the tensor into at most `room` dimensions; returns how many it took, or -1. */
static int collapse(const mfq_tensor *t, int32_t first, int32_t end, int room, int64_t *size, int64_t *stride) {
  int n = 0;
  for (int32_t d = first; d < end; ++d) {
    if (t->shape[d] == 1) continue;
    if (n > 0 && stride[n - 1] == t->shape[d] * t->strides[d]) {
      size[n - 1] *= t->shape[d];
      stride[n - 1] = t->strides[d];
    } else {
      if (n == room) return -1;
      size[n] = t->shape[d];
      stride[n++] = t->strides[d];
    }
  }
  return n;
}

/* Places `n` dimensions at the end of `room` slots, filling with 1. */
static void place(int n, int room, int64_t *size, int64_t *stride) {
  for (int k = 0; k < n; ++k) {
    size[room - 1 - k] = size[n - 1 - k];
    stride[room - 1 - k] = stride[n - 1 - k];
  }
  for (int k = 0; k < room - n; ++k) {
    size[k] = 1;
    stride[k] = 0;
  }
}

/* Collapses axes [first, end) into exactly `room` slots. */
static int collapse_to(const mfq_tensor *t, int32_t first, int32_t end, int room, int64_t *size, int64_t *stride) {
  int64_t sizes[MFQ_MAX_RANK], strides[MFQ_MAX_RANK];
  const int n = collapse(t, first, end, room, sizes, strides);
  if (n < 0) return 0;
  memcpy(size, sizes, (size_t)n * sizeof *size);
  memcpy(stride, strides, (size_t)n * sizeof *stride);
  place(n, room, size, stride);
  return 1;
}

static void axis_alone(const mfq_tensor *t, int32_t d, int64_t *size, int64_t *stride) {
  *size = t->shape[d];
  *stride = t->strides[d];
}

/* Rows along the last axis: the other axes collapse into outer and middle. */
static int grid_of_rows(const mfq_tensor *t, mfq_grid *g) {
  axis_alone(t, t->rank - 1, &g->size[2], &g->stride[2]);
  return collapse_to(t, 0, t->rank - 1, 2, g->size, g->stride);
}

static int grid_around(const mfq_tensor *t, int32_t axis, int whole_axes, mfq_grid *g) {
  if (whole_axes && axis + 1 < t->rank - 1) return 0;
  axis_alone(t, axis, &g->size[1], &g->stride[1]);
  return collapse_to(t, 0, axis, 1, &g->size[0], &g->stride[0]) &&
         collapse_to(t, axis + 1, t->rank, 1, &g->size[2], &g->stride[2]);
}

int mfq_grid_make(const mfq_tensor *t, const mfq_qview *view, int by_rows, mfq_grid *g) {
  const int32_t rank = t->rank, axis = view->sizes.axis;
  const int whole_axes = view->q.layout.row_align > 0; /* rows of codes are padded: they cannot be merged */
  switch (view->q.scheme.granularity) {
    case MFQ_GRANULARITY_TENSOR:
      return whole_axes || by_rows ? grid_of_rows(t, g) : collapse_to(t, 0, rank, 3, g->size, g->stride);
    case MFQ_GRANULARITY_BLOCK:
      if (rank < 2) return grid_of_rows(t, g);
      axis_alone(t, rank - 1, &g->size[2], &g->stride[2]);
      axis_alone(t, rank - 2, &g->size[1], &g->stride[1]);
      return collapse_to(t, 0, rank - 2, 1, g->size, g->stride);
    default: return axis == rank - 1 ? grid_of_rows(t, g) : grid_around(t, axis, whole_axes, g);
  }
}

void mfq_grid_merge_rows(const mfq_qview *view, mfq_grid *g) {
  const int64_t length = g->size[2], step = g->stride[2];
  if (length % view->q.scheme.group_size != 0 || view->q.layout.row_align != 0) return;
  if (g->size[1] != 1 && g->stride[1] != length * step) return;
  if (g->size[0] != 1 && g->stride[0] != g->size[1] * length * step) return;
  g->size[2] *= g->size[0] * g->size[1];
  g->size[0] = g->size[1] = 1;
}
