/* host/cpu/kernels/rotate_loops.h: rotations of float32 in vectors of the compiler's: runs that follow each other, and
 * columns of a tile. The sums of num/rotate.h, in their order. */
#ifndef MFQ_HOST_CPU_KERNELS_ROTATE_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_ROTATE_LOOPS_H

#include <string.h>

#include "convert_loops.h"

enum { EIGHT = 8, TILE_EIGHTS = 2, TILE_COLS = TILE_EIGHTS * EIGHT };
typedef float eight __attribute__((vector_size(32)));
typedef uint32_t eight_bits __attribute__((vector_size(32)));
typedef uint32_t eight_anywhere __attribute__((vector_size(32), aligned(4), may_alias));

/* What is xored to each element before its sums and behind them. */
typedef struct rotate_signs {
  uint32_t in[MFQN_ROTATION_MAX], out[MFQN_ROTATION_MAX];
} rotate_signs;

INLINE void rotate_signs_make(const mfqn_rotation *r, int is_inverse, rotate_signs *signs) {
  for (int32_t k = 0; k < r->size; ++k) {
    const uint32_t sign = mfqn_rotation_sign(r, k);
    signs->in[k] = is_inverse ? 0u : sign;
    signs->out[k] = is_inverse ? sign : 0u;
  }
}

/* The factor, the signs, and one NaN. */
INLINE void rotate_out(eight_anywhere *to, const eight *sum, float factor, const eight_bits *signs) {
  const eight y = *sum * factor;
  const eight_bits is_nan = (eight_bits)(y != y);
  *to = (((eight_bits)y ^ *signs) & ~is_nan) | (is_nan & MFQN_NAN);
}

INLINE void butterfly(eight *a, eight *b) {
  const eight sum = *a + *b, difference = *a - *b;
  *a = sum;
  *b = difference;
}

/* Strides 1, 2 and 4: each element and its partner, one of the two negated. */
INLINE void butterflies_within(eight *x) {
  const uint32_t s = 0x80000000u;
  const eight_bits second[] = {{0, s, 0, s, 0, s, 0, s}, {0, 0, s, s, 0, 0, s, s}, {0, 0, 0, 0, s, s, s, s}};
  *x = __builtin_shufflevector(*x, *x, 1, 0, 3, 2, 5, 4, 7, 6) + (eight)((eight_bits)*x ^ second[0]);
  *x = __builtin_shufflevector(*x, *x, 2, 3, 0, 1, 6, 7, 4, 5) + (eight)((eight_bits)*x ^ second[1]);
  *x = __builtin_shufflevector(*x, *x, 4, 5, 6, 7, 0, 1, 2, 3) + (eight)((eight_bits)*x ^ second[2]);
}

/* Eight elements as float32 bits. */
INLINE void load_eight(const void *from, const int is_half, eight_bits *to) {
  typedef uint16_t eight_halves __attribute__((vector_size(16)));
  eight_halves halves;
  if (!is_half) {
    memcpy(to, from, sizeof *to);
    return;
  }
  memcpy(&halves, from, sizeof halves);
  *to = __builtin_convertvector(halves, eight_bits) << 16;
}

/* One rotation of as many vectors, of f32 or bf16. */
INLINE void rotate_run(const uint8_t *from, const int is_half, uint32_t *to, const rotate_signs *signs, float factor,
                       const int vectors) {
  eight_anywhere *at = (eight_anywhere *)(void *)to;
  const eight_anywhere *in = (const eight_anywhere *)(const void *)signs->in;
  const eight_anywhere *out = (const eight_anywhere *)(const void *)signs->out;
  eight x[MFQN_ROTATION_MAX / EIGHT];
#pragma GCC unroll 16
  for (int i = 0; i < vectors; ++i) {
    eight_bits bits;
    load_eight(from + i * EIGHT * (is_half ? 2 : 4), is_half, &bits);
    x[i] = (eight)(bits ^ in[i]);
    butterflies_within(&x[i]);
  }
#pragma GCC unroll 4
  for (int stride = 1; stride < vectors; stride *= 2)
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i)
      if ((i & stride) == 0) butterfly(&x[i], &x[i + stride]);
#pragma GCC unroll 16
  for (int i = 0; i < vectors; ++i) {
    const eight_bits sign = out[i];
    rotate_out(&at[i], &x[i], factor, &sign);
  }
}

INLINE void rotate_runs_of(const mfqn_rotation *r, const rotate_signs *signs, const uint8_t *x, const int is_half,
                           int64_t n, uint32_t *y) {
  const float factor = mfqn_rotation_factor(r);
  const int64_t bytes = r->size * (is_half ? 2 : 4);
  for (int64_t i = 0; i < n; i += r->size, x += bytes) switch (r->size) {
      case 16: rotate_run(x, is_half, y + i, signs, factor, 2); break;
      case 32: rotate_run(x, is_half, y + i, signs, factor, 4); break;
      case 64: rotate_run(x, is_half, y + i, signs, factor, 8); break;
      default: rotate_run(x, is_half, y + i, signs, factor, 16);
    }
}

static void rotate_runs(const mfqn_rotation *r, int is_inverse, mfq_source x, int64_t n, uint32_t *y) {
  rotate_signs signs;
  rotate_signs_make(r, is_inverse, &signs);
  if (x.dtype == MFQ_DTYPE_BF16) {
    rotate_runs_of(r, &signs, x.data, 1, n, y);
    return;
  }
  if (x.dtype == MFQ_DTYPE_F16) load_f16(y, x.data, n);
  rotate_runs_of(r, &signs, x.dtype == MFQ_DTYPE_F16 ? (const void *)y : x.data, 0, n, y);
}

typedef struct rotate_tile {
  eight row[MFQN_ROTATION_MAX][TILE_EIGHTS];
} rotate_tile;

/* Two strides at a time, and one where it is left. */
INLINE void tile_butterflies(rotate_tile *t, int32_t n) {
  int32_t s = 1;
  for (; s * 4 <= n; s *= 4)
    for (int32_t first = 0; first < n; first += 4 * s)
      for (int32_t k = first; k < first + s; ++k)
        for (int j = 0; j < TILE_EIGHTS; ++j) {
          eight a = t->row[k][j], b = t->row[k + s][j], c = t->row[k + 2 * s][j], d = t->row[k + 3 * s][j];
          butterfly(&a, &b);
          butterfly(&c, &d);
          butterfly(&a, &c);
          butterfly(&b, &d);
          t->row[k][j] = a;
          t->row[k + s][j] = b;
          t->row[k + 2 * s][j] = c;
          t->row[k + 3 * s][j] = d;
        }
  for (int32_t k = 0; k < s && s < n; ++k)
    for (int j = 0; j < TILE_EIGHTS; ++j) butterfly(&t->row[k][j], &t->row[k + s][j]);
}

INLINE void rotate_columns_of_tile(const rotate_signs *signs, float factor, int32_t n, uint32_t *x, int64_t ld) {
  rotate_tile t;
  for (int32_t k = 0; k < n; ++k)
    for (int j = 0; j < TILE_EIGHTS; ++j)
      t.row[k][j] = (eight)(((const eight_anywhere *)(const void *)(x + k * ld))[j] ^ signs->in[k]);
  tile_butterflies(&t, n);
  for (int32_t k = 0; k < n; ++k) {
    const eight_bits sign = signs->out[k] - (eight_bits){0};
    for (int j = 0; j < TILE_EIGHTS; ++j)
      rotate_out((eight_anywhere *)(void *)(x + k * ld) + j, &t.row[k][j], factor, &sign);
  }
}

/* `cols` columns of one rotation, whose rows are `ld` apart. */
static void rotate_columns(const mfqn_rotation *r, int is_inverse, uint32_t *x, int64_t cols, int64_t ld) {
  rotate_signs signs;
  const float factor = mfqn_rotation_factor(r);
  const int32_t n = r->size;
  rotate_signs_make(r, is_inverse, &signs);
  int64_t c = 0;
  for (; c + TILE_COLS <= cols; c += TILE_COLS) rotate_columns_of_tile(&signs, factor, n, x + c, ld);
  if (c == cols) return;
  const size_t left = (size_t)(cols - c) * sizeof *x;
  uint32_t last[MFQN_ROTATION_MAX][TILE_COLS] = {{0}};
  for (int32_t k = 0; k < n; ++k) memcpy(last[k], x + k * ld + c, left);
  rotate_columns_of_tile(&signs, factor, n, last[0], TILE_COLS);
  for (int32_t k = 0; k < n; ++k) memcpy(x + k * ld + c, last[k], left);
}

#endif
