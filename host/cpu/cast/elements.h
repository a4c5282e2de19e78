/* host/cpu/cast/elements.h: single elements of plain tensors, codes, scales and zero points, in memory. */
#ifndef MFQ_HOST_CPU_ELEMENTS_H
#define MFQ_HOST_CPU_ELEMENTS_H

#include "host/core/backend.h"
#include "host/core/scheme/lower.h"

/* Elements of plain tensors as float32 bits. */
uint32_t mfq_element_load(const void *data, mfq_dtype dtype, int64_t offset);
void mfq_element_store(void *data, mfq_dtype dtype, int64_t offset, uint32_t bits);
/* The same for values: finite ones become at most the largest finite element. */
void mfq_element_store_limited(void *data, mfq_dtype dtype, int64_t offset, uint32_t bits);

/* Code j of a row. The bits of a code that is put must be 0 before. */
uint32_t mfq_code_get(const mfq_qview *view, int64_t row, int64_t j);
void mfq_code_put(const mfq_qview *view, int64_t row, int64_t j, uint32_t code);

/* Gives each element of `dst`, whose shape is the view's or the padded one, a value that follows from its scale's index. */
typedef uint32_t (*mfq_value_fn)(const void *of, int64_t scale);
void mfq_elements_by_scale(const mfq_qview *view, const mfq_tensor *dst, mfq_value_fn value, const void *of);

/* The scale with row-major index `index` in the scale shape, in its stored form (bits of f32, bf16, f16, or a code). */
uint32_t mfq_scale_get(const mfq_qview *view, int64_t index);
void mfq_scale_put(const mfq_qview *view, int64_t index, uint32_t stored);

/* `n` scales `step` apart. */
void mfq_scales_put(const mfq_qview *view, int64_t index, int64_t step, const uint32_t *stored, int64_t n);
void mfq_scales_get(const mfq_qview *view, int64_t index, int64_t step, uint32_t *stored, int64_t n);

/* Sets the bytes that pad the 128x4 order to 0. */
void mfq_scales_clear_padding(const mfq_qview *view);

/* Zero points as integers, not codes, or as the bits of floats; 0 when the scheme has none. */
int32_t mfq_zero_point_get(const mfq_qview *view, const mfqn_scheme *s, int64_t index);
void mfq_zero_point_put(const mfq_qview *view, const mfqn_scheme *s, int64_t index, int32_t zero_point);

/* The tensor scale; 1 where there is none. */
float mfq_tensor_scale_get(const mfq_qview *view);

/* Scale, divisor and zero point of group `index` as stored. */
mfqn_group mfq_group_stored(const mfq_qview *view, const mfqn_scheme *s, int64_t index);

#endif
