/* host/core/scheme/lower.c: thresholds, biases and limits that num/ needs, from the public fields; assertions tie the
 * enumerators of the two together. */
#include "lower.h"

#include "scheme.h"

#include <string.h>

/* num/ cannot see the public headers; its constants must be theirs. */
_Static_assert((int)MFQN_ROUND_EVEN == (int)MFQ_ROUND_EVEN && (int)MFQN_ROUND_AWAY == (int)MFQ_ROUND_AWAY &&
                   (int)MFQN_ROUND_ZERO == (int)MFQ_ROUND_ZERO && (int)MFQN_ROUND_FLOOR == (int)MFQ_ROUND_FLOOR &&
                   (int)MFQN_ROUND_CEIL == (int)MFQ_ROUND_CEIL && (int)MFQN_ROUND_DPU == (int)MFQ_ROUND_DPU &&
                   (int)MFQN_ROUND_STOCHASTIC == (int)MFQ_ROUND_STOCHASTIC,
               "roundings");
_Static_assert((int)MFQN_SCALE_NONE == (int)MFQ_SCALE_NONE && (int)MFQN_SCALE_F32 == (int)MFQ_SCALE_F32 &&
                   (int)MFQN_SCALE_BF16 == (int)MFQ_SCALE_BF16 && (int)MFQN_SCALE_F16 == (int)MFQ_SCALE_F16 &&
                   (int)MFQN_SCALE_UE8M0 == (int)MFQ_SCALE_UE8M0 && (int)MFQN_SCALE_UE4M3 == (int)MFQ_SCALE_UE4M3 &&
                   (int)MFQN_SCALE_MINIFLOAT == (int)MFQ_SCALE_MINIFLOAT,
               "scale formats");
_Static_assert((int)MFQN_RULE_ABSMAX == (int)MFQ_RULE_ABSMAX && (int)MFQN_RULE_FLOOR == (int)MFQ_RULE_FLOOR &&
                   (int)MFQN_RULE_CEIL == (int)MFQ_RULE_CEIL && (int)MFQN_RULE_RCEIL == (int)MFQ_RULE_RCEIL &&
                   (int)MFQN_RULE_EVEN == (int)MFQ_RULE_EVEN && (int)MFQN_RULE_GIVEN == (int)MFQ_RULE_GIVEN &&
                   (int)MFQN_RULE_ROUND == (int)MFQ_RULE_ROUND && (int)MFQN_RULE_MIDMAX == (int)MFQ_RULE_MIDMAX,
               "scale rules");
_Static_assert((int)MFQN_SPECIALS_NONE == (int)MFQ_SPECIALS_NONE && (int)MFQN_SPECIALS_FN == (int)MFQ_SPECIALS_FN &&
                   (int)MFQN_SPECIALS_FNUZ == (int)MFQ_SPECIALS_FNUZ &&
                   (int)MFQN_SPECIALS_IEEE == (int)MFQ_SPECIALS_IEEE,
               "specials");
_Static_assert((int)MFQN_SIGNS_NONE == (int)MFQ_SIGNS_NONE && (int)MFQN_SIGNS_FIXED == (int)MFQ_SIGNS_FIXED &&
                   (int)MFQN_SIGNS_SEEDED == (int)MFQ_SIGNS_SEEDED,
               "signs");

static void lower_minifloat(const mfq_scheme *scheme, mfqn_scheme *out) {
  const mfq_format *e = &scheme->element;
  out->minifloat =
      mfqn_minifloat_make(e->is_signed, e->exp_bits, e->man_bits, e->bias, (int32_t)e->specials, !scheme->no_saturate);
  const uint32_t code = out->minifloat.max_code, field = code >> e->man_bits;
  const uint32_t fraction = code & ((1u << e->man_bits) - 1u);
  const uint32_t man = field != 0 ? fraction | (1u << e->man_bits) : fraction;
  const int32_t exp2 = (field != 0 ? (int32_t)field : 1) - e->bias - e->man_bits;
  out->range = mfqn_range_make(man, exp2, (int32_t)scheme->rule);

  const uint32_t highest = mfqn_ldexp(man, exp2);
  out->threshold = mfqn_float_of(highest);
  out->brevitas.man_bits = e->man_bits;
  out->brevitas.step_exp2 = 1 - e->bias - e->man_bits;
  out->brevitas.highest = mfqn_float_of(mfqn_umin(highest, MFQN_MAX_FINITE));
  out->brevitas.lowest = e->is_signed ? -out->brevitas.highest : 0.0f;
  out->brevitas.beyond = !scheme->no_saturate || e->specials == MFQ_SPECIALS_NONE ? 0u
                         : e->specials == MFQ_SPECIALS_IEEE                       ? MFQN_INF
                                                                                  : MFQN_NAN;
  if (highest == 0) /* beyond float32: log2 is minus infinity, and 2^-150 is 0 too */
    out->brevitas.threshold_exp2 = -150;
  else
    out->brevitas.threshold_exp2 = mfqn_log2_by_rule(highest, (int)scheme->rule);
}

static void lower_integer(const mfq_scheme *scheme, mfqn_scheme *out) {
  const mfq_format *e = &scheme->element;
  const int32_t bits = e->is_signed + e->man_bits;
  out->integer = mfqn_integer_make(e->is_signed, bits, e->frac_bits, e->narrow);
  const int32_t levels = out->integer.highest - (scheme->zero_point ? out->integer.lowest : 0);
  out->range = mfqn_range_make((uint32_t)levels, -e->frac_bits, (int32_t)scheme->rule);
  out->threshold = mfqn_float_of(mfqn_ldexp((uint32_t)levels, -e->frac_bits));
  if (scheme->arith != MFQ_ARITH_BREVITAS) return;
  /* Brevitas divides by 2^(bits-1), by one less when narrow, or by the highest unsigned code; power-of-two scales by
   * the power of two above it in every case. */
  const int32_t whole = 1 << (e->is_signed ? bits - 1 : bits);
  out->threshold = (float)(e->is_signed ? whole - e->narrow : out->integer.highest);
  out->brevitas.threshold_exp2 = e->man_bits;
}

/* The format of scales below that of the tensor. */
static void lower_stored(const mfq_scheme *scheme, mfqn_scheme *out) {
  const mfq_format f = mfq_scale_element(scheme);
  out->stored = mfqn_minifloat_make(0, f.exp_bits, f.man_bits, f.bias, (int32_t)f.specials, 1);
  const float largest = mfqn_float_of(mfqn_minifloat_decode(out->stored.max_code, &out->stored, 0));
  out->tensor_threshold = mfqn_mul(out->threshold, scheme->scale_bound != 0.0f ? scheme->scale_bound : largest);
}

void mfq_lower(const mfq_scheme *scheme, mfqn_scheme *out) {
  memset(out, 0, sizeof *out);
  out->is_integer = scheme->element.kind == MFQ_KIND_INTEGER;
  out->bits = scheme->element.is_signed + scheme->element.exp_bits + scheme->element.man_bits;
  out->scale = (int32_t)scheme->scale;
  out->rule = (int32_t)scheme->rule;
  out->rounding = (int32_t)scheme->rounding;
  out->minmax = scheme->statistic == MFQ_STATISTIC_MINMAX;
  out->has_zero_point = scheme->zero_point != 0;
  out->zero_is_float = scheme->zero_point == MFQ_ZERO_POINT_FLOAT;
  out->is_brevitas = scheme->arith == MFQ_ARITH_BREVITAS;
  out->statistic_min = mfqn_bits(scheme->statistic_min);
  out->eden = scheme->rule != MFQ_RULE_GIVEN ? scheme->eden : 0;
  out->rotation = mfqn_rotation_make(scheme->rotation, (int32_t)scheme->signs, scheme->sign_seed);
  if (out->is_integer)
    lower_integer(scheme, out);
  else
    lower_minifloat(scheme, out);
  if (mfqn_is_power_rule(out->rule))
    out->power_gain = scheme->scale_gain;
  else if (scheme->scale_gain != 0.0f)
    out->threshold = mfqn_div(out->threshold, scheme->scale_gain);
  if (mfqn_has_tensor_scale(out->scale)) lower_stored(scheme, out);
}
