/* cuda/conv/batch_steps.h: convolutions whose workspace would be too large, in parts of some images. */
#ifndef MFQ_CUDA_CONV_BATCH_STEPS_H
#define MFQ_CUDA_CONV_BATCH_STEPS_H

#include "../../host/core/conv_problem.h"

/* Bytes of workspace beyond which a convolution is taken apart. */
enum { MFQ_CONV_WORKSPACE_BYTES = 64 << 20 };

/* How a convolution, or a part of one, is planned and run: as members of the backend table. */
typedef struct mfq_conv_ways {
  mfq_status (*plan)(mfq_context *context, const mfq_conv_problem *problem, mfq_choice *choice);
  void (*free)(mfq_context *context, mfq_choice *choice);
  mfq_status (*run)(mfq_context *context, const mfq_choice *choice, const mfq_conv_problem *problem, void *workspace);
} mfq_conv_ways;

/* Plans at once, or in as few parts as keep the workspace within `most_bytes`. Where no number of parts does, because a
 * single image needs more, or a scale depends on all of them (batch_part.h), the least workspace is taken. */
mfq_status mfq_cuda_batch_plan(mfq_context *context, const mfq_conv_ways *ways, const mfq_conv_problem *problem,
                               size_t most_bytes, mfq_choice *choice);
void mfq_cuda_batch_free(mfq_context *context, const mfq_conv_ways *ways, mfq_choice *choice);
mfq_status mfq_cuda_batch_run(mfq_context *context, const mfq_conv_ways *ways, const mfq_choice *choice,
                              const mfq_conv_problem *problem, uint8_t *workspace);

#endif
