/* cuda/quantize/quantize_square.cu: blocks of rows and columns, in one order of codes or in both. */
#include "quantize_fast.h"
#include "square_kernel.cuh"

/* log2 of a size in chunks; -1 for other sizes than a tile is cut into. */
static int chunks_log2(int64_t size, int64_t most) {
  for (int log2 = 0; CHUNK << log2 <= most; ++log2)
    if (size == CHUNK << log2) return log2;
  return -1;
}

/* The tiles, and how blocks cut them. */
static mfq_status plan_tiles(const mfq_context *context, const mfq_cast *cast, square_params *p, mfq_line *why) {
  const mfq_qview *view = cast->view;
  const mfq_scheme *scheme = &view->q.scheme;
  const int64_t tile = TILE_ROW_WORDS * 4 / (int64_t)mfq_dtype_bytes(cast->src->dtype);
  cast_rows rows;
  if (scheme->granularity != MFQ_GRANULARITY_BLOCK || view->q.rank < 2) return mfq_refuse(why, "%s", "");
  p->rows_log2 = chunks_log2(scheme->block_rows, TILE_ROWS);
  p->cols_log2 = chunks_log2(scheme->block_cols, TILE_ROWS);
  p->is_wide = scheme->block_cols > tile;
  if (p->rows_log2 < 0 || p->cols_log2 < 0) return mfq_refuse(why, "blocks of other sizes than 16, 32, 64, 128");
  const quantize_call call = {context, cast->src, view, 0, NULL, 0};
  const mfq_status status = mfq_cuda_cast_rows(&call, &rows, why);
  if (status != MFQ_OK) return status;
  const int64_t *size = rows.grid.size;
  tile_params *t = &p->tile;
  t->src = (const uint8_t *)cast->src->data;
  t->outer_bytes = rows.outer_bytes;
  t->row_bytes = rows.middle_bytes;
  t->rows = size[1];
  t->cols = size[2];
  t->vector_load = rows.vector_load;
  const int64_t down = (size[1] + TILE_ROWS - 1) / TILE_ROWS, across = (size[2] + tile - 1) / tile;
  t->tiles_down = divisor64_make(down);
  t->tiles_across = divisor64_make(across);
  t->tiles = size[0] * down * across;
  p->down = (size[1] + scheme->block_rows - 1) / scheme->block_rows;
  p->across = (size[2] + scheme->block_cols - 1) / scheme->block_cols;
  return t->tiles <= INT32_MAX ? MFQ_OK : mfq_refuse(why, "more tiles than a grid has blocks for");
}

/* A direction of the tiles, which is there. */
static mfq_status plan_direction(const mfq_context *context, const mfq_cast *cast, const mfq_qview *view,
                                 square_params *p, mfq_line *why) {
  const quantize_call call = {context, cast->src, view, 0, NULL, 0};
  tile_params *t = &p->tile;
  const int64_t outer = t->tiles / (int64_t)(t->tiles_down.value * t->tiles_across.value);
  if (view->q.layout.codes == MFQ_CODES_TRANSPOSED) {
    t->has_col = 1;
    return mfq_cuda_direction(&call, outer * t->cols, t->rows, &t->col, why);
  }
  t->has_row = 1;
  return mfq_cuda_direction(&call, outer * t->rows, t->cols, &t->row, why);
}

/* Whether two directions hold the same codes in two orders, and measure their scales. */
static int is_one_set(const mfq_qview *a, const mfq_qview *b) {
  return a->q.layout.codes != b->q.layout.codes && mfq_scheme_equal(&a->q.scheme, &b->q.scheme) &&
         a->q.scheme.rule != MFQ_RULE_GIVEN;
}

mfq_status mfq_cuda_squares_plan(const mfq_context *context, const mfq_cast *cast, square_params *p, mfq_line *why) {
  if (cast->other && !is_one_set(cast->view, cast->other)) return mfq_refuse(why, "%s", "");
  mfq_status status = plan_tiles(context, cast, p, why);
  if (status == MFQ_OK && cast->view->q.scheme.rounding == MFQ_ROUND_STOCHASTIC && p->tile.cols % 8 != 0)
    return mfq_refuse(why, "stochastic rounding in rows of no multiple of 8 elements");
  p->tile.key = random_key{context->seed, context->offset};
  if (status == MFQ_OK) status = plan_direction(context, cast, cast->view, p, why);
  return status == MFQ_OK && cast->other ? plan_direction(context, cast, cast->other, p, why) : status;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  square_params *p;
  const mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  mfq_choice_describe(choice, "blocks of tiles of 128 rows in shared memory");
  return status == MFQ_OK ? mfq_cuda_squares_plan(context, cast, p, why) : status;
}

static mfq_status launch(mfq_context *context, const mfq_cast *cast, const square_params &p) {
  const mfq_launch at = {cast->function, dim3((unsigned)p.tile.tiles), TILE_THREADS, 0};
  static void (*const kernels[][2])(square_params) = {
      {quantize_square_kernel<ELEMENT_F32, 0>, quantize_square_kernel<ELEMENT_F32, 1>},
      {quantize_square_kernel<ELEMENT_BF16, 0>, quantize_square_kernel<ELEMENT_BF16, 1>},
      {quantize_square_kernel<ELEMENT_F16, 0>, quantize_square_kernel<ELEMENT_F16, 1>}};
  const int is_drawn = p.tile.row.how.is_drawn || p.tile.col.how.is_drawn;
  return mfq_cuda_launch(context, at, kernels[cast->src->dtype - MFQ_DTYPE_F32][is_drawn], p);
}

static mfq_status collect(mfq_context *context, const mfq_cast *cast, const void *plan, uint32_t *absmax) {
  square_params p = *(const square_params *)plan;
  p.tile.row.absmax = p.tile.col.absmax = absmax;
  return launch(context, cast, p);
}

mfq_status mfq_cuda_copy_tensor_scale(mfq_context *context, const mfq_cast *cast) {
  const mfq_qview *from = cast->view, *to = cast->other;
  if (to == NULL || to->sizes.tensor_scale_bytes == 0) return MFQ_OK;
  cudaStream_t stream = mfq_cuda_state_of(context)->stream;
  return mfq_cuda_queued(context,
                         cudaMemcpyAsync(to->q.tensor_scale, from->q.tensor_scale, to->sizes.tensor_scale_bytes,
                                         cudaMemcpyDeviceToDevice, stream),
                         cast->function);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  mfq_status status = mfq_cuda_prepare_scales(context, cast, cast->view, state, collect);
  if (status == MFQ_OK) status = mfq_cuda_copy_tensor_scale(context, cast);
  return status == MFQ_OK ? launch(context, cast, *(const square_params *)state) : status;
}

const mfq_way mfq_cuda_quantize_squares = {"square", plan, run, NULL};
