/* cuda/gemm/finish_cuda.h: the finish on CUDA, for products and convolutions: from f32 sums to D (finish_problem.h). */
#ifndef MFQ_CUDA_GEMM_FINISH_CUDA_H
#define MFQ_CUDA_GEMM_FINISH_CUDA_H

#include "host/core/problem/finish_problem.h"
#include "gemm_cuda.h"

/* Sums of rows first_row ... first_row + rows - 1 of batches first_batch ... first_batch + batches - 1:
 * sum (i, r, j) is at (i - first_batch) * batch_stride + (r - first_row) * row_stride + j. */
typedef struct mfq_cuda_sums {
  float *data; /* device memory, aligned to 16 */
  int64_t batch_stride, row_stride;
  int64_t first_batch, batches, first_row, rows;
} mfq_cuda_sums;

/* Queues the finish of the sums. Plain D is written; for a quantized D the values go to `values`, dense
 * [batches, m, n] f32, which may be the sums themselves where they lie that way. */
mfq_status mfq_cuda_finish(mfq_context *context, const mfq_finish *finish, mfq_factor_views views,
                           const mfq_cuda_sums *sums, float *values);

/* The same as parameters of a kernel that has the sums in registers: finish_kernel.cuh has the functions that finish
 * them there, a few columns of a row at a time. */
struct finish_params;
struct finish_params mfq_cuda_finish_params(const mfq_finish *finish, mfq_factor_views views, const mfq_cuda_sums *sums,
                                            float *values);

/* Queues the quantization of `values` into a quantized D; `context` has scratch memory of its own. */
mfq_status mfq_cuda_finish_quantize(mfq_context *context, const mfq_finish *finish, float *values);

/* Queues both for all sums at once, which are dense [batches, m, n] and may become values in place. */
mfq_status mfq_cuda_finish_all(mfq_context *context, const mfq_finish *finish, mfq_factor_views views, float *sums);

/* A context whose operations queue work on the same stream but use `scratch`, MFQ_CUDA_SCRATCH_BYTES of it: runs of one
 * plan by several threads must not share a context's scratch memory. */
typedef struct mfq_cuda_lent {
  mfq_context context;
  mfq_cuda_state state;
} mfq_cuda_lent;
mfq_context *mfq_cuda_lend(const mfq_context *context, void *scratch, mfq_cuda_lent *lent);
/* Brings back what the operations noted: the last operation, and a lost device. */
void mfq_cuda_lend_end(mfq_context *context, const mfq_cuda_lent *lent);

#endif
