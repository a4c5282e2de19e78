/* cuda/search/search_hqo_kernel.cuh: half-quadratic steps of scales or zero points, for any scheme and strides.
 *
 * A warp takes the step of a scale: its lanes sum subtrees, and of quotients they find the lower median bit by bit, making
 * them anew for each. Then a warp sums the errors of all scales and tells whether the step was a good one, which the next
 * step begins with: behind the last good one nothing happens. */
#ifndef MFQ_CUDA_SEARCH_SEARCH_HQO_KERNEL_CUH
#define MFQ_CUDA_SEARCH_SEARCH_HQO_KERNEL_CUH

#include <mfq/num/half_quadratic.h>
#include <mfq/num/observed.h>

#include "search_kernel.cuh"

/* What is known of a scale from step to step: what stands for its statistic, or for its low end, and its errors. */
typedef struct hqo_slot {
  uint32_t now, next, best, errors;
} hqo_slot;

/* Of all scales: whether the last step was a good one, and the least sum of errors, as bits. */
typedef struct hqo_state {
  uint32_t is_good, least;
} hqo_state;

typedef struct search_hqo_params {
  search_params all;
  hqo_slot *slots;
  hqo_state *state;
  int64_t whole; /* elements of a group that Brevitas pads; 0: it pads none */
  float softness;
  int32_t is_zero_point, is_first;
} search_hqo_params;

/* A scale under one candidate, and the elements of this lane. */
typedef struct hqo_lane {
  search_scale scale;
  mfqn_group group;
  search_part part;
  int64_t pads; /* zeros of this lane, behind its elements */
} hqo_lane;

__device__ __forceinline__ mfqn_group thread_hqo_group(const search_hqo_params &p, const search_scale &s,
                                                       uint32_t candidate, int is_final) {
  return p.is_zero_point ? mfqn_hqo_zero_group(&p.all.scheme, &s.statistic, candidate, s.tensor_scale, is_final)
                         : mfqn_candidate_group(&p.all.scheme, &s.statistic, candidate, s.tensor_scale);
}

/* Visits what each element of a lane gives to the step. */
template <class Visit>
__device__ __forceinline__ void thread_hqo_each(const search_hqo_params &p, const hqo_lane &lane, Visit visit) {
  const mfqn_scheme &s = p.all.scheme;
  const auto term = [&](uint32_t u) {
    visit(p.is_zero_point ? mfqn_hqo_zero_term(&s, &lane.group, u, p.softness)
                          : mfqn_hqo_scale_term(&s, &lane.group, u, p.softness));
  };
  thread_search_each(p.all, lane.scale.elements, lane.part,
                     [&](const linear &at) { term(thread_load_rotated(p.all.from.src, at)); });
#pragma unroll 1
  for (int64_t i = 0; i < lane.pads; ++i) term(0);
}

/* Subtrees of the lanes, added up. */
__device__ __forceinline__ float warp_hqo_sum(const mfqn_tree &tree) {
  uint32_t sum = mfqn_bits(mfqn_tree_sum(&tree));
#pragma unroll
  for (int step = 1; step < 32; step *= 2)
    sum = mfqn_bits(mfqn_add(mfqn_float_of(sum), mfqn_float_of(ptx_shuffle_xor((uint32_t)SEARCH_ALL, sum, step))));
  return mfqn_float_of(sum);
}

__device__ __forceinline__ uint32_t warp_hqo_count(uint32_t count) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) count += ptx_shuffle_xor((uint32_t)SEARCH_ALL, count, step);
  return count;
}

/* The lower median of the quotients, of which there are `count`. */
__device__ __forceinline__ float warp_hqo_median(const search_hqo_params &p, const hqo_lane &lane, uint32_t count) {
  uint32_t key = 0;
#pragma unroll 1
  for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
    const uint32_t bound = key | bit;
    uint32_t below = 0;
    thread_hqo_each(p, lane,
                    [&](const mfqn_hqo_term &t) { below += t.counts && mfqn_rank_key(mfqn_bits(t.value), 1) < bound; });
    if (warp_hqo_count(below) < (count + 1) / 2) key = bound;
  }
  return mfqn_float_of(mfqn_rank_value(key, 1));
}

/* The elements of this lane: as many for each, and what Brevitas pads a short group with behind them. */
__device__ __forceinline__ void thread_hqo_part(const search_hqo_params &p, hqo_lane *lane) {
  const int64_t count = lane->scale.elements.count, all = p.whole > count ? p.whole : count;
  const search_part part = thread_search_part(0, all);
  const int64_t end = part.end < count ? part.end : count, first = part.first < end ? part.first : end;
  lane->part = search_part{first, end};
  lane->pads = part.end > part.first ? part.end - part.first - (end - first) : 0;
}

/* A step of a scale. */
__device__ __forceinline__ void warp_hqo_step(const search_hqo_params &p, hqo_lane *lane, hqo_slot *slot) {
  const mfqn_scheme &s = p.all.scheme;
  lane->group = thread_hqo_group(p, lane->scale, slot->now, 0);
  thread_hqo_part(p, lane);
  mfqn_tree errors, values;
  errors.count = values.count = 0;
  uint32_t count = 0;
  thread_hqo_each(p, *lane, [&](const mfqn_hqo_term &t) {
    mfqn_tree_add(&errors, t.error);
    if (p.is_zero_point) mfqn_tree_add(&values, t.value);
    count += (uint32_t)t.counts;
  });
  slot->errors = mfqn_bits(warp_hqo_sum(errors));
  count = warp_hqo_count(count);
  slot->next = slot->now;
  if (p.is_zero_point)
    slot->next = mfqn_hqo_next_low(slot->now, warp_hqo_sum(values), count);
  else if (count > 0)
    slot->next = mfqn_hqo_next_scale(&s, slot->now, warp_hqo_median(p, *lane, count));
}

__global__ void __launch_bounds__(ITEM_THREADS, 1) hqo_step_kernel(const __grid_constant__ search_hqo_params p) {
  if (!p.is_first && ptx_load<uint32_t>(&p.state->is_good) == 0) return;
  for (int64_t index = thread_item() / 32; index < p.all.from.count; index += thread_items() / 32) {
    hqo_lane lane;
    hqo_slot slot;
    lane.scale = warp_search_scale(p.all, index);
    if (p.is_first) {
      slot.now = p.is_zero_point ? mfqn_hqo_first_low(&lane.scale.statistic) : lane.scale.measured;
      slot.best = slot.now;
    } else {
      slot.best = ptx_load<uint32_t>(&p.slots[index].now);
      slot.now = ptx_load<uint32_t>(&p.slots[index].next);
    }
    ptx_sync_warp((uint32_t)SEARCH_ALL); /* all lanes have read before one writes */
    slot.next = slot.now;
    slot.errors = 0;
    if (mfqn_is_searched(lane.scale.measured)) warp_hqo_step(p, &lane, &slot);
    if (threadIdx.x % 32 != 0) continue;
    ptx_store<uint32_t>(&p.slots[index].now, slot.now);
    ptx_store<uint32_t>(&p.slots[index].next, slot.next);
    ptx_store<uint32_t>(&p.slots[index].best, slot.best);
    ptx_store<uint32_t>(&p.slots[index].errors, slot.errors);
  }
}

/* One warp: whether the errors of all scales fell. */
__global__ void __launch_bounds__(32, 1) hqo_judge_kernel(const __grid_constant__ search_hqo_params p) {
  const uint32_t was_good = p.is_first ? 1u : ptx_load<uint32_t>(&p.state->is_good);
  if (was_good == 0) return;
  const search_part part = thread_search_part(0, p.all.from.count);
  mfqn_tree tree;
  tree.count = 0;
  for (int64_t i = part.first; i < part.end; ++i)
    mfqn_tree_add(&tree, mfqn_float_of(ptx_load<uint32_t>(&p.slots[i].errors)));
  const float error = warp_hqo_sum(tree);
  const float least = mfqn_float_of(p.is_first ? MFQN_INF : ptx_load<uint32_t>(&p.state->least));
  ptx_sync_warp((uint32_t)SEARCH_ALL);
  if (threadIdx.x != 0) return;
  ptx_store<uint32_t>(&p.state->is_good, error < least ? 1u : 0u);
  if (error < least) ptx_store<uint32_t>(&p.state->least, mfqn_bits(error));
}

/* The scales and zero points that were best. */
__global__ void __launch_bounds__(ITEM_THREADS, 1) hqo_finish_kernel(const __grid_constant__ search_hqo_params p) {
  const uint32_t is_good = ptx_load<uint32_t>(&p.state->is_good);
  for (int64_t index = thread_item() / 32; index < p.all.from.count; index += thread_items() / 32) {
    const search_scale s = warp_search_scale(p.all, index);
    if (threadIdx.x % 32 != 0) continue;
    const uint32_t found = ptx_load<uint32_t>(is_good ? &p.slots[index].now : &p.slots[index].best);
    thread_search_store(p.all, index,
                        mfqn_is_searched(s.measured) ? thread_hqo_group(p, s, found, 1)
                                                     : mfqn_group_make(&p.all.scheme, &s.statistic, s.tensor_scale));
  }
}

#endif
