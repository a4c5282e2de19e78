/* host/core/problem/plan.h: what plans of all operations do: the workspace, their own or the caller's. */
#ifndef MFQ_HOST_CORE_PLAN_H
#define MFQ_HOST_CORE_PLAN_H

#include "gemm_problem.h"

/* Lets the backend choose, and allocates a workspace of the plan's own where it is wanted. */
mfq_status mfq_plan_choose(const char *function, mfq_plan *plan, const mfq_ways *ways, const void *problem,
                           int32_t own_workspace);
/* Frees what a plan holds, whether anything was chosen or not. */
void mfq_plan_free(mfq_plan *plan);

/* Bytes that each run is lent. */
size_t mfq_plan_workspace_bytes(const mfq_plan *plan);

/* Checks that a run has a context, a plan that was made for it, and a workspace, which becomes the plan's own where it
 * has one. `query` is the function that tells how large it must be. */
mfq_status mfq_plan_run_check(const char *function, const mfq_context *context, const mfq_plan *plan,
                              mfq_workspace *workspace, const char *query);

/* The run of an operation whose result has no elements: a quantized one still has scales and padding. */
mfq_status mfq_run_empty(mfq_context *context, const mfq_finish *finish);

#endif
