/* host/core/check/operands.c: what products and convolutions ask of their tensors. Planning has no memory yet, so that
 * a stand-in takes the place of NULL and the same checks serve plans and runs. */
#include "operands.h"

#include <string.h>

#include "host/core/error.h"
#include "host/core/scheme/scheme.h"

/* What stands for memory that planning does not know yet: aligned, and far from both ends of the address space. */
#define UNKNOWN_MEMORY ((void *)((uintptr_t)1 << 46))

mfq_status mfq_ranges_check(mfq_where where, const mfq_range *ranges, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high) continue;
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: %s is %lld; allowed is %lld ... %lld",
                    where.argument, ranges[i].name, (long long)ranges[i].value, (long long)ranges[i].low,
                    (long long)ranges[i].high);
  }
  return MFQ_OK;
}

mfq_status mfq_alternatives_check(mfq_where where, mfq_alternatives either) {
  if ((either.values[0] == NULL) != (either.values[1] == NULL)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: %s and %s are both %s; give one of them",
                  where.argument, either.names[0], either.names[1], either.values[0] == NULL ? "NULL" : "given");
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

mfq_status mfq_take_tensor(mfq_check *check, mfq_where where, const mfq_tensor *given, int is_written,
                           mfq_tensor *out) {
  mfq_tensor tensor = *given;
  const int is_unknown = !check->is_run && tensor.data == NULL;
  if (is_unknown) tensor.data = UNKNOWN_MEMORY;
  const mfq_status status = mfq_argument_tensor(where, &tensor, is_written, &check->parts, out);
  if (is_unknown) out->data = NULL;
  return status == MFQ_OK ? mfq_elements_check(where, out->rank, out->shape) : status;
}

mfq_status mfq_take_quantized(mfq_check *check, mfq_where where, const mfq_qtensor *q, int written, mfq_qview *view) {
  mfq_status status = mfq_qview_init(where, q, view);
  if (status == MFQ_OK) status = mfq_elements_check(where, view->q.rank, view->q.shape);
  if (status != MFQ_OK || !check->is_run) return status;
  return mfq_argument_parts(where, view, (mfq_use){MFQ_USE_ALL, written}, &check->parts);
}

void mfq_matrix_make(const mfq_tensor *tensor, int is_transposed, mfq_matrix *matrix) {
  const int32_t rank = tensor->rank, row = is_transposed ? rank - 1 : rank - 2,
                col = is_transposed ? rank - 2 : rank - 1;
  *matrix = (mfq_matrix){.data = tensor->data,
                         .dtype = tensor->dtype,
                         .rows = tensor->shape[row],
                         .cols = tensor->shape[col],
                         .stride = {tensor->strides[row], tensor->strides[col]}};
  for (int32_t d = 0; d < rank - 2; ++d) {
    if (tensor->shape[d] == 1) continue;
    const int32_t last = matrix->batch_rank - 1;
    if (last >= 0 && matrix->batch_stride[last] == tensor->shape[d] * tensor->strides[d]) {
      matrix->batch_shape[last] *= tensor->shape[d];
      matrix->batch_stride[last] = tensor->strides[d];
    } else {
      matrix->batch_shape[matrix->batch_rank] = tensor->shape[d];
      matrix->batch_stride[matrix->batch_rank++] = tensor->strides[d];
    }
  }
}

/* ---- Operands ---------------------------------------------------------------------------------------------------- */

mfq_status mfq_take_kind(mfq_where where, const mfq_operand *operand, mfq_side_kind *kind) {
  const mfq_alternatives either = {{"plain", "quantized"}, {operand->plain, operand->quantized}};
  *kind = operand->quantized != NULL     ? MFQ_SIDE_QUANTIZED
          : operand->quantize_to != NULL ? MFQ_SIDE_TO_QUANTIZE
                                         : MFQ_SIDE_PLAIN;
  if (operand->quantized == NULL || operand->quantize_to == NULL || operand->plain != NULL)
    return mfq_alternatives_check(where, either);
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                  "%s: quantize_to is given, but the operand is quantized already; leave it NULL, or give plain",
                  where.argument);
}

mfq_status mfq_view_to_quantize(mfq_where where, const mfq_scheme *scheme, int32_t axis, mfq_qtensor *q,
                                mfq_qview *view) {
  const mfq_status status = mfq_scheme_verify(scheme, where.function, where.argument);
  if (status != MFQ_OK) return status;
  if (scheme->rule == MFQ_RULE_GIVEN) {
    return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function,
                    "%s: quantize_to has the rule given, which reads scales that a plain operand does not bring; "
                    "quantize it before",
                    where.argument);
  }
  q->scheme = *scheme;
  const int has_axis = scheme->granularity == MFQ_GRANULARITY_GROUP || scheme->granularity == MFQ_GRANULARITY_CHANNEL;
  if (has_axis && scheme->axis == MFQ_AXIS_AUTO) q->scheme.axis = axis;
  return mfq_qview_init(where, q, view);
}

mfq_status mfq_fail_scheme(mfq_where where, const mfq_scheme *scheme, const char *why, const char *hint) {
  char text[MFQ_SCHEME_TEXT_MAX] = "";
  const mfq_status status = mfq_scheme_print(scheme, text, sizeof text);
  if (status != MFQ_OK) return status;
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function, "%s: %s: %s; %s", where.argument, text, why, hint);
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

mfq_status mfq_check_memory(mfq_context *context, mfq_check *check, const mfq_workspace *workspace) {
  const mfq_bytes bytes = mfq_bytes_of(workspace->memory, workspace->bytes);
  check->parts.items[check->parts.count++] = (mfq_memory){{check->function, "workspace"}, "memory", bytes, 1};
  return mfq_parts_check(context, &check->parts);
}
