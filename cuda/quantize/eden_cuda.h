/* cuda/quantize/eden_cuda.h: scales of groups, corrected together. */
#ifndef MFQ_CUDA_QUANTIZE_EDEN_CUDA_H
#define MFQ_CUDA_QUANTIZE_EDEN_CUDA_H

#include "cuda/shared_scales.h"
#include "eden_runs.cuh"

/* Which scales of a view correct each other. */
eden_runs mfq_cuda_eden_runs(const mfq_qview *view);

/* Corrects the stored scales of a scheme with eden, which were computed from `src`, behind the codes. */
mfq_status mfq_cuda_eden(const mfq_scale_job *job, const mfq_tensor *src);

#endif
