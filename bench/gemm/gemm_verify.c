/* bench/gemm/gemm_verify.c: a benchmark of wrong results is worth nothing: samples of D against sums in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_run.h"

enum { SAMPLES = 16 };

typedef enum source { PLAIN_A, PLAIN_B, CODES_A, CODES_B, SOURCES } source;

struct gemm_sample {
  int64_t at[2][SAMPLES]; /* rows of A, and of B, which are columns of D */
  int count[2];
  float *values[SOURCES]; /* [count, k] */
  float *line;            /* one row of D */
};

/* ---- Values ----------------------------------------------------------------------------------------------------- */

static mfq_status read_rows(const gemm_memory *memory, gemm_sample *s, source which, const mfq_buffer *buffer,
                            mfq_dtype dtype) {
  const int side = which == PLAIN_B || which == CODES_B;
  const int64_t k = memory->size.k;
  mfq_status status = MFQ_OK;
  for (int i = 0; status == MFQ_OK && i < s->count[side]; ++i)
    status = bench_read_values(buffer, dtype, s->at[side][i] * k, k, s->values[which] + i * k);
  return status;
}

static mfq_status dequantize_rows(const gemm_memory *memory, gemm_sample *s, source which, const mfq_qtensor *q) {
  mfq_buffer *values = NULL;
  mfq_tensor target;
  mfq_status status = mfq_buffer_create(memory->context, 4 * (size_t)(q->shape[0] * q->shape[1]), &values);
  if (status == MFQ_OK) status = mfq_tensor_init(mfq_buffer_data(values), MFQ_DTYPE_F32, 2, q->shape, &target);
  if (status == MFQ_OK) status = mfq_dequantize(memory->context, q, &target);
  if (status == MFQ_OK) status = read_rows(memory, s, which, values, MFQ_DTYPE_F32);
  mfq_buffer_destroy(values);
  return status;
}

/* The first, the last, and others evenly between. */
static int choose(int64_t size, int64_t at[SAMPLES]) {
  const int count = size < SAMPLES ? (int)size : SAMPLES;
  for (int i = 0; i < count; ++i) at[i] = count > 1 ? (size - 1) * i / (count - 1) : 0;
  return count;
}

int gemm_sample_create(const gemm_memory *memory, gemm_sample **sample) {
  gemm_sample *s = *sample = calloc(1, sizeof **sample);
  if (s == NULL) return bench_error(BENCH_FAILED, "no memory for samples");
  s->count[0] = choose(memory->size.m, s->at[0]);
  s->count[1] = choose(memory->size.n, s->at[1]);
  s->line = malloc((size_t)memory->size.n * sizeof *s->line);
  int has_memory = s->line != NULL;
  for (int i = 0; i < SOURCES; ++i) {
    s->values[i] = malloc((size_t)SAMPLES * (size_t)memory->size.k * sizeof *s->values[i]);
    has_memory = has_memory && s->values[i] != NULL;
  }
  if (!has_memory) return bench_error(BENCH_FAILED, "no memory for samples");
  mfq_status status = read_rows(memory, s, PLAIN_A, memory->a.buffer, MFQ_DTYPE_BF16);
  if (status == MFQ_OK) status = read_rows(memory, s, PLAIN_B, memory->b.buffer, MFQ_DTYPE_BF16);
  return bench_status(status, "samples of the operands");
}

int gemm_sample_scheme(const gemm_memory *memory, gemm_sample *sample) {
  gemm_call call;
  if (memory->scheme->is_plain) return BENCH_OK;
  mfq_status status = gemm_call_make(memory, GEMM_QUANTIZED, 0, &call);
  if (status == MFQ_OK) status = dequantize_rows(memory, sample, CODES_A, &call.qa);
  if (status == MFQ_OK) status = dequantize_rows(memory, sample, CODES_B, &call.qb);
  return bench_status(status, memory->scheme->text);
}

void gemm_sample_destroy(gemm_sample *sample) {
  if (sample == NULL) return;
  for (int i = 0; i < SOURCES; ++i) free(sample->values[i]);
  free(sample->line);
  free(sample);
}

/* ---- Comparison ------------------------------------------------------------------------------------------------- */

/* Largest error of a sum of k products per sum of their magnitudes (docs/numerics.md, "Products"). Sums in f32, any
 * order: n roundings give n u / (1 - n u); the products, both factors and alpha count as well. Tensor cores truncate,
 * which doubles u. FP8 on tensor cores of 9.0 keeps 13 bits within an instruction of 32 products, and four of them are
 * added before the sum is promoted to f32. */
static double relative_bound(const gemm_memory *memory, const char *plan) {
  const double u = memory->settings->device != NULL ? 0x1p-23 : 0x1p-24, n = (double)memory->size.k + 5;
  const double sums = n * u / (1 - n * u);
  const char *chosen_end = strchr(plan, ';');
  const char *native = strstr(plan, "native");
  const int is_native = native != NULL && (chosen_end == NULL || native < chosen_end);
  const char *folded = strstr(plan, "folded");
  const int is_folded = folded != NULL && (chosen_end == NULL || folded < chosen_end);
  return is_native || is_folded ? sums + 4 * 33 * 0x1p-13 : sums;
}

static double rounding_bound(mfq_dtype out, double value) {
  return out == MFQ_DTYPE_F32 ? 0x1p-149 : fabs(value) * 0x1p-8 + 0x1p-133;
}

int gemm_sample_check(const gemm_memory *memory, gemm_sample *s, gemm_mode mode, const char *name, const char *plan) {
  const int is_plain = mode == GEMM_MODES || memory->scheme->is_plain;
  const float *a = s->values[is_plain || mode == GEMM_WEIGHT_ONLY ? PLAIN_A : CODES_A];
  const float *b = s->values[is_plain ? PLAIN_B : CODES_B];
  const int64_t k = memory->size.k, n = memory->size.n;
  const double relative = relative_bound(memory, plan);
  for (int i = 0; i < s->count[0]; ++i) {
    const mfq_status status =
        bench_read_values(memory->d.buffer, memory->settings->out_type, s->at[0][i] * n, n, s->line);
    if (status != MFQ_OK) return bench_status(status, name);
    for (int j = 0; j < s->count[1]; ++j) {
      double sum = 0, magnitude = 0;
      for (int64_t x = 0; x < k; ++x) {
        const double product = (double)a[i * k + x] * (double)b[j * k + x];
        sum += product;
        magnitude += fabs(product);
      }
      const double got = (double)s->line[s->at[1][j]];
      const double bound = relative * magnitude * (1 + 0x1p-8) + rounding_bound(memory->settings->out_type, sum);
      if (!(fabs(got - sum) <= bound))
        return bench_error(BENCH_WRONG,
                           "%s: D[%lld][%lld] is %.9g, the sum of the products is %.9g; allowed are %.3g apart (%s)",
                           name, (long long)s->at[0][i], (long long)s->at[1][j], got, sum, bound, plan);
    }
  }
  return BENCH_OK;
}
