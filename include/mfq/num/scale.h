/* num/scale.h: from the statistic of a group to its scale.
 *
 * Power-of-two rules read the exponent and mantissa fields of the statistic; float scales are one division, rounded to
 * the scale's format. The Brevitas forms follow float32 log2 as that library computes it. */
#ifndef MFQ_NUM_SCALE_H
#define MFQ_NUM_SCALE_H

#include "minifloat.h"

/* The values of mfq_scale_format and mfq_scale_rule. */
enum {
  MFQN_SCALE_NONE = 0,
  MFQN_SCALE_F32 = 1,
  MFQN_SCALE_BF16 = 2,
  MFQN_SCALE_F16 = 3,
  MFQN_SCALE_UE8M0 = 4,
  MFQN_SCALE_UE4M3 = 5,
  MFQN_SCALE_MINIFLOAT = 6
};
enum {
  MFQN_RULE_ABSMAX = 0,
  MFQN_RULE_FLOOR = 1,
  MFQN_RULE_CEIL = 2,
  MFQN_RULE_RCEIL = 3,
  MFQN_RULE_EVEN = 4,
  MFQN_RULE_GIVEN = 5,
  MFQN_RULE_ROUND = 6,
  MFQN_RULE_MIDMAX = 7
};

/* Whether a f32 scale of the tensor stands above the scales. */
MFQ_HD int mfqn_has_tensor_scale(int32_t scale) { return scale >= MFQN_SCALE_UE4M3; }

/* Whether scales are powers of two that follow from the elements. */
MFQ_HD int mfqn_is_power_rule(int32_t rule) { return rule != MFQN_RULE_ABSMAX && rule != MFQN_RULE_GIVEN; }

/* The first fraction above the square root of 2. */
#define MFQN_ROOT_FRACTION 3474676u

/* The largest value 1.f * 2^emax of an element format, and where rule EVEN steps up, as 23-bit fractions. */
typedef struct mfqn_range {
  int32_t emax;
  int32_t down; /* what the exponent of a statistic is lowered by: emax, or the rounded logarithm under rule ROUND */
  uint32_t max_fraction;
  uint32_t even_fraction;
} mfqn_range;

/* The largest value is max_man * 2^max_exp2, and 2^max_exp2 the step beside it. */
MFQ_HD mfqn_range mfqn_range_make(uint32_t max_man, int32_t max_exp2, int32_t rule) {
  const int32_t top = mfqn_msb(max_man);
  mfqn_range r;
  r.emax = max_exp2 + top;
  r.max_fraction = (max_man << (23 - top)) & 0x7fffffu;
  r.even_fraction = 0x800000u - (1u << (22 - top)); /* 2 - 2^-(top + 1): half a step below the next power of two */
  r.down = r.emax + (rule == MFQN_RULE_ROUND && r.max_fraction >= MFQN_ROOT_FRACTION);
  return r;
}

/* Whether the fraction of a statistic carries its power of two one up. */
MFQ_HD uint32_t mfqn_rule_carries(uint32_t fraction, int rule, const mfqn_range *range) {
  return rule == MFQN_RULE_CEIL     ? fraction != 0
         : rule == MFQN_RULE_RCEIL  ? fraction > range->max_fraction
         : rule == MFQN_RULE_EVEN   ? fraction >= range->even_fraction
         : rule == MFQN_RULE_MIDMAX ? fraction > (0x800000u + range->max_fraction) / 2u
         : rule == MFQN_RULE_ROUND  ? fraction >= MFQN_ROOT_FRACTION
                                    : 0u;
}

/* The exponent of a power-of-two scale for a finite statistic > 0; not yet limited to what a scale format holds. */
MFQ_HD int32_t mfqn_scale_exp2(uint32_t statistic, int rule, const mfqn_range *range) {
  const int32_t field = (int32_t)(statistic >> 23);
  const int32_t up = field != 0 ? 0 : 23 - mfqn_msb(statistic);
  const uint32_t fraction = (statistic << up) & 0x7fffffu;
  const int32_t exponent = mfqn_max(field, 1) - up - 127;
  return exponent - range->down + (int32_t)mfqn_rule_carries(fraction, rule, range);
}

/* The float32 bits of a UE4M3 scale; the sign bit is ignored, 7f is NaN. Subnormals as in mfqn_f32_from_f16. */
MFQ_HD uint32_t mfqn_ue4m3_value(uint32_t code) {
  const uint32_t base = (code & 0x7fu) << 20, offset = 120u << 23;
  const uint32_t subnormal =
      mfqn_bits(mfqn_sub(mfqn_float_of(base + offset + MFQN_MIN_NORMAL), mfqn_float_of(offset + MFQN_MIN_NORMAL)));
  const uint32_t finite = base < MFQN_MIN_NORMAL ? subnormal : base + offset;
  return (code & 0x7fu) == 0x7fu ? MFQN_NAN : finite;
}

/* floor(ln 2 * 2^j) for j <= 7, 0 for j < 0: how many float32 steps beside a power of two log2f still reads as that
 * power. */
MFQ_HD int32_t mfqn_log2_slack(int32_t j) { return j < 0 ? 0 : 11629079 >> (24 - j); }

/* Exponent of the float32 spacing next to the integer x on the side of zero, or of 1 for |x| <= 1. */
MFQ_HD int32_t mfqn_msb_below(int32_t x) { return x >= 2 ? mfqn_msb((uint32_t)x - 1u) : -1; }

/* How far a subnormal must be shifted to stand like a normal number; 0 for those. */
MFQ_HD int32_t mfqn_subnormal_shift(uint32_t u) { return u < MFQN_MIN_NORMAL ? 23 - mfqn_msb(u) : 0; }

/* floor(log2f(x)) for finite x > 0, where log2f rounds as PyTorch's and glibc's do: values a few steps below 2^k give
 * k. */
MFQ_HD int32_t mfqn_log2_floor(uint32_t u) {
  const int32_t up = mfqn_subnormal_shift(u);
  const int32_t k = mfqn_max((int32_t)(u >> 23), 1) - up - 126;
  const int32_t j = k > 0 ? mfqn_msb_below(k) : k < 0 ? mfqn_msb((uint32_t)-k) : -1;
  return (int32_t)(0x800000u - ((u << up) & 0x7fffffu)) <= mfqn_log2_slack(j) ? k : k - 1;
}

/* ceil(log2f(x)) likewise: values a few steps above 2^k give k. */
MFQ_HD int32_t mfqn_log2_ceil(uint32_t u) {
  const int32_t up = mfqn_subnormal_shift(u);
  const int32_t k = mfqn_max((int32_t)(u >> 23), 1) - up - 127;
  const int32_t j = k > 0 ? mfqn_msb((uint32_t)k) : mfqn_msb_below(-k);
  return (int32_t)((u << up) & 0x7fffffu) <= mfqn_log2_slack(j - 1) ? k : k + 1;
}

/* round(log2f(x)), ties to even, likewise: values around 2^(k + 1/2) have that for their logarithm, as many as log2f has
 * steps of its own there, and go to the even one of k and k + 1. In 2^-20 float32 steps of the square root of 2: what lies
 * between it and the number below, and half of what log2f reads as one number, for logarithms from 1 to 2. */
MFQ_HD int32_t mfqn_log2_round(uint32_t u) {
  const int32_t above = 212964, half = 513938;
  const int32_t up = mfqn_subnormal_shift(u);
  const int32_t k = mfqn_max((int32_t)(u >> 23), 1) - up - 127;
  const int32_t fraction = (int32_t)((u << up) & 0x7fffffu);
  const int32_t j = k > 0 ? mfqn_msb((uint32_t)k) : k < -1 ? mfqn_msb((uint32_t)(-k - 1)) : -1;
  const int32_t slack = j < 0 ? half >> 1 : half << j;
  const int32_t first =
      (int32_t)MFQN_ROOT_FRACTION - 1 + ((k & 1) != 0 ? -((slack - above) >> 20) : ((slack + above) >> 20) + 1);
  return fraction >= first ? k + 1 : k;
}

/* The logarithm under a rule of powers of two that Brevitas has. */
MFQ_HD int32_t mfqn_log2_by_rule(uint32_t u, int rule) {
  return rule == MFQN_RULE_CEIL ? mfqn_log2_ceil(u) : rule == MFQN_RULE_ROUND ? mfqn_log2_round(u) : mfqn_log2_floor(u);
}

#endif
