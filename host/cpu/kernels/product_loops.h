/* host/cpu/kernels/product_loops.h: strips and blocks of product_kernels.h in vectors of the compiler's. */
#ifndef MFQ_HOST_CPU_KERNELS_PRODUCT_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_PRODUCT_LOOPS_H

#include <string.h>

#include "host/cpu/product/product_kernels.h"
#include "loops.h"

/* A block fills the registers: ROWS x VECTORS sums, a row of B, and one element of A. */
#if defined(__AVX512F__)
enum { VECTOR_BYTES = 64, ROWS = 12 };
#elif defined(__AVX__)
enum { VECTOR_BYTES = 32, ROWS = 6 };
#else
enum { VECTOR_BYTES = 16, ROWS = 6 };
#endif
enum { LANES = VECTOR_BYTES / 4, VECTORS = 2, COLS = VECTORS * LANES };

typedef float vector __attribute__((vector_size(VECTOR_BYTES)));
typedef float loose_vector __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias)); /* anywhere in memory */

typedef enum unit_kind { UNIT_F32, UNIT_BF16, UNIT_PAIR } unit_kind;

/* ---- Strips ----------------------------------------------------------------------------------------------------- */

INLINE uint32_t bf16_at(const uint8_t *data, int64_t index) {
  uint16_t half;
  memcpy(&half, data + 2 * index, 2);
  return half;
}

INLINE uint32_t word_at(const uint8_t *data) {
  uint32_t word;
  memcpy(&word, data, 4);
  return word;
}

/* The unit that begins with element `index`; in a pair the other one is `next` elements on. */
INLINE uint32_t unit_at(const uint8_t *data, int64_t index, int64_t next, unit_kind kind) {
  if (kind == UNIT_F32) return word_at(data + 4 * index);
  if (kind == UNIT_BF16) return bf16_at(data, index) << 16;
  return bf16_at(data, index) | bf16_at(data, index + next) << 16;
}

/* Lanes side by side in memory, or any strides; fewer lanes than the width leave zeros. */
INLINE void pack_units(uint32_t *restrict to, const mfq_strip *s, int64_t lane_stride, int width, unit_kind kind) {
  const int64_t step = kind == UNIT_PAIR ? 2 : 1, units = s->depth / step;
  const int lanes = (int)s->lanes;
  for (int64_t u = 0; u < units; ++u, to += width) {
    const int64_t first = u * step * s->depth_stride;
    if (lanes == width) {
      for (int lane = 0; lane < width; ++lane)
        to[lane] = unit_at(s->data, first + lane * lane_stride, s->depth_stride, kind);
      continue;
    }
    for (int lane = 0; lane < lanes; ++lane)
      to[lane] = unit_at(s->data, first + lane * lane_stride, s->depth_stride, kind);
    for (int lane = lanes; lane < width; ++lane) to[lane] = 0;
  }
}

typedef uint32_t quad __attribute__((vector_size(16)));
typedef uint16_t half_quad __attribute__((vector_size(8)));

/* Four units that follow each other in memory, the first one beginning with element `index`. */
INLINE quad quad_at(const uint8_t *data, int64_t index, unit_kind kind) {
  if (kind == UNIT_BF16) {
    half_quad halves;
    memcpy(&halves, data + 2 * index, sizeof halves);
    return __builtin_convertvector(halves, quad) << 16;
  }
  quad units;
  memcpy(&units, data + (kind == UNIT_F32 ? 4 : 2) * index, sizeof units);
  return units;
}

/* Four of the eight numbers in `a` and `b`, at constant places. */
INLINE quad pick(quad a, quad b, quad places) {
#if defined(__clang__)
  quad picked;
  for (int i = 0; i < 4; ++i) picked[i] = places[i] < 4 ? a[places[i]] : b[places[i] - 4];
  return picked;
#else
  return __builtin_shuffle(a, b, places);
#endif
}

/* Four units of four lanes, turned. */
INLINE void pack_square(uint32_t *restrict to, const uint8_t *data, int64_t index, int64_t lane_stride, int width,
                        unit_kind kind) {
  const quad left = {0, 4, 1, 5}, right = {2, 6, 3, 7}, lower = {0, 1, 4, 5}, upper = {2, 3, 6, 7};
  quad x[4];
  for (int i = 0; i < 4; ++i) x[i] = quad_at(data, index + i * lane_stride, kind);
  const quad pairs[2][2] = {{pick(x[0], x[1], left), pick(x[2], x[3], left)},
                            {pick(x[0], x[1], right), pick(x[2], x[3], right)}};
  const quad units[4] = {pick(pairs[0][0], pairs[0][1], lower), pick(pairs[0][0], pairs[0][1], upper),
                         pick(pairs[1][0], pairs[1][1], lower), pick(pairs[1][0], pairs[1][1], upper)};
  for (int i = 0; i < 4; ++i) memcpy(to + i * width, &units[i], sizeof units[i]);
}

/* Units that follow each other in memory, of a full strip. */
INLINE void pack_turned(uint32_t *restrict to, const mfq_strip *s, int width, unit_kind kind) {
  const int64_t step = kind == UNIT_PAIR ? 2 : 1, units = s->depth / step, squares = units / 4 * 4;
  int lane = 0;
  for (; lane + 4 <= width; lane += 4)
    for (int64_t u = 0; u < squares; u += 4)
      pack_square(to + u * width + lane, s->data, lane * s->lane_stride + u * step, s->lane_stride, width, kind);
  for (int i = 0; i < width; ++i)
    for (int64_t u = i < lane ? squares : 0; u < units; ++u)
      to[u * width + i] = unit_at(s->data, i * s->lane_stride + u * step, 1, kind);
}

/* The last unit of an odd depth has one element. */
INLINE void pack_half(uint32_t *restrict to, const mfq_strip *s, int width) {
  for (int lane = 0; lane < width; ++lane)
    to[lane] = lane < s->lanes ? bf16_at(s->data, lane * s->lane_stride + (s->depth - 1) * s->depth_stride) : 0;
}

INLINE void pack_strip(uint32_t *restrict to, const mfq_strip *s, int width, unit_kind kind) {
  if (s->lane_stride == 1)
    pack_units(to, s, 1, width, kind);
  else if (s->depth_stride == 1 && s->lanes == width)
    pack_turned(to, s, width, kind);
  else
    pack_units(to, s, s->lane_stride, width, kind);
  if (kind == UNIT_PAIR && s->depth % 2 != 0) pack_half(to + s->depth / 2 * width, s, width);
}

static void pack_f32(uint32_t *restrict to, const mfq_strip *from, int32_t width) {
  const unit_kind kind = from->dtype == MFQ_DTYPE_F32 ? UNIT_F32 : UNIT_BF16;
  if (width == ROWS && kind == UNIT_F32) pack_strip(to, from, ROWS, UNIT_F32);
  if (width == ROWS && kind == UNIT_BF16) pack_strip(to, from, ROWS, UNIT_BF16);
  if (width == COLS && kind == UNIT_F32) pack_strip(to, from, COLS, UNIT_F32);
  if (width == COLS && kind == UNIT_BF16) pack_strip(to, from, COLS, UNIT_BF16);
}

/* ---- Blocks ----------------------------------------------------------------------------------------------------- */

/* Part of a block of sums to D. */
static void put_part(const mfq_block *block, const float *sums) {
  for (int64_t r = 0; r < block->rows; ++r, sums += COLS) {
    float *d = block->d + r * block->row_stride;
    for (int64_t c = 0; c < block->cols; ++c) d[c] = block->add ? d[c] + sums[c] : sums[c];
  }
}

INLINE void put_rows(const mfq_block *block, vector sum[ROWS][VECTORS], const int rows) {
  if (block->cols < COLS) {
    vector all[ROWS][VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < rows * VECTORS; ++i) all[i / VECTORS][i % VECTORS] = sum[i / VECTORS][i % VECTORS];
    put_part(block, (const float *)(const void *)all);
    return;
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    if (r >= block->rows) return;
    loose_vector *d = (loose_vector *)(void *)(block->d + r * block->row_stride);
#pragma GCC unroll 2
    for (int v = 0; v < VECTORS; ++v) {
      if (block->add) sum[r][v] += d[v];
      d[v] = sum[r][v];
    }
  }
}

/* The first `rows` lanes of strip A, a constant, so that the sums stay in registers. */
INLINE void multiply_rows(const float *restrict a, const float *restrict b, int64_t units, const mfq_block *block,
                          const int rows) {
  vector sum[ROWS][VECTORS] = {0};
  for (int64_t u = 0; u < units; ++u, a += ROWS, b += COLS) {
    const loose_vector *row_of_b = (const loose_vector *)(const void *)b;
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < VECTORS; ++v) sum[r][v] += a[r] * row_of_b[v];
  }
  put_rows(block, sum, rows);
}

static void multiply_f32(const uint32_t *a, const uint32_t *b, int64_t units, const mfq_block *block) {
  const float *x = (const float *)(const void *)a, *y = (const float *)(const void *)b;
  if (block->rows == 1)
    multiply_rows(x, y, units, block, 1);
  else if (block->rows == 2)
    multiply_rows(x, y, units, block, 2);
  else if (block->rows <= 4)
    multiply_rows(x, y, units, block, 4);
  else if (block->rows <= ROWS / 2 + 2)
    multiply_rows(x, y, units, block, ROWS / 2 + 2);
  else
    multiply_rows(x, y, units, block, ROWS);
}

/* ---- Channels side by side -------------------------------------------------------------------------------------- */

static void accumulate(float *restrict sums, const void *x, mfq_dtype dtype, const float *restrict w, int64_t n) {
  const float *wide = x;
  const uint16_t *narrow = x;
  if (dtype == MFQ_DTYPE_F32) {
    for (int64_t i = 0; i < n; ++i) sums[i] += wide[i] * w[i];
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = (uint32_t)narrow[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    sums[i] += value * w[i];
  }
}

#endif
