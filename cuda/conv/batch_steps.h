/* cuda/conv/batch_steps.h: convolutions whose workspace would be too large, in parts of some images. */
#ifndef MFQ_CUDA_CONV_BATCH_STEPS_H
#define MFQ_CUDA_CONV_BATCH_STEPS_H

#include "host/core/problem/conv_problem.h"

/* Bytes of workspace beyond which a convolution is taken apart. */
enum { MFQ_CONV_WORKSPACE_BYTES = 64 << 20 };

/* The members of a way. Plans at once, by one of `ways`, or in as few parts as keep the workspace within `most_bytes`.
 * Where no number of parts does, because a single image needs more, or a scale depends on all of them (batch_part.h), the
 * least workspace is taken. */
mfq_status mfq_cuda_batch_plan(mfq_context *context, const mfq_ways *ways, const mfq_conv_problem *problem,
                               size_t most_bytes, mfq_choice *choice);
mfq_status mfq_cuda_batch_run(mfq_context *context, const void *state, const void *problem, uint8_t *workspace);
void mfq_cuda_batch_free(mfq_context *context, void *state);

#endif
