/* host/core/problem/plan.c: what plans of products and convolutions share: the choice, the workspace, the questions
 * that a run has to answer before its way is asked. */
#include "plan.h"

#include <stdint.h>
#include <string.h>

#include "host/core/check/arguments.h"
#include "host/core/module/context_state.h"
#include "host/core/error.h"
#include "cast_problem.h"

enum { WORKSPACE_ALIGN = 256 };

/* Allocates a workspace of the plan's own, where it needs one. */
static mfq_status own_workspace_make(const char *function, mfq_plan *plan) {
  mfq_context *context = plan->context;
  const size_t bytes = plan->choice.workspace_bytes;
  if (bytes == 0) return MFQ_OK;
  const mfq_status status =
      bytes <= PTRDIFF_MAX ? context->backend->buffer_alloc(context, bytes, &plan->workspace) : MFQ_ERROR_OUT_OF_MEMORY;
  return status != MFQ_ERROR_OUT_OF_MEMORY
             ? status
             : mfq_fail(status, function, "no memory for a workspace of %zu bytes on device %s", bytes,
                        context->backend->name);
}

mfq_status mfq_plan_choose(const char *function, mfq_plan *plan, const mfq_ways *ways, const void *problem,
                           int32_t own_workspace) {
  mfq_context *context = plan->context;
  mfq_status status = context->backend->plan(context, ways, problem, &plan->choice);
  if (status != MFQ_OK || !own_workspace) return status;
  status = own_workspace_make(function, plan);
  if (status != MFQ_OK) mfq_choice_free(context, &plan->choice);
  return status;
}

void mfq_plan_free(mfq_plan *plan) {
  if (plan->workspace != NULL) plan->context->backend->buffer_free(plan->context, plan->workspace);
  mfq_choice_free(plan->context, &plan->choice);
}

size_t mfq_plan_workspace_bytes(const mfq_plan *plan) {
  return plan->workspace == NULL ? plan->choice.workspace_bytes : 0;
}

static mfq_status workspace_check(const char *function, const mfq_plan *plan, mfq_workspace *workspace,
                                  const char *query) {
  const size_t needed = mfq_plan_workspace_bytes(plan);
  if (needed == 0) {
    *workspace = (mfq_workspace){plan->workspace, plan->workspace != NULL ? plan->choice.workspace_bytes : 0};
    return MFQ_OK;
  }
  if (workspace->memory == NULL || workspace->bytes < needed) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "workspace is %s%zu bytes; the plan needs %zu (%s), or own_workspace = 1",
                    workspace->memory == NULL ? "NULL with " : "", workspace->bytes, needed, query);
  }
  if ((uintptr_t)workspace->memory % WORKSPACE_ALIGN != 0) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "workspace is %p; it must be aligned to %d bytes",
                    workspace->memory, WORKSPACE_ALIGN);
  }
  return MFQ_OK;
}

mfq_status mfq_plan_run_check(const char *function, const mfq_context *context, const mfq_plan *plan,
                              mfq_workspace *workspace, const char *query) {
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "plan"}, plan);
  if (status != MFQ_OK) return status;
  if (plan->context != context) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "plan was made for another context (%s) than the one given (%s); make a plan for each",
                    plan->context->description, context->description);
  }
  return workspace_check(function, plan, workspace, query);
}

mfq_status mfq_run_empty(mfq_context *context, const mfq_finish *finish) {
  if (!finish->is_d_quantized) return MFQ_OK;
  mfq_tensor nothing = {.data = NULL, .dtype = MFQ_DTYPE_F32, .rank = finish->d_view.q.rank};
  memcpy(nothing.shape, finish->d_view.q.shape, sizeof nothing.shape);
  const mfq_cast cast = mfq_cast_quantize(&nothing, &finish->d_view, NULL);
  return context->backend->cast(context, &cast);
}
