/* tools/compare_command.c: `mfq compare`: how much two files differ. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare_error.h"
#include "compare_side.h"

static const cli_help help = {"A B [options]",
                              "mfq compare: measure how much the tensors of B differ from those of A, matched by name",
                              "Either file may be quantized by mfq: its tensors are dequantized on the fly, to their "
                              "dtype before quantization. SQNR is\n"
                              "10 log10(sum a^2 / sum (a - b)^2), in double. Tensors of other types than F64, F32, "
                              "BF16 and F16 are compared byte by\n"
                              "byte. With --min-sqnr the exit code is 3 when a tensor is below it, differs in shape or "
                              "bytes, or is in one file only.\n"
                              "\n"
                              "Memory: one pair of tensors at a time; at most 2.5 times the largest tensor "
                              "(dequantized), 32 MiB, and 24 bytes for each\n"
                              "byte of the two headers.\n"
                              "\n"
                              "Examples:\n"
                              "  mfq compare model.safetensors small.safetensors\n"
                              "  mfq compare model.safetensors restored.safetensors --min-sqnr 20 --json\n",
                              2, 2};

typedef enum verdict { VERDICT_NUMBERS, VERDICT_BYTES, VERDICT_SHAPE, VERDICT_ONLY_A, VERDICT_ONLY_B } verdict;

static const char *const verdict_words[] = {"numbers", "bytes", "shape or dtype differs", "only in A", "only in B"};

typedef struct result {
  const char *name;
  verdict verdict;
  error_sums sums;
  uint64_t bytes_differing;
} result;

typedef struct comparison {
  compare_side a, b;
  stream stream;
  stream_parts parts;
  unsigned char *chunk_b;
  result *results;
  int64_t count;
  error_sums all;
} comparison;

/* Compares two prepared entries piece by piece. */
static int compare_data(comparison *c, int64_t a, int64_t b, result *r) {
  const mfq_catalog_entry *x = mfq_catalog_get(c->a.catalog, a), *y = mfq_catalog_get(c->b.catalog, b);
  int numbers = r->verdict == VERDICT_NUMBERS;
  size_t a_bytes = numbers ? (size_t)mfq_file_dtype_bits(x->dtype) / 8 : 1;
  size_t b_bytes = numbers ? (size_t)mfq_file_dtype_bits(y->dtype) / 8 : 1;
  uint64_t count = 1;
  for (int32_t i = 0; i < x->rank; i++) count *= (uint64_t)x->shape[i];
  if (!numbers) count = x->part_bytes[0];
  const uint64_t piece = STREAM_CHUNK_BYTES / sizeof(double);
  for (uint64_t at = 0; at < count; at += piece) {
    if (cli_interrupted()) return CLI_INTERRUPTED;
    size_t n = (size_t)(count - at < piece ? count - at : piece);
    int code = side_fetch(&c->a, a, at * a_bytes, n * a_bytes, c->stream.chunk);
    if (code == CLI_OK) code = side_fetch(&c->b, b, at * b_bytes, n * b_bytes, c->chunk_b);
    if (code != CLI_OK) return code;
    if (numbers) error_add(&r->sums, x->dtype, c->stream.chunk, y->dtype, c->chunk_b, n);
    for (size_t i = 0; !numbers && i < n; i++) r->bytes_differing += c->stream.chunk[i] != c->chunk_b[i];
    progress_bytes(&c->stream.progress, n * a_bytes);
  }
  return CLI_OK;
}

static int compare_pair(comparison *c, int64_t a, result *r) {
  const mfq_catalog_entry *x = mfq_catalog_get(c->a.catalog, a);
  int64_t b = mfq_catalog_find(c->b.catalog, x->name);
  *r = (result){.name = x->name, .verdict = VERDICT_ONLY_A};
  if (b < 0) return CLI_OK;
  const mfq_catalog_entry *y = mfq_catalog_get(c->b.catalog, b);
  int floats = error_is_float(x->dtype) && error_is_float(y->dtype);
  int same_shape =
      x->rank == y->rank && (x->rank == 0 || memcmp(x->shape, y->shape, (size_t)x->rank * sizeof *x->shape) == 0);
  r->verdict = !same_shape || (!floats && x->dtype != y->dtype) ? VERDICT_SHAPE
               : floats                                         ? VERDICT_NUMBERS
                                                                : VERDICT_BYTES;
  if (r->verdict == VERDICT_SHAPE) return CLI_OK;
  int code = side_prepare(&c->stream, &c->a, a, &c->parts);
  if (code == CLI_OK) code = side_prepare(&c->stream, &c->b, b, &c->parts);
  if (code == CLI_OK) code = compare_data(c, a, b, r);
  if (code == CLI_OK && r->verdict == VERDICT_NUMBERS) error_merge(&c->all, &r->sums);
  return code;
}

static int compare_all(comparison *c) {
  int64_t a_count = mfq_catalog_count(c->a.catalog), b_count = mfq_catalog_count(c->b.catalog);
  c->results = calloc((size_t)(a_count + b_count) + 1, sizeof *c->results);
  if (c->results == NULL) return cli_error(CLI_FAILED, "no memory for the results");
  progress_start(&c->stream.progress, 0, a_count, mfq_reader_file_bytes(c->a.reader));
  for (int64_t i = 0; i < a_count; i++) {
    progress_tensor(&c->stream.progress);
    int code = compare_pair(c, i, &c->results[c->count++]);
    if (code != CLI_OK) return code;
  }
  progress_end(&c->stream.progress);
  for (int64_t i = 0; i < b_count; i++) {
    const mfq_catalog_entry *y = mfq_catalog_get(c->b.catalog, i);
    if (mfq_catalog_find(c->a.catalog, y->name) >= 0) continue;
    c->results[c->count++] = (result){.name = y->name, .verdict = VERDICT_ONLY_B};
  }
  return CLI_OK;
}

static const char *sqnr_text(const error_sums *sums, char *text, size_t capacity) {
  double sqnr = error_sqnr(sums);
  (void)snprintf(text, capacity, "%.3f", sqnr);
  return isinf(sqnr) && sqnr > 0 ? "exact" : text;
}

static void print_table(const comparison *c) {
  char text[64];
  printf("%10s  %12s  %10s  %s\n", "SQNR dB", "max error", "non-finite", "tensor");
  for (int64_t i = 0; i < c->count; i++) {
    const result *r = &c->results[i];
    if (r->verdict == VERDICT_NUMBERS) {
      printf("%10s  %12.6g  %10lld  %s\n", sqnr_text(&r->sums, text, sizeof text), r->sums.max_error,
             (long long)r->sums.mismatches, r->name);
    } else if (r->verdict == VERDICT_BYTES && r->bytes_differing == 0) {
      printf("%10s  %12s  %10s  %s\n", "exact", "-", "-", r->name);
    } else if (r->verdict == VERDICT_BYTES) {
      printf("%10s  %12s  %10s  %s: %llu bytes differ\n", "differs", "-", "-", r->name,
             (unsigned long long)r->bytes_differing);
    } else {
      printf("%10s  %12s  %10s  %s: %s\n", "-", "-", "-", r->name, verdict_words[r->verdict]);
    }
  }
  printf("%10s  %12.6g  %10lld  (all numbers)\n", sqnr_text(&c->all, text, sizeof text), c->all.max_error,
         (long long)c->all.mismatches);
}

/* JSON has no infinity: null where SQNR is not finite, and "exact" says which one. */
static json_t *sums_json(const error_sums *sums) {
  double sqnr = error_sqnr(sums);
  json_t *max_error = isfinite(sums->max_error) ? json_real(sums->max_error) : json_null(); /* F64 may overflow */
  return json_pack("{s:o, s:b, s:o, s:I, s:I}", "sqnr_db", isfinite(sqnr) ? json_real(sqnr) : json_null(), "exact",
                   isinf(sqnr) && sqnr > 0, "max_abs_error", max_error, "elements", (json_int_t)sums->count,
                   "nonfinite_mismatches", (json_int_t)sums->mismatches);
}

static int print_json(const comparison *c, int passed) {
  json_t *tensors = json_array();
  for (int64_t i = 0; i < c->count; i++) {
    const result *r = &c->results[i];
    json_t *object = r->verdict == VERDICT_NUMBERS ? sums_json(&r->sums) : json_object();
    (void)json_object_set_new(object, "name", json_string(r->name));
    (void)json_object_set_new(object, "compared", json_string(verdict_words[r->verdict]));
    if (r->verdict == VERDICT_BYTES) {
      (void)json_object_set_new(object, "exact", json_boolean(r->bytes_differing == 0));
      (void)json_object_set_new(object, "bytes_differing", json_integer((json_int_t)r->bytes_differing));
    }
    (void)json_array_append_new(tensors, object);
  }
  return cli_print_json(json_pack("{s:i, s:o, s:o, s:b, s:o, s:o}", "version", CLI_JSON_VERSION, "a",
                                  cli_text_json(mfq_reader_path(c->a.reader)), "b",
                                  cli_text_json(mfq_reader_path(c->b.reader)), "passed", passed, "all",
                                  sums_json(&c->all), "tensors", tensors));
}

/* Returns 1 when every tensor reaches `min_sqnr` and nothing else differs. */
static int passes(const comparison *c, double min_sqnr) {
  for (int64_t i = 0; i < c->count; i++) {
    const result *r = &c->results[i];
    int good = r->verdict == VERDICT_NUMBERS ? error_sqnr(&r->sums) >= min_sqnr
                                             : r->verdict == VERDICT_BYTES && r->bytes_differing == 0;
    if (!good) return 0;
  }
  return 1;
}

typedef struct compare_options {
  const char *device;
  double min_sqnr; /* NaN: no gate */
  int json;
} compare_options;

static int report(const comparison *c, const char *const *paths, const compare_options *o) {
  const int passed = isnan(o->min_sqnr) || passes(c, o->min_sqnr);
  int code = CLI_OK;
  if (o->json)
    code = print_json(c, passed);
  else
    print_table(c);
  if (code != CLI_OK || passed) return code;
  return cli_error(CLI_GATE, "%s: a tensor is below %g dB against %s, or differs otherwise", paths[1], o->min_sqnr,
                   paths[0]);
}

static int compare(comparison *c, const char *const *paths, const compare_options *o) {
  mfq_context *context = NULL;
  int code = side_open(paths[0], &c->a);
  if (code == CLI_OK) code = side_open(paths[1], &c->b);
  if (code == CLI_OK) code = cli_context_create(o->device, 0, &context);
  if (code == CLI_OK) code = stream_init(&c->stream, context);
  if (code == CLI_OK && (c->chunk_b = malloc(STREAM_CHUNK_BYTES)) == NULL) code = cli_error(CLI_FAILED, "no memory");
  if (code == CLI_OK) code = compare_all(c);
  if (code == CLI_OK) code = report(c, paths, o);
  stream_free(&c->stream);
  stream_parts_free(&c->parts);
  free(c->chunk_b);
  free(c->results);
  side_close(&c->a);
  side_close(&c->b);
  mfq_context_destroy(context);
  return code;
}

int compare_command(int argc, const char **argv) {
  compare_options o = {.min_sqnr = (double)NAN};
  const struct poptOption table[] = {
      CLI_HELP_ROW,
      {"min-sqnr", 0, POPT_ARG_DOUBLE, &o.min_sqnr, 0, "exit with 3 when a tensor is below this", "dB"},
      CLI_DEVICE_ROW(&o.device),
      CLI_JSON_ROW(&o.json),
      POPT_TABLEEND};
  cli_arguments arguments;
  int code = cli_parse(&help, table, argc, argv, &arguments);
  if (code == CLI_PROCEED) {
    comparison c = {.count = 0};
    code = compare(&c, arguments.items, &o);
  }
  cli_arguments_free(&arguments);
  return code;
}
