/* cuda/gemm/side_params.cu: an operand's strides and scales as kernels take them; one that is quantized on the way in
 * is quantized into the run's workspace first. */
#include "side_params.h"

#include "host/core/scheme/lower.h"
#include "host/core/problem/walk.h"
#include "cuda/cuda_ops.h"
#include "cuda/index_plans.h"

static_assert((int)SIDE_MAX_BATCH_RANK == (int)MFQ_MAX_RANK, "batch axes");

static void plan_plain(const mfq_matrix *matrix, side_params *p) {
  p->is_plain = 1;
  p->batch_rank = matrix->batch_rank;
  for (int32_t d = 0; d < matrix->batch_rank; ++d) {
    p->batch_shape[d] = matrix->batch_shape[d];
    p->batch_stride[d] = matrix->batch_stride[d];
  }
  p->stride[0] = matrix->stride[0];
  p->stride[1] = matrix->stride[1];
  p->plain = element_view{(uint8_t *)matrix->data, (int32_t)matrix->dtype};
  p->row_run = p->depth_run = divisor64_make(1);
}

static void plan_codes(const mfq_gemm_side *side, side_params *p) {
  const mfq_format *e = &side->view.q.scheme.element;
  p->batch_rank = side->batches != 1;
  p->batch_shape[0] = side->batches;
  p->batch_stride[0] = side->code_bits[0];
  p->stride[0] = side->code_bits[1];
  p->stride[1] = side->code_bits[2];
  p->codes = (const uint8_t *)side->view.q.codes;
  p->bits = mfq_code_bits(&side->view.q);
  p->code_mask = (1u << (e->is_signed + e->exp_bits + e->man_bits)) - 1u;
  p->slots = mfq_cuda_scale_slots(&side->view);
  for (int i = 0; i < 3; ++i) p->scale_stride[i] = side->scale_stride[i];
  p->row_run = divisor64_make(side->scale_run[1]);
  p->depth_run = divisor64_make(side->scale_run[2]);
  mfq_lower(&side->view.q.scheme, &p->scheme);
}

side_params mfq_cuda_side_params(const mfq_gemm_side *side) {
  side_params p = {};
  p.rows = side->rows;
  p.depth = side->depth;
  p.group = side->kind == MFQ_SIDE_PLAIN ? 0 : side->group;
  if (side->kind == MFQ_SIDE_PLAIN)
    plan_plain(&side->matrix, &p);
  else
    plan_codes(side, &p);
  return p;
}

static mfqn_dot_side dot_side(const mfq_gemm_side *side) {
  if (side->kind == MFQ_SIDE_PLAIN) return mfqn_dot_side_plain();
  mfqn_scheme s;
  mfq_lower(&side->view.q.scheme, &s);
  return mfqn_dot_side_make(&s, side->group != 0);
}

mfqn_dot_plan mfq_cuda_dot_plan(const mfq_gemm_side *a, const mfq_gemm_side *b) {
  return mfqn_dot_plan_make(dot_side(a), dot_side(b));
}

/* ---- Quantization on the way ------------------------------------------------------------------------------------- */

mfq_status mfq_cuda_side_ready(mfq_context *lent, const mfq_gemm_side *side, uint8_t *memory, mfq_gemm_side *ready) {
  mfq_gemm_side_place(side, memory, ready);
  if (side->kind != MFQ_SIDE_TO_QUANTIZE) return MFQ_OK;
  return mfq_cuda_quantize(lent, &side->tensor, &ready->view, nullptr);
}
