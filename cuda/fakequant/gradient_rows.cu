/* cuda/fakequant/gradient_rows.cu: the fast ways of the backward: groups along the contiguous axis, scales that are known
 * already, and scales of a tensor or of channels, which are measured first. */
#include "cuda/quantize/reduce_kernel.cuh"
#include "fake_fast.h"
#include "gradient_plan.h"
#include "gradient_rows_kernel.cuh"

typedef struct gradient_shared_plan {
  rows_reduction reduction;
  gradient_rows_params rows;
} gradient_shared_plan;

/* Whether gradients depend on scales. */
static int needs_scales(const mfq_gradient *g) {
  return !g || g->ste != MFQ_STE_IDENTITY || mfq_cuda_gradient_has_sums(g);
}

static mfq_status plan_rows(const quantize_call *call, const mfq_cast *cast, gradient_rows_params *p, mfq_line *why) {
  cast_rows rows;
  mfq_status status = mfq_cuda_rows_plan(call, &rows, &p->rows, why);
  if (status == MFQ_OK && p->rows.group_log2 < 0 && mfq_cuda_gradient_has_sums(cast->gradient))
    return mfq_refuse(why, "sums are of groups along rows");
  if (status == MFQ_OK) status = mfq_cuda_gradient_how(cast, &p->rows.to.how, rows.vector_load, &p->how, why);
  if (status == MFQ_OK && !needs_scales(cast->gradient)) { /* the elements do not matter */
    p->rows.src = p->how.upstream;
    p->rows.vector_load = p->how.is_aligned;
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
  const int sums = mfq_cuda_gradient_has_sums(cast->gradient);
  return mfq_cuda_launch(context, at, kernels[cast->src->dtype - MFQ_DTYPE_F32][sums], *p);
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
