/* host/cpu/kernels/scale_loops.h: from statistics to scales, and from scales to what elements need. */
#ifndef MFQ_HOST_CPU_KERNELS_SCALE_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_SCALE_LOOPS_H

#include <mfq/num/quotient.h>

#include "loops.h"

INLINE void values_of(const mfqn_scheme *s, const mfq_stats *restrict stats, int64_t n, uint32_t *restrict values) {
  const mfqn_scheme local = *s;
  const int minmax = s->minmax;
  for (int64_t i = 0; i < n; ++i) {
    const mfqn_statistic statistic = mfq_stats_at(stats, i, minmax);
    values[i] = mfqn_umax(mfqn_statistic_value(&statistic, &local), local.is_brevitas ? 0u : local.statistic_min);
  }
}

INLINE void scales_po2(const mfqn_scheme *s, const uint32_t *restrict values, int64_t n, mfq_lanes *restrict lanes,
                       int rule, int scale) {
  const mfqn_range range = s->range;
  uint32_t any_rare = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t m = values[i], fraction = m & 0x7fffffu;
    const int32_t exp2 = (int32_t)(m >> 23) - 127 - range.down + (int32_t)mfqn_rule_carries(fraction, rule, &range);
    lanes->stored[i] = mfqn_store_exp2(exp2, scale);
    const uint32_t rare = m - MFQN_MIN_NORMAL >= MFQN_INF - MFQN_MIN_NORMAL; /* 0, subnormal, infinite, NaN */
    lanes->rare[i] = (uint8_t)rare;
    any_rare |= rare;
  }
  lanes->any_rare = any_rare;
}

INLINE void scales_by_rule(const mfqn_scheme *s, const uint32_t *values, int64_t n, mfq_lanes *lanes, int scale) {
  switch (s->rule) {
    case MFQN_RULE_CEIL: scales_po2(s, values, n, lanes, MFQN_RULE_CEIL, scale); break;
    case MFQN_RULE_RCEIL: scales_po2(s, values, n, lanes, MFQN_RULE_RCEIL, scale); break;
    case MFQN_RULE_EVEN: scales_po2(s, values, n, lanes, MFQN_RULE_EVEN, scale); break;
    case MFQN_RULE_ROUND: scales_po2(s, values, n, lanes, MFQN_RULE_ROUND, scale); break;
    case MFQN_RULE_MIDMAX: scales_po2(s, values, n, lanes, MFQN_RULE_MIDMAX, scale); break;
    default: scales_po2(s, values, n, lanes, MFQN_RULE_FLOOR, scale);
  }
}

INLINE void scales_quotient(const mfqn_scheme *s, const uint32_t *restrict values, int64_t n, float tensor_scale,
                            mfq_lanes *restrict lanes, int scale) {
  const float threshold = s->threshold;
  uint32_t any_rare = 0;
  for (int64_t i = 0; i < n; ++i) {
    float q = mfqn_div(mfqn_float_of(values[i]), threshold);
    if (scale == MFQN_SCALE_UE4M3) q = mfqn_div(q, tensor_scale);
    lanes->stored[i] = mfqn_store_quotient(mfqn_bits(q), scale, values[i] == 0);
    const uint32_t rare = values[i] >= MFQN_INF;
    lanes->rare[i] = (uint8_t)rare;
    any_rare |= rare;
  }
  lanes->any_rare = any_rare;
}

static void scales(const mfqn_scheme *s, const mfq_stats *stats, int64_t n, float tensor_scale, mfq_lanes *lanes) {
  uint32_t values[MFQ_CHUNK];
  values_of(s, stats, n, values);
  if (s->is_brevitas) {
    for (int64_t i = 0; i < n; ++i) {
      lanes->stored[i] = mfqn_brevitas_scale(values[i], s->statistic_min, s->rule, s->threshold, &s->brevitas);
      lanes->rare[i] = 0;
    }
    lanes->any_rare = 0;
    return;
  }
  const int po2 = s->rule != MFQN_RULE_ABSMAX;
  switch (s->scale) {
    case MFQN_SCALE_UE8M0: scales_by_rule(s, values, n, lanes, MFQN_SCALE_UE8M0); break;
    case MFQN_SCALE_UE4M3: scales_quotient(s, values, n, tensor_scale, lanes, MFQN_SCALE_UE4M3); break;
    case MFQN_SCALE_BF16:
      if (po2)
        scales_by_rule(s, values, n, lanes, MFQN_SCALE_BF16);
      else
        scales_quotient(s, values, n, tensor_scale, lanes, MFQN_SCALE_BF16);
      break;
    case MFQN_SCALE_F16:
      if (po2)
        scales_by_rule(s, values, n, lanes, MFQN_SCALE_F16);
      else
        scales_quotient(s, values, n, tensor_scale, lanes, MFQN_SCALE_F16);
      break;
    default:
      if (po2) {
        scales_by_rule(s, values, n, lanes, MFQN_SCALE_F32);
        if (s->power_gain != 0.0f)
          for (int64_t i = 0; i < n; ++i) lanes->stored[i] = mfqn_power_times(lanes->stored[i], s->power_gain);
      } else
        scales_quotient(s, values, n, tensor_scale, lanes, MFQN_SCALE_F32);
  }
}

/* Below half a step of the format, quotients are no matter. */
static void inverses_of(const mfqn_scheme *s, int64_t n, mfq_lanes *restrict lanes) {
  const int32_t depth = s->is_integer ? s->integer.frac_bits : s->minifloat.bias + s->minifloat.man_bits;
  uint32_t all = 1;
  for (int64_t i = 0; i < n; ++i) {
    lanes->inverse[i] = mfqn_div(1.0f, lanes->divisor[i]);
    all &= mfqn_has_quotients(mfqn_bits(lanes->divisor[i]), depth) | lanes->rare[i];
  }
  lanes->have_inverses = all;
}

/* Exponents for which elements need the general encoding; scales that divide leave elements in the middle. */
INLINE uint32_t off_centre(const mfqn_scheme *s, int32_t exp2, int32_t lowered) {
  const mfqn_integer *i = &s->integer;
  const mfqn_minifloat *m = &s->minifloat;
  const int central = s->is_integer ? mfqn_integer_is_central(i, exp2) & mfqn_integer_is_central(i, lowered)
                                    : mfqn_minifloat_is_central(m, exp2) & mfqn_minifloat_is_central(m, lowered);
  return !central;
}

/* What encoding by an exponent needs beside it. */
static void central_lanes(const mfqn_scheme *s, int64_t n, mfq_lanes *restrict lanes) {
  const mfqn_scheme local = *s;
  const int32_t lower = s->rounding == MFQN_ROUND_STOCHASTIC ? 1 + MFQN_DRAWN_BITS : 0; /* what is drawn takes room */
  uint32_t any_rare = lanes->any_rare;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t exp2 = lanes->exp2[i];
    const mfqn_central central = mfqn_central_of(&local.minifloat, exp2);
    const uint32_t rare = off_centre(&local, exp2, exp2 - lower);
    lanes->rebias[i] = central.rebias;
    lanes->least_normal[i] = central.least_normal;
    lanes->steps[i] = central.steps;
    lanes->rare[i] |= (uint8_t)rare;
    any_rare |= rare;
  }
  lanes->any_rare = any_rare;
}

INLINE void lanes_as(const mfqn_scheme *s, int64_t n, float tensor_scale, mfq_lanes *restrict lanes, int scale) {
  mfqn_scheme local = *s;
  local.scale = scale; /* a constant: the choice in mfqn_group_load folds away */
  uint32_t any_rare = 0, largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    const mfqn_group g = mfqn_group_load(&local, lanes->stored[i], tensor_scale);
    const uint32_t rare = g.usable ^ 1u;
    lanes->exp2[i] = g.exp2;
    lanes->divisor[i] = g.divisor;
    lanes->scale[i] = g.scale;
    lanes->zero_point[i] = 0.0f;
    lanes->rare[i] = (uint8_t)rare;
    largest = mfqn_umax(largest, mfqn_bits(g.divisor) & MFQN_ABS);
    any_rare |= rare;
  }
  lanes->any_rare = any_rare;
  lanes->largest = largest;
  lanes->tensor_scale = tensor_scale;
  if (mfqn_by_exponent(s)) central_lanes(s, n, lanes);
}

static void lanes_of(const mfqn_scheme *s, int64_t n, float tensor_scale, mfq_lanes *lanes) {
  switch (s->scale) {
    case MFQN_SCALE_NONE: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_NONE); break;
    case MFQN_SCALE_F32: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_F32); break;
    case MFQN_SCALE_BF16: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_BF16); break;
    case MFQN_SCALE_F16: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_F16); break;
    case MFQN_SCALE_UE8M0: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_UE8M0); break;
    default: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_UE4M3);
  }
  if (HAS_FMA && !mfqn_by_exponent(s)) inverses_of(s, n, lanes);
}

INLINE void zero_points_as(const mfqn_scheme *s, const mfq_stats *restrict stats, int64_t n, mfq_lanes *restrict lanes,
                           int is_brevitas) {
  mfqn_scheme local = *s;
  local.is_brevitas = is_brevitas;
  for (int64_t i = 0; i < n; ++i) {
    const mfqn_statistic statistic = mfq_stats_at(stats, i, 1);
    mfqn_group g;
    g.divisor = lanes->divisor[i];
    const uint32_t magnitude = mfqn_bits(g.divisor) & MFQN_ABS;
    g.usable = magnitude - 1u < MFQN_INF - 1u;
    lanes->zero_point[i] = (float)mfqn_group_zero_point(&local, &statistic, &g);
  }
}

static void zero_points(const mfqn_scheme *s, const mfq_stats *stats, int64_t n, mfq_lanes *lanes) {
  if (s->is_brevitas)
    zero_points_as(s, stats, n, lanes, 1);
  else
    zero_points_as(s, stats, n, lanes, 0);
}

#endif
