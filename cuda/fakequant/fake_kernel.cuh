/* cuda/fakequant/fake_kernel.cuh: quantizes and dequantizes in one step, leaving no codes.
 *
 * Scales with few elements: a thread measures all of them and writes what they become; two reads of an element, the
 * second from the caches, and one write. Others are measured into slots first, a thread a scale turns each slot into
 * its scale, and a thread an element does the rest. Given scales are read where they stand, by a thread an element. */
#ifndef MFQ_CUDA_FAKEQUANT_FAKE_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_FAKE_KERNEL_CUH

#include "cuda/index_plans.h"
#include "cuda/prim/random.cuh"

/* What fake_scales_kernel leaves in a slot. */
enum { FAKE_STORED = 0, FAKE_ZERO_POINT = 1 };

typedef struct fake_scales {
  mfqn_scheme scheme;
  statistics from;           /* boxes: at.offset in the source, at.other in the target */
  const float *tensor_scale; /* NULL: it is 1 */
  walk_plan walk;            /* of the scales that the caller wants; at.offset: in them */
  element_view wanted;       /* data NULL: none */
} fake_scales;

typedef struct fake_elements {
  element_view src, dst;
  uint64_t seed, offset;
} fake_elements;

typedef struct fake_direct_params {
  fake_scales scales;
  fake_elements elements;
} fake_direct_params;

typedef struct fake_elements_params {
  mfqn_scheme scheme;
  const uint32_t *slots;
  const float *tensor_scale;
  walk_plan walk; /* at.offset in the source, at.other in the target */
  fake_elements elements;
} fake_elements_params;

typedef struct fake_given_params {
  mfqn_scheme scheme;
  scale_slots given;
  walk_plan walk; /* at.offset in the source, at.other in the target */
  fake_elements elements;
} fake_given_params;

__device__ __forceinline__ float thread_scale_or_one(const float *tensor_scale) {
  return tensor_scale ? mfqn_float_of(ptx_load<uint32_t>(tensor_scale)) : 1.0f;
}

/* Measures scale `index`, and writes it where the caller wants it. */
__device__ __forceinline__ mfqn_group thread_fake_group(const fake_scales &p, int64_t index, float tensor_scale) {
  const mfqn_statistic statistic = thread_statistic(p.from, p.scheme, index);
  const mfqn_group g = mfqn_group_make(&p.scheme, &statistic, tensor_scale);
  if (p.wanted.data)
    thread_store_limited(p.wanted, thread_walk_at(p.walk, index).at.offset, mfqn_whole_scale(&p.scheme, &g));
  return g;
}

__device__ __forceinline__ void thread_fake_element(const mfqn_scheme &s, const fake_elements &e, const mfqn_group &g,
                                                    const linear &at, random_source *random) {
  const uint32_t u = thread_load_element(e.src, at.offset);
  thread_store_limited(e.dst, at.other, mfqn_fake(&s, &g, u, thread_random(random, at.logical)));
}

__global__ void __launch_bounds__(ITEM_THREADS) fake_direct_kernel(const __grid_constant__ fake_direct_params p) {
  const float tensor_scale = thread_scale_or_one(p.scales.tensor_scale);
  const box_plan &boxes = p.scales.from.boxes;
  random_source random = thread_random_source(p.scales.scheme, p.elements.seed, p.elements.offset);
  for (int64_t i = thread_item(); i < p.scales.from.count; i += thread_items()) {
    const mfqn_group g = thread_fake_group(p.scales, i, tensor_scale);
    thread_box_each(boxes, thread_box_at(boxes, i), 0, 1,
                    [&](const linear &at) { thread_fake_element(p.scales.scheme, p.elements, g, at, &random); });
  }
}

__global__ void __launch_bounds__(ITEM_THREADS) fake_scales_kernel(const __grid_constant__ fake_scales p) {
  const float tensor_scale = thread_scale_or_one(p.tensor_scale);
  for (int64_t i = thread_item(); i < p.from.count; i += thread_items()) {
    const mfqn_group g = thread_fake_group(p, i, tensor_scale);
    uint32_t *slot = p.from.slots + i * STAT_SLOT_WORDS;
    ptx_store<uint32_t>(slot + FAKE_STORED, g.stored);
    ptx_store<uint32_t>(slot + FAKE_ZERO_POINT, (uint32_t)g.zero_point);
  }
}

/* The group that fake_scales_kernel has left. */
__device__ __forceinline__ mfqn_group thread_fake_slot(const uint32_t *slots, const mfqn_scheme &s, int64_t scale,
                                                       float tensor_scale) {
  const uint32_t *slot = slots + scale * STAT_SLOT_WORDS;
  mfqn_group g = mfqn_group_load(&s, ptx_load<uint32_t>(slot + FAKE_STORED), tensor_scale);
  g.zero_point = (int32_t)ptx_load<uint32_t>(slot + FAKE_ZERO_POINT);
  return g;
}

__global__ void __launch_bounds__(ITEM_THREADS) fake_elements_kernel(const __grid_constant__ fake_elements_params p) {
  const float tensor_scale = thread_scale_or_one(p.tensor_scale);
  for (int64_t i = thread_item(); i < p.walk.count; i += thread_items()) {
    random_source random = thread_random_source(p.scheme, p.elements.seed, p.elements.offset);
    const walk_place at = thread_walk_at(p.walk, i);
    const mfqn_group g = thread_fake_slot(p.slots, p.scheme, at.scale, tensor_scale);
    thread_fake_element(p.scheme, p.elements, g, at.at, &random);
  }
}

__global__ void __launch_bounds__(ITEM_THREADS) fake_given_kernel(const __grid_constant__ fake_given_params p) {
  const float tensor_scale = thread_tensor_scale(p.given);
  for (int64_t i = thread_item(); i < p.walk.count; i += thread_items()) {
    random_source random = thread_random_source(p.scheme, p.elements.seed, p.elements.offset);
    const walk_place at = thread_walk_at(p.walk, i);
    const mfqn_group g = thread_stored_group(p.given, p.scheme, at.scale, tensor_scale);
    thread_fake_element(p.scheme, p.elements, g, at.at, &random);
  }
}

#endif
