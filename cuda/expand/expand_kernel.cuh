/* cuda/expand/expand_kernel.cuh: scales or zero points to a plain tensor, one thread an element of it. */
#ifndef MFQ_CUDA_EXPAND_EXPAND_KERNEL_CUH
#define MFQ_CUDA_EXPAND_EXPAND_KERNEL_CUH

#include "cuda/index_plans.h"

typedef struct expand_params {
  mfqn_scheme scheme;
  walk_plan walk;        /* of the target; at.offset: in it */
  int32_t is_compressed; /* the number of an element is its scale */
  int32_t is_zero_points;
  element_view dst;
  scale_slots slots;
} expand_params;

__global__ void __launch_bounds__(ITEM_THREADS) expand_kernel(const __grid_constant__ expand_params p) {
  const float tensor_scale = thread_tensor_scale(p.slots);
  for (int64_t i = thread_item(); i < p.walk.count; i += thread_items()) {
    const walk_place at = thread_walk_at(p.walk, i);
    const mfqn_group g = thread_stored_group(p.slots, p.scheme, p.is_compressed ? i : at.scale, tensor_scale);
    const uint32_t scale = mfqn_whole_scale(&p.scheme, &g);
    thread_store_limited(p.dst, at.at.offset,
                         p.is_zero_points ? mfqn_bits(mfqn_zero_point_value(&p.scheme, &g)) : scale);
  }
}

#endif
