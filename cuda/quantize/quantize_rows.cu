/* cuda/quantize/quantize_rows.cu: groups along the contiguous axis, and scales that are known already. */
#include "quantize_fast.h"
#include "rows_kernel.cuh"

/* Returns 0 where these rows need another path. */
static int plan_rows(const quantize_call *call, rows_params *p) {
  const mfq_qview *view = call->row;
  const mfq_granularity granularity = view->q.scheme.granularity;
  const int last = view->sizes.axis == view->q.rank - 1, is_group = granularity == MFQ_GRANULARITY_GROUP;
  cast_rows rows;
  *p = rows_params{};
  if (granularity == MFQ_GRANULARITY_BLOCK || (is_group ? !last : granularity == MFQ_GRANULARITY_CHANNEL && last))
    return 0;
  if (!mfq_cuda_cast_rows(call->src, view, &rows) || !mfq_cuda_direction(call, view, rows.rows, rows.cols, &p->to))
    return 0;
  p->group_log2 = is_group ? mfq_cuda_group_log2(view) : -1;
  if ((is_group && p->group_log2 < 0) || (!is_group && !p->to.is_known)) return 0;
  const int64_t unit = is_group ? view->q.scheme.group_size : CHUNK;
  const int64_t row_chunks = (rows.cols + unit - 1) / unit * (unit / CHUNK);
  p->src = (const uint8_t *)call->src->data;
  p->outer_bytes = rows.outer_bytes;
  p->middle_bytes = rows.middle_bytes;
  p->chunks = row_chunks * rows.rows;
  p->cols = rows.cols;
  p->row_chunks = divisor64_make(row_chunks);
  p->middle = divisor64_make(rows.grid.size[1]);
  p->is_single_row = rows.rows == 1;
  p->vector_load = rows.vector_load;
  p->middle_scales = is_group ? row_chunks * CHUNK / unit : granularity == MFQ_GRANULARITY_CHANNEL;
  p->outer_scales = is_group ? p->middle_scales * rows.grid.size[1] : 0;
  return (p->chunks + ROWS_THREADS - 1) / ROWS_THREADS <= INT32_MAX;
}

static mfq_status launch(const quantize_call *call, const rows_params &p) {
  const mfq_launch at = {"mfq_quantize", dim3((unsigned)((p.chunks + ROWS_THREADS - 1) / ROWS_THREADS)), ROWS_THREADS,
                         0};
  switch (call->src->dtype) {
    case MFQ_DTYPE_F32: return mfq_cuda_launch(call->context, at, quantize_rows_kernel<ELEMENT_F32>, p);
    case MFQ_DTYPE_BF16: return mfq_cuda_launch(call->context, at, quantize_rows_kernel<ELEMENT_BF16>, p);
    default: return mfq_cuda_launch(call->context, at, quantize_rows_kernel<ELEMENT_F16>, p);
  }
}

static mfq_status collect(const quantize_call *call, const void *plan, uint32_t *absmax) {
  rows_params p = *(const rows_params *)plan;
  p.to.absmax = absmax;
  return launch(call, p);
}

int mfq_cuda_rows_accept(const quantize_call *call) {
  rows_params p;
  return call->col == NULL && plan_rows(call, &p);
}

mfq_status mfq_cuda_quantize_rows(const quantize_call *call) {
  rows_params p;
  if (!plan_rows(call, &p)) return mfq_fail(MFQ_ERROR_INTERNAL, "mfq_quantize", "rows that were accepted are refused");
  const mfq_status status = mfq_cuda_prepare_scales(call, call->row, &p, collect);
  return status == MFQ_OK ? launch(call, p) : status;
}
