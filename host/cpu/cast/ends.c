/* host/cpu/cast/ends.c: the ends of all zero points. */
#include <mfq/num/clip.h>

#include "ends.h"

void mfq_ends_find(const mfqn_scheme *s, uint32_t random, int is_sloped, mfq_ends *ends) {
  const int32_t lowest = s->has_zero_point ? s->integer.lowest : 0;
  const int32_t highest = s->has_zero_point ? s->integer.highest : 0;
  ends->lowest = lowest;
  ends->has_zero_points = s->has_zero_point;
  ends->by_exponent = mfqn_by_exponent(s);
  ends->least = is_sloped ? mfqn_least_sloped(s) : 1.0f;
  for (int32_t z = lowest; z <= highest; ++z) {
    ends->lo[z - lowest] = mfqn_clip_end(s, z, 0x80000000u, random);
    ends->hi[z - lowest] = mfqn_clip_end(s, z, 0, random);
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
