/* host/cpu/product/gemm_expand.h: a side of a product as a matrix of bf16 or f32. */
#ifndef MFQ_HOST_CPU_GEMM_EXPAND_H
#define MFQ_HOST_CPU_GEMM_EXPAND_H

#include "gemm_sides.h"
#include "host/cpu/cast/round_values.h"
#include "widen.h"

/* How the matrix comes to be. */
typedef enum mfq_expansion {
  MFQ_EXPANSION_IN_PLACE, /* it is there already */
  MFQ_EXPANSION_CONVERT,  /* plain elements, copied */
  MFQ_EXPANSION_WIDEN,    /* codes, by the kernel `widen` */
  MFQ_EXPANSION_ROUND,    /* plain elements to the values of their codes, which are never made */
  MFQ_EXPANSION_DECODE    /* codes, by dequantization */
} mfq_expansion;

/* Workspace places are offsets, each a multiple of 256. */
typedef struct mfq_expanded_side {
  mfq_expansion how;
  mfq_dtype dtype;
  int64_t stride[3]; /* batch (0: shared), row, depth */
  size_t parts_at;   /* codes and scales of a side that is quantized on the way, but for ROUND */
  size_t ones_at;    /* scales for decoding without the scales that the finish applies */
  size_t values_at;
  size_t scratch_bytes; /* that making it takes */
  mfq_widen widen;
  mfq_round_values round;
} mfq_expanded_side;

/* Whether a quantized side has scales for the finish. */
int mfq_side_has_factors(const mfq_gemm_side *side);

/* Plans the matrix in `dtype`, adding what it needs to `workspace_bytes`. */
mfq_status mfq_expand_plan(const mfq_context *context, const mfq_gemm_side *side, mfq_dtype dtype,
                           size_t *workspace_bytes, mfq_expanded_side *expanded);

/* Makes the matrix, quantizing the side before if it asks for that; `values` receives its first element. `ready`
 * becomes the side with what the finish needs of it (finish_cpu.h). */
mfq_status mfq_expand_run(mfq_context *lent, const mfq_expanded_side *expanded, const mfq_gemm_side *side,
                          uint8_t *workspace, mfq_gemm_side *ready, const void **values);

#endif
