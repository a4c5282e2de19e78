/* cuda/fakequant/gradient_mask.cu: the backward of fake quantization by a mask. Nothing of the scheme is needed. */
#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "gradient_mask.h"
#include "gradient_mask_kernel.cuh"

static gradient_mask_params params_of(const mfq_cast *cast) {
  const mfq_tensor *upstream = cast->gradient->upstream;
  mfq_walk walk = {};
  walk.rank = upstream->rank;
  for (int32_t d = 0; d < walk.rank; ++d) {
    walk.shape[d] = upstream->shape[d];
    walk.offset_stride[d] = upstream->strides[d];
    walk.scale_run[d] = 1;
  }
  const mfq_walk_extras extras = {cast->dst->strides, nullptr, 0};
  return gradient_mask_params{mfq_cuda_walk_plan(&walk, &extras), mfq_cuda_element_view(upstream),
                              mfq_cuda_element_view(cast->dst), cast->mask};
}

static mfq_launch launch_of(const mfq_cast *cast, int64_t elements, int64_t of_thread) {
  return mfq_launch{cast->function, mfq_cuda_item_grid(mfq_ceil_div(elements, of_thread)), ITEM_THREADS, 0};
}

/* ---- Neighbours of one type -------------------------------------------------------------------------------------- */

static int is_aligned(const void *data) { return (uintptr_t)data % 16 == 0; }

static mfq_status plan_rows(mfq_context *, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  if (!cast->mask) return mfq_refuse(why, "%s", "");
  const mfq_tensor *upstream = cast->gradient->upstream, *dx = cast->dst;
  const gradient_mask_params p = params_of(cast);
  const linear &step = p.walk.axis[0].step;
  if (upstream->dtype != dx->dtype) return mfq_refuse(why, "the gradients have different types");
  if (p.walk.rank != 1 || (p.walk.count > 1 && (step.offset != 1 || step.other != 1)))
    return mfq_refuse(why, "elements are no neighbours");
  if (!is_aligned(upstream->data) || !is_aligned(dx->data)) return mfq_refuse(why, "data is not aligned to 16 bytes");
  mfq_choice_describe(choice, "16 elements a thread, by the mask");
  return MFQ_OK;
}

static mfq_status run_rows(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const gradient_mask_params p = params_of(cast);
  static void (*const kernels[])(gradient_mask_params) = {gradient_mask_rows_kernel<ELEMENT_F32>,
                                                          gradient_mask_rows_kernel<ELEMENT_BF16>,
                                                          gradient_mask_rows_kernel<ELEMENT_F16>};
  return mfq_cuda_launch(context, launch_of(cast, p.walk.count, CHUNK), kernels[cast->dst->dtype - MFQ_DTYPE_F32], p);
}

/* ---- Any elements ------------------------------------------------------------------------------------------------ */

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  if (!((const mfq_cast *)problem)->mask) return mfq_refuse(why, "%s", "");
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const gradient_mask_params p = params_of(cast);
  return mfq_cuda_launch(context, launch_of(cast, p.walk.count, 8), gradient_mask_kernel, p);
}

const mfq_way mfq_cuda_gradient_mask_rows = {"rows", plan_rows, run_rows, NULL};
const mfq_way mfq_cuda_gradient_mask = {"mask", plan, run, NULL};
