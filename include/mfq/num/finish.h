/* num/finish.h: from the sum of a product to a value of D, step by step. */
#ifndef MFQ_NUM_FINISH_H
#define MFQ_NUM_FINISH_H

#include "activation.h"

/* What all elements of a product share. */
typedef struct mfqn_finish {
  int32_t has_c, has_bias;
  int32_t activation; /* MFQN_ACTIVATION_* */
  float alpha, beta;  /* 1 where they are not given; a beta of 0 is as has_c 0 */
} mfqn_finish;

/* activation(alpha * (sum * factors) + beta * c + bias): each step is one float32 operation, and NaN is canonical. The
 * factors are the scales of A's row and of B's column that do not vary along K, 1 where there are none. `c` and `bias`
 * are not used where they are missing. */
MFQ_HD float mfqn_finish_value(const mfqn_finish *e, float sum, float row_factor, float col_factor, float c,
                               float bias) {
  float v = mfqn_mul(mfqn_mul(mfqn_mul(sum, row_factor), col_factor), e->alpha);
  v = e->has_c && e->beta != 0.0f ? mfqn_add(v, mfqn_mul(e->beta, c)) : v;
  v = e->has_bias ? mfqn_add(v, bias) : v;
  return mfqn_activate(v, e->activation);
}

#endif
