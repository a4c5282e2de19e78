/* host/cpu/kernels/codes512.h: packed codes to bf16 by tables in registers, 32 at a time, with AVX-512. */
#ifndef MFQ_HOST_CPU_KERNELS_CODES512_H
#define MFQ_HOST_CPU_KERNELS_CODES512_H

#include "loops.h"

#if defined(__AVX512BW__) && defined(__AVX512VL__)
#define MFQ_CODES512 1
#include <immintrin.h>

/* The bf16 values of 2^bits codes: 4 bits take part of the first register, 6 two, 8 all. */
typedef struct table512 {
  __m512i part[8];
} table512;

INLINE table512 load_table(const uint16_t *values, int bits) {
  table512 t;
  for (int i = 0; i < 8; ++i) t.part[i] = _mm512_setzero_si512();
  if (bits == 4) {
    t.part[0] = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)values));
  } else {
    const int parts = bits == 6 ? 2 : 8;
    for (int i = 0; i < parts; ++i) t.part[i] = _mm512_loadu_si512((const void *)(values + 32 * i));
  }
  return t;
}

/* Each byte once as it is and once shifted: its two codes in two words. */
INLINE __m512i codes_of_4(const uint8_t *src) {
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)src));
  const __m512i low = _mm512_set1_epi32(0x000f000f);
  return _mm512_ternarylogic_epi32(bytes, _mm512_slli_epi32(bytes, 12), low, 0xa8); /* (a | b) & c */
}

/* 6 bytes are 8 codes: to each lane of 16 bytes its 6, to each word the two bytes that its code touches, then shifted.
 * The upper bits of a word stay as they are: looking up ignores them. Reads 24 bytes. */
INLINE __m512i codes_of_6(const uint8_t *src) {
  const __m512i words = _mm512_set_epi16(0, 0, 0, 0, 12, 11, 10, 9, 0, 0, 0, 0, 9, 8, 7, 6, 0, 0, 0, 0, 6, 5, 4, 3, 0,
                                         0, 0, 0, 3, 2, 1, 0);
  const __m128i first = _mm_loadu_si128((const __m128i *)(const void *)src);
  const __m128i rest = _mm_loadl_epi64((const __m128i *)(const void *)(src + 16));
  const __m512i raw = _mm512_inserti32x4(_mm512_castsi128_si512(first), rest, 1);
  const __m512i lanes = _mm512_permutexvar_epi16(words, raw);
  const __m512i pairs =
      _mm512_shuffle_epi8(lanes, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 0, 1, 1, 2, 2, 3, 3, 4, 3, 4, 4, 5, 5, 6)));
  return _mm512_srlv_epi16(pairs, _mm512_broadcast_i32x4(_mm_setr_epi16(0, 6, 4, 2, 0, 6, 4, 2)));
}

INLINE __m512i codes_of(const uint8_t *src, int bits) {
  if (bits == 4) return codes_of_4(src);
  if (bits == 6) return codes_of_6(src);
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)src));
}

INLINE __m512i look_up(const table512 *t, __m512i codes, int bits) {
  if (bits == 4) return _mm512_permutexvar_epi16(codes, t->part[0]);
  const __m512i first = _mm512_permutex2var_epi16(t->part[0], codes, t->part[1]);
  if (bits == 6) return first;
  const __m512i second = _mm512_permutex2var_epi16(t->part[2], codes, t->part[3]);
  const __m512i third = _mm512_permutex2var_epi16(t->part[4], codes, t->part[5]);
  const __m512i fourth = _mm512_permutex2var_epi16(t->part[6], codes, t->part[7]);
  const __mmask32 bit6 = _mm512_test_epi16_mask(codes, _mm512_set1_epi16(64));
  const __mmask32 bit7 = _mm512_test_epi16_mask(codes, _mm512_set1_epi16(128));
  return _mm512_mask_blend_epi16(bit7, _mm512_mask_blend_epi16(bit6, first, second),
                                 _mm512_mask_blend_epi16(bit6, third, fourth));
}

#endif
#endif
