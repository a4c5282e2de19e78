/* host/api/collection_merge.c: collections of several streams or ranks become one, where the order of steps leaves no trace. */
#include <mfq/observe.h>

#include <math.h>
#include <string.h>

#include "host/core/check/observing.h"
#include "host/core/error.h"
#include "host/core/integers.h"
#include "host/core/module/context_state.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"

static const char function[] = "mfq_collection_merge";

/* What two collections differ in, that keeps them apart. */
static const char *difference(const mfq_collection *a, const mfq_collection *b) {
  const size_t bytes = (size_t)a->scale_rank * sizeof a->scale_shape[0];
  if (!mfq_scheme_equal(&a->scheme, &b->scheme)) return "schemes";
  if (!mfq_observer_equal(&a->observer, &b->observer)) return "statistics";
  if (a->running != b->running) return "what is kept of the steps";
  const int same_shape = a->scale_rank == b->scale_rank && memcmp(a->scale_shape, b->scale_shape, bytes) == 0;
  return same_shape ? NULL : "scale shapes";
}

static mfq_status check(const mfq_collection *into, const mfq_collection *from) {
  mfq_status status = mfq_collection_verify((mfq_where){function, "into"}, into);
  if (status == MFQ_OK) status = mfq_collection_verify((mfq_where){function, "from"}, from);
  if (status != MFQ_OK) return status;
  if (into->running == MFQ_RUNNING_MOMENTUM)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "into: with momentum the order of the steps matters, which two collections do not have; collect by "
                    "MFQ_RUNNING_MEAN or MFQ_RUNNING_EXTREME, or all steps in one");
  const char *what = difference(into, from);
  if (what != NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "into and from: the %s differ; they must be equal", what);
  if (into->steps > INT64_MAX / 2 || from->steps > INT64_MAX / 2 || into->limit > INT64_MAX / 2 ||
      from->limit > INT64_MAX / 2)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "into and from: more steps than 63 bits count");
  return MFQ_OK;
}

static mfq_status take_values(mfq_where where, const mfq_collection *c, int is_written, mfq_parts *parts) {
  mfq_tensor values;
  const mfq_status status = mfq_tensor_init(c->values, MFQ_DTYPE_F32, c->scale_rank, c->scale_shape, &values);
  return status == MFQ_OK ? mfq_argument_tensor(where, &values, is_written, parts, &values) : status;
}

/* The mean weighted by steps, or the extreme. */
static float merged(const mfq_collection *into, const mfq_collection *from, float a, float b) {
  const double n = (double)into->steps, m = (double)from->steps;
  const int is_low =
      into->observer.observed == MFQ_OBSERVED_LOW || into->observer.observed == MFQ_OBSERVED_LOW_PERCENTILE;
  if (isnan(a) || isnan(b)) return (float)NAN;
  if (into->running == MFQ_RUNNING_MEAN) return (float)((a * n + b * m) / (n + m));
  return is_low == (b < a) && a != b ? b : a;
}

static mfq_status merge_values(mfq_context *context, const mfq_collection *into, const mfq_collection *from) {
  enum { PIECE = 512 };
  const mfq_backend *backend = context->backend;
  float a[PIECE], b[PIECE];
  mfq_status status = MFQ_OK;
  for (int64_t at = 0; status == MFQ_OK && at < into->scale_count; at += PIECE) {
    const int64_t n = mfq_smaller(into->scale_count - at, PIECE);
    const size_t bytes = (size_t)n * sizeof a[0];
    memset(a, 0, sizeof a);
    if (into->steps > 0) status = backend->buffer_read(context, a, into->values + at, bytes);
    if (status == MFQ_OK) status = backend->buffer_read(context, b, from->values + at, bytes);
    for (int64_t i = 0; status == MFQ_OK && i < n; ++i) a[i] = into->steps > 0 ? merged(into, from, a[i], b[i]) : b[i];
    if (status == MFQ_OK) status = backend->buffer_write(context, into->values + at, a, bytes);
  }
  return status;
}

mfq_status mfq_collection_merge(mfq_context *context, mfq_collection *into, const mfq_collection *from) {
  MFQ_USUAL_FP_MODE;
  mfq_parts parts = {.count = 0};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = check(into, from);
  if (status == MFQ_OK) status = take_values((mfq_where){function, "into->values"}, into, 1, &parts);
  if (status == MFQ_OK) status = take_values((mfq_where){function, "from->values"}, from, 0, &parts);
  if (status == MFQ_OK) status = mfq_parts_check(context, &parts);
  if (status == MFQ_OK && from->steps > 0) status = merge_values(context, into, from);
  if (status != MFQ_OK) return status;
  into->limit = into->limit > 0 && from->limit > 0 ? into->limit + from->limit : 0;
  into->steps += from->steps;
  return MFQ_OK;
}
