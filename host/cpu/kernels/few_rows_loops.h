/* host/cpu/kernels/few_rows_loops.h: a few plain rows times one row of packed codes, which never leaves registers.
 *
 * 32 codes are looked up as 32 bf16 values. With plain rows in bf16 they are multiplied as they are and the group's sum
 * is scaled; otherwise they are widened to two vectors of f32, scaled there, and multiplied. */
#ifndef MFQ_HOST_CPU_KERNELS_FEW_ROWS_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_FEW_ROWS_LOOPS_H

#include "codes512.h"

#ifdef MFQ_CODES512

/* Scales of the 16 sums of a block; groups of 16 have two in each. */
INLINE __m512 block_scales(const mfq_few *f, int64_t block, int halves) {
  if (!halves) return _mm512_set1_ps(f->scales[block]);
  return _mm512_mask_blend_ps(0xff00, _mm512_set1_ps(f->scales[2 * block]), _mm512_set1_ps(f->scales[2 * block + 1]));
}

typedef struct few_kind {
  int bits, rows, halves;
} few_kind;

/* The values of a block; tables of 4 bits may be several, by zero point. */
INLINE __m512i block_values(const mfq_few *f, const table512 *t, const uint8_t *src, int64_t block, int bits) {
  if (bits != 4 || !f->zero_points) return look_up(t, codes_of(src, bits), bits);
  const table512 own = load_table(f->values + 16 * f->zero_points[block], 4);
  return look_up(&own, codes_of(src, 4), 4);
}

/* The last codes of a row, followed by zeros. */
INLINE const uint8_t *last_block(const mfq_few *f, int bits, uint8_t *copy) {
  const int64_t whole = f->depth / 32 * 4 * bits, used = (f->depth * bits + 7) / 8 - whole;
  memset(copy, 0, 32);
  memcpy(copy, f->codes + whole, (size_t)used);
  return copy;
}

/* Stored scales to f32. */
static void few_scales(int32_t format, const void *stored, int64_t n, float *restrict scales) {
  const uint8_t *bytes = stored;
  const uint16_t *halves = stored;
  switch (format) {
    case MFQN_SCALE_F32: memcpy(scales, stored, (size_t)n * sizeof *scales); break;
    case MFQN_SCALE_BF16:
      for (int64_t i = 0; i < n; ++i) scales[i] = mfqn_float_of(mfqn_f32_from_bf16(halves[i]));
      break;
    case MFQN_SCALE_F16:
      for (int64_t i = 0; i < n; ++i) scales[i] = mfqn_float_of(mfqn_f32_from_f16(halves[i]));
      break;
    case MFQN_SCALE_UE8M0:
      for (int64_t i = 0; i < n; ++i) {
        const uint32_t code = bytes[i], normal = code == 255u ? MFQN_NAN : code << 23;
        scales[i] = mfqn_float_of(code == 0 ? 0x00400000u : normal); /* 2^-127 is subnormal */
      }
      break;
    default:
      for (int64_t i = 0; i < n; ++i) scales[i] = mfqn_float_of(mfqn_ue4m3_value(bytes[i]));
  }
}

/* Sums, one or two for each plain row. They have names because an array would not stay in registers. */
typedef struct few_sums {
  __m512 s0, s1, s2, s3, s4, s5, s6, s7, t0, t1, t2, t3, t4, t5, t6, t7;
} few_sums;

INLINE few_sums no_sums(void) {
  const __m512 z = _mm512_setzero_ps();
  return (few_sums){z, z, z, z, z, z, z, z, z, z, z, z, z, z, z, z};
}

INLINE void put_sums(const few_sums *s, int rows, float *sums) {
  const __m512 all[8] = {_mm512_add_ps(s->s0, s->t0), _mm512_add_ps(s->s1, s->t1), _mm512_add_ps(s->s2, s->t2),
                         _mm512_add_ps(s->s3, s->t3), _mm512_add_ps(s->s4, s->t4), _mm512_add_ps(s->s5, s->t5),
                         _mm512_add_ps(s->s6, s->t6), _mm512_add_ps(s->s7, s->t7)};
  for (int m = 0; m < rows; ++m) sums[m] = _mm512_reduce_add_ps(all[m]);
}

/* ---- Plain rows as f32 ------------------------------------------------------------------------------------------ */

/* Finite values that became infinite by their scale, as the largest finite number. */
static __m512 limit_values(__m512 y, __m512 v, __m512 scale) {
  const __m512 infinity = _mm512_set1_ps(__builtin_inff()), most = _mm512_set1_ps(mfqn_float_of(MFQN_MAX_FINITE));
  const __mmask16 finite = _mm512_cmp_ps_mask(_mm512_abs_ps(v), infinity, _CMP_LT_OQ) &
                           _mm512_cmp_ps_mask(_mm512_abs_ps(scale), infinity, _CMP_LT_OQ);
  const __m512 low = _mm512_max_ps(y, _mm512_sub_ps(_mm512_setzero_ps(), most));
  return _mm512_mask_min_ps(y, finite, low, most);
}

/* The even and the odd elements of a block, scaled, times those of a row. */
INLINE void f32_row(const float *x, __m512 even, __m512 odd, __m512 *s, __m512 *t) {
  *s = _mm512_fmadd_ps(even, _mm512_loadu_ps(x), *s);
  *t = _mm512_fmadd_ps(odd, _mm512_loadu_ps(x + 16), *t);
}

INLINE void f32_block(const mfq_few *f, const table512 *t, const uint8_t *src, int64_t block, few_sums *s,
                      few_kind kind) {
  const __m512i v = block_values(f, t, src, block, kind.bits);
  const __m512 scale = block_scales(f, block, kind.halves);
  const __m512 lower = _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
  const __m512 upper = _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32((int)0xffff0000u)));
  __m512 even = _mm512_mul_ps(lower, scale), odd = _mm512_mul_ps(upper, scale);
  if (__builtin_expect(f->is_vast, 0)) {
    even = limit_values(even, lower, scale);
    odd = limit_values(odd, upper, scale);
  }
  const float *x = (const float *)f->plain + block * 32 * kind.rows;
  f32_row(x, even, odd, &s->s0, &s->t0);
  if (kind.rows > 1) f32_row(x + 32, even, odd, &s->s1, &s->t1);
  if (kind.rows > 2) f32_row(x + 64, even, odd, &s->s2, &s->t2);
  if (kind.rows > 3) f32_row(x + 96, even, odd, &s->s3, &s->t3);
  if (kind.rows > 4) f32_row(x + 128, even, odd, &s->s4, &s->t4);
  if (kind.rows > 5) f32_row(x + 160, even, odd, &s->s5, &s->t5);
  if (kind.rows > 6) f32_row(x + 192, even, odd, &s->s6, &s->t6);
  if (kind.rows > 7) f32_row(x + 224, even, odd, &s->s7, &s->t7);
}

INLINE void few_f32_as(const mfq_few *f, float *sums, few_kind kind) {
  const table512 t = load_table(f->values, kind.bits);
  const int64_t whole = f->depth / 32;
  uint8_t copy[32];
  few_sums s = no_sums();
  for (int64_t b = 0; b < whole; ++b) f32_block(f, &t, f->codes + b * 4 * kind.bits, b, &s, kind);
  if (whole * 32 < f->depth) f32_block(f, &t, last_block(f, kind.bits, copy), whole, &s, kind);
  put_sums(&s, kind.rows, sums);
}

/* ---- Plain rows as bf16 ----------------------------------------------------------------------------------------- */

#define MFQ_BF16_TARGET __attribute__((target("avx512bf16")))
#define MFQ_BF16_INLINE static inline __attribute__((always_inline, target("avx512bf16")))

MFQ_BF16_INLINE void bf16_row(const uint16_t *x, __m512i v, __m512 scale, __m512 *s) {
  const __m512i row = _mm512_loadu_si512((const void *)x);
  *s = _mm512_fmadd_ps(_mm512_dpbf16_ps(_mm512_setzero_ps(), (__m512bh)row, (__m512bh)v), scale, *s);
}

MFQ_BF16_INLINE void bf16_block(const mfq_few *f, const table512 *t, const uint8_t *src, int64_t block, few_sums *s,
                                few_kind kind) {
  const __m512i v = block_values(f, t, src, block, kind.bits);
  const __m512 scale = block_scales(f, block, kind.halves);
  const uint16_t *x = (const uint16_t *)f->plain + block * 32 * kind.rows;
  bf16_row(x, v, scale, &s->s0);
  if (kind.rows > 1) bf16_row(x + 32, v, scale, &s->s1);
  if (kind.rows > 2) bf16_row(x + 64, v, scale, &s->s2);
  if (kind.rows > 3) bf16_row(x + 96, v, scale, &s->s3);
  if (kind.rows > 4) bf16_row(x + 128, v, scale, &s->s4);
  if (kind.rows > 5) bf16_row(x + 160, v, scale, &s->s5);
  if (kind.rows > 6) bf16_row(x + 192, v, scale, &s->s6);
  if (kind.rows > 7) bf16_row(x + 224, v, scale, &s->s7);
}

/* Two blocks at a time: the additions of one need not wait for those of the other. */
MFQ_BF16_INLINE void few_bf16_as(const mfq_few *f, float *sums, few_kind kind) {
  const table512 t = load_table(f->values, kind.bits);
  const int64_t whole = f->depth / 32, step = 4 * kind.bits;
  uint8_t copy[32];
  few_sums s = no_sums(), u = no_sums();
  int64_t b = 0;
  for (; b + 2 <= whole; b += 2) {
    bf16_block(f, &t, f->codes + b * step, b, &s, kind);
    bf16_block(f, &t, f->codes + (b + 1) * step, b + 1, &u, kind);
  }
  if (b < whole) bf16_block(f, &t, f->codes + b * step, b, &s, kind);
  if (whole * 32 < f->depth) bf16_block(f, &t, last_block(f, kind.bits, copy), whole, &u, kind);
  s.t0 = u.s0, s.t1 = u.s1, s.t2 = u.s2, s.t3 = u.s3;
  s.t4 = u.s4, s.t5 = u.s5, s.t6 = u.s6, s.t7 = u.s7;
  put_sums(&s, kind.rows, sums);
}

/* ---- Choices as constants --------------------------------------------------------------------------------------- */

INLINE void few_f32_rows(const mfq_few *f, float *sums, int bits, int halves) {
  switch (f->rows) {
    case 1: few_f32_as(f, sums, (few_kind){bits, 1, halves}); break;
    case 2: few_f32_as(f, sums, (few_kind){bits, 2, halves}); break;
    case 4: few_f32_as(f, sums, (few_kind){bits, 4, halves}); break;
    default: few_f32_as(f, sums, (few_kind){bits, 8, halves});
  }
}

MFQ_BF16_INLINE void few_bf16_rows(const mfq_few *f, float *sums, int bits, int halves) {
  switch (f->rows) {
    case 1: few_bf16_as(f, sums, (few_kind){bits, 1, halves}); break;
    case 2: few_bf16_as(f, sums, (few_kind){bits, 2, halves}); break;
    case 4: few_bf16_as(f, sums, (few_kind){bits, 4, halves}); break;
    default: few_bf16_as(f, sums, (few_kind){bits, 8, halves});
  }
}

static void few_f32(const mfq_few *f, float *sums) {
  if (f->bits == 4 && f->halves)
    few_f32_rows(f, sums, 4, 1);
  else if (f->bits == 4)
    few_f32_rows(f, sums, 4, 0);
  else if (f->bits == 6)
    few_f32_rows(f, sums, 6, f->halves);
  else
    few_f32_rows(f, sums, 8, f->halves);
}

MFQ_BF16_TARGET static void few_bf16(const mfq_few *f, float *sums) {
  if (f->bits == 4 && f->halves)
    few_bf16_rows(f, sums, 4, 1);
  else if (f->bits == 4)
    few_bf16_rows(f, sums, 4, 0);
  else if (f->bits == 6)
    few_bf16_rows(f, sums, 6, f->halves);
  else
    few_bf16_rows(f, sums, 8, f->halves);
}

#endif

#endif
