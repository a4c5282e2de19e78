/* cuda/gemm/gemm_cuda.cu: the implementations of products, in their order. */
#include "gemm_cuda.h"

#include "choose.h"

static const mfq_cuda_gemm_row *const rows[] = {
    &mfq_cuda_gemm_native,   &mfq_cuda_gemm_folded, &mfq_cuda_gemm_few_rows,
    &mfq_cuda_gemm_expanded, &mfq_cuda_gemm_tile,   &mfq_cuda_gemm_general,
};
static const mfq_cuda_row_list<mfq_gemm_problem> list = {"mfq_gemm_plan_create", "product", rows,
                                                         sizeof rows / sizeof rows[0]};
static_assert(sizeof rows / sizeof rows[0] <= MFQ_CUDA_MOST_ROWS, "reasons have room");

mfq_status mfq_cuda_gemm_plan(mfq_context *context, const mfq_gemm_problem *problem, mfq_choice *choice) {
  return mfq_cuda_choose(context, list, problem, choice);
}

void mfq_cuda_gemm_plan_free(mfq_context *context, mfq_choice *choice) {
  mfq_cuda_choice_free<mfq_gemm_problem>(context, choice);
}

mfq_status mfq_cuda_gemm_run(mfq_context *context, const mfq_choice *choice, const mfq_gemm_problem *problem,
                             void *workspace) {
  return mfq_cuda_choice_run(context, choice, problem, workspace);
}
