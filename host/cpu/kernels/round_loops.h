/* host/cpu/kernels/round_loops.h: elements to the bf16 values of their codes, without the codes.
 *
 * A magnitude is limited to the largest value, then rounded to a multiple of its step by adding 2^23 steps and taking
 * them away: float32 has no digit below the step there, and rounds to nearest, ties to even. bf16 elements are taken
 * two at a time as the halves of a word, which are float32 numbers but for a shift. */
#ifndef MFQ_HOST_CPU_KERNELS_ROUND_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_ROUND_LOOPS_H

#include <mfq/num/gradient.h>

#include "mask_loops.h"

/* Two neighbouring bf16 elements, anywhere in memory. */
typedef uint32_t round_word __attribute__((aligned(2), may_alias));

enum { HIGH_MAGNITUDE = 0x7fff0000, BOTH_SIGNS = (int)0x80008000u };

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

/* The power of two of a group, from the bits of its largest magnitude; *rare is set where the loops do not hold for
 * it. A group of zeros may have any. */
INLINE uint32_t round_power(const mfq_round_steps *s, uint32_t largest, uint32_t *rare) {
  const uint32_t value = mfqn_umax(largest, s->statistic_min);
  const uint32_t power = (value + s->bump) & MFQN_INF;
  *rare |= (uint32_t)(value != 0) & (uint32_t)(power - s->lowest > s->span);
  return value != 0 ? power : s->lowest;
}

INLINE uint32_t round_magnitude(const mfq_round_steps *s, uint32_t a, uint32_t power, int is_integer) {
  const uint32_t limited = mfqn_umin(a, power + s->limit), least = power + s->least;
  const uint32_t steps = is_integer ? least : mfqn_umax((limited & MFQN_INF) + s->shift, least);
  return mfqn_bits(mfqn_sub(mfqn_add(mfqn_float_of(limited), mfqn_float_of(steps)), mfqn_float_of(steps)));
}

/* The sign of a value: integers have no -0. */
INLINE uint32_t round_sign(uint32_t magnitude, uint32_t sign, int is_integer) {
  return is_integer && magnitude == 0 ? 0u : sign;
}

INLINE uint32_t round_pair(const mfq_round_steps *s, uint32_t w, uint32_t low_power, uint32_t high_power,
                           int is_integer) {
  const uint32_t low = round_magnitude(s, (w << 16) & MFQN_ABS, low_power, is_integer);
  const uint32_t high = round_magnitude(s, w & HIGH_MAGNITUDE, high_power, is_integer);
  const uint32_t signs =
      is_integer ? round_sign(low, w & 0x8000u, 1) | round_sign(high, w & 0x80000000u, 1) : w & (uint32_t)BOTH_SIGNS;
  return low >> 16 | high | signs;
}

INLINE uint16_t round_single(const mfq_round_steps *s, uint32_t u, uint32_t power, int is_integer) {
  const uint32_t magnitude = round_magnitude(s, u & MFQN_ABS, power, is_integer);
  return (uint16_t)((magnitude | round_sign(magnitude, u & 0x80000000u, is_integer)) >> 16);
}

/* Elements that share a scale, `step` apart. */
typedef struct round_line {
  mfq_source x;
  int64_t n, step;
  uint16_t *dst;
  int64_t dst_step;
} round_line;

INLINE uint32_t round_element(mfq_source x, int64_t i) {
  return x.dtype == MFQ_DTYPE_F32 ? ((const uint32_t *)x.data)[i] : mfqn_f32_from_bf16(((const uint16_t *)x.data)[i]);
}

/* Any group, by the definition. */
static __attribute__((noinline)) void round_rare(const mfqn_scheme *s, round_line line) {
  mfqn_statistic statistic = mfqn_statistic_none();
  for (int64_t i = 0; i < line.n; ++i) mfqn_statistic_add(&statistic, round_element(line.x, i * line.step));
  const mfqn_group g = mfqn_group_make(s, &statistic, 1.0f);
  for (int64_t i = 0; i < line.n; ++i) {
    const uint32_t code = mfqn_encode(s, &g, round_element(line.x, i * line.step), 0);
    line.dst[i * line.dst_step] = (uint16_t)mfqn_bf16_limited(mfqn_decode(s, &g, code));
  }
}

/* ---- Contiguous groups ------------------------------------------------------------------------------------------- */

enum { ROUND_GROUPS = 64 }; /* whose powers are found at once */

/* What to round: groups of `run` elements, the last one perhaps short. */
typedef struct round_job {
  const mfq_round *r;
  mfq_round_steps steps; /* a copy that stores cannot change: it stays in registers */
  mfq_source x;
  uint16_t *dst;
  uint32_t *bits; /* NULL: unwanted */
} round_job;

/* The powers of `groups` groups from element `first` on, `n` elements in all. */
INLINE uint32_t powers_of_runs(const round_job *job, int64_t first, int64_t n, int64_t run, uint32_t *restrict power) {
  const mfq_round_steps s = job->steps;
  const int64_t groups = (n - 1) / run + 1;
  uint32_t rare = 0;
  for (int64_t i = 0; i < groups; ++i) {
    const int64_t left = n - i * run, length = left < run ? left : run, at = first + i * run;
    if (job->x.dtype == MFQ_DTYPE_F32)
      power[i] = absmax_run((const uint32_t *)job->x.data + at, length);
    else if (length == 32)
      power[i] = mfqn_f32_from_bf16(absmax16_32((const uint16_t *)job->x.data + at));
    else
      power[i] = mfqn_f32_from_bf16(absmax16_any((const uint16_t *)job->x.data + at, length));
  }
  for (int64_t i = 0; i < groups; ++i) power[i] = round_power(&s, power[i], &rare);
  return rare;
}

/* `n` elements with one power. */
INLINE void round_run16(const mfq_round_steps *s, const uint16_t *x, int64_t n, uint32_t power, uint16_t *dst,
                        int is_integer) {
  const round_word *restrict from = (const round_word *)(const void *)x;
  round_word *restrict to = (round_word *)(void *)dst;
  for (int64_t i = 0; i < n / 2; ++i) to[i] = round_pair(s, from[i], power, power, is_integer);
  if (n % 2) dst[n - 1] = round_single(s, mfqn_f32_from_bf16(x[n - 1]), power, is_integer);
}

INLINE void round_run32(const mfq_round_steps *s, const uint32_t *restrict x, int64_t n, uint32_t power,
                        uint16_t *restrict dst, int is_integer) {
  for (int64_t i = 0; i < n; ++i) dst[i] = round_single(s, x[i], power, is_integer);
}

/* Whole groups of `run` elements. */
INLINE void round_whole(const round_job *job, int64_t first, int64_t groups, int64_t run,
                        const uint32_t *restrict power, int is_integer) {
  const mfq_round_steps s = job->steps;
  const uint16_t *restrict x16 = job->x.data;
  const uint32_t *restrict x32 = job->x.data;
  uint16_t *restrict dst = job->dst;
  if (job->x.dtype == MFQ_DTYPE_F32)
    for (int64_t i = 0; i < groups; ++i)
      round_run32(&s, x32 + first + i * run, run, power[i], dst + first + i * run, is_integer);
  else
    for (int64_t i = 0; i < groups; ++i)
      round_run16(&s, x16 + first + i * run, run, power[i], dst + first + i * run, is_integer);
}

/* The bits of groups, of which `first` is at a whole word. */
INLINE void mask_groups_as(const round_job *job, int64_t first, int64_t n, int64_t run, const uint32_t *restrict power,
                           int is_bf16) {
  const int64_t groups = (n - 1) / run + 1;
  const void *x = job->x.data;
  mask_stream s = {0, 0, job->bits + first / 32};
  float end[ROUND_GROUPS];
  uint32_t twice[ROUND_GROUPS]; /* their upper halves: no bf16 number lies between */
  for (int64_t i = 0; i < groups; ++i) end[i] = mfqn_float_of(power[i] + job->steps.end);
  for (int64_t i = 0; i < groups; ++i) twice[i] = (mfqn_bits(end[i]) >> 16) * 0x10001u;
  for (int64_t at = 0, i = 0; at < n; at += run, ++i) {
    const mask_ends ends = {.hi = &end[i], .twice = &twice[i]};
    if (run == 32 && n - at >= 32)
      *s.to++ = bits_of_word(x, first + at, ends, ends, is_bf16);
    else
      put_run(&s, x, first + at, n - at < run ? n - at : run, ends, is_bf16);
  }
  if (s.count > 0) *s.to = (uint32_t)s.held;
}

INLINE void mask_groups(const round_job *job, int64_t first, int64_t n, int64_t run, const uint32_t *power) {
  if (job->x.dtype == MFQ_DTYPE_BF16)
    mask_groups_as(job, first, n, run, power, 1);
  else
    mask_groups_as(job, first, n, run, power, 0);
}

static void mask_rare(const mfqn_scheme *s, round_line line, uint32_t *bits, int64_t at) {
  mfqn_statistic statistic = mfqn_statistic_none();
  for (int64_t i = 0; i < line.n; ++i) mfqn_statistic_add(&statistic, round_element(line.x, i));
  const mfqn_group g = mfqn_group_make(s, &statistic, 1.0f);
  for (int64_t i = 0; i < line.n; ++i, ++at) {
    const uint32_t passes = mfqn_element_passage(s, &g, round_element(line.x, i), 0).passes;
    bits[at / 32] = (bits[at / 32] & ~(1u << at % 32)) | passes << at % 32;
  }
}

/* Groups that the loops do not hold for, once more. */
static __attribute__((noinline)) void round_rare_runs(const round_job *job, int64_t first, int64_t n, int64_t run) {
  const size_t size = job->x.dtype == MFQ_DTYPE_F32 ? 4 : 2;
  uint32_t power[ROUND_GROUPS];
  for (int64_t i = 0; i < n; i += run) {
    const int64_t length = n - i < run ? n - i : run;
    if (!powers_of_runs(job, first + i, length, run, power)) continue;
    const mfq_source x = {(const uint8_t *)job->x.data + (size_t)(first + i) * size, job->x.dtype};
    const round_line line = {x, length, 1, job->dst + first + i, 1};
    round_rare(&job->r->scheme, line);
    if (job->bits) mask_rare(&job->r->scheme, line, job->bits, first + i);
  }
}

INLINE void round_runs_as(const round_job *job, mfq_stretch span, int is_integer) {
  const int64_t run = span.run;
  uint32_t power[ROUND_GROUPS];
  for (int64_t first = 0, n; first < span.n; first += n) {
    n = span.n - first < ROUND_GROUPS * run ? span.n - first : ROUND_GROUPS * run;
    const int64_t groups = n / run, rest = n % run;
    uint32_t rare;
    if (run == 32) {
      rare = powers_of_runs(job, first, n, 32, power);
      round_whole(job, first, groups, 32, power, is_integer);
    } else {
      rare = powers_of_runs(job, first, n, run, power);
      round_whole(job, first, groups, run, power, is_integer);
    }
    if (rest) round_whole(job, first + groups * run, 1, rest, power + groups, is_integer);
    if (job->bits && run == 32)
      mask_groups(job, first, n, 32, power);
    else if (job->bits)
      mask_groups(job, first, n, run, power);
    if (rare) round_rare_runs(job, first, n, run);
  }
}

static void round_runs(const mfq_round *r, mfq_source x, mfq_stretch span, uint16_t *dst, uint32_t *bits) {
  const round_job job = {r, r->steps, x, dst, bits};
  if (r->scheme.is_integer)
    round_runs_as(&job, span, 1);
  else
    round_runs_as(&job, span, 0);
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

/* Powers of two of the columns: of bf16 those of the low and of the high halves of words. */
typedef struct round_powers {
  uint32_t low[MFQ_VALUES_COLS], high[MFQ_VALUES_COLS / 2];
} round_powers;

INLINE void round_columns16(const mfq_round *r, const mfq_round_tile *t, int is_integer) {
  const mfq_round_steps s = r->steps;
  const uint16_t *x = t->x.data;
  const int64_t words = t->cols / 2;
  uint16_t peak[MFQ_VALUES_COLS];
  round_powers powers;
  uint32_t rare = 0, *restrict low = powers.low, *restrict high = powers.high;
  memset(peak, 0, (size_t)t->cols * sizeof peak[0]);
  for (int64_t i = 0; i < t->rows; ++i) peak16(x + i * t->ld, t->cols, peak);
  const round_word *peaks = (const round_word *)(const void *)peak;
  for (int64_t j = 0; j < words; ++j) low[j] = round_power(&s, peaks[j] << 16, &rare);
  for (int64_t j = 0; j < words; ++j) high[j] = round_power(&s, peaks[j] & HIGH_MAGNITUDE, &rare);
  for (int64_t i = 0; i < t->rows; ++i) {
    const round_word *restrict from = (const round_word *)(const void *)(x + i * t->ld);
    round_word *restrict to = (round_word *)(void *)(t->dst + i * t->dst_ld);
    for (int64_t j = 0; j < words; ++j) to[j] = round_pair(&s, from[j], low[j], high[j], is_integer);
  }
  for (int64_t j = 0; rare && j < 2 * words; ++j) {
    uint32_t is_rare = 0;
    (void)round_power(&s, mfqn_f32_from_bf16(peak[j]), &is_rare);
    if (is_rare) round_rare(&r->scheme, (round_line){{x + j, MFQ_DTYPE_BF16}, t->rows, t->ld, t->dst + j, t->dst_ld});
  }
  if (2 * words == t->cols) return;
  const int64_t last = t->cols - 1;
  rare = 0;
  const uint32_t power = round_power(&s, mfqn_f32_from_bf16(peak[last]), &rare);
  for (int64_t i = 0; i < t->rows; ++i)
    t->dst[i * t->dst_ld + last] = round_single(&s, mfqn_f32_from_bf16(x[i * t->ld + last]), power, is_integer);
  if (rare) round_rare(&r->scheme, (round_line){{x + last, MFQ_DTYPE_BF16}, t->rows, t->ld, t->dst + last, t->dst_ld});
}

INLINE void round_columns32(const mfq_round *r, const mfq_round_tile *t, int is_integer) {
  const mfq_round_steps s = r->steps;
  const uint32_t *x = t->x.data;
  const int64_t cols = t->cols;
  round_powers powers;
  uint32_t peak[MFQ_VALUES_COLS], rare = 0, *restrict power = powers.low;
  memset(peak, 0, (size_t)cols * sizeof peak[0]);
  for (int64_t i = 0; i < t->rows; ++i)
    for (int64_t j = 0; j < cols; ++j) peak[j] = mfqn_umax(peak[j], x[i * t->ld + j] & MFQN_ABS);
  for (int64_t j = 0; j < cols; ++j) power[j] = round_power(&s, peak[j], &rare);
  for (int64_t i = 0; i < t->rows; ++i) {
    const uint32_t *restrict from = x + i * t->ld;
    uint16_t *restrict to = t->dst + i * t->dst_ld;
    for (int64_t j = 0; j < cols; ++j) to[j] = round_single(&s, from[j], power[j], is_integer);
  }
  for (int64_t j = 0; rare && j < cols; ++j) {
    uint32_t is_rare = 0;
    (void)round_power(&s, peak[j], &is_rare);
    if (is_rare) round_rare(&r->scheme, (round_line){{x + j, MFQ_DTYPE_F32}, t->rows, t->ld, t->dst + j, t->dst_ld});
  }
}

static void round_columns(const mfq_round *r, const mfq_round_tile *t) {
  if (t->x.dtype == MFQ_DTYPE_F32 && r->scheme.is_integer)
    round_columns32(r, t, 1);
  else if (t->x.dtype == MFQ_DTYPE_F32)
    round_columns32(r, t, 0);
  else if (r->scheme.is_integer)
    round_columns16(r, t, 1);
  else
    round_columns16(r, t, 0);
}

#endif
