/* host/cpu/kernels/convert_loops.h: plain elements to float32 bits and back. */
#ifndef MFQ_HOST_CPU_KERNELS_CONVERT_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_CONVERT_LOOPS_H

#include "loops.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

/* The processor's own conversions of f16 are exact or round to nearest even, in every mode; NaN is canonical before
 * them. */
static inline void load_f16(uint32_t *restrict x, const uint16_t *restrict h, int64_t n) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps((float *)(void *)(x + i),
                     _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(h + i))));
#endif
  for (; i < n; ++i) x[i] = mfqn_f32_from_f16(h[i]);
}

static inline void store_f16(uint16_t *restrict h, const uint32_t *restrict x, int64_t n) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128((__m128i *)(void *)(h + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps((const float *)(const void *)(x + i)), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < n; ++i) h[i] = (uint16_t)mfqn_f16_from_f32(x[i]);
}

static inline void load(uint32_t *restrict x, const void *restrict src, mfq_dtype dtype, int64_t n) {
  const uint16_t *restrict h = src;
  if (dtype == MFQ_DTYPE_F32)
    memcpy(x, src, (size_t)n * sizeof *x);
  else if (dtype == MFQ_DTYPE_BF16)
    for (int64_t i = 0; i < n; ++i) x[i] = mfqn_f32_from_bf16(h[i]);
  else
    load_f16(x, h, n);
}

static inline void store(void *restrict dst, mfq_dtype dtype, const uint32_t *restrict x, int64_t n) {
  uint16_t *restrict h = dst;
  if (dtype == MFQ_DTYPE_F32)
    memcpy(dst, x, (size_t)n * sizeof *x);
  else if (dtype == MFQ_DTYPE_BF16)
    for (int64_t i = 0; i < n; ++i) h[i] = (uint16_t)mfqn_bf16_from_f32(x[i]);
  else
    store_f16(h, x, n);
}

static inline void store_limited(void *restrict dst, mfq_dtype dtype, const uint32_t *restrict x, int64_t n) {
  enum { PART = 512 };
  const uint32_t limit = dtype == MFQ_DTYPE_BF16 ? MFQN_BF16_LIMIT : MFQN_F16_LIMIT;
  uint16_t *restrict h = dst;
  uint32_t y[PART];
  for (int64_t i = 0; i < n && dtype != MFQ_DTYPE_F32; i += PART) {
    const int64_t count = n - i < PART ? n - i : PART;
    for (int64_t j = 0; j < count; ++j) y[j] = mfqn_limit_finite(x[i + j], limit);
    store(h + i, dtype, y, count);
  }
  if (dtype == MFQ_DTYPE_F32) memcpy(dst, x, (size_t)n * sizeof *x);
}

static inline void store_top_half(uint16_t *restrict dst, const uint32_t *restrict x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = (uint16_t)(x[i] >> 16);
}

#endif
