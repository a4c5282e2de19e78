/* num/eden.h: MS-EDEN: group scales that make up for what rounding to nearest took from their elements, on average exactly.
 *
 * Codes are those of the computed scales. Then `eden` neighbours together have one factor c = sum(x x) / sum(x q), and each
 * of their scales becomes s c, stochastically rounded: x and the values q are counted in units of the tensor scale, and
 * both sums are the trees of gradient.h. */
#ifndef MFQ_NUM_EDEN_H
#define MFQ_NUM_EDEN_H

#include "gradient.h"

typedef struct mfqn_eden {
  mfqn_tree squares, products;
} mfqn_eden;

MFQ_HD void mfqn_eden_start(mfqn_eden *e) { e->squares.count = e->products.count = 0; }

/* Adds the next element, of group `g` with its computed scale. Groups whose scale is 0 or NaN take no part. */
MFQ_HD void mfqn_eden_add(mfqn_eden *e, const mfqn_scheme *s, const mfqn_group *g, uint32_t u) {
  mfqn_group below = *g;
  below.tensor_scale = 1.0f;
  const float x = g->usable ? mfqn_div(mfqn_float_of(u), g->tensor_scale) : 0.0f;
  const float q = g->usable ? mfqn_float_of(mfqn_decode(s, &below, mfqn_encode(s, g, u, 0))) : 0.0f;
  mfqn_tree_add(&e->squares, mfqn_mul(x, x));
  mfqn_tree_add(&e->products, mfqn_mul(x, q));
}

/* 1 where nothing is left of the elements. */
MFQ_HD float mfqn_eden_factor(const mfqn_eden *e) {
  const float products = mfqn_tree_sum(&e->products);
  const float c = products > 0.0f ? mfqn_div(mfqn_tree_sum(&e->squares), products) : 1.0f;
  return mfqn_bits(c) < MFQN_INF ? c : 1.0f;
}

/* The scale as it is stored: up with the probability of the part that is discarded, by mfqn_random of the group's first
 * element, at most the largest number. What elements are divided by stays. */
MFQ_HD void mfqn_eden_correct(const mfqn_scheme *s, mfqn_group *g, float c, uint32_t random) {
  if (!g->usable) return;
  const uint32_t exact = mfqn_bits(mfqn_mul(g->scale, c));
  g->stored = mfqn_minifloat_encode(exact, &s->stored, 0, MFQN_ROUND_STOCHASTIC, random);
  g->scale = mfqn_float_of(mfqn_minifloat_decode(g->stored, &s->stored, 0));
}

#endif
