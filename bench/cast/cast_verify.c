/* bench/cast/cast_verify.c: a benchmark of wrong results is worth nothing: every row against the reference path. */
#include <stdlib.h>
#include <string.h>

#include "cast_bench.h"

/* Blocks and groups of 128 and 32 end short; and all are whole, which other kernels may take. */
static const int64_t shapes[][2] = {{160, 424}, {128, 512}};
enum { SHAPES = sizeof shapes / sizeof shapes[0], REFERENCE = 0, HERE, SIDES };

/* One of the two contexts, with memory for the largest shape. */
typedef struct side {
  mfq_context *context;
  mfq_buffer *source, *parts, *values;
} side;

struct cast_verifier {
  uint64_t seed;
  side sides[SIDES];
  size_t plain, parts;              /* bytes of values in f32, and of the largest row's parts */
  uint8_t *random, *results[SIDES]; /* on the host */
  size_t bytes;                     /* of the last result */
  mfq_dtype filled;                 /* what the sources hold; 0: nothing yet */
};

static void largest(size_t *most, size_t bytes) { *most = bytes > *most ? bytes : *most; }

int cast_verifier_create(const bench_run *run, cast_verifier **verifier) {
  cast_verifier *v = *verifier = calloc(1, sizeof **verifier);
  mfq_context_options options;
  if (v == NULL) return bench_error(BENCH_FAILED, "no memory");
  *v = (cast_verifier){.seed = (uint64_t)run->settings.seed, .sides = {[HERE] = {.context = run->context}}, .parts = 1};
  for (int at = 0; at < SHAPES; ++at) {
    largest(&v->plain, sizeof(float) * (size_t)(shapes[at][0] * shapes[at][1]));
    for (int i = 0; i < run->count; ++i) {
      cast_parts parts;
      if (cast_parts_place((const cast_row *)bench_row_at(run, i), shapes[at][0], shapes[at][1], NULL, &parts) ==
          MFQ_OK)
        largest(&v->parts, parts.used);
    }
  }
  mfq_context_options_init(&options);
  options.threads = 1;
  options.cpu_isa = "reference";
  mfq_status status = mfq_context_create(&options, &v->sides[REFERENCE].context);
  for (int i = 0; i < SIDES; ++i) {
    side *s = &v->sides[i];
    if (status == MFQ_OK) status = mfq_buffer_create(s->context, v->plain, &s->source);
    if (status == MFQ_OK) status = mfq_buffer_create(s->context, v->parts, &s->parts);
    if (status == MFQ_OK) status = mfq_buffer_create(s->context, v->plain, &s->values);
    v->results[i] = malloc(v->plain > v->parts ? v->plain : v->parts);
  }
  v->random = malloc(v->plain);
  if (status != MFQ_OK) return bench_status(status, "memory to compare with the reference path");
  if (v->random == NULL || v->results[0] == NULL || v->results[1] == NULL)
    return bench_error(BENCH_FAILED, "no memory");
  return BENCH_OK;
}

void cast_verifier_destroy(cast_verifier *v) {
  for (int i = 0; v != NULL && i < SIDES; ++i) {
    mfq_buffer_destroy(v->sides[i].source);
    mfq_buffer_destroy(v->sides[i].parts);
    mfq_buffer_destroy(v->sides[i].values);
    free(v->results[i]);
  }
  if (v != NULL) mfq_context_destroy(v->sides[REFERENCE].context);
  if (v != NULL) free(v->random);
  free(v);
}

/* The same random numbers for both, of a type that has changed. */
static mfq_status fill(cast_verifier *v, mfq_dtype dtype) {
  mfq_status status = MFQ_OK;
  if (v->filled == dtype) return status;
  bench_fill_normal(v->random, dtype, (int64_t)(v->plain / sizeof(float)), v->seed, 1);
  for (int i = 0; status == MFQ_OK && i < SIDES; ++i)
    status = mfq_buffer_write(v->sides[i].source, 0, v->random, v->plain / sizeof(float) * mfq_dtype_bytes(dtype));
  v->filled = dtype;
  return status;
}

/* Writes `given` to the parts of one side, launches an operation, and reads the result. */
static mfq_status cast(cast_verifier *v, int which, const cast_row *row, const int64_t shape[2],
                       cast_operation operation, const uint8_t *given) {
  const side *s = &v->sides[which];
  const int makes_values = cast_makes_values(operation);
  mfq_buffer *to = makes_values ? s->values : s->parts;
  void *source = mfq_buffer_data(s->source);
  const cast_launch memory = {operation, source, source, mfq_buffer_data(s->values)};
  cast_parts parts;
  mfq_status status = cast_parts_place(row, shape[0], shape[1], mfq_buffer_data(s->parts), &parts);
  if (status == MFQ_OK) status = mfq_buffer_write(s->parts, 0, given, parts.used);
  if (status == MFQ_OK) status = cast_row_launch(s->context, row, &parts, shape[0], &memory);
  if (status == MFQ_OK && which == HERE) status = bench_spoil(row->common.name, to, 0);
  v->bytes = makes_values ? mfq_dtype_bytes(row->dtype) * (size_t)(shape[0] * shape[1]) : parts.used;
  return status == MFQ_OK ? mfq_buffer_read(to, 0, v->results[which], v->bytes) : status;
}

static mfq_status cast_both(cast_verifier *v, const cast_row *row, const int64_t shape[2]) {
  uint8_t *given = v->results[HERE], *codes = v->results[REFERENCE];
  cast_parts parts;
  mfq_status status = fill(v, row->dtype);
  if (status == MFQ_OK) status = cast_parts_place(row, shape[0], shape[1], given, &parts);
  if (status != MFQ_OK) return status;
  memset(given, 0, parts.used);
  cast_parts_give(&parts);
  const cast_operation preparation = cast_preparation(row->operation);
  const int is_prepared = preparation != row->operation;
  if (is_prepared) status = cast(v, REFERENCE, row, shape, preparation, given);
  const uint8_t *parts_of_both = is_prepared ? codes : given;
  const int last = parts_of_both == given ? HERE : REFERENCE; /* which overwrites them */
  if (status == MFQ_OK) status = cast(v, HERE + REFERENCE - last, row, shape, row->operation, parts_of_both);
  return status == MFQ_OK ? cast(v, last, row, shape, row->operation, parts_of_both) : status;
}

int cast_verify(cast_verifier *v, const cast_row *row) {
  for (int at = 0; at < SHAPES; ++at) {
    if (row->scheme.rotation != 0 && shapes[at][1] % row->scheme.rotation != 0) continue;
    const mfq_status status = cast_both(v, row, shapes[at]);
    if (status != MFQ_OK) return bench_status(status, row->common.name);
    for (size_t i = 0; i < v->bytes; ++i)
      if (v->results[HERE][i] != v->results[REFERENCE][i])
        return bench_error(BENCH_WRONG, "%s: byte %zu of the result is 0x%02x, the reference path says 0x%02x",
                           row->common.name, i, v->results[HERE][i], v->results[REFERENCE][i]);
  }
  return BENCH_OK;
}
