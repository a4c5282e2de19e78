/* cuda/conv/conv_cuda.cu: the ways to run convolutions, in their order. */
#include "conv_cuda.h"

static const mfq_way *const ways[] = {
    &mfq_cuda_conv_depthwise, &mfq_cuda_conv_wgmma,   &mfq_cuda_conv_implicit,
    &mfq_cuda_conv_unfolded,  &mfq_cuda_conv_general,
};
const mfq_ways mfq_cuda_conv_parts = {.create = "mfq_conv_plan_create",
                                      .reproducible = "the context asks for reproducible convolutions",
                                      .nearest_first = 0,
                                      .count = sizeof ways / sizeof ways[0],
                                      .ways = ways};
static_assert(sizeof ways / sizeof ways[0] <= MFQ_MOST_WAYS, "refusals have room");

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *) {
  return mfq_cuda_batch_plan(context, &mfq_cuda_conv_parts, (const mfq_conv_problem *)problem, MFQ_CONV_WORKSPACE_BYTES,
                             choice);
}
static const mfq_way product = {"product", mfq_conv_by_product_plan, mfq_conv_by_product_run, mfq_conv_by_product_free};
static const mfq_way batch = {"", plan, mfq_cuda_batch_run, mfq_cuda_batch_free};
static const mfq_way *const whole[] = {&product, &batch};
const mfq_ways mfq_cuda_convolutions = {.create = "mfq_conv_plan_create",
                                        .reproducible = NULL,
                                        .nearest_first = 0,
                                        .count = sizeof whole / sizeof whole[0],
                                        .ways = whole};
