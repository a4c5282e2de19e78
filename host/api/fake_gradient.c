/* host/api/fake_gradient.c: checks the backward of fake quantizations. In place is allowed because a scale's sums are made
 * before anything is written, and each element is read before its own place is. */
#include <mfq/fakequant.h>

#include <string.h>

#include "host/core/check/fakes.h"
#include "host/core/check/operands.h"
#include "host/core/check/suits.h"
#include "host/core/module/context_state.h"
#include "host/core/error.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"

static const char function[] = "mfq_fake_quantize_backward";

void mfq_fake_gradient_init(mfq_fake_gradient *gradient) {
  if (gradient == NULL) return;
  memset(gradient, 0, sizeof *gradient);
  gradient->struct_size = sizeof *gradient;
}

static const mfq_fake_names names = {.function = function,
                                     .scheme = "gradient->scheme",
                                     .given = "gradient->given",
                                     .tensor = "gradient->src",
                                     .instead_of_scheme = "set gradient->given instead",
                                     .instead_of_given = "gradient->scheme, whose scales are measured"};

/* A call under check. */
typedef struct gradient_call {
  mfq_parts parts;
  mfq_qview view;
  mfq_fake_names names;
  mfq_tensor src, upstream, dx, grad_scale, grad_zero_point;
} gradient_call;

static mfq_status check_fields(const mfq_fake_gradient *g) {
  const mfq_where where = {function, "gradient"};
  mfq_status status = mfq_argument_present(where, g);
  if (status == MFQ_OK) status = mfq_argument_struct(where, g, sizeof *g, "mfq_fake_gradient_init");
  if (status != MFQ_OK) return status;
  const mfq_range ranges[] = {{"ste", (int64_t)g->ste, MFQ_STE_IDENTITY, MFQ_STE_BREVITAS},
                              {"through_scale", g->through_scale, 0, 1},
                              {"log2_scale", g->log2_scale, 0, 1}};
  status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  const mfq_alternatives either = {{"scheme", "given"}, {g->scheme, g->given}};
  return status == MFQ_OK ? mfq_alternatives_check(where, either) : status;
}

/* A tensor of the shape of the first one, which is checked already. */
static mfq_status take(gradient_call *call, const char *argument, const mfq_tensor *given, int is_written,
                       mfq_tensor *out) {
  const mfq_where where = {function, argument};
  const mfq_status status = mfq_argument_tensor(where, given, is_written, &call->parts, out);
  return status == MFQ_OK ? mfq_argument_shape(where, out->rank, out->shape, call->names.tensor, &call->src) : status;
}

/* dx may be one of those that are read: it is one and the same memory then. */
static void allow_in_place(gradient_call *call) {
  mfq_memory *items = call->parts.items; /* src, if there is one, upstream, dx */
  const int dx = call->parts.count - 1;
  if (mfq_is_in_place(&call->dx, &call->upstream))
    items[dx - 1] = items[dx];
  else if (mfq_is_in_place(&call->dx, &call->src))
    items[0] = items[dx];
  else
    return;
  call->parts.count = dx;
}

/* With a mask nobody reads src: where there is none, the upstream gradient stands for it. */
static mfq_status take_tensors(const mfq_fake_gradient *g, gradient_call *call) {
  const int has_src = g->src != NULL || g->mask == NULL;
  if (!has_src) call->names.tensor = "gradient->upstream";
  const mfq_where first = {function, call->names.tensor};
  mfq_status status = mfq_argument_tensor(first, has_src ? g->src : g->upstream, 0, &call->parts, &call->src);
  call->upstream = call->src;
  if (status == MFQ_OK && has_src) status = take(call, "gradient->upstream", g->upstream, 0, &call->upstream);
  if (status == MFQ_OK) status = take(call, "gradient->dx", g->dx, 1, &call->dx);
  if (status == MFQ_OK) allow_in_place(call);
  return status;
}

/* What is asked of scales that there are none of. */
static mfq_status check_sums(const mfq_fake_gradient *g, const mfq_scheme *scheme) {
  const char *problem = NULL;
  if (g->grad_scale != NULL && scheme->scale == MFQ_SCALE_NONE)
    problem = "grad_scale is given, but the scheme has no scales; leave it NULL";
  else if (g->grad_zero_point != NULL && !scheme->zero_point)
    problem = "grad_zero_point is given, but the scheme has no zero points; leave it NULL";
  else if (g->through_scale && (scheme->scale == MFQ_SCALE_NONE || scheme->rule == MFQ_RULE_GIVEN))
    problem = "through_scale is 1, but no scale is measured from the elements; set it to 0";
  return problem ? mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "gradient: %s", problem) : MFQ_OK;
}

/* A mask says what passes, and nothing else. */
static mfq_status check_mask(const mfq_fake_gradient *g) {
  if (g->mask == NULL) return MFQ_OK;
  if (g->ste != MFQ_STE_CLIPPED) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "gradient: mask is given, but ste is %d; allowed is MFQ_STE_CLIPPED (1): %s; leave mask NULL",
                    (int)g->ste, g->ste == MFQ_STE_IDENTITY ? "identity passes everywhere" : "slopes need src");
  }
  const char *needs_src = g->grad_scale != NULL        ? "grad_scale"
                          : g->grad_zero_point != NULL ? "grad_zero_point"
                          : g->through_scale           ? "through_scale"
                                                       : NULL;
  if (needs_src == NULL) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                  "gradient: mask and %s are both given, but %s needs src, not only what passes; leave mask NULL",
                  needs_src, needs_src);
}

mfq_status mfq_fake_quantize_backward(mfq_context *context, const mfq_fake_gradient *g) {
  MFQ_USUAL_FP_MODE;
  gradient_call call = {.parts = {.count = 0}, .names = names};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = check_fields(g);
  if (status == MFQ_OK) status = check_mask(g);
  if (status == MFQ_OK) status = take_tensors(g, &call);
  if (status == MFQ_OK)
    status = g->scheme != NULL
                 ? mfq_fake_take_scheme(&call.names, g->scheme, &call.src, &call.view)
                 : mfq_fake_take_given(&call.names, g->given, &call.src, &call.view, g->mask ? NULL : &call.parts);
  if (status == MFQ_OK)
    status = mfq_scheme_suits((mfq_where){function, "gradient"}, MFQ_OP_FAKE_GRADIENT, &call.view.q.scheme);
  if (status == MFQ_OK) status = check_sums(g, &call.view.q.scheme);
  if (status == MFQ_OK && g->grad_scale != NULL)
    status = mfq_argument_per_scale((mfq_where){function, "gradient->grad_scale"}, g->grad_scale, &call.view,
                                    &call.parts, &call.grad_scale);
  if (status == MFQ_OK && g->grad_zero_point != NULL)
    status = mfq_argument_per_scale((mfq_where){function, "gradient->grad_zero_point"}, g->grad_zero_point, &call.view,
                                    &call.parts, &call.grad_zero_point);
  if (status == MFQ_OK && g->mask != NULL)
    status = mfq_fake_take_mask((mfq_where){function, "gradient->mask"}, g->mask, &call.view, 0, &call.parts);
  if (status == MFQ_OK) status = mfq_parts_check(context, &call.parts);
  if (status != MFQ_OK) return status;
  const mfq_gradient gradient = {.upstream = &call.upstream,
                                 .grad_scale = g->grad_scale != NULL ? &call.grad_scale : NULL,
                                 .grad_zero_point = g->grad_zero_point != NULL ? &call.grad_zero_point : NULL,
                                 .ste = (int32_t)g->ste,
                                 .through_scale = g->through_scale,
                                 .log2_scale = g->log2_scale};
  const mfq_cast cast = {.op = MFQ_OP_FAKE_GRADIENT,
                         .function = function,
                         .src = g->mask != NULL ? &call.upstream : &call.src,
                         .dst = &call.dx,
                         .view = &call.view,
                         .gradient = &gradient,
                         .mask = g->mask != NULL ? g->mask->bits : NULL};
  return context->backend->cast(context, &cast);
}
