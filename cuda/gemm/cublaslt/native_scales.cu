/* cuda/gemm/cublaslt/native_scales.cu: scales of groups and blocks in the order, the format and the number in which
 * cuBLASLt reads them. */
#include "native_side.h"

#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/launch.cuh"
#include "native_scales_kernel.cuh"

namespace {

int is_tiled(int32_t mode) { return mode == LT_SCALE_VEC32_UE8M0 || mode == LT_SCALE_VEC16_UE4M3; }

/* Neighbouring scales in memory, and how many such lines there are. */
struct scale_lines {
  int64_t line, lines;
};

scale_lines lines_of(const mfq_native_side *native, const mfq_gemm_side *side, int64_t rows) {
  const int64_t groups = mfq_ceil_div(side->depth, native->group), padded = mfq_round_up(groups, LT_TILE_SCALES);
  if (is_tiled(native->mode)) return {padded, mfq_round_up(rows, LT_TILE_ROWS)};
  if (native->mode == LT_SCALE_BLOCK128_F32) return {padded, mfq_ceil_div(rows, LT_BLOCK)};
  return {rows, groups};
}

mfq_status make(mfq_context *context, const mfq_native_side *native, const mfq_gemm_side *side, const int64_t at[3],
                void *made) {
  const int64_t batch = side->batches == 1 ? 0 : at[0];
  const scale_lines lines = lines_of(native, side, at[2]);
  native_scales_params p = {};
  mfq_lower(&side->view.q.scheme, &p.scheme);
  p.from = mfq_cuda_scale_slots(&side->view);
  p.first = mfq_gemm_side_scale(side, batch, 0, 0);
  p.row_step = side->scale_stride[1];
  p.group_step = side->scale_stride[2];
  p.row = at[1];
  p.row_run = divisor64_make(side->scale_run[1]);
  p.group_run = divisor64_make(side->group / native->group);
  p.is_tiled = is_tiled(native->mode);
  p.is_by_row = native->mode == LT_SCALE_VEC128_F32;
  p.unit_rows = native->mode == LT_SCALE_BLOCK128_F32 ? LT_BLOCK : 1;
  p.rows = mfq_ceil_div(at[2], p.unit_rows);
  p.groups = mfq_ceil_div(side->depth, native->group);
  p.count = lines.line * lines.lines;
  p.line = divisor64_make(lines.line);
  p.to = (uint8_t *)made;
  const mfq_launch launch = {"mfq_gemm_run", mfq_cuda_item_grid(p.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, launch, native_scales_kernel, p);
}

} // namespace

size_t mfq_cuda_native_scale_bytes(const mfq_native_side *native, const mfq_gemm_side *side, int64_t rows) {
  if (!native->makes_scales) return 0;
  const scale_lines lines = lines_of(native, side, rows);
  return (size_t)(lines.line * lines.lines) * (is_tiled(native->mode) ? 1 : sizeof(float));
}

mfq_status mfq_cuda_native_scales(mfq_context *context, const mfq_native_side *native, const mfq_gemm_side *side,
                                  const int64_t at[3], void *made, const void **scales) {
  *scales = NULL;
  if (side->group == 0) return MFQ_OK;
  if (native->makes_scales) {
    *scales = made;
    return make(context, native, side, at, made);
  }
  const int64_t groups = mfq_ceil_div(side->depth, native->group);
  const int64_t tiles = (at[0] * (side->batches == 1 ? 0 : side->rows) + at[1]) / LT_TILE_ROWS;
  *scales = (const uint8_t *)side->view.q.scales +
            tiles * mfq_ceil_div(groups, LT_TILE_SCALES) * (LT_TILE_ROWS * LT_TILE_SCALES);
  return MFQ_OK;
}
