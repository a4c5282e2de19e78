#include <mfq/gemm.h>

#include <string.h>

#include "../core/arguments.h"
#include "../core/context_state.h"
#include "../core/error.h"
#include "../core/gemm_problem.h"

enum { WORKSPACE_ALIGN = 256 };

void mfq_gemm_init(mfq_gemm *gemm) {
  if (gemm == NULL) return;
  memset(gemm, 0, sizeof *gemm);
  gemm->struct_size = sizeof *gemm;
}

static int is_empty(const mfq_gemm_problem *p) { return p->batches == 0 || p->m == 0 || p->n == 0; }

/* Lets the backend choose, and allocates a workspace of the plan's own where it is wanted. */
static mfq_status choose(const char *function, const mfq_gemm *gemm, mfq_gemm_plan *plan) {
  mfq_context *context = plan->context;
  mfq_status status = context->backend->gemm_plan(context, &plan->problem, &plan->choice);
  if (status != MFQ_OK) return status;
  const size_t bytes = plan->choice.workspace_bytes;
  if (!gemm->own_workspace || bytes == 0) return MFQ_OK;
  status =
      bytes <= PTRDIFF_MAX ? context->backend->buffer_alloc(context, bytes, &plan->workspace) : MFQ_ERROR_OUT_OF_MEMORY;
  if (status == MFQ_OK) return MFQ_OK;
  context->backend->gemm_plan_free(context, &plan->choice);
  return status != MFQ_ERROR_OUT_OF_MEMORY
             ? status
             : mfq_fail(status, function, "no memory for a workspace of %zu bytes on device %s", bytes,
                        context->backend->name);
}

mfq_status mfq_gemm_plan_create(mfq_context *context, const mfq_gemm *gemm, mfq_gemm_plan **plan) {
  static const char function[] = "mfq_gemm_plan_create";
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "plan"}, (const void *)plan);
  if (status != MFQ_OK) return status;
  mfq_gemm_plan *made = context->alloc(context->alloc_user, sizeof *made);
  if (made == NULL)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for a plan of %zu bytes", sizeof *made);
  memset(made, 0, sizeof *made);
  made->context = context;
  status = mfq_gemm_problem_make(function, context, gemm, NULL, &made->problem);
  if (status == MFQ_OK && is_empty(&made->problem))
    memcpy(made->choice.description, "nothing: D is empty", sizeof "nothing: D is empty");
  else if (status == MFQ_OK)
    status = choose(function, gemm, made);
  if (status != MFQ_OK) {
    context->free(context->alloc_user, made);
    return status;
  }
  mfq_context_log(context, MFQ_LOG_DEBUG, "%s: M %lld, N %lld, K %lld: %s", function, (long long)made->problem.m,
                  (long long)made->problem.n, (long long)made->problem.k, made->choice.description);
  *plan = made;
  return MFQ_OK;
}

void mfq_gemm_plan_destroy(mfq_gemm_plan *plan) {
  if (plan == NULL) return;
  mfq_context *context = plan->context;
  if (plan->workspace != NULL) context->backend->buffer_free(context, plan->workspace);
  if (!is_empty(&plan->problem)) context->backend->gemm_plan_free(context, &plan->choice);
  context->free(context->alloc_user, plan);
}

const char *mfq_gemm_plan_describe(const mfq_gemm_plan *plan) {
  return plan != NULL ? plan->choice.description : "no plan";
}

size_t mfq_gemm_workspace_bytes(const mfq_gemm_plan *plan) {
  return plan != NULL && plan->workspace == NULL ? plan->choice.workspace_bytes : 0;
}

/* The memory that a run works in: the plan's own, or the caller's, which must do. */
static mfq_status workspace_check(const char *function, const mfq_gemm_plan *plan, mfq_workspace *workspace) {
  const size_t needed = mfq_gemm_workspace_bytes(plan);
  if (needed == 0) {
    *workspace = (mfq_workspace){plan->workspace, plan->workspace != NULL ? plan->choice.workspace_bytes : 0};
    return MFQ_OK;
  }
  if (workspace->memory == NULL || workspace->bytes < needed) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "workspace is %s%zu bytes; the plan needs %zu (mfq_gemm_workspace_bytes), or own_workspace = 1",
                    workspace->memory == NULL ? "NULL with " : "", workspace->bytes, needed);
  }
  if ((uintptr_t)workspace->memory % WORKSPACE_ALIGN != 0) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "workspace is %p; it must be aligned to %d bytes",
                    workspace->memory, WORKSPACE_ALIGN);
  }
  return MFQ_OK;
}

mfq_status mfq_gemm_run(mfq_context *context, const mfq_gemm_plan *plan, const mfq_gemm *gemm, void *workspace,
                        size_t workspace_bytes) {
  static const char function[] = "mfq_gemm_run";
  mfq_gemm_problem problem;
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "plan"}, plan);
  if (status != MFQ_OK) return status;
  if (plan->context != context) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "plan was made for another context (%s) than the one given (%s); make a plan for each",
                    plan->context->description, context->description);
  }
  mfq_workspace lent = {workspace, workspace_bytes};
  status = workspace_check(function, plan, &lent);
  if (status == MFQ_OK) status = mfq_gemm_problem_make(function, context, gemm, &lent, &problem);
  if (status == MFQ_OK) status = mfq_gemm_problem_match(function, &plan->problem, &problem);
  if (status != MFQ_OK) return status;
  if (!is_empty(&problem)) return context->backend->gemm_run(context, &plan->choice, &problem, lent.memory);
  if (!problem.is_d_quantized) return MFQ_OK;
  /* Its scales and padding are there even so. */
  mfq_tensor nothing = {.data = NULL, .dtype = MFQ_DTYPE_F32, .rank = problem.d_view.q.rank};
  memcpy(nothing.shape, problem.d_view.q.shape, sizeof nothing.shape);
  return context->backend->quantize(context, &nothing, &problem.d_view, NULL);
}
