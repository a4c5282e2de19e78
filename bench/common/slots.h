/* bench/common/slots.h: operands on the context's device, in slots that launches go through in turn. */
#ifndef MFQ_BENCH_SLOTS_H
#define MFQ_BENCH_SLOTS_H

#include "bench.h"

/* One buffer of equal slots, together as large as the last cache some times over. */
typedef struct bench_slots {
  mfq_buffer *buffer;
  size_t bytes; /* of one, a multiple of 256 */
  int count;
} bench_slots;

/* Slots of `bytes`, filled with 0; together `caches` times as large as the cache, in so far as a few hundred slots are.
 * Returns an exit code. */
int bench_slots_create(mfq_context *context, size_t bytes, int caches, bench_slots *slots);
int bench_slots_of(mfq_context *context, size_t bytes, int count, bench_slots *slots); /* so many */
void bench_slots_destroy(bench_slots *slots);
uint8_t *bench_slot(const bench_slots *slots, int turn);
mfq_status bench_slots_spread(const bench_slots *slots); /* copies the first slot to the others */
/* Fills all slots with the same normal random bf16 numbers. Returns an exit code. */
int bench_slots_random(mfq_context *context, int64_t seed, int threads, const bench_slots *slots);

/* Makes a workspace as large as this. Returns an exit code. */
int bench_grow(mfq_context *context, size_t bytes, mfq_buffer **workspace);

/* A scheme of operands by its name. */
typedef struct bench_scheme {
  char text[MFQ_SCHEME_TEXT_MAX];
  int is_plain; /* "bf16": not quantized */
  mfq_scheme scheme;
} bench_scheme;

/* Places the parts of `q`, initialized, in memory from `base` + `used` on; `base` NULL: only counts. */
mfq_status bench_place_parts(mfq_qtensor *q, uint8_t *base, size_t *used, mfq_qtensor_sizes *sizes);
/* The same from `base` on, after initializing `q`. */
mfq_status bench_place(const mfq_scheme *scheme, int32_t rank, const int64_t *shape, uint8_t *base, mfq_qtensor *q,
                       size_t *used);
/* Creates slots of `source` quantized. Returns an exit code. */
int bench_slots_quantized(mfq_context *context, const mfq_tensor *source, const mfq_scheme *scheme, int caches,
                          bench_slots *slots);
double bench_stored_bytes(const mfq_qtensor *q); /* codes, scales, zero points */

/* Reads elements of bf16 or f32 from `offset` on, as f32. */
mfq_status bench_read_values(const mfq_buffer *buffer, mfq_dtype dtype, int64_t offset, int64_t count, float *values);
/* Creates a buffer of f32 with the values of `q`. */
mfq_status bench_dequantized(mfq_context *context, const mfq_qtensor *q, mfq_buffer **values);

#endif
