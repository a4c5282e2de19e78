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
 * Errors: INVALID_ARGUMENT, also for MFQ_RULE_GIVEN, whose scales mfq_fake_quantize_given takes; SHAPE, OUT_OF_MEMORY,
 *   DEVICE; `dst` is untouched.
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

/* ---- With a mask ------------------------------------------------------------------------------------------------- */

/* Which elements of a fake quantization pass its clip, as MFQ_STE_CLIPPED sees it: all that the backward needs of the
 * source, in one bit an element. Bit i mod 8 of byte i / 8 is 1 where the element with row-major index i passes; the bits
 * behind the last element are 0. Owns nothing. Since 0.1. */
typedef struct mfq_mask {
  mfq_scheme scheme; /* whose mask it is: that of another scheme or shape is refused */
  int32_t rank;
  int64_t shape[MFQ_MAX_RANK];
  void *bits; /* mfq_mask_bytes of them on the context's device, of any alignment */
} mfq_mask;

/* Fills `mask` with a scheme and a shape, and NULL bits.
 * Errors: INVALID_ARGUMENT for a bad scheme; UNSUPPORTED for one with a rotation or with eden; SHAPE for a rank, size or axis out of
 *   range, or a size overflow.
 * Since 0.1. */
MFQ_API mfq_status mfq_mask_init(const mfq_scheme *scheme, int32_t rank, const int64_t *shape, mfq_mask *mask);

/* Computes how many bytes the bits of `mask` take. Since 0.1. */
MFQ_API mfq_status mfq_mask_bytes(const mfq_mask *mask, size_t *bytes);

/* A fake quantization with all that it can leave behind. Filled by mfq_fake_forward_init; set what you need. Since 0.1. */
typedef struct mfq_fake_forward {
  size_t struct_size;
  const mfq_scheme *scheme; /* as for mfq_fake_quantize, */
  const mfq_qtensor *given; /* or as for mfq_fake_quantize_given; exactly one of the two */
  const mfq_tensor *src, *dst;
  const mfq_tensor *scales; /* where the scales go that are measured; NULL: nowhere */
  const mfq_mask *mask;     /* whose bits are written; NULL: none */
} mfq_fake_forward;

/* Fills `forward` with NULL pointers. Since 0.1. */
MFQ_EXPORT void mfq_fake_forward_init(mfq_fake_forward *forward);

/* What mfq_fake_quantize and mfq_fake_quantize_given do, which are short forms of this function; and the mask for the
 * backward.
 * Shapes: as there; `mask` has the shape of `src`.
 * Numerics: as there; the mask has the bits that the backward would find from `src`, of stochastic rounding too.
 * Memory: as there; `mask` must not overlap anything.
 * Async: as in mfq/quantize.h.
 * Errors: as there; INVALID_ARGUMENT also for `scales` of given ones, and for a mask of another scheme; SHAPE for one of
 *   another shape; nothing is written then.
 * Since 0.1. */
MFQ_API mfq_status mfq_fake_quantize_forward(mfq_context *context, const mfq_fake_forward *forward);

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

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
  const mfq_tensor *src;        /* what was quantized; may be NULL with a mask, and is not read then */
  const mfq_tensor *upstream;   /* the gradient of the values */
  const mfq_tensor *dx;         /* where the gradient of src goes */
  int32_t through_scale;        /* 1: what a measured scale sends to the elements it was measured from is part of dx */
  int32_t log2_scale;           /* 1: grad_scale is the gradient of log2 of the scale */
  const mfq_tensor *grad_scale; /* where the gradient of the scales goes, f32; NULL: nowhere */
  const mfq_tensor *grad_zero_point; /* likewise of the zero points */
  const mfq_mask *mask; /* what the forward left, for MFQ_STE_CLIPPED and dx alone; NULL: what passes is found anew */
} mfq_fake_gradient;

/* Fills `gradient` with NULL pointers and zeros: MFQ_STE_IDENTITY. Since 0.1. */
MFQ_EXPORT void mfq_fake_gradient_init(mfq_fake_gradient *gradient);

/* Writes the gradients of what was fake-quantized, of its scales and of its zero points.
 * Shapes: `src`, `upstream` and `dx` have one shape, any dtypes and strides, which is that of `mask` too; `grad_scale` and
 *   `grad_zero_point` have the scale shape.
 * Numerics: docs/numerics.md, "Gradients": sums in float32 by a fixed tree, equal on every device and for any number of
 *   threads. The scale is the whole one, with the tensor scale of UE4M3; the gradient of a given scale that is 0,
 *   negative, infinite or NaN, which the CPU refuses, is NaN on a GPU. Stochastic rounding takes the bits of the
 *   context's seed and offset: set them as they were for the forward. What is too large for f16 becomes infinite. A mask
 *   gives the same bits as `src` would; neither scales nor random bits are read then.
 * Memory: `dx` may be `upstream` or `src` itself, with equal strides; otherwise nothing that is written may overlap.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, also for a grad_scale of a scheme without scales, a grad_zero_point without zero points,
 *   through_scale where no scale is measured, a mask with another variant than MFQ_STE_CLIPPED, with gradients of scales
 *   or zero points, or of another scheme, and on the CPU for a learned scale (given, with grad_scale) that is not positive
 *   and finite; UNSUPPORTED for a scheme with eden; SHAPE, OUT_OF_MEMORY, DEVICE; nothing is written then.
 * Since 0.1. */
MFQ_API mfq_status mfq_fake_quantize_backward(mfq_context *context, const mfq_fake_gradient *gradient);

#ifdef __cplusplus
}
#endif

#endif
