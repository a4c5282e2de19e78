/* cuda/quantize/eden_kernel.cuh: the scales of groups, corrected together (num/eden.h), for any strides and layout.
 *
 * A thread has the elements that share a correction. Nothing here is for speed. */
#ifndef MFQ_CUDA_QUANTIZE_EDEN_KERNEL_CUH
#define MFQ_CUDA_QUANTIZE_EDEN_KERNEL_CUH

#include "eden_runs.cuh"

typedef struct eden_params {
  mfqn_scheme scheme;
  statistics from; /* without slots */
  scale_slots slots;
  eden_runs runs;
  uint64_t seed, offset;
} eden_params;

__global__ void __launch_bounds__(ITEM_THREADS) eden_kernel(const __grid_constant__ eden_params p) {
  const float tensor_scale = thread_tensor_scale(p.slots);
  for (int64_t i = thread_item(); i < p.runs.count; i += thread_items()) {
    const eden_run run = thread_eden_run(p.runs, i);
    mfqn_eden e;
    mfqn_eden_start(&e);
    for (int64_t k = 0; k < run.count; ++k) {
      const int64_t scale = run.first + k * run.step;
      thread_eden_add(&e, p.scheme, p.from, thread_stored_group(p.slots, p.scheme, scale, tensor_scale), scale);
    }
    const float c = mfqn_eden_factor(&e);
    for (int64_t k = 0; k < run.count; ++k) {
      const int64_t scale = run.first + k * run.step;
      mfqn_group g = thread_stored_group(p.slots, p.scheme, scale, tensor_scale);
      mfqn_eden_correct(&p.scheme, &g, c, thread_eden_random(p.from, scale, p.seed, p.offset));
      thread_slot_store(p.slots, thread_slot_place(p.slots, scale), g.stored);
    }
  }
}

#endif
