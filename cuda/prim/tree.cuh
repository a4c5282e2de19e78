/* cuda/prim/tree.cuh: sums of terms in a thread's registers, and of the lanes that share a group. */
#ifndef MFQ_CUDA_PRIM_TREE_CUH
#define MFQ_CUDA_PRIM_TREE_CUH

#include <mfq/num/hd.h>

#include "ptx.cuh"

/* The sum of N terms, a power of two, by the tree of num/gradient.h; they are lost. */
template <int N> __device__ __forceinline__ float thread_tree(float (&t)[N]) {
  static_assert(N > 0 && (N & (N - 1)) == 0, "pairs of pairs");
#pragma unroll
  for (int pairs = N / 2; pairs >= 1; pairs /= 2)
#pragma unroll
    for (int i = 0; i < N / 2; ++i)
      if (i < pairs) t[i] = mfqn_add(t[2 * i], t[2 * i + 1]);
  return t[0];
}

/* The sum over the 2^lanes_log2 lanes of `mask`, neighbours, in every one of them: the next levels of that tree. Sums of
 * neighbours commute: a lane may be the left one or the right one. */
__device__ __forceinline__ float warp_tree(uint32_t mask, int lanes_log2, float sum) {
  for (int o = 1; o < 1 << lanes_log2; o <<= 1)
    sum = mfqn_add(sum, mfqn_float_of(ptx_shuffle_xor(mask, mfqn_bits(sum), o)));
  return sum;
}

#endif
