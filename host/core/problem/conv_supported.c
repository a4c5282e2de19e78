/* host/core/problem/conv_supported.c: mfq_supported for convolutions: the plan of a typical layer answers, so that it
 * cannot say anything else than what planning does. */
#include "host/core/module/context_state.h"
#include "conv_problem.h"
#include "plan.h"

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
  const mfq_answer answer = {support, reason, capacity};
  return mfq_support_answer(context, status, context->backend->convolutions, &problem, answer);
}
