/* host/core/problem/gemm_supported.c: mfq_supported for products: the plan of a large one answers, so that it cannot
 * say anything else than what planning does. */
#include "host/core/module/context_state.h"
#include "plan.h"

enum { SIDE = 512 };

mfq_status mfq_gemm_supported(mfq_context *context, const mfq_scheme *scheme, mfq_support *support, char *reason,
                              size_t capacity) {
  static const char function[] = "mfq_supported";
  const int64_t shape[] = {SIDE, SIDE};
  mfq_qtensor q;
  mfq_tensor d;
  mfq_gemm gemm;
  mfq_gemm_problem problem;
  mfq_gemm_init(&gemm);
  gemm.a.quantized = gemm.b.quantized = &q;
  gemm.transpose_b = 1;
  gemm.d = &d;
  mfq_status status = mfq_qtensor_init(scheme, 2, shape, NULL, &q);
  if (status == MFQ_OK) status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, 2, shape, &d);
  if (status == MFQ_OK) status = mfq_gemm_problem_make(function, context, &gemm, NULL, &problem);
  const mfq_answer answer = {support, reason, capacity};
  return mfq_support_answer(context, status, context->backend->products, &problem, answer);
}
