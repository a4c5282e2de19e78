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
 * Errors: INVALID_ARGUMENT, SHAPE, OUT_OF_MEMORY, DEVICE; UNSUPPORTED for MFQ_RULE_GIVEN, whose scales
 *   mfq_fake_quantize_given takes.
 * Since 0.1. */
MFQ_API mfq_status mfq_fake_quantize(mfq_context *context, const mfq_scheme *scheme, const mfq_tensor *src,
                                     const mfq_tensor *dst, const mfq_tensor *scales);

/* The same with the scales, zero points and tensor scale of `q`, which are read, not written, as by mfq_quantize under
 * MFQ_RULE_GIVEN: in the scheme's own formats, in the order of `q`'s layout. For scales that were collected or learned,
 * such as those of Brevitas' static activation quantizers.
 * Shapes: `q`, `src` and `dst` have one shape. `q.codes` is not used and may be NULL.
 * Numerics: as above. Elements under a scale of 0, infinity or NaN have code 0; with MFQ_ARITH_BREVITAS they are NaN.
 * Memory: as above; `dst` must not overlap the parts of `q`.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, also for a scheme that computes its scales; SHAPE, OUT_OF_MEMORY, DEVICE; `dst` is
 *   untouched.
 * Since 0.1. */
MFQ_API mfq_status mfq_fake_quantize_given(mfq_context *context, const mfq_qtensor *q, const mfq_tensor *src,
                                           const mfq_tensor *dst);

#ifdef __cplusplus
}
#endif

#endif
