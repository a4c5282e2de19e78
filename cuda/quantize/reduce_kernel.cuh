/* cuda/quantize/reduce_kernel.cuh: statistics of whole tensors and channels, whose rows are contiguous.
 *
 * A block has a segment of a row; its threads take chunks of 16 elements, 16 bytes at a time, and each warp merges what
 * it found into the scale's slot (prim/stat.cuh). Bytes moved per element: the element, once. */
#ifndef MFQ_CUDA_QUANTIZE_REDUCE_KERNEL_CUH
#define MFQ_CUDA_QUANTIZE_REDUCE_KERNEL_CUH

#include "cuda/prim/stat.cuh"
#include "direction.cuh"
#include "quantize_tuning.h"

typedef struct reduce_params {
  uint32_t *slots;
  const uint8_t *src;
  int64_t outer_bytes, middle_bytes; /* from row to row */
  int64_t cols, middle_scales;       /* elements of a row; scales from middle index to middle index */
  divisor64 segments, middle;        /* blocks of a row; rows of an outer index */
  int32_t minmax, vector_load;
} reduce_params;

/* A launch of it. */
typedef struct rows_reduction {
  reduce_params params;
  int64_t blocks;
} rows_reduction;

template <int DTYPE>
__device__ __forceinline__ void thread_reduce_chunk(const reduce_params &p, const chunk<DTYPE> &x, int count,
                                                    mfqn_statistic *s) {
  if (!p.minmax) {
    s->absmax = mfqn_umax(s->absmax, thread_absmax(x));
    return;
  }
#pragma unroll
  for (int i = 0; i < CHUNK; ++i)
    if (i < count) mfqn_statistic_add(s, thread_element(x, i));
}

template <int DTYPE>
__global__ void __launch_bounds__(REDUCE_THREADS) reduce_rows_kernel(const __grid_constant__ reduce_params p) {
  const int64_t row = thread_divide(blockIdx.x, p.segments), outer = thread_divide(row, p.middle);
  const int64_t segment = (int64_t)blockIdx.x - row * (int64_t)p.segments.value;
  const int64_t middle = row - outer * (int64_t)p.middle.value;
  const uint8_t *from = p.src + outer * p.outer_bytes + middle * p.middle_bytes;
  mfqn_statistic s = mfqn_statistic_none();
#pragma unroll 4
  for (int k = 0; k < REDUCE_CHUNKS; ++k) {
    const int64_t col = ((segment * REDUCE_CHUNKS + k) * REDUCE_THREADS + threadIdx.x) * CHUNK;
    const int count = mfqn_min(thread_left(col, p.cols), CHUNK);
    thread_reduce_chunk(p, thread_load_chunk<DTYPE>(from + col * ELEMENT_BYTES<DTYPE>, count, p.vector_load), count,
                        &s);
  }
  warp_stat_merge(p.slots, middle * p.middle_scales, s, p.minmax);
}

#endif
