/* cuda/conv/depthwise/depthwise_plan.h: operands of depthwise convolutions made ready for their kernels. */
#ifndef MFQ_CUDA_CONV_DEPTHWISE_PLAN_H
#define MFQ_CUDA_CONV_DEPTHWISE_PLAN_H

#include "cuda/conv/conv_params.h"
#include "depthwise_unit.cuh"

/* Fills `side` with an operand that is read in units of 8 channels. Returns NULL, or why it cannot be. */
const char *mfq_cuda_depthwise_side(const mfq_conv_side *from, depthwise_side *side);

/* Threads side by side along `units` units of channels, and blocks of them. */
typedef struct mfq_depthwise_tiles {
  int32_t lanes;
  int64_t tiles;
} mfq_depthwise_tiles;

/* With `filter_bytes` of shared memory for each unit. */
mfq_depthwise_tiles mfq_cuda_depthwise_tiles(int64_t units, int64_t filter_bytes);

#endif
