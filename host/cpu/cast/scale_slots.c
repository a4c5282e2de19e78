/* host/cpu/cast/scale_slots.c: places of scales: one function knows the 128x4 order, so that loops count scales in
 * logical order only. */
#include "scale_slots.h"

#include <string.h>

#include <mfq/num/pack.h>

/* Not for NONE. */
static size_t scale_bytes(mfq_scale_format scale) {
  switch (scale) {
    case MFQ_SCALE_F32: return 4;
    case MFQ_SCALE_BF16:
    case MFQ_SCALE_F16: return 2;
    default: return 1;
  }
}

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
  const size_t bytes = scale_bytes(view->q.scheme.scale);
  memcpy(&stored, (const uint8_t *)view->q.scales + (size_t)slot_of(view, index) * bytes, bytes);
  return stored;
}

void mfq_scale_put(const mfq_qview *view, int64_t index, uint32_t stored) {
  if (view->q.scheme.scale == MFQ_SCALE_NONE) return;
  const size_t bytes = scale_bytes(view->q.scheme.scale);
  memcpy((uint8_t *)view->q.scales + (size_t)slot_of(view, index) * bytes, &stored, bytes);
}

void mfq_scales_put(const mfq_qview *view, int64_t index, int64_t step, const uint32_t *stored, int64_t n) {
  const mfq_scale_format scale = view->q.scheme.scale;
  if (view->q.layout.scales == MFQ_SCALES_LOGICAL && scale_bytes(scale) == 1) {
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
  } else if (view->q.layout.scales == MFQ_SCALES_LOGICAL && scale_bytes(scale) == 1) {
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
  return mfqn_integer_value(((const uint8_t *)view->q.zero_points)[index], &s->integer);
}

void mfq_zero_point_put(const mfq_qview *view, const mfqn_scheme *s, int64_t index, int32_t zero_point) {
  if (s->has_zero_point) ((uint8_t *)view->q.zero_points)[index] = (uint8_t)mfqn_integer_code(zero_point, &s->integer);
}

float mfq_tensor_scale_get(const mfq_qview *view) {
  float scale = 1.0f;
  if (view->q.scheme.scale == MFQ_SCALE_UE4M3) memcpy(&scale, view->q.tensor_scale, sizeof scale);
  return scale;
}

mfqn_group mfq_group_stored(const mfq_qview *view, const mfqn_scheme *s, int64_t index) {
  mfqn_group g = mfqn_group_load(s, mfq_scale_get(view, index), mfq_tensor_scale_get(view));
  g.zero_point = mfq_zero_point_get(view, s, index);
  return g;
}
