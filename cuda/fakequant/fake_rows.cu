/* cuda/fakequant/fake_rows.cu: groups along the contiguous axis, and scales that are known already; and what the fast ways
 * share. */
#include "fake_fast.h"
#include "fake_rows_kernel.cuh"
#include "gradient_plan.h"

mfq_qview mfq_cuda_fake_view(const mfq_context *context, const mfq_cast *cast) {
  mfq_qview view = *cast->view;
  if (view.q.scheme.rule != MFQ_RULE_GIVEN)
    view.q.tensor_scale = (float *)(void *)mfq_cuda_scratch_word(context, SCRATCH_TENSOR_SCALE);
  return view;
}

int mfq_cuda_is_in_order(const mfq_tensor *tensor) {
  int64_t stride = 1;
  for (int32_t d = tensor->rank; d-- > 0; stride *= tensor->shape[d])
    if (tensor->shape[d] > 1 && tensor->strides[d] != stride) return 0;
  return 1;
}

mfq_status mfq_cuda_fake_target(const mfq_cast *cast, const encoder *how, const cast_rows *rows, fake_target *to,
                                mfq_line *why) {
  const mfq_tensor *dst = cast->dst, *scales = cast->scales;
  if (scales && !mfqn_is_measured(&how->scheme)) return mfq_refuse(why, "scales are wanted where none are measured");
  if (scales && !mfq_cuda_is_in_order(scales))
    return mfq_refuse(why, "scales are wanted in another order than their own");
  if (valuer_needs_codes(how) && !number_fields_hold(&how->scheme, cast->view->q.scheme.element.exp_bits))
    return mfq_refuse(why, "the format reaches beyond the normal numbers of float32");
  to->how = valuer_of(how, (int32_t)dst->dtype);
  to->data = (uint8_t *)dst->data;
  to->outer_bytes = rows->value_outer_bytes;
  to->middle_bytes = rows->value_middle_bytes;
  to->vector_store = rows->vector_store;
  to->scales = scales ? (float *)scales->data : NULL;
  return MFQ_OK;
}

mask_target mfq_cuda_mask_target(const mfq_cast *cast, const encoder *how, const cast_rows *rows) {
  const mfqn_scheme *s = &how->scheme;
  mask_target mask = {};
  const int has_whole_bytes = rows->cols % 8 == 0 || rows->rows == 1;
  if (!cast->mask || !has_whole_bytes || valuer_needs_codes(how)) return mask;
  mask.bits = cast->mask;
  mask.how.ste = MFQN_STE_CLIPPED;
  mask.how.clips = 1;
  mfq_cuda_gradient_ends(s, &mask.how);
  return mask;
}

mfq_status mfq_cuda_fake_rows_plan(const quantize_call *call, const mfq_cast *cast, fake_rows_params *p,
                                   mfq_line *why) {
  cast_rows rows;
  const mfq_status status = mfq_cuda_rows_plan(call, &rows, &p->rows, why);
  const int by_codes = valuer_needs_codes(&p->rows.to.how);
  if (status == MFQ_OK && p->rows.is_ranged && by_codes)
    return mfq_refuse(why, "ranges of groups, and values of codes");
  if (status == MFQ_OK && !p->rows.is_ranged) p->mask = mfq_cuda_mask_target(cast, &p->rows.to.how, &rows);
  return status == MFQ_OK ? mfq_cuda_fake_target(cast, &p->rows.to.how, &rows, &p->to, why) : status;
}

mfq_status mfq_cuda_fake_rows_launch(mfq_context *context, const mfq_cast *cast, const fake_rows_params *p,
                                     const mfq_qview *known) {
  const int64_t blocks = (p->rows.chunks + ROWS_THREADS - 1) / ROWS_THREADS;
  const mfq_launch at = {cast->function, dim3((unsigned)blocks), ROWS_THREADS, 0};
  static void (*const kernels[][2])(fake_rows_params) = {
      {fake_rows_kernel<ELEMENT_F32, 0>, fake_rows_kernel<ELEMENT_F32, 1>},
      {fake_rows_kernel<ELEMENT_BF16, 0>, fake_rows_kernel<ELEMENT_BF16, 1>},
      {fake_rows_kernel<ELEMENT_F16, 0>, fake_rows_kernel<ELEMENT_F16, 1>}};
  static void (*const masked[])(fake_rows_params) = {fake_masked_rows_kernel<ELEMENT_F32>,
                                                     fake_masked_rows_kernel<ELEMENT_BF16>,
                                                     fake_masked_rows_kernel<ELEMENT_F16>};
  const int by_codes = valuer_needs_codes(&p->rows.to.how), dtype = cast->src->dtype - MFQ_DTYPE_F32;
  if (p->mask.bits) return mfq_cuda_launch(context, at, masked[dtype], *p);
  const mfq_status status = mfq_cuda_fake_mask(context, cast, known);
  static void (*const ranged[])(fake_rows_params) = {fake_ranged_rows_kernel<ELEMENT_F32>,
                                                     fake_ranged_rows_kernel<ELEMENT_BF16>,
                                                     fake_ranged_rows_kernel<ELEMENT_F16>};
  if (status != MFQ_OK) return status;
  return mfq_cuda_launch(context, at, p->rows.is_ranged ? ranged[dtype] : kernels[dtype][by_codes], *p);
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview view = mfq_cuda_fake_view(context, cast);
  const quantize_call call = {context, cast->src, &view, 0, cast->dst, 0, 1};
  fake_rows_params *p;
  const mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  mfq_choice_describe(choice, "16 elements a thread");
  return status == MFQ_OK ? mfq_cuda_fake_rows_plan(&call, cast, p, why) : status;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview view = mfq_cuda_fake_view(context, cast);
  const fake_rows_params *p = (const fake_rows_params *)state;
  const mfq_status status = mfq_cuda_prepare_scales(context, cast, &view, &p->rows, mfq_cuda_rows_collect);
  return status == MFQ_OK ? mfq_cuda_fake_rows_launch(context, cast, p, NULL) : status;
}

const mfq_way mfq_cuda_fake_rows = {"rows", plan, run, NULL};
