/* cuda/quantize/rows_kernel.cuh: quantizes along the contiguous axis: groups of 16 * 2^k elements, or scales that are
 * known already.
 *
 * A thread has one chunk of 16 neighbouring elements, loaded 16 bytes at a time; a group is one thread or 2^k lanes of
 * a warp, and its first lane writes the scale. Rows of chunks are padded to whole groups, so no group crosses a row or
 * a warp. Bytes moved per element: the element, the code and its share of a scale, once each.
 * Not for groups of other sizes, ranges with zero points that are to be measured, or rows of codes that start inside a
 * byte. */
#ifndef MFQ_CUDA_QUANTIZE_ROWS_KERNEL_CUH
#define MFQ_CUDA_QUANTIZE_ROWS_KERNEL_CUH

#include "cuda/prim/divide.cuh"
#include "direction.cuh"
#include "quantize_tuning.h"

typedef struct rows_params {
  cast_direction to;
  const uint8_t *src;
  int64_t outer_bytes, middle_bytes;           /* from row to row of the source */
  int64_t chunks, cols;                        /* chunks of all rows; elements of a row */
  divisor64 row_chunks, middle;                /* chunks of a row; rows of an outer index */
  int64_t outer_scales, middle_scales, groups; /* scales from row to row, and along one */
  int32_t group_log2;                          /* chunks that share a scale along a row; < 0: all do */
  int32_t is_single_row;
  int32_t vector_load;
  random_key key;
} rows_params;

/* A thread's chunk: its row, its place in the row, and whether it exists. */
typedef struct rows_place {
  int64_t outer, middle, row, step;
  int is_there, left;
} rows_place;

__device__ __forceinline__ rows_place thread_rows_place(const rows_params &p, int64_t chunk_index) {
  rows_place at;
  at.is_there = chunk_index < p.chunks;
  at.row = p.is_single_row ? 0 : thread_divide(chunk_index, p.row_chunks);
  at.step = chunk_index - at.row * (int64_t)p.row_chunks.value;
  at.outer = p.is_single_row ? 0 : thread_divide(at.row, p.middle);
  at.middle = at.row - at.outer * (int64_t)p.middle.value;
  at.left = at.is_there ? thread_left(at.step * CHUNK, p.cols) : 0;
  return at;
}

template <int DTYPE>
__device__ __forceinline__ chunk<DTYPE> thread_rows_load(const rows_params &p, const rows_place &at) {
  const int64_t col = at.step * CHUNK;
  const uint8_t *from = p.src + at.outer * p.outer_bytes + at.middle * p.middle_bytes + col * ELEMENT_BYTES<DTYPE>;
  return thread_load_chunk<DTYPE>(from, mfqn_min(at.left, CHUNK), p.vector_load);
}

/* What becomes of a chunk: its codes. A sink is told the scale of a group that is measured, and every chunk that is
 * there. DRAWN: rounding is stochastic. */
template <int DRAWN> struct row_codes {
  const rows_params &p;
  __device__ __forceinline__ void put_scale(int64_t place, const mfqn_group &g) const {
    thread_slot_store(p.to.slots, place, g.stored);
  }
  template <int DTYPE>
  __device__ __forceinline__ void put(const rows_place &at, const chunk<DTYPE> &x, const mfqn_group &g,
                                      uint32_t absmax) const {
    uint8_t *to = p.to.codes + at.row * p.to.row_bytes + at.step * (CHUNK / 8) * p.to.bits;
    const auto draw = [&] { return thread_draw(p.key, at.row * p.cols + at.step * CHUNK); };
    thread_store_chunk(p.to, to, thread_encode_chunk<DRAWN>(p.to.how, x, g, absmax, draw), at.left);
  }
};

/* All lanes of a warp, with a chunk each. */
template <int DTYPE, class Sink>
__device__ __forceinline__ void warp_cast_chunks(const rows_params &p, const rows_place &at, const chunk<DTYPE> &x,
                                                 const Sink &sink) {
  uint32_t absmax = thread_absmax(x);
  if (!p.to.is_known) absmax = warp_group_max(absmax, p.group_log2);
  if (!at.is_there) return;
  const int is_first = p.group_log2 >= 0 && (at.step & ((1 << p.group_log2) - 1)) == 0;
  if (p.to.absmax) {
    if (is_first) thread_collect(p.to.absmax, absmax);
    return;
  }
  const int64_t group = p.group_log2 >= 0 ? at.step >> p.group_log2 : 0;
  const int64_t line = at.outer * p.outer_scales + at.middle * p.middle_scales;
  const int64_t place = thread_slot_place(p.to.slots, line + group);
  const mfqn_group g = thread_group(p.to, place, absmax);
  if (is_first && !p.to.is_known) sink.put_scale(place, g);
  sink.put(at, x, g, absmax);
}

template <int DTYPE, class Sink>
__device__ __forceinline__ void warp_cast_rows(const rows_params &p, const Sink &sink) {
  const rows_place at = thread_rows_place(p, (int64_t)blockIdx.x * ROWS_THREADS + threadIdx.x);
  warp_cast_chunks(p, at, thread_rows_load<DTYPE>(p, at), sink);
}

template <int DTYPE, int DRAWN>
inline constexpr int ROWS_BLOCKS_OF = !DRAWN                 ? ROWS_BLOCKS
                                      : DTYPE == ELEMENT_F32 ? ROWS_DRAWN_BLOCKS_F32
                                                             : ROWS_DRAWN_BLOCKS_HALF;

template <int DTYPE, int DRAWN>
__global__ void __launch_bounds__(ROWS_THREADS, ROWS_BLOCKS_OF<DTYPE, DRAWN>)
    quantize_rows_kernel(const __grid_constant__ rows_params p) {
  warp_cast_rows<DTYPE>(p, row_codes<DRAWN>{p});
}

#endif
