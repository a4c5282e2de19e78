/* cuda/product/mma_tile.cu: our own product of tiles: where cuBLASLt is missing, and what the folded product leaves. */
#include "mma_tile.h"

#include "cuda/launch.cuh"
#include "mma_tile_kernel.cuh"
#include "cuda/gemm/operand_plan.h"
#include "cuda/gemm/side_params.h"

static_assert((int)MFQ_CUDA_TILE == (int)TILE_SIDE, "slabs are tiles");

static int64_t tiles_of(int64_t rows) { return (rows + TILE_SIDE - 1) / TILE_SIDE; }

/* ---- Operands ---------------------------------------------------------------------------------------------------- */

/* Whether all rows of all batches start at multiples of `bytes`; offsets in `unit` bits. */
static int rows_are_aligned(const side_params &p, const void *memory, int64_t unit, int64_t bytes) {
  int64_t all = (int64_t)((uintptr_t)memory % (uintptr_t)bytes) * 8 | (p.rows > 1 ? p.stride[0] * unit : 0);
  for (int32_t d = 0; d < p.batch_rank; ++d) all |= p.batch_stride[d] * unit;
  return all % (bytes * 8) == 0;
}

static tile_side plan_side(const mfq_gemm_side *side) {
  tile_side s = {};
  s.side = mfq_cuda_side_params(side);
  s.slabs = (int32_t)tiles_of(side->rows);
  s.source = TILE_ELEMENTS;
  if (side->kind == MFQ_SIDE_PLAIN) {
    const int is_bf16 = side->matrix.dtype == MFQ_DTYPE_BF16 && s.side.stride[1] == 1;
    if (is_bf16 && rows_are_aligned(s.side, s.side.plain.data, 16, 16)) s.source = TILE_BF16;
    return s;
  }
  if (!mfq_cuda_widen_format(side, &s.format)) return s;
  const int32_t bits = s.format.bits;
  const int one_scale = side->group == 0 || (side->group % 16 == 0 && mfq_cuda_widens_scale(side, &s.format));
  if (one_scale && s.side.stride[1] == bits && rows_are_aligned(s.side, s.side.codes, 1, bits == 6 ? 4 : 2 * bits))
    s.source = TILE_CODES;
  return s;
}

const char *mfq_cuda_gemm_tile_refuses(const mfq_context *context, const mfq_gemm_problem *problem) {
  if (mfq_cuda_state_of(context)->capability < 80)
    return "matrix instructions on bf16 came with compute capability 8.0";
  const int64_t limit = INT32_MAX, a = tiles_of(problem->m), b = tiles_of(problem->n);
  if (a > limit || b > limit || a * b > limit || a * b * problem->batches > limit) return "more than 2^31 tiles";
  return problem->round_operands ? NULL : mfq_gemm_sides_refuse_bf16(&problem->a, &problem->b);
}

/* ---- Launches ---------------------------------------------------------------------------------------------------- */

/* Where sums go: memory of f32, or D itself. */
struct tile_target {
  element_view to;
  int64_t batch, stride[2];
  int64_t first_batch, batches, first_row, rows;
};

static mfq_status launch(mfq_context *context, const mfq_gemm_problem *problem, const mfq_cuda_tile_flags *flags,
                         const tile_target &target) {
  mma_tile_params p = {};
  p.a = plan_side(&problem->a);
  p.b = plan_side(&problem->b);
  p.a.flags = flags->a;
  p.b.flags = flags->b;
  p.is_marked = flags->a != NULL || flags->b != NULL;
  p.tiles_a = (int32_t)tiles_of(target.rows);
  p.tiles_b = (int32_t)tiles_of(problem->n);
  p.to = target.to;
  p.to_batch = target.batch;
  p.to_stride[0] = target.stride[0];
  p.to_stride[1] = target.stride[1];
  p.first_batch = target.first_batch;
  p.first_row = target.first_row;
  p.rows = target.rows;
  const int64_t blocks = target.batches * p.tiles_a * p.tiles_b;
  const mfq_launch at = {"mfq_gemm_run", dim3((unsigned)blocks), TILE_THREADS, 0};
  return mfq_cuda_launch(context, at, mma_tile_kernel, p);
}

mfq_status mfq_cuda_gemm_tile_slabs(mfq_context *context, const mfq_gemm_problem *problem,
                                    const mfq_cuda_tile_flags *flags, const mfq_cuda_sums *sums) {
  const tile_target target = {{(uint8_t *)sums->data, ELEMENT_F32},
                              sums->batch_stride,
                              {sums->row_stride, 1},
                              sums->first_batch,
                              sums->batches,
                              sums->first_row,
                              sums->rows};
  return launch(context, problem, flags, target);
}

mfq_status mfq_cuda_gemm_tile_d(mfq_context *context, const mfq_gemm_problem *problem, const mfq_cuda_tile_flags *flags,
                                const mfq_cuda_sums *rows) {
  const mfq_matrix *d = &problem->finish.d;
  const int64_t first = mfq_matrix_offset(d, rows->first_batch) + rows->first_row * d->stride[0];
  uint8_t *memory = (uint8_t *)d->data + first * (int64_t)mfq_dtype_bytes(d->dtype);
  const tile_target target = {
      {memory, (int32_t)d->dtype}, 0, {d->stride[0], d->stride[1]}, rows->first_batch, 1, rows->first_row, rows->rows};
  return launch(context, problem, flags, target);
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

/* Parts of the workspace, in their order. */
struct tile_workspace {
  size_t scratch, a, b, sums, end;
};

static int writes_d(const mfq_gemm_problem *problem) {
  return mfq_finish_is_bare(&problem->finish) && problem->finish.d.batch_rank <= 1;
}

static tile_workspace layout(const mfq_gemm_problem *problem) {
  tile_workspace at = {};
  const int quantizes = problem->a.kind == MFQ_SIDE_TO_QUANTIZE || problem->b.kind == MFQ_SIDE_TO_QUANTIZE ||
                        problem->finish.is_d_quantized;
  at.a = at.scratch + (quantizes ? (size_t)MFQ_CUDA_SCRATCH_BYTES : 0);
  at.b = at.a + mfq_gemm_side_bytes(&problem->a);
  at.sums = at.b + mfq_gemm_side_bytes(&problem->b);
  at.end = at.sums;
  if (!writes_d(problem)) at.end += (size_t)(problem->batches * problem->m * problem->n) * sizeof(float);
  return at;
}

static mfq_status plan(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const char *refused = mfq_cuda_gemm_tile_refuses(context, problem);
  if (refused != NULL) return mfq_refuse(reason, "%s", refused);
  choice->workspace_bytes = layout(problem).end;
  mfq_choice_describe(choice, "bf16 by our own kernel, tiles of %d x %d", (int)TILE_SIDE, (int)TILE_SIDE);
  return MFQ_OK;
}

/* The product straight into D. */
static mfq_status run_bare(mfq_context *context, const mfq_gemm_problem *problem) {
  const mfq_matrix *d = &problem->finish.d;
  const mfq_cuda_tile_flags all = {NULL, NULL};
  const tile_target target = {{(uint8_t *)d->data, (int32_t)d->dtype},
                              d->batch_rank ? d->batch_stride[0] : 0,
                              {d->stride[0], d->stride[1]},
                              0,
                              problem->batches,
                              0,
                              problem->m};
  return launch(context, problem, &all, target);
}

static mfq_status run_through(mfq_context *context, const mfq_gemm_problem *problem, float *memory) {
  const mfq_cuda_tile_flags all = {NULL, NULL};
  const mfq_cuda_sums sums = {memory, problem->m * problem->n, problem->n, 0, problem->batches, 0, problem->m};
  mfq_status status = mfq_cuda_gemm_tile_slabs(context, problem, &all, &sums);
  if (status == MFQ_OK)
    status = mfq_cuda_finish(context, &problem->finish, mfq_gemm_factor_views(problem), &sums, memory);
  if (status == MFQ_OK && problem->finish.is_d_quantized)
    status = mfq_cuda_finish_quantize(context, &problem->finish, memory);
  return status;
}

static mfq_status run(mfq_context *context, const void *, const void *of, uint8_t *workspace) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const tile_workspace at = layout(problem);
  mfq_cuda_lent lent;
  mfq_context *own = mfq_cuda_lend(context, workspace + at.scratch, &lent);
  mfq_gemm_problem ready = *problem;
  mfq_status status = mfq_cuda_side_ready(own, &problem->a, workspace + at.a, &ready.a);
  if (status == MFQ_OK) status = mfq_cuda_side_ready(own, &problem->b, workspace + at.b, &ready.b);
  if (status == MFQ_OK)
    status =
        writes_d(problem) ? run_bare(own, &ready) : run_through(own, &ready, (float *)(void *)(workspace + at.sums));
  mfq_cuda_lend_end(context, &lent);
  return status;
}

const mfq_way mfq_cuda_gemm_tile = {"tile", plan, run, NULL};
