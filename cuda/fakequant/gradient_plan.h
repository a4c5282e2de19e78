/* cuda/fakequant/gradient_plan.h: what the fast ways of the backward share on the host. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_PLAN_H
#define MFQ_CUDA_FAKEQUANT_GRADIENT_PLAN_H

#include "host/core/problem/cast_problem.h"
#include "gradient_chunk.cuh"

/* Whether gradients of scales and zero points, or what goes through a scale, are wanted; with `g` NULL nothing is. */
int mfq_cuda_gradient_has_sums(const mfq_gradient *g);

/* The ends of what passes and of what has a slope, under a scale of 1; of `p` it is known whether these are asked for. */
void mfq_cuda_gradient_ends(const mfqn_scheme *s, gradient_how *p);

/* What is needed beside the encoder of the elements; `is_aligned`: the elements are, to 16 bytes. Refuses what chunks of
 * elements do not hold for, and tensors that do not lie as the elements do. */
mfq_status mfq_cuda_gradient_how(const mfq_cast *cast, const encoder *how, int is_aligned, gradient_how *p,
                                 mfq_line *why);

#endif
