/* num/activation.h: activation functions of float32, without libm and without branches.
 *
 * Every step is one float32 operation, so the bits are the same everywhere. Largest errors in units of the last place,
 * against double, over every magnitude of 2^-15 ... 144 and every 17th other one: GELU 3.77, GELU_TANH 3.20, SILU 2.76;
 * where results are subnormal, 2 * 2^-149.
 * NaN becomes the canonical NaN, +infinity stays, and -infinity becomes -0, the limit; -0 stays -0.
 *
 * Coefficients: least maximal relative error by Lawson's reweighted least squares at 300 Chebyshev nodes with functions
 * of 120 bits, rounded to float32 one after the other, lowest power first, each time fitting the rest again. */
#ifndef MFQ_NUM_ACTIVATION_H
#define MFQ_NUM_ACTIVATION_H

#include "bits.h"

/* The values of mfq_activation. */
enum {
  MFQN_ACTIVATION_NONE = 0,
  MFQN_ACTIVATION_RELU = 1,
  MFQN_ACTIVATION_GELU = 2,
  MFQN_ACTIVATION_GELU_TANH = 3,
  MFQN_ACTIVATION_SILU = 4
};

/* hi + lo, where lo is small beside hi. */
typedef struct mfqn_pair {
  float hi, lo;
} mfqn_pair;

/* (1 + beyond_one) * 2^-halvings. */
typedef struct mfqn_decay {
  float beyond_one; /* -0.3 ... 0.42 */
  int32_t halvings;
} mfqn_decay;

/* exp(-(x.hi + x.lo)) for x.hi of 0 ... 190: halvings * ln 2 - x.hi is exact, ln 2 having its first 15 bits in one
 * number, and e^r is 1 + r + r^2 times a polynomial of degree 4 (relative error 2^-28). */
MFQ_HD mfqn_decay mfqn_exp_decay(mfqn_pair x) {
  const float to_integer = 12582912.0f; /* 1.5 * 2^23: the last bits of a sum are the integer */
  const float shifted = mfqn_add(mfqn_mul(x.hi, 0x1.715476p+0f), to_integer), n = mfqn_sub(shifted, to_integer);
  const float first = mfqn_sub(mfqn_mul(n, 0x1.62e4p-1f), x.hi);
  const float r = mfqn_add(first, mfqn_sub(mfqn_mul(n, 0x1.7f7d1cp-20f), x.lo));
  float p = 0x1.6a4154p-10f;
  p = mfqn_add(mfqn_mul(p, r), 0x1.1239c6p-7f);
  p = mfqn_add(mfqn_mul(p, r), 0x1.5558bcp-5f);
  p = mfqn_add(mfqn_mul(p, r), 0x1.555492p-3f);
  p = mfqn_add(mfqn_mul(p, r), 0x1.fffffcp-2f);
  mfqn_decay e;
  e.beyond_one = mfqn_add(r, mfqn_mul(mfqn_mul(r, r), p));
  e.halvings = (int32_t)(mfqn_bits(shifted) - 0x4b400000u);
  return e;
}

/* 2^exp2 for -126 ... 127. */
MFQ_HD float mfqn_normal_pow2(int32_t exp2) { return mfqn_float_of((uint32_t)(exp2 + 127) << 23); }

/* x without the last 12 bits of its significand: products of two such numbers are exact. */
MFQ_HD float mfqn_upper_half(float x) { return mfqn_float_of(mfqn_bits(x) & 0xfffff000u); }

/* |x|, at most `limit`, which NaN becomes. */
MFQ_HD float mfqn_limited(float x, float limit) {
  const float t = mfqn_float_of(mfqn_bits(x) & MFQN_ABS);
  return t < limit ? t : limit;
}

/* x / (1 + exp(-w)) where w has the sign of x and `e` is exp(-|w|); `t` is |x| limited. Negative results are 2^64 times
 * too large until the last step, so that they are rounded to subnormal numbers once. */
MFQ_HD float mfqn_logistic_product(float x, float t, mfqn_decay e) {
  const float fading = mfqn_mul(mfqn_add(t, mfqn_mul(t, e.beyond_one)), -mfqn_normal_pow2(64 - e.halvings));
  const float below_one = mfqn_mul(mfqn_add(1.0f, e.beyond_one), mfqn_normal_pow2(-mfqn_min(e.halvings, 126)));
  const float y = mfqn_div(x < 0.0f ? fading : x, mfqn_add(1.0f, below_one));
  return x < 0.0f ? mfqn_mul(y, 0x1p-64f) : y;
}

MFQ_HD float mfqn_silu(float x) {
  mfqn_pair w;
  w.hi = mfqn_limited(x, 128.0f); /* beyond, results are 0 */
  w.lo = 0.0f;
  return mfqn_logistic_product(x, w.hi, mfqn_exp_decay(w));
}

/* 2 * sqrt(2 / pi) * (t + 0.044715 * t^3) for t of 0 ... 11, with an error below 2^-28: t * (c1 + c3 * t^2), each
 * number in two parts. */
MFQ_HD mfqn_pair mfqn_gelu_tanh_exponent(float t) {
  const float c1 = 0x1.988p+0f, c1_rest = 0x1.14cf50p-14f, c3 = 0x1.244p-4f, c3_rest = 0x1.3ca936p-18f;
  const float th = mfqn_upper_half(t), tl = mfqn_sub(t, th), square = mfqn_mul(t, t);
  const float cross = mfqn_add(mfqn_sub(mfqn_mul(th, th), square), mfqn_mul(2.0f, mfqn_mul(th, tl)));
  const float square_rest = mfqn_add(cross, mfqn_mul(tl, tl));
  const float sh = mfqn_upper_half(square), sl = mfqn_add(mfqn_sub(square, sh), square_rest);
  const float cubic = mfqn_mul(c3, sh), cubic_rest = mfqn_add(mfqn_mul(c3, sl), mfqn_mul(c3_rest, square));
  const float sum = mfqn_add(c1, cubic), added = mfqn_sub(sum, c1);
  const float lost = mfqn_add(mfqn_sub(c1, mfqn_sub(sum, added)), mfqn_sub(cubic, added));
  const float gh = mfqn_upper_half(sum), gl = mfqn_sub(sum, gh), rest = mfqn_add(lost, mfqn_add(c1_rest, cubic_rest));
  mfqn_pair w;
  w.hi = mfqn_mul(th, gh);
  w.lo = mfqn_add(mfqn_add(mfqn_mul(th, gl), mfqn_mul(tl, sum)), mfqn_mul(t, rest));
  return w;
}

MFQ_HD float mfqn_gelu_tanh(float x) {
  const float t = mfqn_limited(x, 11.0f); /* beyond, negative results are 0 and others x */
  return mfqn_logistic_product(x, t, mfqn_exp_decay(mfqn_gelu_tanh_exponent(t)));
}

/* (t + 4) * exp(t^2 / 2) * erfc(t / sqrt(2)) / 2 for y = 4 / (t + 4): degree 9, relative error 2^-26.7 for t to 14, in
 * two parts. */
MFQ_HD mfqn_pair mfqn_normal_tail(float y) {
  const float last = 0x1.989142p-2f;
  float p = 0x1.0fa4e0p-4f;
  p = mfqn_add(mfqn_mul(p, y), -0x1.013366p-2f);
  p = mfqn_add(mfqn_mul(p, y), 0x1.a7278ap-3f);
  p = mfqn_add(mfqn_mul(p, y), 0x1.d1d8f0p-4f);
  p = mfqn_add(mfqn_mul(p, y), 0x1.a09ba0p-5f);
  p = mfqn_add(mfqn_mul(p, y), 0x1.62f166p-2f);
  p = mfqn_add(mfqn_mul(p, y), 0x1.26e91ap-2f);
  p = mfqn_add(mfqn_mul(p, y), 0x1.873b76p-2f);
  p = mfqn_mul(mfqn_add(mfqn_mul(p, y), 0x1.978582p-2f), y);
  const float sum = mfqn_add(p, last), added = mfqn_sub(sum, p);
  mfqn_pair tail;
  tail.hi = mfqn_upper_half(sum);
  tail.lo = mfqn_add(mfqn_sub(sum, tail.hi), mfqn_add(mfqn_sub(p, mfqn_sub(sum, added)), mfqn_sub(last, added)));
  return tail;
}

/* x * Phi(x), Phi being the normal distribution, with t = |x|: t * Phi(-t) = exp(-t^2 / 2) * s * P(1 - s), where
 * s = t / (t + 4) and P is mfqn_normal_tail. Factors are numbers of 12 bits, whose product is exact, and rests. `s` is
 * 2^32 times too large and the product 2^96 times, so that there is one rounding to subnormal numbers. */
MFQ_HD float mfqn_gelu(float x) {
  const float t = mfqn_limited(x, 15.0f), th = mfqn_upper_half(t), tl = mfqn_sub(t, th);
  const float inverse = mfqn_div(1.0f, mfqn_add(t, 4.0f)), large = mfqn_mul(t, 0x1p32f);
  const float sh = mfqn_upper_half(mfqn_mul(large, inverse));
  const float rest = mfqn_sub(mfqn_sub(mfqn_sub(large, mfqn_mul(4.0f, sh)), mfqn_mul(sh, th)), mfqn_mul(sh, tl));
  const float sl = mfqn_mul(rest, inverse);
  const float y = mfqn_sub(mfqn_sub(1.0f, mfqn_mul(sh, 0x1p-32f)), mfqn_mul(sl, 0x1p-32f));
  const mfqn_pair p = mfqn_normal_tail(y);
  const float upper = mfqn_mul(sh, p.hi);
  const float lower = mfqn_add(mfqn_mul(sl, mfqn_add(p.hi, p.lo)), mfqn_mul(sh, p.lo));
  mfqn_pair half_square;
  half_square.hi = mfqn_mul(0.5f, mfqn_mul(th, th));
  half_square.lo = mfqn_mul(0.5f, mfqn_mul(tl, mfqn_add(t, th)));
  const mfqn_decay e = mfqn_exp_decay(half_square);
  const float more = mfqn_add(lower, mfqn_mul(mfqn_add(upper, lower), e.beyond_one));
  const float fading = mfqn_mul(mfqn_add(upper, more), mfqn_normal_pow2(64 - e.halvings));
  const float product = mfqn_mul(fading, 0x1p-96f);
  return x < 0.0f ? -product : mfqn_sub(x, product);
}

MFQ_HD float mfqn_relu(float x) { return x < 0.0f ? 0.0f : x; }

/* Values that name no activation are as NONE; RELU leaves -0. */
MFQ_HD float mfqn_activate(float x, int32_t activation) {
  float y = x;
  switch (activation) {
    case MFQN_ACTIVATION_RELU: y = mfqn_relu(x); break;
    case MFQN_ACTIVATION_GELU: y = mfqn_gelu(x); break;
    case MFQN_ACTIVATION_GELU_TANH: y = mfqn_gelu_tanh(x); break;
    case MFQN_ACTIVATION_SILU: y = mfqn_silu(x); break;
    default: break;
  }
  return x != x ? mfqn_float_of(MFQN_NAN) : y;
}

#endif
