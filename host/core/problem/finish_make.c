/* host/core/problem/finish_make.c: checks C, the bias, the scalars and the result, and compares a run with its plan. */
#include "finish_make.h"

#include <string.h>

#include "host/core/error.h"
#include "host/core/process/host_memory.h"
#include "match.h"

mfq_status mfq_finish_fields_check(const char *function, const mfq_finish_fields *f) {
  if (f->beta != NULL && f->c == NULL) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "%s: beta is given, but c is NULL; give the tensor that it multiplies, or no beta", f->argument);
  }
  const mfq_alternatives results = {{f->d_name, f->d_qname}, {f->d, f->quantized_d}};
  return mfq_alternatives_check((mfq_where){function, f->argument}, results);
}

/* ---- D and C ----------------------------------------------------------------------------------------------------- */

mfq_status mfq_finish_take_d(mfq_check *check, const mfq_finish_fields *f, mfq_finish *finish, mfq_tensor *d) {
  if (f->d != NULL) return mfq_take_tensor(check, (mfq_where){check->function, f->d_name}, f->d, 1, d);
  const mfq_qtensor *q = f->quantized_d;
  const int written = q->scheme.rule == MFQ_RULE_GIVEN ? MFQ_USE_CODES : MFQ_USE_ALL;
  finish->is_d_quantized = 1;
  *d = (mfq_tensor){.dtype = MFQ_DTYPE_F32, .rank = q->rank};
  const mfq_where where = {check->function, f->d_qname};
  const mfq_status status = mfq_take_quantized(check, where, q, written, &finish->d_view);
  if (status != MFQ_OK) return status;
  memcpy(d->shape, q->shape, sizeof d->shape);
  if (q->scheme.rotation == 0) return MFQ_OK;
  return mfq_fail_scheme(where, &q->scheme, "results are not rotated",
                         "write plain values, and rotate them by mfq_quantize");
}

mfq_status mfq_finish_take_c(mfq_check *check, const mfq_finish_fields *f, const mfq_tensor *d, mfq_finish *finish,
                             mfq_tensor *c) {
  const int parts_before = check->parts.count;
  const mfq_status status = mfq_take_tensor(check, (mfq_where){check->function, "c"}, f->c, 0, c);
  if (status != MFQ_OK) return status;
  if (f->d != NULL && mfq_is_in_place(d, c)) check->parts.count = parts_before;
  finish->has_c = 1;
  return MFQ_OK;
}

/* ---- Bias and scalars -------------------------------------------------------------------------------------------- */

static mfq_status take_bias(mfq_check *check, const mfq_finish_fields *f, int64_t count, mfq_finish *finish) {
  const mfq_where where = {check->function, "bias"};
  mfq_tensor *bias = &finish->bias;
  finish->has_bias = 1;
  const mfq_status status = mfq_take_tensor(check, where, f->bias, 0, bias);
  if (status != MFQ_OK || (bias->rank == 1 && bias->shape[0] == count)) return status;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "bias: shape is %s; allowed is %s = [%lld]",
                  mfq_shape_write(bias->rank, bias->shape).text, f->bias_shape, (long long)count);
}

/* The memory of alpha or beta in a run. */
static mfq_status scalar_check(mfq_check *check, const char *name, const float *value, int is_on_device) {
  if (value == NULL) return MFQ_OK;
  if ((uintptr_t)value % sizeof(float) != 0) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, check->function, "%s is %p, which is not a multiple of 4 bytes", name,
                    (const void *)value);
  }
  if (!is_on_device) return mfq_host_memory_check(check->function, name, NULL, value);
  /* there is room: the table is for all parts of a product */
  check->parts.items[check->parts.count++] =
      (mfq_memory){{check->function, name}, "value", mfq_bytes_of(value, sizeof *value), 0};
  return MFQ_OK;
}

mfq_status mfq_finish_take_rest(mfq_check *check, const mfq_finish_fields *f, int64_t count, mfq_finish *finish) {
  mfq_status status = f->bias != NULL ? take_bias(check, f, count, finish) : MFQ_OK;
  if (status == MFQ_OK && check->is_run) status = scalar_check(check, "alpha", f->alpha, f->device_scalars);
  if (status == MFQ_OK && check->is_run) status = scalar_check(check, "beta", f->beta, f->device_scalars);
  finish->alpha = f->alpha;
  finish->beta = f->beta;
  finish->device_scalars = f->device_scalars;
  finish->activation = f->activation;
  finish->function = f->run;
  return status;
}

/* ---- A run and its plan ------------------------------------------------------------------------------------------ */

mfq_status mfq_finish_match(const char *function, const char *argument, const mfq_finish *plan, const mfq_finish *run) {
  const mfq_same_number rows[] = {
      {argument, "1 with and 0 without c", plan->has_c, run->has_c},
      {argument, "1 with and 0 without bias", plan->has_bias, run->has_bias},
      {argument, "1 with and 0 without alpha", plan->alpha != NULL, run->alpha != NULL},
      {argument, "1 with and 0 without beta", plan->beta != NULL, run->beta != NULL},
      {argument, "device_scalars", plan->device_scalars, run->device_scalars},
      {argument, "the activation", (int)plan->activation, (int)run->activation},
      {argument, "1 with and 0 without a quantized result", plan->is_d_quantized, run->is_d_quantized}};
  mfq_status status = mfq_numbers_match(function, rows, sizeof rows / sizeof rows[0]);
  if (status == MFQ_OK && plan->has_c) status = mfq_matrix_match(function, "c", &plan->c, &run->c);
  if (status != MFQ_OK || !plan->has_bias) return status;
  const mfq_same_number bias[] = {{"bias", "the dtype", (int)plan->bias.dtype, (int)run->bias.dtype},
                                  {"bias", "the stride", plan->bias.strides[0], run->bias.strides[0]}};
  status = mfq_numbers_match(function, bias, sizeof bias / sizeof bias[0]);
  return status == MFQ_OK ? mfq_memory_match(function, "bias", plan->bias.data, run->bias.data) : status;
}
