/* examples/support/train_report.c: how trainings went, as they go on, as a table, as CSV and as JSON. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "digits.h"
#include "train.h"

/* ---- Progress --------------------------------------------------------------------------------------------------- */

enum { BAR = 30 };

void train_progress_start(train_progress *p) {
  *p = (train_progress){.is_shown = isatty(STDERR_FILENO), .started = digits_seconds()};
}

void train_progress_draw(train_progress *p, int64_t done, int64_t all, const char *what) {
  static const char full[] = "##############################", empty[] = "..............................";
  const double now = digits_seconds();
  if (!p->is_shown || now - p->drawn < 0.1) return;
  const int length = (int)(BAR * done / all);
  const double left = (now - p->started) / (double)done * (double)(all - done);
  p->drawn = now;
  fprintf(stderr, "\r[%.*s%.*s] %3d %%  %s, %.0f s left \033[K", length, full, BAR - length, empty,
          (int)(100 * done / all), what, left);
  fflush(stderr);
}

void train_progress_wipe(train_progress *p) {
  if (p->is_shown) fprintf(stderr, "\r\033[K");
}

/* ---- Table ------------------------------------------------------------------------------------------------------ */

static double percent(const train_report *report, double right) { return 100 * right / report->digits; }

void train_print_heading(const train_report *report) {
  printf("%s; %d digits in batches of %d\n\n", report->device, report->trained, report->batch);
  printf("%-14s  %4s  %6s  %10s  %9s  %5s  %8s  %6s  %10s  %7s\n", "recipe", "seed", "epochs", "first loss",
         "last loss", "right", "accuracy", "served", "afterwards", "seconds");
}

static void print_count(int count, int width) {
  if (count < 0)
    printf("  %*s", width, "");
  else
    printf("  %*d", width, count);
}

void train_print_result(const train_report *report, const train_result *r) {
  const int last = r->epochs - 1;
  printf("%-14s  %4d  %6d  %10.4f  %9.4f  %5d  %6.2f %%", r->recipe, r->seed, r->epochs, r->loss[r->first],
         r->loss[last], r->right[last], percent(report, r->right[last]));
  print_count(r->served, 6);
  print_count(r->afterwards, 10);
  printf("  %7.1f\n", r->seconds);
  (void)fflush(stdout);
}

void train_print_means(const train_report *report) {
  printf("\nMeans over seeds: right, and last loss\n");
  for (int i = 0, next; i < report->count; i = next) {
    double right = 0, loss = 0;
    const train_result *first = &report->results[i];
    for (next = i; next < report->count && report->results[next].recipe == first->recipe; ++next) {
      right += report->results[next].right[first->epochs - 1];
      loss += report->results[next].loss[first->epochs - 1];
    }
    printf("%-16s  %6.2f %%  %.4f\n", first->recipe, percent(report, right / (next - i)), loss / (next - i));
  }
}

void train_print_recipes(int count, const char *const *recipes) {
  printf("\n");
  for (int i = 0; i < count; ++i)
    for (int32_t row = 0; mfq_recipe_name(row, NULL, NULL) != NULL; ++row) {
      const char *about;
      if (strcmp(mfq_recipe_name(row, NULL, &about), recipes[i]) == 0) printf("%-14s  %s\n", recipes[i], about);
    }
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

int train_write_csv(const train_report *report, const char *path) {
  FILE *file = fopen(path, "w");
  if (file == NULL) return digits_error(DIGITS_FAILED, "%s: cannot open: %s", path, strerror(errno));
  fprintf(file, "recipe,seed,epoch,loss,right,digits\n");
  for (int i = 0; i < report->count; ++i) {
    const train_result *r = &report->results[i];
    for (int e = r->first; e < r->epochs; ++e)
      fprintf(file, "%s,%d,%d,%.17g,%d,%d\n", r->recipe, r->seed, e + 1, r->loss[e], r->right[e], report->digits);
  }
  return digits_close(file, path, 1);
}

static json_t *count_json(int count) { return count < 0 ? json_null() : json_integer(count); }

static json_t *result_json(const train_report *report, const train_result *r) {
  json_t *loss = json_array(), *right = json_array();
  for (int e = r->first; e < r->epochs; ++e) {
    (void)json_array_append_new(loss, json_real(r->loss[e]));
    (void)json_array_append_new(right, json_integer(r->right[e]));
  }
  return json_pack("{s:s, s:i, s:o, s:o, s:f, s:f, s:o, s:o}", "recipe", r->recipe, "seed", r->seed, "loss", loss,
                   "right", right, "accuracy", (double)r->right[r->epochs - 1] / report->digits, "seconds", r->seconds,
                   "served", count_json(r->served), "afterwards", count_json(r->afterwards));
}

int train_write_json(const train_report *report, const char *path) {
  json_t *results = json_array();
  for (int i = 0; i < report->count; ++i)
    (void)json_array_append_new(results, result_json(report, &report->results[i]));
  json_t *root =
      json_pack("{s:i, s:s, s:s, s:i, s:i, s:i, s:o}", "version", 1, "mfq", mfq_version(), "device", report->device,
                "trained", report->trained, "digits", report->digits, "batch", report->batch, "results", results);
  return digits_write_root(root, path);
}
