/* cuda/gemm/gemm_cuda.h: the ordered list of ways to run a product on a GPU. */
#ifndef MFQ_CUDA_GEMM_GEMM_CUDA_H
#define MFQ_CUDA_GEMM_GEMM_CUDA_H

#include "row_list.h"

typedef mfq_cuda_row<mfq_gemm_problem> mfq_cuda_gemm_row;
typedef mfq_cuda_way<mfq_gemm_problem> mfq_cuda_gemm;

/* Fastest first; the last takes everything. */
extern const mfq_cuda_gemm_row mfq_cuda_gemm_native;
extern const mfq_cuda_gemm_row mfq_cuda_gemm_folded;
extern const mfq_cuda_gemm_row mfq_cuda_gemm_few_rows;
extern const mfq_cuda_gemm_row mfq_cuda_gemm_expanded;
extern const mfq_cuda_gemm_row mfq_cuda_gemm_tile;
extern const mfq_cuda_gemm_row mfq_cuda_gemm_general;

/* The members of the backend table. */
mfq_status mfq_cuda_gemm_plan(mfq_context *context, const mfq_gemm_problem *problem, mfq_choice *choice);
void mfq_cuda_gemm_plan_free(mfq_context *context, mfq_choice *choice);
mfq_status mfq_cuda_gemm_run(mfq_context *context, const mfq_choice *choice, const mfq_gemm_problem *problem,
                             void *workspace);

#endif
