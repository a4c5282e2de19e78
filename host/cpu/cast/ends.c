/* host/cpu/cast/ends.c: the ends of schemes and of lanes, and what they leave open. */
#include "ends.h"

#include <string.h>

#include <mfq/num/clip.h>

static void order(float *less, float *more) {
  const float a = *less, b = *more;
  *less = a < b ? a : b;
  *more = a < b ? b : a;
}

/* Of all elements, or of a zero point. A sum with one is rounded up by large words, not away from 0. */
static void find(mfq_found_ends *f, int32_t zero_point, int32_t row) {
  const mfqn_scheme *s = f->scheme;
  const uint32_t negative = 0x80000000u;
  f->are_known[row] = 1;
  f->ends.lo[row] = mfqn_clip_end(s, zero_point, negative, 0);
  f->ends.hi[row] = mfqn_clip_end(s, zero_point, 0, 0);
  if (!f->is_random) return;
  f->outer.lo[row] = mfqn_clip_end(s, zero_point, negative, UINT32_MAX);
  f->outer.hi[row] = mfqn_clip_end(s, zero_point, 0, UINT32_MAX);
  order(&f->ends.lo[row], &f->outer.lo[row]);
  order(&f->ends.hi[row], &f->outer.hi[row]);
}

void mfq_ends_start(const mfqn_scheme *s, int is_sloped, int is_half, mfq_found_ends *f) {
  *f = (mfq_found_ends){.scheme = s, .is_random = s->rounding == MFQN_ROUND_STOCHASTIC};
  f->ends.lowest = s->has_zero_point ? s->integer.lowest : 0;
  f->ends.has_zero_points = s->has_zero_point;
  f->ends.by_exponent = mfqn_by_exponent(s);
  f->ends.least = is_sloped ? mfqn_least_sloped(s) : 1.0f;
  f->ends.is_half = is_half;
  f->outer = f->ends;
  if (!s->has_zero_point) find(f, 0, 0);
}

void mfq_ends_meet(mfq_found_ends *f, int64_t n, const mfq_lanes *lanes) {
  for (int64_t i = 0; f->ends.has_zero_points && i < n; ++i) {
    const int32_t zero_point = (int32_t)lanes->zero_point[i], row = zero_point - f->ends.lowest;
    if (!f->are_known[row]) find(f, zero_point, row);
  }
}

void mfq_clip_lanes(const mfq_kernels *kernels, int64_t n, const mfq_lanes *lanes, mfq_clip *clip) {
  mfq_found_ends *f = &clip->found;
  mfq_ends_meet(f, n, lanes);
  kernels->ends(&f->ends, n, lanes, &clip->ends);
  if (f->is_random) kernels->ends(&f->outer, n, lanes, &clip->outer);
}

/* Bits `first` ... `end - 1`. */
static void set_bits(uint32_t *words, int64_t first, int64_t end) {
  for (int64_t i = first; i < end;) {
    const int64_t n = 32 - i % 32 < end - i ? 32 - i % 32 : end - i;
    words[i / 32] |= (n == 32 ? ~0u : (1u << n) - 1u) << i % 32;
    i += n;
  }
}

int mfq_clip_row(const mfq_kernels *kernels, const mfq_clip *clip, mfq_source x, mfq_stretch span, uint32_t *passing,
                 uint32_t *open) {
  const int64_t words = (span.n + 31) / 32, run = span.run == 0 ? 1 : span.run;
  const int is_random = clip->found.is_random, any_rare = mfq_clip_any_rare(clip);
  kernels->passing(x, span, &clip->ends, passing);
  if (!is_random && !any_rare) return 0;
  if (is_random)
    kernels->passing(x, span, &clip->outer, open);
  else
    memset(open, 0, (size_t)words * sizeof *open);
  for (int64_t k = 0; is_random && k < words; ++k) open[k] &= ~passing[k];
  for (int64_t at = 0, lane = span.first; any_rare && at < span.n; at += run, ++lane)
    if (mfq_clip_is_rare(clip, lane)) set_bits(open, at, span.n - at < run ? span.n : at + run);
  return 1;
}
