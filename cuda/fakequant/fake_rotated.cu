/* cuda/fakequant/fake_rotated.cu: the way to fake-quantize with rotated schemes. */
#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/shared_scales.h"
#include "fake_rotated.h"
#include "fake_rotated_kernel.cuh"

static_assert(sizeof(fake_rotated_params) <= 4096, "a kernel takes so many bytes");

static int is_measured(const mfq_qview *view) { return view->q.scheme.rule != MFQ_RULE_GIVEN; }

/* Whether groups are measured on the spot. */
static int measures_groups(const mfq_qview *view) { return is_measured(view) && !mfq_cuda_has_slots(view); }

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  if (!mfq_cast_is_rotated(cast)) return mfq_refuse(why, "%s", "");
  if (mfq_cuda_span_of(cast->view, measures_groups(cast->view)) > ROTATION_THREADS)
    return mfq_refuse(why, "groups and rotations that are whole together only in more than %d elements",
                      (int)ROTATION_THREADS);
  const mfq_status status = mfq_plan_general(context, problem, choice, why);
  mfq_choice_describe(choice, "an element a thread");
  return status;
}

static mfq_status measure(const mfq_scale_job *job, const mfq_tensor *src, fake_rotated_params *p) {
  const mfq_status status = mfq_cuda_measure(job, src, &p->from);
  if (status != MFQ_OK || !mfqn_has_tensor_scale(job->scheme->scale)) return status;
  float *tensor_scale = (float *)(void *)mfq_cuda_scratch_word(job->context, SCRATCH_TENSOR_SCALE);
  p->tensor_scale = tensor_scale;
  return mfq_cuda_tensor_scale(job, &p->from, tensor_scale);
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  fake_rotated_params p = {};
  mfq_lower(&cast->view->q.scheme, &p.scheme);
  const mfq_scale_job job = {context, cast->function, cast->view, &p.scheme};
  p.is_given = !is_measured(cast->view);
  p.seed = context->seed;
  p.offset = context->offset;
  if (p.is_given) p.given = mfq_cuda_scale_slots(cast->view);
  if (cast->scales) {
    p.of_scales = mfq_cuda_tensor_walk(cast->scales);
    p.wanted = mfq_cuda_element_view(cast->scales);
  }
  mfq_status status = p.is_given ? MFQ_OK : measure(&job, cast->src, &p);
  if (status != MFQ_OK) return status;
  p.at = mfq_cuda_rotation_spans(cast->view, cast->src->strides, cast->dst->strides, measures_groups(cast->view));
  p.src = mfq_cuda_element_view(cast->src);
  p.dst = mfq_cuda_element_view(cast->dst);
  const mfq_launch scales = {cast->function, mfq_cuda_item_grid(p.from.count), ITEM_THREADS, 0};
  const mfq_launch at = {cast->function, mfq_cuda_span_grid(&p.at), ROTATION_THREADS, 0};
  if (p.from.slots) status = mfq_cuda_launch(context, scales, turned_scales_kernel, p);
  return status == MFQ_OK ? mfq_cuda_launch(context, at, fake_rotated_kernel, p) : status;
}

const mfq_way mfq_cuda_fake_rotated = {"rotations", plan, run, NULL};
