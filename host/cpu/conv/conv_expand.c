/* host/cpu/conv/conv_expand.c: an operand as a dense array by the cheapest way that it allows: as it is, rounded in one
 * pass, widened by rows or boxes, converted, or decoded by the casts. */
#include "conv_expand.h"

#include "host/core/error.h"
#include "host/core/check/overlap.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cast/elements.h"

enum { SHARE_ELEMENTS = 1 << 15 };

static int64_t count_of(const mfq_conv_side *side) {
  int64_t count = 1;
  for (int i = 0; i < MFQ_CONV_AXES; ++i) count *= side->size[i];
  return count;
}

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

/* The array as a tensor in the view's own axes. */
static mfq_tensor decode_target(const mfq_conv_array *e, const mfq_conv_side *side, void *values) {
  const mfq_qtensor *q = &side->part.view.q;
  mfq_tensor t = {.data = values, .dtype = e->dtype, .rank = q->rank};
  memcpy(t.shape, q->shape, sizeof t.shape);
  int64_t step = 1;
  for (int i = MFQ_CONV_AXES - 1; i >= 0; --i) {
    const int32_t axis = side->part.kind == MFQ_SIDE_TO_QUANTIZE ? i : side->axis[i];
    if (axis >= 0) t.strides[axis] = step;
    step *= side->size[i];
  }
  return t;
}

static int plan_round(const mfq_context *context, const mfq_conv_side *side, mfq_conv_array *e) {
  const mfq_gemm_side *part = &side->part;
  if (part->kind != MFQ_SIDE_TO_QUANTIZE || e->dtype != MFQ_DTYPE_BF16 || mfq_side_has_factors(part)) return 0;
  const mfq_tensor target = decode_target(e, side, NULL);
  if (!mfq_round_values_make(context, &part->tensor, &part->view, target.strides, &e->round)) return 0;
  e->how = MFQ_ARRAY_ROUND;
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

/* The side's codes; where alignment pads no row they are one stream, and casts need not stop at the ends of rows. */
static mfq_gemm_side part_of(const mfq_conv_side *side) {
  mfq_gemm_side part = side->part;
  const mfq_qtensor *q = &part.view.q;
  const int32_t last = q->layout.codes == MFQ_CODES_GROUP_LAST ? part.view.sizes.axis : q->rank - 1;
  if (part.view.sizes.row_bits == (size_t)(q->shape[last] * mfq_code_bits(q))) part.view.q.layout.row_align = 0;
  return part;
}

static void plan_codes(const mfq_context *context, const mfq_conv_side *side, size_t *bytes, mfq_conv_array *e) {
  const mfq_gemm_side copy = part_of(side), *part = &copy;
  mfq_gemm_side rows;
  e->parts_at = mfq_workspace_take(bytes, mfq_gemm_side_bytes(part));
  e->scratch_bytes = mfq_cpu_side_scratch(context, part);
  e->how = MFQ_ARRAY_DECODE;
  if (e->dtype == MFQ_DTYPE_BF16 && as_rows(side, &rows) && mfq_widen_make(&rows, &e->widen)) {
    e->how = MFQ_ARRAY_WIDEN;
    return;
  }
  if (e->dtype == MFQ_DTYPE_BF16 && mfq_conv_codes_make(side, &e->codes)) {
    e->how = MFQ_ARRAY_TURN;
    return;
  }
  if (part->group == 0 && mfq_side_has_factors(part))
    e->ones_at = mfq_workspace_take(bytes, (size_t)part->view.sizes.scale_count * sizeof(float));
  const mfq_tensor target = decode_target(e, side, NULL);
  const size_t scratch = mfq_cpu_dequantize_scratch(context, &part->view, &target);
  if (scratch > e->scratch_bytes) e->scratch_bytes = scratch;
}

mfq_status mfq_conv_expand_plan(const mfq_context *context, const mfq_conv_side *side, mfq_dtype dtype, size_t *bytes,
                                mfq_conv_array *e) {
  memset(e, 0, sizeof *e);
  e->dtype = dtype;
  const int is_plain = side->part.kind == MFQ_SIDE_PLAIN;
  if (is_plain)
    e->how = side->part.tensor.dtype == dtype && mfq_conv_side_is_dense(side) ? MFQ_ARRAY_IN_PLACE : MFQ_ARRAY_CONVERT;
  else if (!plan_round(context, side, e))
    plan_codes(context, side, bytes, e);
  if (e->how == MFQ_ARRAY_IN_PLACE) return MFQ_OK;
  e->values_at = mfq_workspace_take(bytes, (size_t)count_of(side) * mfq_dtype_bytes(dtype));
  if (is_plain) return MFQ_OK;
  const mfq_tensor target = decode_target(e, side, NULL);
  if (mfq_tensor_fits(&target, count_of(side))) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INTERNAL, "mfq_conv_plan_create", "the values of an operand leave their memory");
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

/* `n` elements `step` apart to contiguous ones of another type. */
static void convert_line(const mfq_kernels *kernels, mfq_source from, int64_t step, int64_t n, mfq_dtype dtype,
                         uint8_t *dst) {
  const int64_t size = (int64_t)mfq_dtype_bytes(from.dtype);
  uint32_t x[MFQ_CHUNK];
  if (step == 1 && from.dtype == dtype) {
    memcpy(dst, from.data, (size_t)(n * size));
    return;
  }
  for (int64_t i = 0; i < n; i += MFQ_CHUNK) {
    const int64_t count = n - i < MFQ_CHUNK ? n - i : MFQ_CHUNK;
    if (step == 1)
      kernels->load(x, (const uint8_t *)from.data + i * size, from.dtype, count);
    else
      for (int64_t j = 0; j < count; ++j) x[j] = mfq_element_load(from.data, from.dtype, (i + j) * step);
    kernels->store_limited(dst + i * (int64_t)mfq_dtype_bytes(dtype), dtype, x, count);
  }
}

typedef struct convert_work {
  const mfq_kernels *kernels;
  const mfq_conv_side *side;
  mfq_dtype dtype;
  uint8_t *dst;
  mfq_conv_boxes boxes;
} convert_work;

/* Row by row of channels. */
static void convert_rows(void *work, int thread, int64_t first, int64_t end) {
  const convert_work *w = work;
  const mfq_conv_side *side = w->side;
  const mfq_tensor *t = &side->part.tensor;
  const int64_t length = side->size[MFQ_CONV_CHANNELS];
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    int64_t offset = 0, rest = i;
    for (int d = MFQ_CONV_CHANNELS - 1; d >= 0; --d) {
      offset += rest % side->size[d] * side->stride[d];
      rest /= side->size[d];
    }
    const mfq_source from = {(const uint8_t *)t->data + offset * (int64_t)mfq_dtype_bytes(t->dtype), t->dtype};
    convert_line(w->kernels, from, length == 1 ? 1 : side->stride[MFQ_CONV_CHANNELS], length, w->dtype,
                 w->dst + (size_t)(i * length) * mfq_dtype_bytes(w->dtype));
  }
}

/* Elements keep their type while they are turned. */
static void turn(const mfq_kernels *kernels, void *dst, int64_t dst_ld, mfq_source from, int64_t ld,
                 const mfq_conv_box *box) {
  if (from.dtype == MFQ_DTYPE_F32)
    kernels->turn32(dst, dst_ld, from.data, ld, box->rows, box->cols);
  else
    kernels->turn16(dst, dst_ld, from.data, ld, box->rows, box->cols);
}

static void convert_box(const mfq_kernels *kernels, const mfq_conv_side *side, const mfq_conv_boxes *boxes,
                        mfq_conv_box box, mfq_dtype dtype, uint8_t *dst) {
  const mfq_tensor *t = &side->part.tensor;
  const int64_t size = (int64_t)mfq_dtype_bytes(t->dtype), to = (int64_t)mfq_dtype_bytes(dtype);
  const int64_t ld = side->stride[MFQ_CONV_CHANNELS], step = boxes->dst_stride[boxes->axis];
  int64_t offset = 0;
  for (int i = 0; i < MFQ_CONV_AXES; ++i) offset += box.at[i] * side->stride[i];
  const mfq_source from = {(const uint8_t *)t->data + offset * size, t->dtype};
  if (t->dtype == dtype) {
    turn(kernels, dst + box.dst * to, step, from, ld, &box);
    return;
  }
  uint32_t tile[MFQ_BOX_ROWS * MFQ_BOX_COLS];
  turn(kernels, tile, box.rows, from, ld, &box);
  for (int64_t i = 0; i < box.cols; ++i) {
    const mfq_source line = {(const uint8_t *)tile + i * box.rows * size, t->dtype};
    convert_line(kernels, line, 1, box.rows, dtype, dst + (box.dst + i * step) * to);
  }
}

/* The axis along which elements are contiguous; -1: the channels, or none. */
static int32_t line_axis(const mfq_conv_side *side) {
  if (side->size[MFQ_CONV_CHANNELS] == 1 || side->stride[MFQ_CONV_CHANNELS] == 1) return -1;
  for (int32_t i = MFQ_CONV_CHANNELS - 1; i >= 0; --i)
    if (side->size[i] > 1 && side->stride[i] == 1) return i;
  return -1;
}

static void convert_boxes(void *work, int thread, int64_t first, int64_t end) {
  const convert_work *w = work;
  (void)thread;
  for (int64_t i = first; i < end; ++i)
    convert_box(w->kernels, w->side, &w->boxes, mfq_conv_box_at(&w->boxes, i), w->dtype, w->dst);
}

static void convert(const mfq_context *context, const mfq_conv_side *side, mfq_dtype dtype, uint8_t *dst) {
  const int64_t count = count_of(side), length = side->size[MFQ_CONV_CHANNELS];
  const int threads = mfq_threads_for(context, count, SHARE_ELEMENTS);
  const int32_t axis = line_axis(side);
  convert_work work = {.kernels = mfq_cpu_kernels(context), .side = side, .dtype = dtype, .dst = dst};
  if (axis < 0) {
    mfq_team_run((mfq_loop){threads, length ? count / length : 0, 0}, convert_rows, &work);
    return;
  }
  mfq_conv_boxes_make(side->size, axis, mfq_conv_merged(side->size, side->stride, axis), &work.boxes);
  mfq_team_run((mfq_loop){threads, work.boxes.count, 0}, convert_boxes, &work);
}

/* Decodes with every scale that the finish applies replaced by 1. */
static mfq_status decode(mfq_context *lent, const mfq_conv_array *e, const mfq_conv_side *side,
                         const mfq_gemm_side *ready, uint8_t *workspace) {
  static const float one = 1.0f;
  mfq_qview view = ready->view;
  if (ready->group == 0 && mfq_side_has_factors(ready)) {
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

static mfq_status expand_codes(mfq_context *lent, const mfq_conv_array *e, const mfq_conv_side *side,
                               uint8_t *workspace, mfq_gemm_side *ready) {
  const mfq_gemm_side part = part_of(side);
  uint16_t *values = (uint16_t *)(void *)(workspace + e->values_at);
  mfq_gemm_side rows;
  const mfq_status status = mfq_cpu_side_ready(lent, &part, workspace + e->parts_at, ready);
  if (status != MFQ_OK) return status;
  switch (e->how) {
    case MFQ_ARRAY_WIDEN:
      (void)as_rows(side, &rows);
      mfq_widen_side(lent, &e->widen, &rows, &ready->view, values);
      return MFQ_OK;
    case MFQ_ARRAY_TURN: mfq_conv_codes_run(lent, &e->codes, side, &ready->view, values); return MFQ_OK;
    default: return decode(lent, e, side, ready, workspace);
  }
}

mfq_status mfq_conv_expand_run(mfq_context *lent, const mfq_conv_array *e, const mfq_conv_side *side,
                               uint8_t *workspace, mfq_gemm_side *ready, const void **values) {
  uint8_t *made = workspace + e->values_at;
  *ready = side->part;
  *values = e->how == MFQ_ARRAY_IN_PLACE ? side->part.tensor.data : (void *)made;
  switch (e->how) {
    case MFQ_ARRAY_IN_PLACE: return MFQ_OK;
    case MFQ_ARRAY_CONVERT: convert(lent, side, e->dtype, made); return MFQ_OK;
    case MFQ_ARRAY_ROUND:
      mfq_round_values_run(lent, &e->round, side->part.tensor.data, (uint16_t *)(void *)made);
      return MFQ_OK;
    default: return expand_codes(lent, e, side, workspace, ready);
  }
}
