/* num/bits.h: the bits of float32, and exact conversions between float32, bfloat16 and float16. */
#ifndef MFQ_NUM_BITS_H
#define MFQ_NUM_BITS_H

#include <string.h>

#include "hd.h"

#define MFQN_ABS 0x7fffffffu
#define MFQN_INF 0x7f800000u
#define MFQN_NAN 0x7fc00000u
#define MFQN_MIN_NORMAL 0x00800000u /* 2^-126 */
#define MFQN_MAX_FINITE 0x7f7fffffu
#define MFQN_MAX_BF16 0x1.fep127f /* the largest finite one; float32 reaches less than a step of bf16 further */
#define MFQN_MAX_F16 65504.0f

MFQ_HD uint32_t mfqn_bits(float x) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(x);
#else
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
#endif
}

MFQ_HD float mfqn_float_of(uint32_t u) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(u);
#else
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
#endif
}

/* Hardware disagrees about the NaN that arithmetic makes; ours is one. */
MFQ_HD uint32_t mfqn_one_nan(float y) {
  const uint32_t bits = mfqn_bits(y);
  return (bits & MFQN_ABS) > MFQN_INF ? MFQN_NAN : bits;
}

/* a * b, where both are finite at most the largest finite number. */
MFQ_HD float mfqn_mul_limited(float a, float b) {
  const uint32_t y = mfqn_bits(mfqn_mul(a, b)), larger = mfqn_umax(mfqn_bits(a) & MFQN_ABS, mfqn_bits(b) & MFQN_ABS);
  const uint32_t limit = larger < MFQN_INF ? MFQN_MAX_FINITE : MFQN_ABS;
  return mfqn_float_of((y & 0x80000000u) | mfqn_umin(y & MFQN_ABS, limit));
}

/* Index of the highest set bit of x > 0. */
MFQ_HD int32_t mfqn_msb(uint32_t x) {
#if defined(__CUDA_ARCH__)
  return 31 - __clz((int)x);
#else
  return 31 - __builtin_clz(x);
#endif
}

/* The float32 bits of 2^exp2: infinity above 127, 0 below -149. */
MFQ_HD uint32_t mfqn_pow2(int32_t exp2) {
  if (exp2 > 127) return MFQN_INF;
  if (exp2 >= -126) return (uint32_t)(exp2 + 127) << 23;
  return exp2 >= -149 ? 1u << (exp2 + 149) : 0u;
}

/* The float32 bits of man * 2^exp2, rounded to nearest even, infinity beyond 2^128; man < 2^24. */
MFQ_HD uint32_t mfqn_ldexp(uint32_t man, int32_t exp2) {
  if (man == 0) return 0;
  const int32_t top = mfqn_msb(man), exponent = exp2 + top;
  if (exponent > 127) return MFQN_INF;
  if (exponent >= -126) return ((uint32_t)(exponent + 127) << 23) | ((man << (23 - top)) & 0x7fffffu);
  const int32_t shift = exp2 + 149;
  if (shift >= 0) return man << shift;
  if (shift < -25) return 0;
  const uint32_t half = 1u << (-shift - 1), q = man >> -shift;
  return q + (((man & (2 * half - 1)) + (half - 1) + (q & 1)) >> -shift);
}

/* The whole part of the root of a number from 2^46 to below 2^48, or one less where the root is above it by less than 2^-9:
 * Newton's steps towards 1 / root begin within 4 % of it and end below it, by less than 2^-33 of it. */
MFQ_HD uint32_t mfqn_whole_root(uint64_t square) {
  const double x = (double)square, half = mfqn_dmul(x, 0.5);
  double y = (double)mfqn_float_of(0x5f3759dfu - (mfqn_bits((float)square) >> 1));
  for (int step = 0; step < 3; ++step) y = mfqn_dmul(y, mfqn_dsub(1.5, mfqn_dmul(mfqn_dmul(half, y), y)));
  return (uint32_t)mfqn_dmul(x, y);
}

/* The root of a number, rounded to nearest: without the library of C, and the same everywhere. What is not above 0 stays as
 * it is. */
MFQ_HD float mfqn_sqrt(float a) {
  const uint32_t u = mfqn_bits(a), field = u >> 23;
  if (!(a > 0.0f) || u == MFQN_INF) return a;
  const uint32_t man = (u & 0x7fffffu) | (field != 0 ? 0x800000u : 0u);
  const int32_t up = 23 - mfqn_msb(man), exponent = mfqn_max((int32_t)field, 1) - 150 - up;
  const int32_t odd = exponent & 1, shift = up + 24 - odd; /* what is left of the exponent is even */
  const uint64_t square = (uint64_t)man << shift;          /* from 2^46 to below 2^48 */
  const uint32_t root = mfqn_whole_root(square);           /* one less is rounded up to it */
  return mfqn_float_of(mfqn_ldexp(root + (square - (uint64_t)root * root > root), (exponent - 24 + odd) / 2));
}

MFQ_HD uint32_t mfqn_f32_from_bf16(uint32_t h) { return h << 16; }

/* Exact; subnormals go through the difference of two normal numbers, so that flush-to-zero modes do no harm. */
MFQ_HD uint32_t mfqn_f32_from_f16(uint32_t h) {
  const uint32_t sign = (h & 0x8000u) << 16, a = (h & 0x7fffu) << 13;
  const uint32_t normal = a + (112u << 23);
  const uint32_t special = normal + (112u << 23); /* exponent field 31 becomes 255 */
  const uint32_t subnormal = mfqn_bits(mfqn_sub(mfqn_float_of(a + (113u << 23)), mfqn_float_of(113u << 23)));
  const uint32_t finite = a < MFQN_MIN_NORMAL ? subnormal : normal;
  return sign | (a >= (31u << 23) ? special : finite);
}

/* Round to nearest even; NaN becomes the canonical 7fc0. */
MFQ_HD uint32_t mfqn_bf16_from_f32(uint32_t u) {
  const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return (u & MFQN_ABS) > MFQN_INF ? 0x7fc0u : rounded;
}

/* Round to nearest even; overflow becomes infinity, NaN the canonical 7e00. */
MFQ_HD uint32_t mfqn_f16_from_f32(uint32_t u) {
  const uint32_t sign = (u >> 16) & 0x8000u, a = u & MFQN_ABS;
  const int32_t field = (int32_t)(a >> 23), te = field - 112;
  const uint32_t man = (a & 0x7fffffu) | (field != 0 ? 0x800000u : 0u);
  const int32_t shift = mfqn_min(13 + mfqn_max(1 - te, 0), 25);
  const uint32_t base = (uint32_t)(mfqn_max(te, 1) - 1) << 10;
  const uint32_t q = man >> shift;
  const uint32_t rounded = base + ((man + ((1u << (shift - 1)) - 1u) + (q & 1u)) >> shift);
  const uint32_t finite = mfqn_umin(rounded, 0x7c00u);
  return a > MFQN_INF ? 0x7e00u : sign | finite;
}

/* The conversions of values, which stay finite: the same, but finite numbers become at most the largest finite one.
 * What is above these limits rounds to infinity otherwise. */
#define MFQN_BF16_LIMIT 0x7f7f7fffu
#define MFQN_F16_LIMIT 0x477fefffu
MFQ_HD uint32_t mfqn_limit_finite(uint32_t u, uint32_t limit) {
  const uint32_t a = u & MFQN_ABS;
  return a < MFQN_INF ? (u & 0x80000000u) | mfqn_umin(a, limit) : u;
}

MFQ_HD uint32_t mfqn_bf16_limited(uint32_t u) { return mfqn_bf16_from_f32(mfqn_limit_finite(u, MFQN_BF16_LIMIT)); }

MFQ_HD uint32_t mfqn_f16_limited(uint32_t u) { return mfqn_f16_from_f32(mfqn_limit_finite(u, MFQN_F16_LIMIT)); }

#endif
