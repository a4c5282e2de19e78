/* host/cpu/cast/fakequant_cpu.c: quantize and dequantize in one step; into bf16 by kernels, else element by element. */
#include <string.h>

#include <mfq/num/random.h>

#include "host/core/error.h"
#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cpu_state.h"
#include "elements.h"
#include "round_values.h"
#include "scale_slots.h"

typedef struct fake_job {
  const mfq_context *context;
  const mfq_tensor *src, *dst;
  const mfq_qview *view;
  mfqn_scheme scheme;
  mfq_walk from, to;
  mfqn_group *groups;
} fake_job;

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
    mfq_element_store_limited(job->dst->data, job->dst->dtype, to.offset + j * job->to.offset_stride[last],
                              mfqn_fake(s, &job->groups[mfq_walk_scale(&job->from, from, j)], u, random));
  }
}

static void fake_rows(void *work, int thread, int64_t first, int64_t end) {
  (void)thread;
  for (int64_t r = first; r < end; ++r) fake_row(work, r);
}

static void store_scales(const fake_job *job, const mfq_tensor *scales) {
  for (int64_t i = 0; i < job->view->sizes.scale_count; ++i)
    mfq_element_store_limited(scales->data, scales->dtype, mfq_offset_of(scales, i),
                              mfqn_whole_scale(&job->scheme, &job->groups[i]));
}

/* From the elements, or from the scales that the caller gave. */
static void make_groups(const fake_job *job, mfqn_statistic *statistics) {
  const mfq_qview *view = job->view;
  const int64_t count = view->sizes.scale_count;
  if (view->q.scheme.rule == MFQ_RULE_GIVEN) {
    for (int64_t i = 0; i < count; ++i) job->groups[i] = mfq_group_stored(view, &job->scheme, i);
    return;
  }
  const float tensor_scale = mfq_measure_ref(view, &job->scheme, job->src, statistics);
  for (int64_t i = 0; i < count; ++i) job->groups[i] = mfqn_group_make(&job->scheme, &statistics[i], tensor_scale);
}

mfq_status mfq_cpu_fake_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *view,
                                 const mfq_tensor *dst, const mfq_tensor *scales) {
  mfq_round_values plan;
  if (!scales && dst->dtype == MFQ_DTYPE_BF16 && dst->data != src->data &&
      mfq_round_values_make(context, src, view, dst->strides, &plan)) {
    mfq_round_values_run(context, &plan, src->data, dst->data);
    return MFQ_OK;
  }
  fake_job job = {.context = context, .src = src, .dst = dst, .view = view};
  mfq_lower(&view->q.scheme, &job.scheme);
  mfq_walk_init(view, src->strides, &job.from);
  mfq_walk_init(view, dst->strides, &job.to);
  const size_t count = (size_t)view->sizes.scale_count;
  const size_t bytes = mfq_size_times(count, sizeof(mfqn_group) + sizeof(mfqn_statistic));
  uint8_t *memory = mfq_context_scratch(context, bytes);
  if (!memory)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY,
                    view->q.scheme.rule == MFQ_RULE_GIVEN ? "mfq_fake_quantize_given" : "mfq_fake_quantize",
                    "no memory for %zu scales (%zu bytes); free some or use larger groups", count, bytes);
  job.groups = (mfqn_group *)(void *)memory;
  make_groups(&job, (mfqn_statistic *)(void *)(memory + count * sizeof(mfqn_group)));
  mfq_team_run((mfq_loop){context->threads, job.from.rows, 0}, fake_rows, &job);
  if (scales) store_scales(&job, scales);
  return MFQ_OK;
}
