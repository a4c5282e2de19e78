/* num/dot.h: the reproducible dot product: exact within a run, one rounding for each run, runs added in order.
 *
 * K is cut into runs at every multiple of 32 and of either operand's group, so that a run has one scale of each. The
 * result is the sum in float32, in order and from +0, of one term for each run: the dot of its elements times its two
 * scales, rounded once. All doubles are far from the ends of their range: nothing here overflows or underflows before
 * the rounding to float32. */
#ifndef MFQ_NUM_DOT_H
#define MFQ_NUM_DOT_H

#include "group.h"

enum { MFQN_DOT_RUN = 32 }; /* a run's longest length */

/* How the dot of a run is taken. In the first two every order of the products gives the same. */
enum {
  MFQN_DOT_EXACT = 0,  /* in double, which holds every sum of 32 products */
  MFQN_DOT_WIDE = 1,   /* in two doubles, likewise */
  MFQN_DOT_ORDERED = 2 /* in double, products and sums rounded in order of k */
};

/* What the elements and the group scales of an operand are. */
typedef struct mfqn_dot_side {
  int32_t element_bits; /* of the largest element, counted in the smallest step; 0: a plain operand, of any float32 */
  int32_t scale_bits;   /* of a group scale's significand; 0: powers of two */
} mfqn_dot_side;

typedef struct mfqn_dot_plan {
  int32_t kind;
  int32_t is_product_exact; /* double holds the dot times both scales */
} mfqn_dot_plan;

/* A dot: the sum of both, `low` being 0 unless the kind is WIDE. Starts as {0, 0}. */
typedef struct mfqn_dot {
  double high, low;
} mfqn_dot;

MFQ_HD mfqn_dot_side mfqn_dot_side_plain(void) {
  mfqn_dot_side side;
  side.element_bits = 0;
  side.scale_bits = 0;
  return side;
}

/* With `has_groups` 0 the scale does not vary along K, and is no part of the dot. */
MFQ_HD mfqn_dot_side mfqn_dot_side_make(const mfqn_scheme *s, int has_groups) {
  const uint32_t top = s->minifloat.max_code;
  const int32_t field = (int32_t)(top >> s->minifloat.man_bits);
  const int32_t minifloat_bits = field != 0 ? s->minifloat.man_bits + field : top != 0 ? mfqn_msb(top) + 1 : 1;
  mfqn_dot_side side;
  side.element_bits = s->is_integer ? s->integer.bits : minifloat_bits; /* code - zero point is below 2^bits too */
  side.scale_bits = 0;
  if (has_groups && s->scale == MFQN_SCALE_F32) side.scale_bits = 24;
  if (has_groups && s->scale == MFQN_SCALE_BF16) side.scale_bits = 8;
  if (has_groups && s->scale == MFQN_SCALE_F16) side.scale_bits = 11;
  if (has_groups && mfqn_has_tensor_scale(s->scale)) side.scale_bits = s->stored.man_bits + 1;
  return side;
}

/* Two doubles hold 102 bits: the second collects 31 rounding errors of the first, each below 2^(102 - 54) steps. */
MFQ_HD mfqn_dot_plan mfqn_dot_plan_make(mfqn_dot_side a, mfqn_dot_side b) {
  const int is_plain = a.element_bits == 0 || b.element_bits == 0;
  const int32_t bits = a.element_bits + b.element_bits + 5; /* 32 products */
  mfqn_dot_plan plan;
  plan.kind = is_plain || bits > 102 ? MFQN_DOT_ORDERED : bits > 53 ? MFQN_DOT_WIDE : MFQN_DOT_EXACT;
  plan.is_product_exact = (plan.kind == MFQN_DOT_EXACT ? bits : 53) + a.scale_bits + b.scale_bits <= 53;
  return plan;
}

/* The end of the run that begins at `k` < depth; a group of 0 does not cut. */
MFQ_HD int64_t mfqn_dot_run_end(int64_t k, int64_t depth, int64_t group_a, int64_t group_b) {
  int64_t end = (k / MFQN_DOT_RUN + 1) * MFQN_DOT_RUN;
  const int64_t a = group_a != 0 ? (k / group_a + 1) * group_a : end;
  const int64_t b = group_b != 0 ? (k / group_b + 1) * group_b : end;
  end = a < end ? a : end;
  end = b < end ? b : end;
  return depth < end ? depth : end;
}

MFQ_HD uint64_t mfqn_double_bits(double x) {
#if defined(__CUDA_ARCH__)
  return (uint64_t)__double_as_longlong(x);
#else
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  return u;
#endif
}

MFQ_HD double mfqn_double_of(uint64_t u) {
#if defined(__CUDA_ARCH__)
  return __longlong_as_double((long long)u);
#else
  double x;
  memcpy(&x, &u, sizeof x);
  return x;
#endif
}

/* The element that a code stands for, without any scale; exact. `zero_point` is an integer, not a code. */
MFQ_HD double mfqn_dot_element(const mfqn_scheme *s, uint32_t code, int32_t zero_point) {
  if (s->is_integer) {
    const double step = mfqn_double_of((uint64_t)(1023 - s->integer.frac_bits) << 52);
    return mfqn_dmul((double)(mfqn_integer_value(code, &s->integer) - zero_point), step);
  }
  const mfqn_minifloat *f = &s->minifloat;
  const uint32_t magnitude = f->sign_bit ? code & (f->sign_bit - 1u) : code;
  const uint64_t sign = (f->sign_bit & code) != 0 ? (uint64_t)1 << 63 : 0;
  if (magnitude >= f->nan_from || code == f->lone_nan) return mfqn_double_of((uint64_t)0x7ff8 << 48);
  if (magnitude == f->inf_code) return mfqn_double_of(sign | (uint64_t)0x7ff0 << 48);
  const uint32_t field = magnitude >> f->man_bits, fraction = magnitude & ((1u << f->man_bits) - 1u);
  const uint32_t man = field != 0 ? fraction | (1u << f->man_bits) : fraction;
  const int32_t exp2 = (field != 0 ? (int32_t)field : 1) - f->bias - f->man_bits;
  const double value = mfqn_dmul((double)man, mfqn_double_of((uint64_t)(1023 + exp2) << 52));
  return mfqn_double_of(mfqn_double_bits(value) | sign);
}

/* What the sum a + b lost to rounding; exact for finite sums. */
MFQ_HD double mfqn_dadd_error(double a, double b, double sum) {
  const double of_b = mfqn_dsub(sum, a), of_a = mfqn_dsub(sum, of_b);
  return mfqn_dadd(mfqn_dsub(a, of_a), mfqn_dsub(b, of_b));
}

/* The upper 26 bits of x; the rest is exact in double as well (Veltkamp). */
MFQ_HD double mfqn_dmul_half(double x) {
  const double c = mfqn_dmul(x, 134217729.0); /* 2^27 + 1 */
  return mfqn_dsub(c, mfqn_dsub(c, x));
}

/* What the product a * b lost to rounding; exact for finite products (Dekker). */
MFQ_HD double mfqn_dmul_error(double a, double b, double product) {
  const double ah = mfqn_dmul_half(a), al = mfqn_dsub(a, ah), bh = mfqn_dmul_half(b), bl = mfqn_dsub(b, bh);
  const double high = mfqn_dsub(mfqn_dmul(ah, bh), product);
  return mfqn_dadd(mfqn_dadd(mfqn_dadd(high, mfqn_dmul(ah, bl)), mfqn_dmul(al, bh)), mfqn_dmul(al, bl));
}

/* The exact value rounded + error, rounded to odd: a later rounding to fewer bits is then the only one. */
MFQ_HD double mfqn_round_to_odd(double rounded, double error) {
  const uint64_t bits = mfqn_double_bits(rounded);
  const int is_inexact = error > 0.0 || error < 0.0; /* not NaN, which infinities leave */
  const uint64_t step = (error > 0.0) == (rounded > 0.0) ? (uint64_t)1 : ~(uint64_t)0;
  return mfqn_double_of(bits + (is_inexact && (bits & 1u) == 0 ? step : 0));
}

/* Adds a product of elements; `is_wide` is whether the plan's kind is WIDE. */
MFQ_HD void mfqn_dot_add(mfqn_dot *dot, double a, double b, int is_wide) {
  const double product = mfqn_dmul(a, b), sum = mfqn_dadd(dot->high, product);
  if (is_wide) dot->low = mfqn_dadd(dot->low, mfqn_dadd_error(dot->high, product, sum));
  dot->high = sum;
}

/* The term of a run: the dot times `scale`, the product of both group scales, which double holds. One rounding, but for
 * WIDE with scales that are no powers of two: its dot is rounded to odd before. Infinities and NaN follow IEEE 754. */
MFQ_HD float mfqn_dot_round(mfqn_dot dot, double scale, mfqn_dot_plan plan) {
  double value = dot.high;
  if (plan.kind == MFQN_DOT_WIDE) {
    const double sum = mfqn_dadd(dot.high, dot.low), error = mfqn_dadd_error(dot.high, dot.low, sum);
    const int is_finite = (mfqn_double_bits(value) & ((uint64_t)0x7ff << 52)) != (uint64_t)0x7ff << 52;
    value = is_finite ? mfqn_round_to_odd(sum, error) : value;
  }
  const double product = mfqn_dmul(value, scale);
  if (plan.is_product_exact) return mfqn_float_from_double(product);
  return mfqn_float_from_double(mfqn_round_to_odd(product, mfqn_dmul_error(value, scale, product)));
}

#endif
