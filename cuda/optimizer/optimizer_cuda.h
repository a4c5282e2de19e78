/* cuda/optimizer/optimizer_cuda.h: the ways of an optimizer's step. */
#ifndef MFQ_CUDA_OPTIMIZER_CUDA_H
#define MFQ_CUDA_OPTIMIZER_CUDA_H

#include "host/core/problem/optimize_problem.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"

extern const mfq_way mfq_cuda_optimizer_sums;    /* what comes before updates */
extern const mfq_way mfq_cuda_optimizer_chunks;  /* updates of 16 elements a thread */
extern const mfq_way mfq_cuda_optimizer_general; /* of one element a thread, moments being float32 in the workspace */

/* Whether a cast is no update: mfq_supported asks about updates. */
static inline int mfq_cuda_is_part_of_step(const mfq_cast *cast) {
  return cast->optimizing != NULL && cast->optimizing->part != MFQ_OPTIMIZING_UPDATE;
}

/* Queues the codes of new values, where they are wanted (optimizer_cuda.cu). */
mfq_status mfq_cuda_optimizer_codes(mfq_context *context, const mfq_cast *cast);

#endif
