/* cuda/gemm/finish_kernel.cuh: from f32 sums to D.
 *
 * A thread has 8 neighbouring columns of a row; items go along the rows, then over the batches. Bytes moved per element:
 * the sum, C where there is one, the result, once each; scales and bias stay in the caches. Whole rows of results that
 * are aligned move 16 bytes at a time, whatever else lies element by element. C may be D: a thread reads what it
 * overwrites.
 *
 * A kernel whose main loop has sums in registers finishes them there, and writes no sums: it takes finish_params
 * (mfq_cuda_finish_params), calls thread_settings once, and for each place, up to FINISH_COLS neighbouring columns of a row,
 * thread_finish_places and thread_store_places. Depthwise convolutions do. */
#ifndef MFQ_CUDA_GEMM_FINISH_KERNEL_CUH
#define MFQ_CUDA_GEMM_FINISH_KERNEL_CUH

#include <mfq/num/finish.h>

#include "cuda/index_plans.h"
#include "cuda/prim/element.cuh"

enum { FINISH_COLS = 8 };

/* Element (i, r, j) is at the offset of batch i, plus r * stride[0] + j * stride[1]. */
typedef struct finish_matrix {
  element_view view;
  int64_t stride[2];
  int32_t is_vector; /* 8 elements from a multiple of 8 on are neighbours and aligned to 16 bytes */
  int32_t batch_rank;
  divisor64 batch_size[WALK_MAX_RANK];
  int64_t batch_stride[WALK_MAX_RANK];
} finish_matrix;

/* The scales of A's rows or B's columns that do not vary along K. */
typedef struct finish_factor {
  int32_t has_scales;
  int32_t is_constant; /* the same for all rows of a batch */
  mfqn_scheme scheme;
  scale_slots slots;
  int64_t batch_stride, row_stride; /* of their indices, for so many batches and rows each: */
  divisor64 batches_of_scale, rows_of_scale;
} finish_factor;

typedef struct finish_params {
  mfqn_finish settings;
  const float *alpha, *beta; /* on the device; NULL: those of `settings` */
  finish_matrix sums, c, bias, d;
  finish_factor a, b;
  int64_t first_batch, first_row, items, cols;
  divisor64 row_items, rows; /* of the sums */
} finish_params;

typedef struct finish_place {
  int64_t batch, row; /* of D */
  int64_t col;
  int count; /* of columns, 1 ... FINISH_COLS */
} finish_place;

__device__ __forceinline__ finish_place thread_finish_place(const finish_params &p, int64_t item) {
  finish_place at;
  const int64_t line = thread_divide(item, p.row_items), batch = thread_divide(line, p.rows);
  at.batch = batch + p.first_batch;
  at.row = line - batch * (int64_t)p.rows.value + p.first_row;
  at.col = (item - line * (int64_t)p.row_items.value) * FINISH_COLS;
  const int64_t left = p.cols - at.col;
  at.count = left < FINISH_COLS ? (int)left : FINISH_COLS;
  return at;
}

__device__ __forceinline__ int64_t thread_matrix_offset(const finish_matrix &m, const finish_place &at) {
  int64_t offset = at.row * m.stride[0] + at.col * m.stride[1], batch = at.batch;
#pragma unroll 1
  for (int k = m.batch_rank - 1; k > 0; --k) {
    const int64_t outer = thread_divide(batch, m.batch_size[k]);
    offset += (batch - outer * (int64_t)m.batch_size[k].value) * m.batch_stride[k];
    batch = outer;
  }
  return m.batch_rank > 0 ? offset + batch * m.batch_stride[0] : offset;
}

/* Four words of memory as float32 bits: 8 halves, or 4 of them. */
__device__ __forceinline__ void thread_unpack_words(const element_view &view, const uint4 &words, float *to) {
  const uint32_t word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const uint32_t low = word[k] & 0xffffu, high = word[k] >> 16;
    const int is_bf16 = view.dtype == ELEMENT_BF16;
    to[2 * k] = mfqn_float_of(is_bf16 ? mfqn_f32_from_bf16(low) : mfqn_f32_from_f16(low));
    to[2 * k + 1] = mfqn_float_of(is_bf16 ? mfqn_f32_from_bf16(high) : mfqn_f32_from_f16(high));
  }
}

/* The elements at a place; those beyond the last column are left. */
__device__ __forceinline__ void thread_load_places(const finish_matrix &m, const finish_place &at, float *to) {
  const int64_t offset = thread_matrix_offset(m, at);
  if (m.is_vector && at.count == FINISH_COLS) {
    const int is_f32 = m.view.dtype == ELEMENT_F32;
    const uint8_t *from = m.view.data + offset * (is_f32 ? 4 : 2);
    const uint4 first = ptx_load<uint4>(from);
    if (!is_f32) {
      thread_unpack_words(m.view, first, to);
      return;
    }
    const uint4 second = ptx_load<uint4>(from + 16);
    const uint32_t word[8] = {first.x, first.y, first.z, first.w, second.x, second.y, second.z, second.w};
#pragma unroll
    for (int i = 0; i < FINISH_COLS; ++i) to[i] = mfqn_float_of(word[i]);
    return;
  }
#pragma unroll
  for (int i = 0; i < FINISH_COLS; ++i)
    if (i < at.count) to[i] = mfqn_float_of(thread_load_element(m.view, offset + i * m.stride[1]));
}

/* Eight halves in four words; NaN is ours, which the GPU's conversion does not make. */
__device__ __forceinline__ uint4 thread_pack_words(const element_view &view, const float *y) {
  uint32_t word[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const float low = y[2 * k], high = y[2 * k + 1];
    word[k] = view.dtype == ELEMENT_BF16 ? ptx_bf16x2_from_f32(low, high) : ptx_f16x2_from_f32(low, high);
    const uint32_t nan = view.dtype == ELEMENT_BF16 ? 0x7fc0u : 0x7e00u;
    if (low != low) word[k] = (word[k] & 0xffff0000u) | nan;
    if (high != high) word[k] = (word[k] & 0xffffu) | nan << 16;
  }
  return make_uint4(word[0], word[1], word[2], word[3]);
}

/* The first `count` of 8 columns at an offset. */
__device__ __forceinline__ void thread_store_at(const finish_matrix &m, int64_t offset, int count, const float *y) {
  if (m.is_vector && count == FINISH_COLS) {
    if (m.view.dtype != ELEMENT_F32) {
      ptx_store<uint4>(m.view.data + offset * 2, thread_pack_words(m.view, y));
      return;
    }
    uint8_t *to = m.view.data + offset * 4;
    ptx_store<uint4>(to, make_uint4(mfqn_bits(y[0]), mfqn_bits(y[1]), mfqn_bits(y[2]), mfqn_bits(y[3])));
    ptx_store<uint4>(to + 16, make_uint4(mfqn_bits(y[4]), mfqn_bits(y[5]), mfqn_bits(y[6]), mfqn_bits(y[7])));
    return;
  }
#pragma unroll
  for (int i = 0; i < FINISH_COLS; ++i)
    if (i < count) thread_store_element(m.view, offset + i * m.stride[1], mfqn_bits(y[i]));
}

__device__ __forceinline__ void thread_store_places(const finish_matrix &m, const finish_place &at, const float *y) {
  thread_store_at(m, thread_matrix_offset(m, at), at.count, y);
}

/* The factor of a row of A, or of a column of B. */
__device__ __forceinline__ float thread_factor(const finish_factor &f, int64_t batch, int64_t row) {
  if (!f.has_scales) return thread_tensor_scale(f.slots);
  const int64_t index =
      thread_divide(batch, f.batches_of_scale) * f.batch_stride + thread_divide(row, f.rows_of_scale) * f.row_stride;
  const uint32_t stored = thread_slot_load(f.slots, thread_slot_place(f.slots, index));
  return mfqn_group_load(&f.scheme, stored, thread_tensor_scale(f.slots)).divisor;
}

/* What the product's elements share, with the scalars that lie on the device. */
template <int ACTIVATION> __device__ __forceinline__ mfqn_finish thread_settings(const finish_params &p) {
  mfqn_finish e = p.settings;
  e.activation = ACTIVATION;
  if (p.alpha) e.alpha = mfqn_float_of(ptx_load<uint32_t>(p.alpha));
  if (p.beta) e.beta = mfqn_float_of(ptx_load<uint32_t>(p.beta));
  e.has_c = e.has_c && e.beta != 0.0f; /* C is not read then */
  return e;
}

/* Sums at a place of D become values. */
__device__ __forceinline__ void thread_finish_places(const finish_params &p, const mfqn_finish &e,
                                                     const finish_place &at, float *y) {
  float c[FINISH_COLS] = {}, bias[FINISH_COLS] = {};
  if (e.has_c) thread_load_places(p.c, at, c);
  if (e.has_bias) thread_load_places(p.bias, at, bias);
  const float row_factor = thread_factor(p.a, at.batch, at.row);
  float col_factor = thread_factor(p.b, at.batch, at.col);
#pragma unroll
  for (int i = 0; i < FINISH_COLS; ++i) {
    if (!p.b.is_constant && i > 0 && i < at.count) col_factor = thread_factor(p.b, at.batch, at.col + i);
    y[i] = mfqn_finish_value(&e, y[i], row_factor, col_factor, c[i], bias[i]);
  }
}

template <int ACTIVATION>
__global__ void __launch_bounds__(ITEM_THREADS) finish_kernel(const __grid_constant__ finish_params p) {
  const mfqn_finish e = thread_settings<ACTIVATION>(p);
  for (int64_t item = thread_item(); item < p.items; item += thread_items()) {
    const finish_place at = thread_finish_place(p, item);
    const finish_place in_sums = {at.batch - p.first_batch, at.row - p.first_row, at.col, at.count};
    float y[FINISH_COLS] = {};
    thread_load_places(p.sums, in_sums, y);
    thread_finish_places(p, e, at, y);
    thread_store_places(p.d, at, y);
  }
}

#endif
