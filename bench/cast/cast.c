/* bench_cast: how fast casts run, on the CPU or a device, as shares of the copy bandwidth of the same minutes. Checks,
 * then times, in small batches of rows. */
#include "cast_run.h"

static int parse(int argc, char **argv, bench_settings *s, cast_choice *c) {
  long long rows = 0, cols = 0;
  const struct poptOption own[] = {
      {"filter", 'f', POPT_ARG_STRING, &s->filter, 0, "only rows 'OPERATION TYPE SCHEME' that match", "REGEX"},
      {"rows", 0, POPT_ARG_LONGLONG, &rows, 0, "of the matrix (default: 4096; 8192 on a device)", "N"},
      {"cols", 0, POPT_ARG_LONGLONG, &cols, 0, "of the matrix (default: 4096; 8192 on a device)", "N"},
      POPT_TABLEEND};
  const int code = bench_parse(s, own, argc, argv);
  if (code != BENCH_OK) return code;
  c->is_device = s->device != NULL;
  c->filter = s->filter;
  c->rows = rows != 0 ? rows : c->is_device ? 8192 : 4096;
  c->cols = cols != 0 ? cols : c->is_device ? 8192 : 4096;
  if (c->rows >= 1 && c->cols >= 1 && c->rows <= (1 << 20) && c->cols <= (1 << 20)) return BENCH_OK;
  return bench_error(BENCH_USAGE, "--rows and --cols are %lld and %lld; allowed is 1 ... 1048576", rows, cols);
}

int main(int argc, char **argv) {
  bench_settings settings = {.threads = bench_threads(), .repetitions = 15, .seed = 1};
  cast_choice choice = {.context = NULL};
  mfq_context *context = NULL;
  bench_record record = {.root = NULL};
  cast_rows rows = {0};
  int misses = 0;
  int code = parse(argc, argv, &settings, &choice);
  if (code == BENCH_OK) code = bench_open_context(&settings, &context);
  choice.context = context;
  if (code == BENCH_OK) code = cast_rows_create(&choice, &rows);
  if (code == BENCH_OK)
    code = bench_record_open("cast", &settings, context,
                             json_pack("{s:I, s:I, s:s}", "rows", (json_int_t)rows.height, "cols",
                                       (json_int_t)rows.width, "copy", cast_copy_name(&settings)),
                             &record);
  if (code == BENCH_OK) code = cast_run(&record, &rows);
  if (record.done > 0) cast_print(&record, &rows);
  for (int i = 0; i < rows.count; ++i) misses += cast_row_misses(&rows.items[i]);
  code = bench_record_close(&record, code);
  cast_rows_destroy(&rows);
  mfq_context_destroy(context);
  return code == BENCH_OK && settings.is_gate && misses > 0 ? BENCH_GATE : code;
}
