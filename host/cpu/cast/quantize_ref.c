/* host/cpu/cast/quantize_ref.c: quantize and dequantize one element at a time: the oracle of the fast paths and their
 * fallback.
 *
 * Two passes: the statistic of every scale over all elements, then every code. Nothing here depends on granularity,
 *   order or strides; mfq_walk knows them. */
#include <string.h>

#include <mfq/num/random.h>

#include "host/core/check/sizes.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cpu_state.h"
#include "eden_cpu.h"
#include "elements.h"

static void measure(const mfq_tensor *src, const mfq_walk *walk, mfqn_statistic *statistics) {
  const int64_t step = walk->offset_stride[walk->rank - 1];
  for (int64_t r = 0; r < walk->rows; ++r) {
    const mfq_walk_row at = mfq_walk_at(walk, r);
    for (int64_t j = 0; j < walk->length; ++j)
      mfqn_statistic_add(&statistics[mfq_walk_scale(walk, at, j)],
                         mfq_element_load(src->data, src->dtype, at.offset + j * step));
  }
}

static float tensor_scale_of(const mfqn_scheme *s, const mfqn_statistic *statistics, int64_t count) {
  uint32_t absmax = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t value = mfqn_statistic_value(&statistics[i], s);
    if (value < MFQN_INF) absmax = mfqn_umax(absmax, value); /* others poison their own group only */
  }
  return mfqn_tensor_scale(absmax, s->statistic_min, s->tensor_threshold);
}

float mfq_measure_ref(const mfq_qview *view, const mfqn_scheme *s, const mfq_tensor *src, mfqn_statistic *statistics) {
  const int64_t count = view->sizes.scale_count;
  mfq_walk walk;
  mfq_walk_init(view, src->strides, &walk);
  for (int64_t i = 0; i < count; ++i) statistics[i] = mfqn_statistic_none();
  measure(src, &walk, statistics);
  for (int64_t i = 0; i < count; ++i) /* its zero padding counts for Brevitas */
    if (s->is_brevitas && mfq_scale_is_short(view, i)) mfqn_statistic_add(&statistics[i], 0);
  return mfqn_has_tensor_scale(s->scale) ? tensor_scale_of(s, statistics, count) : 1.0f;
}

static void make_scales(const mfq_qview *view, const mfqn_scheme *s, const mfqn_statistic *statistics,
                        float tensor_scale) {
  if (mfqn_has_tensor_scale(s->scale)) memcpy(view->q.tensor_scale, &tensor_scale, sizeof tensor_scale);
  for (int64_t i = 0; i < view->sizes.scale_count; ++i) {
    const mfqn_group g = mfqn_group_make(s, &statistics[i], tensor_scale);
    mfq_scale_put(view, i, g.stored);
    mfq_zero_point_put(view, s, i, g.zero_point);
  }
}

void mfq_codes_ref(const mfq_context *context, const mfq_tensor *src, const mfq_qview *view, const mfqn_scheme *s) {
  mfq_walk walking;
  const mfq_walk *walk = &walking;
  mfq_walk_init(view, src->strides, &walking);
  const int32_t last = walk->rank - 1;
  memset(view->q.codes, 0, view->sizes.codes_bytes);
  for (int64_t r = 0; r < walk->rows; ++r) {
    const mfq_walk_row at = mfq_walk_at(walk, r);
    mfqn_group g = {0};
    int64_t held = -1;
    for (int64_t j = 0; j < walk->length; ++j) {
      const int64_t scale = mfq_walk_scale(walk, at, j);
      if (scale != held) g = mfq_group_stored(view, s, held = scale);
      const uint32_t u = mfq_element_load(src->data, src->dtype, at.offset + j * walk->offset_stride[last]);
      const uint64_t index = (uint64_t)(at.logical + j * walk->logical_stride[last]);
      const uint32_t random =
          s->rounding == MFQN_ROUND_STOCHASTIC ? mfqn_random(context->seed, context->offset, index) : 0;
      mfq_code_put(view, r, j, mfqn_encode(s, &g, u, random));
    }
  }
}

static int measures_scales(const mfq_qview *view) {
  return view->q.scheme.scale != MFQ_SCALE_NONE && view->q.scheme.rule != MFQ_RULE_GIVEN;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_qview *view = ((const mfq_cast *)problem)->view;
  if (measures_scales(view))
    choice->workspace_bytes = mfq_size_times((size_t)view->sizes.scale_count, sizeof(mfqn_statistic));
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const mfq_qview *view = cast->view;
  mfqn_scheme s;
  (void)state;
  mfq_lower(&view->q.scheme, &s);
  if (measures_scales(view)) {
    mfqn_statistic *statistics = (mfqn_statistic *)(void *)memory;
    const float tensor_scale = mfq_measure_ref(view, &s, cast->src, statistics);
    mfq_scales_clear_padding(view);
    make_scales(view, &s, statistics, tensor_scale);
  }
  if (view->sizes.codes_bytes) mfq_codes_ref(context, cast->src, view, &s);
  if (s.eden) mfq_eden_correct(context, view, &s, cast->src, NULL);
  return MFQ_OK;
}

const mfq_way mfq_quantize_reference = {"reference", plan, run, NULL};

void mfq_dequantize_ref(const mfq_qview *view, const mfq_tensor *dst) {
  mfqn_scheme s;
  mfq_walk walk;
  mfq_lower(&view->q.scheme, &s);
  mfq_walk_init(view, dst->strides, &walk);
  const int32_t last = walk.rank - 1;
  for (int64_t r = 0; r < walk.rows; ++r) {
    const mfq_walk_row at = mfq_walk_at(&walk, r);
    mfqn_group g = {0};
    int64_t held = -1;
    for (int64_t j = 0; j < walk.length; ++j) {
      const int64_t scale = mfq_walk_scale(&walk, at, j);
      if (scale != held) g = mfq_group_stored(view, &s, held = scale);
      mfq_element_store_limited(dst->data, dst->dtype, at.offset + j * walk.offset_stride[last],
                                mfqn_decode(&s, &g, mfq_code_get(view, r, j)));
    }
  }
}
