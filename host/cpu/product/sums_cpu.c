/* host/cpu/product/sums_cpu.c: the ways to run products and convolutions, in their order. */
#include "sums_cpu.h"

#include "engine.h"
#include "expand_operand.h"
#include "host/cpu/cpu_onednn.h"

const mfq_ways mfq_cpu_products = {.create = "mfq_gemm_plan_create",
                                   .nearest_first = 1,
                                   .ways = {&mfq_gemm_few_rows, &mfq_gemm_expanded, &mfq_gemm_reference}};

/* oneDNN's convolutions by one element are faster than its products where pixels are many, but want the filter in an
 * order of their own: measured, with 4 pixels and more for each channel that pays. */
enum { PIXELS_OF_CHANNEL = 4 };

static int beats_product(mfq_context *context, const mfq_conv_problem *p) {
  mfq_line unused; /* all of it, which is kept for those who ask again */
  const int64_t pixels = p->batch * p->out[0] * p->out[1] * p->out[2];
  const int64_t channels = p->in_channels > p->out_channels ? p->in_channels : p->out_channels;
  const int is_fast = context->policy == MFQ_FAST && mfq_cpu_kernels(context) != NULL;
  if (!is_fast || p->direction == MFQ_CONV_WEIGHT_GRADIENT || p->k == 0 || pixels < PIXELS_OF_CHANNEL * channels)
    return 0;
  const mfq_dtype dtype = mfq_expanded_dtype(&mfq_conv_gathered(p)->part, &mfq_conv_direct(p)->part, p->round_operands);
  return mfq_engine_prefers_onednn(context, dtype == MFQ_DTYPE_BF16) &&
         mfq_cpu_onednn(context, unused.text, sizeof unused.text) != NULL;
}

static mfq_status plan_product(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  if (beats_product(context, problem)) return mfq_refuse(why, "%s", "");
  return mfq_conv_by_product_plan(context, problem, choice, why);
}

static const mfq_way by_product = {"product", plan_product, mfq_conv_by_product_run, mfq_conv_by_product_free};
const mfq_ways mfq_cpu_convolutions = {.create = "mfq_conv_plan_create",
                                       .nearest_first = 1,
                                       .ways = {&by_product, &mfq_conv_expanded, &mfq_conv_reference}};
