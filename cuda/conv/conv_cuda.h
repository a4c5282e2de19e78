/* cuda/conv/conv_cuda.h: the ordered lists of ways to run a convolution on a GPU, and how large ones are taken apart. */
#ifndef MFQ_CUDA_CONV_CONV_CUDA_H
#define MFQ_CUDA_CONV_CONV_CUDA_H

#include "host/core/problem/conv_problem.h"
#include "cuda/cuda_state.h"

/* Fastest first; the last takes everything. */
extern const mfq_way mfq_cuda_conv_depthwise;
extern const mfq_way mfq_cuda_conv_wgmma;
extern const mfq_way mfq_cuda_conv_implicit;
extern const mfq_way mfq_cuda_conv_unfolded;
extern const mfq_way mfq_cuda_conv_general;

/* Convolutions, and parts of a batch: those ways. */
extern const mfq_ways mfq_cuda_conv_parts;
/* A whole convolution: a product, or as many parts as need be (below). */
extern const mfq_ways mfq_cuda_convolutions;

/* ---- Parts of a batch: convolutions whose workspace would be too large, as convolutions of some images each -------- */

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

/* Bytes of workspace beyond which a convolution is taken apart. */
enum { MFQ_MOST_WORKSPACE_BYTES = 64 << 20 };

/* The members of a way. Plans at once, by one of `ways`, or in as few parts as keep the workspace within `most_bytes`.
 * Where no number of parts does, because a single image needs more, or a scale depends on all of them (batch_part.cu), the
 * least workspace is taken. */
mfq_status mfq_cuda_batch_plan(mfq_context *context, const mfq_ways *ways, const mfq_conv_problem *problem,
                               size_t most_bytes, mfq_choice *choice);
mfq_status mfq_cuda_batch_run(mfq_context *context, const void *state, const void *problem, uint8_t *workspace);
void mfq_cuda_batch_free(mfq_context *context, void *state);

#endif
