#include <stdio.h>
#include <string.h>

#include "context_state.h"
#include "conv_problem.h"
#include "plan.h"

/* Reproducible sums of the weight's gradient end a run with each row of pixels, those of a product every 32 elements. */
static int has_other_runs(const mfq_context *context, const mfq_conv_problem *p) {
  const int is_one_row = p->batch * p->out[0] * p->out[1] == 1;
  return context->policy == MFQ_REPRODUCIBLE && p->direction == MFQ_CONV_WEIGHT_GRADIENT && p->out[2] % 32 != 0 &&
         !is_one_row;
}

static int is_faster_alone(const mfq_context *context, const mfq_conv_problem *p) {
  const mfq_backend *backend = context->backend;
  return backend->conv_beats_product != NULL && backend->conv_beats_product(context, p);
}

mfq_status mfq_conv_choose(mfq_context *context, const mfq_conv_problem *problem, mfq_choice *choice,
                           int32_t *is_product) {
  mfq_gemm_problem product;
  char of_product[sizeof choice->description];
  *is_product = mfq_conv_as_product(problem, &product) == NULL && !has_other_runs(context, problem) &&
                !is_faster_alone(context, problem);
  if (!*is_product) return context->backend->conv_plan(context, problem, choice);
  const mfq_status status = context->backend->gemm_plan(context, &product, choice);
  memcpy(of_product, choice->description, sizeof of_product);
  if (status == MFQ_OK)
    (void)snprintf(choice->description, sizeof choice->description, "product: %.*s",
                   (int)(sizeof of_product - sizeof "product: "), of_product);
  return status;
}

void mfq_conv_choice_free(mfq_context *context, mfq_choice *choice, int32_t is_product) {
  if (is_product)
    context->backend->gemm_plan_free(context, choice);
  else
    context->backend->conv_plan_free(context, choice);
}

/* ---- mfq_supported ----------------------------------------------------------------------------------------------- */

enum { CHANNELS = 64, PIXELS = 14, BATCH = 4 };

/* A 3 x 3 layer, channels last, input and weight quantized before. */
mfq_status mfq_conv_supported(mfq_context *context, const mfq_scheme *scheme, mfq_support *support, char *reason,
                              size_t capacity) {
  static const char function[] = "mfq_supported";
  const int64_t pixels[] = {BATCH, PIXELS, PIXELS, CHANNELS}, filter[] = {CHANNELS, 3, 3, CHANNELS};
  mfq_qtensor input, weight;
  mfq_tensor result;
  mfq_conv conv;
  mfq_conv_problem problem;
  mfq_choice choice;
  int32_t is_product = 0;
  memset(&choice, 0, sizeof choice);
  mfq_conv_init(&conv);
  conv.layout = MFQ_CONV_CHANNELS_LAST;
  conv.padding[0] = conv.padding[1] = 1;
  conv.input.quantized = &input;
  conv.weight.quantized = &weight;
  conv.result = &result;
  mfq_status status = mfq_qtensor_init(scheme, 4, pixels, NULL, &input);
  if (status == MFQ_OK) status = mfq_qtensor_init(scheme, 4, filter, NULL, &weight);
  if (status == MFQ_OK) status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, 4, pixels, &result);
  if (status == MFQ_OK) status = mfq_conv_problem_make(function, context, &conv, NULL, &problem);
  if (status == MFQ_OK) status = mfq_conv_choose(context, &problem, &choice, &is_product);
  if (status == MFQ_OK) mfq_conv_choice_free(context, &choice, is_product);
  return mfq_support_answer(function, status, &choice, (mfq_answer){support, reason, capacity});
}
