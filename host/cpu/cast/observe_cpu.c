/* host/cpu/cast/observe_cpu.c: the elements of scales over several tensors, and the ways of observing. */
#include "observe_job.h"

#include <stdatomic.h>
#include <string.h>

#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "elements.h"

/* ---- The job ----------------------------------------------------------------------------------------------------- */

void mfq_observe_begin(const mfq_cast *cast, mfq_observe_job *job) {
  const mfq_observing *o = cast->observing;
  memset(job, 0, sizeof *job);
  job->cast = cast;
  job->observing = o;
  job->count = o->count;
  job->scales = cast->view->sizes.scale_count;
  mfq_lower_observer(o->observer, &job->observer);
  mfq_lower_running(o->collection, &job->running);
  mfq_lower(&cast->view->q.scheme, &job->scheme);
  for (int32_t i = 0; i < job->count; ++i) {
    const mfq_tensor *const tensors[MFQ_BOX_TENSORS] = {&o->sources[i]};
    mfq_boxes_init(&o->views[i], tensors, &job->boxes[i]);
  }
}

void mfq_observe_put(const mfq_observe_job *job, int64_t scale, uint32_t value) {
  const mfq_tensor *to = job->cast->dst;
  const int64_t offset = mfq_offset_of(to, scale);
  const int reads = job->running.running != MFQN_RUNNING_NONE && !job->running.is_first;
  const uint32_t old = reads ? mfq_element_load(to->data, to->dtype, offset) : 0;
  mfq_element_store(to->data, to->dtype, offset, mfqn_running_step(&job->running, old, value));
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

static void add_axis(mfq_observed_box *box, int64_t size, int64_t stride) {
  const int32_t last = box->rank - 1;
  box->count *= size;
  if (size == 1) return;
  if (last >= 0 && box->size[last] * box->stride[last] == stride) {
    box->size[last] *= size;
    return;
  }
  box->size[box->rank] = size;
  box->stride[box->rank++] = stride;
}

static void add_box(mfq_observed_scale *s, const mfq_tensor *tensor, const mfq_box *of) {
  mfq_observed_box *box = &s->box[s->count];
  *box = (mfq_observed_box){.count = 1};
  for (int32_t d = tensor->rank; d-- > 0;) {
    box->offset += of->first[d] * tensor->strides[d];
    add_axis(box, of->size[d], tensor->strides[d]);
  }
  s->tensor[s->count] = tensor;
  s->end[s->count++] = s->elements += box->count;
}

static void begin_scale(mfq_observed_scale *s) {
  s->count = 0;
  s->elements = 0;
}

static void add_part(const mfq_observe_job *job, int64_t scale, int32_t source, mfq_observed_scale *s) {
  const mfq_box box = mfq_box_at(&job->boxes[source], scale);
  add_box(s, &job->observing->sources[source], &box);
}

void mfq_observed_scale_at(const mfq_observe_job *job, int64_t scale, mfq_observed_scale *s) {
  begin_scale(s);
  for (int32_t i = 0; i < job->count; ++i) add_part(job, scale, i, s);
}

void mfq_observed_part_at(const mfq_observe_job *job, int64_t scale, int32_t source, mfq_observed_scale *s) {
  begin_scale(s);
  add_part(job, scale, source, s);
}

/* The axis of a tensor whose indices are rows. */
static int32_t row_axis(const mfq_observe_job *job, int32_t source) {
  const int32_t axis = job->observing->observer->axis;
  return axis < 0 ? axis + job->boxes[source].rank : axis;
}

int64_t mfq_observed_rows(const mfq_observe_job *job, int64_t scale, int32_t source) {
  return mfq_box_at(&job->boxes[source], scale).size[row_axis(job, source)];
}

void mfq_observed_row_at(const mfq_observe_job *job, int64_t scale, mfq_observed_row row, mfq_observed_scale *s) {
  const int32_t axis = row_axis(job, row.source);
  mfq_box box = mfq_box_at(&job->boxes[row.source], scale);
  box.first[axis] += row.row;
  box.size[axis] = 1;
  begin_scale(s);
  add_box(s, &job->observing->sources[row.source], &box);
}

/* Elements with one step between each two. */
typedef struct element_run {
  int64_t offset, step, count;
} element_run;

/* The run that begins with element `first` of a box, no further than `end`. */
static element_run run_at(const mfq_observed_box *box, int64_t first, int64_t end) {
  element_run run = {box->offset, 1, end - first};
  int64_t rest = first;
  for (int32_t k = 0; k < box->rank; ++k) {
    const int64_t digit = k + 1 < box->rank ? rest % box->size[k] : rest;
    rest /= box->size[k];
    run.offset += digit * box->stride[k];
    if (k > 0) continue;
    run.step = box->stride[0];
    run.count = mfq_smaller(run.count, box->size[0] - digit);
  }
  return run;
}

static void load_run(const mfq_kernels *kernels, const mfq_tensor *tensor, element_run run, uint32_t *to) {
  if (kernels && (run.step == 1 || run.count == 1)) {
    const size_t bytes = mfq_dtype_bytes(tensor->dtype);
    kernels->load(to, (const uint8_t *)tensor->data + run.offset * (int64_t)bytes, tensor->dtype, run.count);
    return;
  }
  for (int64_t j = 0; j < run.count; ++j)
    to[j] = mfq_element_load(tensor->data, tensor->dtype, run.offset + j * run.step);
}

const uint32_t *mfq_observed_load(const mfq_kernels *kernels, const mfq_observed_scale *s, int64_t first, int64_t n,
                                  uint32_t *room) {
  int32_t i = 0;
  for (int64_t done = 0; done < n;) {
    while (first + done >= s->end[i]) ++i;
    const int64_t begin = s->end[i] - s->box[i].count, end = mfq_smaller(s->end[i], first + n);
    const element_run run = run_at(&s->box[i], first + done - begin, end - begin);
    const mfq_tensor *tensor = s->tensor[i];
    if (run.count == n && run.step == 1 && tensor->dtype == MFQ_DTYPE_F32)
      return (const uint32_t *)tensor->data + run.offset;
    load_run(kernels, tensor, run, room + done);
    done += run.count;
  }
  return room;
}

/* ---- NaN --------------------------------------------------------------------------------------------------------- */

typedef struct nan_count {
  const mfq_kernels *kernels;
  mfq_observed_scale all;
  _Atomic uint64_t nans;
} nan_count;

static void count_chunks(void *work, int thread, int64_t first, int64_t end) {
  nan_count *count = work;
  uint32_t room[MFQ_CHUNK];
  uint64_t nans = 0;
  (void)thread;
  for (int64_t at = first * MFQ_CHUNK; at < mfq_smaller(end * MFQ_CHUNK, count->all.elements); at += MFQ_CHUNK) {
    const int64_t n = mfq_smaller(count->all.elements - at, MFQ_CHUNK);
    const uint32_t *x = mfq_observed_load(count->kernels, &count->all, at, n, room);
    for (int64_t i = 0; i < n; ++i) nans += (x[i] & MFQN_ABS) > MFQN_INF;
  }
  atomic_fetch_add(&count->nans, nans);
}

static int has_nan(const mfq_observe_job *job) {
  const mfq_tensor *values = job->cast->dst;
  for (int64_t i = 0; i < job->scales; ++i)
    if ((mfq_element_load(values->data, values->dtype, mfq_offset_of(values, i)) & MFQN_ABS) > MFQN_INF) return 1;
  return 0;
}

void mfq_observe_count_nans(const mfq_observe_job *job, const mfq_context *context) {
  if (!job->observing->nans || !has_nan(job)) return;
  nan_count count = {.kernels = mfq_cpu_kernels(context)};
  for (int32_t i = 0; i < job->count; ++i) {
    const mfq_tensor *source = &job->observing->sources[i];
    mfq_box whole = {.count = 0}; /* as if all elements shared a scale */
    memcpy(whole.size, source->shape, sizeof whole.size);
    add_box(&count.all, source, &whole);
  }
  mfq_team_run((mfq_loop){(int)context->threads, mfq_ceil_div(count.all.elements, MFQ_CHUNK), 0}, count_chunks, &count);
  *job->observing->nans += atomic_load(&count.nans);
}

const mfq_ways mfq_cpu_observations = {
    .create = "mfq_observe",
    .nearest_first = 1,
    .ways = {&mfq_observe_panels, &mfq_observe_lanes, &mfq_observe_chunks, &mfq_observe_reference}};
