/* host/cpu/cast/search_hqo.c: half-quadratic scales of integers, as Brevitas' HQO finds them.
 *
 * All scales take a step together: of each, the elements less their shrunken errors are divided by their integers, and the
 * lower median of the quotients is the next scale. The steps end when the mean magnitude of all errors does not fall any
 * more, and the best ones are kept. Magnitudes are summed by the tree within a scale, then over scales. */
#include <string.h>

#include <mfq/num/candidate.h>
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
  int32_t steps, threads;
  float softness; /* 1 / beta, which falls from step to step */
  float tensor_scale;
  mfqn_statistic *statistics;
  uint32_t *now, *next, *best; /* what stands for the statistic of each scale */
  float *errors;               /* sums of magnitudes, scale by scale */
  uint32_t *quotients;         /* keys of one scale's, room of each thread */
} hqo_job;

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

/* z to the power -0.3, for finite z > 0, by series in double, whose bits are the same everywhere. */
static float inverse_power(float z) {
  static const double ln2 = 0x1.62e42fefa39efp-1;
  const uint32_t bits = mfqn_bits(z), up = (uint32_t)mfqn_subnormal_shift(bits);
  int32_t exp2 = mfqn_max((int32_t)(bits >> 23), 1) - (int32_t)up - 127;
  double m = (double)mfqn_float_of(0x3f800000u | ((bits << up) & 0x7fffffu));
  exp2 += m > 1.5;
  m = m > 1.5 ? m / 2 : m;
  const double t = (m - 1) / (m + 1);
  double log = 0;
  for (int k = 15; k > 0; k -= 2) log = log * t * t + 2.0 / k;
  const double power = -0.3 * (exp2 * ln2 + log * t), whole = (double)(int64_t)(power / ln2);
  double exp = 1;
  for (int k = 14; k > 0; --k) exp = 1 + exp * (power - whole * ln2) / k;
  const uint32_t scale = mfqn_pow2((int32_t)whole);
  return (float)(exp * (double)mfqn_float_of(scale));
}

/* What is left of an error: sign(z) * max(0, |z| - |z|^(p - 1) / beta), p = 0.7. */
static float shrunk(float z, float softness) {
  const float magnitude = mfqn_float_of(mfqn_bits(z) & MFQN_ABS);
  if (magnitude == 0.0f) return 0.0f;
  const float left = mfqn_sub(magnitude, mfqn_mul(softness, inverse_power(magnitude)));
  return left > 0.0f ? mfqn_float_of(mfqn_bits(left) | (mfqn_bits(z) & 0x80000000u)) : 0.0f;
}

/* The lower median of `n` > 0 numbers by their keys, which are lost. */
static float lower_median(uint32_t *keys, int64_t n) {
  return mfqn_float_of(mfqn_rank_value(mfq_select_key(keys, n, (n + 1) / 2), 1));
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* An element as a number of the format, less the zero point. */
static float number_of(const mfqn_scheme *s, const mfqn_group *g, uint32_t u) {
  if (s->is_brevitas || s->zero_is_float) return mfqn_sub(mfqn_brevitas_element(s, g, u), mfqn_zero_point_value(s, g));
  const int32_t integer = mfqn_integer_value(mfqn_encode(s, g, u, 0), &s->integer);
  return mfqn_float_of(mfqn_integer_scaled(integer - g->zero_point, &s->integer, 0));
}

/* The errors of a scale, and from its elements the next one. */
static void step_scale(const hqo_job *job, int64_t index, uint32_t *quotients) {
  const mfqn_scheme *s = &job->scheme;
  const mfq_tensor *src = job->cast->src;
  const mfq_box box = mfq_box_at(&job->boxes, index);
  const mfqn_statistic *statistic = &job->statistics[index];
  job->next[index] = job->now[index];
  job->errors[index] = 0.0f;
  if (!mfqn_is_searched(mfqn_statistic_value(statistic, s))) return;
  const mfqn_group g = mfqn_candidate_group(s, statistic, job->now[index], job->tensor_scale);
  mfqn_tree tree = {.count = 0};
  int64_t count = 0;
  for (int64_t i = 0; i < box.count;) {
    const mfq_box_run run = mfq_box_run_at(&job->boxes, &box, i, box.count);
    for (int64_t j = 0; j < run.count; ++j) {
      const uint32_t u = mfq_element_load(src->data, src->dtype, run.at[0] + j * run.step[0]);
      const float x = mfqn_float_of(u), error = mfqn_sub(x, mfqn_float_of(mfqn_fake(s, &g, u, 0)));
      const float kept = mfqn_sub(x, shrunk(error, job->softness)), number = number_of(s, &g, u);
      mfqn_tree_add(&tree, mfqn_float_of(mfqn_bits(error) & MFQN_ABS));
      if (kept != 0.0f && number != 0.0f) quotients[count++] = mfqn_rank_key(mfqn_bits(mfqn_div(kept, number)), 1);
    }
    i += run.count;
  }
  job->errors[index] = mfqn_tree_sum(&tree);
  if (count == 0) return;
  const uint32_t median = mfqn_bits(mfqn_mul(lower_median(quotients, count), s->threshold));
  if (mfqn_is_searched(median)) job->next[index] = mfqn_umax(median, s->statistic_min);
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
  float least = mfqn_float_of(MFQN_INF);
  for (int64_t i = 0; i < job->boxes.scales; ++i)
    job->best[i] = job->now[i] = mfqn_statistic_value(&job->statistics[i], &job->scheme);
  for (int32_t k = 0; k < job->steps; ++k) {
    mfq_team_run((mfq_loop){job->threads, job->boxes.scales, 0}, step_scales, job);
    const float error = error_of(job);
    if (!(error < least)) return;
    least = error;
    memcpy(job->best, job->now, bytes);
    memcpy(job->now, job->next, bytes);
    job->softness = mfqn_div(job->softness, 1.01f);
  }
}

static void put_scales(const hqo_job *job) {
  const mfqn_scheme *s = &job->scheme;
  for (int64_t i = 0; i < job->boxes.scales; ++i) {
    const mfqn_statistic *statistic = &job->statistics[i];
    const mfqn_group g = mfqn_is_searched(mfqn_statistic_value(statistic, s))
                             ? mfqn_candidate_group(s, statistic, job->best[i], job->tensor_scale)
                             : mfqn_group_make(s, statistic, job->tensor_scale);
    mfq_scale_put(job->cast->view, i, g.stored);
    mfq_zero_point_put(job->cast->view, s, i, g.zero_point);
  }
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

static hqo_job job_of(const mfq_context *context, const mfq_cast *cast) {
  hqo_job job = {
      .cast = cast, .steps = cast->candidates->steps, .threads = (int32_t)context->threads, .softness = 1e-5f};
  const mfq_tensor *tensors[MFQ_BOX_TENSORS] = {cast->src, NULL, NULL};
  mfq_lower(&cast->view->q.scheme, &job.scheme);
  mfq_boxes_init(cast->view, tensors, &job.boxes);
  return job;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (!cast->candidates || cast->candidates->kind != MFQ_CANDIDATES_HALF_QUADRATIC) return mfq_refuse(why, "%s", "");
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
