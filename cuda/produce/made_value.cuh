/* cuda/produce/made_value.cuh: what producers make of a piece of their inputs.
 *
 * Operations of a few steps are unrolled, each on its own; those that make exponentials go round in pairs of elements, by
 * one body for all of them. */
#ifndef MFQ_CUDA_PRODUCE_MADE_VALUE_CUH
#define MFQ_CUDA_PRODUCE_MADE_VALUE_CUH

#include "made_view.cuh"

/* Element i; i is known when the loop around it is unrolled. */
__device__ __forceinline__ float thread_made(const mfqn_make &make, const made_piece &x, const mfqn_row &row, int i) {
  const mfqn_inputs in = {x.a.v[i], x.b.v[i], x.c.v[i]};
  const mfqn_column col = {x.gain.v[i], x.shift.v[i]};
  return mfqn_make_value(&make, in, col, &row, (int)(x.parts >> i & 1u));
}

template <int OP>
__device__ __forceinline__ piece8 thread_make_each(const mfqn_make &all, const made_piece &x, const mfqn_row &row) {
  mfqn_make make = all;
  piece8 y;
  make.op = OP;
#pragma unroll
  for (int i = 0; i < PIECE; ++i) y.v[i] = thread_made(make, x, row, i);
  return y;
}

/* Results are appended to `a` as its elements leave. */
__device__ __forceinline__ piece8 thread_make_pairs(const mfqn_make &make, made_piece &x, const mfqn_row &row) {
#pragma unroll 1
  for (int i = 0; i < PIECE; i += 2) {
    const float first = thread_made(make, x, row, 0), second = thread_made(make, x, row, 1);
    thread_shift(&x.a, first);
    thread_shift(&x.a, second);
    thread_shift(&x.b, 0.0f);
    thread_shift(&x.b, 0.0f);
    thread_shift(&x.c, 0.0f);
    thread_shift(&x.c, 0.0f);
    x.parts >>= 2;
  }
  return x.a;
}

/* From column `col` on, a multiple of 8; what is not there is of no matter. */
__device__ __forceinline__ piece8 thread_make_inputs(const made_params &p, const made_line &line, int64_t col,
                                                     made_piece &x, const mfqn_row &row) {
  piece8 y;
  x.parts = thread_parts(p, col);
  switch (p.make.op) {
    case MFQN_MAKE_NORM: return thread_make_each<MFQN_MAKE_NORM>(p.make, x, row);
    case MFQN_MAKE_NORM_BACKWARD: return thread_make_each<MFQN_MAKE_NORM_BACKWARD>(p.make, x, row);
    case MFQN_MAKE_SOFTMAX_BACKWARD: return thread_make_each<MFQN_MAKE_SOFTMAX_BACKWARD>(p.make, x, row);
    case MFQN_MAKE_ROTARY: return thread_make_each<MFQN_MAKE_ROTARY>(p.make, x, row);
    default: break;
  }
  if (p.make.op == MFQN_MAKE_LOSS) {
#pragma unroll
    for (int i = 0; i < PIECE; ++i) x.b.v[i] = mfqn_loss_wanted(&p.make, col + i == line.target);
  }
  y = thread_make_pairs(p.make, x, row);
#pragma unroll
  for (int i = 0; i < PIECE; ++i)
    if (col + i >= line.count) y.v[i] = 0.0f; /* causal scores that are out */
  return y;
}

/* `count` elements of a row of results from column `col` on, a multiple of 8; zeros behind them. */
__device__ __forceinline__ piece8 thread_make_piece(const made_params &p, int64_t row, int64_t col, int count) {
  if (count == 0) return thread_filled(0.0f);
  const made_line line = thread_line(p, row);
  made_piece x;
  thread_load_inputs(p, line, col, count, &x);
  thread_load_columns(p, line, col, count, &x);
  const mfqn_row numbers = thread_row_numbers(p, row);
  piece8 y = thread_make_inputs(p, line, col, x, numbers);
#pragma unroll
  for (int i = 0; i < PIECE; ++i)
    if (i >= count) y.v[i] = 0.0f;
  return y;
}

#endif
