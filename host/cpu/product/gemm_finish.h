/* host/cpu/product/gemm_finish.h: from f32 sums to D: factors, alpha, C, bias, activation, rounding. */
#ifndef MFQ_HOST_CPU_GEMM_FINISH_H
#define MFQ_HOST_CPU_GEMM_FINISH_H

#include "gemm_sides.h"

/* What a run of a product finishes with. Offsets are places in its workspace. */
typedef struct mfq_finish_plan {
  size_t row_factors_at, col_factors_at, bias_at, zeros_at;
  int64_t row_factors, col_factors; /* how many; 0 rows: all 1 */
  size_t scratch_bytes;             /* of quantizing D */
} mfq_finish_plan;

/* The same with memory; arrays are f32. */
typedef struct mfq_finish {
  const mfq_gemm_problem *problem;
  mfqn_epilogue epilogue;
  const float *row_factors, *col_factors, *bias, *zeros;
  int64_t row_batch_step, col_batch_step;
} mfq_finish;

/* Some rows of one batch or of several: sums [batches, rows, N], dense. They become values in place where D is
 * quantized. */
typedef struct mfq_finish_part {
  float *sums;
  int64_t batch0, batches, row0, rows;
} mfq_finish_part;

/* Whether sums are D's values already, but for their rounding to its type. */
int mfq_finish_is_bare(const mfq_gemm_problem *problem);

void mfq_finish_plan_make(const mfq_context *context, const mfq_gemm_problem *problem, size_t *workspace_bytes,
                          mfq_finish_plan *plan);
/* Reads scales, bias, alpha and beta. `a` and `b` are ready. */
void mfq_finish_open(const mfq_finish_plan *plan, const mfq_gemm_problem *problem, const mfq_gemm_side *a,
                     const mfq_gemm_side *b, uint8_t *workspace, mfq_finish *finish);
void mfq_finish_run(const mfq_context *context, const mfq_finish *finish, const mfq_finish_part *part);
/* Quantizes D from all its values. */
mfq_status mfq_finish_quantize(mfq_context *lent, const mfq_gemm_problem *problem, float *values);

#endif
