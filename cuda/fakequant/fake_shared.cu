/* cuda/fakequant/fake_shared.cu: scales of a tensor or of channels: statistics first, scales into scratch memory, then rows
 * with known scales. */
#include "host/core/scheme/lower.h"
#include "cuda/quantize/reduce_kernel.cuh"
#include "fake_fast.h"
#include "fake_rows_kernel.cuh"
#include "fake_wanted_kernel.cuh"

typedef struct fake_shared_plan {
  rows_reduction reduction;
  fake_rows_params rows;
} fake_shared_plan;

/* Scales and zero points stand behind the slots of statistics. */
enum { WORDS_OF_SCALE = STAT_SLOT_WORDS + 2 };

mfq_qview mfq_cuda_scratch_view(const mfq_context *context, const mfq_cast *cast) {
  const int64_t count = cast->view->sizes.scale_count;
  uint32_t *behind = mfq_cuda_scratch_word(context, SCRATCH_SLOTS) + count * STAT_SLOT_WORDS;
  mfq_qview view = *cast->view;
  view.q.scales = behind;
  view.q.zero_points = behind + count;
  return view;
}

mfq_status mfq_cuda_scratch_plan(const quantize_call *known, rows_reduction *reduction, mfq_line *why) {
  enum { MOST = (MFQ_CUDA_SCRATCH_BYTES / 4 - SCRATCH_SLOTS) / WORDS_OF_SCALE };
  const mfq_status status = mfq_cuda_reduction_plan(known, reduction, why);
  if (status != MFQ_OK || known->view->sizes.scale_count <= MOST) return status;
  return mfq_refuse(why, "more than %d scales", (int)MOST);
}

mfq_status mfq_cuda_scratch_scales(mfq_context *context, const mfq_cast *cast, const rows_reduction *reduction) {
  const mfq_qview view = mfq_cuda_scratch_view(context, cast);
  mfqn_scheme s;
  statistics from;
  mfq_lower(&view.q.scheme, &s);
  const mfq_scale_job job = {context, cast->function, &view, &s};
  mfq_status status = mfq_cuda_slots_reset(&job, &from);
  if (status == MFQ_OK) status = mfq_cuda_reduce(context, cast, reduction, from.slots);
  return status == MFQ_OK ? mfq_cuda_scales_finish(&job, &from) : status;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview view = mfq_cuda_scratch_view(context, cast);
  const quantize_call known = {context, cast->src, &view, 1, cast->dst, 0};
  mfq_cast unwanted = *cast; /* scales are written apart */
  unwanted.scales = NULL;
  fake_shared_plan *shared;
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &shared);
  mfq_choice_describe(choice, "statistics first, then 16 elements a thread");
  if (status == MFQ_OK) status = mfq_cuda_scratch_plan(&known, &shared->reduction, why);
  return status == MFQ_OK ? mfq_cuda_fake_rows_plan(&known, &unwanted, &shared->rows, why) : status;
}

static mfq_status write_wanted(mfq_context *context, const mfq_cast *cast) {
  const mfq_qview view = mfq_cuda_scratch_view(context, cast);
  fake_wanted_params p = {};
  if (!cast->scales) return MFQ_OK;
  mfq_lower(&view.q.scheme, &p.scheme);
  p.slots = mfq_cuda_scale_slots(&view);
  p.count = view.sizes.scale_count;
  p.walk = mfq_cuda_tensor_walk(cast->scales);
  p.wanted = mfq_cuda_element_view(cast->scales);
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, fake_wanted_kernel, p);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const fake_shared_plan *shared = (const fake_shared_plan *)state;
  const mfq_qview view = mfq_cuda_scratch_view(context, cast);
  mfq_status status = mfq_cuda_scratch_scales(context, cast, &shared->reduction);
  if (status == MFQ_OK) status = write_wanted(context, cast);
  return status == MFQ_OK ? mfq_cuda_fake_rows_launch(context, cast, &shared->rows, &view) : status;
}

const mfq_way mfq_cuda_fake_shared = {"reduction and rows", plan, run, NULL};
