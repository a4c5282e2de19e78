/* bench/support/gemm_memory.c: operands on the context's device, in slots that launches go through in turn. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <unistd.h>

#include "gemm_run.h"

enum { MIN_SLOTS = 2, MAX_SLOTS = 256, LARGEST_L2_OF_A_GPU = 60 << 20, UNKNOWN_L3 = 32 << 20 };

static double cache_bytes(const gemm_settings *settings) {
  if (settings->device != NULL) return LARGEST_L2_OF_A_GPU;
#if defined(_SC_LEVEL3_CACHE_SIZE)
  const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (bytes > 0) return (double)bytes;
#endif
  return UNKNOWN_L3;
}

static int slots_create(const gemm_memory *memory, size_t bytes, gemm_slots *slots) {
  const size_t rounded = (bytes + 255) / 256 * 256;
  const double wanted = 4 * cache_bytes(memory->settings) / (double)rounded + 1;
  const int most = bench_is_emulated(memory->context) ? MIN_SLOTS : MAX_SLOTS;
  const int count = wanted > most ? most : wanted < MIN_SLOTS ? MIN_SLOTS : (int)wanted;
  *slots = (gemm_slots){.bytes = rounded, .count = count};
  mfq_status status = mfq_buffer_create(memory->context, rounded * (size_t)count, &slots->buffer);
  if (status == MFQ_OK) status = mfq_buffer_fill(slots->buffer, 0, rounded * (size_t)count, 0);
  return bench_status(status, "memory for operands");
}

static void slots_destroy(gemm_slots *slots) {
  mfq_buffer_destroy(slots->buffer);
  *slots = (gemm_slots){0};
}

uint8_t *gemm_slot(const gemm_slots *slots, int turn) {
  return (uint8_t *)mfq_buffer_data(slots->buffer) + slots->bytes * (size_t)(turn % slots->count);
}

/* Copies the first slot to the others. */
static mfq_status slots_spread(const gemm_slots *slots) {
  mfq_status status = MFQ_OK;
  for (int i = 1; status == MFQ_OK && i < slots->count; i++)
    status = mfq_buffer_copy(slots->buffer, slots->bytes * (size_t)i, slots->buffer, 0, slots->bytes);
  return status;
}

static int slots_random(const gemm_memory *memory, int64_t count, int64_t seed, gemm_slots *slots) {
  const size_t bytes = 2 * (size_t)count;
  int code = slots_create(memory, bytes, slots);
  uint16_t *host = code == BENCH_OK ? malloc(bytes) : NULL;
  if (code == BENCH_OK && host == NULL) code = bench_error(BENCH_FAILED, "no memory for %zu bytes", bytes);
  if (code != BENCH_OK) return code;
  bench_fill_normal(host, MFQ_DTYPE_BF16, count, (uint64_t)seed, memory->settings->threads);
  mfq_status status = mfq_buffer_write(slots->buffer, 0, host, bytes);
  if (status == MFQ_OK) status = slots_spread(slots);
  if (status == MFQ_OK) status = mfq_context_synchronize(memory->context);
  free(host);
  return bench_status(status, "random operands");
}

int gemm_memory_create(const gemm_settings *settings, mfq_context *context, gemm_size size, gemm_memory *memory) {
  *memory = (gemm_memory){.settings = settings, .context = context, .size = size};
  int code = slots_random(memory, size.m * size.k, settings->seed, &memory->a);
  if (code == BENCH_OK) code = slots_random(memory, size.n * size.k, settings->seed + 1, &memory->b);
  if (code == BENCH_OK)
    code = slots_create(memory, mfq_dtype_bytes(settings->out) * (size_t)(size.m * size.n), &memory->d);
  return code;
}

void gemm_memory_destroy(gemm_memory *memory) {
  slots_destroy(&memory->a);
  slots_destroy(&memory->b);
  slots_destroy(&memory->d);
  slots_destroy(&memory->qa);
  slots_destroy(&memory->qb);
  mfq_buffer_destroy(memory->workspace);
  memory->workspace = NULL;
}

int gemm_memory_workspace(gemm_memory *memory, size_t bytes) {
  if (bytes <= mfq_buffer_bytes(memory->workspace)) return BENCH_OK;
  mfq_buffer_destroy(memory->workspace);
  memory->workspace = NULL;
  return bench_status(mfq_buffer_create(memory->context, bytes, &memory->workspace), "workspace");
}

/* ---- Quantized operands ----------------------------------------------------------------------------------------- */

static void *take(uint8_t *base, size_t *used, size_t bytes) {
  uint8_t *at = base != NULL && bytes > 0 ? base + *used : NULL;
  *used += (bytes + 255) / 256 * 256;
  return at;
}

/* `base` NULL: only how many bytes are used. */
static mfq_status place(const mfq_scheme *scheme, int64_t rows, int64_t depth, uint8_t *base, mfq_qtensor *q,
                        size_t *used) {
  const int64_t shape[] = {rows, depth};
  mfq_qtensor_sizes sizes;
  mfq_status status = mfq_qtensor_init(scheme, 2, shape, NULL, q);
  if (status == MFQ_OK) status = mfq_qtensor_sizes_get(q, &sizes);
  if (status != MFQ_OK) return status;
  *used = 0;
  q->codes = take(base, used, sizes.codes_bytes);
  q->scales = take(base, used, sizes.scales_bytes);
  q->zero_points = take(base, used, sizes.zero_points_bytes);
  q->tensor_scale = take(base, used, sizes.tensor_scale_bytes);
  return MFQ_OK;
}

static int quantize(const gemm_memory *memory, const gemm_slots *plain, int64_t rows, gemm_slots *slots) {
  const int64_t shape[] = {rows, memory->size.k};
  size_t used;
  mfq_qtensor q;
  mfq_tensor source;
  mfq_status status = place(&memory->scheme->scheme, rows, memory->size.k, NULL, &q, &used);
  if (status != MFQ_OK) return bench_status(status, memory->scheme->text);
  slots_destroy(slots);
  const int code = slots_create(memory, used, slots);
  if (code != BENCH_OK) return code;
  status = place(&memory->scheme->scheme, rows, memory->size.k, gemm_slot(slots, 0), &q, &used);
  if (status == MFQ_OK) status = mfq_tensor_init(gemm_slot(plain, 0), MFQ_DTYPE_BF16, 2, shape, &source);
  if (status == MFQ_OK) status = mfq_quantize(memory->context, &source, &q, NULL);
  if (status == MFQ_OK) status = slots_spread(slots);
  return bench_status(status, memory->scheme->text);
}

int gemm_memory_quantize(gemm_memory *memory, const gemm_scheme *scheme) {
  memory->scheme = scheme;
  if (scheme->is_plain) return BENCH_OK;
  const int code = quantize(memory, &memory->a, memory->size.m, &memory->qa);
  return code == BENCH_OK ? quantize(memory, &memory->b, memory->size.n, &memory->qb) : code;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

mfq_status gemm_call_plain(const gemm_memory *memory, int turn, gemm_call *call) {
  const gemm_size *s = &memory->size;
  const int64_t a[] = {s->m, s->k}, b[] = {s->n, s->k}, d[] = {s->m, s->n};
  mfq_gemm_init(&call->gemm);
  mfq_status status = mfq_tensor_init(gemm_slot(&memory->a, turn), MFQ_DTYPE_BF16, 2, a, &call->a);
  if (status == MFQ_OK) status = mfq_tensor_init(gemm_slot(&memory->b, turn), MFQ_DTYPE_BF16, 2, b, &call->b);
  if (status == MFQ_OK) status = mfq_tensor_init(gemm_slot(&memory->d, turn), memory->settings->out, 2, d, &call->d);
  call->gemm.transpose_b = 1;
  call->gemm.a.plain = &call->a;
  call->gemm.b.plain = &call->b;
  call->gemm.d = &call->d;
  return status;
}

mfq_status gemm_call_make(const gemm_memory *memory, gemm_mode mode, int turn, gemm_call *call) {
  const gemm_size *s = &memory->size;
  const mfq_scheme *scheme = &memory->scheme->scheme;
  size_t used;
  mfq_status status = gemm_call_plain(memory, turn, call);
  if (status != MFQ_OK || memory->scheme->is_plain) return status;
  status = place(scheme, s->m, s->k, gemm_slot(&memory->qa, turn), &call->qa, &used);
  if (status == MFQ_OK) status = place(scheme, s->n, s->k, gemm_slot(&memory->qb, turn), &call->qb, &used);
  call->gemm.b = (mfq_operand){.quantized = &call->qb};
  if (mode == GEMM_QUANTIZED) call->gemm.a = (mfq_operand){.quantized = &call->qa};
  if (mode == GEMM_WAY_IN) call->gemm.a.quantize_to = scheme;
  return status;
}
