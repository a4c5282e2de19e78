/* num/descent.h: the steps of SGD and AdamW: squares of gradients, what a step decides of their sum, and an element's update
 * (docs/numerics.md, "Optimizers"). */
#ifndef MFQ_NUM_DESCENT_H
#define MFQ_NUM_DESCENT_H

#include "bits.h"
#include "random.h"

/* The values of mfq_optimizer_kind. */
enum { MFQN_SGD = 0, MFQN_ADAMW = 1 };

/* What an element needs of its group at one step: float32, rounded once from what is counted in double. */
typedef struct mfqn_update {
  float factor; /* of gradients: their scale, and the clip */
  float decay;  /* ADAMW: what is left of a value; SGD: what a gradient gets of it */
  float keep1;  /* SGD: what is left of a moment */
  float by1;    /* ADAMW: what a moment gets of a gradient */
  float keep2, by2;
  float unbias; /* of roots of second moments */
  float epsilon;
  float rate; /* ADAMW: without the bias of first moments */
  int32_t nesterov;
} mfqn_update;

/* A group of tensors, on the device: what is set, what its steps have come to, and what elements need. */
typedef struct mfqn_optimizer_group {
  double rate, beta1, beta2, epsilon, weight_decay;
  double power1, power2; /* beta1, beta2 to the number of steps: running products */
  int64_t nesterov;
  mfqn_update now;
} mfqn_optimizer_group;

/* What steps of all groups share, on the device. */
typedef struct mfqn_optimizer_state {
  uint64_t steps, skipped, seed;    /* the latter of random bits */
  double gradient_scale, clip_norm; /* the latter 0: gradients are not clipped */
  double norm;                      /* of the last step's gradients, scaled; infinite where it was skipped */
  double factor;                    /* what they were multiplied by */
  int64_t skips;                    /* 1: the step at hand changes nothing */
} mfqn_optimizer_state;

/* ---- Sums of squares --------------------------------------------------------------------------------------------- */

/* Terms are summed so many at once: t[i] += t[i + h] for h of half as many, a quarter, ..., 1; missing ones are +0. */
enum { MFQN_SQUARES_RUN = 1024 };

/* Exact: float32 has 24 bits. */
MFQ_HD double mfqn_square(uint32_t u) { return mfqn_dmul((double)mfqn_float_of(u), (double)mfqn_float_of(u)); }

/* The sum of MFQN_SQUARES_RUN terms, which are lost. */
MFQ_HD double mfqn_squares_sum(double *t) {
  for (int h = MFQN_SQUARES_RUN / 2; h >= 1; h /= 2)
    for (int i = 0; i < h; ++i) t[i] = mfqn_dadd(t[i], t[i + h]);
  return t[0];
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* Whether the step is taken, and how gradients are scaled, from the sum of all squares. A norm that float32 does not hold,
 * NaN among them, skips it. */
MFQ_HD void mfqn_optimizer_begin(mfqn_optimizer_state *s, double sum) {
  const double norm = mfqn_dmul(mfqn_droot(sum), s->gradient_scale);
  const int is_number = norm <= (double)mfqn_float_of(MFQN_MAX_FINITE);
  s->skips = !is_number;
  s->norm = is_number ? norm : (double)mfqn_float_of(MFQN_INF);
  s->factor = s->gradient_scale;
  if (is_number && s->clip_norm > 0.0 && norm > s->clip_norm)
    s->factor = mfqn_dmul(s->gradient_scale, mfqn_ddiv(s->clip_norm, norm));
  if (is_number)
    ++s->steps;
  else
    ++s->skipped;
}

/* What the elements of a group need; not of a step that is skipped. */
MFQ_HD void mfqn_optimizer_group_begin(const mfqn_optimizer_state *s, int32_t kind, mfqn_optimizer_group *g) {
  mfqn_update *u = &g->now;
  const double left = mfqn_dsub(1.0, mfqn_dmul(g->rate, g->weight_decay));
  g->power1 = mfqn_dmul(g->power1, g->beta1);
  g->power2 = mfqn_dmul(g->power2, g->beta2);
  const double step = kind == MFQN_ADAMW ? mfqn_ddiv(g->rate, mfqn_dsub(1.0, g->power1)) : g->rate;
  u->factor = mfqn_float_from_double(s->factor);
  u->decay = mfqn_float_from_double(kind == MFQN_ADAMW ? left : g->weight_decay);
  u->keep1 = mfqn_float_from_double(g->beta1);
  u->by1 = mfqn_float_from_double(mfqn_dsub(1.0, g->beta1));
  u->keep2 = mfqn_float_from_double(g->beta2);
  u->by2 = mfqn_float_from_double(mfqn_dsub(1.0, g->beta2));
  u->unbias = mfqn_float_from_double(mfqn_ddiv(1.0, mfqn_droot(mfqn_dsub(1.0, g->power2))));
  u->epsilon = mfqn_float_from_double(g->epsilon);
  u->rate = mfqn_float_from_double(step);
  u->nesterov = (int32_t)g->nesterov;
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

/* A NaN is the one that we have. */
MFQ_HD float mfqn_number_or_nan(float y) { return mfqn_float_of(mfqn_one_nan(y)); }

/* The new value; the moments become new ones too. */
MFQ_HD float mfqn_adamw(const mfqn_update *u, float x, float gradient, float *first, float *second) {
  const float g = mfqn_mul(gradient, u->factor);
  const float far = mfqn_sub(g, *first);
  const float m = u->by1 < 0.5f ? mfqn_add(*first, mfqn_mul(u->by1, far)) : mfqn_sub(g, mfqn_mul(u->keep1, far));
  const float square = mfqn_add(mfqn_mul(u->keep2, *second), mfqn_mul(mfqn_mul(u->by2, g), g));
  const float most = mfqn_float_of(MFQN_MAX_FINITE), v = square > most ? most : square; /* its group keeps a scale */
  const float spread = mfqn_add(mfqn_mul(mfqn_root(v), u->unbias), u->epsilon);
  *first = mfqn_number_or_nan(m);
  *second = mfqn_number_or_nan(v);
  return mfqn_number_or_nan(mfqn_sub(mfqn_mul(u->decay, x), mfqn_div(mfqn_mul(u->rate, m), spread)));
}

MFQ_HD float mfqn_sgd_gradient(const mfqn_update *u, float x, float gradient) {
  const float g = mfqn_mul(gradient, u->factor);
  return u->decay != 0.0f ? mfqn_add(g, mfqn_mul(u->decay, x)) : g;
}

MFQ_HD float mfqn_sgd(const mfqn_update *u, float x, float gradient) {
  return mfqn_number_or_nan(mfqn_sub(x, mfqn_mul(u->rate, mfqn_sgd_gradient(u, x, gradient))));
}

MFQ_HD float mfqn_sgd_momentum(const mfqn_update *u, float x, float gradient, float *first) {
  const float g = mfqn_sgd_gradient(u, x, gradient);
  const float m = mfqn_add(mfqn_mul(u->keep1, *first), g);
  const float way = u->nesterov ? mfqn_add(g, mfqn_mul(u->keep1, m)) : m;
  *first = mfqn_number_or_nan(m);
  return mfqn_number_or_nan(mfqn_sub(x, mfqn_mul(u->rate, way)));
}

/* To bf16, up with the probability of the 16 bits that are cut off: `half` are as many random ones. */
MFQ_HD uint32_t mfqn_bf16_stochastic(uint32_t u, uint32_t half) {
  const uint32_t is_finite = (u & MFQN_ABS) < MFQN_INF;
  return is_finite ? (u + half) >> 16 : (u & MFQN_ABS) > MFQN_INF ? 0x7fc0u : u >> 16;
}

/* The random bits of element `index` of all tensors, whose elements begin at multiples of MFQN_SQUARES_RUN, at step
 * `steps`. */
MFQ_HD uint32_t mfqn_optimizer_random(uint64_t seed, uint64_t steps, uint64_t index) {
  return mfqn_random(seed, steps, index) >> 16;
}

#endif
