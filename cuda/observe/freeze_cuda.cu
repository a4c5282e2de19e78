/* cuda/observe/freeze_cuda.cu: from collected statistics to scales and zero points. */
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/shared_scales.h"
#include "freeze_kernel.cuh"

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview *view = cast->view;
  const mfq_freezing *f = cast->freezing;
  freeze_params p = {};
  mfq_lower_frozen(&view->q.scheme, f->rule, &p.scheme);
  p.from = mfq_cuda_tensor_walk(cast->src);
  p.values = mfq_cuda_element_view(cast->src);
  if (f->lows) p.from_lows = mfq_cuda_tensor_walk(f->lows);
  if (f->lows) p.lows = mfq_cuda_element_view(f->lows);
  p.slots = mfq_cuda_scale_slots(view);
  p.count = view->sizes.scale_count;
  p.is_learned = f->is_learned;
  p.absmax = mfq_cuda_scratch_word(context, SCRATCH_ABSMAX);
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.count), ITEM_THREADS, 0};
  mfq_status status = MFQ_OK;
  if (p.scheme.scale == MFQN_SCALE_UE4M3) {
    const mfq_scale_job job = {context, cast->function, view, &p.scheme};
    status = mfq_cuda_clear(context, p.absmax, sizeof *p.absmax, cast->function);
    if (status == MFQ_OK) status = mfq_cuda_launch(context, at, freeze_absmax_kernel, p);
    if (status == MFQ_OK) status = mfq_cuda_tensor_scale(&job, nullptr, view->q.tensor_scale);
  }
  if (status == MFQ_OK && view->q.layout.scales == MFQ_SCALES_128X4)
    status = mfq_cuda_clear(context, view->q.scales, view->sizes.scales_bytes, cast->function);
  return status == MFQ_OK ? mfq_cuda_launch(context, at, freeze_kernel, p) : status;
}

static const mfq_way general = {"general", mfq_plan_general, run, NULL};

const mfq_ways mfq_cuda_freezes = {"mfq_collection_scales", NULL, 0, {&general}};
