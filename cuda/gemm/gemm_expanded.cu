/* cuda/gemm/gemm_expanded.cu: both operands as plain matrices, multiplied by cuBLASLt with sums in f32.
 *
 * bf16 where it holds every value of both, f16 for two plain f16 operands, else f32, which cuBLASLt multiplies without
 * rounding to TF32. Scales that are factors of rows and columns are left to the finish. */
#include <stdio.h>

#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "cuda/gemm/cublaslt/direct.h"
#include "expansion.h"
#include "finish_cuda.h"
#include "cuda/product/side_params.h"
#include "slabs.h"

namespace {

/* Where things lie in the workspace, in bytes. */
struct places {
  size_t scratch, a_codes, b_codes, a_values, b_values, sums, library, end;
};

struct expanded {
  mfq_cuda_expansion a, b;
  int32_t a_is_whole, b_is_whole; /* expanded once, before all steps */
  int32_t is_direct;              /* cuBLASLt writes D */
  mfq_slabs step;
  int64_t sum_ld;
  places at;
  mfq_cublaslt_plan plans[2][2]; /* [the last batches or rows][the last columns] */
};

/* One run. */
struct run_state {
  mfq_context *context; /* with scratch memory of this run */
  const expanded *e;
  mfq_gemm_problem p; /* operands that were quantized on the way lie in the workspace */
  uint8_t *workspace;
};

/* What a step multiplies. */
struct step {
  int64_t batch, batches, row, rows, col, cols;
};

int64_t bytes_of(mfq_dtype dtype) { return (int64_t)mfq_dtype_bytes(dtype); }

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

mfq_dtype dtype_of(const mfq_gemm_problem *p) {
  const mfq_gemm_side *a = &p->a, *b = &p->b;
  if (a->kind == MFQ_SIDE_PLAIN && b->kind == MFQ_SIDE_PLAIN && a->matrix.dtype == MFQ_DTYPE_F16 &&
      b->matrix.dtype == MFQ_DTYPE_F16)
    return MFQ_DTYPE_F16;
  const int fits = mfq_gemm_sides_refuse_bf16(a, b) == NULL;
  return fits || p->round_operands ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
}

int is_whole(const mfq_gemm_problem *p, const mfq_gemm_side *side, const mfq_cuda_expansion *e) {
  return !e->is_in_place && (e->cut == 0 || (side->batches == 1 && p->batches > 1));
}

int64_t row_bytes(const mfq_gemm_side *side, const mfq_cuda_expansion *e) {
  return e->is_in_place ? 0 : side->depth * bytes_of(e->dtype);
}

void plan_steps(const mfq_gemm_problem *p, expanded *e) {
  const mfq_dtype dtype = dtype_of(p);
  e->a = mfq_cuda_expansion_of(&p->a, dtype);
  e->b = mfq_cuda_expansion_of(&p->b, dtype);
  e->a_is_whole = is_whole(p, &p->a, &e->a);
  e->b_is_whole = is_whole(p, &p->b, &e->b);
  e->is_direct = mfq_cuda_writes_d(&p->finish, mfq_cublaslt_type(dtype), 0);
  e->sum_ld = p->finish.is_d_quantized ? p->n : (p->n + 3) / 4 * 4;
  mfq_slab_question q = {};
  q.batches = p->batches;
  q.m = p->m;
  q.n = p->n;
  q.a_row_bytes = row_bytes(&p->a, &e->a);
  q.b_row_bytes = row_bytes(&p->b, &e->b);
  q.sum_row_bytes = e->is_direct || p->finish.is_d_quantized ? 0 : e->sum_ld * 4;
  q.a_cut = e->a.cut;
  q.b_cut = e->b.cut;
  q.a_is_shared = e->a_is_whole;
  q.b_is_shared = e->b_is_whole;
  q.is_one_by_one = !e->a.is_uniform || !e->b.is_uniform;
  if (e->is_direct) {
    q.is_one_by_one |= !mfq_cuda_is_uniform(&p->finish.d);
    if (p->finish.has_c) q.is_one_by_one |= !mfq_cuda_is_uniform(&p->finish.c);
  }
  e->step = mfq_slabs_of(&q);
}

/* Bytes of an expansion: of all of it, or of a step's part. */
size_t expansion_bytes(const mfq_gemm_side *side, const mfq_cuda_expansion *e, int is_whole, int64_t batches,
                       int64_t rows) {
  if (e->is_in_place) return 0;
  const int64_t all = is_whole ? side->batches : batches, each = is_whole ? side->rows : rows;
  return (size_t)(all * mfq_cuda_expansion_elements(e, side, each) * bytes_of(e->dtype));
}

void plan_places(const mfq_gemm_problem *p, expanded *e) {
  places *at = &e->at;
  const mfq_slabs *s = &e->step;
  const int quantizes =
      p->a.kind == MFQ_SIDE_TO_QUANTIZE || p->b.kind == MFQ_SIDE_TO_QUANTIZE || p->finish.is_d_quantized;
  const int64_t sums = p->finish.is_d_quantized ? p->batches * p->m * p->n
                       : e->is_direct           ? 0
                                                : s->batches * s->rows * e->sum_ld;
  size_t library = 0;
  for (const auto &row : e->plans)
    for (const mfq_cublaslt_plan &plan : row)
      if (plan.workspace_bytes > library) library = plan.workspace_bytes;
  at->end = 0;
  at->scratch = mfq_workspace_take(&at->end, quantizes ? MFQ_CUDA_SCRATCH_BYTES : 0);
  at->a_codes = mfq_workspace_take(&at->end, mfq_gemm_side_bytes(&p->a));
  at->b_codes = mfq_workspace_take(&at->end, mfq_gemm_side_bytes(&p->b));
  at->a_values = mfq_workspace_take(&at->end, expansion_bytes(&p->a, &e->a, e->a_is_whole, s->batches, s->rows));
  at->b_values = mfq_workspace_take(&at->end, expansion_bytes(&p->b, &e->b, e->b_is_whole, s->batches, s->cols));
  at->sums = mfq_workspace_take(&at->end, (size_t)sums * 4);
  at->library = mfq_workspace_take(&at->end, library);
}

/* A or B of a step with `rows` rows; steps are `step` rows apart. */
mfq_cublaslt_factor factor_of(const mfq_gemm_side *side, const mfq_cuda_expansion *e, int is_whole, int64_t rows,
                              int64_t step) {
  const int64_t made = is_whole ? side->rows : rows, bytes = bytes_of(e->dtype);
  mfq_cublaslt_factor f = {};
  f.type = mfq_cublaslt_type(e->dtype);
  f.scale_mode = LT_SCALE_TENSOR;
  f.is_depth_last = e->is_depth_last;
  f.ld = mfq_cuda_expansion_ld(e, side, made);
  const int64_t row_step = step < side->rows ? step * (e->is_depth_last ? f.ld : 1) : 0;
  int64_t batch_steps = 0;
  if (!e->is_in_place) {
    f.batch_stride = side->batches == 1 ? 0 : mfq_cuda_expansion_elements(e, side, made);
    f.align = mfq_cublaslt_align(NULL, (f.ld | row_step | f.batch_stride) * bytes);
    return f;
  }
  const mfq_matrix *m = &side->matrix;
  f.batch_stride = m->batch_rank == 1 ? m->batch_stride[0] : 0;
  for (int32_t d = 0; d < m->batch_rank; ++d) batch_steps |= m->batch_stride[d];
  f.align = mfq_cublaslt_align(m->data, (f.ld | row_step | batch_steps) * bytes);
  return f;
}

/* The plan of steps of so many batches, rows and columns. */
mfq_status plan_one(mfq_context *context, const mfq_gemm_problem *p, const expanded *e, const mfq_slabs &size,
                    mfq_cublaslt_plan *plan, mfq_line *reason) {
  mfq_cublaslt_product product = {};
  product.m = size.rows;
  product.n = size.cols;
  product.k = p->k;
  product.batches = size.batches;
  product.a = factor_of(&p->a, &e->a, e->a_is_whole, size.rows, e->step.rows);
  product.b = factor_of(&p->b, &e->b, e->b_is_whole, size.cols, e->step.cols);
  if (e->is_direct) {
    mfq_cuda_sum_layouts(&p->finish, &product);
  } else {
    product.d = mfq_cuda_sums_layout(e->sum_ld, (p->finish.is_d_quantized ? p->m : size.rows) * e->sum_ld);
    product.c = product.d;
  }
  return mfq_cublaslt_plan_make(context, &product, plan, reason);
}

mfq_status plan_products(mfq_context *context, const mfq_gemm_problem *p, expanded *e, mfq_line *reason) {
  const mfq_slabs last = {mfq_slab_last(p->batches, e->step.batches), mfq_slab_last(p->m, e->step.rows),
                          mfq_slab_last(p->n, e->step.cols)};
  const int has_last = last.batches != e->step.batches || last.rows != e->step.rows,
            has_cols = last.cols != e->step.cols;
  for (int i = 0; i <= has_last; ++i)
    for (int j = 0; j <= has_cols; ++j) {
      const mfq_slabs size = {i ? last.batches : e->step.batches, i ? last.rows : e->step.rows,
                              j ? last.cols : e->step.cols};
      const mfq_status status = plan_one(context, p, e, size, &e->plans[i][j], reason);
      if (status != MFQ_OK) return status;
    }
  return MFQ_OK;
}

void describe(mfq_context *context, const mfq_gemm_problem *p, const expanded *e, mfq_choice *choice) {
  const mfq_slabs *s = &e->step;
  const int64_t count =
      mfq_ceil_div(p->batches, s->batches) * mfq_ceil_div(p->m, s->rows) * mfq_ceil_div(p->n, s->cols);
  char text[64] = "";
  if (count > 1) (void)snprintf(text, sizeof text, ", in %lld steps", (long long)count);
  mfq_choice_describe(choice, "%s by %s%s%s", mfq_dtype_name(e->a.dtype), mfq_cuda_state_of(context)->cublaslt->name,
                      e->is_direct ? "" : " and an epilogue", text);
}

mfq_status plan(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_gemm_problem *p = (const mfq_gemm_problem *)of;
  if (mfq_cublaslt_open(context, reason) == NULL) return MFQ_ERROR_UNSUPPORTED;
  if (p->k == 0) return mfq_refuse(reason, "K is 0");
  mfq_status status = mfq_choice_state(context, "mfq_gemm_plan_create", sizeof(expanded), choice);
  if (status != MFQ_OK) return status;
  expanded *e = (expanded *)choice->state;
  plan_steps(p, e);
  status = plan_products(context, p, e, reason);
  if (status != MFQ_OK) return status;
  plan_places(p, e);
  describe(context, p, e, choice);
  choice->workspace_bytes = e->at.end;
  return MFQ_OK;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* Expands a part of a side unless it lies there. */
mfq_status expand(const run_state *r, const mfq_gemm_side *side, const mfq_cuda_expansion *e, const mfq_cuda_part &part,
                  size_t place) {
  if (e->is_in_place) return MFQ_OK;
  return mfq_cuda_expand_side(r->context, e, side, &part, r->workspace + place);
}

/* Where a step reads a side. */
const void *factor_at(const mfq_gemm_side *side, const mfq_cuda_expansion *e, const uint8_t *values, int is_whole,
                      int64_t batch, int64_t row) {
  if (e->is_in_place) return mfq_cuda_matrix_at(&side->matrix, batch, row);
  if (!is_whole) return values;
  const int64_t of_batch = side->batches == 1 ? 0 : batch * mfq_cuda_expansion_elements(e, side, side->rows);
  const int64_t of_row = row * (e->is_depth_last ? mfq_cuda_expansion_ld(e, side, side->rows) : 1);
  return values + (of_batch + of_row) * bytes_of(e->dtype);
}

mfq_cuda_sums sums_of(const run_state *r, const step &s) {
  const mfq_cuda_part rows = {s.batch, s.batches, s.row, s.rows};
  return mfq_cuda_sums_at((float *)(void *)(r->workspace + r->e->at.sums), r->e->sum_ld, &r->p.finish, rows);
}

mfq_status multiply(const run_state *r, const step &s) {
  const expanded *e = r->e;
  const mfq_gemm_problem *p = &r->p;
  mfq_cublaslt_call call = {};
  call.a = factor_at(&p->a, &e->a, r->workspace + e->at.a_values, e->a_is_whole, s.batch, s.row);
  call.b = factor_at(&p->b, &e->b, r->workspace + e->at.b_values, e->b_is_whole, s.batch, s.col);
  call.alpha = 1.0f;
  call.workspace = r->workspace + e->at.library;
  if (e->is_direct) {
    mfq_cuda_direct_call(&p->finish, s.batch, s.row, s.col, &call);
  } else {
    call.d = sums_of(r, s).data + s.col;
    call.c = call.d;
  }
  const int is_last = s.batches != e->step.batches || s.rows != e->step.rows, is_last_col = s.cols != e->step.cols;
  return mfq_cublaslt_run(r->context, &e->plans[is_last][is_last_col], &call);
}

/* The columns of a step, B expanded for each where it is cut. */
mfq_status run_cols(const run_state *r, step s) {
  const expanded *e = r->e;
  const int is_cut = e->step.cols < r->p.n;
  mfq_status status = MFQ_OK;
  for (s.col = 0; s.col < r->p.n && status == MFQ_OK; s.col += e->step.cols) {
    s.cols = r->p.n - s.col < e->step.cols ? r->p.n - s.col : e->step.cols;
    if (is_cut && !e->b_is_whole)
      status = expand(r, &r->p.b, &e->b, mfq_cuda_part{s.batch, 1, s.col, s.cols}, e->at.b_values);
    if (status == MFQ_OK) status = multiply(r, s);
  }
  return status;
}

mfq_status run_rows(const run_state *r, step s) {
  const expanded *e = r->e;
  float *values = (float *)(void *)(r->workspace + e->at.sums);
  mfq_status status = MFQ_OK;
  for (s.row = 0; s.row < r->p.m && status == MFQ_OK; s.row += e->step.rows) {
    s.rows = r->p.m - s.row < e->step.rows ? r->p.m - s.row : e->step.rows;
    if (!e->a_is_whole)
      status = expand(r, &r->p.a, &e->a, mfq_cuda_part{s.batch, s.batches, s.row, s.rows}, e->at.a_values);
    if (status == MFQ_OK) status = run_cols(r, s);
    if (status != MFQ_OK || e->is_direct) continue;
    const mfq_cuda_sums sums = sums_of(r, s);
    status = mfq_cuda_finish(r->context, &r->p.finish, mfq_gemm_factor_views(&r->p), &sums, values);
  }
  return status;
}

mfq_status run_batches(const run_state *r) {
  const expanded *e = r->e;
  const mfq_gemm_problem *p = &r->p;
  mfq_status status = MFQ_OK;
  if (e->a_is_whole) status = expand(r, &p->a, &e->a, mfq_cuda_part{0, p->a.batches, 0, p->m}, e->at.a_values);
  if (e->b_is_whole && status == MFQ_OK)
    status = expand(r, &p->b, &e->b, mfq_cuda_part{0, p->b.batches, 0, p->n}, e->at.b_values);
  step s = {};
  for (s.batch = 0; s.batch < p->batches && status == MFQ_OK; s.batch += e->step.batches) {
    s.batches = p->batches - s.batch < e->step.batches ? p->batches - s.batch : e->step.batches;
    if (!e->b_is_whole && e->step.cols == p->n)
      status = expand(r, &p->b, &e->b, mfq_cuda_part{s.batch, s.batches, 0, p->n}, e->at.b_values);
    if (status == MFQ_OK) status = run_rows(r, s);
  }
  if (status == MFQ_OK && p->finish.is_d_quantized)
    status = mfq_cuda_finish_quantize(r->context, &p->finish, (float *)(void *)(r->workspace + e->at.sums));
  return status;
}

mfq_status run(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const expanded *e = (const expanded *)state;
  mfq_cuda_lent lent;
  run_state r = {mfq_cuda_lend(context, workspace + e->at.scratch, &lent), e, *problem, workspace};
  mfq_status status = mfq_cuda_side_ready(r.context, &problem->a, workspace + e->at.a_codes, &r.p.a);
  if (status == MFQ_OK) status = mfq_cuda_side_ready(r.context, &problem->b, workspace + e->at.b_codes, &r.p.b);
  if (status == MFQ_OK) status = run_batches(&r);
  mfq_cuda_lend_end(context, &lent);
  return status;
}

} // namespace

const mfq_way mfq_cuda_gemm_expanded = {"expanded", plan, run, NULL};
