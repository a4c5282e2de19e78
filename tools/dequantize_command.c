/* tools/dequantize_command.c: `mfq dequantize`: plain tensors from a quantized file. */
#include <stdlib.h>
#include <string.h>

#include "quantize_plan.h"
#include "stream.h"

typedef struct dequantize_options {
  const char *output, *dtype, *device;
  int threads, force, json, quiet;
} dequantize_options;

/* clang-format off */
static const cli_help help = {
    "IN -o OUT [options]", "mfq dequantize: restore plain tensors from a file that mfq quantize has written",
    "Names, shapes and order are those before quantization; the file itself says how each tensor was\n"
    "quantized. Tensors that are not quantized are copied, whatever --dtype says. A file without\n"
    "tensors that mfq has quantized is an error.\n"
    "\n"
    "Memory: one tensor at a time; at most 2.5 times the largest tensor (the larger of before and\n"
    "after), 32 MiB, and 16 bytes for each byte of the two headers.\n"
    "\n"
    "Examples:\n"
    "  mfq dequantize small.safetensors -o restored.safetensors\n"
    "  mfq dequantize small.safetensors -o restored.safetensors --dtype f32\n",
    1, 1};
/* clang-format on */

/* Reads --dtype; 0 means that of each tensor before quantization. Returns an exit code. */
static int parse_dtype(const char *text, mfq_dtype *dtype) {
  static const mfq_dtype allowed[] = {MFQ_DTYPE_F32, MFQ_DTYPE_BF16, MFQ_DTYPE_F16};
  *dtype = (mfq_dtype)0;
  if (text == NULL) return CLI_OK;
  for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; ++i)
    if (strcmp(text, mfq_dtype_name(allowed[i])) == 0) *dtype = allowed[i];
  return *dtype != 0 ? CLI_OK : cli_error(CLI_USAGE, "--dtype: '%s' is not f32, bf16 or f16", text);
}

typedef struct job {
  const mfq_reader *reader;
  const mfq_catalog *catalog;
  mfq_writer *writer;
  mfq_dtype dtype;
  int64_t *indices; /* by entry: its tensor in the output */
  int64_t quantized;
  uint64_t file_bytes_out;
} job;

static mfq_dtype target_dtype(const job *j, const mfq_catalog_entry *e) {
  return j->dtype != 0 ? j->dtype : mfq_dtype_from_file_dtype(e->dtype);
}

static int declare(job *j) {
  int code = plan_copy_metadata(j->reader, j->writer);
  int64_t count = mfq_catalog_count(j->catalog);
  j->indices = calloc((size_t)count + 1, sizeof *j->indices);
  if (j->indices == NULL) return cli_error(CLI_FAILED, "no memory for the plan");
  for (int64_t i = 0; code == CLI_OK && i < count; ++i) {
    const mfq_catalog_entry *e = mfq_catalog_get(j->catalog, i);
    mfq_file_dtype dtype = e->is_quantized ? mfq_file_dtype_from_dtype(target_dtype(j, e)) : e->dtype;
    mfq_status status = mfq_writer_add_tensor(j->writer, e->name, dtype, e->rank, e->shape, &j->indices[i]);
    if (status != MFQ_OK) code = cli_io_error(status);
    j->quantized += e->is_quantized;
  }
  if (code != CLI_OK) return code;
  mfq_status status = mfq_writer_file_bytes(j->writer, &j->file_bytes_out);
  return status == MFQ_OK ? CLI_OK : cli_io_error(status);
}

static int restore_tensor(stream *s, const job *j, int64_t entry, stream_parts *parts, stream_slot *slot) {
  const mfq_catalog_entry *e = mfq_catalog_get(j->catalog, entry);
  if (stream_is_empty(e->rank, e->shape)) return CLI_OK;
  mfq_tensor target;
  mfq_qtensor q;
  mfq_dtype dtype = target_dtype(j, e);
  size_t bytes = mfq_dtype_bytes(dtype);
  for (int32_t i = 0; i < e->rank; ++i) bytes *= (size_t)e->shape[i]; /* the writer has checked this product */
  int code = stream_load_parts(s, j->catalog, entry, parts, &q);
  if (code == CLI_OK) code = stream_reserve(s, slot, bytes);
  if (code != CLI_OK) return code;
  mfq_status status = mfq_tensor_init(mfq_buffer_data(slot->buffer), dtype, e->rank, e->shape, &target);
  if (status == MFQ_OK) status = mfq_dequantize(s->context, &q, &target);
  if (status != MFQ_OK) {
    return cli_error(status == MFQ_ERROR_UNSUPPORTED ? CLI_UNSUPPORTED : CLI_FAILED, "%s: tensor '%s': %s",
                     mfq_reader_path(j->reader), e->name, cli_sentence(mfq_last_error()));
  }
  return stream_store(s, slot, bytes, j->writer, j->indices[entry]);
}

static int write_file(const dequantize_options *o, const job *j, mfq_context *context) {
  stream s;
  stream_parts parts = {{{0}}};
  stream_slot slot = {0};
  int code = stream_init(&s, context);
  if (code != CLI_OK) return code;
  mfq_status status = mfq_writer_begin(j->writer);
  if (status != MFQ_OK) code = cli_io_error(status);
  int64_t count = mfq_catalog_count(j->catalog);
  progress_start(&s.progress, o->quiet, count, mfq_reader_file_bytes(j->reader));
  for (int64_t i = 0; code == CLI_OK && i < count; ++i) {
    progress_tensor(&s.progress);
    code = mfq_catalog_get(j->catalog, i)->is_quantized ? restore_tensor(&s, j, i, &parts, &slot)
                                                        : stream_copy(&s, j->catalog, i, j->writer, j->indices[i]);
  }
  if (code == CLI_OK && cli_interrupted()) code = CLI_INTERRUPTED;
  if (code == CLI_OK && (status = mfq_writer_finish(j->writer)) != MFQ_OK) code = cli_io_error(status);
  stream_slot_free(&slot);
  stream_parts_free(&parts);
  stream_free(&s);
  return code;
}

/* Refuses a file in which there is nothing to restore. */
static int check_some(const mfq_reader *reader, const mfq_catalog *catalog) {
  for (int64_t i = 0; i < mfq_catalog_count(catalog); ++i)
    if (mfq_catalog_get(catalog, i)->is_quantized) return CLI_OK;
  dialects d;
  int code = dialects_find(catalog, &d);
  if (code != CLI_OK) return code;
  char what[DIALECT_BYTES];
  code = d.tensors == 0
             ? cli_error(CLI_FAILED, "%s: nothing to dequantize, and no file written: no tensor was quantized by mfq",
                         mfq_reader_path(reader))
             : cli_error(CLI_FAILED,
                         "%s: nothing to dequantize, and no file written: it was quantized by another program, as %s; "
                         "restore it with that program",
                         mfq_reader_path(reader), dialects_describe(&d, what));
  dialects_free(&d);
  return code;
}

static int make_file(const dequantize_options *o, job *j) {
  mfq_writer_options options;
  mfq_writer_options_init(&options);
  options.replace = o->force;
  options.inputs = &j->reader;
  options.input_count = 1;
  mfq_context *context = NULL;
  int code = cli_create(o->output, &options, &j->writer);
  if (code == CLI_OK) code = check_some(j->reader, j->catalog);
  if (code == CLI_OK) code = declare(j);
  if (code == CLI_OK) code = cli_context_create(o->device, o->threads, &context);
  if (code == CLI_OK) code = write_file(o, j, context);
  mfq_writer_destroy(j->writer);
  mfq_context_destroy(context);
  free(j->indices);
  return code;
}

static int report(const dequantize_options *o, const job *j, const char *path) {
  long long count = (long long)mfq_catalog_count(j->catalog), quantized = (long long)j->quantized;
  long long bytes = (long long)j->file_bytes_out;
  if (o->json) {
    return cli_print_json(json_pack("{s:i, s:o, s:o, s:I, s:I, s:I}", "version", CLI_JSON_VERSION, "input",
                                    cli_text_json(path), "output", cli_text_json(o->output), "tensors",
                                    (json_int_t)count, "dequantized_tensors", (json_int_t)quantized, "file_bytes_out",
                                    (json_int_t)bytes));
  }
  if (!o->quiet) printf("%lld of %lld tensors dequantized; output file has %lld bytes\n", quantized, count, bytes);
  return CLI_OK;
}

static int dequantize(const dequantize_options *o, const char *path) {
  job j = {0};
  if (o->output == NULL) return cli_error(CLI_USAGE, "no output: give -o FILE");
  if (o->threads < 0) return cli_error(CLI_USAGE, "-j: %d threads; give 1 or more, or 0 for all", o->threads);
  int code = parse_dtype(o->dtype, &j.dtype);
  if (code != CLI_OK) return code;
  mfq_reader *reader = NULL;
  mfq_catalog *catalog = NULL;
  code = cli_open(path, &reader, &catalog);
  j.reader = reader;
  j.catalog = catalog;
  if (code == CLI_OK) code = make_file(o, &j);
  if (code == CLI_OK) code = report(o, &j, path);
  mfq_catalog_destroy(catalog);
  mfq_reader_close(reader);
  return code;
}

int dequantize_command(int argc, const char **argv) {
  dequantize_options o = {0};
  const struct poptOption table[] = {
      CLI_HELP_ROW,
      {"output", 'o', POPT_ARG_STRING, &o.output, 0, "the file to write", "OUT"},
      {"dtype", 0, POPT_ARG_STRING, &o.dtype, 0, "f32, bf16 or f16 (default: that before quantization)", "DTYPE"},
      CLI_DEVICE_ROW(&o.device),
      {"jobs", 'j', POPT_ARG_INT, &o.threads, 0, "threads of the CPU (default: 0, all that this process may use)", "N"},
      {"force", 'f', POPT_ARG_NONE, &o.force, 0, "replace an output that exists", NULL},
      CLI_JSON_ROW(&o.json),
      {"quiet", 'q', POPT_ARG_NONE, &o.quiet, 0, "no summary and no progress", NULL},
      POPT_TABLEEND};
  cli_arguments arguments;
  int code = cli_parse(&help, table, argc, argv, &arguments);
  if (code == CLI_PROCEED) code = dequantize(&o, arguments.items[0]);
  cli_arguments_free(&arguments);
  return code;
}
