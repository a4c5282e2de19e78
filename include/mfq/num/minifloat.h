/* num/minifloat.h: encode and decode of any minifloat, by integer arithmetic.
 *
 * A value is (2^M + man) * 2^(field - bias - M), or man * 2^(1 - bias - M) when the exponent field is 0. Encoding x *
 * 2^-S is encoding x with bias - S: a power-of-two scale costs no rounding (docs/numerics.md). */
#ifndef MFQ_NUM_MINIFLOAT_H
#define MFQ_NUM_MINIFLOAT_H

#include "round.h"

/* A minifloat made ready for the loops below. Codes are magnitudes, without the sign bit, unless said otherwise. */
typedef struct mfqn_minifloat {
  int32_t man_bits;
  int32_t bias;
  uint32_t sign_bit;      /* 1 << (exp_bits + man_bits), or 0 when unsigned */
  int32_t sign_shift;     /* from the sign of a float32 to sign_bit */
  uint32_t signed_mask;   /* all ones, or 0 when unsigned: negative values become 0 */
  uint32_t neg_zero_mask; /* all ones when the format has -0, else 0 */
  uint32_t max_code;      /* largest finite magnitude */
  uint32_t overflow_code; /* what overflow and infinity become */
  uint32_t nan_code;      /* what NaN becomes, whole code */
  uint32_t inf_code;      /* magnitude, or 0xffffffff when there is none */
  uint32_t nan_from;      /* magnitudes from here on are NaN, 0xffffffff when there are none */
  uint32_t lone_nan;      /* the whole code that is NaN beside those (FNUZ: the sign bit alone), or 0xffffffff */
} mfqn_minifloat;

/* The values of mfq_specials. */
enum { MFQN_SPECIALS_NONE = 0, MFQN_SPECIALS_FN = 1, MFQN_SPECIALS_FNUZ = 2, MFQN_SPECIALS_IEEE = 3 };

MFQ_HD mfqn_minifloat mfqn_minifloat_make(int32_t is_signed, int32_t exp_bits, int32_t man_bits, int32_t bias,
                                          int32_t specials, int32_t saturate) {
  const uint32_t all = (1u << (exp_bits + man_bits)) - 1u, none = 0xffffffffu;
  const uint32_t inf = all & ~((1u << man_bits) - 1u);
  mfqn_minifloat f;
  f.man_bits = man_bits;
  f.bias = bias;
  f.sign_bit = is_signed ? all + 1u : 0u;
  f.sign_shift = 31 - (exp_bits + man_bits);
  f.lone_nan = specials == MFQN_SPECIALS_FNUZ ? f.sign_bit : none;
  f.signed_mask = is_signed ? none : 0u;
  f.neg_zero_mask = specials == MFQN_SPECIALS_FNUZ ? 0u : f.signed_mask;
  f.max_code = specials == MFQN_SPECIALS_FN ? all - 1u : specials == MFQN_SPECIALS_IEEE ? inf - 1u : all;
  f.inf_code = specials == MFQN_SPECIALS_IEEE ? inf : none;
  f.nan_from = specials == MFQN_SPECIALS_FN ? all : specials == MFQN_SPECIALS_IEEE ? inf + 1u : none;
  f.nan_code = specials == MFQN_SPECIALS_NONE ? f.max_code : specials == MFQN_SPECIALS_FNUZ ? f.sign_bit : all;
  f.overflow_code = saturate                         ? f.max_code
                    : specials == MFQN_SPECIALS_IEEE ? inf
                    : specials == MFQN_SPECIALS_NONE ? f.max_code
                                                     : f.nan_code;
  return f;
}

/* Encodes the float32 with bits `u`, times 2^-exp2, into a code.
 * With `wide` 0 the caller promises that 2^-126 * 2^-exp2 is below the format's smallest normal value (bias - exp2 <
 * 127), so that subnormal inputs need no normalisation; the loops of the CPU and the GPU rely on it. */
MFQ_HD uint32_t mfqn_minifloat_encode_as(uint32_t u, const mfqn_minifloat *f, int32_t exp2, int rounding,
                                         uint32_t random, int wide) {
  const uint32_t a = u & MFQN_ABS, negative = u >> 31;
  const int32_t field = (int32_t)(a >> 23);
  uint32_t man = (a & 0x7fffffu) | (field != 0 ? 0x800000u : 0u);
  int32_t e = mfqn_max(field, 1);
  if (wide && man != 0) {
    const int32_t up = 23 - mfqn_msb(man);
    man <<= up;
    e -= up;
  }
  const int32_t te = e - 127 + f->bias - exp2;
  const int32_t longest = rounding == MFQN_ROUND_STOCHASTIC ? 63 : 25;
  const int32_t shift = mfqn_min(23 - f->man_bits + mfqn_max(1 - te, 0), longest);
  const uint32_t base = (uint32_t)(mfqn_max(te, 1) - 1) << f->man_bits;
  const uint32_t rounded = base + mfqn_round_shift(man, shift, base, negative, rounding, random);
  uint32_t code = rounded > f->max_code || a == MFQN_INF ? f->overflow_code : rounded;
  if (wide) code = a == 0 ? 0u : code; /* otherwise zero lies in the binade of the subnormals and is 0 already */
  code |= (negative * f->sign_bit) & (code == 0 ? f->neg_zero_mask : 0xffffffffu);
  code &= (negative - 1u) | f->signed_mask;
  return a > MFQN_INF ? f->nan_code : code;
}

MFQ_HD uint32_t mfqn_minifloat_encode(uint32_t u, const mfqn_minifloat *f, int32_t exp2, int rounding,
                                      uint32_t random) {
  return mfqn_minifloat_encode_as(u, f, exp2, rounding, random, 1);
}

/* Whether mfqn_minifloat_encode_central holds: the smallest step is at least 2^-125, and 2^23 steps are a float32
 * number. */
MFQ_HD int mfqn_minifloat_is_central(const mfqn_minifloat *f, int32_t exp2) {
  return exp2 >= f->bias + f->man_bits - 126 && exp2 <= f->bias + f->man_bits + 103;
}

/* What the encoding below needs of a scale, as float32 bits. */
typedef struct mfqn_central {
  uint32_t rebias;       /* from a float32 to a code, in its exponent field */
  uint32_t least_normal; /* the smallest input whose code is normal */
  uint32_t steps;        /* 2^23 of the format's smallest steps */
} mfqn_central;

MFQ_HD mfqn_central mfqn_central_of(const mfqn_minifloat *f, int32_t exp2) {
  mfqn_central c;
  c.rebias = (uint32_t)(127 - f->bias + exp2) << 23;
  c.least_normal = c.rebias + MFQN_MIN_NORMAL;
  c.steps = c.least_normal + ((uint32_t)(23 - f->man_bits) << 23);
  return c;
}

/* mfqn_minifloat_encode with ties to even and saturation, in fewer steps, for signed formats and scales in the middle
 * of float32's range. Normal results round by an integer addition; subnormal ones by a float addition to 2^23 steps.
 * With `finite` 1 the caller promises finite inputs; otherwise exp2 is at most 0 and the format's largest value below
 * 2^121. With `neg_zero` 1 the format has -0. */
MFQ_HD uint32_t mfqn_minifloat_encode_central(uint32_t u, const mfqn_minifloat *f, mfqn_central c, int finite,
                                              int neg_zero) {
  const uint32_t a = u & MFQN_ABS, based = a - c.rebias; /* the code and, below it, what is rounded off */
  const int32_t shift = 23 - f->man_bits;
  const uint32_t normal = (based + ((1u << (shift - 1)) - 1u) + ((based >> shift) & 1u)) >> shift;
  const uint32_t subnormal = mfqn_bits(mfqn_add(mfqn_float_of(a), mfqn_float_of(c.steps))) - c.steps;
  const uint32_t magnitude = mfqn_umin(a < c.least_normal ? subnormal : normal, f->max_code);
  const uint32_t sign = (u >> f->sign_shift) & f->sign_bit;
  const uint32_t code = neg_zero || magnitude != 0 ? magnitude | sign : 0u;
  return !finite && a > MFQN_INF ? f->nan_code : code;
}

/* mfqn_minifloat_encode with stochastic rounding by mfqn_random_fraction(half) and saturation, in fewer steps, where
 * both exp2 and exp2 - 1 - MFQN_DRAWN_BITS are central; at most 6 mantissa bits; otherwise as above. Below the smallest
 * normal value the code of normal results is too small, above it that of subnormal ones. */
MFQ_HD uint32_t mfqn_minifloat_encode_drawn(uint32_t u, const mfqn_minifloat *f, mfqn_central c, uint32_t half,
                                            int finite, int neg_zero) {
  const int32_t shift = 23 - f->man_bits;
  const uint32_t a = u & MFQN_ABS, drawn = half << 1 | 1u;
  const int32_t normal = (int32_t)(a - c.rebias + (drawn << (shift - MFQN_DRAWN_BITS))) >> shift;
  const float per_step = mfqn_float_of(((uint32_t)(2 * 127 + 23 + MFQN_DRAWN_BITS) << 23) - c.steps);
  const float small = mfqn_mul(mfqn_float_of(mfqn_umin(a, c.least_normal)), per_step);
  const uint32_t most = (uint32_t)(127 + 24) << 23; /* of what is no integer of 24 bits nothing is used */
  const int32_t subnormal =
      ((int32_t)mfqn_float_of(mfqn_umin(mfqn_bits(small), most)) + (int32_t)drawn) >> MFQN_DRAWN_BITS;
  const uint32_t magnitude = mfqn_umin((uint32_t)mfqn_max(normal, subnormal), f->max_code);
  const uint32_t sign = (u >> f->sign_shift) & f->sign_bit;
  const uint32_t code = neg_zero || magnitude != 0 ? magnitude | sign : 0u;
  return !finite && a > MFQN_INF ? f->nan_code : code;
}

/* Decodes a code, times 2^exp2, to float32 bits; one rounding to nearest even where the product leaves float32's
 * grid. Finite codes become at most the largest finite number. */
MFQ_HD uint32_t mfqn_minifloat_decode(uint32_t code, const mfqn_minifloat *f, int32_t exp2) {
  const uint32_t magnitude = f->sign_bit ? code & (f->sign_bit - 1u) : code;
  const uint32_t sign = (f->sign_bit & code) != 0 ? 0x80000000u : 0u;
  if (magnitude >= f->nan_from || code == f->lone_nan) return MFQN_NAN;
  if (magnitude == f->inf_code) return sign | MFQN_INF;
  const uint32_t field = magnitude >> f->man_bits, fraction = magnitude & ((1u << f->man_bits) - 1u);
  const uint32_t man = field != 0 ? fraction | (1u << f->man_bits) : fraction;
  const int32_t e = field != 0 ? (int32_t)field : 1;
  return sign | mfqn_umin(mfqn_ldexp(man, e - f->bias - f->man_bits + exp2), MFQN_MAX_FINITE);
}

#endif
