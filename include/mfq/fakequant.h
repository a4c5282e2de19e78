/* mfq/fakequant.h: quantize and dequantize in one step, for training and for studying a scheme. */
#ifndef MFQ_FAKEQUANT_H
#define MFQ_FAKEQUANT_H

#include <mfq/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes to `dst` the values that mfq_quantize followed by mfq_dequantize would give, without storing codes.
 * Shapes: `dst` has the shape of `src`; `scales` is NULL or a f32 tensor of the scale shape that receives the scales.
 * Numerics: equal to the two steps for MFQ_ARITH_EXACT. MFQ_ARITH_BREVITAS keeps what codes cannot hold and Brevitas
 *   keeps: NaN in formats without NaN, -0 in FNUZ and unsigned formats, infinities turned into NaN.
 * Memory: `dst` may be `src` itself, with equal strides; otherwise they must not overlap.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, SHAPE, OUT_OF_MEMORY, DEVICE; UNSUPPORTED for MFQ_RULE_GIVEN, which has no place for the scales. */
MFQ_API mfq_status mfq_fake_quantize(mfq_context *context, const mfq_scheme *scheme, const mfq_tensor *src,
                                     const mfq_tensor *dst, const mfq_tensor *scales);

#ifdef __cplusplus
}
#endif

#endif
