/* host/cpu/gemm_exact.c: the reproducible product as a row of the list: any problem, any policy. */
#include <stdio.h>

#include "gemm_cpu.h"
#include "gemm_ref.h"

static int refuse(const mfq_context *context, const mfq_gemm_problem *problem, mfq_line *why) {
  (void)context;
  (void)problem;
  (void)why;
  return 0;
}

static mfq_status plan(mfq_context *context, const mfq_gemm_problem *problem, mfq_gemm_made *made) {
  made->workspace_bytes = mfq_gemm_ref_bytes(context, problem);
  (void)snprintf(made->how.text, sizeof made->how.text, "exact within runs of at most 32 along K");
  return MFQ_OK;
}

static void plan_free(mfq_context *context, void *state) {
  (void)context;
  (void)state;
}

static mfq_status run(mfq_context *context, const void *state, const mfq_gemm_problem *problem, void *workspace) {
  (void)state;
  return mfq_gemm_ref_run(context, problem, workspace);
}

const mfq_gemm_row mfq_gemm_reference = {
    .name = "reference", .refuse = refuse, .plan = plan, .plan_free = plan_free, .run = run};
