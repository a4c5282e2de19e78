/* host/cpu/product/expand_operand.h: an operand of a product as a matrix of bf16 or f32, or one of a convolution as a dense
 * array in our order, channels last. */
#ifndef MFQ_HOST_CPU_EXPAND_OPERAND_H
#define MFQ_HOST_CPU_EXPAND_OPERAND_H

#include "host/cpu/cast/round_values.h"
#include "host/cpu/conv/conv_boxes.h"
#include "decode_rows.h"

/* The scratch memory that quantizing a side on the way needs; 0 for others. */
size_t mfq_cpu_side_scratch(const mfq_context *context, const mfq_gemm_side *side);

/* Fills `ready` with a side that is not TO_QUANTIZE: the same one, or, quantized into `memory` on the context `lent`,
 * QUANTIZED. */
mfq_status mfq_cpu_side_ready(mfq_context *lent, const mfq_gemm_side *side, uint8_t *memory, mfq_gemm_side *ready);

/* How the values come to be. */
typedef enum mfq_expansion {
  MFQ_EXPANSION_IN_PLACE, /* they are there already */
  MFQ_EXPANSION_CONVERT,  /* plain elements, copied */
  MFQ_EXPANSION_ROUND,    /* plain elements to the values of their codes, which are never made */
  MFQ_EXPANSION_WIDEN,    /* codes in the order of the values, by the kernel `widen` */
  MFQ_EXPANSION_TURN,     /* codes of a convolution in another order, by boxes that are turned */
  MFQ_EXPANSION_ROWS,     /* codes of a matrix with any scales, row by row or column by column */
  MFQ_EXPANSION_DECODE    /* codes, by dequantization */
} mfq_expansion;

/* Workspace places are offsets, each a multiple of 256. */
typedef struct mfq_expanded {
  mfq_expansion how;
  mfq_dtype dtype;
  int32_t is_by_columns; /* of a matrix that is made: rows are contiguous, not the depth */
  int32_t by_halves;     /* f32 of a convolution is made of bf16, where that has faster ways */
  size_t halves_at;      /* with it */
  int64_t cut;           /* rows of a batch that are there at a time, made by mfq_expand_rows; 0: all, from the start */
  int64_t stride[3];     /* of a matrix, all of it: batch (0: shared), row, depth */
  size_t parts_at; /* codes and scales of a side that is quantized on the way, but for ROUND, which has no factors */
  size_t ones_at;  /* scales for decoding without the scales that the finish applies */
  size_t values_at;
  size_t scratch_bytes; /* that making it takes */
  union {               /* by `how` */
    mfq_round_values round;
    mfq_widen widen;
    mfq_decode_rows rows;
    mfq_conv_codes codes;
  };
} mfq_expanded;

/* A side of a product, or, with `conv`, whose `part` it is, of a convolution. */
typedef struct mfq_operand_side {
  const mfq_gemm_side *part;
  const mfq_conv_side *conv;
} mfq_operand_side;

/* What both operands may become at best: bf16 where it holds all their values, or where they may be rounded. */
mfq_dtype mfq_expanded_dtype(const mfq_gemm_side *a, const mfq_gemm_side *b, int round_operands);

/* Plans the values in `dtype`. */
mfq_status mfq_expand_plan(const mfq_context *context, mfq_operand_side side, mfq_dtype dtype, mfq_expanded *expanded);
/* Whether they can be made some rows at a time. */
int mfq_expand_can_cut(const mfq_expanded *expanded);
/* Adds what they need to `workspace_bytes`: all of them, or `cut` rows of a batch. */
void mfq_expand_take(mfq_operand_side side, int64_t cut, size_t *workspace_bytes, mfq_expanded *expanded);
/* The strides of `rows` rows of a batch that mfq_expand_rows makes, or of all of them where nothing is cut. */
void mfq_expand_strides(const mfq_expanded *expanded, mfq_operand_side side, int64_t rows, int64_t stride[3]);

/* Makes the values, quantizing the side before if it asks for that; `values` receives the first. Scales that the finish
 * applies are left out; `ready` becomes the side with what the finish needs of it. Of values that are cut only the
 * latter is made. */
mfq_status mfq_expand_run(mfq_context *lent, const mfq_expanded *expanded, mfq_operand_side side, uint8_t *workspace,
                          mfq_gemm_side *ready, const void **values);
/* Makes some rows of values that are cut, where mfq_expand_run said. */
void mfq_expand_rows(mfq_context *lent, const mfq_expanded *expanded, const mfq_gemm_side *ready, mfq_side_rows rows,
                     uint8_t *workspace);

#endif
