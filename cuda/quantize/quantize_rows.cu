/* cuda/quantize/quantize_rows.cu: groups along the contiguous axis, and scales that are known already. */
#include "host/core/scheme/lower.h"
#include "quantize_fast.h"
#include "rotated_rows_kernel.cuh"

mfq_status mfq_cuda_rows_plan(const quantize_call *call, cast_rows *merged, rows_params *p, mfq_line *why) {
  const mfq_qview *view = call->view;
  const mfq_granularity granularity = view->q.scheme.granularity;
  const int last = view->sizes.axis == view->q.rank - 1, is_group = granularity == MFQ_GRANULARITY_GROUP;
  if (granularity == MFQ_GRANULARITY_BLOCK) return mfq_refuse(why, "%s", "");
  if (is_group ? !last : granularity == MFQ_GRANULARITY_CHANNEL && last) return mfq_refuse(why, "%s", "");
  mfqn_scheme scheme;
  mfq_lower(&view->q.scheme, &scheme);
  const int is_measured = !call->scales_known && mfqn_is_measured(&scheme);
  if (is_measured && !is_group) return mfq_refuse(why, "%s", "");
  mfq_status status = mfq_cuda_cast_rows(call, merged, why);
  const cast_rows &rows = *merged;
  if (status == MFQ_OK) status = mfq_cuda_direction(call, rows.rows, rows.cols, &p->to, why);
  if (status != MFQ_OK) return status;
  p->is_ranged = is_measured && scheme.minmax;
  if (p->is_ranged && (p->to.how.is_drawn || scheme.rotation.size != 0))
    return mfq_refuse(why, "ranges of groups with stochastic rounding or rotations");
  if (p->is_ranged && scheme.is_brevitas) p->pads_to = view->q.scheme.group_size;
  p->group_log2 = is_group ? mfq_cuda_group_log2(view) : -1;
  if (is_group && p->group_log2 < 0) return mfq_cuda_refuse_group(why);
  const int64_t unit = is_group ? view->q.scheme.group_size : CHUNK;
  const int64_t row_chunks = (rows.cols + unit - 1) / unit * (unit / CHUNK);
  p->src = (const uint8_t *)call->src->data;
  p->outer_bytes = rows.outer_bytes;
  p->middle_bytes = rows.middle_bytes;
  p->chunks = row_chunks * rows.rows;
  p->cols = rows.cols;
  p->row_chunks = divisor64_make(row_chunks);
  p->middle = divisor64_make(rows.grid.size[1]);
  p->is_single_row = rows.rows == 1;
  p->vector_load = rows.vector_load;
  p->key = random_key{call->context->seed, call->context->offset};
  p->middle_scales = is_group ? row_chunks * CHUNK / unit : granularity == MFQ_GRANULARITY_CHANNEL;
  p->outer_scales = is_group ? p->middle_scales * rows.grid.size[1] : 0;
  const int fits = (p->chunks + ROWS_THREADS - 1) / ROWS_THREADS <= INT32_MAX;
  return fits ? MFQ_OK : mfq_refuse(why, "more elements than a grid has threads for");
}

mfq_status mfq_cuda_rows_launch(mfq_context *context, const mfq_cast *cast, const rows_params *params) {
  const rows_params &p = *params;
  const mfq_launch at = {cast->function, dim3((unsigned)((p.chunks + ROWS_THREADS - 1) / ROWS_THREADS)), ROWS_THREADS,
                         0};
  static void (*const rotated[][2])(rows_params) = {
      {quantize_rotated_rows_kernel<ELEMENT_F32, 0>, quantize_rotated_rows_kernel<ELEMENT_F32, 1>},
      {quantize_rotated_rows_kernel<ELEMENT_BF16, 0>, quantize_rotated_rows_kernel<ELEMENT_BF16, 1>},
      {quantize_rotated_rows_kernel<ELEMENT_F16, 0>, quantize_rotated_rows_kernel<ELEMENT_F16, 1>}};
  static void (*const kernels[][2])(rows_params) = {
      {quantize_rows_kernel<ELEMENT_F32, 0>, quantize_rows_kernel<ELEMENT_F32, 1>},
      {quantize_rows_kernel<ELEMENT_BF16, 0>, quantize_rows_kernel<ELEMENT_BF16, 1>},
      {quantize_rows_kernel<ELEMENT_F16, 0>, quantize_rows_kernel<ELEMENT_F16, 1>}};
  const int dtype = cast->src->dtype - MFQ_DTYPE_F32, is_drawn = p.to.how.is_drawn;
  const int is_rotated = p.to.how.scheme.rotation.size != 0;
  static void (*const ranged[])(rows_params) = {quantize_ranged_rows_kernel<ELEMENT_F32>,
                                                quantize_ranged_rows_kernel<ELEMENT_BF16>,
                                                quantize_ranged_rows_kernel<ELEMENT_F16>};
  if (p.is_ranged) return mfq_cuda_launch(context, at, ranged[dtype], p);
  return mfq_cuda_launch(context, at, is_rotated ? rotated[dtype][is_drawn] : kernels[dtype][is_drawn], p);
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  rows_params *p;
  const mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  const quantize_call call = {context, cast->src, cast->view, 0, NULL, 1, 1};
  cast_rows rows;
  mfq_choice_describe(choice, "16 elements a thread");
  return status == MFQ_OK ? mfq_cuda_rows_plan(&call, &rows, p, why) : status;
}

mfq_status mfq_cuda_rows_collect(mfq_context *context, const mfq_cast *cast, const void *params, uint32_t *absmax) {
  rows_params p = *(const rows_params *)params;
  p.to.absmax = absmax;
  return mfq_cuda_rows_launch(context, cast, &p);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_status status = mfq_cuda_prepare_scales(context, cast, cast->view, state, mfq_cuda_rows_collect);
  return status == MFQ_OK ? mfq_cuda_rows_launch(context, cast, (const rows_params *)state) : status;
}

const mfq_way mfq_cuda_quantize_rows = {"rows", plan, run, NULL};
