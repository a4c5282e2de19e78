/* cuda/conv/conv_params.h: convolutions made ready for kernels. */
#ifndef MFQ_CUDA_CONV_CONV_PARAMS_H
#define MFQ_CUDA_CONV_CONV_PARAMS_H

#include "host/core/problem/conv_problem.h"
#include "cuda/gemm/finish_cuda.h"
#include "conv_side.cuh"

/* `side` is PLAIN or has its codes in memory. */
conv_side mfq_cuda_conv_side(const mfq_conv_side *side);

/* An axis that units lie along; groups of `channels` of it are taken apart. */
typedef struct mfq_conv_unit_axis {
  int32_t axis;
  int64_t channels, groups;
} mfq_conv_unit_axis;
conv_units mfq_cuda_conv_units(const mfq_conv_side *side, const mfq_conv_unit_axis &along);

conv_geometry mfq_cuda_conv_geometry(const mfq_conv_problem *problem);

/* The operands of a run in its workspace: mfq_cuda_side_ready of x, w and y, so that kernels and the
 * finish see QUANTIZED sides. Memory of side i is at `workspace + at[i]`. */
typedef struct mfq_conv_parts {
  size_t scratch;
  size_t at[3]; /* x, w, y */
} mfq_conv_parts;

/* Takes what the operands need of a workspace that ends at `end` so far. */
mfq_conv_parts mfq_cuda_conv_take(const mfq_conv_problem *problem, size_t *end);
/* Whether a run quantizes operands or its result, and so needs MFQ_CUDA_SCRATCH_BYTES to lend. */
int mfq_cuda_conv_quantizes(const mfq_conv_problem *problem);
/* Fills `ready` with the problem whose operands are there; quantizations are queued on `lent`. */
mfq_status mfq_cuda_conv_ready(mfq_context *lent, const mfq_conv_problem *problem, const mfq_conv_parts *parts,
                               uint8_t *workspace, mfq_conv_problem *ready);

/* Calls `body` with a context that has scratch memory of this run, and the problem whose operands are there. */
template <class Body>
mfq_status mfq_cuda_conv_run(mfq_context *context, const mfq_conv_problem *problem, const mfq_conv_parts &parts,
                             uint8_t *workspace, Body body) {
  mfq_cuda_lent lent;
  mfq_context *own = mfq_cuda_lend(context, workspace + parts.scratch, &lent);
  mfq_conv_problem ready;
  mfq_status status = mfq_cuda_conv_ready(own, problem, &parts, workspace, &ready);
  if (status == MFQ_OK) status = body(own, &ready);
  mfq_cuda_lend_end(context, &lent);
  return status;
}

/* mfq_cuda_finish_all of a convolution. */
static inline mfq_status mfq_cuda_conv_finish(mfq_context *lent, const mfq_conv_problem *ready, float *sums) {
  return mfq_cuda_finish_all(lent, &ready->finish, mfq_conv_factor_views(ready), sums);
}

#endif
