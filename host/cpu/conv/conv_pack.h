/* host/cpu/conv/conv_pack.h: a filter in the order that oneDNN's implementation wants, by our own kernels. */
#ifndef MFQ_HOST_CPU_CONV_PACK_H
#define MFQ_HOST_CPU_CONV_PACK_H

#include "host/core/module/onednn_module.h"
#include "host/cpu/cpu_state.h"

/* From a dense bf16 filter [K, taps, C] to blocks. */
void mfq_conv_pack(const mfq_kernels *kernels, const mfq_onednn_conv *conv, const mfq_onednn_order *order,
                   const uint16_t *w, uint16_t *to);

#endif
