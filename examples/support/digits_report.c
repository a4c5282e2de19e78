/* examples/support/digits_report.c: how well and how fast the digits were read, as a table, as CSV and as JSON. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "digits.h"

static double microseconds(const digits_report *report, double seconds) { return 1e6 * seconds / report->digits; }

/* Up to its first ';': behind that stands why nothing faster was chosen. */
static int chosen_length(const char *plan) { return (int)strcspn(plan, ";"); }

static int is_known(const digits_report *report, int layer, int result) {
  const char *plan = report->results[result].plans[layer];
  const int length = chosen_length(plan);
  for (int i = 0; i < result; ++i) {
    const char *other = report->results[i].plans[layer];
    if (chosen_length(other) == length && strncmp(other, plan, (size_t)length) == 0) return 1;
  }
  return 0;
}

static void print_plans(const digits_report *report) {
  printf("\nLayers as they were planned, and the first scheme that uses each:\n");
  for (int layer = 0; layer < DIGITS_LAYERS; ++layer)
    for (int i = 0; i < report->count; ++i) {
      const char *plan = report->results[i].plans[layer];
      if (is_known(report, layer, i)) continue;
      printf("  %-6s  %.*s  (%s)\n", i == 0 ? digits_shapes[layer].name : "", chosen_length(plan), plan,
             report->results[i].scheme->name);
    }
}

static void print_difference(const digits_report *report, const digits_result *r) {
  if (r->equal == report->digits * DIGITS_CLASSES)
    printf("  equal, bit for bit");
  else
    printf("  %.1e of the largest", r->difference);
  if (r->moved > 0) printf("; inputs rounded to other codes for %d of %d digits", r->moved, report->digits);
}

void digits_print(const digits_report *report) {
  printf("%s%s; %d digits at once, median of %d runs\n\n", report->device,
         report->is_reproducible ? ", MFQ_REPRODUCIBLE" : "", report->digits, report->repetitions);
  printf("%-38s  %5s  %8s  %8s  %8s  %8s  %s\n", "weights and inputs of every layer", "right", "accuracy", "weights",
         "us/digit", "layers", "largest difference to the stored logits");
  for (int i = 0; i < report->count; ++i) {
    const digits_result *r = &report->results[i];
    printf("%-38s  %5d  %6.2f %%  %5.1f kB  %8.2f  %8.2f", r->scheme->name, r->right, 100.0 * r->right / report->digits,
           1e-3 * r->weight_bytes, microseconds(report, r->seconds), microseconds(report, r->layer_seconds));
    if (r->has_reference) print_difference(report, r);
    printf("\n");
  }
  print_plans(report);
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

int digits_close(FILE *file, const char *path, int is_written) {
  const int failed = ferror(file) != 0 || !is_written;
  if (fclose(file) != 0 || failed) return digits_error(DIGITS_FAILED, "%s: cannot write: %s", path, strerror(errno));
  return DIGITS_OK;
}

int digits_write_csv(const digits_report *report, const char *path) {
  FILE *file = fopen(path, "w");
  if (file == NULL) return digits_error(DIGITS_FAILED, "%s: cannot open: %s", path, strerror(errno));
  fprintf(file, "name,weights,inputs,right,digits,changed,weight_bytes,seconds_per_digit,layer_seconds_per_digit,"
                "logit_difference,logits_equal,digits_moved\n");
  for (int i = 0; i < report->count; ++i) {
    const digits_result *r = &report->results[i];
    const digits_scheme *s = r->scheme;
    fprintf(file, "%s,%s,%s,%d,%d,%d,%.0f,%.9f,%.9f,", s->name, s->weights != NULL ? s->weights : "f32",
            s->inputs != NULL ? s->inputs : "f32", r->right, report->digits, r->changed, r->weight_bytes,
            r->seconds / report->digits, r->layer_seconds / report->digits);
    if (r->has_reference) fprintf(file, "%.9g,%d,%d", r->difference, r->equal, r->moved);
    fprintf(file, "%s\n", r->has_reference ? "" : ",,");
  }
  return digits_close(file, path, 1);
}

int digits_write_root(json_t *root, const char *path) {
  FILE *file = root != NULL ? fopen(path, "w") : NULL;
  if (file == NULL) {
    json_decref(root);
    return digits_error(DIGITS_FAILED, "%s: cannot write: %s", path, root == NULL ? "no memory" : strerror(errno));
  }
  const int is_written = json_dumpf(root, file, JSON_INDENT(1)) == 0 && fputc('\n', file) != EOF;
  json_decref(root);
  return digits_close(file, path, is_written);
}

static json_t *result_json(const digits_report *report, const digits_result *r) {
  const digits_scheme *s = r->scheme;
  json_t *plans = json_object();
  for (int i = 0; i < DIGITS_LAYERS; ++i)
    (void)json_object_set_new(plans, digits_shapes[i].name, json_string(r->plans[i]));
  json_t *stored = r->has_reference
                       ? json_pack("{s:s, s:f, s:i, s:i, s:i}", "tensor", s->reference, "difference", r->difference,
                                   "equal", r->equal, "moved_digits", r->moved, "right", r->reference_right)
                       : json_null();
  return json_pack("{s:s, s:s?, s:s?, s:i, s:f, s:i, s:f, s:f, s:f, s:o, s:o}", "name", s->name, "weights", s->weights,
                   "inputs", s->inputs, "right", r->right, "accuracy", (double)r->right / report->digits, "changed",
                   r->changed, "weight_bytes", r->weight_bytes, "seconds_per_digit", r->seconds / report->digits,
                   "layer_seconds_per_digit", r->layer_seconds / report->digits, "stored_logits", stored, "plans",
                   plans);
}

int digits_write_json(const digits_report *report, const char *path) {
  json_t *results = json_array();
  for (int i = 0; i < report->count; ++i)
    (void)json_array_append_new(results, result_json(report, &report->results[i]));
  json_t *root = json_pack("{s:i, s:s, s:s, s:i, s:i, s:b, s:o}", "version", 1, "mfq", mfq_version(), "device",
                           report->device, "digits", report->digits, "repetitions", report->repetitions, "reproducible",
                           report->is_reproducible, "results", results);
  return digits_write_root(root, path);
}
