/* cuda/fakequant/rotation_spans.cu: how spans cut a tensor. */
#include "host/core/integers.h"
#include "rotation_spans.cuh"

static int64_t group_of(const mfq_qview *view) {
  return mfq_smaller(view->q.scheme.group_size, mfq_larger(view->q.shape[view->sizes.axis], 1));
}

int64_t mfq_cuda_span_of(const mfq_qview *view, int has_groups) {
  const int64_t rotation = view->q.scheme.rotation;
  return has_groups ? mfq_common_multiple(group_of(view), rotation) : rotation;
}

rotation_spans mfq_cuda_rotation_spans(const mfq_qview *view, const int64_t *strides, const int64_t *other,
                                       int has_groups) {
  mfq_walk from, to;
  rotation_spans p = {};
  mfq_walk_init(view, strides, &from);
  mfq_walk_init(view, other, &to);
  mfq_cuda_walk_rotations(view, &from);
  mfq_cuda_walk_rotations(view, &to);
  const mfq_walk_extras extras = {to.offset_stride, nullptr, 1};
  p.walk = mfq_cuda_walk_plan(&from, &extras);
  p.length = view->q.shape[view->sizes.axis];
  p.span = (int32_t)mfq_cuda_span_of(view, has_groups);
  p.group = (int32_t)mfq_larger(group_of(view), 1);
  p.logical_step = 1;
  for (int32_t d = view->sizes.axis + 1; d < view->q.rank; ++d) p.logical_step *= view->q.shape[d];
  const int64_t of_line = mfq_ceil_div(p.length, p.span);
  p.of_line = divisor64_make(mfq_larger(of_line, 1));
  p.count = p.length > 0 ? p.walk.count / p.length * of_line : 0;
  return p;
}

dim3 mfq_cuda_span_grid(const rotation_spans *spans) {
  return mfq_cuda_item_grid(mfq_ceil_div(spans->count, ROTATION_THREADS / spans->span) * ITEM_THREADS);
}
