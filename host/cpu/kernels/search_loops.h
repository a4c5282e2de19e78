/* host/cpu/kernels/search_loops.h: squared errors without values in between, for the schemes and scales that
 * fake_loops.h rounds by float additions, in whole vectors of 32 elements.
 *
 * The steps are those of fake_loops.h. Minifloats have the errors of their magnitudes: signs make no difference. */
#ifndef MFQ_HOST_CPU_KERNELS_SEARCH_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_SEARCH_LOOPS_H

#include <mfq/num/candidate.h>
#include <mfq/num/quotient.h>

#include "host/cpu/cast/search_kernels.h"
#include "loops.h"

/* The choices that a loop is compiled for. */
typedef struct error_kind {
  int is_integer, by_exponent, has_tensor_scale, is_weighted;
} error_kind;

/* From 2^23 to 1.5 * 2^23, below which a sum has as many digits as above. */
enum { BLOCK = 32, HALF_OF_POWER = 0x400000 };

typedef struct error_job {
  mfq_search_row row;
  const mfq_lanes *lanes;
  float lowest, highest; /* as values without zero point */
  int32_t frac_bits;     /* of integers */
  uint32_t least,
      shift; /* of minifloats: 1.5 * 2^23 of the smallest steps; from a power of two to those of its steps */
  int64_t n, run;
  float *sums;
} error_job;

typedef struct error_lane {
  float divisor, inverse, scale, lowest, highest, middle;
  uint32_t least;
} error_lane;

INLINE error_lane error_lane_at(const error_job *job, int64_t i, error_kind kind) {
  const mfq_lanes *l = job->lanes;
  const int32_t exp2 = (kind.by_exponent ? l->exp2[i] : 0) - job->frac_bits;
  const float by = l->divisor[i], zero_point = kind.is_integer ? l->zero_point[i] : 0.0f;
  error_lane lane = {.divisor = by, .inverse = l->inverse[i], .scale = l->scale[i]};
  lane.lowest = mfqn_mul(mfqn_sub(job->lowest, zero_point), by);
  lane.highest = mfqn_mul(mfqn_sub(job->highest, zero_point), by);
  lane.middle = mfqn_add(mfqn_float_of((uint32_t)(127 + 23 + exp2) << 23 | HALF_OF_POWER), zero_point);
  lane.least = kind.by_exponent ? l->steps[i] | HALF_OF_POWER : job->least;
  return lane;
}

INLINE float error_square(const error_job *job, uint32_t u, error_lane lane, error_kind kind) {
  const float x = mfqn_float_of(kind.is_integer ? u : u & MFQN_ABS);
  const float low = x < lane.highest ? x : lane.highest, within = low > lane.lowest ? low : lane.lowest;
  const float held = kind.is_integer ? within : low;
  const float t = kind.by_exponent ? held : mfqn_quotient(held, lane.divisor, lane.inverse);
  const uint32_t steps = mfqn_umax((mfqn_bits(t) & MFQN_INF) + job->shift, lane.least);
  const float middle = kind.is_integer ? lane.middle : mfqn_float_of(steps);
  float y = mfqn_sub(mfqn_add(t, middle), middle);
  if (!kind.by_exponent) y = mfqn_mul(y, lane.scale);
  if (kind.has_tensor_scale) y = mfqn_mul(y, job->lanes->tensor_scale);
  const float error = mfqn_sub(x, y);
  return mfqn_mul(error, error);
}

/* ---- Sums of eight neighbours ------------------------------------------------------------------------------------ */

typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t eight_places __attribute__((vector_size(32)));

/* Sums of neighbours, of both vectors; the halves of `a` and `b` alternate. */
INLINE void fold(const eight *a, const eight *b, eight *sums) {
  const eight_places even = {0, 2, 8, 10, 4, 6, 12, 14}, odd = {1, 3, 9, 11, 5, 7, 13, 15};
  *sums = __builtin_shuffle(*a, *b, even) + __builtin_shuffle(*a, *b, odd);
}

/* Of 32 terms. */
INLINE void fold_block(const eight *terms, float *sums) {
  eight pairs[2], quads;
  fold(&terms[0], &terms[1], &pairs[0]);
  fold(&terms[2], &terms[3], &pairs[1]);
  fold(&pairs[0], &pairs[1], &quads); /* the first four of each, then the others */
  four halves[2];
  memcpy(halves, &quads, sizeof halves);
  *(four *)(void *)sums = halves[0] + halves[1];
}

/* ---- Loops ------------------------------------------------------------------------------------------------------- */

INLINE void error_terms(const error_job *job, int64_t at, int64_t n, error_lane lane, float *terms, error_kind kind) {
  const uint32_t *restrict x = job->row.x + at;
  for (int64_t j = 0; j < n; ++j) terms[j] = error_square(job, x[j], lane, kind);
  const float *restrict weights = job->row.weights + (kind.is_weighted ? at : 0);
  for (int64_t j = 0; kind.is_weighted && j < n; ++j) terms[j] = mfqn_mul(terms[j], weights[j]);
}

/* Sums of eight neighbours: whole runs of blocks, or two runs a block. */
INLINE void error_blocks(const error_job *of, error_kind kind) {
  const error_job job = *of;
  for (int64_t at = 0, i = 0; at < job.n; ++i) {
    const error_lane lane = error_lane_at(&job, i, kind);
    eight terms[BLOCK / 8];
    if (job.run == BLOCK / 2) {
      const error_lane next = error_lane_at(&job, ++i, kind);
      error_terms(&job, at, BLOCK / 2, lane, (float *)terms, kind);
      error_terms(&job, at + BLOCK / 2, BLOCK / 2, next, (float *)terms + BLOCK / 2, kind);
      fold_block(terms, job.sums + at / 8);
      at += BLOCK;
      continue;
    }
    for (const int64_t end = at + job.run; at < end; at += BLOCK) {
      error_terms(&job, at, BLOCK, lane, (float *)terms, kind);
      fold_block(terms, job.sums + at / 8);
    }
  }
}

INLINE void error_weighted(const error_job *job, error_kind kind) {
  kind.is_weighted = job->row.weights != NULL;
  if (kind.is_weighted)
    error_blocks(job, (error_kind){kind.is_integer, kind.by_exponent, kind.has_tensor_scale, 1});
  else
    error_blocks(job, (error_kind){kind.is_integer, kind.by_exponent, kind.has_tensor_scale, 0});
}

static void error_any(const error_job *job, error_kind kind) {
  if (kind.is_integer && kind.by_exponent)
    error_weighted(job, (error_kind){1, 1, 0, 0});
  else if (kind.is_integer)
    error_weighted(job, (error_kind){1, 0, 0, 0});
  else if (kind.by_exponent)
    error_weighted(job, (error_kind){0, 1, 0, 0});
  else if (kind.has_tensor_scale)
    error_weighted(job, (error_kind){0, 0, 1, 0});
  else
    error_weighted(job, (error_kind){0, 0, 0, 0});
}

/* ---- What they hold for ------------------------------------------------------------------------------------------ */

static int errors_are_short(const mfqn_scheme *s, const mfq_lanes *lanes) {
  const mfqn_minifloat *f = &s->minifloat;
  const int by_exponent = mfqn_by_exponent(s);
  if (s->rounding != MFQN_ROUND_EVEN || lanes->largest > mfqn_safe_scale(s, 0x1p104f)) return 0;
  if (!by_exponent && !(HAS_FMA && lanes->have_inverses)) return 0;
  if (s->is_integer) return s->scale != MFQN_SCALE_UE4M3 && !(s->has_zero_point && s->is_brevitas);
  return f->sign_bit != 0 && f->overflow_code == f->max_code && f->man_bits >= 1 &&
         mfqn_bits(1.0f) <= mfqn_safe_scale(s, 0x1p104f);
}

static error_job error_job_of(const mfqn_scheme *s, const mfq_lanes *lanes) {
  const mfqn_minifloat *f = &s->minifloat;
  error_job job = {.lanes = lanes};
  if (s->is_integer) {
    job.lowest = mfqn_float_of(mfqn_integer_scaled(s->integer.lowest, &s->integer, 0));
    job.highest = mfqn_float_of(mfqn_integer_scaled(s->integer.highest, &s->integer, 0));
    job.frac_bits = s->integer.frac_bits;
    return job;
  }
  job.highest = mfqn_float_of(mfqn_minifloat_decode(f->max_code, f, 0));
  job.least = mfqn_central_of(f, 0).steps | HALF_OF_POWER;
  job.shift = (uint32_t)(23 - f->man_bits) << 23 | HALF_OF_POWER;
  return job;
}

#endif
