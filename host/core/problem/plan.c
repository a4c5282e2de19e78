/* host/core/problem/plan.c: what plans of products and convolutions share: the choice, the workspace, the questions
 * that a run has to answer before its way is asked. */
#include "plan.h"

#include <stdint.h>
#include <stdio.h>
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

mfq_status mfq_plan_alloc(const char *function, mfq_context *context, void *plan_argument, size_t bytes,
                          mfq_plan **base) {
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "plan"}, plan_argument);
  if (status != MFQ_OK) return status;
  *base = context->alloc(context->alloc_user, bytes);
  if (*base == NULL) return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for a plan of %zu bytes", bytes);
  memset(*base, 0, bytes);
  (*base)->context = context;
  return MFQ_OK;
}

static int is_empty(const mfq_finish *finish) { return finish->batches == 0 || finish->m == 0 || finish->n == 0; }

mfq_status mfq_plan_choose(mfq_plan *plan, mfq_status made, const mfq_plan_task *task) {
  mfq_context *context = plan->context;
  mfq_status status = made;
  if (status == MFQ_OK && is_empty(task->finish)) {
    (void)snprintf(plan->choice.description, sizeof plan->choice.description, "%s", task->nothing);
  } else if (status == MFQ_OK) {
    status = context->backend->plan(context, context->backend->ways[task->op], task->problem, &plan->choice);
    if (status == MFQ_OK && task->own_workspace) status = own_workspace_make(task->function, plan);
  }
  if (status != MFQ_OK) mfq_plan_free(plan);
  return status;
}

void mfq_plan_free(mfq_plan *plan) {
  if (plan == NULL) return;
  mfq_context *context = plan->context;
  if (plan->workspace != NULL) context->backend->buffer_free(context, plan->workspace);
  mfq_choice_free(context, &plan->choice);
  context->free(context->alloc_user, plan);
}

const char *mfq_plan_describe(const mfq_plan *plan) { return plan != NULL ? plan->choice.description : "no plan"; }

size_t mfq_plan_workspace_bytes(const mfq_plan *plan) {
  return plan != NULL && plan->workspace == NULL ? plan->choice.workspace_bytes : 0;
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

/* The result has no elements. */
static mfq_status run_empty(mfq_context *context, const mfq_finish *finish) {
  if (!finish->is_d_quantized) return MFQ_OK;
  mfq_tensor nothing = {.data = NULL, .dtype = MFQ_DTYPE_F32, .rank = finish->d_view.q.rank};
  memcpy(nothing.shape, finish->d_view.q.shape, sizeof nothing.shape);
  const mfq_cast cast = mfq_cast_quantize(&nothing, &finish->d_view, NULL);
  return context->backend->cast(context, &cast);
}

mfq_status mfq_plan_run(const char *function, const mfq_plan *plan, const void *problem, const mfq_finish *finish,
                        const mfq_workspace *workspace) {
  mfq_context *context = plan->context;
  if (is_empty(finish)) return run_empty(context, finish);
  return context->backend->run(context, function, &plan->choice, problem, workspace->memory);
}
