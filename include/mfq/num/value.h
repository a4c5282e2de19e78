/* num/value.h: elements to the values of their codes, without the codes, in the fewest steps, where the short forms of
 * encode hold: ties to even and saturation. */
#ifndef MFQ_NUM_VALUE_H
#define MFQ_NUM_VALUE_H

#include "brevitas.h"
#include "integer.h"
#include "minifloat.h"

/* The largest value of a format, times 2^exp2, as float32 bits. It has to be a normal number. */
MFQ_HD uint32_t mfqn_minifloat_limit(const mfqn_minifloat *f, int32_t exp2) {
  return mfqn_minifloat_decode(f->max_code, f, f->bias) + ((uint32_t)(exp2 - f->bias) << 23);
}

/* The value of the code of mfqn_minifloat_encode_central, without the code: what is at most `limit` is rounded to a
 * multiple of its step by adding 2^23 of them and taking them away. From a mantissa bit on, where the even code is the
 * even number of steps; not for NaN, nor where 2^23 steps of the largest value are no number. Zeros keep the bit of
 * `zero_sign`. */
MFQ_HD uint32_t mfqn_minifloat_value_central(uint32_t u, const mfqn_minifloat *f, mfqn_central c, uint32_t limit,
                                             uint32_t zero_sign) {
  const uint32_t limited = mfqn_umin(u & MFQN_ABS, limit);
  const float steps = mfqn_float_of(mfqn_umax((limited & MFQN_INF) + ((uint32_t)(23 - f->man_bits) << 23), c.steps));
  const uint32_t magnitude = mfqn_bits(mfqn_sub(mfqn_add(mfqn_float_of(limited), steps), steps));
  return magnitude | (u & (magnitude != 0 ? 0x80000000u : zero_sign));
}

/* The integer of mfqn_integer_encode_central as a float; infinities too. */
MFQ_HD float mfqn_integer_value_central(float scaled, const mfqn_integer *f) {
  const float lowest = (float)f->lowest, highest = (float)f->highest;
  const float low = scaled < lowest ? lowest : scaled, clamped = low > highest ? highest : low;
  return mfqn_sub(mfqn_add(clamped, 12582912.0f), 12582912.0f);
}

/* mfqn_integer_sum_central less the zero point, as a float. */
MFQ_HD float mfqn_integer_sum_value_central(float t, float zero_point, const mfqn_integer *f) {
  const float low = t < 1024.0f ? t : 1024.0f, near = low > -1024.0f ? low : -1024.0f;
  const float r = mfqn_sub(mfqn_add(near, mfqn_add(12582912.0f, zero_point)), 12582912.0f);
  const float lowest = (float)f->lowest, highest = (float)f->highest, capped = r < highest ? r : highest;
  return mfqn_sub(capped > lowest ? capped : lowest, zero_point);
}

/* mfqn_brevitas_integer with ties to even, less the zero point: numbers below 2^23 are rounded by adding that, and keep
 * their sign. */
MFQ_HD float mfqn_brevitas_integer_central(float t, float zero_point, float lowest, float highest) {
  const float x = mfqn_add(t, zero_point), magnitude = mfqn_float_of(mfqn_bits(x) & MFQN_ABS), far = 8388608.0f;
  const float rounded = magnitude < far ? mfqn_sub(mfqn_add(magnitude, far), far) : magnitude;
  const float r = mfqn_float_of(mfqn_bits(rounded) | (mfqn_bits(x) & 0x80000000u));
  const float capped = r > highest ? highest : r;
  return mfqn_sub(capped < lowest ? lowest : capped, zero_point);
}

#endif
