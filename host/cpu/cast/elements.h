/* host/cpu/cast/elements.h: single elements of plain tensors and single codes, in memory. */
#ifndef MFQ_HOST_CPU_ELEMENTS_H
#define MFQ_HOST_CPU_ELEMENTS_H

#include "host/core/backend.h"

/* Elements of plain tensors as float32 bits. */
uint32_t mfq_element_load(const void *data, mfq_dtype dtype, int64_t offset);
void mfq_element_store(void *data, mfq_dtype dtype, int64_t offset, uint32_t bits);
/* The same for values: finite ones become at most the largest finite element. */
void mfq_element_store_limited(void *data, mfq_dtype dtype, int64_t offset, uint32_t bits);

/* Code j of a row. The bits of a code that is put must be 0 before. */
uint32_t mfq_code_get(const mfq_qview *view, int64_t row, int64_t j);
void mfq_code_put(const mfq_qview *view, int64_t row, int64_t j, uint32_t code);

#endif
