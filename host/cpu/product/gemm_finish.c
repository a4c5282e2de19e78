/* host/cpu/product/gemm_finish.c: factors and bias are read once a run; rows are finished while a thread has them in
 * its cache, and quantized afterwards where the result is. */
#include "gemm_finish.h"

#include "host/core/scheme/lower.h"
#include "host/core/process/team.h"
#include "host/cpu/cast/elements.h"
#include "gemm_expand.h"

enum { SHARE_ELEMENTS = 1 << 14 };

int mfq_finish_is_bare(const mfq_gemm_problem *p) {
  return !p->is_d_quantized && !p->alpha && !p->has_c && !p->has_bias && p->activation == MFQ_ACTIVATION_NONE &&
         !mfq_side_has_factors(&p->a) && !mfq_side_has_factors(&p->b);
}

static int64_t factor_count(const mfq_gemm_side *side) { return side->batches * side->rows; }

void mfq_finish_plan_make(const mfq_context *context, const mfq_gemm_problem *p, size_t *bytes, mfq_finish_plan *plan) {
  memset(plan, 0, sizeof *plan);
  if (mfq_side_has_factors(&p->a)) plan->row_factors = factor_count(&p->a);
  plan->col_factors = mfq_side_has_factors(&p->b) ? factor_count(&p->b) : p->n; /* loops read them in any case */
  plan->row_factors_at = mfq_workspace_take(bytes, (size_t)plan->row_factors * sizeof(float));
  plan->col_factors_at = mfq_workspace_take(bytes, (size_t)plan->col_factors * sizeof(float));
  plan->zeros_at = mfq_workspace_take(bytes, (size_t)p->n * sizeof(float));
  if (p->has_bias) plan->bias_at = mfq_workspace_take(bytes, (size_t)p->n * sizeof(float));
  plan->scratch_bytes = mfq_cpu_d_scratch(context, p);
}

static void read_factors(const mfq_gemm_side *side, float *factors) {
  mfqn_scheme s;
  const int64_t count = factor_count(side);
  const int is_array = side->group == 0 && side->view.q.scheme.scale == MFQ_SCALE_F32 && side->batches == 1 &&
                       side->scale_stride[1] == 1 && side->scale_run[1] == 1;
  if (is_array) {
    memcpy(factors, side->view.q.scales, (size_t)count * sizeof *factors);
    return;
  }
  mfq_lower(&side->view.q.scheme, &s);
  const int is_one = side->scale_stride[0] == 0 && side->scale_stride[1] == 0;
  for (int64_t i = 0; i < count; ++i)
    factors[i] = is_one && i > 0 ? factors[0] : mfq_cpu_side_factor(side, &s, i / side->rows, i % side->rows);
}

static void read_bias(const mfq_tensor *bias, float *values) {
  for (int64_t i = 0; i < bias->shape[0]; ++i)
    values[i] = mfqn_float_of(mfq_element_load(bias->data, bias->dtype, i * bias->strides[0]));
}

void mfq_finish_open(const mfq_finish_plan *plan, const mfq_gemm_problem *p, const mfq_gemm_side *a,
                     const mfq_gemm_side *b, uint8_t *workspace, mfq_finish *f) {
  float *rows = (float *)(void *)(workspace + plan->row_factors_at);
  float *cols = (float *)(void *)(workspace + plan->col_factors_at);
  float *zeros = (float *)(void *)(workspace + plan->zeros_at), *bias = (float *)(void *)(workspace + plan->bias_at);
  memset(zeros, 0, (size_t)p->n * sizeof *zeros);
  if (plan->row_factors) read_factors(a, rows);
  if (mfq_side_has_factors(b))
    read_factors(b, cols);
  else
    for (int64_t i = 0; i < p->n; ++i) cols[i] = 1.0f;
  if (p->has_bias) read_bias(&p->bias, bias);
  f->problem = p;
  f->epilogue = mfq_cpu_epilogue(p);
  f->row_factors = plan->row_factors ? rows : NULL;
  f->col_factors = cols;
  f->zeros = zeros;
  f->bias = p->has_bias ? bias : zeros;
  f->row_batch_step = a->batches > 1 ? p->m : 0;
  f->col_batch_step = mfq_side_has_factors(b) && b->batches > 1 ? p->n : 0;
}

/* `n` elements of a row of a plain matrix, `first` on, as f32 bits. */
static void load_row(const mfq_kernels *kernels, const mfq_matrix *m, int64_t first, int64_t n, uint32_t *x) {
  if (m->stride[1] == 1)
    kernels->load(x, (const uint8_t *)m->data + first * (int64_t)mfq_dtype_bytes(m->dtype), m->dtype, n);
  else
    for (int64_t i = 0; i < n; ++i) x[i] = mfq_element_load(m->data, m->dtype, first + i * m->stride[1]);
}

static void store_row(const mfq_kernels *kernels, const mfq_matrix *m, int64_t first, int64_t n, const uint32_t *x) {
  if (m->stride[1] == 1)
    kernels->store((uint8_t *)m->data + first * (int64_t)mfq_dtype_bytes(m->dtype), m->dtype, x, n);
  else
    for (int64_t i = 0; i < n; ++i) mfq_element_store(m->data, m->dtype, first + i * m->stride[1], x[i]);
}

/* Row `r` of the part's batch `i`. */
static void finish_row(const mfq_kernels *kernels, const mfq_finish *f, const mfq_finish_part *part, int64_t i,
                       int64_t r) {
  const mfq_gemm_problem *p = f->problem;
  const int64_t n = p->n, batch = part->batch0 + i, row = part->row0 + r;
  const int reads_c = p->has_c && f->epilogue.beta != 0.0f;
  const int64_t c_row = reads_c ? mfq_matrix_offset(&p->c, batch) + row * p->c.stride[0] : 0;
  const int64_t d_row = p->is_d_quantized ? 0 : mfq_matrix_offset(&p->d, batch) + row * p->d.stride[0];
  float *sums = part->sums + (i * part->rows + r) * n;
  uint32_t c[MFQ_CHUNK], x[MFQ_CHUNK];
  for (int64_t j = 0; j < n; j += MFQ_CHUNK) {
    const int64_t count = n - j < MFQ_CHUNK ? n - j : MFQ_CHUNK;
    if (reads_c) load_row(kernels, &p->c, c_row + j * p->c.stride[1], count, c);
    const mfq_finish_row from = {
        .sums = sums + j,
        .col_factors = f->col_factors + batch * f->col_batch_step + j,
        .c = reads_c ? (const float *)(const void *)c : f->zeros,
        .bias = f->bias + j,
        .row_factor = f->row_factors ? f->row_factors[batch * f->row_batch_step + row] : 1.0f,
    };
    kernels->finish(&f->epilogue, &from, count, x);
    if (p->is_d_quantized)
      memcpy(sums + j, x, (size_t)count * sizeof *x);
    else
      store_row(kernels, &p->d, d_row + j * p->d.stride[1], count, x);
  }
}

typedef struct finish_work {
  const mfq_kernels *kernels;
  const mfq_finish *finish;
  const mfq_finish_part *part;
} finish_work;

static void finish_rows(void *work, int thread, int64_t first, int64_t end) {
  const finish_work *w = work;
  (void)thread;
  for (int64_t i = first; i < end; ++i)
    finish_row(w->kernels, w->finish, w->part, i / w->part->rows, i % w->part->rows);
}

void mfq_finish_run(const mfq_context *context, const mfq_finish *f, const mfq_finish_part *part) {
  const int64_t rows = part->batches * part->rows;
  mfq_team_run((mfq_loop){mfq_threads_for(context, rows * f->problem->n, SHARE_ELEMENTS), rows, 0}, finish_rows,
               &(finish_work){mfq_cpu_kernels(context), f, part});
}

mfq_status mfq_finish_quantize(mfq_context *lent, const mfq_gemm_problem *problem, float *values) {
  mfq_tensor from;
  const mfq_status status = mfq_gemm_d_values(problem, values, &from);
  return status == MFQ_OK ? mfq_cpu_quantize(lent, &from, &problem->d_view, NULL) : status;
}
