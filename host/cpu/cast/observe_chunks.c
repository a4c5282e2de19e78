/* host/cpu/cast/observe_chunks.c: any statistic by vector loops over chunks of a scale's elements.
 *
 * Many scales: each is one thread's. Few: threads share out the chunks of one scale after the other. A rank is found from
 * the leading bits of the keys on: those that begin as its key does are counted by their next bits, until they are few
 * enough to be kept, so that most elements are read twice. */
#include <stdatomic.h>
#include <string.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "observe_job.h"

enum { KEPT = 1 << 15 }; /* keys, beside which a chunk must find room */

typedef struct chunk_scratch {
  uint32_t x[MFQ_CHUNK];
  uint32_t keys[KEPT + MFQ_CHUNK];
  uint32_t bins[2 * MFQ_RANK_BINS];
  int64_t counts[MFQ_RANK_BINS]; /* of all bins that were full, or done */
  uint32_t largest;              /* magnitude that was counted */
  mfqn_statistic extremes;
  mfq_stats stats;
} chunk_scratch;

typedef struct chunk_job {
  mfq_observe_job of;
  const mfq_kernels *kernels;
  int threads, shares; /* shares: chunks of a scale are shared out */
  int64_t parts;       /* partial sums of a scale */
  float *partials;     /* for each thread, or for all of them */
  chunk_scratch *scratch;
} chunk_job;

/* A pass over the elements of a scale. */
typedef struct chunk_pass {
  const chunk_job *job;
  mfq_observed_scale elements;
  int64_t scale;
  int32_t source;  /* whose rows are measured */
  int thread;      /* that the scale belongs to */
  float *partials; /* sums of chunks, or largest magnitudes of rows */
  int32_t kind;
  float mean;
  int is_signed;
  mfq_rank_prefix prefix;
  uint32_t *keys; /* that are kept */
  _Atomic int64_t kept;
} chunk_pass;

static chunk_scratch *scratch_of(const chunk_pass *p, int thread) {
  return &p->job->scratch[p->job->shares ? thread : p->thread];
}

static void run_pass(chunk_pass *p, int64_t count, mfq_part_fn part) {
  if (p->job->shares)
    mfq_team_run((mfq_loop){p->job->threads, count, 0}, part, p);
  else
    part(p, p->thread, 0, count);
}

static int64_t chunks_of(const chunk_pass *p) { return mfq_ceil_div(p->elements.elements, MFQ_CHUNK); }

static const uint32_t *load(const chunk_pass *p, int64_t chunk, chunk_scratch *scratch, int64_t *n) {
  *n = mfq_smaller(p->elements.elements - chunk * MFQ_CHUNK, MFQ_CHUNK);
  return mfq_observed_load(p->job->kernels, &p->elements, chunk * MFQ_CHUNK, *n, scratch->x);
}

/* The scratch that a pass has results in: of all threads, or of one. */
static int first_scratch(const chunk_pass *p) { return p->job->shares ? 0 : p->thread; }
static int end_scratch(const chunk_pass *p) { return p->job->shares ? p->job->threads : p->thread + 1; }

/* ---- Extremes ---------------------------------------------------------------------------------------------------- */

static mfqn_statistic measure(const chunk_job *job, const uint32_t *x, int64_t n, int minmax, chunk_scratch *scratch) {
  scratch->stats.absmax[0] = 0;
  scratch->stats.lo[0] = INT32_MAX;
  scratch->stats.hi[0] = INT32_MIN;
  job->kernels->measure(x, (mfq_stretch){n, n, 0}, minmax, &scratch->stats);
  return mfq_stats_at(&scratch->stats, 0, minmax);
}

static void measure_chunks(void *work, int thread, int64_t first, int64_t end) {
  const chunk_pass *p = work;
  chunk_scratch *scratch = scratch_of(p, thread);
  for (int64_t c = first; c < end; ++c) {
    int64_t n;
    const uint32_t *x = load(p, c, scratch, &n);
    const mfqn_statistic statistic = measure(p->job, x, n, p->is_signed, scratch);
    mfqn_statistic_merge(&scratch->extremes, &statistic);
  }
}

static mfqn_statistic extremes_of(chunk_pass *p) {
  chunk_scratch *all = p->job->scratch;
  mfqn_statistic statistic = mfqn_statistic_none();
  for (int t = first_scratch(p); t < end_scratch(p); ++t) all[t].extremes = mfqn_statistic_none();
  run_pass(p, chunks_of(p), measure_chunks);
  for (int t = first_scratch(p); t < end_scratch(p); ++t) mfqn_statistic_merge(&statistic, &all[t].extremes);
  return statistic;
}

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

/* Makes room for the key of `rank` among `n` keys, which are put in order as far as that needs. */
static uint32_t select_key(uint32_t *keys, int64_t n, int64_t rank) {
  enum { BITS = 8, FEW = 24 };
  for (int32_t shift = 32 - BITS; n > FEW && shift >= 0; shift -= BITS) {
    int64_t bins[1 << BITS] = {0}, kept = 0;
    for (int64_t i = 0; i < n; ++i) ++bins[keys[i] >> shift & ((1u << BITS) - 1)];
    uint32_t bin = 0;
    for (; rank > bins[bin]; ++bin) rank -= bins[bin];
    for (int64_t i = 0; i < n; ++i)
      if ((keys[i] >> shift & ((1u << BITS) - 1)) == bin) keys[kept++] = keys[i];
    n = kept;
  }
  if (n > FEW) return keys[0]; /* all are equal */
  for (int64_t i = 1; i < n; ++i) {
    const uint32_t key = keys[i];
    int64_t at = i;
    for (; at > 0 && keys[at - 1] > key; --at) keys[at] = keys[at - 1];
    keys[at] = key;
  }
  return keys[rank - 1];
}

/* Counts what is in the bins, which begin anew. */
static void empty_bins(chunk_scratch *scratch) {
  for (int b = 0; b < MFQ_RANK_BINS; ++b)
    scratch->counts[b] += (int64_t)scratch->bins[b] + scratch->bins[MFQ_RANK_BINS + b];
  memset(scratch->bins, 0, sizeof scratch->bins);
}

/* Whether bins must be emptied before they overflow. */
static int is_full(int64_t chunks) {
  enum { MOST = 1 << 18 };
  return chunks % MOST == MOST - 1;
}

static void count_chunks(void *work, int thread, int64_t first, int64_t end) {
  const chunk_pass *p = work;
  chunk_scratch *scratch = scratch_of(p, thread);
  for (int64_t c = first; c < end; ++c) {
    int64_t n;
    const uint32_t *x = load(p, c, scratch, &n);
    const uint32_t largest = p->job->kernels->rank_count(x, n, p->is_signed, scratch->bins);
    scratch->largest = mfqn_umax(scratch->largest, largest);
    if (is_full(c - first)) empty_bins(scratch);
  }
  empty_bins(scratch);
}

/* The keys that begin with the prefix, shifted up by as many bits, are counted as if they were elements. */
static void count_next_chunks(void *work, int thread, int64_t first, int64_t end) {
  const chunk_pass *p = work;
  chunk_scratch *scratch = scratch_of(p, thread);
  for (int64_t c = first; c < end; ++c) {
    int64_t n;
    const uint32_t *x = load(p, c, scratch, &n);
    const int64_t kept = p->job->kernels->rank_keep(x, n, p->is_signed, p->prefix, scratch->keys);
    for (int64_t i = 0; i < kept; ++i)
      ++scratch->bins[scratch->keys[i] << (32 - p->prefix.shift) >> (32 - MFQ_RANK_BITS)];
    if (is_full(c - first)) empty_bins(scratch);
  }
  empty_bins(scratch);
}

static void keep_chunks(void *work, int thread, int64_t first, int64_t end) {
  chunk_pass *p = work;
  chunk_scratch *scratch = scratch_of(p, thread);
  uint32_t found[MFQ_CHUNK];
  for (int64_t c = first; c < end; ++c) {
    int64_t n;
    const uint32_t *x = load(p, c, scratch, &n);
    const int64_t kept = p->job->kernels->rank_keep(x, n, p->is_signed, p->prefix, found);
    if (kept > 0) memcpy(p->keys + atomic_fetch_add(&p->kept, kept), found, (size_t)kept * sizeof found[0]);
  }
}

/* Counts by the next bits, goes on to the bin of the rank, and returns how many keys are in there. */
static int64_t narrow(chunk_pass *p, int64_t *rank) {
  chunk_scratch *all = p->job->scratch;
  for (int t = first_scratch(p); t < end_scratch(p); ++t) {
    memset(all[t].bins, 0, sizeof all[t].bins);
    memset(all[t].counts, 0, sizeof all[t].counts);
  }
  run_pass(p, chunks_of(p), p->prefix.shift == 32 ? count_chunks : count_next_chunks);
  uint32_t bin = 0;
  for (int64_t count;; ++bin) {
    count = 0;
    for (int t = first_scratch(p); t < end_scratch(p); ++t) count += all[t].counts[bin];
    if (*rank <= count) {
      const int32_t bits = mfqn_min(MFQ_RANK_BITS, p->prefix.shift);
      p->prefix.bits = p->prefix.bits << bits | bin >> (MFQ_RANK_BITS - bits);
      p->prefix.shift -= bits;
      return count;
    }
    *rank -= count;
  }
}

static uint32_t ranked(chunk_pass *p, int64_t rank) {
  int64_t n = p->elements.elements;
  uint32_t *keys = p->job->scratch[first_scratch(p)].keys;
  p->prefix = (mfq_rank_prefix){0, 32};
  if (n <= MFQ_CHUNK) {
    chunk_scratch *scratch = &p->job->scratch[first_scratch(p)];
    const uint32_t *x = load(p, 0, scratch, &n);
    for (int64_t i = 0; i < n; ++i) {
      keys[i] = mfqn_rank_key(x[i], p->is_signed);
      scratch->largest = mfqn_umax(scratch->largest, x[i] & MFQN_ABS);
    }
    return select_key(keys, n, rank);
  }
  do n = narrow(p, &rank);
  while (n > KEPT && p->prefix.shift > 0);
  if (p->prefix.shift == 0) return p->prefix.bits;
  p->keys = keys;
  atomic_store(&p->kept, 0);
  run_pass(p, chunks_of(p), keep_chunks);
  return select_key(keys, n, rank);
}

static uint32_t by_ranks(chunk_pass *p) {
  const mfqn_observer *o = &p->job->of.observer;
  const mfqn_ranks ranks = mfqn_observed_ranks(o, p->elements.elements);
  chunk_scratch *all = p->job->scratch;
  uint32_t largest = 0;
  for (int t = first_scratch(p); t < end_scratch(p); ++t) all[t].largest = 0;
  p->is_signed = o->observed != MFQN_OBSERVED_PERCENTILE;
  const uint32_t low = ranks.low > 0 ? mfqn_rank_value(ranked(p, ranks.low), p->is_signed) : 0;
  const uint32_t high = ranks.high > 0 ? mfqn_rank_value(ranked(p, ranks.high), p->is_signed) : 0;
  for (int t = first_scratch(p); t < end_scratch(p); ++t) largest = mfqn_umax(largest, all[t].largest);
  return largest > MFQN_INF ? MFQN_NAN : mfqn_observed_ranked(o, &p->job->of.scheme, low, high);
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

static void sum_chunks(void *work, int thread, int64_t first, int64_t end) {
  const chunk_pass *p = work;
  chunk_scratch *scratch = scratch_of(p, thread);
  for (int64_t c = first; c < end; ++c) {
    int64_t n;
    const uint32_t *x = load(p, c, scratch, &n);
    const float sum = p->job->kernels->sum_terms(x, n, p->kind, p->mean);
    p->partials[c] = c > 0 && n < MFQ_CHUNK ? mfqn_add(sum, 0.0f) : sum; /* a subtree that misses terms */
  }
}

static float sum_of_partials(const chunk_pass *p, int64_t count) {
  mfqn_tree tree = {.count = 0};
  for (int64_t i = 0; i < count; ++i) mfqn_tree_add(&tree, p->partials[i]);
  return mfqn_tree_sum(&tree);
}

/* Of all sources, each of which has a tree of its own. */
static float sum_of(chunk_pass *p, int32_t kind, float mean) {
  float sum = 0.0f;
  p->kind = kind;
  p->mean = mean;
  for (int32_t i = 0; i < p->job->of.count; ++i) {
    if (p->job->of.count > 1) mfq_observed_part_at(&p->job->of, p->scale, i, &p->elements);
    run_pass(p, chunks_of(p), sum_chunks);
    const float part = sum_of_partials(p, chunks_of(p));
    sum = i == 0 ? part : mfqn_add(sum, part);
  }
  return sum;
}

static uint32_t by_sums(chunk_pass *p) {
  const mfqn_observer *o = &p->job->of.observer;
  const int64_t n = p->elements.elements;
  const float value = mfqn_observed_sum(o->observed, sum_of(p, mfqn_observed_term_kind(o->observed), 0.0f), n);
  if (o->observed != MFQN_OBSERVED_SIGMA) return mfqn_one_nan(value);
  return mfqn_one_nan(mfqn_observed_sigma(o->factor, value, sum_of(p, MFQN_TERM_DEVIATION, value), n));
}

static void measure_rows(void *work, int thread, int64_t first, int64_t end) {
  const chunk_pass *p = work;
  chunk_scratch *scratch = scratch_of(p, thread);
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

static uint32_t by_rows(chunk_pass *p) {
  const int32_t observed = p->job->of.observer.observed;
  int64_t all = 0;
  float sum = 0.0f;
  p->kind = mfqn_observed_term_kind(observed);
  for (p->source = 0; p->source < p->job->of.count; ++p->source) {
    const int64_t rows = mfq_observed_rows(&p->job->of, p->scale, p->source);
    run_pass(p, rows, measure_rows);
    const float part = sum_of_partials(p, rows);
    sum = p->source == 0 ? part : mfqn_add(sum, part);
    all += rows;
  }
  return mfqn_one_nan(mfqn_observed_sum(observed, sum, all));
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

static uint32_t statistic_of(chunk_pass *p) {
  const mfq_observe_job *job = &p->job->of;
  const int32_t observed = job->observer.observed;
  if (p->elements.elements == 0) return 0;
  if (mfqn_observes_rows(observed)) return by_rows(p);
  if (mfqn_observes_ranks(observed)) return by_ranks(p);
  if (!mfqn_observes_extremes(observed)) return by_sums(p);
  p->is_signed = observed != MFQN_OBSERVED_ABSMAX;
  mfqn_statistic statistic = extremes_of(p);
  if (job->scheme.is_brevitas && mfq_scale_is_short(job->cast->view, p->scale)) mfqn_statistic_add(&statistic, 0);
  return mfqn_observed_extreme(observed, &statistic, &job->scheme);
}

static void observe_scales(void *work, int thread, int64_t first, int64_t end) {
  const chunk_job *job = work;
  chunk_pass pass = {.job = job, .thread = thread};
  pass.partials = job->partials + (job->shares ? 0 : job->parts * thread);
  for (int64_t scale = first; scale < end; ++scale) {
    pass.scale = scale;
    mfq_observed_scale_at(&job->of, scale, &pass.elements);
    mfq_observe_put(&job->of, scale, statistic_of(&pass));
  }
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

/* What a call is cut into, and the memory that this needs. */
static void cut(const mfq_context *context, const mfq_cast *cast, chunk_job *job) {
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
  int is_small = job->of.count == 1; /* of the first one */
  is_small &= mfq_shape_count(cast->src->rank, cast->src->shape) < SHARED_ELEMENTS;
  job->threads = is_small ? 1 : (int)context->threads;
  job->shares = !is_small && job->of.scales < SCALES_OF_THREAD * job->threads;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  chunk_job job = {.parts = 0};
  if (!mfq_cpu_kernels(context)) return mfq_refuse(why, "the context asks for the reference path");
  if (cast->observing) cut(context, cast, &job);
  const size_t parts = mfq_size_times((size_t)job.parts, (size_t)(job.shares ? 1 : job.threads) * sizeof(float));
  choice->workspace_bytes = mfq_size_plus((size_t)job.threads * sizeof(chunk_scratch), parts);
  mfq_choice_describe(choice, "vector loops (%s)", mfq_cpu_kernels(context)->isa);
  return MFQ_OK;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  chunk_job job = {.scratch = (chunk_scratch *)(void *)memory};
  (void)state;
  cut(context, problem, &job);
  job.partials = (float *)(void *)(memory + (size_t)job.threads * sizeof(chunk_scratch));
  if (job.shares)
    observe_scales(&job, 0, 0, job.of.scales);
  else
    mfq_team_run((mfq_loop){job.threads, job.of.scales, 0}, observe_scales, &job);
  mfq_observe_count_nans(&job.of, context);
  return MFQ_OK;
}

const mfq_way mfq_observe_chunks = {"chunks", plan, run, NULL};
