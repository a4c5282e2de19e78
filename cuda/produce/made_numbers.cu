/* cuda/produce/made_numbers.cu: the numbers of rows, sums of columns, and losses. */
#include "host/core/integers.h"
#include "columns_kernel.cuh"
#include "loss_kernel.cuh"
#include "made_cuda.h"
#include "numbers_kernel.cuh"

/* What lies behind the context's scratch memory; sums of columns have all of it before numbers come. */
enum {
  NUMBERS_AT = 0,
  LOSSES_AT = (int)SLAB_ROWS * 16,
  COUNT_AT = (int)LOSSES_AT + (int)SLAB_ROWS * 4,
  TREE_AT = COUNT_AT + 8
};
static_assert((int)LOSS_ROWS == (int)SLAB_ROWS, "losses of a slab");
static_assert(TREE_AT + 64 * 4 <= (int)MFQ_CUDA_MADE_BYTES, "numbers and losses find room");

/* Blocks that fill a multiprocessor's threads. */
enum { BLOCKS_OF_PROCESSOR = 4 };

static uint8_t *place(const mfq_context *context, int at) {
  return mfq_cuda_state_of(context)->scratch + MFQ_CUDA_SCRATCH_BYTES + at;
}

/* ---- Sums of columns --------------------------------------------------------------------------------------------- */

/* Segments of as many stacks as leave enough blocks, and fit. */
static void cut_segments(const mfq_context *context, const mfq_made *made, columns_params *p) {
  const int64_t blocks = mfq_ceil_div(made->cols, COLUMNS), most = MFQ_CUDA_MADE_BYTES / 4 / made->cols;
  const int64_t wanted = (int64_t)BLOCKS_OF_PROCESSOR * mfq_cuda_state_of(context)->processors;
  p->stacks = mfq_ceil_div(made->rows, STACK_ROWS);
  p->of_segment = 1;
  for (;; p->of_segment *= 2) {
    p->segments = mfq_larger(mfq_ceil_div(p->stacks, p->of_segment), 1);
    if (p->segments == 1 || (p->segments <= most && (p->segments - 1) * blocks <= wanted)) return;
  }
}

static mfq_status sum_columns(mfq_context *context, const char *function, const mfq_made *made, int which) {
  columns_params p = {};
  if (!made->column_sums[which].data || made->cols == 0) return MFQ_OK;
  p.made = mfq_cuda_made_params(made);
  p.mean = mfq_cuda_made_side(made, &made->mean);
  p.scale = mfq_cuda_made_side(made, &made->scale);
  p.sum = mfq_cuda_made_side(made, &made->column_sums[which]);
  p.accumulate = made->accumulate;
  p.is_second = which;
  cut_segments(context, made, &p);
  if (p.segments > 1) p.partial = (float *)(void *)place(context, 0);
  const unsigned blocks = (unsigned)mfq_ceil_div(made->cols, COLUMNS);
  const mfq_launch at = {function, dim3(blocks, (unsigned)p.segments), FOLD_THREADS, 0};
  const mfq_status status = mfq_cuda_launch(context, at, made_columns_kernel, p);
  if (status != MFQ_OK || p.segments == 1) return status;
  return mfq_cuda_launch(context, mfq_launch{function, dim3(blocks), FOLD_THREADS, 0}, made_segments_kernel, p);
}

/* ---- Losses ------------------------------------------------------------------------------------------------------ */

static loss_params loss_of(const mfq_context *context, const mfq_made *made, const made_params *rows) {
  loss_params p = {};
  p.targets = rows->indices;
  p.ignored = made->ignored;
  p.counted = place(context, COUNT_AT);
  p.slab = (float *)(void *)place(context, LOSSES_AT);
  p.tree = (float *)(void *)place(context, TREE_AT);
  p.all_rows = made->rows;
  if (made->loss.data) p.loss = element_view{made->loss.data, ELEMENT_F32};
  return p;
}

static mfq_status count_rows(mfq_context *context, const char *function, const mfq_made *made, const made_params *all) {
  const loss_params p = loss_of(context, made, all);
  const int64_t blocks = mfq_smaller(mfq_ceil_div(made->rows, FOLD_THREADS), mfq_cuda_state_of(context)->processors);
  const mfq_status status = mfq_cuda_clear(context, p.counted, 8, function);
  if (status != MFQ_OK) return status;
  return mfq_cuda_launch(context, mfq_launch{function, dim3((unsigned)blocks), FOLD_THREADS, 0}, made_count_kernel, p);
}

static mfq_status add_losses(mfq_context *context, const char *function, const mfq_made *made,
                             const made_slabs *slabs) {
  loss_params p = loss_of(context, made, &slabs->params);
  p.rows = slabs->params.rows;
  p.number = slabs->params.first / SLAB_ROWS;
  p.is_last = slabs->done == made->rows;
  return mfq_cuda_launch(context, mfq_launch{function, dim3(1), FOLD_THREADS, 0}, made_loss_kernel, p);
}

/* ---- Slabs ------------------------------------------------------------------------------------------------------- */

mfq_status mfq_cuda_made_start(mfq_context *context, const char *function, const mfq_made *made, made_slabs *slabs) {
  slabs->params = mfq_cuda_made_params(made);
  slabs->done = 0;
  mfq_status status = sum_columns(context, function, made, 0);
  if (status == MFQ_OK) status = sum_columns(context, function, made, 1);
  if (status == MFQ_OK && made->make.op == MFQN_MAKE_LOSS) status = count_rows(context, function, made, &slabs->params);
  return status;
}

static mfq_status launch_numbers(mfq_context *context, const char *function, const numbers_params &p) {
  if (p.made.units <= (int64_t)WARP_SPANS * SPAN) {
    const mfq_launch at = {function, dim3((unsigned)mfq_ceil_div(p.made.rows, FOLD_WARPS)), FOLD_THREADS, 0};
    return mfq_cuda_launch(context, at, made_warp_numbers_kernel, p);
  }
  const mfq_launch at = {function, dim3((unsigned)p.made.rows), FOLD_THREADS, 0};
  return mfq_cuda_launch(context, at, made_block_numbers_kernel, p);
}

static numbers_params numbers_of(const mfq_context *context, const mfq_made *made, const made_slabs *slabs) {
  numbers_params p = {};
  p.made = slabs->params;
  p.mean = mfq_cuda_made_side(made, &made->mean);
  p.scale = mfq_cuda_made_side(made, &made->scale);
  p.losses = mfq_cuda_made_side(made, &made->losses);
  p.ignored = made->ignored;
  p.counted = place(context, COUNT_AT);
  if (made->loss.data) p.slab_losses = (float *)(void *)place(context, LOSSES_AT);
  if (!made->sum.data || p.made.first < slabs->done) return p;
  /* h is still to be made. */
  p.sum = mfq_cuda_made_side(made, &made->sum);
  p.is_sum_wide = mfq_cuda_is_wide(made, &made->sum);
  p.made.in[0] = mfq_cuda_made_side(made, &made->in[0]);
  p.made.in[1] = mfq_cuda_made_side(made, &made->in[1]);
  p.made.has_residual = made->in[1].data != NULL;
  p.made.is_wide &= mfq_cuda_is_wide(made, &made->in[0]) & mfq_cuda_is_wide(made, &made->in[1]);
  return p;
}

mfq_status mfq_cuda_made_numbers(mfq_context *context, const char *function, const mfq_made *made, made_slabs *slabs,
                                 int64_t first, int64_t rows) {
  slabs->params.first = first;
  slabs->params.rows = rows;
  if (mfqn_make_passes(&made->make) == 0) return MFQ_OK;
  slabs->params.numbers = place(context, NUMBERS_AT);
  const int is_new = first >= slabs->done;
  const mfq_status status = launch_numbers(context, function, numbers_of(context, made, slabs));
  if (is_new) slabs->done = first + rows;
  return status == MFQ_OK && is_new && made->loss.data ? add_losses(context, function, made, slabs) : status;
}
