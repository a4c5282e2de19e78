/* host/cpu/kernels/sum_loops.h: gradients of scales and zero points: what elements add to them, sums of that, and which
 * elements scales are measured from. */
#ifndef MFQ_HOST_CPU_KERNELS_SUM_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_SUM_LOOPS_H

#include <mfq/num/clip.h>
#include <mfq/num/value.h>

#include "decode_loops.h"
#include "long_loops.h"
#include "tree_loops.h"

/* ---- Terms ------------------------------------------------------------------------------------------------------- */

/* How the value of an element follows from its quotient: by its code, or by the short forms of num/value.h. */
enum { VALUE_CODE, VALUE_MINIFLOAT, VALUE_INTEGER, VALUE_ZERO_POINT, VALUE_FLOAT_ZERO_POINT };

/* The choices that a loop is compiled for. */
typedef struct term_kind {
  int value;
  int by_power; /* divisors are powers of two whose inverses are numbers */
  int is_sloped;
  int each; /* elements have a lane each */
} term_kind;

typedef struct term_job {
  const mfq_terms *t;
  mfqn_scheme scheme;
  mfqn_central central;
  uint32_t limit;
  float step, steps;              /* of integers: a step, and how many there are in 1 */
  float nan;                      /* the value of NaN */
  uint32_t all_pass, scales_ends; /* there are no ends; the smallest normal number is scaled as they are */
  const uint32_t *x, *dy;
  const float *values; /* of VALUE_CODE */
} term_job;

INLINE float value_of_quotient(const term_job *job, float t, float zero_point, float coded, int how) {
  const mfqn_scheme *s = &job->scheme;
  const float lowest = (float)s->integer.lowest, highest = (float)s->integer.highest;
  switch (how) {
    case VALUE_MINIFLOAT:
      return mfqn_float_of(
          mfqn_minifloat_value_central(mfqn_bits(t), &s->minifloat, job->central, job->limit, 0x80000000u));
    case VALUE_INTEGER: return mfqn_mul(mfqn_integer_value_central(mfqn_mul(t, job->steps), &s->integer), job->step);
    case VALUE_ZERO_POINT: return mfqn_integer_sum_value_central(t, zero_point, &s->integer);
    case VALUE_FLOAT_ZERO_POINT: return mfqn_brevitas_integer_central(t, zero_point, lowest, highest);
    default: return mfqn_mul(mfqn_sub(coded, zero_point), job->step);
  }
}

/* What the terms of elements need of their lane. */
typedef struct term_lane {
  float divisor, inverse, zero_point, lo, hi, least;
} term_lane;

INLINE term_lane term_lane_at(const mfq_terms *t, int64_t i, term_kind kind) {
  const float divisor = t->lanes->divisor[i], all = mfqn_float_of(MFQN_INF);
  term_lane lane = {divisor, kind.by_power ? mfqn_div(1.0f, divisor) : 1.0f, t->lanes->zero_point[i], all, all, all};
  if (t->ends) lane.lo = t->ends->lo[i];
  if (t->ends) lane.hi = t->ends->hi[i];
  if (t->ends) lane.least = t->ends->least[i];
  return lane;
}

/* dy * (v - t * dv/dt), without branches: dv/dt is 0 beyond the ends. */
INLINE float term_of(const term_job *job, uint32_t x, uint32_t dy, float coded, term_lane lane, term_kind kind) {
  const float u = mfqn_float_of(x), v_nan = kind.value == VALUE_CODE ? coded : job->nan;
  const float q = kind.by_power ? mfqn_mul(u, lane.inverse) : mfqn_div(u, lane.divisor);
  const float number = value_of_quotient(job, q, lane.zero_point, coded, kind.value);
  const float v = (kind.value == VALUE_MINIFLOAT || kind.value == VALUE_INTEGER) && u != u ? v_nan : number;
  const float magnitude = mfqn_float_of((job->scales_ends ? x : mfqn_bits(q)) & MFQN_ABS), difference = mfqn_sub(v, q);
  const uint32_t passes = job->all_pass | mfqn_passes_ends(x, lane.lo, lane.hi);
  const float factor = passes ? difference : v, term = mfqn_mul(mfqn_float_of(dy), factor);
  const uint32_t is_flat = kind.is_sloped ? passes & (uint32_t)(magnitude >= lane.least) : 0u;
  return is_flat ? 0.0f : term;
}

INLINE void terms_run(const term_job *job, int64_t at, mfq_stretch span, term_kind kind) {
  const term_job local = *job; /* a copy that stores cannot change: it stays in registers */
  const uint32_t *restrict x = job->x + at, *restrict dy = job->dy + at;
  const float *restrict values = job->values + at;
  float *restrict to = job->t->scale + at;
  const term_lane lane = term_lane_at(job->t, span.first, kind);
  for (int64_t i = 0; i < span.n; ++i) {
    const float coded = kind.value == VALUE_CODE ? values[i] : 0.0f;
    to[i] = term_of(&local, x[i], dy[i], coded, kind.each ? term_lane_at(local.t, i, kind) : lane, kind);
  }
}

/* What elements add to the gradients of their zero points: -dy beyond the ends. */
INLINE void zero_point_terms_run(const term_job *job, int64_t at, mfq_stretch span) {
  const float *restrict lo = job->t->ends->lo + span.first, *restrict hi = job->t->ends->hi + span.first;
  const uint32_t *restrict x = job->x + at, *restrict dy = job->dy + at;
  float *restrict to = job->t->zero_point + at;
  for (int64_t i = 0; i < span.n; ++i) {
    const int64_t k = span.run == 0 ? i : 0;
    to[i] = mfqn_passes_ends(x[i], lo[k], hi[k]) ? 0.0f : -mfqn_float_of(dy[i]);
  }
}

INLINE void terms_as(const term_job *job, mfq_stretch span, term_kind kind) {
  kind.each = 1;
  if (span.run == 0) terms_run(job, 0, span, kind);
  kind.each = 0;
  for (int64_t at = 0, lane = span.first; span.run != 0 && at < span.n; at += span.run, ++lane) {
    const int64_t n = span.n - at < span.run ? span.n - at : span.run;
    if (n == 32)
      terms_run(job, at, (mfq_stretch){32, 32, lane}, kind);
    else
      terms_run(job, at, (mfq_stretch){n, n, lane}, kind);
  }
}

static void zero_point_terms(const term_job *job, mfq_stretch span) {
  if (!job->t->ends) memset(job->t->zero_point, 0, (size_t)span.n * sizeof *job->t->zero_point);
  if (!job->t->ends) return;
  if (span.run == 0) zero_point_terms_run(job, 0, span);
  for (int64_t at = 0, lane = span.first; span.run != 0 && at < span.n; at += span.run, ++lane) {
    const int64_t n = span.n - at < span.run ? span.n - at : span.run;
    zero_point_terms_run(job, at, (mfq_stretch){n, n, lane});
  }
}

/* The short form that holds for a scheme, or VALUE_CODE. Minifloats need an even code where the number of steps is even,
 * and 2^23 steps of the largest value to be a number. */
static int value_form(const mfqn_scheme *s) {
  const int how = choose_how(s);
  if (s->rounding != MFQN_ROUND_EVEN) return VALUE_CODE;
  if (s->is_integer)
    return how == BY_ZERO_POINT         ? VALUE_ZERO_POINT
           : how == BY_FLOAT_ZERO_POINT ? VALUE_FLOAT_ZERO_POINT
                                        : VALUE_INTEGER;
  const int is_short =
      has_short_steps(s, BY_DIVISION) && s->minifloat.man_bits >= 1 && mfqn_bits(1.0f) <= mfqn_safe_scale(s, 0x1p104f);
  return is_short ? VALUE_MINIFLOAT : VALUE_CODE;
}

static float value_of_nan(const mfqn_scheme *s) {
  const uint32_t highest = mfqn_integer_scaled(s->integer.highest, &s->integer, 0);
  return mfqn_float_of(s->is_integer ? highest : mfqn_minifloat_decode(s->minifloat.nan_code, &s->minifloat, 0));
}

static term_job term_job_of(const mfq_terms *t, const uint32_t *x, const uint32_t *dy, const float *values) {
  const mfqn_scheme *s = t->scheme;
  term_job job = {.t = t, .scheme = *s, .step = 1.0f, .steps = 1.0f, .x = x, .dy = dy, .values = values};
  job.nan = value_of_nan(s);
  job.all_pass = t->ends == NULL;
  job.scales_ends = (uint32_t)mfqn_by_exponent(s);
  if (s->is_integer) {
    job.steps = mfqn_float_of(mfqn_pow2(s->integer.frac_bits));
    job.step = mfqn_float_of(mfqn_pow2(-s->integer.frac_bits));
  } else {
    job.central = mfqn_central_of(&s->minifloat, 0);
    job.limit = mfqn_bits(mfqn_float_of(mfqn_minifloat_decode(s->minifloat.max_code, &s->minifloat, 0)));
  }
  return job;
}

static void terms_short(const term_job *job, mfq_stretch span, int form) {
  const int by_power = mfqn_by_exponent(job->t->scheme), is_sloped = job->t->is_sloped;
  if (form == VALUE_ZERO_POINT)
    terms_as(job, span, (term_kind){VALUE_ZERO_POINT, 0, 0, 0});
  else if (form == VALUE_FLOAT_ZERO_POINT)
    terms_as(job, span, (term_kind){VALUE_FLOAT_ZERO_POINT, 0, 0, 0});
  else if (form == VALUE_INTEGER && by_power)
    terms_as(job, span, (term_kind){VALUE_INTEGER, 1, 0, 0});
  else if (form == VALUE_INTEGER)
    terms_as(job, span, (term_kind){VALUE_INTEGER, 0, 0, 0});
  else if (by_power && is_sloped)
    terms_as(job, span, (term_kind){VALUE_MINIFLOAT, 1, 1, 0});
  else if (by_power)
    terms_as(job, span, (term_kind){VALUE_MINIFLOAT, 1, 0, 0});
  else if (is_sloped)
    terms_as(job, span, (term_kind){VALUE_MINIFLOAT, 0, 1, 0});
  else
    terms_as(job, span, (term_kind){VALUE_MINIFLOAT, 0, 0, 0});
}

static int terms(const mfq_terms *t, const uint32_t *x, const uint32_t *dy, const uint8_t *codes, mfq_stretch span) {
  float values[MFQ_CHUNK];
  const int form = value_form(t->scheme);
  const term_job job = term_job_of(t, x, dy, values);
  if (!codes && form == VALUE_CODE) return 0;
  if (codes) values_of_codes(t->scheme, codes, span.n, values);
  if (!codes)
    terms_short(&job, span, form);
  else if (t->is_sloped)
    terms_as(&job, span, (term_kind){VALUE_CODE, 0, 1, 0});
  else
    terms_as(&job, span, (term_kind){VALUE_CODE, 0, 0, 0});
  if (t->scheme->has_zero_point) zero_point_terms(&job, span);
  return 1;
}

static void add_floats(float *restrict to, const float *restrict by, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = mfqn_add(to[i], by[i]);
}

/* ---- Extremes ---------------------------------------------------------------------------------------------------- */

/* What the extremes of lanes are compared as: magnitudes as bits, or numbers. */
INLINE uint32_t extreme_at(const mfq_stats *stats, mfq_extreme which, int64_t lane) {
  return which == MFQ_LARGEST_MAGNITUDE ? stats->absmax[lane]
                                        : mfq_order_bits(which == MFQ_SMALLEST ? stats->lo[lane] : stats->hi[lane]);
}

INLINE uint32_t is_extreme(uint32_t u, uint32_t extreme, mfq_extreme which) {
  return which == MFQ_LARGEST_MAGNITUDE ? (u & MFQN_ABS) == extreme : mfqn_float_of(u) == mfqn_float_of(extreme);
}

/* From bytes that are 0 or 1 to bits, eight at a time. */
INLINE uint32_t bits_of_bytes(const uint8_t *bytes) {
  uint32_t bits = 0;
  for (int k = 0; k < 4; ++k) {
    uint64_t octet;
    memcpy(&octet, bytes + 8 * k, sizeof octet);
    bits |= (uint32_t)(octet * 0x0102040810204080u >> 56) << 8 * k;
  }
  return bits;
}

INLINE void extremes_as(const uint32_t *restrict x, mfq_stretch span, const mfq_stats *restrict stats,
                        uint32_t *restrict bits, mfq_extreme which) {
  enum { BITS = 32 };
  uint8_t is[MFQ_CHUNK + BITS];
  const int64_t run = span.run == 0 ? 1 : span.run;
  for (int64_t i = 0; span.run == 0 && i < span.n; ++i)
    is[i] = (uint8_t)is_extreme(x[i], extreme_at(stats, which, i), which);
  for (int64_t at = 0, lane = span.first; span.run != 0 && at < span.n; at += run, ++lane) {
    const uint32_t extreme = extreme_at(stats, which, lane);
    const int64_t end = span.n - at < run ? span.n : at + run;
    for (int64_t i = at; i < end; ++i) is[i] = (uint8_t)is_extreme(x[i], extreme, which);
  }
  memset(is + span.n, 0, BITS);
  for (int64_t k = 0; k * BITS < span.n; ++k) bits[k] = bits_of_bytes(is + k * BITS);
}

static void extremes(const uint32_t *x, mfq_stretch span, const mfq_stats *stats, mfq_extreme which, uint32_t *bits) {
  if (which == MFQ_LARGEST_MAGNITUDE)
    extremes_as(x, span, stats, bits, MFQ_LARGEST_MAGNITUDE);
  else if (which == MFQ_LARGEST)
    extremes_as(x, span, stats, bits, MFQ_LARGEST);
  else
    extremes_as(x, span, stats, bits, MFQ_SMALLEST);
}

#endif
