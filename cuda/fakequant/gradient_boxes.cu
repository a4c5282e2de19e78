/* cuda/fakequant/gradient_boxes.cu: the backward of what shares a scale and has contiguous rows. */
#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/quantize/reduce_kernel.cuh"
#include "fake_fast.h"
#include "gradient_boxes_kernel.cuh"
#include "gradient_plan.h"

static int is_measured(const gradient_boxes_params *p) { return mfqn_is_measured(&p->to.how.scheme); }

/* Scales of several segments are measured first: into scratch memory, where statistics are, scales and zero points behind
 * them, and what segments leave behind these. */
static mfq_qview view_of(const mfq_context *context, const mfq_cast *cast, int is_long) {
  return is_long && cast->view->q.scheme.rule != MFQ_RULE_GIVEN ? mfq_cuda_scratch_view(context, cast)
                                                                : mfq_cuda_fake_view(context, cast);
}

/* How many elements of each axis of the grid share a scale; 0: these are no boxes of rows. */
static int runs_of(const mfq_qview *view, const int64_t *size, int64_t *run) {
  const mfq_scheme *s = &view->q.scheme;
  for (int k = 0; k < 3; ++k) run[k] = size[k];
  switch (s->granularity) {
    case MFQ_GRANULARITY_TENSOR: return 1;
    case MFQ_GRANULARITY_CHANNEL: run[1] = 1; return view->sizes.axis != view->q.rank - 1;
    case MFQ_GRANULARITY_GROUP:
      run[0] = run[1] = 1;
      run[2] = mfq_smaller(s->group_size, size[2]);
      return view->sizes.axis == view->q.rank - 1;
    default:
      run[0] = 1;
      run[1] = mfq_smaller(s->block_rows, size[1]);
      run[2] = mfq_smaller(s->block_cols, size[2]);
      return view->q.rank >= 2;
  }
}

static int64_t count_of(int64_t size, int64_t run) { return mfq_ceil_div(size, run); }

/* The boxes of the elements. */
static mfq_status plan_boxes(const mfq_cast *cast, const mfq_qview *view, gradient_boxes_params *p, mfq_line *why) {
  const quantize_call call = {NULL, cast->src, view, 0, cast->dst, 0};
  cast_rows rows;
  if (view->q.layout.codes == MFQ_CODES_TRANSPOSED) return mfq_refuse(why, "codes are stored transposed");
  const mfq_status status = mfq_cuda_cast_rows(&call, &rows, why);
  if (status != MFQ_OK) return status;
  for (int k = 0; k < 3; ++k) p->size[k] = rows.grid.size[k];
  if (!runs_of(view, p->size, p->run)) return mfq_refuse(why, "%s", "");
  p->src = (const uint8_t *)cast->src->data;
  p->outer_bytes = rows.outer_bytes;
  p->middle_bytes = rows.middle_bytes;
  p->across = divisor64_make(count_of(p->size[2], p->run[2]));
  p->down = divisor64_make(count_of(p->size[1], p->run[1]));
  p->scales = count_of(p->size[0], p->run[0]) * (int64_t)(p->down.value * p->across.value);
  p->width = divisor64_make(p->run[2]);
  p->last_width = divisor64_make(p->size[2] - ((int64_t)p->across.value - 1) * p->run[2]);
  p->height = divisor64_make(p->run[1]);
  const int64_t largest = p->run[0] * p->run[1] * p->run[2];
  p->segments = divisor64_make(count_of(largest, BOXES_SEGMENT));
  for (; p->team_log2 < 8 && (CHUNK << p->team_log2) < largest;) ++p->team_log2;
  p->is_shared = view->q.scheme.granularity == MFQ_GRANULARITY_TENSOR;
  p->how.is_aligned = rows.vector_load;
  const int64_t blocks = p->scales * (int64_t)p->segments.value;
  return blocks <= INT32_MAX ? MFQ_OK : mfq_refuse(why, "more elements than a grid has threads for");
}

/* Where segments leave what they come to, if there is room. */
static mfq_status plan_segments(const mfq_context *context, gradient_boxes_params *p, mfq_line *why) {
  const int64_t slots = p->scales * ((int64_t)p->segments.value + 1);
  const int64_t words = mfq_round_up(SCRATCH_SLOTS + p->scales * (STAT_SLOT_WORDS + 2), 2);
  uint8_t *scratch = mfq_cuda_state_of(context)->scratch;
  if (words * 4 + slots * (int64_t)sizeof(gradient_slot) > MFQ_CUDA_SCRATCH_BYTES)
    return mfq_refuse(why, "more segments of 4096 elements than scratch memory has room for");
  p->totals = (gradient_slot *)(void *)(scratch + words * 4);
  p->partials = p->totals + p->scales;
  if (is_measured(p)) p->statistics = (const uint32_t *)(const void *)scratch + SCRATCH_SLOTS;
  return MFQ_OK;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  gradient_boxes_params *p;
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  mfq_choice_describe(choice, "16 elements of a scale a thread");
  if (status == MFQ_OK) status = plan_boxes(cast, cast->view, p, why);
  if (status != MFQ_OK) return status;
  const int is_long = p->segments.value > 1, is_aligned = p->how.is_aligned;
  const mfq_qview view = view_of(context, cast, is_long);
  const quantize_call call = {context, cast->src, &view, is_long, cast->dst, 0, 1};
  status = mfq_cuda_direction(&call, 1, 1, &p->to, why);
  if (status == MFQ_OK) status = mfq_cuda_gradient_how(cast, &p->to.how, is_aligned, &p->how, why);
  if (p->to.how.scheme.is_brevitas && view.q.scheme.granularity == MFQ_GRANULARITY_GROUP)
    p->pads_to = view.q.scheme.group_size;
  if (status != MFQ_OK || !is_long) return status;
  if (is_measured(p) && p->to.how.scheme.scale == MFQN_SCALE_UE4M3)
    return mfq_refuse(why, "tensor scales of scales of more than %d elements", (int)BOXES_SEGMENT);
  return plan_segments(context, p, why);
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

static mfq_status launch(mfq_context *context, const mfq_cast *cast, const gradient_boxes_params *p, int has_sums) {
  const int64_t units = p->scales * (int64_t)p->segments.value;
  const int64_t blocks = mfq_ceil_div(units << p->team_log2, BOXES_THREADS);
  const mfq_launch at = {cast->function, dim3((unsigned)blocks), BOXES_THREADS, 0};
  static void (*const kernels[][2])(gradient_boxes_params) = {
      {gradient_boxes_kernel<ELEMENT_F32, 0>, gradient_boxes_kernel<ELEMENT_F32, 1>},
      {gradient_boxes_kernel<ELEMENT_BF16, 0>, gradient_boxes_kernel<ELEMENT_BF16, 1>},
      {gradient_boxes_kernel<ELEMENT_F16, 0>, gradient_boxes_kernel<ELEMENT_F16, 1>}};
  return mfq_cuda_launch(context, at, kernels[cast->src->dtype - MFQ_DTYPE_F32][has_sums], *p);
}

static mfq_status collect(mfq_context *context, const mfq_cast *cast, const void *plan, uint32_t *absmax) {
  gradient_boxes_params p = *(const gradient_boxes_params *)plan;
  p.to.absmax = absmax;
  return launch(context, cast, &p, 0);
}

/* Statistics and scales of several segments, if they are measured. */
static mfq_status measure(mfq_context *context, const mfq_cast *cast) {
  const mfq_qview view = mfq_cuda_scratch_view(context, cast);
  rows_reduction reduction = {};
  const quantize_call known = {context, cast->src, &view, 1, cast->dst, 0};
  if (mfq_cuda_reduction_plan(&known, &reduction, NULL) == MFQ_OK)
    return mfq_cuda_scratch_scales(context, cast, &reduction);
  mfqn_scheme s;
  statistics from;
  mfq_lower(&view.q.scheme, &s);
  const mfq_scale_job job = {context, cast->function, &view, &s};
  const mfq_status status = mfq_cuda_measure(&job, cast->src, &from);
  return status == MFQ_OK ? mfq_cuda_scales_finish(&job, &from) : status;
}

static mfq_status run_segments(mfq_context *context, const mfq_cast *cast, const gradient_boxes_params *plan) {
  gradient_boxes_params p = *plan;
  const int sums = mfq_cuda_gradient_has_sums(cast->gradient);
  mfq_status status = is_measured(&p) ? measure(context, cast) : MFQ_OK;
  p.phase = BOXES_SUMS;
  if (status == MFQ_OK) status = launch(context, cast, &p, sums);
  if (status != MFQ_OK || !sums) return status;
  const mfq_launch at = {cast->function, dim3((unsigned)p.scales), BOXES_THREADS, 0};
  status = mfq_cuda_launch(context, at, gradient_segments_kernel, p);
  p.phase = BOXES_APPLY;
  return status == MFQ_OK && p.how.through_scale ? launch(context, cast, &p, sums) : status;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const gradient_boxes_params *p = (const gradient_boxes_params *)state;
  if (p->segments.value > 1) return run_segments(context, cast, p);
  const mfq_qview view = view_of(context, cast, 0);
  const mfq_status status = mfq_cuda_prepare_scales(context, cast, &view, p, collect);
  return status == MFQ_OK ? launch(context, cast, p, mfq_cuda_gradient_has_sums(cast->gradient)) : status;
}

const mfq_way mfq_cuda_gradient_boxes = {"boxes", plan, run, NULL};
