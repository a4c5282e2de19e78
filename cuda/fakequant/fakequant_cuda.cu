/* cuda/fakequant/fakequant_cuda.cu: the ways to quantize and dequantize in one step, in their order, and the last one,
 * which takes anything. */
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/shared_scales.h"
#include "host/core/integers.h"
#include "fake_eden.h"
#include "fake_fast.h"
#include "fake_rotated.h"
#include "mask_kernel.cuh"

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
  if (status != MFQ_OK || !mfqn_has_tensor_scale(job->scheme->scale)) return status;
  float *tensor_scale = (float *)(void *)mfq_cuda_scratch_word(job->context, SCRATCH_TENSOR_SCALE);
  p->tensor_scale = tensor_scale;
  return mfq_cuda_tensor_scale(job, &p->from, tensor_scale);
}

static fake_elements elements_of(const mfq_context *context, const mfq_cast *cast) {
  return fake_elements{mfq_cuda_element_view(cast->src), mfq_cuda_element_view(cast->dst), context->seed,
                       context->offset};
}

/* A call, and what is known of its scales. */
typedef struct fake_call {
  const mfq_scale_job *job;
  const mfq_cast *cast;
  fake_scales scales;
  fake_elements elements;
  mfq_walk from;
  mfq_walk_extras extras;
  int is_known; /* scales are in the job's view */
} fake_call;

/* Before the values, which may replace the source. */
static mfq_status mask_first(const fake_call *call) {
  const mfq_qview *view = call->job->view;
  if (!call->cast->mask) return MFQ_OK;
  mfq_walk walk = {};
  mfq_scale_axis axes[MFQ_MAX_RANK];
  mfq_scale_axes(view, axes);
  walk.rank = view->q.rank;
  for (int32_t d = 0; d < walk.rank; ++d) {
    walk.shape[d] = view->q.shape[d];
    walk.offset_stride[d] = call->cast->src->strides[d];
    walk.scale_run[d] = axes[d].run;
    walk.scale_stride[d] = axes[d].stride;
  }
  const mfq_walk_extras extras = {};
  fake_mask_params p = {};
  p.scales = call->scales;
  p.given = mfq_cuda_scale_slots(view);
  p.is_given = call->is_known;
  p.walk = mfq_cuda_walk_plan(&walk, &extras);
  p.src = call->elements.src;
  p.seed = call->elements.seed;
  p.offset = call->elements.offset;
  p.bits = call->cast->mask;
  return mfq_cuda_launch(call->job->context, items_of(call->job, mfq_ceil_div(p.walk.count, 8)), fake_mask_kernel, p);
}

mfq_status mfq_cuda_fake_mask(mfq_context *context, const mfq_cast *cast, const mfq_qview *known) {
  mfqn_scheme scheme;
  fake_call call = {};
  if (!cast->mask) return MFQ_OK;
  mfq_lower(&cast->view->q.scheme, &scheme);
  const mfq_scale_job job = {context, cast->function, known ? known : cast->view, &scheme};
  call.job = &job;
  call.cast = cast;
  call.is_known = known || scheme.rule == MFQN_RULE_GIVEN;
  call.scales.scheme = scheme;
  call.elements = elements_of(context, cast);
  mfq_status status = call.is_known ? MFQ_OK : measure(&job, cast->src, &call.scales);
  if (status == MFQ_OK && call.scales.from.slots)
    status = mfq_cuda_launch(context, items_of(&job, call.scales.from.count), fake_scales_kernel, call.scales);
  return status == MFQ_OK ? mask_first(&call) : status;
}

static mfq_status fake_by_scale(fake_call *call) {
  call->scales.from.boxes = mfq_cuda_box_plan(&call->from, &call->extras);
  const fake_direct_params p = {call->scales, call->elements};
  const mfq_status status = mask_first(call);
  if (status != MFQ_OK) return status;
  return mfq_cuda_launch(call->job->context, items_of(call->job, p.scales.from.count), fake_direct_kernel, p);
}

static mfq_status fake_by_element(const fake_call *call) {
  const mfq_scale_job *job = call->job;
  const walk_plan walk = mfq_cuda_walk_plan(&call->from, &call->extras);
  const fake_elements_params p = {*job->scheme, call->scales.from.slots, call->scales.tensor_scale, walk,
                                  call->elements};
  mfq_status status =
      mfq_cuda_launch(job->context, items_of(job, call->scales.from.count), fake_scales_kernel, call->scales);
  if (status == MFQ_OK) status = mask_first(call);
  return status == MFQ_OK ? mfq_cuda_launch(job->context, items_of(job, walk.count), fake_elements_kernel, p) : status;
}

static mfq_status fake_by_given(const fake_call *call) {
  const mfq_scale_job *job = call->job;
  const walk_plan walk = mfq_cuda_walk_plan(&call->from, &call->extras);
  const fake_given_params p = {*job->scheme, mfq_cuda_scale_slots(job->view), walk, call->elements};
  const mfq_status status = mask_first(call);
  return status == MFQ_OK ? mfq_cuda_launch(job->context, items_of(job, walk.count), fake_given_kernel, p) : status;
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  mfqn_scheme scheme;
  mfq_lower(&cast->view->q.scheme, &scheme);
  const int is_given = scheme.rule == MFQN_RULE_GIVEN;
  const mfq_scale_job job = {context, cast->function, cast->view, &scheme};
  fake_call call = {};
  call.job = &job;
  call.cast = cast;
  call.is_known = is_given;
  call.scales.scheme = scheme;
  want_scales(cast->scales, &call.scales);
  const mfq_status status = is_given ? MFQ_OK : measure(&job, cast->src, &call.scales);
  if (status != MFQ_OK) return status;

  mfq_walk to;
  mfq_walk_init(cast->view, cast->src->strides, &call.from);
  mfq_walk_init(cast->view, cast->dst->strides, &to);
  call.extras = mfq_walk_extras{to.offset_stride, nullptr, scheme.rounding == MFQN_ROUND_STOCHASTIC};
  call.elements = elements_of(context, cast);
  if (is_given) return fake_by_given(&call);
  return call.scales.from.slots ? fake_by_element(&call) : fake_by_scale(&call);
}

static const mfq_way general = {"general", mfq_cuda_plan_unrotated, run, NULL};

const mfq_ways mfq_cuda_fake_quantizations = {"mfq_fake_quantize",
                                              NULL,
                                              0,
                                              {&mfq_cuda_fake_eden, &mfq_cuda_fake_rows, &mfq_cuda_fake_tiles,
                                               &mfq_cuda_fake_shared, &mfq_cuda_fake_rotated, &general}};
