/* cuda/produce/made_plan.cu: producers' problems as kernels see them, and results that are plain. */
#include "host/core/integers.h"
#include "made_cuda.h"
#include "map_kernel.cuh"

static_assert((int)MADE_AXES == (int)MFQ_MADE_AXES, "axes of rows");

static divisor64 divisor_of(int64_t value) { return divisor64_make(mfq_larger(value, 1)); }

made_side mfq_cuda_made_side(const mfq_made *made, const mfq_made_side *side) {
  made_side s = {};
  if (!side->data) return s;
  s.of = element_view{side->data, (int32_t)side->dtype};
  s.col = side->col_stride;
  for (int32_t i = 0; i < made->axes; ++i) s.rows[i] = side->row_strides[i];
  return s;
}

/* Whether rows begin at multiples of 16 bytes. */
static int are_rows_aligned(const mfq_made *made, const mfq_made_side *side) {
  int64_t bits = (int64_t)(uintptr_t)side->data;
  for (int32_t i = 0; i < made->axes; ++i)
    if (made->shape[i] > 1) bits |= side->row_strides[i] * (int64_t)mfq_dtype_bytes(side->dtype);
  return bits % 16 == 0;
}

int mfq_cuda_is_wide(const mfq_made *made, const mfq_made_side *side) {
  return !side->data || (side->col_stride == 1 && are_rows_aligned(made, side));
}

/* Whether the first two inputs take turns: gate, up, gate, up. They are read together then. */
static int are_zipped(const mfq_made *made) {
  const mfq_made_side *a = &made->in[0], *b = &made->in[1];
  const int32_t op = made->make.op;
  if (op != MFQN_MAKE_ACTIVATION && op != MFQN_MAKE_ACTIVATION_BACKWARD && op != MFQN_MAKE_ROTARY) return 0;
  return b->data && b->data == a->data + mfq_dtype_bytes(a->dtype) && a->dtype == b->dtype && a->col_stride == 2 &&
         b->col_stride == 2 && are_rows_aligned(made, a);
}

/* Parameters of columns are one row, or rows by position. */
static int is_wide_row(const mfq_made_side *side) {
  if (!side->data) return 1;
  const int64_t step = side->row_strides[0] * (int64_t)mfq_dtype_bytes(side->dtype);
  return side->col_stride == 1 && ((int64_t)(uintptr_t)side->data | step) % 16 == 0;
}

static index_view indices_of(const mfq_made *made) {
  return index_view{(const uint8_t *)made->indices.data, made->indices.count, made->index_end,
                    made->indices.type == MFQ_INDEX_I64};
}

made_params mfq_cuda_made_params(const mfq_made *made) {
  const int is_kept = made->make.op == MFQN_MAKE_NORM && made->sum.data != NULL;
  made_params p = {};
  p.make = made->make;
  p.cols = made->cols;
  p.units = made->units;
  p.rows = made->rows;
  p.axes = made->axes;
  p.is_causal = made->is_causal != 0;
  p.is_inverse = made->is_inverse;
  p.has_residual = made->make.op == MFQN_MAKE_NORM && made->in[1].data != NULL && !is_kept;
  for (int32_t i = 0; i < made->axes; ++i) p.shape[i] = divisor_of(made->shape[i]);
  p.is_wide =
      made->make.pairs == MFQN_PAIRS_NONE || (made->make.pairs == MFQN_PAIRS_HALVES && made->units % PIECE == 0);
  p.is_zipped = made->make.pairs == MFQN_PAIRS_NONE && are_zipped(made);
  for (int i = 0; i < 3; ++i) {
    const mfq_made_side *side = i == 0 && is_kept ? &made->sum : &made->in[i];
    if (i == 1 && is_kept) continue;
    p.in[i] = mfq_cuda_made_side(made, side);
    if (i == 2 || !p.is_zipped) p.is_wide &= mfq_cuda_is_wide(made, side);
  }
  p.gain = mfq_cuda_made_side(made, &made->gain);
  p.shift = mfq_cuda_made_side(made, &made->shift);
  p.is_wide &= is_wide_row(&made->gain) & is_wide_row(&made->shift);
  p.plain = mfq_cuda_made_side(made, &made->plain);
  p.is_plain_wide = mfq_cuda_is_wide(made, &made->plain);
  p.heads = divisor_of(made->heads);
  p.tokens = divisor_of(made->indices.data && made->make.op == MFQN_MAKE_ROTARY ? made->indices.count : made->tokens);
  p.queries = divisor_of(made->queries);
  p.all_queries = made->queries;
  p.indices = indices_of(made);
  p.pieces = divisor_of(mfq_ceil_div(made->cols, PIECE));
  return p;
}

/* ---- Plain results ----------------------------------------------------------------------------------------------- */

mfq_status mfq_cuda_made_map(mfq_context *context, const char *function, const mfq_made *made, const made_params *rows,
                             float *dense) {
  map_params p = {};
  p.made = *rows;
  p.pairs = made->make.pairs;
  if (dense) {
    p.dense.of = element_view{(uint8_t *)dense, ELEMENT_F32};
    p.dense.rows[0] = made->cols;
    p.dense.col = 1;
    p.is_dense_wide = made->cols % 4 == 0;
  }
  if (made->rows == 0 || made->cols == 0 || (!dense && !made->plain.data)) return MFQ_OK;
  if (p.pairs == MFQN_PAIRS_NONE) {
    const int64_t items = rows->rows * (int64_t)p.made.pieces.value;
    return mfq_cuda_launch(context, mfq_launch{function, mfq_cuda_item_grid(items), ITEM_THREADS, 0}, made_map_kernel,
                           p);
  }
  /* Of pairs a thread has both, whose inputs lie together wherever halves begin. */
  p.made.make.pairs = MFQN_PAIRS_NONE;
  p.made.is_wide = is_wide_row(&made->gain) & is_wide_row(&made->shift);
  p.made.is_zipped = are_zipped(made);
  for (int i = p.made.is_zipped ? 2 : 0; i < 3; ++i) p.made.is_wide &= mfq_cuda_is_wide(made, &made->in[i]);
  if (p.pairs == MFQN_PAIRS_HALVES && made->units % PIECE != 0) p.made.is_plain_wide = p.is_dense_wide = 0;
  p.made.pieces = divisor_of(mfq_ceil_div(made->units, PIECE));
  const int64_t items = rows->rows * (int64_t)p.made.pieces.value;
  return mfq_cuda_launch(context, mfq_launch{function, mfq_cuda_item_grid(items), ITEM_THREADS, 0}, made_pairs_kernel,
                         p);
}
