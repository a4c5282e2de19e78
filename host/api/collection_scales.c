/* host/api/collection_scales.c: checks how collected statistics become scales. */
#include <mfq/observe.h>

#include <string.h>

#include "host/core/check/observing.h"
#include "host/core/check/operands.h"
#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"

static const char function[] = "mfq_collection_scales";

void mfq_transition_init(mfq_transition *transition) {
  if (transition == NULL) return;
  memset(transition, 0, sizeof *transition);
  transition->struct_size = sizeof *transition;
}

/* A call under check. */
typedef struct scales_call {
  mfq_parts parts;
  mfq_qview view;
  mfq_tensor values, lows;
} scales_call;

static mfq_status check_fields(const mfq_transition *t) {
  const mfq_where where = {function, "transition"};
  mfq_status status = mfq_argument_present(where, t);
  if (status == MFQ_OK) status = mfq_argument_struct(where, t, sizeof *t, "mfq_transition_init");
  if (status != MFQ_OK) return status;
  if (t->rule == MFQ_RULE_GIVEN)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "transition: rule is given, but scales are to be made; allowed is any other");
  const mfq_range ranges[] = {{"rule", (int64_t)t->rule, MFQ_RULE_ABSMAX, MFQ_RULE_MIDMAX},
                              {"stage", (int64_t)t->stage, MFQ_STAGE_EVAL, MFQ_STAGE_TRAIN}};
  status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "transition->to"}, t->to);
  return status;
}

static mfq_status check_target(const mfq_transition *t, mfq_qview *view) {
  const mfq_where where = {function, "transition->to"};
  const mfq_status status = mfq_qview_init(where, t->to, view);
  if (status != MFQ_OK) return status;
  if (view->q.scheme.rule != MFQ_RULE_GIVEN)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "%s: the scheme's rule is %s, but its scales are to stay as they are; allowed is given",
                    where.argument, mfq_rule_words.words[view->q.scheme.rule]);
  mfq_scheme ruled = view->q.scheme;
  ruled.rule = t->rule;
  return mfq_scheme_verify(&ruled, function, "transition->to with this rule");
}

/* Whether a collection is of the target's scheme, whatever the rules are, and has anything; adds its values. */
static mfq_status take(mfq_where where, const mfq_collection *c, scales_call *call, mfq_tensor *values) {
  mfq_status status = mfq_collection_verify(where, c);
  if (status != MFQ_OK) return status;
  if (c->steps == 0)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: no step was taken, so that there are no statistics",
                    where.argument);
  const mfq_qview *view = &call->view;
  mfq_scheme of = c->scheme, to = view->q.scheme;
  of.rule = to.rule;
  of.statistic = to.statistic;
  of.axis = to.axis; /* the scale shape tells */
  if (!mfq_scheme_equal(&of, &to)) {
    char texts[2][MFQ_SCHEME_TEXT_MAX] = {"", ""};
    if (mfq_scheme_print(&c->scheme, texts[0], sizeof texts[0]) != MFQ_OK ||
        mfq_scheme_print(&to, texts[1], sizeof texts[1]) != MFQ_OK)
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: its scheme is none", where.argument);
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "%s: the scheme is %s, but transition->to has %s; they may differ in rule and statistic alone",
                    where.argument, texts[0], texts[1]);
  }
  status = mfq_tensor_init(c->values, MFQ_DTYPE_F32, c->scale_rank, c->scale_shape, values);
  if (status == MFQ_OK) status = mfq_argument_tensor(where, values, 0, &call->parts, values);
  if (status != MFQ_OK || mfq_shape_is(values, view->sizes.scale_rank, view->sizes.scale_shape)) return status;
  return mfq_fail(MFQ_ERROR_SHAPE, function, "%s: the scale shape is %s, but transition->to has %s", where.argument,
                  mfq_shape_write(c->scale_rank, c->scale_shape).text,
                  mfq_shape_write(view->sizes.scale_rank, view->sizes.scale_shape).text);
}

static int is_low(const mfq_collection *c) {
  return c->observer.observed == MFQ_OBSERVED_LOW || c->observer.observed == MFQ_OBSERVED_LOW_PERCENTILE;
}

/* Each collection for what it is for. */
static mfq_status check_kinds(const mfq_transition *t, const mfq_scheme *scheme) {
  if (is_low(t->scale))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "transition->scale: %s is for zero points, not for scales",
                    mfq_observer_name((int32_t)t->scale->observer.observed, NULL));
  if (!scheme->zero_point != (t->zero_point == NULL))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "transition->zero_point is %s, but the scheme has %s",
                    t->zero_point ? "given" : "NULL", scheme->zero_point ? "zero points" : "none; leave it NULL");
  if (t->zero_point == NULL || is_low(t->zero_point)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                  "transition->zero_point: %s is for scales; allowed are low and low_percentile",
                  mfq_observer_name((int32_t)t->zero_point->observer.observed, NULL));
}

mfq_status mfq_collection_scales(mfq_context *context, const mfq_transition *transition) {
  MFQ_USUAL_FP_MODE;
  const mfq_where of_scale = {function, "transition->scale"}, of_low = {function, "transition->zero_point"};
  scales_call call = {.parts = {.count = 0}};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = check_fields(transition);
  if (status == MFQ_OK) status = check_target(transition, &call.view);
  if (status == MFQ_OK) status = take(of_scale, transition->scale, &call, &call.values);
  if (status == MFQ_OK && transition->zero_point) status = take(of_low, transition->zero_point, &call, &call.lows);
  if (status == MFQ_OK) status = check_kinds(transition, &call.view.q.scheme);
  const int used = MFQ_USE_ALL & ~MFQ_USE_CODES;
  if (status == MFQ_OK)
    status =
        mfq_argument_parts((mfq_where){function, "transition->to"}, &call.view, (mfq_use){used, used}, &call.parts);
  if (status == MFQ_OK) status = mfq_parts_check(context, &call.parts);
  if (status != MFQ_OK) return status;
  const mfq_freezing freezing = {.lows = transition->zero_point ? &call.lows : NULL,
                                 .rule = transition->rule,
                                 .is_learned = transition->stage == MFQ_STAGE_TRAIN};
  const mfq_cast cast = {
      .op = MFQ_OP_FREEZE, .function = function, .src = &call.values, .view = &call.view, .freezing = &freezing};
  return context->backend->cast(context, &cast);
}
