/* cuda/gemm/cublaslt/gemm_native.cu: products of 8-bit and 4-bit floats that tensor cores multiply as they are, by cuBLASLt.
 *
 * Scales of the whole operand, or of rows, are cuBLASLt's where it writes D, else the finish's. Sums are f32, of
 * products that are exact; how many bits a tensor core keeps in between is its own affair (about 14 before cuBLASLt
 * promotes a partial sum, on compute capability 8.9 and 9.0), which is why this is for MFQ_FAST. */
#include "host/core/integers.h"
#include "lt_steps.h"
#include "native_side.h"

namespace {

struct native {
  mfq_native_side a, b;
  int32_t takes_scales; /* cuBLASLt multiplies by factors: pointers to them, or LT_SCALE_OUTER_F32 */
  int64_t k;            /* padding included, which is zeros */
  mfq_lt_steps steps;
  mfq_cuda_operands operands; /* places in the workspace, as these are: */
  size_t a_scales, b_scales, end;
};

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

int is_aligned(const mfq_gemm_side *side, uintptr_t unit) {
  return side->kind == MFQ_SIDE_TO_QUANTIZE || (uintptr_t)side->view.q.scales % unit == 0;
}

/* One f32 scale or none. */
int is_scalar(const mfq_gemm_side *side) {
  const mfq_scheme *s = &side->view.q.scheme;
  return s->scale == MFQ_SCALE_NONE ||
         (s->scale == MFQ_SCALE_F32 && side->scale_stride[0] == 0 && side->scale_stride[1] == 0);
}

/* One f32 scale for each row. */
int is_outer(const mfq_gemm_side *side) {
  return side->view.q.scheme.scale == MFQ_SCALE_F32 && side->scale_stride[0] == 0 && side->scale_stride[1] == 1 &&
         side->scale_run[1] == 1 && is_aligned(side, 16);
}

/* Whether cuBLASLt can multiply by the factors, when it writes D. */
int takes_factors(const mfq_gemm_problem *p, int capability, native *e) {
  if (e->a.mode != LT_SCALE_TENSOR) return 0;
  if (is_scalar(&p->a) && is_scalar(&p->b)) return 1;
  if (capability != 90 || p->batches > 1 || !is_outer(&p->a) || !is_outer(&p->b)) return 0;
  if (!mfq_cuda_writes_d(&p->finish, e->a.type, 1)) return 0;
  e->a.mode = e->b.mode = LT_SCALE_OUTER_F32;
  return 1;
}

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

/* K with the zeros behind rows of codes, where both sides have them. */
int64_t padded_depth(const mfq_gemm_problem *p, const native *e) {
  const int64_t unit = e->a.type == LT_FP4_21 ? 32 : 16, padded = mfq_round_up(p->k, unit);
  const auto has = [&](const mfq_gemm_side &side, const mfq_native_side &n) {
    return n.is_depth_last && side.view.q.layout.row_align > 0 && n.ld >= padded;
  };
  return has(p->a, e->a) && has(p->b, e->b) ? padded : p->k;
}

void plan_steps(const mfq_gemm_problem *p, int capability, native *e) {
  e->takes_scales = takes_factors(p, capability, e);
  e->steps.is_direct = mfq_cuda_writes_d(&p->finish, e->a.type, e->takes_scales);
  e->k = padded_depth(p, e);
  e->steps.sum_ld = p->finish.is_d_quantized ? p->n : mfq_round_up(p->n, 4);
  mfq_slab_question q = mfq_lt_question(p, &e->steps);
  q.is_one_by_one |= e->a.mode != LT_SCALE_TENSOR; /* cuBLASLt does not say how such scales of batches lie */
  e->steps.step = mfq_slabs_of(&q);
}

void plan_places(const mfq_gemm_problem *p, native *e) {
  e->end = 0;
  e->operands = mfq_cuda_gemm_take(p, &e->end);
  e->a_scales = mfq_workspace_take(&e->end, mfq_cuda_native_scale_bytes(&e->a, &p->a, e->steps.step.rows));
  e->b_scales = mfq_workspace_take(&e->end, mfq_cuda_native_scale_bytes(&e->b, &p->b, p->n));
  mfq_lt_take(p, &e->steps, &e->end);
}

mfq_cublaslt_factor factor_of(const mfq_gemm_side *side, const mfq_native_side *n) {
  const void *codes = side->kind == MFQ_SIDE_TO_QUANTIZE ? NULL : side->view.q.codes;
  const int64_t bits = n->type == LT_FP4_21 ? 4 : 8;
  mfq_cublaslt_factor f = {};
  f.type = n->type;
  f.scale_mode = n->mode;
  f.is_depth_last = n->is_depth_last;
  f.ld = n->ld;
  f.batch_stride = n->batch_codes;
  f.align = mfq_cublaslt_align(codes, (n->ld | n->batch_codes) * bits / 8);
  return f;
}

mfq_status plan_products(mfq_context *context, const mfq_gemm_problem *p, native *e, mfq_line *reason) {
  const auto fill = [&](const mfq_slabs &, mfq_cublaslt_product *product) {
    product->k = e->k;
    product->a = factor_of(&p->a, &e->a);
    product->b = factor_of(&p->b, &e->b);
  };
  return mfq_lt_plan(context, p, &e->steps, fill, reason);
}

void describe(mfq_context *context, const native *e, mfq_choice *choice) {
  static const char *const scales[] = {"",
                                       ", scales for each 16",
                                       ", scales for each 32",
                                       ", scales of rows and columns",
                                       ", scales for each 128",
                                       ", scales for each 128"};
  const char *bits = e->a.type == LT_FP4_21 ? "4" : "8";
  mfq_choice_describe(choice, "%s-bit floats by %s%s%s", bits, mfq_cuda_state_of(context)->cublaslt->name,
                      scales[e->a.mode], e->steps.is_direct ? "" : " and an epilogue");
}

/* The problem with sides as they will be quantized. */
mfq_gemm_problem wanted(const mfq_gemm_problem *given) {
  mfq_gemm_problem p = *given;
  p.a = mfq_cuda_native_wanted(&given->a);
  p.b = mfq_cuda_native_wanted(&given->b);
  return p;
}

mfq_status plan_native(mfq_context *context, const mfq_gemm_problem *p, native *e, mfq_line *reason) {
  const int capability = mfq_cuda_state_of(context)->capability;
  if (capability < 89) return mfq_refuse(reason, "8-bit floats need compute capability 8.9");
  if (p->k == 0) return mfq_refuse(reason, "K is 0");
  if (!mfq_cuda_native_side(&p->a, "A", capability, &e->a, reason) ||
      !mfq_cuda_native_side(&p->b, "B", capability, &e->b, reason))
    return MFQ_ERROR_UNSUPPORTED;
  if (!mfq_cuda_native_pair(&p->a, &p->b, &e->a, &e->b, reason)) return MFQ_ERROR_UNSUPPORTED;
  plan_steps(p, capability, e);
  const mfq_status status = plan_products(context, p, e, reason);
  if (status == MFQ_OK) plan_places(p, e);
  return status;
}

mfq_status plan(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  if (mfq_cublaslt_open(context, reason) == NULL) return MFQ_ERROR_UNSUPPORTED;
  mfq_status status = mfq_choice_state(context, "mfq_gemm_plan_create", sizeof(native), choice);
  if (status != MFQ_OK) return status;
  native *e = (native *)choice->state;
  const mfq_gemm_problem p = wanted(problem);
  status = plan_native(context, &p, e, reason);
  if (status == MFQ_OK) describe(context, e, choice);
  choice->workspace_bytes = e->end;
  return status;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

const void *codes_at(const mfq_gemm_side *side, const mfq_native_side *n, int64_t batch, int64_t row) {
  const int64_t bits = n->type == LT_FP4_21 ? 4 : 8;
  const int64_t codes = batch * n->batch_codes + row * (n->is_depth_last ? n->ld : 1);
  return (const uint8_t *)side->view.q.codes + codes * bits / 8;
}

/* One run. */
struct run_state {
  mfq_context *context;
  const native *e;
  const mfq_gemm_problem *p;
  uint8_t *workspace;
};

/* The operands of a step, and their scales: factors where cuBLASLt takes them, or those of groups. */
mfq_status prepare(const run_state &r, const mfq_cuda_part &rows, mfq_cublaslt_call *call) {
  const native *e = r.e;
  const mfq_gemm_problem *p = r.p;
  call->a = codes_at(&p->a, &e->a, rows.batch, rows.row);
  call->b = codes_at(&p->b, &e->b, rows.batch, 0);
  if (e->takes_scales && e->steps.is_direct) {
    const int64_t row_offset = e->a.mode == LT_SCALE_OUTER_F32 ? rows.row : 0;
    if (p->a.view.q.scales != NULL) call->a_scales = (const float *)p->a.view.q.scales + row_offset;
    call->b_scales = p->b.view.q.scales;
    return MFQ_OK;
  }
  const int64_t a[] = {rows.batch, rows.row, rows.rows}, b[] = {rows.batch, 0, p->n};
  const mfq_status status =
      mfq_cuda_native_scales(r.context, &e->a, &p->a, a, r.workspace + e->a_scales, &call->a_scales);
  if (status != MFQ_OK) return status;
  return mfq_cuda_native_scales(r.context, &e->b, &p->b, b, r.workspace + e->b_scales, &call->b_scales);
}

mfq_status run(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const native *e = (const native *)state;
  const mfq_gemm_problem given = wanted((const mfq_gemm_problem *)of);
  return mfq_cuda_gemm_run(context, &given, e->operands, workspace, [&](mfq_context *own, const mfq_gemm_problem *p) {
    const run_state r = {own, e, p, workspace};
    return mfq_lt_run(own, p, &e->steps, workspace,
                      [&](const mfq_lt_step &s, mfq_cublaslt_call *call) { return prepare(r, s.rows, call); });
  });
}

} // namespace

const mfq_way mfq_cuda_gemm_native = {"native", plan, run, NULL};
