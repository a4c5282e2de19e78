/* cuda/search/search_rows_kernel.cuh: searches the scales of groups of 16 * 2^k elements along the contiguous axis.
 *
 * The rows of a quantization, with candidates between the statistic and the codes: a thread keeps its 16 elements in
 * registers, makes their values under each candidate, and sums their squared errors; the lanes of a group add these up, in
 * the order of the tree. Powers of two are tried from the smallest to the largest that is a candidate. Bytes moved per
 * element: those of a quantization. */
#ifndef MFQ_CUDA_SEARCH_SEARCH_ROWS_KERNEL_CUH
#define MFQ_CUDA_SEARCH_SEARCH_ROWS_KERNEL_CUH

#include <mfq/num/candidate.h>

#include "cuda/prim/tree.cuh"
#include "cuda/prim/value.cuh"
#include "cuda/quantize/rows_kernel.cuh"

typedef struct search_rows_params {
  rows_params rows;
  valuer values; /* in float32 */
  mfqn_candidates candidates;
  uint32_t power; /* from one power of two to the next, as stored; 0: candidates are tried one by one */
} search_rows_params;

enum { SEARCH_ROWS_BLOCKS = 2 };

/* What is tried for the group of a lane: stored scales, between two powers of two or each by itself. */
typedef struct search_tries {
  uint32_t plain, first, last;
  int32_t count;
} search_tries;

__device__ __forceinline__ uint32_t thread_try_scale(const search_rows_params &p, uint32_t statistic, int32_t i,
                                                     float tensor_scale) {
  mfqn_statistic as = mfqn_statistic_none();
  as.absmax = mfqn_candidate(&p.rows.to.how.scheme, &p.candidates, statistic, i);
  return mfqn_group_scale(&p.rows.to.how.scheme, &as, tensor_scale);
}

/* `count` is that of the whole warp. */
__device__ __forceinline__ search_tries warp_tries(const search_rows_params &p, uint32_t statistic,
                                                   float tensor_scale) {
  const mfqn_candidates &c = p.candidates;
  mfqn_statistic own = mfqn_statistic_none();
  own.absmax = statistic;
  search_tries t = {mfqn_group_scale(&p.rows.to.how.scheme, &own, tensor_scale), 0, 0, c.last - c.first + 1};
  if (p.power == 0) return t;
  t.first = t.last = t.plain;
  if (mfqn_is_searched(statistic)) {
    t.first = thread_try_scale(p, statistic, c.first, tensor_scale);
    t.last = thread_try_scale(p, statistic, c.last, tensor_scale);
  }
  t.count = (int32_t)ptx_reduce_max(0xffffffffu, (t.last - t.first) / p.power) + 1;
  return t;
}

/* The sum of a chunk's squared errors, and of the lanes of its group. */
template <int DTYPE>
__device__ __forceinline__ float warp_chunk_loss(const search_rows_params &p, const chunk<DTYPE> &x,
                                                 const mfqn_group &g, uint32_t absmax) {
  const values16 y = thread_fake<0, ELEMENT_F32>(p.rows.to.how, p.values, x, g, absmax, [] { return drawn16{}; });
  const float unit = mfqn_error_unit(absmax);
  float sum[CHUNK];
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) sum[i] = mfqn_squared_error(thread_element(x, i), y.word[i], unit);
  return warp_tree(0xffffffffu, p.rows.group_log2, thread_tree(sum));
}

/* The stored scale of the lane's group with the least loss. */
template <int DTYPE>
__device__ __forceinline__ uint32_t warp_search_chunks(const search_rows_params &p, const chunk<DTYPE> &x,
                                                       uint32_t absmax, float tensor_scale) {
  const mfqn_scheme &s = p.rows.to.how.scheme;
  const search_tries t = warp_tries(p, absmax, tensor_scale);
  mfqn_best best = mfqn_best_start(t.plain);
#pragma unroll 1
  for (int32_t k = 0; k < t.count; ++k) {
    const uint32_t power = mfqn_umin(t.first + (uint32_t)k * p.power, t.last);
    uint32_t stored = p.power != 0 ? power : t.plain;
    if (p.power == 0 && mfqn_is_searched(absmax))
      stored = thread_try_scale(p, absmax, p.candidates.first + k, tensor_scale);
    const mfqn_group g = mfqn_group_load(&s, stored, tensor_scale);
    const float loss = warp_chunk_loss(p, x, g, absmax);
    const int32_t i = stored == t.plain ? p.candidates.steps : 0; /* 0: any other */
    mfqn_best_offer(&s, &p.candidates, i, stored, loss, &best);
  }
  return best.candidate;
}

template <int DTYPE>
__global__ void __launch_bounds__(ROWS_THREADS, SEARCH_ROWS_BLOCKS)
    search_rows_kernel(const __grid_constant__ search_rows_params p) {
  const rows_params &rows = p.rows;
  const rows_place at = thread_rows_place(rows, (int64_t)blockIdx.x * ROWS_THREADS + threadIdx.x);
  const chunk<DTYPE> x = thread_rows_load<DTYPE>(rows, at);
  const uint32_t absmax = warp_group_max(thread_absmax(x), rows.group_log2);
  const float tensor_scale = thread_tensor_scale(rows.to.slots);
  const uint32_t stored = warp_search_chunks(p, x, absmax, tensor_scale);
  if (!at.is_there) return;
  const mfqn_group g = mfqn_group_load(&rows.to.how.scheme, stored, tensor_scale);
  const int64_t line = at.outer * rows.outer_scales + at.middle * rows.middle_scales;
  const row_codes<0> sink{rows};
  if ((at.step & ((1 << rows.group_log2) - 1)) == 0)
    sink.put_scale(thread_slot_place(rows.to.slots, line + (at.step >> rows.group_log2)), g);
  if (rows.to.codes) sink.put(at, x, g, absmax);
}

#endif
