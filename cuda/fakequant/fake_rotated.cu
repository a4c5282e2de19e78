/* cuda/fakequant/fake_rotated.cu: the way to fake-quantize with rotated schemes. */
#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/shared_scales.h"
#include "fake_rotated.h"
#include "fake_rotated_kernel.cuh"

static_assert(sizeof(fake_rotated_params) <= 4096, "a kernel takes so many bytes");

static int is_measured(const mfq_qview *view) { return view->q.scheme.rule != MFQ_RULE_GIVEN; }

/* Elements of whole groups, where these are measured on the spot, and whole rotations. */
static int64_t span_of(const mfq_qview *view) {
  const mfq_scheme *s = &view->q.scheme;
  if (!is_measured(view) || mfq_cuda_has_slots(view)) return s->rotation;
  const int64_t length = view->q.shape[view->sizes.axis];
  return mfq_common_multiple(mfq_smaller(s->group_size, mfq_larger(length, 1)), s->rotation);
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  if (!mfq_cast_is_rotated(cast)) return mfq_refuse(why, "%s", "");
  if (span_of(cast->view) > ROTATION_THREADS)
    return mfq_refuse(why, "groups and rotations that are whole together only in more than %d elements",
                      (int)ROTATION_THREADS);
  const mfq_status status = mfq_plan_general(context, problem, choice, why);
  mfq_choice_describe(choice, "an element a thread");
  return status;
}

static mfq_status measure(const mfq_scale_job *job, const mfq_tensor *src, fake_rotated_params *p) {
  const mfq_status status = mfq_cuda_measure(job, src, &p->from);
  if (status != MFQ_OK || job->scheme->scale != MFQN_SCALE_UE4M3) return status;
  float *tensor_scale = (float *)(void *)mfq_cuda_scratch_word(job->context, SCRATCH_TENSOR_SCALE);
  p->tensor_scale = tensor_scale;
  return mfq_cuda_tensor_scale(job, &p->from, tensor_scale);
}

/* Where elements are, rotation by rotation. */
static void place(const mfq_cast *cast, fake_rotated_params *p) {
  const mfq_qview *view = cast->view;
  mfq_walk from, to;
  mfq_walk_init(view, cast->src->strides, &from);
  mfq_walk_init(view, cast->dst->strides, &to);
  mfq_cuda_walk_rotations(view, &from);
  mfq_cuda_walk_rotations(view, &to);
  const mfq_walk_extras extras = {to.offset_stride, nullptr, p->scheme.rounding == MFQN_ROUND_STOCHASTIC};
  p->walk = mfq_cuda_walk_plan(&from, &extras);
  p->src = mfq_cuda_element_view(cast->src);
  p->dst = mfq_cuda_element_view(cast->dst);
  p->length = view->q.shape[view->sizes.axis];
  p->span = (int32_t)span_of(view);
  p->group = (int32_t)mfq_smaller(view->q.scheme.group_size, mfq_larger(p->length, 1));
  const int64_t of_line = mfq_ceil_div(p->length, p->span);
  p->spans_of_line = divisor64_make(mfq_larger(of_line, 1));
  p->spans = p->length > 0 ? p->walk.count / p->length * of_line : 0;
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
  place(cast, &p);
  const mfq_launch scales = {cast->function, mfq_cuda_item_grid(p.from.count), ITEM_THREADS, 0};
  const mfq_launch at = {cast->function,
                         mfq_cuda_item_grid(mfq_ceil_div(p.spans, ROTATION_THREADS / p.span) * ITEM_THREADS),
                         ROTATION_THREADS, 0};
  if (p.from.slots) status = mfq_cuda_launch(context, scales, turned_scales_kernel, p);
  return status == MFQ_OK ? mfq_cuda_launch(context, at, fake_rotated_kernel, p) : status;
}

const mfq_way mfq_cuda_fake_rotated = {"rotations", plan, run, NULL};
