/* num/gradient.h: the backward of fake quantization: the gradients of elements, scales and zero points.
 *
 * y = v * s, where t = x / s, v = clamp(round(t + z)) - z (z: the zero point, 0 without one). The derivative of round is
 * taken as 1, straight through; the variants differ in what the clamp and a minifloat's step do (docs/numerics.md,
 * "Gradients"). */
#ifndef MFQ_NUM_GRADIENT_H
#define MFQ_NUM_GRADIENT_H

#include "group.h"

/* The values of mfq_ste. */
enum {
  MFQN_STE_IDENTITY = 0, /* dv/dt = 1 */
  MFQN_STE_CLIPPED = 1,  /* 1 where the rounded value is in the format's range, 0 beyond */
  MFQN_STE_BREVITAS = 2  /* likewise, but v / t where a minifloat is normal: its step follows t */
};

/* ---- Elements --------------------------------------------------------------------------------------------------- */

/* What became of one element. */
typedef struct mfqn_passage {
  float t;            /* x / s */
  float v;            /* y / s */
  float slope;        /* v / t where a minifloat is normal, else 1; NaN where t is no finite number */
  uint32_t is_normal; /* whether the slope is that quotient */
  uint32_t passes;    /* the rounded value is in the format's range, its ends included; NaN and infinity are not */
} mfqn_passage;

/* The bits of a float32, times 2^-exp2, rounded to a minifloat whose range has no upper end. `v` is left out. */
MFQ_HD mfqn_passage mfqn_minifloat_passage(uint32_t u, const mfqn_minifloat *f, int32_t exp2, int rounding,
                                           uint32_t random) {
  const uint32_t a = u & MFQN_ABS, negative = u >> 31, is_finite = a < MFQN_INF;
  const int32_t up = a != 0 ? mfqn_subnormal_shift(a) : 0;
  const uint32_t man = (a << up & 0x7fffffu) | (a != 0 ? 0x800000u : 0u);
  const int32_t te = mfqn_max((int32_t)(a >> 23), 1) - up - 127 + f->bias - exp2;
  const int32_t longest = rounding == MFQN_ROUND_STOCHASTIC ? 63 : 25;
  const int32_t shift = mfqn_min(23 - f->man_bits + mfqn_max(1 - te, 0), longest);
  const uint32_t base = (uint32_t)(mfqn_max(te, 1) - 1) << f->man_bits;
  const uint32_t steps = mfqn_round_shift(man, shift, base, negative, rounding, random);
  const uint32_t highest = f->signed_mask != 0 || negative == 0 ? f->max_code : 0u;
  mfqn_passage p;
  p.is_normal = te >= 1 && a != 0 && is_finite;
  p.passes = a == 0 || (is_finite && base + steps <= highest);
  p.slope =
      p.is_normal ? mfqn_div((float)(steps << shift), (float)man) : mfqn_float_of(is_finite ? 0x3f800000u : MFQN_NAN);
  p.t = mfqn_float_of(u);
  p.v = 0.0f;
  return p;
}

/* Brevitas' minifloat, operation by operation up to the clamp; `a`, whose logarithm the step follows, is above |t| by
 * 2^-126, and so is the slope's quotient. */
MFQ_HD mfqn_passage mfqn_brevitas_passage(float t, const mfqn_brevitas *f, int rounding) {
  const float magnitude = mfqn_float_of(mfqn_bits(t) & MFQN_ABS);
  const float a = mfqn_add(magnitude, mfqn_float_of(MFQN_MIN_NORMAL));
  mfqn_passage p = {t, mfqn_float_of(MFQN_NAN), mfqn_float_of(MFQN_NAN), 0, 0};
  if (mfqn_bits(a) >= MFQN_INF) return p;
  const int32_t exponent = mfqn_log2_floor(mfqn_bits(a)) - f->man_bits;
  const float step = mfqn_float_of(mfqn_pow2(mfqn_max(exponent, f->step_exp2)));
  const float v = mfqn_mul(step, mfqn_round_float(mfqn_div(t, step), rounding));
  const float difference = mfqn_sub(mfqn_float_of(mfqn_bits(v) & MFQN_ABS), magnitude);
  p.is_normal = exponent >= f->step_exp2;
  p.passes = v >= f->lowest && v <= f->highest;
  p.slope = p.is_normal ? mfqn_div(mfqn_add(a, difference), a) : 1.0f;
  p.v = v;
  return p;
}

/* An integer in a range without ends, and its value in the format's. */
MFQ_HD mfqn_passage mfqn_integer_passage(const mfqn_scheme *s, const mfqn_group *g, uint32_t u, uint32_t random) {
  const float t = mfqn_div(mfqn_float_of(u), g->divisor);
  mfqn_integer wide = s->integer;
  wide.lowest = -(1 << 24);
  wide.highest = 1 << 24;
  const int32_t r = s->has_zero_point ? mfqn_integer_round_sum(mfqn_bits(t), g->zero_point, &wide, s->rounding, random)
                    : g->by_exponent  ? mfqn_integer_round(u, &wide, g->exp2, s->rounding, random)
                                      : mfqn_integer_round(mfqn_bits(t), &wide, 0, s->rounding, random);
  const int32_t held = mfqn_clamp(r, s->integer.lowest, s->integer.highest);
  const mfqn_passage p = {t, mfqn_float_of(mfqn_integer_scaled(held - g->zero_point, &s->integer, 0)), 1.0f, 0,
                          r == held};
  return p;
}

MFQ_HD mfqn_passage mfqn_brevitas_integer_passage(const mfqn_scheme *s, const mfqn_group *g, float t) {
  const float z = mfqn_zero_point_value(s, g), lowest = (float)s->integer.lowest, highest = (float)s->integer.highest;
  const float r = mfqn_round_float(mfqn_add(t, z), s->rounding);
  const float held = mfqn_brevitas_integer(t, z, lowest, highest, s->rounding);
  const mfqn_passage p = {t, mfqn_sub(held, z), 1.0f, 0, r >= lowest && r <= highest};
  return p;
}

/* Elements under a scale of 0, infinity or NaN do not pass, but for 0 under 0. */
MFQ_HD mfqn_passage mfqn_unusable_passage(const mfqn_group *g, uint32_t u) {
  const uint32_t is_zero = (mfqn_bits(g->divisor) & MFQN_ABS) == 0 && (u & MFQN_ABS) == 0;
  const float v = is_zero ? 0.0f : mfqn_float_of(MFQN_NAN);
  const mfqn_passage p = {v, v, is_zero ? 1.0f : v, 0, is_zero};
  return p;
}

/* The passage of the element with float32 bits `u`, by the same random word as its value (mfqn_fake). */
MFQ_HD mfqn_passage mfqn_element_passage(const mfqn_scheme *s, const mfqn_group *g, uint32_t u, uint32_t random) {
  if (!g->usable) return mfqn_unusable_passage(g, u);
  if (s->is_integer && !s->is_brevitas && !s->zero_is_float) return mfqn_integer_passage(s, g, u, random);
  const float t = mfqn_div(mfqn_float_of(u), g->divisor);
  if (s->is_integer) return mfqn_brevitas_integer_passage(s, g, t);
  mfqn_passage p = s->is_brevitas ? mfqn_brevitas_passage(t, &s->brevitas, s->rounding)
                                  : mfqn_minifloat_passage(g->by_exponent ? u : mfqn_bits(t), &s->minifloat,
                                                           g->by_exponent ? g->exp2 : 0, s->rounding, random);
  p.t = t;
  p.v = s->is_brevitas ? mfqn_brevitas_value(t, &s->brevitas, s->rounding)
                       : mfqn_float_of(mfqn_minifloat_decode(mfqn_encode(s, g, u, random), &s->minifloat, 0));
  return p;
}

/* dx of the upstream gradient `dy`, as float32 bits. */
MFQ_HD uint32_t mfqn_gradient_element(const mfqn_passage *p, int ste, float dy) {
  if (ste != MFQN_STE_BREVITAS) return ste == MFQN_STE_IDENTITY || p->passes ? mfqn_one_nan(dy) : 0u;
  if (p->slope != p->slope) return MFQN_NAN;
  return !p->passes ? 0u : p->is_normal ? mfqn_one_nan(mfqn_mul(dy, p->slope)) : mfqn_one_nan(dy);
}

/* What the element adds to the gradient of its scale: dy * (v - t * dv/dt). */
MFQ_HD float mfqn_gradient_scale_term(const mfqn_passage *p, int ste, float dy) {
  const int is_whole = ste != MFQN_STE_IDENTITY && !p->passes; /* dv/dt = 0 */
  if (ste == MFQN_STE_BREVITAS && p->passes && p->is_normal) return 0.0f;
  return mfqn_mul(dy, is_whole ? p->v : mfqn_sub(p->v, p->t));
}

/* What it adds to the gradient of its zero point, but for the scale: dy * (dv/dt - 1). */
MFQ_HD float mfqn_gradient_zero_point_term(const mfqn_passage *p, int ste, float dy) {
  return ste != MFQN_STE_IDENTITY && !p->passes ? -dy : 0.0f;
}

/* ---- Sums ------------------------------------------------------------------------------------------------------- */

/* Terms are summed in a binary tree: t[i] = t[2i] + t[2i+1] at every level, a missing one is +0. This is such a sum
 * under way: the sums of complete subtrees, partial[k] of 2^k terms where bit k of `count` is set. */
#define MFQN_TREE_LEVELS 64
typedef struct mfqn_tree {
  uint64_t count;
  float partial[MFQN_TREE_LEVELS];
} mfqn_tree;

/* Adds the next term; or the sums of 2^k terms each, always of the same k. */
MFQ_HD void mfqn_tree_add(mfqn_tree *tree, float term) {
  int k = 0;
  for (; (tree->count >> k & 1u) != 0; ++k) term = mfqn_add(tree->partial[k], term);
  tree->partial[k] = term;
  ++tree->count;
}

MFQ_HD float mfqn_tree_sum(const mfqn_tree *tree) {
  const int is_complete = (tree->count & (tree->count - 1u)) == 0; /* nothing is missing, not even a +0 */
  float sum = 0.0f;
  for (int k = 0; k < MFQN_TREE_LEVELS && tree->count >> k != 0; ++k)
    if ((tree->count >> k & 1u) != 0) sum = is_complete ? tree->partial[k] : mfqn_add(tree->partial[k], sum);
  return sum;
}

/* ---- Scales and zero points ------------------------------------------------------------------------------------- */

#define MFQN_LN2 0x1.62e43p-1f

/* From the sum of its elements' terms to the gradient of a scale, the tensor scale included, or of its log2. A given
 * scale that is not positive and finite is no scale to learn from. */
MFQ_HD float mfqn_gradient_scale(const mfqn_scheme *s, const mfqn_group *g, float sum, int is_log2) {
  const float gradient = is_log2 ? mfqn_mul(mfqn_mul(sum, g->divisor), MFQN_LN2) : sum;
  const int is_bad = s->rule == MFQN_RULE_GIVEN && !(g->usable && g->divisor > 0.0f);
  return mfqn_float_of(is_bad ? MFQN_NAN : mfqn_one_nan(gradient));
}

/* The gradient of the zero point, which is counted in codes. */
MFQ_HD float mfqn_gradient_zero_point(const mfqn_group *g, float sum) {
  return mfqn_float_of(mfqn_one_nan(mfqn_mul(sum, g->divisor)));
}

/* What a measured scale and zero point send back to the elements that they were measured from. */
typedef struct mfqn_extremes {
  float lo; /* to the smallest element */
  float hi; /* to the largest one, or by its sign to the one with the largest magnitude (mfqn_scheme.minmax = 0) */
} mfqn_extremes;

/* ds / dA of a statistic A > 0: exponents go straight through their rounding, and limits of A and s pass. */
MFQ_HD float mfqn_gradient_of_statistic(const mfqn_scheme *s, const mfqn_group *g, uint32_t measured, float ds) {
  if (s->rule == MFQN_RULE_ABSMAX) return mfqn_div(ds, s->threshold);
  const uint32_t a = mfqn_umax(measured, s->statistic_min);
  float scale = g->scale;
  if (s->is_brevitas) { /* the power before its lower limit */
    scale = mfqn_div(mfqn_float_of(mfqn_pow2(mfqn_log2_by_rule(a, s->rule))),
                     mfqn_float_of(mfqn_pow2(s->brevitas.threshold_exp2)));
  }
  return mfqn_mul(ds, mfqn_div(scale, mfqn_float_of(a)));
}

/* `ds` and `dz` are the gradients of scale and zero point. The zero point is round(depth / s + lowest), depth = -min(lo,
 * 0). */
MFQ_HD mfqn_extremes mfqn_gradient_extremes(const mfqn_scheme *s, const mfqn_statistic *statistic, const mfqn_group *g,
                                            float ds, float dz) {
  mfqn_extremes e = {0.0f, 0.0f};
  const uint32_t measured = mfqn_statistic_value(statistic, s);
  if (!g->usable || measured == 0 || measured > MFQN_INF) return e;
  const float depth = statistic->lo < 0.0f ? -statistic->lo : 0.0f;
  if (s->has_zero_point) {
    const float t = mfqn_div(depth, g->divisor), lowest = (float)s->integer.lowest;
    const int rounding = s->is_brevitas ? s->rounding : MFQN_ROUND_EVEN;
    const int passes = s->zero_is_float || mfqn_round_float(mfqn_add(t, lowest), rounding) <= (float)s->integer.highest;
    const float share = passes ? mfqn_div(dz, g->divisor) : 0.0f;
    ds = mfqn_sub(ds, mfqn_mul(share, t));
    e.lo = depth > 0.0f ? -share : 0.0f;
  }
  const float da = mfqn_gradient_of_statistic(s, g, measured, ds);
  if (s->minmax && depth > 0.0f) e.lo = mfqn_sub(e.lo, da);
  const int is_lifted = s->minmax && s->has_zero_point && !s->is_brevitas && !(statistic->hi > 0.0f);
  e.hi = is_lifted ? 0.0f : da;
  return e;
}

/* Where the extremes are: the place of the first one among the elements of the scale, or -1; with one scale for the
 * tensor (`is_shared`) how many there are. */
typedef struct mfqn_spots {
  int64_t lo, hi;
} mfqn_spots;

/* What the elements of a chunk of a scale, a subtree of its sum, come to. */
typedef struct mfqn_gradient_partial {
  float scale, zero_point;
  mfqn_spots spots;
} mfqn_gradient_partial;

/* What goes back to the elements of a scale, and where. */
typedef struct mfqn_gradient_totals {
  mfqn_extremes extremes;
  mfqn_spots spots;
} mfqn_gradient_totals;

MFQ_HD mfqn_spots mfqn_spots_none(int is_shared) {
  const int64_t none = is_shared ? 0 : -1;
  const mfqn_spots spots = {none, none};
  return spots;
}

/* Those of `a` come before those of `b`. */
MFQ_HD mfqn_spots mfqn_spots_merge(mfqn_spots a, mfqn_spots b, int is_shared) {
  mfqn_spots spots;
  spots.lo = is_shared ? a.lo + b.lo : a.lo >= 0 ? a.lo : b.lo;
  spots.hi = is_shared ? a.hi + b.hi : a.hi >= 0 ? a.hi : b.hi;
  return spots;
}

MFQ_HD int mfqn_is_largest(const mfqn_scheme *s, const mfqn_statistic *statistic, uint32_t u) {
  return s->minmax ? mfqn_float_of(u) == statistic->hi : (u & MFQN_ABS) == statistic->absmax;
}

MFQ_HD int mfqn_is_smallest(const mfqn_scheme *s, const mfqn_statistic *statistic, uint32_t u) {
  return s->minmax && mfqn_float_of(u) == statistic->lo;
}

/* Those of one element, at `place`. */
MFQ_HD mfqn_spots mfqn_spots_of(const mfqn_scheme *s, const mfqn_statistic *statistic, uint32_t u, int64_t place,
                                int is_shared) {
  mfqn_spots spots = mfqn_spots_none(is_shared);
  if (mfqn_is_largest(s, statistic, u)) spots.hi = is_shared ? 1 : place;
  if (mfqn_is_smallest(s, statistic, u)) spots.lo = is_shared ? 1 : place;
  return spots;
}

/* What the element at `place` gets through its scale: all of it if it is the first, or an equal share. */
MFQ_HD float mfqn_gradient_through(const mfqn_scheme *s, const mfqn_extremes *e, mfqn_spots own, mfqn_spots spots,
                                   uint32_t u, int is_shared) {
  const int is_hi = is_shared ? own.hi != 0 : own.hi >= 0 && own.hi == spots.hi;
  const int is_lo = is_shared ? own.lo != 0 : own.lo >= 0 && own.lo == spots.lo;
  const float hi = is_shared && spots.hi > 1 ? mfqn_div(e->hi, (float)spots.hi) : e->hi;
  const float lo = is_shared && spots.lo > 1 ? mfqn_div(e->lo, (float)spots.lo) : e->lo;
  float sum = 0.0f;
  if (is_hi && s->minmax) sum = hi;
  if (is_hi && !s->minmax && (u & MFQN_ABS) != 0) sum = mfqn_float_of(mfqn_bits(hi) ^ (u & 0x80000000u));
  return is_lo ? mfqn_add(sum, lo) : sum;
}

#endif
