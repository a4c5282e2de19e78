/* cuda/conv/conv_cuda.cu: the ways to run convolutions, in their order. */
#include "conv_cuda.h"

const mfq_ways mfq_cuda_conv_parts = {.create = "mfq_conv_plan_create",
                                      .reproducible = "the context asks for reproducible convolutions",
                                      .nearest_first = 0,
                                      .ways = {&mfq_cuda_conv_depthwise, &mfq_cuda_conv_wgmma, &mfq_cuda_conv_implicit,
                                               &mfq_cuda_conv_unfolded, &mfq_cuda_conv_general}};
static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *) {
  return mfq_cuda_batch_plan(context, &mfq_cuda_conv_parts, (const mfq_conv_problem *)problem, MFQ_MOST_WORKSPACE_BYTES,
                             choice);
}
static const mfq_way product = {"product", mfq_conv_by_product_plan, mfq_conv_by_product_run, mfq_conv_by_product_free};
static const mfq_way batch = {"", plan, mfq_cuda_batch_run, mfq_cuda_batch_free};
const mfq_ways mfq_cuda_convolutions = {"mfq_conv_plan_create", NULL, 0, {&product, &batch}};
