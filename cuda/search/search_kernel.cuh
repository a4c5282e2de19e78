/* cuda/search/search_kernel.cuh: scales by search, for any scheme and strides.
 *
 * The elements of a scale are a box, in row-major order. A warp tries all candidates on a box, or on a chunk of a long one,
 * which is a subtree of the sums; each lane sums a subtree of that. A thread a scale adds chunks up. Bytes moved an
 * element: once from memory, and once more out of the caches for each candidate. */
#ifndef MFQ_CUDA_SEARCH_SEARCH_KERNEL_CUH
#define MFQ_CUDA_SEARCH_SEARCH_KERNEL_CUH

#include <mfq/num/candidate.h>
#include <mfq/num/random.h>

#include "cuda/index_plans.h"

typedef struct search_params {
  mfqn_scheme scheme;
  mfqn_candidates candidates;
  statistics from;         /* boxes: at.offset in the source, at.other in the importance */
  element_view importance; /* data NULL: all elements count alike */
  scale_slots slots;       /* what is written; the tensor scale is there already */
  uint64_t seed, offset;
  int64_t chunk_size; /* elements, a power of two */
  divisor64 chunks;   /* of each scale */
  float *losses;      /* of each chunk; NULL: boxes are whole */
} search_params;

/* A scale and what is known of it. */
typedef struct search_scale {
  box elements;
  mfqn_statistic statistic;
  uint32_t measured;
  float tensor_scale;
} search_scale;

/* Elements of a box that a lane takes: `first` ... `end` - 1. */
typedef struct search_part {
  int64_t first, end;
} search_part;

enum { SEARCH_ALL = -1 /* lanes of a warp, as a mask */ };

__device__ __forceinline__ int32_t thread_search_tried(const search_params &p) {
  return p.candidates.last - p.candidates.first + 1;
}

/* The part of this lane: as many elements for each, a power of two, so that parts are subtrees. */
__device__ __forceinline__ search_part thread_search_part(int64_t first, int64_t end) {
  int64_t each = 1;
  while (each * 32 < end - first) each *= 2;
  const int64_t from = first + (int64_t)(threadIdx.x % 32) * each;
  const search_part part = {from, from + each < end ? from + each : end};
  return part;
}

template <class Visit>
__device__ __forceinline__ void thread_search_each(const search_params &p, const box &b, const search_part &part,
                                                   Visit visit) {
  box cut = b;
  cut.count = part.end;
  thread_box_each(p.from.boxes, cut, part.first, 1, visit);
}

/* The statistic of a scale, for all lanes: they measure it together where it is in no slot. */
__device__ __forceinline__ search_scale warp_search_scale(const search_params &p, int64_t index) {
  search_scale s = {thread_box_at(p.from.boxes, index), mfqn_statistic_none(), 0, thread_tensor_scale(p.slots)};
  if (p.from.slots) {
    s.statistic = thread_stat_load(p.from.slots, index, p.scheme.minmax);
  } else {
    s.statistic = thread_stat_measure(p.from, s.elements, threadIdx.x % 32, 32);
    s.statistic = warp_stat_reduce(s.statistic, p.scheme.minmax);
  }
  if (thread_pads_group(p.from, index)) mfqn_statistic_add(&s.statistic, 0);
  s.measured = mfqn_statistic_value(&s.statistic, &p.scheme);
  return s;
}

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

__device__ __forceinline__ uint32_t warp_search_count(const search_params &p, const search_scale &s,
                                                      uint32_t magnitude) {
  uint32_t count = 0;
  const search_part part = thread_search_part(0, s.elements.count);
  thread_search_each(p, s.elements, part,
                     [&](const linear &at) { count += (thread_load_rotated(p.from.src, at) & MFQN_ABS) <= magnitude; });
#pragma unroll
  for (int step = 16; step > 0; step /= 2) count += ptx_shuffle_xor((uint32_t)SEARCH_ALL, count, step);
  return count;
}

__device__ __forceinline__ uint32_t warp_search_candidate(const search_params &p, const search_scale &s, int32_t i) {
  if (!p.candidates.by_rank) return mfqn_candidate(&p.scheme, &p.candidates, s.measured, i);
  const int64_t rank = mfqn_candidate_rank(&p.candidates, s.elements.count, i);
  uint32_t found = 0;
#pragma unroll 1
  for (int bit = 30; bit >= 0; --bit)
    if (warp_search_count(p, s, found | ((1u << bit) - 1u)) < rank) found |= 1u << bit;
  return found;
}

/* ---- Sums --------------------------------------------------------------------------------------------------------
 *
 * Over the parts of a warp's lanes, which are subtrees. */

__device__ __forceinline__ float warp_search_sum(const mfqn_tree &tree) {
  uint32_t sum = mfqn_bits(mfqn_tree_sum(&tree)); /* +0 where a lane has none: what is missing in the tree */
#pragma unroll
  for (int step = 1; step < 32; step *= 2)
    sum = mfqn_bits(mfqn_add(mfqn_float_of(sum), mfqn_float_of(ptx_shuffle_xor((uint32_t)SEARCH_ALL, sum, step))));
  return mfqn_float_of(sum);
}

/* The one candidate of all lanes. */
__device__ __forceinline__ uint32_t warp_search_deviation(const search_params &p, const search_scale &s) {
  const search_part part = thread_search_part(0, s.elements.count);
  const float unit = mfqn_error_unit(s.measured);
  float sum = 0.0f, mean = 0.0f;
#pragma unroll 1
  for (int pass = 0; pass < 2; ++pass) {
    mfqn_tree tree;
    tree.count = 0;
    thread_search_each(p, s.elements, part, [&](const linear &at) {
      const uint32_t u = thread_load_rotated(p.from.src, at);
      mfqn_tree_add(&tree, pass == 0 ? mfqn_deviation_element(u, unit) : mfqn_deviation_square(u, unit, mean));
    });
    sum = warp_search_sum(tree);
    mean = mfqn_div(sum, (float)s.elements.count);
  }
  return mfqn_deviation_candidate(&p.candidates, s.measured, sum, s.elements.count);
}

/* ---- Losses ------------------------------------------------------------------------------------------------------ */

__device__ __forceinline__ float warp_search_loss(const search_params &p, const search_scale &s, const mfqn_group &g,
                                                  const search_part &part) {
  const float unit = mfqn_error_unit(s.measured);
  mfqn_tree tree;
  tree.count = 0;
  thread_search_each(p, s.elements, part, [&](const linear &at) {
    const uint32_t u = thread_load_rotated(p.from.src, at);
    const uint32_t random =
        p.scheme.rounding == MFQN_ROUND_STOCHASTIC ? mfqn_random(p.seed, p.offset, (uint64_t)at.logical) : 0;
    const float error = mfqn_squared_error(u, mfqn_fake(&p.scheme, &g, u, random), unit);
    const float weight = p.importance.data ? mfqn_float_of(thread_load_element(p.importance, at.other)) : 1.0f;
    mfqn_tree_add(&tree, mfqn_mul(error, weight));
  });
  return warp_search_sum(tree);
}

__device__ __forceinline__ void thread_search_store(const search_params &p, int64_t index, const mfqn_group &g) {
  thread_slot_store(p.slots, thread_slot_place(p.slots, index), g.stored);
  thread_zero_point_store(p.slots, p.scheme, index, g.zero_point);
}

__device__ __forceinline__ void warp_search_take(const search_params &p, const search_scale &s, int64_t index,
                                                 uint32_t candidate) {
  if (threadIdx.x % 32 != 0) return;
  thread_search_store(p, index, mfqn_candidate_group(&p.scheme, &s.statistic, candidate, s.tensor_scale));
}

/* Tries all candidates on elements first ... end - 1; their losses go to `losses`, or the best scale is stored. */
__device__ __forceinline__ void warp_search(const search_params &p, const search_scale &s, int64_t index,
                                            const search_part &chunk, float *losses) {
  const search_part part = thread_search_part(chunk.first, chunk.end);
  mfqn_best best = mfqn_best_start(s.measured);
#pragma unroll 1
  for (int32_t i = p.candidates.first; i <= p.candidates.last; ++i) {
    const uint32_t candidate = warp_search_candidate(p, s, i);
    const mfqn_group g = mfqn_candidate_group(&p.scheme, &s.statistic, candidate, s.tensor_scale);
    const float loss = warp_search_loss(p, s, g, part);
    if (losses && threadIdx.x % 32 == 0) ptx_store<uint32_t>(losses + (i - p.candidates.first), mfqn_bits(loss));
    mfqn_best_offer(&p.scheme, &p.candidates, i, candidate, loss, &best);
  }
  if (!losses) warp_search_take(p, s, index, best.candidate);
}

/* ---- Kernels ----------------------------------------------------------------------------------------------------- */

__global__ void __launch_bounds__(ITEM_THREADS, 1) search_kernel(const __grid_constant__ search_params p) {
  const int64_t chunks = (int64_t)p.chunks.value;
  for (int64_t i = thread_item() / 32; i < p.from.count * chunks; i += thread_items() / 32) {
    const int64_t index = thread_divide(i, p.chunks), first = (i - index * chunks) * p.chunk_size;
    const search_scale s = warp_search_scale(p, index);
    const int64_t left = s.elements.count - first;
    const search_part chunk = {first, left < p.chunk_size ? s.elements.count : first + p.chunk_size};
    float *const losses = p.losses ? p.losses + i * thread_search_tried(p) : nullptr;
    if (mfqn_is_searched(s.measured) && p.candidates.deviations != 0.0f)
      warp_search_take(p, s, index, warp_search_deviation(p, s));
    else if (mfqn_is_searched(s.measured) && left > 0)
      warp_search(p, s, index, chunk, losses);
    else if (!losses && threadIdx.x % 32 == 0)
      thread_search_store(p, index, mfqn_group_make(&p.scheme, &s.statistic, s.tensor_scale));
  }
}

/* Adds up chunks; statistics are in slots. */
__global__ void __launch_bounds__(ITEM_THREADS, 1) search_finish_kernel(const __grid_constant__ search_params p) {
  const int64_t chunks = (int64_t)p.chunks.value;
  const int32_t tried = thread_search_tried(p);
  for (int64_t index = thread_item(); index < p.from.count; index += thread_items()) {
    const mfqn_statistic statistic = thread_statistic(p.from, p.scheme, index);
    const uint32_t measured = mfqn_statistic_value(&statistic, &p.scheme);
    const int64_t count = thread_box_at(p.from.boxes, index).count;
    const float tensor_scale = thread_tensor_scale(p.slots);
    if (!mfqn_is_searched(measured)) {
      thread_search_store(p, index, mfqn_group_make(&p.scheme, &statistic, tensor_scale));
      continue;
    }
    mfqn_best best = mfqn_best_start(measured);
#pragma unroll 1
    for (int32_t k = 0; k < tried; ++k) {
      const int32_t i = p.candidates.first + k;
      mfqn_tree tree;
      tree.count = 0;
      for (int64_t c = 0; c * p.chunk_size < count; ++c)
        mfqn_tree_add(&tree, mfqn_float_of(ptx_load<uint32_t>(p.losses + (index * chunks + c) * tried + k)));
      mfqn_best_offer(&p.scheme, &p.candidates, i, mfqn_candidate(&p.scheme, &p.candidates, measured, i),
                      mfqn_tree_sum(&tree), &best);
    }
    thread_search_store(p, index, mfqn_candidate_group(&p.scheme, &statistic, best.candidate, tensor_scale));
  }
}

#endif
