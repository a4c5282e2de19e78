/* cuda/fakequant/fake_eden_kernel.cuh: quantizes and dequantizes in one step with scales that correct each other: a thread
 * has the elements that share a correction, rotated or not, and reads them three times. Nothing here is for speed. */
#ifndef MFQ_CUDA_FAKEQUANT_FAKE_EDEN_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_FAKE_EDEN_KERNEL_CUH

#include "cuda/quantize/eden_runs.cuh"

typedef struct fake_eden_params {
  mfqn_scheme scheme;
  statistics from; /* boxes with row-major indices */
  const float *tensor_scale;
  walk_plan walk;      /* of the scales that the caller wants; at.offset: in them */
  element_view wanted; /* data NULL: none */
  element_view dst;
  uint64_t seed, offset;
  eden_runs runs;
  linear step; /* from element to element along the axis; other: in the target */
  int64_t length, group;
} fake_eden_params;

__device__ __forceinline__ mfqn_group thread_eden_measured(const fake_eden_params &p, int64_t scale,
                                                           float tensor_scale) {
  const mfqn_statistic statistic = thread_statistic(p.from, p.scheme, scale);
  return mfqn_group_make(&p.scheme, &statistic, tensor_scale);
}

/* A run under way: where it begins, and its correction. */
typedef struct eden_place {
  eden_run run;
  linear base;
  float tensor_scale, c;
} eden_place;

/* Group `k` of a run with its correction; its scale is written where the caller wants it. */
__device__ __forceinline__ mfqn_group thread_eden_group(const fake_eden_params &p, const eden_place &place, int64_t k) {
  const int64_t scale = place.run.first + k * place.run.step;
  const uint32_t random = thread_eden_random(p.from, scale, p.seed, p.offset);
  mfqn_group g = thread_eden_measured(p, scale, place.tensor_scale);
  mfqn_eden_correct(&p.scheme, &g, place.c, random);
  if (p.wanted.data)
    thread_store_limited(p.wanted, thread_walk_at(p.walk, scale).at.offset, mfqn_whole_scale(&p.scheme, &g));
  return g;
}

/* Elements of a run from `first` on, a rotation or one alone: read, then written. */
__device__ __forceinline__ void thread_eden_values(const fake_eden_params &p, const eden_place &place, int64_t first,
                                                   int32_t count, mfqn_group *g) {
  const rotated_view &src = p.from.src;
  uint32_t x[MFQN_ROTATION_MAX];
  for (int32_t k = 0; k < count; ++k) {
    linear at = place.base;
    thread_advance(&at, p.step, first + k);
    if ((first + k) % p.group == 0) *g = thread_eden_group(p, place, (first + k) / p.group);
    x[k] = mfqn_fake(&p.scheme, g, thread_load_rotated(src, at), 0);
  }
  if (count > 1) mfqn_rotate(&src.rotation, x, 1);
  for (int32_t k = 0; k < count; ++k) {
    linear at = place.base;
    thread_advance(&at, p.step, first + k);
    thread_store_limited(p.dst, at.other, x[k]);
  }
}

/* The place of run `i`, whose elements are measured. */
__device__ __forceinline__ eden_place thread_eden_place(const fake_eden_params &p, int64_t i, float tensor_scale) {
  eden_place place = {thread_eden_run(p.runs, i), {}, tensor_scale, 1.0f};
  mfqn_eden e;
  mfqn_eden_start(&e);
  for (int64_t k = 0; k < place.run.count; ++k) {
    const int64_t scale = place.run.first + k * place.run.step;
    thread_eden_add(&e, p.scheme, p.from, thread_eden_measured(p, scale, tensor_scale), scale);
  }
  place.base = thread_box_at(p.from.boxes, place.run.first).at;
  place.c = mfqn_eden_factor(&e);
  return place;
}

__global__ void __launch_bounds__(ITEM_THREADS, 1) fake_eden_kernel(const __grid_constant__ fake_eden_params p) {
  const float tensor_scale = mfqn_float_of(ptx_load<uint32_t>(p.tensor_scale));
  const int32_t together = mfqn_max(p.from.src.rotation.size, 1);
  const int64_t most = p.runs.of_run * p.group;
  for (int64_t i = thread_item(); i < p.runs.count; i += thread_items()) {
    const eden_place place = thread_eden_place(p, i, tensor_scale);
    const int64_t line = thread_divide(i, p.runs.of_line),
                  left = p.length - (i - line * (int64_t)p.runs.of_line.value) * most;
    mfqn_group g = {};
    for (int64_t k = 0; k < left && k < most; k += together) thread_eden_values(p, place, k, together, &g);
  }
}

#endif
