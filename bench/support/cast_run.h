/* bench/support/cast_run.h: checks and times the rows of the cast benchmark. */
#ifndef MFQ_BENCH_CAST_RUN_H
#define MFQ_BENCH_CAST_RUN_H

#include "cast_rows.h"

/* What a run is made with; the defaults are in bench/cast.c. */
typedef struct cast_settings {
  int threads, repetitions;
  const char *isa;    /* NULL: the best */
  const char *device; /* NULL: the CPU */
  const char *filter; /* NULL: everything */
  int64_t rows, cols;
  int64_t seed;
} cast_settings;

/* Compares every row, on small matrices with and without short groups at their ends, with the CPU's reference path.
 * Returns an exit code. */
int cast_verify(const cast_settings *settings, mfq_context *context, const cast_rows *rows);
/* Fills in `seconds` and `copy` of every row. Returns an exit code. */
int cast_time(const cast_settings *settings, mfq_context *context, cast_rows *rows);
/* The same on a device: a time is that of many launches in a row, divided by their number. */
int cast_time_device(const cast_settings *settings, mfq_context *context, cast_rows *rows);

void cast_print(const cast_settings *settings, const mfq_context *context, const cast_rows *rows);
int cast_write_json(const cast_settings *settings, json_t *machine, const cast_rows *rows, const char *path);
int cast_write_csv(const cast_rows *rows, const char *path);

#endif
