/* host/cpu/cast/fakequant_cpu.c: quantize and dequantize in one step: by panels that stay in the cache, or element by
 * element. */
#include <string.h>

#include <mfq/num/gradient.h>
#include <mfq/num/random.h>

#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cpu_state.h"
#include "eden_cpu.h"
#include "elements.h"
#include "masks.h"
#include "rotate_cpu.h"
#include "round_values.h"
#include "stream_copy.h"

typedef struct fake_job {
  const mfq_context *context;
  const mfq_tensor *src, *dst;
  const mfq_qview *view;
  uint8_t *mask; /* NULL: none is wanted */
  mfqn_scheme scheme;
  mfq_walk from, to;
  mfqn_group *groups;
} fake_job;

static void fake_row(const fake_job *job, int64_t r) {
  const mfqn_scheme *s = &job->scheme;
  const int32_t last = job->from.rank - 1;
  const mfq_walk_row from = mfq_walk_at(&job->from, r), to = mfq_walk_at(&job->to, r);
  for (int64_t j = 0; j < job->from.length; ++j) {
    const uint32_t u =
        mfq_element_load(job->src->data, job->src->dtype, from.offset + j * job->from.offset_stride[last]);
    const uint64_t index = (uint64_t)(from.logical + j * job->from.logical_stride[last]);
    const uint32_t random =
        s->rounding == MFQN_ROUND_STOCHASTIC ? mfqn_random(job->context->seed, job->context->offset, index) : 0;
    const mfqn_group *g = &job->groups[mfq_walk_scale(&job->from, from, j)];
    if (job->mask && mfqn_element_passage(s, g, u, random).passes) mfq_mask_set(job->mask, index);
    mfq_element_store_limited(job->dst->data, job->dst->dtype, to.offset + j * job->to.offset_stride[last],
                              mfqn_fake(s, g, u, random));
  }
}

static void fake_rows(void *work, int thread, int64_t first, int64_t end) {
  (void)thread;
  for (int64_t r = first; r < end; ++r) fake_row(work, r);
}

static void store_scales(const fake_job *job, const mfq_tensor *scales) {
  for (int64_t i = 0; i < job->view->sizes.scale_count; ++i)
    mfq_element_store_limited(scales->data, scales->dtype, mfq_offset_of(scales, i),
                              mfqn_whole_scale(&job->scheme, &job->groups[i]));
}

/* From the elements, or from the scales that the caller gave. */
static void make_groups(const fake_job *job, mfqn_statistic *statistics) {
  const mfq_qview *view = job->view;
  const int64_t count = view->sizes.scale_count;
  if (view->q.scheme.rule == MFQ_RULE_GIVEN) {
    for (int64_t i = 0; i < count; ++i) job->groups[i] = mfq_group_stored(view, &job->scheme, i);
    return;
  }
  const float tensor_scale = mfq_measure_ref(view, &job->scheme, job->src, statistics);
  for (int64_t i = 0; i < count; ++i) job->groups[i] = mfqn_group_make(&job->scheme, &statistics[i], tensor_scale);
  if (job->scheme.eden) mfq_eden_correct(job->context, view, &job->scheme, job->src, job->groups);
}

/* ---- The ways ---------------------------------------------------------------------------------------------------- */

_Static_assert(sizeof(mfq_round_values) <= MFQ_CAST_STATE, "the plan finds room");

static mfq_status plan_values(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const mfq_tensor *src = cast->src, *dst = cast->dst;
  if (cast->scales) return mfq_refuse(why, "scales are wanted");
  if (dst->dtype != MFQ_DTYPE_BF16) return mfq_refuse(why, "the result is %s, not bf16", mfq_dtype_name(dst->dtype));
  if (dst->data == src->data) return mfq_refuse(why, "the result replaces its source");
  const mfq_status status = mfq_choice_state(context, cast->function, sizeof(mfq_round_values), choice);
  if (status != MFQ_OK) return status;
  if (!mfq_round_values_make(context, src, cast->view, dst->strides, choice->state))
    return mfq_refuse(why, "the loops hold for ties to even and measured powers of two for groups");
  if (cast->mask && !mfq_round_values_mask(choice->state, cast->mask))
    return mfq_refuse(why, "a mask is wanted, whose bits are not in the order of the loops");
  mfq_choice_describe(choice, "vector loops (%s)", mfq_cpu_kernels(context)->isa);
  return MFQ_OK;
}

static mfq_status run_values(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  (void)memory;
  mfq_round_values_run(context, state, cast->src->data, cast->dst->data);
  return MFQ_OK;
}

/* ---- Panels ------------------------------------------------------------------------------------------------------ */

/* What there is behind the panels' own memory: what a mask needs; scales and zero points that are kept until all panels are
 * done. */
typedef struct kept_parts {
  size_t panels, mask, scales, zero_points;
} kept_parts;

static kept_parts kept_of(const mfq_panels *p, const mfq_cast *cast) {
  kept_parts kept = {.panels = mfq_size_plus(mfq_panels_scratch_all(p), mfq_panels_shared_bytes(p))};
  if (cast->mask) kept.mask = mfq_whole_lines(mfq_mask_job_bytes(p));
  if (!mfqn_is_measured(&p->scheme) || !(p->shared || cast->scales)) return kept;
  kept.scales = mfq_whole_lines(cast->view->sizes.scales_bytes);
  kept.zero_points = mfq_whole_lines(cast->view->sizes.zero_points_bytes);
  return kept;
}

static mfq_status plan_panels(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(mfq_panels), choice);
  mfq_panels *p = choice->state;
  if (status != MFQ_OK) return status;
  p->other = cast->dst;
  p->may_join = 1;
  status = mfq_panels_plan(context, cast->src, cast->view, MFQ_PANELS_FAKE, p, why);
  if (status != MFQ_OK) return status;
  const kept_parts kept = kept_of(p, cast);
  choice->workspace_bytes =
      mfq_size_plus(mfq_size_plus(kept.panels, kept.mask), mfq_size_plus(kept.scales, kept.zero_points));
  mfq_choice_describe(choice, "vector loops (%s)", p->kernels->isa);
  return MFQ_OK;
}

typedef struct panels_work {
  mfq_panels from, to;
  uint8_t *memory;
  const mfq_tensor *scales;
  mfq_mask_job *mask; /* NULL: none is wanted */
} panels_work;

static void fake_panels(void *work, int thread, int64_t first, int64_t end) {
  const panels_work *w = work;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(&w->from, w->memory, thread);
  if (w->mask) scratch->mask = &w->mask->threads[thread];
  for (int64_t k = first; k < end; ++k) mfq_panel_fake(&w->from, &w->to, k, scratch);
  mfq_stream_fence();
}

static void put_scales(void *work, int thread, int64_t first, int64_t end) {
  const panels_work *w = work;
  const mfq_panels *p = &w->from;
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    const mfqn_group g = mfqn_group_load(&p->scheme, mfq_scale_get(p->view, i), p->tensor_scale);
    mfq_element_store(w->scales->data, w->scales->dtype, mfq_offset_of(w->scales, i), mfqn_whole_scale(&p->scheme, &g));
  }
}

static mfq_status run_panels(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  enum { PANELS = 8, SCALES = 4096 }; /* that a thread takes at a time */
  const mfq_cast *cast = problem;
  panels_work work = {*(const mfq_panels *)state, *(const mfq_panels *)state, memory, cast->scales, NULL};
  const kept_parts kept = kept_of(&work.from, cast);
  mfq_qview view = *cast->view;
  float tensor_scale;
  work.from.seed = (mfq_seed){context->seed, context->offset};
  view.q.tensor_scale = mfqn_is_measured(&work.from.scheme) ? &tensor_scale : view.q.tensor_scale;
  uint8_t *scales = memory + kept.panels + kept.mask;
  if (kept.scales) view.q.scales = scales;
  if (kept.zero_points) view.q.zero_points = scales + kept.scales;
  work.from.view = &view;
  mfq_panels_measure_shared(&work.from, memory);
  if (kept.mask) work.mask = (mfq_mask_job *)(void *)(memory + kept.panels);
  if (kept.mask) mfq_mask_start(&work.from, memory, cast->mask, work.mask);
  work.to.tensor = work.to.other;
  memcpy(work.to.stride, work.to.other_stride, sizeof work.to.stride);
  const int threads = work.from.threads;
  mfq_team_run((mfq_loop){threads, work.from.count, PANELS}, fake_panels, &work);
  if (cast->scales) mfq_team_run((mfq_loop){threads, view.sizes.scale_count, SCALES}, put_scales, &work);
  return MFQ_OK;
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

static size_t count_of(const mfq_cast *cast) { return (size_t)cast->view->sizes.scale_count; }

static mfq_status plan_elements(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  choice->workspace_bytes = mfq_size_times(count_of(problem), sizeof(mfqn_group) + sizeof(mfqn_statistic));
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run_elements(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  fake_job job = {.context = context, .src = cast->src, .dst = cast->dst, .view = cast->view, .mask = cast->mask};
  (void)state;
  mfq_lower(&cast->view->q.scheme, &job.scheme);
  mfq_walk_init(cast->view, cast->src->strides, &job.from);
  mfq_walk_init(cast->view, cast->dst->strides, &job.to);
  job.groups = (mfqn_group *)(void *)memory;
  make_groups(&job, (mfqn_statistic *)(void *)(memory + count_of(cast) * sizeof(mfqn_group)));
  if (cast->mask) mfq_mask_clear(cast->view, cast->mask);
  mfq_team_run((mfq_loop){context->threads, job.from.rows, 0}, fake_rows, &job);
  if (cast->scales) store_scales(&job, cast->scales);
  return MFQ_OK;
}

static const mfq_way by_values = {"rounding", plan_values, run_values, NULL};
static const mfq_way by_panels = {"panels", plan_panels, run_panels, NULL};
static const mfq_way by_elements = {"reference", plan_elements, run_elements, NULL};

const mfq_ways mfq_cpu_fake_quantizations = {.create = "mfq_fake_quantize",
                                             .ways = {&by_values, &by_panels, &mfq_rotated_copies, &by_elements}};
