/* host/cpu/kernels/few_rows_loops.h: a few plain rows times one row of packed codes, which never leaves registers.
 *
 * Codes become f32 values in lanes: those of 4 bits by a table, integers and minifloats of any width by shifts. One or two
 * plain rows are multiplied by them and the group's sum is scaled; for more the values are. What needs more care, codes
 * of NaN and infinity or scales near the ends of f32, goes by a table of values, one code at a time. */
#ifndef MFQ_HOST_CPU_KERNELS_FEW_ROWS_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_FEW_ROWS_LOOPS_H

#include "few_lanes.h"

static uint32_t few_scales(int32_t format, const void *stored, int64_t n, float *restrict scales) {
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
  uint32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = mfqn_umax(largest, mfqn_bits(scales[i]) & MFQN_ABS);
  return largest;
}

/* ---- Sums --------------------------------------------------------------------------------------------------------- */

typedef struct few_kind {
  int how, rows, halves;
} few_kind;

/* Two vectors for each plain row. */
typedef struct few_sums {
  vecf s[MFQ_FEW_ROWS][2];
} few_sums;

/* The second vector takes turns where the chains of additions would otherwise be waited for. */
INLINE int chains_of(int rows) { return LANES == 16 || rows < MFQ_FEW_ROWS ? 2 : 1; }

INLINE void put_sums(const few_sums *s, int rows, float *sums) {
  for (int m = 0; m < rows; ++m) sums[m] = sum_of(s->s[m][0] + s->s[m][1]);
}

/* Values that are scaled already. */
INLINE void add_values(const float *x, const vecf v[PARTS], few_sums *s, int rows) {
  const int chains = chains_of(rows);
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 8
    for (int i = 0; i < PARTS; ++i) {
      vecf *sum = &s->s[m][i % chains];
      *sum = fma_vec(v[i], load_vec(x + (m * PARTS + i) * LANES), *sum);
    }
}

/* Values whose sums are scaled. */
INLINE void add_scaled(const float *x, const vecf v[PARTS], const float *scales, few_sums *s, few_kind kind) {
  const int is_nibbles = kind.how == MFQ_FEW_NIBBLES, alike = alike_parts(kind.halves, is_nibbles);
#pragma GCC unroll 8
  for (int m = 0; m < kind.rows; ++m)
#pragma GCC unroll 8
    for (int i = 0; i < PARTS; i += alike) {
      vecf sum = v[i] * load_vec(x + (m * PARTS + i) * LANES);
#pragma GCC unroll 8
      for (int j = i + 1; j < i + alike; ++j) sum = fma_vec(v[j], load_vec(x + (m * PARTS + j) * LANES), sum);
      vecf *to = &s->s[m][i != 0];
      *to = fma_vec(sum, scale_of_part(scales, i, kind.halves, is_nibbles), *to);
    }
}

/* ---- A code at a time --------------------------------------------------------------------------------------------- */

/* A finite value that became infinite by its scale is the largest finite number. */
INLINE float scaled_value(float v, float scale) {
  const float y = v * scale, most = mfqn_float_of(MFQN_MAX_FINITE);
  const uint32_t of_v = mfqn_bits(v) & MFQN_ABS, of_scale = mfqn_bits(scale) & MFQN_ABS;
  if (of_v >= MFQN_INF || of_scale >= MFQN_INF || (mfqn_bits(y) & MFQN_ABS) < MFQN_INF) return y;
  return y < 0 ? -most : most;
}

INLINE float value_of(const mfq_few *f, int64_t at) {
  const int64_t bit = at * f->bits;
  const uint8_t *src = f->codes + bit / 8;
  const int32_t shift = (int32_t)(bit % 8);
  const uint32_t word = src[0] | (shift + f->bits > 8 ? (uint32_t)src[1] << 8 : 0);
  return f->numbers[word >> shift & f->code_mask];
}

INLINE void few_table_as(const mfq_few *f, float *sums, int rows) {
  const int64_t step = f->halves ? MFQ_FEW_BLOCK / 2 : MFQ_FEW_BLOCK;
  float block[MFQ_FEW_BLOCK];
  few_sums s = {0};
  for (int64_t k = 0; k < f->depth; k += MFQ_FEW_BLOCK) {
    for (int64_t i = 0; i < MFQ_FEW_BLOCK; ++i) {
      const int64_t at = k + f->order[i];
      const float zero_point = f->zero_points != NULL ? f->zero_points[at / step] : 0.0f;
      block[i] = at < f->depth ? scaled_value(value_of(f, at) - zero_point, f->scales[at / step]) : 0.0f;
    }
    vecf v[PARTS];
    memcpy(v, block, sizeof v);
    add_values((const float *)f->plain + k * rows, v, &s, rows);
  }
  put_sums(&s, rows, sums);
}

static void few_table(const mfq_few *f, float *sums) {
  switch (f->rows) {
    case 1: few_table_as(f, sums, 1); break;
    case 2: few_table_as(f, sums, 2); break;
    case 4: few_table_as(f, sums, 4); break;
    default: few_table_as(f, sums, MFQ_FEW_ROWS);
  }
}

/* The last codes of a row, followed by zeros. */
INLINE const uint8_t *last_block(const mfq_few *f, int64_t whole, uint8_t *copy) {
  const int64_t first = whole * 4 * f->bits, bits = f->depth * f->bits - first * 8, used = (bits + 7) / 8;
  memset(copy, 0, MFQ_FEW_COPY);
  if (used > 0) memcpy(copy, f->codes + first, (size_t)used);
  if (bits % 8 != 0) copy[used - 1] &= (uint8_t)((1 << bits % 8) - 1);
  return copy;
}

/* ---- Codes in lanes ----------------------------------------------------------------------------------------------- */

/* Everything that stays the same in a row, and whether there was a code of NaN or infinity. */
typedef struct few_constants {
#ifdef MFQ_FEW_SHUFFLES
  nibble_table nibbles;
#endif
  mfq_few_picks picks;
  veci special;
} few_constants;

/* By a table, 8 codes of a word after the other. */
INLINE void look_up_codes(const mfq_few *f, const uint8_t *src, vecf v[PARTS]) {
  float block[MFQ_FEW_BLOCK];
  for (int i = 0; i < MFQ_FEW_BLOCK; i += 8, src += f->bits) {
    uint64_t codes;
    memcpy(&codes, src, sizeof codes);
    for (int j = 0; j < 8; ++j, codes >>= f->bits) block[i + j] = f->numbers[codes & f->code_mask];
  }
  memcpy(v, block, sizeof block);
}

INLINE void values_of_block(const mfq_few *f, const uint8_t *src, few_constants *c, vecf v[PARTS], int how) {
  (void)c;
  if (how == MFQ_FEW_TABLE) look_up_codes(f, src, v);
#ifdef MFQ_FEW_SHUFFLES
  const mfq_few_picks *p = &c->picks;
  if (how == MFQ_FEW_NIBBLES) look_up_nibbles(&c->nibbles, src, v);
  if (how != MFQ_FEW_INTEGERS && how != MFQ_FEW_FLOATS) return;
#pragma GCC unroll 8
  for (int i = 0; i < PARTS; ++i) {
    const veci code = (pick_codes(p, src + i * LANES * f->bits / 8) >> p->down) & p->mask;
    if (how == MFQ_FEW_INTEGERS) v[i] = __builtin_convertvector(code, vecf) * p->unit;
    if (how != MFQ_FEW_FLOATS) continue;
    c->special |= p->most - (code & (int32_t)MFQN_ABS);
    if (p->has_lone_nan) c->special |= code == (veci){0} + INT32_MIN;
    v[i] = (vecf)code * p->unit;
  }
#endif
}

INLINE void add_block(const mfq_few *f, const uint8_t *src, int64_t block, few_constants *c, few_sums *s,
                      few_kind kind) {
  const int is_nibbles = kind.how == MFQ_FEW_NIBBLES;
  const float *scales = f->scales + (block << kind.halves),
              *x = (const float *)f->plain + block * MFQ_FEW_BLOCK * kind.rows;
  vecf v[PARTS];
  values_of_block(f, src, c, v, kind.how);
  if (f->zero_points != NULL)
    for (int i = 0; i < PARTS; ++i)
      v[i] -= scale_of_part(f->zero_points + (block << kind.halves), i, kind.halves, is_nibbles);
  if (kind.rows <= MFQ_FEW_UNSCALED) {
    add_scaled(x, v, scales, s, kind);
    return;
  }
  for (int i = 0; i < PARTS; ++i) v[i] *= scale_of_part(scales, i, kind.halves, is_nibbles);
  add_values(x, v, s, kind.rows);
}

/* Returns whether there was no code of NaN or infinity. */
INLINE int few_lanes_as(const mfq_few *f, float *sums, few_kind kind) {
  few_constants c = {.picks = *f->picks};
  const int64_t step = 4 * f->bits, blocks = (f->depth + MFQ_FEW_BLOCK - 1) / MFQ_FEW_BLOCK;
  const int64_t readable = kind.how == MFQ_FEW_NIBBLES ? f->depth / MFQ_FEW_BLOCK : (f->readable - MFQ_FEW_OVER) / step;
  const int64_t whole = f->depth / MFQ_FEW_BLOCK < readable ? f->depth / MFQ_FEW_BLOCK : readable;
  uint8_t copy[MFQ_FEW_COPY];
  few_sums s = {0};
  int64_t b = 0;
#ifdef MFQ_FEW_SHUFFLES
  if (kind.how == MFQ_FEW_NIBBLES) c.nibbles = load_nibbles(f->values);
#endif
  for (; b < whole; ++b) add_block(f, f->codes + b * step, b, &c, &s, kind);
  for (; b < blocks; ++b) add_block(f, last_block(f, b, copy), b, &c, &s, kind);
  put_sums(&s, kind.rows, sums);
  return !any_is_negative(c.special);
}

INLINE int few_lanes_rows(const mfq_few *f, float *sums, int how, int halves) {
  switch (f->rows) {
    case 1: return few_lanes_as(f, sums, (few_kind){how, 1, halves});
    case 2: return few_lanes_as(f, sums, (few_kind){how, 2, halves});
    case 4: return few_lanes_as(f, sums, (few_kind){how, 4, halves});
    default: return few_lanes_as(f, sums, (few_kind){how, MFQ_FEW_ROWS, halves});
  }
}

INLINE int few_lanes_of(const mfq_few *f, float *sums, int how) {
  return f->halves ? few_lanes_rows(f, sums, how, 1) : few_lanes_rows(f, sums, how, 0);
}

static int few_lanes(const mfq_few *f, float *sums) {
  switch (f->how) {
#ifdef MFQ_FEW_SHUFFLES
    case MFQ_FEW_NIBBLES: return few_lanes_of(f, sums, MFQ_FEW_NIBBLES);
    case MFQ_FEW_INTEGERS: return few_lanes_of(f, sums, MFQ_FEW_INTEGERS);
    case MFQ_FEW_FLOATS: return few_lanes_of(f, sums, MFQ_FEW_FLOATS);
#endif
    default: return few_lanes_of(f, sums, MFQ_FEW_TABLE);
  }
}

static void few_f32(const mfq_few *f, float *sums) {
  if (f->is_vast || !few_lanes(f, sums)) few_table(f, sums);
}

/* ---- Plain rows as bf16 ------------------------------------------------------------------------------------------- */

#ifdef MFQ_CODES512

#define MFQ_BF16_TARGET __attribute__((target("avx512bf16")))
#define MFQ_BF16_INLINE static inline __attribute__((always_inline, target("avx512bf16")))

/* Codes of 4, 6 or 8 bits. */
MFQ_BF16_INLINE void bf16_block(const mfq_few *f, const table512 *t, const uint8_t *src, int64_t block, few_sums *s,
                                few_kind kind) {
  const __m512i v = look_up(t, codes_of(src, kind.how), kind.how);
  const __m512 scale = (__m512)scale_of_part(f->scales + (block << kind.halves), 0, kind.halves, 1);
  const uint16_t *x = (const uint16_t *)f->plain + block * MFQ_FEW_BLOCK * kind.rows;
#pragma GCC unroll 8
  for (int m = 0; m < kind.rows; ++m) {
    const __m512i row = _mm512_loadu_si512((const void *)(x + m * MFQ_FEW_BLOCK));
    const __m512 sum = _mm512_dpbf16_ps(_mm512_setzero_ps(), (__m512bh)row, (__m512bh)v);
    vecf *to = &s->s[m][0];
    *to = (vecf)_mm512_fmadd_ps(sum, scale, (__m512)*to);
  }
}

/* `how` is the bits of a code here. Two blocks at a time: the additions of one need not wait for those of the other. */
MFQ_BF16_INLINE void few_bf16_as(const mfq_few *f, float *sums, few_kind kind) {
  const table512 t = load_table(f->values, kind.how);
  const int64_t whole = f->depth / MFQ_FEW_BLOCK, step = 4 * kind.how;
  uint8_t copy[MFQ_FEW_COPY];
  few_sums s = {0}, u = {0};
  int64_t b = 0;
  for (; b + 2 <= whole; b += 2) {
    bf16_block(f, &t, f->codes + b * step, b, &s, kind);
    bf16_block(f, &t, f->codes + (b + 1) * step, b + 1, &u, kind);
  }
  if (b < whole) bf16_block(f, &t, f->codes + b * step, b, &s, kind);
  if (whole * MFQ_FEW_BLOCK < f->depth) bf16_block(f, &t, last_block(f, whole, copy), whole, &u, kind);
  for (int m = 0; m < kind.rows; ++m) s.s[m][1] = u.s[m][0];
  put_sums(&s, kind.rows, sums);
}

MFQ_BF16_INLINE void few_bf16_rows(const mfq_few *f, float *sums, int bits, int halves) {
  switch (f->rows) {
    case 1: few_bf16_as(f, sums, (few_kind){bits, 1, halves}); break;
    case 2: few_bf16_as(f, sums, (few_kind){bits, 2, halves}); break;
    case 4: few_bf16_as(f, sums, (few_kind){bits, 4, halves}); break;
    default: few_bf16_as(f, sums, (few_kind){bits, MFQ_FEW_ROWS, halves});
  }
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
