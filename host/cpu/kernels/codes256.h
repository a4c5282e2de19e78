/* host/cpu/kernels/codes256.h: codes of a byte to bf16 by arithmetic and tables in registers, 16 at a time, with AVX2. */
#ifndef MFQ_HOST_CPU_KERNELS_CODES256_H
#define MFQ_HOST_CPU_KERNELS_CODES256_H

#include "codes512.h"

#if defined(__AVX2__)
#include <immintrin.h>

/* 16 words of which the lower bytes are looked up by `low` and the upper ones by `high`. */
typedef struct table256 {
  __m256i low, high;
} table256;

INLINE table256 table_of_words(__m256i words) {
  const __m256i low = _mm256_and_si256(words, _mm256_set1_epi16(0xff)), high = _mm256_srli_epi16(words, 8);
  /* The bytes of all 16 words, in order, in both halves. */
  const __m256i lows = _mm256_permute4x64_epi64(_mm256_packus_epi16(low, low), 0x88);
  const __m256i highs = _mm256_permute4x64_epi64(_mm256_packus_epi16(high, high), 0x88);
  return (table256){lows, highs};
}
#endif

#if defined(__AVX2__) && !defined(MFQ_CODES512)
#define MFQ_CODES256 1

INLINE table256 load_table(const uint16_t *values) {
  return table_of_words(_mm256_loadu_si256((const __m256i *)(const void *)values));
}

/* The words of indices below 16, one in each word; of others anything. */
INLINE __m256i look_up(const table256 *t, __m256i indices) {
  const __m256i at = _mm256_or_si256(indices, _mm256_set1_epi16((int16_t)0x8000)); /* upper bytes become 0 */
  return _mm256_or_si256(_mm256_shuffle_epi8(t->low, at), _mm256_slli_epi16(_mm256_shuffle_epi8(t->high, at), 8));
}

#endif
#endif
