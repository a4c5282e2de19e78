/* host/cpu/cpu_onednn.h: whether oneDNN computes for a context. */
#ifndef MFQ_HOST_CPU_CPU_ONEDNN_H
#define MFQ_HOST_CPU_CPU_ONEDNN_H

#include "../core/onednn_module.h"
#include "cpu_state.h"

/* The module for operands of a type, within what MFQ_CPU_ISA allows; NULL with why our own loops are to be taken. */
const mfq_onednn *mfq_cpu_onednn(const mfq_context *context, mfq_dtype in, char *reason, size_t capacity);

#endif
