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

mfq_status mfq_gemm_plan_create(mfq_context *context, const mfq_gemm *gemm, mfq_gemm_plan **plan) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_gemm_plan_create";
  mfq_plan *base = NULL;
  if (context != NULL && plan != NULL) *plan = NULL;
  mfq_status status = mfq_plan_alloc(function, context, (void *)plan, sizeof **plan, &base);
  if (status != MFQ_OK) return status;
  mfq_gemm_plan *made = (mfq_gemm_plan *)(void *)base;
  const mfq_gemm_problem *p = &made->problem;
  status = mfq_gemm_problem_make(function, context, gemm, NULL, &made->problem);
  const mfq_plan_task task = {.function = function,
                              .op = MFQ_OP_GEMM,
                              .problem = p,
                              .finish = &p->finish,
                              .nothing = "nothing: D is empty",
                              .own_workspace = status == MFQ_OK && gemm->own_workspace};
  status = mfq_plan_choose(base, status, &task);
  if (status != MFQ_OK) return status;
  mfq_context_log(context, MFQ_LOG_DEBUG, "%s: M %lld, N %lld, K %lld: %s", function, (long long)p->m, (long long)p->n,
                  (long long)p->k, base->choice.description);
  *plan = made;
  return MFQ_OK;
}

static const mfq_plan *base_of(const mfq_gemm_plan *plan) { return plan != NULL ? &plan->base : NULL; }

void mfq_gemm_plan_destroy(mfq_gemm_plan *plan) { mfq_plan_free(plan != NULL ? &plan->base : NULL); }
const char *mfq_gemm_plan_describe(const mfq_gemm_plan *plan) { return mfq_plan_describe(base_of(plan)); }
size_t mfq_gemm_workspace_bytes(const mfq_gemm_plan *plan) { return mfq_plan_workspace_bytes(base_of(plan)); }

mfq_status mfq_gemm_run(mfq_context *context, const mfq_gemm_plan *plan, const mfq_gemm *gemm, void *workspace,
                        size_t workspace_bytes) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_gemm_run";
  mfq_gemm_problem problem;
  mfq_workspace lent = {workspace, workspace_bytes};
  mfq_status status = mfq_plan_run_check(function, context, base_of(plan), &lent, "mfq_gemm_workspace_bytes");
  if (status == MFQ_OK) status = mfq_gemm_problem_make(function, context, gemm, &lent, &problem);
  if (status == MFQ_OK) status = mfq_gemm_problem_match(function, &plan->problem, &problem);
  return status == MFQ_OK ? mfq_plan_run(function, &plan->base, &problem, &problem.finish, &lent) : status;
}
