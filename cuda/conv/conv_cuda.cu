/* cuda/conv/conv_cuda.cu: the implementations of convolutions, in their order. */
#include "conv_cuda.h"

#include "../gemm/choose.h"
#include "batch_steps.h"

static const mfq_cuda_conv_row *const rows[] = {
    &mfq_cuda_conv_depthwise, &mfq_cuda_conv_wgmma,   &mfq_cuda_conv_implicit,
    &mfq_cuda_conv_unfolded,  &mfq_cuda_conv_general,
};
static const mfq_cuda_row_list<mfq_conv_problem> list = {"mfq_conv_plan_create", "convolution", rows,
                                                         sizeof rows / sizeof rows[0]};
static_assert(sizeof rows / sizeof rows[0] <= MFQ_CUDA_MOST_ROWS, "reasons have room");

static mfq_status plan(mfq_context *context, const mfq_conv_problem *problem, mfq_choice *choice) {
  return mfq_cuda_choose(context, list, problem, choice);
}
static const mfq_conv_ways ways = {plan, mfq_cuda_choice_free<mfq_conv_problem>, mfq_cuda_choice_run<mfq_conv_problem>};

mfq_status mfq_cuda_conv_plan(mfq_context *context, const mfq_conv_problem *problem, mfq_choice *choice) {
  return mfq_cuda_batch_plan(context, &ways, problem, MFQ_CONV_WORKSPACE_BYTES, choice);
}

void mfq_cuda_conv_plan_free(mfq_context *context, mfq_choice *choice) { mfq_cuda_batch_free(context, &ways, choice); }

mfq_status mfq_cuda_conv_run(mfq_context *context, const mfq_choice *choice, const mfq_conv_problem *problem,
                             void *workspace) {
  return mfq_cuda_batch_run(context, &ways, choice, problem, (uint8_t *)workspace);
}
