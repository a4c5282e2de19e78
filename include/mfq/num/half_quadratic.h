/* num/half_quadratic.h: half-quadratic steps of scales and of zero points of integers, as Brevitas' HQO takes them.
 *
 * A step takes the errors of the elements under the candidates, shrinks them, and makes the next candidates of what the
 * elements are less these: for scales the lower median of quotients by the integers, for zero points a mean. */
#ifndef MFQ_NUM_HALF_QUADRATIC_H
#define MFQ_NUM_HALF_QUADRATIC_H

#include "candidate.h"

/* z to the power -0.3, for finite z > 0, by series in double, whose bits are the same everywhere. */
MFQ_HD float mfqn_inverse_power(float z) {
  const double ln2 = 0x1.62e42fefa39efp-1;
  const uint32_t bits = mfqn_bits(z), up = (uint32_t)mfqn_subnormal_shift(bits);
  int32_t exp2 = mfqn_max((int32_t)(bits >> 23), 1) - (int32_t)up - 127;
  double m = (double)mfqn_float_of(0x3f800000u | ((bits << up) & 0x7fffffu));
  exp2 += m > 1.5;
  m = m > 1.5 ? mfqn_dmul(m, 0.5) : m;
  const double t = mfqn_ddiv(mfqn_dsub(m, 1), mfqn_dadd(m, 1));
  double log = 0;
  for (int k = 15; k > 0; k -= 2) log = mfqn_dadd(mfqn_dmul(mfqn_dmul(log, t), t), mfqn_ddiv(2.0, (double)k));
  const double power = mfqn_dmul(-0.3, mfqn_dadd(mfqn_dmul((double)exp2, ln2), mfqn_dmul(log, t)));
  const double whole = (double)(int64_t)mfqn_ddiv(power, ln2), rest = mfqn_dsub(power, mfqn_dmul(whole, ln2));
  double exp = 1;
  for (int k = 14; k > 0; --k) exp = mfqn_dadd(1, mfqn_ddiv(mfqn_dmul(exp, rest), (double)k));
  return mfqn_float_from_double(mfqn_dmul(exp, (double)mfqn_float_of(mfqn_pow2((int32_t)whole))));
}

/* What is left of an error: sign(z) * max(0, |z| - |z|^(p - 1) / beta); `softness` is 1 / beta, p 0.7 for scales and 0.5 for
 * zero points. */
MFQ_HD float mfqn_shrunk(float z, float softness, int is_zero_point) {
  const float magnitude = mfqn_float_of(mfqn_bits(z) & MFQN_ABS);
  if (magnitude == 0.0f) return 0.0f;
  const float power = is_zero_point ? mfqn_div(1.0f, mfqn_sqrt(magnitude)) : mfqn_inverse_power(magnitude);
  const float left = mfqn_sub(magnitude, mfqn_mul(softness, power));
  return left > 0.0f ? mfqn_float_of(mfqn_bits(left) | (mfqn_bits(z) & 0x80000000u)) : 0.0f;
}

/* What an element gives to a step: the magnitude of its error, and to the next candidate `value`, where it `counts`. */
typedef struct mfqn_hqo_term {
  float error, value;
  int32_t counts;
} mfqn_hqo_term;

/* An element as a number of the format, less the zero point. */
MFQ_HD float mfqn_hqo_number(const mfqn_scheme *s, const mfqn_group *g, uint32_t u) {
  if (s->is_brevitas || s->zero_is_float) return mfqn_sub(mfqn_brevitas_element(s, g, u), mfqn_zero_point_value(s, g));
  const int32_t integer = mfqn_integer_value(mfqn_encode(s, g, u, 0), &s->integer);
  return mfqn_float_of(mfqn_integer_scaled(integer - g->zero_point, &s->integer, 0));
}

MFQ_HD mfqn_hqo_term mfqn_hqo_scale_term(const mfqn_scheme *s, const mfqn_group *g, uint32_t u, float softness) {
  const float x = mfqn_float_of(u), error = mfqn_sub(x, mfqn_float_of(mfqn_fake(s, g, u, 0)));
  const float kept = mfqn_sub(x, mfqn_shrunk(error, softness, 0)), number = mfqn_hqo_number(s, g, u);
  const int counts = kept != 0.0f && number != 0.0f;
  const mfqn_hqo_term term = {mfqn_float_of(mfqn_bits(error) & MFQN_ABS), counts ? mfqn_div(kept, number) : 0.0f,
                              counts};
  return term;
}

MFQ_HD mfqn_hqo_term mfqn_hqo_zero_term(const mfqn_scheme *s, const mfqn_group *g, uint32_t u, float softness) {
  const float x = mfqn_float_of(u), y = mfqn_float_of(mfqn_fake(s, g, u, 0)), error = mfqn_sub(x, y);
  const float integer = mfqn_add(mfqn_div(y, g->divisor), mfqn_zero_point_value(s, g));
  const float kept = mfqn_sub(x, mfqn_shrunk(error, softness, 1));
  const mfqn_hqo_term term = {mfqn_float_of(mfqn_bits(error) & MFQN_ABS), mfqn_sub(kept, mfqn_mul(integer, g->divisor)),
                              1};
  return term;
}

/* The candidate behind `now`, of the lower median of the terms; `now` where that makes no scale. */
MFQ_HD uint32_t mfqn_hqo_next_scale(const mfqn_scheme *s, uint32_t now, float median) {
  const uint32_t next = mfqn_bits(mfqn_mul(median, s->threshold));
  return mfqn_is_searched(next) ? mfqn_umax(next, s->statistic_min) : now;
}

/* Of zero points a candidate stands for the low end of the elements, as float32 bits. */
MFQ_HD uint32_t mfqn_hqo_first_low(const mfqn_statistic *statistic) {
  return statistic->lo < 0.0f ? mfqn_bits(statistic->lo) : 0u;
}
MFQ_HD uint32_t mfqn_hqo_next_low(uint32_t now, float sum, int64_t n) {
  const uint32_t next = mfqn_bits(mfqn_div(sum, (float)n));
  return (next & MFQN_ABS) < MFQN_INF ? next : now;
}

/* The group of a candidate for zero points, under the plain scale. Brevitas learns the magnitude of what it has found: then
 * `is_final`. */
MFQ_HD mfqn_group mfqn_hqo_zero_group(const mfqn_scheme *s, const mfqn_statistic *statistic, uint32_t low,
                                      float tensor_scale, int is_final) {
  mfqn_group g = mfqn_group_load(s, mfqn_group_scale(s, statistic, tensor_scale), tensor_scale);
  const uint32_t depth = is_final && s->is_brevitas ? low & MFQN_ABS : low ^ 0x80000000u;
  g.zero_point = mfqn_zero_point_of_depth(s, mfqn_float_of(depth), &g);
  return g;
}

#endif
