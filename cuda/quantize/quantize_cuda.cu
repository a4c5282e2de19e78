/* cuda/quantize/quantize_cuda.cu: the ways to quantize, in their order, and the last one, which quantizes anything: scales
 * first, where they are measured, then codes. */
#include "host/core/scheme/lower.h"
#include "eden_cuda.h"
#include "encode_general_kernel.cuh"
#include "quantize_fast.h"

static mfq_status make_scales(const mfq_scale_job *job, const mfq_tensor *src) {
  statistics from;
  mfq_status status = mfq_cuda_measure(job, src, &from);
  if (status == MFQ_OK && mfqn_has_tensor_scale(job->scheme->scale))
    status = mfq_cuda_tensor_scale(job, &from, job->view->q.tensor_scale);
  return status == MFQ_OK ? mfq_cuda_scales_finish(job, &from) : status;
}

mfq_status mfq_cuda_codes(const mfq_scale_job *job, const mfq_tensor *src) {
  mfq_walk walk;
  mfq_walk_extras extras = {};
  mfq_walk_init(job->view, src->strides, &walk);
  extras.has_logical = job->scheme->rounding == MFQN_ROUND_STOCHASTIC || job->scheme->rotation.size != 0;
  const encode_general_params p = {*job->scheme,
                                   mfq_cuda_walk_plan(&walk, &extras),
                                   mfq_cuda_rotated_view(src, job->view),
                                   mfq_cuda_scale_slots(job->view),
                                   mfq_cuda_chunk_rows(job->view),
                                   job->context->seed,
                                   job->context->offset};
  const mfq_launch at = {job->function, mfq_cuda_item_grid(p.to.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(job->context, at, encode_general_kernel, p);
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  mfqn_scheme scheme;
  mfq_lower(&cast->view->q.scheme, &scheme);
  const mfq_scale_job job = {context, cast->function, cast->view, &scheme};
  mfq_status status = mfqn_is_measured(&scheme) ? make_scales(&job, cast->src) : MFQ_OK;
  if (status == MFQ_OK) status = mfq_cuda_codes(&job, cast->src);
  return status == MFQ_OK && scheme.eden != 0 ? mfq_cuda_eden(&job, cast->src) : status;
}

static const mfq_way general = {"general", mfq_plan_general, run, NULL};

const mfq_ways mfq_cuda_quantizations = {"mfq_quantize",
                                         NULL,
                                         0,
                                         {&mfq_cuda_quantize_both, &mfq_cuda_quantize_squares, &mfq_cast_directions,
                                          &mfq_cuda_quantize_rows, &mfq_cuda_quantize_tiles, &mfq_cuda_quantize_shared,
                                          &general}};
