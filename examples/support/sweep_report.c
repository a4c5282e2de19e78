/* examples/support/sweep_report.c: results as a table, as CSV (one line a scheme and tensor) and as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "sweep.h"

enum { MAX_COLUMNS = 4, COLUMN_WIDTH = 7 };

/* ---- Table ------------------------------------------------------------------------------------------------------ */

/* The name without ".weight", cut to a column. */
static void print_heading(const char *name) {
  const char *end = strstr(name, ".weight");
  const int length = (int)(end != NULL ? (size_t)(end - name) : strlen(name));
  const int shown = length < COLUMN_WIDTH ? length : COLUMN_WIDTH;
  printf("  %*s%.*s", COLUMN_WIDTH - shown, "", shown, name);
}

static int64_t worst_layer(const sweep_report *report, const sweep_result *r) {
  int64_t worst = -1;
  for (int64_t i = 0; i < report->model->count; ++i) {
    if (!report->model->tensors[i].is_weight) continue;
    const sweep_layer *l = &r->layers[i], *w = worst < 0 ? l : &r->layers[worst];
    if (worst < 0 || sweep_db(l->signal, l->noise) < sweep_db(w->signal, w->noise)) worst = i;
  }
  return worst;
}

static void print_layers(const sweep_report *report, const sweep_result *r) {
  const int64_t worst = worst_layer(report, r);
  if (report->model->weights > MAX_COLUMNS) {
    printf("  %7.2f in %-24.24s", sweep_db(r->layers[worst].signal, r->layers[worst].noise),
           report->model->tensors[worst].file.name);
    return;
  }
  for (int64_t i = 0; i < report->model->count; ++i)
    if (report->model->tensors[i].is_weight)
      printf("  %*.2f", COLUMN_WIDTH, sweep_db(r->layers[i].signal, r->layers[i].noise));
}

static int scheme_width(const sweep_report *report) {
  size_t width = strlen("scheme");
  for (int i = 0; i < report->count; ++i)
    if (strlen(report->results[i].scheme) > width) width = strlen(report->results[i].scheme);
  return (int)width;
}

void sweep_print(const sweep_report *report) {
  const sweep_model *m = report->model;
  const int width = scheme_width(report);
  printf("%s: %" PRId64 " weights in %" PRId64 " tensors, %" PRIu64 " bytes; %s\n", m->path,
         (int64_t)report->results[0].weights, m->weights, mfq_reader_file_bytes(m->reader), report->device);
  printf("SQNR in dB, over all and by tensor; quantize: all weights, median of %d runs\n\n", report->repetitions);
  printf("%-*s  %6s  %6s", width, "scheme", "bits/w", "SQNR");
  for (int64_t i = 0; m->weights <= MAX_COLUMNS && i < m->count; ++i)
    if (m->tensors[i].is_weight) print_heading(m->tensors[i].file.name);
  if (m->weights > MAX_COLUMNS) printf("  %-35s", "  worst");
  printf("  %9s  %9s\n", "quantize", "file");
  for (int i = 0; i < report->count; ++i) {
    const sweep_result *r = &report->results[i];
    printf("%-*s  %6.3f  %6.2f", width, r->scheme, 8.0 * r->bytes / r->weights, sweep_db(r->signal, r->noise));
    print_layers(report, r);
    printf("  %6.0f us  %7" PRIu64 " B\n", 1e6 * r->quantize_seconds, r->file_bytes);
  }
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

static int close_file(FILE *file, const char *path, int is_written) {
  const int failed = ferror(file) != 0 || !is_written;
  if (fclose(file) != 0 || failed) return sweep_error(SWEEP_FAILED, "%s: cannot write: %s", path, strerror(errno));
  return SWEEP_OK;
}

/* Names are any text: a quote within quotes is doubled (RFC 4180). */
static void put_quoted(FILE *file, const char *text) {
  fputc('"', file);
  for (; *text != '\0'; ++text) {
    if (*text == '"') fputc('"', file);
    fputc(*text, file);
  }
  fputc('"', file);
}

int sweep_write_csv(const sweep_report *report, const char *path) {
  FILE *file = fopen(path, "w");
  if (file == NULL) return sweep_error(SWEEP_FAILED, "%s: cannot open: %s", path, strerror(errno));
  fprintf(file, "scheme,tensor,weights,bits_per_weight,sqnr_db,quantize_seconds,dequantize_seconds,file_bytes\n");
  for (int i = 0; i < report->count; ++i) {
    const sweep_result *r = &report->results[i];
    fprintf(file, "%s,all,%.0f,%.6f,%.4f,%.9f,%.9f,%" PRIu64 "\n", r->scheme, r->weights, 8.0 * r->bytes / r->weights,
            sweep_db(r->signal, r->noise), r->quantize_seconds, r->dequantize_seconds, r->file_bytes);
    for (int64_t k = 0; k < report->model->count; ++k) {
      const sweep_tensor *t = &report->model->tensors[k];
      if (!t->is_weight) continue;
      fprintf(file, "%s,", r->scheme);
      put_quoted(file, t->file.name);
      fprintf(file, ",%" PRId64 ",%.6f,%.4f,,,\n", t->count, sweep_bits(&r->layers[k], t->count),
              sweep_db(r->layers[k].signal, r->layers[k].noise));
    }
  }
  return close_file(file, path, 1);
}

/* JSON has no infinity: null stands for "no error at all". */
static json_t *db_json(double signal, double noise) {
  const double db = sweep_db(signal, noise);
  return isfinite(db) ? json_real(db) : json_null();
}

static json_t *result_json(const sweep_report *report, const sweep_result *r) {
  json_t *layers = json_array();
  for (int64_t k = 0; k < report->model->count; ++k) {
    const sweep_tensor *t = &report->model->tensors[k];
    const sweep_layer *l = &r->layers[k];
    if (!t->is_weight) continue;
    (void)json_array_append_new(layers, json_pack("{s:s, s:I, s:f, s:o}", "tensor", t->file.name, "weights",
                                                  (json_int_t)t->count, "bits_per_weight", sweep_bits(l, t->count),
                                                  "sqnr_db", db_json(l->signal, l->noise)));
  }
  return json_pack("{s:s, s:f, s:o, s:f, s:f, s:I, s:o}", "scheme", r->scheme, "bits_per_weight",
                   8.0 * r->bytes / r->weights, "sqnr_db", db_json(r->signal, r->noise), "quantize_seconds",
                   r->quantize_seconds, "dequantize_seconds", r->dequantize_seconds, "file_bytes",
                   (json_int_t)r->file_bytes, "tensors", layers);
}

int sweep_write_json(const sweep_report *report, const char *path) {
  json_t *results = json_array();
  for (int i = 0; i < report->count; ++i)
    (void)json_array_append_new(results, result_json(report, &report->results[i]));
  json_t *root = json_pack("{s:i, s:s, s:s, s:I, s:s, s:i, s:o}", "version", 1, "mfq", mfq_version(), "model",
                           report->model->path, "model_bytes", (json_int_t)mfq_reader_file_bytes(report->model->reader),
                           "device", report->device, "repetitions", report->repetitions, "results", results);
  FILE *file = root != NULL ? fopen(path, "w") : NULL;
  if (file == NULL) {
    json_decref(root);
    return sweep_error(SWEEP_FAILED, "%s: cannot write: %s", path, root == NULL ? "no memory" : strerror(errno));
  }
  const int is_written = json_dumpf(root, file, JSON_INDENT(1)) == 0 && fputc('\n', file) != EOF;
  json_decref(root);
  return close_file(file, path, is_written);
}
