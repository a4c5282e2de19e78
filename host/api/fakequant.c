/* host/api/fakequant.c: checks fake-quantizations. In place is allowed because each element is read before its own
 * place is written. */
#include <mfq/fakequant.h>

#include <string.h>

#include "host/core/check/fakes.h"
#include "host/core/check/operands.h"
#include "host/core/module/context_state.h"
#include "host/core/error.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/process/fp_mode.h"

/* ---- Masks ------------------------------------------------------------------------------------------------------- */

mfq_status mfq_mask_init(const mfq_scheme *scheme, int32_t rank, const int64_t *shape, mfq_mask *mask) {
  static const char function[] = "mfq_mask_init";
  if (scheme == NULL || mask == NULL || (shape == NULL && rank != 0)) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL",
                    scheme == NULL ? "scheme"
                    : mask == NULL ? "mask"
                                   : "shape");
  }
  mfq_mask made = {.scheme = *scheme, .rank = rank};
  if (rank > 0 && rank <= MFQ_MAX_RANK) memcpy(made.shape, shape, (size_t)rank * sizeof shape[0]);
  mfq_qview view;
  const mfq_status status = mfq_fake_mask_view((mfq_where){function, "mask"}, &made, &view);
  if (status == MFQ_OK) *mask = made;
  return status;
}

mfq_status mfq_mask_bytes(const mfq_mask *mask, size_t *bytes) {
  static const char function[] = "mfq_mask_bytes";
  if (mask == NULL || bytes == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", mask == NULL ? "mask" : "bytes");
  mfq_qview view;
  const mfq_status status = mfq_fake_mask_view((mfq_where){function, "mask"}, mask, &view);
  if (status == MFQ_OK) *bytes = mfq_fake_mask_size(&view);
  return status;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

void mfq_fake_forward_init(mfq_fake_forward *forward) {
  if (forward == NULL) return;
  memset(forward, 0, sizeof *forward);
  forward->struct_size = sizeof *forward;
}

/* The names of a function's arguments. */
typedef struct forward_names {
  mfq_fake_names shared;
  const char *dst, *scales, *mask;
} forward_names;

/* A call under check. */
typedef struct forward_call {
  mfq_parts parts;
  mfq_qview view;
  mfq_tensor src, dst, scales;
} forward_call;

static mfq_status take_tensors(const forward_names *names, const mfq_fake_forward *f, forward_call *call) {
  const mfq_where from = {names->shared.function, names->shared.tensor}, to = {names->shared.function, names->dst};
  mfq_status status = mfq_argument_tensor(from, f->src, 0, &call->parts, &call->src);
  if (status == MFQ_OK) status = mfq_argument_tensor(to, f->dst, 1, &call->parts, &call->dst);
  if (status == MFQ_OK)
    status = mfq_argument_shape(to, call->dst.rank, call->dst.shape, names->shared.tensor, &call->src);
  if (status == MFQ_OK && mfq_is_in_place(&call->dst, &call->src)) {
    call->parts.items[0] = call->parts.items[1]; /* one and the same memory */
    call->parts.count = 1;
  }
  return status;
}

static mfq_status take_scales(const forward_names *names, const mfq_fake_forward *f, forward_call *call) {
  const mfq_where where = {names->shared.function, names->scales};
  if (f->scales == NULL) return MFQ_OK;
  if (f->given == NULL) return mfq_argument_per_scale(where, f->scales, &call->view, &call->parts, &call->scales);
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                  "%s is given, but scales are read from %s, not measured; leave it NULL, or use mfq_expand_scales",
                  where.argument, names->shared.given);
}

/* What one of the public functions is asked for; the fields that it does not have are NULL. */
static mfq_status run(const forward_names *names, mfq_context *context, const mfq_fake_forward *f) {
  const char *function = names->shared.function;
  const int is_given = f->given != NULL || names->shared.scheme == NULL;
  forward_call call = {.parts = {.count = 0}};
  mfq_status status = take_tensors(names, f, &call);
  if (status == MFQ_OK)
    status = is_given ? mfq_fake_take_given(&names->shared, f->given, &call.src, &call.view, &call.parts)
                      : mfq_fake_take_scheme(&names->shared, f->scheme, &call.src, &call.view);
  if (status == MFQ_OK) status = take_scales(names, f, &call);
  if (status == MFQ_OK && f->mask != NULL)
    status = mfq_fake_take_mask((mfq_where){function, names->mask}, f->mask, &call.view, 1, &call.parts);
  if (status == MFQ_OK) status = mfq_parts_check(context, &call.parts);
  if (status != MFQ_OK) return status;
  const mfq_cast cast = {.op = MFQ_OP_FAKE_QUANTIZE,
                         .function = function,
                         .src = &call.src,
                         .dst = &call.dst,
                         .view = &call.view,
                         .scales = f->scales != NULL ? &call.scales : NULL,
                         .mask = f->mask != NULL ? f->mask->bits : NULL};
  return context->backend->cast(context, &cast);
}

mfq_status mfq_fake_quantize(mfq_context *context, const mfq_scheme *scheme, const mfq_tensor *src,
                             const mfq_tensor *dst, const mfq_tensor *scales) {
  MFQ_USUAL_FP_MODE;
  static const forward_names names = {.shared = {.function = "mfq_fake_quantize",
                                                 .scheme = "scheme",
                                                 .tensor = "src",
                                                 .instead_of_scheme = "use mfq_fake_quantize_given"},
                                      .dst = "dst",
                                      .scales = "scales"};
  const mfq_fake_forward forward = {.scheme = scheme, .src = src, .dst = dst, .scales = scales};
  const mfq_status status = mfq_argument_present((mfq_where){names.shared.function, "context"}, context);
  return status == MFQ_OK ? run(&names, context, &forward) : status;
}

mfq_status mfq_fake_quantize_given(mfq_context *context, const mfq_qtensor *q, const mfq_tensor *src,
                                   const mfq_tensor *dst) {
  MFQ_USUAL_FP_MODE;
  static const forward_names names = {
      .shared = {.function = "mfq_fake_quantize_given",
                 .given = "q",
                 .tensor = "src",
                 .instead_of_given = "mfq_fake_quantize, which computes them"},
      .dst = "dst",
  };
  const mfq_fake_forward forward = {.given = q, .src = src, .dst = dst};
  const mfq_status status = mfq_argument_present((mfq_where){names.shared.function, "context"}, context);
  return status == MFQ_OK ? run(&names, context, &forward) : status;
}

mfq_status mfq_fake_quantize_forward(mfq_context *context, const mfq_fake_forward *forward) {
  MFQ_USUAL_FP_MODE;
  static const forward_names names = {
      .shared = {.function = "mfq_fake_quantize_forward",
                 .scheme = "forward->scheme",
                 .given = "forward->given",
                 .tensor = "forward->src",
                 .instead_of_scheme = "set forward->given instead",
                 .instead_of_given = "forward->scheme, whose scales are measured"},
      .dst = "forward->dst",
      .scales = "forward->scales",
      .mask = "forward->mask",
  };
  const mfq_where where = {names.shared.function, "forward"};
  mfq_status status = mfq_argument_present((mfq_where){where.function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present(where, forward);
  if (status == MFQ_OK) status = mfq_argument_struct(where, forward, sizeof *forward, "mfq_fake_forward_init");
  if (status != MFQ_OK) return status;
  const mfq_alternatives either = {{"scheme", "given"}, {forward->scheme, forward->given}};
  status = mfq_alternatives_check(where, either);
  return status == MFQ_OK ? run(&names, context, forward) : status;
}
