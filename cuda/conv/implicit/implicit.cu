/* cuda/conv/implicit/implicit.cu: convolutions by tiles of bf16 on mma: nothing is unfolded, and packed operands stay packed; and
 * the running of those by other instructions.
 *
 * Workspace: what operands that are quantized on the way take (their codes and scales), MFQ_CUDA_SCRATCH_BYTES to
 * quantize them, and sums: none where they are the result but for its dtype, otherwise those of a step, at most
 * IMPLICIT_SUMS_BYTES; but all of them where the result is quantized, whose scales may need every one, and those of one
 * pixel, or of one output channel's filter, where that alone is more. */
#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "cuda/product/side_params.h"
#include "implicit.h"

#include "cuda/gemm/cublaslt/cublaslt.h"
#include "implicit_kernel.cuh"

namespace {

/* Sums of one step: they are read again soon, and the caches of an A100 hold 40 MiB. */
enum { IMPLICIT_SUMS_BYTES = 32 << 20 };

enum {
  IMPLICIT_LEAST_DEPTH = 256, /* of a part */
  IMPLICIT_MOST_PARTS = 64
};

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

/* Tiles of a launch, whose box is taken. */
void count_tiles(const mfq_conv_problem *problem, const mfq_implicit_tile &tile, implicit_params *p) {
  int64_t rows = p->size[0];
  for (int i = 0; i < 3; ++i) rows *= mfq_ceil_div(p->size[1 + i], p->axis[i].divisor);
  if (mfq_implicit_is_by_pixels(problem)) {
    rows = (int64_t)p->units.value * UNIT;
    for (int i = 0; i < 3; ++i) rows *= p->axis[i].filter;
  }
  p->grid.tiles_a = (int32_t)mfq_ceil_div(rows, TILE_ROWS);
  p->grid.tiles_b = (int32_t)mfq_ceil_div(p->grid.columns, tile.columns);
}

double blocks_of(const implicit_params &p) {
  return (double)p.grid.tiles_a * p.grid.tiles_b * p.groups * p.phases * p.grid.parts;
}

/* Pieces of depth of a block. */
int64_t pieces_of(const mfq_conv_problem *problem, const mfq_implicit_tile &tile, const implicit_params &p) {
  if (mfq_implicit_is_by_pixels(problem)) return mfq_ceil_div(p.pixels, tile.depth);
  int64_t units = p.units.value;
  for (int i = 0; i < 3; ++i) units *= mfq_ceil_div(p.axis[i].filter, p.axis[i].tap_every);
  return mfq_ceil_div(units * UNIT, tile.depth);
}

/* How many parts of the depth keep the multiprocessors busy, where tiles alone do not. */
int32_t parts_of(const mfq_context *context, const mfq_implicit_tile &tile, const implicit_params &p, int64_t pieces,
                 int64_t sum_bytes) {
  const int64_t most = IMPLICIT_MOST_PARTS, deep = pieces * tile.depth / IMPLICIT_LEAST_DEPTH;
  const double wanted = (double)mfq_cuda_state_of(context)->processors * tile.blocks / blocks_of(p);
  int64_t parts = wanted > (double)most ? most : (int64_t)wanted;
  if (parts > deep) parts = deep;
  if (parts > IMPLICIT_SUMS_BYTES / sum_bytes) parts = IMPLICIT_SUMS_BYTES / sum_bytes;
  return parts < 1 ? 1 : (int32_t)parts;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* The tiles of a launch, whose box is taken. */
mfq_status launch(mfq_context *context, const mfq_conv_problem *problem, const mfq_implicit_tile &tile,
                  implicit_params *p) {
  count_tiles(problem, tile, p);
  const mfq_launch at = {"mfq_conv_run", dim3((unsigned)blocks_of(*p)), TILE_THREADS, (size_t)tile.shared_bytes};
  return mfq_cuda_launch(context, at, tile.kernel, *p);
}

/* A step through `memory`. */
mfq_status run_step(mfq_context *context, const mfq_conv_problem *problem, const mfq_implicit_plan &plan, int64_t index,
                    float *memory) {
  implicit_params p;
  const mfq_implicit_step step = mfq_cuda_implicit_step(&plan.steps, index);
  mfq_cuda_implicit_params(problem, &p);
  p.grid.parts = plan.parts;
  mfq_cuda_implicit_take_step(problem, &step, memory, &p);
  mfq_status status = launch(context, problem, plan.tile, &p);
  if (status == MFQ_OK) status = mfq_cuda_add_parts(context, memory, step.items, plan.parts, "mfq_conv_run");
  const mfq_cuda_sums sums = mfq_cuda_implicit_sums(problem, &step, memory);
  return status == MFQ_OK ? mfq_cuda_finish(context, &problem->finish, mfq_conv_factor_views(problem), &sums, memory)
                          : status;
}

mfq_status run_direct(mfq_context *context, const mfq_conv_problem *problem, const mfq_implicit_plan &plan) {
  implicit_params p;
  mfq_cuda_implicit_params(problem, &p);
  mfq_cuda_implicit_take_result(problem, &p);
  return launch(context, problem, plan.tile, &p);
}

mfq_status run_ready(mfq_context *context, const mfq_conv_problem *problem, const mfq_implicit_plan &plan,
                     float *memory) {
  if (plan.is_direct) return run_direct(context, problem, plan);
  mfq_status status = MFQ_OK;
  for (int64_t i = 0; status == MFQ_OK && i < plan.steps.count; ++i)
    status = run_step(context, problem, plan, i, memory);
  if (status != MFQ_OK || !problem->finish.is_d_quantized) return status;
  return mfq_cuda_finish_quantize(context, &problem->finish, memory);
}

} // namespace

int mfq_cuda_implicit_kind(const mfq_conv_problem *problem, const implicit_params *p) {
  if (mfq_implicit_is_by_pixels(problem)) return 2;
  return problem->direction == MFQ_CONV_INPUT_GRADIENT && p->b.unit_axis == CONV_CHANNELS;
}

const char *mfq_cuda_implicit_make_plan(mfq_context *context, const mfq_conv_problem *problem,
                                        const mfq_implicit_tile *tile, mfq_implicit_plan *plan) {
  implicit_params p;
  *plan = mfq_implicit_plan{};
  plan->tile = *tile;
  mfq_cuda_implicit_params(problem, &p);
  mfq_cuda_implicit_take_result(problem, &p);
  count_tiles(problem, *tile, &p);
  const mfq_implicit_steps whole = mfq_cuda_implicit_steps(problem, 0);
  const int64_t bytes = mfq_cuda_implicit_step(&whole, 0).items * (int64_t)sizeof(float);
  plan->parts = p.grid.parts = parts_of(context, *tile, p, pieces_of(problem, *tile, p), bytes);
  if (blocks_of(p) > INT32_MAX) return "more than 2^31 tiles";
  plan->is_direct = plan->parts == 1 && mfq_finish_is_bare(&problem->finish);
  const int is_whole = plan->is_direct || plan->parts > 1 || problem->finish.is_d_quantized;
  plan->steps = is_whole ? whole : mfq_cuda_implicit_steps(problem, IMPLICIT_SUMS_BYTES);
  plan->sides = mfq_cuda_conv_take(problem, &plan->end);
  const int64_t floats = mfq_cuda_implicit_step(&plan->steps, 0).items * plan->parts;
  plan->sums = mfq_workspace_take(&plan->end, plan->is_direct ? 0 : (size_t)floats * sizeof(float));
  return NULL;
}

mfq_status mfq_cuda_implicit_run(mfq_context *context, const mfq_conv_problem *problem, const mfq_implicit_plan *plan,
                                 uint8_t *workspace) {
  float *sums = (float *)(void *)(workspace + plan->sums);
  return mfq_cuda_conv_run(
      context, problem, plan->sides, workspace,
      [&](mfq_context *own, const mfq_conv_problem *ready) { return run_ready(own, ready, *plan, sums); });
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

namespace {

template <int KIND, int COLUMNS> constexpr mfq_implicit_tile tile_of() {
  using Units = implicit_units<KIND, COLUMNS>;
  return {COLUMNS, MMA_DEPTH, Units::shape::BLOCKS, 0, mma_product_kernel<Units>};
}

/* By mfq_cuda_implicit_kind; the second row for columns that are wider than half a tile. */
const mfq_implicit_tile tiles[2][3] = {
    {tile_of<IMPLICIT_ALONG, 64>(), tile_of<IMPLICIT_ACROSS, 64>(), tile_of<IMPLICIT_PIXELS, 64>()},
    {tile_of<IMPLICIT_ALONG, 128>(), tile_of<IMPLICIT_ACROSS, 128>(), tile_of<IMPLICIT_PIXELS, 128>()}};

/* What operands are made of in memory, by IMPLICIT_*. */
const char *const sources[] = {"elements", "bf16", "codes"};

/* Returns NULL and a plan, or why another way is to be asked. */
const char *make_plan(mfq_context *context, const mfq_conv_problem *problem, mfq_implicit_plan *plan) {
  const char *refused = mfq_cuda_implicit_refuses(context, problem);
  if (refused != NULL) return refused;
  implicit_params p;
  mfq_cuda_implicit_params(problem, &p);
  mfq_line missing;
  if (mfq_cuda_implicit_is_slow(&p) && mfq_cublaslt_open(context, &missing) != NULL)
    return "channels are no aligned neighbours in memory: unfolded once, not loaded for every tile";
  const int is_wide = (p.columns - 1) % 128 >= 64;
  return mfq_cuda_implicit_make_plan(context, problem, &tiles[is_wide][mfq_cuda_implicit_kind(problem, &p)], plan);
}

mfq_status plan_way(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_conv_problem *problem = (const mfq_conv_problem *)of;
  const mfq_status status = mfq_choice_state(context, "mfq_conv_plan_create", sizeof(mfq_implicit_plan), choice);
  if (status != MFQ_OK) return status;
  mfq_implicit_plan *plan = (mfq_implicit_plan *)choice->state;
  const char *refused = make_plan(context, problem, plan);
  if (refused != NULL) return mfq_refuse(reason, "%s", refused);
  choice->workspace_bytes = plan->end;
  implicit_params p;
  mfq_cuda_implicit_params(problem, &p);
  mfq_choice_describe(choice, "%s x %s as bf16 by our own kernel, tiles of %d x %d, depth in %d parts, %lld steps",
                      sources[p.a.source], sources[p.b.source], (int)TILE_ROWS, (int)plan->tile.columns,
                      (int)plan->parts, (long long)plan->steps.count);
  return MFQ_OK;
}

mfq_status run_way(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const mfq_conv_problem *problem = (const mfq_conv_problem *)of;
  return mfq_cuda_implicit_run(context, problem, (const mfq_implicit_plan *)state, workspace);
}

} // namespace

const mfq_way mfq_cuda_conv_implicit = {"implicit", plan_way, run_way, NULL};
