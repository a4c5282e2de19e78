/* cuda/optimizer/update_general.cu: updates of any moments: those that are codes become float32 in the workspace, and codes
 * again there, which take the place of the old ones unless the step is skipped. */
#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "cuda/index_plans.h"
#include "optimizer_cuda.h"
#include "update_kernel.cuh"

namespace {

/* A moment of a run: where its float32 values are, and its new codes. */
struct moment_run {
  const mfq_qview *old; /* NULL: float32 */
  mfq_qview fresh;
  mfq_tensor values;
};

enum { ALIGNMENT = 256 };
size_t aligned(size_t bytes) {
  return bytes > SIZE_MAX - ALIGNMENT ? SIZE_MAX : (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Gives stretches of the workspace away, or counts them. */
struct stretches {
  uint8_t *memory; /* NULL: counted */
  size_t used;
  void *take(size_t bytes) {
    void *at = memory ? memory + used : NULL;
    used = mfq_size_plus(used, aligned(bytes));
    return at;
  }
};

moment_run take_moment(const mfq_moment &m, int64_t count, stretches *from) {
  moment_run r = {};
  r.old = m.view;
  r.values.dtype = MFQ_DTYPE_F32;
  r.values.rank = 1;
  r.values.shape[0] = count;
  r.values.strides[0] = 1;
  r.values.data = m.plain;
  if (!m.view) return r;
  r.fresh = *m.view;
  const mfq_qtensor_sizes &z = m.view->sizes;
  r.values.data = from->take(mfq_size_times((size_t)count, sizeof(float)));
  r.fresh.q.codes = from->take(z.codes_bytes);
  r.fresh.q.scales = z.scales_bytes ? from->take(z.scales_bytes) : NULL;
  r.fresh.q.zero_points = z.zero_points_bytes ? from->take(z.zero_points_bytes) : NULL;
  r.fresh.q.tensor_scale = z.tensor_scale_bytes ? (float *)from->take(z.tensor_scale_bytes) : NULL;
  return r;
}

mfq_status replace(mfq_context *context, const mfq_cast *cast, const void *from, void *to, size_t bytes) {
  const replace_params p = {(const uint8_t *)from, (uint8_t *)to, (int64_t)bytes, cast->optimizing->state};
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(mfq_ceil_div((int64_t)bytes, 16)), ITEM_THREADS, 0};
  return bytes > 0 ? mfq_cuda_launch(context, at, replace_kernel, p) : MFQ_OK;
}

mfq_status quantize_moment(mfq_context *context, const mfq_cast *cast, const moment_run &r) {
  if (!r.old) return MFQ_OK;
  const mfq_qtensor &to = r.old->q, &from = r.fresh.q;
  const mfq_qtensor_sizes &z = r.old->sizes;
  mfq_status status = mfq_cuda_quantize(context, &r.values, &r.fresh);
  if (status == MFQ_OK) status = replace(context, cast, from.codes, to.codes, z.codes_bytes);
  if (status == MFQ_OK) status = replace(context, cast, from.scales, to.scales, z.scales_bytes);
  if (status == MFQ_OK) status = replace(context, cast, from.zero_points, to.zero_points, z.zero_points_bytes);
  return status == MFQ_OK ? replace(context, cast, from.tensor_scale, to.tensor_scale, z.tensor_scale_bytes) : status;
}

mfq_status update(mfq_context *context, const mfq_cast *cast, const moment_run *moments) {
  const mfq_optimizing *o = cast->optimizing;
  update_params p = {};
  p.value = mfq_cuda_element_view(cast->dst);
  p.gradient = mfq_cuda_element_view(cast->src);
  p.first = (float *)moments[0].values.data;
  p.second = (float *)moments[1].values.data;
  p.count = cast->dst->shape[0];
  p.state = o->state;
  p.group = o->groups + o->group;
  p.first_index = o->first_index;
  p.kind = o->kind;
  p.stochastic = o->stochastic;
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, update_kernel, p);
}

mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_optimizing *o = cast->optimizing;
  if (o) {
    stretches counted = {};
    (void)take_moment(o->first, cast->dst->shape[0], &counted);
    (void)take_moment(o->second, cast->dst->shape[0], &counted);
    choice->workspace_bytes = counted.used;
  }
  return mfq_plan_general(context, problem, choice, why);
}

mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *workspace) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_optimizing *o = cast->optimizing;
  stretches given = {workspace, 0};
  const int64_t count = cast->dst->shape[0];
  if (count == 0) return mfq_cuda_optimizer_codes(context, cast);
  const moment_run moments[] = {take_moment(o->first, count, &given), take_moment(o->second, count, &given)};
  mfq_status status = MFQ_OK;
  for (const moment_run &m : moments)
    if (m.old && status == MFQ_OK) status = mfq_cuda_dequantize(context, m.old, &m.values);
  if (status == MFQ_OK) status = update(context, cast, moments);
  for (const moment_run &m : moments)
    if (status == MFQ_OK) status = quantize_moment(context, cast, m);
  return status == MFQ_OK ? mfq_cuda_optimizer_codes(context, cast) : status;
}

} // namespace

const mfq_way mfq_cuda_optimizer_general = {"general", plan, run, NULL};
