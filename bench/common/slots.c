/* bench/common/slots.c: memory that launches go through in turn, and what it holds. */
#define _POSIX_C_SOURCE 200809L
#include "slots.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIN_SLOTS = 2, MAX_SLOTS = 256, LARGEST_L2_OF_A_GPU = 60 << 20, UNKNOWN_L3 = 32 << 20 };

/* The last cache as far as threads of this process reach it: each has at most one part, while the C library counts the
 * parts of a whole machine, also in a virtual one that has few of its cores. */
static double last_cache(void) {
  double total = 0, kib = 0;
#if defined(_SC_LEVEL3_CACHE_SIZE)
  total = (double)sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
  FILE *file = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r");
  if (file != NULL && fscanf(file, "%lfK", &kib) != 1) kib = 0;
  if (file != NULL) (void)fclose(file);
  const double reached = 1024 * kib * bench_threads();
  if (reached > 0 && (total <= 0 || reached < total)) total = reached;
  return total > 0 ? total : UNKNOWN_L3;
}

static double cache_bytes(const mfq_context *context) {
  return strncmp(mfq_context_describe(context), "cpu", 3) == 0 ? last_cache() : LARGEST_L2_OF_A_GPU;
}

int bench_slots_of(mfq_context *context, size_t bytes, int count, bench_slots *slots) {
  const size_t rounded = (bytes + 255) / 256 * 256;
  *slots = (bench_slots){.bytes = rounded, .count = count};
  mfq_status status = mfq_buffer_create(context, rounded * (size_t)count, &slots->buffer);
  if (status == MFQ_OK) status = mfq_buffer_fill(slots->buffer, 0, rounded * (size_t)count, 0);
  return bench_status(status, "memory for operands");
}

int bench_slots_create(mfq_context *context, size_t bytes, int caches, bench_slots *slots) {
  const double wanted = caches * cache_bytes(context) / (double)((bytes + 255) / 256 * 256) + 1;
  const int most = bench_is_emulated(context) ? MIN_SLOTS : MAX_SLOTS;
  return bench_slots_of(context, bytes, wanted > most ? most : wanted < MIN_SLOTS ? MIN_SLOTS : (int)wanted, slots);
}

void bench_slots_destroy(bench_slots *slots) {
  mfq_buffer_destroy(slots->buffer);
  *slots = (bench_slots){0};
}

uint8_t *bench_slot(const bench_slots *slots, int turn) {
  return (uint8_t *)mfq_buffer_data(slots->buffer) + slots->bytes * (size_t)(turn % slots->count);
}

mfq_status bench_slots_spread(const bench_slots *slots) {
  mfq_status status = MFQ_OK;
  for (int i = 1; status == MFQ_OK && i < slots->count; ++i)
    status = mfq_buffer_copy(slots->buffer, slots->bytes * (size_t)i, slots->buffer, 0, slots->bytes);
  return status;
}

int bench_slots_random(mfq_context *context, int64_t seed, int threads, const bench_slots *slots) {
  uint16_t *host = malloc(slots->bytes);
  if (host == NULL) return bench_error(BENCH_FAILED, "no memory for %zu bytes", slots->bytes);
  bench_fill_normal(host, MFQ_DTYPE_BF16, (int64_t)(slots->bytes / 2), (uint64_t)seed, threads);
  mfq_status status = mfq_buffer_write(slots->buffer, 0, host, slots->bytes);
  if (status == MFQ_OK) status = bench_slots_spread(slots);
  if (status == MFQ_OK) status = mfq_context_synchronize(context);
  free(host);
  return bench_status(status, "random operands");
}

int bench_grow(mfq_context *context, size_t bytes, mfq_buffer **workspace) {
  if (bytes <= mfq_buffer_bytes(*workspace)) return BENCH_OK;
  mfq_buffer_destroy(*workspace);
  *workspace = NULL;
  return bench_status(mfq_buffer_create(context, bytes, workspace), "workspace");
}

/* ---- Quantized operands ----------------------------------------------------------------------------------------- */

static void *take(uint8_t *base, size_t *used, size_t bytes) {
  uint8_t *at = base != NULL && bytes > 0 ? base + *used : NULL;
  *used += (bytes + 255) / 256 * 256;
  return at;
}

mfq_status bench_place_parts(mfq_qtensor *q, uint8_t *base, size_t *used, mfq_qtensor_sizes *sizes) {
  const mfq_status status = mfq_qtensor_sizes_get(q, sizes);
  if (status != MFQ_OK) return status;
  q->codes = take(base, used, sizes->codes_bytes);
  q->scales = take(base, used, sizes->scales_bytes);
  q->zero_points = take(base, used, sizes->zero_points_bytes);
  q->tensor_scale = take(base, used, sizes->tensor_scale_bytes);
  return MFQ_OK;
}

mfq_status bench_place(const mfq_scheme *scheme, int32_t rank, const int64_t *shape, uint8_t *base, mfq_qtensor *q,
                       size_t *used) {
  mfq_qtensor_sizes sizes;
  const mfq_status status = mfq_qtensor_init(scheme, rank, shape, NULL, q);
  *used = 0;
  return status == MFQ_OK ? bench_place_parts(q, base, used, &sizes) : status;
}

int bench_slots_quantized(mfq_context *context, const mfq_tensor *source, const mfq_scheme *scheme, int caches,
                          bench_slots *slots) {
  size_t used;
  mfq_qtensor q;
  mfq_status status = bench_place(scheme, source->rank, source->shape, NULL, &q, &used);
  if (status != MFQ_OK) return bench_status(status, "quantized operands");
  const int code = bench_slots_create(context, used, caches, slots);
  if (code != BENCH_OK) return code;
  status = bench_place(scheme, source->rank, source->shape, bench_slot(slots, 0), &q, &used);
  if (status == MFQ_OK) status = mfq_quantize(context, source, &q, NULL);
  if (status == MFQ_OK) status = bench_slots_spread(slots);
  return bench_status(status, "quantized operands");
}

double bench_stored_bytes(const mfq_qtensor *q) {
  mfq_qtensor_sizes sizes;
  if (mfq_qtensor_sizes_get(q, &sizes) != MFQ_OK) return 0;
  return (double)(sizes.codes_bytes + sizes.scales_bytes + sizes.zero_points_bytes);
}

/* ---- Values ----------------------------------------------------------------------------------------------------- */

mfq_status bench_read_values(const mfq_buffer *buffer, mfq_dtype dtype, int64_t offset, int64_t count, float *values) {
  const size_t element = mfq_dtype_bytes(dtype);
  if (dtype == MFQ_DTYPE_F32) return mfq_buffer_read(buffer, element * (size_t)offset, values, element * (size_t)count);
  uint16_t *half = malloc(element * (size_t)count);
  if (half == NULL) return MFQ_ERROR_OUT_OF_MEMORY;
  const mfq_status status = mfq_buffer_read(buffer, element * (size_t)offset, half, element * (size_t)count);
  for (int64_t i = 0; status == MFQ_OK && i < count; ++i) {
    const uint32_t bits = (uint32_t)half[i] << 16;
    memcpy(&values[i], &bits, sizeof bits);
  }
  free(half);
  return status;
}

mfq_status bench_dequantized(mfq_context *context, const mfq_qtensor *q, mfq_buffer **values) {
  size_t count = 1;
  mfq_tensor target;
  for (int i = 0; i < q->rank; ++i) count *= (size_t)q->shape[i];
  mfq_status status = mfq_buffer_create(context, 4 * count, values);
  if (status == MFQ_OK) status = mfq_tensor_init(mfq_buffer_data(*values), MFQ_DTYPE_F32, q->rank, q->shape, &target);
  return status == MFQ_OK ? mfq_dequantize(context, q, &target) : status;
}
