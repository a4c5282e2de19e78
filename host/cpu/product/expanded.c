/* host/cpu/product/expanded.c: both operands as dense arrays of bf16 or f32, then plain sums by an engine: the way of
 * products and of convolutions, which are implicit products.
 *
 * bf16 where it holds every value of both. The engine writes the result where nothing is left to do; otherwise its sums go
 * to the workspace, all at once or in slabs: rows of a matrix, or images, where those are channels of pixels. */
#include "engine.h"
#include "expand_operand.h"
#include "finish_cpu.h"
#include "sums_cpu.h"
#include "host/core/error.h"
#include "host/core/integers.h"
#include "host/cpu/cpu_onednn.h"

/* Sums of a product beyond this are made in slabs of rows. Rows of at least so many keep the engine at full speed. */
enum { SLAB_ROWS = 512 };
#define SLAB_BYTES ((int64_t)64 << 20)

/* Sums of a convolution beyond this, or beyond so much for each thread: small enough to be finished while a cache still
 * holds them. */
#define IMAGES_BYTES ((int64_t)8 << 20)
#define IMAGES_THREAD_BYTES ((int64_t)1 << 20)

/* A product or a convolution; the other one is NULL. */
typedef struct task {
  const mfq_gemm_problem *gemm;
  const mfq_conv_problem *conv;
  const mfq_finish *finish;
  mfq_operand_side a, b; /* of a convolution the gathered side, and the other one */
  int64_t k;
  int32_t round_operands;
} task;

/* Slabs have `unit` batches each or several, or rows of one batch. */
typedef struct expanded {
  mfq_expanded a, b;
  mfq_cpu_finish_plan finish;
  int is_direct;                           /* the engine writes D */
  int64_t unit;                            /* batches of the finish for one of the engine, or for an image */
  int64_t batches, rows;                   /* of one call of the engine; the last ones may have less */
  int64_t a_unit_step, a_row, b_unit_step; /* elements from a unit to the next, and from a row of A */
  mfq_engine *whole, *rest;                /* calls with all of a slab, and the last one; NULL: none */
  size_t sums_at, whole_at, rest_at, scratch_at, scratch_bytes;
} expanded;

static task task_of_gemm(const mfq_gemm_problem *p) {
  return (task){.gemm = p,
                .finish = &p->finish,
                .a = {&p->a, NULL},
                .b = {&p->b, NULL},
                .k = p->k,
                .round_operands = p->round_operands};
}

static task task_of_conv(const mfq_conv_problem *p) {
  const mfq_conv_side *gathered = mfq_conv_gathered(p), *direct = mfq_conv_direct(p);
  return (task){.conv = p,
                .finish = &p->finish,
                .a = {&gathered->part, gathered},
                .b = {&direct->part, direct},
                .k = p->k,
                .round_operands = p->round_operands};
}

static const char *create_of(const task *t) {
  return t->conv != NULL ? "mfq_conv_plan_create" : "mfq_gemm_plan_create";
}

static int64_t count_of(const mfq_conv_side *side, int first_axis) {
  int64_t count = 1;
  for (int i = first_axis; i < MFQ_CONV_AXES; ++i) count *= side->size[i];
  return count;
}

static const char *refuse(const mfq_context *context, const task *t) {
  if (context->policy == MFQ_REPRODUCIBLE) return "the context's policy is reproducible";
  if (!mfq_cpu_kernels(context)) return "the context's cpu_isa is reference";
  if (t->conv != NULL) return t->k == 0 || count_of(t->a.conv, 0) == 0 ? "nothing is summed" : NULL;
  return t->k == 0 ? "K is 0" : NULL;
}

/* ---- Slabs -------------------------------------------------------------------------------------------------------- */

/* All at once, or rows of a batch. */
static void cut_rows(const mfq_gemm_problem *p, expanded *x) {
  const int64_t row_bytes = p->n * (int64_t)sizeof(float);
  x->a_unit_step = x->a.stride[0];
  x->a_row = x->a.stride[1];
  x->b_unit_step = x->b.stride[0];
  if (x->is_direct || p->finish.is_d_quantized || p->batches * p->m * row_bytes <= SLAB_BYTES) return;
  const int64_t rows = SLAB_BYTES / row_bytes / 64 * 64;
  x->batches = 1;
  x->rows = mfq_smaller(rows < SLAB_ROWS ? SLAB_ROWS : rows, p->m);
}

/* All at once, or slabs of about the same number of images. */
static void cut_images(const mfq_context *context, const mfq_conv_problem *p, expanded *x) {
  const int64_t image_bytes = count_of(mfq_conv_result(p), 1) * (int64_t)sizeof(float);
  const int64_t wide = context->threads * IMAGES_THREAD_BYTES;
  if (p->direction == MFQ_CONV_WEIGHT_GRADIENT) return;
  x->unit = p->finish.batches / p->batch; /* axes of space but for the last */
  x->a_unit_step = count_of(mfq_conv_gathered(p), 1);
  if (x->is_direct || p->finish.is_d_quantized) return;
  const int64_t most = mfq_larger((wide > IMAGES_BYTES ? wide : IMAGES_BYTES) / image_bytes, 1);
  const int64_t slabs = mfq_ceil_div(p->batch, most);
  x->batches = mfq_ceil_div(p->batch, slabs) * x->unit;
}

/* A quantized D needs all its values. */
static void cut(const mfq_context *context, const task *t, expanded *x) {
  x->unit = 1;
  x->batches = t->finish->batches;
  x->rows = t->finish->m;
  if (t->conv != NULL)
    cut_images(context, t->conv, x);
  else
    cut_rows(t->gemm, x);
}

/* ---- Planning ----------------------------------------------------------------------------------------------------- */

/* Whether the engine can write D: f32, or bf16 from bf16, with contiguous rows. */
static int can_write(const task *t, mfq_dtype from) {
  const mfq_matrix *d = &t->finish->d;
  const int is_there = t->conv != NULL ? mfq_conv_side_is_dense(mfq_conv_result(t->conv))
                                       : d->batch_rank <= 1 && (d->stride[1] == 1 || t->gemm->n == 1);
  return mfq_finish_is_bare(t->finish) && is_there && (d->dtype == MFQ_DTYPE_F32 || d->dtype == from);
}

static mfq_engine *product_engine(mfq_context *context, const mfq_gemm_problem *p, const expanded *x, int64_t rows) {
  const mfq_matrix *d = &p->finish.d;
  mfq_onednn_shape s = {.batches = x->batches, .m = rows, .n = p->n, .k = p->k, .in = x->a.dtype};
  s.threads = context->threads;
  s.out = x->is_direct ? d->dtype : MFQ_DTYPE_F32;
  for (int i = 0; i < 3; ++i) s.a_stride[i] = x->a.stride[i];
  s.b_stride[0] = x->b.stride[0];
  s.b_stride[1] = x->b.stride[2];
  s.b_stride[2] = x->b.stride[1];
  s.d_stride[0] = x->is_direct ? (d->batch_rank ? d->batch_stride[0] : 0) : rows * p->n;
  s.d_stride[1] = x->is_direct ? d->stride[0] : p->n;
  s.d_stride[2] = x->is_direct ? d->stride[1] : 1;
  return mfq_engine_of_product(context, &s);
}

static mfq_engine *conv_engine(mfq_context *context, const mfq_conv_problem *p, const expanded *x, int64_t images) {
  mfq_onednn_conv c = {.direction = p->direction, .batch = images, .groups = p->groups, .threads = context->threads};
  c.in_channels = p->in_channels;
  c.out_channels = p->out_channels;
  memcpy(c.in, p->in, sizeof c.in);
  memcpy(c.filter, p->filter, sizeof c.filter);
  memcpy(c.out, p->out, sizeof c.out);
  memcpy(c.stride, p->stride, sizeof c.stride);
  memcpy(c.dilation, p->dilation, sizeof c.dilation);
  memcpy(c.padding, p->padding, sizeof c.padding);
  c.from = x->a.dtype;
  c.to = x->is_direct ? p->finish.d.dtype : MFQ_DTYPE_F32;
  return mfq_engine_of_conv(context, &c);
}

/* The engines of whole slabs and of the last one, by their rows or images. */
static mfq_status plan_engines(mfq_context *context, const task *t, expanded *x, size_t *bytes) {
  const int is_weight = t->conv != NULL && t->conv->direction == MFQ_CONV_WEIGHT_GRADIENT;
  const int64_t all = t->conv != NULL ? t->conv->batch : t->gemm->m;
  const int64_t each = t->conv == NULL ? x->rows : is_weight ? all : x->batches / x->unit, rest = all % each;
  x->whole = t->conv != NULL ? conv_engine(context, t->conv, x, each) : product_engine(context, t->gemm, x, each);
  if (x->whole && rest)
    x->rest = t->conv != NULL ? conv_engine(context, t->conv, x, rest) : product_engine(context, t->gemm, x, rest);
  if (!x->whole || (rest && !x->rest)) {
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, create_of(t), "no memory for the plan of a %s",
                    t->conv != NULL ? "convolution" : "product");
  }
  const size_t of_whole = mfq_engine_workspace_bytes(x->whole),
               of_rest = x->rest ? mfq_engine_workspace_bytes(x->rest) : 0;
  x->whole_at = mfq_workspace_take(bytes, t->conv != NULL ? of_whole : mfq_larger_size(of_whole, of_rest));
  x->rest_at = t->conv != NULL ? mfq_workspace_take(bytes, of_rest) : x->whole_at; /* each has its filter */
  return MFQ_OK;
}

static void free_engines(mfq_context *context, void *state) {
  expanded *x = state;
  mfq_engine_free(context, x->rest);
  mfq_engine_free(context, x->whole);
}

static mfq_status plan_memory(const mfq_context *context, const task *t, expanded *x, size_t *bytes) {
  const mfq_dtype dtype = mfq_expanded_dtype(t->a.part, t->b.part, t->round_operands);
  mfq_status status = mfq_expand_plan(context, t->a, dtype, bytes, &x->a);
  if (status == MFQ_OK) status = mfq_expand_plan(context, t->b, dtype, bytes, &x->b);
  x->is_direct = can_write(t, dtype);
  cut(context, t, x);
  if (!x->is_direct) {
    mfq_cpu_finish_plan_make(context, t->finish, bytes, &x->finish);
    const size_t sums = (size_t)(x->batches * x->rows * t->finish->n) * sizeof(float);
    x->sums_at = t->finish->is_d_quantized ? x->finish.values_at : mfq_workspace_take(bytes, sums);
  }
  x->scratch_bytes = mfq_larger_size(x->finish.scratch_bytes, mfq_larger_size(x->a.scratch_bytes, x->b.scratch_bytes));
  x->scratch_at = mfq_workspace_take(bytes, x->scratch_bytes);
  return status;
}

static mfq_status plan(mfq_context *context, const task *t, mfq_choice *choice, mfq_line *why) {
  const char *reason = refuse(context, t);
  if (reason) return mfq_refuse(why, "%s", reason);
  mfq_status status = mfq_choice_state(context, create_of(t), sizeof(expanded), choice);
  if (status != MFQ_OK) return status;
  expanded *x = choice->state;
  status = plan_memory(context, t, x, &choice->workspace_bytes);
  if (status == MFQ_OK) status = plan_engines(context, t, x, &choice->workspace_bytes);
  if (status == MFQ_OK) mfq_choice_describe(choice, "%s", mfq_engine_name(x->whole));
  return status;
}

static mfq_status plan_gemm(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const task t = task_of_gemm(problem);
  return plan(context, &t, choice, why);
}

static mfq_status plan_conv(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const task t = task_of_conv(problem);
  return plan(context, &t, choice, why);
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

/* Where everything is in a run. */
typedef struct running {
  const expanded *x;
  const task *t;
  uint8_t *workspace;
  const uint8_t *a, *b; /* the values */
  mfq_cpu_finish finish;
} running;

static mfq_status prepare(const running *r) {
  const expanded *x = r->x;
  const mfq_status status = mfq_engine_prepare(x->whole, r->b, r->workspace + x->whole_at);
  if (status != MFQ_OK || x->rest == NULL) return status;
  return mfq_engine_prepare(x->rest, r->b, r->workspace + x->rest_at);
}

/* A slab: batches from `batch` on, rows from `row` on. */
static mfq_status sum(const mfq_context *context, const running *r, int64_t batch, int64_t row) {
  const expanded *x = r->x;
  const mfq_finish *f = r->t->finish;
  const int64_t rows = mfq_smaller(f->m - row, x->rows), batches = mfq_smaller(f->batches - batch, x->batches);
  const int64_t size = (int64_t)mfq_dtype_bytes(x->a.dtype), unit = batch / x->unit;
  const uint8_t *a = r->a + (unit * x->a_unit_step + row * x->a_row) * size, *b = r->b + unit * x->b_unit_step * size;
  float *sums = (float *)(void *)(r->workspace + x->sums_at);
  void *to = x->is_direct ? f->d.data : sums;
  const int is_whole = rows == x->rows && batches == x->batches;
  const mfq_status status =
      mfq_engine_run(is_whole ? x->whole : x->rest, a, b, to, r->workspace + (is_whole ? x->whole_at : x->rest_at));
  if (status != MFQ_OK || x->is_direct) return status;
  mfq_cpu_finish_part part = mfq_cpu_finish_dense(f, sums, rows);
  part.first_batch = batch;
  part.batches = batches;
  part.first_row = row;
  mfq_cpu_finish_run(context, &r->finish, &part);
  return MFQ_OK;
}

static mfq_status run_here(mfq_context *context, const void *state, const void *of, uint8_t *memory) {
  const expanded *x = state;
  const task *t = of;
  mfq_context lent = mfq_cpu_lend(context, memory + x->scratch_at, x->scratch_bytes);
  mfq_gemm_side a, b;
  const void *a_values, *b_values;
  mfq_status status = mfq_expand_run(&lent, &x->a, t->a, memory, &a, &a_values);
  if (status == MFQ_OK) status = mfq_expand_run(&lent, &x->b, t->b, memory, &b, &b_values);
  if (status != MFQ_OK) return status;
  running r = {.x = x, .t = t, .workspace = memory, .a = a_values, .b = b_values};
  const mfq_factor_views of_gemm = {&a.view, &b.view};
  const mfq_factor_views views = t->conv != NULL ? mfq_conv_views(t->conv, &a.view, &b.view) : of_gemm;
  if (!x->is_direct) mfq_cpu_finish_open(&lent, &x->finish, t->finish, views, memory, &r.finish);
  status = prepare(&r);
  for (int64_t batch = 0; batch < t->finish->batches && status == MFQ_OK; batch += x->batches)
    for (int64_t row = 0; row < t->finish->m && status == MFQ_OK; row += x->rows) status = sum(&lent, &r, batch, row);
  return status != MFQ_OK || x->is_direct ? status : mfq_cpu_finish_end(&lent, &r.finish);
}

static mfq_status run(mfq_context *context, const expanded *x, const task *t, uint8_t *workspace) {
  const mfq_cpu_run_call call = {run_here, context, x, t, workspace};
  return mfq_cpu_run_led(t->finish->function, mfq_engine_onednn(x->whole), &call);
}

static mfq_status run_gemm(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  const task t = task_of_gemm(problem);
  return run(context, state, &t, workspace);
}

static mfq_status run_conv(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  const task t = task_of_conv(problem);
  return run(context, state, &t, workspace);
}

const mfq_way mfq_gemm_expanded = {.name = "expanded", .plan = plan_gemm, .run = run_gemm, .free = free_engines};
const mfq_way mfq_conv_expanded = {.name = "expanded", .plan = plan_conv, .run = run_conv, .free = free_engines};
