/* cuda/observe/observe_reduce.cu: extremes of tensors and channels by the reduction that quantizing them begins with. */
#include "host/core/scheme/lower.h"
#include "cuda/quantize/quantize_fast.h"
#include "cuda/quantize/reduce_kernel.cuh"
#include "observe_reduced_kernel.cuh"
#include "observe_ways.h"

mfq_qview mfq_cuda_measured_view(const mfq_qview *of, int minmax) {
  mfq_qview view = *of;
  const mfq_scheme *s = &of->q.scheme;
  mfq_scheme plain = {};
  plain.element.kind = MFQ_KIND_INTEGER;
  plain.element.is_signed = 1;
  plain.element.man_bits = 7;
  plain.granularity = s->granularity;
  plain.axis = s->axis;
  plain.group_size = s->group_size;
  plain.block_rows = s->block_rows;
  plain.block_cols = s->block_cols;
  plain.scale = MFQ_SCALE_F32;
  plain.statistic = minmax ? MFQ_STATISTIC_MINMAX : MFQ_STATISTIC_ABSMAX;
  view.q.scheme = plain;
  return view;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_observing *o = cast->observing;
  const int32_t observed = o ? (int32_t)o->observer->observed : (int32_t)MFQN_OBSERVED_ABSMAX;
  const mfq_granularity granularity = cast->view->q.scheme.granularity;
  if (!mfqn_observes_extremes(observed)) return mfq_refuse(why, "the statistic is no extreme");
  if (o && o->count > 1) return mfq_refuse(why, "several tensors share their scales");
  if (granularity != MFQ_GRANULARITY_TENSOR && granularity != MFQ_GRANULARITY_CHANNEL)
    return mfq_refuse(why, "scales of groups and blocks");
  if (granularity == MFQ_GRANULARITY_CHANNEL && cast->view->sizes.axis == cast->view->q.rank - 1)
    return mfq_refuse(why, "channels along the last axis");
  const mfq_qview view = mfq_cuda_measured_view(cast->view, observed != MFQN_OBSERVED_ABSMAX);
  rows_reduction *reduction;
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &reduction);
  const quantize_call known = {context, cast->src, &view, 1, NULL, 0};
  if (status == MFQ_OK) status = mfq_cuda_reduction_plan(&known, reduction, why);
  mfq_choice_describe(choice, "16 elements a thread");
  return status;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  observe_params p;
  mfq_cuda_observe_params(cast, &p);
  uint32_t *slots = mfq_cuda_scratch_word(context, SCRATCH_SLOTS);
  p.reduced = slots;
  const size_t bytes = (size_t)p.count * STAT_SLOT_WORDS * sizeof(uint32_t);
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.count), ITEM_THREADS, 0};
  mfq_status status = mfq_cuda_clear(context, slots, bytes, cast->function);
  if (status == MFQ_OK) status = mfq_cuda_reduce(context, cast, (const rows_reduction *)state, slots);
  if (status == MFQ_OK) status = mfq_cuda_launch(context, at, observe_reduced_kernel, p);
  return status == MFQ_OK ? mfq_cuda_count_nans(context, cast) : status;
}

const mfq_way mfq_cuda_observe_reduced = {"reduction", plan, run, NULL};
