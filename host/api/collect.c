/* host/api/collect.c: checks steps of collections. */
#include <mfq/observe.h>

#include <string.h>

#include "host/core/check/observing.h"
#include "host/core/check/operands.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"

/* What Brevitas has. */
static const double usual_momentum = 0.1;
enum { USUAL_STEPS = 300 };

mfq_status mfq_collection_init(const mfq_scheme *scheme, const mfq_observer *observer, int32_t rank,
                               const int64_t *shape, mfq_collection *collection) {
  static const char function[] = "mfq_collection_init";
  if (collection == NULL || (shape == NULL && rank != 0))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", collection == NULL ? "collection" : "shape");
  mfq_status status = mfq_observe_check_scheme((mfq_where){function, "scheme"}, scheme);
  if (status == MFQ_OK) status = mfq_observer_verify((mfq_where){function, "observer"}, observer);
  if (status != MFQ_OK) return status;
  mfq_qtensor q = {.scheme = *scheme, .rank = rank};
  mfq_qview view;
  if (rank > 0 && rank <= MFQ_MAX_RANK) memcpy(q.shape, shape, (size_t)rank * sizeof shape[0]);
  status = mfq_qview_init((mfq_where){function, "shape"}, &q, &view);
  if (status != MFQ_OK) return status;
  memset(collection, 0, sizeof *collection);
  collection->scheme = *scheme;
  collection->observer = *observer;
  collection->momentum = usual_momentum;
  collection->limit = USUAL_STEPS;
  collection->scale_rank = view.sizes.scale_rank;
  memcpy(collection->scale_shape, view.sizes.scale_shape, sizeof collection->scale_shape);
  collection->scale_count = view.sizes.scale_count;
  return MFQ_OK;
}

mfq_status mfq_collection_verify(mfq_where where, const mfq_collection *c) {
  mfq_status status = mfq_argument_present(where, c);
  if (status != MFQ_OK) return status;
  const mfq_range ranges[] = {{"running", (int64_t)c->running, MFQ_RUNNING_MOMENTUM, MFQ_RUNNING_EXTREME},
                              {"limit", c->limit, 0, INT64_MAX},
                              {"steps", c->steps, 0, c->limit > 0 ? c->limit : INT64_MAX - 1},
                              {"scale_rank", c->scale_rank, 0, MFQ_MAX_RANK}};
  status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  if (status == MFQ_OK) status = mfq_shape_check(where, c->scale_rank, c->scale_shape, sizeof(float));
  if (status != MFQ_OK) return status;
  if (c->scale_count != mfq_shape_count(c->scale_rank, c->scale_shape))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: scale_count is %lld, but the scale shape is %s",
                    where.argument, (long long)c->scale_count, mfq_shape_write(c->scale_rank, c->scale_shape).text);
  if (c->running != MFQ_RUNNING_MOMENTUM || (c->momentum > 0.0 && c->momentum <= 1.0)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                  "%s: momentum is %g; allowed is above 0 and at most 1: MFQ_RUNNING_MEAN has none", where.argument,
                  c->momentum);
}

/* Whether the sources have elements, and the collection's scale shape. */
static mfq_status check_step(mfq_where where, const mfq_collection *c, int32_t count, const mfq_observe_call *call) {
  const mfq_qtensor_sizes *sizes = &call->views[0].sizes;
  int64_t elements = 0;
  if (c->limit > 0 && c->steps == c->limit)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: all %lld steps were taken; make scales of it, or raise its limit", where.argument,
                    (long long)c->limit);
  for (int32_t i = 0; i < count; ++i) elements += mfq_shape_count(call->sources[i].rank, call->sources[i].shape) > 0;
  if (elements == 0)
    return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                    "sources: shape %s has no elements, which are no step; leave it out",
                    mfq_shape_write(call->sources[0].rank, call->sources[0].shape).text);
  if (sizes->scale_rank == c->scale_rank &&
      memcmp(sizes->scale_shape, c->scale_shape, (size_t)c->scale_rank * sizeof c->scale_shape[0]) == 0)
    return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "sources: the scale shape is %s, but %s has %s; they must be equal",
                  mfq_shape_write(sizes->scale_rank, sizes->scale_shape).text, where.argument,
                  mfq_shape_write(c->scale_rank, c->scale_shape).text);
}

mfq_status mfq_collect(mfq_context *context, mfq_collection *collection, const mfq_tensor *sources, int32_t count) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_collect";
  static const mfq_observe_names names = {.function = function,
                                          .scheme = "collection->scheme",
                                          .observer = "collection->observer",
                                          .sources = "sources",
                                          .count = "count",
                                          .nans = "collection->nans"};
  const mfq_where where = {function, "collection"}, values = {function, "collection->values"};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_collection_verify(where, collection);
  if (status != MFQ_OK) return status;
  const mfq_observation observation = {.scheme = &collection->scheme,
                                       .observer = &collection->observer,
                                       .sources = sources,
                                       .count = count,
                                       .nans = collection->nans};
  mfq_observe_call call = {.parts = {.count = 0}};
  mfq_tensor to;
  status = mfq_observe_take(&names, &observation, &call);
  if (status == MFQ_OK) status = check_step(where, collection, count, &call);
  if (status == MFQ_OK)
    status = mfq_tensor_init(collection->values, MFQ_DTYPE_F32, collection->scale_rank, collection->scale_shape, &to);
  if (status == MFQ_OK) status = mfq_argument_per_scale(values, &to, &call.views[0], &call.parts, &call.values);
  if (status == MFQ_OK) status = mfq_observe_run(context, &names, &observation, collection, &call);
  if (status == MFQ_OK) ++collection->steps;
  return status;
}
