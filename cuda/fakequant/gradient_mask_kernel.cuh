/* cuda/fakequant/gradient_mask_kernel.cuh: gradients by the mask that the forward left.
 *
 * Neighbouring elements of one type: a thread has 16, loaded and stored 16 bytes at a time, and two bytes of the mask.
 * Others: a thread has the elements of a byte, one after the other. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_MASK_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_GRADIENT_MASK_KERNEL_CUH

#include <mfq/num/gradient.h>

#include "cuda/index_plans.h"

typedef struct gradient_mask_params {
  walk_plan walk; /* in logical order: at.offset in the upstream gradient, at.other in dx */
  element_view upstream, dx;
  const uint8_t *bits;
} gradient_mask_params;

/* Words of a chunk where the mask has ones; NaN becomes the one that there is, and what does not pass 0. */
template <int DTYPE> __device__ __forceinline__ chunk<DTYPE> thread_pick(const chunk<DTYPE> &dy, uint32_t bits) {
  constexpr uint32_t INF = DTYPE == ELEMENT_BF16 ? 0x7f80u : 0x7c00u,
                     NAN_HALF = DTYPE == ELEMENT_BF16 ? 0x7fc0u : 0x7e00u;
  chunk<DTYPE> dx;
#pragma unroll
  for (int k = 0; k < chunk<DTYPE>::WORDS; ++k) {
    const uint32_t u = dy.word[k];
    if constexpr (DTYPE == ELEMENT_F32) {
      dx.word[k] = (bits >> k & 1u) != 0 ? mfqn_one_nan(mfqn_float_of(u)) : 0u;
    } else {
      const uint32_t low = (u & 0x7fffu) > INF ? NAN_HALF : u & 0xffffu;
      const uint32_t high = (u >> 16 & 0x7fffu) > INF ? NAN_HALF : u >> 16;
      dx.word[k] = ((bits >> 2 * k & 1u) != 0 ? low : 0u) | ((bits >> (2 * k + 1) & 1u) != 0 ? high << 16 : 0u);
    }
  }
  return dx;
}

/* Of rank 1, with steps of 1. */
template <int DTYPE>
__global__ void __launch_bounds__(ITEM_THREADS)
    gradient_mask_rows_kernel(const __grid_constant__ gradient_mask_params p) {
  for (int64_t first = CHUNK * thread_item(); first < p.walk.count; first += CHUNK * thread_items()) {
    const int64_t left = p.walk.count - first;
    const int32_t count = left < CHUNK ? (int32_t)left : (int32_t)CHUNK;
    const uint32_t low = ptx_load<uint8_t>(p.bits + first / 8);
    const uint32_t bits = low | (count > 8 ? (uint32_t)ptx_load<uint8_t>(p.bits + first / 8 + 1) << 8 : 0u);
    const int64_t at = first * ELEMENT_BYTES<DTYPE>;
    const chunk<DTYPE> dx = thread_pick(thread_load_chunk<DTYPE>(p.upstream.data + at, count, 1), bits);
    if (count == CHUNK) {
#pragma unroll
      for (int k = 0; k < chunk<DTYPE>::WORDS; k += 4)
        ptx_store<uint4>(p.dx.data + at + 4 * k,
                         make_uint4(dx.word[k], dx.word[k + 1], dx.word[k + 2], dx.word[k + 3]));
      continue;
    }
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) {
      if (i >= count) continue;
      if constexpr (DTYPE == ELEMENT_F32)
        ptx_store<uint32_t>(p.dx.data + at + 4 * i, dx.word[i]);
      else
        ptx_store<uint16_t>(p.dx.data + at + 2 * i, (uint16_t)(dx.word[i / 2] >> i % 2 * 16));
    }
  }
}

__global__ void __launch_bounds__(ITEM_THREADS) gradient_mask_kernel(const __grid_constant__ gradient_mask_params p) {
  for (int64_t first = 8 * thread_item(); first < p.walk.count; first += 8 * thread_items()) {
    const uint32_t byte = ptx_load<uint8_t>(p.bits + first / 8);
    walk_place at = thread_walk_at(p.walk, first);
    for (int32_t k = 0; k < 8; ++k) {
      const float dy = mfqn_float_of(thread_load_element(p.upstream, at.at.offset));
      thread_store_element(p.dx, at.at.other, (byte >> k & 1u) != 0 ? mfqn_one_nan(dy) : 0u);
      if (first + k + 1 >= p.walk.count) break;
      thread_walk_next(p.walk, &at);
    }
  }
}

#endif
