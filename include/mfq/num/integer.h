/* num/integer.h: encode and decode of small integers and fixed-point numbers: value = code * 2^-frac_bits. */
#ifndef MFQ_NUM_INTEGER_H
#define MFQ_NUM_INTEGER_H

#include "round.h"

typedef struct mfqn_integer {
  int32_t bits;
  int32_t lowest; /* as integers, not codes */
  int32_t highest;
  int32_t frac_bits;
  uint32_t mask; /* of a code's bits */
} mfqn_integer;

MFQ_HD mfqn_integer mfqn_integer_make(int32_t is_signed, int32_t bits, int32_t frac_bits, int32_t narrow) {
  mfqn_integer f;
  f.bits = bits;
  f.mask = (1u << bits) - 1u;
  f.frac_bits = frac_bits;
  f.lowest = is_signed ? -(1 << (bits - 1)) + narrow : 0;
  f.highest = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1 - narrow;
  return f;
}

/* Rounds the float32 with bits `u`, times 2^(frac_bits - exp2), to an integer in lowest ... highest. Infinity
 * saturates, NaN becomes `highest`. */
MFQ_HD int32_t mfqn_integer_round(uint32_t u, const mfqn_integer *f, int32_t exp2, int rounding, uint32_t random) {
  const uint32_t a = u & MFQN_ABS, negative = u >> 31;
  const int32_t field = (int32_t)(a >> 23);
  const uint32_t man = (a & 0x7fffffu) | (field != 0 ? 0x800000u : 0u);
  /* Below a shift of 1 the magnitude is beyond every range here, or 0: a shift of 1 gives the same after the clamp, and
   * stands for infinity too, whatever exp2 is. */
  const int32_t longest = rounding == MFQN_ROUND_STOCHASTIC ? 63 : 25;
  const int32_t finite_shift = mfqn_clamp(150 - mfqn_max(field, 1) - f->frac_bits + exp2, 1, longest);
  const int32_t shift = a == MFQN_INF ? 1 : finite_shift;
  const uint32_t rounded = mfqn_round_shift(man, shift, 0, negative, rounding, random);
  const int32_t value = negative ? -(int32_t)rounded : (int32_t)rounded;
  return a > MFQN_INF ? f->highest : mfqn_clamp(value, f->lowest, f->highest);
}

/* Rounds the exact sum of the float32 with bits `u` and an integer zero point, of formats without fraction bits.
 * Infinity saturates, NaN becomes `highest`. */
MFQ_HD int32_t mfqn_integer_round_sum(uint32_t u, int32_t zero_point, const mfqn_integer *f, int rounding,
                                      uint32_t random) {
  const uint32_t a = u & MFQN_ABS, negative = u >> 31;
  if (a > MFQN_INF) return f->highest;
  if (a >= 0x44800000u) return negative ? f->lowest : f->highest; /* from 1024 on: beyond every format and zero point */
  /* The sum as a fixed point with 32 bits of fraction, rounded down, and whether something is below them. */
  const int32_t field = (int32_t)(a >> 23), up = mfqn_max(field, 1) - 150 + 32;
  const uint64_t man = (a & 0x7fffffu) | (field != 0 ? 0x800000u : 0u);
  const int32_t down = mfqn_min(mfqn_max(-up, 0), 25);
  const int64_t fixed = (int64_t)(man << mfqn_max(up, 0) >> down);
  const int64_t rest = ((uint64_t)fixed << down) != man << mfqn_max(up, 0);
  const int64_t sum = (int64_t)zero_point * ((int64_t)1 << 32) + (negative ? -fixed - rest : fixed);
  /* Its magnitude, rounded down likewise. */
  const uint32_t below = sum < 0;
  const int64_t magnitude = below ? -sum - rest : sum;
  const uint64_t low = (uint64_t)magnitude >> 32, fraction = (uint64_t)magnitude & 0xffffffffu, half = 1ull << 31;
  const uint64_t odd = low & 1u, some = (fraction | (uint64_t)rest) != 0;
  const uint64_t above = fraction > half || (fraction == half && rest), tie = fraction == half && !rest;
  uint64_t step = above | (tie & odd);
  switch (rounding) {
    case MFQN_ROUND_AWAY: step = above | tie; break;
    case MFQN_ROUND_ZERO: step = 0; break;
    case MFQN_ROUND_FLOOR: step = some & below; break;
    case MFQN_ROUND_CEIL: step = some & (below ^ 1u); break;
    case MFQN_ROUND_DPU: step = above | (tie & odd & (below ^ 1u)); break;
    case MFQN_ROUND_STOCHASTIC: step = (fraction + random) >> 32; break;
    default: break;
  }
  const int32_t value = (int32_t)(low + step);
  return mfqn_clamp(below ? -value : value, f->lowest, f->highest);
}

MFQ_HD uint32_t mfqn_integer_code(int32_t value, const mfqn_integer *f) { return (uint32_t)value & f->mask; }

MFQ_HD uint32_t mfqn_integer_encode(uint32_t u, const mfqn_integer *f, int32_t exp2, int rounding, uint32_t random) {
  return mfqn_integer_code(mfqn_integer_round(u, f, exp2, rounding, random), f);
}

/* mfqn_integer_encode with ties to even, in fewer steps, for a finite value that is scaled already: adding 1.5 * 2^23
 * leaves the rounded integer in the low bits. */
MFQ_HD uint32_t mfqn_integer_encode_central(float scaled, const mfqn_integer *f) {
  const float lowest = (float)f->lowest, highest = (float)f->highest;
  const float low = scaled < lowest ? lowest : scaled, clamped = low > highest ? highest : low;
  return mfqn_bits(mfqn_add(clamped, 12582912.0f)) & f->mask;
}

/* mfqn_integer_encode with stochastic rounding by mfqn_random_fraction(half), in fewer steps, for a finite value that is
 * scaled already, by 2^MFQN_DRAWN_BITS too. A negative one goes away from zero by what its complement leaves. */
MFQ_HD uint32_t mfqn_integer_encode_drawn(float scaled, const mfqn_integer *f, uint32_t half) {
  const float step = 1 << MFQN_DRAWN_BITS, lowest = (float)f->lowest * step, highest = (float)f->highest * step;
  const float low = scaled > lowest ? scaled : lowest, clamped = low < highest ? low : highest; /* NaN: lowest */
  const int32_t fixed = (int32_t)clamped, drawn = (int32_t)(half << 1 | 1u);
  const int32_t added = drawn ^ (fixed < 0 ? (1 << MFQN_DRAWN_BITS) - 1 : 0);
  return mfqn_integer_code((fixed + added) >> MFQN_DRAWN_BITS, f);
}

/* mfqn_integer_round_sum with ties to even: added once to 1.5 * 2^23 plus the zero point, `t` is rounded to an integer.
 * Limits before that keep it near there. */
MFQ_HD int32_t mfqn_integer_sum_central(float t, float zero_point, const mfqn_integer *f) {
  const float low = t < 1024.0f ? t : 1024.0f, near = low > -1024.0f ? low : -1024.0f;
  const float sum = mfqn_add(near, mfqn_add(12582912.0f, zero_point));
  return mfqn_clamp((int32_t)(mfqn_bits(sum) - mfqn_bits(12582912.0f)), f->lowest, f->highest);
}

/* mfqn_integer_round_sum with stochastic rounding by mfqn_random_fraction(half), in a fixed point of 32 bits; infinities
 * and NaN too. Sums are rounded down on the way, and negative ones up, so that their magnitude is rounded down. Limits
 * that were constants would make branches of what follows from them. */
MFQ_HD int32_t mfqn_integer_sum_drawn(float t, float zero_point, const mfqn_integer *f, uint32_t half) {
  const float step = 1 << MFQN_DRAWN_BITS, limit = mfqn_mul((float)(f->mask + 1u), 4.0f);
  const float low = t < limit ? t : limit, near = mfqn_mul(low > -limit ? low : -limit, step);
  const int32_t whole = (int32_t)near, mask = (1 << MFQN_DRAWN_BITS) - 1;
  const float back = (float)whole;
  const int32_t down = near < back ? whole - 1 : whole, sum = down + (int32_t)mfqn_mul(zero_point, step);
  const int32_t negative = sum >> 31, up = near != back ? sum - negative : sum;
  const int32_t drawn = (int32_t)(half << 1 | 1u) ^ (negative & mask);
  return mfqn_clamp((up + drawn) >> MFQN_DRAWN_BITS, f->lowest, f->highest);
}

/* Whether 2^(frac_bits - exp2), which scales such a value, is a normal float32 number. */
MFQ_HD int mfqn_integer_is_central(const mfqn_integer *f, int32_t exp2) {
  return exp2 >= f->frac_bits - 127 && exp2 <= f->frac_bits + 126;
}

/* The integer that a code stands for, sign-extended. */
MFQ_HD int32_t mfqn_integer_value(uint32_t code, const mfqn_integer *f) {
  const uint32_t top = f->lowest < 0 ? 1u << (f->bits - 1) : 0u;
  return (int32_t)((code & f->mask) ^ top) - (int32_t)top;
}

/* The float32 bits of value * 2^(exp2 - frac_bits), at most the largest finite number. */
MFQ_HD uint32_t mfqn_integer_scaled(int32_t value, const mfqn_integer *f, int32_t exp2) {
  const uint32_t magnitude = (uint32_t)(value < 0 ? -value : value);
  const uint32_t finite = mfqn_umin(mfqn_ldexp(magnitude, exp2 - f->frac_bits), MFQN_MAX_FINITE);
  return finite | (value < 0 ? 0x80000000u : 0u);
}

MFQ_HD uint32_t mfqn_integer_decode(uint32_t code, const mfqn_integer *f, int32_t exp2) {
  return mfqn_integer_scaled(mfqn_integer_value(code, f), f, exp2);
}

#endif
