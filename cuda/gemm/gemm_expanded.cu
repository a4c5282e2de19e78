/* cuda/gemm/gemm_expanded.cu: both operands as plain matrices, multiplied by cuBLASLt with sums in f32.
 *
 * bf16 where it holds every value of both, f16 for two plain f16 operands, else f32, which cuBLASLt multiplies without
 * rounding to TF32. Scales that are factors of rows and columns are left to the finish. */
#include <stdio.h>

#include "host/core/integers.h"
#include "cuda/gemm/cublaslt/lt_steps.h"
#include "expansion.h"

namespace {

struct expanded {
  mfq_cuda_expansion a, b;
  int32_t a_is_whole, b_is_whole; /* expanded once, before all steps */
  mfq_lt_steps steps;
  mfq_cuda_operands operands; /* places in the workspace, as these are: */
  size_t a_values, b_values, end;
};

int64_t bytes_of(mfq_dtype dtype) { return (int64_t)mfq_dtype_bytes(dtype); }

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

int is_whole(const mfq_gemm_problem *p, const mfq_gemm_side *side, const mfq_cuda_expansion *e) {
  return !e->is_in_place && (e->cut == 0 || (side->batches == 1 && p->batches > 1));
}

int64_t row_bytes(const mfq_gemm_side *side, const mfq_cuda_expansion *e) {
  return e->is_in_place ? 0 : side->depth * bytes_of(e->dtype);
}

void plan_steps(const mfq_gemm_problem *p, expanded *e) {
  const mfq_dtype dtype = mfq_cuda_expansion_dtype(&p->a, &p->b, p->round_operands);
  e->a = mfq_cuda_expansion_of(&p->a, dtype);
  e->b = mfq_cuda_expansion_of(&p->b, dtype);
  e->a_is_whole = is_whole(p, &p->a, &e->a);
  e->b_is_whole = is_whole(p, &p->b, &e->b);
  e->steps.is_direct = mfq_cuda_writes_d(&p->finish, mfq_cublaslt_type(dtype), 0);
  e->steps.sum_ld = p->finish.is_d_quantized ? p->n : mfq_round_up(p->n, 4);
  mfq_slab_question q = mfq_lt_question(p, &e->steps);
  q.a_row_bytes = row_bytes(&p->a, &e->a);
  q.b_row_bytes = row_bytes(&p->b, &e->b);
  q.a_cut = e->a.cut;
  q.b_cut = e->b.cut;
  q.a_is_shared = e->a_is_whole;
  q.b_is_shared = e->b_is_whole;
  q.is_one_by_one |= !e->a.is_uniform || !e->b.is_uniform;
  e->steps.step = mfq_slabs_of(&q);
}

/* Bytes of an expansion: of all of it, or of a step's part. */
size_t expansion_bytes(const mfq_gemm_side *side, const mfq_cuda_expansion *e, int is_whole, int64_t batches,
                       int64_t rows) {
  if (e->is_in_place) return 0;
  const int64_t all = is_whole ? side->batches : batches, each = is_whole ? side->rows : rows;
  return (size_t)(all * mfq_cuda_expansion_elements(e, side, each) * bytes_of(e->dtype));
}

void plan_places(const mfq_gemm_problem *p, expanded *e) {
  const mfq_slabs *s = &e->steps.step;
  e->end = 0;
  e->operands = mfq_cuda_gemm_take(p, &e->end);
  e->a_values = mfq_workspace_take(&e->end, expansion_bytes(&p->a, &e->a, e->a_is_whole, s->batches, s->rows));
  e->b_values = mfq_workspace_take(&e->end, expansion_bytes(&p->b, &e->b, e->b_is_whole, s->batches, s->cols));
  mfq_lt_take(p, &e->steps, &e->end);
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

mfq_status plan_products(mfq_context *context, const mfq_gemm_problem *p, expanded *e, mfq_line *reason) {
  const mfq_slabs &step = e->steps.step;
  const auto fill = [&](const mfq_slabs &size, mfq_cublaslt_product *product) {
    product->a = factor_of(&p->a, &e->a, e->a_is_whole, size.rows, step.rows);
    product->b = factor_of(&p->b, &e->b, e->b_is_whole, size.cols, step.cols);
  };
  return mfq_lt_plan(context, p, &e->steps, fill, reason);
}

void describe(mfq_context *context, const mfq_gemm_problem *p, const expanded *e, mfq_choice *choice) {
  const mfq_slabs *s = &e->steps.step;
  const int64_t count =
      mfq_ceil_div(p->batches, s->batches) * mfq_ceil_div(p->m, s->rows) * mfq_ceil_div(p->n, s->cols);
  char text[64] = "";
  if (count > 1) (void)snprintf(text, sizeof text, ", in %lld steps", (long long)count);
  mfq_choice_describe(choice, "%s by %s%s%s", mfq_dtype_name(e->a.dtype), mfq_cuda_state_of(context)->cublaslt->name,
                      e->steps.is_direct ? "" : " and an epilogue", text);
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
  choice->workspace_bytes = e->end;
  return MFQ_OK;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* One run. */
struct run_state {
  mfq_context *context; /* with scratch memory of this run */
  const expanded *e;
  const mfq_gemm_problem *p; /* operands that were quantized on the way lie in the workspace */
  uint8_t *workspace;
};

mfq_status expand_a(const run_state &r, const mfq_cuda_part &part) {
  if (r.e->a.is_in_place) return MFQ_OK;
  return mfq_cuda_expand_side(r.context, &r.e->a, &r.p->a, &part, r.workspace + r.e->a_values);
}
mfq_status expand_b(const run_state &r, const mfq_cuda_part &part) {
  if (r.e->b.is_in_place) return MFQ_OK;
  return mfq_cuda_expand_side(r.context, &r.e->b, &r.p->b, &part, r.workspace + r.e->b_values);
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

/* What a step multiplies that is not there yet: rows of A for all columns; B for all rows, or, where it is cut, anew. */
mfq_status prepare(const run_state &r, const mfq_lt_step &s, mfq_cublaslt_call *call) {
  const expanded *e = r.e;
  const int is_new = s.rows.row == 0 || e->steps.step.cols < r.p->n;
  mfq_status status = MFQ_OK;
  if (!e->b_is_whole && is_new) status = expand_b(r, {s.rows.batch, s.rows.batches, s.col, s.cols});
  if (!e->a_is_whole && s.col == 0 && status == MFQ_OK) status = expand_a(r, s.rows);
  call->a = factor_at(&r.p->a, &e->a, r.workspace + e->a_values, e->a_is_whole, s.rows.batch, s.rows.row);
  call->b = factor_at(&r.p->b, &e->b, r.workspace + e->b_values, e->b_is_whole, s.rows.batch, s.col);
  return status;
}

mfq_status run_ready(const run_state &r) {
  const mfq_gemm_problem *p = r.p;
  mfq_status status = MFQ_OK;
  if (r.e->a_is_whole) status = expand_a(r, {0, p->a.batches, 0, p->m});
  if (r.e->b_is_whole && status == MFQ_OK) status = expand_b(r, {0, p->b.batches, 0, p->n});
  if (status != MFQ_OK) return status;
  return mfq_lt_run(r.context, p, &r.e->steps, r.workspace,
                    [&](const mfq_lt_step &s, mfq_cublaslt_call *call) { return prepare(r, s, call); });
}

mfq_status run(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const expanded *e = (const expanded *)state;
  return mfq_cuda_gemm_run(context, problem, e->operands, workspace, [&](mfq_context *own, const mfq_gemm_problem *p) {
    return run_ready({own, e, p, workspace});
  });
}

} // namespace

const mfq_way mfq_cuda_gemm_expanded = {"expanded", plan, run, NULL};
