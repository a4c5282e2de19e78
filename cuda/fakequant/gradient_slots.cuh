/* cuda/fakequant/gradient_slots.cuh: partial sums of gradients of scales, and totals, in device memory. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_SLOTS_CUH
#define MFQ_CUDA_FAKEQUANT_GRADIENT_SLOTS_CUH

#include <mfq/num/gradient.h>

#include "cuda/prim/ptx.cuh"

/* Two floats and spots: what partial sums and totals both are. */
enum { GRADIENT_SLOT_WORDS = 3 };
typedef uint64_t gradient_slot[GRADIENT_SLOT_WORDS];

__device__ __forceinline__ void thread_slot_put(gradient_slot *to, float a, float b, mfqn_spots spots) {
  ptx_store<uint64_t>(*to, mfqn_bits(a) | (uint64_t)mfqn_bits(b) << 32);
  ptx_store<uint64_t>(*to + 1, (uint64_t)spots.lo);
  ptx_store<uint64_t>(*to + 2, (uint64_t)spots.hi);
}

__device__ __forceinline__ mfqn_spots thread_slot_get(const gradient_slot *from, float *a, float *b) {
  const uint64_t floats = ptx_load<uint64_t>(*from);
  *a = mfqn_float_of((uint32_t)floats);
  *b = mfqn_float_of((uint32_t)(floats >> 32));
  return mfqn_spots{(int64_t)ptx_load<uint64_t>(*from + 1), (int64_t)ptx_load<uint64_t>(*from + 2)};
}

#endif
