/* cuda/gemm/copy_kernel.cuh: plain matrices copied from any strides, and converted, one element a thread.
 *
 * The target is dense but for the padding of its lines; its neighbouring elements are neighbouring threads. Moves the
 * bytes of both once. */
#ifndef MFQ_CUDA_GEMM_COPY_KERNEL_CUH
#define MFQ_CUDA_GEMM_COPY_KERNEL_CUH

#include "cuda/index_plans.h"
#include "cuda/prim/element.cuh"

enum { COPY_MAX_RANK = 8 };

typedef struct copy_params {
  element_view src, dst;
  int64_t count;
  int64_t first_batch;
  divisor64 line, lines; /* neighbours in the target, and how many such lines a batch has */
  int64_t src_step[2];   /* from neighbour to neighbour, from line to line */
  int64_t dst_line, dst_batch;
  int32_t batch_rank;
  divisor64 batch_size[COPY_MAX_RANK];
  int64_t batch_stride[COPY_MAX_RANK];
} copy_params;

__device__ __forceinline__ int64_t thread_batch_offset(const copy_params &p, int64_t batch) {
  int64_t offset = 0;
  for (int32_t d = p.batch_rank - 1; d >= 0; --d) {
    const int64_t outer = thread_divide(batch, p.batch_size[d]);
    offset += (batch - outer * (int64_t)p.batch_size[d].value) * p.batch_stride[d];
    batch = outer;
  }
  return offset;
}

static __global__ void __launch_bounds__(ITEM_THREADS) copy_kernel(const __grid_constant__ copy_params p) {
  for (int64_t i = thread_item(); i < p.count; i += thread_items()) {
    const int64_t line = thread_divide(i, p.line), at = i - line * (int64_t)p.line.value;
    const int64_t batch = thread_divide(line, p.lines), row = line - batch * (int64_t)p.lines.value;
    const int64_t from = thread_batch_offset(p, p.first_batch + batch) + row * p.src_step[1] + at * p.src_step[0];
    thread_store_limited(p.dst, batch * p.dst_batch + row * p.dst_line + at, thread_load_element(p.src, from));
  }
}

#endif
