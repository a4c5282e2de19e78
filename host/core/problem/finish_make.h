/* host/core/problem/finish_make.h: the finish of a description, made and checked. */
#ifndef MFQ_HOST_CORE_FINISH_MAKE_H
#define MFQ_HOST_CORE_FINISH_MAKE_H

#include "host/core/check/operands.h"

/* The fields of mfq_gemm and mfq_conv that say what happens to sums, and how their description calls them. */
typedef struct mfq_finish_fields {
  const char *argument;         /* "gemm" */
  const char *d_name, *d_qname; /* "d", "quantized_d" */
  const char *bias_shape;       /* "[N]" */
  const char *run;              /* "mfq_gemm_run" */
  const mfq_tensor *d;
  const mfq_qtensor *quantized_d;
  const mfq_tensor *c, *bias;
  const float *alpha, *beta;
  int32_t device_scalars;
  mfq_activation activation;
} mfq_finish_fields;

/* Checks what needs no sizes: beta has its C, and there is one result. */
mfq_status mfq_finish_fields_check(const char *function, const mfq_finish_fields *fields);

/* Checks the result, and fills `finish` with a quantized one; `d` becomes a plain one, which is as wide and long as sums,
 * or f32 of a quantized one's shape, without memory and strides. */
mfq_status mfq_finish_take_d(mfq_check *check, const mfq_finish_fields *fields, mfq_finish *finish, mfq_tensor *d);
/* Checks C, where there is one. It may be D itself: each element is read before its own place is written. */
mfq_status mfq_finish_take_c(mfq_check *check, const mfq_finish_fields *fields, const mfq_tensor *d, mfq_finish *finish,
                             mfq_tensor *c);
/* Checks the bias, of `count` elements, and the scalars, and fills `finish` with all that has no shape. */
mfq_status mfq_finish_take_rest(mfq_check *check, const mfq_finish_fields *fields, int64_t count, mfq_finish *finish);

/* OK, or a sentence about the first thing in which a run's finish differs from its plan's; D apart. */
mfq_status mfq_finish_match(const char *function, const char *argument, const mfq_finish *plan, const mfq_finish *run);

#endif
