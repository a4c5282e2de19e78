/* cuda/quantize/quantize_fast.h: the ways of a quantization, and what the fast ones share. */
#ifndef MFQ_CUDA_QUANTIZE_FAST_H
#define MFQ_CUDA_QUANTIZE_FAST_H

#include "host/core/problem/grid.h"
#include "cuda/shared_scales.h"
#include "cuda/cuda_ops.h"
#include "direction.cuh"

extern const mfq_way mfq_cuda_quantize_both;    /* groups along the last axis, and along the one before */
extern const mfq_way mfq_cuda_quantize_squares; /* blocks, in one order of codes or in both */
extern const mfq_way mfq_cuda_quantize_rows;    /* groups along the contiguous axis; scales that are known */
extern const mfq_way mfq_cuda_quantize_tiles;   /* groups along a strided axis */
extern const mfq_way mfq_cuda_quantize_shared;  /* scales of a tensor or of channels, measured */

/* What a direction of a quantization is made from. */
typedef struct quantize_call {
  const mfq_context *context; /* whose seed and offset random bits have */
  const mfq_tensor *src;
  const mfq_qview *view;
  int scales_known;         /* the scales that the scheme measures are in memory already */
  const mfq_tensor *values; /* where values go in the place of codes; NULL: nowhere */
  int can_rotate;           /* the kernel rotates elements, which are float32 then */
  int can_measure = 0;      /* the kernel measures whatever shares a scale, ranges too */
} quantize_call;

/* ---- What they share (quantize_plan.cu) -------------------------------------------------------------------------- */

/* Rows of contiguous elements: strides in bytes, codes of a grid row by row. */
typedef struct cast_rows {
  mfq_grid grid;
  int64_t outer_bytes, middle_bytes;
  int64_t rows, cols;
  int32_t vector_load;
  int64_t value_outer_bytes, value_middle_bytes; /* of the call's values */
  int32_t vector_store;
} cast_rows;

/* Refuses where source or values are no rows of contiguous elements, or have none. */
mfq_status mfq_cuda_cast_rows(const quantize_call *call, cast_rows *rows, mfq_line *why);

/* Fills a direction for `rows` rows of `cols` codes. Refuses where its scheme has no short steps, its scales would be
 * ranges that are still to be measured, and cannot be, or rows of codes start inside a byte. */
mfq_status mfq_cuda_direction(const quantize_call *call, int64_t rows, int64_t cols, cast_direction *direction,
                              mfq_line *why);

/* Rows of groups, or with scales that are known: planned, and launched. */
struct rows_params; /* rows_kernel.cuh */
mfq_status mfq_cuda_rows_plan(const quantize_call *call, cast_rows *rows, rows_params *params, mfq_line *why);
mfq_status mfq_cuda_rows_launch(mfq_context *context, const mfq_cast *cast, const rows_params *params);
/* For mfq_cuda_prepare_scales: `params` are a rows_params. */
mfq_status mfq_cuda_rows_collect(mfq_context *context, const mfq_cast *cast, const void *params, uint32_t *absmax);

/* Groups along a strided axis: likewise. */
struct tile_params; /* tile_kernel.cuh */
mfq_status mfq_cuda_tiles_plan(const quantize_call *call, cast_rows *rows, tile_params *params, mfq_line *why);
/* The direction along rows of the same tiles. */
mfq_status mfq_cuda_tiles_plan_rows(const quantize_call *call, tile_params *params, mfq_line *why);
mfq_status mfq_cuda_tiles_launch(mfq_context *context, const mfq_cast *cast, const tile_params *params);
/* Collects the largest statistic along columns for mfq_cuda_prepare_scales; a plan begins with its tile_params. */
mfq_status mfq_cuda_tiles_collect(mfq_context *context, const mfq_cast *cast, const void *plan, uint32_t *absmax);

/* Blocks, of `cast` in one order of codes or in both. */
struct square_params; /* square_kernel.cuh */
mfq_status mfq_cuda_squares_plan(const mfq_context *context, const mfq_cast *cast, square_params *params,
                                 mfq_line *why);
/* The tensor scale of the first direction, for the second one. */
mfq_status mfq_cuda_copy_tensor_scale(mfq_context *context, const mfq_cast *cast);

/* Statistics of rows that share scales, into slots. */
struct rows_reduction; /* reduce_kernel.cuh */
mfq_status mfq_cuda_reduction_plan(const quantize_call *call, rows_reduction *reduction, mfq_line *why);
mfq_status mfq_cuda_reduce(mfq_context *context, const mfq_cast *cast, const rows_reduction *reduction,
                           uint32_t *slots);

/* Codes of any scheme and layout, under the scales that are stored (quantize_cuda.cu). */
mfq_status mfq_cuda_codes(const mfq_scale_job *job, const mfq_tensor *src);

/* log2 of the chunks of a group of 16 * 2^k elements; -1 for other sizes. */
int mfq_cuda_group_log2(const mfq_qview *view);
mfq_status mfq_cuda_refuse_group(mfq_line *why);

/* Zeroes the padding of scales in the 128x4 order, and makes the tensor scale of UE4M3 where it is measured: `collect`
 * launches a kernel that collects the largest finite statistic in the word it is given. */
typedef mfq_status (*collect_fn)(mfq_context *context, const mfq_cast *cast, const void *plan, uint32_t *absmax);
mfq_status mfq_cuda_prepare_scales(mfq_context *context, const mfq_cast *cast, const mfq_qview *view, const void *plan,
                                   collect_fn collect);

#endif
