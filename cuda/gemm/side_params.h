/* cuda/gemm/side_params.h: operands of a product made ready for kernels. */
#ifndef MFQ_CUDA_GEMM_SIDE_PARAMS_H
#define MFQ_CUDA_GEMM_SIDE_PARAMS_H

#include "host/core/problem/gemm_problem.h"
#include "cuda/cuda_state.h"
#include "side.cuh"

/* `side` is PLAIN or has its codes in memory. */
side_params mfq_cuda_side_params(const mfq_gemm_side *side);

/* The kind of dot that MFQ_REPRODUCIBLE takes of two sides. */
mfqn_dot_plan mfq_cuda_dot_plan(const mfq_gemm_side *a, const mfq_gemm_side *b);

/* Fills `ready` with a side that is not TO_QUANTIZE: the same one, or, with its codes in `memory`, QUANTIZED. The
 * quantization is queued on `lent`, whose scratch memory is this run's own. */
mfq_status mfq_cuda_side_ready(mfq_context *lent, const mfq_gemm_side *side, uint8_t *memory, mfq_gemm_side *ready);

#endif
