/* tools/quantize_command.c: `mfq quantize`: one tensor at a time from file to file. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "calibration.h"

typedef struct quantize_options {
  const char *output, *scheme, *device, *non_finite, *search;
  const char **rules;
  calibration_options calibration;
  int threads, is_dry_run, force, json, verbose, quiet;
  long long seed;
} quantize_options;

/* clang-format off */
static const cli_help help = {
    "IN -o OUT [options]", "mfq quantize: quantize the weights of a safetensors file",
    "--scheme goes to the weights: F32, BF16 and F16 tensors of two or more axes. Copied as they are:\n"
    "vectors, biases, scales and zero points of other tensors, what another program has quantized, and\n"
    "what would not become smaller. The last column of the table says why.\n"
    "\n"
    "--rule REGEX=SCHEME decides for tensors in whose name the regular expression (POSIX extended) is\n"
    "found, REGEX=keep copies them; the first rule that matches decides, whatever the tensor is. A rule\n"
    "that decides nothing is an error.\n"
    "\n"
    "Groups lie along axis 1, the input channels of a weight [out, in, ...]; along axis 2 of stacked\n"
    "experts [E, out, in]; along the window of a depthwise filter [out, 1, kh, kw]. Channels are axis 0.\n"
    "A scheme may name the axis itself, as in e4m3fn/group:32@0/ue8m0.\n"
    "\n"
    "--search METHOD tries several scales for each group, channel or tensor and keeps the one with the\n"
    "least squared error: mse, 19 from 0.1 to 1 of the plain one; mse_up, it and its double; 4over6, for\n"
    "nvfp4/bound:256; percentile; hqo, for integers; hqo_zero, for their zero points; quest, one scale\n"
    "that follows from the deviation. The file is one of the same scheme. Names of Brevitas that end in\n"
    "MSE or HQO ask for a search by themselves, where --search says no other.\n"
    "\n"
    "--calibrate FILE makes scales of what was measured before, as for the inputs of a layer: tensors of\n"
    "a safetensors file are batches of the tensor of the same name, or of what is before its number, as\n"
    "in x, x.0, x.1; all are, if one tensor is quantized and none has its name. A statistic is taken of\n"
    "each batch, and the mean of all of these. Every quantized tensor needs a batch.\n"
    "--save-calibration keeps what was collected, as another FILE for --calibrate.\n"
    "\n"
    "The output appears complete or not at all. Its metadata say how each tensor was quantized, so that\n"
    "mfq dequantize needs no options. A file in which nothing would be quantized is an error.\n"
    "\n"
    "Memory: one tensor at a time; at most 2.5 times the largest quantized tensor (the larger of before\n"
    "and after) or batch, 32 MiB, and 24 bytes for each byte of the two headers.\n"
    "\n"
    "Examples:\n"
    "  mfq quantize model.safetensors -o small.safetensors --scheme mxfp8_e4m3\n"
    "  mfq quantize model.safetensors -o small.safetensors -s int4_group32_zp -r 'lm_head|embed=keep'\n"
    "  mfq quantize model.safetensors -o small.safetensors -s mxfp4_e2m1 --search mse_up\n"
    "  mfq quantize x.safetensors -o q.safetensors -s int8_tensor --calibrate batches.safetensors\n"
    "  mfq quantize model.safetensors --scheme nvfp4 --dry-run\n",
    1, 1};
/* clang-format on */

/* The method of a search; MFQ_SEARCH_METHODS where there is none. */
static mfq_search_method search_of(const quantize_options *o) {
  int32_t i = 0;
  if (o->search == NULL) return MFQ_SEARCH_METHODS;
  while (i < (int32_t)MFQ_SEARCH_METHODS && strcmp(o->search, mfq_search_name(i, NULL)) != 0) ++i;
  return (mfq_search_method)i;
}

static int refuse_search(const char *word) {
  char names[160] = "";
  for (int32_t i = 0; i < (int32_t)MFQ_SEARCH_METHODS; ++i)
    (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i > 0 ? ", " : "",
                   mfq_search_name(i, NULL));
  return cli_error(CLI_USAGE, "--search: '%s' is none of %s", word, names);
}

static int check_options(const quantize_options *o) {
  if (o->output == NULL && !o->is_dry_run) return cli_error(CLI_USAGE, "no output: give -o FILE, or --dry-run");
  if (o->scheme == NULL && o->rules == NULL)
    return cli_error(CLI_USAGE, "nothing to do: give --scheme SCHEME or --rule REGEX=SCHEME; see mfq schemes");
  if (o->non_finite != NULL && strcmp(o->non_finite, "warn") != 0 && strcmp(o->non_finite, "error") != 0)
    return cli_error(CLI_USAGE, "--non-finite: '%s' is not warn or error", o->non_finite);
  if (o->search != NULL && search_of(o) == MFQ_SEARCH_METHODS) return refuse_search(o->search);
  if (o->search != NULL && o->calibration.files != NULL)
    return cli_error(CLI_USAGE, "--search finds scales in a tensor, --calibrate in others; give one of them");
  if (o->calibration.save != NULL && o->output != NULL && strcmp(o->calibration.save, o->output) == 0)
    return cli_error(CLI_USAGE, "--save-calibration: '%s' is the output, too; give another file", o->output);
  if (o->threads < 0) return cli_error(CLI_USAGE, "-j: %d threads; give 1 or more, or 0 for all", o->threads);
  return CLI_OK;
}

/* Memory of one tensor at a time, and how its scales are found. */
typedef struct quantize_memory {
  stream_slot source;
  stream_parts parts;
  mfq_search_method method; /* of all tensors; MFQ_SEARCH_METHODS: what the name of their scheme asks for, or none */
  calibration *calibration; /* without files: none */
} quantize_memory;

static mfq_status find_codes(mfq_context *context, mfq_search_method method, const mfq_tensor *source,
                             const mfq_qtensor *q) {
  mfq_search search;
  if (method == MFQ_SEARCH_METHODS) return mfq_quantize(context, source, q, NULL);
  mfq_search_init(&search, method);
  search.src = source;
  search.q = q;
  return mfq_search_scales(context, &search);
}

/* Reads a tensor that is to be quantized, and counts what is not finite. */
static int load_tensor(stream *s, const mfq_catalog *catalog, int64_t index, plan_item *item, quantize_memory *m) {
  finite_count count = {.dtype = mfq_dtype_from_file_dtype(item->entry->dtype)};
  const int code = stream_load_counted(s, catalog, index, &m->source, &count);
  item->nan = count.nan;
  item->infinite = count.infinite;
  return code;
}

static int quantize_tensor(stream *s, const mfq_catalog *catalog, int64_t index, plan_item *item, quantize_memory *m) {
  const mfq_catalog_entry *e = item->entry;
  mfq_qtensor q = item->q;
  int code = stream_reserve_parts(s, &m->parts, &item->sizes, &q);
  stream_shrink_empty(&q.scheme, q.rank, q.shape);
  if (code == CLI_OK && m->calibration->file_count > 0)
    code = calibration_scales(m->calibration, s, item, index, &m->source, &q);
  if (code == CLI_OK) code = stream_reserve(s, &m->source, (size_t)e->part_bytes[0]);
  if (code == CLI_OK) code = load_tensor(s, catalog, index, item, m);
  if (code != CLI_OK) return code;
  mfq_tensor source;
  mfq_status status =
      mfq_tensor_init(mfq_buffer_data(m->source.buffer), mfq_dtype_from_file_dtype(e->dtype), q.rank, q.shape, &source);
  if (status == MFQ_OK)
    status = find_codes(s->context, m->method != MFQ_SEARCH_METHODS ? m->method : item->method, &source, &q);
  if (status == MFQ_OK) return CLI_OK;
  return cli_error(status == MFQ_ERROR_UNSUPPORTED ? CLI_UNSUPPORTED : CLI_FAILED, "tensor '%s': %s", e->name,
                   cli_sentence(mfq_last_error()));
}

static int write_tensor(stream *s, const mfq_catalog *catalog, int64_t index, plan_item *item, mfq_writer *writer,
                        quantize_memory *m) {
  if (!item->is_quantized) return stream_copy(s, catalog, index, writer, item->parts[0]);
  int code = quantize_tensor(s, catalog, index, item, m);
  const uint64_t bytes[MFQ_PART_COUNT] = {[MFQ_PART_CODES] = item->sizes.codes_bytes,
                                          [MFQ_PART_SCALES] = item->sizes.scales_bytes,
                                          [MFQ_PART_TENSOR_SCALE] = item->sizes.tensor_scale_bytes,
                                          [MFQ_PART_ZERO_POINTS] = item->sizes.zero_points_bytes};
  for (int part = 0; code == CLI_OK && part < MFQ_PART_COUNT; ++part)
    if (item->parts[part] >= 0) code = stream_store(s, &m->parts.slots[part], bytes[part], writer, item->parts[part]);
  return code;
}

/* Adds what was counted in one tensor to the plan; an error where that was asked for. */
static int count_non_finite(const quantize_options *o, plan *p, const plan_item *item) {
  p->nan += item->nan;
  p->infinite += item->infinite;
  if (item->nan + item->infinite == 0 || o->non_finite == NULL || strcmp(o->non_finite, "error") != 0) return CLI_OK;
  return cli_error(CLI_FAILED,
                   "%s: tensor '%s': %" PRId64 " values are NaN and %" PRId64
                   " infinite, and --non-finite error allows "
                   "none; no file was written",
                   p->path, item->entry->name, item->nan, item->infinite);
}

static int write_file(const quantize_options *o, plan *p, const mfq_catalog *catalog, mfq_writer *writer,
                      mfq_context *context, calibration *calibrated) {
  stream s;
  quantize_memory memory = {.method = search_of(o), .calibration = calibrated};
  int code = stream_init(&s, context);
  if (code != CLI_OK) return code;
  mfq_status status = mfq_writer_begin(writer);
  if (status != MFQ_OK) code = cli_io_error(status);
  progress_start(&s.progress, o->quiet || o->verbose, p->count, p->bytes_in + p->batch_bytes);
  for (int64_t i = 0; code == CLI_OK && i < p->count; ++i) {
    plan_item *item = &p->items[i];
    progress_tensor(&s.progress);
    /* The index keys the random numbers too, so that tensors of equal shape do not draw equal ones. */
    status = mfq_context_set_seed(context, (uint64_t)o->seed, (uint64_t)i);
    if (status != MFQ_OK) code = cli_error(CLI_FAILED, "--seed: %s", cli_sentence(mfq_last_error()));
    if (code == CLI_OK) code = write_tensor(&s, catalog, i, item, writer, &memory);
    if (code == CLI_OK) code = count_non_finite(o, p, item);
    if (code == CLI_OK && o->verbose)
      fprintf(stderr, "%s: %s\n", item->entry->name, item->is_quantized ? "quantized" : "copied");
  }
  if (code == CLI_OK && cli_interrupted()) code = CLI_INTERRUPTED;
  if (code == CLI_OK) code = calibration_write(calibrated, p);
  if (code == CLI_OK && (status = mfq_writer_finish(writer)) != MFQ_OK) code = cli_io_error(status);
  if (code == CLI_OK) code = calibration_finish(calibrated);
  calibration_free_slots(calibrated);
  stream_slot_free(&memory.source);
  stream_parts_free(&memory.parts);
  stream_free(&s);
  return code;
}

/* Everything between an open input and the report. */
static int make_file(const quantize_options *o, const mfq_reader *reader, const mfq_catalog *catalog, plan *p,
                     calibration *calibrated) {
  mfq_writer_options options;
  const mfq_reader **inputs = calloc((size_t)calibrated->file_count + 1, sizeof *inputs);
  if (inputs == NULL) return cli_error(CLI_FAILED, "no memory for a list of files");
  inputs[0] = reader;
  mfq_writer_options_init(&options);
  options.inputs = inputs;
  options.input_count = calibration_inputs(calibrated, inputs, 1);
  options.replace = o->force;
  mfq_writer *writer = NULL;
  mfq_context *context = NULL;
  int code = calibration_create(calibrated, &options);
  if (o->output == NULL) { /* a dry run may go without an output: the input's name stands for it */
    options.replace = 1;
    options.input_count = 0;
  }
  if (code == CLI_OK) code = cli_create(o->output == NULL ? p->path : o->output, &options, &writer);
  if (code == CLI_OK) code = plan_declare(p, reader, writer);
  if (code == CLI_OK) code = cli_context_create(o->device, o->threads, &context);
  if (code == CLI_OK && !o->is_dry_run && p->quantized > 0)
    code = write_file(o, p, catalog, writer, context, calibrated);
  mfq_writer_destroy(writer);
  mfq_context_destroy(context);
  free(inputs);
  return code;
}

static int quantize(const quantize_options *o, const char *path) {
  rules r;
  plan p = {0};
  calibration calibrated;
  mfq_reader *reader = NULL;
  mfq_catalog *catalog = NULL;
  int code = rules_compile(o->rules, o->scheme, o->calibration.files != NULL, &r);
  const int read = calibration_read(&o->calibration, &calibrated);
  if (code == CLI_OK) code = read;
  if (code == CLI_OK) code = cli_open(path, &reader, &catalog);
  if (code == CLI_OK) code = plan_make(path, catalog, &r, &p);
  if (code == CLI_OK) code = calibration_open(&calibrated, &p);
  if (code == CLI_OK) code = make_file(o, reader, catalog, &p, &calibrated);
  const int is_written = !o->is_dry_run && p.quantized > 0;
  if (code == CLI_OK && o->json)
    code = plan_print_json(&p, o->output, is_written);
  else if (code == CLI_OK && !o->quiet)
    code = plan_print_table(&p, is_written);
  if (code == CLI_OK) code = plan_conclude(&p);
  calibration_free(&calibrated);
  plan_free(&p);
  rules_free(&r);
  mfq_catalog_destroy(catalog);
  mfq_reader_close(reader);
  return code;
}

int quantize_command(int argc, const char **argv) {
  quantize_options o = {0};
  const struct poptOption table[] = {
      CLI_HELP_ROW,
      {"output", 'o', POPT_ARG_STRING, &o.output, 0, "the file to write", "OUT"},
      {"scheme", 's', POPT_ARG_STRING, &o.scheme, 0, "scheme of tensors without a rule", "SCHEME"},
      {"rule", 'r', POPT_ARG_ARGV, &o.rules, 0, "scheme, or 'keep', of tensors whose name matches; may be repeated",
       "REGEX=SCHEME"},
      {"search", 0, POPT_ARG_STRING, &o.search, 0,
       "scales with the least squared error: mse, mse_up, 4over6, percentile, hqo, hqo_zero or quest (default: what "
       "the scheme's name asks for, brevitas:...MSE, or its rule)",
       "METHOD"},
      {"calibrate", 0, POPT_ARG_ARGV, &o.calibration.files, 0,
       "scales of batches, tensors of the same names; may be repeated", "FILE"},
      {"observer", 0, POPT_ARG_STRING, &o.calibration.observer, 0,
       "statistic of a batch: absmax, percentile:99.99, sigma:3, minmax, interval:0.01:99.99, mean, ... (default: the "
       "scheme's)",
       "STATISTIC"},
      {"running", 0, POPT_ARG_STRING, &o.calibration.running, 0,
       "what is kept of all batches: mean (default), extreme, or momentum:0.1", "HOW"},
      {"save-calibration", 0, POPT_ARG_STRING, &o.calibration.save, 0,
       "the file to write what was collected to, a FILE for --calibrate", "FILE"},
      {"non-finite", 0, POPT_ARG_STRING, &o.non_finite, 0,
       "NaN and infinite values: warn (default), or error, and write nothing", "warn|error"},
      CLI_DEVICE_ROW(&o.device),
      {"jobs", 'j', POPT_ARG_INT, &o.threads, 0, "threads of the CPU (default: 0, all that this process may use)", "N"},
      {"seed", 0, POPT_ARG_LONGLONG, &o.seed, 0, "key of stochastic rounding (default: 0)", "N"},
      {"dry-run", 'n', POPT_ARG_NONE, &o.is_dry_run, 0,
       "say what would be done, its exact size and memory; write nothing", NULL},
      {"force", 'f', POPT_ARG_NONE, &o.force, 0, "replace an output that exists", NULL},
      CLI_JSON_ROW(&o.json),
      {"verbose", 'v', POPT_ARG_NONE, &o.verbose, 0, "a line for each tensor on standard error", NULL},
      {"quiet", 'q', POPT_ARG_NONE, &o.quiet, 0, "no table and no progress", NULL},
      POPT_TABLEEND};
  cli_arguments arguments;
  int code = cli_parse(&help, table, argc, argv, &arguments);
  if (code == CLI_PROCEED && (code = check_options(&o)) == CLI_OK) code = quantize(&o, arguments.items[0]);
  cli_arguments_free(&arguments);
  return code;
}
