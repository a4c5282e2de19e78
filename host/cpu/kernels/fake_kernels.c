/* host/cpu/kernels/fake_kernels.c: elements to the values of their codes, without the codes.
 *
 * For ties to even and saturation, in fewer steps than encoding and decoding, and with their results. A magnitude is
 * limited to the largest value, then rounded to a multiple of its step by adding 2^23 steps and taking them away: float32
 * has no digit below the step there. Quotients come from reciprocals where these hold for all groups at hand; elements are
 * limited before them then, so that nothing overflows. */
#include <mfq/num/quotient.h>

#include "convert_loops.h"
#include "long_loops.h"

/* The choices that a loop is compiled for. Quotients by reciprocals are of measured groups, whose elements are finite, or
 * of integers, for which NaN is the highest. */
typedef struct fake_kind {
  int how; /* not BY_FLOAT_ZERO_POINT */
  int is_integer;
  int by_inverse;       /* not by a division */
  int has_tensor_scale; /* which is 1 otherwise */
  int is_held;          /* elements may be beyond the largest value */
  int keeps_signs;      /* of integers: zeros have the sign of their quotient, as Brevitas' have */
  int has_pairs;        /* elements and values are bf16, two in a word */
} fake_kind;

/* From 2^23 to 1.5 * 2^23: below it a sum has as many digits as above. */
enum { MIDDLE = 0x400000 };

/* What all elements need. */
typedef struct fake_steps {
  float lowest, highest; /* as values without zero point */
  int32_t frac_bits;
  uint32_t least,
      shift; /* of minifloats: 1.5 * 2^23 of the smallest steps; from a power of two to those of its steps */
  uint32_t zero_sign, nan; /* the sign that zeros keep, and the value of NaN */
  float tensor_scale;
} fake_steps;

typedef struct fake_job {
  fake_steps steps;
  const void *x;
  const mfq_lanes *lanes;
  mfq_stretch span;
  void *y;
} fake_job;

typedef struct fake_lane {
  float divisor, inverse, scale;
  float lowest, highest;
  float middle;   /* of integers: 1.5 * 2^23 steps, and the zero point */
  uint32_t least; /* of minifloats */
} fake_lane;

/* Limits are for elements, or for quotients: those of minifloats do not overflow, and divisions may. */
INLINE fake_lane fake_lane_at(const fake_steps *s, const mfq_lanes *lanes, int64_t i, fake_kind kind) {
  const int32_t exp2 = (kind.how == BY_EXPONENT ? lanes->exp2[i] : 0) - s->frac_bits; /* of a step */
  const float zero_point = kind.how == BY_ZERO_POINT ? lanes->zero_point[i] : 0.0f, divisor = lanes->divisor[i];
  const float by = kind.how == BY_EXPONENT || (kind.by_inverse && kind.is_integer) ? divisor : 1.0f;
  fake_lane lane = {.divisor = divisor, .inverse = lanes->inverse[i], .scale = lanes->scale[i]};
  lane.lowest = mfqn_mul(mfqn_sub(s->lowest, zero_point), by);
  lane.highest = mfqn_mul(mfqn_sub(s->highest, zero_point), by);
  lane.middle = mfqn_add(mfqn_float_of((uint32_t)(127 + 23 + exp2) << 23 | MIDDLE), zero_point);
  lane.least = kind.how == BY_EXPONENT ? lanes->steps[i] | MIDDLE : s->least;
  return lane;
}

INLINE float fake_held(float x, fake_lane lane) {
  const float low = x < lane.highest ? x : lane.highest;
  return low > lane.lowest ? low : lane.lowest;
}

/* What is rounded to a multiple of its step. */
INLINE float fake_scaled(float x, fake_lane lane, fake_kind kind) {
  if (kind.how == BY_EXPONENT) return fake_held(x, lane);
  if (kind.by_inverse && !kind.is_held) return mfqn_quotient(x, lane.divisor, lane.inverse);
  if (kind.by_inverse && kind.is_integer) return mfqn_quotient(fake_held(x, lane), lane.divisor, lane.inverse);
  return fake_held(kind.by_inverse ? mfqn_quotient(x, lane.divisor, lane.inverse) : mfqn_div(x, lane.divisor), lane);
}

/* In a signed format: the sign of a quotient is that of the element, but under a given scale below 0. */
INLINE float fake_minifloat(const fake_steps *s, float x, fake_lane lane, fake_kind kind) {
  const float t = fake_scaled(x, lane, kind);
  const float steps = mfqn_float_of(mfqn_umax((mfqn_bits(t) & MFQN_INF) + s->shift, lane.least));
  const float v = mfqn_sub(mfqn_add(t, steps), steps);
  const uint32_t of = kind.how == BY_EXPONENT || kind.by_inverse ? mfqn_bits(x) : mfqn_bits(t);
  return mfqn_float_of(!kind.by_inverse && x != x ? s->nan : mfqn_bits(v) | (of & s->zero_sign));
}

/* A multiple of its step, by adding a number whose last digit that is and taking it away. */
INLINE float fake_integer(float x, fake_lane lane, fake_kind kind) {
  const float t = fake_scaled(x, lane, kind), v = mfqn_sub(mfqn_add(t, lane.middle), lane.middle);
  const uint32_t of = mfqn_bits(mfqn_add(t, 0.0f)); /* a zero point of 0: quotients that are -0 become 0 */
  return kind.keeps_signs ? mfqn_float_of(mfqn_bits(v) | (of & 0x80000000u)) : v;
}

INLINE uint32_t fake_one(const fake_steps *s, uint32_t u, fake_lane lane, fake_kind kind) {
  const float x = mfqn_float_of(u);
  float v = kind.is_integer ? fake_integer(x, lane, kind) : fake_minifloat(s, x, lane, kind);
  if (kind.how != BY_EXPONENT) v = mfqn_mul(v, lane.scale); /* it is scaled otherwise */
  if (kind.has_tensor_scale) v = mfqn_mul(v, s->tensor_scale);
  return mfqn_bits(v);
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

INLINE void fake_run(const fake_job *job, const fake_steps *s, int64_t i, int64_t run, int64_t length, fake_kind kind) {
  const uint32_t *restrict x = (const uint32_t *)job->x + i * run;
  uint32_t *restrict y = (uint32_t *)job->y + i * run;
  const fake_lane lane = fake_lane_at(s, job->lanes, job->span.first + i, kind);
  for (int64_t j = 0; j < length; ++j) y[j] = fake_one(s, x[j], lane, kind);
}

INLINE void fake_columns(const fake_job *job, const fake_steps *s, fake_kind kind) {
  const uint32_t *restrict x = job->x;
  uint32_t *restrict y = job->y;
  for (int64_t i = 0; i < job->span.n; ++i) y[i] = fake_one(s, x[i], fake_lane_at(s, job->lanes, i, kind), kind);
}

/* ---- Pairs ------------------------------------------------------------------------------------------------------- */

/* Two neighbouring bf16 elements, anywhere in memory: the halves of a word are float32 numbers but for a shift. */
typedef uint32_t fake_word __attribute__((aligned(2), may_alias));

/* The bits of a value, NaN being canonical, whose upper half is bf16: that of few digits times a power of two is. */
INLINE uint32_t fake_rounded(uint32_t u, fake_kind kind) {
  return kind.how == BY_EXPONENT ? u : u + 0x7fffu + ((u >> 16) & 1u);
}

INLINE void fake_run_of_pairs(const fake_job *job, const fake_steps *s, int64_t i, int64_t run, int64_t length,
                              fake_kind kind) {
  const uint16_t *x = (const uint16_t *)job->x + i * run;
  uint16_t *y = (uint16_t *)job->y + i * run;
  const fake_word *restrict from = (const fake_word *)(const void *)x;
  fake_word *restrict to = (fake_word *)(void *)y;
  const fake_lane lane = fake_lane_at(s, job->lanes, job->span.first + i, kind);
  for (int64_t j = 0; j < length / 2; ++j) {
    const uint32_t low = fake_one(s, from[j] << 16, lane, kind), high = fake_one(s, from[j] & 0xffff0000u, lane, kind);
    to[j] = fake_rounded(low, kind) >> 16 | (fake_rounded(high, kind) & 0xffff0000u);
  }
  if (length % 2 != 0)
    y[length - 1] = (uint16_t)(fake_rounded(fake_one(s, mfqn_f32_from_bf16(x[length - 1]), lane, kind), kind) >> 16);
}

/* ---- Spans ------------------------------------------------------------------------------------------------------- */

INLINE void fake_run_of(const fake_job *job, const fake_steps *s, int64_t i, int64_t run, int64_t length,
                        fake_kind kind) {
  if (kind.has_pairs)
    fake_run_of_pairs(job, s, i, run, length, kind);
  else
    fake_run(job, s, i, run, length, kind);
}

INLINE void fake_runs(const fake_job *job, const fake_steps *s, fake_kind kind) {
  const int64_t run = job->span.run, n = job->span.n, whole = n / run;
  int64_t i = 0;
  if (run == 16)
    for (; i < whole; ++i) fake_run_of(job, s, i, 16, 16, kind);
  else if (run == 32)
    for (; i < whole; ++i) fake_run_of(job, s, i, 32, 32, kind);
  for (; i * run < n; ++i) fake_run_of(job, s, i, run, n - i * run < run ? n - i * run : run, kind);
}

INLINE void fake_span(const fake_job *job, fake_kind kind) {
  const fake_steps s = job->steps; /* a copy that stores cannot change: it stays in registers */
  if (job->span.run != 0)
    fake_runs(job, &s, kind);
  else
    fake_columns(job, &s, kind);
}

INLINE void fake_inverse(const fake_job *job, fake_kind kind, int has_pairs) {
  if (kind.how == BY_ZERO_POINT)
    fake_span(job, (fake_kind){BY_ZERO_POINT, 1, HAS_FMA, 0, 1, 0, has_pairs});
  else if (kind.keeps_signs)
    fake_span(job, (fake_kind){BY_DIVISION, 1, HAS_FMA, 0, 1, 1, has_pairs});
  else if (kind.is_integer && kind.is_held)
    fake_span(job, (fake_kind){BY_DIVISION, 1, HAS_FMA, 0, 1, 0, has_pairs});
  else if (kind.is_integer)
    fake_span(job, (fake_kind){BY_DIVISION, 1, HAS_FMA, 0, 0, 0, has_pairs});
  else if (kind.has_tensor_scale)
    fake_span(job, (fake_kind){BY_DIVISION, 0, HAS_FMA, 1, 1, 0, has_pairs});
  else if (kind.is_held)
    fake_span(job, (fake_kind){BY_DIVISION, 0, HAS_FMA, 0, 1, 0, has_pairs});
  else
    fake_span(job, (fake_kind){BY_DIVISION, 0, HAS_FMA, 0, 0, 0, has_pairs});
}

INLINE void fake_any(const fake_job *job, fake_kind kind, int has_pairs) {
  if (kind.how == BY_EXPONENT && kind.is_integer)
    fake_span(job, (fake_kind){BY_EXPONENT, 1, 0, 0, 1, 0, has_pairs});
  else if (kind.how == BY_EXPONENT)
    fake_span(job, (fake_kind){BY_EXPONENT, 0, 0, 0, 1, 0, has_pairs});
  else
    fake_inverse(job, kind, has_pairs);
}

static void fake_divided(const fake_job *job, fake_kind kind) {
  if (kind.how == BY_ZERO_POINT)
    fake_span(job, (fake_kind){BY_ZERO_POINT, 1, 0, 1, 1, 0, 0});
  else if (kind.keeps_signs)
    fake_span(job, (fake_kind){BY_DIVISION, 1, 0, 1, 1, 1, 0});
  else if (kind.is_integer)
    fake_span(job, (fake_kind){BY_DIVISION, 1, 0, 1, 1, 0, 0});
  else
    fake_span(job, (fake_kind){BY_DIVISION, 0, 0, 1, 1, 0, 0});
}

static fake_steps fake_steps_of(const mfqn_scheme *s, float tensor_scale) {
  const mfqn_minifloat *f = &s->minifloat;
  fake_steps steps = {.tensor_scale = tensor_scale};
  if (s->is_integer) {
    steps.lowest = mfqn_float_of(mfqn_integer_scaled(s->integer.lowest, &s->integer, 0));
    steps.highest = mfqn_float_of(mfqn_integer_scaled(s->integer.highest, &s->integer, 0));
    steps.frac_bits = s->integer.frac_bits;
    return steps;
  }
  steps.highest = mfqn_float_of(mfqn_minifloat_decode(f->max_code, f, 0));
  steps.lowest = -steps.highest;
  steps.least = mfqn_central_of(f, 0).steps | MIDDLE;
  steps.shift = (uint32_t)(23 - f->man_bits) << 23 | MIDDLE;
  steps.zero_sign = (s->is_brevitas ? 0xffffffffu : f->neg_zero_mask) & 0x80000000u;
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

/* Whether scales divide the largest magnitude of a group by the largest value, and are float32: no quotient is larger then,
 * but by some roundings. */
static int is_fake_within(const mfqn_scheme *s) {
  const uint32_t largest = s->is_integer ? mfqn_integer_scaled(s->integer.highest, &s->integer, 0)
                                         : mfqn_minifloat_decode(s->minifloat.max_code, &s->minifloat, 0);
  const int is_even = !s->is_integer || s->integer.lowest <= -s->integer.highest;
  return s->rule == MFQN_RULE_ABSMAX && s->scale == MFQN_SCALE_F32 && !s->minmax && !s->is_brevitas && is_even &&
         mfqn_bits(s->threshold) == largest;
}

/* Whether the loops by exponents or reciprocals hold; elements of ranges without width have quotients that overflow. */
static int is_fake_quick(const mfqn_scheme *s, fake_kind kind, const mfq_lanes *lanes) {
  if (kind.how == BY_EXPONENT) return 1;
  if (!HAS_FMA || !lanes->have_inverses) return 0;
  return s->is_integer ? !kind.has_tensor_scale : mfqn_is_measured(s) && !s->minmax;
}

int MFQ_JOIN(mfq_fake_, MFQ_ISA)(const mfqn_scheme *s, mfq_source x, mfq_stretch span, const mfq_lanes *lanes, void *y,
                                 int to_bf16) {
  uint32_t loaded[MFQ_CHUNK], wide[MFQ_CHUNK];
  const int how = choose_how(s), keeps_signs = s->is_brevitas && s->is_integer && how == BY_DIVISION;
  const fake_kind kind = {how, s->is_integer, 0, s->scale == MFQN_SCALE_UE4M3, !is_fake_within(s), keeps_signs, 0};
  if (!is_fake_short(s, kind.how, lanes)) return 0;
  const int is_quick = is_fake_quick(s, kind, lanes);
  const int has_pairs = is_quick && to_bf16 && x.dtype == MFQ_DTYPE_BF16 && span.run != 0;
  fake_job job = {fake_steps_of(s, lanes->tensor_scale), x.data, lanes, span, y};
  if (has_pairs) {
    fake_any(&job, kind, 1);
    return 1;
  }
  if (x.dtype != MFQ_DTYPE_F32) load(loaded, x.data, x.dtype, span.n);
  if (x.dtype != MFQ_DTYPE_F32) job.x = loaded;
  if (to_bf16) job.y = wide;
  if (is_quick)
    fake_any(&job, kind, 0);
  else
    fake_divided(&job, kind);
  if (to_bf16) store(y, MFQ_DTYPE_BF16, wide, span.n);
  return 1;
}
