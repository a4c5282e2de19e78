/* bench/support/cast_verify.c: a benchmark of wrong results is worth nothing: every row against the reference path. */
#include <stdlib.h>
#include <string.h>

#include "cast_run.h"

enum { VERIFY_ROWS = 160, VERIFY_COLS = 424 }; /* blocks and groups of 128 and 32 end short */

typedef struct verify_memory {
  uint8_t *source, *fast, *reference;
} verify_memory;

static mfq_status quantize(mfq_context *context, const cast_row *row, void *source, const cast_parts *parts) {
  const int64_t shape[] = {VERIFY_ROWS, VERIFY_COLS};
  mfq_tensor tensor;
  mfq_status status = mfq_tensor_init(source, row->dtype, 2, shape, &tensor);
  if (status != MFQ_OK) return status;
  return mfq_quantize(context, &tensor, &parts->q[0], parts->count == 2 ? &parts->q[1] : NULL);
}

static mfq_status dequantize(mfq_context *context, const cast_row *row, const cast_parts *parts, void *target) {
  const int64_t shape[] = {VERIFY_ROWS, VERIFY_COLS};
  mfq_tensor tensor;
  mfq_status status = mfq_tensor_init(target, row->dtype, 2, shape, &tensor);
  return status == MFQ_OK ? mfq_dequantize(context, &parts->q[0], &tensor) : status;
}

/* Quantizes by both paths; a row of dequantize then decodes the reference's codes by both. */
static int verify_row(mfq_context *fast, mfq_context *reference, const cast_row *row, const verify_memory *m) {
  const size_t plain = mfq_dtype_bytes(row->dtype) * VERIFY_ROWS * VERIFY_COLS;
  cast_parts a, b;
  mfq_status status = cast_parts_place(row, VERIFY_ROWS, VERIFY_COLS, m->fast, &a);
  if (status == MFQ_OK) status = cast_parts_place(row, VERIFY_ROWS, VERIFY_COLS, m->reference, &b);
  if (status == MFQ_OK) status = quantize(reference, row, m->source, &b);
  size_t bytes = a.used;
  if (status == MFQ_OK && row->operation == CAST_DEQUANTIZE) {
    /* The values go behind the codes, which the fast path reads from the reference. */
    bytes = plain;
    status = dequantize(fast, row, &b, m->fast);
    if (status == MFQ_OK) status = dequantize(reference, row, &b, m->reference + b.used);
    if (status == MFQ_OK) memmove(m->reference, m->reference + b.used, plain);
  } else if (status == MFQ_OK) {
    status = quantize(fast, row, m->source, &a);
  }
  if (status != MFQ_OK) return bench_status(status, row->name);
  for (size_t i = 0; i < bytes; i++)
    if (m->fast[i] != m->reference[i])
      return bench_error(BENCH_FAILED, "%s: byte %zu of the result is 0x%02x, the reference path says 0x%02x",
                         row->name, i, m->fast[i], m->reference[i]);
  return BENCH_OK;
}

static size_t largest_parts(const cast_rows *rows) {
  size_t largest = 0;
  for (int i = 0; i < rows->count; i++) {
    cast_parts parts;
    if (cast_parts_place(&rows->items[i], VERIFY_ROWS, VERIFY_COLS, NULL, &parts) == MFQ_OK && parts.used > largest)
      largest = parts.used;
  }
  return largest;
}

int cast_verify(const cast_settings *settings, mfq_context *context, const cast_rows *rows) {
  const size_t plain = 4u * VERIFY_ROWS * VERIFY_COLS, parts = largest_parts(rows);
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.threads = 1;
  options.cpu_isa = "reference";
  mfq_context *reference = NULL;
  int code = bench_status(mfq_context_create(&options, &reference), "the reference path");
  verify_memory m = {malloc(plain), calloc(1, parts + plain), calloc(1, parts + plain)};
  if (m.source == NULL || m.fast == NULL || m.reference == NULL) code = bench_error(BENCH_FAILED, "no memory");
  int filled = 0;
  for (int i = 0; code == BENCH_OK && i < rows->count; i++) {
    const cast_row *row = &rows->items[i];
    if (filled != (int)row->dtype)
      bench_fill_normal(m.source, row->dtype, VERIFY_ROWS * VERIFY_COLS, (uint64_t)settings->seed, 1);
    filled = (int)row->dtype;
    code = verify_row(context, reference, row, &m);
  }
  free(m.source);
  free(m.fast);
  free(m.reference);
  mfq_context_destroy(reference);
  return code;
}
