/* num/quotient.h: quotients by a divisor whose reciprocal is at hand, without a division. */
#ifndef MFQ_NUM_QUOTIENT_H
#define MFQ_NUM_QUOTIENT_H

#include "bits.h"

/* x / s rounded to nearest, but that -0 becomes 0; `inverse` is 1 / s rounded, x / s and it are normal numbers, and |x| is
 * at least 2^-100 or s a power of two.
 *
 * `near` errs by less than 1.5 steps (2^-24 where x / s is in 1/2 ... 1), so that `rest` is exact, or rounded to 24 bits
 * from 25, and the last sum errs by less than 3 * 2^-48 before it is rounded. x / s is never half-way between two numbers,
 * which would need more digits than x has. It comes as near as that only where x is few units, at most 5, from s times such
 * a middle: tests/num/quotient_test.cc tries all of these, for all significands. */
MFQ_HD float mfqn_quotient(float x, float s, float inverse) {
  const float near = mfqn_mul(x, inverse), rest = mfqn_fma(-near, s, x);
  return mfqn_fma(rest, inverse, near);
}

/* Whether that holds for a divisor of these bits and all quotients from 2^-(depth + 2) on, below which it gives less than
 * 2^-(depth + 1). The least divisor of measured groups is a power of two, and so exact. */
MFQ_HD uint32_t mfqn_has_quotients(uint32_t divisor, int32_t depth) {
  const uint32_t lowest = (uint32_t)(127 - 98 + depth) << 23, highest = (uint32_t)(127 + 110) << 23;
  return (uint32_t)(divisor - lowest <= highest - lowest) | (uint32_t)(divisor == MFQN_MIN_NORMAL);
}

#endif
