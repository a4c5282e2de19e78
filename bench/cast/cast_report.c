/* bench/cast/cast_report.c: the rows of the cast benchmark as a table, and what only they have in the files. */
#include "cast_bench.h"

const char *cast_copy_name(const bench_run *run) { return run->settings.device != NULL ? "mfq_buffer_copy" : "memcpy"; }

static double elements(const cast_row *row) { return (double)row->rows * (double)row->cols; }

static void print_heading(const bench_run *run) {
  const cast_bench *c = run->state;
  char what[160];
  (void)snprintf(what, sizeof what, "%lld x %lld, normal random input", c->height, c->width);
  bench_print_conditions(run, what);
  printf(
      "GB/s: bytes that must be read and written at least (scales of the whole tensor or of channels need two reads).\n"
      "copy: share of the bandwidth of %s, measured between the rows. ",
      cast_copy_name(run));
  bench_print_again(run, "--filter '^OPERATION TYPE SCHEME$'");
}

static void print_row(int is_device, const cast_row *row) {
  const char *note = is_device ? "  general path" : "  general path, fewer rows";
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
static void print_table(const bench_run *run) {
  int timed = 0;
  double slowest = 0, fastest = 0;
  for (int i = 0; i < run->count; ++i) {
    const cast_row *row = (const cast_row *)bench_row_at(run, i), *before = i > 0 ? row - 1 : NULL;
    if (row->common.verdict == BENCH_WAITS) continue;
    if (before == NULL || before->operation != row->operation || before->dtype != row->dtype) {
      char title[64];
      (void)snprintf(title, sizeof title, "%s %s", cast_operation_name(row->operation), mfq_dtype_name(row->dtype));
      printf("\n%-42s  %6s  %6s  %4s  %6s  %8s  %8s  %8s\n", title, "GB/s", "copy", "goal", "Gel/s", "ms", "p10",
             "p90");
    }
    print_row(run->settings.device != NULL, row);
    if (row->common.verdict != BENCH_ROW_RIGHT) continue;
    if (timed == 0 || cast_row_copy(row) < slowest) slowest = cast_row_copy(row);
    if (timed++ == 0 || cast_row_copy(row) > fastest) fastest = cast_row_copy(row);
  }
  printf("\n%d rows, %d below their goal (<). %s: %.1f ... %.1f GB/s (read + written)\n", timed, cast_misses(run),
         cast_copy_name(run), 1e-9 * slowest, 1e-9 * fastest);
}

int cast_misses(const bench_run *run) {
  int misses = 0;
  for (int i = 0; i < run->count; ++i) misses += cast_row_misses((const cast_row *)bench_row_at(run, i));
  return misses;
}

void cast_print(const bench_run *run) {
  if (run->settings.only_verify) {
    printf("%d rows: equal to the reference path, byte for byte\n", run->done - run->bad);
  } else {
    print_heading(run);
    print_table(run);
  }
}

json_t *cast_row_json(const bench_run *run, const bench_row *r) {
  const cast_bench *c = run->state;
  const cast_row *row = (const cast_row *)r;
  const int is_timed = r->seconds.median > 0;
  char after[96];
  (void)snprintf(after, sizeof after, " --rows %lld --cols %lld", c->height, c->width);
  return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:f, s:f, s:o, s:o, s:f, s:o, s:o, s:o, s:i, s:b, s:o}",
                   "operation", cast_operation_name(row->operation), "dtype", mfq_dtype_name(row->dtype), "scheme",
                   row->text, "equal_schemes", row->aliases, "rows", (json_int_t)row->rows, "cols",
                   (json_int_t)row->cols, "path", row->support == MFQ_SUPPORT_FAST ? "fast" : "general", "bytes_read",
                   row->read, "bytes_written", row->written, "gb_per_second",
                   bench_number_json(bench_giga(r, row->read + row->written)), "copy_seconds",
                   bench_quantiles_json(&row->copy_seconds), "copied_bytes", row->copied, "copy_gb_per_second",
                   bench_number_json(is_timed ? 1e-9 * cast_row_copy(row) : 0), "share_percent",
                   bench_number_json(is_timed ? cast_row_share(row) : 0), "gelements_per_second",
                   bench_number_json(bench_giga(r, elements(row))), "goal_percent", row->target, "is_below_goal",
                   cast_row_misses(row), "reproduce", bench_again_json(run, r, "", after));
}
