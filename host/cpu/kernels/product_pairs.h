/* host/cpu/kernels/product_pairs.h: the same for pairs of bf16, by the instruction that multiplies and adds two.
 *
 * VDPBF16PS takes numbers below 2^-126 for zero, and rounds each of its two sums to nearest even. */
#ifndef MFQ_HOST_CPU_KERNELS_PRODUCT_PAIRS_H
#define MFQ_HOST_CPU_KERNELS_PRODUCT_PAIRS_H

#include "product_loops.h"

#if defined(__AVX512BW__) && (defined(__clang__) || __GNUC__ >= 10)
#include <immintrin.h>
#define MFQ_HAS_PAIRS 1

/* Beyond what the rest is compiled for: the caller has asked the processor. */
#define WITH_BF16 __attribute__((target("avx512bf16")))

static void pack_pairs(uint32_t *restrict to, const mfq_strip *from, int32_t width) {
  if (width == ROWS)
    pack_strip(to, from, ROWS, UNIT_PAIR);
  else
    pack_strip(to, from, COLS, UNIT_PAIR);
}

INLINE WITH_BF16 void multiply_pair_rows(const uint32_t *restrict a, const uint32_t *restrict b, int64_t units,
                                         const mfq_block *block, const int rows) {
  vector sum[ROWS][VECTORS] = {0};
  for (int64_t u = 0; u < units; ++u, a += ROWS, b += COLS) {
    const __m512bh row_of_b[VECTORS] = {(__m512bh)_mm512_loadu_si512(b), (__m512bh)_mm512_loadu_si512(b + LANES)};
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const __m512bh lane_of_a = (__m512bh)_mm512_set1_epi32((int)a[r]);
#pragma GCC unroll 2
      for (int v = 0; v < VECTORS; ++v) sum[r][v] = (vector)_mm512_dpbf16_ps((__m512)sum[r][v], lane_of_a, row_of_b[v]);
    }
  }
  put_rows(block, sum, rows);
}

static WITH_BF16 void multiply_pairs(const uint32_t *a, const uint32_t *b, int64_t units, const mfq_block *block) {
  if (block->rows == 1)
    multiply_pair_rows(a, b, units, block, 1);
  else if (block->rows == 2)
    multiply_pair_rows(a, b, units, block, 2);
  else if (block->rows <= 4)
    multiply_pair_rows(a, b, units, block, 4);
  else if (block->rows <= 8)
    multiply_pair_rows(a, b, units, block, 8);
  else
    multiply_pair_rows(a, b, units, block, ROWS);
}

#endif
#endif
