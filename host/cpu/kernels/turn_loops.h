/* host/cpu/kernels/turn_loops.h: matrices of 8, 16 or 32-bit elements transposed, in squares of 16 bytes by 16 bytes,
 * and rows woven into each other. */
#ifndef MFQ_HOST_CPU_KERNELS_TURN_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_TURN_LOOPS_H

#include "loops.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* A matrix; strides are in bytes. */
typedef struct turn_job {
  uint8_t *dst;
  int64_t dst_ld;
  const uint8_t *src;
  int64_t src_ld;
  int64_t rows, cols; /* of src */
} turn_job;

INLINE turn_job turn_at(turn_job t, int64_t row, int64_t col, int bits) {
  t.dst += col * t.dst_ld + row * bits / 8;
  t.src += row * t.src_ld + col * bits / 8;
  return t;
}

#if defined(__SSE2__)
/* Interleaves rows k and k + side / 2: after log2(side) such steps rows have become columns. */
INLINE void turn_step(__m128i *restrict to, const __m128i *restrict from, int bits) {
  const int half = 64 / bits;
  for (int k = 0; k < half; ++k) {
    const __m128i a = from[k], b = from[k + half];
    to[2 * k] = bits == 8 ? _mm_unpacklo_epi8(a, b) : bits == 16 ? _mm_unpacklo_epi16(a, b) : _mm_unpacklo_epi32(a, b);
    to[2 * k + 1] = bits == 8    ? _mm_unpackhi_epi8(a, b)
                    : bits == 16 ? _mm_unpackhi_epi16(a, b)
                                 : _mm_unpackhi_epi32(a, b);
  }
}

INLINE void turn_square(turn_job t, int bits) {
  const int side = 128 / bits;
  __m128i a[16], b[16];
  for (int k = 0; k < side; ++k) a[k] = _mm_loadu_si128((const __m128i *)(const void *)(t.src + k * t.src_ld));
  turn_step(b, a, bits);
  turn_step(a, b, bits);
  if (bits != 32) turn_step(b, a, bits);
  if (bits == 8) turn_step(a, b, bits);
  for (int k = 0; k < side; ++k) _mm_storeu_si128((__m128i *)(void *)(t.dst + k * t.dst_ld), bits == 16 ? b[k] : a[k]);
}
#endif

#if defined(__AVX512BW__)
/* The same for four squares, one below the other. */
INLINE void turn_step4(__m512i *restrict to, const __m512i *restrict from, int bits) {
  const int half = 64 / bits;
  for (int k = 0; k < half; ++k) {
    const __m512i a = from[k], b = from[k + half];
    to[2 * k] = bits == 8    ? _mm512_unpacklo_epi8(a, b)
                : bits == 16 ? _mm512_unpacklo_epi16(a, b)
                             : _mm512_unpacklo_epi32(a, b);
    to[2 * k + 1] = bits == 8    ? _mm512_unpackhi_epi8(a, b)
                    : bits == 16 ? _mm512_unpackhi_epi16(a, b)
                                 : _mm512_unpackhi_epi32(a, b);
  }
}

INLINE void turn_squares(turn_job t, int bits) {
  const int side = 128 / bits;
  __m512i a[16], b[16];
  for (int k = 0; k < side; ++k) {
    __m128i row[4];
    for (int i = 0; i < 4; ++i)
      row[i] = _mm_loadu_si128((const __m128i *)(const void *)(t.src + (k + i * side) * t.src_ld));
    const __m512i two = _mm512_inserti32x4(_mm512_castsi128_si512(row[0]), row[1], 1);
    a[k] = _mm512_inserti32x4(_mm512_inserti32x4(two, row[2], 2), row[3], 3);
  }
  turn_step4(b, a, bits);
  turn_step4(a, b, bits);
  if (bits != 32) turn_step4(b, a, bits);
  if (bits == 8) turn_step4(a, b, bits);
  for (int k = 0; k < side; ++k) _mm512_storeu_si512(t.dst + k * t.dst_ld, bits == 16 ? b[k] : a[k]);
}
#endif

/* In blocks, the last ones of rows and columns lying over those before. Returns 0 where none fits. */
INLINE int turn_by_blocks(turn_job t, int bits) {
#if defined(__SSE2__)
  const int64_t side = 128 / bits;
  int64_t height = side;
#if defined(__AVX512BW__)
  if (t.rows >= 4 * side) height = 4 * side;
#endif
  if (t.rows < height || t.cols < side) return 0;
  for (int64_t c = 0; c < t.cols; c += side) {
    if (c > t.cols - side) c = t.cols - side;
    for (int64_t r = 0; r < t.rows; r += height) {
      if (r > t.rows - height) r = t.rows - height;
#if defined(__AVX512BW__)
      if (height > side) {
        turn_squares(turn_at(t, r, c, bits), bits);
        continue;
      }
#endif
      turn_square(turn_at(t, r, c, bits), bits);
    }
  }
  return 1;
#else
  (void)t, (void)bits;
  return 0;
#endif
}

static void turn16(uint16_t *dst, int64_t dst_ld, const uint16_t *src, int64_t src_ld, int64_t rows, int64_t cols) {
  const turn_job t = {(uint8_t *)dst, 2 * dst_ld, (const uint8_t *)src, 2 * src_ld, rows, cols};
  if (turn_by_blocks(t, 16)) return;
  for (int64_t c = 0; c < cols; ++c)
    for (int64_t r = 0; r < rows; ++r) dst[c * dst_ld + r] = src[r * src_ld + c];
}

static void turn32(uint32_t *dst, int64_t dst_ld, const uint32_t *src, int64_t src_ld, int64_t rows, int64_t cols) {
  const turn_job t = {(uint8_t *)dst, 4 * dst_ld, (const uint8_t *)src, 4 * src_ld, rows, cols};
  if (turn_by_blocks(t, 32)) return;
  for (int64_t c = 0; c < cols; ++c)
    for (int64_t r = 0; r < rows; ++r) dst[c * dst_ld + r] = src[r * src_ld + c];
}

static void weave16(uint16_t *restrict dst, const uint16_t *restrict a, const uint16_t *restrict b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    dst[2 * i] = a[i];
    dst[2 * i + 1] = b[i];
  }
}

#endif
