/* num/group.h: the elements that share a scale: statistic, scale, zero point, and each element's code and value.
 *
 * One definition for every granularity: a "group" is whatever shares one scale. */
#ifndef MFQ_NUM_GROUP_H
#define MFQ_NUM_GROUP_H

#include "brevitas.h"
#include "integer.h"
#include "rotate.h"

/* A scheme made ready for the loops (host/core/scheme/lower.h makes it). */
typedef struct mfqn_scheme {
  int32_t is_integer;
  int32_t bits;
  mfqn_minifloat minifloat;
  mfqn_integer integer;
  mfqn_brevitas brevitas;
  int32_t scale, rule, rounding; /* the values of mfq_scale_format, mfq_scale_rule, mfq_rounding */
  int32_t minmax;                /* the statistic is a range */
  int32_t has_zero_point;
  int32_t zero_is_float; /* no integer: elements are rounded as Brevitas rounds integers */
  int32_t is_brevitas;
  float threshold;        /* ABSMAX: the statistic is divided by it */
  float power_gain;       /* f32 scales by rules of powers of two are times this; 0: they are powers of two */
  float tensor_threshold; /* with a scale of the tensor: its statistic by this */
  mfqn_minifloat stored;  /* with a scale of the tensor: what scales are stored as */
  int32_t eden;           /* as many elements correct their scales together (eden.h); 0: none do */
  uint32_t statistic_min; /* float32 bits */
  mfqn_range range;       /* power-of-two rules */
  mfqn_rotation rotation; /* of elements before anything else; what is below sees rotated ones */
} mfqn_scheme;

/* What is known of a group's elements. Start from mfqn_statistic_none. */
typedef struct mfqn_statistic {
  uint32_t absmax; /* bits of the largest magnitude; NaN is above infinity */
  float lo, hi;
} mfqn_statistic;

typedef struct mfqn_group {
  uint32_t stored;     /* the scale in its own format */
  uint32_t usable;     /* 0: the scale is NaN, infinite or 0, and every code is 0 */
  int32_t by_exponent; /* elements are encoded by exp2, not by division */
  int32_t exp2;
  float divisor;             /* elements are divided by it */
  float scale, tensor_scale; /* value = (v * scale) * tensor_scale */
  int32_t zero_point;        /* as an integer, not a code; or the bits of a float32 */
} mfqn_group;

MFQ_HD mfqn_statistic mfqn_statistic_none(void) {
  mfqn_statistic s;
  s.absmax = 0;
  s.lo = mfqn_float_of(MFQN_INF);
  s.hi = mfqn_float_of(MFQN_INF | 0x80000000u);
  return s;
}

MFQ_HD void mfqn_statistic_add(mfqn_statistic *s, uint32_t u) {
  const float x = mfqn_float_of(u);
  s->absmax = mfqn_umax(s->absmax, u & MFQN_ABS);
  s->lo = x < s->lo ? x : s->lo;
  s->hi = x > s->hi ? x : s->hi;
}

MFQ_HD void mfqn_statistic_merge(mfqn_statistic *s, const mfqn_statistic *other) {
  s->absmax = mfqn_umax(s->absmax, other->absmax);
  s->lo = other->lo < s->lo ? other->lo : s->lo;
  s->hi = other->hi > s->hi ? other->hi : s->hi;
}

/* The width of a range times 1 or 1/2, as float32 bits: the whole may be infinite, the half is not. */
MFQ_HD uint32_t mfqn_statistic_width(const mfqn_statistic *s, const mfqn_scheme *scheme, float part) {
  const float lo = s->lo < 0.0f ? s->lo : 0.0f;
  const float hi = scheme->has_zero_point && !scheme->is_brevitas && s->hi < 0.0f ? 0.0f : s->hi;
  return mfqn_bits(mfqn_sub(mfqn_mul(hi, part), mfqn_mul(lo, part))) & MFQN_ABS;
}

/* The statistic as float32 bits, >= 0 or NaN; infinite where a range of finite elements is wider than float32. */
MFQ_HD uint32_t mfqn_statistic_value(const mfqn_statistic *s, const mfqn_scheme *scheme) {
  if (!scheme->minmax || s->absmax >= MFQN_INF || s->lo > s->hi) return s->absmax;
  return mfqn_statistic_width(s, scheme, 1.0f);
}

/* Whether scales follow from the elements; otherwise there are none, or they are given. */
MFQ_HD int mfqn_is_measured(const mfqn_scheme *s) { return s->scale != MFQN_SCALE_NONE && s->rule != MFQN_RULE_GIVEN; }

/* Whether elements are encoded by the exponent of their scale, not by division. */
MFQ_HD int mfqn_by_exponent(const mfqn_scheme *s) {
  return !s->is_brevitas && !s->has_zero_point && s->power_gain == 0.0f &&
         (s->scale == MFQN_SCALE_NONE || s->scale == MFQN_SCALE_UE8M0 || mfqn_is_power_rule(s->rule));
}

/* Completes a group whose `stored` scale is known. */
MFQ_HD mfqn_group mfqn_group_load(const mfqn_scheme *s, uint32_t stored, float tensor_scale) {
  mfqn_group g;
  uint32_t bits = MFQN_NAN;
  switch (s->scale) {
    case MFQN_SCALE_NONE: bits = mfqn_pow2(0); break;
    case MFQN_SCALE_F32: bits = stored; break;
    case MFQN_SCALE_BF16: bits = mfqn_f32_from_bf16(stored); break;
    case MFQN_SCALE_F16: bits = mfqn_f32_from_f16(stored); break;
    case MFQN_SCALE_UE8M0:
      bits = stored == 255u ? MFQN_NAN : stored == 0 ? 0x00400000u : stored << 23; /* 2^-127 is subnormal */
      break;
    case MFQN_SCALE_MINIFLOAT: /* whose NaN has all bits */
      bits = mfqn_minifloat_decode(stored & s->stored.nan_code, &s->stored, 0);
      break;
    default: bits = mfqn_ue4m3_value(stored);
  }
  g.stored = stored;
  g.scale = mfqn_float_of(bits);
  g.tensor_scale = tensor_scale;
  g.divisor = mfqn_has_tensor_scale(s->scale) ? mfqn_mul(g.scale, tensor_scale) : g.scale;
  const uint32_t magnitude = mfqn_bits(g.divisor) & MFQN_ABS;
  g.usable = magnitude != 0 && magnitude < MFQN_INF;
  g.by_exponent = mfqn_by_exponent(s);
  g.exp2 = (int32_t)(magnitude >> 23) - 127; /* of powers of two; 2^-127, the one subnormal among them, fits too */
  g.zero_point = 0;
  return g;
}

/* A power of two in a scale format, limited to what it holds. */
MFQ_HD uint32_t mfqn_store_exp2(int32_t exp2, int32_t scale) {
  switch (scale) {
    case MFQN_SCALE_UE8M0: return (uint32_t)(mfqn_clamp(exp2, -127, 127) + 127);
    case MFQN_SCALE_BF16: return mfqn_pow2(mfqn_clamp(exp2, -126, 127)) >> 16;
    case MFQN_SCALE_F16: return mfqn_f16_from_f32(mfqn_pow2(mfqn_clamp(exp2, -24, 15)));
    default: return mfqn_pow2(mfqn_clamp(exp2, -126, 127));
  }
}

/* A stored power of two as the float32 scale that a gain makes of it. */
MFQ_HD uint32_t mfqn_power_times(uint32_t stored, float gain) {
  const uint32_t scale = mfqn_bits(mfqn_mul(mfqn_float_of(stored), gain));
  return mfqn_umin(mfqn_umax(scale, MFQN_MIN_NORMAL), MFQN_MAX_FINITE);
}

/* A float32 quotient in the format of scales below that of a tensor: 0 for a zero statistic only. */
MFQ_HD uint32_t mfqn_store_minifloat(uint32_t q, const mfqn_minifloat *stored, int zero) {
  const uint32_t code = mfqn_minifloat_encode(q, stored, 0, MFQN_ROUND_EVEN, 0);
  return zero ? 0u : mfqn_umax(code, 1u);
}

/* A float32 quotient in a scale format, limited to positive finite values; UE4M3 keeps 0 for a zero statistic. */
MFQ_HD uint32_t mfqn_store_quotient(uint32_t q, int32_t scale, int zero) {
  switch (scale) {
    case MFQN_SCALE_BF16: return mfqn_umin(mfqn_umax(mfqn_bf16_from_f32(q), 0x0080u), 0x7f7fu);
    case MFQN_SCALE_F16: return mfqn_umin(mfqn_umax(mfqn_f16_from_f32(q), 0x0001u), 0x7bffu);
    case MFQN_SCALE_UE4M3: {
      const mfqn_minifloat ue4m3 = mfqn_minifloat_make(0, 4, 3, 7, MFQN_SPECIALS_FN, 1);
      const uint32_t code = mfqn_minifloat_encode_as(q, &ue4m3, 0, MFQN_ROUND_EVEN, 0, 0);
      return zero ? 0u : mfqn_umax(code, 1u);
    }
    default: return mfqn_umin(mfqn_umax(q, MFQN_MIN_NORMAL), MFQN_MAX_FINITE);
  }
}

MFQ_HD uint32_t mfqn_store_nan(int32_t scale) {
  return scale == MFQN_SCALE_UE8M0   ? 255u
         : scale == MFQN_SCALE_UE4M3 ? 0x7fu
         : scale == MFQN_SCALE_BF16  ? 0x7fc0u
         : scale == MFQN_SCALE_F16   ? 0x7e00u
                                     : MFQN_NAN;
}

/* The tensor scale from the largest finite group statistic, which is at least `least`, and tensor_threshold; 1 for
 * a zero tensor. */
MFQ_HD float mfqn_tensor_scale(uint32_t absmax, uint32_t least, float threshold) {
  const uint32_t largest = mfqn_umax(absmax, least);
  if (largest == 0) return 1.0f;
  const float g = mfqn_div(mfqn_float_of(largest), threshold);
  return mfqn_float_of(mfqn_umax(mfqn_bits(g), MFQN_MIN_NORMAL));
}

/* The scale of a group in its stored form. */
MFQ_HD uint32_t mfqn_group_scale(const mfqn_scheme *s, const mfqn_statistic *statistic, float tensor_scale) {
  const uint32_t measured = mfqn_statistic_value(statistic, s);
  if (s->scale == MFQN_SCALE_NONE) return 0;
  if (s->is_brevitas) return mfqn_brevitas_scale(measured, s->statistic_min, s->rule, s->threshold, &s->brevitas);
  const int is_minifloat = s->scale == MFQN_SCALE_MINIFLOAT;
  if (statistic->absmax >= MFQN_INF) return is_minifloat ? s->stored.nan_code : mfqn_store_nan(s->scale);
  const int is_wide = measured >= MFQN_INF; /* then its half is at hand */
  const uint32_t value = is_wide ? mfqn_statistic_width(statistic, s, 0.5f) : mfqn_umax(measured, s->statistic_min);
  if (s->rule != MFQN_RULE_ABSMAX) {
    const int32_t exp2 = value == 0 ? -1000 : mfqn_scale_exp2(value, s->rule, &s->range) + is_wide;
    const uint32_t power = mfqn_store_exp2(exp2, s->scale);
    return s->power_gain == 0.0f ? power : mfqn_power_times(power, s->power_gain);
  }
  float q = mfqn_mul(mfqn_div(mfqn_float_of(value), s->threshold), is_wide ? 2.0f : 1.0f);
  if (mfqn_has_tensor_scale(s->scale)) q = mfqn_div(q, tensor_scale);
  if (is_minifloat) return mfqn_store_minifloat(mfqn_bits(q), &s->stored, value == 0);
  return mfqn_store_quotient(mfqn_bits(q), s->scale, value == 0);
}

MFQ_HD float mfqn_zero_point_value(const mfqn_scheme *s, const mfqn_group *g) {
  return s->zero_is_float ? mfqn_float_of((uint32_t)g->zero_point) : (float)g->zero_point;
}

/* The code that stands for 0, or the nearest one. */
MFQ_HD uint32_t mfqn_zero_point_code(const mfqn_scheme *s, const mfqn_group *g) {
  if (!s->has_zero_point) return 0;
  return s->zero_is_float ? mfqn_integer_encode((uint32_t)g->zero_point, &s->integer, 0, MFQN_ROUND_EVEN, 0)
                          : mfqn_integer_code(g->zero_point, &s->integer);
}

/* The zero point that puts -`depth` at the lowest code, to the nearest integer, or exactly; Brevitas rounds it as its
 * elements. */
MFQ_HD int32_t mfqn_zero_point_of_depth(const mfqn_scheme *s, float depth, const mfqn_group *g) {
  const float lowest = (float)s->integer.lowest, t = mfqn_div(depth, g->divisor);
  if (s->zero_is_float) return (int32_t)mfqn_bits(g->usable ? mfqn_add(t, lowest) : lowest);
  const int32_t r = s->is_brevitas ? mfqn_integer_round(mfqn_bits(mfqn_add(t, lowest)), &s->integer, 0, s->rounding, 0)
                                   : mfqn_integer_sum_central(t, lowest, &s->integer);
  return g->usable ? r : s->integer.lowest;
}

/* The one that puts min(lo, 0) there. */
MFQ_HD int32_t mfqn_group_zero_point(const mfqn_scheme *s, const mfqn_statistic *statistic, const mfqn_group *g) {
  return mfqn_zero_point_of_depth(s, statistic->lo < 0.0f ? -statistic->lo : 0.0f, g);
}

/* From the statistic to everything an element needs. */
MFQ_HD mfqn_group mfqn_group_make(const mfqn_scheme *s, const mfqn_statistic *statistic, float tensor_scale) {
  mfqn_group g = mfqn_group_load(s, mfqn_group_scale(s, statistic, tensor_scale), tensor_scale);
  if (s->has_zero_point) g.zero_point = mfqn_group_zero_point(s, statistic, &g);
  return g;
}

/* The value that Brevitas gives an element, not less its zero point; needs a usable group. */
MFQ_HD float mfqn_brevitas_element(const mfqn_scheme *s, const mfqn_group *g, uint32_t u) {
  const float t = mfqn_div(mfqn_float_of(u), g->divisor);
  if (!s->is_integer) return mfqn_brevitas_value(t, &s->brevitas, s->rounding);
  return mfqn_brevitas_integer(t, mfqn_zero_point_value(s, g), (float)s->integer.lowest, (float)s->integer.highest,
                               s->rounding);
}

/* The code of the element with float32 bits `u`. */
MFQ_HD uint32_t mfqn_encode(const mfqn_scheme *s, const mfqn_group *g, uint32_t u, uint32_t random) {
  if (!g->usable) return 0;
  uint32_t v = u;
  int32_t exp2 = g->exp2;
  int rounding = s->rounding;
  if (s->is_brevitas || s->zero_is_float) {
    v = mfqn_bits(mfqn_brevitas_element(s, g, u)); /* on the grid already: encoding is exact */
    rounding = MFQN_ROUND_EVEN;
    exp2 = 0;
  } else if (!g->by_exponent) {
    v = mfqn_bits(mfqn_div(mfqn_float_of(u), g->divisor));
    exp2 = 0;
    if (s->has_zero_point)
      return mfqn_integer_code(mfqn_integer_round_sum(v, g->zero_point, &s->integer, rounding, random), &s->integer);
  }
  return s->is_integer ? mfqn_integer_encode(v, &s->integer, exp2, rounding, random)
                       : mfqn_minifloat_encode(v, &s->minifloat, exp2, rounding, random);
}

/* The value of a code as float32 bits; at most the largest finite number where code and scale are finite. */
MFQ_HD uint32_t mfqn_decode(const mfqn_scheme *s, const mfqn_group *g, uint32_t code) {
  const int exact = s->scale == MFQN_SCALE_NONE || (s->scale == MFQN_SCALE_UE8M0 && g->usable && !s->zero_is_float);
  const int32_t exp2 = exact ? g->exp2 : 0;
  const int32_t integer = s->is_integer ? mfqn_integer_value(code, &s->integer) : 0;
  const uint32_t v = s->zero_is_float ? mfqn_bits(mfqn_sub((float)integer, mfqn_zero_point_value(s, g)))
                     : s->is_integer  ? mfqn_integer_scaled(integer - g->zero_point, &s->integer, exp2)
                                      : mfqn_minifloat_decode(code, &s->minifloat, exp2);
  if (exact) return v;
  const float y = mfqn_mul_limited(mfqn_float_of(v), g->scale);
  return mfqn_one_nan(mfqn_has_tensor_scale(s->scale) ? mfqn_mul_limited(y, g->tensor_scale) : y);
}

/* The scale as one number, the tensor scale included; at most the largest finite one where both are finite. */
MFQ_HD uint32_t mfqn_whole_scale(const mfqn_scheme *s, const mfqn_group *g) {
  return mfqn_one_nan(mfqn_has_tensor_scale(s->scale) ? mfqn_mul_limited(g->scale, g->tensor_scale) : g->scale);
}

/* The largest magnitude of a scale with which no value exceeds `limit` by more than some roundings. */
MFQ_HD uint32_t mfqn_safe_scale(const mfqn_scheme *s, float limit) {
  const uint32_t largest = s->is_integer ? mfqn_integer_scaled(1 << s->integer.bits, &s->integer, 0)
                                         : mfqn_minifloat_decode(s->minifloat.max_code, &s->minifloat, 0);
  return mfqn_bits(mfqn_div(limit, mfqn_float_of(largest)));
}

/* The value that an element becomes: decode(encode(u)), or Brevitas' own value. */
MFQ_HD uint32_t mfqn_fake(const mfqn_scheme *s, const mfqn_group *g, uint32_t u, uint32_t random) {
  if (!s->is_brevitas) return mfqn_decode(s, g, mfqn_encode(s, g, u, random));
  if (!g->usable) return MFQN_NAN;
  const float v = mfqn_brevitas_element(s, g, u);
  return mfqn_one_nan(mfqn_mul_limited(s->is_integer ? mfqn_sub(v, mfqn_zero_point_value(s, g)) : v, g->scale));
}

#endif
