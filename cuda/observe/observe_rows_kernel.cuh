/* cuda/observe/observe_rows_kernel.cuh: ranks and sums of groups of 16 * 2^k elements along the contiguous axis.
 *
 * A thread keeps its 16 elements in registers, and the lanes of a group put together what each finds: how many keys are below
 * a bound, which sets a rank's bits from the highest on, or sums of terms, which are subtrees. Bytes moved an element: itself,
 * once. */
#ifndef MFQ_CUDA_OBSERVE_OBSERVE_ROWS_KERNEL_CUH
#define MFQ_CUDA_OBSERVE_OBSERVE_ROWS_KERNEL_CUH

#include "cuda/prim/tree.cuh"
#include "cuda/quantize/rows_kernel.cuh"
#include "observe_params.cuh"

typedef struct observe_rows_params {
  rows_params rows;
  observe_target to;
  mfqn_scheme scheme; /* whose range is meant */
  mfqn_observer observer;
  int32_t kind, is_signed;
} observe_rows_params;

/* How many elements the group of a lane has. */
__device__ __forceinline__ int64_t thread_group_elements(const rows_params &p, const rows_place &at) {
  const int64_t first = (at.step & -((int64_t)1 << p.group_log2)) * CHUNK, whole = (int64_t)CHUNK << p.group_log2;
  return p.cols - first < whole ? p.cols - first : whole;
}

__device__ __forceinline__ void thread_put_group(const observe_rows_params &p, const rows_place &at, uint32_t value) {
  const rows_params &rows = p.rows;
  if (!at.is_there || (at.step & ((1 << rows.group_log2) - 1)) != 0) return;
  const int64_t line = at.outer * rows.outer_scales + at.middle * rows.middle_scales;
  thread_observe_put(p.to, line + (at.step >> rows.group_log2), value);
}

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

/* Keys of a chunk; what is no element comes last. */
typedef struct chunk_keys {
  uint32_t key[CHUNK];
} chunk_keys;

template <int DTYPE>
__device__ __forceinline__ chunk_keys thread_chunk_keys(const chunk<DTYPE> &x, int left, int is_signed) {
  chunk_keys keys;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) keys.key[i] = i < left ? mfqn_rank_key(thread_element(x, i), is_signed) : 0xffffffffu;
  return keys;
}

/* The element of a rank among those of the lane's group. The lowest `spare` bits follow from the sign. */
__device__ __forceinline__ uint32_t warp_group_rank(const chunk_keys &keys, int64_t rank, int is_signed, int spare,
                                                    int group_log2) {
  uint32_t found = 0;
#pragma unroll 1
  for (int bit = 31; bit >= spare; --bit) {
    const uint32_t bound = found | 1u << bit;
    uint32_t below = 0;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) below += keys.key[i] < bound;
    for (int o = 1; o < 1 << group_log2; o <<= 1) below += ptx_shuffle_xor(0xffffffffu, below, o);
    found = below < (uint32_t)rank ? bound : found;
  }
  if (is_signed && found >> 31 == 0) found |= (1u << spare) - 1;
  return mfqn_rank_value(found, is_signed);
}

template <int DTYPE>
__global__ void __launch_bounds__(ROWS_THREADS)
    observe_rank_rows_kernel(const __grid_constant__ observe_rows_params p) {
  constexpr int SPARE = DTYPE == ELEMENT_BF16 ? 16 : DTYPE == ELEMENT_F16 ? 13 : 0; /* of numbers of a sign */
  const rows_params &rows = p.rows;
  const rows_place at = thread_rows_place(rows, (int64_t)blockIdx.x * ROWS_THREADS + threadIdx.x);
  const chunk<DTYPE> x = thread_rows_load<DTYPE>(rows, at);
  const uint32_t absmax = warp_group_max(thread_absmax(x), rows.group_log2);
  const chunk_keys keys = thread_chunk_keys(x, at.left, p.is_signed);
  const mfqn_ranks ranks = mfqn_observed_ranks(&p.observer, thread_group_elements(rows, at));
  const int spare = p.is_signed ? SPARE : SPARE + 1;
  uint32_t found[2] = {0, 0};
#pragma unroll 1
  for (int is_high = 0; is_high < 2; ++is_high) {
    const int64_t rank = is_high ? ranks.high : ranks.low;
    const uint32_t one = rank > 0 ? warp_group_rank(keys, rank, p.is_signed, spare, rows.group_log2) : 0u;
    found[0] = is_high ? found[0] : one;
    found[1] = one;
  }
  const uint32_t value = mfqn_observed_ranked(&p.observer, &p.scheme, found[0], found[1]);
  thread_put_group(p, at, absmax > MFQN_INF ? MFQN_NAN : value);
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* The sum of the terms of the lane's group. */
template <int DTYPE>
__device__ __forceinline__ float warp_group_sum(const chunk<DTYPE> &x, int left, int32_t kind, float mean,
                                                int group_log2) {
  float sum[CHUNK];
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) sum[i] = i < left ? mfqn_observed_term(kind, thread_element(x, i), mean) : 0.0f;
  return warp_tree(0xffffffffu, group_log2, thread_tree(sum));
}

template <int DTYPE>
__global__ void __launch_bounds__(ROWS_THREADS) observe_sum_rows_kernel(const __grid_constant__ observe_rows_params p) {
  const rows_params &rows = p.rows;
  const rows_place at = thread_rows_place(rows, (int64_t)blockIdx.x * ROWS_THREADS + threadIdx.x);
  const chunk<DTYPE> x = thread_rows_load<DTYPE>(rows, at);
  const int32_t observed = p.observer.observed;
  const int64_t n = thread_group_elements(rows, at);
  float value = mfqn_observed_sum(observed, warp_group_sum(x, at.left, p.kind, 0.0f, rows.group_log2), n);
  if (observed == MFQN_OBSERVED_SIGMA) {
    const float squares = warp_group_sum(x, at.left, MFQN_TERM_DEVIATION, value, rows.group_log2);
    value = mfqn_observed_sigma(p.observer.factor, value, squares, n);
  }
  thread_put_group(p, at, mfqn_one_nan(value));
}

#endif
