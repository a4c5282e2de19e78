/* host/cpu/kernels/search_kernels.c: the loops of search_kernels.h for the instruction set MFQ_ISA.
 *
 * Runs of a power of two are summed level by level over all of them at once; what a short run misses is +0, which no sum of
 * squares notices. */
#include <string.h>

#include <mfq/num/candidate.h>

#include "host/cpu/cast/search_kernels.h"
#include "loops.h"

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

const mfq_search_loops MFQ_JOIN(mfq_search_loops_, MFQ_ISA) = {.squares = squares, .run_sums = run_sums, .add = add};
