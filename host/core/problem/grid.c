/* host/core/problem/grid.c: axes whose strides continue each other are one; what is left around the scheme's axis is
 * outer, middle and inner. Tensors that need more than three are left to general paths. */
#include "grid.h"

/* A tensor, and another one of its shape that is walked with it, perhaps the same. */
typedef struct grid_tensors {
  const mfq_tensor *one, *other;
} grid_tensors;

static void axis_alone(grid_tensors t, int32_t d, mfq_grid *g, int slot) {
  g->size[slot] = t.one->shape[d];
  g->stride[slot] = t.one->strides[d];
  g->other_stride[slot] = t.other->strides[d];
}

/* Whether the elements along axis `d` begin where those of a slot end, in both tensors. */
static int is_continued(grid_tensors t, int32_t d, const mfq_grid *g, int slot) {
  return t.one->strides[d] == g->size[slot] * g->stride[slot] &&
         t.other->strides[d] == g->size[slot] * g->other_stride[slot];
}

/* Merges axes [first, end) into the slots from `slot` on, `room` of them, of which the first ones may be left with 1.
 * Returns 0 when they do not suffice. */
static int collapse(grid_tensors t, int32_t first, int32_t end, int room, mfq_grid *g, int slot) {
  int free = slot + room; /* slots from `slot` to here */
  for (int32_t d = end; d-- > first;) {
    if (t.one->shape[d] == 1) continue;
    if (free < slot + room && is_continued(t, d, g, free)) {
      g->size[free] *= t.one->shape[d];
      continue;
    }
    if (free == slot) return 0;
    axis_alone(t, d, g, --free);
  }
  while (free > slot) {
    g->size[--free] = 1;
    g->stride[free] = g->other_stride[free] = 0;
  }
  return 1;
}

/* Rows along the last axis: the other axes collapse into outer and middle. */
static int grid_of_rows(grid_tensors t, mfq_grid *g) {
  axis_alone(t, t.one->rank - 1, g, 2);
  return collapse(t, 0, t.one->rank - 1, 2, g, 0);
}

static int grid_around(grid_tensors t, int32_t axis, int whole_axes, mfq_grid *g) {
  const int32_t rank = t.one->rank;
  if (whole_axes && axis + 1 < rank - 1) return 0;
  axis_alone(t, axis, g, 1);
  return collapse(t, 0, axis, 1, g, 0) && collapse(t, axis + 1, rank, 1, g, 2);
}

int mfq_grid_make(const mfq_tensor *tensor, const mfq_tensor *other, const mfq_qview *view, int by_rows, mfq_grid *g) {
  const grid_tensors t = {tensor, other ? other : tensor};
  const int32_t rank = tensor->rank, axis = view->sizes.axis;
  const int whole_axes = view->q.layout.row_align > 0; /* rows of codes are padded: they cannot be merged */
  const int is_transposed = view->q.layout.codes == MFQ_CODES_TRANSPOSED;
  switch (is_transposed ? MFQ_GRANULARITY_BLOCK : view->q.scheme.granularity) {
    case MFQ_GRANULARITY_TENSOR: return whole_axes || by_rows ? grid_of_rows(t, g) : collapse(t, 0, rank, 3, g, 0);
    case MFQ_GRANULARITY_BLOCK:
      if (rank < 2) return grid_of_rows(t, g);
      axis_alone(t, rank - 1, g, 2);
      axis_alone(t, rank - 2, g, 1);
      return collapse(t, 0, rank - 2, 1, g, 0);
    default: return axis == rank - 1 ? grid_of_rows(t, g) : grid_around(t, axis, whole_axes, g);
  }
}

static int is_dense(const mfq_grid *g, const int64_t *stride) {
  const int64_t row = g->size[2] * stride[2];
  return (g->size[1] == 1 || stride[1] == row) && (g->size[0] == 1 || stride[0] == g->size[1] * row);
}

int mfq_grid_join_rows(const mfq_qview *view, mfq_grid *g) {
  if (view->q.layout.row_align != 0 || !is_dense(g, g->stride) || !is_dense(g, g->other_stride)) return 0;
  g->size[2] *= g->size[0] * g->size[1];
  g->size[0] = g->size[1] = 1;
  return 1;
}

void mfq_grid_merge_rows(const mfq_qview *view, mfq_grid *g) {
  if (g->size[2] % view->q.scheme.group_size == 0) (void)mfq_grid_join_rows(view, g);
}
