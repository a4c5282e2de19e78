/* cuda/observe/freeze_kernel.cuh: from collected statistics to scales and zero points, a thread a scale. */
#ifndef MFQ_CUDA_OBSERVE_FREEZE_KERNEL_CUH
#define MFQ_CUDA_OBSERVE_FREEZE_KERNEL_CUH

#include <mfq/num/observed.h>

#include "cuda/index_plans.h"

typedef struct freeze_params {
  mfqn_scheme scheme;
  walk_plan from, from_lows; /* of the statistics, by scale */
  element_view values, lows; /* data NULL: there are none */
  scale_slots slots;
  int64_t count;
  int32_t is_learned;
  uint32_t *absmax; /* of UE4M3: the largest finite statistic */
} freeze_params;

/* Row-major tensors of float32. */
__device__ __forceinline__ uint32_t thread_collected(const element_view &of, const walk_plan &walk, int64_t scale) {
  return of.data ? thread_load_element(of, thread_walk_at(walk, scale).at.offset) : 0u;
}

__global__ void __launch_bounds__(ITEM_THREADS) freeze_absmax_kernel(const __grid_constant__ freeze_params p) {
  uint32_t largest = 0;
  for (int64_t i = thread_item(); i < p.count; i += thread_items()) {
    const uint32_t value = thread_collected(p.values, p.from, i) & MFQN_ABS;
    if (value < MFQN_INF) largest = mfqn_umax(largest, value);
  }
  largest = ptx_reduce_max(0xffffffffu, largest);
  if (threadIdx.x % 32 == 0 && largest != 0) ptx_atomic_max(p.absmax, largest);
}

__global__ void __launch_bounds__(ITEM_THREADS) freeze_kernel(const __grid_constant__ freeze_params p) {
  const float tensor_scale = thread_tensor_scale(p.slots);
  for (int64_t i = thread_item(); i < p.count; i += thread_items()) {
    const uint32_t value = thread_collected(p.values, p.from, i), low = thread_collected(p.lows, p.from_lows, i);
    const mfqn_group g = mfqn_collected_group(&p.scheme, value, low, tensor_scale, p.is_learned);
    thread_slot_store(p.slots, thread_slot_place(p.slots, i), g.stored);
    thread_zero_point_store(p.slots, p.scheme, i, g.zero_point);
  }
}

#endif
