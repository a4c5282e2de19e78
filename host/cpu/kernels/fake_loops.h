/* host/cpu/kernels/fake_loops.h: elements to the values of their codes, without the codes.
 *
 * For ties to even and saturation, in fewer steps than encoding and decoding, and with their results. A minifloat's
 * magnitude is limited to the largest value, then rounded to a multiple of its step by adding 2^23 steps and taking them
 * away: float32 has no digit below the step there. An integer is rounded likewise. */
#ifndef MFQ_HOST_CPU_KERNELS_FAKE_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_FAKE_LOOPS_H

#include "encode_loops.h"

/* The choices that a loop is compiled for. */
typedef struct fake_kind {
  int how; /* not BY_FLOAT_ZERO_POINT */
  int is_integer, is_bf16;
} fake_kind;

/* What all elements need. */
typedef struct fake_steps {
  float lowest, highest, step; /* of integers: the step is 2^-frac_bits */
  int32_t frac_bits;
  uint32_t limit, least;   /* of minifloats, unscaled: the largest value, 2^23 of the smallest steps, */
  uint32_t shift;          /* from the power of two in a number to 2^23 of its steps, */
  uint32_t zero_sign, nan; /* the sign that zeros keep, and the value of NaN */
  float tensor_scale;
} fake_steps;

typedef struct fake_job {
  fake_steps steps;
  const void *x;
  const mfq_lanes *lanes;
  mfq_stretch span;
  uint32_t *y;
} fake_job;

typedef struct fake_lane {
  float divisor, power; /* integers are multiplied by the latter */
  float zero_point, scale;
  uint32_t limit, least;
} fake_lane;

INLINE fake_lane fake_lane_at(const fake_steps *s, const mfq_lanes *lanes, int64_t i, fake_kind kind) {
  const uint32_t up = kind.how == BY_EXPONENT ? lanes->steps[i] - s->least : 0u;
  const int32_t exp2 = s->frac_bits - (kind.how == BY_EXPONENT ? lanes->exp2[i] : 0);
  const float power = mfqn_float_of((uint32_t)(127 + exp2) << 23);
  return (fake_lane){lanes->divisor[i], power, lanes->zero_point[i], lanes->scale[i], s->limit + up, s->least + up};
}

/* NaN is the highest integer, as in a sum with a zero point. */
INLINE float fake_integer(const fake_steps *s, float t) {
  const float low = t < s->highest ? t : s->highest, held = low > s->lowest ? low : s->lowest;
  return mfqn_sub(mfqn_add(held, 12582912.0f), 12582912.0f);
}

INLINE float fake_sum(const fake_steps *s, float t, float zero_point) {
  const float low = t < 1024.0f ? t : 1024.0f, near = low > -1024.0f ? low : -1024.0f;
  const float r = mfqn_sub(mfqn_add(near, mfqn_add(12582912.0f, zero_point)), 12582912.0f);
  const float capped = r < s->highest ? r : s->highest;
  return mfqn_sub(capped > s->lowest ? capped : s->lowest, zero_point);
}

INLINE float fake_minifloat(const fake_steps *s, uint32_t u, uint32_t limit, uint32_t least) {
  const uint32_t a = u & MFQN_ABS, limited = mfqn_umin(a, limit);
  const float steps = mfqn_float_of(mfqn_umax((limited & MFQN_INF) + s->shift, least));
  const uint32_t m = mfqn_bits(mfqn_sub(mfqn_add(mfqn_float_of(limited), steps), steps));
  const uint32_t v = m | (u & (m != 0 ? 0x80000000u : s->zero_sign));
  return mfqn_float_of(a > MFQN_INF ? s->nan : v);
}

INLINE uint32_t fake_one(const fake_steps *s, uint32_t u, fake_lane lane, fake_kind kind) {
  const float x = mfqn_float_of(u), t = kind.how == BY_EXPONENT ? x : mfqn_div(x, lane.divisor);
  float v;
  if (kind.how == BY_ZERO_POINT)
    v = fake_sum(s, t, lane.zero_point);
  else if (kind.is_integer)
    v = mfqn_mul(fake_integer(s, mfqn_mul(t, lane.power)), s->step);
  else
    v = fake_minifloat(s, mfqn_bits(t), lane.limit, lane.least);
  if (!kind.is_integer && kind.how == BY_EXPONENT) return mfqn_bits(v); /* which is scaled */
  return mfqn_bits(mfqn_mul(mfqn_mul(v, lane.scale), s->tensor_scale));
}

INLINE void fake_run(const fake_job *job, const fake_steps *s, int64_t i, int64_t run, int64_t length, fake_kind kind) {
  const void *restrict x = job->x;
  uint32_t *restrict y = job->y;
  const fake_lane lane = fake_lane_at(s, job->lanes, job->span.first + i, kind);
  for (int64_t j = i * run; j < i * run + length; ++j) y[j] = fake_one(s, element(x, j, kind.is_bf16), lane, kind);
}

INLINE void fake_runs_of(const fake_job *job, const fake_steps *s, int64_t run, fake_kind kind) {
  const int64_t whole = job->span.n / run, rest = job->span.n % run;
  for (int64_t i = 0; i < whole; ++i) fake_run(job, s, i, run, run, kind);
  if (rest) fake_run(job, s, whole, run, rest, kind);
}

INLINE void fake_span(const fake_job *job, fake_kind kind) {
  const fake_steps s = job->steps; /* a copy that stores cannot change: it stays in registers */
  const void *restrict x = job->x;
  uint32_t *restrict y = job->y;
  if (job->span.run == 16)
    fake_runs_of(job, &s, 16, kind);
  else if (job->span.run == 32)
    fake_runs_of(job, &s, 32, kind);
  else if (job->span.run != 0)
    fake_runs_of(job, &s, job->span.run, kind);
  else
    for (int64_t i = 0; i < job->span.n; ++i)
      y[i] = fake_one(&s, element(x, i, kind.is_bf16), fake_lane_at(&s, job->lanes, i, kind), kind);
}

INLINE void fake_any(const fake_job *job, int how, int is_integer, int is_bf16) {
  if (how == BY_ZERO_POINT)
    fake_span(job, (fake_kind){BY_ZERO_POINT, 1, is_bf16});
  else if (how == BY_EXPONENT && is_integer)
    fake_span(job, (fake_kind){BY_EXPONENT, 1, is_bf16});
  else if (how == BY_EXPONENT)
    fake_span(job, (fake_kind){BY_EXPONENT, 0, is_bf16});
  else if (is_integer)
    fake_span(job, (fake_kind){BY_DIVISION, 1, is_bf16});
  else
    fake_span(job, (fake_kind){BY_DIVISION, 0, is_bf16});
}

static fake_steps fake_steps_of(const mfqn_scheme *s, float tensor_scale) {
  const mfqn_minifloat *f = &s->minifloat;
  fake_steps steps = {.tensor_scale = tensor_scale, .step = 1.0f};
  if (s->is_integer) {
    steps.lowest = (float)s->integer.lowest;
    steps.highest = (float)s->integer.highest;
    steps.frac_bits = s->integer.frac_bits;
    steps.step = mfqn_float_of(mfqn_pow2(-s->integer.frac_bits));
    return steps;
  }
  steps.limit = mfqn_minifloat_decode(f->max_code, f, 0);
  steps.least = mfqn_central_of(f, 0).steps;
  steps.shift = (uint32_t)(23 - f->man_bits) << 23;
  steps.zero_sign = f->neg_zero_mask & 0x80000000u;
  steps.nan = mfqn_minifloat_decode(f->nan_code, f, 0);
  return steps;
}

/* Whether 2^23 steps of the largest value are a number, scaled or not. Ties go to the even code, which is the even number
 * of steps only with a mantissa. */
static int is_fake_short(const mfqn_scheme *s, int how, const mfq_lanes *lanes) {
  if (s->rounding != MFQN_ROUND_EVEN || how == BY_FLOAT_ZERO_POINT) return 0;
  if (lanes->largest > mfqn_safe_scale(s, 0x1p104f)) return 0;
  if (s->is_integer) return 1;
  return has_short_steps(s, how) && s->minifloat.man_bits >= 1 && mfqn_bits(1.0f) <= mfqn_safe_scale(s, 0x1p104f);
}

static int fake(const mfqn_scheme *s, mfq_source x, mfq_stretch span, const mfq_lanes *lanes, uint32_t *y) {
  uint32_t loaded[MFQ_CHUNK];
  const int how = choose_how(s);
  if (!is_fake_short(s, how, lanes)) return 0;
  if (x.dtype == MFQ_DTYPE_F16) load(loaded, x.data, x.dtype, span.n);
  const fake_job job = {fake_steps_of(s, lanes->tensor_scale), x.dtype == MFQ_DTYPE_F16 ? loaded : x.data, lanes, span,
                        y};
  if (x.dtype == MFQ_DTYPE_BF16)
    fake_any(&job, how, s->is_integer, 1);
  else
    fake_any(&job, how, s->is_integer, 0);
  return 1;
}

#endif
