/* cuda/gemm/gemm_general.cu: the last way of the list: every product, reproducible. */
#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "gemm_general_kernel.cuh"
#include "gemm_run.h"

namespace {

struct parts {
  mfq_cuda_operands operands;
  size_t sums, end;
};

parts parts_of(const mfq_gemm_problem *p) {
  parts at = {};
  at.operands = mfq_cuda_gemm_take(p, &at.end);
  at.sums = mfq_workspace_take(&at.end, (size_t)(p->batches * p->m * p->n) * sizeof(float));
  return at;
}

mfq_status plan(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  (void)context;
  (void)reason;
  choice->is_general = 1;
  choice->workspace_bytes = parts_of(problem).end;
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

mfq_status run(mfq_context *context, const void *, const void *of, uint8_t *workspace) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const parts at = parts_of(problem);
  float *sums = (float *)(workspace + at.sums);
  return mfq_cuda_gemm_run(context, problem, at.operands, workspace, [&](mfq_context *own, const mfq_gemm_problem *p) {
    const mfq_status status = sum_products(own, p, sums);
    return status == MFQ_OK ? mfq_cuda_finish_all(own, &p->finish, mfq_gemm_factor_views(p), sums) : status;
  });
}

} // namespace

const mfq_way mfq_cuda_gemm_general = {"general", plan, run, NULL};
