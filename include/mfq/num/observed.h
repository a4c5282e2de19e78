/* num/observed.h: statistics of the elements of a scale beyond the largest magnitude: ranks, sums, and what is kept of them
 * over steps.
 *
 * A statistic is an extreme (num/group.h), or made of ranks, which are exact, or of sums over the tree of num/gradient.h. */
#ifndef MFQ_NUM_OBSERVED_H
#define MFQ_NUM_OBSERVED_H

#include "gradient.h"

/* The values of mfq_observed. */
enum {
  MFQN_OBSERVED_ABSMAX = 0,
  MFQN_OBSERVED_PERCENTILE = 1,
  MFQN_OBSERVED_MEAN = 2,
  MFQN_OBSERVED_ROWMAX_MEAN = 3,
  MFQN_OBSERVED_ROWMAX_L2 = 4,
  MFQN_OBSERVED_SIGMA = 5,
  MFQN_OBSERVED_MINMAX = 6,
  MFQN_OBSERVED_INTERVAL = 7,
  MFQN_OBSERVED_L1 = 8,
  MFQN_OBSERVED_L2 = 9,
  MFQN_OBSERVED_LOW = 10,
  MFQN_OBSERVED_LOW_PERCENTILE = 11
};

/* A statistic made ready for the loops (host/core/scheme/lower.h makes it). */
typedef struct mfqn_observer {
  int32_t observed;
  float factor;      /* SIGMA */
  double percent[2]; /* PERCENTILE and LOW_PERCENTILE: the first; INTERVAL: low and high */
} mfqn_observer;

/* What a statistic is made of. */
MFQ_HD int mfqn_observes_extremes(int32_t observed) {
  return observed == MFQN_OBSERVED_ABSMAX || observed == MFQN_OBSERVED_MINMAX || observed == MFQN_OBSERVED_LOW;
}
MFQ_HD int mfqn_observes_ranks(int32_t observed) {
  return observed == MFQN_OBSERVED_PERCENTILE || observed == MFQN_OBSERVED_INTERVAL ||
         observed == MFQN_OBSERVED_LOW_PERCENTILE;
}
MFQ_HD int mfqn_observes_rows(int32_t observed) {
  return observed == MFQN_OBSERVED_ROWMAX_MEAN || observed == MFQN_OBSERVED_ROWMAX_L2;
}
/* Whether it is for zero points: at most 0. */
MFQ_HD int mfqn_observes_low(int32_t observed) {
  return observed == MFQN_OBSERVED_LOW || observed == MFQN_OBSERVED_LOW_PERCENTILE;
}

/* ---- Extremes ---------------------------------------------------------------------------------------------------- */

/* min(x, 0), which is never -0. */
MFQ_HD uint32_t mfqn_observed_low(float x) { return x < 0.0f ? mfqn_bits(x) : 0u; }

/* The value of an extreme, as float32 bits. `s` says whether the range lifts its upper end to 0 (mfqn_statistic_width). */
MFQ_HD uint32_t mfqn_observed_extreme(int32_t observed, const mfqn_statistic *statistic, const mfqn_scheme *s) {
  if (statistic->absmax > MFQN_INF) return MFQN_NAN;
  if (observed == MFQN_OBSERVED_ABSMAX || statistic->lo > statistic->hi) return statistic->absmax;
  if (observed == MFQN_OBSERVED_LOW) return mfqn_observed_low(statistic->lo);
  return mfqn_one_nan(mfqn_float_of(mfqn_statistic_width(statistic, s, 1.0f)));
}

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

/* Which of `n` elements in ascending order, counted from 1, is the p-th percentile: to the nearest, or up. */
MFQ_HD int64_t mfqn_rank(double percent, int64_t n, int is_up) {
  const double at = mfqn_dmul(mfqn_dmul(0.01, percent), (double)n);
  const int64_t whole = (int64_t)(is_up ? at : mfqn_dadd(at, 0.5));
  const int64_t k = is_up && (double)whole < at ? whole + 1 : whole;
  return k < 1 ? 1 : k > n ? n : k;
}

/* The two ranks of a statistic; one that is not needed is 0. */
typedef struct mfqn_ranks {
  int64_t low, high;
} mfqn_ranks;

MFQ_HD mfqn_ranks mfqn_observed_ranks(const mfqn_observer *o, int64_t n) {
  const mfqn_ranks ranks = {o->observed == MFQN_OBSERVED_PERCENTILE ? 0 : mfqn_rank(o->percent[0], n, 1),
                            o->observed == MFQN_OBSERVED_PERCENTILE ? mfqn_rank(o->percent[0], n, 0)
                            : o->observed == MFQN_OBSERVED_INTERVAL ? mfqn_rank(o->percent[1], n, 0)
                                                                    : 0};
  return ranks;
}

/* Unsigned integers in the order of the elements, or of their magnitudes, and back. */
MFQ_HD uint32_t mfqn_rank_key(uint32_t u, int is_signed) {
  return is_signed ? u ^ ((uint32_t)((int32_t)u >> 31) | 0x80000000u) : u << 1;
}
MFQ_HD uint32_t mfqn_rank_value(uint32_t key, int is_signed) {
  return is_signed ? key ^ ((key >> 31) != 0 ? 0x80000000u : 0xffffffffu) : key >> 1;
}

/* The statistic of the elements that have the ranks, as float32 bits. */
MFQ_HD uint32_t mfqn_observed_ranked(const mfqn_observer *o, const mfqn_scheme *s, uint32_t low, uint32_t high) {
  if (o->observed == MFQN_OBSERVED_PERCENTILE) return high;
  mfqn_statistic ends = mfqn_statistic_none();
  ends.lo = mfqn_float_of(low);
  ends.hi = mfqn_float_of(high);
  if (o->observed == MFQN_OBSERVED_LOW_PERCENTILE) return mfqn_observed_low(ends.lo);
  return mfqn_one_nan(mfqn_float_of(mfqn_statistic_width(&ends, s, 1.0f)));
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* What an element, or the largest magnitude of a row, adds to a sum. */
enum { MFQN_TERM_MAGNITUDE = 0, MFQN_TERM_SQUARE = 1, MFQN_TERM_DEVIATION = 2 };

MFQ_HD int32_t mfqn_observed_term_kind(int32_t observed) {
  return observed == MFQN_OBSERVED_L2 || observed == MFQN_OBSERVED_ROWMAX_L2 ? MFQN_TERM_SQUARE : MFQN_TERM_MAGNITUDE;
}

MFQ_HD float mfqn_observed_term(int32_t kind, uint32_t u, float mean) {
  const float a = mfqn_float_of(u & MFQN_ABS), d = mfqn_sub(a, mean);
  return kind == MFQN_TERM_MAGNITUDE ? a : kind == MFQN_TERM_SQUARE ? mfqn_mul(a, a) : mfqn_mul(d, d);
}

/* From the sum of `n` terms to the statistic; of SIGMA to the mean. */
MFQ_HD float mfqn_observed_sum(int32_t observed, float sum, int64_t n) {
  if (observed == MFQN_OBSERVED_L1 || n == 0) return sum;
  if (observed == MFQN_OBSERVED_L2) return mfqn_sqrt(sum);
  if (observed == MFQN_OBSERVED_ROWMAX_L2) return mfqn_div(mfqn_sqrt(sum), mfqn_sqrt((float)n));
  return mfqn_div(sum, (float)n);
}

/* From the mean and the sum of squared deviations from it: the variance is that of a sample, 0 of one element. */
MFQ_HD float mfqn_observed_sigma(float factor, float mean, float squares, int64_t n) {
  const float variance = mfqn_div(squares, (float)(n > 1 ? n - 1 : 1));
  return mfqn_add(mean, mfqn_mul(factor, mfqn_sqrt(mfqn_add(variance, 1e-8f))));
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* The values of mfq_running, and none. */
enum { MFQN_RUNNING_MOMENTUM = 0, MFQN_RUNNING_MEAN = 1, MFQN_RUNNING_EXTREME = 2, MFQN_RUNNING_NONE = 3 };

/* What becomes of a new statistic. */
typedef struct mfqn_running {
  int32_t running, is_first, is_low;
  float keep, take; /* MOMENTUM: factors of the old and the new one; MEAN: of the old one, and the new one's divisor */
  uint32_t least;   /* float32 bits: a lower limit of each new one, but those for zero points */
} mfqn_running;

/* A new statistic, limited. NaN stays. */
MFQ_HD uint32_t mfqn_running_limited(const mfqn_running *r, uint32_t value) {
  return r->running == MFQN_RUNNING_NONE || r->is_low ? value : mfqn_umax(value & MFQN_ABS, r->least);
}

/* What is kept after a step: Brevitas 0.12.1's arithmetic, a rounding for each operation. */
MFQ_HD uint32_t mfqn_running_step(const mfqn_running *r, uint32_t old, uint32_t value) {
  const uint32_t c = mfqn_running_limited(r, value);
  const float x = mfqn_float_of(old), y = mfqn_float_of(c);
  if (r->running == MFQN_RUNNING_NONE || r->is_first) return c;
  if (r->running == MFQN_RUNNING_MOMENTUM) return mfqn_one_nan(mfqn_add(mfqn_mul(x, r->keep), mfqn_mul(y, r->take)));
  if (r->running == MFQN_RUNNING_MEAN) return mfqn_one_nan(mfqn_add(mfqn_mul(x, r->keep), mfqn_div(y, r->take)));
  if (x != x || y != y) return MFQN_NAN;
  return r->is_low ? (y < x ? c : old) : (y > x ? c : old);
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

/* The scale of a static quantizer of Brevitas: learned, its statistic is limited; otherwise the scale is. */
MFQ_HD uint32_t mfqn_collected_brevitas(uint32_t value, const mfqn_scheme *s, int is_learned) {
  const int is_power = s->rule != MFQN_RULE_ABSMAX;
  uint32_t restricted = value & MFQN_ABS;
  if (is_power && restricted < MFQN_INF) {
    const int32_t e = restricted == 0             ? -150
                      : s->rule == MFQN_RULE_CEIL ? mfqn_log2_ceil(restricted)
                                                  : mfqn_log2_floor(restricted);
    restricted = mfqn_pow2(e);
  }
  if (is_learned) restricted = mfqn_magnitude_at_least(restricted, s->statistic_min);
  const float by = is_power ? mfqn_float_of(mfqn_pow2(s->brevitas.threshold_exp2)) : s->threshold;
  const uint32_t scale = mfqn_one_nan(mfqn_div(mfqn_float_of(restricted), by));
  return is_learned ? scale : mfqn_magnitude_at_least(scale, s->statistic_min);
}

/* What is made of the collected statistics of a scale, of which `low` is for zero points; `s` has no minmax: the width of a
 * range is at hand. */
MFQ_HD mfqn_group mfqn_collected_group(const mfqn_scheme *s, uint32_t value, uint32_t low, float tensor_scale,
                                       int is_learned) {
  mfqn_statistic statistic = mfqn_statistic_none();
  statistic.absmax = value & MFQN_ABS;
  const uint32_t stored =
      s->is_brevitas ? mfqn_collected_brevitas(value, s, is_learned) : mfqn_group_scale(s, &statistic, tensor_scale);
  mfqn_group g = mfqn_group_load(s, stored, tensor_scale);
  statistic.lo = mfqn_float_of(low);
  if (s->has_zero_point) g.zero_point = mfqn_group_zero_point(s, &statistic, &g);
  return g;
}

#endif
