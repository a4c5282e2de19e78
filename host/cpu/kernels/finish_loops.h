/* host/cpu/kernels/finish_loops.h: from sums to values of D, by the function of num/. */
#ifndef MFQ_HOST_CPU_KERNELS_FINISH_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_FINISH_LOOPS_H

#include "loops.h"

INLINE void finish_as(const mfqn_finish *given, const mfq_finish_row *r, int64_t n, uint32_t *d, int activation) {
  mfqn_finish e = *given;
  e.activation = activation;
  for (int64_t i = 0; i < n; ++i)
    d[i] = mfqn_bits(mfqn_finish_value(&e, r->sums[i], r->row_factor, r->col_factors[i], r->c[i], r->bias[i]));
}

static void finish(const mfqn_finish *e, const mfq_finish_row *r, int64_t n, uint32_t *d) {
  switch (e->activation) {
    case MFQN_ACTIVATION_NONE: finish_as(e, r, n, d, MFQN_ACTIVATION_NONE); break;
    case MFQN_ACTIVATION_RELU: finish_as(e, r, n, d, MFQN_ACTIVATION_RELU); break;
    case MFQN_ACTIVATION_GELU: finish_as(e, r, n, d, MFQN_ACTIVATION_GELU); break;
    case MFQN_ACTIVATION_GELU_TANH: finish_as(e, r, n, d, MFQN_ACTIVATION_GELU_TANH); break;
    default: finish_as(e, r, n, d, MFQN_ACTIVATION_SILU);
  }
}

#endif
