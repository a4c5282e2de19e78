/* prim/team.cuh: teams of a block's threads, 2^k neighbours, and what all of a team come to. */
#ifndef MFQ_CUDA_PRIM_TEAM_CUH
#define MFQ_CUDA_PRIM_TEAM_CUH

#include <mfq/num/bits.h>

#include "shared.cuh"

enum { TEAM_WARPS = 8, TEAM_CALLS = 8 };

/* A word a warp, for each of TEAM_CALLS calls. */
typedef block_array<uint32_t, TEAM_WARPS * TEAM_CALLS> team_memory;

/* Merges the words of 2^log2 neighbouring threads in pairs of pairs. All threads of a block come here, at most TEAM_WARPS
 * warps, and those of a block once for each number of a `call`. */
template <class Merge>
__device__ __forceinline__ uint32_t block_team_merge(team_memory &memory, int call, int log2, uint32_t value,
                                                     uint32_t neutral, Merge merge) {
#pragma unroll 1
  for (int o = 1; o < 32 && o < 1 << log2; o <<= 1) value = merge(value, ptx_shuffle_xor(0xffffffffu, value, o));
  if (log2 <= 5) return value;
  const int warp = (int)threadIdx.x / 32, warps = 1 << (log2 - 5), first = warp & -warps;
  if (threadIdx.x % 32 == 0) memory.store(call * TEAM_WARPS + warp, value);
  ptx_sync_block();
  uint32_t v[TEAM_WARPS];
#pragma unroll
  for (int i = 0; i < TEAM_WARPS; ++i) v[i] = i < warps ? memory.load(call * TEAM_WARPS + first + i) : neutral;
#pragma unroll
  for (int count = TEAM_WARPS / 2; count >= 1; count /= 2)
#pragma unroll
    for (int i = 0; i < count; ++i) v[i] = merge(v[2 * i], v[2 * i + 1]);
  return v[0];
}

__device__ __forceinline__ float block_team_sum(team_memory &memory, int call, int log2, float value) {
  return mfqn_float_of(block_team_merge(
      memory, call, log2, mfqn_bits(value), 0x80000000u,
      [](uint32_t a, uint32_t b) { return mfqn_bits(mfqn_add(mfqn_float_of(a), mfqn_float_of(b))); }));
}

__device__ __forceinline__ uint32_t block_team_max(team_memory &memory, int call, int log2, uint32_t value) {
  return block_team_merge(
      memory, call, log2, value, 0u, [](uint32_t a, uint32_t b) { return mfqn_umax(a, b); });
}

#endif
