/* host/cpu/kernels/encode256.h: elements to codes with AVX2, 32 at a time, for ties to even and saturation: the steps of
 * num's central forms, in words up to what is rounded off, in bytes from there. Quotients come from reciprocals. */
#ifndef MFQ_HOST_CPU_KERNELS_ENCODE256_H
#define MFQ_HOST_CPU_KERNELS_ENCODE256_H

#include <mfq/num/quotient.h>

#include "long_loops.h"

#if defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)
#include <immintrin.h>

/* The choices that a loop is compiled for. */
typedef struct encode256_kind {
  int how; /* not BY_FLOAT_ZERO_POINT */
  int is_integer;
  int is_bf16;
  int finite;     /* no NaN, see mfqn_minifloat_encode_central */
  int is_columns; /* each element has a lane of its own */
} encode256_kind;

/* What all elements need. */
typedef struct encode256 {
  const mfq_lanes *lanes;
  const void *x;
  uint8_t *codes;
  int32_t shift, sign_shift; /* of minifloats; the latter from a byte's top bit */
  int32_t max_code, nan_code, neg_zero, sign_bit;
  uint32_t half; /* just below half of what is rounded off */
  mfqn_central unscaled;
  int32_t lowest, highest, mask; /* of integers */
  int32_t frac_bits;
  float per_one; /* steps */
} encode256;

/* Eight elements' lanes. */
typedef struct lane256 {
  __m256i rebias, least, steps;        /* by exponent: rebias, less `half` */
  __m256 divisor, inverse, zero_point; /* by division; of integers by exponent `inverse` is the power of two */
} lane256;

INLINE __m256i lane_words(const void *words, int64_t i, int is_columns) {
  const int32_t *at = (const int32_t *)words + i;
  return is_columns ? _mm256_loadu_si256((const __m256i *)(const void *)at) : _mm256_set1_epi32(*at);
}

INLINE __m256 lane_floats(const float *at, int64_t i, int is_columns) {
  return _mm256_castsi256_ps(lane_words(at, i, is_columns));
}

INLINE lane256 lane256_at(const encode256 *e, int64_t i, encode256_kind kind) {
  const mfq_lanes *lanes = e->lanes;
  const int columns = kind.is_columns;
  lane256 lane = {0};
  if (kind.how == BY_EXPONENT && kind.is_integer) {
    const __m256i exp2 = lane_words(lanes->exp2, i, columns);
    lane.inverse =
        _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_sub_epi32(_mm256_set1_epi32(127 + e->frac_bits), exp2), 23));
    return lane;
  }
  if (kind.how == BY_EXPONENT) {
    lane.rebias = lane_words(lanes->rebias, i, columns);
    lane.least = lane_words(lanes->least_normal, i, columns);
    lane.steps = lane_words(lanes->steps, i, columns);
  } else {
    lane.rebias = _mm256_set1_epi32((int32_t)e->unscaled.rebias);
    lane.least = _mm256_set1_epi32((int32_t)e->unscaled.least_normal);
    lane.steps = _mm256_set1_epi32((int32_t)e->unscaled.steps);
    lane.divisor = lane_floats(lanes->divisor, i, columns);
    lane.inverse = lane_floats(lanes->inverse, i, columns);
    lane.zero_point = lane_floats(lanes->zero_point, i, columns);
  }
  lane.rebias = _mm256_sub_epi32(lane.rebias, _mm256_set1_epi32((int32_t)e->half));
  return lane;
}

/* ---- Eight elements, to words ------------------------------------------------------------------------------------ */

/* mfqn_quotient. */
INLINE __m256 quotient256(__m256 x, lane256 lane) {
  const __m256 near = _mm256_mul_ps(x, lane.inverse);
  return _mm256_fmadd_ps(_mm256_fnmadd_ps(near, lane.divisor, x), lane.inverse, near);
}

/* Magnitudes of at least 0, which may be beyond the largest code. */
INLINE __m256i minifloat256(const encode256 *e, __m256 v, lane256 lane) {
  const __m128i shift = _mm_cvtsi32_si128(e->shift);
  const __m256i a = _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(MFQN_ABS));
  const __m256i odd = _mm256_and_si256(_mm256_srl_epi32(a, shift), _mm256_set1_epi32(1));
  const __m256i normal = _mm256_srl_epi32(_mm256_add_epi32(_mm256_sub_epi32(a, lane.rebias), odd), shift);
  const __m256 sum = _mm256_add_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(lane.steps));
  const __m256i subnormal = _mm256_sub_epi32(_mm256_castps_si256(sum), lane.steps);
  return _mm256_blendv_epi8(normal, subnormal, _mm256_cmpgt_epi32(lane.least, a));
}

INLINE __m256 limit256(__m256 x, __m256 most) {
  return _mm256_max_ps(_mm256_min_ps(x, most), _mm256_xor_ps(most, _mm256_set1_ps(-0.0f)));
}

/* mfqn_integer_sum_central, but for the limits of the format. Limits are for elements here: what is beyond them has the
 * same code. */
INLINE __m256i integer_sum256(__m256 x, lane256 lane) {
  const __m256 middle = _mm256_set1_ps(12582912.0f), most = _mm256_mul_ps(lane.divisor, _mm256_set1_ps(1024.0f));
  const __m256 t = quotient256(limit256(x, most), lane);
  const __m256 sum = _mm256_add_ps(t, _mm256_add_ps(middle, lane.zero_point));
  return _mm256_sub_epi32(_mm256_castps_si256(sum), _mm256_castps_si256(middle));
}

INLINE __m256i word256(const encode256 *e, __m256 x, lane256 lane, encode256_kind kind) {
  if (kind.how == BY_ZERO_POINT) return integer_sum256(x, lane);
  const __m256 beyond = _mm256_set1_ps(1024.0f); /* what no code stands for, and an integer does */
  if (kind.is_integer && kind.how == BY_EXPONENT)
    return _mm256_cvtps_epi32(limit256(_mm256_mul_ps(x, lane.inverse), beyond));
  if (kind.is_integer) { /* the quotient of what is far beyond would be no number */
    const __m256 most = _mm256_mul_ps(lane.divisor, _mm256_set1_ps(1024.0f / e->per_one));
    return _mm256_cvtps_epi32(_mm256_mul_ps(quotient256(limit256(x, most), lane), _mm256_set1_ps(e->per_one)));
  }
  return minifloat256(e, kind.how == BY_EXPONENT ? x : quotient256(x, lane), lane);
}

/* ---- 32 elements ------------------------------------------------------------------------------------------------- */

INLINE __m256 elements256(const void *x, int64_t i, int is_bf16) {
  if (!is_bf16) return _mm256_loadu_ps((const float *)x + i);
  const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)x + i));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

/* Words to bytes with the signs of the words, each at the nearest end where it is none; halves in turn. */
INLINE __m256i narrow256(const __m256i *w, int is_unsigned) {
  const __m256i a = _mm256_packs_epi32(w[0], w[1]), b = _mm256_packs_epi32(w[2], w[3]);
  return is_unsigned ? _mm256_packus_epi16(a, b) : _mm256_packs_epi16(a, b);
}

INLINE __m256i minifloat_bytes(const encode256 *e, const __m256 *x, const __m256i *w, encode256_kind kind) {
  __m256i bits[4], nan[4];
  for (int k = 0; k < 4; ++k) {
    bits[k] = _mm256_castps_si256(x[k]);
    nan[k] = _mm256_cmpgt_epi32(_mm256_and_si256(bits[k], _mm256_set1_epi32(MFQN_ABS)), _mm256_set1_epi32(MFQN_INF));
  }
  const __m256i magnitude = _mm256_min_epu8(narrow256(w, 1), _mm256_set1_epi8((char)e->max_code));
  const __m256i has_sign =
      _mm256_or_si256(_mm256_cmpgt_epi8(magnitude, _mm256_setzero_si256()), _mm256_set1_epi8((char)e->neg_zero));
  const __m256i signs = _mm256_srl_epi16(narrow256(bits, 0), _mm_cvtsi32_si128(e->sign_shift));
  const __m256i sign = _mm256_and_si256(_mm256_and_si256(signs, _mm256_set1_epi8((char)e->sign_bit)), has_sign);
  const __m256i codes = _mm256_or_si256(magnitude, sign);
  if (kind.finite) return codes;
  return _mm256_blendv_epi8(codes, _mm256_set1_epi8((char)e->nan_code), narrow256(nan, 0));
}

INLINE __m256i integer_bytes(const encode256 *e, const __m256i *w) {
  const __m256i mask = _mm256_set1_epi8((char)e->mask);
  if (e->lowest >= 0) return _mm256_min_epu8(narrow256(w, 1), _mm256_set1_epi8((char)e->highest));
  const __m256i low = _mm256_max_epi8(narrow256(w, 0), _mm256_set1_epi8((char)e->lowest));
  return _mm256_and_si256(_mm256_min_epi8(low, _mm256_set1_epi8((char)e->highest)), mask);
}

/* The codes of `x`, of which the second half may have another lane. */
INLINE __m256i codes256(const encode256 *e, const void *x, int64_t i, const lane256 *lanes, encode256_kind kind) {
  __m256 v[4];
  __m256i w[4];
  for (int k = 0; k < 4; ++k) {
    v[k] = elements256(x, i + 8 * k, kind.is_bf16);
    w[k] = word256(e, v[k], lanes[k], kind);
  }
  const __m256i bytes = kind.is_integer ? integer_bytes(e, w) : minifloat_bytes(e, v, w, kind);
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

INLINE void put_codes256(const encode256 *e, int64_t i, const lane256 *lanes, encode256_kind kind) {
  _mm256_storeu_si256((__m256i *)(void *)(e->codes + i), codes256(e, e->x, i, lanes, kind));
}

/* Fewer than 32. */
INLINE void put_part256(const encode256 *e, int64_t i, int64_t n, const lane256 *lanes, encode256_kind kind) {
  const size_t size = kind.is_bf16 ? sizeof(uint16_t) : sizeof(uint32_t);
  uint32_t x[32] = {0};
  uint8_t codes[32];
  memcpy(x, (const uint8_t *)e->x + (size_t)i * size, (size_t)n * size);
  _mm256_storeu_si256((__m256i *)(void *)codes, codes256(e, x, 0, lanes, kind));
  memcpy(e->codes + i, codes, (size_t)n);
}

/* ---- Spans ------------------------------------------------------------------------------------------------------- */

INLINE void encode_run256(const encode256 *e, int64_t lane, int64_t i, int64_t n, encode256_kind kind) {
  const lane256 one = lane256_at(e, lane, kind), lanes[] = {one, one, one, one};
  int64_t j = 0;
  for (; j + 32 <= n; j += 32) put_codes256(e, i + j, lanes, kind);
  if (j < n) put_part256(e, i + j, n - j, lanes, kind);
}

INLINE void encode_runs256(const encode256 *from, mfq_stretch span, encode256_kind kind) {
  const encode256 e = *from; /* a copy that stores cannot change */
  const int64_t run = span.run, whole = span.n / run;
  int64_t k = 0;
  if (run == 32)
    for (; k < whole; ++k) encode_run256(&e, span.first + k, k * 32, 32, kind);
  else if (run == 16)
    for (; k + 2 <= whole; k += 2) {
      const lane256 a = lane256_at(&e, span.first + k, kind), b = lane256_at(&e, span.first + k + 1, kind);
      const lane256 lanes[] = {a, a, b, b};
      put_codes256(&e, k * 16, lanes, kind);
    }
  for (; k * run < span.n; ++k) {
    const int64_t left = span.n - k * run;
    encode_run256(&e, span.first + k, k * run, left < run ? left : run, kind);
  }
}

/* Arrays of lanes are longer than any vector. */
INLINE void encode_columns256(const encode256 *from, int64_t n, encode256_kind kind) {
  const encode256 e = *from;
  for (int64_t i = 0; i < n; i += 32) {
    lane256 lanes[4];
    for (int k = 0; k < 4; ++k) lanes[k] = lane256_at(&e, i + 8 * k, kind);
    if (i + 32 <= n)
      put_codes256(&e, i, lanes, kind);
    else
      put_part256(&e, i, n - i, lanes, kind);
  }
}

INLINE void encode_as256(const encode256 *e, mfq_stretch span, int how, int is_integer, int is_bf16) {
  if (span.run == 0)
    encode_columns256(e, span.n, (encode256_kind){how, is_integer, is_bf16, 1, 1});
  else
    encode_runs256(e, span, (encode256_kind){how, is_integer, is_bf16, 1, 0});
}

/* Without a scale NaN and infinities are elements like others. */
INLINE void encode_unscaled256(const encode256 *e, mfq_stretch span, int is_bf16) {
  if (span.run == 0)
    encode_columns256(e, span.n, (encode256_kind){BY_EXPONENT, 0, is_bf16, 0, 1});
  else
    encode_runs256(e, span, (encode256_kind){BY_EXPONENT, 0, is_bf16, 0, 0});
}

/* ---- Schemes ----------------------------------------------------------------------------------------------------- */

static encode256 encode256_of(const mfqn_scheme *s, const mfq_lanes *lanes, const void *x, uint8_t *codes) {
  const mfqn_minifloat *f = &s->minifloat;
  encode256 e = {.lanes = lanes, .x = x, .codes = codes};
  if (s->is_integer) {
    e.lowest = s->integer.lowest;
    e.highest = s->integer.highest;
    e.mask = (int32_t)s->integer.mask;
    e.frac_bits = s->integer.frac_bits;
    e.per_one = mfqn_float_of(mfqn_pow2(s->integer.frac_bits));
    return e;
  }
  e.shift = 23 - f->man_bits;
  e.half = (1u << (e.shift - 1)) - 1u;
  e.sign_shift = f->sign_shift - 24;
  e.sign_bit = (int32_t)f->sign_bit;
  e.max_code = (int32_t)f->max_code;
  e.nan_code = (int32_t)f->nan_code;
  e.neg_zero = f->neg_zero_mask != 0 ? -1 : 0;
  e.unscaled = mfqn_central_of(f, 0);
  return e;
}

static int holds256(const mfqn_scheme *s, int how, const mfq_lanes *lanes) {
  const int is_measured = mfqn_is_measured(s);
  if (s->rounding != MFQN_ROUND_EVEN || how == BY_FLOAT_ZERO_POINT) return 0;
  if (how != BY_EXPONENT && !lanes->have_inverses) return 0;
  if (how == BY_ZERO_POINT) return 1;
  if (how == BY_DIVISION && (!is_measured || s->minmax)) return 0;
  if (s->is_integer) return is_measured;
  return has_short_steps(s, how) && s->minifloat.man_bits >= 1;
}

/* Returns 0 where the steps do not hold: no code is written then. */
static int encode_256(const mfqn_scheme *s, mfq_source x, mfq_stretch span, const mfq_lanes *lanes, int how,
                      uint8_t *codes) {
  const int is_bf16 = x.dtype == MFQ_DTYPE_BF16;
  if (!holds256(s, how, lanes)) return 0;
  const encode256 e = encode256_of(s, lanes, x.data, codes);
  if (how == BY_ZERO_POINT && is_bf16)
    encode_as256(&e, span, BY_ZERO_POINT, 1, 1);
  else if (how == BY_ZERO_POINT)
    encode_as256(&e, span, BY_ZERO_POINT, 1, 0);
  else if (how == BY_DIVISION && s->is_integer && is_bf16)
    encode_as256(&e, span, BY_DIVISION, 1, 1);
  else if (how == BY_DIVISION && s->is_integer)
    encode_as256(&e, span, BY_DIVISION, 1, 0);
  else if (how == BY_DIVISION && is_bf16)
    encode_as256(&e, span, BY_DIVISION, 0, 1);
  else if (how == BY_DIVISION)
    encode_as256(&e, span, BY_DIVISION, 0, 0);
  else if (s->is_integer && is_bf16)
    encode_as256(&e, span, BY_EXPONENT, 1, 1);
  else if (s->is_integer)
    encode_as256(&e, span, BY_EXPONENT, 1, 0);
  else if (!mfqn_is_measured(s) && is_bf16)
    encode_unscaled256(&e, span, 1);
  else if (!mfqn_is_measured(s))
    encode_unscaled256(&e, span, 0);
  else if (is_bf16)
    encode_as256(&e, span, BY_EXPONENT, 0, 1);
  else
    encode_as256(&e, span, BY_EXPONENT, 0, 0);
  return 1;
}

#else
static int encode_256(const mfqn_scheme *s, mfq_source x, mfq_stretch span, const mfq_lanes *lanes, int how,
                      uint8_t *codes) {
  (void)s;
  (void)x;
  (void)span;
  (void)lanes;
  (void)how;
  (void)codes;
  return 0;
}
#endif

#endif
