/* cuda/quantize/quantize_fast.h: the fast paths of a quantization, each with what it accepts. */
#ifndef MFQ_CUDA_QUANTIZE_FAST_H
#define MFQ_CUDA_QUANTIZE_FAST_H

#include "host/core/problem/grid.h"
#include "cuda/shared_scales.h"
#include "direction.cuh"

/* One quantization. Paths of one direction take it as `row`, whatever its axis; `col` is NULL then. */
typedef struct quantize_call {
  mfq_context *context;
  const mfq_tensor *src;
  const mfq_qview *row, *col;
  int scales_known; /* the scales that the scheme measures are in memory already */
} quantize_call;

int mfq_cuda_rows_accept(const quantize_call *call);   /* groups along the contiguous axis; scales that are known */
int mfq_cuda_tile_accept(const quantize_call *call);   /* groups along a strided axis */
int mfq_cuda_both_accept(const quantize_call *call);   /* groups along the last axis, and along the one before */
int mfq_cuda_shared_accept(const quantize_call *call); /* scales of a tensor or of channels, measured */
mfq_status mfq_cuda_quantize_rows(const quantize_call *call);
mfq_status mfq_cuda_quantize_tile(const quantize_call *call);
mfq_status mfq_cuda_quantize_shared(const quantize_call *call);

/* ---- What they share (quantize_plan.cu) -------------------------------------------------------------------------- */

/* Rows of contiguous elements: strides in bytes, codes of a grid row by row. */
typedef struct cast_rows {
  mfq_grid grid;
  int64_t outer_bytes, middle_bytes;
  int64_t rows, cols;
  int32_t vector_load;
} cast_rows;

/* Returns 0 where the source is no rows of contiguous elements, or has none. */
int mfq_cuda_cast_rows(const mfq_tensor *src, const mfq_qview *view, cast_rows *rows);

/* Fills a direction for `rows` rows of `cols` codes. Returns 0 where its scheme has no short steps, its scales would be
 * ranges that are still to be measured, or rows of codes start inside a byte. */
int mfq_cuda_direction(const quantize_call *call, const mfq_qview *view, int64_t rows, int64_t cols,
                       cast_direction *direction);

/* log2 of the chunks of a group of 16 * 2^k elements; -1 for other sizes. */
int mfq_cuda_group_log2(const mfq_qview *view);

/* Zeroes the padding of scales in the 128x4 order, and makes the tensor scale of UE4M3 where it is measured: `collect`
 * launches a kernel that collects the largest finite statistic in the word it is given. */
typedef mfq_status (*collect_fn)(const quantize_call *call, const void *plan, uint32_t *absmax);
mfq_status mfq_cuda_prepare_scales(const quantize_call *call, const mfq_qview *view, const void *plan,
                                   collect_fn collect);

#endif
