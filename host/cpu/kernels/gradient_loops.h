/* host/cpu/kernels/gradient_loops.h: which elements pass the clip, and their gradients.
 *
 * Rounding is monotonic: the elements of a group that pass lie between two ends, so that nothing needs to be rounded. */
#ifndef MFQ_HOST_CPU_KERNELS_GRADIENT_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_GRADIENT_LOOPS_H

#include <mfq/num/clip.h>

#include "loops.h"

INLINE float scaled_end(float end, float divisor, float inverse) {
  return mfqn_float_of(mfqn_largest_dividend(end, divisor, inverse, HAS_FMA));
}

/* The ends of groups that are plain, where those of a scale of 1 are `end`, or that of their zero point. */
INLINE void scale_ends(const mfq_ends *e, const float *restrict end, int64_t n, const mfq_lanes *restrict lanes,
                       float *restrict to) {
  if (e->by_exponent)
    for (int64_t i = 0; i < n; ++i) to[i] = mfqn_mul(end[0], lanes->divisor[i]);
  else if (!e->has_zero_points)
    for (int64_t i = 0; i < n; ++i) to[i] = scaled_end(end[0], lanes->divisor[i], lanes->inverse[i]);
  else
    for (int64_t i = 0; i < n; ++i)
      to[i] = scaled_end(end[(int32_t)lanes->zero_point[i] - e->lowest], lanes->divisor[i], lanes->inverse[i]);
}

static void ends(const mfq_ends *e, int64_t n, const mfq_lanes *restrict lanes, mfq_lane_ends *restrict to) {
  uint32_t any_rare = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t row = e->has_zero_points ? (int32_t)lanes->zero_point[i] - e->lowest : 0;
    const float lo = e->lo[row], hi = e->hi[row], divisor = lanes->divisor[i];
    const float least = e->by_exponent ? mfqn_mul(e->least, divisor) : e->least;
    const uint32_t plain =
        mfqn_end_scales(lo, divisor) & mfqn_end_scales(hi, divisor) & mfqn_end_scales(least, 1.0f) & !lanes->rare[i];
    to->rare[i] = (uint8_t)(plain ^ 1u);
    any_rare |= plain ^ 1u;
    to->least[i] = least;
  }
  to->any_rare = any_rare;
  scale_ends(e, e->hi, n, lanes, to->hi);
  if (!e->has_zero_points && e->lo[0] == e->hi[0])
    memcpy(to->lo, to->hi, (size_t)n * sizeof to->lo[0]);
  else
    scale_ends(e, e->lo, n, lanes, to->lo);
  for (int64_t i = 0; e->is_half && i < n; ++i) { /* cut toward 0: no bf16 number lies between */
    to->lo16[i] = order_key16((uint16_t)(mfqn_bits(to->lo[i]) >> 16 | 0x8000u));
    to->hi16[i] = order_key16((uint16_t)(mfqn_bits(to->hi[i]) >> 16));
  }
}

INLINE void clip_run(const uint32_t *restrict x, const uint32_t *restrict dy, int64_t n, const mfq_lane_ends *e,
                     int64_t lane, uint32_t *restrict dx) {
  const float lo = e->lo[lane], hi = e->hi[lane];
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t passed = mfqn_one_nan(mfqn_float_of(dy[i]));
    dx[i] = mfqn_passes_ends(x[i], lo, hi) ? passed : 0u;
  }
}

static void clip(const uint32_t *restrict x, const uint32_t *restrict dy, mfq_stretch span, const mfq_lane_ends *e,
                 uint32_t *restrict dx) {
  for (int64_t i = 0; !e && i < span.n; ++i) dx[i] = mfqn_one_nan(mfqn_float_of(dy[i]));
  if (!e) return;
  if (span.run == 0) {
    for (int64_t i = 0; i < span.n; ++i) {
      const uint32_t passed = mfqn_one_nan(mfqn_float_of(dy[i]));
      dx[i] = mfqn_passes_ends(x[i], e->lo[i], e->hi[i]) ? passed : 0u;
    }
    return;
  }
  const int64_t whole = span.n / span.run, rest = span.n - whole * span.run;
  for (int64_t k = 0; k < whole; ++k) {
    const int64_t at = k * span.run;
    if (span.run == 32)
      clip_run(x + at, dy + at, 32, e, span.first + k, dx + at);
    else if (span.run == 16)
      clip_run(x + at, dy + at, 16, e, span.first + k, dx + at);
    else
      clip_run(x + at, dy + at, span.run, e, span.first + k, dx + at);
  }
  if (rest) clip_run(x + span.n - rest, dy + span.n - rest, rest, e, span.first + whole, dx + span.n - rest);
}

INLINE uint16_t clipped16(uint16_t x, uint16_t dy, int16_t lo, int16_t hi) {
  const int16_t key = order_key16(x);
  const uint16_t passed = (dy & 0x7fffu) > 0x7f80u ? 0x7fc0u : dy;
  return (key >= lo) & (key <= hi) ? passed : 0;
}

INLINE void clip16_run(const uint16_t *restrict x, const uint16_t *restrict dy, int64_t n, const mfq_lane_ends *e,
                       int64_t lane, uint16_t *restrict dx) {
  const int16_t lo = e->lo16[lane], hi = e->hi16[lane];
  for (int64_t i = 0; i < n; ++i) dx[i] = clipped16(x[i], dy[i], lo, hi);
}

static void clip16(const uint16_t *restrict x, const uint16_t *restrict dy, mfq_stretch span, const mfq_lane_ends *e,
                   uint16_t *restrict dx) {
  if (span.run == 0) {
    for (int64_t i = 0; i < span.n; ++i) dx[i] = clipped16(x[i], dy[i], e->lo16[i], e->hi16[i]);
    return;
  }
  for (int64_t at = 0, lane = span.first; at < span.n; at += span.run, ++lane) {
    const int64_t n = span.n - at < span.run ? span.n - at : span.run;
    if (n == 32)
      clip16_run(x + at, dy + at, 32, e, lane, dx + at);
    else
      clip16_run(x + at, dy + at, n, e, lane, dx + at);
  }
}

/* dy * v / t for elements that are normal in the format: v is t rounded to `shift` bits less, ties to even. */
INLINE uint32_t slope_of(uint32_t t, uint32_t upstream, float least, int32_t shift, uint32_t passes) {
  const uint32_t v = (t + ((1u << (shift - 1)) - 1u) + ((t >> shift) & 1u)) & ~((1u << shift) - 1u);
  const float dy = mfqn_float_of(upstream), steep = mfqn_mul(dy, mfqn_div(mfqn_float_of(v), mfqn_float_of(t)));
  const uint32_t passed = mfqn_one_nan(mfqn_float_of(t) >= least ? steep : dy);
  return t >= MFQN_INF ? MFQN_NAN : passes ? passed : 0u;
}

/* Elements of one lane, or each of its own. */
INLINE void slope_run(const uint32_t *restrict x, const uint32_t *restrict dy, mfq_stretch span, const mfq_slope *s,
                      uint32_t *restrict dx) {
  const float *restrict lo = s->ends->lo + span.first, *restrict hi = s->ends->hi + span.first;
  const float *restrict least = s->ends->least + span.first, *restrict divisor =
                                                                 s->divisor ? s->divisor + span.first : lo;
  const int divides = s->divisor != NULL, step = span.run == 0;
  for (int64_t i = 0; i < span.n; ++i) {
    const int64_t k = step ? i : 0;
    const uint32_t t = divides ? mfqn_bits(mfqn_div(mfqn_float_of(x[i]), divisor[k])) : x[i];
    dx[i] = slope_of(t & MFQN_ABS, dy[i], least[k], s->shift, mfqn_passes_ends(x[i], lo[k], hi[k]));
  }
}

static void slope(const uint32_t *restrict x, const uint32_t *restrict dy, mfq_stretch span, const mfq_slope *s,
                  uint32_t *restrict dx) {
  if (span.run == 0) {
    slope_run(x, dy, span, s, dx);
    return;
  }
  for (int64_t at = 0, lane = span.first; at < span.n; at += span.run, ++lane) {
    const int64_t n = span.n - at < span.run ? span.n - at : span.run;
    slope_run(x + at, dy + at, (mfq_stretch){n, n, lane}, s, dx + at);
  }
}

#endif
