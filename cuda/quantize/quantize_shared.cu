/* cuda/quantize/quantize_shared.cu: scales of a tensor or of channels: statistics first, then rows with known scales. */
#include "host/core/scheme/lower.h"
#include "quantize_fast.h"
#include "reduce_kernel.cuh"

/* What remains to be done when the scales are there. */
static quantize_call encoding(const quantize_call *call) {
  quantize_call encode = *call;
  encode.scales_known = 1;
  return encode;
}

static int plan_reduction(const quantize_call *call, const mfqn_scheme *s, reduce_params *p, int64_t *blocks) {
  const mfq_qview *view = call->row;
  cast_rows rows;
  if (!mfq_cuda_cast_rows(call->src, view, &rows) || view->sizes.scale_count > SLOTS_MAX) return 0;
  const int64_t segment = (int64_t)REDUCE_THREADS * REDUCE_CHUNKS * CHUNK;
  const int64_t segments = (rows.cols + segment - 1) / segment;
  *p = reduce_params{};
  p->src = (const uint8_t *)call->src->data;
  p->outer_bytes = rows.outer_bytes;
  p->middle_bytes = rows.middle_bytes;
  p->cols = rows.cols;
  p->middle_scales = view->q.scheme.granularity == MFQ_GRANULARITY_CHANNEL;
  p->segments = divisor64_make(segments);
  p->middle = divisor64_make(rows.grid.size[1]);
  p->minmax = s->minmax;
  p->vector_load = rows.vector_load;
  *blocks = segments * rows.rows;
  return *blocks <= INT32_MAX;
}

/* Rows this short leave most threads of a reduction idle. */
enum { REDUCE_COLS_MIN = 256 };

int mfq_cuda_shared_accept(const quantize_call *call) {
  const mfq_scheme *scheme = &call->row->q.scheme;
  mfqn_scheme s;
  reduce_params p;
  int64_t blocks;
  if (call->col != NULL ||
      (scheme->granularity != MFQ_GRANULARITY_TENSOR && scheme->granularity != MFQ_GRANULARITY_CHANNEL))
    return 0;
  mfq_lower(scheme, &s);
  const quantize_call encode = encoding(call);
  return mfqn_is_measured(&s) && s.scale != MFQN_SCALE_UE4M3 && plan_reduction(call, &s, &p, &blocks) &&
         p.cols >= REDUCE_COLS_MIN && mfq_cuda_rows_accept(&encode);
}

static mfq_status reduce(const quantize_call *call, const reduce_params &p, int64_t blocks) {
  const mfq_launch at = {"mfq_quantize", dim3((unsigned)blocks), REDUCE_THREADS, 0};
  switch (call->src->dtype) {
    case MFQ_DTYPE_F32: return mfq_cuda_launch(call->context, at, reduce_rows_kernel<ELEMENT_F32>, p);
    case MFQ_DTYPE_BF16: return mfq_cuda_launch(call->context, at, reduce_rows_kernel<ELEMENT_BF16>, p);
    default: return mfq_cuda_launch(call->context, at, reduce_rows_kernel<ELEMENT_F16>, p);
  }
}

mfq_status mfq_cuda_quantize_shared(const quantize_call *call) {
  mfqn_scheme s;
  reduce_params p;
  statistics from;
  int64_t blocks = 0;
  mfq_lower(&call->row->q.scheme, &s);
  if (!plan_reduction(call, &s, &p, &blocks))
    return mfq_fail(MFQ_ERROR_INTERNAL, "mfq_quantize", "a reduction that was accepted is refused");
  const mfq_scale_job job = {call->context, "mfq_quantize", call->row, &s};
  mfq_status status = mfq_cuda_slots_reset(&job, &from);
  p.slots = from.slots;
  if (status == MFQ_OK) status = reduce(call, p, blocks);
  if (status == MFQ_OK) status = mfq_cuda_scales_finish(&job, &from);
  const quantize_call encode = encoding(call);
  return status == MFQ_OK ? mfq_cuda_quantize_rows(&encode) : status;
}
