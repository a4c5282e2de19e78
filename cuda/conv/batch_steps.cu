/* cuda/conv/batch_steps.cu: parts of a batch, one after the other in the same workspace.
 *
 * Workspace: what a part needs; for the gradient of the weight also 4 bytes for each of its elements, where the parts
 * add up, and, for a quantized one, MFQ_CUDA_SCRATCH_BYTES. */

#include "host/core/problem/slab.h"
#include "cuda/gemm/finish_cuda.h"
#include "conv_cuda.h"
#include "conv_params.h"

namespace {

struct batch_plan {
  mfq_choice parts[2]; /* of `images`, and of fewer, where those are left */
  int64_t images;
  size_t total, scratch, rest, end; /* of the workspace */
};

enum { EVEN_IMAGES = 8 }; /* begin at whole bytes of codes, and more often at whole vectors */

int is_added(const mfq_conv_problem *problem, int64_t images) {
  return problem->direction == MFQ_CONV_WEIGHT_GRADIENT && images < problem->batch;
}

void free_parts(mfq_context *context, batch_plan *b) {
  for (mfq_choice &part : b->parts) mfq_choice_free(context, &part);
}

void take_workspace(const mfq_conv_problem *problem, batch_plan *b) {
  const mfq_finish *f = &problem->finish;
  const int adds = is_added(problem, b->images);
  const size_t total = adds ? (size_t)(f->batches * f->m * f->n) * sizeof(float) : 0;
  const size_t one = b->parts[0].workspace_bytes, other = b->parts[1].workspace_bytes;
  b->total = mfq_workspace_take(&b->end, total);
  b->scratch = mfq_workspace_take(&b->end, adds && f->is_d_quantized ? MFQ_CUDA_SCRATCH_BYTES : 0);
  b->rest = mfq_workspace_take(&b->end, one > other ? one : other);
}

/* Leaves nothing behind where it fails. */
mfq_status plan_parts(mfq_context *context, const mfq_ways *ways, const mfq_conv_problem *problem, int64_t images,
                      batch_plan *b) {
  const int64_t counts[] = {images, problem->batch - problem->batch / images * images};
  mfq_conv_problem part;
  mfq_status status = MFQ_OK;
  *b = batch_plan{};
  b->images = images;
  for (int i = 0; status == MFQ_OK && i < 2; ++i) {
    const mfq_images at = {images, counts[i], 1};
    if (counts[i] == 0) continue;
    mfq_cuda_conv_part(problem, &at, NULL, &part);
    status = mfq_choose(context, ways, &part, &b->parts[i]);
  }
  if (status != MFQ_OK) free_parts(context, b);
  take_workspace(problem, b);
  return status;
}

/* Fewer images than before, about as many as fit, in parts that are about equal. */
int64_t fewer_images(int64_t batch, int64_t images, double most_bytes, double bytes) {
  const int64_t most = images - mfq_ceil_div(images, 8), fit = (int64_t)((double)images * most_bytes / bytes);
  if (mfq_smaller(fit, most) < 1) return 1;
  const int64_t next = mfq_slab_equal(batch, mfq_smaller(fit, most), 1);
  return next > EVEN_IMAGES ? next / EVEN_IMAGES * EVEN_IMAGES : next;
}

/* Makes a plan that needs too much one of fewer images. */
mfq_status split(mfq_context *context, const mfq_ways *ways, const mfq_conv_problem *problem, size_t most_bytes,
                 batch_plan *best) {
  size_t bytes = best->end;
  for (int64_t images = problem->batch; images > 1 && best->end > most_bytes;) {
    batch_plan other;
    images = fewer_images(problem->batch, images, (double)most_bytes, (double)bytes);
    if (!mfq_cuda_conv_splits(context, problem, images)) continue;
    const mfq_status status = plan_parts(context, ways, problem, images, &other);
    if (status != MFQ_OK) return status;
    bytes = other.end;
    const int is_better = other.end < best->end;
    free_parts(context, is_better ? best : &other);
    if (is_better) *best = other;
  }
  return MFQ_OK;
}

mfq_status run_parts(mfq_context *context, const batch_plan *b, const mfq_conv_problem *problem, uint8_t *workspace) {
  float *total = (float *)(void *)(workspace + b->total);
  mfq_conv_problem part;
  mfq_status status = MFQ_OK;
  for (int64_t first = 0; status == MFQ_OK && first < problem->batch; first += b->images) {
    const int64_t left = problem->batch - first, is_last = left < b->images;
    const mfq_images at = {first, is_last ? left : b->images, 0};
    mfq_cuda_conv_part(problem, &at, total, &part);
    status = mfq_choice_run(context, &b->parts[is_last], &part, workspace + b->rest);
  }
  if (status != MFQ_OK || !is_added(problem, b->images)) return status;
  mfq_cuda_lent lent;
  status = mfq_cuda_conv_finish(mfq_cuda_lend(context, workspace + b->scratch, &lent), problem, total);
  mfq_cuda_lend_end(context, &lent);
  return status;
}

} // namespace

mfq_status mfq_cuda_batch_plan(mfq_context *context, const mfq_ways *ways, const mfq_conv_problem *problem,
                               size_t most_bytes, mfq_choice *choice) {
  mfq_status status = mfq_choice_state(context, "mfq_conv_plan_create", sizeof(batch_plan), choice);
  if (status != MFQ_OK) return status;
  batch_plan *b = (batch_plan *)choice->state;
  b->images = problem->batch;
  status = mfq_choose(context, ways, problem, &b->parts[0]);
  take_workspace(problem, b);
  if (status == MFQ_OK) status = split(context, ways, problem, most_bytes, b);
  if (status != MFQ_OK) return status;
  mfq_choice_hand_on(choice, &b->parts[0]);
  choice->workspace_bytes = b->end;
  if (b->images < problem->batch)
    mfq_choice_describe(choice, "%s; %lld of %lld images at a time", b->parts[0].description, (long long)b->images,
                        (long long)problem->batch);
  return MFQ_OK;
}

void mfq_cuda_batch_free(mfq_context *context, void *state) { free_parts(context, (batch_plan *)state); }

mfq_status mfq_cuda_batch_run(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const batch_plan *b = (const batch_plan *)state;
  const mfq_conv_problem *problem = (const mfq_conv_problem *)of;
  if (b->images == problem->batch) return mfq_choice_run(context, &b->parts[0], problem, workspace);
  return run_parts(context, b, problem, workspace);
}
