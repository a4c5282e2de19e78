/* host/cpu/conv/conv_exact.c: the reproducible convolution as a way of the list: any problem, any policy. */
#include "conv_cpu.h"
#include "conv_ref.h"

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  (void)why;
  choice->workspace_bytes = mfq_conv_ref_bytes(context, problem);
  choice->is_general = 1;
  mfq_choice_describe(choice, "exact within runs of at most 32");
  return MFQ_OK;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  (void)state;
  return mfq_conv_ref_run(context, problem, workspace);
}

const mfq_way mfq_conv_reference = {.name = "reference", .plan = plan, .run = run};
