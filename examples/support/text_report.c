/* examples/support/text_report.c: how trainings on a text went, as they go on, as tables, as CSV and as JSON. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "text_training.h"

/* ---- As it goes on ---------------------------------------------------------------------------------------------- */

void text_print_heading(const text_report *r) {
  const text_shape *s = &r->shape;
  printf("%s\n", r->device);
  printf("%s: %lld characters, %d different ones\n", r->path, (long long)r->characters, s->vocabulary);
  printf("%lld parameters: %d blocks of width %d, %d heads of %d, SwiGLU of %d; batches of %d x %d characters\n",
         (long long)r->parameters, s->blocks, s->width, s->heads, s->width / s->heads, s->hidden, s->batch, s->length);
  printf("a step's products: %.1f GFLOP; this machine multiplies %.0f GFLOP a second\n", 1e-9 * text_flops(s),
         1e-9 * r->peak);
  (void)fflush(stdout);
}

void text_print_point(const text_report *report, const text_result *r) {
  if (r->points == 1)
    printf("\n%-14s  %6s  %8s  %8s  %9s  %6s\n", "recipe", "step", "loss", "unseen", "chars/s", "peak");
  const int step = r->at[r->points - 1],
            has_unseen = r->unseen_points > 0 && r->unseen_at[r->unseen_points - 1] == step;
  printf("%-14s  %6d  %8.4f  ", r->recipe, step, r->loss[r->points - 1]);
  if (has_unseen)
    printf("%8.4f", r->unseen[r->unseen_points - 1]);
  else
    printf("%8s", "");
  printf("  %9.0f  %4.0f %%\n", r->tokens_per_second, 100 * r->flops_per_second / report->peak);
  (void)fflush(stdout);
}

/* ---- Tables ----------------------------------------------------------------------------------------------------- */

static void print_row(const char *what, double bytes, double with_bf16) {
  printf("  %-44s  %7.2f  %7.2f\n", what, 1e-6 * bytes, 1e-6 * with_bf16);
}

void text_print_memory(const text_result *r) {
  const text_memory *m = &r->memory;
  printf("\n  %-44s  %7s  %7s\n", "memory of a step, MB", r->recipe, "bf16");
  print_row("operands of products, kept for backward", m->operands, m->operands_bf16);
  print_row("other activations, float32", m->others, m->others);
  print_row("weights, float32", m->weights, m->weights);
  print_row("operands of products made of weights", m->weight_codes, m->weight_bf16);
  print_row("gradients, float32", m->gradients, m->gradients);
  print_row("moments of the optimizer", m->moments, m->moments);
}

/* Of all steps of a run. */
static double steps_per_second(const text_result *r) { return r->seconds > 0 ? r->trained / r->seconds : 0; }

/* Milliseconds of a step, by part. */
static void print_parts(const text_report *report) {
  printf("\n%-14s  %8s", "ms of a step", "all");
  for (int part = 0; part < TEXT_PARTS; ++part) printf("  %9s", text_part_names[part]);
  printf("\n");
  for (int i = 0; i < report->count; ++i) {
    const text_result *r = &report->results[i];
    if (r->trained == 0) continue;
    printf("%-14s  %8.1f", r->recipe, 1e3 * r->seconds / r->trained);
    for (int part = 0; part < TEXT_PARTS; ++part) printf("  %9.1f", 1e3 * r->parts[part] / r->trained);
    printf("\n");
  }
}

void text_print_summary(const text_report *report) {
  printf("\n%-14s  %6s  %8s  %8s  %10s  %8s  %9s\n", "recipe", "steps", "loss", "unseen", "difference", "seconds",
         "chars/s");
  for (int i = 0; i < report->count; ++i) {
    const text_result *r = &report->results[i], *first = &report->results[0];
    if (r->points == 0 || r->unseen_points == 0) continue;
    const double unseen = r->unseen[r->unseen_points - 1];
    printf("%-14s  %6d  %8.4f  %8.4f  %+10.4f  %8.1f  %9.0f\n", r->recipe, r->steps, r->loss[r->points - 1], unseen,
           unseen - first->unseen[first->unseen_points - 1], r->seconds,
           steps_per_second(r) * report->shape.batch * report->shape.length);
  }
  print_parts(report);
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

int text_write_csv(const text_report *report, const char *path) {
  FILE *file = fopen(path, "w");
  if (file == NULL) return digits_error(DIGITS_FAILED, "%s: cannot open: %s", path, strerror(errno));
  fprintf(file, "recipe,step,what,loss\n");
  for (int i = 0; i < report->count; ++i) {
    const text_result *r = &report->results[i];
    for (int k = 0; k < r->points; ++k) fprintf(file, "%s,%d,trained,%.9g\n", r->recipe, r->at[k], r->loss[k]);
    for (int k = 0; k < r->unseen_points; ++k)
      fprintf(file, "%s,%d,unseen,%.9g\n", r->recipe, r->unseen_at[k], r->unseen[k]);
  }
  return digits_close(file, path, 1);
}

static json_t *curve(int count, const int *at, const double *loss) {
  json_t *steps = json_array(), *losses = json_array();
  for (int i = 0; i < count; ++i) {
    (void)json_array_append_new(steps, json_integer(at[i]));
    (void)json_array_append_new(losses, json_real(loss[i]));
  }
  return json_pack("{s:o, s:o}", "step", steps, "loss", losses);
}

static json_t *memory_json(const text_memory *m) {
  return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "operands", m->operands, "operands_bf16",
                   m->operands_bf16, "other_activations", m->others, "weights", m->weights, "weight_codes",
                   m->weight_codes, "weight_bf16", m->weight_bf16, "gradients", m->gradients, "moments", m->moments);
}

/* A text as it is, or, where characters are parts of UTF-8 that do not fit together, with ? in their place. */
static json_t *sample_json(const char *sample) {
  json_t *whole = json_string(sample);
  if (whole != NULL) return whole;
  char copy[TEXT_SAMPLE];
  size_t n = 0;
  for (; sample[n] != '\0' && n + 1 < sizeof copy; ++n) copy[n] = sample[n];
  for (size_t i = 0; i < n; ++i)
    if ((unsigned char)copy[i] >= 0x80) copy[i] = '?';
  copy[n] = '\0';
  return json_string(copy);
}

static json_t *parts_json(const text_result *r) {
  json_t *parts = json_object();
  for (int part = 0; part < TEXT_PARTS; ++part)
    (void)json_object_set_new(parts, text_part_names[part], json_real(r->parts[part]));
  return parts;
}

static json_t *result_json(const text_report *report, const text_result *r) {
  return json_pack("{s:s, s:i, s:o, s:o, s:f, s:o, s:f, s:f, s:o, s:o}", "recipe", r->recipe, "steps", r->steps,
                   "trained", curve(r->points, r->at, r->loss), "unseen",
                   curve(r->unseen_points, r->unseen_at, r->unseen), "seconds", r->seconds, "seconds_by_part",
                   parts_json(r), "tokens_per_second", steps_per_second(r) * report->shape.batch * report->shape.length,
                   "share_of_peak", steps_per_second(r) * text_flops(&report->shape) / report->peak, "memory_bytes",
                   memory_json(&r->memory), "sample", sample_json(r->sample));
}

int text_write_json(const text_report *report, const char *path) {
  const text_shape *s = &report->shape;
  json_t *results = json_array();
  for (int i = 0; i < report->count; ++i)
    (void)json_array_append_new(results, result_json(report, &report->results[i]));
  json_t *shape =
      json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "blocks", s->blocks, "width", s->width, "heads", s->heads,
                "hidden", s->hidden, "length", s->length, "batch", s->batch, "vocabulary", s->vocabulary);
  json_t *root = json_pack("{s:i, s:s, s:s, s:s, s:o, s:I, s:I, s:f, s:f, s:o}", "version", 1, "mfq", mfq_version(),
                           "device", report->device, "text", report->path, "shape", shape, "parameters",
                           (json_int_t)report->parameters, "characters", (json_int_t)report->characters,
                           "flops_of_step", text_flops(s), "peak_flops_per_second", report->peak, "results", results);
  return digits_write_root(root, path);
}
