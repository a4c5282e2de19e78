/* host/cpu/kernels/encode_loops.h: elements to codes. */
#ifndef MFQ_HOST_CPU_KERNELS_ENCODE_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_ENCODE_LOOPS_H

#include "loops.h"

enum { BY_EXPONENT, BY_DIVISION, BY_ZERO_POINT };

/* The choices that a loop is compiled for. */
typedef struct encode_kind {
  int how;
  int is_integer;
  int central; /* mfqn_minifloat_encode_central */
  int finite;  /* no NaN or infinity: true of all measured groups that are not rare */
  int rounding;
} encode_kind;

/* A call: the scheme, what to encode, and where to. */
typedef struct encode_job {
  const mfqn_scheme *s;
  const uint32_t *x;
  const mfq_lanes *lanes;
  mfq_span span;
  uint32_t *codes;
} encode_job;

/* One element of a group with exponent `e`, divisor `d`, zero point `z`. */
INLINE uint32_t encode_one(const mfqn_scheme *s, uint32_t u, int32_t e, float d, float z, encode_kind kind) {
  uint32_t v = u;
  if (kind.how != BY_EXPONENT) v = mfqn_bits(mfqn_div(mfqn_float_of(u), d));
  if (kind.how == BY_ZERO_POINT) v = mfqn_bits(mfqn_add(mfqn_float_of(v), z));
  const int32_t exp2 = kind.how == BY_EXPONENT ? e : 0;
  if (kind.is_integer) return mfqn_integer_encode(v, &s->integer, exp2, kind.rounding, 0);
  if (kind.central) return mfqn_minifloat_encode_central(v, &s->minifloat, exp2, kind.finite);
  return mfqn_minifloat_encode_as(v, &s->minifloat, exp2, kind.rounding, 0, 0);
}

INLINE void encode_run(const encode_job *job, const mfqn_scheme *s, int64_t i, int64_t run, int64_t length,
                       encode_kind kind) {
  const uint32_t *restrict x = job->x + i * run;
  uint32_t *restrict codes = job->codes + i * run;
  const int64_t lane = job->span.first + i;
  const int32_t e = job->lanes->exp2[lane];
  const float d = job->lanes->divisor[lane], z = job->lanes->zero_point[lane];
  for (int64_t j = 0; j < length; ++j) codes[j] = encode_one(s, x[j], e, d, z, kind);
}

INLINE void encode_runs(const encode_job *job, encode_kind kind) {
  const mfqn_scheme local = *job->s; /* stores to codes cannot change it: it stays in registers */
  const int64_t run = job->span.run, whole = job->span.n / run, rest = job->span.n % run;
  if (run == 16)
    for (int64_t i = 0; i < whole; ++i) encode_run(job, &local, i, 16, 16, kind);
  else if (run == 32)
    for (int64_t i = 0; i < whole; ++i) encode_run(job, &local, i, 32, 32, kind);
  else
    for (int64_t i = 0; i < whole; ++i) encode_run(job, &local, i, run, run, kind);
  if (rest) encode_run(job, &local, whole, run, rest, kind);
}

INLINE void encode_elems(const encode_job *job, encode_kind kind) {
  const mfqn_scheme local = *job->s;
  const mfq_lanes *restrict lanes = job->lanes;
  const uint32_t *restrict x = job->x;
  uint32_t *restrict codes = job->codes;
  for (int64_t i = 0; i < job->span.n; ++i)
    codes[i] = encode_one(&local, x[i], lanes->exp2[i], lanes->divisor[i], lanes->zero_point[i], kind);
}

INLINE void encode_span(const encode_job *job, int how, int is_integer, int central, int finite, int rounding) {
  const encode_kind kind = {how, is_integer, central, finite, rounding};
  if (job->span.run == 0)
    encode_elems(job, kind);
  else
    encode_runs(job, kind);
}

static void encode_integers(const encode_job *job, int how) {
  const int even = job->s->rounding == MFQN_ROUND_EVEN;
  if (how == BY_ZERO_POINT && even)
    encode_span(job, BY_ZERO_POINT, 1, 0, 0, MFQN_ROUND_EVEN);
  else if (how == BY_ZERO_POINT)
    encode_span(job, BY_ZERO_POINT, 1, 0, 0, job->s->rounding);
  else if (how == BY_EXPONENT && even)
    encode_span(job, BY_EXPONENT, 1, 0, 0, MFQN_ROUND_EVEN);
  else if (how == BY_EXPONENT)
    encode_span(job, BY_EXPONENT, 1, 0, 0, job->s->rounding);
  else if (even)
    encode_span(job, BY_DIVISION, 1, 0, 0, MFQN_ROUND_EVEN);
  else
    encode_span(job, BY_DIVISION, 1, 0, 0, job->s->rounding);
}

/* Given scales may be too large for what mfqn_minifloat_encode_central asks of infinite inputs: they take the longer
 * way. */
static void encode_minifloats(const encode_job *job, int how) {
  const mfqn_scheme *s = job->s;
  const int unscaled = s->scale == MFQN_SCALE_NONE, given = s->rule == MFQN_RULE_GIVEN && !unscaled;
  const int central = s->rounding == MFQN_ROUND_EVEN && s->minifloat.sign_bit != 0 && !given;
  if (!central && how == BY_EXPONENT)
    encode_span(job, BY_EXPONENT, 0, 0, 0, s->rounding);
  else if (!central)
    encode_span(job, BY_DIVISION, 0, 0, 0, s->rounding);
  else if (unscaled)
    encode_span(job, BY_EXPONENT, 0, 1, 0, MFQN_ROUND_EVEN);
  else if (how == BY_EXPONENT)
    encode_span(job, BY_EXPONENT, 0, 1, 1, MFQN_ROUND_EVEN);
  else
    encode_span(job, BY_DIVISION, 0, 1, 1, MFQN_ROUND_EVEN);
}

/* Codes are made as words and narrowed at the end: vectors are then as long for short runs as for long ones. */
static void encode(const mfqn_scheme *s, const uint32_t *x, mfq_span span, const mfq_lanes *lanes,
                   uint8_t *restrict codes) {
  uint32_t wide[MFQ_CHUNK];
  const encode_job job = {s, x, lanes, span, wide};
  const int how = s->has_zero_point ? BY_ZERO_POINT : by_exponent(s) ? BY_EXPONENT : BY_DIVISION;
  if (s->is_integer)
    encode_integers(&job, how);
  else
    encode_minifloats(&job, how);
  for (int64_t i = 0; i < span.n; ++i) codes[i] = (uint8_t)wide[i];
}

#endif
