/* bench/gemm/gemm_time.c: checks and times products: the rows of one scheme and the peer, in turn. */
#include <stdlib.h>
#include <string.h>

#include "bench/common/ceilings.h"
#include "gemm_run.h"

enum { PEER, RACERS = GEMM_MODES + 1 };

typedef struct timing {
  bench_record *record;
  gemm_memory memory;
  gemm_peer peer;
  gemm_sample *sample;
  gemm_table *table;
  int size;
  double *samples;
  /* The peer, then those rows of a scheme that are right. */
  bench_racer racers[RACERS];
  gemm_row *rows[RACERS];
  gemm_task tasks[RACERS];
  int count;
} timing;

static int end_row(const timing *t, gemm_row *row, int code) {
  return bench_record_row(t->record, &row->common, code, gemm_row_json(t->record->settings, t->table, row));
}

/* Ends all wanted rows of a scheme, or of the size, that cannot even begin. */
static int end_rows(const timing *t, int scheme, int code) {
  gemm_row *rows = gemm_table_row(t->table, t->size, scheme < 0 ? 0 : scheme, GEMM_QUANTIZED);
  const int count = GEMM_MODES * (scheme < 0 ? t->table->scheme_count : 1);
  int goes_on = BENCH_OK;
  for (int i = 0; goes_on == BENCH_OK && i < count; ++i)
    if (rows[i].is_wanted) goes_on = end_row(t, &rows[i], code);
  return goes_on;
}

/* The first run is the one that is checked; the second one says how many fill a sample. */
static int check_and_calibrate(const timing *t, bench_racer *racer, const gemm_row *row, gemm_mode mode) {
  const char *name = row != NULL ? row->common.name : "the peer";
  const char *about = row != NULL ? row->common.about : t->peer.about;
  double seconds = 0;
  int code = bench_status(mfq_buffer_fill(t->memory.d.buffer, 0, t->memory.d.bytes, 0xff), "D"); /* NaN */
  if (code == BENCH_OK) code = bench_sample(t->memory.context, racer, &seconds);
  if (code == BENCH_OK && row == NULL) code = gemm_peer_result(&t->peer);
  const size_t last_byte = mfq_dtype_bytes(t->record->settings->out_type) - 1;
  if (code == BENCH_OK) code = bench_status(bench_spoil(name, t->memory.d.buffer, last_byte), name);
  if (code == BENCH_OK) code = gemm_sample_check(&t->memory, t->sample, mode, name, about);
  if (code == BENCH_OK && !t->record->settings->only_verify) code = bench_sample(t->memory.context, racer, &seconds);
  bench_calibrate(racer, seconds);
  return code;
}

/* A peer that fails, or whose sums are beyond the bound, is no peer. */
static void prepare_peer(timing *t) {
  t->racers[PEER] = (bench_racer){.launches = {gemm_peer_launch, &t->peer, 0, 1}, .samples = t->samples};
  if (!t->peer.exists || check_and_calibrate(t, &t->racers[PEER], NULL, GEMM_MODES) == BENCH_OK) return;
  const size_t used = strlen(t->peer.about);
  (void)snprintf(t->peer.about + used, BENCH_ABOUT - used, ": not compared, %s", bench_last_error());
  t->peer.exists = 0;
}

/* ---- The rows of one scheme ------------------------------------------------------------------------------------- */

/* Bytes of A, B and D as they are stored: each is read or written once at least. */
static mfq_status measure_row(const timing *t, gemm_mode mode, gemm_row *row) {
  const gemm_memory *m = &t->memory;
  const gemm_size *s = &m->size;
  double stored[2] = {2.0 * (double)(s->m * s->k), 2.0 * (double)(s->n * s->k)};
  gemm_call call;
  mfq_status status = gemm_call_make(m, GEMM_QUANTIZED, 0, &call);
  for (int i = mode == GEMM_QUANTIZED ? 0 : 1; status == MFQ_OK && !m->scheme->is_plain && i < 2; ++i) {
    mfq_qtensor_sizes sizes;
    status = mfq_qtensor_sizes_get(i == 0 ? &call.qa : &call.qb, &sizes);
    stored[i] = (double)(sizes.codes_bytes + sizes.scales_bytes + sizes.zero_points_bytes);
  }
  const bench_slots *b = m->scheme->is_plain ? &m->b : &m->qb;
  row->weight_bytes = stored[1];
  row->common.rotated = (double)b->bytes * b->count;
  row->common.bytes = stored[0] + stored[1] + (double)mfq_dtype_bytes(m->settings->out_type) * (double)(s->m * s->n);
  row->common.flops = gemm_flops(s);
  row->common.is_fp8 = mode != GEMM_WEIGHT_ONLY && !m->scheme->is_plain && bench_fits_fp8(&m->scheme->scheme);
  return status;
}

static int prepare_row(timing *t, gemm_row *row, gemm_mode mode) {
  gemm_task *task = &t->tasks[t->count];
  bench_racer *racer = &t->racers[t->count];
  *task = (gemm_task){.memory = &t->memory, .mode = mode};
  *racer = (bench_racer){.launches = {gemm_task_launch, task, 0, 1},
                         .samples = t->samples + t->count * t->record->settings->repetitions};
  bench_record_tell(t->record, row->common.name);
  int code = bench_status(measure_row(t, mode, row), row->common.name);
  if (code == BENCH_OK) code = gemm_task_plan(task);
  if (code != BENCH_OK) return code;
  (void)snprintf(row->common.about, sizeof row->common.about, "%s", mfq_gemm_plan_describe(task->plan));
  return check_and_calibrate(t, racer, row, mode);
}

static int race(timing *t) {
  const int repetitions = t->record->settings->repetitions, has_peer = t->peer.exists,
            first = has_peer ? PEER : PEER + 1;
  bench_racer *racers = t->racers;
  if (t->record->settings->only_verify || t->count == PEER + 1) return BENCH_OK;
  const int code = bench_race(t->memory.context, racers + first, t->count - first, repetitions);
  if (code != BENCH_OK) return code;
  for (int i = PEER + 1; has_peer && i < t->count; ++i)
    t->rows[i]->common.share = bench_share(&racers[PEER], &racers[i], repetitions, t->samples + RACERS * repetitions);
  bench_quantiles peer = {0, 0, 0};
  if (has_peer) peer = bench_quantiles_of(racers[PEER].samples, repetitions);
  for (int i = PEER + 1; i < t->count; ++i) {
    bench_row *row = &t->rows[i]->common;
    row->seconds = bench_quantiles_of(racers[i].samples, repetitions);
    row->peer_seconds = peer;
    row->launches = racers[i].launches.count;
    row->timing = racers[i].timing;
  }
  return code;
}

static int time_scheme(timing *t, int scheme) {
  int goes_on = BENCH_OK, code = gemm_memory_quantize(&t->memory, &t->table->schemes[scheme]);
  if (code == BENCH_OK) code = gemm_sample_scheme(&t->memory, t->sample);
  if (code != BENCH_OK) return end_rows(t, scheme, code);
  t->count = PEER + 1;
  for (int mode = 0; goes_on == BENCH_OK && mode < GEMM_MODES; ++mode) {
    gemm_row *row = gemm_table_row(t->table, t->size, scheme, (gemm_mode)mode);
    if (!row->is_wanted) continue;
    code = prepare_row(t, row, (gemm_mode)mode);
    t->rows[t->count] = row;
    if (code == BENCH_OK)
      ++t->count;
    else {
      mfq_gemm_plan_destroy(t->tasks[t->count].plan);
      goes_on = end_row(t, row, code);
    }
  }
  code = goes_on == BENCH_OK ? race(t) : goes_on;
  for (int i = PEER + 1; i < t->count; ++i) {
    mfq_gemm_plan_destroy(t->tasks[i].plan);
    if (goes_on == BENCH_OK) goes_on = end_row(t, t->rows[i], code);
  }
  return goes_on;
}

static int time_size(timing *t) {
  const bench_record *record = t->record;
  int goes_on = BENCH_OK;
  int code = gemm_memory_create(record->settings, record->context, t->table->sizes[t->size], &t->memory);
  if (code == BENCH_OK) code = gemm_sample_create(&t->memory, &t->sample);
  if (code == BENCH_OK) {
    gemm_peer_create(&t->memory, t->table->peers[t->size], &t->peer);
    prepare_peer(t);
  } else {
    (void)snprintf(t->table->peers[t->size], BENCH_ABOUT, "none: %s", bench_last_error());
    goes_on = end_rows(t, -1, code);
  }
  for (int i = 0; code == BENCH_OK && goes_on == BENCH_OK && i < t->table->scheme_count; ++i)
    if (gemm_table_wanted(t->table, t->size, i) > 0) goes_on = time_scheme(t, i);
  gemm_peer_destroy(&t->peer);
  gemm_sample_destroy(t->sample);
  t->sample = NULL;
  gemm_memory_destroy(&t->memory);
  return goes_on;
}

int gemm_time(bench_record *record, gemm_table *table) {
  timing t = {.record = record, .table = table};
  t.samples = calloc((size_t)record->settings->repetitions * (RACERS + 1), sizeof *t.samples);
  int goes_on = t.samples != NULL ? BENCH_OK : bench_error(BENCH_FAILED, "no memory for the times");
  for (int i = 0; i < table->size_count; ++i) record->total += gemm_table_wanted(table, i, -1);
  for (t.size = 0; goes_on == BENCH_OK && t.size < table->size_count; ++t.size)
    if (gemm_table_wanted(table, t.size, -1) > 0) goes_on = time_size(&t);
  if (record->tells) fprintf(stderr, "\r\033[K");
  free(t.samples);
  return goes_on;
}
