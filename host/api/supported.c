/* host/api/supported.c: mfq_supported: the choice for a problem of each operation's kind answers, so that it cannot say
 * anything else than what a call does. */
#include <mfq/context.h>

#include <stdio.h>
#include <string.h>

#include "host/core/check/suits.h"
#include "host/core/error.h"
#include "host/core/integers.h"
#include "host/core/module/context_state.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/problem/conv_problem.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"

static const char function[] = "mfq_supported";

/* Sides of a matrix, and of a layer. */
enum { SIDE = 512, CHANNELS = 64, PIXELS = 14, BATCH = 4 };

/* Where an answer goes. */
typedef struct answer_to {
  mfq_support *support;
  char *reason;
  size_t capacity;
} answer_to;

static void answer_by(const mfq_choice *choice, answer_to answer) {
  *answer.support = choice->is_general ? MFQ_SUPPORT_GENERAL : MFQ_SUPPORT_FAST;
  (void)snprintf(answer.reason, answer.capacity, "%s", choice->description);
}

/* By the sentence of what refused: "mfq_supported: a: ...". */
static void answer_no(answer_to answer) {
  const char *sentence = mfq_last_error();
  const size_t length = sizeof function - 1;
  *answer.support = MFQ_SUPPORT_NO;
  (void)snprintf(answer.reason, answer.capacity, "%s",
                 strncmp(sentence, function, length) == 0 ? sentence + length + 2 : sentence);
}

/* ---- Casts ------------------------------------------------------------------------------------------------------- */

/* A matrix of float32; where the scheme's axis lies beyond one, with axes of one element between. */
static mfq_status cast_supported(mfq_context *context, mfq_op op, const mfq_scheme *scheme, answer_to answer) {
  if (mfq_scheme_suits((mfq_where){function, "scheme"}, op, scheme) != MFQ_OK) {
    answer_no(answer);
    return MFQ_OK;
  }
  const int32_t axis = scheme->axis == MFQ_AXIS_AUTO ? 0 : scheme->axis;
  mfq_qtensor q = {.scheme = *scheme, .rank = (int32_t)mfq_larger(axis < 0 ? -axis : axis + 1, 2)};
  for (int32_t i = 0; i < q.rank; ++i) q.shape[i] = i >= q.rank - 2 || i == axis || axis == i - q.rank ? SIDE : 1;
  mfq_tensor tensor;
  mfq_qview view;
  mfq_status status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, q.rank, q.shape, &tensor);
  if (status == MFQ_OK) status = mfq_qview_init((mfq_where){function, "scheme"}, &q, &view);
  if (status != MFQ_OK) return status;
  const mfq_cast cast = {.op = op, .function = function, .src = &tensor, .dst = &tensor, .view = &view};
  mfq_cast_plan plan;
  const mfq_room room = {plan.state, sizeof plan.state};
  status = mfq_choose_in(context, context->backend->ways[op], &cast, room, 0, &plan.choice);
  if (status == MFQ_OK) answer_by(&plan.choice, answer);
  if (status != MFQ_ERROR_UNSUPPORTED) return status;
  answer_no(answer);
  return MFQ_OK;
}

/* ---- Products and convolutions ----------------------------------------------------------------------------------- */

/* By the backend's plan, or by the sentence of a refusal, which may have come before: `made` is what making the problem
 * returned. Other failures are returned. */
static mfq_status planned(mfq_context *context, mfq_status made, mfq_op op, const void *problem, answer_to answer) {
  mfq_choice choice;
  const mfq_status status =
      made == MFQ_OK ? context->backend->plan(context, context->backend->ways[op], problem, &choice) : made;
  if (status == MFQ_OK) {
    answer_by(&choice, answer);
    mfq_choice_free(context, &choice);
    return MFQ_OK;
  }
  if (status != MFQ_ERROR_UNSUPPORTED && status != MFQ_ERROR_SHAPE) return status;
  answer_no(answer);
  return MFQ_OK;
}

/* A large product of two matrices, both quantized before. */
static mfq_status gemm_supported(mfq_context *context, mfq_op op, const mfq_scheme *scheme, answer_to answer) {
  const int64_t shape[] = {SIDE, SIDE};
  mfq_qtensor q;
  mfq_tensor d;
  mfq_gemm gemm;
  mfq_gemm_problem problem;
  mfq_gemm_init(&gemm);
  gemm.a.quantized = gemm.b.quantized = &q;
  gemm.transpose_b = 1;
  gemm.d = &d;
  mfq_status status = mfq_qtensor_init(scheme, 2, shape, NULL, &q);
  if (status == MFQ_OK) status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, 2, shape, &d);
  if (status == MFQ_OK) status = mfq_gemm_problem_make(function, context, &gemm, NULL, &problem);
  return planned(context, status, op, &problem, answer);
}

/* A 3 x 3 layer, channels last, input and weight quantized before. */
static mfq_status conv_supported(mfq_context *context, mfq_op op, const mfq_scheme *scheme, answer_to answer) {
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
  return planned(context, status, op, &problem, answer);
}

/* ---- All --------------------------------------------------------------------------------------------------------- */

mfq_status mfq_supported(const mfq_context *context, mfq_op op, const mfq_scheme *scheme, mfq_support *support,
                         char *reason, size_t capacity) {
  MFQ_USUAL_FP_MODE;
  static mfq_status (*const kinds[])(mfq_context *, mfq_op, const mfq_scheme *, answer_to) = {
#define MFQ_OP(op, kind, list, word) kind##_supported,
#include <mfq/ops.def>
  };
  if (context == NULL || support == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", context == NULL ? "context" : "support");
  if ((int)op < 0 || (int)op >= MFQ_OPS)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "op is %d; allowed is 0 ... %d", (int)op, MFQ_OPS - 1);
  const mfq_status status = mfq_scheme_verify(scheme, function, "scheme");
  if (status != MFQ_OK) return status;
  char unused[1];
  answer_to answer = {support, reason, capacity};
  if (reason == NULL || capacity == 0) answer = (answer_to){support, unused, sizeof unused};
  return kinds[op]((mfq_context *)context, op, scheme, answer); /* planning leaves a context as it was */
}
