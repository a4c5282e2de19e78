/* host/cpu/cast/optimize_sums.c: what comes before an optimizer's updates: sums of squares of gradients, what a step decides
 * of them, and settings. */
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "elements.h"
#include "indices.h"
#include "optimize_cpu.h"

enum { RUNS_AT_A_TIME = 64 };

/* ---- Squares ----------------------------------------------------------------------------------------------------- */

typedef struct squares_work {
  const mfq_tensor *x;
  const mfq_kernels *kernels; /* NULL: element by element */
  double *sums;
} squares_work;

static double sum_elements(const mfq_tensor *x, int64_t first, int64_t n) {
  double t[MFQN_SQUARES_RUN];
  for (int64_t i = 0; i < MFQN_SQUARES_RUN; ++i)
    t[i] = i < n ? mfqn_square(mfq_element_load(x->data, x->dtype, first + i)) : 0.0;
  return mfqn_squares_sum(t);
}

static void sum_runs(void *work, int thread, int64_t first, int64_t end) {
  const squares_work *w = work;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(w->x->dtype);
  (void)thread;
  for (int64_t k = first; k < end; ++k) {
    const int64_t at = k * MFQN_SQUARES_RUN, n = mfq_smaller(MFQN_SQUARES_RUN, w->x->shape[0] - at);
    const mfq_source run = {(const uint8_t *)w->x->data + at * bytes, w->x->dtype};
    w->sums[k] = w->kernels ? w->kernels->squares(run, n) : sum_elements(w->x, at, n);
  }
}

static void run_squares(const mfq_context *context, const mfq_cast *cast) {
  const squares_work w = {cast->src, mfq_cpu_kernels(context), cast->optimizing->sums};
  const int64_t count = cast->src->shape[0];
  mfq_team_run((mfq_loop){mfq_row_threads(context, count), mfq_sums_of(count), RUNS_AT_A_TIME}, sum_runs, (void *)&w);
}

/* ---- The sum of all ---------------------------------------------------------------------------------------------- */

static double sum_sums(const double *sums, int64_t n) {
  double t[MFQN_SQUARES_RUN];
  for (int64_t i = 0; i < MFQN_SQUARES_RUN; ++i) t[i] = i < n ? sums[i] : 0.0;
  return mfqn_squares_sum(t);
}

static double sum_all(double *sums, int64_t count) {
  while (count > MFQN_SQUARES_RUN) {
    double *upper = sums + count;
    const int64_t runs = mfq_sums_of(count);
    for (int64_t k = 0; k < runs; ++k)
      upper[k] = sum_sums(sums + k * MFQN_SQUARES_RUN, mfq_smaller(MFQN_SQUARES_RUN, count - k * MFQN_SQUARES_RUN));
    sums = upper;
    count = runs;
  }
  return sum_sums(sums, count);
}

static void decide(const mfq_optimizing *o) {
  mfqn_optimizer_begin(o->state, sum_all(o->sums, o->sum_count));
  for (int32_t i = 0; i < o->group_count && !o->state->skips; ++i)
    mfqn_optimizer_group_begin(o->state, o->kind, &o->groups[i]);
}

static void set(const mfq_optimizing *o) {
  if (o->given)
    mfq_optimizer_group_set(&o->groups[o->group], o->given);
  else
    o->state->gradient_scale = o->gradient_scale;
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  if (!mfq_is_part_of_step(problem)) return mfq_refuse(why, "%s", "");
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  (void)state;
  (void)memory;
  switch (cast->optimizing->part) {
    case MFQ_OPTIMIZING_SQUARES: run_squares(context, cast); break;
    case MFQ_OPTIMIZING_DECIDE: decide(cast->optimizing); break;
    default: set(cast->optimizing);
  }
  return MFQ_OK;
}

const mfq_way mfq_optimize_sums = {"", plan, run, NULL};
