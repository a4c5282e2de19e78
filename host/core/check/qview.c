/* host/core/check/qview.c: sizes of a quantized tensor from its scheme, shape and layout, every multiplication checked.
 * Everything that walks codes or scales starts from these numbers. */
#include "host/core/error.h"
#include "host/core/scheme/format.h"
#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/scheme/scheme.h"
#include "sizes.h"

enum { ROW_ALIGN_MAX = 4096 };

/* The tile of the 128x4 scale order (cuBLAS, "1D block scaling factors layout"). */
enum { TILE_ROWS = 128, TILE_COLS = 4 };

static mfq_status layout_check(mfq_where where, const mfq_scheme *scheme, const mfq_layout *layout) {
  const struct {
    const char *name;
    int64_t value, high;
  } fields[] = {{"codes", (int)layout->codes, MFQ_CODES_TRANSPOSED},
                {"packing", (int)layout->packing, MFQ_PACK_BYTE},
                {"scales", (int)layout->scales, MFQ_SCALES_128X4},
                {"row_align", layout->row_align, ROW_ALIGN_MAX}};
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; ++i) {
    if (fields[i].value < 0 || fields[i].value > fields[i].high) {
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: layout.%s is %lld; allowed is 0 ... %lld",
                      where.argument, fields[i].name, (long long)fields[i].value, (long long)fields[i].high);
    }
  }
  int is_group = scheme->granularity == MFQ_GRANULARITY_GROUP;
  if (layout->codes == MFQ_CODES_GROUP_LAST && !is_group) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: layout.codes is GROUP_LAST, but granularity %s has no groups; use LOGICAL", where.argument,
                    mfq_granularity_words.words[scheme->granularity]);
  }
  if (layout->codes == MFQ_CODES_TRANSPOSED && is_group) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: layout.codes is TRANSPOSED, which is for schemes without groups; use GROUP_LAST, with which "
                    "groups along the axis before the last give the same order",
                    where.argument);
  }
  int is_byte_scale = scheme->scale == MFQ_SCALE_UE8M0 || mfq_scale_has_tensor(scheme->scale);
  if (layout->scales == MFQ_SCALES_128X4 && !(is_group && is_byte_scale)) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: layout.scales is 128X4, which is for groups with scales of one byte only, not %s with %s; "
                    "use LOGICAL",
                    where.argument, mfq_granularity_words.words[scheme->granularity],
                    mfq_scale_words.words[scheme->scale]);
  }
  return MFQ_OK;
}

/* What an order of codes needs of a checked shape. */
static mfq_status order_check(mfq_where where, const mfq_qtensor *q) {
  if (q->layout.codes != MFQ_CODES_TRANSPOSED || q->rank >= 2) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                  "%s: layout.codes is TRANSPOSED, which exchanges the last two axes, but the rank is %d; use LOGICAL",
                  where.argument, (int)q->rank);
}

static mfq_status resolve_axis(mfq_where where, const mfq_scheme *scheme, int32_t rank, int32_t *axis) {
  *axis = -1;
  if (scheme->granularity != MFQ_GRANULARITY_CHANNEL && scheme->granularity != MFQ_GRANULARITY_GROUP) return MFQ_OK;
  if (scheme->axis == MFQ_AXIS_AUTO) {
    *axis = scheme->granularity == MFQ_GRANULARITY_GROUP ? rank - 1 : 0;
    return MFQ_OK;
  }
  int32_t found = scheme->axis < 0 ? scheme->axis + rank : scheme->axis;
  if (found < 0 || found >= rank) {
    return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                    "%s: the scheme's axis is %d, but the rank is %d; allowed is %d ... %d", where.argument,
                    (int)scheme->axis, (int)rank, (int)-rank, (int)rank - 1);
  }
  *axis = found;
  return MFQ_OK;
}

/* Rotations are whole. */
static mfq_status rotation_check(mfq_where where, const mfq_qtensor *q, int32_t axis) {
  const int32_t rotation = q->scheme.rotation;
  if (rotation == 0 || q->shape[axis] % rotation == 0) return MFQ_OK;
  return mfq_fail(
      MFQ_ERROR_SHAPE, where.function,
      "%s: axis %d of %s has %lld elements, which hadamard:%d does not divide; use a rotation that does, of "
      "16, 32, 64 and 128, or pad the axis to a multiple of %d",
      where.argument, (int)axis, mfq_shape_write(q->rank, q->shape).text, (long long)q->shape[axis], (int)rotation,
      (int)rotation);
}

/* Size of the group along a logical axis; 1 where the axis is not grouped. */
static int64_t unit_of_axis(const mfq_qtensor *q, int32_t scheme_axis, int32_t axis) {
  switch (q->scheme.granularity) {
    case MFQ_GRANULARITY_GROUP: return axis == scheme_axis ? q->scheme.group_size : 1;
    case MFQ_GRANULARITY_BLOCK:
      return axis == q->rank - 1 ? q->scheme.block_cols : axis == q->rank - 2 ? q->scheme.block_rows : 1;
    default: return 1;
  }
}

static void fill_scale_shape(mfq_qview *view) {
  const mfq_qtensor *q = &view->q;
  mfq_qtensor_sizes *sizes = &view->sizes;
  sizes->scale_rank = q->scheme.granularity == MFQ_GRANULARITY_TENSOR ? 0 : q->rank;
  for (int32_t i = 0; i < sizes->scale_rank; ++i) {
    int32_t axis = mfq_code_axis(view, i);
    if (q->scheme.granularity == MFQ_GRANULARITY_CHANNEL)
      sizes->scale_shape[i] = axis == sizes->axis ? q->shape[axis] : 1;
    else
      sizes->scale_shape[i] = mfq_ceil_div(q->shape[axis], unit_of_axis(q, sizes->axis, axis));
  }
  sizes->scale_count = mfq_shape_count(sizes->scale_rank, sizes->scale_shape);
}

/* 1 when the padded shape and what is counted from it fit. */
static int fill_padded_shape(mfq_qview *view) {
  const mfq_qtensor *q = &view->q;
  int64_t bytes = (int64_t)sizeof(float);
  for (int32_t i = 0; i < q->rank; ++i) {
    int64_t *padded = &view->sizes.padded_shape[i];
    if (!mfq_checked_round_up(q->shape[i], unit_of_axis(q, view->sizes.axis, i), padded) ||
        !mfq_checked_mul(bytes, *padded > 0 ? *padded : 1, &bytes))
      return 0;
  }
  return 1;
}

/* 1 when the rows of codes and their padding fit. */
static int fill_code_bytes(mfq_qview *view) {
  const mfq_qtensor *q = &view->q;
  int64_t row_codes = q->shape[mfq_code_axis(view, q->rank - 1)];
  int64_t rows = 1;
  for (int32_t i = 0; i + 1 < q->rank; ++i) rows *= q->shape[mfq_code_axis(view, i)];
  int64_t bits = q->layout.packing == MFQ_PACK_BYTE ? 8 : mfq_format_bits(&q->scheme.element);
  int64_t unit = q->layout.row_align > 0 ? (int64_t)q->layout.row_align * 8 : 1;
  int64_t row_bits = 0, all_bits = 0;
  if (!mfq_checked_mul(row_codes, bits, &row_bits) || !mfq_checked_round_up(row_bits, unit, &row_bits) ||
      !mfq_checked_mul(row_bits, rows, &all_bits))
    return 0;
  view->sizes.row_bits = (size_t)row_bits;
  view->sizes.codes_bytes = (size_t)mfq_ceil_div(all_bits, 8);
  return 1;
}

/* 1 when the scales and their padding fit. */
static int fill_scale_bytes(mfq_qview *view) {
  const mfq_qtensor *q = &view->q;
  mfq_qtensor_sizes *sizes = &view->sizes;
  int64_t bytes = sizes->scale_count * mfq_scale_bytes(q->scheme.scale); /* no more than 4 bytes an element */
  if (q->layout.scales == MFQ_SCALES_128X4 && bytes > 0) {
    int64_t groups = mfq_ceil_div(q->shape[sizes->axis], q->scheme.group_size);
    int64_t rows = 0, cols = 0;
    if (!mfq_checked_round_up(sizes->scale_count / groups, TILE_ROWS, &rows) ||
        !mfq_checked_round_up(groups, TILE_COLS, &cols) || !mfq_checked_mul(rows, cols, &bytes))
      return 0;
  }
  sizes->scales_bytes = (size_t)bytes;
  sizes->zero_points_bytes = (size_t)(sizes->scale_count * mfq_zero_point_bytes(q->scheme.zero_point));
  sizes->tensor_scale_bytes = mfq_scale_has_tensor(q->scheme.scale) ? sizeof(float) : 0;
  return 1;
}

mfq_status mfq_qview_init(mfq_where where, const mfq_qtensor *q, mfq_qview *view) {
  if (q == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s is NULL", where.argument);
  mfq_status status = mfq_scheme_verify(&q->scheme, where.function, where.argument);
  if (status == MFQ_OK) status = layout_check(where, &q->scheme, &q->layout);
  if (status == MFQ_OK) status = mfq_shape_check(where, q->rank, q->shape, (int64_t)sizeof(float));
  if (status == MFQ_OK) status = order_check(where, q);
  if (status != MFQ_OK) return status;
  mfq_qview made = {.q = *q};
  if (q->rank == 0) {
    made.q.rank = 1;
    made.q.shape[0] = 1;
  }
  status = resolve_axis(where, &q->scheme, made.q.rank, &made.sizes.axis);
  if (status == MFQ_OK) status = rotation_check(where, &made.q, made.sizes.axis);
  if (status != MFQ_OK) return status;
  fill_scale_shape(&made);
  if (!fill_padded_shape(&made) || !fill_code_bytes(&made) || !fill_scale_bytes(&made)) {
    return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                    "%s: shape %s with its padding is too large: the number of its bits does not fit 63 bits; make the "
                    "tensor, its groups or row_align smaller",
                    where.argument, mfq_shape_write(made.q.rank, made.q.shape).text);
  }
  *view = made;
  return MFQ_OK;
}

void mfq_qview_exchange(mfq_qview *view) {
  const int32_t last = view->q.rank - 1;
  mfq_scheme *scheme = &view->q.scheme;
  const int64_t size = view->q.shape[last], padded = view->sizes.padded_shape[last];
  const int32_t block = scheme->block_cols;
  view->q.shape[last] = view->q.shape[last - 1];
  view->q.shape[last - 1] = size;
  view->sizes.padded_shape[last] = view->sizes.padded_shape[last - 1];
  view->sizes.padded_shape[last - 1] = padded;
  scheme->block_cols = scheme->block_rows;
  scheme->block_rows = block;
  if (view->sizes.axis >= last - 1) view->sizes.axis = scheme->axis = 2 * last - 1 - view->sizes.axis;
  view->q.layout.codes = MFQ_CODES_LOGICAL;
}
