/* host/cpu/cast/ends.c: the ends of all zero points, and what they leave open. */
#include <string.h>

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

/* Bits `first` ... `end - 1`. */
static void set_bits(uint32_t *words, int64_t first, int64_t end) {
  for (int64_t i = first; i < end;) {
    const int64_t n = 32 - i % 32 < end - i ? 32 - i % 32 : end - i;
    words[i / 32] |= (n == 32 ? ~0u : (1u << n) - 1u) << i % 32;
    i += n;
  }
}

void mfq_ends_open(const mfq_kernels *kernels, const mfq_ends_row *row, uint32_t *passing, uint32_t *open) {
  const mfq_stretch span = row->span;
  const mfq_lane_ends *outer = row->outer;
  const int64_t words = (span.n + 31) / 32, run = span.run == 0 ? 1 : span.run;
  kernels->passing(row->x, span, row->ends, passing);
  if (outer)
    kernels->passing(row->x, span, outer, open);
  else
    memset(open, 0, (size_t)words * sizeof *open);
  for (int64_t k = 0; outer && k < words; ++k) open[k] &= ~passing[k];
  if (!row->ends->any_rare && !(outer && outer->any_rare)) return;
  for (int64_t at = 0, lane = span.first; at < span.n; at += run, ++lane)
    if (row->ends->rare[lane] || (outer && outer->rare[lane]))
      set_bits(open, at, span.n - at < run ? span.n : at + run);
}
