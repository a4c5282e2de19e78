/* host/cpu/product/gemm_exact.c: the reproducible product as a way of the list: any problem, any policy. */
#include "gemm_cpu.h"
#include "gemm_ref.h"

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  (void)why;
  choice->workspace_bytes = mfq_gemm_ref_bytes(context, problem);
  choice->is_general = 1;
  mfq_choice_describe(choice, "exact within runs of at most 32 along K");
  return MFQ_OK;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  (void)state;
  return mfq_gemm_ref_run(context, problem, workspace);
}

const mfq_way mfq_gemm_reference = {.name = "reference", .plan = plan, .run = run};
