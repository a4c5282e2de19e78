/* cuda/quantize/quantize_shared.cu: scales of a tensor or of channels: statistics first, then rows with known scales. */
#include "host/core/scheme/lower.h"
#include "quantize_fast.h"
#include "reduce_kernel.cuh"
#include "rows_kernel.cuh"

/* Rows this short leave most threads of a reduction idle. */
enum { REDUCE_COLS_MIN = 256 };

typedef struct shared_plan {
  rows_reduction reduction;
  rows_params encode;
} shared_plan;

mfq_status mfq_cuda_reduction_plan(const quantize_call *call, rows_reduction *r, mfq_line *why) {
  const mfq_qview *view = call->view;
  const mfq_scheme *scheme = &view->q.scheme;
  mfqn_scheme s;
  cast_rows rows;
  mfq_lower(scheme, &s);
  if ((scheme->granularity != MFQ_GRANULARITY_TENSOR && scheme->granularity != MFQ_GRANULARITY_CHANNEL) ||
      !mfqn_is_measured(&s) || mfqn_has_tensor_scale(s.scale))
    return mfq_refuse(why, "%s", "");
  const mfq_status status = mfq_cuda_cast_rows(call, &rows, why);
  if (status != MFQ_OK) return status;
  if (view->sizes.scale_count > SLOTS_MAX) return mfq_refuse(why, "more than %d scales", (int)SLOTS_MAX);
  if (rows.cols < REDUCE_COLS_MIN) return mfq_refuse(why, "rows of less than %d elements", (int)REDUCE_COLS_MIN);
  const int64_t segment = (int64_t)REDUCE_THREADS * REDUCE_CHUNKS * CHUNK;
  const int64_t segments = (rows.cols + segment - 1) / segment;
  reduce_params *p = &r->params;
  p->src = (const uint8_t *)call->src->data;
  p->outer_bytes = rows.outer_bytes;
  p->middle_bytes = rows.middle_bytes;
  p->cols = rows.cols;
  p->middle_scales = view->q.scheme.granularity == MFQ_GRANULARITY_CHANNEL;
  p->segments = divisor64_make(segments);
  p->middle = divisor64_make(rows.grid.size[1]);
  p->minmax = s.minmax;
  p->vector_load = rows.vector_load;
  r->blocks = segments * rows.rows;
  return r->blocks <= INT32_MAX ? MFQ_OK : mfq_refuse(why, "more elements than a grid has threads for");
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const quantize_call known = {context, cast->src, cast->view, 1, NULL, 0};
  shared_plan *shared;
  cast_rows rows;
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &shared);
  if (status == MFQ_OK) status = mfq_cuda_reduction_plan(&known, &shared->reduction, why);
  mfq_choice_describe(choice, "statistics first, then 16 elements a thread");
  return status == MFQ_OK ? mfq_cuda_rows_plan(&known, &rows, &shared->encode, why) : status;
}

mfq_status mfq_cuda_reduce(mfq_context *context, const mfq_cast *cast, const rows_reduction *reduction,
                           uint32_t *slots) {
  reduce_params p = reduction->params;
  const mfq_launch at = {cast->function, dim3((unsigned)reduction->blocks), REDUCE_THREADS, 0};
  p.slots = slots;
  switch (cast->src->dtype) {
    case MFQ_DTYPE_F32: return mfq_cuda_launch(context, at, reduce_rows_kernel<ELEMENT_F32>, p);
    case MFQ_DTYPE_BF16: return mfq_cuda_launch(context, at, reduce_rows_kernel<ELEMENT_BF16>, p);
    default: return mfq_cuda_launch(context, at, reduce_rows_kernel<ELEMENT_F16>, p);
  }
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const shared_plan *shared = (const shared_plan *)state;
  mfqn_scheme s;
  statistics from;
  mfq_lower(&cast->view->q.scheme, &s);
  const mfq_scale_job job = {context, cast->function, cast->view, &s};
  mfq_status status = mfq_cuda_slots_reset(&job, &from);
  if (status == MFQ_OK) status = mfq_cuda_reduce(context, cast, &shared->reduction, from.slots);
  if (status == MFQ_OK) status = mfq_cuda_scales_finish(&job, &from);
  return status == MFQ_OK ? mfq_cuda_rows_launch(context, cast, &shared->encode) : status;
}

const mfq_way mfq_cuda_quantize_shared = {"reduction and rows", plan, run, NULL};
