/* cuda/conv/batch_part.h: some images of a convolution as a convolution of their own. */
#ifndef MFQ_CUDA_CONV_BATCH_PART_H
#define MFQ_CUDA_CONV_BATCH_PART_H

#include "host/core/problem/conv_problem.h"

/* Images first ... first + count - 1. For planning, `first` is the number of images in each part but the last, and all
 * memory is aligned as that of the least aligned part. */
typedef struct mfq_images {
  int64_t first, count;
  int32_t is_planned;
} mfq_images;

/* Whether a problem can be taken apart, `images` at a time: codes of a part begin at a byte, and what is quantized has
 * no scale, and no random number, that depends on the other parts. Sums of the weight's gradient that are added part by
 * part are not those of MFQ_REPRODUCIBLE. */
int mfq_cuda_conv_splits(const mfq_context *context, const mfq_conv_problem *problem, int64_t images);

/* Fills `part`. That of the weight's gradient is added to `total`, all f32 sums of the result, dense in our order, which
 * the first part writes: without factors, alpha, beta and c, which come behind the last. */
void mfq_cuda_conv_part(const mfq_conv_problem *problem, const mfq_images *at, float *total, mfq_conv_problem *part);

#endif
