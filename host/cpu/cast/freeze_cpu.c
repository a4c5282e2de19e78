/* host/cpu/cast/freeze_cpu.c: from collected statistics to scales and zero points. */
#include <string.h>

#include "host/core/scheme/lower.h"
#include "host/cpu/cpu_state.h"
#include "elements.h"
#include "host/core/problem/walk.h"

static uint32_t value_at(const mfq_tensor *tensor, int64_t index) {
  return tensor ? mfq_element_load(tensor->data, tensor->dtype, mfq_offset_of(tensor, index)) : 0;
}

/* That of UE4M3, from the largest finite statistic. */
static float tensor_scale_of(const mfqn_scheme *s, const mfq_tensor *values, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t value = value_at(values, i) & MFQN_ABS;
    if (value < MFQN_INF) largest = mfqn_umax(largest, value);
  }
  return mfqn_tensor_scale(largest, s->statistic_min, s->tensor_threshold);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const mfq_qview *view = cast->view;
  const mfq_freezing *f = cast->freezing;
  mfqn_scheme s;
  (void)context;
  (void)state;
  (void)memory;
  mfq_lower_frozen(&view->q.scheme, f->rule, &s);
  float tensor_scale = 1.0f;
  if (s.scale == MFQN_SCALE_UE4M3) {
    tensor_scale = tensor_scale_of(&s, cast->src, view->sizes.scale_count);
    memcpy(view->q.tensor_scale, &tensor_scale, sizeof tensor_scale);
  }
  mfq_scales_clear_padding(view);
  for (int64_t i = 0; i < view->sizes.scale_count; ++i) {
    const mfqn_group g =
        mfqn_collected_group(&s, value_at(cast->src, i), value_at(f->lows, i), tensor_scale, f->is_learned);
    mfq_scale_put(view, i, g.stored);
    mfq_zero_point_put(view, &s, i, g.zero_point);
  }
  return MFQ_OK;
}

static const mfq_way by_scales = {"reference", mfq_plan_general, run, NULL};

const mfq_ways mfq_cpu_freezes = {.create = "mfq_collection_scales", .ways = {&by_scales}};
