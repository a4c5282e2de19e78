/* cuda/conv/unfold/unfolded_plan.h: what is planned of a convolution that is unfolded and multiplied by cuBLASLt. */
#ifndef MFQ_CUDA_CONV_UNFOLDED_PLAN_H
#define MFQ_CUDA_CONV_UNFOLDED_PLAN_H

#include "cuda/gemm/cublaslt/cublaslt.h"
#include "cuda/conv/conv_params.h"
#include "unfold_slabs.h"

/* ---- Operands as matrices: pixels with all that their taps meet, and the other operand to go with them ------------- */

/* How parts lie: [rows][groups][line], for rows of many channels; or [groups][pixels][images][line], where the images
 * are channels of the result or of the sum. */
typedef enum mfq_unfold_order { MFQ_UNFOLD_BY_ROWS, MFQ_UNFOLD_BY_GROUPS } mfq_unfold_order;

/* What becomes of an operand. A row is a pixel of an image, and a line has `channels` elements for each tap. */
typedef struct mfq_unfolding {
  mfq_dtype dtype;
  mfq_unfold_order order;
  int64_t images;
  int64_t pixel[3], tap[3];
  mfqn_window window[3];
  int64_t channels;                     /* of one group */
  int64_t group_images, group_channels; /* from one group to the next */
} mfq_unfolding;

/* Some rows, counted over all images (by groups: of one group), groups, and channels of each. */
typedef struct mfq_unfold_part {
  int64_t first_row, rows, first_group, groups, first_channel, channels;
} mfq_unfold_part;

/* The operand that is read through the filter, by the result's pixels, or y's: lines [taps][channels]. */
mfq_unfolding mfq_unfolding_of_gathered(const mfq_conv_problem *problem, mfq_dtype dtype);
/* The other one. FORWARD: w as [groups][out_channels][taps * in_channels]; INPUT_GRADIENT: w as [groups][taps]
 * [out_channels][in_channels]; WEIGHT_GRADIENT: y as [pixels][groups][out_channels]. */
mfq_unfolding mfq_unfolding_of_direct(const mfq_conv_problem *problem, mfq_dtype dtype);

int64_t mfq_unfolding_pixels(const mfq_unfolding *u);
int64_t mfq_unfolding_taps(const mfq_unfolding *u);
/* Elements from one line to the next: whole units of 16 bytes. */
int64_t mfq_unfolding_line(const mfq_unfolding *u, int64_t channels);

/* Queues a part into `memory`, aligned to 16. `side` is PLAIN or has its codes in memory. */
mfq_status mfq_cuda_unfold(mfq_context *context, const mfq_conv_side *side, const mfq_unfolding *u,
                           const mfq_unfold_part *part, void *memory);

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

/* Where things lie in the workspace, in bytes. */
typedef struct mfq_unfolded_places {
  mfq_conv_parts operands;
  size_t unfolded, direct, sums, library, end;
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
