/* cuda/dequantize/dequantize_rotated.cu: the way to dequantize rotated schemes: values meet in a block, and go on rotated
 * back. */
#include <string.h>

#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "decode_rotated_kernel.cuh"
#include "dequantize_rotated.h"

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  if (!mfq_cast_is_rotated(cast)) return mfq_refuse(why, "%s", "");
  const mfq_status status = mfq_plan_general(context, problem, choice, why);
  mfq_choice_describe(choice, "an element a thread");
  return status;
}

/* What lies behind the elements of a padded target, and beneath what is written next. */
static mfq_status fill(mfq_context *context, const mfq_cast *cast) {
  mfq_cast unrotated = *cast;
  unrotated.keeps_rotation = 1;
  return mfq_cuda_cast(context, &unrotated);
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview *view = cast->view;
  int64_t bit_strides[MFQ_MAX_RANK];
  mfq_walk walk, bits;
  const int is_padded = memcmp(cast->dst->shape, view->q.shape, (size_t)view->q.rank * sizeof view->q.shape[0]) != 0;
  const mfq_status status = is_padded ? fill(context, cast) : MFQ_OK;
  if (status != MFQ_OK) return status;
  mfq_code_bit_strides(view, bit_strides);
  mfq_walk_init(view, cast->dst->strides, &walk);
  mfq_walk_init(view, bit_strides, &bits);
  mfq_cuda_walk_rotations(view, &walk);
  mfq_cuda_walk_rotations(view, &bits);
  const mfq_walk_extras extras = {bits.offset_stride, nullptr, 0};
  decode_rotated_params p = {};
  mfq_lower(&view->q.scheme, &p.scheme);
  p.walk = mfq_cuda_walk_plan(&walk, &extras);
  p.dst = mfq_cuda_element_view(cast->dst);
  p.slots = mfq_cuda_scale_slots(view);
  p.codes = (const uint8_t *)view->q.codes;
  p.bits = mfq_code_bits(&view->q);
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.walk.count), ROTATION_THREADS, 0};
  return mfq_cuda_launch(context, at, decode_rotated_kernel, p);
}

const mfq_way mfq_cuda_dequantize_rotated = {"rotations", plan, run, NULL};
