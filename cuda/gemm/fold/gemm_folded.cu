/* cuda/gemm/fold/gemm_folded.cu: products of small minifloats with power-of-two group scales, as FP8 products with a scale
 * for each 128 of K, which compute capability 9.0 multiplies at full speed; numbers stay what they are. What does not
 * fold is computed again by our own exact product, tile by tile. */
#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/index_plans.h"
#include "cuda/launch.cuh"
#include "cuda/gemm/cublaslt/direct.h"
#include "fold_kernel.cuh"
#include "fold_plan.h"
#include "cuda/gemm/tile/mma_tile.h"
#include "cuda/product/side_params.h"

namespace {

const char function[] = "mfq_gemm_run";

/* One run. `problem` has its sides quantized, or placed where folding quantizes them. */
typedef struct fold_run {
  mfq_context *context;
  const fold_plan *plan;
  const mfq_gemm_problem *given; /* the operands as they came */
  mfq_gemm_problem problem;
  uint8_t *workspace;
} fold_run;

/* Rows of one side to be folded into its image. */
typedef struct fold_rows {
  const mfq_gemm_side *given, *ready;
  const fold_side *plan;
  int64_t batch, first, rows, padded_rows;
} fold_rows;

/* ---- Folding ----------------------------------------------------------------------------------------------------- */

fold_image image_of(const fold_run &run, const fold_rows &of) {
  const int64_t batch_slabs = mfq_ceil_div(of.given->rows, FOLD_SLAB);
  fold_image image = {};
  image.code = of.plan->code;
  image.rows = of.rows;
  image.cols = (int32_t)of.given->depth;
  image.padded_rows = of.padded_rows;
  image.padded_cols = (int32_t)run.plan->cols;
  image.runs = (int32_t)run.plan->runs;
  image.codes = run.workspace + of.plan->codes;
  image.scales = (uint32_t *)(void *)(run.workspace + of.plan->scales);
  image.flags = (uint32_t *)(void *)(run.workspace + of.plan->flags) + of.batch * batch_slabs + of.first / FOLD_SLAB;
  return image;
}

mfq_launch launch_of(const fold_image &image) {
  const int64_t rows = mfq_ceil_div(image.padded_rows, FOLD_ROWS), runs = mfq_ceil_div(image.runs, FOLD_RUNS);
  return mfq_launch{function, dim3((unsigned)rows, (unsigned)mfq_smaller(runs, 65535)), FOLD_THREADS, 0};
}

/* What 16 codes must be aligned to for wide loads and stores; 0 where there are none. */
int64_t code_alignment(int32_t bits) { return bits == 8 ? 16 : bits == 4 ? 8 : bits == 6 ? 4 : 0; }

/* Whether codes of all rows and batches are aligned so. */
int32_t codes_aligned(const mfq_gemm_side *side, int32_t bits) {
  const int64_t unit = code_alignment(bits), row = side->rows > 1 ? side->code_bits[1] / 8 : 0,
                batch = side->batches > 1 ? side->code_bits[0] / 8 : 0;
  return unit != 0 && ((int64_t)(uintptr_t)side->view.q.codes | row | batch) % unit == 0;
}

/* Where the codes of the image's first row are. */
uint8_t *first_codes(const fold_rows &of) {
  const int64_t *bits = of.ready->code_bits;
  return (uint8_t *)of.ready->view.q.codes + (of.batch * bits[0] + of.first * bits[1]) / 8;
}

mfq_status fold_codes(const fold_run &run, const fold_rows &of) {
  const mfq_gemm_side *side = of.ready;
  fold_params p = {};
  p.image = image_of(run, of);
  p.codes = first_codes(of);
  p.row_bytes = side->code_bits[1] / 8;
  p.slots = mfq_cuda_scale_slots(&side->view);
  p.has_groups = side->group != 0;
  p.first_row = of.first;
  p.first_scale = of.batch * side->scale_stride[0];
  p.row_scales = side->scale_stride[1];
  p.group_scales = side->scale_stride[2];
  p.row_run = divisor64_make(side->scale_run[1]);
  p.group = divisor64_make(side->scale_run[2]);
  p.group_log2 = mfq_exact_log2(side->group);
  p.vector_load = codes_aligned(side, p.image.code.bits);
  return mfq_cuda_launch(run.context, launch_of(p.image), fold_kernel, p);
}

mfq_status fold_elements(const fold_run &run, const fold_rows &of) {
  const mfq_matrix *from = &of.given->matrix;
  const mfq_qtensor_sizes *sizes = &of.ready->view.sizes;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(from->dtype), offset = mfq_matrix_offset(from, of.batch);
  fold_quantize_params p = {};
  p.image = image_of(run, of);
  mfq_lower(&of.ready->view.q.scheme, &p.how.scheme);
  p.how.steps = encoder_steps(&p.how.scheme, (int)from->dtype);
  p.slots = mfq_cuda_scale_slots(&of.ready->view);
  p.src = (const uint8_t *)from->data + (offset + of.first * from->stride[0]) * bytes;
  p.src_bytes = from->stride[0] * bytes;
  const int64_t strides = of.rows > 1 ? p.src_bytes : 0;
  p.vector_load = ((int64_t)(uintptr_t)p.src | strides) % 16 == 0;
  p.row_bytes = (int64_t)sizes->row_bits / 8;
  p.pad_bytes = (int32_t)(p.row_bytes - mfq_ceil_div(of.given->depth * p.image.code.bits, 8));
  p.codes = first_codes(of);
  p.vector_store = codes_aligned(of.ready, p.image.code.bits);
  p.first_scale = mfq_gemm_side_scale(of.ready, of.batch, of.first, 0);
  p.row_scales = of.ready->scale_stride[1];
  p.group_scales = of.ready->scale_stride[2];
  p.group_log2 = mfq_exact_log2(of.ready->group) - mfq_exact_log2(CHUNK);
  switch (from->dtype) {
    case MFQ_DTYPE_F32: return mfq_cuda_launch(run.context, launch_of(p.image), fold_quantize_kernel<ELEMENT_F32>, p);
    case MFQ_DTYPE_BF16: return mfq_cuda_launch(run.context, launch_of(p.image), fold_quantize_kernel<ELEMENT_BF16>, p);
    default: return mfq_cuda_launch(run.context, launch_of(p.image), fold_quantize_kernel<ELEMENT_F16>, p);
  }
}

mfq_status fold(const fold_run &run, const fold_rows &of) {
  return of.plan->quantizes ? fold_elements(run, of) : fold_codes(run, of);
}

mfq_status fold_b(const fold_run &run, int64_t batch) {
  const fold_rows of = {&run.given->b, &run.problem.b,  &run.plan->b, run.given->b.batches > 1 ? batch : 0, 0,
                        run.given->n,  run.plan->b.rows};
  return fold(run, of);
}

mfq_status fold_a(const fold_run &run, int64_t batch, int64_t slab) {
  const fold_plan *plan = run.plan;
  const int is_last = slab == plan->slabs - 1;
  const int64_t first = slab * plan->a.rows;
  fold_rows of = {&run.given->a, &run.problem.a, &plan->a, run.given->a.batches > 1 ? batch : 0, first, 0, 0};
  of.padded_rows = is_last ? plan->last_rows : plan->a.rows;
  of.rows = is_last ? run.given->m - first : plan->a.rows;
  return fold(run, of);
}

/* ---- The product ------------------------------------------------------------------------------------------------- */

/* The sums of a slab; where they are D, they have no memory of their own. */
mfq_cuda_sums sums_of(const fold_run &run, int64_t batch, int64_t slab) {
  const fold_plan *plan = run.plan;
  mfq_cuda_sums sums = {};
  sums.first_batch = batch;
  sums.batches = 1;
  sums.first_row = slab * plan->a.rows;
  sums.rows = slab == plan->slabs - 1 ? run.given->m - sums.first_row : plan->a.rows;
  sums.row_stride = plan->b.rows;
  if (!plan->is_direct) sums.data = (float *)(void *)(run.workspace + plan->sums);
  return sums;
}

mfq_status multiply(const fold_run &run, int64_t slab, const mfq_cuda_sums &sums) {
  const fold_plan *plan = run.plan;
  mfq_cublaslt_call call = {};
  call.a = run.workspace + plan->a.codes;
  call.b = run.workspace + plan->b.codes;
  call.a_scales = run.workspace + plan->a.scales;
  call.b_scales = run.workspace + plan->b.scales;
  call.d = plan->is_direct ? mfq_cuda_matrix_at(&run.given->finish.d, sums.first_batch, sums.first_row) : sums.data;
  call.c = call.d;
  call.alpha = 1.0f;
  call.workspace = run.workspace + plan->cublaslt;
  return mfq_cublaslt_run(run.context, slab == plan->slabs - 1 ? &plan->last : &plan->slab, &call);
}

mfq_status run_slab(const fold_run &run, int64_t batch, int64_t slab) {
  const fold_plan *plan = run.plan;
  const mfq_cuda_sums sums = sums_of(run, batch, slab);
  const mfq_cuda_tile_flags flags = {(const uint32_t *)(const void *)(run.workspace + plan->a.flags),
                                     (const uint32_t *)(const void *)(run.workspace + plan->b.flags)};
  mfq_status status = fold_a(run, batch, slab);
  if (status == MFQ_OK) status = multiply(run, slab, sums);
  if (status != MFQ_OK) return status;
  if (plan->is_direct) return mfq_cuda_gemm_tile_d(run.context, &run.problem, &flags, &sums);
  status = mfq_cuda_gemm_tile_slabs(run.context, &run.problem, &flags, &sums);
  if (status != MFQ_OK) return status;
  return mfq_cuda_finish(run.context, &run.problem.finish, mfq_gemm_factor_views(&run.problem), &sums,
                         (float *)(void *)(run.workspace + plan->values));
}

mfq_status run_batches(const fold_run &run) {
  mfq_status status = MFQ_OK;
  for (int64_t batch = 0; status == MFQ_OK && batch < run.given->batches; ++batch) {
    if (batch == 0 || run.given->b.batches > 1) status = fold_b(run, batch);
    for (int64_t slab = 0; status == MFQ_OK && slab < run.plan->slabs; ++slab) status = run_slab(run, batch, slab);
  }
  return status;
}

/* Quantizes what folding does not. */
mfq_status ready_side(mfq_context *lent, const mfq_gemm_side *given, const fold_side *plan, uint8_t *memory,
                      mfq_gemm_side *ready) {
  if (!plan->quantizes) return mfq_cuda_side_ready(lent, given, memory, ready);
  mfq_gemm_side_place(given, memory, ready);
  return MFQ_OK;
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

mfq_status folded_run(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const fold_plan *plan = (const fold_plan *)state;
  fold_run run = {context, plan, problem, *problem, workspace};
  mfq_cuda_lent lent_state;
  mfq_context *lent = mfq_cuda_lend(context, workspace + plan->operands.scratch, &lent_state);
  mfq_status status = ready_side(lent, &problem->a, &plan->a, workspace + plan->operands.a, &run.problem.a);
  if (status == MFQ_OK) status = ready_side(lent, &problem->b, &plan->b, workspace + plan->operands.b, &run.problem.b);
  if (status == MFQ_OK) status = mfq_cuda_clear(context, workspace + plan->a.flags, plan->flags_bytes, function);
  if (status == MFQ_OK) status = run_batches(run);
  if (status == MFQ_OK && problem->finish.is_d_quantized)
    status = mfq_cuda_finish_quantize(lent, &problem->finish, (float *)(void *)(workspace + plan->values));
  mfq_cuda_lend_end(context, &lent_state);
  return status;
}

mfq_status folded_plan(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  mfq_status status = mfq_choice_state(context, "mfq_gemm_plan_create", sizeof(fold_plan), choice);
  if (status != MFQ_OK) return status;
  fold_plan *plan = (fold_plan *)choice->state;
  status = mfq_cuda_fold_plan(context, problem, plan, choice, reason);
  choice->workspace_bytes = plan->bytes;
  return status;
}

} // namespace

const mfq_way mfq_cuda_gemm_folded = {"folded", folded_plan, folded_run, NULL};
