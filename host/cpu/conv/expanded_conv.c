/* host/cpu/conv/expanded_conv.c: both operands as dense arrays of bf16 or f32, then a plain convolution.
 *
 * bf16 where it holds every value of both. The result is written in place where nothing is left to do; otherwise its
 * sums go to the workspace, some images at a time where they are channels of pixels. */
#include "host/core/error.h"
#include "host/core/integers.h"
#include "conv_cpu.h"
#include "conv_engine.h"
#include "conv_expand.h"
#include "host/cpu/cpu_onednn.h"
#include "host/cpu/product/finish_cpu.h"

/* Sums beyond this, or beyond so much for each thread, are made in slabs of images: small enough to be finished while a
 * cache still holds them. */
#define SLAB_BYTES ((int64_t)8 << 20)
#define SLAB_THREAD_BYTES ((int64_t)1 << 20)

typedef struct expanded {
  mfq_conv_array gathered, direct;
  mfq_cpu_finish_plan finish;
  int is_direct;                 /* the engine writes the result */
  int64_t images;                /* of one call of the engine */
  int64_t from_image, to_image;  /* elements of one image: of the gathered side, of the result */
  mfq_conv_engine *whole, *rest; /* calls with all images of a slab, and the last one; NULL: none */
  size_t sums_at, whole_at, rest_at, scratch_at, scratch_bytes;
} expanded;

static int64_t count_of(const mfq_conv_side *side, int first_axis) {
  int64_t count = 1;
  for (int i = first_axis; i < MFQ_CONV_AXES; ++i) count *= side->size[i];
  return count;
}

static const char *refuse(const mfq_context *context, const mfq_conv_problem *problem) {
  if (context->policy == MFQ_REPRODUCIBLE) return "the context's policy is reproducible";
  if (!mfq_cpu_kernels(context)) return "the context's cpu_isa is reference";
  return problem->k == 0 || count_of(mfq_conv_gathered(problem), 0) == 0 ? "nothing is summed" : NULL;
}

/* ---- Planning ----------------------------------------------------------------------------------------------------- */

static mfq_onednn_conv engine_shape(const mfq_context *context, const mfq_conv_problem *p, const expanded *x,
                                    int64_t images) {
  mfq_onednn_conv c = {.direction = p->direction, .batch = images, .groups = p->groups, .threads = context->threads};
  c.in_channels = p->in_channels;
  c.out_channels = p->out_channels;
  memcpy(c.in, p->in, sizeof c.in);
  memcpy(c.filter, p->filter, sizeof c.filter);
  memcpy(c.out, p->out, sizeof c.out);
  memcpy(c.stride, p->stride, sizeof c.stride);
  memcpy(c.dilation, p->dilation, sizeof c.dilation);
  memcpy(c.padding, p->padding, sizeof c.padding);
  c.from = x->gathered.dtype;
  c.to = x->is_direct ? mfq_conv_result(p)->part.tensor.dtype : MFQ_DTYPE_F32;
  return c;
}

/* Whether the engine can write the result: f32, or bf16 from bf16. */
static int can_write(const mfq_conv_problem *p, mfq_dtype from) {
  const mfq_conv_side *result = mfq_conv_result(p);
  const mfq_dtype to = result->part.tensor.dtype;
  return mfq_finish_is_bare(&p->finish) && mfq_conv_side_is_dense(result) && (to == MFQ_DTYPE_F32 || to == from);
}

/* All at once, or slabs of about the same number of images. A quantized result needs all its values. */
static void choose_slab(const mfq_context *context, const mfq_conv_problem *p, expanded *x) {
  const int64_t image_bytes = x->to_image * (int64_t)sizeof(float), wide = context->threads * SLAB_THREAD_BYTES;
  x->images = p->batch;
  if (x->is_direct || p->finish.is_d_quantized || p->direction == MFQ_CONV_WEIGHT_GRADIENT) return;
  const int64_t fit = (wide > SLAB_BYTES ? wide : SLAB_BYTES) / image_bytes, most = fit > 1 ? fit : 1;
  const int64_t slabs = (p->batch + most - 1) / most;
  x->images = (p->batch + slabs - 1) / slabs;
}

static mfq_status plan_engine(mfq_context *context, const mfq_conv_problem *p, expanded *x, size_t *bytes) {
  const int64_t rest = p->batch % x->images;
  const mfq_onednn_conv shape = engine_shape(context, p, x, x->images), last = engine_shape(context, p, x, rest);
  x->whole = mfq_conv_engine_create(context, &shape);
  if (x->whole && rest) x->rest = mfq_conv_engine_create(context, &last);
  if (!x->whole || (rest && !x->rest))
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_conv_plan_create", "no memory for the plan of a convolution");
  x->whole_at = mfq_workspace_take(bytes, mfq_conv_engine_workspace_bytes(x->whole));
  if (x->rest) x->rest_at = mfq_workspace_take(bytes, mfq_conv_engine_workspace_bytes(x->rest));
  return MFQ_OK;
}

static void free_engines(mfq_context *context, void *state) {
  expanded *x = state;
  mfq_conv_engine_free(context, x->rest);
  mfq_conv_engine_free(context, x->whole);
}

static mfq_status plan_memory(const mfq_context *context, const mfq_conv_problem *p, expanded *x, size_t *bytes) {
  const mfq_conv_side *gathered = mfq_conv_gathered(p), *direct = mfq_conv_direct(p), *result = mfq_conv_result(p);
  const mfq_dtype dtype = mfq_conv_array_dtype(p);
  mfq_status status = mfq_conv_expand_plan(context, gathered, dtype, bytes, &x->gathered);
  if (status == MFQ_OK) status = mfq_conv_expand_plan(context, direct, dtype, bytes, &x->direct);
  x->from_image = count_of(gathered, 1);
  x->to_image = count_of(result, 1);
  x->is_direct = can_write(p, dtype);
  choose_slab(context, p, x);
  if (!x->is_direct) {
    const int64_t count = p->direction == MFQ_CONV_WEIGHT_GRADIENT ? count_of(result, 0) : x->images * x->to_image;
    mfq_cpu_finish_plan_make(context, &p->finish, bytes, &x->finish);
    x->sums_at =
        p->finish.is_d_quantized ? x->finish.values_at : mfq_workspace_take(bytes, (size_t)count * sizeof(float));
  }
  x->scratch_bytes =
      mfq_larger_size(x->finish.scratch_bytes, mfq_larger_size(x->gathered.scratch_bytes, x->direct.scratch_bytes));
  x->scratch_at = mfq_workspace_take(bytes, x->scratch_bytes);
  return status;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const char *reason = refuse(context, problem);
  if (reason) return mfq_refuse(why, "%s", reason);
  mfq_status status = mfq_choice_state(context, "mfq_conv_plan_create", sizeof(expanded), choice);
  if (status != MFQ_OK) return status;
  expanded *x = choice->state;
  status = plan_memory(context, problem, x, &choice->workspace_bytes);
  if (status == MFQ_OK) status = plan_engine(context, problem, x, &choice->workspace_bytes);
  if (status == MFQ_OK) mfq_choice_describe(choice, "%s", mfq_conv_engine_name(x->whole));
  return status;
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

/* Where everything is in a run. */
typedef struct running {
  const expanded *x;
  const mfq_conv_problem *problem;
  uint8_t *workspace;
  const uint8_t *gathered, *direct; /* the arrays */
  mfq_cpu_finish finish;
} running;

static mfq_status prepare(const running *r) {
  if (r->problem->direction == MFQ_CONV_WEIGHT_GRADIENT) return MFQ_OK;
  const expanded *x = r->x;
  const mfq_status status = mfq_conv_engine_prepare(x->whole, r->direct, r->workspace + x->whole_at);
  if (status != MFQ_OK || x->rest == NULL) return status;
  return mfq_conv_engine_prepare(x->rest, r->direct, r->workspace + x->rest_at);
}

/* Images from `image` on. */
static mfq_status convolve(const mfq_context *context, const running *r, int64_t image) {
  const expanded *x = r->x;
  const mfq_conv_problem *p = r->problem;
  const int is_rest = p->batch - image < x->images;
  const uint8_t *gathered = r->gathered + (size_t)(image * x->from_image) * mfq_dtype_bytes(x->gathered.dtype);
  float *sums = (float *)(void *)(r->workspace + x->sums_at);
  void *result = x->is_direct ? mfq_conv_result(p)->part.tensor.data : sums;
  const mfq_status status = mfq_conv_engine_run(is_rest ? x->rest : x->whole, gathered, r->direct, result,
                                                r->workspace + (is_rest ? x->rest_at : x->whole_at));
  if (status != MFQ_OK || x->is_direct) return status;
  mfq_cpu_finish_part part = mfq_cpu_finish_dense(&p->finish, sums, p->finish.m);
  if (p->direction != MFQ_CONV_WEIGHT_GRADIENT) { /* batches: images, and axes of space but for the last */
    const int64_t each = p->finish.batches / p->batch;
    part.first_batch = image * each;
    part.batches = (is_rest ? p->batch - image : x->images) * each;
  }
  mfq_cpu_finish_run(context, &r->finish, &part);
  return MFQ_OK;
}

static mfq_status run_here(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const expanded *x = state;
  const mfq_conv_problem *p = problem;
  mfq_context lent = mfq_cpu_lend(context, memory + x->scratch_at, x->scratch_bytes);
  mfq_gemm_side a, b; /* the gathered operand and the other one */
  const void *gathered, *direct;
  mfq_status status = mfq_conv_expand_run(&lent, &x->gathered, mfq_conv_gathered(p), memory, &a, &gathered);
  if (status == MFQ_OK) status = mfq_conv_expand_run(&lent, &x->direct, mfq_conv_direct(p), memory, &b, &direct);
  if (status != MFQ_OK) return status;
  running r = {.x = x, .problem = p, .workspace = memory, .gathered = gathered, .direct = direct};
  const mfq_factor_views views = mfq_conv_views(p, &a.view, &b.view);
  if (!x->is_direct) mfq_cpu_finish_open(&lent, &x->finish, &p->finish, views, memory, &r.finish);
  status = prepare(&r);
  for (int64_t image = 0; image < p->batch && status == MFQ_OK; image += x->images) status = convolve(&lent, &r, image);
  return status != MFQ_OK || x->is_direct ? status : mfq_cpu_finish_end(&lent, &r.finish);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  const expanded *x = state;
  const mfq_cpu_run_call call = {run_here, context, state, problem, workspace};
  return mfq_cpu_run_led("mfq_conv_run", mfq_conv_engine_onednn(x->whole), &call);
}

const mfq_way mfq_conv_expanded = {.name = "expanded", .plan = plan, .run = run, .free = free_engines};
