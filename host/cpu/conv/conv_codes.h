/* host/cpu/conv/conv_codes.h: codes whose channels lie apart in memory to bf16, channels last. */
#ifndef MFQ_HOST_CPU_CONV_CODES_H
#define MFQ_HOST_CPU_CONV_CODES_H

#include "conv_boxes.h"
#include "host/cpu/product/widen.h"

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
