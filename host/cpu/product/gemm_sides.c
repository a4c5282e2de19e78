/* host/cpu/product/gemm_sides.c: sides of a run: it is lent a context whose scratch memory is a piece of the workspace,
 * so that threads may run one plan at once. */
#include "gemm_sides.h"

/* A run that wants more than was planned fails, where it would free a piece of its workspace to have more. */
static void *no_more(void *user, size_t bytes) {
  (void)user;
  (void)bytes;
  return NULL;
}

mfq_context mfq_cpu_lend(const mfq_context *context, void *scratch, size_t bytes) {
  mfq_context lent = *context;
  lent.alloc = no_more;
  lent.scratch = scratch;
  lent.scratch_bytes = bytes;
  return lent;
}

size_t mfq_cpu_side_scratch(const mfq_context *context, const mfq_gemm_side *side) {
  return side->kind == MFQ_SIDE_TO_QUANTIZE ? mfq_cpu_quantize_scratch(context, &side->tensor, &side->view) : 0;
}

mfq_status mfq_cpu_side_ready(mfq_context *lent, const mfq_gemm_side *side, uint8_t *memory, mfq_gemm_side *ready) {
  mfq_gemm_side_place(side, memory, ready);
  return side->kind == MFQ_SIDE_TO_QUANTIZE ? mfq_cpu_quantize(lent, &side->tensor, &ready->view) : MFQ_OK;
}
