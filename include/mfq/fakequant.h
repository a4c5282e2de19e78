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

/* How the derivatives of rounding and clamping are taken, straight through; docs/numerics.md, "Gradients", has the
 * formulas. Since 0.1. */
typedef enum mfq_ste {
  MFQ_STE_IDENTITY = 0, /* gradients pass everywhere: Brevitas' integer weights */
  MFQ_STE_CLIPPED = 1,  /* where the rounded value is in the format's range, its ends included; 0 beyond: torch */
  MFQ_STE_BREVITAS = 2  /* likewise, and times value / element in the normal range of minifloats: Brevitas */
} mfq_ste;

/* The backward of a fake quantization. Filled by mfq_fake_gradient_init; set what you need. Since 0.1. */
typedef struct mfq_fake_gradient {
  size_t struct_size;
  const mfq_scheme *scheme; /* that of mfq_fake_quantize, whose scales are measured again, */
  const mfq_qtensor *given; /* or what mfq_fake_quantize_given had; exactly one of the two */
  mfq_ste ste;
  const mfq_tensor *src;        /* what was quantized */
  const mfq_tensor *upstream;   /* the gradient of the values */
  const mfq_tensor *dx;         /* where the gradient of src goes */
  int32_t through_scale;        /* 1: what a measured scale sends to the elements it was measured from is part of dx */
  int32_t log2_scale;           /* 1: grad_scale is the gradient of log2 of the scale */
  const mfq_tensor *grad_scale; /* where the gradient of the scales goes, f32; NULL: nowhere */
  const mfq_tensor *grad_zero_point; /* likewise of the zero points */
} mfq_fake_gradient;

/* Fills `gradient` with NULL pointers and zeros: MFQ_STE_IDENTITY. Since 0.1. */
MFQ_EXPORT void mfq_fake_gradient_init(mfq_fake_gradient *gradient);

/* Writes the gradients of what was fake-quantized, of its scales and of its zero points.
 * Shapes: `src`, `upstream` and `dx` have one shape, any dtypes and strides; `grad_scale` and `grad_zero_point` have the
 *   scale shape.
 * Numerics: docs/numerics.md, "Gradients": sums in float32 by a fixed tree, equal on every device and for any number of
 *   threads. The scale is the whole one, with the tensor scale of UE4M3; the gradient of a given scale that is 0,
 *   negative, infinite or NaN, which the CPU refuses, is NaN on a GPU. Stochastic rounding takes the bits of the
 *   context's seed and offset: set them as they were for the forward. What is too large for f16 becomes infinite.
 * Memory: `dx` may be `upstream` or `src` itself, with equal strides; otherwise nothing that is written may overlap.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, also for a grad_scale of a scheme without scales, a grad_zero_point without zero points,
 *   through_scale where no scale is measured, and on the CPU for a learned scale (given, with grad_scale) that is not
 *   positive and finite; SHAPE, OUT_OF_MEMORY, DEVICE; nothing is written then.
 * Since 0.1. */
MFQ_API mfq_status mfq_fake_quantize_backward(mfq_context *context, const mfq_fake_gradient *gradient);

#ifdef __cplusplus
}
#endif

#endif
