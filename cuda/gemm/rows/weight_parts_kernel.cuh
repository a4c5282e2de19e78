/* cuda/gemm/rows/weight_parts_kernel.cuh: what surrounds the product of few rows: A as bf16, and the sum of the parts of K.
 *
 * One thread has two elements of A, or one sum. */
#ifndef MFQ_CUDA_GEMM_WEIGHT_PARTS_KERNEL_CUH
#define MFQ_CUDA_GEMM_WEIGHT_PARTS_KERNEL_CUH

#include "cuda/prim/divide.cuh"
#include "cuda/product/side.cuh"

typedef struct narrow_params {
  side_params side;
  uint8_t *to;           /* bf16, [batch][rows][pairs * 2] */
  int64_t items;         /* pairs of all rows of all batches */
  divisor64 pairs, rows; /* pairs of a row, zeros behind its end */
} narrow_params;

/* Elements times group scales, rounded to bf16 where it does not hold them. */
__global__ void narrow_side_kernel(const __grid_constant__ narrow_params p) {
  const int64_t item = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (item >= p.items) return;
  const int64_t line = thread_divide(item, p.pairs), batch = thread_divide(line, p.rows);
  const int64_t k = 2 * (item - line * (int64_t)p.pairs.value);
  const side_row row = thread_side_row(p.side, batch, line - batch * (int64_t)p.rows.value);
  uint32_t both = 0;
#pragma unroll 1
  for (int i = 0; i < 2; ++i)
    if (k + i < p.side.depth) both |= mfqn_bf16_limited(thread_side_value(p.side, row, k + i)) << 16 * i;
  ptx_store<uint32_t>(p.to + 4 * item, both);
}

#endif
