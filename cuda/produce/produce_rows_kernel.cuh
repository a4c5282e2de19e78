/* cuda/produce/produce_rows_kernel.cuh: results as codes along rows, which are made where they are quantized: 16 a thread.
 *
 * Scales of a tensor or of channels are measured by a launch before, which makes the results for that alone. */
#ifndef MFQ_CUDA_PRODUCE_ROWS_KERNEL_CUH
#define MFQ_CUDA_PRODUCE_ROWS_KERNEL_CUH

#include "cuda/prim/stat.cuh"
#include "cuda/quantize/rows_kernel.cuh"
#include "made_chunk.cuh"

typedef struct produce_rows_params {
  rows_params rows;
  made_params made;
  int64_t first;        /* chunk of the launch */
  int32_t is_flat;      /* rows of codes are not those of results: chunks are numbered through */
  int32_t keeps;        /* plain results are written */
  divisor64 row_chunks; /* of results */
  uint32_t *slots;      /* not NULL: statistics are measured, and nothing is quantized */
  int64_t scales;       /* from middle index to middle index */
  int32_t minmax;
  int32_t by_warps; /* the chunks of a warp share a scale */
} produce_rows_params;

/* Merges the statistic of a chunk into its slot; of a warp's chunks only what is larger than what is there. */
__device__ __forceinline__ void warp_measure_chunk(const produce_rows_params &p, const rows_place &at,
                                                   const chunk<ELEMENT_F32> &x) {
  mfqn_statistic s = mfqn_statistic_none();
  s.absmax = thread_absmax(x);
  if (p.minmax) {
#pragma unroll
    for (int i = 0; i < CHUNK; ++i)
      if (i < at.left) mfqn_statistic_add(&s, x.word[i]);
  }
  const int64_t scale = at.middle * p.scales;
  if (!p.by_warps) {
    if (at.is_there) thread_stat_merge(p.slots, scale, s, p.minmax);
    return;
  }
  s = warp_stat_reduce(s, p.minmax);
  if (threadIdx.x % 32 != 0 || !at.is_there) return;
  if (p.minmax || s.absmax > ptx_load<uint32_t>(p.slots + scale * STAT_SLOT_WORDS))
    thread_stat_merge(p.slots, scale, s, p.minmax);
}

/* Stochastic rounding or not. */
__global__ void __launch_bounds__(ROWS_THREADS, PRODUCE_BLOCKS)
    produce_rows_kernel(const __grid_constant__ produce_rows_params p) {
  const int64_t number = p.first + (int64_t)blockIdx.x * ROWS_THREADS + threadIdx.x;
  const rows_place at = thread_rows_place(p.rows, number);
  const int64_t row = p.is_flat ? thread_divide(number, p.row_chunks) : at.row;
  const int64_t col = (p.is_flat ? number - row * (int64_t)p.row_chunks.value : at.step) * CHUNK;
  const chunk<ELEMENT_F32> x = thread_make_chunk(p.made, row, col, mfqn_min(at.left, CHUNK), p.keeps);
  if (p.slots)
    warp_measure_chunk(p, at, x);
  else
    warp_cast_chunks(p.rows, at, x, row_codes<1>{p.rows});
}

#endif
