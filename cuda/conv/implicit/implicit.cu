/* cuda/conv/implicit/implicit.cu: convolutions by tiles of bf16 on mma: nothing is unfolded, and packed operands stay packed. */
#include "implicit.h"

#include "cuda/gemm/cublaslt/cublaslt.h"
#include "implicit_kernel.cuh"

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
