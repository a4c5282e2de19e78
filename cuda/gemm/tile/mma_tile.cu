/* cuda/gemm/tile/mma_tile.cu: our own product of tiles: where cuBLASLt is missing, and what the folded product leaves. */
#include "mma_tile.h"

#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "mma_tile_kernel.cuh"
#include "cuda/gemm/gemm_run.h"

static_assert((int)MFQ_CUDA_TILE == (int)TILE_ROWS, "slabs are tiles");

static int64_t tiles_of(int64_t rows) { return mfq_ceil_div(rows, TILE_ROWS); }

/* ---- Operands ---------------------------------------------------------------------------------------------------- */

static tile_side plan_side(const mfq_gemm_side *side, const uint32_t *flags) {
  tile_side s = {};
  s.part = mfq_cuda_side_params(side);
  const side_params &p = s.part;
  mfq_unit_axis k = {side->depth, p.stride[1], (int64_t)p.depth_run.value, p.scale_stride[2], side->depth, 1, 0, 0};
  if (side->rows > 1) k.others |= p.stride[0];
  for (int32_t d = 0; d < p.batch_rank; ++d) k.others |= p.batch_stride[d];
  for (int i = 0; i < 2; ++i) k.other_scales |= p.scale_stride[i];
  static_cast<unit_way &>(s) = mfq_cuda_unit_way(side, p, k);
  s.flags = flags;
  s.slabs = (int32_t)tiles_of(side->rows);
  return s;
}

const char *mfq_cuda_gemm_tile_refuses(const mfq_context *context, const mfq_gemm_problem *problem) {
  if (mfq_cuda_state_of(context)->capability < 80)
    return "matrix instructions on bf16 came with compute capability 8.0";
  const int64_t limit = INT32_MAX, a = tiles_of(problem->m), b = tiles_of(problem->n);
  if (a > limit || problem->n > limit - TILE_ROWS || a * b > limit || a * b * problem->batches > limit)
    return "more than 2^31 tiles";
  return problem->round_operands ? NULL : mfq_gemm_sides_refuse_bf16(&problem->a, &problem->b);
}

/* ---- Launches ---------------------------------------------------------------------------------------------------- */

/* Sums go to memory of any dtype at `at.data`, columns `to_column` apart. */
static mfq_status launch(mfq_context *context, const mfq_gemm_problem *problem, const mfq_cuda_tile_flags *flags,
                         const mfq_cuda_sums &at, mfq_dtype dtype, int64_t to_column) {
  mma_tile_params p = {};
  p.a = plan_side(&problem->a, flags->a);
  p.b = plan_side(&problem->b, flags->b);
  p.is_marked = flags->a != NULL || flags->b != NULL;
  p.grid.tiles_a = (int32_t)tiles_of(at.rows);
  p.grid.tiles_b = (int32_t)tiles_of(problem->n);
  p.grid.parts = 1;
  p.grid.columns = (int32_t)problem->n;
  p.grid.to = element_view{(uint8_t *)at.data, (int32_t)dtype};
  p.grid.to_column = to_column;
  const uintptr_t pair = 2 * mfq_dtype_bytes(dtype);
  const int64_t odd = (int64_t)((uintptr_t)at.data % pair != 0) | at.batch_stride | at.row_stride;
  p.grid.is_paired = to_column == 1 && odd % 2 == 0;
  p.to_batch = at.batch_stride;
  p.to_row = at.row_stride;
  p.first_batch = at.first_batch;
  p.first_row = at.first_row;
  p.rows = at.rows;
  const int64_t blocks = at.batches * p.grid.tiles_a * p.grid.tiles_b;
  const mfq_launch grid = {"mfq_gemm_run", dim3((unsigned)blocks), TILE_THREADS, 0};
  return mfq_cuda_launch(context, grid, mma_product_kernel<matrix_units>, p);
}

mfq_status mfq_cuda_gemm_tile_slabs(mfq_context *context, const mfq_gemm_problem *problem,
                                    const mfq_cuda_tile_flags *flags, const mfq_cuda_sums *sums) {
  return launch(context, problem, flags, *sums, MFQ_DTYPE_F32, 1);
}

mfq_status mfq_cuda_gemm_tile_d(mfq_context *context, const mfq_gemm_problem *problem, const mfq_cuda_tile_flags *flags,
                                const mfq_cuda_sums *rows) {
  const mfq_matrix *d = &problem->finish.d;
  const int64_t first = mfq_matrix_offset(d, rows->first_batch) + rows->first_row * d->stride[0];
  mfq_cuda_sums at = *rows;
  at.data = (float *)(void *)((uint8_t *)d->data + first * (int64_t)mfq_dtype_bytes(d->dtype));
  at.batch_stride = d->batch_rank ? d->batch_stride[0] : 0;
  at.row_stride = d->stride[0];
  return launch(context, problem, flags, at, d->dtype, d->stride[1]);
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

struct tile_workspace {
  mfq_cuda_operands operands;
  size_t sums, end;
};

static int writes_d(const mfq_gemm_problem *problem) {
  return mfq_finish_is_bare(&problem->finish) && problem->finish.d.batch_rank <= 1;
}

static tile_workspace layout(const mfq_gemm_problem *problem) {
  tile_workspace at = {};
  at.operands = mfq_cuda_gemm_take(problem, &at.end);
  const int64_t sums = writes_d(problem) ? 0 : problem->batches * problem->m * problem->n;
  at.sums = mfq_workspace_take(&at.end, (size_t)sums * sizeof(float));
  return at;
}

static mfq_status plan(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const char *refused = mfq_cuda_gemm_tile_refuses(context, problem);
  if (refused != NULL) return mfq_refuse(reason, "%s", refused);
  choice->workspace_bytes = layout(problem).end;
  mfq_choice_describe(choice, "bf16 by our own kernel, tiles of %d x %d", (int)TILE_ROWS, (int)TILE_ROWS);
  return MFQ_OK;
}

static mfq_status run_ready(mfq_context *own, const mfq_gemm_problem *p, float *memory) {
  const mfq_cuda_tile_flags everything = {NULL, NULL};
  const mfq_cuda_sums all = {memory, p->m * p->n, p->n, 0, p->batches, 0, p->m};
  if (writes_d(p)) return mfq_cuda_gemm_tile_d(own, p, &everything, &all);
  const mfq_status status = mfq_cuda_gemm_tile_slabs(own, p, &everything, &all);
  return status == MFQ_OK ? mfq_cuda_finish_all(own, &p->finish, mfq_gemm_factor_views(p), memory) : status;
}

static mfq_status run(mfq_context *context, const void *, const void *of, uint8_t *workspace) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const tile_workspace at = layout(problem);
  float *sums = (float *)(void *)(workspace + at.sums);
  return mfq_cuda_gemm_run(context, problem, at.operands, workspace,
                           [&](mfq_context *own, const mfq_gemm_problem *p) { return run_ready(own, p, sums); });
}

const mfq_way mfq_cuda_gemm_tile = {"tile", plan, run, NULL};
