/* cuda/optimizer/optimizer_sums_kernel.cuh: sums of squares by runs of 1024, what a step decides of them, and settings. */
#ifndef MFQ_CUDA_OPTIMIZER_SUMS_KERNEL_CUH
#define MFQ_CUDA_OPTIMIZER_SUMS_KERNEL_CUH

#include "host/core/problem/optimize_problem.h"
#include "cuda/prim/element.cuh"
#include "cuda/prim/shared.cuh"
#include "state_words.cuh"

enum { SQUARES_THREADS = 128, SQUARES_TERMS = MFQN_SQUARES_RUN / SQUARES_THREADS };

typedef block_array<double, SQUARES_THREADS> squares_memory;

/* The sum of a run: term i of a thread is that of its number + i * SQUARES_THREADS, so that the first halvings are its own. */
__device__ __forceinline__ double block_squares_sum(squares_memory &memory, double (&t)[SQUARES_TERMS]) {
#pragma unroll
  for (int h = SQUARES_TERMS / 2; h >= 1; h /= 2)
#pragma unroll
    for (int i = 0; i < SQUARES_TERMS / 2; ++i)
      if (i < h) t[i] = mfqn_dadd(t[i], t[i + h]);
  double sum = t[0];
  const int thread = (int)threadIdx.x;
#pragma unroll 1
  for (int h = SQUARES_THREADS / 2; h >= 1; h /= 2) {
    memory.store(thread, sum);
    ptx_sync_block();
    if (thread < h) sum = mfqn_dadd(sum, memory.load(thread + h));
    ptx_sync_block();
  }
  return sum;
}

typedef struct squares_params {
  element_view x;
  int64_t count;
  double *sums;
} squares_params;

/* A block sums a run. */
__global__ void __launch_bounds__(SQUARES_THREADS) squares_kernel(const __grid_constant__ squares_params p) {
  __shared__ squares_memory memory;
  const int64_t first = (int64_t)blockIdx.x * MFQN_SQUARES_RUN + threadIdx.x;
  double t[SQUARES_TERMS];
#pragma unroll
  for (int i = 0; i < SQUARES_TERMS; ++i) {
    const int64_t at = first + i * SQUARES_THREADS;
    t[i] = at < p.count ? mfqn_square(thread_load_element(p.x, at)) : 0.0;
  }
  const double sum = block_squares_sum(memory, t);
  if (threadIdx.x == 0) ptx_store<double>(p.sums + blockIdx.x, sum);
}

typedef struct sums_params {
  const double *sums;
  double *upper; /* NULL: one run is left, whose sum decides */
  int64_t count;
  mfqn_optimizer_state *state;
  mfqn_optimizer_group *groups;
  int32_t group_count, kind;
} sums_params;

__device__ __forceinline__ double block_sum_of_sums(const sums_params &p, squares_memory &memory) {
  const int64_t first = (int64_t)blockIdx.x * MFQN_SQUARES_RUN + threadIdx.x;
  double t[SQUARES_TERMS];
#pragma unroll
  for (int i = 0; i < SQUARES_TERMS; ++i) {
    const int64_t at = first + i * SQUARES_THREADS;
    t[i] = at < p.count ? ptx_load<double>(p.sums + at) : 0.0;
  }
  return block_squares_sum(memory, t);
}

__global__ void __launch_bounds__(SQUARES_THREADS) sums_kernel(const __grid_constant__ sums_params p) {
  __shared__ squares_memory memory;
  const double sum = block_sum_of_sums(p, memory);
  if (threadIdx.x == 0) ptx_store<double>(p.upper + blockIdx.x, sum);
}

/* One block; a thread a group. */
__global__ void __launch_bounds__(SQUARES_THREADS) decide_kernel(const __grid_constant__ sums_params p) {
  __shared__ squares_memory memory;
  const double sum = block_sum_of_sums(p, memory);
  if (threadIdx.x == 0) memory.store(0, sum);
  ptx_sync_block();
  mfqn_optimizer_state state = thread_load_struct(p.state);
  mfqn_optimizer_begin(&state, memory.load(0));
  ptx_sync_block();
  if (threadIdx.x == 0) thread_store_struct(p.state, state);
  if (state.skips || (int)threadIdx.x >= p.group_count) return;
  mfqn_optimizer_group group = thread_load_struct(p.groups + threadIdx.x);
  mfqn_optimizer_group_begin(&state, p.kind, &group);
  thread_store_struct(p.groups + threadIdx.x, group);
}

typedef struct settings_params {
  mfqn_optimizer_state *state;
  mfqn_optimizer_group *group; /* NULL: the scale of gradients is set */
  mfqn_optimizer_group given;
  double gradient_scale;
} settings_params;

/* One thread. */
__global__ void settings_kernel(const __grid_constant__ settings_params p) {
  if (p.group == NULL) {
    ptx_store<double>(&p.state->gradient_scale, p.gradient_scale);
    return;
  }
  mfqn_optimizer_group group = thread_load_struct(p.group);
  mfq_optimizer_group_set(&group, &p.given);
  thread_store_struct(p.group, group);
}

#endif
