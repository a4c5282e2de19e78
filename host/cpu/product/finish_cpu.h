/* host/cpu/product/finish_cpu.h: the finish on the CPU, for products and convolutions: from f32 sums to D (finish_problem.h). */
#ifndef MFQ_HOST_CPU_FINISH_CPU_H
#define MFQ_HOST_CPU_FINISH_CPU_H

#include <mfq/num/finish.h>

#include "host/core/problem/finish_problem.h"
#include "host/cpu/cpu_state.h"

/* What a run finishes with. Offsets are places in its workspace. */
typedef struct mfq_cpu_finish_plan {
  size_t row_factors_at, col_factors_at, bias_at, zeros_at;
  size_t values_at;                 /* of a quantized D: all its values, dense */
  int64_t row_factors, col_factors; /* how many; 0 rows: all 1 */
  size_t scratch_bytes;             /* of quantizing D */
} mfq_cpu_finish_plan;

/* The same with memory; arrays are f32. */
typedef struct mfq_cpu_finish {
  const mfq_finish *problem;
  const mfq_kernels *kernels;
  mfqn_finish settings;
  const float *row_factors, *col_factors, *bias, *zeros;
  int64_t row_batch_step, col_batch_step;
  float *values; /* of a quantized D, [batches, m, n], dense; the sums may be in the same place */
} mfq_cpu_finish;

/* A block of sums in some batches: sum (i, r, j) of it is at i * batch_stride + r * row_stride + j. */
typedef struct mfq_cpu_finish_part {
  const float *sums;
  int64_t batch_stride, row_stride;
  int64_t first_batch, batches, first_row, rows, first_col, cols;
} mfq_cpu_finish_part;

/* Dense sums of all columns. */
static inline mfq_cpu_finish_part mfq_cpu_finish_dense(const mfq_finish *p, const float *sums, int64_t rows) {
  return (mfq_cpu_finish_part){
      .sums = sums, .batch_stride = rows * p->n, .row_stride = p->n, .batches = p->batches, .rows = rows, .cols = p->n};
}

static inline size_t mfq_cpu_finish_sum_bytes(const mfq_finish *p) {
  return (size_t)(p->batches * p->m * p->n) * sizeof(float);
}

void mfq_cpu_finish_plan_make(const mfq_context *context, const mfq_finish *problem, size_t *workspace_bytes,
                              mfq_cpu_finish_plan *plan);
/* Reads scales, bias, alpha and beta. */
void mfq_cpu_finish_open(const mfq_context *context, const mfq_cpu_finish_plan *plan, const mfq_finish *problem,
                         mfq_factor_views views, uint8_t *workspace, mfq_cpu_finish *finish);
/* Finishes a part on threads, or rows first ... end - 1 of all its batches on this one. */
void mfq_cpu_finish_run(const mfq_context *context, const mfq_cpu_finish *finish, const mfq_cpu_finish_part *part);
void mfq_cpu_finish_rows(const mfq_cpu_finish *finish, const mfq_cpu_finish_part *part, int64_t first, int64_t end);
/* Quantizes D from all its values, where it is quantized. */
mfq_status mfq_cpu_finish_end(mfq_context *lent, const mfq_cpu_finish *finish);

#endif
