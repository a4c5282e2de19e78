/* host/cpu/product/expanded_product.c: both sides as matrices of bf16 or f32, then a plain product.
 *
 * bf16 where it holds every value of both sides. The product is written to D where nothing is left to do; otherwise its
 * sums go to the workspace, all at once or some rows at a time. */
#include "host/core/error.h"
#include "host/core/integers.h"
#include "host/cpu/cpu_onednn.h"
#include "gemm_cpu.h"
#include "gemm_expand.h"
#include "finish_cpu.h"
#include "product.h"

/* Sums beyond this are made in slabs of rows. Rows of at least so many keep the engine at full speed. */
enum { SLAB_ROWS = 512 };
#define SLAB_BYTES ((int64_t)64 << 20)

typedef struct expanded {
  mfq_expanded_side a, b;
  mfq_cpu_finish_plan finish;
  int is_direct;             /* the engine writes D */
  int64_t batches, rows;     /* of one call of the engine */
  mfq_product *whole, *rest; /* calls with all rows of a slab, and the last one; NULL: none */
  size_t sums_at, engine_at, scratch_at, scratch_bytes;
} expanded;

static const char *refuse(const mfq_context *context, const mfq_gemm_problem *problem) {
  if (context->policy == MFQ_REPRODUCIBLE) return "the context's policy is reproducible";
  if (!mfq_cpu_kernels(context)) return "the context's cpu_isa is reference";
  return problem->k == 0 ? "K is 0" : NULL;
}

/* ---- Planning ----------------------------------------------------------------------------------------------------- */

static mfq_onednn_shape engine_shape(const mfq_context *context, const mfq_gemm_problem *p, const expanded *x,
                                     int64_t rows) {
  mfq_onednn_shape s = {.batches = x->batches, .m = rows, .n = p->n, .k = p->k, .in = x->a.dtype};
  s.threads = context->threads;
  const mfq_matrix *d = &p->finish.d;
  s.out = x->is_direct ? d->dtype : MFQ_DTYPE_F32;
  for (int i = 0; i < 3; ++i) s.a_stride[i] = x->a.stride[i];
  s.b_stride[0] = x->b.stride[0];
  s.b_stride[1] = x->b.stride[2];
  s.b_stride[2] = x->b.stride[1];
  s.d_stride[0] = x->is_direct ? (d->batch_rank ? d->batch_stride[0] : 0) : rows * p->n;
  s.d_stride[1] = x->is_direct ? d->stride[0] : p->n;
  s.d_stride[2] = x->is_direct ? d->stride[1] : 1;
  return s;
}

/* Whether the engine can write D: f32, or bf16 from bf16, with contiguous rows. */
static int can_write(const mfq_gemm_problem *p, mfq_dtype dtype) {
  const mfq_matrix *d = &p->finish.d;
  if (!mfq_finish_is_bare(&p->finish) || d->batch_rank > 1 || (d->stride[1] != 1 && p->n != 1)) return 0;
  return d->dtype == MFQ_DTYPE_F32 || d->dtype == dtype;
}

/* All at once, or a slab of one batch. A quantized D needs all its values. */
static void choose_slab(const mfq_gemm_problem *p, expanded *x) {
  const int64_t row_bytes = p->n * (int64_t)sizeof(float);
  x->batches = p->batches;
  x->rows = p->m;
  if (x->is_direct || p->finish.is_d_quantized || p->batches * p->m * row_bytes <= SLAB_BYTES) return;
  x->batches = 1;
  const int64_t rows = SLAB_BYTES / row_bytes / 64 * 64;
  x->rows = rows < SLAB_ROWS ? SLAB_ROWS : rows;
  if (x->rows > p->m) x->rows = p->m;
}

static mfq_status plan_engine(mfq_context *context, const mfq_gemm_problem *p, expanded *x, size_t *bytes) {
  const int64_t rest = p->m % x->rows;
  const mfq_onednn_shape shape = engine_shape(context, p, x, x->rows), last = engine_shape(context, p, x, rest);
  x->whole = mfq_product_create(context, &shape);
  if (x->whole && rest) x->rest = mfq_product_create(context, &last);
  if (!x->whole || (rest && !x->rest))
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_gemm_plan_create", "no memory for the plan of a product");
  const size_t of_rest = x->rest ? mfq_product_workspace_bytes(x->rest) : 0;
  x->engine_at = mfq_workspace_take(bytes, mfq_larger_size(mfq_product_workspace_bytes(x->whole), of_rest));
  return MFQ_OK;
}

static void free_engines(mfq_context *context, void *state) {
  expanded *x = state;
  mfq_product_free(context, x->rest);
  mfq_product_free(context, x->whole);
}

static mfq_status plan_memory(const mfq_context *context, const mfq_gemm_problem *p, expanded *x, size_t *bytes) {
  const int fits = mfq_gemm_sides_refuse_bf16(&p->a, &p->b) == NULL;
  const mfq_dtype dtype = fits || p->round_operands ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
  mfq_status status = mfq_expand_plan(context, &p->a, dtype, bytes, &x->a);
  if (status == MFQ_OK) status = mfq_expand_plan(context, &p->b, dtype, bytes, &x->b);
  x->is_direct = can_write(p, dtype);
  choose_slab(p, x);
  if (!x->is_direct) {
    mfq_cpu_finish_plan_make(context, &p->finish, bytes, &x->finish);
    x->sums_at = p->finish.is_d_quantized
                     ? x->finish.values_at
                     : mfq_workspace_take(bytes, (size_t)(x->batches * x->rows * p->n) * sizeof(float));
  }
  x->scratch_bytes = mfq_larger_size(x->finish.scratch_bytes, mfq_larger_size(x->a.scratch_bytes, x->b.scratch_bytes));
  x->scratch_at = mfq_workspace_take(bytes, x->scratch_bytes);
  return status;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const char *reason = refuse(context, problem);
  if (reason) return mfq_refuse(why, "%s", reason);
  mfq_status status = mfq_choice_state(context, "mfq_gemm_plan_create", sizeof(expanded), choice);
  if (status != MFQ_OK) return status;
  expanded *x = choice->state;
  status = plan_memory(context, problem, x, &choice->workspace_bytes);
  if (status == MFQ_OK) status = plan_engine(context, problem, x, &choice->workspace_bytes);
  if (status == MFQ_OK) mfq_choice_describe(choice, "%s", mfq_product_name(x->whole));
  return status;
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

/* Where everything is in a run. */
typedef struct running {
  const expanded *x;
  const mfq_gemm_problem *problem;
  uint8_t *workspace;
  const uint8_t *a, *b; /* the matrices */
  mfq_cpu_finish finish;
} running;

/* Some rows: batches from `batch` on, rows from `row` on. */
static mfq_status multiply(const mfq_context *context, const running *r, int64_t batch, int64_t row) {
  const expanded *x = r->x;
  const mfq_gemm_problem *p = r->problem;
  const int64_t left = p->m - row, rows = left < x->rows ? left : x->rows;
  const int64_t size = (int64_t)mfq_dtype_bytes(x->a.dtype);
  const uint8_t *a = r->a + (batch * x->a.stride[0] + row * x->a.stride[1]) * size;
  const uint8_t *b = r->b + batch * x->b.stride[0] * size;
  float *sums = (float *)(void *)(r->workspace + x->sums_at);
  void *d = x->is_direct ? p->finish.d.data : sums;
  const mfq_product *engine = rows == x->rows ? x->whole : x->rest;
  const mfq_status status = mfq_product_run(engine, a, b, d, r->workspace + x->engine_at);
  if (status != MFQ_OK || x->is_direct) return status;
  mfq_cpu_finish_part part = mfq_cpu_finish_dense(&p->finish, sums, rows);
  part.first_batch = batch;
  part.batches = x->batches;
  part.first_row = row;
  mfq_cpu_finish_run(context, &r->finish, &part);
  return MFQ_OK;
}

static mfq_status run_here(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const expanded *x = state;
  const mfq_gemm_problem *p = problem;
  mfq_context lent = mfq_cpu_lend(context, memory + x->scratch_at, x->scratch_bytes);
  mfq_gemm_side a, b;
  const void *a_values, *b_values;
  mfq_status status = mfq_expand_run(&lent, &x->a, &p->a, memory, &a, &a_values);
  if (status == MFQ_OK) status = mfq_expand_run(&lent, &x->b, &p->b, memory, &b, &b_values);
  if (status != MFQ_OK) return status;
  running r = {.x = x, .problem = p, .workspace = memory, .a = a_values, .b = b_values};
  const mfq_factor_views views = {&a.view, &b.view};
  if (!x->is_direct) mfq_cpu_finish_open(&lent, &x->finish, &p->finish, views, memory, &r.finish);
  for (int64_t batch = 0; batch < p->batches; batch += x->batches)
    for (int64_t row = 0; row < p->m; row += x->rows) {
      status = multiply(&lent, &r, batch, row);
      if (status != MFQ_OK) return status;
    }
  return x->is_direct ? MFQ_OK : mfq_cpu_finish_end(&lent, &r.finish);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  const expanded *x = state;
  const mfq_cpu_run_call call = {run_here, context, state, problem, workspace};
  return mfq_cpu_run_led("mfq_gemm_run", mfq_product_onednn(x->whole), &call);
}

const mfq_way mfq_gemm_expanded = {.name = "expanded", .plan = plan, .run = run, .free = free_engines};
