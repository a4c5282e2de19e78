/* host/cpu/conv/conv_expand.h: an operand of a convolution as a dense array of bf16 or f32 in our order, channels last. */
#ifndef MFQ_HOST_CPU_CONV_EXPAND_H
#define MFQ_HOST_CPU_CONV_EXPAND_H

#include "conv_codes.h"
#include "host/cpu/product/gemm_expand.h"

/* What the array is made by. */
typedef enum mfq_conv_expansion {
  MFQ_ARRAY_IN_PLACE, /* it is there already */
  MFQ_ARRAY_CONVERT,  /* plain elements, copied */
  MFQ_ARRAY_ROUND,    /* plain elements to the values of their codes, which are never made */
  MFQ_ARRAY_WIDEN,    /* codes with channels last */
  MFQ_ARRAY_TURN,     /* codes in another order, by boxes that are turned */
  MFQ_ARRAY_DECODE    /* codes, by dequantization */
} mfq_conv_expansion;

/* Workspace places are offsets, each a multiple of 256. */
typedef struct mfq_conv_array {
  mfq_conv_expansion how;
  mfq_dtype dtype;
  size_t parts_at; /* codes and scales of a side that is quantized on the way, but for ROUND, which has no factors */
  size_t ones_at;  /* scales for decoding without the scales that the finish applies */
  size_t values_at;
  size_t scratch_bytes; /* that making it takes */
  union {               /* by `how` */
    mfq_round_values round;
    mfq_widen widen;
    mfq_conv_codes codes;
  };
} mfq_conv_array;

/* What both operands of a fast convolution become: bf16 where it holds all their values, or where they may be rounded. */
static inline mfq_dtype mfq_conv_array_dtype(const mfq_conv_problem *p) {
  const int fits = mfq_gemm_sides_refuse_bf16(&mfq_conv_gathered(p)->part, &mfq_conv_direct(p)->part) == NULL;
  return fits || p->round_operands ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
}

/* Plans the array of `side` in `dtype`, adding what it needs to `workspace_bytes`. */
mfq_status mfq_conv_expand_plan(const mfq_context *context, const mfq_conv_side *side, mfq_dtype dtype,
                                size_t *workspace_bytes, mfq_conv_array *expanded);

/* Makes the array, quantizing on the way if the side asks for it; `values` receives its first element, [size] dense.
 * Scales that the finish applies are left out; `ready` becomes the side with what the finish needs of it. */
mfq_status mfq_conv_expand_run(mfq_context *lent, const mfq_conv_array *expanded, const mfq_conv_side *side,
                               uint8_t *workspace, mfq_gemm_side *ready, const void **values);

#endif
