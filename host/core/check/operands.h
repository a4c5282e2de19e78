/* host/core/check/operands.h: the checks that products and convolutions share: operands and memory. */
#ifndef MFQ_HOST_CORE_OPERANDS_H
#define MFQ_HOST_CORE_OPERANDS_H

#include "arguments.h"
#include "host/core/problem/gemm_problem.h"

/* A call under check; for planning, memory need not be there. */
typedef struct mfq_check {
  const char *function;
  int is_run;
  mfq_parts parts;
} mfq_check;

/* A field and its allowed values. */
typedef struct mfq_range {
  const char *name;
  int64_t value, low, high;
} mfq_range;
mfq_status mfq_ranges_check(mfq_where where, const mfq_range *ranges, size_t count);

/* Two fields of which exactly one is given. */
typedef struct mfq_alternatives {
  const char *names[2];
  const void *values[2];
} mfq_alternatives;
mfq_status mfq_alternatives_check(mfq_where where, mfq_alternatives either);

/* Checks a plain tensor; at planning its memory may be unknown. */
mfq_status mfq_take_tensor(mfq_check *check, mfq_where where, const mfq_tensor *given, int is_written, mfq_tensor *out);
/* Checks a quantized tensor, of which the call writes the `written` parts. */
mfq_status mfq_take_quantized(mfq_check *check, mfq_where where, const mfq_qtensor *q, int written, mfq_qview *view);

/* Checks which fields of an operand are given, and says which kind it is. */
mfq_status mfq_take_kind(mfq_where where, const mfq_operand *operand, mfq_side_kind *kind);
/* The view of a plain operand that the run quantizes. `q` has shape and layout; `axis` stands for MFQ_AXIS_AUTO. */
mfq_status mfq_view_to_quantize(mfq_where where, const mfq_scheme *scheme, int32_t axis, mfq_qtensor *q,
                                mfq_qview *view);

/* A tensor whose last axes, or the one before in front, are rows x cols; neighbouring batch axes with fitting strides
 * become one. */
void mfq_matrix_make(const mfq_tensor *tensor, int is_transposed, mfq_matrix *matrix);

/* Checks all memory of a run with its workspace. */
mfq_status mfq_check_memory(mfq_context *context, mfq_check *check, const mfq_workspace *workspace);

/* "a: e4m3fn/...: <why>; <hint>" with UNSUPPORTED. */
mfq_status mfq_fail_scheme(mfq_where where, const mfq_scheme *scheme, const char *why, const char *hint);

#endif
