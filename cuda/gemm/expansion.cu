/* cuda/gemm/expansion.cu: how operands become plain matrices. */
#include "expansion.h"

#include <string.h>

#include "host/core/error.h"
#include "host/core/integers.h"
#include "host/core/check/overlap.h"
#include "host/core/problem/walk.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "copy_kernel.cuh"

static_assert((int)COPY_MAX_RANK == (int)MFQ_MAX_RANK, "batch axes");

namespace {

enum { LINE_BYTES = 16, SCALES_TILE_ROWS = 128 };

/* ---- How codes lie ----------------------------------------------------------------------------------------------- */

int is_depth_last(const mfq_gemm_side *side) { return side->depth == 1 || side->code_bits[2] <= side->code_bits[1]; }

/* The axes of a view, in a side of several batches or whose codes along K are no neighbours. */
typedef struct axes {
  int32_t row, depth;
} axes;

axes axes_of(const mfq_gemm_side *side) {
  const mfq_qview *view = &side->view;
  const int32_t last = view->q.rank - 1;
  int64_t bits[MFQ_MAX_RANK];
  mfq_code_bit_strides(view, bits);
  const int is_plain_order = view->q.shape[last] == side->depth && view->q.shape[last - 1] == side->rows &&
                             bits[last] == side->code_bits[2] && bits[last - 1] == side->code_bits[1];
  return is_plain_order ? axes{last - 1, last} : axes{last, last - 1};
}

/* ---- Quantized sides --------------------------------------------------------------------------------------------- */

int is_factor(const mfq_gemm_side *side) { return side->group == 0; }

/* Rows at whose multiples a view can be cut in two: codes on whole bytes, scales on whole rows and tiles. */
int64_t cut_of(const mfq_gemm_side *side) {
  const mfq_layout *layout = &side->view.q.layout;
  if (!is_depth_last(side) || (side->batches > 1 && side->code_bits[0] % 8 != 0)) return 0;
  int64_t cut = 1;
  while (side->code_bits[1] * cut % 8 != 0) cut *= 2;
  if (side->scale_run[1] > 1 && side->scale_stride[1] != 0) cut = mfq_common_multiple(cut, side->scale_run[1]);
  if (layout->scales == MFQ_SCALES_128X4) {
    if (side->batches > 1 && side->rows % SCALES_TILE_ROWS != 0) return 0;
    cut = mfq_common_multiple(cut, SCALES_TILE_ROWS);
  }
  return cut;
}

/* The whole view without scales that are factors. */
mfq_qview unscaled(const mfq_gemm_side *side) {
  mfq_qview view = side->view;
  view.q.tensor_scale = NULL; /* is 1 then */
  if (is_factor(side)) {
    view.q.scheme.scale = MFQ_SCALE_NONE;
    view.q.scales = NULL;
    view.q.layout.scales = MFQ_SCALES_LOGICAL;
  }
  return view;
}

/* Rows of one batch as a view of their own, [rows, depth] in code order. */
mfq_qview cut_view(const mfq_gemm_side *side, const mfq_cuda_part *part) {
  mfq_qview view = unscaled(side);
  mfq_qtensor *q = &view.q;
  mfq_qtensor_sizes *z = &view.sizes;
  const int64_t groups = side->group > 0 ? mfq_ceil_div(side->depth, side->group) : 1;
  const int64_t bits = part->batch * side->code_bits[0] + part->row * side->code_bits[1];
  const int64_t first = mfq_gemm_side_scale(side, part->batch, part->row, 0), run = side->scale_run[1];
  const int has_row_scales = side->scale_stride[1] != 0;
  q->layout.codes = MFQ_CODES_LOGICAL;
  if (side->code_bits[1] == side->depth * side->code_bits[2]) q->layout.row_align = 0;
  q->rank = 2;
  q->shape[0] = part->rows;
  q->shape[1] = side->depth;
  q->codes = (uint8_t *)q->codes + bits / 8;
  if (q->zero_points != NULL) q->zero_points = (uint8_t *)q->zero_points + first;
  if (q->scales != NULL && q->layout.scales == MFQ_SCALES_128X4) {
    const int64_t tiles = (part->batch * side->rows + part->row) / SCALES_TILE_ROWS;
    q->scales = (uint8_t *)q->scales + tiles * mfq_ceil_div(groups, 4) * (SCALES_TILE_ROWS * 4);
  } else if (q->scales != NULL) {
    q->scales = (uint8_t *)q->scales + first * mfq_cuda_scale_slots(&side->view).bytes;
  }
  z->row_bits = (size_t)side->code_bits[1];
  z->codes_bytes = (size_t)mfq_ceil_div(part->rows * side->code_bits[1], 8);
  z->axis = -1;
  z->scale_rank = 2;
  z->scale_shape[0] = has_row_scales ? mfq_ceil_div(part->rows, run) : 1;
  z->scale_shape[1] = groups;
  z->scale_count = z->scale_shape[0] * groups;
  mfq_scheme *scheme = &q->scheme;
  scheme->axis = MFQ_AXIS_AUTO;
  if (scheme->granularity == MFQ_GRANULARITY_GROUP) z->axis = 1;
  if (scheme->granularity == MFQ_GRANULARITY_CHANNEL && !has_row_scales) scheme->granularity = MFQ_GRANULARITY_TENSOR;
  if (scheme->granularity == MFQ_GRANULARITY_CHANNEL) z->axis = 0;
  if (scheme->granularity == MFQ_GRANULARITY_TENSOR) z->scale_rank = 0;
  memcpy(z->padded_shape, q->shape, sizeof z->padded_shape);
  return view;
}

mfq_status decode_rows(mfq_context *lent, const mfq_cuda_expansion *e, const mfq_gemm_side *side,
                       const mfq_cuda_part *part, void *memory) {
  const mfq_qview view = cut_view(side, part);
  mfq_tensor dst = {};
  dst.data = memory;
  dst.dtype = e->dtype;
  dst.rank = 2;
  dst.shape[0] = part->rows;
  dst.shape[1] = side->depth;
  dst.strides[0] = mfq_cuda_expansion_ld(e, side, part->rows);
  dst.strides[1] = 1;
  return mfq_cuda_dequantize(lent, &view, &dst);
}

mfq_status decode_all(mfq_context *lent, const mfq_cuda_expansion *e, const mfq_gemm_side *side, void *memory) {
  const mfq_qview view = unscaled(side);
  const axes at = axes_of(side);
  const int64_t ld = mfq_cuda_expansion_ld(e, side, side->rows);
  mfq_tensor dst = {};
  dst.data = memory;
  dst.dtype = e->dtype;
  dst.rank = view.q.rank;
  memcpy(dst.shape, view.q.shape, sizeof dst.shape);
  dst.strides[at.row] = e->is_depth_last ? ld : 1;
  dst.strides[at.depth] = e->is_depth_last ? 1 : ld;
  const int64_t each = mfq_cuda_expansion_elements(e, side, side->rows);
  int64_t stride = side->batches > 1 ? each : dst.shape[at.row] * dst.strides[at.row]; /* batches may count as rows */
  for (int32_t d = view.q.rank - 3; d >= 0; --d) {
    dst.strides[d] = stride;
    stride *= dst.shape[d];
  }
  if (!mfq_tensor_fits(&dst, side->batches * each))
    return mfq_fail(MFQ_ERROR_INTERNAL, "mfq_gemm_run", "the values of an operand leave their memory");
  return mfq_cuda_dequantize(lent, &view, &dst);
}

/* Batches one after the other where they are not all. The rows of a single batch may be several axes of the view. */
mfq_status decode(mfq_context *lent, const mfq_cuda_expansion *e, const mfq_gemm_side *side, const mfq_cuda_part *part,
                  void *memory) {
  const int is_all = part->batches == side->batches && part->rows == side->rows;
  if (is_all && (side->batches > 1 || !e->is_depth_last)) return decode_all(lent, e, side, memory);
  const int64_t bytes = mfq_cuda_expansion_elements(e, side, part->rows) * (int64_t)mfq_dtype_bytes(e->dtype);
  mfq_status status = MFQ_OK;
  for (int64_t i = 0; i < part->batches && status == MFQ_OK; ++i) {
    const mfq_cuda_part one = {part->batch + i, 1, part->row, part->rows};
    status = decode_rows(lent, e, side, &one, (uint8_t *)memory + i * bytes);
  }
  return status;
}

/* ---- Plain sides ------------------------------------------------------------------------------------------------- */

mfq_status copy(mfq_context *lent, const mfq_cuda_expansion *e, const mfq_gemm_side *side, const mfq_cuda_part *part,
                void *memory) {
  const mfq_matrix *m = &side->matrix;
  const int inner = e->is_depth_last ? 1 : 0;
  const int64_t line = e->is_depth_last ? side->depth : part->rows, lines = e->is_depth_last ? part->rows : side->depth;
  copy_params p = {};
  p.src = element_view{(uint8_t *)m->data + part->row * m->stride[0] * (int64_t)mfq_dtype_bytes(m->dtype),
                       (int32_t)m->dtype};
  p.dst = element_view{(uint8_t *)memory, (int32_t)e->dtype};
  p.count = part->batches * line * lines;
  p.first_batch = part->batch;
  p.line = divisor64_make(line > 0 ? line : 1);
  p.lines = divisor64_make(lines > 0 ? lines : 1);
  p.src_step[0] = m->stride[inner];
  p.src_step[1] = m->stride[1 - inner];
  p.dst_line = mfq_cuda_expansion_ld(e, side, part->rows);
  p.dst_batch = mfq_cuda_expansion_elements(e, side, part->rows);
  p.batch_rank = m->batch_rank;
  for (int32_t d = 0; d < m->batch_rank; ++d) {
    p.batch_size[d] = divisor64_make(m->batch_shape[d] > 0 ? m->batch_shape[d] : 1);
    p.batch_stride[d] = m->batch_stride[d];
  }
  const mfq_launch at = {"mfq_gemm_run", mfq_cuda_item_grid(p.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(lent, at, copy_kernel, p);
}

int64_t size_of(int64_t stride) { return stride < 0 ? -stride : stride; }

/* Whether cuBLASLt can read the matrix: neighbours one way, lines that do not overlap the other. */
int is_readable(const mfq_matrix *m, int is_depth_last) {
  const int64_t count = is_depth_last ? m->cols : m->rows, lines = is_depth_last ? m->rows : m->cols;
  const int64_t step = m->stride[is_depth_last ? 1 : 0], line = m->stride[is_depth_last ? 0 : 1];
  if (m->batch_rank == 1 && m->batch_stride[0] < 0) return 0;
  return (step == 1 || count == 1) && (line >= count || lines == 1);
}

mfq_cuda_expansion plain_expansion(const mfq_gemm_side *side, mfq_dtype dtype) {
  const mfq_matrix *m = &side->matrix;
  mfq_cuda_expansion e = {};
  e.dtype = dtype;
  e.cut = 1;
  e.is_depth_last = is_readable(m, 1) || (!is_readable(m, 0) && size_of(m->stride[1]) <= size_of(m->stride[0]));
  e.is_in_place = m->dtype == dtype && is_readable(m, e.is_depth_last);
  e.is_uniform = !e.is_in_place || m->batch_rank <= 1;
  return e;
}

} // namespace

mfq_dtype mfq_cuda_expansion_dtype(const mfq_gemm_side *a, const mfq_gemm_side *b, int round_operands) {
  const int are_plain = a->kind == MFQ_SIDE_PLAIN && b->kind == MFQ_SIDE_PLAIN;
  if (are_plain && a->tensor.dtype == MFQ_DTYPE_F16 && b->tensor.dtype == MFQ_DTYPE_F16) return MFQ_DTYPE_F16;
  return round_operands || mfq_gemm_sides_refuse_bf16(a, b) == NULL ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
}

mfq_cuda_expansion mfq_cuda_expansion_of(const mfq_gemm_side *side, mfq_dtype dtype) {
  if (side->kind == MFQ_SIDE_PLAIN) return plain_expansion(side, dtype);
  mfq_cuda_expansion e = {};
  e.dtype = dtype;
  e.is_depth_last = is_depth_last(side);
  e.is_uniform = 1;
  e.cut = cut_of(side);
  return e;
}

int64_t mfq_cuda_expansion_ld(const mfq_cuda_expansion *e, const mfq_gemm_side *side, int64_t rows) {
  const int64_t line = e->is_depth_last ? side->depth : rows;
  const int64_t lines = e->is_depth_last ? side->rows : side->depth;
  if (e->is_in_place) return lines == 1 ? line : side->matrix.stride[e->is_depth_last ? 0 : 1];
  const int64_t unit = LINE_BYTES / (int64_t)mfq_dtype_bytes(e->dtype);
  return mfq_round_up(line, unit);
}

int64_t mfq_cuda_expansion_elements(const mfq_cuda_expansion *e, const mfq_gemm_side *side, int64_t rows) {
  return mfq_cuda_expansion_ld(e, side, rows) * (e->is_depth_last ? rows : side->depth);
}

mfq_status mfq_cuda_expand_side(mfq_context *lent, const mfq_cuda_expansion *e, const mfq_gemm_side *side,
                                const mfq_cuda_part *part, void *memory) {
  if (side->kind == MFQ_SIDE_PLAIN) return copy(lent, e, side, part, memory);
  return decode(lent, e, side, part, memory);
}
