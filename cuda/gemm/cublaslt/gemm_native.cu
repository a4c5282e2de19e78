/* cuda/gemm/cublaslt/gemm_native.cu: products of 8-bit and 4-bit floats that tensor cores multiply as they are, by cuBLASLt.
 *
 * Scales of the whole operand, or of rows, are cuBLASLt's where it writes D, else the finish's. Sums are f32, of
 * products that are exact; how many bits a tensor core keeps in between is its own affair (about 14 before cuBLASLt
 * promotes a partial sum, on compute capability 8.9 and 9.0), which is why this is for MFQ_FAST. */
#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "direct.h"
#include "cuda/gemm/finish_cuda.h"
#include "native_side.h"
#include "cuda/product/side_params.h"
#include "cuda/gemm/slabs.h"

namespace {

/* Where things lie in the workspace, in bytes. */
struct places {
  size_t scratch, a_codes, b_codes, a_scales, b_scales, sums, library, end;
};

struct native {
  mfq_native_side a, b;
  int32_t is_direct;    /* cuBLASLt writes D */
  int32_t takes_scales; /* and multiplies by factors: pointers to them, or LT_SCALE_OUTER_F32 */
  int64_t k;            /* padding included, which is zeros */
  mfq_slabs step;
  int64_t sum_ld;
  places at;
  mfq_cublaslt_plan plans[2]; /* of steps, of the last */
};

/* One run. */
struct run_state {
  mfq_context *context;
  const native *e;
  mfq_gemm_problem p;
  uint8_t *workspace;
};

struct step {
  int64_t batch, batches, row, rows;
};

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

int is_128(int32_t mode) { return mode == LT_SCALE_VEC128_F32 || mode == LT_SCALE_BLOCK128_F32; }

/* Why the scales of two sides do not go together. */
const char *mismatch(const native *e) {
  const int32_t a = e->a.mode, b = e->b.mode;
  if (a == LT_SCALE_BLOCK128_F32 && b == LT_SCALE_BLOCK128_F32) return "both sides have scales of blocks";
  if (a != b && !(is_128(a) && is_128(b))) return "the sides have scales of different kinds";
  if (e->a.type == LT_FP8_52 && e->b.type == LT_FP8_52) return "tensor cores do not multiply two such elements";
  if ((e->a.type == LT_FP4_21) != (e->b.type == LT_FP4_21)) return "the sides have elements of 4 and of 8 bits";
  return NULL;
}

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
  e->is_direct = mfq_cuda_writes_d(&p->finish, e->a.type, e->takes_scales);
  e->k = padded_depth(p, e);
  e->sum_ld = p->finish.is_d_quantized ? p->n : mfq_round_up(p->n, 4);
  mfq_slab_question q = {};
  q.batches = p->batches;
  q.m = p->m;
  q.n = p->n;
  q.sum_row_bytes = e->is_direct || p->finish.is_d_quantized ? 0 : e->sum_ld * 4;
  q.is_one_by_one = e->a.mode != LT_SCALE_TENSOR; /* cuBLASLt does not say how such scales of batches lie */
  if (e->is_direct)
    q.is_one_by_one |= !mfq_cuda_is_uniform(&p->finish.d) || (p->finish.has_c && !mfq_cuda_is_uniform(&p->finish.c));
  e->step = mfq_slabs_of(&q);
}

void plan_places(const mfq_gemm_problem *p, native *e) {
  places *at = &e->at;
  const int quantizes =
      p->a.kind == MFQ_SIDE_TO_QUANTIZE || p->b.kind == MFQ_SIDE_TO_QUANTIZE || p->finish.is_d_quantized;
  const int64_t sums = p->finish.is_d_quantized ? p->batches * p->m * p->n
                       : e->is_direct           ? 0
                                                : e->step.batches * e->step.rows * e->sum_ld;
  const size_t first = e->plans[0].workspace_bytes, last = e->plans[1].workspace_bytes;
  at->end = 0;
  at->scratch = mfq_workspace_take(&at->end, quantizes ? MFQ_CUDA_SCRATCH_BYTES : 0);
  at->a_codes = mfq_workspace_take(&at->end, mfq_gemm_side_bytes(&p->a));
  at->b_codes = mfq_workspace_take(&at->end, mfq_gemm_side_bytes(&p->b));
  at->a_scales = mfq_workspace_take(&at->end, mfq_cuda_native_scale_bytes(&e->a, &p->a, e->step.rows));
  at->b_scales = mfq_workspace_take(&at->end, mfq_cuda_native_scale_bytes(&e->b, &p->b, p->n));
  at->sums = mfq_workspace_take(&at->end, (size_t)sums * 4);
  at->library = mfq_workspace_take(&at->end, first > last ? first : last);
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
  mfq_status status = MFQ_OK;
  const int64_t batches = p->batches % e->step.batches, rows = p->m % e->step.rows;
  const int has_last = batches != 0 || rows != 0;
  for (int i = 0; i <= has_last && status == MFQ_OK; ++i) {
    mfq_cublaslt_product product = {};
    product.m = i == 1 && rows != 0 ? rows : e->step.rows;
    product.n = p->n;
    product.k = e->k;
    product.batches = i == 1 && batches != 0 ? batches : e->step.batches;
    product.a = factor_of(&p->a, &e->a);
    product.b = factor_of(&p->b, &e->b);
    if (e->is_direct) {
      mfq_cuda_sum_layouts(&p->finish, &product);
    } else {
      product.d = mfq_cuda_sums_layout(e->sum_ld, (p->finish.is_d_quantized ? p->m : product.m) * e->sum_ld);
      product.c = product.d;
    }
    status = mfq_cublaslt_plan_make(context, &product, &e->plans[i], reason);
  }
  return status;
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
                      scales[e->a.mode], e->is_direct ? "" : " and an epilogue");
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
  const char *why = mismatch(e);
  if (why != NULL) return mfq_refuse(reason, "%s", why);
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
  choice->workspace_bytes = e->at.end;
  return status;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

const void *codes_at(const mfq_gemm_side *side, const mfq_native_side *n, int64_t batch, int64_t row) {
  const int64_t bits = n->type == LT_FP4_21 ? 4 : 8;
  const int64_t codes = batch * n->batch_codes + row * (n->is_depth_last ? n->ld : 1);
  return (const uint8_t *)side->view.q.codes + codes * bits / 8;
}

mfq_cuda_sums sums_of(const run_state *r, const step &s) {
  const mfq_cuda_part rows = {s.batch, s.batches, s.row, s.rows};
  return mfq_cuda_sums_at((float *)(void *)(r->workspace + r->e->at.sums), r->e->sum_ld, &r->p.finish, rows);
}

/* The scales of a step: factors where cuBLASLt takes them, or those of groups. */
mfq_status scales_of(const run_state *r, const step &s, mfq_cublaslt_call *call) {
  const native *e = r->e;
  const mfq_gemm_problem *p = &r->p;
  if (e->takes_scales && e->is_direct) {
    const int64_t row_offset = e->a.mode == LT_SCALE_OUTER_F32 ? s.row : 0;
    if (p->a.view.q.scales != NULL) call->a_scales = (const float *)p->a.view.q.scales + row_offset;
    call->b_scales = p->b.view.q.scales;
    return MFQ_OK;
  }
  const int64_t a[] = {s.batch, s.row, s.rows}, b[] = {s.batch, 0, p->n};
  uint8_t *copies = r->workspace;
  mfq_status status = mfq_cuda_native_scales(r->context, &e->a, &p->a, a, copies + e->at.a_scales, &call->a_scales);
  if (status == MFQ_OK)
    status = mfq_cuda_native_scales(r->context, &e->b, &p->b, b, copies + e->at.b_scales, &call->b_scales);
  return status;
}

mfq_status run_step(const run_state *r, const step &s) {
  const native *e = r->e;
  const mfq_gemm_problem *p = &r->p;
  mfq_cublaslt_call call = {};
  mfq_status status = scales_of(r, s, &call);
  call.a = codes_at(&p->a, &e->a, s.batch, s.row);
  call.b = codes_at(&p->b, &e->b, s.batch, 0);
  call.alpha = 1.0f;
  call.workspace = r->workspace + e->at.library;
  const mfq_cuda_sums sums = sums_of(r, s);
  call.d = sums.data;
  call.c = sums.data;
  if (e->is_direct) mfq_cuda_direct_call(&p->finish, s.batch, s.row, 0, &call);
  const int is_last = s.batches != e->step.batches || s.rows != e->step.rows;
  if (status == MFQ_OK) status = mfq_cublaslt_run(r->context, &e->plans[is_last], &call);
  if (status != MFQ_OK || e->is_direct) return status;
  return mfq_cuda_finish(r->context, &p->finish, mfq_gemm_factor_views(p), &sums,
                         (float *)(void *)(r->workspace + e->at.sums));
}

mfq_status run_steps(const run_state *r) {
  const mfq_slabs *each = &r->e->step;
  const mfq_gemm_problem *p = &r->p;
  mfq_status status = MFQ_OK;
  for (int64_t batch = 0; batch < p->batches && status == MFQ_OK; batch += each->batches)
    for (int64_t row = 0; row < p->m && status == MFQ_OK; row += each->rows) {
      const int64_t batches = p->batches - batch < each->batches ? p->batches - batch : each->batches;
      const int64_t rows = p->m - row < each->rows ? p->m - row : each->rows;
      status = run_step(r, step{batch, batches, row, rows});
    }
  if (status == MFQ_OK && p->finish.is_d_quantized)
    status = mfq_cuda_finish_quantize(r->context, &p->finish, (float *)(void *)(r->workspace + r->e->at.sums));
  return status;
}

mfq_status run(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const mfq_gemm_problem *problem = (const mfq_gemm_problem *)of;
  const native *e = (const native *)state;
  const mfq_gemm_problem p = wanted(problem);
  mfq_cuda_lent lent;
  run_state r = {mfq_cuda_lend(context, workspace + e->at.scratch, &lent), e, p, workspace};
  mfq_status status = mfq_cuda_side_ready(r.context, &p.a, workspace + e->at.a_codes, &r.p.a);
  if (status == MFQ_OK) status = mfq_cuda_side_ready(r.context, &p.b, workspace + e->at.b_codes, &r.p.b);
  if (status == MFQ_OK) status = run_steps(&r);
  mfq_cuda_lend_end(context, &lent);
  return status;
}

} // namespace

const mfq_way mfq_cuda_gemm_native = {"native", plan, run, NULL};
