/* host/cpu/product/finish_cpu.c: factors and bias are read once a run; rows are finished while a thread has them in
 * its cache, and a quantized result is made of them afterwards. */
#include "finish_cpu.h"

#include "host/core/problem/gemm_problem.h"
#include "host/core/process/team.h"
#include "host/core/scheme/lower.h"
#include "host/cpu/cast/elements.h"
#include "widen.h"

enum { SHARE_ELEMENTS = 1 << 14 };

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

static int64_t factor_count(const mfq_factors *factors) { return factors->batches * factors->rows; }

/* Scratch memory of quantizing D. */
static size_t scratch_of(const mfq_context *context, const mfq_finish *p) {
  mfq_tensor values;
  if (!p->is_d_quantized || mfq_finish_values(p, NULL, &values) != MFQ_OK) return 0; /* a run fails then */
  return mfq_cpu_quantize_scratch(context, &values, &p->d_view);
}

void mfq_cpu_finish_plan_make(const mfq_context *context, const mfq_finish *p, size_t *bytes,
                              mfq_cpu_finish_plan *plan) {
  memset(plan, 0, sizeof *plan);
  if (mfq_has_factors(&p->a)) plan->row_factors = factor_count(&p->a);
  plan->col_factors = mfq_has_factors(&p->b) ? factor_count(&p->b) : p->n; /* loops read them in any case */
  plan->row_factors_at = mfq_workspace_take(bytes, (size_t)plan->row_factors * sizeof(float));
  plan->col_factors_at = mfq_workspace_take(bytes, (size_t)plan->col_factors * sizeof(float));
  plan->zeros_at = mfq_workspace_take(bytes, (size_t)p->n * sizeof(float));
  if (p->has_bias) plan->bias_at = mfq_workspace_take(bytes, (size_t)p->n * sizeof(float));
  if (p->is_d_quantized) plan->values_at = mfq_workspace_take(bytes, mfq_cpu_finish_sum_bytes(p));
  plan->scratch_bytes = scratch_of(context, p);
}

/* ---- What sums are multiplied by, and what is added --------------------------------------------------------------- */

/* A scale that does not vary within a sum, times the tensor scale of UE4M3. */
static float factor_at(const mfq_factors *f, const mfq_qview *view, const mfqn_scheme *s, int64_t batch, int64_t row) {
  const float tensor_scale = mfq_tensor_scale_get(view);
  if (!f->has_scales) return tensor_scale;
  const int64_t index = (f->batches == 1 ? 0 : batch / f->run[0] * f->stride[0]) + row / f->run[1] * f->stride[1];
  return mfqn_mul(mfqn_group_load(s, mfq_scale_get(view, index), 1.0f).scale, tensor_scale);
}

static void read_factors(const mfq_factors *f, const mfq_qview *view, float *factors) {
  mfqn_scheme s;
  const int64_t count = factor_count(f);
  const int is_array =
      f->has_scales && view->q.scheme.scale == MFQ_SCALE_F32 && f->batches == 1 && f->stride[1] == 1 && f->run[1] == 1;
  if (is_array) {
    memcpy(factors, view->q.scales, (size_t)count * sizeof *factors);
    return;
  }
  mfq_lower(&view->q.scheme, &s);
  const int is_one = f->stride[0] == 0 && f->stride[1] == 0;
  for (int64_t i = 0; i < count; ++i)
    factors[i] = is_one && i > 0 ? factors[0] : factor_at(f, view, &s, i / f->rows, i % f->rows);
}

static void read_bias(const mfq_tensor *bias, float *values) {
  for (int64_t i = 0; i < bias->shape[0]; ++i)
    values[i] = mfqn_float_of(mfq_element_load(bias->data, bias->dtype, i * bias->strides[0]));
}

static mfqn_finish settings_of(const mfq_finish *p) {
  return (mfqn_finish){.has_c = p->has_c,
                       .has_bias = p->has_bias,
                       .activation = (int32_t)p->activation,
                       .alpha = p->alpha ? *p->alpha : 1.0f,
                       .beta = p->beta ? *p->beta : 1.0f};
}

void mfq_cpu_finish_open(const mfq_context *context, const mfq_cpu_finish_plan *plan, const mfq_finish *p,
                         mfq_factor_views views, uint8_t *workspace, mfq_cpu_finish *f) {
  float *rows = (float *)(void *)(workspace + plan->row_factors_at);
  float *cols = (float *)(void *)(workspace + plan->col_factors_at);
  float *zeros = (float *)(void *)(workspace + plan->zeros_at), *bias = (float *)(void *)(workspace + plan->bias_at);
  memset(zeros, 0, (size_t)p->n * sizeof *zeros);
  if (plan->row_factors) read_factors(&p->a, views.a, rows);
  if (mfq_has_factors(&p->b))
    read_factors(&p->b, views.b, cols);
  else
    for (int64_t i = 0; i < p->n; ++i) cols[i] = 1.0f;
  if (p->has_bias) read_bias(&p->bias, bias);
  f->problem = p;
  f->kernels = mfq_cpu_kernels(context) ? mfq_cpu_kernels(context) : &mfq_kernels_baseline;
  f->settings = settings_of(p);
  f->row_factors = plan->row_factors ? rows : NULL;
  f->col_factors = cols;
  f->zeros = zeros;
  f->bias = p->has_bias ? bias : zeros;
  f->values = (float *)(void *)(workspace + plan->values_at);
  f->row_batch_step = p->a.batches > 1 ? p->m : 0;
  f->col_batch_step = mfq_has_factors(&p->b) && p->b.batches > 1 ? p->n : 0;
}

/* ---- Sums to D ---------------------------------------------------------------------------------------------------- */

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

/* Row `r` of batch `i` of a part. */
static void finish_row(const mfq_cpu_finish *f, const mfq_cpu_finish_part *part, int64_t i, int64_t r) {
  const mfq_finish *p = f->problem;
  const int64_t batch = part->first_batch + i, row = part->first_row + r;
  const int reads_c = p->has_c && f->settings.beta != 0.0f;
  const int64_t c_row = reads_c ? mfq_matrix_offset(&p->c, batch) + row * p->c.stride[0] : 0;
  const int64_t d_row = p->is_d_quantized ? 0 : mfq_matrix_offset(&p->d, batch) + row * p->d.stride[0];
  const float *sums = part->sums + i * part->batch_stride + r * part->row_stride;
  uint32_t c[MFQ_CHUNK], x[MFQ_CHUNK];
  for (int64_t j = 0; j < part->cols; j += MFQ_CHUNK) {
    const int64_t col = part->first_col + j, left = part->cols - j, count = left < MFQ_CHUNK ? left : MFQ_CHUNK;
    if (reads_c) load_row(f->kernels, &p->c, c_row + col * p->c.stride[1], count, c);
    const mfq_finish_row from = {
        .sums = sums + j,
        .col_factors = f->col_factors + batch * f->col_batch_step + col,
        .c = reads_c ? (const float *)(const void *)c : f->zeros,
        .bias = f->bias + col,
        .row_factor = f->row_factors ? f->row_factors[batch * f->row_batch_step + row] : 1.0f,
    };
    f->kernels->finish(&f->settings, &from, count, x);
    if (p->is_d_quantized)
      memcpy(f->values + (batch * p->m + row) * p->n + col, x, (size_t)count * sizeof *x);
    else
      store_row(f->kernels, &p->d, d_row + col * p->d.stride[1], count, x);
  }
}

void mfq_cpu_finish_rows(const mfq_cpu_finish *f, const mfq_cpu_finish_part *part, int64_t first, int64_t end) {
  for (int64_t i = first; i < end; ++i) finish_row(f, part, i / part->rows, i % part->rows);
}

typedef struct finish_work {
  const mfq_cpu_finish *finish;
  const mfq_cpu_finish_part *part;
} finish_work;

static void finish_rows(void *work, int thread, int64_t first, int64_t end) {
  const finish_work *w = work;
  (void)thread;
  mfq_cpu_finish_rows(w->finish, w->part, first, end);
}

void mfq_cpu_finish_run(const mfq_context *context, const mfq_cpu_finish *f, const mfq_cpu_finish_part *part) {
  const int64_t rows = part->batches * part->rows;
  mfq_team_run((mfq_loop){mfq_threads_for(context, rows * part->cols, SHARE_ELEMENTS), rows, 0}, finish_rows,
               &(finish_work){f, part});
}

mfq_status mfq_cpu_finish_end(mfq_context *lent, const mfq_cpu_finish *f) {
  mfq_tensor from;
  if (!f->problem->is_d_quantized) return MFQ_OK;
  const mfq_status status = mfq_finish_values(f->problem, f->values, &from);
  return status == MFQ_OK ? mfq_cpu_quantize(lent, &from, &f->problem->d_view) : status;
}
