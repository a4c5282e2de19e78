/* cuda/observe/observe_reduced_kernel.cuh: from extremes that a reduction has left in slots to statistics, a thread a scale. */
#ifndef MFQ_CUDA_OBSERVE_REDUCED_KERNEL_CUH
#define MFQ_CUDA_OBSERVE_REDUCED_KERNEL_CUH

#include "observe_params.cuh"

__global__ void __launch_bounds__(ITEM_THREADS) observe_reduced_kernel(const __grid_constant__ observe_params p) {
  for (int64_t scale = thread_item(); scale < p.count; scale += thread_items()) {
    const mfqn_statistic s = thread_stat_load(p.reduced, scale, p.observer.observed != MFQN_OBSERVED_ABSMAX);
    thread_observe_put(p.to, scale, mfqn_observed_extreme(p.observer.observed, &s, &p.scheme));
  }
}

#endif
