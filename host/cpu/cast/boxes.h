/* host/cpu/cast/boxes.h: the elements of each scale: a box of the tensor, in row-major order. */
#ifndef MFQ_HOST_CPU_BOXES_H
#define MFQ_HOST_CPU_BOXES_H

#include "host/core/problem/walk.h"

/* Tensors of one shape that are walked together, and last of all the row-major index. */
enum { MFQ_BOX_TENSORS = 3, MFQ_BOX_LOGICAL = MFQ_BOX_TENSORS, MFQ_BOX_PLACES };

typedef struct mfq_boxes {
  int32_t rank;
  int64_t shape[MFQ_MAX_RANK];
  mfq_scale_axis axes[MFQ_MAX_RANK];
  int64_t groups[MFQ_MAX_RANK]; /* scales along each axis */
  int64_t stride[MFQ_BOX_PLACES][MFQ_MAX_RANK];
  int64_t scales, largest; /* how many boxes there are, and elements of the largest */
} mfq_boxes;

typedef struct mfq_box {
  int64_t first[MFQ_MAX_RANK], size[MFQ_MAX_RANK];
  int64_t count;
} mfq_box;

/* Elements of a box with one step between each two. */
typedef struct mfq_box_run {
  int64_t at[MFQ_BOX_PLACES], step[MFQ_BOX_PLACES];
  int64_t count;
} mfq_box_run;

/* `tensors` have the view's shape; NULL: none. */
void mfq_boxes_init(const mfq_qview *view, const mfq_tensor *const tensors[MFQ_BOX_TENSORS], mfq_boxes *boxes);
mfq_box mfq_box_at(const mfq_boxes *boxes, int64_t scale);
/* The run that begins with element `i` of a box, no further than `end`. */
mfq_box_run mfq_box_run_at(const mfq_boxes *boxes, const mfq_box *box, int64_t i, int64_t end);

#endif
