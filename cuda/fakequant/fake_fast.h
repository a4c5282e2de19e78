/* cuda/fakequant/fake_fast.h: the fast ways to fake-quantize, those of a quantization with values in the place of codes. */
#ifndef MFQ_CUDA_FAKEQUANT_FAKE_FAST_H
#define MFQ_CUDA_FAKEQUANT_FAKE_FAST_H

#include "cuda/quantize/quantize_fast.h"
#include "fake_target.cuh"

extern const mfq_way mfq_cuda_fake_rows;   /* groups along the contiguous axis; scales that are known */
extern const mfq_way mfq_cuda_fake_tiles;  /* groups along a strided axis */
extern const mfq_way mfq_cuda_fake_shared; /* scales of a tensor or of channels, measured */

/* Those of the backward. */
extern const mfq_way mfq_cuda_gradient_rows;
extern const mfq_way mfq_cuda_gradient_tiles;
extern const mfq_way mfq_cuda_gradient_shared;
extern const mfq_way mfq_cuda_gradient_boxes;

/* What a call quantizes by: its own view, where the tensor scale of UE4M3, if it is measured, is in scratch memory. */
mfq_qview mfq_cuda_fake_view(const mfq_context *context, const mfq_cast *cast);

/* Scales of a tensor or of channels, measured into scratch memory: the call's view with them in it; planned and queued. */
mfq_qview mfq_cuda_scratch_view(const mfq_context *context, const mfq_cast *cast);
mfq_status mfq_cuda_scratch_plan(const quantize_call *known, rows_reduction *reduction, mfq_line *why);
mfq_status mfq_cuda_scratch_scales(mfq_context *context, const mfq_cast *cast, const rows_reduction *reduction);

/* Whether a tensor is row-major and dense. */
int mfq_cuda_is_in_order(const mfq_tensor *tensor);

/* Where values go, and scales that groups measure. Refuses wanted scales in another order than their own, and what
 * values are not made for. */
mfq_status mfq_cuda_fake_target(const mfq_cast *cast, const encoder *how, const cast_rows *rows, fake_target *to,
                                mfq_line *why);

/* Where a wanted mask goes, if the kernel of the values writes it too. Others are written before, of the scales in `known`,
 * or, where that is NULL, of those of the cast, which are measured if they are to be. */
mask_target mfq_cuda_mask_target(const mfq_cast *cast, const encoder *how, const cast_rows *rows);
mfq_status mfq_cuda_fake_mask(mfq_context *context, const mfq_cast *cast, const mfq_qview *known);

/* Rows: planned with the parts of `view` and launched. */
struct fake_rows_params; /* fake_rows_kernel.cuh */
mfq_status mfq_cuda_fake_rows_plan(const quantize_call *call, const mfq_cast *cast, fake_rows_params *params,
                                   mfq_line *why);
/* `known`: as in mfq_cuda_fake_mask. */
mfq_status mfq_cuda_fake_rows_launch(mfq_context *context, const mfq_cast *cast, const fake_rows_params *params,
                                     const mfq_qview *known);

#endif
