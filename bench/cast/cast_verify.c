/* bench/cast/cast_verify.c: a benchmark of wrong results is worth nothing: every row against the reference path. */
#include <stdlib.h>
#include <string.h>

#include "cast_bench.h"

typedef struct verify_shape {
  int64_t rows, cols;
} verify_shape;

/* Blocks and groups of 128 and 32 end short; and all are whole, which other kernels may take. */
static const verify_shape verify_shapes[] = {{160, 424}, {128, 512}};
enum { SHAPES = sizeof verify_shapes / sizeof verify_shapes[0] };

typedef struct verify {
  mfq_context *context, *reference;
  uint8_t *source, *expected, *actual;       /* on the host */
  mfq_buffer *source_there, *parts, *values; /* where the context is */
  mfq_dtype filled;                          /* what `source` holds; 0: nothing yet */
} verify;

struct cast_verifier {
  uint64_t seed;
  verify shapes[SHAPES];
};

static mfq_status quantize(mfq_context *context, const cast_row *row, verify_shape at, void *source,
                           const cast_parts *parts) {
  const int64_t shape[] = {at.rows, at.cols};
  mfq_tensor tensor;
  mfq_status status = mfq_tensor_init(source, row->dtype, 2, shape, &tensor);
  if (status != MFQ_OK) return status;
  return mfq_quantize(context, &tensor, &parts->q[0], parts->count == 2 ? &parts->q[1] : NULL);
}

static mfq_status dequantize(mfq_context *context, const cast_row *row, verify_shape at, const cast_parts *parts,
                             void *target) {
  const int64_t shape[] = {at.rows, at.cols};
  mfq_tensor tensor;
  mfq_status status = mfq_tensor_init(target, row->dtype, 2, shape, &tensor);
  return status == MFQ_OK ? mfq_dequantize(context, &parts->q[0], &tensor) : status;
}

/* Quantizes by the context into `actual`; `actual` holds what is given. */
static mfq_status quantize_there(const verify *v, const cast_row *row, verify_shape at, size_t bytes) {
  cast_parts parts;
  mfq_status status = cast_parts_place(row, at.rows, at.cols, mfq_buffer_data(v->parts), &parts);
  if (status == MFQ_OK) status = mfq_buffer_write(v->parts, 0, v->actual, bytes);
  if (status == MFQ_OK) status = quantize(v->context, row, at, mfq_buffer_data(v->source_there), &parts);
  if (status == MFQ_OK) status = bench_spoil(row->common.name, v->parts, 0);
  return status == MFQ_OK ? mfq_buffer_read(v->parts, 0, v->actual, bytes) : status;
}

/* Decodes the reference's codes, `bytes` of them, by both. */
static mfq_status dequantize_both(const verify *v, const cast_row *row, verify_shape at, const cast_parts *codes,
                                  size_t plain) {
  cast_parts parts;
  mfq_status status = cast_parts_place(row, at.rows, at.cols, mfq_buffer_data(v->parts), &parts);
  if (status == MFQ_OK) status = mfq_buffer_write(v->parts, 0, v->expected, codes->used);
  if (status == MFQ_OK) status = dequantize(v->context, row, at, &parts, mfq_buffer_data(v->values));
  if (status == MFQ_OK) status = bench_spoil(row->common.name, v->values, 0);
  if (status == MFQ_OK) status = mfq_buffer_read(v->values, 0, v->actual, plain);
  if (status == MFQ_OK) status = dequantize(v->reference, row, at, codes, v->expected + codes->used);
  if (status == MFQ_OK) memmove(v->expected, v->expected + codes->used, plain);
  return status;
}

static int verify_row(const verify *v, const cast_row *row, verify_shape at) {
  const size_t plain = mfq_dtype_bytes(row->dtype) * (size_t)at.rows * (size_t)at.cols;
  cast_parts want, got;
  mfq_status status = cast_parts_place(row, at.rows, at.cols, v->expected, &want);
  if (status == MFQ_OK) status = cast_parts_place(row, at.rows, at.cols, v->actual, &got);
  if (status != MFQ_OK) return bench_status(status, row->common.name);
  memset(v->expected, 0, want.used);
  memset(v->actual, 0, want.used);
  cast_parts_give(&want);
  cast_parts_give(&got);
  status = quantize(v->reference, row, at, v->source, &want);
  const int is_dequantize = row->operation == CAST_DEQUANTIZE;
  if (status == MFQ_OK)
    status = is_dequantize ? dequantize_both(v, row, at, &want, plain) : quantize_there(v, row, at, want.used);
  if (status != MFQ_OK) return bench_status(status, row->common.name);
  const size_t bytes = is_dequantize ? plain : want.used;
  for (size_t i = 0; i < bytes; ++i)
    if (v->actual[i] != v->expected[i])
      return bench_error(BENCH_WRONG, "%s: byte %zu of the result is 0x%02x, the reference path says 0x%02x",
                         row->common.name, i, v->actual[i], v->expected[i]);
  return BENCH_OK;
}

static size_t largest_parts(const bench_run *run, verify_shape at) {
  size_t largest = 0;
  for (int i = 0; i < run->count; ++i) {
    cast_parts parts;
    if (cast_parts_place((const cast_row *)bench_row_at(run, i), at.rows, at.cols, NULL, &parts) == MFQ_OK &&
        parts.used > largest)
      largest = parts.used;
  }
  return largest;
}

static int create(verify *v, const bench_run *run, verify_shape at) {
  const size_t plain = 4u * (size_t)at.rows * (size_t)at.cols, parts = largest_parts(run, at) + 1;
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.threads = 1;
  options.cpu_isa = "reference";
  mfq_status status = mfq_context_create(&options, &v->reference);
  if (status == MFQ_OK) status = mfq_buffer_create(v->context, plain, &v->source_there);
  if (status == MFQ_OK) status = mfq_buffer_create(v->context, parts, &v->parts);
  if (status == MFQ_OK) status = mfq_buffer_create(v->context, plain, &v->values);
  if (status != MFQ_OK) return bench_status(status, "memory to compare with the reference path");
  v->source = malloc(plain);
  v->expected = malloc(parts + plain);
  v->actual = malloc(parts + plain);
  if (v->source == NULL || v->expected == NULL || v->actual == NULL) return bench_error(BENCH_FAILED, "no memory");
  return BENCH_OK;
}

static void destroy(verify *v) {
  mfq_buffer_destroy(v->source_there);
  mfq_buffer_destroy(v->parts);
  mfq_buffer_destroy(v->values);
  mfq_context_destroy(v->reference);
  free(v->source);
  free(v->expected);
  free(v->actual);
}

static int fill(verify *v, const cast_verifier *all, const cast_row *row, verify_shape at) {
  const int64_t count = at.rows * at.cols;
  if (v->filled == row->dtype) return BENCH_OK;
  bench_fill_normal(v->source, row->dtype, count, all->seed, 1);
  v->filled = row->dtype;
  return bench_status(mfq_buffer_write(v->source_there, 0, v->source, mfq_dtype_bytes(row->dtype) * (size_t)count),
                      row->common.name);
}

int cast_verifier_create(const bench_run *run, cast_verifier **verifier) {
  cast_verifier *all = *verifier = calloc(1, sizeof **verifier);
  int code = all != NULL ? BENCH_OK : bench_error(BENCH_FAILED, "no memory");
  for (int i = 0; code == BENCH_OK && i < SHAPES; ++i) {
    all->seed = (uint64_t)run->settings.seed;
    all->shapes[i].context = run->context;
    code = create(&all->shapes[i], run, verify_shapes[i]);
  }
  return code;
}

int cast_verify(cast_verifier *all, const cast_row *row) {
  int code = BENCH_OK;
  for (int i = 0; code == BENCH_OK && i < SHAPES; ++i) {
    code = fill(&all->shapes[i], all, row, verify_shapes[i]);
    if (code == BENCH_OK) code = verify_row(&all->shapes[i], row, verify_shapes[i]);
  }
  return code;
}

void cast_verifier_destroy(cast_verifier *all) {
  for (int i = 0; all != NULL && i < SHAPES; ++i) destroy(&all->shapes[i]);
  free(all);
}
