/* cuda/optimizer/update_kernel.cuh: updates of one element a thread, and what takes the place of old moments. */
#ifndef MFQ_CUDA_OPTIMIZER_UPDATE_KERNEL_CUH
#define MFQ_CUDA_OPTIMIZER_UPDATE_KERNEL_CUH

#include "cuda/prim/element.cuh"
#include "state_words.cuh"

/* What every update reads; elements of value and gradient follow each other. */
typedef struct update_params {
  element_view value, gradient;
  float *first, *second; /* NULL: none */
  int64_t count;
  const mfqn_optimizer_state *state;
  const mfqn_optimizer_group *group;
  uint64_t first_index; /* of random bits */
  int32_t kind, stochastic;
} update_params;

__device__ __forceinline__ void thread_update(const update_params &p, const mfqn_update &u, int64_t i) {
  const float g = mfqn_float_of(thread_load_element(p.gradient, i));
  float x = mfqn_float_of(thread_load_element(p.value, i));
  float m = p.first ? ptx_load<float>(p.first + i) : 0.0f, v = p.second ? ptx_load<float>(p.second + i) : 0.0f;
  if (p.kind == MFQN_ADAMW)
    x = mfqn_adamw(&u, x, g, &m, &v);
  else
    x = p.first ? mfqn_sgd_momentum(&u, x, g, &m) : mfqn_sgd(&u, x, g);
  if (p.first) ptx_store<float>(p.first + i, m);
  if (p.second) ptx_store<float>(p.second + i, v);
  uint32_t bits = mfqn_bits(x);
  if (p.stochastic) {
    const mfqn_optimizer_state s = thread_load_struct(p.state);
    bits = mfqn_bf16_stochastic(bits, mfqn_optimizer_random(s.seed, s.steps, p.first_index + (uint64_t)i)) << 16;
  }
  thread_store_element(p.value, i, bits);
}

__global__ void update_kernel(const __grid_constant__ update_params p) {
  const int64_t step = (int64_t)gridDim.x * blockDim.x;
  if (ptx_load<int64_t>(&p.state->skips) != 0) return;
  const mfqn_update u = thread_load_struct(&p.group->now);
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < p.count; i += step) thread_update(p, u, i);
}

/* Bytes of new moments, unless the step is skipped. */
typedef struct replace_params {
  const uint8_t *from;
  uint8_t *to;
  int64_t bytes;
  const mfqn_optimizer_state *state;
} replace_params;

__global__ void replace_kernel(const __grid_constant__ replace_params p) {
  const int64_t step = (int64_t)gridDim.x * blockDim.x, whole = p.bytes / 16;
  const int64_t first = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (ptx_load<int64_t>(&p.state->skips) != 0) return;
  for (int64_t i = first; i < whole; i += step) ptx_store<uint4>(p.to + 16 * i, ptx_load<uint4>(p.from + 16 * i));
  for (int64_t i = 16 * whole + first; i < p.bytes; i += step)
    ptx_store<uint8_t>(p.to + i, ptx_load<uint8_t>(p.from + i));
}

#endif
