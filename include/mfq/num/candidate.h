/* num/candidate.h: scales that a search tries for a group, and which of them is kept.
 *
 * A candidate stands for the group's statistic, and its scale is what follows from that. The loss of a candidate is the sum
 * of squared errors, in the order of mfqn_tree. */
#ifndef MFQ_NUM_CANDIDATE_H
#define MFQ_NUM_CANDIDATE_H

#include "gradient.h"

/* Candidate i, first ... last, is i / steps of the statistic; by rank, the magnitude that i / steps of the elements do not
 * exceed. first <= steps <= last, so that the plain rule is among them. */
typedef struct mfqn_candidates {
  int32_t by_rank;
  int32_t steps, first, last;
  float deviations; /* not 0: the one candidate is so many standard deviations, and nothing is compared */
} mfqn_candidates;

MFQ_HD mfqn_candidates mfqn_candidates_of_deviation(int32_t last, int32_t steps) {
  const mfqn_candidates c = {0, 1, 1, 1, mfqn_div((float)last, (float)steps)};
  return c;
}

/* Whether there is something to choose: not for zeros alone, nor with NaN, infinity, or a range beyond float32. */
MFQ_HD int mfqn_is_searched(uint32_t statistic) { return statistic - 1u < MFQN_INF - 1u; }

/* Under Brevitas' arithmetic the last one is a product too, and may miss the statistic by its roundings. */
MFQ_HD uint32_t mfqn_candidate(const mfqn_scheme *s, const mfqn_candidates *c, uint32_t statistic, int32_t i) {
  if (i == c->steps && !s->is_brevitas) return statistic;
  const float base = mfqn_div(mfqn_float_of(statistic), (float)c->steps);
  return mfqn_umin(mfqn_bits(mfqn_mul(base, (float)i)), MFQN_MAX_FINITE);
}

/* How many of `count` elements are at most candidate i. */
MFQ_HD int64_t mfqn_candidate_rank(const mfqn_candidates *c, int64_t count, int32_t i) {
  const int64_t whole = count / c->steps, rest = count % c->steps;
  const int64_t rank = whole * i + (rest * i + c->steps - 1) / c->steps;
  return rank < 1 ? 1 : rank < count ? rank : count;
}

/* The group of a candidate; its zero point is that of the elements under the new scale. */
MFQ_HD mfqn_group mfqn_candidate_group(const mfqn_scheme *s, const mfqn_statistic *statistic, uint32_t candidate,
                                       float tensor_scale) {
  mfqn_statistic as = mfqn_statistic_none(); /* no range: the magnitude counts */
  as.absmax = candidate;
  mfqn_group g = mfqn_group_load(s, mfqn_group_scale(s, &as, tensor_scale), tensor_scale);
  if (s->has_zero_point) g.zero_point = mfqn_group_zero_point(s, statistic, &g);
  return g;
}

/* What errors are multiplied by, a power of two, so that their squares are no subnormal numbers, nor infinite. */
MFQ_HD float mfqn_error_unit(uint32_t statistic) {
  const int32_t exp2 = (int32_t)(statistic >> 23) - 127;
  return exp2 >= -40 && exp2 <= 40 ? 1.0f : mfqn_float_of(mfqn_pow2(mfqn_clamp(-exp2, -126, 126)));
}

/* What an element adds to the sum that the mean is of, and, with the mean, to that of squares around it; `unit` is
 * mfqn_error_unit of the statistic. */
MFQ_HD float mfqn_deviation_element(uint32_t u, float unit) { return mfqn_mul(mfqn_float_of(u), unit); }
MFQ_HD float mfqn_deviation_square(uint32_t u, float unit, float mean) {
  const float d = mfqn_sub(mfqn_deviation_element(u, unit), mean);
  return mfqn_mul(d, d);
}

/* The candidate that follows from the sum of squares of `count` elements: that of the plain rule where all are equal. */
MFQ_HD uint32_t mfqn_deviation_candidate(const mfqn_candidates *c, uint32_t statistic, float squares, int64_t count) {
  const float sigma = mfqn_sqrt(mfqn_div(squares, (float)count));
  const uint32_t found = mfqn_bits(mfqn_div(mfqn_mul(c->deviations, sigma), mfqn_error_unit(statistic)));
  return found == 0 ? statistic : mfqn_umin(found, MFQN_MAX_FINITE);
}

/* The squared error of an element whose value is `y`. */
MFQ_HD float mfqn_squared_error(uint32_t u, uint32_t y, float unit) {
  const float error = mfqn_mul(mfqn_sub(mfqn_float_of(u), mfqn_float_of(y)), unit);
  return mfqn_mul(error, error);
}

/* The best candidate so far. */
typedef struct mfqn_best {
  uint32_t candidate;
  float loss;
} mfqn_best;

/* The plain rule, which stays where no candidate has a finite loss. */
MFQ_HD mfqn_best mfqn_best_start(uint32_t statistic) {
  const mfqn_best best = {statistic, mfqn_float_of(MFQN_INF)};
  return best;
}

/* Ties keep the smaller candidate; but without an error the plain rule is kept, except by Brevitas. */
MFQ_HD void mfqn_best_offer(const mfqn_scheme *s, const mfqn_candidates *c, int32_t i, uint32_t candidate, float loss,
                            mfqn_best *best) {
  const int is_plain = i == c->steps && !s->is_brevitas;
  if (!(loss < best->loss) && !(is_plain && loss == 0.0f)) return;
  best->candidate = candidate;
  best->loss = loss;
}

#endif
