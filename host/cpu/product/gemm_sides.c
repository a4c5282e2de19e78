/* host/cpu/product/gemm_sides.c: sides of a run: it is lent a context whose scratch memory is a piece of the workspace,
 * so that threads may run one plan at once. */
#include "gemm_sides.h"

#include "host/cpu/cast/scale_slots.h"

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
  return side->kind == MFQ_SIDE_TO_QUANTIZE ? mfq_cpu_quantize(lent, &side->tensor, &ready->view, NULL) : MFQ_OK;
}

static float stored_scale(const mfq_gemm_side *side, const mfqn_scheme *s, int64_t index) {
  return mfqn_group_load(s, mfq_scale_get(&side->view, index), 1.0f).scale;
}

float mfq_cpu_side_factor(const mfq_gemm_side *side, const mfqn_scheme *s, int64_t batch, int64_t row) {
  if (side->kind == MFQ_SIDE_PLAIN) return 1.0f;
  const float tensor_scale = mfq_tensor_scale_get(&side->view);
  if (side->group != 0) return tensor_scale;
  const int64_t index = mfq_gemm_side_scale(side, side->batches == 1 ? 0 : batch, row, 0);
  return mfqn_mul(stored_scale(side, s, index), tensor_scale);
}

float mfq_cpu_side_group_scale(const mfq_gemm_side *side, const mfqn_scheme *s, int64_t batch, int64_t row,
                               int64_t depth) {
  if (side->kind == MFQ_SIDE_PLAIN || side->group == 0) return 1.0f;
  return stored_scale(side, s, mfq_gemm_side_scale(side, side->batches == 1 ? 0 : batch, row, depth));
}

mfqn_epilogue mfq_cpu_epilogue(const mfq_gemm_problem *problem) {
  mfqn_epilogue e;
  e.has_c = problem->has_c;
  e.has_bias = problem->has_bias;
  e.activation = (int32_t)problem->activation;
  e.alpha = problem->alpha ? *problem->alpha : 1.0f;
  e.beta = problem->beta ? *problem->beta : 1.0f;
  return e;
}

size_t mfq_cpu_d_scratch(const mfq_context *context, const mfq_gemm_problem *problem) {
  mfq_tensor values;
  if (!problem->is_d_quantized || mfq_gemm_d_values(problem, NULL, &values) != MFQ_OK) return 0; /* a run fails then */
  return mfq_cpu_quantize_scratch(context, &values, &problem->d_view);
}
