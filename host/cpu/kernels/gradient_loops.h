/* host/cpu/kernels/gradient_loops.h: which elements pass the clip, and their gradients.
 *
 * Rounding is monotonic: the elements of a group that pass lie between two ends, so that nothing needs to be rounded. */
#ifndef MFQ_HOST_CPU_KERNELS_GRADIENT_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_GRADIENT_LOOPS_H

#include <mfq/num/clip.h>

#include "decode_loops.h"

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
      to[i] = scaled_end(end[(int64_t)lanes->zero_point[i] - e->lowest], lanes->divisor[i], lanes->inverse[i]);
}

static void ends(const mfq_ends *e, int64_t n, const mfq_lanes *restrict lanes, mfq_lane_ends *restrict to) {
  uint32_t any_rare = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t row = e->has_zero_points ? (int64_t)lanes->zero_point[i] - e->lowest : 0;
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

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* dy * (v - t * dv/dt), without branches: dv/dt is 0 beyond the ends. */
INLINE float term_of(uint32_t u, uint32_t upstream, float v, float divisor, uint32_t passes, uint32_t is_flat) {
  const float t = mfqn_div(mfqn_float_of(u), divisor), difference = mfqn_sub(v, t);
  const float term = mfqn_mul(mfqn_float_of(upstream), passes ? difference : v);
  return passes & is_flat ? 0.0f : term;
}

/* Elements of one lane, or each of its own. */
INLINE void terms_run(const mfq_terms *t, const uint32_t *restrict x, const uint32_t *restrict dy,
                      const float *restrict v, mfq_stretch span, float *restrict to) {
  const float *restrict divisor = t->lanes->divisor + span.first, *restrict zero_point =
                                                                      t->lanes->zero_point + span.first;
  const float *restrict lo = t->ends ? t->ends->lo + span.first : divisor;
  const float *restrict hi = t->ends ? t->ends->hi + span.first : divisor;
  const float *restrict least = t->ends ? t->ends->least + span.first : divisor;
  const uint32_t clips = t->ends != NULL, sloped = t->is_sloped != 0, by_exponent = mfqn_by_exponent(t->scheme) != 0;
  const float step = t->scheme->is_integer ? mfqn_float_of(mfqn_pow2(-t->scheme->integer.frac_bits)) : 1.0f;
  for (int64_t i = 0; i < span.n; ++i) {
    const int64_t k = span.run == 0 ? i : 0;
    const float magnitude = mfqn_float_of(x[i] & MFQN_ABS);
    const float scaled = by_exponent ? magnitude : mfqn_div(magnitude, divisor[k]);
    const uint32_t passes = clips ? mfqn_passes_ends(x[i], lo[k], hi[k]) : 1u, flat = sloped & (scaled >= least[k]);
    to[i] = term_of(x[i], dy[i], mfqn_mul(mfqn_sub(v[i], zero_point[k]), step), divisor[k], passes, flat);
  }
}

/* What elements add to the gradients of their zero points: -dy beyond the ends. */
INLINE void zero_point_terms_run(const mfq_lane_ends *e, const uint32_t *restrict x, const uint32_t *restrict dy,
                                 mfq_stretch span, float *restrict to) {
  const float *restrict lo = e->lo + span.first, *restrict hi = e->hi + span.first;
  for (int64_t i = 0; i < span.n; ++i) {
    const int64_t k = span.run == 0 ? i : 0;
    to[i] = mfqn_passes_ends(x[i], lo[k], hi[k]) ? 0.0f : -mfqn_float_of(dy[i]);
  }
}

INLINE void all_terms_run(const mfq_terms *t, const uint32_t *x, const uint32_t *dy, const float *v, mfq_stretch span,
                          int64_t at) {
  terms_run(t, x, dy, v, span, t->scale + at);
  if (t->scheme->has_zero_point && t->ends) zero_point_terms_run(t->ends, x, dy, span, t->zero_point + at);
}

static void terms(const mfq_terms *t, const uint32_t *restrict x, const uint32_t *restrict dy,
                  const uint8_t *restrict codes, mfq_stretch span) {
  float v[MFQ_CHUNK];
  values_of_codes(t->scheme, codes, span.n, v);
  if (t->scheme->has_zero_point && !t->ends) memset(t->zero_point, 0, (size_t)span.n * sizeof *t->zero_point);
  if (span.run == 0) {
    all_terms_run(t, x, dy, v, span, 0);
    return;
  }
  for (int64_t at = 0, lane = span.first; at < span.n; at += span.run, ++lane) {
    const int64_t n = span.n - at < span.run ? span.n - at : span.run;
    all_terms_run(t, x + at, dy + at, v + at, (mfq_stretch){n, n, lane}, at);
  }
}

INLINE void add_pairs(float *restrict to, const float *restrict t, int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) to[i] = mfqn_add(t[2 * i], t[2 * i + 1]);
}

/* The sum of `n` terms by the tree of num/gradient.h; they are lost. */
INLINE float tree_of(float *t, float *room, int64_t n) {
  float *from = t, *to = room;
  if (n == 0) return 0.0f;
  for (; n > 1; n = (n + 1) / 2) {
    add_pairs(to, from, n / 2);
    if (n % 2 != 0) to[n / 2] = mfqn_add(from[n - 1], 0.0f);
    float *const done = from;
    from = to;
    to = done;
  }
  return from[0];
}

/* Runs of a power of two are summed side by side, level by level. */
static void trees(float *t, int64_t n, int64_t run, float *restrict sums) {
  float halves[MFQ_CHUNK / 2];
  const int64_t whole = n / run, rest = n % run;
  float *from = t, *to = halves;
  if (rest != 0) sums[whole] = tree_of(t + n - rest, halves, rest);
  for (int64_t i = 0; (run & (run - 1)) != 0 && i < whole; ++i) sums[i] = tree_of(t + i * run, halves, run);
  if ((run & (run - 1)) != 0) return;
  for (int64_t k = run; k > 1; k /= 2) {
    add_pairs(to, from, whole * k / 2);
    float *const done = from;
    from = to;
    to = done;
  }
  memcpy(sums, from, (size_t)whole * sizeof *sums);
}

static void add_floats(float *restrict to, const float *restrict by, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = mfqn_add(to[i], by[i]);
}

#endif
