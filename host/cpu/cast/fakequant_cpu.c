/* host/cpu/cast/fakequant_cpu.c: quantize and dequantize in one step; into bf16 by kernels, else element by element. */
#include <string.h>

#include <mfq/num/random.h>

#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cpu_state.h"
#include "elements.h"
#include "round_values.h"

typedef struct fake_job {
  const mfq_context *context;
  const mfq_tensor *src, *dst;
  const mfq_qview *view;
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
    mfq_element_store_limited(job->dst->data, job->dst->dtype, to.offset + j * job->to.offset_stride[last],
                              mfqn_fake(s, &job->groups[mfq_walk_scale(&job->from, from, j)], u, random));
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
  mfq_choice_describe(choice, "vector loops (%s)", mfq_cpu_kernels(context)->isa);
  return MFQ_OK;
}

static mfq_status run_values(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  (void)memory;
  mfq_round_values_run(context, state, cast->src->data, cast->dst->data);
  return MFQ_OK;
}

static size_t count_of(const mfq_cast *cast) { return (size_t)cast->view->sizes.scale_count; }

static mfq_status plan_elements(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  choice->workspace_bytes = mfq_size_times(count_of(problem), sizeof(mfqn_group) + sizeof(mfqn_statistic));
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run_elements(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  fake_job job = {.context = context, .src = cast->src, .dst = cast->dst, .view = cast->view};
  (void)state;
  mfq_lower(&cast->view->q.scheme, &job.scheme);
  mfq_walk_init(cast->view, cast->src->strides, &job.from);
  mfq_walk_init(cast->view, cast->dst->strides, &job.to);
  job.groups = (mfqn_group *)(void *)memory;
  make_groups(&job, (mfqn_statistic *)(void *)(memory + count_of(cast) * sizeof(mfqn_group)));
  mfq_team_run((mfq_loop){context->threads, job.from.rows, 0}, fake_rows, &job);
  if (cast->scales) store_scales(&job, cast->scales);
  return MFQ_OK;
}

static const mfq_way by_values = {"rounding", plan_values, run_values, NULL};
static const mfq_way by_elements = {"reference", plan_elements, run_elements, NULL};

const mfq_ways mfq_cpu_fake_quantizations = {.create = "mfq_fake_quantize", .ways = {&by_values, &by_elements}};
