/* cuda/quantize/measure_general.cu: how the statistics of a view are measured, and its scales made. */
#include "host/core/integers.h"
#include "cuda/shared_scales.h"
#include "measure_general_kernel.cuh"

/* From here on many threads measure a scale; below, they would cost more than they bring. */
enum { SHARED_ELEMENTS = 256, ELEMENTS_OF_WORKER = 8, THREADS_OF_PROCESSOR = 2048 };

static mfq_launch items_of(const mfq_scale_job *job, int64_t items) {
  return mfq_launch{job->function, mfq_cuda_item_grid(items), ITEM_THREADS, 0};
}

static mfq_status clear(const mfq_scale_job *job, void *memory, size_t bytes) {
  return mfq_cuda_clear(job->context, memory, bytes, job->function);
}

/* What does not depend on where the elements are. */
static statistics statistics_of(const mfq_scale_job *job) {
  const mfq_qview *view = job->view;
  const mfq_scheme *scheme = &view->q.scheme;
  statistics from = {};
  from.count = view->sizes.scale_count;
  int64_t groups = 1, inner = 1;
  if (job->scheme->is_brevitas && scheme->granularity == MFQ_GRANULARITY_GROUP) {
    const int64_t length = view->q.shape[view->sizes.axis];
    from.pads_short = length % scheme->group_size != 0;
    groups = (length + scheme->group_size - 1) / scheme->group_size;
    if (view->q.layout.codes == MFQ_CODES_LOGICAL)
      for (int32_t d = view->sizes.axis + 1; d < view->q.rank; ++d) inner *= view->q.shape[d];
  }
  from.groups = divisor64_make(mfq_larger(groups, 1));
  from.groups_inner = divisor64_make(mfq_larger(inner, 1));
  return from;
}

mfq_status mfq_cuda_slots_reset(const mfq_scale_job *job, statistics *from) {
  *from = statistics_of(job);
  from->slots = mfq_cuda_scratch_word(job->context, SCRATCH_SLOTS);
  return clear(job, from->slots, (size_t)from->count * STAT_SLOT_WORDS * sizeof(uint32_t));
}

/* Whether neighbours within a scale lie closer together than neighbouring scales. */
static int is_inner_closer(const box_plan *boxes) {
  int64_t inner = INT64_MAX, outer = INT64_MAX;
  for (int32_t k = 0; k < boxes->rank; ++k)
    if (boxes->size[k] > 1) inner = mfq_smaller(inner, llabs(boxes->step[k].offset));
  for (int32_t k = 0; k < boxes->scale_rank; ++k)
    outer = mfq_smaller(outer, llabs(boxes->scale_axis[k].step.offset) * boxes->scale_axis[k].run);
  return inner <= outer;
}

static mfq_status collect(const mfq_scale_job *job, const statistics *from, int64_t elements) {
  const int64_t processors = mfq_cuda_state_of(job->context)->processors;
  const int64_t wanted = mfq_larger(processors * THREADS_OF_PROCESSOR / from->count, 1);
  const int64_t useful = (elements / from->count + ELEMENTS_OF_WORKER - 1) / ELEMENTS_OF_WORKER;
  collect_params p = {};
  p.from = *from;
  p.minmax = job->scheme->minmax;
  p.by_warps = is_inner_closer(&from->boxes);
  int64_t workers = mfq_larger(mfq_smaller(wanted, useful), 1);
  if (p.by_warps) workers = mfq_round_up(workers, 32);
  p.workers = divisor64_make(workers);
  p.scales = divisor64_make(from->count);
  p.items = workers * from->count;
  return mfq_cuda_launch(job->context, items_of(job, p.items), collect_kernel, p);
}

int mfq_cuda_has_slots(const mfq_qview *view) {
  const int64_t count = view->sizes.scale_count;
  int64_t elements = 1;
  for (int32_t d = 0; d < view->q.rank; ++d) elements *= view->q.shape[d];
  return count > 0 && count <= SLOTS_MAX && elements / count >= SHARED_ELEMENTS;
}

mfq_status mfq_cuda_measure(const mfq_scale_job *job, const mfq_tensor *src, statistics *from) {
  mfq_walk walk;
  mfq_walk_extras extras = {};
  extras.has_logical = job->scheme->rotation.size != 0;
  mfq_walk_init(job->view, src->strides, &walk);
  *from = statistics_of(job);
  const int64_t elements = walk.rows * walk.length;
  const int is_shared = mfq_cuda_has_slots(job->view);
  const mfq_status status = is_shared ? mfq_cuda_slots_reset(job, from) : MFQ_OK;
  from->src = mfq_cuda_rotated_view(src, job->view);
  from->boxes = mfq_cuda_box_plan(&walk, &extras);
  return status == MFQ_OK && is_shared ? collect(job, from, elements) : status;
}

mfq_status mfq_cuda_tensor_scale(const mfq_scale_job *job, const statistics *from, float *tensor_scale) {
  uint32_t *absmax = mfq_cuda_scratch_word(job->context, SCRATCH_ABSMAX);
  mfq_status status = MFQ_OK;
  if (from) {
    const scales_params p = {*from, *job->scheme, {}, absmax};
    status = clear(job, absmax, sizeof *absmax);
    if (status == MFQ_OK) status = mfq_cuda_launch(job->context, items_of(job, from->count), tensor_absmax_kernel, p);
  }
  const tensor_scale_params last = {absmax, tensor_scale, job->scheme->statistic_min, job->scheme->tensor_threshold};
  const mfq_launch one = {job->function, dim3(1), 1, 0};
  return status == MFQ_OK ? mfq_cuda_launch(job->context, one, tensor_scale_kernel, last) : status;
}

mfq_status mfq_cuda_scales_finish(const mfq_scale_job *job, const statistics *from) {
  const mfq_qview *view = job->view;
  const scales_params p = {*from, *job->scheme, mfq_cuda_scale_slots(view), nullptr};
  const int is_tiled = view->q.layout.scales == MFQ_SCALES_128X4;
  const mfq_status status = is_tiled ? clear(job, view->q.scales, view->sizes.scales_bytes) : MFQ_OK;
  return status == MFQ_OK ? mfq_cuda_launch(job->context, items_of(job, from->count), scales_kernel, p) : status;
}
