/* cuda/gemm/rows/weight_rows.cu: few rows of A times quantized weights: planning, and the launches around the kernel. */
#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "cuda/gemm/gemm_run.h"
#include "weight_rows_kernel.cuh"

namespace {

enum { ITEMS = 256, NO_GROUP_LOG2 = 30 };

/* ---- The kernels ------------------------------------------------------------------------------------------------- */

struct weight_kernel {
  int32_t bits, max_rows, is_partial;
  void (*kernel)(weight_rows_params);
  int32_t rows, slab, load, units, blocks; /* as in weight_shape */
};

template <int BITS, int COLS, bool IS_PARTIAL> constexpr weight_kernel kernel_of() {
  using Shape = weight_shape<BITS, COLS, IS_PARTIAL>;
  return {BITS,        8 * COLS,     IS_PARTIAL,   weight_rows_kernel<BITS, COLS, IS_PARTIAL>, Shape::ROWS, Shape::SLAB,
          Shape::LOAD, Shape::UNITS, Shape::BLOCKS};
}

const weight_kernel kernels[] = {
    kernel_of<4, 1, false>(), kernel_of<4, 4, false>(), kernel_of<4, 8, false>(), kernel_of<4, 1, true>(),
    kernel_of<4, 4, true>(),  kernel_of<4, 8, true>(),  kernel_of<6, 1, false>(), kernel_of<6, 4, false>(),
    kernel_of<6, 8, false>(), kernel_of<6, 1, true>(),  kernel_of<6, 4, true>(),  kernel_of<6, 8, true>(),
    kernel_of<8, 1, false>(), kernel_of<8, 4, false>(), kernel_of<8, 8, false>(), kernel_of<8, 1, true>(),
    kernel_of<8, 4, true>(),  kernel_of<8, 8, true>(),
};

/* The first whose rows suffice: they stand in that order. */
const weight_kernel *kernel_for(int32_t bits, int64_t m, int is_partial) {
  for (const weight_kernel &each : kernels)
    if (each.bits == bits && each.is_partial == is_partial && m <= each.max_rows) return &each;
  return NULL;
}

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

struct weight_plan {
  const weight_kernel *with;
  widen_format format;
  int32_t group_log2;
  int32_t splits;
  int32_t part;
  int is_direct;              /* A is read as it is */
  mfq_cuda_operands operands; /* of the workspace, like these: */
  size_t a, sums, end;        /* `a`: as bf16, where that is made */
};

int is_multiple(int64_t value, int64_t of) { return value % of == 0; }

/* log2 of the group, -1 for groups that are no powers of two; groups that hold all of K are one. */
int32_t group_log2(const mfq_gemm_side *b) {
  return b->group == 0 || b->group >= b->depth ? (int32_t)NO_GROUP_LOG2 : mfq_exact_log2(b->group);
}

const char *refuse_layout(const mfq_gemm_side *b, const weight_plan *plan) {
  const int64_t load = plan->with->load;
  if (b->code_bits[2] != plan->format.bits) return "codes of B do not lie along K";
  if (!is_multiple(b->code_bits[1], 8 * load) || (b->batches > 1 && !is_multiple(b->code_bits[0], 8 * load)) ||
      (uintptr_t)b->view.q.codes % (uintptr_t)load != 0)
    return load == 16 ? "rows of B's codes are not aligned to 16 bytes"
                      : "rows of B's codes are not aligned to 8 bytes";
  if (b->code_bits[1] / 8 > INT32_MAX / plan->with->rows) return "rows of B's codes are too long";
  if (b->view.sizes.scales_bytes > INT32_MAX || b->view.sizes.zero_points_bytes > INT32_MAX)
    return "B has more than 2^31 bytes of scales";
  if (b->group != 0 && b->scale_stride[2] != 1) return "scales of B do not lie along K";
  return NULL;
}

const char *refuse_weights(const mfq_gemm_problem *problem, weight_plan *plan) {
  const mfq_gemm_side *b = &problem->b;
  if (b->kind == MFQ_SIDE_PLAIN) return "B is not quantized";
  if (!mfq_cuda_widen_format(b, &plan->format) || !widen_is_common(plan->format))
    return "B's codes have no short way to bf16";
  const int is_partial = !mfq_cuda_widens_scale(b, &plan->format);
  if (is_partial) plan->format.scale = MFQN_SCALE_NONE;
  plan->with = kernel_for(plan->format.bits, problem->m, is_partial);
  plan->group_log2 = group_log2(b);
  if (plan->group_log2 < (is_partial ? 6 : 4))
    return is_partial ? "groups with scales beyond bf16 must be 64 * 2^k long" : "groups must be 16 * 2^k long";
  return refuse_layout(b, plan);
}

/* Whether the kernel can read A as it lies. */
int is_direct(const mfq_gemm_side *a) {
  if (a->kind != MFQ_SIDE_PLAIN || a->matrix.dtype != MFQ_DTYPE_BF16) return 0;
  const mfq_matrix *m = &a->matrix;
  const int64_t steps = m->stride[0] | (m->batch_rank == 1 ? m->batch_stride[0] : 0);
  return m->stride[1] == 1 && m->batch_rank <= 1 && is_multiple(a->depth, 16) && is_multiple(steps, 8) &&
         (uintptr_t)m->data % 16 == 0;
}

/* Blocks that a part of K has. */
int64_t blocks_of(const mfq_gemm_problem *problem, const weight_plan *plan) {
  return mfq_ceil_div(problem->n, plan->with->rows) * problem->batches;
}

/* How many parts of K keep the multiprocessors busy: fewest slabs one after the other, then fewest parts. */
void choose_parts(const mfq_context *context, const mfq_gemm_problem *problem, weight_plan *plan) {
  const weight_kernel *with = plan->with;
  const int64_t slabs = problem->k == 0 ? 1 : mfq_ceil_div(problem->k, with->slab);
  const int64_t blocks = blocks_of(problem, plan);
  const int64_t at_once = (int64_t)mfq_cuda_state_of(context)->processors * with->blocks;
  int64_t fewest = INT64_MAX;
  for (int64_t splits = 1; splits <= slabs && splits <= WEIGHT_MAX_SPLIT; ++splits) {
    const int64_t each = mfq_ceil_div(slabs, splits), waves = mfq_ceil_div(blocks * splits, at_once);
    if (each * (splits - 1) >= slabs || each * waves >= fewest) continue;
    fewest = each * waves;
    plan->splits = (int32_t)splits;
    plan->part = (int32_t)(each * with->slab);
  }
}

int64_t padded_depth(int64_t depth) { return mfq_round_up(depth, 16); }

void lay_out(const mfq_gemm_problem *problem, weight_plan *plan) {
  const mfq_gemm_side *a = &problem->a;
  const int64_t halves = plan->is_direct ? 0 : a->batches * a->rows * padded_depth(a->depth);
  const int64_t sums = plan->splits * problem->batches * problem->m * problem->n;
  plan->operands = mfq_cuda_gemm_take(problem, &plan->end);
  plan->a = mfq_workspace_take(&plan->end, (size_t)halves * 2);
  plan->sums = mfq_workspace_take(&plan->end, (size_t)sums * sizeof(float));
}

/* Returns NULL and a plan, or why another way is to be asked. */
const char *make_plan(const mfq_context *context, const mfq_gemm_problem *problem, weight_plan *plan) {
  if (mfq_cuda_state_of(context)->capability < 80)
    return "matrix instructions on bf16 came with compute capability 8.0";
  if (problem->k > WEIGHT_MAX_DEPTH) return "K is longer than 2^30";
  const char *refused = problem->round_operands ? NULL : mfq_gemm_side_refuses_bf16(&problem->a);
  if (refused == NULL) refused = refuse_weights(problem, plan);
  if (refused != NULL) return refused;
  choose_parts(context, problem, plan);
  if (blocks_of(problem, plan) * plan->splits > INT32_MAX) return "more than 2^31 blocks";
  plan->is_direct = is_direct(&problem->a);
  lay_out(problem, plan);
  return NULL;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

weight_rows_params weights_of(const mfq_gemm_problem *problem, const weight_plan &plan) {
  const mfq_gemm_side *b = &problem->b;
  const side_params side = mfq_cuda_side_params(b);
  weight_rows_params p = {};
  p.format = plan.format;
  p.scheme = side.scheme;
  p.slots = side.slots;
  p.codes = side.codes;
  p.batch_bytes = b->batches == 1 ? 0 : b->code_bits[0] / 8;
  p.row_bytes = b->code_bits[1] / 8;
  const int64_t load = plan.with->load, used = mfq_ceil_div(b->depth * plan.format.bits, 8);
  p.code_bytes = (int32_t)(mfq_round_up(used, load));
  p.n = problem->n;
  p.k = (int32_t)problem->k;
  p.scale_batch = b->batches == 1 ? 0 : b->scale_stride[0];
  p.scale_row = b->scale_stride[1];
  p.scale_bytes = side.slots.bytes;
  p.four_scales = side.slots.is_tiled ? 512 : 4 * side.slots.bytes;
  p.scale_rows = side.row_run;
  p.group_log2 = plan.group_log2;
  p.group_mask = (1 << plan.group_log2) - 1;
  p.has_scales = b->group != 0;
  p.fresh_mask = plan.group_log2 > 4 ? plan.with->units - 1 : 0;
  p.m = (int32_t)problem->m;
  p.blocks = (int32_t)mfq_ceil_div(problem->n, plan.with->rows);
  p.splits = plan.splits;
  p.part = plan.part;
  p.batches = problem->batches;
  return p;
}

/* Makes A what the kernel reads: as it lies, or a copy in `memory`. */
mfq_status bring_a(mfq_context *context, const mfq_gemm_side *a, const weight_plan &plan, uint8_t *memory,
                   weight_rows_params *p) {
  if (plan.is_direct) {
    p->a = (const uint8_t *)a->matrix.data;
    p->a_row_bytes = 2 * a->matrix.stride[0];
    p->a_batch_bytes = a->matrix.batch_rank ? 2 * a->matrix.batch_stride[0] : 0;
    p->a_depth = (int32_t)a->depth;
    return MFQ_OK;
  }
  const int64_t depth = padded_depth(a->depth), items = a->batches * a->rows * depth / 2;
  p->a = memory;
  p->a_row_bytes = 2 * depth;
  p->a_batch_bytes = a->batches == 1 ? 0 : a->rows * 2 * depth;
  p->a_depth = (int32_t)depth;
  if (items == 0) return MFQ_OK;
  const narrow_params copy = {mfq_cuda_side_params(a), memory, items, divisor64_make(depth / 2),
                              divisor64_make(a->rows)};
  return mfq_cuda_launch(context, {"mfq_gemm_run", dim3((unsigned)mfq_ceil_div(items, ITEMS)), ITEMS, 0},
                         narrow_side_kernel, copy);
}

/* The sums, in the first of the parts. */
mfq_status multiply(mfq_context *context, const mfq_gemm_problem *problem, const weight_plan &plan, uint8_t *a_memory,
                    float *sums) {
  weight_rows_params p = weights_of(problem, plan);
  p.to = sums;
  mfq_status status = bring_a(context, &problem->a, plan, a_memory, &p);
  const unsigned blocks = (unsigned)(p.blocks * p.splits * problem->batches);
  if (status == MFQ_OK)
    status = mfq_cuda_launch(context, {"mfq_gemm_run", dim3(blocks), WEIGHT_THREADS, 0}, plan.with->kernel, p);
  if (status != MFQ_OK) return status;
  return mfq_cuda_add_parts(context, sums, problem->batches * problem->m * problem->n, plan.splits, "mfq_gemm_run");
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

mfq_status plan_way(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  if (problem->m > WEIGHT_MAX_ROWS)
    return mfq_refuse(reason, "M is %lld, at most %d", (long long)problem->m, (int)WEIGHT_MAX_ROWS);
  const mfq_status status = mfq_choice_state(context, "mfq_gemm_plan_create", sizeof(weight_plan), choice);
  if (status != MFQ_OK) return status;
  weight_plan *plan = (weight_plan *)choice->state;
  const char *refused = make_plan(context, problem, plan);
  if (refused != NULL) return mfq_refuse(reason, "%s", refused);
  choice->workspace_bytes = plan->end;
  mfq_choice_describe(choice, "weights of %d bits read once by our own kernel, K in %d parts", (int)plan->with->bits,
                      (int)plan->splits);
  return MFQ_OK;
}

mfq_status run_way(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const weight_plan &plan = *(const weight_plan *)state;
  float *sums = (float *)(void *)(workspace + plan.sums);
  return mfq_cuda_gemm_run(
      context, problem, plan.operands, workspace, [&](mfq_context *own, const mfq_gemm_problem *p) {
        const mfq_status status = multiply(own, p, plan, workspace + plan.a, sums);
        return status == MFQ_OK ? mfq_cuda_finish_all(own, &p->finish, mfq_gemm_factor_views(p), sums) : status;
      });
}

} // namespace

const mfq_way mfq_cuda_gemm_few_rows = {"few rows", plan_way, run_way, NULL};
