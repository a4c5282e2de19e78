/* bench/cast/cast_run.h: checks, times and tells the rows of the cast benchmark. */
#ifndef MFQ_BENCH_CAST_RUN_H
#define MFQ_BENCH_CAST_RUN_H

#include "cast_rows.h"

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

/* Compares rows, on small matrices with and without short groups at their ends, with the CPU's reference path. */
typedef struct cast_verifier cast_verifier;
/* Return exit codes; cast_verify BENCH_WRONG for a row that differs. */
int cast_verifier_create(const bench_record *record, const cast_rows *rows, cast_verifier **verifier);
int cast_verify(cast_verifier *verifier, const cast_row *row);
void cast_verifier_destroy(cast_verifier *verifier);

/* ---- Times ------------------------------------------------------------------------------------------------------ */

enum { CAST_BATCH = 4 };

/* A way of timing. `batch` fills in the times of rows of one dtype, at most CAST_BATCH, and of the copies between them.
 * Both return exit codes. */
typedef struct cast_timer {
  int (*create)(const bench_record *record, const cast_rows *rows, void **state);
  int (*batch)(void *state, cast_row *const *rows, int count);
  void (*destroy)(void *state);
} cast_timer;
extern const cast_timer cast_timer_cpu, cast_timer_device;

/* Checks, times and records all rows. Returns BENCH_OK, or why it could not go on. */
int cast_run(bench_record *record, cast_rows *rows);

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

const char *cast_copy_name(const bench_settings *settings);
/* What only rows of casts have in the files. */
json_t *cast_row_json(const bench_settings *settings, const cast_rows *rows, const cast_row *row);
void cast_print(const bench_record *record, const cast_rows *rows);

#endif
