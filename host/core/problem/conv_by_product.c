/* host/core/problem/conv_by_product.c: the way of convolutions that are matrix products, over the list of products. */
#include "choose.h"
#include "host/core/module/context_state.h"
#include "conv_problem.h"
#include "host/core/error.h"

/* Reproducible sums of the weight's gradient end a run with each row of pixels, those of a product every 32 elements. */
static int has_other_runs(const mfq_context *context, const mfq_conv_problem *p) {
  const int is_one_row = p->batch * p->out[0] * p->out[1] == 1;
  return context->policy == MFQ_REPRODUCIBLE && p->direction == MFQ_CONV_WEIGHT_GRADIENT && p->out[2] % 32 != 0 &&
         !is_one_row;
}

mfq_status mfq_conv_by_product_plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  mfq_gemm_problem product;
  const int is_product = mfq_conv_as_product(problem, &product) == NULL;
  if (!is_product || has_other_runs(context, problem)) return mfq_refuse(why, "%s", "");
  mfq_status status = mfq_choice_state(context, "mfq_conv_plan_create", sizeof(mfq_choice), choice);
  if (status == MFQ_OK) status = mfq_choose(context, context->backend->ways[MFQ_OP_GEMM], &product, choice->state);
  if (status == MFQ_OK) mfq_choice_hand_on(choice, choice->state);
  return status;
}

mfq_status mfq_conv_by_product_run(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  mfq_gemm_problem product;
  const char *why = mfq_conv_as_product(problem, &product);
  if (why != NULL) return mfq_fail(MFQ_ERROR_INTERNAL, "mfq_conv_run", "it was planned as a product, but %s", why);
  return mfq_choice_run(context, state, &product, workspace);
}

void mfq_conv_by_product_free(mfq_context *context, void *state) { mfq_choice_free(context, state); }
