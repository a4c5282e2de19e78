/* cuda/optimizer/optimizer_sums.cu: what comes before an optimizer's updates. */
#include "cuda/index_plans.h"
#include "optimizer_cuda.h"
#include "optimizer_sums_kernel.cuh"

static dim3 runs_of(int64_t count) { return dim3((unsigned)mfq_sums_of(count)); }

static mfq_status run_squares(mfq_context *context, const mfq_cast *cast) {
  squares_params p = {};
  p.x = mfq_cuda_element_view(cast->src);
  p.count = cast->src->shape[0];
  p.sums = cast->optimizing->sums;
  const mfq_launch at = {cast->function, runs_of(p.count), SQUARES_THREADS, 0};
  return mfq_cuda_launch(context, at, squares_kernel, p);
}

static mfq_status run_decision(mfq_context *context, const mfq_cast *cast) {
  const mfq_optimizing *o = cast->optimizing;
  sums_params p = {o->sums, o->sums + o->sum_count, o->sum_count, o->state, o->groups, o->group_count, o->kind};
  mfq_status status = MFQ_OK;
  for (; p.count > MFQN_SQUARES_RUN && status == MFQ_OK;) {
    const mfq_launch at = {cast->function, runs_of(p.count), SQUARES_THREADS, 0};
    status = mfq_cuda_launch(context, at, sums_kernel, p);
    p.sums = p.upper;
    p.count = mfq_sums_of(p.count);
    p.upper += p.count;
  }
  const mfq_launch at = {cast->function, dim3(1), SQUARES_THREADS, 0};
  return status == MFQ_OK ? mfq_cuda_launch(context, at, decide_kernel, p) : status;
}

static mfq_status run_settings(mfq_context *context, const mfq_cast *cast) {
  const mfq_optimizing *o = cast->optimizing;
  settings_params p = {};
  p.state = o->state;
  p.group = o->given ? o->groups + o->group : NULL;
  if (o->given) p.given = *o->given;
  p.gradient_scale = o->gradient_scale;
  const mfq_launch at = {cast->function, dim3(1), 1, 0};
  return mfq_cuda_launch(context, at, settings_kernel, p);
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  if (!mfq_cuda_is_part_of_step(cast)) return mfq_refuse(why, "%s", "");
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  switch (cast->optimizing->part) {
    case MFQ_OPTIMIZING_SQUARES: return run_squares(context, cast);
    case MFQ_OPTIMIZING_DECIDE: return run_decision(context, cast);
    default: return run_settings(context, cast);
  }
}

const mfq_way mfq_cuda_optimizer_sums = {"", plan, run, NULL};
