/* cuda/quantize/encode_general_kernel.cuh: elements to codes, for any scheme, strides and layout.
 *
 * A thread makes 8 neighbouring codes, which are whole bytes, and what pads the row behind them. Scales are read as
 * stored; random blocks are made once for the codes that share them. Bytes moved per element: the element, the code, and its scale out of the caches. */
#ifndef MFQ_CUDA_QUANTIZE_ENCODE_GENERAL_KERNEL_CUH
#define MFQ_CUDA_QUANTIZE_ENCODE_GENERAL_KERNEL_CUH

#include "cuda/index_plans.h"
#include "cuda/prim/random.cuh"

typedef struct encode_general_params {
  mfqn_scheme scheme;
  walk_plan walk; /* at.offset: of the element */
  rotated_view src;
  scale_slots slots;
  chunk_rows to;
  uint64_t seed, offset;
} encode_general_params;

__device__ __forceinline__ uint64_t thread_encode_chunk(const encode_general_params &p, const chunk_span &span,
                                                        float tensor_scale) {
  uint64_t word = 0;
  walk_place at = thread_walk_at(p.walk, span.first);
  mfqn_group g = thread_stored_group(p.slots, p.scheme, at.scale, tensor_scale);
  random_source source = thread_random_source(p.scheme, p.seed, p.offset);
#pragma unroll 1
  for (int32_t i = 0;;) {
    const uint32_t u = thread_load_rotated(p.src, at.at);
    const uint32_t random = thread_random(&source, at.at.logical);
    word |= (uint64_t)mfqn_encode(&p.scheme, &g, u, random) << i * p.to.bits;
    if (++i == span.codes) return word;
    const int64_t scale = at.scale;
    thread_walk_next(p.walk, &at);
    if (at.scale != scale) g = thread_stored_group(p.slots, p.scheme, at.scale, tensor_scale);
  }
}

__global__ void __launch_bounds__(ITEM_THREADS) encode_general_kernel(const __grid_constant__ encode_general_params p) {
  const float tensor_scale = thread_tensor_scale(p.slots);
  for (int64_t i = thread_item(); i < p.to.count; i += thread_items()) {
    const chunk_span span = thread_chunk_at(p.to, i);
    const uint64_t word = span.codes > 0 ? thread_encode_chunk(p, span, tensor_scale) : 0;
    thread_store_word(p.to.codes + span.byte, word, span.bytes);
  }
}

#endif
