/* cuda/fakequant/gradient_rows.cu: the fast ways of the backward: groups along the contiguous axis, scales that are known
 * already, and scales of a tensor or of channels, which are measured first. */
#include "cuda/quantize/reduce_kernel.cuh"
#include "fake_fast.h"
#include "gradient_rows_kernel.cuh"

typedef struct gradient_shared_plan {
  rows_reduction reduction;
  gradient_rows_params rows;
} gradient_shared_plan;

static int has_sums(const mfq_gradient *g) { return g && (g->grad_scale || g->grad_zero_point || g->through_scale); }

/* Whether gradients depend on scales. */
static int needs_scales(const mfq_gradient *g) { return !g || g->ste != MFQ_STE_IDENTITY || has_sums(g); }

static int is_alike(const mfq_tensor *a, const mfq_tensor *b) {
  for (int32_t d = 0; d < a->rank; ++d)
    if (a->shape[d] > 1 && a->strides[d] != b->strides[d]) return 0;
  return a->dtype == b->dtype;
}

/* Why sums are not made here; NULL: they are. */
static const char *why_no_sums(const mfq_cast *cast, const gradient_rows_params *p) {
  const mfq_gradient *g = cast->gradient;
  const encoder *how = &p->rows.to.how;
  const mfqn_scheme *s = &how->scheme;
  const int is_central = s->is_integer || (mfqn_minifloat_is_central(&s->minifloat, 0) && s->minifloat.man_bits >= 1 &&
                                           mfqn_safe_scale(s, VALUE_LIMIT) >= mfqn_bits(1.0f));
  if (p->rows.group_log2 < 0) return "sums are of groups along rows";
  if (s->is_brevitas && !mfqn_is_measured(s)) return "sums of Brevitas' values have measured scales";
  if (!is_central) return "sums are of formats with a mantissa and near 1";
  return g->grad_scale && !mfq_cuda_is_in_order(g->grad_scale) ? "gradients of scales are wanted in another order"
                                                               : NULL;
}

/* What is beside rows. Pointers follow those of the source. */
static mfq_status plan_gradients(const mfq_cast *cast, gradient_rows_params *p, mfq_line *why) {
  const mfq_gradient *g = cast->gradient;
  const mfqn_scheme *s = &p->rows.to.how.scheme;
  if (s->rounding == MFQN_ROUND_STOCHASTIC) return mfq_refuse(why, "stochastic rounding");
  if (s->has_zero_point) return mfq_refuse(why, "zero points, each of which has ends of its own");
  if (!g) return MFQ_OK;
  p->ste = g->ste;
  p->clips = g->ste != MFQ_STE_IDENTITY;
  p->slopes = g->ste == MFQ_STE_BREVITAS && !s->is_integer;
  if (p->slopes && s->minifloat.man_bits < 1) return mfq_refuse(why, "slopes of formats without a mantissa");
  if (!is_alike(cast->src, g->upstream) || !is_alike(cast->src, cast->dst))
    return mfq_refuse(why, "the three tensors have different dtypes or strides");
  const char *no_sums = has_sums(g) ? why_no_sums(cast, p) : NULL;
  if (no_sums) return mfq_refuse(why, "%s", no_sums);
  p->upstream = (const uint8_t *)g->upstream->data;
  p->dx = (uint8_t *)cast->dst->data;
  p->is_aligned = p->rows.vector_load && ((uintptr_t)p->upstream | (uintptr_t)p->dx) % 16 == 0;
  p->through_scale = g->through_scale;
  p->log2_scale = g->log2_scale;
  if (g->grad_scale) p->grad_scale = (float *)g->grad_scale->data;
  p->how = valuer_of(&p->rows.to.how, ELEMENT_F32);
  p->lo = p->clips ? mfqn_clip_end(s, 0, 0x80000000u, 0) : 1.0f;
  p->hi = p->clips ? mfqn_clip_end(s, 0, 0, 0) : 1.0f;
  p->least = p->slopes ? mfqn_least_sloped(s) : 1.0f;
  return MFQ_OK;
}

static mfq_status plan_rows(const quantize_call *call, const mfq_cast *cast, gradient_rows_params *p, mfq_line *why) {
  cast_rows rows;
  mfq_status status = mfq_cuda_rows_plan(call, &rows, &p->rows, why);
  if (status == MFQ_OK) status = plan_gradients(cast, p, why);
  if (status == MFQ_OK && !needs_scales(cast->gradient)) { /* the elements do not matter */
    p->rows.src = p->upstream;
    p->rows.vector_load = p->is_aligned;
    p->rows.to.is_known = 1;
    p->rows.to.is_exponent = 0;
    p->rows.to.slots = scale_slots{};
  }
  return status;
}

static mfq_status launch(mfq_context *context, const mfq_cast *cast, const gradient_rows_params *p) {
  const int64_t blocks = (p->rows.chunks + ROWS_THREADS - 1) / ROWS_THREADS;
  const mfq_launch at = {cast->function, dim3((unsigned)blocks), ROWS_THREADS, 0};
  static void (*const kernels[][2])(gradient_rows_params) = {
      {gradient_rows_kernel<ELEMENT_F32, 0>, gradient_rows_kernel<ELEMENT_F32, 1>},
      {gradient_rows_kernel<ELEMENT_BF16, 0>, gradient_rows_kernel<ELEMENT_BF16, 1>},
      {gradient_rows_kernel<ELEMENT_F16, 0>, gradient_rows_kernel<ELEMENT_F16, 1>}};
  return mfq_cuda_launch(context, at, kernels[cast->src->dtype - MFQ_DTYPE_F32][has_sums(cast->gradient)], *p);
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview view = mfq_cuda_fake_view(context, cast);
  const quantize_call call = {context, cast->src, &view, 0, cast->dst, 0};
  gradient_rows_params *p;
  const mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  mfq_choice_describe(choice, "16 elements a thread");
  return status == MFQ_OK ? plan_rows(&call, cast, p, why) : status;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview view = mfq_cuda_fake_view(context, cast);
  const gradient_rows_params *p = (const gradient_rows_params *)state;
  mfq_status status = MFQ_OK;
  if (needs_scales(cast->gradient))
    status = mfq_cuda_prepare_scales(context, cast, &view, &p->rows, mfq_cuda_rows_collect);
  return status == MFQ_OK ? launch(context, cast, p) : status;
}

const mfq_way mfq_cuda_gradient_rows = {"rows", plan, run, NULL};

/* ---- Scales of a tensor or of channels --------------------------------------------------------------------------- */

static mfq_status plan_shared(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview view = mfq_cuda_scratch_view(context, cast);
  const quantize_call known = {context, cast->src, &view, 1, cast->dst, 0};
  gradient_shared_plan *shared;
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &shared);
  mfq_choice_describe(choice, "statistics first, then 16 elements a thread");
  if (status == MFQ_OK) status = mfq_cuda_scratch_plan(&known, &shared->reduction, why);
  return status == MFQ_OK ? plan_rows(&known, cast, &shared->rows, why) : status;
}

static mfq_status run_shared(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const gradient_shared_plan *shared = (const gradient_shared_plan *)state;
  mfq_status status = MFQ_OK;
  if (needs_scales(cast->gradient)) status = mfq_cuda_scratch_scales(context, cast, &shared->reduction);
  return status == MFQ_OK ? launch(context, cast, &shared->rows) : status;
}

const mfq_way mfq_cuda_gradient_shared = {"reduction and rows", plan_shared, run_shared, NULL};
