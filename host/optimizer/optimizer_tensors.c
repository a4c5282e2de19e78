/* host/optimizer/optimizer_tensors.c: the tensors of an optimizer: shapes, codes, names, and memory that overlaps nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/core/check/operands.h"
#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/scheme/scheme.h"
#include "optimizer_parts.h"

enum { VALUE, GRADIENT, ROW, COL, ARGUMENTS, ARGUMENT_NAME = TENSOR_NAME + 48 };

/* A tensor under check, with what sentences call its parts. */
typedef struct tensor_check {
  mfq_parts parts;
  char names[ARGUMENTS][ARGUMENT_NAME];
} tensor_check;

static mfq_where where_of(const char *function, const tensor_check *c, int argument) {
  return (mfq_where){function, c->names[argument]};
}

static void name_arguments(int32_t index, const char *name, tensor_check *c) {
  static const char *const arguments[] = {"value", "gradient", "row", "col"};
  for (int i = 0; i < ARGUMENTS; ++i)
    (void)snprintf(c->names[i], sizeof c->names[i], "options->tensors[%d].%s (%s)", (int)index, arguments[i], name);
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static mfq_status take_name(mfq_optimizer *o, const char *function, int32_t index, const char *name) {
  char argument[48];
  (void)snprintf(argument, sizeof argument, "options->tensors[%d].name", (int)index);
  const mfq_status status = mfq_argument_present((mfq_where){function, argument}, name);
  if (status != MFQ_OK) return status;
  const size_t length = strlen(name);
  if (length == 0 || length >= TENSOR_NAME)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s has %zu bytes; allowed is 1 ... %d", argument, length,
                    TENSOR_NAME - 1);
  for (size_t i = 0; i < length; ++i)
    if ((unsigned char)name[i] < ' ' || name[i] == 127)
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                      "%s has a control character at byte %zu; choose one that can be printed", argument, i);
  memcpy(o->tensors[index].name, name, length + 1);
  for (int32_t i = 0; i < index; ++i)
    if (strcmp(o->tensors[i].name, name) == 0)
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                      "options->tensors[%d] and options->tensors[%d] are both named '%s'; give each a name of its own",
                      (int)i, (int)index, name);
  return MFQ_OK;
}

/* ---- One tensor -------------------------------------------------------------------------------------------------- */

static mfq_status take_dense(mfq_where where, const mfq_tensor *t) {
  int64_t step = 1, count = mfq_shape_count(t->rank, t->shape);
  for (int32_t i = t->rank - 1; i >= 0 && count > 0; --i) {
    if (t->shape[i] > 1 && t->strides[i] != step)
      return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function,
                      "%s: strides %s over shape %s are not dense; the optimizer wants memory as mfq_tensor_init "
                      "describes it",
                      where.argument, mfq_shape_write(t->rank, t->strides).text,
                      mfq_shape_write(t->rank, t->shape).text);
    step *= t->shape[i];
  }
  return MFQ_OK;
}

static mfq_tensor flattened(const mfq_tensor *t) {
  return (mfq_tensor){
      .data = t->data, .dtype = t->dtype, .rank = 1, .shape = {mfq_shape_count(t->rank, t->shape)}, .strides = {1}};
}

static mfq_status take_value(const char *function, const mfq_optimizer_tensor *given, tensor_check *c,
                             tensor_state *t) {
  const mfq_where where = where_of(function, c, VALUE);
  mfq_status status = mfq_argument_tensor(where, &given->value, 1, &c->parts, &t->value);
  if (status == MFQ_OK) status = take_dense(where, &t->value);
  if (status != MFQ_OK) return status;
  if (t->value.dtype == MFQ_DTYPE_F16)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: dtype is f16; allowed are f32 and bf16", where.argument);
  const mfq_range stochastic = {"stochastic", given->stochastic, 0, t->value.dtype == MFQ_DTYPE_BF16 ? 1 : 0};
  t->flat_value = flattened(&t->value);
  return mfq_ranges_check(where, &stochastic, 1);
}

static mfq_status take_gradient(const char *function, const mfq_optimizer_tensor *given, tensor_check *c,
                                tensor_state *t) {
  const mfq_where where = where_of(function, c, GRADIENT);
  mfq_status status = mfq_argument_tensor(where, &given->gradient, 0, &c->parts, &t->gradient);
  if (status == MFQ_OK)
    status = mfq_argument_shape(where, t->gradient.rank, t->gradient.shape, c->names[VALUE], &t->value);
  if (status == MFQ_OK) status = take_dense(where, &t->gradient);
  t->flat_gradient = flattened(&t->gradient);
  return status;
}

static mfq_status take_codes(const char *function, const mfq_qtensor *q, int order, tensor_check *c, tensor_state *t) {
  const mfq_where where = where_of(function, c, order);
  if (q == NULL) return MFQ_OK;
  mfq_qview *view = &t->codes[order - ROW];
  mfq_status status = mfq_qview_init(where, q, view);
  if (status == MFQ_OK) status = mfq_argument_shape(where, view->q.rank, view->q.shape, c->names[VALUE], &t->value);
  if (status != MFQ_OK) return status;
  const mfq_scheme *s = &view->q.scheme;
  if (s->rounding == MFQ_ROUND_STOCHASTIC || (s->eden != 0 && s->rule != MFQ_RULE_GIVEN))
    return mfq_fail(MFQ_ERROR_UNSUPPORTED, function,
                    "%s: the scheme draws random bits, which follow from the context's seed and would be the same at "
                    "every step; quantize the value yourself, by mfq_context_set_seed and mfq_quantize",
                    where.argument);
  const int written = s->rule == MFQ_RULE_GIVEN ? MFQ_USE_CODES : MFQ_USE_ALL;
  return mfq_argument_parts(where, view, (mfq_use){MFQ_USE_ALL, written}, &c->parts);
}

/* The moments, in memory that is not there yet. */
static mfq_status take_moments(const mfq_optimizer *o, const char *function, tensor_state *t) {
  static const char *const arguments[] = {"options->first", "options->second"};
  for (int i = 0; i < MOMENTS; ++i) {
    moment_state *m = &t->moments[i];
    m->is_there = o->kind == MFQ_OPTIMIZER_ADAMW || (i == 0 && o->has_momentum[t->update.group]);
    if (!m->is_there || !o->is_coded[i]) continue;
    const mfq_qtensor q = {.scheme = o->schemes[i], .rank = 1, .shape = {t->flat_value.shape[0]}};
    const mfq_status status = mfq_qview_init((mfq_where){function, arguments[i]}, &q, &m->view);
    if (status != MFQ_OK) return status;
    m->memory.view = &m->view;
  }
  return MFQ_OK;
}

static mfq_status take_tensor(mfq_optimizer *o, const char *function, int32_t index, const mfq_optimizer_tensor *given,
                              tensor_check *c) {
  tensor_state *t = &o->tensors[index];
  mfq_status status = take_name(o, function, index, given->name);
  if (status != MFQ_OK) return status;
  name_arguments(index, t->name, c);
  const mfq_range group = {"group", given->group, 0, o->group_count - 1};
  char argument[TENSOR_NAME + 32];
  (void)snprintf(argument, sizeof argument, "options->tensors[%d] (%s)", (int)index, t->name);
  status = mfq_ranges_check((mfq_where){function, argument}, &group, 1);
  if (status == MFQ_OK) status = take_value(function, given, c, t);
  if (status == MFQ_OK) status = take_gradient(function, given, c, t);
  if (status == MFQ_OK) status = take_codes(function, given->row, ROW, c, t);
  if (status == MFQ_OK) status = take_codes(function, given->col, COL, c, t);
  t->update.group = given->group;
  t->update.stochastic = given->stochastic;
  t->update.row = given->row != NULL ? &t->codes[0] : NULL;
  t->update.col = given->col != NULL ? &t->codes[1] : NULL;
  if (status == MFQ_OK) status = take_moments(o, function, t);
  return status == MFQ_OK ? mfq_parts_check(o->context, &c->parts) : status;
}

/* ---- All tensors ------------------------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b) {
  const mfq_memory *one = *(const mfq_memory *const *)a, *other = *(const mfq_memory *const *)b;
  return (one->bytes.low > other->bytes.low) - (one->bytes.low < other->bytes.low);
}

/* Sorted by address: each part is held against those before it that reach furthest. */
static mfq_status check_sorted(const mfq_memory *const *items, size_t count) {
  const mfq_memory *furthest = NULL, *written = NULL;
  for (size_t i = 0; i < count; ++i) {
    const mfq_memory *b = items[i], *a = b->is_written ? furthest : written;
    if (a != NULL && mfq_bytes_overlap(a->bytes, b->bytes))
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, a->where.function,
                      "%s: %s and %s: %s overlap in memory; what is written needs memory of its own", a->where.argument,
                      a->name, b->where.argument, b->name);
    if (furthest == NULL || b->bytes.high > furthest->bytes.high) furthest = b;
    if (b->is_written && (written == NULL || b->bytes.high > written->bytes.high)) written = b;
  }
  return MFQ_OK;
}

static mfq_status check_overlaps(const mfq_optimizer *o, const char *function, const tensor_check *checks) {
  size_t count = 0;
  for (int32_t i = 0; i < o->tensor_count; ++i) count += (size_t)checks[i].parts.count;
  const mfq_memory **items = mfq_optimizer_alloc(o->context, count + 1, sizeof *items);
  if (items == NULL)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory to compare that of %d tensors", (int)o->tensor_count);
  count = 0;
  for (int32_t i = 0; i < o->tensor_count; ++i)
    for (int k = 0; k < checks[i].parts.count; ++k)
      if (checks[i].parts.items[k].bytes.low < checks[i].parts.items[k].bytes.high)
        items[count++] = &checks[i].parts.items[k];
  qsort(items, count, sizeof *items, by_address);
  const mfq_status status = check_sorted(items, count);
  o->context->free(o->context->alloc_user, items);
  return status;
}

mfq_status mfq_optimizer_take_tensors(mfq_optimizer *o, const char *function, const mfq_optimizer_options *options) {
  o->tensor_count = options->tensor_count;
  if (o->tensor_count == 0) return MFQ_OK;
  mfq_status status = mfq_argument_present((mfq_where){function, "options->tensors"}, options->tensors);
  if (status != MFQ_OK) return status;
  o->tensors = mfq_optimizer_alloc(o->context, (size_t)o->tensor_count, sizeof *o->tensors);
  tensor_check *checks = mfq_optimizer_alloc(o->context, (size_t)o->tensor_count, sizeof *checks);
  if (o->tensors == NULL || checks == NULL)
    status = mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for %d tensors", (int)o->tensor_count);
  for (int32_t i = 0; i < o->tensor_count && status == MFQ_OK; ++i)
    status = take_tensor(o, function, i, &options->tensors[i], &checks[i]);
  if (status == MFQ_OK) status = check_overlaps(o, function, checks);
  if (checks != NULL) o->context->free(o->context->alloc_user, checks);
  return status;
}
