/* bench/cast/cast_time.c: times batches of rows on the CPU, with a copy before each round of a batch. */
#include <stdlib.h>
#include <string.h>

#include "cast_run.h"

enum { SLOTS = 4, COPY_BYTES = 64 << 20 };

typedef struct timing {
  const bench_settings *settings;
  mfq_context *context;
  bench_arena source[4]; /* by mfq_dtype */
  bench_arena parts;     /* slot: row of the batch x rotation */
  bench_arena target;    /* of copies and dequantizations */
  double *copy, *times[CAST_BATCH];
} timing;

static int fill_sources(timing *t, const cast_rows *rows) {
  const bench_settings *s = t->settings;
  int code = BENCH_OK;
  for (int i = 0; code == BENCH_OK && i < rows->count; ++i) {
    const mfq_dtype dtype = rows->items[i].dtype;
    bench_arena *a = &t->source[dtype];
    if (a->base != NULL) continue;
    code = bench_arena_create(mfq_dtype_bytes(dtype) * (size_t)rows->height * (size_t)rows->width, SLOTS, a);
    for (int slot = 0; code == BENCH_OK && slot < SLOTS; ++slot)
      bench_fill_normal(bench_arena_slot(a, slot), dtype, rows->height * rows->width, (uint64_t)(s->seed + slot),
                        s->threads);
  }
  return code;
}

static int create(const bench_record *record, const cast_rows *rows, void **state) {
  const bench_settings *s = record->settings;
  const size_t plain = 4u * (size_t)rows->height * (size_t)rows->width;
  size_t parts = 1;
  timing *t = *state = calloc(1, sizeof *t);
  if (t == NULL) return bench_error(BENCH_FAILED, "no memory for the times");
  *t = (timing){.settings = s, .context = record->context};
  for (int i = 0; i < rows->count; ++i)
    if (rows->items[i].slot_bytes > parts) parts = rows->items[i].slot_bytes;
  int code = fill_sources(t, rows);
  if (code == BENCH_OK) code = bench_arena_create(parts, SLOTS * CAST_BATCH, &t->parts);
  /* Copies go from the first half of a slot to the second one. */
  if (code == BENCH_OK)
    code = bench_arena_create(plain > 2 * COPY_BYTES ? plain : 2 * (size_t)COPY_BYTES, SLOTS, &t->target);
  t->copy = calloc((size_t)s->repetitions * (CAST_BATCH + 1), sizeof *t->copy);
  if (t->copy == NULL) return bench_error(BENCH_FAILED, "no memory for the times");
  for (int b = 0; b < CAST_BATCH; ++b) t->times[b] = t->copy + (b + 1) * s->repetitions;
  return code;
}

static void destroy(void *state) {
  timing *t = state;
  if (t == NULL) return;
  for (int i = 0; i < 4; ++i) bench_arena_destroy(&t->source[i]);
  bench_arena_destroy(&t->parts);
  bench_arena_destroy(&t->target);
  free(t->copy);
  free(t);
}

static uint8_t *parts_slot(const timing *t, int b, int rotation) {
  return bench_arena_slot(&t->parts, b * SLOTS + rotation % SLOTS);
}

/* One run of a row on the buffers of a rotation. */
static mfq_status run(timing *t, const cast_row *row, int b, int rotation, int is_dequantize, double *seconds) {
  const int64_t shape[] = {row->rows, row->cols};
  cast_parts parts;
  mfq_tensor tensor;
  void *plain = bench_arena_slot(is_dequantize ? &t->target : &t->source[row->dtype], rotation);
  mfq_status status = cast_parts_place(row, row->rows, row->cols, parts_slot(t, b, rotation), &parts);
  if (status == MFQ_OK) status = mfq_tensor_init(plain, row->dtype, 2, shape, &tensor);
  if (status != MFQ_OK) return status;
  cast_parts_give(&parts);
  const double start = bench_seconds();
  if (is_dequantize)
    status = mfq_dequantize(t->context, &parts.q[0], &tensor);
  else
    status = mfq_quantize(t->context, &tensor, &parts.q[0], parts.count == 2 ? &parts.q[1] : NULL);
  *seconds = bench_seconds() - start;
  return status;
}

/* Codes for the rows that read them, and a first run of every row that is not counted. */
static mfq_status warm_up(timing *t, cast_row *const *rows, int count) {
  mfq_status status = MFQ_OK;
  double unused;
  for (int b = 0; b < count; ++b) {
    const int is_dequantize = rows[b]->operation == CAST_DEQUANTIZE;
    for (int r = 0; status == MFQ_OK && is_dequantize && r < SLOTS; ++r) status = run(t, rows[b], b, r, 0, &unused);
    if (status == MFQ_OK) status = run(t, rows[b], b, 0, is_dequantize, &unused);
  }
  return status;
}

static int time_batch(void *state, cast_row *const *rows, int count) {
  timing *t = state;
  const bench_settings *s = t->settings;
  mfq_status status = warm_up(t, rows, count);
  for (int r = 0; status == MFQ_OK && r < s->repetitions; ++r) {
    uint8_t *memory = bench_arena_slot(&t->target, r + 1);
    bench_copy(memory + COPY_BYTES, memory, 64 * (size_t)s->threads, s->threads); /* wakes its threads */
    const double start = bench_seconds();
    bench_copy(memory + COPY_BYTES, memory, COPY_BYTES, s->threads);
    t->copy[r] = bench_seconds() - start;
    bench_rest();
    for (int b = 0; status == MFQ_OK && b < count; ++b)
      status = run(t, rows[b], b, r, rows[b]->operation == CAST_DEQUANTIZE, &t->times[b][r]);
  }
  if (status != MFQ_OK) return bench_status(status, "a timed row");
  const bench_quantiles copy = bench_quantiles_of(t->copy, s->repetitions);
  for (int b = 0; b < count; ++b) {
    cast_row *row = rows[b];
    row->copy_seconds = copy;
    row->copied = 2.0 * COPY_BYTES;
    row->common.rotated = (double)SLOTS * (double)(t->parts.slot_bytes + t->source[row->dtype].slot_bytes);
    row->common.seconds = bench_quantiles_of(t->times[b], s->repetitions);
    row->common.launches = 1;
    row->common.timing = "host";
  }
  return BENCH_OK;
}

const cast_timer cast_timer_cpu = {create, time_batch, destroy};
