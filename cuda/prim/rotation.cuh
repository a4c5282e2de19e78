/* prim/rotation.cuh: rotated elements: one alone, from all that it is made of, or by the threads of a block that have a
 * rotation's elements each. */
#ifndef MFQ_CUDA_PRIM_ROTATION_CUH
#define MFQ_CUDA_PRIM_ROTATION_CUH

#include <mfq/num/rotate.h>

#include "element.cuh"
#include "shared.cuh"
#include "walk.cuh"

/* A tensor whose elements are rotated when they are read; with rotation.size 0 one whose elements are not. */
typedef struct rotated_view {
  element_view of;
  mfqn_rotation rotation;
  int64_t step;    /* from element to element of a rotation */
  divisor64 inner; /* row-major indices from one to the next */
} rotated_view;

/* The element at a place, of which offset and, where there is a rotation, the row-major index are known. Its sums are a
 * tree: of each two halves the sum or, where the element's bit is set, the difference. */
__device__ __forceinline__ uint32_t thread_load_rotated(const rotated_view &v, const linear &at) {
  const mfqn_rotation &r = v.rotation;
  if (r.size == 0) return thread_load_element(v.of, at.offset);
  const int32_t k = (int32_t)(thread_divide(at.logical, v.inner) & (r.size - 1));
  const int64_t first = at.offset - k * v.step;
  float half[8], sum = 0.0f;
#pragma unroll 1
  for (int32_t j = 0; j < r.size; ++j) {
    sum = mfqn_rotation_in(&r, j, thread_load_element(v.of, first + j * v.step), 0);
    int32_t bit = 0;
#pragma unroll 1
    for (; (j >> bit & 1) != 0; ++bit) sum = (k >> bit & 1) != 0 ? mfqn_sub(half[bit], sum) : mfqn_add(half[bit], sum);
    half[bit] = sum;
  }
  return mfqn_rotation_out(&r, k, sum, 0);
}

enum { ROTATION_THREADS = 256 };
typedef block_array<float, ROTATION_THREADS> rotation_memory;

/* Each thread has element threadIdx.x mod size of a rotation, and receives the same of the result. All threads of a block
 * come here. */
__device__ __forceinline__ uint32_t block_rotate(rotation_memory &memory, const mfqn_rotation &r, uint32_t u,
                                                 int is_inverse) {
  const int thread = (int)threadIdx.x, k = thread & (r.size - 1);
  float x = mfqn_rotation_in(&r, k, u, is_inverse);
#pragma unroll 1
  for (int stride = 1; stride < r.size; stride *= 2) {
    float other;
    if (stride < 32) {
      other = mfqn_float_of(ptx_shuffle_xor(0xffffffffu, mfqn_bits(x), stride));
    } else {
      ptx_sync_block();
      memory.store(thread, x);
      ptx_sync_block();
      other = memory.load(thread ^ stride);
    }
    x = (k & stride) != 0 ? mfqn_sub(other, x) : mfqn_add(x, other);
  }
  return mfqn_rotation_out(&r, k, x, is_inverse);
}

#endif
