/* host/cpu/cast/search_hqo.c: half-quadratic scales or zero points of integers, as Brevitas' HQO finds them.
 *
 * All scales take a step together (num/half_quadratic.h). The steps end when the sum of the magnitudes of all errors does
 * not fall any more, and the best candidates are kept. Magnitudes are summed by the tree within a scale, then over scales. */
#include <string.h>

#include <mfq/num/half_quadratic.h>
#include <mfq/num/observed.h>

#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "host/cpu/cpu_state.h"
#include "boxes.h"
#include "elements.h"
#include "search_cpu.h"
#include "select.h"

typedef struct hqo_job {
  const mfq_cast *cast;
  mfqn_scheme scheme;
  mfq_boxes boxes;
  int32_t steps, threads, is_zero_point;
  float softness; /* 1 / beta, which falls from step to step */
  float tensor_scale;
  mfqn_statistic *statistics;
  uint32_t *now, *next, *best; /* what stands for the statistic of each scale, or for its low end */
  float *errors;               /* sums of magnitudes, scale by scale */
  uint32_t *quotients;         /* keys of one scale's, room of each thread */
} hqo_job;

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* The lower median of `n` > 0 numbers by their keys, which are lost. */
static float lower_median(uint32_t *keys, int64_t n) {
  return mfqn_float_of(mfqn_rank_value(mfq_select_key(keys, n, (n + 1) / 2), 1));
}

static mfqn_group group_of(const hqo_job *job, int64_t index, uint32_t candidate, int is_final) {
  const mfqn_statistic *statistic = &job->statistics[index];
  return job->is_zero_point ? mfqn_hqo_zero_group(&job->scheme, statistic, candidate, job->tensor_scale, is_final)
                            : mfqn_candidate_group(&job->scheme, statistic, candidate, job->tensor_scale);
}

/* What the terms of a scale come to. */
typedef struct hqo_sums {
  mfqn_tree errors, values;
  int64_t count;       /* terms that count */
  uint32_t *quotients; /* of scales: their keys */
} hqo_sums;

static void add_element(const hqo_job *job, const mfqn_group *g, uint32_t u, hqo_sums *sums) {
  const mfqn_hqo_term term = job->is_zero_point ? mfqn_hqo_zero_term(&job->scheme, g, u, job->softness)
                                                : mfqn_hqo_scale_term(&job->scheme, g, u, job->softness);
  mfqn_tree_add(&sums->errors, term.error);
  if (job->is_zero_point)
    mfqn_tree_add(&sums->values, term.value);
  else if (term.counts)
    sums->quotients[sums->count] = mfqn_rank_key(mfqn_bits(term.value), 1);
  sums->count += term.counts;
}

/* How many zeros Brevitas' short groups have behind their elements; they count for zero points. */
static int64_t padding_of(const hqo_job *job, const mfq_box *box) {
  const mfq_scheme *scheme = &job->cast->view->q.scheme;
  const int pads = job->is_zero_point && job->scheme.is_brevitas && scheme->granularity == MFQ_GRANULARITY_GROUP;
  return pads ? scheme->group_size - box->count : 0;
}

/* The errors of a scale, and from its elements the next candidate. */
static void step_scale(const hqo_job *job, int64_t index, uint32_t *quotients) {
  const mfqn_scheme *s = &job->scheme;
  const mfq_tensor *src = job->cast->src;
  const mfq_box box = mfq_box_at(&job->boxes, index);
  job->next[index] = job->now[index];
  job->errors[index] = 0.0f;
  if (!mfqn_is_searched(mfqn_statistic_value(&job->statistics[index], s))) return;
  const mfqn_group g = group_of(job, index, job->now[index], 0);
  hqo_sums sums = {.count = 0, .quotients = quotients};
  for (int64_t i = 0; i < box.count;) {
    const mfq_box_run run = mfq_box_run_at(&job->boxes, &box, i, box.count);
    for (int64_t j = 0; j < run.count; ++j)
      add_element(job, &g, mfq_element_load(src->data, src->dtype, run.at[0] + j * run.step[0]), &sums);
    i += run.count;
  }
  for (int64_t i = padding_of(job, &box); i > 0; --i) add_element(job, &g, 0, &sums);
  job->errors[index] = mfqn_tree_sum(&sums.errors);
  if (job->is_zero_point)
    job->next[index] = mfqn_hqo_next_low(job->now[index], mfqn_tree_sum(&sums.values), sums.count);
  else if (sums.count > 0)
    job->next[index] = mfqn_hqo_next_scale(s, job->now[index], lower_median(quotients, sums.count));
}

static void step_scales(void *work, int thread, int64_t first, int64_t end) {
  const hqo_job *job = work;
  for (int64_t index = first; index < end; ++index)
    step_scale(job, index, job->quotients + (int64_t)thread * job->boxes.largest);
}

static float error_of(const hqo_job *job) {
  mfqn_tree tree = {.count = 0};
  for (int64_t i = 0; i < job->boxes.scales; ++i) mfqn_tree_add(&tree, job->errors[i]);
  return mfqn_tree_sum(&tree);
}

static void find_scales(hqo_job *job) {
  const size_t bytes = (size_t)job->boxes.scales * sizeof *job->now;
  double beta = job->is_zero_point ? 1.0 : 1e5;
  float least = mfqn_float_of(MFQN_INF);
  for (int64_t i = 0; i < job->boxes.scales; ++i)
    job->best[i] = job->now[i] = job->is_zero_point ? mfqn_hqo_first_low(&job->statistics[i])
                                                    : mfqn_statistic_value(&job->statistics[i], &job->scheme);
  for (int32_t k = 0; k < job->steps; ++k, beta *= 1.01) {
    job->softness = (float)(1.0 / beta);
    mfq_team_run((mfq_loop){job->threads, job->boxes.scales, 0}, step_scales, job);
    const float error = error_of(job);
    if (!(error < least)) return;
    least = error;
    memcpy(job->best, job->now, bytes);
    memcpy(job->now, job->next, bytes);
  }
}

static void put_scales(const hqo_job *job) {
  const mfqn_scheme *s = &job->scheme;
  for (int64_t i = 0; i < job->boxes.scales; ++i) {
    const mfqn_statistic *statistic = &job->statistics[i];
    const mfqn_group g = mfqn_is_searched(mfqn_statistic_value(statistic, s))
                             ? group_of(job, i, job->best[i], 1)
                             : mfqn_group_make(s, statistic, job->tensor_scale);
    mfq_scale_put(job->cast->view, i, g.stored);
    mfq_zero_point_put(job->cast->view, s, i, g.zero_point);
  }
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

static hqo_job job_of(const mfq_context *context, const mfq_cast *cast) {
  hqo_job job = {.cast = cast,
                 .steps = cast->candidates->steps,
                 .threads = (int32_t)context->threads,
                 .is_zero_point = cast->candidates->kind == MFQ_CANDIDATES_HALF_QUADRATIC_ZERO};
  const mfq_tensor *tensors[MFQ_BOX_TENSORS] = {cast->src, NULL, NULL};
  mfq_lower(&cast->view->q.scheme, &job.scheme);
  mfq_boxes_init(cast->view, tensors, &job.boxes);
  return job;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (!mfq_is_half_quadratic(cast->candidates)) return mfq_refuse(why, "%s", "");
  const hqo_job job = job_of(context, cast);
  const size_t each = sizeof(mfqn_statistic) + 4 * sizeof(float), scales = (size_t)job.boxes.scales;
  const size_t quotients = mfq_size_times((size_t)job.boxes.largest, (size_t)job.threads * sizeof *job.quotients);
  choice->workspace_bytes = mfq_size_plus(mfq_size_times(scales, each), quotients);
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const mfq_qview *view = cast->view;
  hqo_job job = job_of(context, cast);
  const int64_t scales = job.boxes.scales;
  (void)state;
  job.statistics = (mfqn_statistic *)(void *)memory;
  job.now = (uint32_t *)(void *)(job.statistics + scales);
  job.next = job.now + scales;
  job.best = job.next + scales;
  job.errors = (float *)(void *)(job.best + scales);
  job.quotients = (uint32_t *)(void *)(job.errors + scales);
  job.tensor_scale = mfq_measure_ref(view, &job.scheme, cast->src, job.statistics);
  if (mfqn_has_tensor_scale(job.scheme.scale)) memcpy(view->q.tensor_scale, &job.tensor_scale, sizeof job.tensor_scale);
  mfq_scales_clear_padding(view);
  find_scales(&job);
  put_scales(&job);
  if (view->q.codes && view->sizes.codes_bytes) mfq_codes_ref(context, cast->src, view, &job.scheme);
  return MFQ_OK;
}

const mfq_way mfq_search_hqo = {"half-quadratic", plan, run, NULL};
