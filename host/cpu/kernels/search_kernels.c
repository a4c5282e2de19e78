/* host/cpu/kernels/search_kernels.c: the loops of search_kernels.h for the instruction set MFQ_ISA.
 *
 * Runs of a power of two are summed level by level over all of them at once; what a short run misses is +0, which no sum of
 * squares notices. */
#include <string.h>

#include "search_loops.h"

static void squares(const uint32_t *restrict x, const uint32_t *restrict y, const float *restrict weights, int64_t n,
                    float *restrict terms) {
  for (int64_t i = 0; !weights && i < n; ++i) terms[i] = mfqn_squared_error(x[i], y[i], 1.0f);
  for (int64_t i = 0; weights && i < n; ++i) terms[i] = mfqn_mul(mfqn_squared_error(x[i], y[i], 1.0f), weights[i]);
}

static void add(const float *restrict earlier, int64_t n, float *restrict sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] = mfqn_add(earlier[i], sums[i]);
}

INLINE void add_pairs(float *restrict to, const float *restrict t, int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) to[i] = mfqn_add(t[2 * i], t[2 * i + 1]);
}

/* All runs at once, whose length is a power of two. */
static void even_sums(float *terms, int64_t n, int64_t run, float *sums) {
  float halves[MFQ_CHUNK];
  float *from = terms, *to = halves;
  for (; run > 2; run /= 2, n /= 2) {
    add_pairs(to, from, n / 2);
    float *const done = from;
    from = to;
    to = done;
  }
  add_pairs(sums, from, n / 2);
}

static float odd_sum(float *terms, int64_t n) {
  for (; n > 1; n = (n + 1) / 2) {
    for (int64_t i = 0; i < n / 2; ++i) terms[i] = mfqn_add(terms[2 * i], terms[2 * i + 1]);
    if (n % 2 != 0) terms[n / 2] = terms[n - 1];
  }
  return n > 0 ? terms[0] : 0.0f;
}

/* ---- Runs of whole vectors --------------------------------------------------------------------------------------- */

INLINE void eight_squares(const mfq_search_row *row, int64_t at, int is_weighted, eight *squares) {
  const eight error = *(const eight *)(const void *)(row->x + at) - *(const eight *)(const void *)(row->y + at);
  *squares = error * error;
  if (is_weighted) *squares *= *(const eight *)(const void *)(row->weights + at);
}

/* Sums of eight neighbours each, of `n` elements, a multiple of 32. */
INLINE void sums_of_eight(const mfq_search_row *row, int64_t n, float *restrict sums, int is_weighted) {
  const mfq_search_row local = *row;
  for (int64_t i = 0; i < n; i += 32) {
    eight terms[4];
    for (int k = 0; k < 4; ++k) eight_squares(&local, i + 8 * k, is_weighted, &terms[k]);
    fold_block(terms, sums + i / 8);
  }
}

static void run_sums(float *terms, int64_t n, int64_t run, float *sums) {
  if (run == 1) {
    memcpy(sums, terms, (size_t)n * sizeof *sums);
    return;
  }
  if ((run & (run - 1)) == 0 && n >= run) {
    const int64_t short_run = n % run;
    if (short_run) memset(terms + n, 0, (size_t)(run - short_run) * sizeof *terms);
    even_sums(terms, n + (short_run ? run - short_run : 0), run, sums);
    return;
  }
  for (int64_t at = 0, i = 0; at < n; at += run, ++i) sums[i] = odd_sum(terms + at, n - at < run ? n - at : run);
}

/* Whole runs by vectors where they are a power of two from 8 on, the others term by term. */
static void losses(const mfq_search_row *row, mfq_stretch span, float *terms, float *sums) {
  const int64_t n = span.n, run = span.run;
  const int has_vectors = (run & (run - 1)) == 0 && run >= 8;
  const int64_t unit = run > 32 ? run : 32, whole = has_vectors ? n / unit * unit : 0;
  if (row->weights)
    sums_of_eight(row, whole, terms, 1);
  else
    sums_of_eight(row, whole, terms, 0);
  if (whole > 0) run_sums(terms, whole / 8, run / 8, sums);
  if (whole == n) return;
  squares(row->x + whole, row->y + whole, row->weights ? row->weights + whole : NULL, n - whole, terms);
  run_sums(terms, n - whole, run, sums + whole / run);
}

static int quick_losses(const mfqn_scheme *s, const mfq_lanes *lanes, const mfq_search_row *row, mfq_stretch span,
                        float *sums) {
  float eights[MFQ_CHUNK / 8];
  const int is_power = (span.run & (span.run - 1)) == 0 && span.run >= BLOCK / 2;
  if (!is_power || span.n % (span.run > BLOCK ? span.run : BLOCK) != 0 || !errors_are_short(s, lanes)) return 0;
  error_job job = error_job_of(s, lanes);
  job.row = *row;
  job.n = span.n;
  job.run = span.run;
  job.sums = eights;
  error_any(&job, (error_kind){s->is_integer, mfqn_by_exponent(s), s->scale == MFQN_SCALE_UE4M3, 0});
  run_sums(eights, span.n / 8, span.run / 8, sums);
  return 1;
}

/* ---- Candidates -------------------------------------------------------------------------------------------------- */

static void products(const float *restrict base, float factor, int64_t n, uint32_t *restrict candidates) {
  for (int64_t i = 0; i < n; ++i) candidates[i] = mfqn_umin(mfqn_bits(mfqn_mul(base[i], factor)), MFQN_MAX_FINITE);
}

static void keep(const mfq_search_best_of *restrict b, const uint32_t *restrict stored, const float *restrict loss,
                 int64_t n) {
  uint32_t *restrict best = b->stored;
  float *restrict least = b->loss;
  const uint32_t *restrict plain = b->plain;
  const uint32_t keeps_plain = b->keeps_plain != 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t is_exact = keeps_plain & (uint32_t)(stored[i] == plain[i]) & (uint32_t)(loss[i] == 0.0f);
    const uint32_t is_better = (uint32_t)(loss[i] < least[i]) | is_exact;
    best[i] = is_better ? stored[i] : best[i];
    least[i] = is_better ? loss[i] : least[i];
  }
}

const mfq_search_loops MFQ_JOIN(mfq_search_loops_, MFQ_ISA) = {
    .squares = squares, .losses = losses, .quick_losses = quick_losses, .add = add, .products = products, .keep = keep};
