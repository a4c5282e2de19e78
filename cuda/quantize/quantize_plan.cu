/* cuda/quantize/quantize_plan.cu: what the fast paths of a quantization share on the host. */
#include "host/core/scheme/lower.h"
#include "quantize_fast.h"

static int is_aligned(const void *data, int64_t outer_bytes, int64_t middle_bytes, const mfq_grid *g) {
  const int64_t strides = (g->size[0] > 1 ? outer_bytes : 0) | (g->size[1] > 1 ? middle_bytes : 0);
  return ((int64_t)(uintptr_t)data | strides) % 16 == 0;
}

mfq_status mfq_cuda_cast_rows(const quantize_call *call, cast_rows *rows, mfq_line *why) {
  const mfq_tensor *src = call->src, *values = call->values;
  const mfq_qview *view = call->view;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(src->dtype);
  mfq_grid *g = &rows->grid;
  if (view->sizes.codes_bytes == 0) return mfq_refuse(why, "there are no codes");
  const mfq_granularity granularity = view->q.scheme.granularity;
  if (view->q.layout.codes == MFQ_CODES_TRANSPOSED && granularity != MFQ_GRANULARITY_BLOCK)
    return mfq_refuse(why, "codes are stored transposed");
  if (!mfq_grid_make(src, values, view, 0, g)) return mfq_refuse(why, "the strides do not merge to three dimensions");
  if (granularity == MFQ_GRANULARITY_GROUP && view->sizes.axis == view->q.rank - 1) mfq_grid_merge_rows(view, g);
  if (g->size[2] != 1 && g->stride[2] != 1) return mfq_refuse(why, "rows of the source are not contiguous");
  rows->outer_bytes = g->stride[0] * bytes;
  rows->middle_bytes = g->stride[1] * bytes;
  rows->rows = g->size[0] * g->size[1];
  rows->cols = g->size[2];
  rows->vector_load = is_aligned(src->data, rows->outer_bytes, rows->middle_bytes, g);
  if (!values) return MFQ_OK;
  if (g->size[2] != 1 && g->other_stride[2] != 1) return mfq_refuse(why, "rows of the result are not contiguous");
  const int64_t value_bytes = (int64_t)mfq_dtype_bytes(values->dtype);
  rows->value_outer_bytes = g->other_stride[0] * value_bytes;
  rows->value_middle_bytes = g->other_stride[1] * value_bytes;
  rows->vector_store = is_aligned(values->data, rows->value_outer_bytes, rows->value_middle_bytes, g);
  return MFQ_OK;
}

/* What the wide stores of a whole chunk of codes need; 0 where there are none. */
static int64_t store_alignment(int32_t bits) { return bits == 8 ? 16 : bits == 4 ? 8 : bits == 6 ? 4 : 0; }

/* Where the codes go. */
static mfq_status plan_codes(const mfq_qview *view, int64_t rows, int64_t cols, cast_direction *d, mfq_line *why) {
  const mfq_layout *layout = &view->q.layout;
  d->bits = mfq_code_bits(&view->q);
  const int64_t row_bits = layout->row_align > 0 ? (int64_t)view->sizes.row_bits : cols * d->bits;
  if (rows > 1 && row_bits % 8 != 0) return mfq_refuse(why, "rows of codes start inside a byte");
  d->row_bytes = (row_bits + 7) / 8;
  d->pad_bytes = d->row_bytes - (cols * d->bits + 7) / 8;
  d->codes = (uint8_t *)view->q.codes;
  const int64_t step = store_alignment(d->bits), place = (int64_t)(uintptr_t)d->codes | (rows > 1 ? d->row_bytes : 0);
  d->vector_store = step != 0 && place % step == 0;
  return MFQ_OK;
}

mfq_status mfq_cuda_direction(const quantize_call *call, int64_t rows, int64_t cols, cast_direction *direction,
                              mfq_line *why) {
  const mfq_qview *view = call->view;
  const mfq_layout *layout = &view->q.layout;
  cast_direction d = {};
  mfq_lower(&view->q.scheme, &d.how.scheme);
  d.how.is_drawn = view->q.scheme.rounding == MFQ_ROUND_STOCHASTIC;
  const int is_rotated = d.how.scheme.rotation.size != 0;
  const mfq_dtype dtype = is_rotated ? MFQ_DTYPE_F32 : call->src->dtype;
  d.how.steps = d.how.is_drawn ? encoder_drawn_steps(&d.how.scheme) : encoder_steps(&d.how.scheme, (int)dtype);
  d.is_known = call->scales_known || !mfqn_is_measured(&d.how.scheme);
  if (is_rotated && !call->can_rotate) return mfq_refuse(why, "rotated elements");
  if (d.how.scheme.scale == MFQN_SCALE_MINIFLOAT) return mfq_refuse(why, "scales are stored in another format");
  if (d.how.scheme.zero_is_float) return mfq_refuse(why, "zero points are f32");
  if (d.how.scheme.eden != 0) return mfq_refuse(why, "scales are corrected together");
  if (d.how.steps == STEPS_NONE)
    return mfq_refuse(
        why,
        "other roundings than to even and stochastic, and formats without a sign, without saturation or beyond the "
        "normal numbers of float32");
  if (layout->scales == MFQ_SCALES_128X4 && view->q.scheme.zero_point)
    return mfq_refuse(why, "zero points beside scales in the 128x4 order");
  const int is_missing = !d.is_known && !call->can_measure;
  if (is_missing && view->q.scheme.granularity < MFQ_GRANULARITY_GROUP) return mfq_refuse(why, "%s", "");
  if (is_missing && (d.how.scheme.minmax || d.how.scheme.has_zero_point))
    return mfq_refuse(why, "ranges and zero points of groups are still to be measured");
  d.is_exponent = !d.is_known && d.how.scheme.scale == MFQN_SCALE_UE8M0 && mfqn_by_exponent(&d.how.scheme) &&
                  d.how.scheme.rule != MFQN_RULE_ABSMAX;
  d.slots = mfq_cuda_scale_slots(view);
  const mfq_status status = call->values ? MFQ_OK : plan_codes(view, rows, cols, &d, why);
  *direction = d;
  return status;
}

int mfq_cuda_group_log2(const mfq_qview *view) {
  for (int log2 = 0; log2 <= 5; ++log2)
    if (view->q.scheme.group_size == CHUNK << log2) return log2;
  return -1;
}

mfq_status mfq_cuda_refuse_group(mfq_line *why) {
  return mfq_refuse(why, "groups of other sizes than 16, 32, 64, 128 and, along rows, 256 and 512");
}

mfq_status mfq_cuda_prepare_scales(mfq_context *context, const mfq_cast *cast, const mfq_qview *view, const void *plan,
                                   collect_fn collect) {
  mfqn_scheme scheme;
  mfq_status status = MFQ_OK;
  mfq_lower(&view->q.scheme, &scheme);
  if (!mfqn_is_measured(&scheme)) return MFQ_OK;
  if (view->q.layout.scales == MFQ_SCALES_128X4 && view->sizes.scales_bytes != (size_t)view->sizes.scale_count)
    status = mfq_cuda_clear(context, view->q.scales, view->sizes.scales_bytes, cast->function);
  if (status != MFQ_OK || scheme.scale != MFQN_SCALE_UE4M3) return status;
  uint32_t *absmax = mfq_cuda_scratch_word(context, SCRATCH_ABSMAX);
  status = mfq_cuda_clear(context, absmax, sizeof *absmax, cast->function);
  if (status == MFQ_OK) status = collect(context, cast, plan, absmax);
  const mfq_scale_job job = {context, cast->function, view, &scheme};
  return status == MFQ_OK ? mfq_cuda_tensor_scale(&job, NULL, view->q.tensor_scale) : status;
}
