/* cuda/fakequant/gradient_cuda.cu: the backward of fake quantization: one thread a scale, or chunks of long ones. */
#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/shared_scales.h"
#include "fake_fast.h"
#include "gradient_mask.h"
#include "gradient_plan.h"
#include "gradient_rotated_kernel.cuh"

/* Boxes up to SHORT elements are one thread's; a thread of many writes about ELEMENTS_OF_WORKER. */
enum { SHORT = 256, ELEMENTS_OF_WORKER = 8 };

static_assert(sizeof(gradient_rotated_params) <= 4096, "a kernel takes so many bytes");

typedef struct gradient_job {
  mfq_scale_job scales;
  const mfq_cast *cast;
  mfq_gradient gradient;
  gradient_params p;
  int64_t largest; /* elements of the largest box */
} gradient_job;

static mfq_status launch(const gradient_job *job, int64_t items, void (*kernel)(gradient_params)) {
  const mfq_launch at = {job->scales.function, mfq_cuda_item_grid(items), ITEM_THREADS, 0};
  return mfq_cuda_launch(job->scales.context, at, kernel, job->p);
}

static int64_t largest_box(const box_plan *boxes) {
  int64_t count = 1;
  for (int32_t k = 0; k < boxes->rank; ++k) count *= boxes->size[k];
  return count;
}

/* Measures what is measured; otherwise says how many scales there are. */
static mfq_status measure(gradient_job *job) {
  statistics *from = &job->p.from;
  if (!mfqn_is_measured(&job->p.scheme)) {
    from->count = job->scales.view->sizes.scale_count;
    from->groups = from->groups_inner = divisor64_make(1);
    from->src = mfq_cuda_rotated_view(job->cast->src, job->scales.view);
    return MFQ_OK;
  }
  const mfq_status status = mfq_cuda_measure(&job->scales, job->cast->src, from);
  if (status != MFQ_OK || !mfqn_has_tensor_scale(job->p.scheme.scale)) return status;
  float *tensor_scale = (float *)(void *)mfq_cuda_scratch_word(job->scales.context, SCRATCH_TENSOR_SCALE);
  job->p.tensor_scale = tensor_scale;
  return mfq_cuda_tensor_scale(&job->scales, from, tensor_scale);
}

static void set_gradient(const mfq_tensor *tensor, walk_plan *walk, element_view *view) {
  if (!tensor) return;
  *walk = mfq_cuda_tensor_walk(tensor);
  *view = mfq_cuda_element_view(tensor);
}

static void set_up(gradient_job *job) {
  const mfq_cast *cast = job->cast;
  const mfq_gradient *gradient = &job->gradient;
  gradient_params *p = &job->p;
  mfq_walk walk, upstream;
  mfq_walk_init(cast->view, cast->src->strides, &walk);
  mfq_walk_init(cast->view, gradient->upstream->strides, &upstream);
  const mfq_walk_extras extras = {upstream.offset_stride, nullptr, 1};
  p->from.boxes = mfq_cuda_box_plan(&walk, &extras);
  p->given = mfq_cuda_scale_slots(cast->view);
  set_gradient(cast->dst, &p->to, &p->dx);
  set_gradient(gradient->grad_scale, &p->of_scale, &p->grad_scale);
  set_gradient(gradient->grad_zero_point, &p->of_zero_point, &p->grad_zero_point);
  p->upstream = mfq_cuda_rotated_view(gradient->upstream, cast->view);
  p->seed = job->scales.context->seed;
  p->offset = job->scales.context->offset;
  p->ste = gradient->ste;
  p->through_scale = gradient->through_scale;
  p->log2_scale = gradient->log2_scale;
  p->is_shared = cast->view->q.scheme.granularity == MFQ_GRANULARITY_TENSOR;
  p->has_sums = mfq_cuda_gradient_has_sums(gradient);
  job->largest = largest_box(&p->from.boxes);
  p->chunk_size = mfq_larger(job->largest, 1); /* all of it, until it is cut */
}

/* How many chunks the scratch memory has room for, behind slots of statistics and beside a total for each scale. */
static int64_t room_for_chunks(int64_t scales, int has_slots) {
  const int64_t words = SCRATCH_SLOTS + (has_slots ? mfq_round_up(scales * STAT_SLOT_WORDS, 2) : 0);
  return (MFQ_CUDA_SCRATCH_BYTES - words * 4) / (int64_t)sizeof(gradient_slot) - scales;
}

static void set_chunks(gradient_job *job, int64_t chunk) {
  gradient_params *p = &job->p;
  const int64_t scales = p->from.count, words = p->from.slots ? mfq_round_up(scales * STAT_SLOT_WORDS, 2) : 0;
  p->chunk_size = chunk;
  p->chunks = divisor64_make(mfq_ceil_div(job->largest, chunk));
  p->totals = (gradient_slot *)(void *)(mfq_cuda_scratch_word(job->scales.context, SCRATCH_SLOTS) + words);
  p->partials = p->totals + scales;
}

/* Cuts boxes into as many chunks as there is room for. Returns 0 where that is one. */
static int cut(gradient_job *job) {
  const int64_t scales = job->p.from.count, room = room_for_chunks(scales, job->p.from.slots != NULL);
  int64_t chunk = SHORT;
  for (; chunk < job->largest && scales * mfq_ceil_div(job->largest, chunk) > room;) chunk *= 2;
  if (chunk >= job->largest) return 0;
  set_chunks(job, chunk);
  return 1;
}

/* Sums of what has been cut, and what follows from them. */
static mfq_status sum_chunks(const gradient_job *job) {
  if (!job->p.has_sums) return MFQ_OK;
  const mfq_status status = launch(job, job->p.from.count * (int64_t)job->p.chunks.value, gradient_sums_kernel);
  return status == MFQ_OK ? launch(job, job->p.from.count, gradient_finish_kernel) : status;
}

static mfq_status by_chunks(gradient_job *job) {
  gradient_params *p = &job->p;
  const mfq_status status = sum_chunks(job);
  p->workers = divisor64_make(mfq_ceil_div(job->largest, ELEMENTS_OF_WORKER));
  return status == MFQ_OK ? launch(job, p->from.count * (int64_t)p->workers.value, gradient_write_kernel) : status;
}

/* ---- Rotations --------------------------------------------------------------------------------------------------- */

/* Whether a block has whole groups, and measures or sums them there. Others are measured before, or given, and summed chunk
 * by chunk. */
static int is_on_the_spot(const mfq_qview *view, int has_sums) {
  const int is_measured = view->q.scheme.rule != MFQ_RULE_GIVEN;
  return (is_measured || has_sums) && mfq_cuda_span_of(view, 1) <= ROTATION_THREADS;
}

static mfq_status refuse_rotations(const mfq_cast *cast, mfq_line *why) {
  const mfq_qview *view = cast->view;
  const int has_sums = mfq_cuda_gradient_has_sums(cast->gradient), is_measured = view->q.scheme.rule != MFQ_RULE_GIVEN;
  if (is_on_the_spot(view, has_sums)) return MFQ_OK;
  if (is_measured && !mfq_cuda_has_slots(view)) return mfq_cuda_refuse_rotation(why);
  const int64_t scales = view->sizes.scale_count;
  if (!has_sums || scales <= room_for_chunks(scales, is_measured)) return MFQ_OK;
  return mfq_refuse(why,
                    "sums of %lld rotated groups that no block has as a whole: scratch memory has no room; use the CPU",
                    (long long)scales);
}

static mfq_status by_rotations(gradient_job *job) {
  const mfq_qview *view = job->scales.view;
  gradient_rotated_params p = {};
  p.is_on_the_spot = is_on_the_spot(view, job->p.has_sums);
  if (job->p.has_sums && !p.is_on_the_spot) {
    if (!cut(job)) set_chunks(job, job->p.chunk_size);
    const mfq_status status = sum_chunks(job);
    if (status != MFQ_OK) return status;
  }
  p.of = job->p;
  p.at = mfq_cuda_rotation_spans(view, job->cast->src->strides, job->gradient.upstream->strides, p.is_on_the_spot);
  const mfq_launch at = {job->scales.function, mfq_cuda_span_grid(&p.at), ROTATION_THREADS, 0};
  return mfq_cuda_launch(job->scales.context, at, gradient_rotated_kernel, p);
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_status status = mfq_cast_is_rotated(cast) ? refuse_rotations(cast, why) : MFQ_OK;
  return status == MFQ_OK ? mfq_plan_general(context, problem, choice, why) : status;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  gradient_job job = {};
  (void)state;
  (void)workspace;
  mfq_lower(&cast->view->q.scheme, &job.p.scheme);
  job.scales = mfq_scale_job{context, cast->function, cast->view, &job.p.scheme};
  job.cast = cast;
  job.gradient = *cast->gradient;
  const mfq_status status = measure(&job);
  if (status != MFQ_OK) return status;
  set_up(&job);
  if (mfq_cast_is_rotated(cast)) return by_rotations(&job);
  const int is_known = job.p.from.slots || !mfqn_is_measured(&job.p.scheme); /* without reading the whole box */
  const int is_long = job.largest > SHORT && is_known && (!job.p.has_sums || cut(&job));
  return is_long ? by_chunks(&job) : launch(&job, job.p.from.count, gradient_whole_kernel);
}

static const mfq_way general = {"general", plan, run, NULL};

const mfq_ways mfq_cuda_fake_gradients = {.create = "mfq_fake_quantize_backward",
                                          .reproducible = NULL,
                                          .nearest_first = 0,
                                          .ways = {&mfq_cuda_gradient_mask_rows, &mfq_cuda_gradient_mask,
                                                   &mfq_cuda_gradient_rows, &mfq_cuda_gradient_tiles,
                                                   &mfq_cuda_gradient_shared, &mfq_cuda_gradient_boxes, &general}};
