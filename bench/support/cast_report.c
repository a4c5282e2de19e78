/* bench/support/cast_report.c: the rows of the cast benchmark as a table, as CSV and as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cast_run.h"

static const char *copy_name(const cast_settings *s) { return s->device != NULL ? "mfq_buffer_copy" : "memcpy"; }

static double elements(const cast_row *row) { return (double)row->rows * (double)row->cols; }

/* No character of a row's name means anything else in a regular expression. */
static void reproduce(const cast_settings *s, const cast_row *row, char *text, size_t capacity) {
  (void)snprintf(text, capacity,
                 "bench_cast --filter '^%s$' --rows %" PRId64 " --cols %" PRId64 " --threads %d --repetitions %d"
                 " --seed %" PRId64 "%s%s%s%s",
                 row->name, s->rows, s->cols, s->threads, s->repetitions, s->seed, s->isa != NULL ? " --isa " : "",
                 s->isa != NULL ? s->isa : "", s->device != NULL ? " --device " : "",
                 s->device != NULL ? s->device : "");
}

static void print_conditions(const cast_settings *s, const mfq_context *context) {
  char model[256];
  bench_cpu_model(model, sizeof model);
  if (s->device != NULL)
    printf("%s\n%" PRId64 " x %" PRId64 ", normal random input, seed %" PRId64
           ", median of %d samples; a sample is many "
           "launches in a row, divided by their number\n",
           mfq_context_describe(context), s->rows, s->cols, s->seed, s->repetitions);
  else
    printf("%s; %s\n%" PRId64 " x %" PRId64 ", normal random input, seed %" PRId64 ", median of %d runs, %d thread%s\n",
           model, mfq_context_describe(context), s->rows, s->cols, s->seed, s->repetitions, s->threads,
           s->threads == 1 ? "" : "s");
}

static void print_heading(const cast_settings *s, const mfq_context *context) {
  print_conditions(s, context);
  if (bench_is_emulated(context)) printf("THE DEVICE IS EMULATED: THESE TIMES SAY NOTHING ABOUT ANY GPU\n");
  printf(
      "GB/s: bytes that must be read and written at least (scales of the whole tensor or of channels need two reads).\n"
      "copy: share of the bandwidth of %s, measured between the rows. One row again:\n"
      "  bench_cast %s%s%s--filter '^OPERATION TYPE SCHEME$'\n",
      copy_name(s), s->device != NULL ? "--device " : "", s->device != NULL ? s->device : "",
      s->device != NULL ? " " : "");
}

static void print_row(const cast_settings *s, const cast_row *row) {
  const char *note = s->device != NULL ? "  general path" : "  general path, fewer rows";
  printf("  %-40.40s  %6.2f  %5.1f%%  %3d%s  %6.3f  %8.3f  %8.3f  %8.3f%s\n", row->text, 1e-9 * cast_row_bandwidth(row),
         cast_row_share(row), row->target, cast_row_misses(row) ? "<" : " ", 1e-9 * elements(row) / row->seconds.median,
         1e3 * row->seconds.median, 1e3 * row->seconds.p10, 1e3 * row->seconds.p90,
         row->support == MFQ_SUPPORT_FAST ? "" : note);
}

void cast_print(const cast_settings *s, const mfq_context *context, const cast_rows *rows) {
  int misses = 0;
  double slowest = 0, fastest = 0;
  print_heading(s, context);
  for (int i = 0; i < rows->count; i++) {
    const cast_row *row = &rows->items[i], *before = i > 0 ? row - 1 : NULL;
    if (before == NULL || before->operation != row->operation || before->dtype != row->dtype) {
      char title[64];
      (void)snprintf(title, sizeof title, "%s %s", cast_operation_name(row->operation), mfq_dtype_name(row->dtype));
      printf("\n%-42s  %6s  %6s  %4s  %6s  %8s  %8s  %8s\n", title, "GB/s", "copy", "goal", "Gel/s", "ms", "p10",
             "p90");
    }
    print_row(s, row);
    misses += cast_row_misses(row);
    if (i == 0 || cast_row_copy(row) < slowest) slowest = cast_row_copy(row);
    if (i == 0 || cast_row_copy(row) > fastest) fastest = cast_row_copy(row);
  }
  printf("\n%d rows, %d below their goal (<). %s: %.1f ... %.1f GB/s (read + written)\n", rows->count, misses,
         copy_name(s), 1e-9 * slowest, 1e-9 * fastest);
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

int cast_write_csv(const cast_rows *rows, const char *path) {
  FILE *file = fopen(path, "w");
  if (file == NULL) return bench_error(BENCH_FAILED, "%s: cannot open: %s", path, strerror(errno));
  fprintf(file, "operation,dtype,scheme,rows,cols,path,bytes_read,bytes_written,median_seconds,p10_seconds,p90_seconds,"
                "bytes_per_second,copy_bytes_per_second,copy_p10_seconds,copied_bytes,share_percent,goal_percent\n");
  for (int i = 0; i < rows->count; i++) {
    const cast_row *r = &rows->items[i];
    fprintf(file, "%s,%s,%s,%" PRId64 ",%" PRId64 ",%s,%.0f,%.0f,%.9f,%.9f,%.9f,%.6g,%.6g,%.9f,%.0f,%.2f,%d\n",
            cast_operation_name(r->operation), mfq_dtype_name(r->dtype), r->text, r->rows, r->cols,
            r->support == MFQ_SUPPORT_FAST ? "fast" : "general", r->read, r->written, r->seconds.median, r->seconds.p10,
            r->seconds.p90, cast_row_bandwidth(r), cast_row_copy(r), r->copy_seconds.p10, r->copied, cast_row_share(r),
            r->target);
  }
  return bench_close_file(file, path, 1);
}

static json_t *row_json(const cast_settings *s, const cast_row *r) {
  char line[CAST_NAME + 256];
  reproduce(s, r, line, sizeof line);
  json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:f, s:f}", "operation",
                          cast_operation_name(r->operation), "dtype", mfq_dtype_name(r->dtype), "scheme", r->text,
                          "equal_schemes", r->aliases, "rows", (json_int_t)r->rows, "cols", (json_int_t)r->cols, "path",
                          r->support == MFQ_SUPPORT_FAST ? "fast" : "general", "bytes_read", r->read, "bytes_written",
                          r->written);
  json_t *times = json_pack(
      "{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i, s:b, s:s}", "median_seconds",
      r->seconds.median, "p10_seconds", r->seconds.p10, "p90_seconds", r->seconds.p90, "gb_per_second",
      1e-9 * cast_row_bandwidth(r), "copy_median_seconds", r->copy_seconds.median, "copy_p10_seconds",
      r->copy_seconds.p10, "copy_p90_seconds", r->copy_seconds.p90, "copied_bytes", r->copied, "copy_gb_per_second",
      1e-9 * cast_row_copy(r), "share_percent", cast_row_share(r), "gelements_per_second",
      1e-9 * elements(r) / r->seconds.median, "rotated_bytes", r->rotated, "launches_a_sample", r->launches,
      "goal_percent", r->target, "is_below_goal", cast_row_misses(r), "reproduce", line);
  if (row == NULL || times == NULL || json_object_update(row, times) != 0) {
    json_decref(row);
    row = NULL;
  }
  json_decref(times);
  return row;
}

int cast_write_json(const cast_settings *s, json_t *machine, const cast_rows *rows, const char *path) {
  json_t *list = json_array();
  for (int i = 0; i < rows->count; i++) (void)json_array_append_new(list, row_json(s, &rows->items[i]));
  json_t *parameters = json_pack(
      "{s:s, s:I, s:I, s:i, s:i, s:I, s:s?, s:s?, s:s, s:s}", "device", s->device != NULL ? s->device : "cpu", "rows",
      (json_int_t)s->rows, "cols", (json_int_t)s->cols, "threads", s->threads, "repetitions", s->repetitions, "seed",
      (json_int_t)s->seed, "isa", s->isa, "filter", s->filter, "input", "normal", "copy", copy_name(s));
  return bench_write_json("cast", machine, parameters, list, path);
}
