/* cuda/search/search_cuda.cu: scales by search: statistics, what each scale's candidates cost, then codes. */
#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/quantize/quantize_fast.h"
#include "cuda/shared_scales.h"
#include "search_hqo_kernel.cuh"
#include "search_kernel.cuh"
#include "search_rows.h"

/* Boxes are cut from SHORT elements on; ranks are counted, and deviations summed, in boxes of up to RANKED. */
enum { SHORT = 1024, RANKED = 65536 };

static_assert(sizeof(search_hqo_params) <= 4096, "a kernel takes so many bytes");

typedef struct search_job {
  mfq_scale_job scales;
  const mfq_cast *cast;
  search_params p;
  int64_t largest; /* elements of the largest box */
} search_job;

/* Sums go in row-major order, whatever the order of codes. */
static void sort_row_major(box_plan *boxes) {
  for (int32_t i = 1; i < boxes->rank; ++i)
    for (int32_t k = i; k > 0 && boxes->step[k].logical < boxes->step[k - 1].logical; --k) {
      const linear step = boxes->step[k];
      const int64_t size = boxes->size[k];
      boxes->step[k] = boxes->step[k - 1];
      boxes->size[k] = boxes->size[k - 1];
      boxes->step[k - 1] = step;
      boxes->size[k - 1] = size;
      for (int32_t a = 0; a < boxes->scale_rank; ++a) {
        int32_t *inner = &boxes->scale_axis[a].inner;
        *inner = *inner == k ? k - 1 : *inner == k - 1 ? k : *inner;
      }
    }
}

static int64_t elements_of(const box_plan *boxes) {
  int64_t count = 1;
  for (int32_t k = 0; k < boxes->rank; ++k) count *= boxes->size[k];
  return count;
}

static void set_up(search_job *job) {
  const mfq_cast *cast = job->cast;
  const mfq_candidates *c = cast->candidates;
  search_params *p = &job->p;
  mfq_walk walk, weights;
  mfq_walk_init(cast->view, cast->src->strides, &walk);
  if (c->importance) mfq_walk_init(cast->view, c->importance->strides, &weights);
  const mfq_walk_extras extras = {c->importance ? weights.offset_stride : NULL, NULL, 1};
  p->from.boxes = mfq_cuda_box_plan(&walk, &extras);
  sort_row_major(&p->from.boxes);
  p->candidates = c->kind == MFQ_CANDIDATES_DEVIATION
                      ? mfqn_candidates_of_deviation(c->last, c->steps)
                      : mfqn_candidates{c->kind == MFQ_CANDIDATES_RANKS, c->steps, c->first, c->last, 0.0f};
  if (c->importance) p->importance = mfq_cuda_element_view(c->importance);
  p->slots = mfq_cuda_scale_slots(cast->view);
  p->seed = job->scales.context->seed;
  p->offset = job->scales.context->offset;
  job->largest = elements_of(&p->from.boxes);
  p->chunk_size = mfq_larger(job->largest, 1); /* all of it, until it is cut */
  p->chunks = divisor64_make(1);
}

/* Cuts boxes into as many chunks as the scratch memory has room for, where statistics are in slots. */
static void cut(search_job *job) {
  search_params *p = &job->p;
  const int64_t scales = p->from.count, tried = p->candidates.last - p->candidates.first + 1;
  const int64_t words = MFQ_CUDA_SCRATCH_BYTES / 4 - SCRATCH_SLOTS - scales * STAT_SLOT_WORDS;
  int64_t chunk = SHORT;
  if (!p->from.slots || p->candidates.by_rank || p->candidates.deviations != 0.0f) return;
  for (; chunk < job->largest && scales * tried * mfq_ceil_div(job->largest, chunk) > words;) chunk *= 2;
  if (chunk >= job->largest) return;
  p->chunk_size = chunk;
  p->chunks = divisor64_make(mfq_ceil_div(job->largest, chunk));
  p->losses = (float *)(void *)(p->from.slots + scales * STAT_SLOT_WORDS);
}

static mfq_status launch(const search_job *job, int64_t threads, void (*kernel)(search_params)) {
  const mfq_launch at = {job->scales.function, mfq_cuda_item_grid(threads), ITEM_THREADS, 0};
  return mfq_cuda_launch(job->scales.context, at, kernel, job->p);
}

/* Statistics of all scales, and the tensor scale where there is one. */
static mfq_status measure(search_job *job) {
  const mfq_qview *view = job->cast->view;
  mfq_context *context = job->scales.context;
  mfq_status status = mfq_cuda_measure(&job->scales, job->cast->src, &job->p.from);
  if (status == MFQ_OK && mfqn_has_tensor_scale(job->p.scheme.scale))
    status = mfq_cuda_tensor_scale(&job->scales, &job->p.from, view->q.tensor_scale);
  if (status == MFQ_OK && view->q.layout.scales == MFQ_SCALES_128X4)
    status = mfq_cuda_clear(context, view->q.scales, view->sizes.scales_bytes, job->scales.function);
  if (status == MFQ_OK) set_up(job);
  return status;
}

static mfq_status search(search_job *job) {
  mfq_status status = measure(job);
  if (status != MFQ_OK) return status;
  cut(job);
  const int64_t scales = job->p.from.count, chunks = (int64_t)job->p.chunks.value;
  status = launch(job, scales * chunks * 32, search_kernel);
  return status == MFQ_OK && job->p.losses ? launch(job, scales, search_finish_kernel) : status;
}

/* ---- Half-quadratic steps ---------------------------------------------------------------------------------------- */

/* Words of scratch memory for scales, behind their statistics. */
static int64_t hqo_words(const mfq_qview *view) {
  const int64_t slots = mfq_cuda_has_slots(view) ? STAT_SLOT_WORDS : 0, each = (int64_t)(sizeof(hqo_slot) / 4) + slots;
  return view->sizes.scale_count * each + (int64_t)(sizeof(hqo_state) / 4);
}

static mfq_status launch_hqo(const search_job *job, const search_hqo_params &p, int64_t scales,
                             void (*kernel)(search_hqo_params)) {
  const mfq_launch at = {job->scales.function, mfq_cuda_item_grid(scales * 32), ITEM_THREADS, 0};
  return mfq_cuda_launch(job->scales.context, at, kernel, p);
}

/* All steps are queued: those behind the last good one end where they begin. */
static mfq_status take_steps(search_job *job, search_hqo_params *p) {
  const mfq_candidates *c = job->cast->candidates;
  const mfq_launch one = {job->scales.function, dim3(1), 32, 0};
  const int64_t scales = job->p.from.count;
  mfq_status status = MFQ_OK;
  double beta = p->is_zero_point ? 1.0 : 1e5;
  for (int32_t k = 0; status == MFQ_OK && k < c->steps; ++k) {
    p->softness = (float)(1.0 / beta);
    p->is_first = k == 0;
    status = launch_hqo(job, *p, scales, hqo_step_kernel);
    if (status == MFQ_OK) status = mfq_cuda_launch(job->scales.context, one, hqo_judge_kernel, *p);
    beta *= 1.01;
  }
  return status == MFQ_OK ? launch_hqo(job, *p, scales, hqo_finish_kernel) : status;
}

static mfq_status half_quadratic(search_job *job) {
  const mfq_scheme *scheme = &job->cast->view->q.scheme;
  const mfq_status status = measure(job);
  if (status != MFQ_OK || job->p.from.count == 0) return status;
  search_hqo_params p = {};
  p.all = job->p;
  p.is_zero_point = job->cast->candidates->kind == MFQ_CANDIDATES_HALF_QUADRATIC_ZERO;
  const int pads = p.is_zero_point && job->p.scheme.is_brevitas && scheme->granularity == MFQ_GRANULARITY_GROUP;
  p.whole = pads ? scheme->group_size : 0;
  uint32_t *memory = mfq_cuda_scratch_word(job->scales.context, SCRATCH_SLOTS);
  if (job->p.from.slots) memory += job->p.from.count * STAT_SLOT_WORDS;
  p.state = (hqo_state *)(void *)memory;
  p.slots = (hqo_slot *)(void *)(p.state + 1);
  return take_steps(job, &p);
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  mfqn_scheme scheme;
  mfq_walk walk;
  const mfq_walk_extras extras = {NULL, NULL, 1};
  mfq_lower(&cast->view->q.scheme, &scheme);
  mfq_walk_init(cast->view, cast->src->strides, &walk);
  const box_plan boxes = mfq_cuda_box_plan(&walk, &extras);
  if (!mfqn_is_measured(&scheme)) return mfq_refuse(why, "the scheme measures no scales");
  const int64_t words = MFQ_CUDA_SCRATCH_BYTES / 4 - SCRATCH_SLOTS, box = elements_of(&boxes);
  if (mfq_is_half_quadratic(cast->candidates) && (hqo_words(cast->view) > words || box > RANKED))
    return mfq_refuse(
        why,
        "half-quadratic steps of more than about %lld scales, or of more than %d elements that share one; "
        "use the CPU, or method mse",
        (long long)(words / (int64_t)(sizeof(hqo_slot) / 4)), (int)RANKED);
  const int is_whole = cast->candidates && (cast->candidates->kind == MFQ_CANDIDATES_RANKS ||
                                            cast->candidates->kind == MFQ_CANDIDATES_DEVIATION);
  if (is_whole && box > RANKED)
    return mfq_refuse(why,
                      "ranks and deviations of more than %d elements that share a scale; use the CPU, or method mse",
                      (int)RANKED);
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  search_job job = {};
  mfq_lower(&cast->view->q.scheme, &job.p.scheme);
  job.scales = mfq_scale_job{context, cast->function, cast->view, &job.p.scheme};
  job.cast = cast;
  const mfq_status status = mfq_is_half_quadratic(cast->candidates) ? half_quadratic(&job) : search(&job);
  if (status != MFQ_OK || !cast->view->q.codes) return status;
  return mfq_cuda_codes(&job.scales, cast->src);
}

static const mfq_way general = {"general", plan, run, NULL};
const mfq_ways mfq_cuda_searches = {"mfq_search_scales", NULL, 0, {&mfq_cuda_search_rows, &general}};
