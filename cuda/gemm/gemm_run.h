/* cuda/gemm/gemm_run.h: what the runs of all ways share: operands that are quantized on the way in, and scratch memory of
 * the run's own. */
#ifndef MFQ_CUDA_GEMM_GEMM_RUN_H
#define MFQ_CUDA_GEMM_GEMM_RUN_H

#include "cuda/product/side_params.h"
#include "finish_cuda.h"

/* Where they are in a workspace. */
typedef struct mfq_cuda_operands {
  size_t scratch, a, b;
} mfq_cuda_operands;

/* Takes what they need of a workspace that ends at `end` so far. */
static inline mfq_cuda_operands mfq_cuda_gemm_take(const mfq_gemm_problem *p, size_t *end) {
  const int quantizes =
      p->a.kind == MFQ_SIDE_TO_QUANTIZE || p->b.kind == MFQ_SIDE_TO_QUANTIZE || p->finish.is_d_quantized;
  mfq_cuda_operands at;
  at.scratch = mfq_workspace_take(end, quantizes ? MFQ_CUDA_SCRATCH_BYTES : 0);
  at.a = mfq_workspace_take(end, mfq_gemm_side_bytes(&p->a));
  at.b = mfq_workspace_take(end, mfq_gemm_side_bytes(&p->b));
  return at;
}

/* Calls `body` with a context that has scratch memory of this run, and the problem whose operands are in memory. */
template <class Body>
mfq_status mfq_cuda_gemm_run(mfq_context *context, const mfq_gemm_problem *problem, const mfq_cuda_operands &at,
                             uint8_t *workspace, Body body) {
  mfq_cuda_lent lent;
  mfq_context *own = mfq_cuda_lend(context, workspace + at.scratch, &lent);
  mfq_gemm_problem ready = *problem;
  mfq_status status = mfq_cuda_side_ready(own, &problem->a, workspace + at.a, &ready.a);
  if (status == MFQ_OK) status = mfq_cuda_side_ready(own, &problem->b, workspace + at.b, &ready.b);
  if (status == MFQ_OK) status = body(own, &ready);
  mfq_cuda_lend_end(context, &lent);
  return status;
}

#endif
