/* host/optimizer/optimizer_step.c: steps are queued, and told of. */
#include <math.h>
#include <string.h>

#include "host/core/check/operands.h"
#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/process/fp_mode.h"
#include "optimizer_parts.h"

static mfq_status queue(mfq_optimizer *o, const char *function, const mfq_optimizing *part) {
  const mfq_cast cast = {.op = MFQ_OP_OPTIMIZE, .function = function, .optimizing = part};
  return o->context->backend->cast(o->context, &cast);
}

mfq_status mfq_optimizer_step(mfq_optimizer *o) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_optimizer_step";
  mfq_status status = mfq_argument_present((mfq_where){function, "optimizer"}, o);
  if (status != MFQ_OK) return status;
  const mfq_backend *backend = o->context->backend;
  for (int32_t i = 0; i < o->tensor_count && status == MFQ_OK; ++i)
    status = backend->cast(o->context, &o->tensors[i].squares_cast);
  const mfq_optimizing decide = {.part = MFQ_OPTIMIZING_DECIDE,
                                 .kind = (int32_t)o->kind,
                                 .state = o->state,
                                 .groups = o->device_groups,
                                 .group_count = o->group_count,
                                 .sums = o->sums,
                                 .sum_count = o->sum_count};
  if (status == MFQ_OK) status = queue(o, function, &decide);
  for (int32_t i = 0; i < o->tensor_count && status == MFQ_OK; ++i) {
    tensor_state *t = &o->tensors[i];
    status = backend->run(o->context, function, &t->choice, &t->update_cast, o->workspace);
  }
  return status;
}

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

mfq_status mfq_optimizer_queue_group(mfq_optimizer *o, const char *function, int32_t group) {
  const mfq_optimizing set = {.part = MFQ_OPTIMIZING_SET,
                              .kind = (int32_t)o->kind,
                              .state = o->state,
                              .groups = o->device_groups,
                              .group_count = o->group_count,
                              .group = group,
                              .given = &o->groups[group]};
  return queue(o, function, &set);
}

mfq_status mfq_optimizer_queue_scale(mfq_optimizer *o, const char *function) {
  const mfq_optimizing set = {.part = MFQ_OPTIMIZING_SET,
                              .kind = (int32_t)o->kind,
                              .state = o->state,
                              .groups = o->device_groups,
                              .group_count = o->group_count,
                              .gradient_scale = (double)o->gradient_scale};
  return queue(o, function, &set);
}

/* A group under the numbers of `given`, or as it is where these are refused. */
static mfq_status set_group(mfq_optimizer *o, const char *function, int32_t group, const mfq_optimizer_group *given) {
  mfqn_optimizer_group numbers = o->groups[group];
  mfq_status status = mfq_optimizer_take_group((mfq_where){function, "numbers"}, o->kind, given, &numbers);
  if (status == MFQ_OK && numbers.beta1 > 0.0 && !o->has_momentum[group])
    status =
        mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                 "numbers: beta1 is above 0, but group %d of '%s' was made without a momentum: its tensors have no "
                 "moments; make another optimizer",
                 (int)group, o->name);
  if (status != MFQ_OK) return status;
  o->groups[group] = numbers;
  return mfq_optimizer_queue_group(o, function, group);
}

static mfq_status check_group(const mfq_optimizer *o, const char *function, int32_t group) {
  const mfq_status status = mfq_argument_present((mfq_where){function, "optimizer"}, o);
  if (status != MFQ_OK) return status;
  const mfq_range range = {"group", group, 0, o->group_count - 1};
  return mfq_ranges_check((mfq_where){function, o->name}, &range, 1);
}

mfq_status mfq_optimizer_set_group(mfq_optimizer *o, int32_t group, const mfq_optimizer_group *numbers) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_optimizer_set_group";
  const mfq_status status = check_group(o, function, group);
  return status == MFQ_OK ? set_group(o, function, group, numbers) : status;
}

mfq_status mfq_optimizer_set_rate(mfq_optimizer *o, int32_t group, double rate) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_optimizer_set_rate";
  const mfq_status status = check_group(o, function, group);
  if (status != MFQ_OK) return status;
  const mfqn_optimizer_group *g = &o->groups[group];
  const mfq_optimizer_group numbers = {.struct_size = sizeof numbers,
                                       .rate = rate,
                                       .beta1 = g->beta1,
                                       .beta2 = g->beta2,
                                       .epsilon = g->epsilon,
                                       .weight_decay = g->weight_decay,
                                       .nesterov = (int32_t)g->nesterov};
  return set_group(o, function, group, &numbers);
}

mfq_status mfq_optimizer_set_gradient_scale(mfq_optimizer *o, float scale) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_optimizer_set_gradient_scale";
  const mfq_status status = mfq_argument_present((mfq_where){function, "optimizer"}, o);
  if (status != MFQ_OK) return status;
  if (!isfinite(scale) || !(scale > 0.0f))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "scale is %s; allowed is a finite number above 0",
                    isnan(scale)   ? "NaN"
                    : isinf(scale) ? "infinite"
                    : scale < 0.0f ? "negative"
                                   : "0");
  o->gradient_scale = scale;
  return mfq_optimizer_queue_scale(o, function);
}

mfq_status mfq_optimizer_report_get(mfq_optimizer *o, mfq_optimizer_report *report) {
  static const char function[] = "mfq_optimizer_report_get";
  mfqn_optimizer_state state;
  mfq_status status = mfq_argument_present((mfq_where){function, "optimizer"}, o);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "report"}, report);
  if (status == MFQ_OK) status = o->context->backend->buffer_read(o->context, &state, o->state, sizeof state);
  if (status == MFQ_OK)
    *report = (mfq_optimizer_report){
        .steps = (int64_t)state.steps, .skipped = (int64_t)state.skipped, .norm = state.norm, .factor = state.factor};
  return status;
}
