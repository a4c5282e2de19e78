/* host/cpu/kernels/search_kernels.c: the loops of search_kernels.h for the instruction set MFQ_ISA. */
#include <string.h>

#include "search_loops.h"
#include "tree_loops.h"

static void squares(const uint32_t *restrict x, const uint32_t *restrict y, const float *restrict weights, int64_t n,
                    float *restrict terms) {
  for (int64_t i = 0; !weights && i < n; ++i) terms[i] = mfqn_squared_error(x[i], y[i], 1.0f);
  for (int64_t i = 0; weights && i < n; ++i) terms[i] = mfqn_mul(mfqn_squared_error(x[i], y[i], 1.0f), weights[i]);
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

/* Whole runs by vectors where they are a power of two from 8 on, the others term by term. */
static void losses(const mfq_search_row *row, mfq_stretch span, float *terms, float *sums) {
  const int64_t n = span.n, run = span.run;
  const int has_vectors = (run & (run - 1)) == 0 && run >= 8;
  const int64_t unit = run > 32 ? run : 32, whole = has_vectors ? n / unit * unit : 0;
  if (row->weights)
    sums_of_eight(row, whole, terms, 1);
  else
    sums_of_eight(row, whole, terms, 0);
  if (whole > 0) trees(terms, whole / 8, run / 8, sums);
  if (whole == n) return;
  squares(row->x + whole, row->y + whole, row->weights ? row->weights + whole : NULL, n - whole, terms);
  trees(terms, n - whole, run, sums + whole / run);
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
  trees(eights, span.n / 8, span.run / 8, sums);
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
    .squares = squares, .losses = losses, .quick_losses = quick_losses, .products = products, .keep = keep};
