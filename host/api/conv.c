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

static int is_empty(const mfq_conv_problem *p) {
  return p->finish.batches == 0 || p->finish.m == 0 || p->finish.n == 0;
}

mfq_status mfq_conv_plan_create(mfq_context *context, const mfq_conv *conv, mfq_conv_plan **plan) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_conv_plan_create";
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "plan"}, (const void *)plan);
  if (status != MFQ_OK) return status;
  *plan = NULL;
  mfq_conv_plan *made = context->alloc(context->alloc_user, sizeof *made);
  if (made == NULL)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for a plan of %zu bytes", sizeof *made);
  memset(made, 0, sizeof *made);
  made->base.context = context;
  mfq_choice *choice = &made->base.choice;
  status = mfq_conv_problem_make(function, context, conv, NULL, &made->problem);
  if (status == MFQ_OK && is_empty(&made->problem))
    memcpy(choice->description, "nothing: the result is empty", sizeof "nothing: the result is empty");
  else if (status == MFQ_OK)
    status = mfq_plan_choose(function, &made->base, context->backend->ways[MFQ_OP_CONV], &made->problem,
                             conv->own_workspace);
  if (status != MFQ_OK) {
    context->free(context->alloc_user, made);
    return status;
  }
  mfq_context_log(context, MFQ_LOG_DEBUG, "%s: batch %lld, %lld groups of %lld to %lld channels: %s", function,
                  (long long)made->problem.batch, (long long)made->problem.groups, (long long)made->problem.in_channels,
                  (long long)made->problem.out_channels, choice->description);
  *plan = made;
  return MFQ_OK;
}

void mfq_conv_plan_destroy(mfq_conv_plan *plan) {
  if (plan == NULL) return;
  mfq_context *context = plan->base.context;
  mfq_plan_free(&plan->base);
  context->free(context->alloc_user, plan);
}

const char *mfq_conv_plan_describe(const mfq_conv_plan *plan) {
  return plan != NULL ? plan->base.choice.description : "no plan";
}

size_t mfq_conv_workspace_bytes(const mfq_conv_plan *plan) {
  return plan != NULL ? mfq_plan_workspace_bytes(&plan->base) : 0;
}

mfq_status mfq_conv_run(mfq_context *context, const mfq_conv_plan *plan, const mfq_conv *conv, void *workspace,
                        size_t workspace_bytes) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_conv_run";
  mfq_conv_problem problem;
  mfq_workspace lent = {workspace, workspace_bytes};
  mfq_status status =
      mfq_plan_run_check(function, context, plan != NULL ? &plan->base : NULL, &lent, "mfq_conv_workspace_bytes");
  if (status == MFQ_OK) status = mfq_conv_problem_make(function, context, conv, &lent, &problem);
  if (status == MFQ_OK) status = mfq_conv_problem_match(function, &plan->problem, &problem);
  if (status != MFQ_OK) return status;
  if (is_empty(&problem)) return mfq_run_empty(context, &problem.finish);
  return context->backend->run(context, function, &plan->base.choice, &problem, lent.memory);
}
