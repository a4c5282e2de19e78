/* host/cpu/cast/observe_ref.c: statistics one element at a time: the oracle of the fast ways, and their fallback. A rank is
 * found bit by bit: the elements are counted once for each. */
#include "observe_job.h"

#include "elements.h"

static uint32_t element_at(const mfq_observed_scale *s, int64_t i) {
  uint32_t room;
  return *mfq_observed_load(NULL, s, i, 1, &room);
}

static mfqn_statistic extremes_of(const mfq_observed_scale *s) {
  mfqn_statistic statistic = mfqn_statistic_none();
  for (int64_t i = 0; i < s->elements; ++i) mfqn_statistic_add(&statistic, element_at(s, i));
  return statistic;
}

/* The element of a rank, counted from 1: the largest key that fewer elements than the rank are below. */
static uint32_t ranked(const mfq_observed_scale *s, int64_t rank, int is_signed) {
  uint32_t key = 0;
  for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
    int64_t below = 0;
    for (int64_t i = 0; i < s->elements; ++i) below += mfqn_rank_key(element_at(s, i), is_signed) < (key | bit);
    if (below < rank) key |= bit;
  }
  return mfqn_rank_value(key, is_signed);
}

static uint32_t by_ranks(const mfq_observe_job *job, const mfq_observed_scale *s) {
  const mfqn_ranks ranks = mfqn_observed_ranks(&job->observer, s->elements);
  const int is_signed = job->observer.observed != MFQN_OBSERVED_PERCENTILE;
  const uint32_t low = ranks.low > 0 ? ranked(s, ranks.low, is_signed) : 0;
  const uint32_t high = ranks.high > 0 ? ranked(s, ranks.high, is_signed) : 0;
  return extremes_of(s).absmax > MFQN_INF ? MFQN_NAN : mfqn_observed_ranked(&job->observer, &job->scheme, low, high);
}

static float sum_of(const mfq_observed_scale *s, int32_t kind, float mean) {
  mfqn_tree tree = {.count = 0};
  for (int64_t i = 0; i < s->elements; ++i) mfqn_tree_add(&tree, mfqn_observed_term(kind, element_at(s, i), mean));
  return mfqn_tree_sum(&tree);
}

/* The sum over all sources, each of which has a tree of its own. */
static float sum_of_parts(const mfq_observe_job *job, int64_t scale, int32_t kind, float mean) {
  float sum = 0.0f;
  for (int32_t i = 0; i < job->count; ++i) {
    mfq_observed_scale part;
    mfq_observed_part_at(job, scale, i, &part);
    sum = i == 0 ? sum_of(&part, kind, mean) : mfqn_add(sum, sum_of(&part, kind, mean));
  }
  return sum;
}

static uint32_t by_sums(const mfq_observe_job *job, int64_t scale, int64_t n) {
  const int32_t observed = job->observer.observed;
  const float sum = sum_of_parts(job, scale, mfqn_observed_term_kind(observed), 0.0f);
  const float value = mfqn_observed_sum(observed, sum, n);
  if (observed != MFQN_OBSERVED_SIGMA) return mfqn_one_nan(value);
  const float squares = sum_of_parts(job, scale, MFQN_TERM_DEVIATION, value);
  return mfqn_one_nan(mfqn_observed_sigma(job->observer.factor, value, squares, n));
}

static float sum_of_rows(const mfq_observe_job *job, int64_t scale, int32_t source) {
  mfqn_tree tree = {.count = 0};
  for (int64_t r = 0; r < mfq_observed_rows(job, scale, source); ++r) {
    const int32_t kind = mfqn_observed_term_kind(job->observer.observed);
    mfq_observed_scale row;
    mfq_observed_row_at(job, scale, (mfq_observed_row){source, r}, &row);
    mfqn_tree_add(&tree, mfqn_observed_term(kind, extremes_of(&row).absmax, 0.0f));
  }
  return mfqn_tree_sum(&tree);
}

static uint32_t by_rows(const mfq_observe_job *job, int64_t scale) {
  int64_t rows = 0;
  float sum = 0.0f;
  for (int32_t i = 0; i < job->count; ++i) {
    rows += mfq_observed_rows(job, scale, i);
    sum = i == 0 ? sum_of_rows(job, scale, i) : mfqn_add(sum, sum_of_rows(job, scale, i));
  }
  return mfqn_one_nan(mfqn_observed_sum(job->observer.observed, sum, rows));
}

static uint32_t statistic_of(const mfq_observe_job *job, int64_t scale, const mfq_observed_scale *s) {
  const int32_t observed = job->observer.observed;
  if (s->elements == 0) return 0;
  if (mfqn_observes_rows(observed)) return by_rows(job, scale);
  if (mfqn_observes_ranks(observed)) return by_ranks(job, s);
  if (!mfqn_observes_extremes(observed)) return by_sums(job, scale, s->elements);
  mfqn_statistic statistic = extremes_of(s);
  if (job->scheme.is_brevitas && mfq_scale_is_short(job->cast->view, scale)) mfqn_statistic_add(&statistic, 0);
  return mfqn_observed_extreme(observed, &statistic, &job->scheme);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  mfq_observe_job job;
  (void)context;
  (void)state;
  (void)memory;
  mfq_observe_begin(problem, &job);
  for (int64_t scale = 0; scale < job.scales; ++scale) {
    mfq_observed_scale s;
    mfq_observed_scale_at(&job, scale, &s);
    mfq_observe_put(&job, scale, statistic_of(&job, scale, &s));
    for (int64_t i = 0; job.observing->nans && i < s.elements; ++i)
      *job.observing->nans += (element_at(&s, i) & MFQN_ABS) > MFQN_INF;
  }
  return MFQ_OK;
}

const mfq_way mfq_observe_reference = {"reference", mfq_plan_general, run, NULL};
