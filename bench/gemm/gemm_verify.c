/* bench/gemm/gemm_verify.c: samples of D against sums in double. */
#include <stdlib.h>
#include <string.h>

#include "gemm_bench.h"
#include "bench/common/sums.h"

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
  mfq_status status = bench_dequantized(memory->run->context, q, &values);
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

/* FP8 on tensor cores of 9.0 keeps 13 bits within an instruction of 32 products, and four of them are added before the
 * sum is promoted to f32. */
static double allowed_more(const char *plan) {
  static const char *const ways[] = {"native", "folded"};
  const size_t chosen = strcspn(plan, ";");
  for (int i = 0; i < 2; ++i) {
    const char *at = strstr(plan, ways[i]);
    if (at != NULL && at < plan + chosen) return 4 * 33 * 0x1p-13;
  }
  return 0;
}

int gemm_sample_check(const gemm_memory *memory, gemm_sample *s, gemm_mode mode, const char *name, const char *plan) {
  const int is_plain = mode == GEMM_MODES || memory->scheme->is_plain;
  const float *a = s->values[is_plain || mode == GEMM_WEIGHT_ONLY ? PLAIN_A : CODES_A];
  const float *b = s->values[is_plain ? PLAIN_B : CODES_B];
  const int64_t k = memory->size.k, n = memory->size.n;
  char where[64];
  bench_found found = {.name = name, .where = where, .plan = plan, .more = allowed_more(plan)};
  int code = BENCH_OK;
  for (int i = 0; code == BENCH_OK && i < s->count[0]; ++i) {
    code = bench_status(bench_read_values(memory->d.buffer, memory->out_type, s->at[0][i] * n, n, s->line), name);
    for (int j = 0; code == BENCH_OK && j < s->count[1]; ++j) {
      bench_sum sum = {0, 0, 0};
      for (int64_t x = 0; x < k; ++x) bench_sum_add(&sum, a[i * k + x], b[j * k + x]);
      found.value = (double)s->line[s->at[1][j]];
      (void)snprintf(where, sizeof where, "D[%lld][%lld]", (long long)s->at[0][i], (long long)s->at[1][j]);
      code = bench_sum_check(memory->run, &sum, &found);
    }
  }
  return code;
}
