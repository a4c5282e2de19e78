/* host/cpu/product/convert_elements.h: plain elements of any strides to dense ones of another type. */
#ifndef MFQ_HOST_CPU_CONVERT_ELEMENTS_H
#define MFQ_HOST_CPU_CONVERT_ELEMENTS_H

#include "host/cpu/cpu_state.h"

/* `is_conv`: of an array with channels last, which may be contiguous along another axis. */
void mfq_convert_tensor(const mfq_context *context, mfq_tensor from, int is_conv, mfq_dtype dtype, uint8_t *dst);
/* bf16 to f32. */
void mfq_convert_halves(const mfq_context *context, const uint16_t *from, int64_t count, uint32_t *to);

#endif
