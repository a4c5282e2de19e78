/* cuda/supported.cu: what the device runs fast, and why not the rest. */
#include <stdio.h>

#include "host/core/scheme/lower.h"
#include "cuda_ops.h"
#include "cuda/prim/encode.cuh"

/* NULL when a quantization has a fast path for the usual layouts; else the reason. */
static const char *why_quantize_is_general(const mfq_scheme *scheme) {
  const int group = scheme->granularity == MFQ_GRANULARITY_GROUP, size = scheme->group_size;
  mfqn_scheme s;
  mfq_lower(scheme, &s);
  if (scheme->rounding == MFQ_ROUND_STOCHASTIC) return "stochastic rounding takes the general kernel";
  if (encoder_steps(&s, ELEMENT_F32) == STEPS_NONE)
    return "other roundings than to even, formats without a sign, without saturation or beyond the normal numbers of "
           "float32 take the general kernel";
  if (scheme->granularity == MFQ_GRANULARITY_BLOCK) return "blocks of rows and columns take the general kernel";
  if (group && (size < 16 || size > 512 || (size & (size - 1)) != 0))
    return "groups of other sizes than 16, 32, 64, 128, 256 and 512 take the general kernel";
  if (group && mfqn_is_measured(&s) && (s.minmax || s.has_zero_point))
    return "ranges and zero points of groups are measured by the general kernel";
  return NULL;
}

static const char *why_dequantize_is_general(const mfq_scheme *scheme) {
  const mfq_format *e = &scheme->element;
  return mfq_cuda_decodes_fast(e) ? NULL : "the format reaches beyond the normal numbers of float32";
}

mfq_support mfq_cuda_supported(const mfq_context *context, mfq_op op, const mfq_scheme *scheme, char *reason,
                               size_t capacity) {
  static const char fast_quantize[] =
      "vector kernels: groups along rows, along columns (16 to 128), both from one read; tensors and "
      "channels in two phases";
  static const char fast_dequantize[] = "a vector kernel for rows of values in the order of their codes";
  const char *why = "runs in the general kernel", *how = "";
  (void)context;
  if (op == MFQ_OP_QUANTIZE) {
    how = fast_quantize;
    why = why_quantize_is_general(scheme);
  } else if (op == MFQ_OP_DEQUANTIZE) {
    how = fast_dequantize;
    why = why_dequantize_is_general(scheme);
  }
  snprintf(reason, capacity, "%s", why != NULL ? why : how);
  return why != NULL ? MFQ_SUPPORT_GENERAL : MFQ_SUPPORT_FAST;
}
