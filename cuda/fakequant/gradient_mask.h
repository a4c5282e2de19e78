/* cuda/fakequant/gradient_mask.h: the ways of gradients by a mask. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_MASK_H
#define MFQ_CUDA_FAKEQUANT_GRADIENT_MASK_H

#include "host/core/problem/cast_problem.h"

extern const mfq_way mfq_cuda_gradient_mask_rows, mfq_cuda_gradient_mask;

#endif
