/* cuda/quantize/rotated_rows_kernel.cuh: rotates along the contiguous axis, and quantizes as quantize_rows_kernel does.
 *
 * A thread's chunk of 16 elements is rotated in its registers; larger rotations are 2, 4 or 8 neighbouring lanes, which
 * exchange chunks by shuffles. Rows of chunks are whole rotations, and no rotation crosses a warp. Bytes moved per element:
 * as without a rotation. */
#ifndef MFQ_CUDA_QUANTIZE_ROTATED_ROWS_KERNEL_CUH
#define MFQ_CUDA_QUANTIZE_ROTATED_ROWS_KERNEL_CUH

#include <mfq/num/rotate.h>

#include "rows_kernel.cuh"

/* The chunk of lane `step` of a rotation's. */
template <int DTYPE>
__device__ __forceinline__ chunk<ELEMENT_F32> warp_rotate_chunk(const mfqn_rotation &r, const chunk<DTYPE> &from,
                                                                int64_t step) {
  const int lanes = r.size / CHUNK, lane = (int)(step & (lanes - 1));
  const uint32_t signs = r.signs[lane / 2] >> lane % 2 * CHUNK;
  const float factor = mfqn_rotation_factor(&r);
  float x[CHUNK];
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) x[i] = mfqn_float_of(thread_element(from, i) ^ (signs >> i << 31));
#pragma unroll
  for (int stride = 1; stride < CHUNK; stride *= 2) {
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) {
      if (i & stride) continue;
      const float a = x[i], b = x[i + stride];
      x[i] = mfqn_add(a, b);
      x[i + stride] = mfqn_sub(a, b);
    }
  }
#pragma unroll 1
  for (int stride = 1; stride < lanes; stride *= 2) {
    const int is_second = lane & stride;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) {
      const float other = mfqn_float_of(ptx_shuffle_xor(0xffffffffu, mfqn_bits(x[i]), stride));
      x[i] = is_second ? mfqn_sub(other, x[i]) : mfqn_add(x[i], other);
    }
  }
  chunk<ELEMENT_F32> to;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) to.word[i] = mfqn_one_nan(mfqn_mul(x[i], factor));
  return to;
}

template <int DTYPE, int DRAWN>
__global__ void __launch_bounds__(ROWS_THREADS, ROWS_ROTATED_BLOCKS)
    quantize_rotated_rows_kernel(const __grid_constant__ rows_params p) {
  const rows_place at = thread_rows_place(p, (int64_t)blockIdx.x * ROWS_THREADS + threadIdx.x);
  const chunk<DTYPE> x = thread_rows_load<DTYPE>(p, at);
  warp_cast_chunks(p, at, warp_rotate_chunk(p.to.how.scheme.rotation, x, at.step), row_codes<DRAWN>{p});
}

#endif
