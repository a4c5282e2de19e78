/* bench/common/subject.c: from the command line to the exit code, group by group, batch by batch. */
#include "subject.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

typedef struct work {
  bench_run *run;
  double *samples; /* repetitions of the peer, then of each row of a batch, then of a quotient */
  int group;       /* -1: none is begun */
  int group_code;
  bench_racer racers[1 + BENCH_BATCH]; /* the peer, which has no launch where there is none; rows that are right */
  bench_row *rows[1 + BENCH_BATCH];
} work;

bench_row *bench_row_at(const bench_run *run, int index) {
  return (bench_row *)(void *)((char *)run->rows + (size_t)index * run->subject->row_bytes);
}

int bench_make_rows(bench_run *run, int count, int groups) {
  run->rows = calloc((size_t)count + 1, run->subject->row_bytes);
  run->peers = calloc((size_t)groups + 1, sizeof *run->peers);
  run->count = count;
  return run->rows != NULL && run->peers != NULL ? BENCH_OK : bench_error(BENCH_FAILED, "no memory for the rows");
}

static int filter_rows(bench_run *run) {
  const char *filter = run->settings.filter;
  regex_t regex;
  if (filter != NULL && regcomp(&regex, filter, REG_EXTENDED | REG_NOSUB) != 0)
    return bench_error(BENCH_USAGE, "--filter: '%s' is not an extended regular expression", filter);
  for (int i = 0; i < run->count; ++i) {
    bench_row *row = bench_row_at(run, i);
    row->is_wanted = row->is_wanted && (filter == NULL || regexec(&regex, row->name, 0, NULL, 0) == 0);
    row->peer = run->peers[run->subject->group(run, i)];
    if (row->is_wanted && run->subject->is_list) memmove(bench_row_at(run, run->wanted), row, run->subject->row_bytes);
    run->wanted += row->is_wanted;
  }
  if (run->subject->is_list) run->count = run->wanted;
  if (filter != NULL) regfree(&regex);
  if (run->wanted > 0) return BENCH_OK;
  return filter != NULL ? bench_error(BENCH_USAGE, "--filter '%s' matches no row", filter)
                        : bench_error(BENCH_USAGE, "--check: none of these rows has a goal");
}

/* ---- One batch -------------------------------------------------------------------------------------------------- */

int bench_try(bench_run *run, const char *name, const bench_slots *result, int (*finish)(bench_run *),
              bench_racer *racer) {
  const size_t last_byte = mfq_dtype_bytes(run->settings.out_type) - 1;
  double seconds = 0;
  int code = bench_status(mfq_buffer_fill(result->buffer, 0, result->bytes, 0xff), name);
  if (code == BENCH_OK) code = bench_sample(run->context, racer, &seconds);
  if (code == BENCH_OK && finish != NULL) code = finish(run);
  return code == BENCH_OK ? bench_status(bench_spoil(name, result->buffer, last_byte), name) : code;
}

static int end_row(bench_run *run, bench_row *row, int code) {
  return bench_record_row(run, row, code, run->subject->json(run, row));
}

/* The first launches were those of the check; the next one says how many fill a sample. */
static int calibrate(const work *w, bench_racer *racer, int code) {
  double seconds = 0;
  if (code == BENCH_OK && !w->run->settings.only_verify) code = bench_sample(w->run->context, racer, &seconds);
  bench_calibrate(racer, seconds);
  return code;
}

/* Shares come first: quantiles sort samples. */
static void take_times(const work *w, const bench_racer *racers, int has_peer, bench_row *const *rows, int count) {
  const bench_subject *subject = w->run->subject;
  const int repetitions = w->run->settings.repetitions;
  bench_quantiles peer = {0, 0, 0};
  for (int i = 0; has_peer && subject->beside == NULL && i < count; ++i)
    rows[i]->share =
        bench_share(racers, &racers[1 + i], repetitions, w->samples + (size_t)repetitions * (1 + BENCH_BATCH));
  if (has_peer) peer = bench_quantiles_of(racers[0].samples, repetitions);
  for (int i = 0; i < count; ++i) {
    const bench_racer *racer = &racers[has_peer + i];
    rows[i]->seconds = bench_quantiles_of(racer->samples, repetitions);
    rows[i]->launches = racer->launches.count;
    rows[i]->timing = racer->timing;
    if (subject->beside != NULL)
      subject->beside(w->run, rows[i], &peer);
    else
      rows[i]->peer_seconds = peer;
  }
}

/* Ends rows `first` and on. Where their race fails, each has one of its own: only what is to blame fails then. */
static int time_rows(work *w, int first, int count) {
  bench_run *run = w->run;
  const int has_peer = w->racers[0].launches.launch != NULL;
  bench_racer racers[1 + BENCH_BATCH];
  int code = BENCH_OK, goes_on = BENCH_OK;
  if (has_peer) racers[0] = w->racers[0];
  for (int i = 0; i < count; ++i) racers[has_peer + i] = w->racers[first + i];
  if (!run->settings.only_verify && count > 0) {
    code = bench_race(run->context, racers, has_peer + count, run->settings.repetitions);
    if (code == BENCH_OK) take_times(w, racers, has_peer, &w->rows[first], count);
  }
  const int is_split = code != BENCH_OK && count > 1;
  for (int i = first; goes_on == BENCH_OK && i < first + count; ++i)
    goes_on = is_split ? time_rows(w, i, 1) : end_row(run, w->rows[i], code);
  return goes_on;
}

static int run_batch(work *w, int first, int count) {
  bench_run *run = w->run;
  const bench_subject *subject = run->subject;
  int places = 0, goes_on = BENCH_OK, code = w->group_code;
  if (code == BENCH_OK && subject->prepare != NULL) code = subject->prepare(run, first);
  for (int i = first; goes_on == BENCH_OK && i < first + count; ++i) {
    bench_row *row = bench_row_at(run, i);
    bench_racer *racer = &w->racers[1 + places];
    if (!row->is_wanted) continue;
    bench_record_tell(run, row->name);
    *racer = (bench_racer){.samples = w->samples + (size_t)((1 + places) * run->settings.repetitions)};
    const int row_code = code == BENCH_OK ? calibrate(w, racer, subject->ready(run, row, places, racer)) : code;
    w->rows[1 + places] = row;
    if (row_code == BENCH_OK)
      ++places;
    else {
      if (code == BENCH_OK) subject->forget(run, places);
      goes_on = end_row(run, row, row_code);
    }
  }
  if (goes_on == BENCH_OK) goes_on = time_rows(w, 1, places);
  for (int i = 0; i < places; ++i) subject->forget(run, i);
  return goes_on;
}

/* ---- All of them ------------------------------------------------------------------------------------------------ */

static void end_group(work *w) {
  if (w->group >= 0 && w->run->subject->end != NULL) w->run->subject->end(w->run);
  w->group = -1;
}

static void begin_group(work *w, int group) {
  bench_run *run = w->run;
  const bench_subject *subject = run->subject;
  bench_racer *racer = &w->racers[0];
  char *about = run->peers[group];
  end_group(w);
  w->group = group;
  *racer = (bench_racer){.samples = w->samples};
  w->group_code = subject->begin(run, group);
  if (w->group_code != BENCH_OK) {
    (void)snprintf(about, BENCH_ABOUT, "none: %s", bench_last_error());
    return;
  }
  int code = subject->peer(run, about, racer);
  if (racer->launches.launch != NULL) code = calibrate(w, racer, code);
  if (code == BENCH_OK) return;
  if (subject->beside != NULL) w->group_code = code;
  const size_t used = strlen(about);
  (void)snprintf(about + used, BENCH_ABOUT - used, ": not compared, %s", bench_last_error());
  racer->launches.launch = NULL;
}

/* Rows of one group from `first` on; how many of them are wanted. */
static int batch_from(const bench_run *run, int first, int *wanted) {
  const bench_subject *subject = run->subject;
  int count = 0;
  for (*wanted = 0; count < subject->batch && first + count < run->count; ++count) {
    if (subject->group(run, first + count) != subject->group(run, first)) break;
    *wanted += bench_row_at(run, first + count)->is_wanted;
  }
  return count;
}

static int run_all(bench_run *run) {
  work w = {.run = run, .group = -1};
  w.samples = calloc((size_t)run->settings.repetitions * (2 + BENCH_BATCH), sizeof *w.samples);
  int goes_on = w.samples != NULL ? BENCH_OK : bench_error(BENCH_FAILED, "no memory for the times");
  for (int i = 0, count, wanted; goes_on == BENCH_OK && i < run->count; i += count) {
    count = batch_from(run, i, &wanted);
    if (wanted == 0) continue;
    if (run->subject->group(run, i) != w.group) begin_group(&w, run->subject->group(run, i));
    goes_on = run_batch(&w, i, count);
  }
  end_group(&w);
  if (run->tells) fprintf(stderr, "\r\033[K");
  free(w.samples);
  return goes_on;
}

int bench_main(const bench_subject *subject, void *state, int argc, char **argv) {
  bench_run run = {.subject = subject, .state = state};
  run.settings = (bench_settings){.threads = bench_threads(), .repetitions = subject->repetitions, .seed = 1};
  int code = subject->parse(&run, argc, argv), misses = 0;
  if (code == BENCH_OK) code = bench_open_context(&run.settings, &run.context);
  if (code == BENCH_OK) code = subject->list(&run);
  if (code == BENCH_OK) code = filter_rows(&run);
  if (code == BENCH_OK) code = bench_record_open(&run, subject->parameters != NULL ? subject->parameters(&run) : NULL);
  if (code == BENCH_OK) code = subject->open(&run);
  if (code == BENCH_OK) code = run_all(&run);
  if (run.done > 0) {
    subject->print(&run);
    bench_record_print_bad(&run);
    misses = subject->misses(&run);
  }
  code = bench_record_close(&run, code);
  subject->close(&run);
  free(run.rows);
  free(run.peers);
  mfq_context_destroy(run.context);
  return code == BENCH_OK && run.settings.is_gate && misses > 0 ? BENCH_GATE : code;
}
