/* cuda/observe/observe_ways.h: the ways of observing, and what they share. */
#ifndef MFQ_CUDA_OBSERVE_WAYS_H
#define MFQ_CUDA_OBSERVE_WAYS_H

#include "cuda/cuda_ops.h"
#include "observe_params.cuh"

/* Extremes of tensors and channels whose rows are contiguous. */
extern const mfq_way mfq_cuda_observe_reduced;
/* Ranks and sums of groups along the contiguous axis. */
extern const mfq_way mfq_cuda_observe_rows;

/* The same scales, as if a quantization to bytes measured them, by their largest magnitudes or as ranges. */
mfq_qview mfq_cuda_measured_view(const mfq_qview *of, int minmax);

/* What does not depend on the sources. */
void mfq_cuda_observe_params(const mfq_cast *cast, observe_params *p);
/* Counts NaN where that is wanted. */
mfq_status mfq_cuda_count_nans(mfq_context *context, const mfq_cast *cast);

#endif
