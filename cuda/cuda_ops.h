/* cuda/cuda_ops.h: the operations of the CUDA backend. */
#ifndef MFQ_CUDA_OPS_H
#define MFQ_CUDA_OPS_H

#include "host/core/backend.h"

/* The members of the backend table, by the same names. */
mfq_status mfq_cuda_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *row, const mfq_qview *col);
mfq_status mfq_cuda_dequantize(mfq_context *context, const mfq_qview *q, const mfq_tensor *dst);
mfq_status mfq_cuda_repack(mfq_context *context, const mfq_qview *src, const mfq_qview *dst);
mfq_status mfq_cuda_expand(mfq_context *context, const mfq_qview *q, mfq_expand_part part, const mfq_tensor *dst);
mfq_status mfq_cuda_fake_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *shape,
                                  const mfq_tensor *dst, const mfq_tensor *scales);
mfq_support mfq_cuda_supported(const mfq_context *context, mfq_op op, const mfq_scheme *scheme, char *reason,
                               size_t capacity);

/* Whether float32 holds every value of a format as a normal number: what the fast dequantization needs. */
int mfq_cuda_decodes_fast(const mfq_format *element);

/* The general paths: any scheme, strides and layout; last in every list. */
mfq_status mfq_cuda_quantize_general(mfq_context *context, const mfq_tensor *src, const mfq_qview *view);
mfq_status mfq_cuda_dequantize_general(mfq_context *context, const mfq_qview *view, const mfq_tensor *dst);

#endif
