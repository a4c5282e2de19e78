/* num/round.h: the rounding of a magnitude whose low bits are shifted out, and of a float to an integer. */
#ifndef MFQ_NUM_ROUND_H
#define MFQ_NUM_ROUND_H

#include "bits.h"

/* The values of mfq_rounding. */
enum {
  MFQN_ROUND_EVEN = 0,
  MFQN_ROUND_AWAY = 1,
  MFQN_ROUND_ZERO = 2,
  MFQN_ROUND_FLOOR = 3,
  MFQN_ROUND_CEIL = 4,
  MFQN_ROUND_DPU = 5,
  MFQN_ROUND_STOCHASTIC = 6
};

/* The bits of the fraction that stochastic rounding adds, in the short forms of encodings: 16 random ones and the one
 * below them, set. */
enum { MFQN_DRAWN_BITS = 17 };

/* Returns man / 2^shift rounded to an integer.
 * `shift` is 1 ... 63 for STOCHASTIC and 1 ... 25 otherwise; man < 2^24. `base` is added to the integer to make the
 * code whose low bit decides ties to even. `random` is uniform in 0 ... 2^32-1: the discarded part, read as a fraction
 * of 32 bits, rounds up when adding it carries. */
MFQ_HD uint32_t mfqn_round_shift(uint32_t man, int32_t shift, uint32_t base, uint32_t negative, int rounding,
                                 uint32_t random) {
  if (rounding == MFQN_ROUND_STOCHASTIC) {
    const uint32_t low = man >> mfqn_min(shift, 31); /* words of 32 bits, of which vectors have the most */
    const uint32_t fraction = man << mfqn_max(32 - shift, 0) >> mfqn_max(shift - 32, 0);
    return low + (fraction > ~random);
  }
  const uint32_t low = man >> shift, half = 1u << (shift - 1), odd = (low + base) & 1u;
  switch (rounding) {
    case MFQN_ROUND_AWAY: return (man + half) >> shift;
    case MFQN_ROUND_ZERO: return low;
    case MFQN_ROUND_FLOOR: return (man + (2 * half - 1) * negative) >> shift;
    case MFQN_ROUND_CEIL: return (man + (2 * half - 1) * (negative ^ 1u)) >> shift;
    case MFQN_ROUND_DPU: return (man + half - 1 + (odd & (negative ^ 1u))) >> shift;
    default: return (man + half - 1 + odd) >> shift;
  }
}

/* Rounds a float32 to an integral float32, keeping the sign of zero but in mode ZERO, where -0 becomes +0 as in
 * sign(x) * floor(|x|). NaN and infinities stay. Not for STOCHASTIC. */
MFQ_HD float mfqn_round_float(float x, int rounding) {
  const uint32_t u = mfqn_bits(x), a = u & MFQN_ABS, negative = u >> 31;
  if (a == 0) return rounding == MFQN_ROUND_ZERO ? 0.0f : x;
  const int32_t field = (int32_t)(a >> 23);
  if (field >= 127 + 23) return x;
  const uint32_t man = (a & 0x7fffffu) | (field != 0 ? 0x800000u : 0u);
  const int32_t shift = mfqn_min(127 + 23 - field, 25);
  const uint32_t r = mfqn_round_shift(man, shift, 0, negative, rounding, 0);
  return mfqn_float_of(mfqn_ldexp(r, 0) | (negative << 31));
}

#endif
