/* host/cpu/cast/observe_chunks.c: any statistic by vector loops over chunks of a scale's elements. Many scales: each is one
 * thread's. Few: threads share out the chunks of one scale after the other. */
#include "observe_chunks.h"

#include "host/core/check/sizes.h"

/* ---- Extremes ---------------------------------------------------------------------------------------------------- */

static mfqn_statistic measure(const mfq_chunk_job *job, const uint32_t *x, int64_t n, int minmax,
                              mfq_chunk_scratch *scratch) {
  scratch->stats.absmax[0] = 0;
  scratch->stats.lo[0] = INT32_MAX;
  scratch->stats.hi[0] = INT32_MIN;
  job->kernels->measure(x, (mfq_stretch){n, n, 0}, minmax, &scratch->stats);
  return mfq_stats_at(&scratch->stats, 0, minmax);
}

static void measure_chunks(void *work, int thread, int64_t first, int64_t end) {
  const mfq_chunk_pass *p = work;
  mfq_chunk_scratch *scratch = mfq_chunk_scratch_of(p, thread);
  for (int64_t c = first; c < end; ++c) {
    int64_t n;
    const uint32_t *x = mfq_chunk_load(p, c, scratch, &n);
    const mfqn_statistic statistic = measure(p->job, x, n, p->is_signed, scratch);
    mfqn_statistic_merge(&scratch->extremes, &statistic);
  }
}

static mfqn_statistic extremes_of(mfq_chunk_pass *p) {
  mfq_chunk_scratch *all = p->job->scratch;
  mfqn_statistic statistic = mfqn_statistic_none();
  for (int t = mfq_chunk_first_scratch(p); t < mfq_chunk_end_scratch(p); ++t) all[t].extremes = mfqn_statistic_none();
  mfq_chunk_run(p, mfq_chunks_of(p), measure_chunks);
  for (int t = mfq_chunk_first_scratch(p); t < mfq_chunk_end_scratch(p); ++t)
    mfqn_statistic_merge(&statistic, &all[t].extremes);
  return statistic;
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

static void sum_chunks(void *work, int thread, int64_t first, int64_t end) {
  const mfq_chunk_pass *p = work;
  mfq_chunk_scratch *scratch = mfq_chunk_scratch_of(p, thread);
  for (int64_t c = first; c < end; ++c) {
    int64_t n;
    const uint32_t *x = mfq_chunk_load(p, c, scratch, &n);
    p->partials[c] =
        p->job->kernels->sum_terms(x, n, p->kind, p->mean); /* not negative: missing terms change nothing */
  }
}

static float sum_of_partials(const mfq_chunk_pass *p, int64_t count) {
  mfqn_tree tree = {.count = 0};
  for (int64_t i = 0; i < count; ++i) mfqn_tree_add(&tree, p->partials[i]);
  return mfqn_tree_sum(&tree);
}

/* Of all sources, each of which has a tree of its own. */
static float sum_of(mfq_chunk_pass *p, int32_t kind, float mean) {
  float sum = 0.0f;
  p->kind = kind;
  p->mean = mean;
  for (int32_t i = 0; i < p->job->of.count; ++i) {
    if (p->job->of.count > 1) mfq_observed_part_at(&p->job->of, p->scale, i, &p->elements);
    mfq_chunk_run(p, mfq_chunks_of(p), sum_chunks);
    const float part = sum_of_partials(p, mfq_chunks_of(p));
    sum = i == 0 ? part : mfqn_add(sum, part);
  }
  return sum;
}

static uint32_t by_sums(mfq_chunk_pass *p) {
  const mfqn_observer *o = &p->job->of.observer;
  const int64_t n = p->elements.elements;
  const float value = mfqn_observed_sum(o->observed, sum_of(p, mfqn_observed_term_kind(o->observed), 0.0f), n);
  if (o->observed != MFQN_OBSERVED_SIGMA) return mfqn_one_nan(value);
  return mfqn_one_nan(mfqn_observed_sigma(o->factor, value, sum_of(p, MFQN_TERM_DEVIATION, value), n));
}

static void measure_rows(void *work, int thread, int64_t first, int64_t end) {
  const mfq_chunk_pass *p = work;
  mfq_chunk_scratch *scratch = mfq_chunk_scratch_of(p, thread);
  for (int64_t r = first; r < end; ++r) {
    mfq_observed_scale row;
    uint32_t largest = 0;
    mfq_observed_row_at(&p->job->of, p->scale, (mfq_observed_row){p->source, r}, &row);
    for (int64_t at = 0; at < row.elements; at += MFQ_CHUNK) {
      const int64_t n = mfq_smaller(row.elements - at, MFQ_CHUNK);
      const uint32_t *x = mfq_observed_load(p->job->kernels, &row, at, n, scratch->x);
      largest = mfqn_umax(largest, measure(p->job, x, n, 0, scratch).absmax);
    }
    p->partials[r] = mfqn_observed_term(p->kind, largest, 0.0f);
  }
}

static uint32_t by_rows(mfq_chunk_pass *p) {
  const int32_t observed = p->job->of.observer.observed;
  int64_t all = 0;
  float sum = 0.0f;
  p->kind = mfqn_observed_term_kind(observed);
  for (p->source = 0; p->source < p->job->of.count; ++p->source) {
    const int64_t rows = mfq_observed_rows(&p->job->of, p->scale, p->source);
    mfq_chunk_run(p, rows, measure_rows);
    const float part = sum_of_partials(p, rows);
    sum = p->source == 0 ? part : mfqn_add(sum, part);
    all += rows;
  }
  return mfqn_one_nan(mfqn_observed_sum(observed, sum, all));
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

static uint32_t statistic_of(mfq_chunk_pass *p) {
  const mfq_observe_job *job = &p->job->of;
  const int32_t observed = job->observer.observed;
  if (p->elements.elements == 0) return 0;
  if (mfqn_observes_rows(observed)) return by_rows(p);
  if (mfqn_observes_ranks(observed)) return mfq_chunk_ranks(p);
  if (!mfqn_observes_extremes(observed)) return by_sums(p);
  p->is_signed = observed != MFQN_OBSERVED_ABSMAX;
  mfqn_statistic statistic = extremes_of(p);
  if (job->scheme.is_brevitas && mfq_scale_is_short(job->cast->view, p->scale)) mfqn_statistic_add(&statistic, 0);
  return mfqn_observed_extreme(observed, &statistic, &job->scheme);
}

static void observe_scales(void *work, int thread, int64_t first, int64_t end) {
  const mfq_chunk_job *job = work;
  mfq_chunk_pass pass = {.job = job, .thread = thread};
  pass.partials = job->partials + (job->shares ? 0 : job->parts * thread);
  pass.keys = job->keys + (job->shares ? 0 : (job->room + MFQ_CHUNK) * thread);
  for (int64_t scale = first; scale < end; ++scale) {
    pass.scale = scale;
    mfq_observed_scale_at(&job->of, scale, &pass.elements);
    mfq_observe_put(&job->of, scale, statistic_of(&pass));
  }
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

/* What a call is cut into, and the memory that this needs. */
static void cut(const mfq_context *context, const mfq_cast *cast, mfq_chunk_job *job) {
  enum { SCALES_OF_THREAD = 4, SHARED_ELEMENTS = 1 << 16 };
  int64_t elements = 0;
  mfq_observe_begin(cast, &job->of);
  job->kernels = mfq_cpu_kernels(context);
  for (int32_t i = 0; i < job->of.count; ++i) {
    const mfq_boxes *boxes = &job->of.boxes[i];
    const int32_t axis = job->of.observing->observer->axis;
    elements += boxes->largest;
    job->parts += boxes->shape[axis < 0 ? axis + boxes->rank : axis]; /* at most so many rows */
  }
  if (!mfqn_observes_rows(job->of.observer.observed)) job->parts = mfq_ceil_div(elements, MFQ_CHUNK);
  if (mfqn_observes_ranks(job->of.observer.observed)) job->room = mfq_chunk_rank_room(elements);
  int is_small = job->of.count == 1; /* of the first one */
  is_small &= mfq_shape_count(cast->src->rank, cast->src->shape) < SHARED_ELEMENTS;
  job->threads = is_small ? 1 : (int)context->threads;
  job->shares = !is_small && job->of.scales < SCALES_OF_THREAD * job->threads;
}

/* Memory behind the scratch of all threads: keys, partial sums. */
static size_t keys_bytes(const mfq_chunk_job *job) {
  const size_t owners = job->shares ? 1 : (size_t)job->threads;
  return mfq_size_times(owners * sizeof job->keys[0], (size_t)job->room + MFQ_CHUNK);
}
static size_t partials_bytes(const mfq_chunk_job *job) {
  const size_t owners = job->shares ? 1 : (size_t)job->threads;
  return mfq_size_times(owners * sizeof job->partials[0], (size_t)job->parts);
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  mfq_chunk_job job = {.parts = 0};
  if (!mfq_cpu_kernels(context)) return mfq_refuse(why, "the context asks for the reference path");
  if (cast->observing) cut(context, cast, &job);
  const size_t shared = mfq_size_plus(keys_bytes(&job), partials_bytes(&job));
  choice->workspace_bytes = mfq_size_plus((size_t)job.threads * sizeof(mfq_chunk_scratch), shared);
  mfq_choice_describe(choice, "vector loops (%s)", mfq_cpu_kernels(context)->isa);
  return MFQ_OK;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  mfq_chunk_job job = {.scratch = (mfq_chunk_scratch *)(void *)memory};
  (void)state;
  cut(context, problem, &job);
  memory += (size_t)job.threads * sizeof(mfq_chunk_scratch);
  job.keys = (uint32_t *)(void *)memory;
  job.partials = (float *)(void *)(memory + keys_bytes(&job));
  if (job.shares)
    observe_scales(&job, 0, 0, job.of.scales);
  else
    mfq_team_run((mfq_loop){job.threads, job.of.scales, 0}, observe_scales, &job);
  mfq_observe_count_nans(&job.of, context);
  return MFQ_OK;
}

const mfq_way mfq_observe_chunks = {"chunks", plan, run, NULL};
