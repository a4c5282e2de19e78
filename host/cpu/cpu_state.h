/* host/cpu/cpu_state.h: what the CPU backend keeps in a context. */
#ifndef MFQ_HOST_CPU_CPU_STATE_H
#define MFQ_HOST_CPU_CPU_STATE_H

#include "host/core/module/context_state.h"
#include "cpu_isa.h"

typedef struct mfq_cpu_state {
  mfq_cpu_isa isa;
} mfq_cpu_state;

static inline const mfq_cpu_isa *mfq_cpu_isa_of(const mfq_context *context) {
  return &((const mfq_cpu_state *)context->backend_state)->isa;
}

static inline const mfq_kernels *mfq_cpu_kernels(const mfq_context *context) {
  return mfq_cpu_isa_of(context)->kernels;
}

/* The operations of the backend table. */
mfq_status mfq_cpu_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *row, const mfq_qview *col);
mfq_status mfq_cpu_dequantize(mfq_context *context, const mfq_qview *q, const mfq_tensor *dst);
mfq_status mfq_cpu_repack(mfq_context *context, const mfq_qview *src, const mfq_qview *dst);
mfq_status mfq_cpu_expand(mfq_context *context, const mfq_qview *q, mfq_expand_part part, const mfq_tensor *dst);
mfq_status mfq_cpu_fake_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *shape,
                                 const mfq_tensor *dst, const mfq_tensor *scales);

/* Bytes of the context's scratch memory that mfq_cpu_quantize takes for one direction. */
size_t mfq_cpu_quantize_scratch(const mfq_context *context, const mfq_tensor *src, const mfq_qview *view);
/* And that mfq_cpu_dequantize takes for a target of the logical shape. */
size_t mfq_cpu_dequantize_scratch(const mfq_context *context, const mfq_qview *view, const mfq_tensor *dst);

/* The obvious path: any scheme, any strides, one element at a time. */
mfq_status mfq_quantize_ref(mfq_context *context, const mfq_tensor *src, const mfq_qview *view);
size_t mfq_quantize_ref_scratch(const mfq_qview *view); /* bytes that it takes of the context's scratch memory */
void mfq_dequantize_ref(const mfq_qview *view, const mfq_tensor *dst);

/* Its statistics: of every scale of `view`, from all elements of `src`; returns the tensor scale, 1 where there is
 * none. */
float mfq_measure_ref(const mfq_qview *view, const mfqn_scheme *s, const mfq_tensor *src, mfqn_statistic *statistics);

#endif
