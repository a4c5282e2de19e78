/* cuda/quantize/quantize_cuda.cu: the ways to quantize, in their order. */
#include "cuda/cuda_ops.h"
#include "quantize_fast.h"

static const mfq_way *const ways[] = {&mfq_cuda_quantize_both,  &mfq_cast_directions,      &mfq_cuda_quantize_rows,
                                      &mfq_cuda_quantize_tiles, &mfq_cuda_quantize_shared, &mfq_cuda_quantize_general};
static_assert(sizeof ways / sizeof ways[0] <= MFQ_MOST_WAYS, "refusals have room");

const mfq_ways mfq_cuda_quantizations = {.create = "mfq_quantize",
                                         .reproducible = NULL,
                                         .nearest_first = 0,
                                         .count = sizeof ways / sizeof ways[0],
                                         .ways = ways};

mfq_status mfq_cuda_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *row, const mfq_qview *col) {
  mfq_cast cast = {};
  cast.op = MFQ_OP_QUANTIZE;
  cast.function = "mfq_quantize";
  cast.src = src;
  cast.view = row;
  cast.other = col;
  return mfq_cuda_cast(context, &cast);
}
