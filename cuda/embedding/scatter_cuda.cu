/* cuda/embedding/scatter_cuda.cu: sums of rows into the rows of a table that indices name. */
#include "host/core/integers.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "scatter_kernel.cuh"

enum { BLOCKS_OF_PROCESSOR = 8 };

/* Blocks go over all indices each: they have as many rows as leave enough of them. */
static int32_t rows_of_block(const mfq_context *context, int64_t rows, int64_t slices) {
  const int64_t blocks = (int64_t)BLOCKS_OF_PROCESSOR * mfq_cuda_state_of(context)->processors;
  const int64_t ranges = mfq_larger(blocks / slices, 1);
  return (int32_t)mfq_larger(mfq_smaller(mfq_ceil_div(rows, ranges), SCATTER_ROWS), SCATTER_SHARES);
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_tensor *table = cast->dst;
  const int64_t slices = mfq_ceil_div(table->shape[1], SCATTER_COLS);
  if (slices == 0) return MFQ_OK;
  scatter_params p = {};
  p.indices = index_view_of(cast->indexing);
  p.dy = matrix_view_of(cast->src);
  p.table = matrix_view_of(table);
  p.cols = table->shape[1];
  p.padding = cast->indexing->padding;
  p.accumulate = cast->indexing->accumulate;
  p.rows_of_block = rows_of_block(context, table->shape[0], slices);
  p.slices = divisor64_make(slices);
  const int64_t blocks = mfq_ceil_div(table->shape[0], p.rows_of_block) * slices; /* of 4 or 128 rows: below 2^31 */
  const mfq_launch at = {cast->function, dim3((unsigned)blocks), SCATTER_THREADS, 0};
  return mfq_cuda_launch(context, at, scatter_kernel, p);
}

static const mfq_way general = {"general", mfq_plan_general, run, NULL};

const mfq_ways mfq_cuda_scatters = {"mfq_scatter_add", NULL, 0, {&general}};
