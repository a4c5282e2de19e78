/* cuda/quantize/measure_general_kernel.cuh: from elements to statistics, and from statistics to scales, for any
 * granularity and strides.
 *
 * Collecting: threads are (scale, worker); the workers of a scale take every so-many-th of its elements. Either
 * neighbouring threads are workers of one scale, whole warps, or they have neighbouring scales, whichever lies closer
 * in memory. Every element is read once. Scales with few elements take no slot: one thread reads all of them. */
#ifndef MFQ_CUDA_QUANTIZE_MEASURE_GENERAL_KERNEL_CUH
#define MFQ_CUDA_QUANTIZE_MEASURE_GENERAL_KERNEL_CUH

#include "cuda/index_plans.h"

typedef struct collect_params {
  statistics from; /* to its slots */
  int32_t minmax;
  int32_t by_warps; /* workers of a scale are neighbours */
  divisor64 workers, scales;
  int64_t items; /* workers of all scales */
} collect_params;

__global__ void __launch_bounds__(ITEM_THREADS) collect_kernel(const __grid_constant__ collect_params p) {
  const int64_t workers = (int64_t)p.workers.value, scales = (int64_t)p.scales.value;
  for (int64_t item = thread_item(); item < p.items; item += thread_items()) {
    const int64_t line = thread_divide(item, p.by_warps ? p.workers : p.scales);
    const int64_t scale = p.by_warps ? line : item - line * scales;
    const int64_t worker = p.by_warps ? item - line * workers : line;
    const mfqn_statistic s = thread_stat_measure(p.from, thread_box_at(p.from.boxes, scale), worker, workers);
    if (p.by_warps) /* the workers and the threads of a grid are whole warps: all lanes are here */
      warp_stat_merge(p.from.slots, scale, s, p.minmax);
    else
      thread_stat_merge(p.from.slots, scale, s, p.minmax);
  }
}

typedef struct scales_params {
  statistics from;
  mfqn_scheme scheme;
  scale_slots slots;
  uint32_t *absmax; /* UE4M3: the largest finite statistic of the tensor */
} scales_params;

/* Left alone ptxas takes 32 registers here, and spills. */
__global__ void __launch_bounds__(ITEM_THREADS, 6) tensor_absmax_kernel(const __grid_constant__ scales_params p) {
  uint32_t absmax = 0;
  for (int64_t i = thread_item(); i < p.from.count; i += thread_items()) {
    const mfqn_statistic s = thread_statistic(p.from, p.scheme, i);
    const uint32_t value = mfqn_statistic_value(&s, &p.scheme);
    if (value < MFQN_INF) absmax = mfqn_umax(absmax, value); /* others poison their own group only */
  }
  absmax = ptx_reduce_max(0xffffffffu, absmax);
  if (threadIdx.x % 32 == 0 && absmax != 0) ptx_atomic_max(p.absmax, absmax);
}

typedef struct tensor_scale_params {
  const uint32_t *absmax;
  float *tensor_scale;
  uint32_t least;
  float threshold;
} tensor_scale_params;

/* One thread. */
__global__ void tensor_scale_kernel(const __grid_constant__ tensor_scale_params p) {
  const float scale = mfqn_tensor_scale(ptx_load<uint32_t>(p.absmax), p.least, p.threshold);
  ptx_store<uint32_t>(p.tensor_scale, mfqn_bits(scale));
}

__global__ void __launch_bounds__(ITEM_THREADS) scales_kernel(const __grid_constant__ scales_params p) {
  const float tensor_scale = thread_tensor_scale(p.slots);
  for (int64_t i = thread_item(); i < p.from.count; i += thread_items()) {
    const mfqn_statistic s = thread_statistic(p.from, p.scheme, i);
    const mfqn_group g = mfqn_group_make(&p.scheme, &s, tensor_scale);
    thread_slot_store(p.slots, thread_slot_place(p.slots, i), g.stored);
    thread_zero_point_store(p.slots, p.scheme, i, g.zero_point);
  }
}

#endif
