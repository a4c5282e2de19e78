/* cuda/product/side_params.h: operands of a product made ready for kernels. */
#ifndef MFQ_CUDA_PRODUCT_SIDE_PARAMS_H
#define MFQ_CUDA_PRODUCT_SIDE_PARAMS_H

#include "host/core/problem/gemm_problem.h"
#include "cuda/cuda_state.h"
#include "unit.cuh"

/* `side` is PLAIN or has its codes in memory. */
side_params mfq_cuda_side_params(const mfq_gemm_side *side);

/* The kind of dot that MFQ_REPRODUCIBLE takes of two sides. */
mfqn_dot_plan mfq_cuda_dot_plan(const mfq_gemm_side *a, const mfq_gemm_side *b);

/* Fills `format` where codes become bf16 by shift and mask. Returns 0 for formats that do not. The group scale is left
 * out where a bf16 does not hold the product. */
int mfq_cuda_widen_format(const mfq_gemm_side *side, widen_format *format);

/* Whether codes that are widened so have their group scales, where there are some. */
int mfq_cuda_widens_scale(const mfq_gemm_side *side, const widen_format *format);

/* An axis along which units of an operand are read. Steps are elements of plain operands, bits of codes. */
typedef struct mfq_unit_axis {
  int64_t size, step;
  int64_t run, scale_step;      /* elements that share a scale, and from such a scale to the next */
  int64_t channels, groups;     /* so many parts of the axis are read apart */
  int64_t others, other_scales; /* the same steps of all other axes, all their bits together */
} mfq_unit_axis;

/* How units come; `part` is what kernels see of the side, which is PLAIN or has its codes in memory. */
unit_way mfq_cuda_unit_way(const mfq_gemm_side *side, const side_params &part, const mfq_unit_axis &along);

/* Fills `ready` with a side that is not TO_QUANTIZE: the same one, or, with its codes in `memory`, QUANTIZED. The
 * quantization is queued on `lent`, whose scratch memory is this run's own. */
mfq_status mfq_cuda_side_ready(mfq_context *lent, const mfq_gemm_side *side, uint8_t *memory, mfq_gemm_side *ready);

/* Queues the sum of `parts` parts of the depth, each of `items` sums, one behind the other, into the first. */
mfq_status mfq_cuda_add_parts(mfq_context *context, float *sums, int64_t items, int32_t parts, const char *function);

#endif
