/* host/api/observe.c: checks observations: whose elements share a scale, and whether the tensors of a list do. */
#include <mfq/observe.h>

#include <string.h>

#include "host/core/check/operands.h"
#include "host/core/module/context_state.h"
#include "host/core/error.h"
#include "host/core/check/observing.h"
#include "host/core/process/fp_mode.h"

void mfq_observation_init(mfq_observation *observation) {
  if (observation == NULL) return;
  memset(observation, 0, sizeof *observation);
  observation->struct_size = sizeof *observation;
  observation->count = 1;
}

mfq_status mfq_observe(mfq_context *context, const mfq_observation *observation) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_observe";
  const mfq_where where = {function, "observation"};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present(where, observation);
  if (status == MFQ_OK) status = mfq_argument_struct(where, observation, sizeof *observation, "mfq_observation_init");
  if (status != MFQ_OK) return status;
  static const mfq_observe_names names = {.function = function,
                                          .scheme = "observation->scheme",
                                          .observer = "observation->observer",
                                          .sources = "observation->sources",
                                          .count = "observation->count",
                                          .nans = "observation->nans"};
  mfq_observe_call call = {.parts = {.count = 0}};
  const mfq_where values = {function, "observation->values"};
  status = mfq_observe_take(&names, observation, &call);
  if (status == MFQ_OK)
    status = mfq_argument_per_scale(values, observation->values, &call.views[0], &call.parts, &call.values);
  return status == MFQ_OK ? mfq_observe_run(context, &names, observation, NULL, &call) : status;
}
