/* host/cpu/cast/round_values.h: a plain tensor straight to the bf16 values that its codes would have.
 *
 * The same bits as quantizing and dequantizing into bf16, without codes in between, at about the speed of a copy. For
 * groups with a power-of-two scale, measured, along any axis; source and target may have different orders of axes. */
#ifndef MFQ_HOST_CPU_ROUND_VALUES_H
#define MFQ_HOST_CPU_ROUND_VALUES_H

#include "host/cpu/cpu_state.h"

enum { MFQ_VALUES_AXES = 5 };

/* Axes that lie behind each other in source and target are one. The tensor is cut into boxes of at most `block`
 * elements along each axis; groups are not cut. */
typedef struct mfq_round_values {
  mfq_round round;
  mfq_dtype dtype; /* of the source */
  int32_t axes;
  int32_t group_axis, src_axis, dst_axis; /* the latter two: contiguous in source and target, or as good as any */
  int32_t row_axis;                       /* of which a box may have several lines, or group_axis */
  int32_t has_even_rows;                  /* those lines are contiguous in the source */
  int64_t group;
  int64_t size[MFQ_VALUES_AXES], src_stride[MFQ_VALUES_AXES], dst_stride[MFQ_VALUES_AXES];
  int64_t block[MFQ_VALUES_AXES];
  int64_t boxes, elements;
  uint8_t *mask; /* NULL: none is wanted */
} mfq_round_values;

/* Plans the rounding of `src` as `view` would quantize it; both have the same shape, and the target has `dst_strides`.
 * Returns 0 where this scheme or this layout must be quantized and decoded. */
int mfq_round_values_make(const mfq_context *context, const mfq_tensor *src, const mfq_qview *view,
                          const int64_t *dst_strides, mfq_round_values *plan);

/* Asks for a mask too. Returns 0 where its bits do not follow each other as the elements do. */
int mfq_round_values_mask(mfq_round_values *plan, uint8_t *mask);

/* `src` and `dst` point at the elements with all indices 0. */
void mfq_round_values_run(const mfq_context *context, const mfq_round_values *plan, const void *src, uint16_t *dst);

#endif
