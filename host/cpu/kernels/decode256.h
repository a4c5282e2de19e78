/* host/cpu/kernels/decode256.h: codes to values with AVX2, 16 at a time: float32, or bf16 without a detour.
 *
 * Formats of at most 4 bits are looked up in tables of values, which are scaled once for each group. Longer minifloats are
 * shifted to where f16 has their fields, and converted as such: f16 holds their magnitudes but for a power of two. */
#ifndef MFQ_HOST_CPU_KERNELS_DECODE256_H
#define MFQ_HOST_CPU_KERNELS_DECODE256_H

#include "codes256.h"
#include "decode_loops.h"

#if defined(__AVX2__) && defined(__F16C__)
#include <immintrin.h>

/* What codes are found by: a table, f16, or integers. */
enum { FROM_TABLE, FROM_HALVES, FROM_INTEGERS };
/* What values go to: float32, bf16 that holds them exactly, or bf16. */
enum { TO_F32, TO_EXACT, TO_BF16 };

typedef struct decode256_kind {
  int from, to;
  int has_tensor_scale;
  int is_integer;
} decode256_kind;

/* 16 neighbours. */
typedef struct values256 {
  __m256 low, high;
} values256;

typedef struct decode256 {
  const uint8_t *codes;
  const mfq_lanes *lanes;
  void *y;
  float table[16]; /* unscaled values of all codes */
  int32_t mask, sign, sign_shift,
      shift; /* f16: of magnitudes and signs, and how far these go up; of integers: `mask` */
  int32_t nan_from, lone_nan, inf_code, inf; /* f16: beyond every code where there are none; `inf` has a code's sign */
  float unit;                                /* f16: what values are divided by there */
  int32_t top;                               /* of integers: the sign bit */
  float step, tensor_scale;
} decode256;

/* ---- Values ------------------------------------------------------------------------------------------------------ */

INLINE values256 table_values(const values256 *table, __m128i codes) {
  const __m256i a = _mm256_cvtepu8_epi32(codes), b = _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(codes, codes));
  const __m256 a_low = _mm256_permutevar8x32_ps(table->low, a), a_high = _mm256_permutevar8x32_ps(table->high, a);
  const __m256 b_low = _mm256_permutevar8x32_ps(table->low, b), b_high = _mm256_permutevar8x32_ps(table->high, b);
  return (values256){_mm256_blendv_ps(a_low, a_high, _mm256_castsi256_ps(_mm256_slli_epi32(a, 28))),
                     _mm256_blendv_ps(b_low, b_high, _mm256_castsi256_ps(_mm256_slli_epi32(b, 28)))};
}

INLINE values256 half_values(const decode256 *d, __m128i codes) {
  const __m256i c = _mm256_cvtepu8_epi16(codes), a = _mm256_and_si256(c, _mm256_set1_epi16((int16_t)d->mask));
  const __m256i sign =
      _mm256_sll_epi16(_mm256_and_si256(c, _mm256_set1_epi16((int16_t)d->sign)), _mm_cvtsi32_si128(d->sign_shift));
  __m256i h = _mm256_sll_epi16(a, _mm_cvtsi32_si128(d->shift));
  const __m256i infinite = _mm256_cmpeq_epi16(a, _mm256_set1_epi16((int16_t)d->inf_code));
  const __m256i nan = _mm256_or_si256(_mm256_cmpgt_epi16(a, _mm256_set1_epi16((int16_t)(d->nan_from - 1))),
                                      _mm256_cmpeq_epi16(c, _mm256_set1_epi16((int16_t)d->lone_nan)));
  h = _mm256_blendv_epi8(h, _mm256_set1_epi16(0x7c00), infinite);
  h = _mm256_blendv_epi8(_mm256_or_si256(h, sign), _mm256_set1_epi16(0x7e00), nan);
  const __m256 unit = _mm256_set1_ps(d->unit);
  return (values256){_mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(h)), unit),
                     _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(h, 1)), unit)};
}

INLINE values256 integer_values(const decode256 *d, __m128i codes) {
  const __m256i top = _mm256_set1_epi16((int16_t)d->top), mask = _mm256_set1_epi16((int16_t)d->mask);
  const __m256i c = _mm256_and_si256(_mm256_cvtepu8_epi16(codes), mask);
  const __m256i v = _mm256_sub_epi16(_mm256_xor_si256(c, top), top);
  return (values256){_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(v))),
                     _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(v, 1)))};
}

/* The steps of `scaled` in decode_loops.h, of scales that are finite. */
INLINE __m256 scaled256(const decode256 *d, __m256 v, __m256 scale, __m256 zero_point, decode256_kind kind) {
  if (kind.is_integer) v = _mm256_mul_ps(_mm256_sub_ps(v, zero_point), _mm256_set1_ps(d->step));
  v = _mm256_mul_ps(v, scale);
  return kind.has_tensor_scale ? _mm256_mul_ps(v, _mm256_set1_ps(d->tensor_scale)) : v;
}

/* ---- Results ----------------------------------------------------------------------------------------------------- */

INLINE __m256i top_half(__m256 v, decode256_kind kind) {
  const __m256i u = _mm256_castps_si256(v), odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  if (kind.to == TO_EXACT) return _mm256_srli_epi32(u, 16);
  return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd), 16);
}

INLINE __m256i halves_of(values256 v, decode256_kind kind) {
  return _mm256_permute4x64_epi64(_mm256_packus_epi32(top_half(v.low, kind), top_half(v.high, kind)), 0xd8);
}

/* `n` of 16 values, which go to element `i`. */
INLINE void put256(void *y, int64_t i, int64_t n, values256 v, decode256_kind kind) {
  if (kind.to == TO_F32) {
    float *to = (float *)y + i, part[16];
    float *at = n < 16 ? part : to;
    _mm256_storeu_ps(at, v.low);
    _mm256_storeu_ps(at + 8, v.high);
    if (n < 16) memcpy(to, part, (size_t)n * sizeof *to);
    return;
  }
  uint16_t *to = (uint16_t *)y + i, part[16];
  _mm256_storeu_si256((__m256i *)(void *)(n < 16 ? part : to), halves_of(v, kind));
  if (n < 16) memcpy(to, part, (size_t)n * sizeof *to);
}

INLINE __m128i codes_at(const uint8_t *codes, int64_t n) {
  uint8_t part[16] = {0};
  if (n >= 16) return _mm_loadu_si128((const __m128i *)(const void *)codes);
  memcpy(part, codes, (size_t)n);
  return _mm_loadu_si128((const __m128i *)(const void *)part);
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

INLINE values256 load_values(const float *v) { return (values256){_mm256_loadu_ps(v), _mm256_loadu_ps(v + 8)}; }

/* A table of bf16 by bytes: 32 codes at a time. */
INLINE int64_t look_up_bf16(values256 table, const uint8_t *codes, int64_t n, uint16_t *y, decode256_kind kind) {
  const table256 bytes = table_of_words(halves_of(table, kind));
  int64_t j = 0;
  for (; j + 32 <= n; j += 32) {
    const __m256i c =
        _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(const void *)(codes + j)), _mm256_set1_epi8(15));
    const __m256i l = _mm256_shuffle_epi8(bytes.low, c), h = _mm256_shuffle_epi8(bytes.high, c);
    const __m256i a = _mm256_unpacklo_epi8(l, h), b = _mm256_unpackhi_epi8(l, h);
    _mm256_storeu_si256((__m256i *)(void *)(y + j), _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)(y + j + 16), _mm256_permute2x128_si256(a, b, 0x31));
  }
  return j;
}

/* `n` codes of one scale, to element `i` and those behind it. */
INLINE void decode_run256(const decode256 *d, int64_t lane, int64_t i, int64_t n, decode256_kind kind) {
  const mfq_lanes *lanes = d->lanes;
  const uint8_t *codes = d->codes;
  const __m256 scale = _mm256_set1_ps(lanes->scale[lane]), zero_point = _mm256_set1_ps(lanes->zero_point[lane]);
  values256 table = load_values(d->table);
  int64_t j = 0;
  if (kind.from == FROM_TABLE) {
    table.low = scaled256(d, table.low, scale, zero_point, kind);
    table.high = scaled256(d, table.high, scale, zero_point, kind);
    if (kind.to != TO_F32) j = look_up_bf16(table, codes + i, n, (uint16_t *)d->y + i, kind);
  }
  for (; j < n; j += 16) {
    const __m128i c = codes_at(codes + i + j, n - j);
    values256 v = kind.from == FROM_TABLE    ? table_values(&table, c)
                  : kind.from == FROM_HALVES ? half_values(d, c)
                                             : integer_values(d, c);
    if (kind.from != FROM_TABLE) {
      v.low = scaled256(d, v.low, scale, zero_point, kind);
      v.high = scaled256(d, v.high, scale, zero_point, kind);
    }
    put256(d->y, i + j, n - j, v, kind);
  }
}

INLINE void decode_runs256(const decode256 *from, mfq_stretch span, decode256_kind kind) {
  const decode256 d = *from; /* a copy that stores cannot change */
  const int64_t run = span.run, whole = span.n / run;
  int64_t k = 0;
  if (run == 32)
    for (; k < whole; ++k) decode_run256(&d, span.first + k, k * 32, 32, kind);
  else if (run == 16)
    for (; k < whole; ++k) decode_run256(&d, span.first + k, k * 16, 16, kind);
  for (; k * run < span.n; ++k) {
    const int64_t left = span.n - k * run;
    decode_run256(&d, span.first + k, k * run, left < run ? left : run, kind);
  }
}

/* Each code has a scale of its own; `lanes` are longer than any vector. */
INLINE void decode_columns256(const decode256 *from, int64_t n, decode256_kind kind) {
  const decode256 d = *from;
  const mfq_lanes *lanes = d.lanes;
  const values256 table = load_values(d.table);
  for (int64_t i = 0; i < n; i += 16) {
    const __m128i c = codes_at(d.codes + i, n - i);
    const values256 scale = load_values(lanes->scale + i), zero = load_values(lanes->zero_point + i);
    values256 v = kind.from == FROM_TABLE    ? table_values(&table, c)
                  : kind.from == FROM_HALVES ? half_values(&d, c)
                                             : integer_values(&d, c);
    v.low = scaled256(&d, v.low, scale.low, zero.low, kind);
    v.high = scaled256(&d, v.high, scale.high, zero.high, kind);
    put256(d.y, i, n - i, v, kind);
  }
}

INLINE void decode_span256(const decode256 *d, mfq_stretch span, decode256_kind kind) {
  if (span.run == 0)
    decode_columns256(d, span.n, kind);
  else
    decode_runs256(d, span, kind);
}

/* ---- Schemes ----------------------------------------------------------------------------------------------------- */

static decode256 decode256_of(const mfqn_scheme *s, float tensor_scale, int from) {
  const mfqn_minifloat *f = &s->minifloat;
  decode256 d = {.step = mfqn_float_of(mfqn_pow2(-s->integer.frac_bits)), .tensor_scale = tensor_scale};
  uint8_t codes[16];
  for (int i = 0; i < 16; ++i) codes[i] = (uint8_t)i;
  if (from == FROM_TABLE) values_of_codes(s, codes, 16, d.table);
  if (s->is_integer) {
    d.mask = (int32_t)s->integer.mask;
    d.top = s->integer.lowest < 0 ? 1 << (s->integer.bits - 1) : 0;
    return d;
  }
  const int32_t bits = 31 - f->sign_shift, none = 0x1ff;
  d.mask = f->sign_bit != 0 ? (int32_t)f->sign_bit - 1 : 0xff;
  d.sign = (int32_t)f->sign_bit;
  d.sign_shift = 15 - bits;
  d.shift = 10 - f->man_bits;
  d.nan_from = f->nan_from > 0xff ? none : (int32_t)f->nan_from;
  d.lone_nan = f->lone_nan > 0xff ? none : (int32_t)f->lone_nan;
  d.inf_code = f->inf_code > 0xff ? none : (int32_t)f->inf_code;
  d.unit = mfqn_float_of(mfqn_pow2(15 - f->bias));
  return d;
}

/* Whether f16 holds the magnitudes of a format; those of unsigned ones fill a byte. */
static int is_half(const mfqn_minifloat *f) {
  const int32_t shift = 10 - f->man_bits;
  return shift >= 0 && f->max_code << shift < 0x7c00u && f->bias >= -90 && f->bias <= 90;
}

static int decode256_from(const mfqn_scheme *s) {
  const int32_t bits = s->is_integer ? s->integer.bits : 31 - s->minifloat.sign_shift + (s->minifloat.sign_bit != 0);
  if (bits <= 4) return FROM_TABLE;
  if (s->is_integer) return FROM_INTEGERS;
  return is_half(&s->minifloat) ? FROM_HALVES : -1;
}

/* Returns 0 where the steps do not hold: `y` is not written then. */
static int decode_256(const mfqn_scheme *s, const uint8_t *codes, mfq_stretch span, const mfq_lanes *lanes, void *y,
                      int to_bf16) {
  const int from = decode256_from(s), has_tensor_scale = s->scale == MFQN_SCALE_UE4M3;
  const int is_exact = s->scale == MFQN_SCALE_NONE || s->scale == MFQN_SCALE_UE8M0;
  const uint32_t above = mfqn_bits(lanes->tensor_scale);
  if (from < 0 || lanes->any_rare || lanes->largest > mfqn_safe_scale(s, MFQN_MAX_BF16)) return 0;
  if (has_tensor_scale && (from == FROM_INTEGERS || above - MFQN_MIN_NORMAL >= MFQN_INF - MFQN_MIN_NORMAL)) return 0;
  if (span.run != 0 && span.run < 16 && span.n > span.run) return 0;
  decode256 d = decode256_of(s, has_tensor_scale ? lanes->tensor_scale : 1.0f, from);
  d.codes = codes;
  d.lanes = lanes;
  d.y = y;
  if (from == FROM_TABLE && to_bf16)
    decode_span256(&d, span, (decode256_kind){FROM_TABLE, TO_BF16, 1, s->is_integer});
  else if (from == FROM_TABLE)
    decode_span256(&d, span, (decode256_kind){FROM_TABLE, TO_F32, 1, s->is_integer});
  else if (from == FROM_INTEGERS && to_bf16)
    decode_span256(&d, span, (decode256_kind){FROM_INTEGERS, TO_BF16, 0, 1});
  else if (from == FROM_INTEGERS)
    decode_span256(&d, span, (decode256_kind){FROM_INTEGERS, TO_F32, 0, 1});
  else if (has_tensor_scale && to_bf16)
    decode_span256(&d, span, (decode256_kind){FROM_HALVES, TO_BF16, 1, 0});
  else if (has_tensor_scale)
    decode_span256(&d, span, (decode256_kind){FROM_HALVES, TO_F32, 1, 0});
  else if (to_bf16 && is_exact)
    decode_span256(&d, span, (decode256_kind){FROM_HALVES, TO_EXACT, 0, 0});
  else if (to_bf16)
    decode_span256(&d, span, (decode256_kind){FROM_HALVES, TO_BF16, 0, 0});
  else
    decode_span256(&d, span, (decode256_kind){FROM_HALVES, TO_F32, 0, 0});
  return 1;
}

#else
static int decode_256(const mfqn_scheme *s, const uint8_t *codes, mfq_stretch span, const mfq_lanes *lanes, void *y,
                      int to_bf16) {
  (void)s;
  (void)codes;
  (void)span;
  (void)lanes;
  (void)y;
  (void)to_bf16;
  return 0;
}
#endif

static void decode(const mfqn_scheme *s, const uint8_t *codes, mfq_stretch span, const mfq_lanes *lanes, uint32_t *x) {
  float v[MFQ_CHUNK];
  if (decode_256(s, codes, span, lanes, x, 0)) return;
  const float step = mfqn_float_of(mfqn_pow2(-s->integer.frac_bits));
  const int plain = !lanes->any_rare && s->scale != MFQN_SCALE_UE4M3;
  const int is_vast = lanes->largest > mfqn_safe_scale(s, MFQN_MAX_BF16);
  values_of_codes(s, codes, span.n, v);
  if (s->is_integer && is_vast)
    scale_span(v, span, lanes, step, x, (decode_kind){1, 0, 1});
  else if (is_vast)
    scale_span(v, span, lanes, step, x, (decode_kind){0, 0, 1});
  else if (s->is_integer && plain)
    scale_span(v, span, lanes, step, x, (decode_kind){1, 1, 0});
  else if (s->is_integer)
    scale_span(v, span, lanes, step, x, (decode_kind){1, 0, 0});
  else if (plain)
    scale_span(v, span, lanes, step, x, (decode_kind){0, 1, 0});
  else
    scale_span(v, span, lanes, step, x, (decode_kind){0, 0, 0});
}

static int decode_bf16(const mfqn_scheme *s, const uint8_t *codes, mfq_stretch span, const mfq_lanes *lanes,
                       uint16_t *y) {
  return decode_256(s, codes, span, lanes, y, 1);
}

#endif
