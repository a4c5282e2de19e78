/* cuda/gemm/operand_plan.h: what our own products multiply as bf16, and the short way there. */
#ifndef MFQ_CUDA_GEMM_OPERAND_PLAN_H
#define MFQ_CUDA_GEMM_OPERAND_PLAN_H

#include "host/core/problem/gemm_problem.h"
#include "cuda/prim/widen.cuh"

/* Fills `format` where codes become bf16 by shift and mask. Returns 0 for formats that do not. The group scale is left
 * out where a bf16 does not hold the product. */
int mfq_cuda_widen_format(const mfq_gemm_side *side, widen_format *format);

/* Whether codes that are widened so have their group scales, where there are some. */
int mfq_cuda_widens_scale(const mfq_gemm_side *side, const widen_format *format);

#endif
