/* cuda/conv/unfold/unfolded_plan.h: what is planned of a convolution that is unfolded and multiplied by cuBLASLt. */
#ifndef MFQ_CUDA_CONV_UNFOLDED_PLAN_H
#define MFQ_CUDA_CONV_UNFOLDED_PLAN_H

#include "cuda/gemm/cublaslt/cublaslt.h"
#include "cuda/conv/conv_params.h"
#include "unfold.h"
#include "unfold_slabs.h"

/* Where things lie in the workspace, in bytes. */
typedef struct mfq_unfolded_places {
  mfq_conv_parts operands;
  size_t scratch, unfolded, direct, sums, library, end;
} mfq_unfolded_places;

typedef struct mfq_unfolded_plan {
  mfq_conv_direction direction;
  mfq_unfolding gathered, direct;
  int32_t is_in_place;        /* the other operand is read where it lies */
  int32_t writes_d;           /* cuBLASLt writes the result */
  int64_t groups, rows, cols; /* pixels; channels of a group, of the result or of y */
  int64_t depth;              /* of a line: taps times channels */
  mfq_unfold_slabs step;
  mfq_unfolded_places at;
  mfq_cublaslt_plan plans[2][2]; /* [the last rows][the last columns] */
} mfq_unfolded_plan;

/* Fills what the problem alone tells: the steps too. Returns NULL, or why it cannot be unfolded. */
const char *mfq_unfolded_steps(const mfq_conv_problem *problem, mfq_unfolded_plan *plan);
/* Fills `plans` and `at`. */
mfq_status mfq_unfolded_products(mfq_context *context, const mfq_conv_problem *problem, mfq_unfolded_plan *plan,
                                 mfq_line *reason);

/* The finish of a convolution whose result is a matrix, of pixels or of w's output channels. Returns 0 where it is none. */
int mfq_unfolded_flat(const mfq_conv_problem *problem, mfq_finish *flat);

static inline int mfq_unfolded_is_weight_gradient(const mfq_unfolded_plan *plan) {
  return plan->direction == MFQ_CONV_WEIGHT_GRADIENT;
}

/* Elements from one row of sums to the next. */
int64_t mfq_unfolded_sum_ld(const mfq_conv_problem *problem, const mfq_unfolded_plan *plan);

/* Elements of the operand that is read in place: from pixel to pixel (weight gradient), from channel to channel, from
 * group to group. */
typedef struct mfq_unfolded_strides {
  int64_t row, col, group;
} mfq_unfolded_strides;
mfq_unfolded_strides mfq_unfolded_in_place(const mfq_unfolded_plan *plan);

#endif
