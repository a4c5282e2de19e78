/* host/api/fakequant.c: checks fake-quantizations. In place is allowed because each element is read before its own
 * place is written. */
#include <mfq/fakequant.h>

#include <string.h>

#include "host/core/check/arguments.h"
#include "host/core/module/context_state.h"
#include "host/core/error.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"

/* Works out the sizes of a scheme on a checked tensor's shape. */
static mfq_status shape_view(mfq_where where, const mfq_scheme *scheme, const mfq_tensor *tensor, mfq_qview *view) {
  mfq_status status = mfq_scheme_verify(scheme, where.function, "scheme");
  if (status != MFQ_OK) return status;
  if (scheme->rule == MFQ_RULE_GIVEN) {
    return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function,
                    "scheme: rule given reads scales, for which this function has no argument; use "
                    "mfq_fake_quantize_given");
  }
  mfq_qtensor q = {.scheme = *scheme, .rank = tensor->rank};
  memcpy(q.shape, tensor->shape, sizeof q.shape);
  return mfq_qview_init(where, &q, view);
}

/* Checks what every call has; `parts` and the views are filled. */
static mfq_status check_plain(const char *function, const mfq_tensor *src, const mfq_tensor *dst, mfq_parts *parts,
                              mfq_tensor views[2]) {
  mfq_status status = mfq_argument_tensor((mfq_where){function, "src"}, src, 0, parts, &views[0]);
  if (status == MFQ_OK) status = mfq_argument_tensor((mfq_where){function, "dst"}, dst, 1, parts, &views[1]);
  if (status == MFQ_OK)
    status = mfq_argument_shape((mfq_where){function, "dst"}, views[1].rank, views[1].shape, "src", &views[0]);
  if (status == MFQ_OK && mfq_is_in_place(&views[1], &views[0])) {
    parts->items[0] = parts->items[1]; /* one and the same memory */
    parts->count = 1;
  }
  return status;
}

static mfq_status run(const char *function, mfq_context *context, const mfq_tensor views[2], const mfq_qview *shape,
                      const mfq_tensor *scales) {
  const mfq_cast cast = {.op = MFQ_OP_FAKE_QUANTIZE,
                         .function = function,
                         .src = &views[0],
                         .dst = &views[1],
                         .view = shape,
                         .scales = scales};
  return context->backend->cast(context, &cast);
}

mfq_status mfq_fake_quantize(mfq_context *context, const mfq_scheme *scheme, const mfq_tensor *src,
                             const mfq_tensor *dst, const mfq_tensor *scales) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_fake_quantize";
  mfq_parts parts = {.count = 0};
  mfq_tensor views[2], scale_view;
  mfq_qview shape;
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = check_plain(function, src, dst, &parts, views);
  if (status == MFQ_OK) status = shape_view((mfq_where){function, "src"}, scheme, &views[0], &shape);
  if (status == MFQ_OK && scales != NULL)
    status = mfq_argument_per_scale((mfq_where){function, "scales"}, scales, &shape, &parts, &scale_view);
  if (status == MFQ_OK) status = mfq_parts_check(context, &parts);
  if (status != MFQ_OK) return status;
  return run(function, context, views, &shape, scales != NULL ? &scale_view : NULL);
}

/* The parts that are read: none is computed here. */
static mfq_status check_given(mfq_where where, const mfq_qtensor *q, const mfq_tensor *src, mfq_parts *parts,
                              mfq_qview *view) {
  mfq_status status = mfq_qview_init(where, q, view);
  if (status != MFQ_OK) return status;
  if (q->scheme.rule != MFQ_RULE_GIVEN && q->scheme.scale != MFQ_SCALE_NONE) {
    const char *scale = mfq_scale_words.words[q->scheme.scale];
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: the scheme's rule is %s, but scales are read here; allowed is given (\"%s:given\"), or "
                    "mfq_fake_quantize, which computes them",
                    where.argument, mfq_rule_words.words[q->scheme.rule], scale);
  }
  status = mfq_argument_shape(where, view->q.rank, view->q.shape, "src", src);
  if (status != MFQ_OK) return status;
  return mfq_argument_parts(where, view, (mfq_use){MFQ_USE_ALL & ~MFQ_USE_CODES, 0}, parts);
}

mfq_status mfq_fake_quantize_given(mfq_context *context, const mfq_qtensor *q, const mfq_tensor *src,
                                   const mfq_tensor *dst) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_fake_quantize_given";
  mfq_parts parts = {.count = 0};
  mfq_tensor views[2];
  mfq_qview view;
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = check_plain(function, src, dst, &parts, views);
  if (status == MFQ_OK) status = check_given((mfq_where){function, "q"}, q, &views[0], &parts, &view);
  if (status == MFQ_OK) status = mfq_parts_check(context, &parts);
  return status == MFQ_OK ? run(function, context, views, &view, NULL) : status;
}
