/* cuda/quantize/eden_cuda.cu: which scales correct each other, and the launch. */
#include "eden_cuda.h"

#include "host/core/integers.h"
#include "eden_kernel.cuh"

eden_runs mfq_cuda_eden_runs(const mfq_qview *view) {
  const mfq_scheme *s = &view->q.scheme;
  mfq_scale_axis axes[MFQ_MAX_RANK];
  eden_runs r = {};
  mfq_scale_axes(view, axes);
  r.groups = mfq_ceil_div(view->q.shape[view->sizes.axis], s->group_size);
  r.of_run = s->eden / s->group_size;
  const int64_t of_line = mfq_ceil_div(r.groups, r.of_run);
  r.inner = divisor64_make(mfq_larger(axes[view->sizes.axis].stride, 1));
  r.of_line = divisor64_make(mfq_larger(of_line, 1));
  r.count = r.groups > 0 ? view->sizes.scale_count / r.groups * of_line : 0;
  return r;
}

mfq_status mfq_cuda_eden(const mfq_scale_job *job, const mfq_tensor *src) {
  mfq_walk walk;
  mfq_walk_extras extras = {};
  extras.has_logical = 1;
  mfq_walk_init(job->view, src->strides, &walk);
  eden_params p = {};
  p.scheme = *job->scheme;
  p.from.src = mfq_cuda_rotated_view(src, job->view);
  p.from.boxes = mfq_cuda_box_plan(&walk, &extras);
  p.slots = mfq_cuda_scale_slots(job->view);
  p.runs = mfq_cuda_eden_runs(job->view);
  p.seed = job->context->seed;
  p.offset = job->context->offset;
  const mfq_launch at = {job->function, mfq_cuda_item_grid(p.runs.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(job->context, at, eden_kernel, p);
}
