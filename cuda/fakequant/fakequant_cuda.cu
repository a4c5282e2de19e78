/* cuda/fakequant/fakequant_cuda.cu: the ways to quantize and dequantize in one step, in their order, and the last one,
 * which takes anything. */
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/shared_scales.h"
#include "fake_fast.h"
#include "fake_kernel.cuh"
#include "fake_rotated.h"

static mfq_launch items_of(const mfq_scale_job *job, int64_t items) {
  return mfq_launch{job->function, mfq_cuda_item_grid(items), ITEM_THREADS, 0};
}

/* Where the caller's scales go, NULL: nowhere. */
static void want_scales(const mfq_tensor *scales, fake_scales *p) {
  if (!scales) return;
  p->walk = mfq_cuda_tensor_walk(scales);
  p->wanted = mfq_cuda_element_view(scales);
}

static mfq_status measure(const mfq_scale_job *job, const mfq_tensor *src, fake_scales *p) {
  if (job->scheme->scale == MFQN_SCALE_NONE) return mfq_cuda_slots_reset(job, &p->from); /* the one scale is 1 */
  const mfq_status status = mfq_cuda_measure(job, src, &p->from);
  if (status != MFQ_OK || job->scheme->scale != MFQN_SCALE_UE4M3) return status;
  float *tensor_scale = (float *)(void *)mfq_cuda_scratch_word(job->context, SCRATCH_TENSOR_SCALE);
  p->tensor_scale = tensor_scale;
  return mfq_cuda_tensor_scale(job, &p->from, tensor_scale);
}

static mfq_status fake_by_scale(const mfq_scale_job *job, const fake_scales *scales, const fake_elements *elements) {
  const fake_direct_params p = {*scales, *elements};
  return mfq_cuda_launch(job->context, items_of(job, scales->from.count), fake_direct_kernel, p);
}

static mfq_status fake_by_element(const mfq_scale_job *job, const fake_scales *scales, const fake_elements *elements,
                                  const walk_plan *walk) {
  const fake_elements_params p = {*job->scheme, scales->from.slots, scales->tensor_scale, *walk, *elements};
  const mfq_status status =
      mfq_cuda_launch(job->context, items_of(job, scales->from.count), fake_scales_kernel, *scales);
  return status == MFQ_OK ? mfq_cuda_launch(job->context, items_of(job, walk->count), fake_elements_kernel, p) : status;
}

static mfq_status fake_by_given(const mfq_scale_job *job, const fake_elements *elements, const walk_plan *walk) {
  const fake_given_params p = {*job->scheme, mfq_cuda_scale_slots(job->view), *walk, *elements};
  return mfq_cuda_launch(job->context, items_of(job, walk->count), fake_given_kernel, p);
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  mfqn_scheme scheme;
  mfq_lower(&cast->view->q.scheme, &scheme);
  const int is_given = scheme.rule == MFQN_RULE_GIVEN;
  const mfq_scale_job job = {context, cast->function, cast->view, &scheme};
  fake_scales p = {};
  p.scheme = scheme;
  want_scales(cast->scales, &p);
  const mfq_status status = is_given ? MFQ_OK : measure(&job, cast->src, &p);
  if (status != MFQ_OK) return status;

  mfq_walk from, to;
  mfq_walk_init(cast->view, cast->src->strides, &from);
  mfq_walk_init(cast->view, cast->dst->strides, &to);
  const mfq_walk_extras extras = {to.offset_stride, nullptr, scheme.rounding == MFQN_ROUND_STOCHASTIC};
  const fake_elements elements = {mfq_cuda_element_view(cast->src), mfq_cuda_element_view(cast->dst), context->seed,
                                  context->offset};
  if (is_given || p.from.slots) {
    const walk_plan walk = mfq_cuda_walk_plan(&from, &extras);
    return is_given ? fake_by_given(&job, &elements, &walk) : fake_by_element(&job, &p, &elements, &walk);
  }
  p.from.boxes = mfq_cuda_box_plan(&from, &extras);
  return fake_by_scale(&job, &p, &elements);
}

static const mfq_way general = {"general", mfq_cuda_plan_unrotated, run, NULL};

const mfq_ways mfq_cuda_fake_quantizations = {
    "mfq_fake_quantize",
    NULL,
    0,
    {&mfq_cuda_fake_rows, &mfq_cuda_fake_tiles, &mfq_cuda_fake_shared, &mfq_cuda_fake_rotated, &general}};
