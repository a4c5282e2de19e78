/* bench/common/settings.h: the options that every benchmark has. */
#ifndef MFQ_BENCH_SETTINGS_H
#define MFQ_BENCH_SETTINGS_H

#include <popt.h>

#include "bench.h"

/* What a run is made with; the defaults stand in each program. */
typedef struct bench_settings {
  int threads, repetitions;
  const char *isa;    /* NULL: the best */
  const char *device; /* NULL: the CPU */
  const char *filter; /* POSIX extended regular expression on names; NULL: everything */
  long long seed;
  const char *out; /* "f32" or "bf16": the type of results; NULL: none is chosen */
  mfq_dtype out_type;
  int is_reproducible, only_verify, is_gate;
  const char *json, *csv, *commit;
} bench_settings;

/* Reads the command line: these options, and a program's own. Returns an exit code. */
int bench_parse(bench_settings *settings, const struct poptOption *own, int argc, char **argv);
/* Reads `out` into `out_type`. Returns an exit code. */
int bench_choose_out(bench_settings *settings);
/* Returns an exit code. */
int bench_open_context(const bench_settings *settings, mfq_context **context);

/* For the file of results. */
json_t *bench_parameters_json(const bench_settings *settings);
/* The options that measure a row again, without those that choose it: begins with a space. */
void bench_same_options(const bench_settings *settings, char *text, size_t capacity);

#endif
