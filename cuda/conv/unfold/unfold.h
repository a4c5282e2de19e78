/* cuda/conv/unfold/unfold.h: operands of a convolution as matrices: pixels with all that their taps meet, and the other operand
 * to go with them. */
#ifndef MFQ_CUDA_CONV_UNFOLD_H
#define MFQ_CUDA_CONV_UNFOLD_H

#include "host/core/problem/conv_problem.h"
#include "cuda/cuda_state.h"

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

/* Which way mfq_cuda_unfold takes: "elements", "copy", "codes". */
const char *mfq_cuda_unfold_way(const mfq_conv_side *side, const mfq_unfolding *u, const mfq_unfold_part *part);

#endif
