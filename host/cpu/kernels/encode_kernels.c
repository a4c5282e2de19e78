/* host/cpu/kernels/encode_kernels.c: elements to codes. */
#include "convert_loops.h"
#include "encode256.h"

/* How an element becomes a code once it is scaled: by the general function, or in the fewer steps of a "central"
 * one. */
enum { GENERAL, CENTRAL, CENTRAL_FNUZ };

/* The choices that a loop is compiled for. */
typedef struct encode_kind {
  int how;
  int is_integer;
  int steps;
  int finite;   /* no NaN or infinity: true of all measured groups that are not rare */
  int is_bf16;  /* elements are bf16, widened on the way; float32 otherwise */
  int rounding; /* to even or stochastic, but for GENERAL steps */
} encode_kind;

/* A call: the scheme, what to encode, and where to. */
typedef struct encode_job {
  const mfqn_scheme *s;
  const void *x;
  const mfq_lanes *lanes;
  mfq_stretch span;
  const uint16_t *random; /* STOCHASTIC only */
  uint32_t *codes;
} encode_job;

/* What an element needs of its group. */
typedef struct encode_lane {
  int32_t exp2;
  float divisor, zero_point;
  mfqn_central central;
} encode_lane;

INLINE encode_lane lane_at(const mfq_lanes *lanes, int64_t i, mfqn_central unscaled, encode_kind kind) {
  const mfqn_central own = {lanes->rebias[i], lanes->least_normal[i], lanes->steps[i]};
  return (encode_lane){lanes->exp2[i], lanes->divisor[i], lanes->zero_point[i],
                       kind.how == BY_EXPONENT ? own : unscaled};
}

INLINE uint32_t encode_one(const mfqn_scheme *s, uint32_t u, encode_lane lane, encode_kind kind, uint32_t half) {
  const uint32_t random = mfqn_random_fraction(half);
  const int32_t exp2 = kind.how == BY_EXPONENT ? lane.exp2 : 0;
  uint32_t v = u;
  if (kind.how != BY_EXPONENT) v = mfqn_bits(mfqn_div(mfqn_float_of(u), lane.divisor));
  if (kind.how == BY_ZERO_POINT && kind.steps == CENTRAL && kind.rounding == MFQN_ROUND_STOCHASTIC)
    return mfqn_integer_code(mfqn_integer_sum_drawn(mfqn_float_of(v), lane.zero_point, &s->integer, half), &s->integer);
  if (kind.how == BY_ZERO_POINT && kind.steps == CENTRAL)
    return mfqn_integer_code(mfqn_integer_sum_central(mfqn_float_of(v), lane.zero_point, &s->integer), &s->integer);
  if (kind.how == BY_ZERO_POINT) {
    const int32_t zero_point = (int32_t)lane.zero_point;
    return mfqn_integer_code(mfqn_integer_round_sum(v, zero_point, &s->integer, kind.rounding, random), &s->integer);
  }
  if (kind.how == BY_FLOAT_ZERO_POINT) v = mfqn_bits(mfqn_add(mfqn_float_of(v), lane.zero_point));
  if (kind.is_integer && kind.steps == CENTRAL && kind.rounding == MFQN_ROUND_STOCHASTIC) {
    const uint32_t power = (uint32_t)(127 + MFQN_DRAWN_BITS + s->integer.frac_bits - exp2) << 23;
    return mfqn_integer_encode_drawn(mfqn_mul(mfqn_float_of(v), mfqn_float_of(power)), &s->integer, half);
  }
  if (kind.is_integer && kind.steps == CENTRAL) {
    const uint32_t power = (uint32_t)(127 + s->integer.frac_bits - exp2) << 23;
    return mfqn_integer_encode_central(mfqn_mul(mfqn_float_of(v), mfqn_float_of(power)), &s->integer);
  }
  if (kind.is_integer) return mfqn_integer_encode(v, &s->integer, exp2, kind.rounding, random);
  if (kind.steps != GENERAL && kind.rounding == MFQN_ROUND_STOCHASTIC)
    return mfqn_minifloat_encode_drawn(v, &s->minifloat, lane.central, half, kind.finite, kind.steps == CENTRAL);
  if (kind.steps != GENERAL)
    return mfqn_minifloat_encode_central(v, &s->minifloat, lane.central, kind.finite, kind.steps == CENTRAL);
  return mfqn_minifloat_encode_as(v, &s->minifloat, exp2, kind.rounding, random, 0);
}

INLINE uint32_t element(const void *x, int64_t i, int is_bf16) {
  return is_bf16 ? mfqn_f32_from_bf16(((const uint16_t *)x)[i]) : ((const uint32_t *)x)[i];
}

INLINE uint32_t half_at(const uint16_t *random, int64_t i, encode_kind kind) {
  return kind.rounding == MFQN_ROUND_STOCHASTIC ? random[i] : 0;
}

INLINE void encode_run(const encode_job *job, const mfqn_scheme *s, int64_t i, int64_t run, int64_t length,
                       encode_kind kind) {
  const void *restrict x = job->x;
  const uint16_t *restrict random = job->random;
  uint32_t *restrict codes = job->codes;
  const int64_t first = i * run;
  const encode_lane lane = lane_at(job->lanes, job->span.first + i, mfqn_central_of(&s->minifloat, 0), kind);
  for (int64_t j = first; j < first + length; ++j)
    codes[j] = encode_one(s, element(x, j, kind.is_bf16), lane, kind, half_at(random, j, kind));
}

INLINE void encode_runs(const encode_job *job, encode_kind kind) {
  const mfqn_scheme local = *job->s; /* stores to codes cannot change it: it stays in registers */
  const int64_t run = job->span.run, n = job->span.n, whole = n / run;
  int64_t i = 0;
  if (run == 16)
    for (; i < whole; ++i) encode_run(job, &local, i, 16, 16, kind);
  else if (run == 32)
    for (; i < whole; ++i) encode_run(job, &local, i, 32, 32, kind);
  for (; i * run < n; ++i) encode_run(job, &local, i, run, n - i * run < run ? n - i * run : run, kind);
}

INLINE void encode_elems(const encode_job *job, encode_kind kind) {
  const mfqn_scheme local = *job->s;
  const mfqn_central unscaled = mfqn_central_of(&local.minifloat, 0);
  const mfq_lanes *restrict lanes = job->lanes;
  const void *restrict x = job->x;
  const uint16_t *restrict random = job->random;
  uint32_t *restrict codes = job->codes;
  for (int64_t i = 0; i < job->span.n; ++i)
    codes[i] = encode_one(&local, element(x, i, kind.is_bf16), lane_at(lanes, i, unscaled, kind), kind,
                          half_at(random, i, kind));
}

INLINE void encode_span(const encode_job *job, encode_kind kind) {
  if (job->span.run == 0)
    encode_elems(job, kind);
  else
    encode_runs(job, kind);
}

/* The general function; the common roundings as constants, so that it becomes vector code. */
INLINE void encode_general(const encode_job *job, int how, int is_integer) {
  if (job->s->rounding == MFQN_ROUND_EVEN)
    encode_span(job, (encode_kind){how, is_integer, GENERAL, 0, 0, MFQN_ROUND_EVEN});
  else if (job->s->rounding == MFQN_ROUND_STOCHASTIC)
    encode_span(job, (encode_kind){how, is_integer, GENERAL, 0, 0, MFQN_ROUND_STOCHASTIC});
  else if (job->s->rounding == MFQN_ROUND_CEIL)
    encode_span(job, (encode_kind){how, is_integer, GENERAL, 0, 0, MFQN_ROUND_CEIL});
  else
    encode_span(job, (encode_kind){how, is_integer, GENERAL, 0, 0, job->s->rounding});
}

static void encode_integers(const encode_job *job, int how, int is_bf16) {
  const int even = job->s->rounding == MFQN_ROUND_EVEN, central = even && mfqn_is_measured(job->s);
  const int drawn = job->s->rounding == MFQN_ROUND_STOCHASTIC && mfqn_is_measured(job->s);
  if (how == BY_EXPONENT && drawn && is_bf16)
    encode_span(job, (encode_kind){BY_EXPONENT, 1, CENTRAL, 1, 1, MFQN_ROUND_STOCHASTIC});
  else if (how == BY_DIVISION && drawn && is_bf16)
    encode_span(job, (encode_kind){BY_DIVISION, 1, CENTRAL, 1, 1, MFQN_ROUND_STOCHASTIC});
  else if (how == BY_EXPONENT && drawn)
    encode_span(job, (encode_kind){BY_EXPONENT, 1, CENTRAL, 1, 0, MFQN_ROUND_STOCHASTIC});
  else if (how == BY_DIVISION && drawn)
    encode_span(job, (encode_kind){BY_DIVISION, 1, CENTRAL, 1, 0, MFQN_ROUND_STOCHASTIC});
  else if (how == BY_ZERO_POINT && job->s->rounding == MFQN_ROUND_STOCHASTIC)
    encode_span(job, (encode_kind){BY_ZERO_POINT, 1, CENTRAL, 0, 0, MFQN_ROUND_STOCHASTIC});
  else if (how == BY_ZERO_POINT && even) /* which holds for infinite quotients and NaN too */
    encode_span(job, (encode_kind){BY_ZERO_POINT, 1, CENTRAL, 0, 0, 0});
  else if (how == BY_EXPONENT && central)
    encode_span(job, (encode_kind){BY_EXPONENT, 1, CENTRAL, 1, 0, 0});
  else if (how == BY_DIVISION && central)
    encode_span(job, (encode_kind){BY_DIVISION, 1, CENTRAL, 1, 0, 0});
  else if (central)
    encode_span(job, (encode_kind){BY_FLOAT_ZERO_POINT, 1, CENTRAL, 1, 0, 0});
  else if (how == BY_EXPONENT)
    encode_general(job, BY_EXPONENT, 1);
  else if (how == BY_DIVISION)
    encode_general(job, BY_DIVISION, 1);
  else if (how == BY_ZERO_POINT)
    encode_general(job, BY_ZERO_POINT, 1);
  else
    encode_general(job, BY_FLOAT_ZERO_POINT, 1);
}

INLINE void encode_central(const encode_job *job, int how, int is_bf16, int rounding) {
  const int neg_zero = job->s->minifloat.neg_zero_mask != 0;
  const int finite = mfqn_is_measured(job->s); /* unscaled and given scales leave NaN and infinities in */
  if (is_bf16)
    encode_span(job, (encode_kind){how, 0, CENTRAL, 1, 1, rounding});
  else if (finite && neg_zero)
    encode_span(job, (encode_kind){how, 0, CENTRAL, 1, 0, rounding});
  else if (finite)
    encode_span(job, (encode_kind){how, 0, CENTRAL_FNUZ, 1, 0, rounding});
  else if (neg_zero)
    encode_span(job, (encode_kind){how, 0, CENTRAL, 0, 0, rounding});
  else
    encode_span(job, (encode_kind){how, 0, CENTRAL_FNUZ, 0, 0, rounding});
}

static void encode_minifloats(const encode_job *job, int how, int is_bf16) {
  const int is_short = has_short_steps(job->s, how), even = job->s->rounding == MFQN_ROUND_EVEN;
  if (is_short && even && how == BY_EXPONENT)
    encode_central(job, BY_EXPONENT, is_bf16, MFQN_ROUND_EVEN);
  else if (is_short && even)
    encode_central(job, BY_DIVISION, is_bf16, MFQN_ROUND_EVEN);
  else if (is_short && how == BY_EXPONENT)
    encode_central(job, BY_EXPONENT, is_bf16, MFQN_ROUND_STOCHASTIC);
  else if (is_short)
    encode_central(job, BY_DIVISION, is_bf16, MFQN_ROUND_STOCHASTIC);
  else if (how == BY_EXPONENT)
    encode_general(job, BY_EXPONENT, 0);
  else
    encode_general(job, BY_DIVISION, 0);
}

/* The common loops read bf16 themselves. */
static int reads_bf16(const mfqn_scheme *s, int how) {
  if (s->is_integer) return s->rounding == MFQN_ROUND_STOCHASTIC && mfqn_is_measured(s) && how <= BY_DIVISION;
  return has_short_steps(s, how) && mfqn_is_measured(s) && s->minifloat.neg_zero_mask != 0;
}

/* Codes are made as words and narrowed at the end: vectors are then as long for short runs as for long ones. */
void MFQ_JOIN(mfq_encode_, MFQ_ISA)(const mfqn_scheme *s, mfq_source x, mfq_stretch span, const mfq_lanes *lanes,
                                    const uint16_t *random, uint8_t *restrict codes) {
  uint32_t wide[MFQ_CHUNK], loaded[MFQ_CHUNK];
  const int how = choose_how(s), is_bf16 = x.dtype == MFQ_DTYPE_BF16 && reads_bf16(s, how);
  if (x.dtype != MFQ_DTYPE_F16 && encode_256(s, x, span, lanes, how, codes)) return;
  if (x.dtype != MFQ_DTYPE_F32 && !is_bf16) load(loaded, x.data, x.dtype, span.n);
  const encode_job job = {s, x.dtype == MFQ_DTYPE_F32 || is_bf16 ? x.data : loaded, lanes, span, random, wide};
  if (x.dtype == MFQ_DTYPE_F16 && encode_256(s, (mfq_source){loaded, MFQ_DTYPE_F32}, span, lanes, how, codes)) return;
  if (s->is_integer)
    encode_integers(&job, how, is_bf16);
  else
    encode_minifloats(&job, how, is_bf16);
  for (int64_t i = 0; i < span.n; ++i) codes[i] = (uint8_t)wide[i];
}
