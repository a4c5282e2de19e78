/* host/cpu/cast/observe_ranks.c: exact ranks. A rank is found among the keys between two that a sample guesses to lie around
 * it: one read keeps these and counts those below, which tells whether the guess was right. Otherwise it is found from the
 * leading bits on: keys that begin as its key does are counted by their next bits, until they are few enough to be kept. */
#include <string.h>

#include "observe_chunks.h"
#include "select.h"

enum {
  LEAST_KEPT = 1 << 15, /* keys that find room, of long scales more: one of KEPT_SHARE elements */
  MOST_KEPT = 1 << 22,
  KEPT_SHARE = 16,
  SAMPLE_CHUNKS = 16,
  LARGE_SAMPLE = 1024, /* of each of these chunks; of few chunks, and of one */
  USUAL_SAMPLE = 256,
  SMALL_SAMPLE = 128,
  MANY_CHUNKS = 256,
  FEW = 256 /* elements that are put in order without a guess */
};

int64_t mfq_chunk_rank_room(int64_t elements) {
  const int64_t share = mfq_smaller(elements / KEPT_SHARE, MOST_KEPT);
  return elements <= MFQ_CHUNK ? MFQ_CHUNK : mfq_larger(share, LEAST_KEPT);
}

/* ---- Passes ------------------------------------------------------------------------------------------------------ */

/* Counts what is in the bins, which begin anew. */
static void empty_bins(mfq_chunk_scratch *scratch) {
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
  const mfq_chunk_pass *p = work;
  mfq_chunk_scratch *scratch = mfq_chunk_scratch_of(p, thread);
  for (int64_t c = first; c < end; ++c) {
    int64_t n;
    const uint32_t *x = mfq_chunk_load(p, c, scratch, &n);
    const uint32_t largest = p->job->kernels->rank_count(x, n, p->is_signed, scratch->bins);
    scratch->largest = mfqn_umax(scratch->largest, largest);
    if (is_full(c - first)) empty_bins(scratch);
  }
  empty_bins(scratch);
}

/* The keys of a chunk that are in the range of the pass. */
static mfq_rank_found find(const mfq_chunk_pass *p, int64_t chunk, mfq_chunk_scratch *scratch) {
  mfq_rank_found found = {.keys = scratch->found};
  int64_t n;
  const uint32_t *x = mfq_chunk_load(p, chunk, scratch, &n);
  p->job->kernels->rank_keep(x, n, p->range, &found);
  scratch->largest = mfqn_umax(scratch->largest, found.largest);
  return found;
}

/* The keys that begin with the prefix are counted by their next bits. */
static void count_next_chunks(void *work, int thread, int64_t first, int64_t end) {
  const mfq_chunk_pass *p = work;
  mfq_chunk_scratch *scratch = mfq_chunk_scratch_of(p, thread);
  for (int64_t c = first; c < end; ++c) {
    const mfq_rank_found found = find(p, c, scratch);
    for (int64_t i = 0; i < found.kept; ++i) ++scratch->bins[found.keys[i] << (32 - p->shift) >> (32 - MFQ_RANK_BITS)];
    if (is_full(c - first)) empty_bins(scratch);
  }
  empty_bins(scratch);
}

static void keep_chunks(void *work, int thread, int64_t first, int64_t end) {
  mfq_chunk_pass *p = work;
  mfq_chunk_scratch *scratch = mfq_chunk_scratch_of(p, thread);
  int64_t below = 0;
  for (int64_t c = first; c < end; ++c) {
    const mfq_rank_found found = find(p, c, scratch);
    const int64_t at = found.kept > 0 ? atomic_fetch_add(&p->kept, found.kept) : INT64_MAX;
    if (at < p->job->room) memcpy(p->keys + at, found.keys, (size_t)found.kept * sizeof found.keys[0]);
    below += found.below;
  }
  atomic_fetch_add(&p->below, below);
}

/* Keeps the keys of the pass's range. */
static void keep(mfq_chunk_pass *p) {
  atomic_store(&p->kept, 0);
  atomic_store(&p->below, 0);
  mfq_chunk_run(p, mfq_chunks_of(p), keep_chunks);
}

static mfq_rank_range range_of_prefix(const mfq_chunk_pass *p) {
  const uint32_t low = p->shift == 32 ? 0 : p->prefix << p->shift;
  const uint32_t below = p->shift == 32 ? UINT32_MAX : (1u << p->shift) - 1;
  return (mfq_rank_range){low, low | below, p->is_signed};
}

/* Counts by the next bits, goes on to the bin of the rank, and returns how many keys are in there. */
static int64_t narrow(mfq_chunk_pass *p, int64_t *rank) {
  mfq_chunk_scratch *all = p->job->scratch;
  for (int t = mfq_chunk_first_scratch(p); t < mfq_chunk_end_scratch(p); ++t) {
    memset(all[t].bins, 0, sizeof all[t].bins);
    memset(all[t].counts, 0, sizeof all[t].counts);
  }
  p->range = range_of_prefix(p);
  mfq_chunk_run(p, mfq_chunks_of(p), p->shift == 32 ? count_chunks : count_next_chunks);
  for (uint32_t bin = 0;; ++bin) {
    int64_t count = 0;
    for (int t = mfq_chunk_first_scratch(p); t < mfq_chunk_end_scratch(p); ++t) count += all[t].counts[bin];
    if (*rank <= count) {
      const int32_t bits = mfqn_min(MFQ_RANK_BITS, p->shift);
      p->prefix = p->prefix << bits | bin >> (MFQ_RANK_BITS - bits);
      p->shift -= bits;
      return count;
    }
    *rank -= count;
  }
}

/* Keys of some elements, spread over all of them; returns how many. */
static int64_t take_sample(const mfq_chunk_pass *p, mfq_chunk_scratch *scratch) {
  const int64_t chunks = mfq_chunks_of(p), taken = mfq_smaller(chunks, SAMPLE_CHUNKS);
  const int64_t wanted = chunks == 1 ? SMALL_SAMPLE : chunks < MANY_CHUNKS ? USUAL_SAMPLE : LARGE_SAMPLE;
  int64_t count = 0;
  for (int64_t k = 0; k < taken; ++k) {
    int64_t n;
    const uint32_t *x = mfq_chunk_load(p, k * chunks / taken, scratch, &n);
    const int64_t apart = n < wanted ? 1 : n / wanted, step = apart - (apart % 2 == 0); /* not in step with columns */
    const int64_t end = mfq_smaller(n, wanted * step);
    for (int64_t i = 0; i < end; i += step) p->keys[count++] = mfqn_rank_key(x[i], p->is_signed);
  }
  return count;
}

/* Guesses a range of keys around a rank among `n`; returns 0 where too many would be in there. */
static int guess(mfq_chunk_pass *p, int64_t n, int64_t rank) {
  mfq_chunk_scratch *scratch = &p->job->scratch[mfq_chunk_first_scratch(p)];
  const int64_t m = take_sample(p, scratch);
  /* Of m keys those below the rank's are m q, with a deviation of at most the root of m q (1 - q): of it four, and some. */
  const float q = (float)rank / (float)n, deviation = mfqn_sqrt((float)m * q * (1.0f - q));
  const int64_t margin = (int64_t)(4.0f * deviation) + 1, at = (int64_t)((float)m * q);
  const int64_t low = at - margin, high = at + margin;
  const float share = (float)(mfq_smaller(high, m) - mfq_larger(low, 0)) / (float)m;
  if (share * (float)n > 0.7f * (float)p->job->room) return 0;
  p->range = (mfq_rank_range){0, UINT32_MAX, p->is_signed};
  if (low >= 1) p->range.low = mfq_select_key(p->keys, m, low);
  if (high > m) return 1;
  if (low >= 1) take_sample(p, scratch); /* its order is lost */
  p->range.high = mfq_select_key(p->keys, m, high);
  return 1;
}

/* All keys of a chunk. */
static uint32_t ranked_of_few(mfq_chunk_pass *p, int64_t rank) {
  mfq_chunk_scratch *scratch = &p->job->scratch[mfq_chunk_first_scratch(p)];
  int64_t n;
  const uint32_t *x = mfq_chunk_load(p, 0, scratch, &n);
  for (int64_t i = 0; i < n; ++i) {
    p->keys[i] = mfqn_rank_key(x[i], p->is_signed);
    scratch->largest = mfqn_umax(scratch->largest, x[i] & MFQN_ABS);
  }
  return mfq_select_key(p->keys, n, rank);
}

static uint32_t ranked(mfq_chunk_pass *p, int64_t rank) {
  int64_t n = p->elements.elements;
  if (n <= FEW) return ranked_of_few(p, rank);
  if (guess(p, n, rank)) {
    keep(p);
    const int64_t kept = atomic_load(&p->kept), below = atomic_load(&p->below);
    if (kept <= p->job->room && below < rank && rank <= below + kept)
      return mfq_select_key(p->keys, kept, rank - below);
  }
  if (n <= MFQ_CHUNK) return ranked_of_few(p, rank);
  p->prefix = 0;
  p->shift = 32;
  do n = narrow(p, &rank);
  while (n > p->job->room && p->shift > 0);
  if (p->shift == 0) return p->prefix;
  p->range = range_of_prefix(p);
  keep(p);
  return mfq_select_key(p->keys, n, rank);
}

uint32_t mfq_chunk_ranks(mfq_chunk_pass *p) {
  const mfqn_observer *o = &p->job->of.observer;
  const mfqn_ranks ranks = mfqn_observed_ranks(o, p->elements.elements);
  mfq_chunk_scratch *all = p->job->scratch;
  uint32_t largest = 0;
  for (int t = mfq_chunk_first_scratch(p); t < mfq_chunk_end_scratch(p); ++t) all[t].largest = 0;
  p->is_signed = o->observed != MFQN_OBSERVED_PERCENTILE;
  const uint32_t low = ranks.low > 0 ? mfqn_rank_value(ranked(p, ranks.low), p->is_signed) : 0;
  const uint32_t high = ranks.high > 0 ? mfqn_rank_value(ranked(p, ranks.high), p->is_signed) : 0;
  for (int t = mfq_chunk_first_scratch(p); t < mfq_chunk_end_scratch(p); ++t)
    largest = mfqn_umax(largest, all[t].largest);
  return largest > MFQN_INF ? MFQN_NAN : mfqn_observed_ranked(o, &p->job->of.scheme, low, high);
}
