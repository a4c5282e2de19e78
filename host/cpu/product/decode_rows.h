/* host/cpu/product/decode_rows.h: some rows of a side of a product, from codes with any scales and zero points to values:
 * the loops of dequantization, on a piece of a matrix. Scales that the finish applies are left out. */
#ifndef MFQ_HOST_CPU_DECODE_ROWS_H
#define MFQ_HOST_CPU_DECODE_ROWS_H

#include "widen.h"

typedef struct mfq_decode_rows {
  mfqn_scheme scheme; /* without scale where that is the finish's */
  int32_t bits;       /* of a stored code */
  int32_t is_across;  /* codes of neighbouring rows lie together, not those along K */
  int64_t group;      /* elements along K that share a scale */
  int64_t piece;      /* of those, or of rows, at a time: whole bytes, and whole groups where these are shorter */
} mfq_decode_rows;

/* Returns 0 where neither rows nor columns of codes are runs of whole bytes. */
int mfq_decode_rows_make(const mfq_gemm_side *side, mfq_decode_rows *decode);
/* Bytes of the scratch memory of a context that it takes. */
size_t mfq_decode_rows_scratch(const mfq_context *context);
/* Values of some rows of a side with memory, as f32 or bf16, one row behind the other; across: of all rows of a batch, or
 * of some, in multiples of 8 but for the last, one column behind the other. */
void mfq_decode_rows_run(const mfq_context *lent, const mfq_decode_rows *decode, const mfq_gemm_side *side,
                         mfq_side_rows rows, mfq_dtype dtype, void *dst);

#endif
