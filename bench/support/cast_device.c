/* bench/support/cast_device.c: times the rows on a device: many launches are queued, then the host waits for all.
 *
 * Operands rotate among slots that are larger together than four times the largest L2 cache, so that a launch finds
 * nothing of an earlier one there. Copies between buffers, timed in the same way, go between the rows. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cast_run.h"

enum { BATCH = 4, MIN_SLOTS = 3, MAX_SLOTS = 128, COPY_SLOTS = 4, COPY_BYTES = 128 << 20 };
static const double rotated_bytes = 4.0 * (60 << 20), sample_seconds = 2e-3;

/* One buffer of equal slots. */
typedef struct slots {
  mfq_buffer *buffer;
  size_t bytes; /* of one, a multiple of 256 */
  int count;
} slots;

typedef struct device_timing {
  const cast_settings *settings;
  mfq_context *context;
  slots source, copies, target, parts[BATCH];
  size_t copy_bytes;
  double *samples; /* repetitions of the copy, then of each row of a batch */
} device_timing;

/* What is run again and again: `row` NULL is the copy. */
typedef struct task {
  const cast_row *row;
  int place; /* in its batch */
  int is_dequantize;
  int launches; /* in one sample */
} task;

static int slots_create(mfq_context *context, size_t bytes, slots *s) {
  const size_t rounded = (bytes + 255) / 256 * 256;
  const double wanted = rotated_bytes / (double)rounded + 1;
  const int count = wanted > MAX_SLOTS ? MAX_SLOTS : wanted < MIN_SLOTS ? MIN_SLOTS : (int)wanted;
  *s = (slots){.bytes = rounded, .count = count};
  mfq_status status = mfq_buffer_create(context, rounded * (size_t)count, &s->buffer);
  if (status == MFQ_OK) status = mfq_buffer_fill(s->buffer, 0, rounded * (size_t)count, 0);
  return bench_status(status, "memory of the device");
}

static void slots_destroy(slots *s) {
  mfq_buffer_destroy(s->buffer);
  *s = (slots){0};
}

static size_t slot_offset(const slots *s, int index) { return s->bytes * (size_t)(index % s->count); }

static uint8_t *slot(const slots *s, int index) {
  return (uint8_t *)mfq_buffer_data(s->buffer) + slot_offset(s, index);
}

/* Writes the first slot and copies it to the others on the device. */
static mfq_status slots_fill(const slots *s, const void *host, size_t bytes) {
  mfq_status status = mfq_buffer_write(s->buffer, 0, host, bytes);
  for (int i = 1; status == MFQ_OK && i < s->count; i++)
    status = mfq_buffer_copy(s->buffer, slot_offset(s, i), s->buffer, 0, bytes);
  return status;
}

static mfq_status launch(const device_timing *t, const task *k, int turn) {
  const cast_row *row = k->row;
  if (row == NULL)
    return mfq_buffer_copy(t->copies.buffer, slot_offset(&t->copies, 2 * turn + 1), t->copies.buffer,
                           slot_offset(&t->copies, 2 * turn), t->copy_bytes);
  const int64_t shape[] = {row->rows, row->cols};
  cast_parts parts;
  mfq_tensor tensor;
  mfq_status status = cast_parts_place(row, row->rows, row->cols, slot(&t->parts[k->place], turn), &parts);
  if (status == MFQ_OK)
    status = mfq_tensor_init(slot(k->is_dequantize ? &t->target : &t->source, turn), row->dtype, 2, shape, &tensor);
  if (status != MFQ_OK) return status;
  if (k->is_dequantize) return mfq_dequantize(t->context, &parts.q[0], &tensor);
  return mfq_quantize(t->context, &tensor, &parts.q[0], parts.count == 2 ? &parts.q[1] : NULL);
}

/* Seconds of one launch, out of `launches` in a row. */
static mfq_status sample(const device_timing *t, const task *k, int first, double *seconds) {
  mfq_status status = mfq_context_synchronize(t->context);
  const double start = bench_seconds();
  for (int i = 0; status == MFQ_OK && i < k->launches; i++) status = launch(t, k, first + i);
  if (status == MFQ_OK) status = mfq_context_synchronize(t->context);
  *seconds = (bench_seconds() - start) / k->launches;
  return status;
}

/* A first run loads the kernels, a second one says how many launches fill a sample. */
static mfq_status calibrate(const device_timing *t, task *k) {
  double seconds = 0;
  k->launches = 1;
  mfq_status status = sample(t, k, 0, &seconds);
  k->launches = 2;
  if (status == MFQ_OK) status = sample(t, k, 1, &seconds);
  const double wanted = seconds > 0 ? sample_seconds / seconds : 1;
  k->launches = wanted > 200 ? 200 : wanted < 2 ? 2 : (int)wanted;
  return status;
}

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

/* Slots for a row's parts, holding what is given; codes where the row reads them. */
static int prepare(device_timing *t, const cast_row *row, task *k) {
  slots *s = &t->parts[k->place];
  int code = slots_create(t->context, row->slot_bytes, s);
  if (code != BENCH_OK) return code;
  uint8_t *host = calloc(1, row->slot_bytes);
  if (host == NULL) return bench_error(BENCH_FAILED, "no memory for %zu bytes", row->slot_bytes);
  cast_parts parts;
  mfq_status status = cast_parts_place(row, row->rows, row->cols, host, &parts);
  if (status == MFQ_OK) cast_parts_give(&parts);
  if (status == MFQ_OK) status = slots_fill(s, host, row->slot_bytes);
  k->is_dequantize = 0;
  for (int i = 0; status == MFQ_OK && row->operation == CAST_DEQUANTIZE && i < s->count; i++) status = launch(t, k, i);
  k->is_dequantize = row->operation == CAST_DEQUANTIZE;
  if (status == MFQ_OK) status = mfq_context_synchronize(t->context); /* before `host` goes */
  free(host);
  return bench_status(status, row->name);
}

/* Sources and targets of one dtype. */
static int prepare_dtype(device_timing *t, mfq_dtype dtype) {
  const cast_settings *s = t->settings;
  const size_t bytes = mfq_dtype_bytes(dtype) * (size_t)s->rows * (size_t)s->cols;
  slots_destroy(&t->source);
  slots_destroy(&t->target);
  int code = slots_create(t->context, bytes, &t->source);
  if (code == BENCH_OK) code = slots_create(t->context, bytes, &t->target);
  void *host = malloc(bytes);
  if (host == NULL) return bench_error(BENCH_FAILED, "no memory for %zu bytes", bytes);
  if (code == BENCH_OK) {
    bench_fill_normal(host, dtype, s->rows * s->cols, (uint64_t)s->seed, s->threads);
    code = bench_status(slots_fill(&t->source, host, bytes), "the input");
  }
  free(host);
  return code;
}

/* Copies are no larger than four of the largest inputs, so that a small benchmark stays small. */
static int create(device_timing *t) {
  const cast_settings *s = t->settings;
  const double plain = 16.0 * (double)s->rows * (double)s->cols;
  t->copy_bytes = plain < COPY_BYTES ? ((size_t)plain + 255) / 256 * 256 : (size_t)COPY_BYTES;
  t->copies = (slots){.bytes = t->copy_bytes, .count = COPY_SLOTS};
  mfq_status status = mfq_buffer_create(t->context, t->copy_bytes * COPY_SLOTS, &t->copies.buffer);
  if (status == MFQ_OK) status = mfq_buffer_fill(t->copies.buffer, 0, t->copy_bytes * COPY_SLOTS, 1);
  if (status != MFQ_OK) return bench_status(status, "memory of the device");
  t->samples = calloc((size_t)s->repetitions * (BATCH + 1), sizeof *t->samples);
  return t->samples != NULL ? BENCH_OK : bench_error(BENCH_FAILED, "no memory for the times");
}

static void destroy(device_timing *t) {
  slots_destroy(&t->source);
  slots_destroy(&t->target);
  slots_destroy(&t->copies);
  for (int b = 0; b < BATCH; b++) slots_destroy(&t->parts[b]);
  free(t->samples);
}

/* ---- Times ------------------------------------------------------------------------------------------------------ */

static mfq_status time_tasks(device_timing *t, task *tasks, int count) {
  const int repetitions = t->settings->repetitions;
  mfq_status status = MFQ_OK;
  int turn = 0;
  for (int k = 0; status == MFQ_OK && k < count; k++) status = calibrate(t, &tasks[k]);
  for (int r = 0; status == MFQ_OK && r < repetitions; r++) {
    for (int k = 0; status == MFQ_OK && k < count; k++)
      status = sample(t, &tasks[k], turn, &t->samples[k * repetitions + r]);
    turn += tasks[0].launches;
  }
  return status;
}

/* Rows of one dtype. Sources and targets have slots of equal size. */
static int time_batch(device_timing *t, cast_row *rows, int count) {
  const int repetitions = t->settings->repetitions;
  task tasks[BATCH + 1] = {{0}};
  int code = BENCH_OK;
  for (int b = 0; code == BENCH_OK && b < count; b++) {
    tasks[b + 1] = (task){.row = &rows[b], .place = b};
    code = prepare(t, &rows[b], &tasks[b + 1]);
  }
  if (code == BENCH_OK) code = bench_status(time_tasks(t, tasks, count + 1), rows[0].name);
  const bench_quantiles copy = bench_quantiles_of(t->samples, repetitions);
  for (int b = 0; code == BENCH_OK && b < count; b++) {
    rows[b].copy_seconds = copy;
    rows[b].copied = 2.0 * (double)t->copy_bytes;
    rows[b].seconds = bench_quantiles_of(t->samples + (b + 1) * repetitions, repetitions);
    rows[b].launches = tasks[b + 1].launches;
    rows[b].rotated = (double)t->parts[b].bytes * t->parts[b].count + (double)t->source.bytes * t->source.count;
  }
  for (int b = 0; b < BATCH; b++) slots_destroy(&t->parts[b]);
  return code;
}

int cast_time_device(const cast_settings *settings, mfq_context *context, cast_rows *rows) {
  device_timing t = {.settings = settings, .context = context};
  const int shows_progress = isatty(STDERR_FILENO);
  int code = create(&t);
  for (int i = 0, count; code == BENCH_OK && i < rows->count; i += count) {
    const mfq_dtype dtype = rows->items[i].dtype;
    for (count = 1; count < BATCH && i + count < rows->count && rows->items[i + count].dtype == dtype;) count++;
    if (shows_progress) fprintf(stderr, "\rbench: %d of %d rows", i, rows->count);
    if (i == 0 || rows->items[i - 1].dtype != dtype) code = prepare_dtype(&t, dtype);
    if (code == BENCH_OK) code = time_batch(&t, &rows->items[i], count);
  }
  if (shows_progress) fprintf(stderr, "\r\033[K");
  destroy(&t);
  return code;
}
