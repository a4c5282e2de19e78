/* host/cpu/cast/expand_cpu.c: scales and zero points as plain tensors, compressed or one an element. */
#include <string.h>

#include "host/core/problem/walk.h"
#include "host/cpu/cpu_state.h"
#include "elements.h"
#include "scale_slots.h"

static uint32_t part_at(const mfq_qview *view, const mfqn_scheme *s, mfq_expand_part part, int64_t index) {
  if (part == MFQ_EXPAND_ZERO_POINTS) return mfqn_bits((float)mfq_zero_point_get(view, s, index));
  const mfqn_group g = mfqn_group_load(s, mfq_scale_get(view, index), mfq_tensor_scale_get(view));
  return mfqn_whole_scale(s, &g);
}

static void expand_compressed(const mfq_qview *view, const mfqn_scheme *s, mfq_expand_part part,
                              const mfq_tensor *dst) {
  for (int64_t i = 0; i < view->sizes.scale_count; ++i)
    mfq_element_store_limited(dst->data, dst->dtype, mfq_offset_of(dst, i), part_at(view, s, part, i));
}

/* The target has the logical or the padded shape: the scale of an index follows from either in the same way. */
static void expand_elements(const mfq_qview *view, const mfqn_scheme *s, mfq_expand_part part, const mfq_tensor *dst) {
  mfq_walk walk;
  mfq_qview shaped = *view;
  memcpy(shaped.q.shape, dst->shape, sizeof shaped.q.shape);
  mfq_walk_init(&shaped, dst->strides, &walk);
  const int32_t last = walk.rank - 1;
  for (int64_t r = 0; r < walk.rows; ++r) {
    const mfq_walk_row at = mfq_walk_at(&walk, r);
    for (int64_t j = 0; j < walk.length; ++j) {
      const int64_t index = mfq_walk_scale(&walk, at, j);
      mfq_element_store_limited(dst->data, dst->dtype, at.offset + j * walk.offset_stride[last],
                                part_at(view, s, part, index));
    }
  }
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  mfqn_scheme s;
  (void)context;
  (void)state;
  (void)memory;
  mfq_lower(&cast->view->q.scheme, &s);
  if (mfq_has_scale_shape(cast->view, cast->dst))
    expand_compressed(cast->view, &s, cast->part, cast->dst);
  else
    expand_elements(cast->view, &s, cast->part, cast->dst);
  return MFQ_OK;
}

static const mfq_way by_elements = {"reference", mfq_plan_general, run, NULL};

const mfq_ways mfq_cpu_expansions = {.create = "mfq_expand_scales", .ways = {&by_elements}};
