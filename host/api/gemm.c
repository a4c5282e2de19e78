/* host/api/gemm.c: a product's description is made a problem once when it is planned and once a run, and the two are
 * compared: a plan never meets memory that it was not made for. */
#include <mfq/gemm.h>

#include <string.h>

#include "host/core/check/arguments.h"
#include "host/core/module/context_state.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"
#include "host/core/problem/plan.h"

void mfq_gemm_init(mfq_gemm *gemm) {
  if (gemm == NULL) return;
  memset(gemm, 0, sizeof *gemm);
  gemm->struct_size = sizeof *gemm;
}

static int is_empty(const mfq_gemm_problem *p) { return p->batches == 0 || p->m == 0 || p->n == 0; }

mfq_status mfq_gemm_plan_create(mfq_context *context, const mfq_gemm *gemm, mfq_gemm_plan **plan) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_gemm_plan_create";
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "plan"}, (const void *)plan);
  if (status != MFQ_OK) return status;
  *plan = NULL;
  mfq_gemm_plan *made = context->alloc(context->alloc_user, sizeof *made);
  if (made == NULL)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for a plan of %zu bytes", sizeof *made);
  memset(made, 0, sizeof *made);
  made->base.context = context;
  mfq_choice *choice = &made->base.choice;
  status = mfq_gemm_problem_make(function, context, gemm, NULL, &made->problem);
  if (status == MFQ_OK && is_empty(&made->problem))
    memcpy(choice->description, "nothing: D is empty", sizeof "nothing: D is empty");
  else if (status == MFQ_OK)
    status = mfq_plan_choose(function, &made->base, context->backend->ways[MFQ_OP_GEMM], &made->problem,
                             gemm->own_workspace);
  if (status != MFQ_OK) {
    context->free(context->alloc_user, made);
    return status;
  }
  mfq_context_log(context, MFQ_LOG_DEBUG, "%s: M %lld, N %lld, K %lld: %s", function, (long long)made->problem.m,
                  (long long)made->problem.n, (long long)made->problem.k, choice->description);
  *plan = made;
  return MFQ_OK;
}

void mfq_gemm_plan_destroy(mfq_gemm_plan *plan) {
  if (plan == NULL) return;
  mfq_context *context = plan->base.context;
  mfq_plan_free(&plan->base);
  context->free(context->alloc_user, plan);
}

const char *mfq_gemm_plan_describe(const mfq_gemm_plan *plan) {
  return plan != NULL ? plan->base.choice.description : "no plan";
}

size_t mfq_gemm_workspace_bytes(const mfq_gemm_plan *plan) {
  return plan != NULL ? mfq_plan_workspace_bytes(&plan->base) : 0;
}

mfq_status mfq_gemm_run(mfq_context *context, const mfq_gemm_plan *plan, const mfq_gemm *gemm, void *workspace,
                        size_t workspace_bytes) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_gemm_run";
  mfq_gemm_problem problem;
  mfq_workspace lent = {workspace, workspace_bytes};
  mfq_status status =
      mfq_plan_run_check(function, context, plan != NULL ? &plan->base : NULL, &lent, "mfq_gemm_workspace_bytes");
  if (status == MFQ_OK) status = mfq_gemm_problem_make(function, context, gemm, &lent, &problem);
  if (status == MFQ_OK) status = mfq_gemm_problem_match(function, &plan->problem, &problem);
  if (status != MFQ_OK) return status;
  if (is_empty(&problem)) return mfq_run_empty(context, &problem.finish);
  return context->backend->run(context, function, &plan->base.choice, &problem, lent.memory);
}
