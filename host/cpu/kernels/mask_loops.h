/* host/cpu/kernels/mask_loops.h: which elements lie between the ends of their clip, a bit for each, and gradients by such
 * bits. */
#ifndef MFQ_HOST_CPU_KERNELS_MASK_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_MASK_LOOPS_H

#include "gradient_loops.h"
#include "measure_loops.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* ---- Bits of elements -------------------------------------------------------------------------------------------- */

/* The ends of neighbours: of each, or of the first for all. */
typedef struct mask_ends {
  const float *lo, *hi;
  const int16_t *lo16, *hi16; /* of bf16 */
  int each;
  const uint32_t *twice; /* not NULL: lo is hi, and neither lo nor halves are there but hi16, twice in a word */
} mask_ends;

INLINE mask_ends mask_ends_at(const mfq_lane_ends *e, int64_t lane, int each) {
  return (mask_ends){e->lo + lane, e->hi + lane, e->lo16 + lane, e->hi16 + lane, each, NULL};
}

/* Of `n` elements, at most 32. */
INLINE uint32_t bits_of(const void *x, int64_t n, mask_ends e, int is_bf16) {
  const uint16_t *halves = x;
  const uint32_t *floats = x;
  uint32_t bits = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t k = e.each ? i : 0;
    if (is_bf16) {
      const int16_t key = e.twice ? (int16_t)(halves[i] & 0x7fffu) : order_key16(halves[i]);
      bits |= (uint32_t)(e.twice ? key <= (int16_t)*e.twice : (key >= e.lo16[k]) & (key <= e.hi16[k])) << i;
    } else {
      bits |= mfqn_passes_ends(floats[i], e.twice ? e.hi[k] : e.lo[k], e.hi[k]) << i;
    }
  }
  return bits;
}

#if defined(__AVX2__)
INLINE __m256i passing8(const uint32_t *x, mask_ends e, int64_t i) {
  const __m256 v = _mm256_loadu_ps((const float *)(const void *)(x + i)), sign = _mm256_set1_ps(-0.0f);
  const __m256 hi = e.each ? _mm256_loadu_ps(e.hi + i) : _mm256_set1_ps(*e.hi);
  if (e.twice) return _mm256_castps_si256(_mm256_cmp_ps(_mm256_andnot_ps(sign, v), hi, _CMP_LE_OQ));
  const __m256 lo = e.each ? _mm256_loadu_ps(e.lo + i) : _mm256_set1_ps(*e.lo);
  const __m256 above = _mm256_cmp_ps(v, _mm256_xor_ps(lo, sign), _CMP_GE_OQ);
  return _mm256_castps_si256(_mm256_and_ps(above, _mm256_cmp_ps(v, hi, _CMP_LE_OQ)));
}

INLINE __m256i beyond16(const uint16_t *x, mask_ends e) {
  const __m256i *lows = (const __m256i *)(const void *)e.lo16, *highs = (const __m256i *)(const void *)e.hi16;
  if (e.twice) {
    const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)x);
    return _mm256_cmpgt_epi16(_mm256_and_si256(v, _mm256_set1_epi16(0x7fff)), _mm256_set1_epi32((int32_t)*e.twice));
  }
  const __m256i hi = e.each ? _mm256_loadu_si256(highs) : _mm256_set1_epi16(*e.hi16);
  const __m256i lo = e.each ? _mm256_loadu_si256(lows) : _mm256_set1_epi16(*e.lo16), keys = order_keys16(x);
  return _mm256_or_si256(_mm256_cmpgt_epi16(lo, keys), _mm256_cmpgt_epi16(keys, hi));
}
#endif

/* Of 32 elements, the first and the last 16 of which have ends of their own. */
INLINE uint32_t bits_of_word(const void *x, int64_t at, mask_ends first, mask_ends last, int is_bf16) {
  const uint16_t *halves = (const uint16_t *)x + at;
  const uint32_t *floats = (const uint32_t *)x + at;
#if defined(__AVX2__)
  if (is_bf16) {
    const __m256i beyond = _mm256_packs_epi16(beyond16(halves, first), beyond16(halves + 16, last));
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(beyond, 0xd8));
  }
  const __m256i low = _mm256_packs_epi32(passing8(floats, first, 0), passing8(floats, first, 8));
  const __m256i high = _mm256_packs_epi32(passing8(floats + 16, last, 0), passing8(floats + 16, last, 8));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return (uint32_t)_mm256_movemask_epi8(_mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order));
#else
  if (is_bf16) return bits_of(halves, 16, first, 1) | bits_of(halves + 16, 16, last, 1) << 16;
  return bits_of(floats, 16, first, 0) | bits_of(floats + 16, 16, last, 0) << 16;
#endif
}

/* Bits that are put one behind the other. */
typedef struct mask_stream {
  uint64_t held;
  int32_t count; /* of these, below 32 */
  uint32_t *to;
} mask_stream;

/* Those of `n` elements of one group. */
INLINE void put_run(mask_stream *s, const void *x, int64_t at, int64_t n, mask_ends ends, int is_bf16) {
  for (int64_t i = 0, left; i < n; i += left) {
    left = n - i < 32 ? n - i : 32;
    const void *rest = (const uint8_t *)x + (at + i) * (is_bf16 ? 2 : 4);
    const uint32_t bits =
        left == 32 ? bits_of_word(x, at + i, ends, ends, is_bf16) : bits_of(rest, left, ends, is_bf16);
    s->held |= (uint64_t)bits << s->count;
    s->count += (int32_t)left;
    if (s->count < 32) continue;
    *s->to++ = (uint32_t)s->held;
    s->held >>= 32;
    s->count -= 32;
  }
}

INLINE void passing_as(const void *x, mfq_stretch span, const mfq_lane_ends *e, uint32_t *bits, int is_bf16) {
  const int64_t words = span.n / 32, run = span.run == 0 ? 1 : span.run;
  int64_t done = 0; /* words */
  if (span.run == 0)
    for (; done < words; ++done)
      bits[done] =
          bits_of_word(x, 32 * done, mask_ends_at(e, 32 * done, 1), mask_ends_at(e, 32 * done + 16, 1), is_bf16);
  for (int64_t lane = span.first; span.run == 16 && done < words; ++done, lane += 2)
    bits[done] = bits_of_word(x, 32 * done, mask_ends_at(e, lane, 0), mask_ends_at(e, lane + 1, 0), is_bf16);
  for (int64_t lane = span.first; span.run == 32 && done < words; ++done, ++lane)
    bits[done] = bits_of_word(x, 32 * done, mask_ends_at(e, lane, 0), mask_ends_at(e, lane, 0), is_bf16);
  mask_stream s = {0, 0, bits + done};
  for (int64_t at = 32 * done, lane = span.first + at / run; at < span.n; at += run, ++lane)
    put_run(&s, x, at, span.n - at < run ? span.n - at : run, mask_ends_at(e, lane, 0), is_bf16);
  if (s.count > 0) *s.to = (uint32_t)s.held;
}

static void passing(mfq_source x, mfq_stretch span, const mfq_lane_ends *e, uint32_t *bits) {
  uint32_t loaded[MFQ_CHUNK];
  if (x.dtype == MFQ_DTYPE_F16) load(loaded, x.data, x.dtype, span.n);
  if (x.dtype == MFQ_DTYPE_BF16)
    passing_as(x.data, span, e, bits, 1);
  else
    passing_as(x.dtype == MFQ_DTYPE_F16 ? loaded : x.data, span, e, bits, 0);
}

/* ---- Gradients by bits ------------------------------------------------------------------------------------------- */

/* `n` bits, at most 32, from bit `at` on; no byte beyond theirs is read. */
INLINE uint32_t bits_at(const uint8_t *bits, int64_t at, int64_t n) {
  const uint8_t *from = bits + at / 8;
  const int32_t shift = (int32_t)(at % 8), bytes = (int32_t)(shift + n + 7) / 8;
  uint64_t v = 0;
  for (int32_t k = 0; k < bytes; ++k) v |= (uint64_t)from[k] << 8 * k;
  return (uint32_t)(v >> shift);
}

INLINE uint32_t bits32_at(const uint8_t *bits, int64_t at) {
  uint32_t low;
  memcpy(&low, bits + at / 8, sizeof low);
  const int32_t shift = (int32_t)(at % 8);
  return shift == 0 ? low : low >> shift | (uint32_t)bits[at / 8 + 4] << (32 - shift);
}

INLINE void pick_floats(const uint32_t *restrict dy, int64_t n, uint32_t bits, uint32_t *restrict dx) {
  for (int64_t j = 0; j < n; ++j) dx[j] = (bits >> j & 1u) != 0 ? mfqn_one_nan(mfqn_float_of(dy[j])) : 0u;
}

/* bf16 or f16, whose infinity is `inf`. */
INLINE void pick_halves(const uint16_t *dy, int64_t n, uint32_t bits, uint16_t inf, uint16_t *dx) {
  const uint16_t nan = inf == 0x7c00u ? 0x7e00u : 0x7fc0u;
  for (int64_t j = 0; j < n; ++j)
    dx[j] = (uint16_t)((bits >> j & 1u) == 0 ? 0u : (dy[j] & 0x7fffu) > inf ? nan : dy[j]);
}

INLINE void pick_16halves(const uint16_t *dy, uint32_t bits, uint16_t inf, uint16_t *dx) {
#if defined(__AVX2__)
  const __m256i power = _mm256_setr_epi16(0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800,
                                          0x1000, 0x2000, 0x4000, -0x8000);
  const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)dy);
  const __m256i nan = _mm256_set1_epi16(inf == 0x7c00u ? 0x7e00 : 0x7fc0);
  const __m256i is_nan =
      _mm256_cmpgt_epi16(_mm256_and_si256(v, _mm256_set1_epi16(0x7fff)), _mm256_set1_epi16((int16_t)inf));
  const __m256i passes = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16((int16_t)bits), power), power);
  _mm256_storeu_si256((__m256i *)(void *)dx, _mm256_and_si256(passes, _mm256_blendv_epi8(v, nan, is_nan)));
#else
  pick_halves(dy, 16, bits, inf, dx);
#endif
}

INLINE void pick_all_halves(const uint16_t *dy, const uint8_t *bits, int64_t first, int64_t n, uint16_t inf,
                            uint16_t *dx) {
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const uint32_t word = bits32_at(bits, first + i);
    pick_16halves(dy + i, word, inf, dx + i);
    pick_16halves(dy + i + 16, word >> 16, inf, dx + i + 16);
  }
  if (i < n) pick_halves(dy + i, n - i, bits_at(bits, first + i, n - i), inf, dx + i);
}

static void pick(mfq_source dy, const uint8_t *bits, int64_t first, int64_t n, void *dx) {
  const uint32_t *x = dy.data;
  uint32_t *to = dx;
  int64_t i = 0;
  if (dy.dtype != MFQ_DTYPE_F32) {
    pick_all_halves(dy.data, bits, first, n, dy.dtype == MFQ_DTYPE_F16 ? 0x7c00u : 0x7f80u, dx);
    return;
  }
  for (; i + 32 <= n; i += 32) pick_floats(x + i, 32, bits32_at(bits, first + i), to + i);
  if (i < n) pick_floats(x + i, n - i, bits_at(bits, first + i, n - i), to + i);
}

#endif
