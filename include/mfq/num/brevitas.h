/* num/brevitas.h: the steps of Brevitas 0.12.1 where they differ from ours, operation by operation in float32.
 *
 * Source: docs/numerics.md, section "Brevitas". `floor(log2 x)` is that of scale.h; comparisons are written so that
 *   NaN takes the branch it takes there. */
#ifndef MFQ_NUM_BREVITAS_H
#define MFQ_NUM_BREVITAS_H

#include "scale.h"

/* What float clamping needs: the range, and what lies beyond it when the format does not saturate. */
typedef struct mfqn_brevitas {
  int32_t man_bits;
  int32_t step_exp2;      /* of the subnormal step: 1 - bias - man_bits */
  float lowest, highest;  /* finite */
  uint32_t beyond;        /* float32 bits of what overflow becomes, 0 when it saturates */
  int32_t threshold_exp2; /* power-of-two scales divide by 2^threshold_exp2 */
} mfqn_brevitas;

MFQ_HD uint32_t mfqn_magnitude_at_least(uint32_t u, uint32_t least) {
  const uint32_t a = u & MFQN_ABS;
  return a > least ? a : least; /* NaN bits are above all others */
}

/* The scale of a group as float32 bits. `statistic` and `least` are magnitudes. */
MFQ_HD uint32_t mfqn_brevitas_scale(uint32_t statistic, uint32_t least, int rule, float threshold,
                                    const mfqn_brevitas *f) {
  const uint32_t clamped = mfqn_magnitude_at_least(statistic, least);
  if (rule == MFQN_RULE_ABSMAX) return mfqn_one_nan(mfqn_div(mfqn_float_of(clamped), threshold));
  if (clamped >= MFQN_INF) return mfqn_one_nan(mfqn_float_of(clamped));
  const int32_t e = clamped == 0 ? -150 : mfqn_log2_by_rule(clamped, rule);
  const uint32_t power = mfqn_magnitude_at_least(mfqn_pow2(e), least);
  return mfqn_one_nan(mfqn_div(mfqn_float_of(power), mfqn_float_of(mfqn_pow2(f->threshold_exp2))));
}

/* Rounds a scaled value to the format's grid, unbounded above, then clamps. Infinity gives NaN. */
MFQ_HD float mfqn_brevitas_value(float t, const mfqn_brevitas *f, int rounding) {
  const float tiny = mfqn_float_of(MFQN_MIN_NORMAL);
  const uint32_t a = mfqn_bits(mfqn_add(mfqn_float_of(mfqn_bits(t) & MFQN_ABS), tiny));
  if (a >= MFQN_INF) return mfqn_float_of(MFQN_NAN);
  const int32_t p = mfqn_max(mfqn_log2_floor(a) - f->man_bits, f->step_exp2);
  const float u = mfqn_float_of(mfqn_pow2(p));
  const float v = mfqn_mul(u, mfqn_round_float(mfqn_div(t, u), rounding));
  const int above = v > f->highest, below = v < f->lowest;
  if (!above && !below) return v;
  if (f->beyond == 0) return above ? f->highest : f->lowest;
  return mfqn_float_of(f->beyond | (below && f->beyond == MFQN_INF ? 0x80000000u : 0u));
}

/* Rounds t + zero_point to an integer, as a float. */
MFQ_HD float mfqn_brevitas_integer(float t, float zero_point, float lowest, float highest, int rounding) {
  const float r = mfqn_round_float(mfqn_add(t, zero_point), rounding);
  const float capped = r > highest ? highest : r;
  return capped < lowest ? lowest : capped;
}

#endif
