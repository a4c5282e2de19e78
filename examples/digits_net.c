/* Reads handwritten digits with a small network whose layers are quantized convolutions and products, by many schemes: how many are
 * right, how far the logits are from those of another implementation, how long a digit takes. */
#include <math.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/digits.h"

/* The first is what the others are compared with. The names of stored logits are those of the file's tensors. */
static const digits_scheme schemes[] = {
    {"float32", NULL, NULL, "float32"},
    {"Brevitas MXFloat8e4m3", "brevitas:MXFloat8e4m3Weight", "brevitas:MXFloat8e4m3Act", "mxfp8_e4m3"},
    {"Brevitas MXFloat8e4m3/e2m1", "brevitas:MXFloat8e4m3Weight/e2m1", "brevitas:MXFloat8e4m3Act/e2m1", "mxfp4_e2m1"},
    {"Brevitas MXInt8", "brevitas:MXInt8Weight", "brevitas:MXInt8Act", "mxint8"},
    {"mxfp8_e4m3", "mxfp8_e4m3", "mxfp8_e4m3", NULL},
    {"mxfp8_e5m2", "mxfp8_e5m2", "mxfp8_e5m2", NULL},
    {"mxfp6_e3m2", "mxfp6_e3m2", "mxfp6_e3m2", NULL},
    {"mxfp6_e2m3", "mxfp6_e2m3", "mxfp6_e2m3", NULL},
    {"mxfp4_e2m1", "mxfp4_e2m1", "mxfp4_e2m1", NULL},
    {"mxint8", "mxint8", "mxint8", NULL},
    {"nvfp4", "nvfp4", "nvfp4", NULL},
    {"fp8_e4m3_tensor", "fp8_e4m3_tensor", "fp8_e4m3_tensor", NULL},
    {"fp8_e4m3_channel", "fp8_e4m3_channel", "fp8_e4m3_channel", NULL},
    {"int8_channel", "int8_channel", "int8_channel", NULL},
    {"int8_channel with uint8 inputs", "int8_channel", "int8_tensor_zp", NULL},
    {"int4_group32", "int4_group32", "int4_group32", NULL},
    {"mxfp4_e2m1 with float32 inputs", "mxfp4_e2m1", NULL, NULL},
    {"mxfp4_e2m1 with mxfp8_e4m3 inputs", "mxfp4_e2m1", "mxfp8_e4m3", NULL},
};
enum { SCHEMES = sizeof schemes / sizeof schemes[0] };

/* Differences per largest logit: sums of f32 in another order, a few units in the last place, stay below this. A code
 * of an input that falls to the other side is far above it. */
static const double rounding = 4e-6;

typedef struct digits_options {
  const char *digits, *model, *logits, *csv, *json, *device;
  const char *only;
  int repetitions, threads, is_reproducible, most;
} digits_options;

static int count_right(const digits_images *images, const float *logits) {
  int right = 0;
  for (int i = 0; i < images->count; ++i) right += digits_largest(logits + i * DIGITS_CLASSES) == images->labels[i];
  return right;
}

/* ---- One scheme ------------------------------------------------------------------------------------------------- */

static int compare_stored(const digits_options *o, const digits_images *images, const float *logits,
                          digits_result *result) {
  float *stored = NULL;
  int moved = 0; /* logits of one digit */
  double top = 0, difference = 0;
  if (o->logits == NULL || result->scheme->reference == NULL) return DIGITS_OK;
  const int code = digits_logits_read(o->logits, result->scheme->reference, images->count, &stored);
  const int count = code == DIGITS_OK ? images->count * DIGITS_CLASSES : 0;
  for (int i = 0; i < count; ++i) top = fmax(top, fabs((double)stored[i]));
  for (int i = 0; i < count; ++i) {
    const double d = fabs((double)logits[i] - (double)stored[i]);
    result->equal += memcmp(&logits[i], &stored[i], sizeof stored[i]) == 0;
    moved += !(d <= rounding * top);
    if (!(d <= difference)) difference = d; /* NaN too */
    if (i % DIGITS_CLASSES == DIGITS_CLASSES - 1) {
      result->moved += moved > 0;
      moved = 0;
    }
  }
  if (code == DIGITS_OK) {
    result->has_reference = 1;
    result->difference = difference / top;
    result->reference_right = count_right(images, stored);
  }
  free(stored);
  return code;
}

static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The first run is not counted. Sorted, the middle one is the median. */
static int time_runs(digits_network *network, int repetitions, float *logits, digits_result *result) {
  double *seconds = malloc((size_t)repetitions * 2 * sizeof *seconds);
  int code = seconds != NULL ? digits_network_run(network, logits) : digits_error(DIGITS_FAILED, "no memory");
  for (int r = 0; code == DIGITS_OK && r < repetitions; ++r) {
    const double start = digits_seconds();
    code = digits_network_run(network, logits);
    seconds[r] = digits_seconds() - start;
    seconds[repetitions + r] = network->layer_seconds;
  }
  if (code == DIGITS_OK) {
    qsort(seconds, (size_t)repetitions, sizeof *seconds, compare_doubles);
    qsort(seconds + repetitions, (size_t)repetitions, sizeof *seconds, compare_doubles);
    result->seconds = seconds[repetitions / 2];
    result->layer_seconds = seconds[repetitions + repetitions / 2];
  }
  free(seconds);
  return code;
}

typedef struct digits_inputs {
  digits_images images;
  digits_weights weights;
  float *logits, *float32_logits; /* of the scheme in work, of the first one */
} digits_inputs;

static int read_digits(const digits_options *o, mfq_context *context, digits_inputs *in, digits_result *result) {
  digits_network network;
  const size_t bytes = (size_t)in->images.count * DIGITS_CLASSES * sizeof *in->logits;
  int code = digits_network_create(context, &in->images, &in->weights, result->scheme, &network);
  if (code == DIGITS_OK) code = time_runs(&network, o->repetitions, in->logits, result);
  if (code == DIGITS_OK) code = compare_stored(o, &in->images, in->logits, result);
  for (int i = 0; code == DIGITS_OK && i < DIGITS_LAYERS; ++i) {
    (void)snprintf(result->plans[i], sizeof result->plans[i], "%s", digits_layer_describe(&network.layers[i]));
    result->weight_bytes += network.layers[i].weight_bytes;
  }
  digits_network_destroy(&network);
  if (code != DIGITS_OK) return code;
  if (result->scheme == &schemes[0]) memcpy(in->float32_logits, in->logits, bytes);
  result->right = count_right(&in->images, in->logits);
  for (int i = 0; i < in->images.count; ++i)
    result->changed +=
        digits_largest(in->logits + i * DIGITS_CLASSES) != digits_largest(in->float32_logits + i * DIGITS_CLASSES);
  return code;
}

/* ---- All of them ------------------------------------------------------------------------------------------------ */

static int run(const digits_options *o, mfq_context *context) {
  digits_inputs in = {.logits = NULL};
  int count = 0;
  digits_result *results = calloc(SCHEMES, sizeof *results);
  int code = results != NULL ? digits_images_read(o->digits, DIGITS_TRAINED, o->most, &in.images)
                             : digits_error(DIGITS_FAILED, "no memory");
  if (code == DIGITS_OK) code = digits_weights_read(o->model, &in.weights);
  in.logits = calloc((size_t)in.images.count * DIGITS_CLASSES + 1, sizeof *in.logits);
  in.float32_logits = calloc((size_t)in.images.count * DIGITS_CLASSES + 1, sizeof *in.float32_logits);
  if (in.logits == NULL || in.float32_logits == NULL) code = digits_error(DIGITS_FAILED, "no memory");
  for (int i = 0; code == DIGITS_OK && i < SCHEMES; ++i) {
    if (i > 0 && o->only != NULL && strstr(schemes[i].name, o->only) == NULL) continue;
    results[count].scheme = &schemes[i];
    code = read_digits(o, context, &in, &results[count++]);
  }
  if (code == DIGITS_OK) {
    const digits_report report = {
        mfq_context_describe(context), count, in.images.count, o->repetitions, o->is_reproducible, results};
    digits_print(&report);
    if (o->csv != NULL) code = digits_write_csv(&report, o->csv);
    if (code == DIGITS_OK && o->json != NULL) code = digits_write_json(&report, o->json);
  }
  free(in.logits);
  free(in.float32_logits);
  digits_weights_free(&in.weights);
  digits_images_free(&in.images);
  free(results);
  return code;
}

static int parse(int argc, const char **argv, digits_options *o) {
  const struct poptOption table[] = {
      {"logits", 'l', POPT_ARG_STRING, &o->logits, 0, "logits of the same digits to compare with", "FILE"},
      {"csv", 0, POPT_ARG_STRING, &o->csv, 0, "write one line a scheme", "FILE"},
      {"json", 0, POPT_ARG_STRING, &o->json, 0, "write everything", "FILE"},
      {"device", 'd', POPT_ARG_STRING, &o->device, 0, "cuda:0, ... (default: cpu)", "NAME"},
      {"digits", 'n', POPT_ARG_INT, &o->most, 0, "read only the first N (default: all)", "N"},
      {"only", 0, POPT_ARG_STRING, &o->only, 0, "float32, and what has TEXT in its name", "TEXT"},
      {"reproducible", 0, POPT_ARG_NONE, &o->is_reproducible, 0, "the same bits on every device", NULL},
      {"repetitions", 'r', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &o->repetitions, 0, "timed runs a scheme", "N"},
      {"threads", 'j', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &o->threads, 0, "0: all", "N"},
      POPT_AUTOHELP POPT_TABLEEND};
  poptContext popt = poptGetContext("digits_net", argc, argv, table, 0); /* lives as long as the process */
  if (popt == NULL) return digits_error(DIGITS_FAILED, "no memory for the options");
  poptSetOtherOptionHelp(popt, "DIGITS.csv MODEL.safetensors [options]");
  const int found = poptGetNextOpt(popt);
  if (found < -1)
    return digits_error(DIGITS_USAGE, "%s: %s; see --help", poptBadOption(popt, POPT_BADOPTION_NOALIAS),
                        poptStrerror(found));
  o->digits = poptGetArg(popt);
  o->model = o->digits != NULL ? poptGetArg(popt) : NULL;
  if (o->model == NULL || poptPeekArg(popt) != NULL)
    return digits_error(DIGITS_USAGE,
                        "give the digits (a CSV file, '-' for standard input) and the network; see --help");
  if (o->repetitions < 1) return digits_error(DIGITS_USAGE, "--repetitions is %d; give 1 or more", o->repetitions);
  return DIGITS_OK;
}

int main(int argc, char **argv) {
  digits_options o = {.repetitions = 5};
  mfq_context *context = NULL;
  mfq_context_options options;
  mfq_context_options_init(&options);
  int code = parse(argc, (const char **)argv, &o);
  options.threads = o.threads;
  options.policy = o.is_reproducible ? MFQ_REPRODUCIBLE : MFQ_FAST;
  if (o.device != NULL) options.device = o.device;
  if (code == DIGITS_OK)
    code = digits_status(mfq_context_create(&options, &context), "--device, --threads", mfq_last_error());
  if (code == DIGITS_OK) code = run(&o, context);
  mfq_context_destroy(context);
  if (fclose(stdout) != 0 && code == DIGITS_OK) code = digits_error(DIGITS_FAILED, "standard output: cannot write");
  return code;
}
