/* cuda/dequantize/decode_general_kernel.cuh: codes to values, for any scheme, strides and layout.
 *
 * A thread has an element; neighbours have neighbouring codes. What lies beyond the codes, in a target of padded shape,
 * receives the value of the code that stands for 0. */
#ifndef MFQ_CUDA_DEQUANTIZE_DECODE_GENERAL_KERNEL_CUH
#define MFQ_CUDA_DEQUANTIZE_DECODE_GENERAL_KERNEL_CUH

#include "cuda/index_plans.h"

typedef struct decode_general_params {
  mfqn_scheme scheme;
  walk_plan walk; /* at.offset: of the element; at.other: the bit of the code */
  element_view dst;
  scale_slots slots;
  const uint8_t *codes;
  int32_t bits; /* of a stored code */
} decode_general_params;

__global__ void __launch_bounds__(ITEM_THREADS) decode_general_kernel(const __grid_constant__ decode_general_params p) {
  const float tensor_scale = thread_tensor_scale(p.slots);
  const uint32_t mask = (1u << p.scheme.bits) - 1u;
  for (int64_t i = thread_item(); i < p.walk.count; i += thread_items()) {
    const walk_place at = thread_walk_at(p.walk, i);
    const mfqn_group g = thread_stored_group(p.slots, p.scheme, at.scale, tensor_scale);
    uint32_t code = mfqn_zero_point_code(&p.scheme, &g);
    if (!at.is_padding) code = thread_load_bits(p.codes, at.at.other, p.bits) & mask;
    thread_store_limited(p.dst, at.at.offset, mfqn_decode(&p.scheme, &g, code));
  }
}

#endif
