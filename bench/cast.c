/* bench_cast: how fast casts run, on the CPU or a device, as shares of the copy bandwidth of the same minutes. Checks
 * first, then times. */
#include <popt.h>
#include <stdio.h>
#include <string.h>

#include "support/cast_run.h"

typedef struct cast_options {
  cast_settings settings;
  const char *json, *csv, *commit;
  int only_verify, is_gate;
} cast_options;

static int parse(int argc, const char **argv, cast_options *o) {
  cast_settings *s = &o->settings;
  long long rows = s->rows, cols = s->cols, seed = s->seed;
  const struct poptOption table[] = {
      {"threads", 'j', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &s->threads, 0, "threads of casts and copies", "N"},
      {"isa", 0, POPT_ARG_STRING, &s->isa, 0, "instruction set (default: the best; see mfq caps)", "NAME"},
      {"device", 'd', POPT_ARG_STRING, &s->device, 0, "measure cuda:0, ... in place of the CPU; see mfq caps", "NAME"},
      {"filter", 'f', POPT_ARG_STRING, &s->filter, 0, "only rows 'OPERATION TYPE SCHEME' that match", "REGEX"},
      {"rows", 0, POPT_ARG_LONGLONG, &rows, 0, "of the matrix (default: 4096; 8192 on a device)", "N"},
      {"cols", 0, POPT_ARG_LONGLONG, &cols, 0, "of the matrix (default: 4096; 8192 on a device)", "N"},
      {"repetitions", 'r', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &s->repetitions, 0, "timed runs a row", "N"},
      {"seed", 0, POPT_ARG_LONGLONG | POPT_ARGFLAG_SHOW_DEFAULT, &seed, 0, "of the random input", "N"},
      {"json", 0, POPT_ARG_STRING, &o->json, 0, "write everything", "FILE"},
      {"csv", 0, POPT_ARG_STRING, &o->csv, 0, "write one line a row", "FILE"},
      {"commit", 0, POPT_ARG_STRING, &o->commit, 0, "what was measured, for the JSON file", "TEXT"},
      {"verify", 0, POPT_ARG_NONE, &o->only_verify, 0, "check every row against the reference path, time nothing",
       NULL},
      {"gate", 0, POPT_ARG_NONE, &o->is_gate, 0, "exit with 3 when a row is below its goal", NULL},
      POPT_AUTOHELP POPT_TABLEEND};
  poptContext popt = poptGetContext("bench_cast", argc, argv, table, 0); /* owns the strings: lives until the end */
  if (popt == NULL) return bench_error(BENCH_FAILED, "no memory for the options");
  const int found = poptGetNextOpt(popt);
  if (found < -1)
    return bench_error(BENCH_USAGE, "%s: %s; see --help", poptBadOption(popt, POPT_BADOPTION_NOALIAS),
                       poptStrerror(found));
  if (poptPeekArg(popt) != NULL) return bench_error(BENCH_USAGE, "'%s': no arguments but options", poptPeekArg(popt));
  if (s->device != NULL && strcmp(s->device, "cpu") == 0) s->device = NULL;
  if (rows == 0) rows = s->device != NULL ? 8192 : 4096;
  if (cols == 0) cols = s->device != NULL ? 8192 : 4096;
  if (rows < 1 || cols < 1 || rows > (1 << 20) || cols > (1 << 20))
    return bench_error(BENCH_USAGE, "--rows and --cols are %lld and %lld; allowed is 1 ... 1048576", rows, cols);
  if (s->threads < 1 || s->repetitions < 1)
    return bench_error(BENCH_USAGE, "--threads and --repetitions are %d and %d; give 1 or more", s->threads,
                       s->repetitions);
  s->rows = rows;
  s->cols = cols;
  s->seed = seed;
  return BENCH_OK;
}

static int write_files(const cast_options *o, const mfq_context *context, const cast_rows *rows) {
  int code = BENCH_OK;
  if (o->csv != NULL) code = cast_write_csv(rows, o->csv);
  if (code != BENCH_OK || o->json == NULL) return code;
  json_t *machine = bench_machine_json(context, o->settings.threads, o->commit);
  code = cast_write_json(&o->settings, machine, rows, o->json);
  json_decref(machine);
  return code;
}

static int measure(const cast_options *o, mfq_context *context, cast_rows *rows) {
  int code = o->settings.device != NULL ? cast_time_device(&o->settings, context, rows)
                                        : cast_time(&o->settings, context, rows);
  if (code != BENCH_OK) return code;
  cast_print(&o->settings, context, rows);
  code = write_files(o, context, rows);
  for (int i = 0; code == BENCH_OK && o->is_gate && i < rows->count; i++)
    if (cast_row_misses(&rows->items[i])) code = BENCH_GATE;
  return code;
}

int main(int argc, char **argv) {
  cast_options o = {.settings = {.threads = bench_threads(), .repetitions = 15, .seed = 1}};
  mfq_context *context = NULL;
  mfq_context_options options;
  cast_rows rows = {0};
  mfq_context_options_init(&options);
  int code = parse(argc, (const char **)argv, &o);
  options.threads = o.settings.threads;
  options.cpu_isa = o.settings.isa;
  if (o.settings.device != NULL) options.device = o.settings.device;
  if (code == BENCH_OK) code = bench_status(mfq_context_create(&options, &context), "--device, --isa, --threads");
  const cast_choice choice = {context, o.settings.device != NULL, o.settings.filter, o.settings.rows, o.settings.cols};
  if (code == BENCH_OK) code = cast_rows_create(&choice, &rows);
  if (code == BENCH_OK) code = cast_verify(&o.settings, context, &rows);
  if (code == BENCH_OK && o.only_verify)
    printf("%d rows: equal to the reference path, byte for byte\n", rows.count);
  else if (code == BENCH_OK)
    code = measure(&o, context, &rows);
  cast_rows_destroy(&rows);
  mfq_context_destroy(context);
  return code;
}
