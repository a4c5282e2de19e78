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
  MFQN_SCALE_UE4M3 = 5
};
enum {
  MFQN_RULE_ABSMAX = 0,
  MFQN_RULE_FLOOR = 1,
  MFQN_RULE_CEIL = 2,
  MFQN_RULE_RCEIL = 3,
  MFQN_RULE_EVEN = 4,
  MFQN_RULE_GIVEN = 5
};

/* The largest value 1.f * 2^emax of an element format, and where rule EVEN steps up, as 23-bit fractions. */
typedef struct mfqn_range {
  int32_t emax;
  uint32_t max_fraction;
  uint32_t even_fraction;
} mfqn_range;

/* The largest value is max_man * 2^max_exp2, and 2^max_exp2 the step beside it. */
MFQ_HD mfqn_range mfqn_range_make(uint32_t max_man, int32_t max_exp2) {
  const int32_t top = mfqn_msb(max_man);
  mfqn_range r;
  r.emax = max_exp2 + top;
  r.max_fraction = (max_man << (23 - top)) & 0x7fffffu;
  r.even_fraction = 0x800000u - (1u << (22 - top)); /* 2 - 2^-(top + 1): half a step below the next power of two */
  return r;
}

/* The exponent of a power-of-two scale for a finite statistic > 0; not yet limited to what a scale format holds. */
MFQ_HD int32_t mfqn_scale_exp2(uint32_t statistic, int rule, const mfqn_range *range) {
  const int32_t field = (int32_t)(statistic >> 23);
  const int32_t up = field != 0 ? 0 : 23 - mfqn_msb(statistic);
  const uint32_t fraction = (statistic << up) & 0x7fffffu;
  const int32_t exponent = mfqn_max(field, 1) - up - 127;
  const uint32_t step = rule == MFQN_RULE_CEIL    ? fraction != 0
                        : rule == MFQN_RULE_RCEIL ? fraction > range->max_fraction
                        : rule == MFQN_RULE_EVEN  ? fraction >= range->even_fraction
                                                  : 0u;
  return exponent - range->emax + (int32_t)step;
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

#endif
