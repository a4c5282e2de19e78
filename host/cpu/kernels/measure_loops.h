/* host/cpu/kernels/measure_loops.h: the largest magnitude and the range of groups. */
#ifndef MFQ_HOST_CPU_KERNELS_MEASURE_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_MEASURE_LOOPS_H

#include "loops.h"

#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

#if defined(__AVX2__)
/* Of 16, of which compilers make single moves. */
INLINE uint32_t absmax_16(const uint32_t *x) {
  const __m256i mask = _mm256_set1_epi32(MFQN_ABS), *at = (const __m256i *)(const void *)x;
  const __m256i a = _mm256_max_epu32(_mm256_and_si256(_mm256_loadu_si256(at), mask),
                                     _mm256_and_si256(_mm256_loadu_si256(at + 1), mask));
  const __m128i half = _mm_max_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  const __m128i two = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4e));
  return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(two, _mm_shuffle_epi32(two, 0xb1)));
}
#endif

INLINE uint32_t absmax_run(const uint32_t *x, int64_t run) {
#if defined(__AVX2__)
  if (run == 16) return absmax_16(x);
#endif
  uint32_t m = 0;
  for (int64_t j = 0; j < run; ++j) m = mfqn_umax(m, x[j] & MFQN_ABS);
  return m;
}

INLINE void absmax_runs(const uint32_t *restrict x, int64_t runs, int64_t run, uint32_t *restrict m) {
  for (int64_t i = 0; i < runs; ++i) m[i] = mfqn_umax(m[i], absmax_run(x + i * run, run));
}

/* Keys of a run, whose ends have the largest magnitude between them, NaN included. */
INLINE void range_run(const uint32_t *restrict x, int64_t run, mfq_stats *restrict stats, int64_t lane) {
  int32_t low = stats->lo[lane], high = stats->hi[lane];
  for (int64_t j = 0; j < run; ++j) {
    const int32_t key = mfq_order_key(x[j]);
    low = mfqn_min(low, key);
    high = mfqn_max(high, key);
  }
  stats->lo[lane] = low;
  stats->hi[lane] = high;
  stats->absmax[lane] = mfqn_umax(mfq_order_bits(low) & MFQN_ABS, mfq_order_bits(high) & MFQN_ABS);
}

INLINE void measure_whole(const uint32_t *restrict x, int64_t runs, int64_t run, int minmax,
                          mfq_stats *restrict stats) {
  if (minmax)
    for (int64_t i = 0; i < runs; ++i) range_run(x + i * run, run, stats, i);
  else
    absmax_runs(x, runs, run, stats->absmax);
}

static void measure_runs(const uint32_t *x, mfq_stretch span, int minmax, mfq_stats *stats) {
  const int64_t n = span.n, run = span.run, whole = n / run, rest = n - whole * run;
  if (run == 16)
    measure_whole(x, whole, 16, minmax, stats);
  else if (run == 32)
    measure_whole(x, whole, 32, minmax, stats);
  else
    measure_whole(x, whole, run, minmax, stats);
  if (rest && minmax) range_run(x + whole * run, rest, stats, whole);
  if (rest && !minmax) stats->absmax[whole] = mfqn_umax(stats->absmax[whole], absmax_run(x + whole * run, rest));
}

static void measure_elems(const uint32_t *restrict x, int64_t n, int minmax, mfq_stats *restrict stats) {
  for (int64_t i = 0; i < n; ++i) stats->absmax[i] = mfqn_umax(stats->absmax[i], x[i] & MFQN_ABS);
  if (!minmax) return;
  for (int64_t i = 0; i < n; ++i) stats->lo[i] = mfqn_min(stats->lo[i], mfq_order_key(x[i]));
  for (int64_t i = 0; i < n; ++i) stats->hi[i] = mfqn_max(stats->hi[i], mfq_order_key(x[i]));
}

/* bf16 and f16 magnitudes are ordered as integers too: only the largest of a run is widened. */
INLINE uint32_t absmax16_any(const uint16_t *x, int64_t run) {
  uint16_t m = 0;
  for (int64_t j = 0; j < run; ++j) {
    const uint16_t a = x[j] & 0x7fffu;
    m = m > a ? m : a;
  }
  return m;
}

/* Runs of 16 and 32, the common ones. */
#if defined(__SSE4_1__)
/* The largest of 8 lanes in one step: the smallest of their complements. */
INLINE uint32_t largest_of_8(__m128i lanes) {
  const __m128i ones = _mm_set1_epi16(-1);
  return ~(uint32_t)_mm_cvtsi128_si32(_mm_minpos_epu16(_mm_xor_si128(lanes, ones))) & 0xffffu;
}
#endif

INLINE uint32_t absmax16_16(const uint16_t *x) {
#if defined(__AVX2__)
  const __m256i a = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(const void *)x), _mm256_set1_epi16(0x7fff));
  return largest_of_8(_mm_max_epu16(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1)));
#else
  return absmax16_any(x, 16);
#endif
}

INLINE uint32_t absmax16_32(const uint16_t *x) {
#if defined(__AVX512BW__)
  const __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), _mm512_set1_epi16(0x7fff));
  const __m256i half = _mm256_max_epu16(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
  return largest_of_8(_mm_max_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
#elif defined(__AVX2__)
  const __m256i mask = _mm256_set1_epi16(0x7fff), *at = (const __m256i *)(const void *)x;
  const __m256i half = _mm256_max_epu16(_mm256_and_si256(_mm256_loadu_si256(at), mask),
                                        _mm256_and_si256(_mm256_loadu_si256(at + 1), mask));
  return largest_of_8(_mm_max_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
#else
  return absmax16_any(x, 32);
#endif
}

/* Whole runs of 32, and what is left. */
INLINE uint32_t absmax16_long(const uint16_t *x, int64_t run) {
#if defined(__AVX2__)
  const __m256i mask = _mm256_set1_epi16(0x7fff);
  __m256i a = _mm256_setzero_si256(), b = a;
  int64_t j = 0;
  for (; j + 32 <= run; j += 32) {
    const __m256i *at = (const __m256i *)(const void *)(x + j);
    a = _mm256_max_epu16(a, _mm256_and_si256(_mm256_loadu_si256(at), mask));
    b = _mm256_max_epu16(b, _mm256_and_si256(_mm256_loadu_si256(at + 1), mask));
  }
  a = _mm256_max_epu16(a, b);
  const uint32_t m = largest_of_8(_mm_max_epu16(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1)));
  return mfqn_umax(m, absmax16_any(x + j, run - j));
#else
  return absmax16_any(x, run);
#endif
}

static void absmax16(const uint16_t *x, mfq_stretch span, mfq_dtype dtype, mfq_stats *stats) {
  for (int64_t i = 0; i * span.run < span.n; ++i) {
    const int64_t length = span.n - i * span.run < span.run ? span.n - i * span.run : span.run;
    const uint16_t *at = x + i * span.run;
    const uint32_t m = length == 32 ? absmax16_32(at) : length == 16 ? absmax16_16(at) : absmax16_long(at, length);
    const uint32_t wide = dtype == MFQ_DTYPE_BF16 ? mfqn_f32_from_bf16(m) : mfqn_f32_from_f16(m);
    stats->absmax[i] = mfqn_umax(stats->absmax[i], wide);
  }
}

/* The ends of a run as ordered keys, which halves have too. */
typedef struct range16 {
  int16_t lo, hi;
} range16;

INLINE range16 range16_any(const uint16_t *x, int64_t run) {
  range16 r = {INT16_MAX, INT16_MIN};
  for (int64_t j = 0; j < run; ++j) {
    const int16_t key = order_key16(x[j]);
    r.lo = key < r.lo ? key : r.lo;
    r.hi = key > r.hi ? key : r.hi;
  }
  return r;
}

#if defined(__AVX2__)
INLINE __m256i order_keys16(const uint16_t *x) {
  const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)x);
  return _mm256_xor_si256(v, _mm256_and_si256(_mm256_srai_epi16(v, 15), _mm256_set1_epi16(0x7fff)));
}

/* A run of 16 or 32. */
INLINE range16 range16_short(const uint16_t *x, int64_t run) {
  const __m256i a = order_keys16(x), b = run == 32 ? order_keys16(x + 16) : a;
  const __m256i lo = _mm256_min_epi16(a, b), hi = _mm256_max_epi16(a, b);
  const __m128i low = _mm_min_epi16(_mm256_castsi256_si128(lo), _mm256_extracti128_si256(lo, 1));
  const __m128i high = _mm_max_epi16(_mm256_castsi256_si128(hi), _mm256_extracti128_si256(hi, 1));
  const __m128i shift = _mm_set1_epi16(INT16_MIN); /* to unsigned numbers in the same order */
  const uint32_t least = (uint32_t)_mm_cvtsi128_si32(_mm_minpos_epu16(_mm_xor_si128(low, shift)));
  return (range16){(int16_t)(least ^ 0x8000u), (int16_t)(largest_of_8(_mm_xor_si128(high, shift)) ^ 0x8000u)};
}
#else
INLINE range16 range16_short(const uint16_t *x, int64_t run) { return range16_any(x, run); }
#endif

INLINE int32_t wide_key(int16_t key, mfq_dtype dtype) {
  const uint32_t half = (uint16_t)order_key16((uint16_t)key); /* which is its own inverse */
  return mfq_order_key(dtype == MFQ_DTYPE_BF16 ? mfqn_f32_from_bf16(half) : mfqn_f32_from_f16(half));
}

static void ranges16(const uint16_t *x, mfq_stretch span, mfq_dtype dtype, mfq_stats *restrict stats) {
  int16_t lo[MFQ_CHUNK], hi[MFQ_CHUNK];
  const int64_t count = (span.n + span.run - 1) / span.run;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t length = span.n - i * span.run < span.run ? span.n - i * span.run : span.run;
    const uint16_t *at = x + i * span.run;
    const range16 r = length == 32   ? range16_short(at, 32)
                      : length == 16 ? range16_short(at, 16)
                                     : range16_any(at, length);
    lo[i] = r.lo;
    hi[i] = r.hi;
  }
  for (int64_t i = 0; i < count; ++i) stats->lo[i] = mfqn_min(stats->lo[i], wide_key(lo[i], dtype));
  for (int64_t i = 0; i < count; ++i) stats->hi[i] = mfqn_max(stats->hi[i], wide_key(hi[i], dtype));
  for (int64_t i = 0; i < count; ++i)
    stats->absmax[i] = mfqn_umax(mfq_order_bits(stats->lo[i]) & MFQN_ABS, mfq_order_bits(stats->hi[i]) & MFQN_ABS);
}

static void peak16(const uint16_t *restrict x, int64_t n, uint16_t *restrict peak) {
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t a = x[i] & 0x7fffu;
    peak[i] = peak[i] > a ? peak[i] : a;
  }
}

static void measure(const uint32_t *x, mfq_stretch span, int minmax, mfq_stats *stats) {
  if (span.run == 0)
    measure_elems(x, span.n, minmax, stats);
  else
    measure_runs(x, span, minmax, stats);
}

#endif
