/* cuda/produce/map_kernel.cuh: results to a plain tensor, to float32 in scratch memory, or to both: a piece a thread, or of
 * pairs two. */
#ifndef MFQ_CUDA_PRODUCE_MAP_KERNEL_CUH
#define MFQ_CUDA_PRODUCE_MAP_KERNEL_CUH

#include "cuda/index_plans.h"
#include "made_value.cuh"

typedef struct map_params {
  made_params made; /* of pairs the columns are those of the inputs, and make.pairs is none */
  made_side dense;  /* float32, row by row; data NULL: not wanted */
  int32_t is_dense_wide;
  int32_t pairs;
} map_params;

__device__ __forceinline__ void thread_store_results(const map_params &p, int64_t row, int64_t col, int count,
                                                     const piece8 &y) {
  const made_params &m = p.made;
  if (m.plain.of.data)
    thread_store_piece(m.plain, thread_row_offset(m, m.plain, row) + col * m.plain.col, count, m.is_plain_wide, y);
  if (p.dense.of.data) thread_store_piece(p.dense, row * p.dense.rows[0] + col, count, p.is_dense_wide, y);
}

__global__ void __launch_bounds__(ITEM_THREADS, 3) made_map_kernel(const __grid_constant__ map_params p) {
  const int64_t pieces = (int64_t)p.made.pieces.value;
  for (int64_t i = thread_item(); i < p.made.rows * pieces; i += thread_items()) {
    const int64_t line = thread_divide(i, p.made.pieces), row = p.made.first + line, col = (i - line * pieces) * PIECE;
    const int count = p.made.cols - col < PIECE ? (int)(p.made.cols - col) : PIECE;
    thread_store_results(p, row, col, count, thread_make_piece(p.made, row, col, count));
  }
}

/* ---- Pairs ------------------------------------------------------------------------------------------------------- */

/* Both results of each element: the first ones to `a`, the second ones to `b`. */
__device__ __forceinline__ void thread_make_both(const made_params &p, made_piece &x) {
  const mfqn_row none = {{0.0f, 0.0f, 0.0f, 0.0f}};
  if (p.make.op == MFQN_MAKE_ROTARY) {
    x.parts = 0;
    const piece8 first = thread_make_each<MFQN_MAKE_ROTARY>(p.make, x, none);
    x.parts = 0xff;
    x.b = thread_make_each<MFQN_MAKE_ROTARY>(p.make, x, none);
    x.a = first;
    return;
  }
  x.parts = 2;
#pragma unroll 1
  for (int i = 0; i < PIECE; ++i) {
    made_piece of = x;
    of.a.v[1] = x.a.v[0];
    of.b.v[1] = x.b.v[0];
    of.c.v[1] = x.c.v[0];
    const float first = thread_made(p.make, of, none, 0), second = thread_made(p.make, of, none, 1);
    thread_shift(&x.a, first);
    thread_shift(&x.b, second);
    thread_shift(&x.c, 0.0f);
  }
}

/* Reads all before it writes: results may take the place of their inputs. */
__global__ void __launch_bounds__(ITEM_THREADS, 3) made_pairs_kernel(const __grid_constant__ map_params p) {
  const int64_t pieces = (int64_t)p.made.pieces.value, units = p.made.units;
  for (int64_t i = thread_item(); i < p.made.rows * pieces; i += thread_items()) {
    const int64_t line = thread_divide(i, p.made.pieces), row = p.made.first + line, unit = (i - line * pieces) * PIECE;
    const int count = units - unit < PIECE ? (int)(units - unit) : PIECE;
    const made_line of = thread_line(p.made, row);
    made_piece x;
    thread_load_inputs(p.made, of, unit, count, &x);
    thread_load_columns(p.made, of, unit, count, &x);
    thread_make_both(p.made, x);
    if (p.pairs == MFQN_PAIRS_HALVES) {
      thread_store_results(p, row, unit, count, x.a);
      thread_store_results(p, row, units + unit, count, x.b);
      continue;
    }
    piece8 low, high;
#pragma unroll
    for (int k = 0; k < PIECE / 2; ++k) {
      low.v[2 * k] = x.a.v[k];
      low.v[2 * k + 1] = x.b.v[k];
      high.v[2 * k] = x.a.v[PIECE / 2 + k];
      high.v[2 * k + 1] = x.b.v[PIECE / 2 + k];
    }
    thread_store_results(p, row, 2 * unit, mfqn_min(2 * count, PIECE), low);
    thread_store_results(p, row, 2 * unit + PIECE, mfqn_max(2 * count - PIECE, 0), high);
  }
}

#endif
