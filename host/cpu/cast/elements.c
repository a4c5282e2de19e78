/* host/cpu/cast/elements.c: one element or code at a time, for paths whose speed does not matter and for the ends of
 * those where it does. */
#include "elements.h"

#include <string.h>

#include <mfq/num/bits.h>
#include <mfq/num/pack.h>

#include "host/core/problem/walk.h"
#include "host/core/scheme/scheme.h"

uint32_t mfq_element_load(const void *data, mfq_dtype dtype, int64_t offset) {
  if (dtype == MFQ_DTYPE_F32) {
    uint32_t bits;
    memcpy(&bits, (const uint8_t *)data + offset * 4, 4);
    return bits;
  }
  uint16_t half;
  memcpy(&half, (const uint8_t *)data + offset * 2, 2);
  return dtype == MFQ_DTYPE_BF16 ? mfqn_f32_from_bf16(half) : mfqn_f32_from_f16(half);
}

void mfq_element_store(void *data, mfq_dtype dtype, int64_t offset, uint32_t bits) {
  if (dtype == MFQ_DTYPE_F32) {
    memcpy((uint8_t *)data + offset * 4, &bits, 4);
    return;
  }
  const uint16_t half = (uint16_t)(dtype == MFQ_DTYPE_BF16 ? mfqn_bf16_from_f32(bits) : mfqn_f16_from_f32(bits));
  memcpy((uint8_t *)data + offset * 2, &half, 2);
}

void mfq_element_store_limited(void *data, mfq_dtype dtype, int64_t offset, uint32_t bits) {
  const uint32_t limit = dtype == MFQ_DTYPE_BF16 ? MFQN_BF16_LIMIT : MFQN_F16_LIMIT;
  mfq_element_store(data, dtype, offset, dtype == MFQ_DTYPE_F32 ? bits : mfqn_limit_finite(bits, limit));
}

static int64_t code_bit(const mfq_qview *view, int64_t row, int64_t j, int32_t bits) {
  return row * (int64_t)view->sizes.row_bits + j * bits;
}

uint32_t mfq_code_get(const mfq_qview *view, int64_t row, int64_t j) {
  const mfq_format *e = &view->q.scheme.element;
  const int32_t bits = mfq_code_bits(&view->q), used = e->is_signed + e->exp_bits + e->man_bits;
  return mfqn_get_bits(view->q.codes, code_bit(view, row, j, bits), bits) & ((1u << used) - 1u);
}

void mfq_code_put(const mfq_qview *view, int64_t row, int64_t j, uint32_t code) {
  const int32_t bits = mfq_code_bits(&view->q);
  mfqn_put_bits(view->q.codes, code_bit(view, row, j, bits), bits, code);
}

void mfq_elements_by_scale(const mfq_qview *view, const mfq_tensor *dst, mfq_value_fn value, const void *of) {
  mfq_walk walk;
  mfq_qview shaped = *view;
  memcpy(shaped.q.shape, dst->shape, sizeof shaped.q.shape);
  mfq_walk_init(&shaped, dst->strides, &walk);
  const int64_t step = walk.offset_stride[walk.rank - 1];
  for (int64_t r = 0; r < walk.rows; ++r) {
    const mfq_walk_row at = mfq_walk_at(&walk, r);
    for (int64_t j = 0; j < walk.length; ++j)
      mfq_element_store_limited(dst->data, dst->dtype, at.offset + j * step, value(of, mfq_walk_scale(&walk, at, j)));
  }
}

/* ---- Scales and zero points -------------------------------------------------------------------------------------- */

/* The scale shape as [outer, groups, inner] around the grouped axis. */
static void split_at_groups(const mfq_qview *view, int64_t *groups, int64_t *inner) {
  const mfq_qtensor_sizes *z = &view->sizes;
  const int last = view->q.layout.codes == MFQ_CODES_GROUP_LAST;
  const int32_t axis = last ? z->scale_rank - 1 : z->axis;
  *groups = z->scale_shape[axis];
  *inner = 1;
  for (int32_t d = axis + 1; d < z->scale_rank; ++d) *inner *= z->scale_shape[d];
}

/* Where scale `index` stands, in elements of the scale format. */
static int64_t slot_of(const mfq_qview *view, int64_t index) {
  if (view->q.layout.scales == MFQ_SCALES_LOGICAL) return index;
  int64_t groups, inner;
  split_at_groups(view, &groups, &inner);
  const int64_t outer = index / (groups * inner), group = index / inner % groups;
  return mfqn_scale_128x4(outer * inner + index % inner, group, groups);
}

uint32_t mfq_scale_get(const mfq_qview *view, int64_t index) {
  uint32_t stored = 0;
  if (view->q.scheme.scale == MFQ_SCALE_NONE) return stored;
  const size_t bytes = (size_t)mfq_scale_bytes(view->q.scheme.scale);
  memcpy(&stored, (const uint8_t *)view->q.scales + (size_t)slot_of(view, index) * bytes, bytes);
  return stored;
}

void mfq_scale_put(const mfq_qview *view, int64_t index, uint32_t stored) {
  if (view->q.scheme.scale == MFQ_SCALE_NONE) return;
  const size_t bytes = (size_t)mfq_scale_bytes(view->q.scheme.scale);
  memcpy((uint8_t *)view->q.scales + (size_t)slot_of(view, index) * bytes, &stored, bytes);
}

void mfq_scales_put(const mfq_qview *view, int64_t index, int64_t step, const uint32_t *stored, int64_t n) {
  const mfq_scale_format scale = view->q.scheme.scale;
  if (view->q.layout.scales == MFQ_SCALES_LOGICAL && mfq_scale_bytes(scale) == 1) {
    uint8_t *bytes = (uint8_t *)view->q.scales + index;
    for (int64_t i = 0; i < n; ++i) bytes[i * step] = (uint8_t)stored[i];
  } else if (view->q.layout.scales == MFQ_SCALES_LOGICAL && scale == MFQ_SCALE_F32 && step == 1) {
    memcpy((uint8_t *)view->q.scales + index * 4, stored, (size_t)n * 4);
  } else {
    for (int64_t i = 0; i < n; ++i) mfq_scale_put(view, index + i * step, stored[i]);
  }
}

void mfq_scales_get(const mfq_qview *view, int64_t index, int64_t step, uint32_t *stored, int64_t n) {
  const mfq_scale_format scale = view->q.scheme.scale;
  if (scale == MFQ_SCALE_NONE) {
    memset(stored, 0, (size_t)n * sizeof *stored);
  } else if (view->q.layout.scales == MFQ_SCALES_LOGICAL && mfq_scale_bytes(scale) == 1) {
    const uint8_t *bytes = (const uint8_t *)view->q.scales + index;
    for (int64_t i = 0; i < n; ++i) stored[i] = bytes[i * step];
  } else if (view->q.layout.scales == MFQ_SCALES_LOGICAL && scale == MFQ_SCALE_F32 && step == 1) {
    memcpy(stored, (const uint8_t *)view->q.scales + index * 4, (size_t)n * 4);
  } else {
    for (int64_t i = 0; i < n; ++i) stored[i] = mfq_scale_get(view, index + i * step);
  }
}

void mfq_scales_clear_padding(const mfq_qview *view) {
  if (view->q.layout.scales != MFQ_SCALES_128X4) return;
  int64_t groups, inner;
  split_at_groups(view, &groups, &inner);
  if (groups == 0) return;
  const int64_t rows = view->sizes.scale_count / groups;
  const int64_t padded_rows = (rows + 127) / 128 * 128, padded_cols = (groups + 3) / 4 * 4;
  for (int64_t r = 0; r < padded_rows; ++r)
    for (int64_t c = r < rows ? groups : 0; c < padded_cols; ++c)
      ((uint8_t *)view->q.scales)[mfqn_scale_128x4(r, c, groups)] = 0;
}

int32_t mfq_zero_point_get(const mfq_qview *view, const mfqn_scheme *s, int64_t index) {
  if (!s->has_zero_point) return 0;
  if (s->zero_is_float) {
    int32_t bits;
    memcpy(&bits, (const uint8_t *)view->q.zero_points + index * 4, sizeof bits);
    return bits;
  }
  return mfqn_integer_value(((const uint8_t *)view->q.zero_points)[index], &s->integer);
}

void mfq_zero_point_put(const mfq_qview *view, const mfqn_scheme *s, int64_t index, int32_t zero_point) {
  if (s->zero_is_float)
    memcpy((uint8_t *)view->q.zero_points + index * 4, &zero_point, sizeof zero_point);
  else if (s->has_zero_point)
    ((uint8_t *)view->q.zero_points)[index] = (uint8_t)mfqn_integer_code(zero_point, &s->integer);
}

float mfq_tensor_scale_get(const mfq_qview *view) {
  float scale = 1.0f;
  if (view->sizes.tensor_scale_bytes) memcpy(&scale, view->q.tensor_scale, sizeof scale);
  return scale;
}

mfqn_group mfq_group_stored(const mfq_qview *view, const mfqn_scheme *s, int64_t index) {
  mfqn_group g = mfqn_group_load(s, mfq_scale_get(view, index), mfq_tensor_scale_get(view));
  g.zero_point = mfq_zero_point_get(view, s, index);
  return g;
}
