/* tools/inspect_command.c: `mfq inspect`: what is in a file, without reading its data. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dialect.h"

/* clang-format off */
static const cli_help help = {
    "FILE [--json]", "mfq inspect: list the tensors of a safetensors file in file order",
    "The scheme column says how a tensor was quantized, or which part of another one it is. Where\n"
    "another program has quantized tensors, a line behind the table names it. The data are not read.\n"
    "\n"
    "Example:\n"
    "  mfq inspect small.safetensors --json\n",
    1, 1};
/* clang-format on */

static const char *const part_words[MFQ_PART_COUNT] = {"codes", "scale", "tensor scale", "zero point"};

enum { ROLE_BYTES = MFQ_SCHEME_TEXT_MAX + MFQ_FILE_MAX_NAME, NAME_WIDTH = 60, LAST_DTYPE = MFQ_FILE_U64 };

typedef struct census {
  int64_t tensors[LAST_DTYPE + 1];
  uint64_t bytes[LAST_DTYPE + 1];
} census;

typedef struct listing {
  const mfq_reader *reader;
  const mfq_catalog *catalog;
  census census;
  uint64_t bytes;
  dialects dialects;         /* of tensors that another program has quantized */
  const mfq_scheme *printed; /* whose text is `scheme`: many tensors in a row share one */
  char scheme[MFQ_SCHEME_TEXT_MAX];
} listing;

static const char *scheme_text(listing *l, const mfq_scheme *scheme) {
  if (l->printed != NULL && mfq_scheme_equal(l->printed, scheme)) return l->scheme;
  l->printed = scheme;
  if (mfq_scheme_print(scheme, l->scheme, sizeof l->scheme) != MFQ_OK) (void)snprintf(l->scheme, sizeof l->scheme, "?");
  return l->scheme;
}

/* Writes the scheme of codes, "<part> of <name>" for other parts, or "-". */
static void write_role(listing *l, int64_t index, char *text) {
  const mfq_catalog_entry *e = mfq_catalog_get(l->catalog, mfq_catalog_owner(l->catalog, index));
  (void)snprintf(text, ROLE_BYTES, "-");
  if (e == NULL || !e->is_quantized) return;
  if (e->parts[MFQ_PART_CODES] == index) {
    (void)snprintf(text, ROLE_BYTES, "%s", scheme_text(l, &e->q.scheme));
    return;
  }
  for (int part = 1; part < MFQ_PART_COUNT; ++part)
    if (e->parts[part] == index) (void)snprintf(text, ROLE_BYTES, "%s of %s", part_words[part], e->name);
}

static void count_tensor(listing *l, const mfq_file_tensor *t) {
  ++l->census.tensors[t->dtype];
  l->census.bytes[t->dtype] += t->bytes;
  l->bytes += t->bytes;
}

static int name_width(const listing *l) {
  size_t width = strlen("tensor");
  for (int64_t i = 0; i < mfq_reader_tensor_count(l->reader); ++i) {
    mfq_file_tensor t;
    if (mfq_reader_tensor(l->reader, i, &t) == MFQ_OK && strlen(t.name) > width) width = strlen(t.name);
  }
  return width > NAME_WIDTH ? NAME_WIDTH : (int)width;
}

static void print_metadata(const listing *l) {
  int64_t count = mfq_reader_metadata_count(l->reader);
  for (int64_t i = 0; i < count; ++i) {
    const char *key, *value;
    if (mfq_reader_metadata(l->reader, i, &key, &value) != MFQ_OK || strcmp(key, "mfq_quantized") == 0) continue;
    json_t *text = json_string(value);
    char *quoted = json_dumps(text, JSON_ENCODE_ANY);
    if (quoted != NULL) printf("metadata %s: %s\n", key, quoted);
    free(quoted);
    json_decref(text);
  }
}

static int print_table(listing *l) {
  int width = name_width(l);
  int64_t count = mfq_reader_tensor_count(l->reader);
  printf("%-*s  %-11s  %-20s  %12s  %s\n", width, "tensor", "dtype", "shape", "bytes", "scheme");
  for (int64_t i = 0; i < count; ++i) {
    mfq_file_tensor t;
    char shape[CLI_SHAPE_BYTES], role[ROLE_BYTES];
    mfq_status status = mfq_reader_tensor(l->reader, i, &t);
    if (status != MFQ_OK) return cli_io_error(status);
    count_tensor(l, &t);
    write_role(l, i, role);
    printf("%-*s  %-11s  %-20s  %12" PRIu64 "  %s\n", width, t.name, mfq_file_dtype_name(t.dtype),
           cli_shape_text(t.rank, t.shape, shape), t.bytes, role);
  }
  printf("\n");
  for (int d = 1; d <= LAST_DTYPE; ++d) {
    if (l->census.tensors[d] == 0) continue;
    printf("%-11s  %6" PRId64 " tensors  %14" PRIu64 " bytes\n", mfq_file_dtype_name((mfq_file_dtype)d),
           l->census.tensors[d], l->census.bytes[d]);
  }
  printf("%-11s  %6" PRId64 " tensors  %14" PRIu64 " bytes; file %" PRIu64 " bytes\n", "all", count, l->bytes,
         mfq_reader_file_bytes(l->reader));
  char what[DIALECT_BYTES];
  if (l->dialects.tensors > 0) printf("quantized by another program, as %s\n", dialects_describe(&l->dialects, what));
  print_metadata(l);
  return CLI_OK;
}

static json_t *metadata_json(const listing *l) {
  json_t *object = json_object();
  int64_t count = mfq_reader_metadata_count(l->reader);
  for (int64_t i = 0; i < count; ++i) {
    const char *key, *value;
    if (mfq_reader_metadata(l->reader, i, &key, &value) == MFQ_OK)
      (void)json_object_set_new(object, key, json_string(value));
  }
  return object;
}

static int print_json(listing *l) {
  json_t *tensors = json_array();
  int64_t count = mfq_reader_tensor_count(l->reader);
  for (int64_t i = 0; i < count; ++i) {
    mfq_file_tensor t;
    char role[ROLE_BYTES];
    mfq_status status = mfq_reader_tensor(l->reader, i, &t);
    if (status != MFQ_OK) {
      json_decref(tensors);
      return cli_io_error(status);
    }
    count_tensor(l, &t);
    write_role(l, i, role);
    int is_plain = strcmp(role, "-") == 0;
    (void)json_array_append_new(
        tensors, json_pack("{s:s, s:s, s:o, s:I, s:I, s:o}", "name", t.name, "dtype", mfq_file_dtype_name(t.dtype),
                           "shape", cli_shape_json(t.rank, t.shape), "offset", (json_int_t)t.offset, "bytes",
                           (json_int_t)t.bytes, "scheme", is_plain ? json_null() : json_string(role)));
  }
  json_t *dtypes = json_object();
  for (int d = 1; d <= LAST_DTYPE; ++d) {
    if (l->census.tensors[d] == 0) continue;
    (void)json_object_set_new(
        dtypes, mfq_file_dtype_name((mfq_file_dtype)d),
        json_pack("{s:I, s:I}", "tensors", (json_int_t)l->census.tensors[d], "bytes", (json_int_t)l->census.bytes[d]));
  }
  char what[DIALECT_BYTES];
  return cli_print_json(json_pack(
      "{s:i, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "version", CLI_JSON_VERSION, "file",
      cli_text_json(mfq_reader_path(l->reader)), "file_bytes", (json_int_t)mfq_reader_file_bytes(l->reader),
      "data_bytes", (json_int_t)l->bytes, "metadata", metadata_json(l), "dtypes", dtypes, "quantized_by_others",
      cli_text_json(l->dialects.tensors > 0 ? dialects_describe(&l->dialects, what) : NULL), "tensors", tensors));
}

int inspect_command(int argc, const char **argv) {
  int json = 0;
  const struct poptOption table[] = {CLI_HELP_ROW, CLI_JSON_ROW(&json), POPT_TABLEEND};
  cli_arguments arguments;
  int code = cli_parse(&help, table, argc, argv, &arguments);
  if (code == CLI_PROCEED) {
    mfq_reader *reader = NULL;
    mfq_catalog *catalog = NULL;
    code = cli_open(arguments.items[0], &reader, &catalog);
    listing l = {.reader = reader, .catalog = catalog};
    if (code == CLI_OK) code = dialects_find(catalog, &l.dialects);
    if (code == CLI_OK) code = json ? print_json(&l) : print_table(&l);
    dialects_free(&l.dialects);
    mfq_catalog_destroy(catalog);
    mfq_reader_close(reader);
  }
  cli_arguments_free(&arguments);
  return code;
}
