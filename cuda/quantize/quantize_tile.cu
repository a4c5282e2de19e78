/* cuda/quantize/quantize_tile.cu: groups along a strided axis, alone or together with the contiguous one. */
#include "quantize_fast.h"
#include "tile_kernel.cuh"

static int64_t tile_cols(const mfq_tensor *src) { return TILE_ROW_WORDS * 4 / (int64_t)mfq_dtype_bytes(src->dtype); }

static int is_group(const mfq_qview *view) { return view->q.scheme.granularity == MFQ_GRANULARITY_GROUP; }

/* The tiles, and the direction along columns. */
static int plan_cols(const quantize_call *call, const mfq_qview *view, tile_params *p) {
  cast_rows rows;
  if (!is_group(view) || view->sizes.axis == view->q.rank - 1 || !mfq_cuda_cast_rows(call->src, view, &rows)) return 0;
  const int64_t *size = rows.grid.size, tile = tile_cols(call->src);
  const int log2 = mfq_cuda_group_log2(view);
  p->is_turned = view->q.layout.codes == MFQ_CODES_GROUP_LAST;
  const int64_t lines = size[0] * (p->is_turned ? size[2] : size[1]);
  if (log2 < 0 || CHUNK << log2 > TILE_ROWS ||
      !mfq_cuda_direction(call, view, lines, p->is_turned ? size[1] : size[2], &p->col))
    return 0;
  p->has_col = 1;
  p->col_group_log2 = log2 + 4;
  p->col_groups = (size[1] + view->q.scheme.group_size - 1) / view->q.scheme.group_size;
  p->src = (const uint8_t *)call->src->data;
  p->outer_bytes = rows.outer_bytes;
  p->row_bytes = rows.middle_bytes;
  p->rows = size[1];
  p->cols = size[2];
  const int64_t down = (size[1] + TILE_ROWS - 1) / TILE_ROWS, across = (size[2] + tile - 1) / tile;
  p->tiles_down = divisor64_make(down);
  p->tiles_across = divisor64_make(across);
  p->vector_load = rows.vector_load;
  p->tiles = size[0] * down * across;
  return p->tiles <= INT32_MAX;
}

/* The direction along rows of the same tiles. */
static int plan_rows_of_tiles(const quantize_call *call, const mfq_qview *view, tile_params *p) {
  const int32_t rank = view->q.rank;
  if (!is_group(view) || view->sizes.axis != rank - 1 || p->cols != view->q.shape[rank - 1]) return 0;
  const int log2 = mfq_cuda_group_log2(view);
  const int64_t group = view->q.scheme.group_size, lines = p->tiles > 0 ? view->q.shape[rank - 1] : 0;
  if (log2 < 0 || group > tile_cols(call->src) || lines == 0) return 0;
  int64_t rows = 1;
  for (int32_t d = 0; d < rank - 1; ++d) rows *= view->q.shape[d];
  if (!mfq_cuda_direction(call, view, rows, p->cols, &p->row)) return 0;
  p->has_row = 1;
  p->row_group_log2 = log2;
  p->row_groups = (p->cols + group - 1) / group;
  return 1;
}

static int plan_tiles(const quantize_call *call, tile_params *p) {
  *p = tile_params{};
  if (call->col == NULL) return plan_cols(call, call->row, p);
  return plan_cols(call, call->col, p) && plan_rows_of_tiles(call, call->row, p);
}

static mfq_status launch(const quantize_call *call, const tile_params &p) {
  const mfq_launch at = {"mfq_quantize", dim3((unsigned)p.tiles), TILE_THREADS, 0};
  switch (call->src->dtype) {
    case MFQ_DTYPE_F32: return mfq_cuda_launch(call->context, at, quantize_tile_kernel<ELEMENT_F32>, p);
    case MFQ_DTYPE_BF16: return mfq_cuda_launch(call->context, at, quantize_tile_kernel<ELEMENT_BF16>, p);
    default: return mfq_cuda_launch(call->context, at, quantize_tile_kernel<ELEMENT_F16>, p);
  }
}

static mfq_status collect_row(const quantize_call *call, const void *plan, uint32_t *absmax) {
  tile_params p = *(const tile_params *)plan;
  p.row.absmax = absmax;
  p.has_col = 0;
  return launch(call, p);
}

static mfq_status collect_col(const quantize_call *call, const void *plan, uint32_t *absmax) {
  tile_params p = *(const tile_params *)plan;
  p.col.absmax = absmax;
  p.has_row = 0;
  return launch(call, p);
}

int mfq_cuda_tile_accept(const quantize_call *call) {
  tile_params p;
  return call->col == NULL && plan_tiles(call, &p);
}

int mfq_cuda_both_accept(const quantize_call *call) {
  tile_params p;
  return call->col != NULL && plan_tiles(call, &p);
}

mfq_status mfq_cuda_quantize_tile(const quantize_call *call) {
  tile_params p;
  mfq_status status = MFQ_OK;
  if (!plan_tiles(call, &p))
    return mfq_fail(MFQ_ERROR_INTERNAL, "mfq_quantize", "tiles that were accepted are refused");
  if (call->col != NULL) status = mfq_cuda_prepare_scales(call, call->row, &p, collect_row);
  if (status == MFQ_OK)
    status = mfq_cuda_prepare_scales(call, call->col != NULL ? call->col : call->row, &p, collect_col);
  return status == MFQ_OK ? launch(call, p) : status;
}
