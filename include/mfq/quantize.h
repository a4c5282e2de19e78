/* mfq/quantize.h: plain tensor to codes and scales, back, and between layouts.
 *
 * Of all functions here: tensors lie on the context's device, and memory of another is INVALID_ARGUMENT. On "cpu" they
 * return when they are done. On CUDA they queue work on the context's stream and return; they neither allocate nor wait,
 * so a capture into a CUDA graph can hold them, and what fails later is reported by mfq_context_synchronize. A graph
 * works in its context's scratch memory: replay it on that stream, or ordered with it. */
#ifndef MFQ_QUANTIZE_H
#define MFQ_QUANTIZE_H

#include <mfq/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Quantizes `src` into `row`, into `col`, or into both from one read.
 * Shapes: both have the shape of `src`. Each has its own scheme, axis and layout: for a training step `row` groups
 *   along the last axis and `col` along the one before it, usually in MFQ_CODES_GROUP_LAST order. Either may be NULL,
 *   not both.
 * Numerics: docs/numerics.md. A NaN or infinity makes the scale of its group NaN and the group's codes 0; an all-zero
 *   group has the smallest scale (UE8M0 and UE4M3: code 0). Unscaled schemes convert each element by itself: NaN
 *   becomes NaN or, where the format has none, the largest value. Bits do not depend on device, threads or instruction
 *   set.
 * Memory: outputs are written whole, padding (0) included; spans of `src` and outputs must not overlap. Scales are
 *   read, not written, under MFQ_RULE_GIVEN; the UE4M3 tensor scale and zero points likewise. Scratch memory is the
 *   context's.
 * Errors: INVALID_ARGUMENT, SHAPE, OUT_OF_MEMORY, DEVICE; outputs are untouched.
 * Since 0.1. */
MFQ_API mfq_status mfq_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qtensor *row,
                                const mfq_qtensor *col);

/* Writes the values of `q` to `dst`: (code - zero point) * scale, rounded once to f32 and once more to bf16 or f16.
 * Shapes: `dst` has the logical shape of `q`, or its padded shape (padding has the value of code 0 or the zero point).
 * Memory: any strides that do not overlap; `dst` must not overlap the parts of `q`.
 * Errors: INVALID_ARGUMENT, SHAPE, DEVICE; `dst` is untouched.
 * Since 0.1. */
MFQ_API mfq_status mfq_dequantize(mfq_context *context, const mfq_qtensor *q, const mfq_tensor *dst);

/* Copies codes, scales and zero points from one layout to another without requantizing, and to other groups.
 * Shapes: equal shapes. Schemes whose codes and scales mean the same: they may differ in what shares a scale, as long as
 *   the groups of one are made of whole groups of the other, and in how scales are made. Where a group of `src` becomes
 *   several its scale is repeated: what has one power of two for 128 is MXFP8 then, with groups of 32. Where several become
 *   one, their scales must be equal, which is looked at before anything is written.
 * Memory: outputs are written whole. They must not overlap `src`, but that `dst` may have the very codes of `src` where
 *   only the scales are to change.
 * Errors: INVALID_ARGUMENT for schemes of other values, scales that differ within a group of `dst` (the sentence says
 *   where), or overlapping memory; SHAPE for shapes that differ and groups that cross; UNSUPPORTED where scales become
 *   one in a stream that is being captured: the call waits for the device then, and only then.
 * Since 0.1. */
MFQ_API mfq_status mfq_repack(mfq_context *context, const mfq_qtensor *src, const mfq_qtensor *dst);

/* Writes to `dst` the scale that applies to each element: the compressed shape, or broadcast to the elements.
 * Shapes: `dst` has the scale shape (mfq_qtensor_sizes), the logical shape or the padded shape. Schemes without a
 *   scale give 1.
 * Errors: INVALID_ARGUMENT, SHAPE.
 * Since 0.1. */
MFQ_API mfq_status mfq_expand_scales(mfq_context *context, const mfq_qtensor *q, const mfq_tensor *dst);
/* The same for zero points; schemes without one give 0. Since 0.1. */
MFQ_API mfq_status mfq_expand_zero_points(mfq_context *context, const mfq_qtensor *q, const mfq_tensor *dst);

#ifdef __cplusplus
}
#endif

#endif
