/* cuda/expand/expand_cuda.cu: scales and zero points as plain tensors, compressed or one an element. */
#include <string.h>

#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "expand_kernel.cuh"

/* The scale of an index follows from the logical and the padded shape in the same way. */
static walk_plan element_walk(const mfq_qview *view, const mfq_tensor *dst) {
  mfq_walk walk;
  const mfq_walk_extras extras = {};
  mfq_qview shaped = *view;
  memcpy(shaped.q.shape, dst->shape, sizeof shaped.q.shape);
  mfq_walk_init(&shaped, dst->strides, &walk);
  return mfq_cuda_walk_plan(&walk, &extras);
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview *view = cast->view;
  expand_params p = {};
  p.is_compressed = mfq_has_scale_shape(view, cast->dst);
  p.is_zero_points = cast->part == MFQ_EXPAND_ZERO_POINTS;
  mfq_lower(&view->q.scheme, &p.scheme);
  p.walk = p.is_compressed ? mfq_cuda_tensor_walk(cast->dst) : element_walk(view, cast->dst);
  p.dst = mfq_cuda_element_view(cast->dst);
  p.slots = mfq_cuda_scale_slots(view);
  if (p.is_zero_points) p.slots.scales = nullptr; /* the caller need not have the other parts */
  if (p.is_zero_points) p.slots.tensor_scale = nullptr;
  if (!p.is_zero_points) p.slots.zero_points = nullptr;
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.walk.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, expand_kernel, p);
}

static const mfq_way general = {"general", mfq_plan_general, run, NULL};

const mfq_ways mfq_cuda_expansions = {"mfq_expand_scales", NULL, 0, {&general}};
