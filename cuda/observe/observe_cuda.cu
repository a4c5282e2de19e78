/* cuda/observe/observe_cuda.cu: statistics of scales: a thread a short one, or by parts of long ones, in as many rounds as
 * the scratch memory has room for scales. */
#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/shared_scales.h"
#include "observe_kernel.cuh"
#include "observe_ways.h"

enum { SHORT = 256, ELEMENTS_OF_WORKER = 64, CHUNK_TERMS = 256, SLOT_OFFSET = SCRATCH_SLOTS * 4 };

static_assert(sizeof(observe_params) <= 4096, "a kernel takes so many bytes");

typedef struct observe_job {
  mfq_context *context;
  const mfq_cast *cast;
  const mfq_observing *observing;
  observe_params p;
  int64_t largest; /* elements, or rows, of the largest box of the source at hand */
} observe_job;

static mfq_status launch(const observe_job *job, int64_t items, void (*kernel)(observe_params)) {
  const mfq_launch at = {job->cast->function, mfq_cuda_item_grid(items), ITEM_THREADS, 0};
  return mfq_cuda_launch(job->context, at, kernel, job->p);
}

static int64_t elements_of(const box_plan *boxes) {
  int64_t count = 1;
  for (int32_t k = 0; k < boxes->rank; ++k) count *= boxes->size[k];
  return count;
}

/* ---- Sources ----------------------------------------------------------------------------------------------------- */

/* The boxes of rows: those of scales, cut at each index of the axis. */
static void set_rows(observe_job *job, const mfq_qview *view, const mfq_walk *walk) {
  observe_params *p = &job->p;
  const int32_t asked = job->observing->observer->axis, axis = asked < 0 ? asked + view->q.rank : asked;
  mfq_scale_axis axes[MFQ_MAX_RANK];
  mfq_walk cut = *walk;
  const mfq_walk_extras extras = {};
  mfq_scale_axes(view, axes);
  int64_t inner = 1;
  for (int32_t d = axis + 1; d < view->q.rank; ++d)
    if (axes[d].stride != 0) inner *= mfq_ceil_div(view->q.shape[d], axes[d].run);
  p->row_size = view->q.shape[axis];
  p->row_run = axes[axis].stride != 0 ? mfq_smaller(axes[axis].run, p->row_size) : p->row_size;
  p->row_inner = divisor64_make(mfq_larger(inner, 1));
  p->row_groups = divisor64_make(mfq_larger(p->row_run > 0 ? mfq_ceil_div(p->row_size, p->row_run) : 1, 1));
  cut.scale_run[axis] = cut.scale_stride[axis] = 1;
  p->rows = mfq_cuda_box_plan(&cut, &extras);
}

static void set_source(observe_job *job, int32_t i) {
  const mfq_tensor *source = &job->observing->sources[i];
  const mfq_qview *view = &job->observing->views[i];
  const mfq_walk_extras extras = {};
  mfq_walk walk;
  mfq_walk_init(view, source->strides, &walk);
  job->p.src = mfq_cuda_element_view(source);
  job->p.boxes = mfq_cuda_box_plan(&walk, &extras);
  job->largest = elements_of(&job->p.boxes);
  job->p.whole = view->q.scheme.group_size; /* of groups alone */
  job->p.is_first = i == 0;
  if (!mfqn_observes_rows(job->p.observer.observed)) return;
  set_rows(job, view, &walk);
  job->largest = job->p.row_run;
}

mfq_status mfq_cuda_count_nans(mfq_context *context, const mfq_cast *cast) {
  const mfq_observing *o = cast->observing;
  mfq_status status = MFQ_OK;
  for (int32_t i = 0; status == MFQ_OK && o->nans && i < o->count; ++i) {
    const nan_params p = {mfq_cuda_tensor_walk(&o->sources[i]), mfq_cuda_element_view(&o->sources[i]), o->nans};
    const mfq_launch at = {cast->function, mfq_cuda_item_grid(mfq_ceil_div(p.walk.count, 8)), ITEM_THREADS, 0};
    status = mfq_cuda_launch(context, at, nan_count_kernel, p);
  }
  return status;
}

void mfq_cuda_observe_params(const mfq_cast *cast, observe_params *p) {
  *p = observe_params{};
  mfq_lower(&cast->view->q.scheme, &p->scheme);
  mfq_lower_observer(cast->observing->observer, &p->observer);
  mfq_lower_running(cast->observing->collection, &p->to.running);
  p->to.walk = mfq_cuda_tensor_walk(cast->dst);
  p->to.values = mfq_cuda_element_view(cast->dst);
  p->count = cast->view->sizes.scale_count;
  p->kind = mfqn_observed_term_kind(p->observer.observed);
  p->is_signed = p->observer.observed != MFQN_OBSERVED_PERCENTILE;
  p->pads_short = p->scheme.is_brevitas && cast->view->q.scheme.granularity == MFQ_GRANULARITY_GROUP;
}

static void begin(mfq_context *context, const mfq_cast *cast, observe_job *job) {
  *job = observe_job{};
  job->context = context;
  job->cast = cast;
  job->observing = cast->observing;
  mfq_cuda_observe_params(cast, &job->p);
}

/* ---- Parts ------------------------------------------------------------------------------------------------------- */

/* Every element of every source once. */
static mfq_status scan(observe_job *job) {
  mfq_status status = MFQ_OK;
  for (int32_t i = 0; status == MFQ_OK && i < job->observing->count; ++i) {
    set_source(job, i);
    const int64_t processors = mfq_cuda_state_of(job->context)->processors;
    const int64_t most = mfq_larger(processors * 2048 / job->p.count, 1);
    const int64_t workers = mfq_larger(mfq_smaller(mfq_ceil_div(job->largest, ELEMENTS_OF_WORKER), most), 1);
    const int64_t unit = mfqn_observes_ranks(job->p.observer.observed) ? 32 : 1;
    job->p.workers = divisor64_make(mfq_ceil_div(workers, unit) * unit);
    status = launch(job, job->p.count * (int64_t)job->p.workers.value, observe_scan_kernel);
  }
  return status;
}

/* Bits of keys of a dtype that follow from the sign. */
static int32_t spare_bits(mfq_dtype dtype) { return dtype == MFQ_DTYPE_BF16 ? 16 : dtype == MFQ_DTYPE_F16 ? 13 : 0; }

static mfq_status find_rank(observe_job *job, int is_high) {
  const mfq_observing *o = job->observing;
  mfq_status status = MFQ_OK;
  int32_t spare = 32;
  for (int32_t i = 0; i < o->count; ++i) spare = mfqn_min(spare, spare_bits(o->sources[i].dtype));
  job->p.is_high = is_high;
  job->p.rounds = RANK_ROUNDS - spare / RANK_BITS;
  const int32_t rounds = job->p.rounds;
  for (int32_t r = 0; status == MFQ_OK && r < rounds; ++r) {
    job->p.round = r; /* nvcc takes "round <" for a template's name */
    status = scan(job);
    if (status == MFQ_OK) status = launch(job, job->p.count, observe_narrow_kernel);
  }
  return status;
}

/* Sums of terms over all sources, in chunks of which `room` find room. */
static mfq_status sum(observe_job *job, int64_t room) {
  observe_params *p = &job->p;
  mfq_status status = MFQ_OK;
  for (int32_t i = 0; status == MFQ_OK && i < job->observing->count; ++i) {
    set_source(job, i);
    for (p->chunk = CHUNK_TERMS; mfq_ceil_div(job->largest, p->chunk) * p->count > room;) p->chunk *= 2;
    p->workers = divisor64_make(mfq_larger(mfq_ceil_div(job->largest, p->chunk), 1));
    status = launch(job, p->count * (int64_t)p->workers.value * 32, observe_sums_kernel);
    if (status == MFQ_OK) status = launch(job, p->count * 32, observe_add_kernel);
  }
  return status;
}

/* The scales that are at hand. */
static mfq_status observe_batch(observe_job *job, int64_t room) {
  const int32_t observed = job->p.observer.observed;
  mfq_status status = MFQ_OK;
  if (mfqn_observes_extremes(observed)) {
    status = scan(job);
  } else if (mfqn_observes_ranks(observed)) {
    const int has_low = observed != MFQN_OBSERVED_PERCENTILE, has_high = observed != MFQN_OBSERVED_LOW_PERCENTILE;
    if (has_low) status = find_rank(job, 0);
    if (status == MFQ_OK && has_high) status = find_rank(job, 1);
  } else {
    status = sum(job, room);
    if (status == MFQ_OK && observed == MFQN_OBSERVED_SIGMA) {
      job->p.kind = MFQN_TERM_DEVIATION;
      status = launch(job, job->p.count, observe_mean_kernel);
      if (status == MFQ_OK) status = sum(job, room);
      job->p.kind = MFQN_TERM_MAGNITUDE;
    }
  }
  return status == MFQ_OK ? launch(job, job->p.count, observe_finish_kernel) : status;
}

static mfq_status run_parts(mfq_context *context, const void *, const void *problem, uint8_t *) {
  observe_job job;
  begin(context, (const mfq_cast *)problem, &job);
  const int64_t scales = job.p.count, bytes = (int64_t)MFQ_CUDA_SCRATCH_BYTES - (int64_t)SLOT_OFFSET;
  const int sums = !mfqn_observes_extremes(job.p.observer.observed) && !mfqn_observes_ranks(job.p.observer.observed);
  /* Sums leave three quarters of the memory to partial ones. */
  const int64_t most = bytes / (int64_t)sizeof(observe_slot) / (sums ? 4 : 1);
  mfq_status status = MFQ_OK;
  job.p.slots = (observe_slot *)(void *)mfq_cuda_scratch_word(context, SCRATCH_SLOTS);
  for (job.p.first = 0; status == MFQ_OK && job.p.first < scales; job.p.first += most) {
    job.p.count = mfq_smaller(scales - job.p.first, most);
    job.p.round = 0;
    job.p.partials = (float *)(void *)(job.p.slots + job.p.count);
    const size_t used = (size_t)job.p.count * sizeof(observe_slot);
    status = mfq_cuda_clear(context, job.p.slots, used, job.cast->function);
    if (status == MFQ_OK) status = observe_batch(&job, (bytes - (int64_t)used) / (int64_t)sizeof(float));
  }
  return status == MFQ_OK ? mfq_cuda_count_nans(context, job.cast) : status;
}

/* ---- Whole scales ------------------------------------------------------------------------------------------------ */

static mfq_status plan_whole(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  mfq_walk walk;
  const mfq_walk_extras extras = {};
  mfq_walk_init(cast->view, cast->src->strides, &walk);
  const box_plan boxes = mfq_cuda_box_plan(&walk, &extras);
  if (cast->observing && cast->observing->count > 1) return mfq_refuse(why, "several tensors share their scales");
  if (elements_of(&boxes) > SHORT) return mfq_refuse(why, "scales have more than %d elements", (int)SHORT);
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run_whole(mfq_context *context, const void *, const void *problem, uint8_t *) {
  observe_job job;
  begin(context, (const mfq_cast *)problem, &job);
  set_source(&job, 0);
  const mfq_status status = launch(&job, job.p.count, observe_whole_kernel);
  return status == MFQ_OK ? mfq_cuda_count_nans(context, job.cast) : status;
}

static const mfq_way whole = {"whole scales", plan_whole, run_whole, NULL};
static const mfq_way parts = {"parts", mfq_plan_general, run_parts, NULL};

const mfq_ways mfq_cuda_observations = {
    "mfq_observe", NULL, 0, {&mfq_cuda_observe_reduced, &mfq_cuda_observe_rows, &whole, &parts}};
