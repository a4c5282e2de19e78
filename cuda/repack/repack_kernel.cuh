/* cuda/repack/repack_kernel.cuh: codes, scales and zero points from one layout to another, bit by bit the same.
 *
 * A thread makes 8 neighbouring codes of the target, fetching each from its bit of the source, or one scale. */
#ifndef MFQ_CUDA_REPACK_REPACK_KERNEL_CUH
#define MFQ_CUDA_REPACK_REPACK_KERNEL_CUH

#include "cuda/index_plans.h"

typedef struct repack_codes_params {
  walk_plan walk; /* of the target; at.offset: the bit of the code in the source */
  const uint8_t *from;
  int32_t from_bits, bits; /* of a stored code of the source, of a code */
  chunk_rows to;
} repack_codes_params;

__device__ __forceinline__ uint64_t thread_repack_chunk(const repack_codes_params &p, const chunk_span &span) {
  uint64_t word = 0;
  walk_place at = thread_walk_at(p.walk, span.first);
#pragma unroll 1
  for (int32_t i = 0;;) {
    const uint32_t code = thread_load_bits(p.from, at.at.offset, p.from_bits) & ((1u << p.bits) - 1u);
    word |= (uint64_t)code << i * p.to.bits;
    if (++i == span.codes) return word;
    thread_walk_next(p.walk, &at);
  }
}

__global__ void __launch_bounds__(ITEM_THREADS) repack_codes_kernel(const __grid_constant__ repack_codes_params p) {
  for (int64_t i = thread_item(); i < p.to.count; i += thread_items()) {
    const chunk_span span = thread_chunk_at(p.to, i);
    thread_store_word(p.to.codes + span.byte, span.codes > 0 ? thread_repack_chunk(p, span) : 0, span.bytes);
  }
}

typedef struct repack_scales_params {
  mfqn_scheme scheme;
  walk_plan walk; /* of the target's scales; at.scale: the index of the scale in the source */
  scale_slots from, to;
} repack_scales_params;

__global__ void __launch_bounds__(ITEM_THREADS) repack_scales_kernel(const __grid_constant__ repack_scales_params p) {
  for (int64_t i = thread_item(); i < p.walk.count; i += thread_items()) {
    const int64_t index = thread_walk_at(p.walk, i).scale;
    thread_slot_store(p.to, thread_slot_place(p.to, i), thread_slot_load(p.from, thread_slot_place(p.from, index)));
    thread_zero_point_store(p.to, p.scheme, i, thread_zero_point_load(p.from, p.scheme, index));
  }
}

enum { NO_SCALE = 0xffffffff, MOST_SCALE = 0xfffffffe };

typedef struct equal_scales_params {
  mfqn_scheme scheme;
  walk_plan walk; /* of the source's scales; at.scale: the index of the first of those which become one */
  scale_slots from;
  uint32_t *different; /* the least index of a scale that differs from its first; of many scales MOST_SCALE at most */
} equal_scales_params;

__global__ void __launch_bounds__(ITEM_THREADS) equal_scales_kernel(const __grid_constant__ equal_scales_params p) {
  for (int64_t i = thread_item(); i < p.walk.count; i += thread_items()) {
    const int64_t first = thread_walk_at(p.walk, i).scale;
    const uint32_t a = thread_slot_load(p.from, thread_slot_place(p.from, first)),
                   b = thread_slot_load(p.from, thread_slot_place(p.from, i));
    if (a != b || thread_zero_point_load(p.from, p.scheme, first) != thread_zero_point_load(p.from, p.scheme, i))
      ptx_atomic_min(p.different, i < (int64_t)MOST_SCALE ? (uint32_t)i : (uint32_t)MOST_SCALE);
  }
}

#endif
