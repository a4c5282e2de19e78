/* bench/cast/cast_run.c: small batches of rows: checked, timed together, told. */
#include "cast_run.h"

typedef struct run {
  bench_record *record;
  const cast_timer *timer;
  void *timing; /* the timer's; NULL: nothing is timed */
  cast_verifier *verifier;
  cast_rows *rows;
} run;

static int end_row(const run *r, cast_row *row, int code) {
  if (row->common.seconds.median > 0 && code == BENCH_OK) r->record->ceilings.copy = cast_row_copy(row);
  return bench_record_row(r->record, &row->common, code, cast_row_json(r->record->settings, r->rows, row));
}

/* Where a batch fails, each of its rows has a run of its own: only what is to blame fails then. */
static int time_rows(const run *r, cast_row *const *rows, int count) {
  int goes_on = BENCH_OK, code = BENCH_OK;
  if (count == 0) return BENCH_OK;
  if (r->timing != NULL) code = r->timer->batch(r->timing, rows, count);
  const int is_split = code != BENCH_OK && count > 1;
  for (int i = 0; goes_on == BENCH_OK && i < count; ++i)
    goes_on = is_split ? time_rows(r, &rows[i], 1) : end_row(r, rows[i], code);
  return goes_on;
}

static int run_batch(const run *r, cast_row *first, int count) {
  cast_row *right[CAST_BATCH];
  int rights = 0, goes_on = BENCH_OK;
  bench_record_tell(r->record, first->common.name);
  for (int i = 0; goes_on == BENCH_OK && i < count; ++i) {
    const int code = cast_verify(r->verifier, &first[i]);
    if (code == BENCH_OK)
      right[rights++] = &first[i];
    else
      goes_on = end_row(r, &first[i], code);
  }
  return goes_on == BENCH_OK ? time_rows(r, right, rights) : goes_on;
}

int cast_run(bench_record *record, cast_rows *rows) {
  const bench_settings *s = record->settings;
  run r = {.record = record, .timer = s->device != NULL ? &cast_timer_device : &cast_timer_cpu, .rows = rows};
  int code = cast_verifier_create(record, rows, &r.verifier);
  if (code == BENCH_OK && !s->only_verify) code = r.timer->create(record, rows, &r.timing);
  record->total = rows->count;
  (void)snprintf(record->ceilings.how, sizeof record->ceilings.how,
                 "copy: %s between the rows; here that of the last ones, for each row its own", cast_copy_name(s));
  for (int i = 0, count; code == BENCH_OK && i < rows->count; i += count) {
    for (count = 1; count < CAST_BATCH && i + count < rows->count; ++count)
      if (rows->items[i + count].dtype != rows->items[i].dtype) break;
    code = run_batch(&r, &rows->items[i], count);
  }
  if (record->tells) fprintf(stderr, "\r\033[K");
  r.timer->destroy(r.timing);
  cast_verifier_destroy(r.verifier);
  return code;
}
