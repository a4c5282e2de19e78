/* host/core/problem/conv_side.c: a side's indices once its tensor or view is known: strides of values or bits, runs of
 * scales. */
#include "conv_problem.h"
#include "walk.h"

void mfq_conv_side_index(mfq_conv_side *side) {
  int64_t bits[MFQ_MAX_RANK];
  mfq_scale_axis scales[MFQ_MAX_RANK];
  mfq_code_bit_strides(&side->part.view, bits);
  mfq_scale_axes(&side->part.view, scales);
  for (int i = 0; i < MFQ_CONV_AXES; ++i) {
    const int32_t axis = side->axis[i];
    side->code_bits[i] = axis < 0 ? 0 : bits[axis];
    side->scale_stride[i] = axis < 0 ? 0 : scales[axis].stride;
    side->scale_run[i] = axis < 0 ? 1 : scales[axis].run;
  }
}

int mfq_conv_side_is_dense(const mfq_conv_side *side) {
  const int is_plain = side->part.kind == MFQ_SIDE_PLAIN;
  const int64_t *strides = is_plain ? side->stride : side->code_bits;
  int64_t step = is_plain ? 1 : mfq_code_bits(&side->part.view.q);
  for (int i = MFQ_CONV_AXES - 1; i >= 0; --i) {
    if (side->size[i] > 1 && strides[i] != step) return 0;
    step *= side->size[i];
  }
  return 1;
}
