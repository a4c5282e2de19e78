/* cuda/quantize/quantize_tile.cu: groups along a strided axis, alone or together with the contiguous one. */
#include "quantize_fast.h"
#include "tile_kernel.cuh"

static int64_t tile_cols(const mfq_tensor *src) { return TILE_ROW_WORDS * 4 / (int64_t)mfq_dtype_bytes(src->dtype); }

static int is_group(const mfq_qview *view) { return view->q.scheme.granularity == MFQ_GRANULARITY_GROUP; }

static mfq_status refuse_drawn(mfq_line *why) {
  return mfq_refuse(why, "stochastic rounding in rows of no multiple of 8 elements");
}

/* The tiles, and the direction along columns. */
mfq_status mfq_cuda_tiles_plan(const quantize_call *call, cast_rows *merged, tile_params *p, mfq_line *why) {
  const mfq_qview *view = call->view;
  if (!is_group(view) || view->sizes.axis == view->q.rank - 1) return mfq_refuse(why, "%s", "");
  const mfq_status are_rows = mfq_cuda_cast_rows(call, merged, why);
  if (are_rows != MFQ_OK) return are_rows;
  const cast_rows &rows = *merged;
  const int64_t *size = rows.grid.size, tile = tile_cols(call->src);
  const int log2 = mfq_cuda_group_log2(view);
  p->is_turned = view->q.layout.codes == MFQ_CODES_GROUP_LAST;
  const int64_t lines = size[0] * (p->is_turned ? size[2] : size[1]);
  if (log2 < 0 || CHUNK << log2 > TILE_ROWS) return mfq_cuda_refuse_group(why);
  const mfq_status status = mfq_cuda_direction(call, lines, p->is_turned ? size[1] : size[2], &p->col, why);
  if (status != MFQ_OK) return status;
  if (p->col.how.is_drawn && size[2] % 8 != 0) return refuse_drawn(why);
  p->has_col = 1;
  p->key = random_key{call->context->seed, call->context->offset};
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
  return p->tiles <= INT32_MAX ? MFQ_OK : mfq_refuse(why, "more tiles than a grid has blocks for");
}

mfq_status mfq_cuda_tiles_plan_rows(const quantize_call *call, tile_params *p, mfq_line *why) {
  const mfq_qview *view = call->view;
  const int32_t rank = view->q.rank;
  if (!is_group(view) || view->sizes.axis != rank - 1 || p->cols != view->q.shape[rank - 1])
    return mfq_refuse(why, "no groups along the rows of its tiles");
  const int log2 = mfq_cuda_group_log2(view);
  const int64_t group = view->q.scheme.group_size, lines = p->tiles > 0 ? view->q.shape[rank - 1] : 0;
  if (log2 < 0 || group > tile_cols(call->src) || lines == 0) return mfq_cuda_refuse_group(why);
  int64_t rows = 1;
  for (int32_t d = 0; d < rank - 1; ++d) rows *= view->q.shape[d];
  const mfq_status status = mfq_cuda_direction(call, rows, p->cols, &p->row, why);
  if (status != MFQ_OK) return status;
  if (p->row.how.is_drawn && p->cols % 8 != 0) return refuse_drawn(why);
  p->has_row = 1;
  p->row_group_log2 = log2;
  p->row_groups = (p->cols + group - 1) / group;
  return MFQ_OK;
}

static mfq_status plan_tiles(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const quantize_call call = {context, cast->src, cast->view, 0, NULL, 0};
  cast_rows rows;
  tile_params *p;
  const mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  mfq_choice_describe(choice, "columns of 128 rows in shared memory");
  return status == MFQ_OK ? mfq_cuda_tiles_plan(&call, &rows, p, why) : status;
}

static mfq_status plan_both(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const quantize_call row = {context, cast->src, cast->view, 0, NULL, 0};
  const quantize_call col = {context, cast->src, cast->other, 0, NULL, 0};
  cast_rows rows;
  tile_params *p;
  if (cast->other == NULL) return mfq_refuse(why, "%s", "");
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  mfq_choice_describe(choice, "tiles of 128 rows in shared memory");
  if (status == MFQ_OK) status = mfq_cuda_tiles_plan(&col, &rows, p, why);
  return status == MFQ_OK ? mfq_cuda_tiles_plan_rows(&row, p, why) : status;
}

mfq_status mfq_cuda_tiles_launch(mfq_context *context, const mfq_cast *cast, const tile_params *params) {
  const tile_params &p = *params;
  const mfq_launch at = {cast->function, dim3((unsigned)p.tiles), TILE_THREADS, 0};
  static void (*const kernels[][2])(tile_params) = {
      {quantize_tile_kernel<ELEMENT_F32, 0>, quantize_tile_kernel<ELEMENT_F32, 1>},
      {quantize_tile_kernel<ELEMENT_BF16, 0>, quantize_tile_kernel<ELEMENT_BF16, 1>},
      {quantize_tile_kernel<ELEMENT_F16, 0>, quantize_tile_kernel<ELEMENT_F16, 1>}};
  const int is_drawn = p.row.how.is_drawn || p.col.how.is_drawn;
  return mfq_cuda_launch(context, at, kernels[cast->src->dtype - MFQ_DTYPE_F32][is_drawn], p);
}

static mfq_status collect_row(mfq_context *context, const mfq_cast *cast, const void *plan, uint32_t *absmax) {
  tile_params p = *(const tile_params *)plan;
  p.row.absmax = absmax;
  p.has_col = 0;
  return mfq_cuda_tiles_launch(context, cast, &p);
}

mfq_status mfq_cuda_tiles_collect(mfq_context *context, const mfq_cast *cast, const void *plan, uint32_t *absmax) {
  tile_params p = *(const tile_params *)plan;
  p.col.absmax = absmax;
  p.has_row = 0;
  return mfq_cuda_tiles_launch(context, cast, &p);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const tile_params &p = *(const tile_params *)state;
  mfq_status status = MFQ_OK;
  if (p.has_row) status = mfq_cuda_prepare_scales(context, cast, cast->view, state, collect_row);
  if (status == MFQ_OK)
    status =
        mfq_cuda_prepare_scales(context, cast, p.has_row ? cast->other : cast->view, state, mfq_cuda_tiles_collect);
  return status == MFQ_OK ? mfq_cuda_tiles_launch(context, cast, &p) : status;
}

const mfq_way mfq_cuda_quantize_tiles = {"tiles", plan_tiles, run, NULL};
const mfq_way mfq_cuda_quantize_both = {"both directions from one read", plan_both, run, NULL};
