/* bench/support/gemm_time.c: checks and times products: the rows of one scheme and the peer, in turn. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gemm_run.h"
#include "race.h"

enum { TASKS = GEMM_MODES + 1 };

typedef struct timing {
  gemm_memory memory;
  gemm_peer peer;
  gemm_sample *sample;
  gemm_table *table;
  int size, done, total;
  int tells; /* progress */
  double *samples;
} timing;

/* What is run again and again: `row` NULL is the peer. */
typedef struct task {
  const timing *timing;
  gemm_row *row;
  gemm_mode mode;
  mfq_gemm_plan *plan;
} task;

static int launch(void *state, int turn) {
  const task *k = state;
  const timing *t = k->timing;
  const gemm_memory *m = &t->memory;
  gemm_call call;
  if (k->row == NULL) {
    const int code = gemm_peer_run(m, &t->peer, turn);
    return code == BENCH_OK ? code : bench_error(code, "the peer fails: %s", t->peer.about);
  }
  mfq_status status = gemm_call_make(m, k->mode, turn, &call);
  if (status == MFQ_OK)
    status =
        mfq_gemm_run(m->context, k->plan, &call.gemm, mfq_buffer_data(m->workspace), mfq_buffer_bytes(m->workspace));
  return bench_status(status, k->row->name);
}

/* The first run is the one that is checked; the second one says how many fill a sample. */
static int check_and_calibrate(const timing *t, const task *k, bench_racer *racer) {
  const char *name = k->row != NULL ? k->row->name : "the peer",
             *about = k->row != NULL ? k->row->about : t->peer.about;
  double seconds = 0;
  racer->launches = 1;
  int code = bench_status(mfq_buffer_fill(t->memory.d.buffer, 0, t->memory.d.bytes, 0xff), "D"); /* NaN */
  if (code == BENCH_OK) code = bench_sample(t->memory.context, racer, &seconds);
  if (code == BENCH_OK && k->row == NULL) code = gemm_peer_result(&t->peer);
  if (code == BENCH_OK)
    code = gemm_sample_check(&t->memory, t->sample, k->row != NULL ? k->mode : GEMM_MODES, name, about);
  if (code == BENCH_OK && !t->memory.settings->only_verify) code = bench_sample(t->memory.context, racer, &seconds);
  bench_calibrate(racer, seconds);
  return code;
}

/* ---- The rows of one scheme ------------------------------------------------------------------------------------- */

static int plan_row(timing *t, int scheme, gemm_mode mode, task *k) {
  gemm_call call;
  gemm_row *row = gemm_table_row(t->table, t->size, scheme, mode);
  mfq_status status = gemm_call_make(&t->memory, mode, 0, &call);
  if (status == MFQ_OK) status = mfq_gemm_plan_create(t->memory.context, &call.gemm, &k->plan);
  if (status != MFQ_OK) return bench_status(status, row->name);
  k->row = row;
  k->mode = mode;
  (void)snprintf(row->about, sizeof row->about, "%s", mfq_gemm_plan_describe(k->plan));
  row->weight_bytes = 2.0 * (double)t->memory.size.n * (double)t->memory.size.k;
  row->rotated = (double)t->memory.b.bytes * t->memory.b.count;
  if (!t->memory.scheme->is_plain) {
    mfq_qtensor_sizes sizes;
    status = mfq_qtensor_sizes_get(&call.qb, &sizes);
    row->weight_bytes = (double)(sizes.codes_bytes + sizes.scales_bytes + sizes.zero_points_bytes);
    row->rotated = (double)t->memory.qb.bytes * t->memory.qb.count;
  }
  const int code = bench_status(status, row->name);
  return code == BENCH_OK ? gemm_memory_workspace(&t->memory, mfq_gemm_workspace_bytes(k->plan)) : code;
}

static int time_tasks(timing *t, const task *tasks, bench_racer *racers, int count) {
  const int repetitions = t->memory.settings->repetitions, has_peer = t->peer.exists;
  const int code = bench_race(t->memory.context, racers, count, repetitions);
  if (code != BENCH_OK) return code;
  for (int i = has_peer; has_peer && i < count; i++)
    tasks[i].row->share = bench_share(&racers[0], &racers[i], repetitions, t->samples + TASKS * repetitions);
  const bench_quantiles none = {0, 0, 0};
  const bench_quantiles peer = has_peer ? bench_quantiles_of(racers[0].samples, repetitions) : none;
  for (int i = has_peer; i < count; i++) {
    tasks[i].row->seconds = bench_quantiles_of(racers[i].samples, repetitions);
    tasks[i].row->peer_seconds = peer;
    tasks[i].row->launches = racers[i].launches;
  }
  return code;
}

static void tell(const timing *t, const char *text) {
  if (t->tells) fprintf(stderr, "\r\033[Kbench: %d of %d rows, %s", t->done, t->total, text);
}

static int time_scheme(timing *t, int scheme) {
  task tasks[TASKS] = {{.row = NULL}};
  bench_racer racers[TASKS];
  int count = t->peer.exists, code = gemm_memory_quantize(&t->memory, &t->table->schemes[scheme]);
  if (code == BENCH_OK) code = gemm_sample_scheme(&t->memory, t->sample);
  for (int mode = 0; code == BENCH_OK && mode < GEMM_MODES; mode++)
    if (gemm_table_row(t->table, t->size, scheme, (gemm_mode)mode)->is_wanted)
      code = plan_row(t, scheme, (gemm_mode)mode, &tasks[count++]);
  for (int i = 0; code == BENCH_OK && i < count; i++) {
    tasks[i].timing = t;
    racers[i] = (bench_racer){launch, &tasks[i], 0, 1, t->samples + i * t->memory.settings->repetitions};
    tell(t, tasks[i].row != NULL ? tasks[i].row->name : t->table->schemes[scheme].text);
    code = check_and_calibrate(t, &tasks[i], &racers[i]);
  }
  if (code == BENCH_OK && !t->memory.settings->only_verify) code = time_tasks(t, tasks, racers, count);
  for (int i = 0; i < count; i++) mfq_gemm_plan_destroy(tasks[i].plan);
  t->done += gemm_table_wanted(t->table, t->size, scheme);
  return code;
}

static int time_size(timing *t) {
  const gemm_settings *settings = t->memory.settings;
  int code = gemm_memory_create(settings, t->memory.context, t->table->sizes[t->size], &t->memory);
  if (code == BENCH_OK) code = gemm_sample_create(&t->memory, &t->sample);
  if (code == BENCH_OK) code = gemm_peer_create(&t->memory, &t->peer);
  if (code == BENCH_OK) memcpy(t->table->peers[t->size], t->peer.about, sizeof t->peer.about);
  for (int i = 0; code == BENCH_OK && i < t->table->scheme_count; i++)
    if (gemm_table_wanted(t->table, t->size, i) > 0) code = time_scheme(t, i);
  gemm_peer_destroy(&t->peer);
  gemm_sample_destroy(t->sample);
  t->sample = NULL;
  gemm_memory_destroy(&t->memory);
  return code;
}

int gemm_time(const gemm_settings *settings, mfq_context *context, gemm_table *table) {
  timing t = {.memory = {.settings = settings, .context = context}, .table = table, .tells = isatty(STDERR_FILENO)};
  t.samples = calloc((size_t)settings->repetitions * (TASKS + 1), sizeof *t.samples);
  int code = t.samples != NULL ? BENCH_OK : bench_error(BENCH_FAILED, "no memory for the times");
  for (int i = 0; i < table->size_count; i++) t.total += gemm_table_wanted(table, i, -1);
  for (t.size = 0; code == BENCH_OK && t.size < table->size_count; t.size++)
    if (gemm_table_wanted(table, t.size, -1) > 0) code = time_size(&t);
  if (t.tells) fprintf(stderr, "\r\033[K");
  free(t.samples);
  return code;
}
