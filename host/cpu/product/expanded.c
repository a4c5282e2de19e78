/* host/cpu/product/expanded.c: both operands as dense arrays of bf16 or f32, then plain sums by an engine: the way of
 * products and of convolutions, which are implicit products.
 *
 * Engine and type are chosen together, the cheapest first; bf16 only where it holds every value of both. The engine writes
 * the result where nothing is left to do; otherwise its sums go to the workspace, all at once or in slabs: of a matrix, or
 * images, where those are channels of pixels. Of large operands no more is made at a time than a cache holds. */
#include <stdio.h>

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

/* Of operands that are made, and their sums, a product keeps at most this at a time, or one part in LARGE_PARTS of the
 * larger one in f32: half of it for B, a quarter each for A and the sums; or half for all of A. Blocks of so many rows or columns keep the
 * engine busy. */
enum { LARGE_PARTS = 8, BLOCK = 64, LEAST = 16 };
#define LARGE_BYTES ((int64_t)4 << 20)

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

/* Slabs have `unit` batches each or several, or rows and columns of one batch. */
typedef struct expanded {
  mfq_expanded a, b;
  mfq_cpu_finish_plan finish;
  int is_direct;                                  /* the engine writes D */
  int64_t unit;                                   /* batches of the finish for one of the engine, or for an image */
  int64_t batches, rows, cols;                    /* of one call of the engine; the last ones may have less */
  int64_t a_unit_step, a_row, b_unit_step, b_col; /* elements from a unit to the next, and from a row or column */
  mfq_engine *engine[2][2];                       /* by rows or images, and columns: all of a slab, or the last ones */
  size_t engine_at[2], sums_at, scratch_at, scratch_bytes;
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

/* Bytes of the values that are made of an operand. */
static int64_t bytes_of(const mfq_expanded *e, const mfq_gemm_side *side) {
  if (e->how == MFQ_EXPANSION_IN_PLACE) return 0;
  return side->batches * side->rows * side->depth * (int64_t)mfq_dtype_bytes(e->dtype);
}

/* Of a batch: many small ones stay together. One for several batches is made once. */
static int is_large(const mfq_expanded *e, const mfq_gemm_side *side, int64_t batches, int64_t most) {
  const int is_shared = side->batches == 1 && batches > 1;
  return mfq_expand_can_cut(e) && !is_shared && bytes_of(e, side) / mfq_larger(side->batches, 1) > most;
}

/* About equal parts of `count`, in blocks, of which none is more than `most` where that leaves enough. */
static int64_t part_of(int64_t count, int64_t most) {
  if (most < BLOCK) return mfq_smaller(count, most < LEAST ? LEAST : most / LEAST * LEAST);
  const int64_t parts = mfq_ceil_div(count, most / BLOCK * BLOCK);
  return mfq_smaller(count, mfq_round_up(mfq_ceil_div(count, parts), BLOCK));
}

/* All at once; or, of operands that are large, some rows and columns of a batch; or rows, for the sums' sake. */
static void cut_product(const mfq_gemm_problem *p, expanded *x) {
  const int64_t width = (int64_t)mfq_dtype_bytes(x->a.dtype), size = (int64_t)sizeof(float);
  const int64_t larger = mfq_larger(p->a.batches * p->a.rows, p->b.batches * p->b.rows) * p->k;
  const int64_t most = mfq_larger(LARGE_BYTES, larger * size / LARGE_PARTS);
  const int cuts_b = is_large(&x->b, &p->b, p->batches, most / 2);
  const int cuts_a = is_large(&x->a, &p->a, p->batches, most / 2) && (cuts_b || p->a.kind != MFQ_SIDE_PLAIN);
  const int is_narrowed = x->is_direct && p->finish.d.dtype != MFQ_DTYPE_F32; /* the engine has sums of its own */
  const int is_crowded = is_narrowed || (!cuts_a && bytes_of(&x->a, &p->a) > most / 4);
  const int64_t for_b = is_crowded ? most / 4 : most / 2;
  const int has_sums = !x->is_direct && !p->finish.is_d_quantized;
  if (cuts_b) x->cols = part_of(p->n, for_b / (p->k * width));
  if (cuts_a) x->rows = part_of(p->m, most / 4 / (p->k * width));
  if (cuts_a || cuts_b) x->batches = 1;
  const int64_t sums = cuts_a || cuts_b ? most / 4 : SLAB_BYTES, row = x->cols * size;
  if (has_sums && x->batches * x->rows * row > sums) {
    x->batches = 1;
    x->rows = mfq_smaller(mfq_larger(sums / row / BLOCK * BLOCK, cuts_a || cuts_b ? BLOCK : SLAB_ROWS), x->rows);
  }
  x->a.cut = cuts_a ? x->rows : 0;
  x->b.cut = cuts_b ? x->cols : 0;
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
  x->cols = t->finish->n;
  if (t->conv != NULL)
    cut_images(context, t->conv, x);
  else
    cut_product(t->gemm, x);
}

/* Where sums of a slab go: their own place, or that of all values of a quantized D. */
static mfq_cpu_finish_part sums_of(const mfq_finish *f, float *sums, int64_t rows, int64_t cols) {
  mfq_cpu_finish_part part = {.sums = sums, .rows = rows, .cols = cols, .row_stride = cols};
  if (f->is_d_quantized) part.row_stride = f->n;
  part.batch_stride = f->is_d_quantized ? f->m * f->n : rows * cols;
  return part;
}

/* ---- Planning ----------------------------------------------------------------------------------------------------- */

/* Whether the engine can write D: f32, or bf16 from bf16, with contiguous rows. */
static int can_write(const task *t, mfq_dtype from) {
  const mfq_matrix *d = &t->finish->d;
  const int is_there = t->conv != NULL ? mfq_conv_side_is_dense(mfq_conv_result(t->conv))
                                       : d->batch_rank <= 1 && (d->stride[1] == 1 || t->gemm->n == 1);
  return mfq_finish_is_bare(t->finish) && is_there && (d->dtype == MFQ_DTYPE_F32 || d->dtype == from);
}

/* How a product and its memory are planned for an engine. */
typedef struct planning {
  mfq_context *context;
  const task *task;
  mfq_cpu_engine which;
  mfq_line *why; /* what it does not take */
} planning;

static mfq_engine *product_engine(const planning *g, const expanded *x, int64_t rows, int64_t cols) {
  const mfq_gemm_problem *p = g->task->gemm;
  const mfq_matrix *d = &p->finish.d;
  const mfq_cpu_finish_part sums = sums_of(&p->finish, NULL, rows, cols);
  mfq_onednn_shape s = {.batches = x->batches, .m = rows, .n = cols, .k = p->k, .in = x->a.dtype};
  int64_t b[3];
  s.threads = g->context->threads;
  s.out = x->is_direct ? d->dtype : MFQ_DTYPE_F32;
  mfq_expand_strides(&x->a, g->task->a, rows, s.a_stride);
  mfq_expand_strides(&x->b, g->task->b, cols, b);
  s.b_stride[0] = b[0];
  s.b_stride[1] = b[2];
  s.b_stride[2] = b[1];
  s.d_stride[0] = x->is_direct ? (d->batch_rank ? d->batch_stride[0] : 0) : sums.batch_stride;
  s.d_stride[1] = x->is_direct ? d->stride[0] : sums.row_stride;
  s.d_stride[2] = x->is_direct ? d->stride[1] : 1;
  return mfq_engine_of_product(g->context, &s, g->which, g->why);
}

static mfq_engine *conv_engine(const planning *g, const expanded *x, int64_t images) {
  const mfq_conv_problem *p = g->task->conv;
  mfq_onednn_conv c = {.direction = p->direction, .batch = images, .groups = p->groups, .threads = g->context->threads};
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
  return mfq_engine_of_conv(g->context, &c, g->which, g->why);
}

/* The engines of whole slabs and of the last ones. Returns 0 where one is not to be had. */
static int plan_engines(const planning *g, expanded *x, size_t *bytes) {
  const task *t = g->task;
  const int is_weight = t->conv != NULL && t->conv->direction == MFQ_CONV_WEIGHT_GRADIENT;
  const int64_t all = t->conv != NULL ? t->conv->batch : t->gemm->m;
  const int64_t each = t->conv == NULL ? x->rows : is_weight ? all : x->batches / x->unit;
  const int64_t sizes[2][2] = {{each, x->cols}, {all % each, t->finish->n % x->cols}};
  size_t most = 0;
  for (int i = 0; i < 4; ++i) {
    const int64_t rows = sizes[i / 2][0], cols = sizes[i % 2][1];
    if (rows == 0 || cols == 0) continue;
    mfq_engine *e = t->conv != NULL ? conv_engine(g, x, rows) : product_engine(g, x, rows, cols);
    if (e == NULL) return 0;
    x->engine[i / 2][i % 2] = e;
    most = mfq_larger_size(most, mfq_engine_workspace_bytes(e));
    if (t->conv != NULL) x->engine_at[i / 2] = mfq_workspace_take(bytes, mfq_engine_workspace_bytes(e));
  }
  if (t->conv == NULL) x->engine_at[0] = x->engine_at[1] = mfq_workspace_take(bytes, most);
  return 1; /* of a convolution each has its filter */
}

static void free_engines(mfq_context *context, void *state) {
  expanded *x = state;
  for (int i = 0; i < 4; ++i) mfq_engine_free(context, x->engine[i / 2][i % 2]);
}

static mfq_status plan_memory(const planning *g, expanded *x, size_t *bytes) {
  const task *t = g->task;
  const mfq_dtype dtype = mfq_engine_dtype(g->which);
  mfq_status status = mfq_expand_plan(g->context, t->a, dtype, &x->a);
  if (status == MFQ_OK) status = mfq_expand_plan(g->context, t->b, dtype, &x->b);
  x->a_unit_step = x->a.stride[0];
  x->a_row = x->a.stride[1];
  x->b_unit_step = x->b.stride[0];
  x->b_col = x->b.stride[1];
  x->is_direct = can_write(t, dtype);
  cut(g->context, t, x);
  mfq_expand_take(t->a, x->a.cut, bytes, &x->a);
  mfq_expand_take(t->b, x->b.cut, bytes, &x->b);
  if (!x->is_direct) {
    mfq_cpu_finish_plan_make(g->context, t->finish, bytes, &x->finish);
    const size_t sums = (size_t)(x->batches * x->rows * x->cols) * sizeof(float);
    x->sums_at = t->finish->is_d_quantized ? x->finish.values_at : mfq_workspace_take(bytes, sums);
  }
  x->scratch_bytes = mfq_larger_size(x->finish.scratch_bytes, mfq_larger_size(x->a.scratch_bytes, x->b.scratch_bytes));
  x->scratch_at = mfq_workspace_take(bytes, x->scratch_bytes);
  return status;
}

static mfq_cpu_work work_of(const task *t) {
  static const mfq_cpu_work by_direction[] = {[MFQ_CONV_FORWARD] = MFQ_WORK_FORWARD,
                                              [MFQ_CONV_INPUT_GRADIENT] = MFQ_WORK_INPUT_GRADIENT,
                                              [MFQ_CONV_WEIGHT_GRADIENT] = MFQ_WORK_WEIGHT_GRADIENT};
  const mfq_conv_problem *p = t->conv;
  if (p == NULL) {
    const int64_t smaller = mfq_smaller(t->gemm->m, t->gemm->n) * t->k * (int64_t)sizeof(float);
    return smaller >= LARGE_BYTES ? MFQ_WORK_LARGE_PRODUCT : MFQ_WORK_PRODUCT;
  }
  if (p->groups > 1 && p->in_channels == 1 && p->out_channels == 1 && p->direction != MFQ_CONV_WEIGHT_GRADIENT)
    return MFQ_WORK_DEPTHWISE;
  if (mfq_smaller(p->in_channels, p->out_channels) <= MFQ_NARROW_CHANNELS) return MFQ_WORK_NARROW;
  return by_direction[p->direction];
}

static void describe(const expanded *x, const char *why, mfq_choice *choice) {
  const mfq_engine *e = x->engine[0][0];
  const int says_why = mfq_engine_onednn(e) == NULL && why[0] != '\0';
  char slabs[80] = "";
  if (x->a.cut > 0 || x->b.cut > 0)
    (void)snprintf(slabs, sizeof slabs, ", in slabs of %lld x %lld", (long long)x->rows, (long long)x->cols);
  mfq_choice_describe(choice, "%s%s%s%s", mfq_engine_name(e), slabs, says_why ? ": " : "", says_why ? why : "");
}

/* Asks one engine after the other, the cheapest first; our own take everything. */
static mfq_status plan(mfq_context *context, const task *t, mfq_choice *choice, mfq_line *why) {
  const char *reason = refuse(context, t);
  if (reason) return mfq_refuse(why, "%s", reason);
  mfq_status status = mfq_choice_state(context, create_of(t), sizeof(expanded), choice);
  if (status != MFQ_OK) return status;
  expanded *x = choice->state;
  const mfq_dtype best = mfq_expanded_dtype(t->a.part, t->b.part, t->round_operands);
  mfq_cpu_engine order[MFQ_ENGINES];
  mfq_line lacks = {""}, refused = {""};
  mfq_engine_order(context, work_of(t), order);
  for (int i = 0; i < MFQ_ENGINES; ++i) {
    const planning g = {context, t, order[i], &lacks};
    size_t bytes = 0;
    if (mfq_engine_dtype(order[i]) == MFQ_DTYPE_BF16 && best != MFQ_DTYPE_BF16) continue;
    free_engines(context, x);
    memset(x, 0, sizeof *x);
    status = plan_memory(&g, x, &bytes);
    if (status != MFQ_OK) return status;
    if (plan_engines(&g, x, &bytes)) {
      choice->workspace_bytes = bytes;
      describe(x, refused.text, choice);
      return MFQ_OK;
    }
    if (lacks.text[0] == '\0') break;
    refused = lacks;
  }
  return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, create_of(t), "no memory for the plan of a %s",
                  t->conv != NULL ? "convolution" : "product");
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
  mfq_gemm_side ready_a, ready_b;
  const uint8_t *a, *b; /* the values */
  mfq_cpu_finish finish;
} running;

static mfq_status prepare(const running *r) {
  const expanded *x = r->x;
  mfq_status status = MFQ_OK;
  for (int i = 0; i < 2 && status == MFQ_OK; ++i)
    if (x->engine[i][0] != NULL) status = mfq_engine_prepare(x->engine[i][0], r->b, r->workspace + x->engine_at[i]);
  return status;
}

/* A slab: batches, rows and columns from these on. */
typedef struct slab {
  int64_t batch, row, col;
} slab;

/* Its values of an operand, from the row or column `first` on. */
static const uint8_t *values_of(const mfq_expanded *e, const uint8_t *values, int64_t at) {
  return e->cut > 0 ? values : values + at * (int64_t)mfq_dtype_bytes(e->dtype);
}

static void *direct_place(const mfq_finish *f, slab at) {
  const mfq_matrix *d = &f->d;
  const int64_t place = mfq_matrix_offset(d, at.batch) + at.row * d->stride[0] + at.col * d->stride[1];
  return (uint8_t *)d->data + place * (int64_t)mfq_dtype_bytes(d->dtype);
}

static mfq_status sum(const mfq_context *context, const running *r, slab at) {
  const expanded *x = r->x;
  const mfq_finish *f = r->t->finish;
  const int64_t rows = mfq_smaller(f->m - at.row, x->rows), batches = mfq_smaller(f->batches - at.batch, x->batches);
  const int64_t cols = mfq_smaller(f->n - at.col, x->cols), unit = at.batch / x->unit;
  const uint8_t *a = values_of(&x->a, r->a, unit * x->a_unit_step + at.row * x->a_row);
  const uint8_t *b = values_of(&x->b, r->b, unit * x->b_unit_step + at.col * x->b_col);
  float *sums = (float *)(void *)(r->workspace + x->sums_at);
  if (f->is_d_quantized) sums += (at.batch * f->m + at.row) * f->n + at.col;
  const int is_last = rows != x->rows || batches != x->batches;
  const mfq_engine *engine = x->engine[is_last][cols != x->cols];
  const mfq_status status =
      mfq_engine_run(engine, a, b, x->is_direct ? direct_place(f, at) : sums, r->workspace + x->engine_at[is_last]);
  if (status != MFQ_OK || x->is_direct) return status;
  mfq_cpu_finish_part part = sums_of(f, sums, rows, cols);
  part.first_batch = at.batch;
  part.batches = batches;
  part.first_row = at.row;
  part.first_col = at.col;
  mfq_cpu_finish_run(context, &r->finish, &part);
  return MFQ_OK;
}

/* Columns of one slab, and all rows: the rows of B that they are, and then those of A. */
static mfq_status sum_columns(mfq_context *lent, running *r, slab at) {
  const expanded *x = r->x;
  const mfq_finish *f = r->t->finish;
  mfq_status status = MFQ_OK;
  if (x->b.cut > 0) {
    const int64_t batch = r->ready_b.batches > 1 ? at.batch : 0;
    mfq_expand_rows(lent, &x->b, &r->ready_b, (mfq_side_rows){batch, at.col, mfq_smaller(f->n - at.col, x->cols)},
                    r->workspace);
  }
  for (at.row = 0; at.row < f->m && status == MFQ_OK; at.row += x->rows) {
    const int64_t batch = r->ready_a.batches > 1 ? at.batch : 0;
    if (x->a.cut > 0)
      mfq_expand_rows(lent, &x->a, &r->ready_a, (mfq_side_rows){batch, at.row, mfq_smaller(f->m - at.row, x->rows)},
                      r->workspace);
    status = sum(lent, r, at);
  }
  return status;
}

static mfq_status run_here(mfq_context *context, const void *state, const void *of, uint8_t *memory) {
  const expanded *x = state;
  const task *t = of;
  mfq_context lent = mfq_cpu_lend(context, memory + x->scratch_at, x->scratch_bytes);
  running r = {.x = x, .t = t, .workspace = memory};
  const void *a_values, *b_values;
  mfq_status status = mfq_expand_run(&lent, &x->a, t->a, memory, &r.ready_a, &a_values);
  if (status == MFQ_OK) status = mfq_expand_run(&lent, &x->b, t->b, memory, &r.ready_b, &b_values);
  if (status != MFQ_OK) return status;
  r.a = a_values;
  r.b = b_values;
  const mfq_factor_views of_gemm = {&r.ready_a.view, &r.ready_b.view};
  const mfq_factor_views views = t->conv != NULL ? mfq_conv_views(t->conv, of_gemm.a, of_gemm.b) : of_gemm;
  if (!x->is_direct) mfq_cpu_finish_open(&lent, &x->finish, t->finish, views, memory, &r.finish);
  status = prepare(&r);
  for (int64_t batch = 0; batch < t->finish->batches && status == MFQ_OK; batch += x->batches)
    for (int64_t col = 0; col < t->finish->n && status == MFQ_OK; col += x->cols)
      status = sum_columns(&lent, &r, (slab){batch, 0, col});
  return status != MFQ_OK || x->is_direct ? status : mfq_cpu_finish_end(&lent, &r.finish);
}

static mfq_status run(mfq_context *context, const expanded *x, const task *t, uint8_t *workspace) {
  const mfq_cpu_run_call call = {run_here, context, x, t, workspace};
  return mfq_cpu_run_led(t->finish->function, mfq_engine_onednn(x->engine[0][0]), &call);
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
