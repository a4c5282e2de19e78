/* cuda/product/implicit_parts_kernel.cuh: the sum of the parts of the depth of convolutions by tiles.
 *
 * One thread has one sum, of all parts. Bytes moved: 4 read for each part, 4 written. */
#ifndef MFQ_CUDA_CONV_IMPLICIT_PARTS_KERNEL_CUH
#define MFQ_CUDA_CONV_IMPLICIT_PARTS_KERNEL_CUH

#include <mfq/num/bits.h>

#include "cuda/prim/ptx.cuh"

typedef struct implicit_parts {
  float *sums; /* the first part, and the result */
  int64_t items;
  int32_t parts;
} implicit_parts;

/* In order: the sum does not depend on which part came first. */
__global__ void implicit_parts_kernel(const __grid_constant__ implicit_parts p) {
  const int64_t item = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (item >= p.items) return;
  float sum = mfqn_float_of(ptx_load<uint32_t>(p.sums + item));
  for (int32_t i = 1; i < p.parts; ++i)
    sum = mfqn_add(sum, mfqn_float_of(ptx_load<uint32_t>(p.sums + i * p.items + item)));
  ptx_store<uint32_t>(p.sums + item, mfqn_bits(sum));
}

#endif
