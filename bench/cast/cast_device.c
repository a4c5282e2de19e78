/* bench/cast/cast_device.c: times batches of rows on a device, with copies between buffers in turn with them.
 *
 * Operands rotate among slots that are larger together than four times the largest L2 cache, so that a launch finds
 * nothing of an earlier one there. */
#include <stdlib.h>
#include <string.h>

#include "cast_run.h"
#include "bench/common/ceilings.h"

enum { CACHES = 4, COPY_BYTES = 128 << 20, COPY = 0, RACERS = CAST_BATCH + 1 };

typedef struct device_timing device_timing;

/* A row that is run again and again. */
typedef struct task {
  const device_timing *timing;
  const cast_row *row;
  bench_slots parts;
  int is_dequantize;
} task;

struct device_timing {
  const bench_settings *settings;
  mfq_context *context;
  const cast_rows *rows;
  mfq_dtype dtype; /* of what `source` and `target` hold; 0: nothing yet */
  bench_slots source, target;
  bench_copies copies;
  task tasks[CAST_BATCH];
  double *samples; /* repetitions of the copy, then of each row of a batch */
};

static int launch(void *state, int turn) {
  const task *k = state;
  const device_timing *t = k->timing;
  const cast_row *row = k->row;
  const int64_t shape[] = {row->rows, row->cols};
  cast_parts parts;
  mfq_tensor tensor;
  mfq_status status = cast_parts_place(row, row->rows, row->cols, bench_slot(&k->parts, turn), &parts);
  if (status == MFQ_OK)
    status =
        mfq_tensor_init(bench_slot(k->is_dequantize ? &t->target : &t->source, turn), row->dtype, 2, shape, &tensor);
  if (status == MFQ_OK && k->is_dequantize)
    status = mfq_dequantize(t->context, &parts.q[0], &tensor);
  else if (status == MFQ_OK)
    status = mfq_quantize(t->context, &tensor, &parts.q[0], parts.count == 2 ? &parts.q[1] : NULL);
  return bench_status(status, row->common.name);
}

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

/* Writes the first slot and copies it to the others on the device. */
static int fill_slots(const bench_slots *slots, const void *host, size_t bytes, mfq_context *context) {
  mfq_status status = mfq_buffer_write(slots->buffer, 0, host, bytes);
  if (status == MFQ_OK) status = bench_slots_spread(slots);
  if (status == MFQ_OK) status = mfq_context_synchronize(context); /* before `host` goes */
  return bench_status(status, "memory of the device");
}

/* The scales and zero points that a row does not find itself. */
static int give(const task *k) {
  const cast_row *row = k->row;
  cast_parts parts;
  if (row->scheme.rule != MFQ_RULE_GIVEN) return BENCH_OK;
  uint8_t *host = calloc(1, row->slot_bytes);
  if (host == NULL) return bench_error(BENCH_FAILED, "no memory for %zu bytes", row->slot_bytes);
  int code = bench_status(cast_parts_place(row, row->rows, row->cols, host, &parts), row->common.name);
  if (code == BENCH_OK) cast_parts_give(&parts);
  if (code == BENCH_OK) code = fill_slots(&k->parts, host, row->slot_bytes, k->timing->context);
  free(host);
  return code;
}

/* Slots for a row's parts, holding what is given, and codes where the row reads them. */
static int prepare(const device_timing *t, const cast_row *row, task *k) {
  *k = (task){.timing = t, .row = row};
  int code = bench_slots_create(t->context, row->slot_bytes, CACHES, &k->parts);
  if (code == BENCH_OK) code = give(k);
  if (row->operation != CAST_DEQUANTIZE) return code;
  for (int i = 0; code == BENCH_OK && i < k->parts.count; ++i) code = launch(k, i);
  k->is_dequantize = 1;
  return code;
}

/* Sources and targets of one dtype. */
static int prepare_dtype(device_timing *t, mfq_dtype dtype) {
  const int64_t count = t->rows->height * t->rows->width;
  const size_t bytes = mfq_dtype_bytes(dtype) * (size_t)count;
  if (t->dtype == dtype) return BENCH_OK;
  t->dtype = 0;
  bench_slots_destroy(&t->source);
  bench_slots_destroy(&t->target);
  int code = bench_slots_create(t->context, bytes, CACHES, &t->source);
  if (code == BENCH_OK) code = bench_slots_create(t->context, bytes, CACHES, &t->target);
  if (code != BENCH_OK) return code;
  void *host = malloc(bytes);
  if (host == NULL) return bench_error(BENCH_FAILED, "no memory for %zu bytes", bytes);
  bench_fill_normal(host, dtype, count, (uint64_t)t->settings->seed, t->settings->threads);
  code = fill_slots(&t->source, host, bytes, t->context);
  free(host);
  if (code == BENCH_OK) t->dtype = dtype;
  return code;
}

/* Copies are no larger than four of the largest inputs, so that a small benchmark stays small. */
static int create(const bench_record *record, const cast_rows *rows, void **state) {
  const double plain = 16.0 * (double)rows->height * (double)rows->width;
  device_timing *t = *state = calloc(1, sizeof *t);
  if (t == NULL) return bench_error(BENCH_FAILED, "no memory for the times");
  *t = (device_timing){.settings = record->settings, .context = record->context, .rows = rows};
  t->samples = calloc((size_t)t->settings->repetitions * RACERS, sizeof *t->samples);
  if (t->samples == NULL) return bench_error(BENCH_FAILED, "no memory for the times");
  return bench_copies_create(t->context, plain < COPY_BYTES ? (size_t)plain : (size_t)COPY_BYTES, &t->copies);
}

static void destroy(void *state) {
  device_timing *t = state;
  if (t == NULL) return;
  bench_slots_destroy(&t->source);
  bench_slots_destroy(&t->target);
  bench_copies_destroy(&t->copies);
  free(t->samples);
  free(t);
}

/* ---- Times ------------------------------------------------------------------------------------------------------ */

/* The copy is the first racer. */
static int race(device_timing *t, cast_row *const *rows, int count) {
  const int repetitions = t->settings->repetitions;
  bench_racer racers[RACERS] = {{.launches = {bench_copies_launch, &t->copies, 0, 1}, .samples = t->samples}};
  int code = BENCH_OK;
  for (int b = 0; b < count; ++b)
    racers[b + 1] =
        (bench_racer){.launches = {launch, &t->tasks[b], 0, 1}, .samples = t->samples + (b + 1) * repetitions};
  for (int i = 0; code == BENCH_OK && i <= count; ++i) code = bench_warm(t->context, &racers[i]);
  if (code == BENCH_OK) code = bench_race(t->context, racers, count + 1, repetitions);
  if (code != BENCH_OK) return code;
  const bench_quantiles copy = bench_quantiles_of(t->samples, repetitions);
  for (int b = 0; b < count; ++b) {
    const bench_slots *parts = &t->tasks[b].parts;
    cast_row *row = rows[b];
    row->copy_seconds = copy;
    row->copied = 2.0 * (double)t->copies.bytes;
    row->common.seconds = bench_quantiles_of(racers[b + 1].samples, repetitions);
    row->common.launches = racers[b + 1].launches.count;
    row->common.timing = racers[b + 1].timing;
    row->common.rotated = (double)parts->bytes * parts->count + (double)t->source.bytes * t->source.count;
  }
  return code;
}

static int time_batch(void *state, cast_row *const *rows, int count) {
  device_timing *t = state;
  int code = prepare_dtype(t, rows[0]->dtype);
  for (int b = 0; code == BENCH_OK && b < count; ++b) code = prepare(t, rows[b], &t->tasks[b]);
  if (code == BENCH_OK) code = race(t, rows, count);
  for (int b = 0; b < CAST_BATCH; ++b) bench_slots_destroy(&t->tasks[b].parts);
  return code;
}

const cast_timer cast_timer_device = {create, time_batch, destroy};
