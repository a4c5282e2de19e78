/* host/api/conv.c: a convolution's description is made a problem once when it is planned and once a run, and the two
 * are compared: a plan never meets memory that it was not made for. */
#include <mfq/conv.h>

#include <string.h>

#include "host/core/check/arguments.h"
#include "host/core/module/context_state.h"
#include "host/core/problem/conv_problem.h"
#include "host/core/problem/conv_shape.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"
#include "host/core/problem/plan.h"

void mfq_conv_init(mfq_conv *conv) {
  if (conv == NULL) return;
  memset(conv, 0, sizeof *conv);
  conv->struct_size = sizeof *conv;
  conv->groups = 1;
  for (int i = 0; i < MFQ_CONV_MAX_SPATIAL; ++i) {
    conv->stride[i] = conv->dilation[i] = 1;
    conv->padding_after[i] = -1;
  }
}

mfq_status mfq_conv_output_shape(const mfq_conv *conv, int32_t *rank, int64_t *shape) {
  return mfq_conv_output_make("mfq_conv_output_shape", conv, rank, shape);
}

mfq_status mfq_conv_plan_create(mfq_context *context, const mfq_conv *conv, mfq_conv_plan **plan) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_conv_plan_create";
  mfq_plan *base = NULL;
  if (context != NULL && plan != NULL) *plan = NULL;
  mfq_status status = mfq_plan_alloc(function, context, (void *)plan, sizeof **plan, &base);
  if (status != MFQ_OK) return status;
  mfq_conv_plan *made = (mfq_conv_plan *)(void *)base;
  const mfq_conv_problem *p = &made->problem;
  status = mfq_conv_problem_make(function, context, conv, NULL, &made->problem);
  const mfq_plan_task task = {.function = function,
                              .op = MFQ_OP_CONV,
                              .problem = p,
                              .finish = &p->finish,
                              .nothing = "nothing: the result is empty",
                              .own_workspace = status == MFQ_OK && conv->own_workspace};
  status = mfq_plan_choose(base, status, &task);
  if (status != MFQ_OK) return status;
  mfq_context_log(context, MFQ_LOG_DEBUG, "%s: batch %lld, %lld groups of %lld to %lld channels: %s", function,
                  (long long)p->batch, (long long)p->groups, (long long)p->in_channels, (long long)p->out_channels,
                  base->choice.description);
  *plan = made;
  return MFQ_OK;
}

static const mfq_plan *base_of(const mfq_conv_plan *plan) { return plan != NULL ? &plan->base : NULL; }

void mfq_conv_plan_destroy(mfq_conv_plan *plan) { mfq_plan_free(plan != NULL ? &plan->base : NULL); }
const char *mfq_conv_plan_describe(const mfq_conv_plan *plan) { return mfq_plan_describe(base_of(plan)); }
size_t mfq_conv_workspace_bytes(const mfq_conv_plan *plan) { return mfq_plan_workspace_bytes(base_of(plan)); }

mfq_status mfq_conv_run(mfq_context *context, const mfq_conv_plan *plan, const mfq_conv *conv, void *workspace,
                        size_t workspace_bytes) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_conv_run";
  mfq_conv_problem problem;
  mfq_workspace lent = {workspace, workspace_bytes};
  mfq_status status = mfq_plan_run_check(function, context, base_of(plan), &lent, "mfq_conv_workspace_bytes");
  if (status == MFQ_OK) status = mfq_conv_problem_make(function, context, conv, &lent, &problem);
  if (status == MFQ_OK) status = mfq_conv_problem_match(function, &plan->problem, &problem);
  return status == MFQ_OK ? mfq_plan_run(function, &plan->base, &problem, &problem.finish, &lent) : status;
}
