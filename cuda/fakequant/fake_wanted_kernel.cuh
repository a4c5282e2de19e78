/* cuda/fakequant/fake_wanted_kernel.cuh: scales as the caller of a fake quantization wants them: float32, in any strides.
 * One thread a scale. */
#ifndef MFQ_CUDA_FAKEQUANT_FAKE_WANTED_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_FAKE_WANTED_KERNEL_CUH

#include "cuda/index_plans.h"

typedef struct fake_wanted_params {
  mfqn_scheme scheme;
  scale_slots slots;
  int64_t count;
  walk_plan walk; /* of the wanted scales; at.offset: in them */
  element_view wanted;
} fake_wanted_params;

__global__ void __launch_bounds__(ITEM_THREADS) fake_wanted_kernel(const __grid_constant__ fake_wanted_params p) {
  for (int64_t i = thread_item(); i < p.count; i += thread_items()) {
    const mfqn_group g = thread_stored_group(p.slots, p.scheme, i, thread_tensor_scale(p.slots));
    thread_store_limited(p.wanted, thread_walk_at(p.walk, i).at.offset, mfqn_whole_scale(&p.scheme, &g));
  }
}

#endif
