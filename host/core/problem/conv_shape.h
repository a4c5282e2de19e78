/* host/core/problem/conv_shape.h: the sizes of a convolution: axes, strides, padding, and whether they fit each other. */
#ifndef MFQ_HOST_CORE_CONV_SHAPE_H
#define MFQ_HOST_CORE_CONV_SHAPE_H

#include "conv_problem.h"
#include "host/core/check/sizes.h"

/* The caller's axis for each of ours, -1 for those that are missing. `rank` is 0 until it is known. */
typedef struct mfq_conv_axes_of {
  int32_t rank;
  int32_t axis[MFQ_CONV_AXES];
} mfq_conv_axes_of;

/* Checks the fields that are neither operands nor results. */
mfq_status mfq_conv_fields_check(mfq_where where, const mfq_conv *conv);

/* Checks the rank of a tensor, which all tensors share, and finds the axes. */
mfq_status mfq_conv_axes(mfq_where where, const mfq_conv *conv, int32_t rank, mfq_conv_axes_of *axes);

/* Fills sizes, stride, dilation and padding of a problem from the sizes of its sides, of tensors of `rank`, and checks
 * that they fit. `names` are those of x, w, y. */
mfq_status mfq_conv_sizes(mfq_where where, const mfq_conv *conv, int32_t rank, const char *const names[3],
                          mfq_conv_problem *problem);

/* mfq_conv_output_shape. */
mfq_status mfq_conv_output_make(const char *function, const mfq_conv *conv, int32_t *rank, int64_t *shape);

#endif
