/* host/cpu/product/expand_operand.c: the cheapest way to the values of an operand: as it lies, widened from packed codes,
 * rounded on the way, or dequantized like any tensor. */
#include "expand_operand.h"

#include "host/core/check/overlap.h"
#include "host/core/error.h"
#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "host/cpu/cast/elements.h"
#include "convert_elements.h"
#include "widen.h"

enum { SHARE_ELEMENTS = 1 << 15 };

/* ---- Operands of a run: threads may run one plan at once ------------------------------------------------------------ */

size_t mfq_cpu_side_scratch(const mfq_context *context, const mfq_gemm_side *side) {
  return side->kind == MFQ_SIDE_TO_QUANTIZE ? mfq_cpu_quantize_scratch(context, &side->tensor, &side->view) : 0;
}

mfq_status mfq_cpu_side_ready(mfq_context *lent, const mfq_gemm_side *side, uint8_t *memory, mfq_gemm_side *ready) {
  mfq_gemm_side_place(side, memory, ready);
  return side->kind == MFQ_SIDE_TO_QUANTIZE ? mfq_cpu_quantize(lent, &side->tensor, &ready->view) : MFQ_OK;
}

/* ---- Values ------------------------------------------------------------------------------------------------------- */

mfq_dtype mfq_expanded_dtype(const mfq_gemm_side *a, const mfq_gemm_side *b, int round_operands) {
  return round_operands || mfq_gemm_sides_refuse_bf16(a, b) == NULL ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
}

static int has_factors(const mfq_gemm_side *side) {
  const mfq_factors factors = mfq_gemm_side_factors(side);
  return mfq_has_factors(&factors);
}

static int64_t count_of(mfq_operand_side side) {
  const mfq_gemm_side *part = side.part;
  int64_t count = 1;
  if (side.conv == NULL) return part->batches * part->rows * part->depth;
  for (int i = 0; i < MFQ_CONV_AXES; ++i) count *= side.conv->size[i];
  return count;
}

/* ---- Where values go ---------------------------------------------------------------------------------------------- */

/* A dense matrix whose rows, or columns, are contiguous. */
static void lay_out(mfq_expanded *e, const mfq_gemm_side *side, int by_columns) {
  e->is_by_columns = by_columns;
  e->stride[0] = side->batches > 1 ? side->rows * side->depth : 0;
  e->stride[1] = by_columns ? 1 : side->depth;
  e->stride[2] = by_columns ? side->rows : 1;
}

void mfq_expand_strides(const mfq_expanded *e, mfq_operand_side side, int64_t rows, int64_t stride[3]) {
  memcpy(stride, e->stride, sizeof e->stride);
  if (e->cut == 0) return;
  stride[0] = 0;
  stride[1] = e->is_by_columns ? 1 : side.part->depth;
  stride[2] = e->is_by_columns ? rows : 1;
}

static int is_by_columns(const mfq_matrix *m) { return m->stride[0] == 1 && m->stride[1] != 1; }

/* The strides of the values by the axes of a view of them. A batch that counts as rows is so many rows further on. */
static void strides_of_matrix(const mfq_expanded *e, const mfq_gemm_side *side, int64_t *strides) {
  const mfq_qtensor *q = &side->view.q;
  const int32_t last = q->rank - 1, row = side->is_transposed ? last : last - 1;
  int64_t step = side->batches > 1 ? e->stride[0] : q->shape[row] * e->stride[1];
  strides[row] = e->stride[1];
  strides[2 * last - 1 - row] = e->stride[2];
  for (int32_t d = last - 2; d >= 0; --d) {
    strides[d] = step;
    step *= q->shape[d];
  }
}

static void strides_of_array(const mfq_conv_side *side, int64_t *strides) {
  int64_t step = 1;
  for (int i = MFQ_CONV_AXES - 1; i >= 0; --i) {
    const int32_t axis = side->part.kind == MFQ_SIDE_TO_QUANTIZE ? i : side->axis[i];
    if (axis >= 0) strides[axis] = step;
    step *= side->size[i];
  }
}

/* The values as a tensor in the view's own axes. */
static mfq_tensor decode_target(const mfq_expanded *e, mfq_operand_side side, void *values) {
  const mfq_qtensor *q = &side.part->view.q;
  mfq_tensor t = {.data = values, .dtype = e->dtype, .rank = q->rank};
  memcpy(t.shape, q->shape, sizeof t.shape);
  if (side.conv != NULL)
    strides_of_array(side.conv, t.strides);
  else
    strides_of_matrix(e, side.part, t.strides);
  return t;
}

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

static int is_in_place(mfq_operand_side side, mfq_expanded *e) {
  const mfq_matrix *m = &side.part->matrix;
  if (side.conv != NULL) return side.part->tensor.dtype == e->dtype && mfq_conv_side_is_dense(side.conv);
  const int has_unit = m->stride[1] == 1 || m->stride[0] == 1 || m->rows == 1 || m->cols == 1;
  if (m->dtype != e->dtype || !has_unit || m->batch_rank > 1) return 0;
  e->stride[0] = m->batch_rank == 1 ? m->batch_stride[0] : 0;
  e->stride[1] = m->stride[0];
  e->stride[2] = m->stride[1];
  return 1;
}

/* In the source's own order of rows and columns. */
static int plan_round(const mfq_context *context, mfq_operand_side side, mfq_expanded *e) {
  const mfq_gemm_side *part = side.part;
  if (part->kind != MFQ_SIDE_TO_QUANTIZE || e->dtype != MFQ_DTYPE_BF16 || has_factors(part)) return 0;
  if (side.conv == NULL) lay_out(e, part, is_by_columns(&part->matrix));
  const mfq_tensor target = decode_target(e, side, NULL);
  if (!mfq_round_values_make(context, &part->tensor, &part->view, target.strides, &e->round)) return 0;
  e->how = MFQ_EXPANSION_ROUND;
  return 1;
}

/* How far apart rows of channels are, and 1, where that is one distance; size 1 counts for nothing. */
static int rows_are_even(const mfq_conv_side *side, const int64_t *strides, int64_t *step) {
  int64_t next = -1;
  for (int i = MFQ_CONV_CHANNELS - 1; i >= 0; --i) {
    if (side->size[i] == 1) continue;
    if (next < 0) *step = strides[i];
    if (next >= 0 && strides[i] != next) return 0;
    next = strides[i] * side->size[i];
  }
  return 1;
}

/* Codes with channels last as the rows of a matrix, as `widen` takes them. Returns 0 for other orders, and for groups
 * that do not run along the channels. */
static int as_rows(const mfq_conv_side *side, mfq_gemm_side *rows) {
  *rows = side->part;
  rows->batches = rows->rows = 1;
  rows->depth = side->size[MFQ_CONV_CHANNELS];
  for (int i = 0; i < MFQ_CONV_CHANNELS; ++i) rows->rows *= side->size[i];
  for (int i = 0; i < 3; ++i) {
    rows->code_bits[i] = rows->scale_stride[i] = 0;
    rows->scale_run[i] = 1;
  }
  rows->code_bits[2] = side->code_bits[MFQ_CONV_CHANNELS];
  if (!rows_are_even(side, side->code_bits, &rows->code_bits[1])) return 0;
  if (rows->group == 0) return 1;
  for (int i = 0; i < MFQ_CONV_CHANNELS; ++i)
    if (side->scale_run[i] != 1) return 0;
  rows->scale_stride[2] = side->scale_stride[MFQ_CONV_CHANNELS];
  rows->scale_run[2] = side->scale_run[MFQ_CONV_CHANNELS];
  return rows_are_even(side, side->scale_stride, &rows->scale_stride[1]);
}

/* The rows of a side, as `widen` takes them; 0: there are none. */
static int rows_of(mfq_operand_side side, mfq_gemm_side *rows) {
  if (side.conv != NULL) return as_rows(side.conv, rows);
  *rows = *side.part;
  return 1;
}

/* The side's codes; where alignment pads no row of a convolution's they are one stream, and casts need not stop at the ends
 * of rows. */
static mfq_gemm_side part_of(mfq_operand_side side) {
  mfq_gemm_side part = *side.part;
  const mfq_qtensor *q = &part.view.q;
  if (part.kind == MFQ_SIDE_PLAIN) return part;
  const int32_t last = mfq_code_axis(&part.view, q->rank - 1);
  const int is_stream = part.view.sizes.row_bits == (size_t)(q->shape[last] * mfq_code_bits(q));
  if (side.conv != NULL && is_stream) part.view.q.layout.row_align = 0;
  return part;
}

static void plan_codes(const mfq_context *context, mfq_operand_side side, mfq_expanded *e) {
  const mfq_gemm_side part = part_of(side);
  const int32_t code_bits = mfq_code_bits(&part.view.q);
  mfq_gemm_side rows;
  e->scratch_bytes = mfq_cpu_side_scratch(context, &part);
  e->how = MFQ_EXPANSION_DECODE;
  const int may_widen = e->dtype == MFQ_DTYPE_BF16 || side.conv == NULL;
  if (may_widen && rows_of(side, &rows) && mfq_widen_make(&rows, &e->widen))
    e->how = MFQ_EXPANSION_WIDEN;
  else if (side.conv == NULL && mfq_decode_rows_make(&part, &e->rows))
    e->how = MFQ_EXPANSION_ROWS;
  else if (e->dtype == MFQ_DTYPE_BF16 && side.conv != NULL && mfq_conv_codes_make(side.conv, &e->codes))
    e->how = MFQ_EXPANSION_TURN;
  if (side.conv == NULL)
    lay_out(e, &part,
            e->how != MFQ_EXPANSION_WIDEN && part.code_bits[2] != code_bits && part.code_bits[1] == code_bits);
  if (e->how == MFQ_EXPANSION_ROWS)
    e->scratch_bytes = mfq_larger_size(e->scratch_bytes, mfq_decode_rows_scratch(context));
  if (e->how != MFQ_EXPANSION_DECODE) return;
  const mfq_tensor target = decode_target(e, side, NULL);
  e->scratch_bytes = mfq_larger_size(e->scratch_bytes, mfq_cpu_dequantize_scratch(context, &part.view, &target));
}

/* f32 of a convolution by a way that bf16 has and f32 has not. Returns 0 where there is none. */
static int plan_halves(const mfq_context *context, mfq_operand_side side, mfq_expanded *e) {
  const int holds = side.conv != NULL && e->dtype == MFQ_DTYPE_F32 && side.part->kind != MFQ_SIDE_PLAIN &&
                    mfq_gemm_side_refuses_bf16(side.part) == NULL;
  if (!holds || mfq_expand_plan(context, side, MFQ_DTYPE_BF16, e) != MFQ_OK) return 0;
  e->dtype = MFQ_DTYPE_F32;
  e->by_halves = e->how != MFQ_EXPANSION_DECODE;
  return e->by_halves;
}

mfq_status mfq_expand_plan(const mfq_context *context, mfq_operand_side side, mfq_dtype dtype, mfq_expanded *e) {
  memset(e, 0, sizeof *e);
  e->dtype = dtype;
  if (plan_halves(context, side, e)) return MFQ_OK;
  memset(e, 0, sizeof *e);
  e->dtype = dtype;
  const int is_plain = side.part->kind == MFQ_SIDE_PLAIN;
  if (is_plain && is_in_place(side, e)) return MFQ_OK;
  if (is_plain) {
    e->how = MFQ_EXPANSION_CONVERT;
    if (side.conv == NULL) lay_out(e, side.part, is_by_columns(&side.part->matrix));
    return MFQ_OK;
  }
  if (!plan_round(context, side, e)) plan_codes(context, side, e);
  const mfq_tensor target = decode_target(e, side, NULL);
  if (mfq_tensor_fits(&target, count_of(side))) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INTERNAL, side.conv != NULL ? "mfq_conv_plan_create" : "mfq_gemm_plan_create",
                  "the values of an operand leave their memory");
}

int mfq_expand_can_cut(const mfq_expanded *e) {
  return e->how == MFQ_EXPANSION_CONVERT || e->how == MFQ_EXPANSION_WIDEN || e->how == MFQ_EXPANSION_ROWS;
}

void mfq_expand_take(mfq_operand_side side, int64_t cut, size_t *bytes, mfq_expanded *e) {
  const mfq_gemm_side part = part_of(side);
  const int has_codes = part.kind != MFQ_SIDE_PLAIN && e->how != MFQ_EXPANSION_ROUND;
  if (e->how == MFQ_EXPANSION_IN_PLACE) return;
  e->cut = cut;
  if (has_codes) e->parts_at = mfq_workspace_take(bytes, mfq_gemm_side_bytes(&part));
  if (e->how == MFQ_EXPANSION_DECODE && part.group == 0 && has_factors(&part))
    e->ones_at = mfq_workspace_take(bytes, (size_t)part.view.sizes.scale_count * sizeof(float));
  const int64_t count = cut > 0 ? cut * part.depth : count_of(side);
  e->values_at = mfq_workspace_take(bytes, (size_t)count * mfq_dtype_bytes(e->dtype));
  if (e->by_halves) e->halves_at = mfq_workspace_take(bytes, (size_t)count * sizeof(uint16_t));
  if (e->how == MFQ_EXPANSION_WIDEN && (cut > 0 || e->dtype != MFQ_DTYPE_BF16)) e->widen.stream = 0;
}

/* ---- Plain elements ----------------------------------------------------------------------------------------------- */

/* The elements of a matrix, by batches, lines and places in a line. */
static mfq_tensor lines_of(const mfq_matrix *m, int by_columns) {
  mfq_tensor t = {.data = m->data, .dtype = m->dtype, .rank = m->batch_rank + 2};
  memcpy(t.shape, m->batch_shape, (size_t)m->batch_rank * sizeof t.shape[0]);
  memcpy(t.strides, m->batch_stride, (size_t)m->batch_rank * sizeof t.strides[0]);
  t.shape[m->batch_rank] = by_columns ? m->cols : m->rows;
  t.shape[m->batch_rank + 1] = by_columns ? m->rows : m->cols;
  t.strides[m->batch_rank] = m->stride[by_columns];
  t.strides[m->batch_rank + 1] = m->stride[!by_columns];
  return t;
}

static void convert(const mfq_context *context, const mfq_expanded *e, mfq_operand_side side, uint8_t *dst) {
  const int is_conv = side.conv != NULL;
  const mfq_tensor from = is_conv ? side.part->tensor : lines_of(&side.part->matrix, e->is_by_columns);
  mfq_convert_tensor(context, from, is_conv, e->dtype, dst);
}

static void convert_rows(const mfq_context *context, const mfq_expanded *e, const mfq_gemm_side *side,
                         mfq_side_rows rows, uint8_t *dst) {
  mfq_matrix m = side->matrix;
  const int64_t first = mfq_matrix_offset(&m, rows.batch) + rows.first * m.stride[0];
  m.data = (uint8_t *)m.data + first * (int64_t)mfq_dtype_bytes(m.dtype);
  m.rows = rows.count;
  m.batch_rank = 0;
  mfq_convert_tensor(context, lines_of(&m, e->is_by_columns), 0, e->dtype, dst);
}

/* ---- Codes --------------------------------------------------------------------------------------------------------- */

/* Decodes with every scale that the finish applies replaced by 1. */
static mfq_status decode(mfq_context *lent, const mfq_expanded *e, mfq_operand_side side, const mfq_gemm_side *ready,
                         uint8_t *workspace) {
  static const float one = 1.0f;
  mfq_qview view = ready->view;
  if (ready->group == 0 && has_factors(ready)) {
    float *ones = (float *)(void *)(workspace + e->ones_at);
    for (int64_t i = 0; i < view.sizes.scale_count; ++i) ones[i] = 1.0f;
    view.q.scheme.scale = MFQ_SCALE_F32;
    view.q.layout.scales = MFQ_SCALES_LOGICAL;
    view.q.scales = ones;
  }
  view.q.tensor_scale = (float *)(uintptr_t)&one; /* only read */
  const mfq_tensor target = decode_target(e, side, workspace + e->values_at);
  return mfq_cpu_dequantize(lent, &view, &target);
}

static mfq_status expand_codes(mfq_context *lent, const mfq_expanded *e, mfq_operand_side side, uint8_t *workspace,
                               mfq_gemm_side *ready) {
  const mfq_gemm_side part = part_of(side);
  uint8_t *values = workspace + e->values_at;
  mfq_gemm_side rows;
  const mfq_status status = mfq_cpu_side_ready(lent, &part, workspace + e->parts_at, ready);
  if (status != MFQ_OK || e->cut > 0) return status;
  switch (e->how) {
    case MFQ_EXPANSION_WIDEN:
      (void)rows_of(side, &rows);
      rows.view = ready->view;
      mfq_widen_rows(lent, &e->widen, &rows, mfq_side_all(&rows), e->dtype, values);
      return MFQ_OK;
    case MFQ_EXPANSION_ROWS:
      mfq_decode_rows_run(lent, &e->rows, ready, mfq_side_all(ready), e->dtype, values);
      return MFQ_OK;
    case MFQ_EXPANSION_TURN:
      mfq_conv_codes_run(lent, &e->codes, side.conv, &ready->view, (uint16_t *)(void *)values);
      return MFQ_OK;
    default: return decode(lent, e, side, ready, workspace);
  }
}

static mfq_status run_halves(mfq_context *lent, const mfq_expanded *e, mfq_operand_side side, uint8_t *workspace,
                             mfq_gemm_side *ready) {
  mfq_expanded halves = *e;
  const void *values;
  halves.dtype = MFQ_DTYPE_BF16;
  halves.by_halves = 0;
  halves.values_at = e->halves_at;
  const mfq_status status = mfq_expand_run(lent, &halves, side, workspace, ready, &values);
  if (status != MFQ_OK) return status;
  mfq_convert_halves(lent, values, count_of(side), (uint32_t *)(void *)(workspace + e->values_at));
  return MFQ_OK;
}

mfq_status mfq_expand_run(mfq_context *lent, const mfq_expanded *e, mfq_operand_side side, uint8_t *workspace,
                          mfq_gemm_side *ready, const void **values) {
  uint8_t *made = workspace + e->values_at;
  if (e->by_halves) {
    *values = made;
    return run_halves(lent, e, side, workspace, ready);
  }
  *ready = *side.part;
  *values = made;
  switch (e->how) {
    case MFQ_EXPANSION_IN_PLACE: *values = side.part->tensor.data; return MFQ_OK;
    case MFQ_EXPANSION_CONVERT:
      if (e->cut == 0) convert(lent, e, side, made);
      return MFQ_OK;
    case MFQ_EXPANSION_ROUND:
      mfq_round_values_run(lent, &e->round, side.part->tensor.data, (uint16_t *)(void *)made);
      return MFQ_OK;
    default: return expand_codes(lent, e, side, workspace, ready);
  }
}

void mfq_expand_rows(mfq_context *lent, const mfq_expanded *e, const mfq_gemm_side *ready, mfq_side_rows rows,
                     uint8_t *workspace) {
  uint8_t *values = workspace + e->values_at;
  if (e->how == MFQ_EXPANSION_CONVERT)
    convert_rows(lent, e, ready, rows, values);
  else if (e->how == MFQ_EXPANSION_WIDEN)
    mfq_widen_rows(lent, &e->widen, ready, rows, e->dtype, values);
  else
    mfq_decode_rows_run(lent, &e->rows, ready, rows, e->dtype, values);
}
