/* cuda/quantize/rows_kernel.cuh: quantizes along the contiguous axis: groups of 16 * 2^k elements, or scales that are
 * known already.
 *
 * A thread has one chunk of 16 neighbouring elements, loaded 16 bytes at a time; a group is one thread or 2^k lanes of
 * a warp, and its first lane writes the scale. Rows of chunks are padded to whole groups, so no group crosses a row or
 * a warp. Bytes moved per element: the element, the code and its share of a scale, once each.
 * Not for groups of other sizes, or rows of codes that start inside a byte. */
#ifndef MFQ_CUDA_QUANTIZE_ROWS_KERNEL_CUH
#define MFQ_CUDA_QUANTIZE_ROWS_KERNEL_CUH

#include "cuda/prim/divide.cuh"
#include "cuda/prim/stat.cuh"
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
  int32_t is_ranged; /* the statistics that are measured are ranges, of which zero points may follow */
  int64_t pads_to;   /* groups that are cut to fewer elements count a zero: Brevitas pads them */
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

/* Codes, scales and zero points of ranges. */
struct ranged_row_codes {
  const rows_params &p;
  __device__ __forceinline__ void put_scale(int64_t place, const mfqn_group &g) const {
    row_codes<0>{p}.put_scale(place, g);
    thread_zero_point_store(p.to.slots, p.to.how.scheme, place, g.zero_point);
  }
  template <int DTYPE>
  __device__ __forceinline__ void put(const rows_place &at, const chunk<DTYPE> &x, const mfqn_group &g,
                                      uint32_t absmax) const {
    row_codes<0>{p}.put(at, x, g, absmax);
  }
};

/* Adds the limits of a group's elements to their largest magnitude. */
template <int DTYPE>
__device__ __forceinline__ mfqn_statistic warp_group_range(const rows_params &p, const rows_place &at,
                                                           const chunk<DTYPE> &x, uint32_t absmax) {
  mfqn_statistic s = mfqn_statistic_none();
#pragma unroll
  for (int i = 0; i < CHUNK; ++i)
    if (i < at.left) mfqn_statistic_add(&s, thread_element(x, i));
  s.hi = thread_of_order_key(warp_group_max(thread_order_key(s.hi), p.group_log2));
  s.lo = thread_of_order_key(~warp_group_max(~thread_order_key(s.lo), p.group_log2));
  s.absmax = absmax;
  const int64_t first = (at.step & -((int64_t)1 << p.group_log2)) * CHUNK;
  if (p.cols - first < p.pads_to) mfqn_statistic_add(&s, 0);
  return s;
}

/* All lanes of a warp, with a chunk each. RANGED: statistics are ranges that are measured. */
template <int RANGED = 0, int DTYPE, class Sink>
__device__ __forceinline__ void warp_cast_chunks(const rows_params &p, const rows_place &at, const chunk<DTYPE> &x,
                                                 const Sink &sink) {
  uint32_t absmax = thread_absmax(x);
  if (RANGED || !p.to.is_known) absmax = warp_group_max(absmax, p.group_log2);
  mfqn_statistic s;
  if constexpr (RANGED) s = warp_group_range(p, at, x, absmax);
  if (!at.is_there) return;
  const int is_first = p.group_log2 >= 0 && (at.step & ((1 << p.group_log2) - 1)) == 0;
  if (p.to.absmax) {
    if (is_first) thread_collect(p.to.absmax, RANGED ? mfqn_statistic_value(&s, &p.to.how.scheme) : absmax);
    return;
  }
  const int64_t group = p.group_log2 >= 0 ? at.step >> p.group_log2 : 0;
  const int64_t line = at.outer * p.outer_scales + at.middle * p.middle_scales;
  const int64_t place = thread_slot_place(p.to.slots, line + group);
  const mfqn_group g = RANGED ? mfqn_group_make(&p.to.how.scheme, &s, thread_tensor_scale(p.to.slots))
                              : thread_group(p.to, place, absmax);
  if (is_first && (RANGED || !p.to.is_known)) sink.put_scale(place, g);
  sink.put(at, x, g, absmax);
}

template <int DTYPE, int RANGED = 0, class Sink>
__device__ __forceinline__ void warp_cast_rows(const rows_params &p, const Sink &sink) {
  const rows_place at = thread_rows_place(p, (int64_t)blockIdx.x * ROWS_THREADS + threadIdx.x);
  warp_cast_chunks<RANGED>(p, at, thread_rows_load<DTYPE>(p, at), sink);
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

template <int DTYPE>
__global__ void __launch_bounds__(ROWS_THREADS, ROWS_RANGED_BLOCKS)
    quantize_ranged_rows_kernel(const __grid_constant__ rows_params p) {
  warp_cast_rows<DTYPE, 1>(p, ranged_row_codes{p});
}

#endif
