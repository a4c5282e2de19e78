/* cuda/gemm/tile/mma_tile.cu: our own products of tiles: where cuBLASLt is missing, what the folded product leaves, and
 * groups whose scales bf16 does not hold. */
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

/* Why tiles of `columns` columns are not for a problem, whatever its operands. */
static const char *refuse_tiles(const mfq_context *context, const mfq_gemm_problem *problem, int32_t columns) {
  if (mfq_cuda_state_of(context)->capability < 80)
    return "matrix instructions on bf16 came with compute capability 8.0";
  const int64_t limit = INT32_MAX, a = tiles_of(problem->m), b = mfq_ceil_div(problem->n, columns);
  const int is_more = a > limit || problem->n > limit - TILE_ROWS || a * b > limit || a * b * problem->batches > limit;
  return is_more ? "more than 2^31 tiles" : NULL;
}

const char *mfq_cuda_gemm_tile_refuses(const mfq_context *context, const mfq_gemm_problem *problem) {
  const char *why = refuse_tiles(context, problem, TILE_ROWS);
  if (why != NULL || problem->round_operands) return why;
  return mfq_gemm_sides_refuse_bf16(&problem->a, &problem->b);
}

/* ---- Launches ---------------------------------------------------------------------------------------------------- */

/* What sums become: elements of a type, columns so far apart. */
struct sums_target {
  mfq_dtype dtype;
  int64_t column;
};
const sums_target plain_sums = {MFQ_DTYPE_F32, 1};

/* Fills where the sums of tiles of `columns` columns go. Returns the blocks. */
static unsigned plan_grid(const mfq_gemm_problem *problem, const mfq_cuda_sums &at, const sums_target &to,
                          int32_t columns, mma_tile_params *p) {
  p->grid.tiles_a = (int32_t)tiles_of(at.rows);
  p->grid.tiles_b = (int32_t)mfq_ceil_div(problem->n, columns);
  p->grid.parts = 1;
  p->grid.columns = (int32_t)problem->n;
  p->grid.to = element_view{(uint8_t *)at.data, (int32_t)to.dtype};
  p->grid.to_column = to.column;
  const uintptr_t pair = 2 * mfq_dtype_bytes(to.dtype);
  const int64_t odd = (int64_t)((uintptr_t)at.data % pair != 0) | at.batch_stride | at.row_stride;
  p->grid.is_paired = to.column == 1 && odd % 2 == 0;
  p->to_batch = at.batch_stride;
  p->to_row = at.row_stride;
  p->first_batch = at.first_batch;
  p->first_row = at.first_row;
  p->rows = at.rows;
  return (unsigned)(at.batches * p->grid.tiles_a * p->grid.tiles_b);
}

static mfq_status launch(mfq_context *context, const mfq_gemm_problem *problem, const mfq_cuda_tile_flags *flags,
                         const mfq_cuda_sums &at, const sums_target &to) {
  mma_tile_params p = {};
  p.a = plan_side(&problem->a, flags->a);
  p.b = plan_side(&problem->b, flags->b);
  p.is_marked = flags->a != NULL || flags->b != NULL;
  const mfq_launch grid = {"mfq_gemm_run", dim3(plan_grid(problem, at, to, TILE_ROWS, &p)), TILE_THREADS, 0};
  return mfq_cuda_launch(context, grid, mma_product_kernel<matrix_units>, p);
}

mfq_status mfq_cuda_gemm_tile_slabs(mfq_context *context, const mfq_gemm_problem *problem,
                                    const mfq_cuda_tile_flags *flags, const mfq_cuda_sums *sums) {
  return launch(context, problem, flags, *sums, plain_sums);
}

/* Memory of sums that are D's own. */
static mfq_cuda_sums sums_of_d(const mfq_gemm_problem *problem, const mfq_cuda_sums *rows) {
  const mfq_matrix *d = &problem->finish.d;
  const int64_t first = mfq_matrix_offset(d, rows->first_batch) + rows->first_row * d->stride[0];
  mfq_cuda_sums at = *rows;
  at.data = (float *)(void *)((uint8_t *)d->data + first * (int64_t)mfq_dtype_bytes(d->dtype));
  at.batch_stride = d->batch_rank ? d->batch_stride[0] : 0;
  at.row_stride = d->stride[0];
  return at;
}

static sums_target target_of_d(const mfq_gemm_problem *problem) {
  return sums_target{problem->finish.d.dtype, problem->finish.d.stride[1]};
}

mfq_status mfq_cuda_gemm_tile_d(mfq_context *context, const mfq_gemm_problem *problem, const mfq_cuda_tile_flags *flags,
                                const mfq_cuda_sums *rows) {
  return launch(context, problem, flags, sums_of_d(problem, rows), target_of_d(problem));
}

/* ---- Groups with scales of their own ----------------------------------------------------------------------------- */

/* The side as its codes alone; its zero points belong to them. */
static mfq_gemm_side without_scales(const mfq_gemm_side *side) {
  mfq_gemm_side codes = *side;
  codes.view.q.scheme.scale = MFQ_SCALE_NONE;
  return codes;
}

/* Whether scales are multiplied behind the sums of groups: where bf16 does not hold the values, but those of codes. */
static int is_promoted(const mfq_gemm_side *side) {
  return side->kind != MFQ_SIDE_PLAIN && side->group != 0 && mfq_gemm_side_refuses_bf16(side) != NULL;
}

static const char *refuse_groups_of(const mfq_gemm_side *side) {
  if (!is_promoted(side)) return mfq_gemm_side_refuses_bf16(side);
  if (side->group % MMA_DEPTH != 0 && side->group < side->depth) return "groups are no multiples of 32";
  const mfq_gemm_side codes = without_scales(side);
  return mfq_gemm_side_refuses_bf16(&codes);
}

static const char *refuse_groups(const mfq_context *context, const mfq_gemm_problem *problem) {
  const char *why = refuse_tiles(context, problem, matrix_groups::shape::COLUMNS);
  if (why != NULL) return why;
  if (problem->round_operands) return "operands may be rounded to bf16, which is faster";
  if (!is_promoted(&problem->a) && !is_promoted(&problem->b)) return "no groups with scales that bf16 does not hold";
  why = refuse_groups_of(&problem->a);
  return why != NULL ? why : refuse_groups_of(&problem->b);
}

/* Pieces that share a scale. */
static int64_t pieces_of(const mfq_gemm_side *side) {
  const int64_t all = mfq_larger(mfq_ceil_div(side->depth, MMA_DEPTH), 1);
  return is_promoted(side) && side->group < side->depth ? side->group / MMA_DEPTH : all;
}

static mfq_status launch_groups(mfq_context *context, const mfq_gemm_problem *problem, const mfq_cuda_sums &at,
                                const sums_target &to) {
  mma_groups_params p = {};
  const mfq_gemm_side *const sides[] = {&problem->a, &problem->b};
  for (int i = 0; i < 2; ++i) {
    const int promoted = is_promoted(sides[i]);
    const mfq_gemm_side codes = without_scales(sides[i]);
    (i == 0 ? p.a : p.b) = plan_side(promoted ? &codes : sides[i], NULL);
    if (promoted) p.scaled[i] = mfq_cuda_side_params(sides[i]);
  }
  p.period = (int32_t)mfq_common_divisor(pieces_of(&problem->a), pieces_of(&problem->b));
  const unsigned blocks = plan_grid(problem, at, to, matrix_groups::shape::COLUMNS, &p);
  const mfq_launch grid = {"mfq_gemm_run", dim3(blocks), TILE_THREADS, 0};
  return mfq_cuda_launch(context, grid, mma_groups_kernel<matrix_groups>, p);
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

static mfq_status plan_groups(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const char *refused = refuse_groups(context, problem);
  if (refused != NULL) return mfq_refuse(reason, "%s", refused);
  choice->workspace_bytes = layout(problem).end;
  mfq_choice_describe(choice, "codes in bf16 by our own kernel, tiles of %d x %d, scales behind the sums of groups",
                      (int)TILE_ROWS, (int)matrix_groups::shape::COLUMNS);
  return MFQ_OK;
}

static const mfq_cuda_tile_flags everything = {NULL, NULL};

static mfq_status queue_units(mfq_context *own, const mfq_gemm_problem *p, const mfq_cuda_sums &at,
                              const sums_target &to) {
  return launch(own, p, &everything, at, to);
}

/* Either kernel, and the finish where D is not the sums. */
typedef mfq_status (*queue_tiles)(mfq_context *, const mfq_gemm_problem *, const mfq_cuda_sums &, const sums_target &);

static mfq_status run_by(queue_tiles queue, mfq_context *context, const mfq_gemm_problem *problem, uint8_t *workspace) {
  const tile_workspace at = layout(problem);
  float *sums = (float *)(void *)(workspace + at.sums);
  return mfq_cuda_gemm_run(context, problem, at.operands, workspace, [&](mfq_context *own, const mfq_gemm_problem *p) {
    const mfq_cuda_sums all = {sums, p->m * p->n, p->n, 0, p->batches, 0, p->m};
    if (writes_d(p)) return queue(own, p, sums_of_d(p, &all), target_of_d(p));
    const mfq_status status = queue(own, p, all, plain_sums);
    return status == MFQ_OK ? mfq_cuda_finish_all(own, &p->finish, mfq_gemm_factor_views(p), sums) : status;
  });
}

static mfq_status run(mfq_context *context, const void *, const void *of, uint8_t *workspace) {
  return run_by(queue_units, context, (const mfq_gemm_problem *)of, workspace);
}

static mfq_status run_groups(mfq_context *context, const void *, const void *of, uint8_t *workspace) {
  return run_by(launch_groups, context, (const mfq_gemm_problem *)of, workspace);
}

const mfq_way mfq_cuda_gemm_tile = {"tile", plan, run, NULL};
const mfq_way mfq_cuda_gemm_groups = {"groups", plan_groups, run_groups, NULL};
