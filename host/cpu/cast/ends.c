/* host/cpu/cast/ends.c: ends by bisection. */
#include <mfq/num/gradient.h>

#include "ends.h"

static mfqn_passage passage_under_one(const mfqn_scheme *s, int32_t zero_point, uint32_t u, uint32_t random) {
  const mfqn_group g = {.usable = 1,
                        .by_exponent = mfqn_by_exponent(s),
                        .divisor = 1.0f,
                        .scale = 1.0f,
                        .tensor_scale = 1.0f,
                        .zero_point = zero_point};
  return mfqn_element_passage(s, &g, u, random);
}

/* The largest magnitude of this sign that passes: 0 does. With zero points there is an end for each, and most lie where a
 * rounding changes: at the last integer in range, half-way to the next one, or beside these. They are tried first. */
static float end_of(const mfqn_scheme *s, int32_t zero_point, uint32_t sign, uint32_t random) {
  uint32_t in = 0, out = MFQN_INF;
  if (s->has_zero_point) {
    const float n = (float)(sign != 0 ? zero_point - s->integer.lowest : s->integer.highest - zero_point);
    const uint32_t half = mfqn_bits(n + 0.5f), next = mfqn_bits(n + 1.0f);
    const uint32_t likely[] = {mfqn_bits(n), half - 1, half, half + 1, next - 1, next};
    for (size_t i = 0; i < sizeof likely / sizeof likely[0] && out == MFQN_INF; ++i)
      if (passage_under_one(s, zero_point, sign | likely[i], random).passes)
        in = likely[i];
      else
        out = likely[i];
  }
  while (out - in > 1) {
    const uint32_t middle = in + (out - in) / 2;
    if (passage_under_one(s, zero_point, sign | middle, random).passes)
      in = middle;
    else
      out = middle;
  }
  return mfqn_float_of(in);
}

static float least_normal(const mfqn_scheme *s) {
  uint32_t below = 0, normal = MFQN_MAX_FINITE;
  while (normal - below > 1) {
    const uint32_t middle = below + (normal - below) / 2;
    if (passage_under_one(s, 0, middle, 0).is_normal)
      normal = middle;
    else
      below = middle;
  }
  return mfqn_float_of(normal);
}

void mfq_ends_find(const mfqn_scheme *s, uint32_t random, int is_sloped, mfq_ends *ends) {
  const int32_t lowest = s->has_zero_point ? s->integer.lowest : 0;
  const int32_t highest = s->has_zero_point ? s->integer.highest : 0;
  ends->lowest = lowest;
  ends->has_zero_points = s->has_zero_point;
  ends->by_exponent = mfqn_by_exponent(s);
  ends->least = is_sloped ? least_normal(s) : 1.0f;
  for (int32_t z = lowest; z <= highest; ++z) {
    ends->lo[z - lowest] = end_of(s, z, 0x80000000u, random);
    ends->hi[z - lowest] = end_of(s, z, 0, random);
  }
}

static void order(float *less, float *more) {
  const float a = *less, b = *more;
  *less = a < b ? a : b;
  *more = a < b ? b : a;
}

/* A sum with a zero point is rounded up by large words, not away from 0. */
void mfq_ends_find_random(const mfqn_scheme *s, mfq_ends *ends, mfq_ends *outer) {
  mfq_ends_find(s, UINT32_MAX, 0, ends);
  mfq_ends_find(s, 0, 0, outer);
  for (int32_t i = 0; i < (s->has_zero_point ? 1 + s->integer.highest - s->integer.lowest : 1); ++i) {
    order(&ends->lo[i], &outer->lo[i]);
    order(&ends->hi[i], &outer->hi[i]);
  }
}
