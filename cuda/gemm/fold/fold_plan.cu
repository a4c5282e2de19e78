/* cuda/gemm/fold/fold_plan.cu: which products can be folded, in which FP8 formats, and how the workspace is laid out. */
#include "fold_plan.h"

#include "host/core/problem/slab.h"
#include "host/core/scheme/lower.h"
#include "host/core/problem/walk.h"
#include "cuda/prim/encode.cuh"
#include "cuda/gemm/tile/mma_tile.h"
#include "cuda/product/side_params.h"

namespace {

/* ---- Sides ------------------------------------------------------------------------------------------------------- */

/* Why a side cannot be folded, or NULL. */
const char *refuse_side(const mfq_gemm_side *side) {
  if (side->kind == MFQ_SIDE_PLAIN) return " is plain";
  const mfq_qtensor *q = &side->view.q;
  const int64_t group = side->group;
  if (!fold_takes(&q->scheme.element))
    return "'s elements are no minifloats of at most 4 exponent bits, 8 bits in all, without infinities and NaN";
  if (group > 0 && q->scheme.scale != MFQ_SCALE_UE8M0) return "'s group scales are not ue8m0";
  if (group % FOLD_RUN != 0 && (FOLD_RUN % group != 0 || group % CHUNK != 0))
    return "'s groups are not 16, 32, 64 or multiples of 128";
  if (side->code_bits[2] != mfq_code_bits(q)) return "'s codes are not neighbours along K (group_last order is)";
  if ((side->rows > 1 && side->code_bits[1] % 8 != 0) || (side->batches > 1 && side->code_bits[0] % 8 != 0))
    return "'s rows start inside a byte (row_align of the layout helps)";
  return nullptr;
}

/* Whether one kernel can quantize and fold: groups of at most a run along contiguous elements, scales by a rule of
 * powers of two. */
int quantizes(const mfq_gemm_side *side) {
  mfqn_scheme s;
  if (side->kind != MFQ_SIDE_TO_QUANTIZE || (side->matrix.stride[1] != 1 && side->depth > 1)) return 0;
  mfq_lower(&side->view.q.scheme, &s);
  return s.rotation.size == 0 && side->view.q.scheme.granularity == MFQ_GRANULARITY_GROUP && side->group <= FOLD_RUN &&
         !s.minmax && s.scale == MFQN_SCALE_UE8M0 && mfqn_by_exponent(&s) && s.rule != MFQN_RULE_ABSMAX &&
         encoder_steps(&s, (int)side->matrix.dtype) != STEPS_NONE;
}

/* ---- FP8 formats ------------------------------------------------------------------------------------------------- */

/* Whether an FP8 format leaves enough shifts for the scales of a run: one, where all its elements share theirs. */
int has_room(const mfq_gemm_side *side, int target) {
  const int32_t width = fold_window_width(fold_window_of(&side->view.q.scheme.element, &fold_targets[target]));
  return width >= (side->group % FOLD_RUN == 0 ? 1 : FOLD_WINDOW_MIN);
}

typedef struct fold_pair {
  int a, b;
  const char *about;
} fold_pair;

/* Both sides with the longer fraction where that is possible. */
const fold_pair pairs[] = {
    {0, 0, "e4m3 x e4m3 products"}, {1, 0, "e5m2 x e4m3 products"}, {0, 1, "e4m3 x e5m2 products"}};

const fold_pair *choose_pair(const mfq_gemm_problem *problem) {
  for (const fold_pair &pair : pairs)
    if (has_room(&problem->a, pair.a) && has_room(&problem->b, pair.b)) return &pair;
  return nullptr;
}

void plan_side(const mfq_gemm_side *side, int target, fold_side *f) {
  const mfq_qtensor *q = &side->view.q;
  f->target = target;
  f->code = fold_code_make(&q->scheme.element, &fold_targets[target], mfq_code_bits(q));
  f->quantizes = quantizes(side);
}

/* ---- Slabs and cuBLASLt ------------------------------------------------------------------------------------------ */

/* Whether cuBLASLt can write D itself. */
int is_direct(const mfq_gemm_problem *problem) {
  const mfq_matrix *d = &problem->finish.d;
  if (!mfq_finish_is_bare(&problem->finish) || d->stride[1] != 1 || d->stride[0] < problem->n) return 0;
  if (problem->m % FOLD_ALIGN != 0 || problem->n % FOLD_ALIGN != 0) return 0;
  int64_t strides = d->stride[0];
  for (int32_t i = 0; i < d->batch_rank; ++i) strides |= d->batch_stride[i];
  return mfq_cublaslt_align(d->data, strides * (int64_t)mfq_dtype_bytes(d->dtype)) >= FOLD_ALIGN;
}

/* As many rows of A at a time as the workspace is to hold, in slabs of nearly equal size. */
void plan_slabs(const mfq_gemm_problem *problem, fold_plan *plan) {
  const int64_t sum_bytes = plan->is_direct ? 0 : plan->b.rows * (int64_t)sizeof(float);
  const int64_t slab = FOLD_SLAB, row_bytes = plan->cols + plan->runs * (int64_t)sizeof(float) + sum_bytes;
  const int64_t fitting = FOLD_SLAB_BYTES / row_bytes / slab * slab, m = problem->m;
  const int64_t rows = mfq_slab_equal(m, mfq_larger(fitting, slab), slab);
  plan->slabs = mfq_ceil_div(m, rows);
  plan->last_rows = mfq_round_up(m - (plan->slabs - 1) * rows, FOLD_ALIGN);
  plan->a.rows = plan->slabs > 1 ? rows : plan->last_rows;
}

mfq_cublaslt_factor factor_of(const fold_side *side, int64_t cols) {
  const int32_t types[] = {LT_FP8_43, LT_FP8_52};
  return mfq_cublaslt_factor{types[side->target], LT_SCALE_VEC128_F32, 1, FOLD_ALIGN, cols, 0};
}

mfq_status plan_products(mfq_context *context, const mfq_gemm_problem *problem, fold_plan *plan, mfq_line *reason) {
  mfq_cublaslt_product p = {};
  p.n = plan->b.rows;
  p.k = plan->cols;
  p.batches = 1;
  p.a = factor_of(&plan->a, plan->cols);
  p.b = factor_of(&plan->b, plan->cols);
  p.d = mfq_cublaslt_sum{LT_F32, FOLD_ALIGN, plan->b.rows, 0};
  if (plan->is_direct)
    p.d = mfq_cublaslt_sum{mfq_cublaslt_type(problem->finish.d.dtype), FOLD_ALIGN, problem->finish.d.stride[0], 0};
  p.c = p.d;
  p.m = plan->last_rows;
  const mfq_status status = mfq_cublaslt_plan_make(context, &p, &plan->last, reason);
  if (status != MFQ_OK || plan->slabs == 1) return status;
  p.m = plan->a.rows;
  return mfq_cublaslt_plan_make(context, &p, &plan->slab, reason);
}

/* ---- Workspace --------------------------------------------------------------------------------------------------- */

size_t flags_bytes(const mfq_gemm_side *side) {
  return sizeof(uint32_t) * (size_t)(side->batches * mfq_ceil_div(side->rows, FOLD_SLAB));
}

void place_image(const fold_plan *plan, fold_side *side, fold_plan *into) {
  side->codes = mfq_workspace_take(&into->bytes, (size_t)(side->rows * plan->cols));
  side->scales = mfq_workspace_take(&into->bytes, (size_t)(side->rows * plan->runs) * sizeof(float));
}

void plan_workspace(const mfq_gemm_problem *problem, fold_plan *plan) {
  const size_t sums = (size_t)(plan->a.rows * plan->b.rows) * sizeof(float);
  const size_t values = (size_t)(problem->batches * problem->m * problem->n) * sizeof(float);
  plan->operands = mfq_cuda_gemm_take(problem, &plan->bytes);
  plan->a.flags = plan->bytes;
  plan->b.flags = plan->bytes + flags_bytes(&problem->a);
  plan->flags_bytes = flags_bytes(&problem->a) + flags_bytes(&problem->b);
  (void)mfq_workspace_take(&plan->bytes, plan->flags_bytes);
  place_image(plan, &plan->a, plan);
  place_image(plan, &plan->b, plan);
  plan->sums = mfq_workspace_take(&plan->bytes, plan->is_direct ? 0 : sums);
  plan->values = mfq_workspace_take(&plan->bytes, problem->finish.is_d_quantized ? values : 0);
  const size_t slab = plan->slabs > 1 ? plan->slab.workspace_bytes : 0, last = plan->last.workspace_bytes;
  plan->cublaslt = mfq_workspace_take(&plan->bytes, slab > last ? slab : last);
}

/* Why the problem as a whole cannot be folded, or NULL. */
const char *refuse_problem(const mfq_context *context, const mfq_gemm_problem *problem) {
  if (context->policy != MFQ_FAST) return "the context asks for reproducible products";
  if (mfq_cuda_state_of(context)->capability != 90) return "only compute capability 9.0 has scales for each 128 of K";
  if (problem->k == 0) return "K is 0";
  if (problem->k > INT32_MAX - FOLD_RUN * FOLD_RUNS) return "K is beyond 32 bits";
  return mfq_cuda_gemm_tile_refuses(context, problem);
}

} // namespace

mfq_status mfq_cuda_fold_plan(mfq_context *context, const mfq_gemm_problem *problem, fold_plan *plan,
                              mfq_choice *choice, mfq_line *reason) {
  const char *why = refuse_problem(context, problem), *side = "";
  if (why == nullptr && (why = refuse_side(&problem->a)) != nullptr) side = "A";
  if (why == nullptr && (why = refuse_side(&problem->b)) != nullptr) side = "B";
  if (why != nullptr) return mfq_refuse(reason, "%s%s", side, why);
  const fold_pair *pair = choose_pair(problem);
  if (pair == nullptr) return mfq_refuse(reason, "8-bit floats have too little room beside the elements for scales");
  *plan = fold_plan{};
  plan_side(&problem->a, pair->a, &plan->a);
  plan_side(&problem->b, pair->b, &plan->b);
  plan->cols = mfq_round_up(problem->k, FOLD_ALIGN);
  plan->runs = mfq_ceil_div(problem->k, FOLD_RUN);
  plan->b.rows = mfq_round_up(problem->n, FOLD_ALIGN);
  plan->is_direct = is_direct(problem);
  plan_slabs(problem, plan);
  const mfq_status status = plan_products(context, problem, plan, reason);
  if (status != MFQ_OK) return status;
  plan_workspace(problem, plan);
  mfq_choice_describe(choice,
                      "FP8, %s by %s, operands exact, both folded in every run; sums of 128 along K keep 14 bits",
                      pair->about, mfq_cuda_state_of(context)->cublaslt->name);
  return MFQ_OK;
}
