/* cuda/quantize/quantize_plan.cu: what the fast paths of a quantization share on the host. */
#include "host/core/scheme/lower.h"
#include "quantize_fast.h"

int mfq_cuda_cast_rows(const mfq_tensor *src, const mfq_qview *view, cast_rows *rows) {
  const int64_t bytes = (int64_t)mfq_dtype_bytes(src->dtype);
  mfq_grid *g = &rows->grid;
  if (view->sizes.codes_bytes == 0 || !mfq_grid_make(src, view, 0, g)) return 0;
  if (view->q.scheme.granularity == MFQ_GRANULARITY_GROUP && view->sizes.axis == view->q.rank - 1)
    mfq_grid_merge_rows(view, g);
  if (g->size[2] != 1 && g->stride[2] != 1) return 0;
  rows->outer_bytes = g->stride[0] * bytes;
  rows->middle_bytes = g->stride[1] * bytes;
  rows->rows = g->size[0] * g->size[1];
  rows->cols = g->size[2];
  const int64_t strides = (g->size[0] > 1 ? rows->outer_bytes : 0) | (g->size[1] > 1 ? rows->middle_bytes : 0);
  rows->vector_load = ((int64_t)(uintptr_t)src->data | strides) % 16 == 0;
  return 1;
}

/* What the wide stores of a whole chunk of codes need; 0 where there are none. */
static int64_t store_alignment(int32_t bits) { return bits == 8 ? 16 : bits == 4 ? 8 : bits == 6 ? 4 : 0; }

int mfq_cuda_direction(const quantize_call *call, const mfq_qview *view, int64_t rows, int64_t cols,
                       cast_direction *direction) {
  const mfq_layout *layout = &view->q.layout;
  cast_direction d = {};
  mfq_lower(&view->q.scheme, &d.how.scheme);
  d.how.steps = encoder_steps(&d.how.scheme, (int)call->src->dtype);
  d.is_known = call->scales_known || !mfqn_is_measured(&d.how.scheme);
  if (d.how.steps == STEPS_NONE || (layout->scales == MFQ_SCALES_128X4 && view->q.scheme.zero_point)) return 0;
  if (!d.is_known && (d.how.scheme.minmax || d.how.scheme.has_zero_point)) return 0;
  d.is_exponent = !d.is_known && d.how.scheme.scale == MFQN_SCALE_UE8M0 && mfqn_by_exponent(&d.how.scheme) &&
                  d.how.scheme.rule != MFQN_RULE_ABSMAX;
  d.bits = mfq_code_bits(&view->q);
  const int64_t row_bits = layout->row_align > 0 ? (int64_t)view->sizes.row_bits : cols * d.bits;
  if (rows > 1 && row_bits % 8 != 0) return 0;
  d.row_bytes = (row_bits + 7) / 8;
  d.pad_bytes = d.row_bytes - (cols * d.bits + 7) / 8;
  d.codes = (uint8_t *)view->q.codes;
  d.slots = mfq_cuda_scale_slots(view);
  const int64_t step = store_alignment(d.bits), place = (int64_t)(uintptr_t)d.codes | (rows > 1 ? d.row_bytes : 0);
  d.vector_store = step != 0 && place % step == 0;
  *direction = d;
  return 1;
}

int mfq_cuda_group_log2(const mfq_qview *view) {
  for (int log2 = 0; log2 <= 5; ++log2)
    if (view->q.scheme.group_size == CHUNK << log2) return log2;
  return -1;
}

mfq_status mfq_cuda_prepare_scales(const quantize_call *call, const mfq_qview *view, const void *plan,
                                   collect_fn collect) {
  static const char function[] = "mfq_quantize";
  mfqn_scheme scheme;
  mfq_status status = MFQ_OK;
  mfq_context *context = call->context;
  mfq_lower(&view->q.scheme, &scheme);
  if (call->scales_known || !mfqn_is_measured(&scheme)) return MFQ_OK;
  if (view->q.layout.scales == MFQ_SCALES_128X4 && view->sizes.scales_bytes != (size_t)view->sizes.scale_count)
    status = mfq_cuda_clear(context, view->q.scales, view->sizes.scales_bytes, function);
  if (status != MFQ_OK || scheme.scale != MFQN_SCALE_UE4M3) return status;
  uint32_t *absmax = mfq_cuda_scratch_word(context, SCRATCH_ABSMAX);
  status = mfq_cuda_clear(context, absmax, sizeof *absmax, function);
  if (status == MFQ_OK) status = collect(call, plan, absmax);
  const mfq_scale_job job = {context, function, view, &scheme};
  return status == MFQ_OK ? mfq_cuda_tensor_scale(&job, NULL, view->q.tensor_scale) : status;
}
