/* cuda/gemm/cublaslt/native_scales_kernel.cuh: scales in the order in which cuBLASLt reads them, and as often.
 *
 * A thread makes one scale of the target. They are few beside the codes: one for each 32 or 128 of them. */
#ifndef MFQ_CUDA_GEMM_NATIVE_SCALES_KERNEL_CUH
#define MFQ_CUDA_GEMM_NATIVE_SCALES_KERNEL_CUH

#include "cuda/index_plans.h"

typedef struct native_scales_params {
  mfqn_scheme scheme;
  scale_slots from;
  int64_t first, row_step,
      group_step;               /* indices in the source: of the batch, from a row and a group there to the next */
  int64_t row;                  /* the first */
  divisor64 row_run, group_run; /* rows, and groups of the target, that share a scale in the source */
  int64_t rows, groups;         /* of the target; beyond are zeros */
  int64_t unit_rows;            /* of a row of the target */
  int64_t count;                /* with padding */
  divisor64 line;               /* scales that are neighbours in the target, or in its tiles */
  int32_t is_by_row;            /* they are those of rows, not of groups */
  int32_t is_tiled;             /* bytes in the order 128x4, not f32 */
  uint8_t *to;
} native_scales_params;

__device__ __forceinline__ uint32_t thread_native_scale(const native_scales_params &p, int64_t row, int64_t group) {
  const int64_t index = p.first + thread_divide(p.row + row * p.unit_rows, p.row_run) * p.row_step +
                        thread_divide(group, p.group_run) * p.group_step;
  return thread_slot_load(p.from, thread_slot_place(p.from, index));
}

static __global__ void __launch_bounds__(ITEM_THREADS)
    native_scales_kernel(const __grid_constant__ native_scales_params p) {
  for (int64_t i = thread_item(); i < p.count; i += thread_items()) {
    const int64_t line = thread_divide(i, p.line), at = i - line * (int64_t)p.line.value;
    const int64_t row = p.is_by_row ? at : line, group = p.is_by_row ? line : at;
    const int is_there = row < p.rows && group < p.groups;
    const uint32_t stored = is_there ? thread_native_scale(p, row, group) : 0;
    if (p.is_tiled)
      ptx_store<uint8_t>(p.to + mfqn_scale_128x4(row, group, p.groups), (uint8_t)stored);
    else
      ptx_store<uint32_t>(p.to + i * 4, is_there ? mfqn_bits(mfqn_group_load(&p.scheme, stored, 1.0f).scale) : 0);
  }
}

#endif
