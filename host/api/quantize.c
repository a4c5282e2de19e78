/* host/api/quantize.c: checks casts: quantize, dequantize, repack, expand. Backends see shapes that agree and memory
 * that does not overlap. */
#include <mfq/quantize.h>

#include "host/core/check/arguments.h"
#include "host/core/module/context_state.h"
#include "host/core/error.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/problem/regroup.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"

/* Checks one direction of a quantization. NULL is a direction that is not asked for. */
static mfq_status check_direction(mfq_where where, const mfq_qtensor *q, const mfq_tensor *src, mfq_parts *parts,
                                  mfq_qview *view) {
  if (q == NULL) return MFQ_OK;
  mfq_status status = mfq_qview_init(where, q, view);
  if (status == MFQ_OK) status = mfq_argument_shape(where, view->q.rank, view->q.shape, "src", src);
  if (status == MFQ_OK) {
    int written = q->scheme.rule == MFQ_RULE_GIVEN ? MFQ_USE_CODES : MFQ_USE_ALL;
    status = mfq_argument_parts(where, view, (mfq_use){MFQ_USE_ALL, written}, parts);
  }
  return status;
}

mfq_status mfq_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qtensor *row, const mfq_qtensor *col) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_quantize";
  mfq_parts parts = {.count = 0};
  mfq_tensor source;
  mfq_qview row_view, col_view;
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK && row == NULL && col == NULL)
    status = mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "row and col are both NULL; give at least one");
  if (status == MFQ_OK) status = mfq_argument_tensor((mfq_where){function, "src"}, src, 0, &parts, &source);
  if (status == MFQ_OK) status = check_direction((mfq_where){function, "row"}, row, &source, &parts, &row_view);
  if (status == MFQ_OK) status = check_direction((mfq_where){function, "col"}, col, &source, &parts, &col_view);
  if (status == MFQ_OK) status = mfq_parts_check(context, &parts);
  if (status != MFQ_OK) return status;
  const mfq_cast cast = {.op = MFQ_OP_QUANTIZE,
                         .function = function,
                         .src = &source,
                         .view = row != NULL ? &row_view : &col_view,
                         .other = row != NULL && col != NULL ? &col_view : NULL};
  return context->backend->cast(context, &cast);
}

/* Checks the arguments of a function that reads parts of `q` and writes `dst`. */
static mfq_status check_read(const char *function, mfq_context *context, const mfq_qtensor *q, int used,
                             mfq_qview *view, mfq_parts *parts) {
  mfq_where where = {function, "q"};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_qview_init(where, q, view);
  if (status == MFQ_OK) status = mfq_argument_parts(where, view, (mfq_use){used, 0}, parts);
  return status;
}

mfq_status mfq_dequantize(mfq_context *context, const mfq_qtensor *q, const mfq_tensor *dst) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_dequantize";
  mfq_parts parts = {.count = 0};
  mfq_qview view;
  mfq_tensor target;
  mfq_status status = check_read(function, context, q, MFQ_USE_ALL, &view, &parts);
  if (status == MFQ_OK) status = mfq_argument_tensor((mfq_where){function, "dst"}, dst, 1, &parts, &target);
  if (status == MFQ_OK && !mfq_shape_is(&target, view.q.rank, view.q.shape) &&
      !mfq_shape_is(&target, view.q.rank, view.sizes.padded_shape)) {
    status = mfq_fail(MFQ_ERROR_SHAPE, function,
                      "dst: shape is %s; allowed are the shape of q, %s, and its padded shape, %s",
                      mfq_shape_write(target.rank, target.shape).text, mfq_shape_write(view.q.rank, view.q.shape).text,
                      mfq_shape_write(view.q.rank, view.sizes.padded_shape).text);
  }
  if (status == MFQ_OK) status = mfq_parts_check(context, &parts);
  const mfq_cast cast = {.op = MFQ_OP_DEQUANTIZE, .function = function, .view = &view, .dst = &target};
  return status == MFQ_OK ? context->backend->cast(context, &cast) : status;
}

/* Layouts may differ, and what shares a scale. */
static mfq_status check_repack(const char *function, const mfq_qview *src, const mfq_qview *dst) {
  mfq_tensor shape = {.rank = src->q.rank};
  for (int32_t i = 0; i < src->q.rank; ++i) shape.shape[i] = src->q.shape[i];
  const mfq_where where = {function, "dst"};
  const mfq_status status = mfq_argument_shape(where, dst->q.rank, dst->q.shape, "src", &shape);
  if (status != MFQ_OK) return status;
  const int is_turned = src->q.scheme.rotation != 0 && src->sizes.axis != dst->sizes.axis;
  if (mfq_scheme_same_values(&src->q.scheme, &dst->q.scheme) && !is_turned) return mfq_regroup_check(where, src, dst);
  return mfq_schemes_differ(where, dst, "src", src,
                            "they may differ in groups and in how scales are made, not in elements, the format of "
                            "scales, zero points, arithmetic or rotation");
}

/* Whether only scales are to be written: codes that stay where they are. */
static int keeps_codes(const mfq_qview *src, const mfq_qview *dst) {
  const mfq_layout *a = &src->q.layout, *b = &dst->q.layout;
  return src->q.codes == dst->q.codes && mfq_code_order_is(src, dst) && a->packing == b->packing &&
         a->row_align == b->row_align;
}

/* A tensor without elements has no groups, but it may have channels, or one scale: those that a quantization writes. */
static mfq_status fill_scales(mfq_context *context, const mfq_qview *dst) {
  mfq_tensor nothing = {.dtype = MFQ_DTYPE_F32, .rank = dst->q.rank};
  for (int32_t i = 0; i < dst->q.rank; ++i) nothing.shape[i] = dst->q.shape[i];
  const mfq_cast cast = mfq_cast_quantize(&nothing, dst, NULL);
  return context->backend->cast(context, &cast);
}

mfq_status mfq_repack(mfq_context *context, const mfq_qtensor *src, const mfq_qtensor *dst) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_repack";
  const mfq_where from = {function, "src"}, to = {function, "dst"};
  mfq_parts parts = {.count = 0};
  mfq_qview source, target;
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_qview_init(from, src, &source);
  if (status == MFQ_OK) status = mfq_qview_init(to, dst, &target);
  if (status == MFQ_OK) status = check_repack(function, &source, &target);
  const int moved = status == MFQ_OK && keeps_codes(&source, &target) ? MFQ_USE_ALL & ~MFQ_USE_CODES : MFQ_USE_ALL;
  if (status == MFQ_OK) status = mfq_argument_parts(from, &source, (mfq_use){MFQ_USE_ALL, 0}, &parts);
  if (status == MFQ_OK) status = mfq_argument_parts(to, &target, (mfq_use){MFQ_USE_ALL, moved}, &parts);
  if (status == MFQ_OK) status = mfq_parts_check(context, &parts);
  if (status == MFQ_OK && source.sizes.scale_count == 0 && target.sizes.scale_count > 0)
    return fill_scales(context, &target);
  const mfq_cast cast = {.op = MFQ_OP_REPACK, .function = function, .view = &source, .other = &target};
  return status == MFQ_OK ? context->backend->cast(context, &cast) : status;
}

static mfq_status expand(const char *function, mfq_context *context, const mfq_qtensor *q, mfq_expand_part part,
                         const mfq_tensor *dst) {
  MFQ_USUAL_FP_MODE;
  mfq_parts parts = {.count = 0};
  mfq_qview view;
  mfq_tensor target;
  int used = part == MFQ_EXPAND_SCALES ? MFQ_USE_SCALES | MFQ_USE_TENSOR_SCALE : MFQ_USE_ZERO_POINTS;
  mfq_status status = check_read(function, context, q, used, &view, &parts);
  if (status == MFQ_OK) status = mfq_argument_tensor((mfq_where){function, "dst"}, dst, 1, &parts, &target);
  if (status == MFQ_OK && !mfq_shape_is(&target, view.sizes.scale_rank, view.sizes.scale_shape) &&
      !mfq_shape_is(&target, view.q.rank, view.q.shape) &&
      !mfq_shape_is(&target, view.q.rank, view.sizes.padded_shape)) {
    status = mfq_fail(MFQ_ERROR_SHAPE, function,
                      "dst: shape is %s; allowed are the scale shape of q, %s, its shape, %s, and its padded shape, %s",
                      mfq_shape_write(target.rank, target.shape).text,
                      mfq_shape_write(view.sizes.scale_rank, view.sizes.scale_shape).text,
                      mfq_shape_write(view.q.rank, view.q.shape).text,
                      mfq_shape_write(view.q.rank, view.sizes.padded_shape).text);
  }
  if (status == MFQ_OK) status = mfq_parts_check(context, &parts);
  const mfq_cast cast = {.op = MFQ_OP_EXPAND, .function = function, .view = &view, .part = part, .dst = &target};
  return status == MFQ_OK ? context->backend->cast(context, &cast) : status;
}

mfq_status mfq_expand_scales(mfq_context *context, const mfq_qtensor *q, const mfq_tensor *dst) {
  return expand("mfq_expand_scales", context, q, MFQ_EXPAND_SCALES, dst);
}

mfq_status mfq_expand_zero_points(mfq_context *context, const mfq_qtensor *q, const mfq_tensor *dst) {
  return expand("mfq_expand_zero_points", context, q, MFQ_EXPAND_ZERO_POINTS, dst);
}
