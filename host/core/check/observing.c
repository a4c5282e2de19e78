/* host/core/check/observing.c: tensors whose elements are taken together have the same scales. */
#include "observing.h"

#include <stdio.h>
#include <string.h>

#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/scheme/scheme.h"
#include "operands.h"
#include "suits.h"

mfq_status mfq_observe_check_scheme(mfq_where where, const mfq_scheme *scheme) {
  const mfq_status status = mfq_scheme_verify(scheme, where.function, where.argument);
  return status != MFQ_OK ? status : mfq_scheme_suits(where, MFQ_OP_OBSERVE, scheme);
}

static mfq_status check_count(const mfq_observe_names *names, const mfq_observation *o) {
  if (o->count < 1 || o->count > MFQ_OBSERVE_SOURCES)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, names->function, "%s is %d; allowed is 1 ... %d", names->count,
                    (int)o->count, MFQ_OBSERVE_SOURCES);
  const mfq_granularity granularity = o->scheme->granularity;
  if (o->count == 1 || granularity == MFQ_GRANULARITY_TENSOR || granularity == MFQ_GRANULARITY_CHANNEL) return MFQ_OK;
  return mfq_fail(
      MFQ_ERROR_SHAPE, names->function,
      "%s is %d, but each %s has elements of one tensor alone; allowed is 1: observe the tensors one by one",
      names->count, (int)o->count, mfq_granularity_words.words[granularity]);
}

static mfq_status check_axis(const mfq_observe_names *names, const mfq_observer *observer, const char *label,
                             int32_t rank) {
  if (observer->axis < rank && observer->axis >= -rank) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, names->function, "%s: axis is %d, but the rank of %s is %d; allowed is %d ... %d",
                  names->observer, (int)observer->axis, label, (int)rank, -(int)rank, (int)rank - 1);
}

static mfq_status take_source(const mfq_observe_names *names, const mfq_observation *o, int32_t i,
                              mfq_observe_call *call) {
  char *label = call->labels[i];
  if (o->count == 1)
    (void)snprintf(label, sizeof call->labels[i], "%s", names->sources);
  else
    (void)snprintf(label, sizeof call->labels[i], "%s[%d]", names->sources, (int)i);
  const mfq_where where = {names->function, label};
  mfq_status status = mfq_argument_tensor(where, &o->sources[i], 0, &call->parts, &call->sources[i]);
  if (status != MFQ_OK) return status;
  mfq_qtensor q = {.scheme = *o->scheme, .rank = call->sources[i].rank};
  memcpy(q.shape, call->sources[i].shape, sizeof q.shape);
  status = mfq_qview_init(where, &q, &call->views[i]);
  if (status == MFQ_OK) status = check_axis(names, o->observer, label, call->sources[i].rank);
  if (status != MFQ_OK || i == 0) return status;
  const mfq_qtensor_sizes *sizes = &call->views[i].sizes, *first = &call->views[0].sizes;
  const size_t bytes = (size_t)first->scale_rank * sizeof first->scale_shape[0];
  if (sizes->scale_rank == first->scale_rank && memcmp(sizes->scale_shape, first->scale_shape, bytes) == 0)
    return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, names->function,
                  "%s: the scale shape is %s, but %s has %s; tensors that share their scales have one", label,
                  mfq_shape_write(sizes->scale_rank, sizes->scale_shape).text, call->labels[0],
                  mfq_shape_write(first->scale_rank, first->scale_shape).text);
}

static mfq_status take_nans(const mfq_observe_names *names, uint64_t *nans, mfq_parts *parts) {
  const mfq_where where = {names->function, names->nans};
  if (nans == NULL) return MFQ_OK;
  if ((uintptr_t)nans % sizeof *nans == 0)
    return mfq_argument_memory((mfq_memory){where, "count", mfq_bytes_of(nans, sizeof *nans), 1}, parts);
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, names->function, "%s is %p, which is not a multiple of %zu bytes",
                  names->nans, (void *)nans, sizeof *nans);
}

mfq_status mfq_observe_take(const mfq_observe_names *names, const mfq_observation *o, mfq_observe_call *call) {
  mfq_status status = mfq_observe_check_scheme((mfq_where){names->function, names->scheme}, o->scheme);
  if (status == MFQ_OK) status = mfq_observer_verify((mfq_where){names->function, names->observer}, o->observer);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){names->function, names->sources}, o->sources);
  if (status == MFQ_OK) status = check_count(names, o);
  for (int32_t i = 0; status == MFQ_OK && i < o->count; ++i) status = take_source(names, o, i, call);
  return status == MFQ_OK ? take_nans(names, o->nans, &call->parts) : status;
}

mfq_status mfq_observe_run(mfq_context *context, const mfq_observe_names *names, const mfq_observation *o,
                           const mfq_collection *collection, const mfq_observe_call *call) {
  const mfq_status status = mfq_parts_check(context, &call->parts);
  if (status != MFQ_OK) return status;
  const mfq_observing observing = {.observer = o->observer,
                                   .sources = call->sources,
                                   .views = call->views,
                                   .count = o->count,
                                   .collection = collection,
                                   .nans = o->nans};
  const mfq_cast cast = {.op = MFQ_OP_OBSERVE,
                         .function = names->function,
                         .src = &call->sources[0],
                         .dst = &call->values,
                         .view = &call->views[0],
                         .observing = &observing};
  return context->backend->cast(context, &cast);
}
