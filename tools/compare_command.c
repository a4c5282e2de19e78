/* tools/compare_command.c: `mfq compare`: how much two files differ. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare_report.h"

/* clang-format off */
static const cli_help help = {
    "A B [options]", "mfq compare: measure how much the tensors of B differ from those of A, matched by name",
    "Either file may be quantized by mfq: its tensors are dequantized on the fly, to their dtype before\n"
    "quantization. SQNR is 10 log10(sum a^2 / sum (a - b)^2), in double. Tensors of other types than\n"
    "F64, F32, BF16 and F16 are compared byte by byte.\n"
    "\n"
    "The totals are over the tensors that are quantized in a file or differ, so that copied ones do not\n"
    "make them look better; the worst tensors are listed behind. With --min-sqnr the exit code is 3\n"
    "when a tensor is below it, differs in shape or bytes, or is in one file only. Without anything to\n"
    "compare it is 1 (3 with --min-sqnr).\n"
    "\n"
    "Memory: one pair of tensors at a time; at most 2.5 times the largest tensor (dequantized), 32 MiB,\n"
    "and 24 bytes for each byte of the two headers.\n"
    "\n"
    "Examples:\n"
    "  mfq compare model.safetensors small.safetensors\n"
    "  mfq compare model.safetensors restored.safetensors --min-sqnr 20 --json\n",
    2, 2};
/* clang-format on */

typedef struct comparison {
  compare_side a, b;
  stream stream;
  stream_parts parts;
  unsigned char *chunk_b;
  compare_result *results;
  int64_t count;
} comparison;

/* Compares two prepared entries piece by piece. */
static int compare_data(comparison *c, int64_t a, int64_t b, compare_result *r) {
  const mfq_catalog_entry *x = mfq_catalog_get(c->a.catalog, a), *y = mfq_catalog_get(c->b.catalog, b);
  int numbers = r->verdict == COMPARED_NUMBERS;
  size_t a_bytes = numbers ? (size_t)mfq_file_dtype_bits(x->dtype) / 8 : 1;
  size_t b_bytes = numbers ? (size_t)mfq_file_dtype_bits(y->dtype) / 8 : 1;
  uint64_t count = 1;
  for (int32_t i = 0; i < x->rank; ++i) count *= (uint64_t)x->shape[i];
  if (!numbers) count = x->part_bytes[0];
  const uint64_t piece = STREAM_CHUNK_BYTES / sizeof(double);
  for (uint64_t at = 0; at < count; at += piece) {
    if (cli_interrupted()) return CLI_INTERRUPTED;
    size_t n = (size_t)(count - at < piece ? count - at : piece);
    int code = side_fetch(&c->a, a, at * a_bytes, n * a_bytes, c->stream.chunk);
    if (code == CLI_OK) code = side_fetch(&c->b, b, at * b_bytes, n * b_bytes, c->chunk_b);
    if (code != CLI_OK) return code;
    if (numbers) error_add(&r->sums, x->dtype, c->stream.chunk, y->dtype, c->chunk_b, n);
    for (size_t i = 0; !numbers && i < n; ++i) r->bytes_differing += c->stream.chunk[i] != c->chunk_b[i];
    progress_bytes(&c->stream.progress, n * a_bytes);
  }
  return CLI_OK;
}

static int compare_pair(comparison *c, int64_t a, compare_result *r) {
  const mfq_catalog_entry *x = mfq_catalog_get(c->a.catalog, a);
  int64_t b = mfq_catalog_find(c->b.catalog, x->name);
  *r = (compare_result){.name = x->name, .verdict = COMPARED_ONLY_A};
  if (b < 0) return CLI_OK;
  const mfq_catalog_entry *y = mfq_catalog_get(c->b.catalog, b);
  int floats = error_is_float(x->dtype) && error_is_float(y->dtype);
  int same_shape =
      x->rank == y->rank && (x->rank == 0 || memcmp(x->shape, y->shape, (size_t)x->rank * sizeof *x->shape) == 0);
  r->is_quantized = x->is_quantized || y->is_quantized;
  r->verdict = !same_shape || (!floats && x->dtype != y->dtype) ? COMPARED_NOT
               : floats                                         ? COMPARED_NUMBERS
                                                                : COMPARED_BYTES;
  if (r->verdict == COMPARED_NOT) return CLI_OK;
  int code = side_prepare(&c->stream, &c->a, a, &c->parts);
  if (code == CLI_OK) code = side_prepare(&c->stream, &c->b, b, &c->parts);
  return code == CLI_OK ? compare_data(c, a, b, r) : code;
}

static int compare_all(comparison *c, int quiet) {
  int64_t a_count = mfq_catalog_count(c->a.catalog), b_count = mfq_catalog_count(c->b.catalog);
  c->results = calloc((size_t)(a_count + b_count) + 1, sizeof *c->results);
  if (c->results == NULL) return cli_error(CLI_FAILED, "no memory for the results");
  progress_start(&c->stream.progress, quiet, a_count, mfq_reader_file_bytes(c->a.reader));
  for (int64_t i = 0; i < a_count; ++i) {
    progress_tensor(&c->stream.progress);
    int code = compare_pair(c, i, &c->results[c->count++]);
    if (code != CLI_OK) return code;
  }
  progress_end(&c->stream.progress);
  for (int64_t i = 0; i < b_count; ++i) {
    const mfq_catalog_entry *y = mfq_catalog_get(c->b.catalog, i);
    if (mfq_catalog_find(c->a.catalog, y->name) >= 0) continue;
    c->results[c->count++] = (compare_result){.name = y->name, .verdict = COMPARED_ONLY_B};
  }
  return CLI_OK;
}

/* Returns 1 when every tensor reaches `min_sqnr` and nothing else differs. */
static int passes(const comparison *c, double min_sqnr) {
  for (int64_t i = 0; i < c->count; ++i) {
    const compare_result *r = &c->results[i];
    int good = r->verdict == COMPARED_NUMBERS ? error_sqnr(&r->sums) >= min_sqnr : compare_is_exact(r);
    if (!good) return 0;
  }
  return 1;
}

typedef struct compare_options {
  const char *device;
  double min_sqnr; /* NaN: no gate */
  int json, quiet;
} compare_options;

/* Returns the exit code that the results ask for, after its message. */
static int judge(const comparison *c, const compare_totals *totals, const char *const *paths,
                 const compare_options *o) {
  const int has_gate = !isnan(o->min_sqnr);
  char rest[160];
  if (!compare_any(totals)) {
    return cli_error(has_gate ? CLI_GATE : CLI_FAILED, "%s and %s: nothing to compare: %s", paths[0], paths[1],
                     c->count == 0 ? "no tensors" : compare_rest(totals, rest, sizeof rest));
  }
  if (!has_gate || passes(c, o->min_sqnr)) return CLI_OK;
  if (totals->worst[0] != NULL && !(error_sqnr(&totals->worst[0]->sums) >= o->min_sqnr)) {
    return cli_error(CLI_GATE, "%s: tensor '%s' has %.3f dB against %s, and --min-sqnr asks for %g dB", paths[1],
                     totals->worst[0]->name, error_sqnr(&totals->worst[0]->sums), paths[0], o->min_sqnr);
  }
  return cli_error(CLI_GATE,
                   "%s: --min-sqnr asks that all tensors be as in %s, and not all are: %" PRId64 " differ in "
                   "bytes%s%s",
                   paths[1], paths[0], totals->bytes_differ_tensors,
                   *compare_rest(totals, rest, sizeof rest) == '\0' ? "" : ", ", rest);
}

static int report(const comparison *c, const char *const *paths, const compare_options *o) {
  compare_totals totals;
  compare_sum_up(c->results, c->count, &totals);
  int code = CLI_OK;
  if (o->json) {
    json_t *head =
        json_pack("{s:i, s:o, s:o, s:b}", "version", CLI_JSON_VERSION, "a", cli_text_json(mfq_reader_path(c->a.reader)),
                  "b", cli_text_json(mfq_reader_path(c->b.reader)), "passed",
                  compare_any(&totals) && (isnan(o->min_sqnr) || passes(c, o->min_sqnr)));
    code = compare_print_json(c->results, c->count, &totals, head);
  } else if (!o->quiet) {
    compare_print_table(c->results, c->count, &totals);
  }
  return code == CLI_OK ? judge(c, &totals, paths, o) : code;
}

static int compare(comparison *c, const char *const *paths, const compare_options *o) {
  mfq_context *context = NULL;
  int code = side_open(paths[0], &c->a);
  if (code == CLI_OK) code = side_open(paths[1], &c->b);
  if (code == CLI_OK) code = cli_context_create(o->device, 0, &context);
  if (code == CLI_OK) code = stream_init(&c->stream, context);
  if (code == CLI_OK && (c->chunk_b = malloc(STREAM_CHUNK_BYTES)) == NULL) code = cli_error(CLI_FAILED, "no memory");
  if (code == CLI_OK) code = compare_all(c, o->quiet);
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
      {"quiet", 'q', POPT_ARG_NONE, &o.quiet, 0, "no table and no progress: only the exit code", NULL},
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
