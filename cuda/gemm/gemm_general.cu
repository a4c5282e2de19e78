/* cuda/gemm/gemm_general.cu: the last way of the list: every product, reproducible. */
#include "host/core/integers.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "finish_cuda.h"
#include "gemm_general_kernel.cuh"
#include "cuda/product/side_params.h"

namespace {

/* The workspace: the two sides where they are quantized on the way, all sums, and scratch memory for quantization. */
struct parts {
  size_t a, b, sums, scratch;
};

parts parts_of(const mfq_gemm_problem *p) {
  const int quantizes =
      p->a.kind == MFQ_SIDE_TO_QUANTIZE || p->b.kind == MFQ_SIDE_TO_QUANTIZE || p->finish.is_d_quantized;
  parts at;
  at.a = mfq_gemm_side_bytes(&p->a);
  at.b = mfq_gemm_side_bytes(&p->b);
  at.sums = mfq_workspace_round((size_t)(p->batches * p->m * p->n) * sizeof(float));
  at.scratch = quantizes ? MFQ_CUDA_SCRATCH_BYTES : 0;
  return at;
}

mfq_status plan(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  (void)context;
  (void)reason;
  choice->is_general = 1;
  const parts at = parts_of(problem);
  choice->workspace_bytes = at.a + at.b + at.sums + at.scratch;
  mfq_choice_describe(choice, "one rounding for each run of at most %d along K", (int)MFQN_DOT_RUN);
  return MFQ_OK;
}

mfq_status sum_products(mfq_context *context, const mfq_gemm_problem *problem, float *sums) {
  const int64_t row_tiles = mfq_ceil_div(problem->m, GENERAL_TILE), col_tiles = mfq_ceil_div(problem->n, GENERAL_TILE);
  const int64_t tiles = problem->batches * row_tiles * col_tiles, most = 0x7fffffff;
  gemm_general_params p = {};
  p.a = mfq_cuda_side_params(&problem->a);
  p.b = mfq_cuda_side_params(&problem->b);
  p.plan = mfq_cuda_dot_plan(&problem->a, &problem->b);
  p.tiles = tiles;
  p.row_tiles = divisor64_make(row_tiles);
  p.col_tiles = divisor64_make(col_tiles);
  p.m = problem->m;
  p.n = problem->n;
  p.k = problem->k;
  p.sums = sums;
  const mfq_launch at = {"mfq_gemm_run", dim3((unsigned)(tiles < most ? tiles : most)), GENERAL_THREADS, 0};
  return mfq_cuda_launch(context, at, gemm_general_kernel, p);
}

mfq_status run_lent(mfq_context *lent, const mfq_gemm_problem *problem, uint8_t *workspace) {
  const parts at = parts_of(problem);
  float *sums = (float *)(workspace + at.a + at.b);
  const mfq_cuda_sums all = {sums, problem->m * problem->n, problem->n, 0, problem->batches, 0, problem->m};
  mfq_gemm_problem ready = *problem;
  mfq_status status = mfq_cuda_side_ready(lent, &problem->a, workspace, &ready.a);
  if (status == MFQ_OK) status = mfq_cuda_side_ready(lent, &problem->b, workspace + at.a, &ready.b);
  if (status == MFQ_OK) status = sum_products(lent, &ready, sums);
  if (status == MFQ_OK) status = mfq_cuda_finish(lent, &ready.finish, mfq_gemm_factor_views(&ready), &all, sums);
  if (status == MFQ_OK && problem->finish.is_d_quantized)
    status = mfq_cuda_finish_quantize(lent, &problem->finish, sums);
  return status;
}

mfq_status run(mfq_context *context, const void *, const void *of, uint8_t *workspace) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const parts at = parts_of(problem);
  mfq_cuda_lent lent;
  const mfq_status status =
      run_lent(mfq_cuda_lend(context, workspace + at.a + at.b + at.sums, &lent), problem, workspace);
  mfq_cuda_lend_end(context, &lent);
  return status;
}

} // namespace

const mfq_way mfq_cuda_gemm_general = {"general", plan, run, NULL};
