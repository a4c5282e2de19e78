/* bench/cast/cast_report.c: the rows of the cast benchmark as a table, and what only they have in the files. */
#include <inttypes.h>

#include "cast_run.h"
#include "bench/common/table.h"

const char *cast_copy_name(const bench_settings *s) { return s->device != NULL ? "mfq_buffer_copy" : "memcpy"; }

static double elements(const cast_row *row) { return (double)row->rows * (double)row->cols; }

static void print_heading(const bench_record *record, const cast_rows *rows) {
  const bench_settings *s = record->settings;
  char what[160];
  (void)snprintf(what, sizeof what, "%" PRId64 " x %" PRId64 ", normal random input", rows->height, rows->width);
  bench_print_conditions(record, what);
  printf(
      "GB/s: bytes that must be read and written at least (scales of the whole tensor or of channels need two reads).\n"
      "copy: share of the bandwidth of %s, measured between the rows. One row again:\n"
      "  bench_cast %s%s%s--filter '^OPERATION TYPE SCHEME$'\n",
      cast_copy_name(s), s->device != NULL ? "--device " : "", s->device != NULL ? s->device : "",
      s->device != NULL ? " " : "");
}

static void print_row(const bench_settings *s, const cast_row *row) {
  const char *note = s->device != NULL ? "  general path" : "  general path, fewer rows";
  const bench_quantiles *seconds = &row->common.seconds;
  printf("  %-40.40s  ", row->text);
  if (row->common.verdict != BENCH_ROW_RIGHT)
    printf("%s\n", row->common.verdict == BENCH_ROW_WRONG ? "WRONG" : "FAILED");
  else
    printf("%6.2f  %5.1f%%  %3d%s  %6.3f  %8.3f  %8.3f  %8.3f%s\n", 1e-9 * cast_row_bandwidth(row), cast_row_share(row),
           row->target, cast_row_misses(row) ? "<" : " ", bench_giga(&row->common, elements(row)),
           1e3 * seconds->median, 1e3 * seconds->p10, 1e3 * seconds->p90, row->support == MFQ_SUPPORT_FAST ? "" : note);
}

/* Rows without a time only where they are wrong or failed: a run that was stopped did not come to the others. */
static void print_table(const bench_record *record, const cast_rows *rows) {
  int misses = 0, timed = 0;
  double slowest = 0, fastest = 0;
  for (int i = 0; i < rows->count; ++i) {
    const cast_row *row = &rows->items[i], *before = i > 0 ? row - 1 : NULL;
    if (row->common.verdict == BENCH_WAITS) continue;
    if (before == NULL || before->operation != row->operation || before->dtype != row->dtype) {
      char title[64];
      (void)snprintf(title, sizeof title, "%s %s", cast_operation_name(row->operation), mfq_dtype_name(row->dtype));
      printf("\n%-42s  %6s  %6s  %4s  %6s  %8s  %8s  %8s\n", title, "GB/s", "copy", "goal", "Gel/s", "ms", "p10",
             "p90");
    }
    print_row(record->settings, row);
    if (row->common.verdict != BENCH_ROW_RIGHT) continue;
    misses += cast_row_misses(row);
    if (timed == 0 || cast_row_copy(row) < slowest) slowest = cast_row_copy(row);
    if (timed++ == 0 || cast_row_copy(row) > fastest) fastest = cast_row_copy(row);
  }
  printf("\n%d rows, %d below their goal (<). %s: %.1f ... %.1f GB/s (read + written)\n", timed, misses,
         cast_copy_name(record->settings), 1e-9 * slowest, 1e-9 * fastest);
}

void cast_print(const bench_record *record, const cast_rows *rows) {
  if (record->settings->only_verify) {
    printf("%d rows: equal to the reference path, byte for byte\n", record->done - record->bad);
  } else {
    print_heading(record, rows);
    print_table(record, rows);
  }
  bench_record_print_bad(record);
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

json_t *cast_row_json(const bench_settings *s, const cast_rows *rows, const cast_row *row) {
  const bench_row *r = &row->common;
  const int is_timed = r->seconds.median > 0;
  char same[256], line[BENCH_NAME + sizeof same + 128];
  bench_same_options(s, same, sizeof same);
  /* No character of a row's name means anything else in a regular expression. */
  (void)snprintf(line, sizeof line, "bench_cast --filter '^%s$' --rows %" PRId64 " --cols %" PRId64 "%s", r->name,
                 rows->height, rows->width, same);
  return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:f, s:f, s:o, s:o, s:f, s:o, s:o, s:o, s:i, s:b, s:s}",
                   "operation", cast_operation_name(row->operation), "dtype", mfq_dtype_name(row->dtype), "scheme",
                   row->text, "equal_schemes", row->aliases, "rows", (json_int_t)row->rows, "cols",
                   (json_int_t)row->cols, "path", row->support == MFQ_SUPPORT_FAST ? "fast" : "general", "bytes_read",
                   row->read, "bytes_written", row->written, "gb_per_second",
                   bench_number_json(bench_giga(r, row->read + row->written)), "copy_seconds",
                   bench_quantiles_json(&row->copy_seconds), "copied_bytes", row->copied, "copy_gb_per_second",
                   bench_number_json(is_timed ? 1e-9 * cast_row_copy(row) : 0), "share_percent",
                   bench_number_json(is_timed ? cast_row_share(row) : 0), "gelements_per_second",
                   bench_number_json(bench_giga(r, elements(row))), "goal_percent", row->target, "is_below_goal",
                   cast_row_misses(row), "reproduce", line);
}
