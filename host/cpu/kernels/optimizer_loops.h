/* host/cpu/kernels/optimizer_loops.h: squares of gradients, and the steps of num/descent.h over arrays. */
#ifndef MFQ_HOST_CPU_KERNELS_OPTIMIZER_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_OPTIMIZER_LOOPS_H

#include <mfq/num/descent.h>

#include "convert_loops.h"

/* mfqn_squares_sum of at most a run of elements; the first halving is done on the way. */
static double squares(mfq_source x, int64_t n) {
  enum { HALF = MFQN_SQUARES_RUN / 2 };
  uint32_t wide[MFQN_SQUARES_RUN];
  double t[HALF];
  const uint32_t *restrict u = x.data;
  if (x.dtype != MFQ_DTYPE_F32 || n < MFQN_SQUARES_RUN) {
    load(wide, x.data, x.dtype, n);
    memset(wide + n, 0, (size_t)(MFQN_SQUARES_RUN - n) * sizeof *wide);
    u = wide;
  }
  for (int i = 0; i < HALF; ++i) t[i] = mfqn_dadd(mfqn_square(u[i]), mfqn_square(u[i + HALF]));
  for (int h = HALF / 2; h >= 8; h /= 2)
    for (int i = 0; i < h; ++i) t[i] = mfqn_dadd(t[i], t[i + h]);
  for (int h = 4; h >= 1; h /= 2)
    for (int i = 0; i < h; ++i) t[i] = mfqn_dadd(t[i], t[i + h]);
  return t[0];
}

static void adamw(const mfqn_update *update, mfq_updated a) {
  const mfqn_update u = *update; /* a copy that stores cannot change: it stays in registers */
  float *restrict x = a.x, *restrict m = a.first, *restrict v = a.second;
  const float *restrict g = a.gradient;
  for (int64_t i = 0; i < a.n; ++i) {
    float first = m[i], second = v[i];
    x[i] = mfqn_adamw(&u, x[i], g[i], &first, &second);
    m[i] = first;
    v[i] = second;
  }
}

static void sgd(const mfqn_update *update, mfq_updated a) {
  const mfqn_update u = *update;
  float *restrict x = a.x, *restrict m = a.first;
  const float *restrict g = a.gradient;
  if (m == NULL) {
    for (int64_t i = 0; i < a.n; ++i) x[i] = mfqn_sgd(&u, x[i], g[i]);
    return;
  }
  for (int64_t i = 0; i < a.n; ++i) {
    float first = m[i];
    x[i] = mfqn_sgd_momentum(&u, x[i], g[i], &first);
    m[i] = first;
  }
}

static void store_stochastic(uint16_t *restrict dst, const uint32_t *restrict x, const uint16_t *restrict random,
                             int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = (uint16_t)mfqn_bf16_stochastic(x[i], random[i]);
}

#endif
