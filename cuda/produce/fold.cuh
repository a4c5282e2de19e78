/* cuda/produce/fold.cuh: what the terms of a row come to, their sum by the tree of num/gradient.h or the largest, by a warp or
 * by a block.
 *
 * Terms come 8 a thread, 256 a warp: a span. Spans are gathered in order, those of a warp in its lanes, those of a block in
 * shared memory, 1024 at a time, whose sums go on by the tree as they come. */
#ifndef MFQ_CUDA_PRODUCE_FOLD_CUH
#define MFQ_CUDA_PRODUCE_FOLD_CUH

#include <mfq/num/gradient.h>

#include "cuda/prim/team.cuh"
#include "cuda/prim/tree.cuh"
#include "made_view.cuh"

enum {
  FOLD_THREADS = 256,
  FOLD_WARPS = 8,
  SPAN = 256,         /* columns of a warp */
  WARP_SPANS = 32,    /* of a row that a warp folds: 8192 columns */
  BLOCK_SPANS = 1024, /* gathered in a block */
  TREE_WORDS = 64     /* sums under way of rows of more */
};

typedef block_array<float, 2 * BLOCK_SPANS> fold_spans; /* of first terms, of second ones */
typedef block_array<float, 2 * TREE_WORDS> fold_tree;

/* What stands for an element that is not there: +0 as far as the tree goes, -0, which changes nothing, beyond. */
typedef struct fold_shape {
  int64_t count, end; /* elements that are there; the smallest power of two that is not below the row's length */
  int is_largest;
} fold_shape;

__device__ __forceinline__ fold_shape thread_fold_shape(int64_t cols, int64_t count, int is_largest) {
  fold_shape f = {count, 1, is_largest};
  while (f.end < cols) f.end <<= 1;
  return f;
}

__device__ __forceinline__ float thread_absent(const fold_shape &f, int64_t col) {
  return f.is_largest ? mfqn_float_of(0xff800000u) : col < f.end ? 0.0f : -0.0f;
}

__device__ __forceinline__ float thread_fold(const fold_shape &f, float a, float b) {
  return f.is_largest ? mfqn_larger(a, b) : mfqn_add(a, b);
}

/* The 256 terms of a warp's span. */
__device__ __forceinline__ float warp_fold_span(const fold_shape &f, piece8 x) {
#pragma unroll
  for (int pairs = PIECE / 2; pairs >= 1; pairs /= 2)
#pragma unroll
    for (int i = 0; i < PIECE / 2; ++i)
      if (i < pairs) x.v[i] = thread_fold(f, x.v[2 * i], x.v[2 * i + 1]);
  float sum = x.v[0];
#pragma unroll 1
  for (int o = 1; o < 32; o <<= 1)
    sum = thread_fold(f, sum, mfqn_float_of(ptx_shuffle_xor(0xffffffffu, mfqn_bits(sum), o)));
  return sum;
}

/* ---- A warp a row ------------------------------------------------------------------------------------------------ */

/* Lane i has span i; all lanes receive the sum. */
__device__ __forceinline__ float warp_fold_spans(const fold_shape &f, float span) {
#pragma unroll 1
  for (int o = 1; o < 32; o <<= 1)
    span = thread_fold(f, span, mfqn_float_of(ptx_shuffle_xor(0xffffffffu, mfqn_bits(span), o)));
  return span;
}

/* ---- A block a row ----------------------------------------------------------------------------------------------- */

/* What the spans from `base` on, at most BLOCK_SPANS, come to, in every thread; `which` 1: of second terms. */
__device__ __forceinline__ float block_fold_spans(const fold_shape &f, fold_spans &spans, team_memory &team, int which,
                                                  int64_t base) {
  constexpr int OWN = BLOCK_SPANS / FOLD_THREADS;
  float v[OWN];
#pragma unroll
  for (int i = 0; i < OWN; ++i) {
    const int slot = OWN * (int)threadIdx.x + i;
    const int64_t col = (base + slot) * SPAN;
    v[i] = col < f.count ? spans.load(which * BLOCK_SPANS + slot) : thread_absent(f, col);
  }
  const float own = thread_fold(f, thread_fold(f, v[0], v[1]), thread_fold(f, v[2], v[3]));
  const uint32_t neutral = f.is_largest ? 0xff800000u : 0x80000000u;
  return mfqn_float_of(block_team_merge(team, which, 8, mfqn_bits(own), neutral, [&](uint32_t a, uint32_t b) {
    return mfqn_bits(thread_fold(f, mfqn_float_of(a), mfqn_float_of(b)));
  }));
}

/* By one thread: adds complete sums to a tree under way, the `number`th of them. */
__device__ __forceinline__ void thread_tree_push(fold_tree &tree, int first, int64_t number, float sum) {
  int k = 0;
  for (; (number >> k & 1) != 0; ++k) sum = mfqn_add(tree.load(first + k), sum);
  tree.store(first + k, sum);
}

/* The sum of `count` > 0 that were added. */
__device__ __forceinline__ float thread_tree_total(fold_tree &tree, int first, int64_t count) {
  const int is_complete = (count & (count - 1)) == 0;
  float sum = 0.0f;
  for (int k = 0; count >> k != 0; ++k)
    if ((count >> k & 1) != 0) sum = is_complete ? tree.load(first + k) : mfqn_add(tree.load(first + k), sum);
  return sum;
}

#endif
