/* host/cpu/cast/scale_slots.h: scales and zero points in memory, by index. */
#ifndef MFQ_HOST_CPU_SCALE_SLOTS_H
#define MFQ_HOST_CPU_SCALE_SLOTS_H

#include "host/core/backend.h"
#include "host/core/scheme/lower.h"

/* The scale with row-major index `index` in the scale shape, in its stored form (bits of f32, bf16, f16, or a code). */
uint32_t mfq_scale_get(const mfq_qview *view, int64_t index);
void mfq_scale_put(const mfq_qview *view, int64_t index, uint32_t stored);

/* `n` scales `step` apart. */
void mfq_scales_put(const mfq_qview *view, int64_t index, int64_t step, const uint32_t *stored, int64_t n);
void mfq_scales_get(const mfq_qview *view, int64_t index, int64_t step, uint32_t *stored, int64_t n);

/* Sets the bytes that pad the 128x4 order to 0. */
void mfq_scales_clear_padding(const mfq_qview *view);

/* Zero points as integers, not codes; 0 when the scheme has none. */
int32_t mfq_zero_point_get(const mfq_qview *view, const mfqn_scheme *s, int64_t index);
void mfq_zero_point_put(const mfq_qview *view, const mfqn_scheme *s, int64_t index, int32_t zero_point);

/* The tensor scale of UE4M3, 1 for other scale formats. */
float mfq_tensor_scale_get(const mfq_qview *view);

/* Scale, divisor and zero point of group `index` as stored. */
mfqn_group mfq_group_stored(const mfq_qview *view, const mfqn_scheme *s, int64_t index);

#endif
