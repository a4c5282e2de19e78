/* cuda/fakequant/gradient_cuda.cu: the backward of fake quantization: one thread a scale, or chunks of long ones. */
#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/shared_scales.h"
#include "fake_fast.h"
#include "gradient_kernel.cuh"
#include "gradient_mask.h"

/* Boxes up to SHORT elements are one thread's; a thread of many writes about ELEMENTS_OF_WORKER. */
enum { SHORT = 256, ELEMENTS_OF_WORKER = 8 };

static_assert(sizeof(gradient_params) <= 4096, "a kernel takes so many bytes");

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
  if (status != MFQ_OK || job->p.scheme.scale != MFQN_SCALE_UE4M3) return status;
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
  p->upstream = mfq_cuda_element_view(gradient->upstream);
  p->seed = job->scales.context->seed;
  p->offset = job->scales.context->offset;
  p->ste = gradient->ste;
  p->through_scale = gradient->through_scale;
  p->log2_scale = gradient->log2_scale;
  p->is_shared = cast->view->q.scheme.granularity == MFQ_GRANULARITY_TENSOR;
  p->has_sums = gradient->grad_scale || gradient->grad_zero_point || gradient->through_scale;
  job->largest = largest_box(&p->from.boxes);
  p->chunk_size = mfq_larger(job->largest, 1); /* all of it, until it is cut */
}

/* Cuts boxes into as many chunks as the scratch memory has room for. Returns 0 where that is one. */
static int cut(gradient_job *job) {
  gradient_params *p = &job->p;
  const int64_t scales = p->from.count, words = p->from.slots ? mfq_round_up(scales * STAT_SLOT_WORDS, 2) : 0;
  const int64_t bytes = MFQ_CUDA_SCRATCH_BYTES - (SCRATCH_SLOTS + words) * 4 - scales * (int64_t)sizeof(gradient_slot);
  const int64_t room = bytes / (int64_t)sizeof(gradient_slot);
  int64_t chunk = SHORT;
  for (; chunk < job->largest && scales * mfq_ceil_div(job->largest, chunk) > room;) chunk *= 2;
  if (chunk >= job->largest) return 0;
  p->chunk_size = chunk;
  p->chunks = divisor64_make(mfq_ceil_div(job->largest, chunk));
  p->totals = (gradient_slot *)(void *)(mfq_cuda_scratch_word(job->scales.context, SCRATCH_SLOTS) + words);
  p->partials = p->totals + scales;
  return 1;
}

static mfq_status by_chunks(gradient_job *job) {
  gradient_params *p = &job->p;
  mfq_status status = MFQ_OK;
  if (p->has_sums) {
    status = launch(job, p->from.count * (int64_t)p->chunks.value, gradient_sums_kernel);
    if (status == MFQ_OK) status = launch(job, p->from.count, gradient_finish_kernel);
  }
  p->workers = divisor64_make(mfq_ceil_div(job->largest, ELEMENTS_OF_WORKER));
  return status == MFQ_OK ? launch(job, p->from.count * (int64_t)p->workers.value, gradient_write_kernel) : status;
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
  const int is_known = job.p.from.slots || !mfqn_is_measured(&job.p.scheme); /* without reading the whole box */
  const int is_long = job.largest > SHORT && is_known && (!job.p.has_sums || cut(&job));
  return is_long ? by_chunks(&job) : launch(&job, job.p.from.count, gradient_whole_kernel);
}

static const mfq_way general = {"general", mfq_cuda_plan_unrotated, run, NULL};

const mfq_ways mfq_cuda_fake_gradients = {.create = "mfq_fake_quantize_backward",
                                          .reproducible = NULL,
                                          .nearest_first = 0,
                                          .ways = {&mfq_cuda_gradient_mask_rows, &mfq_cuda_gradient_mask,
                                                   &mfq_cuda_gradient_rows, &mfq_cuda_gradient_tiles,
                                                   &mfq_cuda_gradient_shared, &mfq_cuda_gradient_boxes, &general}};
