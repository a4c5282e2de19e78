/* host/cpu/conv/conv_boxes.h: an operand whose channels lie apart in memory, cut into boxes that are turned, and its codes.
 *
 * A line runs along the contiguous axis, and along the axes outside of it that continue it. A box has a stretch of the
 * lines of some channels, and becomes as many pieces of the dense array. */
#ifndef MFQ_HOST_CPU_CONV_BOXES_H
#define MFQ_HOST_CPU_CONV_BOXES_H

#include "host/core/problem/conv_problem.h"
#include "host/cpu/product/widen.h"

enum { MFQ_BOX_ROWS = 64, MFQ_BOX_COLS = 128 };

typedef struct mfq_conv_boxes {
  int64_t size[MFQ_CONV_AXES]; /* axes that became part of a line have 1, and the line's own all of it */
  int64_t dst_stride[MFQ_CONV_AXES];
  int32_t axis; /* of lines */
  int64_t count;
} mfq_conv_boxes;

/* Rows are channels, columns elements of their lines, both from `at` on; `dst` is the place in the array. */
typedef struct mfq_conv_box {
  int64_t at[MFQ_CONV_AXES];
  int64_t rows, cols, dst;
} mfq_conv_box;

/* Lines along `axis`, which is not that of the channels, and `merged` axes outside of it. */
void mfq_conv_boxes_make(const int64_t *size, int32_t axis, int32_t merged, mfq_conv_boxes *boxes);
mfq_conv_box mfq_conv_box_at(const mfq_conv_boxes *boxes, int64_t index);

/* How many axes outside of `axis` continue it in memory with these strides. */
int32_t mfq_conv_merged(const int64_t *size, const int64_t *stride, int32_t axis);

/* Codes whose channels lie apart in memory to bf16, channels last. */
typedef struct mfq_conv_codes {
  mfq_conv_boxes boxes;
  mfq_widen widen;
  int32_t has_scales; /* that vary within a sum; others are left out */
} mfq_conv_codes;

/* Returns 0 for what general decoding must do: other schemes than `widen` takes, channels that lie together, rows that
 * begin inside a byte. */
int mfq_conv_codes_make(const mfq_conv_side *side, mfq_conv_codes *codes);

/* `view` has the memory of the side's codes and scales. */
void mfq_conv_codes_run(const mfq_context *context, const mfq_conv_codes *codes, const mfq_conv_side *side,
                        const mfq_qview *view, uint16_t *dst);

#endif
