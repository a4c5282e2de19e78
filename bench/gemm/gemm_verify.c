/* bench/gemm/gemm_verify.c: samples of D against sums in double: some rows of A by some of B, which are columns of D. */
#include <string.h>

#include "gemm_bench.h"

enum { SAMPLES = 16, A = 0, B };

/* ---- Values ----------------------------------------------------------------------------------------------------- */

static int samples_of(int64_t size) { return size < SAMPLES ? (int)size : SAMPLES; }

/* The first, the last, and others evenly between. */
static int64_t sample_at(int64_t size, int i) { return size > 1 ? (size - 1) * i / (samples_of(size) - 1) : 0; }

static mfq_status read_rows(const gemm_memory *memory, int side, const mfq_buffer *buffer, mfq_dtype dtype, float *to) {
  const int64_t k = memory->size.k, size = side == A ? memory->size.m : memory->size.n;
  mfq_status status = MFQ_OK;
  for (int i = 0; status == MFQ_OK && i < samples_of(size); ++i)
    status = bench_read_values(buffer, dtype, sample_at(size, i) * k, k, to + i * k);
  return status;
}

int gemm_values_create(const gemm_memory *memory, bench_values *values) {
  const int64_t rows = SAMPLES * memory->size.k, operands[] = {rows, rows};
  const int code = bench_values_create(operands, memory->size.n, values);
  if (code != BENCH_OK) return code;
  mfq_status status = read_rows(memory, A, memory->a.buffer, MFQ_DTYPE_BF16, values->plain[A]);
  if (status == MFQ_OK) status = read_rows(memory, B, memory->b.buffer, MFQ_DTYPE_BF16, values->plain[B]);
  return bench_status(status, "samples of the operands");
}

int gemm_values_scheme(const gemm_memory *memory, bench_values *values) {
  gemm_call call;
  if (memory->scheme->is_plain) return BENCH_OK;
  mfq_status status = gemm_call_make(memory, GEMM_QUANTIZED, 0, &call);
  for (int side = A; status == MFQ_OK && side <= B; ++side) {
    mfq_buffer *wide = NULL;
    status = bench_dequantized(memory->run->context, side == A ? &call.qa : &call.qb, &wide);
    if (status == MFQ_OK) status = read_rows(memory, side, wide, MFQ_DTYPE_F32, values->codes[side]);
    mfq_buffer_destroy(wide);
  }
  return bench_status(status, memory->scheme->text);
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

int gemm_check(const gemm_memory *memory, const bench_values *values, gemm_mode mode, const char *name,
               const char *plan) {
  const int is_plain = mode == GEMM_MODES || memory->scheme->is_plain;
  const float *a = (is_plain || mode == GEMM_WEIGHT_ONLY ? values->plain : values->codes)[A];
  const float *b = (is_plain ? values->plain : values->codes)[B];
  const gemm_size *s = &memory->size;
  char where[64];
  bench_found found = {.name = name, .where = where, .plan = plan, .more = allowed_more(plan)};
  int code = BENCH_OK;
  for (int i = 0; code == BENCH_OK && i < samples_of(s->m); ++i) {
    const int64_t row = sample_at(s->m, i);
    code = bench_status(bench_read_values(memory->d.buffer, memory->out_type, row * s->n, s->n, values->result), name);
    for (int j = 0; code == BENCH_OK && j < samples_of(s->n); ++j) {
      const int64_t col = sample_at(s->n, j);
      bench_sum sum = {0, 0, 0};
      for (int64_t x = 0; x < s->k; ++x) bench_sum_add(&sum, a[i * s->k + x], b[j * s->k + x]);
      found.value = (double)values->result[col];
      (void)snprintf(where, sizeof where, "D[%lld][%lld]", (long long)row, (long long)col);
      code = bench_sum_check(memory->run, &sum, &found);
    }
  }
  return code;
}
