/* host/core/problem/plan.h: what plans of all operations do: the workspace, their own or the caller's. */
#ifndef MFQ_HOST_CORE_PLAN_H
#define MFQ_HOST_CORE_PLAN_H

#include "gemm_problem.h"

/* Checks the arguments of a function that makes a plan, and allocates one of `bytes`, whose first member is `base`. */
mfq_status mfq_plan_alloc(const char *function, mfq_context *context, void *plan_argument, size_t bytes,
                          mfq_plan **base);

/* What is planned: a problem whose ways are those of `op`, and its finish. */
typedef struct mfq_plan_task {
  const char *function;
  mfq_op op;
  const void *problem;
  const mfq_finish *finish;
  const char *nothing; /* what there is to do where the result is empty: "nothing: D is empty" */
  int32_t own_workspace;
} mfq_plan_task;
/* Lets the backend choose, and allocates a workspace of the plan's own where it is wanted. `made`, of the problem, is
 * returned where it is a failure; with any failure the plan is freed. */
mfq_status mfq_plan_choose(mfq_plan *plan, mfq_status made, const mfq_plan_task *task);
/* Frees a plan, whether anything was chosen or not; NULL is allowed. */
void mfq_plan_free(mfq_plan *plan);
/* What a plan says of itself. */
const char *mfq_plan_describe(const mfq_plan *plan);

/* Bytes that each run is lent; 0 without a plan. */
size_t mfq_plan_workspace_bytes(const mfq_plan *plan);

/* Checks that a run has a context, a plan that was made for it, and a workspace, which becomes the plan's own where it
 * has one. `query` is the function that tells how large it must be. */
mfq_status mfq_plan_run_check(const char *function, const mfq_context *context, const mfq_plan *plan,
                              mfq_workspace *workspace, const char *query);

/* Runs a problem that matches its plan. One whose result has no elements still may have scales and padding to write. */
mfq_status mfq_plan_run(const char *function, const mfq_plan *plan, const void *problem, const mfq_finish *finish,
                        const mfq_workspace *workspace);

#endif
