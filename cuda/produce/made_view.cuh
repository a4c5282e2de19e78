/* cuda/produce/made_view.cuh: what producers read: rows of inputs by any strides, and the numbers of these rows.
 *
 * A piece is 8 neighbouring elements of a row of results with all that they follow from. Pieces are read 16 bytes at a time
 * where every side is *wide*, else element by element. */
#ifndef MFQ_CUDA_PRODUCE_MADE_VIEW_CUH
#define MFQ_CUDA_PRODUCE_MADE_VIEW_CUH

#include <mfq/num/making.h>

#include "cuda/prim/divide.cuh"
#include "cuda/prim/element.cuh"
#include "cuda/prim/index.cuh"

enum { MADE_AXES = 7, PIECE = 8 };

/* As mfq_made_side. */
typedef struct made_side {
  element_view of; /* data NULL: there is none */
  int64_t rows[MADE_AXES];
  int64_t col;
} made_side;

typedef struct made_params {
  mfqn_make make;
  int64_t cols, units; /* as of mfq_made */
  int64_t first, rows; /* of the rows that a launch is for */
  int32_t axes;
  int32_t is_wide, is_plain_wide; /* inputs and parameters; the result */
  int32_t is_zipped; /* in[0] and in[1] take turns in rows that are wide, which counts for no more of them */
  int32_t is_causal, is_inverse;
  int32_t has_residual; /* in[1] is added to in[0] */
  divisor64 shape[MADE_AXES];
  made_side in[3], gain, shift, plain;
  uint8_t *numbers; /* those of row `first` and of the next ones, NULL: there are none */
  divisor64 heads, tokens, queries;
  index_view indices;
  divisor64 pieces; /* of a row */
  int64_t all_queries;
} made_params;

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

/* Where a row of a side begins, in elements. */
__device__ __forceinline__ int64_t thread_row_offset(const made_params &p, const made_side &side, int64_t row) {
  int64_t offset = 0;
#pragma unroll 1
  for (int32_t k = p.axes - 1; k > 0; --k) {
    const int64_t next = thread_divide(row, p.shape[k]);
    offset += (row - next * (int64_t)p.shape[k].value) * side.rows[k];
    row = next;
  }
  return offset + row * side.rows[0];
}

/* A row of results. */
typedef struct made_line {
  int64_t row;
  int64_t count;  /* columns that are in */
  int64_t params; /* of gain and shift, in elements; -1: there is no such row */
  int64_t target; /* of the loss: a column, or none */
} made_line;

/* The position of a row of a rotary embedding; -1: none. */
__device__ __forceinline__ int64_t thread_position(const made_params &p, int64_t row) {
  const int64_t token = thread_divide(row, p.heads);
  const int64_t place = token - thread_divide(token, p.tokens) * (int64_t)p.tokens.value;
  return p.indices.data ? thread_index(p.indices, place) : place;
}

__device__ __forceinline__ made_line thread_line(const made_params &p, int64_t row) {
  made_line line = {row, p.cols, 0, -1};
  if (p.make.op == MFQN_MAKE_SOFTMAX && p.is_causal) {
    const int64_t query = row - thread_divide(row, p.queries) * (int64_t)p.queries.value;
    line.count = mfqn_causal_count(query, p.all_queries, p.cols);
  }
  if (p.make.op == MFQN_MAKE_ROTARY) {
    const int64_t position = thread_position(p, row);
    line.params = position < 0 ? -1 : position * p.gain.rows[0];
  }
  if (p.make.op == MFQN_MAKE_LOSS) line.target = thread_load_index(p.indices, row);
  return line;
}

/* The numbers of a row that has them. */
__device__ __forceinline__ mfqn_row thread_row_numbers(const made_params &p, int64_t row) {
  mfqn_row r = {{0.0f, 0.0f, 0.0f, 0.0f}};
  if (!p.numbers) return r;
  const uint4 v = ptx_load<uint4>(p.numbers + (row - p.first) * 16);
  r.v[0] = mfqn_float_of(v.x);
  r.v[1] = mfqn_float_of(v.y);
  r.v[2] = mfqn_float_of(v.z);
  r.v[3] = mfqn_float_of(v.w);
  return r;
}

/* ---- Pieces ------------------------------------------------------------------------------------------------------ */

/* 8 elements. */
typedef struct piece8 {
  float v[PIECE];
} piece8;

/* Elements of results with all they follow from. */
typedef struct made_piece {
  piece8 a, b, c, gain, shift;
  uint32_t parts; /* bit i: element i is the second one of its pair */
} made_piece;

__device__ __forceinline__ piece8 thread_filled(float value) {
  piece8 x;
#pragma unroll
  for (int i = 0; i < PIECE; ++i) x.v[i] = value;
  return x;
}

/* Takes element 0 out and appends another: a loop over all needs no index into registers. */
__device__ __forceinline__ void thread_shift(piece8 *x, float last) {
#pragma unroll
  for (int i = 0; i + 1 < PIECE; ++i) x->v[i] = x->v[i + 1];
  x->v[PIECE - 1] = last;
}

/* 8 neighbours from element `offset` on, whose address is a multiple of 16 bytes. */
__device__ __forceinline__ piece8 thread_load_wide(const element_view &v, int64_t offset) {
  piece8 x;
  if (v.dtype == ELEMENT_F32) {
    const uint8_t *from = v.data + offset * 4;
    const uint4 lo = ptx_load<uint4>(from), hi = ptx_load<uint4>(from + 16);
    const uint32_t word[PIECE] = {lo.x, lo.y, lo.z, lo.w, hi.x, hi.y, hi.z, hi.w};
#pragma unroll
    for (int i = 0; i < PIECE; ++i) x.v[i] = mfqn_float_of(word[i]);
    return x;
  }
  const uint4 halves = ptx_load<uint4>(v.data + offset * 2);
  const uint32_t word[PIECE / 2] = {halves.x, halves.y, halves.z, halves.w};
#pragma unroll
  for (int i = 0; i < PIECE; ++i) {
    const uint32_t half = i % 2 == 0 ? word[i / 2] & 0xffffu : word[i / 2] >> 16;
    x.v[i] = mfqn_float_of(v.dtype == ELEMENT_BF16 ? mfqn_f32_from_bf16(half) : mfqn_f32_from_f16(half));
  }
  return x;
}

__device__ __forceinline__ void thread_store_wide(const element_view &v, int64_t offset, const piece8 &x) {
  if (v.dtype == ELEMENT_F32) {
    uint8_t *to = v.data + offset * 4;
    ptx_store<uint4>(to, make_uint4(mfqn_bits(x.v[0]), mfqn_bits(x.v[1]), mfqn_bits(x.v[2]), mfqn_bits(x.v[3])));
    ptx_store<uint4>(to + 16, make_uint4(mfqn_bits(x.v[4]), mfqn_bits(x.v[5]), mfqn_bits(x.v[6]), mfqn_bits(x.v[7])));
    return;
  }
  uint32_t word[PIECE / 2];
#pragma unroll
  for (int i = 0; i < PIECE; ++i) {
    const uint32_t u = mfqn_bits(x.v[i]);
    const uint32_t half = v.dtype == ELEMENT_BF16 ? mfqn_bf16_from_f32(u) : mfqn_f16_from_f32(u);
    word[i / 2] = i % 2 == 0 ? half : word[i / 2] | half << 16;
  }
  ptx_store<uint4>(v.data + offset * 2, make_uint4(word[0], word[1], word[2], word[3]));
}

/* Where the inputs of a column of results are. */
__device__ __forceinline__ int64_t thread_unit(const made_params &p, int64_t col) {
  if (p.make.pairs == MFQN_PAIRS_HALVES) return col < p.units ? col : col - p.units;
  return p.make.pairs == MFQN_PAIRS_INTERLEAVED ? col >> 1 : col;
}

/* `count` elements of a side from column `col` of the results on, zeros behind them; `row` is where the row begins. */
__device__ __forceinline__ piece8 thread_load_piece(const made_params &p, const made_side &side, int64_t row,
                                                    int64_t col, int count) {
  if (p.is_wide && count == PIECE) return thread_load_wide(side.of, row + thread_unit(p, col));
  piece8 x = thread_filled(0.0f);
#pragma unroll 1
  for (int i = 0; i < PIECE; ++i) {
    const int64_t offset = row + thread_unit(p, col + i) * side.col;
    thread_shift(&x, i < count ? mfqn_float_of(thread_load_element(side.of, offset)) : 0.0f);
  }
  return x;
}

/* `count` elements of x to a side, from column `col` on. */
__device__ __forceinline__ void thread_store_piece(const made_side &side, int64_t offset, int count, int is_wide,
                                                   piece8 x) {
  if (is_wide && count == PIECE) {
    thread_store_wide(side.of, offset, x);
    return;
  }
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    thread_store_element(side.of, offset + i * side.col, mfqn_bits(x.v[0]));
    thread_shift(&x, 0.0f);
  }
}

__device__ __forceinline__ uint32_t thread_parts(const made_params &p, int64_t col) {
  if (p.make.pairs == MFQN_PAIRS_INTERLEAVED) return 0xaau;
  if (p.make.pairs != MFQN_PAIRS_HALVES) return 0u;
  const int64_t first = p.units - col; /* elements of the first half from here on */
  return first <= 0 ? 0xffu : first >= PIECE ? 0u : 0xffu << first & 0xffu;
}

/* 8 elements of in[0] and of in[1], which take turns from element `offset` on. */
__device__ __forceinline__ void thread_unzip(const element_view &v, int64_t offset, made_piece *x) {
  const piece8 low = thread_load_wide(v, offset), high = thread_load_wide(v, offset + PIECE);
#pragma unroll
  for (int i = 0; i < PIECE / 2; ++i) {
    x->a.v[i] = low.v[2 * i];
    x->b.v[i] = low.v[2 * i + 1];
    x->a.v[PIECE / 2 + i] = high.v[2 * i];
    x->b.v[PIECE / 2 + i] = high.v[2 * i + 1];
  }
}

/* The inputs of `count` elements from column `col` on, a multiple of 8. */
__device__ __forceinline__ void thread_load_inputs(const made_params &p, const made_line &line, int64_t col, int count,
                                                   made_piece *x) {
  const int64_t row = thread_row_offset(p, p.in[0], line.row);
  x->b = x->c = thread_filled(p.make.op == MFQN_MAKE_NORM_BACKWARD ? -0.0f : 0.0f);
  if (p.is_zipped && count == PIECE) {
    thread_unzip(p.in[0].of, row + 2 * col, x);
  } else {
    x->a = thread_load_piece(p, p.in[0], row, col, count);
    if (p.in[1].of.data) x->b = thread_load_piece(p, p.in[1], thread_row_offset(p, p.in[1], line.row), col, count);
  }
  if (p.in[2].of.data) x->c = thread_load_piece(p, p.in[2], thread_row_offset(p, p.in[2], line.row), col, count);
  if (!p.has_residual) return;
#pragma unroll
  for (int i = 0; i < PIECE; ++i) x->a.v[i] = mfqn_add(x->a.v[i], x->b.v[i]);
}

/* The parameters of their columns. */
__device__ __forceinline__ void thread_load_columns(const made_params &p, const made_line &line, int64_t col, int count,
                                                    made_piece *x) {
  x->gain = thread_filled(p.make.op == MFQN_MAKE_ROTARY ? mfqn_float_of(MFQN_NAN) : 1.0f);
  x->shift = thread_filled(-0.0f);
  if (line.params < 0) return;
  if (p.gain.of.data) x->gain = thread_load_piece(p, p.gain, line.params, col, count);
  if (p.shift.of.data) x->shift = thread_load_piece(p, p.shift, line.params, col, count);
#pragma unroll
  for (int i = 0; i < PIECE; ++i)
    if (p.is_inverse) x->shift.v[i] = -x->shift.v[i];
}

#endif
