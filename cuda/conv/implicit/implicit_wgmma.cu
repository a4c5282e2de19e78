/* cuda/conv/implicit/implicit_wgmma.cu: convolutions by tiles on the matrix instructions of warpgroups, of operands that are
 * widened to bf16 before: every element meets many taps and columns, and to widen it for each would take longer.
 *
 * Workspace: 2 bytes an element of the operands that are not bf16 in whole units where they lie (at most
 * WIDE_OPERAND_BYTES where batch_part.cu cannot take fewer images), what those take that are quantized on the way,
 * MFQ_CUDA_SCRATCH_BYTES for that, and what implicit.cu has for sums. */
#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "implicit.h"
#include "implicit_wgmma_kernel.cuh"
#include "widen_units_kernel.cuh"

namespace {

/* Operands that are made bf16 first take at most so much workspace. */
enum : int64_t { WIDE_OPERAND_BYTES = (int64_t)2 << 30 };

template <int KIND, int COLUMNS> constexpr mfq_implicit_tile tile_of() {
  using Stages = implicit_stages<KIND, COLUMNS>;
  return {COLUMNS, STAGE_DEPTH, STAGE_BLOCKS, Stages::shape::SHARED_BYTES, wgmma_product_kernel<Stages>};
}

/* By mfq_cuda_implicit_kind; the second row for columns that are wider than half a tile. */
const mfq_implicit_tile tiles[2][3] = {
    {tile_of<IMPLICIT_ALONG, 64>(), tile_of<IMPLICIT_ACROSS, 64>(), tile_of<IMPLICIT_PIXELS, 64>()},
    {tile_of<IMPLICIT_ALONG, 128>(), tile_of<IMPLICIT_ACROSS, 128>(), tile_of<IMPLICIT_PIXELS, 128>()}};

/* Asks for the shared memory that a kernel needs. Whether there is one: not in a build without code for sm_90a. */
int is_there(const mfq_implicit_tile &tile) {
  int blocks = 0;
  cudaError_t error = cudaFuncSetAttribute(tile.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, tile.shared_bytes);
  if (error == cudaSuccess)
    error =
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, tile.kernel, TILE_THREADS, (size_t)tile.shared_bytes);
  if (error != cudaSuccess) (void)cudaGetLastError();
  return error == cudaSuccess && blocks > 0;
}

/* ---- Operands that are widened once, where many taps would each do it ------------------------------------------- */

enum { WIDEN_THREADS = 256 };

/* The gathered or the direct operand of an implicit product, and how it is cut into units. */
struct unit_rows {
  const mfq_conv_side *side;
  conv_units from;
  int64_t channels, groups; /* along from.unit_axis; of one group, and how many of these */
};

unit_rows gathered_units(const mfq_conv_problem *problem, const implicit_params *p) {
  return unit_rows{mfq_conv_gathered(problem), p->a, p->channels, problem->groups};
}

unit_rows direct_units(const mfq_conv_problem *problem, const implicit_params *p) {
  const mfq_conv_side *side = mfq_conv_direct(problem);
  if (problem->direction == MFQ_CONV_WEIGHT_GRADIENT) return unit_rows{side, p->b, p->columns, problem->groups};
  if (p->b.unit_axis == 0) return unit_rows{side, p->b, p->channels, problem->groups};
  return unit_rows{side, p->b, problem->in_channels, 1};
}

int is_in_place(const unit_rows *rows) { return rows->from.source == UNIT_BF16 && rows->channels % UNIT == 0; }

int64_t units_of(const unit_rows *rows) { return mfq_ceil_div(rows->channels, UNIT); }

/* Units in all. */
int64_t items_of(const unit_rows *rows) {
  int64_t items = rows->groups * units_of(rows);
  for (int i = 0; i < CONV_AXES; ++i)
    if (i != rows->from.unit_axis) items *= rows->side->size[i];
  return items;
}

/* Bytes of it as dense bf16; 0: it is bf16 in whole and aligned units where it lies. */
size_t bytes_of(const unit_rows *rows) {
  return is_in_place(rows) ? 0 : (size_t)items_of(rows) * UNIT * sizeof(uint16_t);
}

/* Fills `side`, another one than the operand's, with what kernels read then: the operand as it lies, or a plain one in
 * `memory`. Its channels are apart as far as whole units of every group make them. */
void take_side(const unit_rows *rows, void *memory, mfq_conv_side *side) {
  *side = *rows->side;
  if (is_in_place(rows)) return;
  side->part.kind = MFQ_SIDE_PLAIN;
  side->part.tensor.data = memory;
  side->part.tensor.dtype = MFQ_DTYPE_BF16;
  int64_t stride = rows->groups * units_of(rows) * UNIT;
  for (int i = CONV_AXES - 1; i >= 0; --i) {
    side->stride[i] = i == rows->from.unit_axis ? 1 : stride;
    if (i != rows->from.unit_axis) stride *= side->size[i];
  }
}

/* Queues the widening into `memory`, if there is any. */
mfq_status widen(mfq_context *lent, const unit_rows *rows, void *memory) {
  widen_units_params p = {};
  p.items = items_of(rows);
  if (is_in_place(rows) || p.items == 0) return MFQ_OK;
  p.from = rows->from;
  p.to = (uint8_t *)memory;
  int others = 0;
  for (int i = 0; i < CONV_AXES; ++i) {
    if (i == rows->from.unit_axis) continue;
    p.axis[others] = i;
    p.size[others++] = divisor64_make(rows->side->size[i]);
  }
  p.groups = divisor64_make(rows->groups);
  p.units = divisor64_make(units_of(rows));
  p.channels = rows->channels;
  p.is_across = rows->from.source == UNIT_ELEMENTS;
  const mfq_launch at = {"mfq_conv_run", dim3((unsigned)mfq_ceil_div(p.items, WIDEN_THREADS)), WIDEN_THREADS, 0};
  return mfq_cuda_launch(lent, at, widen_units_kernel, p);
}

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

struct wide_plan {
  mfq_implicit_plan tiles; /* of the widened problem; its workspace is the last part */
  mfq_conv_parts sides;
  size_t gathered, direct, rest, end;
};

/* The two operands of a problem, and the problem with what becomes of them. */
struct wide_problem {
  unit_rows gathered, direct;
  mfq_conv_problem widened;

  wide_problem(const mfq_conv_problem *problem, const wide_plan &plan, uint8_t *workspace) : widened(*problem) {
    implicit_params p;
    mfq_cuda_implicit_params(problem, &p);
    gathered = gathered_units(problem, &p);
    direct = direct_units(problem, &p);
    const mfq_conv_direction direction = problem->direction;
    take_side(&gathered, workspace + plan.gathered, direction == MFQ_CONV_INPUT_GRADIENT ? &widened.y : &widened.x);
    take_side(&direct, workspace + plan.direct, direction == MFQ_CONV_WEIGHT_GRADIENT ? &widened.y : &widened.w);
  }
};

/* About how often an element of the gathered operand is read. */
double reads_of(const mfq_conv_problem *problem, const implicit_params &p, int32_t columns) {
  double reads = (double)mfq_ceil_div(p.columns, columns);
  for (int i = 0; i < 3; ++i) {
    const int64_t taps = problem->filter[i], step = p.axis[i].out_step < taps ? p.axis[i].out_step : taps;
    reads *= (double)taps / (double)step;
  }
  return reads;
}

/* Returns NULL and a plan, or why another way is to be asked. */
const char *make_plan(mfq_context *context, const mfq_conv_problem *problem, wide_plan *plan) {
  *plan = wide_plan{};
  if (mfq_cuda_state_of(context)->capability != 90) return "only 9.0 has matrix instructions of warpgroups";
  const char *refused = mfq_cuda_implicit_refuses(context, problem);
  if (refused != NULL) return refused;
  implicit_params p;
  mfq_cuda_implicit_params(problem, &p);
  const mfq_implicit_tile &tile = tiles[(p.columns - 1) % 128 >= 64][mfq_cuda_implicit_kind(problem, &p)];
  if (!is_there(tile)) return "this build of libmfq_cuda has no machine code for sm_90a";
  const wide_problem wide(problem, *plan, NULL);
  const size_t gathered = bytes_of(&wide.gathered), direct = bytes_of(&wide.direct);
  if (gathered > 0 && p.a.source != UNIT_ELEMENTS && reads_of(problem, p, tile.columns) <= 1)
    return "elements meet one tap and one tile, and need not be widened before";
  if ((double)gathered + (double)direct > (double)WIDE_OPERAND_BYTES && !mfq_cuda_conv_splits(context, problem, 1))
    return "more than 2 GiB of operands as bf16";
  plan->sides = mfq_cuda_conv_take(problem, &plan->end);
  plan->gathered = mfq_workspace_take(&plan->end, gathered);
  plan->direct = mfq_workspace_take(&plan->end, direct);
  refused = mfq_cuda_implicit_make_plan(context, &wide.widened, &tile, &plan->tiles);
  plan->rest = mfq_workspace_take(&plan->end, plan->tiles.end);
  return refused;
}

mfq_status plan_way(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_conv_problem *problem = (const mfq_conv_problem *)of;
  const mfq_status status = mfq_choice_state(context, "mfq_conv_plan_create", sizeof(wide_plan), choice);
  if (status != MFQ_OK) return status;
  wide_plan *plan = (wide_plan *)choice->state;
  const char *refused = make_plan(context, problem, plan);
  if (refused != NULL) return mfq_refuse(reason, "%s", refused);
  choice->workspace_bytes = plan->end;
  const mfq_implicit_plan *steps = &plan->tiles;
  mfq_choice_describe(choice, "bf16 by wgmma, tiles of %d x %d, depth in %d parts, %lld steps", (int)TILE_ROWS,
                      (int)steps->tile.columns, (int)steps->parts, (long long)steps->steps.count);
  return MFQ_OK;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

mfq_status run_way(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const mfq_conv_problem *problem = (const mfq_conv_problem *)of;
  const wide_plan *plan = (const wide_plan *)state;
  return mfq_cuda_conv_run(context, problem, plan->sides, workspace,
                           [&](mfq_context *own, const mfq_conv_problem *ready) {
                             const wide_problem wide(ready, *plan, workspace);
                             mfq_status status = widen(own, &wide.gathered, workspace + plan->gathered);
                             if (status == MFQ_OK) status = widen(own, &wide.direct, workspace + plan->direct);
                             if (status == MFQ_OK)
                               status = mfq_cuda_implicit_run(own, &wide.widened, &plan->tiles, workspace + plan->rest);
                             return status;
                           });
}

} // namespace

const mfq_way mfq_cuda_conv_wgmma = {"warpgroups", plan_way, run_way, NULL};
