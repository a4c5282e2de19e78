/* cuda/conv/conv_cuda.h: the ordered list of ways to run a convolution on a GPU. */
#ifndef MFQ_CUDA_CONV_CONV_CUDA_H
#define MFQ_CUDA_CONV_CONV_CUDA_H

#include "../../host/core/conv_problem.h"
#include "../gemm/row_list.h"

typedef mfq_cuda_row<mfq_conv_problem> mfq_cuda_conv_row;
typedef mfq_cuda_way<mfq_conv_problem> mfq_cuda_conv;

/* Fastest first; the last takes everything. */
extern const mfq_cuda_conv_row mfq_cuda_conv_depthwise;
extern const mfq_cuda_conv_row mfq_cuda_conv_wgmma;
extern const mfq_cuda_conv_row mfq_cuda_conv_implicit;
extern const mfq_cuda_conv_row mfq_cuda_conv_unfolded;
extern const mfq_cuda_conv_row mfq_cuda_conv_general;

/* The members of the backend table. */
mfq_status mfq_cuda_conv_plan(mfq_context *context, const mfq_conv_problem *problem, mfq_choice *choice);
void mfq_cuda_conv_plan_free(mfq_context *context, mfq_choice *choice);
mfq_status mfq_cuda_conv_run(mfq_context *context, const mfq_choice *choice, const mfq_conv_problem *problem,
                             void *workspace);

#endif
