/* host/core/problem/conv_problem.h: a convolution as backends see it: checked, with all axes in one order.
 *
 * It is always x * w = y with x [N, D, H, W, C], w [K, R, S, T, C/groups], y [N, P, Q, O, K], channels last, whatever the
 * caller's order is; spatial axes that a tensor lacks come first and have one element. A transposed convolution is the
 * one whose input is its output: FORWARD arrives as INPUT_GRADIENT and the other way round, and for the gradient of the
 * weight x and y change places. So backends see three directions and nothing else. */
#ifndef MFQ_HOST_CORE_CONV_PROBLEM_H
#define MFQ_HOST_CORE_CONV_PROBLEM_H

#include <mfq/conv.h>
#include <mfq/num/window.h>

#include "gemm_problem.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Axes of x, w, y. Axis 0 is N, or K of w; the last one C, C/groups, or K. */
enum { MFQ_CONV_AXES = 5, MFQ_CONV_CHANNELS = 4 };

/* x, w or y. Arrays are for the axes in our order.
 *   PLAIN, TO_QUANTIZE: part.tensor has rank 5 in our order; element `at` is sum at[i] * stride[i] elements from its data.
 *   TO_QUANTIZE: part.view is ours: rank 5 in our order, codes row-major (so channels last), and without memory.
 *   QUANTIZED: part.view is the caller's, of its rank and order; axis[i] is its axis, -1 for one that it lacks.
 *   Both: codes start at bit sum at[i] * code_bits[i] of part.view.q.codes, and the index of the scale and of the zero
 *   point is sum at[i] / scale_run[i] * scale_stride[i].
 * part.group: elements along the summed axis that share a scale; 0 when the scale does not vary within a sum, and is a
 * factor, which the finish applies. */
typedef struct mfq_conv_side {
  mfq_gemm_side part;
  int64_t size[MFQ_CONV_AXES];
  int32_t axis[MFQ_CONV_AXES];
  int64_t stride[MFQ_CONV_AXES];
  int64_t code_bits[MFQ_CONV_AXES];
  int64_t scale_stride[MFQ_CONV_AXES], scale_run[MFQ_CONV_AXES];
} mfq_conv_side;

typedef struct mfq_conv_problem {
  mfq_conv_direction direction; /* see above */
  int64_t batch, groups;
  int64_t in_channels, out_channels; /* of one group */
  int64_t in[3], filter[3], out[3];  /* sizes of x, w, y */
  int64_t stride[3], dilation[3];    /* 1 for axes that are not there */
  int64_t padding[3], padding_after[3];
  mfq_conv_side x, w, y; /* the result's is PLAIN, with the plain result's memory, or, for a quantized one, none and
                            dense strides in our order */
  const char *names[3];  /* of x, w, y in the caller's description */
  mfq_tensor c;          /* rank 5 in our order, where finish.has_c */
  /* Dense sums of the result in our order are the [batches, m, n] of the finish: n is the result's last axis, m the one
   * before, batches all others. */
  mfq_finish finish;
  int64_t k; /* products in a sum */
  int32_t round_operands;
} mfq_conv_problem;

struct mfq_conv_plan {
  mfq_plan base;
  mfq_conv_problem problem; /* as planned; its pointers are for alignment only */
};

/* The side that is read through the filter (x, y, x), the other operand (w, w, y), and the result (y, x, w). */
static inline const mfq_conv_side *mfq_conv_gathered(const mfq_conv_problem *p) {
  return p->direction == MFQ_CONV_INPUT_GRADIENT ? &p->y : &p->x;
}
static inline const mfq_conv_side *mfq_conv_direct(const mfq_conv_problem *p) {
  return p->direction == MFQ_CONV_WEIGHT_GRADIENT ? &p->y : &p->w;
}
static inline const mfq_conv_side *mfq_conv_result(const mfq_conv_problem *p) {
  return p->direction == MFQ_CONV_FORWARD ? &p->y : p->direction == MFQ_CONV_INPUT_GRADIENT ? &p->x : &p->w;
}

/* The views of the gathered operand and of the other one in the order of the finish: the result of WEIGHT_GRADIENT has the
 * channels of the other one first. */
static inline mfq_factor_views mfq_conv_views(const mfq_conv_problem *p, const mfq_qview *gathered,
                                              const mfq_qview *direct) {
  const int is_weight = p->direction == MFQ_CONV_WEIGHT_GRADIENT;
  const mfq_factor_views views = {is_weight ? direct : gathered, is_weight ? gathered : direct};
  return views;
}
static inline mfq_factor_views mfq_conv_factor_views(const mfq_conv_problem *p) {
  return mfq_conv_views(p, &mfq_conv_gathered(p)->part.view, &mfq_conv_direct(p)->part.view);
}

/* How the gathered side is read along spatial axis i: outputs are pixels of y (FORWARD, WEIGHT_GRADIENT) or of x. */
static inline mfqn_window mfq_conv_window(const mfq_conv_problem *p, int i) {
  return p->direction == MFQ_CONV_INPUT_GRADIENT
             ? mfqn_window_backward(p->out[i], p->stride[i], p->dilation[i], p->padding[i])
             : mfqn_window_forward(p->in[i], p->stride[i], p->dilation[i], p->padding[i]);
}

/* Index of the scale (and zero point) of an element, and where its code begins. */
static inline int64_t mfq_conv_side_scale(const mfq_conv_side *side, const int64_t *at) {
  int64_t index = 0;
  for (int i = 0; i < MFQ_CONV_AXES; ++i) index += at[i] / side->scale_run[i] * side->scale_stride[i];
  return index;
}
static inline int64_t mfq_conv_side_bit(const mfq_conv_side *side, const int64_t *at) {
  int64_t bit = 0;
  for (int i = 0; i < MFQ_CONV_AXES; ++i) bit += at[i] * side->code_bits[i];
  return bit;
}

/* 1 when the elements (or codes) of a side are dense in our order, channels last. */
int mfq_conv_side_is_dense(const mfq_conv_side *side);

/* Checks a description and fills `problem`, as mfq_gemm_problem_make does. */
mfq_status mfq_conv_problem_make(const char *function, mfq_context *context, const mfq_conv *conv,
                                 const mfq_workspace *workspace, mfq_conv_problem *problem);

/* OK, or a sentence about the first thing in which a run differs from its plan. */
mfq_status mfq_conv_problem_match(const char *function, const mfq_conv_problem *plan, const mfq_conv_problem *run);

/* Fills code_bits, scale_stride, scale_run of a side from part.view and axis. */
void mfq_conv_side_index(mfq_conv_side *side);

/* A filter of one element, stride 1, no padding, one group: the matrix product that the convolution is. Returns NULL, or
 * why it is none. */
const char *mfq_conv_as_product(const mfq_conv_problem *problem, mfq_gemm_problem *product);

/* The members of a way for those: by the backend's list of products. */
mfq_status mfq_conv_by_product_plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why);
mfq_status mfq_conv_by_product_run(mfq_context *context, const void *state, const void *problem, uint8_t *workspace);
void mfq_conv_by_product_free(mfq_context *context, void *state);

#ifdef __cplusplus
}
#endif

#endif
