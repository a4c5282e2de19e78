/* host/cpu/conv_exact.c: the reproducible convolution as a row of the list: any problem, any policy. */
#include <stdio.h>

#include "conv_cpu.h"
#include "conv_ref.h"

static int refuse(const mfq_context *context, const mfq_conv_problem *problem, mfq_line *why) {
  (void)context;
  (void)problem;
  (void)why;
  return 0;
}

static mfq_status plan(mfq_context *context, const mfq_conv_problem *problem, mfq_gemm_made *made) {
  made->workspace_bytes = mfq_conv_ref_bytes(context, problem);
  (void)snprintf(made->how.text, sizeof made->how.text, "exact within runs of at most 32");
  return MFQ_OK;
}

static void plan_free(mfq_context *context, void *state) {
  (void)context;
  (void)state;
}

static mfq_status run(mfq_context *context, const void *state, const mfq_conv_problem *problem, void *workspace) {
  (void)state;
  return mfq_conv_ref_run(context, problem, workspace);
}

const mfq_conv_row mfq_conv_reference = {
    .name = "reference", .refuse = refuse, .plan = plan, .plan_free = plan_free, .run = run};
