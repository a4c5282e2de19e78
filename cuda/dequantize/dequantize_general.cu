/* cuda/dequantize/dequantize_general.cu: dequantization of anything. */
#include <string.h>

#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "decode_general_kernel.cuh"

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview *view = cast->view;
  const mfq_tensor *dst = cast->dst;
  (void)state;
  (void)workspace;
  int64_t bit_strides[MFQ_MAX_RANK];
  mfq_walk walk, codes, bits;
  mfq_qview shaped = *view; /* as the target: logical or padded */
  memcpy(shaped.q.shape, dst->shape, sizeof shaped.q.shape);
  mfq_code_bit_strides(view, bit_strides);
  mfq_walk_init(&shaped, dst->strides, &walk);
  mfq_walk_init(&shaped, bit_strides, &bits);
  mfq_walk_init(view, NULL, &codes);
  const mfq_walk_extras extras = {bits.offset_stride, codes.shape, 0};
  decode_general_params p = {};
  mfq_lower(&view->q.scheme, &p.scheme);
  p.walk = mfq_cuda_walk_plan(&walk, &extras);
  p.dst = mfq_cuda_element_view(dst);
  p.slots = mfq_cuda_scale_slots(view);
  p.codes = (const uint8_t *)view->q.codes;
  p.bits = mfq_code_bits(&view->q);
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.walk.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, decode_general_kernel, p);
}

const mfq_way mfq_cuda_dequantize_general = {"general", mfq_plan_general, run, NULL};
