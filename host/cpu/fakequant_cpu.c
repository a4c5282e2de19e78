/* host/cpu/fakequant_cpu.c: quantize and dequantize in one step, element by element. */
#include <string.h>

#include <mfq/num/random.h>

#include "../core/error.h"
#include "cpu_state.h"
#include "scale_slots.h"
#include "walk.h"

typedef struct fake_job {
  const mfq_context *context;
  const mfq_tensor *src, *dst;
  const mfq_qview *view;
  mfqn_scheme scheme;
  mfq_walk from, to;
  mfqn_group *groups;
} fake_job;

static int64_t scale_of(const mfq_walk *walk, int64_t scale, int64_t j) {
  const int32_t last = walk->rank - 1;
  return scale + j / walk->scale_run[last] * walk->scale_stride[last];
}

static void measure(const fake_job *job, mfqn_statistic *statistics) {
  const int64_t step = job->from.offset_stride[job->from.rank - 1];
  for (int64_t r = 0; r < job->from.rows; ++r) {
    const mfq_walk_row at = mfq_walk_at(&job->from, r);
    for (int64_t j = 0; j < job->from.length; ++j)
      mfqn_statistic_add(&statistics[scale_of(&job->from, at.scale, j)],
                         mfq_element_load(job->src->data, job->src->dtype, at.offset + j * step));
  }
}

static void make_groups(const fake_job *job, mfqn_statistic *statistics) {
  const mfqn_scheme *s = &job->scheme;
  const int64_t count = job->view->sizes.scale_count;
  float tensor_scale = 1.0f;
  if (s->scale == MFQN_SCALE_UE4M3) {
    uint32_t absmax = 0;
    for (int64_t i = 0; i < count; ++i)
      if (statistics[i].absmax < MFQN_INF) absmax = mfqn_umax(absmax, statistics[i].absmax);
    tensor_scale = mfqn_tensor_scale(absmax, s->threshold);
  }
  for (int64_t i = 0; i < count; ++i) {
    if (s->is_brevitas && mfq_scale_is_short(job->view, i)) mfqn_statistic_add(&statistics[i], 0);
    job->groups[i] = mfqn_group_make(s, &statistics[i], tensor_scale);
  }
}

static void fake_row(const fake_job *job, int64_t r) {
  const mfqn_scheme *s = &job->scheme;
  const int32_t last = job->from.rank - 1;
  const mfq_walk_row from = mfq_walk_at(&job->from, r), to = mfq_walk_at(&job->to, r);
  for (int64_t j = 0; j < job->from.length; ++j) {
    const uint32_t u =
        mfq_element_load(job->src->data, job->src->dtype, from.offset + j * job->from.offset_stride[last]);
    const uint64_t index = (uint64_t)(from.logical + j * job->from.logical_stride[last]);
    const uint32_t random =
        s->rounding == MFQN_ROUND_STOCHASTIC ? mfqn_random(job->context->seed, job->context->offset, index) : 0;
    mfq_element_store(job->dst->data, job->dst->dtype, to.offset + j * job->to.offset_stride[last],
                      mfqn_fake(s, &job->groups[scale_of(&job->from, from.scale, j)], u, random));
  }
}

static void store_scales(const fake_job *job, const mfq_tensor *scales) {
  for (int64_t i = 0; i < job->view->sizes.scale_count; ++i) {
    int64_t rest = i, offset = 0;
    for (int32_t d = scales->rank - 1; d >= 0; --d) {
      offset += rest % scales->shape[d] * scales->strides[d];
      rest /= scales->shape[d];
    }
    mfq_element_store(scales->data, scales->dtype, offset, mfqn_one_nan(job->groups[i].divisor));
  }
}

mfq_status mfq_cpu_fake_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *view,
                                 const mfq_tensor *dst, const mfq_tensor *scales) {
  fake_job job = {.context = context, .src = src, .dst = dst, .view = view};
  mfq_lower(&view->q.scheme, &job.scheme);
  mfq_walk_init(view, src->strides, &job.from);
  mfq_walk_init(view, dst->strides, &job.to);
  const size_t count = (size_t)view->sizes.scale_count;
  const size_t bytes = count * (sizeof(mfqn_group) + sizeof(mfqn_statistic));
  uint8_t *memory = mfq_context_scratch(context, bytes);
  if (!memory)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_fake_quantize",
                    "no memory for %zu scales (%zu bytes); free some or use larger groups", count, bytes);
  job.groups = (mfqn_group *)(void *)memory;
  mfqn_statistic *statistics = (mfqn_statistic *)(void *)(memory + count * sizeof(mfqn_group));
  for (size_t i = 0; i < count; ++i) statistics[i] = mfqn_statistic_none();
  if (job.scheme.scale != MFQN_SCALE_NONE) measure(&job, statistics);
  make_groups(&job, statistics);
#pragma omp parallel for num_threads(context->threads) schedule(static)
  for (int64_t r = 0; r < job.from.rows; ++r) fake_row(&job, r);
  if (scales) store_scales(&job, scales);
  return MFQ_OK;
}
