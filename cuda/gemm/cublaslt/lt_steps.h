/* cuda/gemm/cublaslt/lt_steps.h: a product by cuBLASLt in steps, whose sums are finished before the next step's overwrite
 * them. Where operands are is told by who has them: codes as they are, or expanded matrices. */
#ifndef MFQ_CUDA_GEMM_LT_STEPS_H
#define MFQ_CUDA_GEMM_LT_STEPS_H

#include "cuda/gemm/gemm_run.h"
#include "cuda/gemm/slabs.h"
#include "direct.h"

typedef struct mfq_lt_steps {
  mfq_slabs step;
  int32_t is_direct; /* cuBLASLt writes D */
  int64_t sum_ld;
  size_t sums, library;          /* places in the workspace */
  mfq_cublaslt_plan plans[2][2]; /* [the last batches or rows][the last columns] */
} mfq_lt_steps;

/* What a step multiplies. */
typedef struct mfq_lt_step {
  mfq_cuda_part rows;
  int64_t col, cols;
} mfq_lt_step;

/* What is asked of slabs.h, but for expansions and operands whose batches come one by one. */
static inline mfq_slab_question mfq_lt_question(const mfq_gemm_problem *p, const mfq_lt_steps *s) {
  mfq_slab_question q = {};
  q.batches = p->batches;
  q.m = p->m;
  q.n = p->n;
  q.sum_row_bytes = s->is_direct || p->finish.is_d_quantized ? 0 : s->sum_ld * 4;
  if (s->is_direct)
    q.is_one_by_one = !mfq_cuda_is_uniform(&p->finish.d) || (p->finish.has_c && !mfq_cuda_is_uniform(&p->finish.c));
  return q;
}

/* Plans every size of steps; `fill(size, &product)` fills A and B. */
template <class Fill>
mfq_status mfq_lt_plan(mfq_context *context, const mfq_gemm_problem *p, mfq_lt_steps *s, const Fill &fill,
                       mfq_line *reason) {
  const mfq_slabs &step = s->step;
  const mfq_slabs last = {mfq_slab_last(p->batches, step.batches), mfq_slab_last(p->m, step.rows),
                          mfq_slab_last(p->n, step.cols)};
  const int has_last = last.batches != step.batches || last.rows != step.rows, has_cols = last.cols != step.cols;
  mfq_status status = MFQ_OK;
  for (int i = 0; i <= has_last; ++i)
    for (int j = 0; j <= has_cols && status == MFQ_OK; ++j) {
      const mfq_slabs size = {i ? last.batches : step.batches, i ? last.rows : step.rows, j ? last.cols : step.cols};
      mfq_cublaslt_product product = {};
      product.m = size.rows;
      product.n = size.cols;
      product.k = p->k;
      product.batches = size.batches;
      fill(size, &product);
      if (s->is_direct)
        mfq_cuda_sum_layouts(&p->finish, &product);
      else
        product.c = product.d =
            mfq_cuda_sums_layout(s->sum_ld, (p->finish.is_d_quantized ? p->m : size.rows) * s->sum_ld);
      status = mfq_cublaslt_plan_make(context, &product, &s->plans[i][j], reason);
    }
  return status;
}

/* Takes what all steps share of a workspace that ends at `end` so far: sums, all of a quantized D, and the library's. */
static inline void mfq_lt_take(const mfq_gemm_problem *p, mfq_lt_steps *s, size_t *end) {
  const int64_t of_step = s->is_direct ? 0 : s->step.batches * s->step.rows * s->sum_ld;
  const int64_t sums = p->finish.is_d_quantized ? p->batches * p->m * p->n : of_step;
  size_t library = 0;
  for (const auto &row : s->plans)
    for (const mfq_cublaslt_plan &plan : row) library = mfq_larger_size(library, plan.workspace_bytes);
  s->sums = mfq_workspace_take(end, (size_t)sums * 4);
  s->library = mfq_workspace_take(end, library);
}

/* Queues a step; `prepare(step, &call)` says where A and B are, and makes them. */
template <class Prepare>
mfq_status mfq_lt_run_step(mfq_context *own, const mfq_gemm_problem *p, const mfq_lt_steps *s, uint8_t *workspace,
                           const mfq_lt_step &at, const Prepare &prepare) {
  float *values = (float *)(void *)(workspace + s->sums);
  const mfq_cuda_sums sums = mfq_cuda_sums_at(values, s->sum_ld, &p->finish, at.rows);
  const int is_last = at.rows.batches != s->step.batches || at.rows.rows != s->step.rows;
  mfq_cublaslt_call call = {};
  mfq_status status = prepare(at, &call);
  call.alpha = 1.0f;
  call.workspace = workspace + s->library;
  call.d = sums.data + at.col;
  call.c = call.d;
  if (s->is_direct) mfq_cuda_direct_call(&p->finish, at.rows.batch, at.rows.row, at.col, &call);
  if (status == MFQ_OK) status = mfq_cublaslt_run(own, &s->plans[is_last][at.cols != s->step.cols], &call);
  if (status != MFQ_OK || s->is_direct || at.col + at.cols < p->n) return status;
  return mfq_cuda_finish(own, &p->finish, mfq_gemm_factor_views(p), &sums, values);
}

/* All steps, columns fastest, and the quantization of a quantized D. */
template <class Prepare>
mfq_status mfq_lt_run(mfq_context *own, const mfq_gemm_problem *p, const mfq_lt_steps *s, uint8_t *workspace,
                      const Prepare &prepare) {
  const mfq_slabs &step = s->step;
  mfq_status status = MFQ_OK;
  for (int64_t batch = 0; batch < p->batches; batch += step.batches)
    for (int64_t row = 0; row < p->m; row += step.rows)
      for (int64_t col = 0; col < p->n && status == MFQ_OK; col += step.cols) {
        const mfq_cuda_part rows = {batch, mfq_smaller(p->batches - batch, step.batches), row,
                                    mfq_smaller(p->m - row, step.rows)};
        status = mfq_lt_run_step(own, p, s, workspace, {rows, col, mfq_smaller(p->n - col, step.cols)}, prepare);
      }
  if (status != MFQ_OK || !p->finish.is_d_quantized) return status;
  return mfq_cuda_finish_quantize(own, &p->finish, (float *)(void *)(workspace + s->sums));
}

#endif
