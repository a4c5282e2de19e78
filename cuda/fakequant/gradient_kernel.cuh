/* cuda/fakequant/gradient_kernel.cuh: the backward of fake quantization.
 *
 * The elements of a scale are a box, in row-major order. Short boxes: a thread measures, sums and writes a whole one.
 * Long ones: threads sum chunks, which are subtrees of the sum, a thread a scale adds these up, and many threads write
 * the elements. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_GRADIENT_KERNEL_CUH

#include <mfq/num/random.h>

#include "cuda/index_plans.h"
#include "gradient_slots.cuh"

typedef struct gradient_params {
  mfqn_scheme scheme;
  statistics from;           /* boxes: at.offset in the source, at.other in the upstream gradient */
  const float *tensor_scale; /* of measured scales; NULL: it is 1 */
  scale_slots given;
  walk_plan to, of_scale, of_zero_point; /* by row-major index: at.offset in dx, and in the gradients of scales */
  rotated_view upstream;
  element_view dx, grad_scale, grad_zero_point; /* data NULL: not wanted */
  uint64_t seed, offset;
  int64_t chunk_size;        /* elements, a power of two */
  divisor64 chunks, workers; /* of each scale */
  gradient_slot *partials;
  gradient_slot *totals; /* of each scale */
  int32_t ste, through_scale, log2_scale, is_shared, has_sums;
} gradient_params;

/* A scale and what is known of it. */
typedef struct gradient_scale {
  box elements;
  mfqn_statistic statistic;
  mfqn_group group;
} gradient_scale;

__device__ __forceinline__ float thread_measured_tensor_scale(const gradient_params &p) {
  return p.tensor_scale ? mfqn_float_of(ptx_load<uint32_t>(p.tensor_scale)) : 1.0f;
}

__device__ __forceinline__ gradient_scale thread_gradient_scale(const gradient_params &p, int64_t index) {
  gradient_scale s = {thread_box_at(p.from.boxes, index), mfqn_statistic_none(), {}};
  if (!mfqn_is_measured(&p.scheme)) {
    s.group = thread_stored_group(p.given, p.scheme, index, thread_tensor_scale(p.given));
    return s;
  }
  s.statistic = thread_statistic(p.from, p.scheme, index);
  s.group = mfqn_group_make(&p.scheme, &s.statistic, thread_measured_tensor_scale(p));
  return s;
}

/* An element as it is read. */
typedef struct gradient_element {
  uint32_t u;
  float dy;
  mfqn_passage passage;
} gradient_element;

__device__ __forceinline__ uint32_t thread_gradient_random(const gradient_params &p, int64_t logical) {
  return p.scheme.rounding == MFQN_ROUND_STOCHASTIC ? mfqn_random(p.seed, p.offset, (uint64_t)logical) : 0;
}

__device__ __forceinline__ gradient_element thread_gradient_element(const gradient_params &p, const mfqn_group &g,
                                                                    const linear &at) {
  gradient_element e;
  e.u = thread_load_rotated(p.from.src, at);
  e.dy = mfqn_float_of(thread_load_rotated(p.upstream, linear{at.other, 0, at.logical}));
  const uint32_t random = thread_gradient_random(p, at.logical);
  e.passage = mfqn_element_passage(&p.scheme, &g, e.u, random);
  return e;
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* Those of an element; a place is its row-major index. */
__device__ __forceinline__ mfqn_spots thread_gradient_spots(const gradient_params &p, const gradient_scale &s,
                                                            uint32_t u, int64_t place) {
  return mfqn_spots_of(&p.scheme, &s.statistic, u, place, p.is_shared);
}

__device__ __forceinline__ mfqn_gradient_partial thread_sum_chunk(const gradient_params &p, const gradient_scale &s,
                                                                  int64_t first, int64_t end) {
  mfqn_gradient_partial partial = {0.0f, 0.0f, mfqn_spots_none(p.is_shared)};
  mfqn_tree scale, zero_point;
  scale.count = zero_point.count = 0;
  box part = s.elements;
  part.count = end;
  thread_box_each(p.from.boxes, part, first, 1, [&](const linear &at) {
    const gradient_element e = thread_gradient_element(p, s.group, at);
    mfqn_tree_add(&scale, mfqn_gradient_scale_term(&e.passage, p.ste, e.dy));
    if (p.scheme.has_zero_point) mfqn_tree_add(&zero_point, mfqn_gradient_zero_point_term(&e.passage, p.ste, e.dy));
    if (!p.through_scale) return;
    partial.spots = mfqn_spots_merge(partial.spots, thread_gradient_spots(p, s, e.u, at.logical), p.is_shared);
  });
  /* A short chunk behind others is a subtree whose missing terms are +0. */
  const float missing = 0.0f;
  const int is_filled = first > 0 && end - first < p.chunk_size;
  partial.scale = mfqn_tree_sum(&scale);
  partial.zero_point = mfqn_tree_sum(&zero_point);
  if (is_filled) partial.scale = mfqn_add(partial.scale, missing);
  if (is_filled) partial.zero_point = mfqn_add(partial.zero_point, missing);
  return partial;
}

__device__ __forceinline__ void thread_store_gradient(const element_view &to, const walk_plan &walk, int64_t index,
                                                      float gradient) {
  if (to.data) thread_store_element(to, thread_walk_at(walk, index).at.offset, mfqn_bits(gradient));
}

/* Writes the gradients of a scale whose terms add up to `sums`. */
__device__ __forceinline__ mfqn_gradient_totals thread_finish_scale(const gradient_params &p, const gradient_scale &s,
                                                                    int64_t index, const mfqn_gradient_partial &sums) {
  const float dz = mfqn_gradient_zero_point(&s.group, sums.zero_point);
  thread_store_gradient(p.grad_scale, p.of_scale, index,
                        mfqn_gradient_scale(&p.scheme, &s.group, sums.scale, p.log2_scale));
  thread_store_gradient(p.grad_zero_point, p.of_zero_point, index, dz);
  mfqn_gradient_totals totals = {{0.0f, 0.0f}, sums.spots};
  if (p.through_scale) totals.extremes = mfqn_gradient_extremes(&p.scheme, &s.statistic, &s.group, sums.scale, dz);
  return totals;
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

/* The gradient of an element, with what comes through its scale. */
__device__ __forceinline__ uint32_t thread_whole_gradient(const gradient_params &p, const gradient_scale &s,
                                                          const mfqn_gradient_totals &totals, const gradient_element &e,
                                                          int64_t place) {
  const uint32_t gradient = mfqn_gradient_element(&e.passage, p.ste, e.dy);
  if (!p.through_scale) return gradient;
  const mfqn_spots own = thread_gradient_spots(p, s, e.u, place);
  const float through = mfqn_gradient_through(&p.scheme, &totals.extremes, own, totals.spots, e.u, p.is_shared);
  return mfqn_one_nan(mfqn_add(mfqn_float_of(gradient), through));
}

__device__ __forceinline__ void thread_write_element(const gradient_params &p, const gradient_scale &s,
                                                     const mfqn_gradient_totals &totals, const linear &at) {
  const gradient_element e = thread_gradient_element(p, s.group, at);
  const uint32_t gradient = thread_whole_gradient(p, s, totals, e, at.logical);
  thread_store_element(p.dx, thread_walk_at(p.to, at.logical).at.offset, gradient);
}

/* What a second kernel has left of a scale. */
__device__ __forceinline__ mfqn_gradient_totals thread_totals(const gradient_params &p, int64_t scale) {
  mfqn_gradient_totals totals = {{0.0f, 0.0f}, {-1, -1}};
  if (p.has_sums) totals.spots = thread_slot_get(p.totals + scale, &totals.extremes.lo, &totals.extremes.hi);
  return totals;
}

/* ---- Kernels ----------------------------------------------------------------------------------------------------- */

__global__ void __launch_bounds__(ITEM_THREADS, 1) gradient_whole_kernel(const __grid_constant__ gradient_params p) {
  for (int64_t i = thread_item(); i < p.from.count; i += thread_items()) {
    const gradient_scale s = thread_gradient_scale(p, i);
    mfqn_gradient_totals totals = {{0.0f, 0.0f}, {-1, -1}};
    if (p.has_sums) totals = thread_finish_scale(p, s, i, thread_sum_chunk(p, s, 0, s.elements.count));
    thread_box_each(p.from.boxes, s.elements, 0, 1, [&](const linear &at) { thread_write_element(p, s, totals, at); });
  }
}

__global__ void __launch_bounds__(ITEM_THREADS, 1) gradient_sums_kernel(const __grid_constant__ gradient_params p) {
  const int64_t chunks = (int64_t)p.chunks.value;
  for (int64_t i = thread_item(); i < p.from.count * chunks; i += thread_items()) {
    const int64_t index = thread_divide(i, p.chunks), first = (i - index * chunks) * p.chunk_size;
    const gradient_scale s = thread_gradient_scale(p, index);
    const int64_t left = s.elements.count - first;
    if (left <= 0) continue;
    const mfqn_gradient_partial partial =
        thread_sum_chunk(p, s, first, first + (left < p.chunk_size ? left : p.chunk_size));
    thread_slot_put(p.partials + i, partial.scale, partial.zero_point, partial.spots);
  }
}

__global__ void __launch_bounds__(ITEM_THREADS, 1) gradient_finish_kernel(const __grid_constant__ gradient_params p) {
  const int64_t chunks = (int64_t)p.chunks.value;
  for (int64_t i = thread_item(); i < p.from.count; i += thread_items()) {
    const gradient_scale s = thread_gradient_scale(p, i);
    mfqn_tree scale, zero_point;
    scale.count = zero_point.count = 0;
    mfqn_gradient_partial sums = {0.0f, 0.0f, mfqn_spots_none(p.is_shared)};
    for (int64_t c = 0; c * p.chunk_size < s.elements.count; ++c) {
      mfqn_gradient_partial partial;
      partial.spots = thread_slot_get(p.partials + i * chunks + c, &partial.scale, &partial.zero_point);
      mfqn_tree_add(&scale, partial.scale);
      mfqn_tree_add(&zero_point, partial.zero_point);
      sums.spots = mfqn_spots_merge(sums.spots, partial.spots, p.is_shared);
    }
    sums.scale = mfqn_tree_sum(&scale);
    sums.zero_point = mfqn_tree_sum(&zero_point);
    const mfqn_gradient_totals totals = thread_finish_scale(p, s, i, sums);
    thread_slot_put(p.totals + i, totals.extremes.lo, totals.extremes.hi, totals.spots);
  }
}

__global__ void __launch_bounds__(ITEM_THREADS, 1) gradient_write_kernel(const __grid_constant__ gradient_params p) {
  const int64_t workers = (int64_t)p.workers.value;
  for (int64_t i = thread_item(); i < p.from.count * workers; i += thread_items()) {
    const int64_t index = thread_divide(i, p.workers);
    const gradient_scale s = thread_gradient_scale(p, index);
    const mfqn_gradient_totals totals = thread_totals(p, index);
    thread_box_each(p.from.boxes, s.elements, i - index * workers, workers,
                    [&](const linear &at) { thread_write_element(p, s, totals, at); });
  }
}

#endif
