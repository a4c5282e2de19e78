/* host/cpu/cast/expand_cpu.c: scales and zero points as plain tensors, compressed or one an element. */
#include "host/core/problem/walk.h"
#include "host/cpu/cpu_state.h"
#include "elements.h"

typedef struct parts {
  const mfq_qview *view;
  mfqn_scheme scheme;
} parts;

static uint32_t zero_point_at(const void *of, int64_t index) {
  const parts *p = of;
  const mfqn_group g = {.zero_point = mfq_zero_point_get(p->view, &p->scheme, index)};
  return mfqn_bits(mfqn_zero_point_value(&p->scheme, &g));
}

static uint32_t scale_at(const void *of, int64_t index) {
  const parts *p = of;
  const mfqn_group g = mfqn_group_load(&p->scheme, mfq_scale_get(p->view, index), mfq_tensor_scale_get(p->view));
  return mfqn_whole_scale(&p->scheme, &g);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const mfq_tensor *dst = cast->dst;
  const mfq_value_fn value = cast->part == MFQ_EXPAND_ZERO_POINTS ? zero_point_at : scale_at;
  parts p = {.view = cast->view};
  (void)context;
  (void)state;
  (void)memory;
  mfq_lower(&cast->view->q.scheme, &p.scheme);
  if (mfq_has_scale_shape(cast->view, dst))
    for (int64_t i = 0; i < cast->view->sizes.scale_count; ++i)
      mfq_element_store_limited(dst->data, dst->dtype, mfq_offset_of(dst, i), value(&p, i));
  else
    mfq_elements_by_scale(cast->view, dst, value, &p);
  return MFQ_OK;
}

static const mfq_way by_elements = {"reference", mfq_plan_general, run, NULL};

const mfq_ways mfq_cpu_expansions = {.create = "mfq_expand_scales", .ways = {&by_elements}};
