/* cuda/prim/random.cuh: the random bits of a thread's elements: a block is made when the first of its eight elements
 * asks, and kept for the others. */
#ifndef MFQ_CUDA_PRIM_RANDOM_CUH
#define MFQ_CUDA_PRIM_RANDOM_CUH

#include <mfq/num/group.h>
#include <mfq/num/random.h>

typedef struct random_source {
  uint64_t seed, offset, block; /* the one that is held; at first one that no index has */
  mfqn_philox held;
  int32_t is_wanted;
} random_source;

__device__ __forceinline__ random_source thread_random_source(const mfqn_scheme &s, uint64_t seed, uint64_t offset) {
  return random_source{seed, offset, ~0ull, {{0u, 0u, 0u, 0u}}, s.rounding == MFQN_ROUND_STOCHASTIC};
}

/* The bits of the element with row-major index `logical`; 0 where rounding is not stochastic. */
__device__ __forceinline__ uint32_t thread_random(random_source *r, int64_t logical) {
  if (!r->is_wanted) return 0;
  const uint64_t index = (uint64_t)logical, block = index >> 3;
  if (block != r->block) {
    r->block = block;
    r->held = mfqn_random_block(r->seed, r->offset, block);
  }
  return mfqn_random_of_block(&r->held, index);
}

#endif
