/* host/cpu/kernels/tree_loops.h: sums by the tree of num/gradient.h, level by level. */
#ifndef MFQ_HOST_CPU_KERNELS_TREE_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_TREE_LOOPS_H

#include <string.h>

#include <mfq/num/hd.h>

#include "loops.h"

INLINE void add_pairs(float *restrict to, const float *restrict t, int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) to[i] = mfqn_add(t[2 * i], t[2 * i + 1]);
}

/* The sum of `n` terms by the tree of num/gradient.h; they are lost. */
INLINE float tree_of(float *t, float *room, int64_t n) {
  float *from = t, *to = room;
  if (n == 0) return 0.0f;
  for (; n > 1; n = (n + 1) / 2) {
    add_pairs(to, from, n / 2);
    if (n % 2 != 0) to[n / 2] = mfqn_add(from[n - 1], 0.0f);
    float *const done = from;
    from = to;
    to = done;
  }
  return from[0];
}

/* Runs of a power of two are summed side by side, level by level. */
static void trees(float *t, int64_t n, int64_t run, float *restrict sums) {
  float halves[MFQ_CHUNK / 2];
  const int64_t whole = n / run, rest = n % run;
  float *from = t, *to = halves;
  if (rest != 0) sums[whole] = tree_of(t + n - rest, halves, rest);
  for (int64_t i = 0; (run & (run - 1)) != 0 && i < whole; ++i) sums[i] = tree_of(t + i * run, halves, run);
  if ((run & (run - 1)) != 0) return;
  for (int64_t k = run; k > 1; k /= 2) {
    add_pairs(to, from, whole * k / 2);
    float *const done = from;
    from = to;
    to = done;
  }
  memcpy(sums, from, (size_t)whole * sizeof *sums);
}

#endif
