/* cuda/dequantize/decode_rotated_kernel.cuh: codes to values that are rotated back, for any scheme, strides and layout.
 *
 * A thread has an element, and its neighbours in the block have those of its rotation. */
#ifndef MFQ_CUDA_DEQUANTIZE_DECODE_ROTATED_KERNEL_CUH
#define MFQ_CUDA_DEQUANTIZE_DECODE_ROTATED_KERNEL_CUH

#include "cuda/index_plans.h"

typedef struct decode_rotated_params {
  mfqn_scheme scheme;
  walk_plan walk; /* rotation by rotation; at.offset: of the element; at.other: the bit of the code */
  element_view dst;
  scale_slots slots;
  const uint8_t *codes;
  int32_t bits; /* of a stored code */
} decode_rotated_params;

__global__ void __launch_bounds__(ROTATION_THREADS)
    decode_rotated_kernel(const __grid_constant__ decode_rotated_params p) {
  __shared__ rotation_memory memory;
  const float tensor_scale = thread_tensor_scale(p.slots);
  const uint32_t mask = (1u << p.scheme.bits) - 1u;
  for (int64_t first = (int64_t)blockIdx.x * ROTATION_THREADS; first < p.walk.count; first += thread_items()) {
    const int64_t i = first + threadIdx.x;
    const int is_there = i < p.walk.count;
    walk_place at = {};
    uint32_t value = 0;
    if (is_there) {
      at = thread_walk_at(p.walk, i);
      const mfqn_group g = thread_stored_group(p.slots, p.scheme, at.scale, tensor_scale);
      value = mfqn_decode(&p.scheme, &g, thread_load_bits(p.codes, at.at.other, p.bits) & mask);
    }
    value = block_rotate(memory, p.scheme.rotation, value, 1);
    if (is_there) thread_store_limited(p.dst, at.at.offset, value);
  }
}

#endif
