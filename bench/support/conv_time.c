/* bench/support/conv_time.c: checks and times convolutions: one row and the peer, in turn. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conv_measure.h"
#include "race.h"

enum { PEER, ROW, RACERS };

typedef struct timing {
  conv_memory memory;
  conv_peer peer;
  conv_sample *sample;
  conv_table *table;
  mfq_conv_plan *plan; /* of the row in work */
  conv_row *row;
  int shape, done, total;
  int tells; /* progress */
  double *samples;
} timing;

static int launch_peer(void *state, int turn) {
  const timing *t = state;
  const int code = conv_peer_run(&t->memory, &t->peer, turn);
  return code == BENCH_OK ? code : bench_error(code, "the peer fails: %s", t->peer.about);
}

static int launch_row(void *state, int turn) {
  const timing *t = state;
  const mfq_buffer *workspace = t->memory.workspace;
  conv_call call;
  mfq_status status = conv_call_make(&t->memory, turn, &call);
  if (status == MFQ_OK)
    status =
        mfq_conv_run(t->memory.context, t->plan, &call.conv, mfq_buffer_data(workspace), mfq_buffer_bytes(workspace));
  return bench_status(status, t->row->name);
}

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

/* NaN into the result, one launch. */
static int launch_once(timing *t, bench_racer *racer) {
  double seconds = 0;
  racer->launches = 1;
  racer->turn = 0;
  const int code = bench_status(mfq_buffer_fill(t->memory.result.buffer, 0, t->memory.result.bytes, 0xff), "NaN");
  return code == BENCH_OK ? bench_sample(t->memory.context, racer, &seconds) : code;
}

static int check_row(timing *t, bench_racer *racer) {
  char sentence[256] = "";
  int code = launch_once(t, racer);
  if (code != BENCH_OK) return code;
  code = conv_sample_check(&t->memory, t->sample, t->memory.scheme->is_plain, sentence, sizeof sentence);
  return code == BENCH_OK ? code : bench_error(code, "%s: %s (%s)", t->row->name, sentence, t->row->about);
}

/* A peer whose sums are beyond the bound computes something else, and is no peer. */
static int check_peer(timing *t) {
  char sentence[256] = "";
  bench_racer racer = {launch_peer, t, 0, 1, NULL};
  if (!t->peer.exists) return BENCH_OK;
  int code = launch_once(t, &racer);
  if (code == BENCH_OK) code = conv_peer_result(&t->memory, &t->peer);
  if (code != BENCH_OK) return code;
  if (conv_sample_check(&t->memory, t->sample, 1, sentence, sizeof sentence) == BENCH_OK) return BENCH_OK;
  const size_t used = strlen(t->peer.about);
  (void)snprintf(t->peer.about + used, sizeof t->peer.about - used, ": not compared, %s", sentence);
  t->peer.exists = 0;
  return BENCH_OK;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

static int plan_row(timing *t) {
  conv_call call;
  mfq_status status = conv_call_make(&t->memory, 0, &call);
  if (status == MFQ_OK) status = mfq_conv_plan_create(t->memory.context, &call.conv, &t->plan);
  if (status != MFQ_OK) return bench_status(status, t->row->name);
  (void)snprintf(t->row->about, sizeof t->row->about, "%s", mfq_conv_plan_describe(t->plan));
  return conv_memory_workspace(&t->memory, mfq_conv_workspace_bytes(t->plan));
}

static int time_racers(timing *t, bench_racer *racers) {
  const int repetitions = t->memory.settings->repetitions, first = t->peer.exists ? PEER : ROW;
  conv_row *row = t->row;
  double seconds = 0;
  int code = BENCH_OK;
  for (int i = first; code == BENCH_OK && i < RACERS; i++) {
    racers[i].launches = 1;
    code = bench_sample(t->memory.context, &racers[i], &seconds);
    bench_calibrate(&racers[i], seconds);
  }
  if (code == BENCH_OK) code = bench_race(t->memory.context, racers + first, RACERS - first, repetitions);
  if (code != BENCH_OK) return code;
  if (first == PEER) {
    row->share = bench_share(&racers[PEER], &racers[ROW], repetitions, t->samples + RACERS * repetitions);
    row->peer_seconds = bench_quantiles_of(racers[PEER].samples, repetitions);
  }
  row->seconds = bench_quantiles_of(racers[ROW].samples, repetitions);
  row->launches = racers[ROW].launches;
  return code;
}

static int time_row(timing *t, int scheme) {
  const int repetitions = t->memory.settings->repetitions;
  bench_racer racers[RACERS] = {{launch_peer, t, 0, 1, t->samples}, {launch_row, t, 0, 1, t->samples + repetitions}};
  if (t->tells) fprintf(stderr, "\r\033[Kbench: %d of %d rows, %s", t->done, t->total, t->row->name);
  int code = conv_memory_scheme(&t->memory, &t->table->schemes[scheme]);
  if (code == BENCH_OK) code = conv_sample_scheme(&t->memory, t->sample);
  if (code == BENCH_OK) code = plan_row(t);
  if (code == BENCH_OK) code = check_row(t, &racers[ROW]);
  if (code == BENCH_OK && !t->memory.settings->only_verify) code = time_racers(t, racers);
  mfq_conv_plan_destroy(t->plan);
  t->plan = NULL;
  t->done++;
  return code;
}

static int time_direction(timing *t, int direction) {
  const conv_settings *settings = t->memory.settings;
  int code = conv_memory_create(settings, t->memory.context, &t->table->shapes[t->shape], (mfq_conv_direction)direction,
                                &t->memory);
  if (code == BENCH_OK) code = conv_sample_create(&t->memory, &t->sample);
  if (code == BENCH_OK) code = conv_peer_create(&t->memory, &t->peer);
  if (code == BENCH_OK) code = check_peer(t);
  if (code == BENCH_OK) memcpy(conv_table_peer(t->table, t->shape, direction), t->peer.about, sizeof t->peer.about);
  for (int i = 0; code == BENCH_OK && i < t->table->scheme_count; i++) {
    t->row = conv_table_row(t->table, t->shape, direction, i);
    if (t->row->is_wanted) code = time_row(t, i);
  }
  conv_peer_destroy(&t->peer);
  conv_sample_destroy(t->sample);
  t->sample = NULL;
  conv_memory_destroy(&t->memory);
  return code;
}

int conv_time(const conv_settings *settings, mfq_context *context, conv_table *table) {
  timing t = {.memory = {.settings = settings, .context = context}, .table = table, .tells = isatty(STDERR_FILENO)};
  t.samples = calloc((size_t)settings->repetitions * (RACERS + 1), sizeof *t.samples);
  int code = t.samples != NULL ? BENCH_OK : bench_error(BENCH_FAILED, "no memory for the times");
  for (int i = 0; i < table->shape_count; i++) t.total += conv_table_wanted(table, i, -1);
  for (t.shape = 0; code == BENCH_OK && t.shape < table->shape_count; t.shape++)
    for (int d = 0; code == BENCH_OK && d < CONV_DIRECTIONS; d++)
      if (conv_table_wanted(table, t.shape, d) > 0) code = time_direction(&t, d);
  if (t.tells) fprintf(stderr, "\r\033[K");
  free(t.samples);
  return code;
}
