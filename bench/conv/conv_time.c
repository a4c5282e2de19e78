/* bench/conv/conv_time.c: checks and times convolutions: one row and the peer, in turn. */
#include <stdlib.h>
#include <string.h>

#include "bench/common/ceilings.h"
#include "conv_measure.h"

enum { PEER, ROW, RACERS };

typedef struct timing {
  bench_record *record;
  conv_memory memory;
  conv_peer peer;
  conv_sample *sample;
  conv_table *table;
  mfq_conv_plan *plan; /* of the row in work */
  int shape;
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
  return bench_status(status, "the convolution");
}

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

/* NaN into the result, one launch. */
static int launch_once(timing *t, bench_racer *racer) {
  double seconds = 0;
  const int code = bench_status(mfq_buffer_fill(t->memory.result.buffer, 0, t->memory.result.bytes, 0xff), "NaN");
  return code == BENCH_OK ? bench_sample(t->memory.context, racer, &seconds) : code;
}

static int check_row(timing *t, bench_racer *racer, const bench_row *row) {
  const size_t last_byte = mfq_dtype_bytes(t->record->settings->out_type) - 1;
  int code = launch_once(t, racer);
  if (code == BENCH_OK) code = bench_status(bench_spoil(row->name, t->memory.result.buffer, last_byte), row->name);
  return code == BENCH_OK ? conv_sample_check(&t->memory, t->sample, row) : code;
}

/* A peer that fails, or whose sums are beyond the bound, is no peer. */
static void check_peer(timing *t) {
  bench_racer racer = {.launches = {launch_peer, t, 0, 1}};
  int code = t->peer.exists ? launch_once(t, &racer) : BENCH_OK;
  if (code == BENCH_OK && t->peer.exists) code = conv_peer_result(&t->memory, &t->peer);
  if (code == BENCH_OK && t->peer.exists) code = conv_sample_check(&t->memory, t->sample, NULL);
  if (code == BENCH_OK) return;
  const size_t used = strlen(t->peer.about);
  (void)snprintf(t->peer.about + used, BENCH_ABOUT - used, ": not compared, %s", bench_last_error());
  t->peer.exists = 0;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

/* Bytes of the operands and the result as they are stored: each is read or written once at least. */
static int plan_row(timing *t, bench_row *row) {
  const conv_memory *m = &t->memory;
  const conv_roles roles = conv_roles_of(m->direction);
  conv_call call;
  mfq_status status = conv_call_make(m, 0, &call);
  if (status == MFQ_OK) status = mfq_conv_plan_create(m->context, &call.conv, &t->plan);
  if (status != MFQ_OK) return bench_status(status, row->name);
  (void)snprintf(row->about, sizeof row->about, "%s", mfq_conv_plan_describe(t->plan));
  row->bytes = (double)mfq_dtype_bytes(m->settings->out_type) * (double)conv_tensor_count(m->shape, roles.result);
  row->rotated = (double)m->result.bytes * m->result.count;
  for (int i = 0; i < 2; ++i) {
    const int is_coded = m->weights.buffer != NULL && roles.operand[i] == CONV_W;
    const bench_slots *slots = is_coded ? &m->weights : &m->plain[roles.operand[i]];
    mfq_qtensor_sizes sizes = {.codes_bytes = 2 * (size_t)conv_tensor_count(m->shape, roles.operand[i])};
    if (is_coded) status = mfq_qtensor_sizes_get(&call.weight, &sizes);
    row->rotated += (double)slots->bytes * slots->count;
    row->bytes += (double)(sizes.codes_bytes + sizes.scales_bytes + sizes.zero_points_bytes);
  }
  row->flops = conv_flops(m->shape);
  row->is_fp8 = !m->scheme->is_plain && bench_fits_fp8(&m->scheme->scheme);
  const int code = bench_status(status, row->name);
  return code == BENCH_OK ? conv_memory_workspace(&t->memory, mfq_conv_workspace_bytes(t->plan)) : code;
}

static int race(timing *t, bench_racer *racers, bench_row *row) {
  const int repetitions = t->record->settings->repetitions, first = t->peer.exists ? PEER : ROW;
  double seconds = 0;
  int code = BENCH_OK;
  for (int i = first; code == BENCH_OK && i < RACERS; ++i) {
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
  row->launches = racers[ROW].launches.count;
  row->timing = racers[ROW].timing;
  return code;
}

static int end_row(const timing *t, conv_row *row, int code) {
  return bench_record_row(t->record, &row->common, code, conv_row_json(t->record->settings, t->table, row));
}

static int time_row(timing *t, conv_row *row, const conv_scheme *scheme) {
  const int repetitions = t->record->settings->repetitions;
  bench_racer racers[RACERS] = {{.launches = {launch_peer, t, 0, 1}, .samples = t->samples},
                                {.launches = {launch_row, t, 0, 1}, .samples = t->samples + repetitions}};
  bench_record_tell(t->record, row->common.name);
  int code = conv_memory_scheme(&t->memory, scheme);
  if (code == BENCH_OK) code = conv_sample_scheme(&t->memory, t->sample);
  if (code == BENCH_OK) code = plan_row(t, &row->common);
  if (code == BENCH_OK) code = check_row(t, &racers[ROW], &row->common);
  if (code == BENCH_OK && !t->record->settings->only_verify) code = race(t, racers, &row->common);
  mfq_conv_plan_destroy(t->plan);
  t->plan = NULL;
  return end_row(t, row, code);
}

static int time_direction(timing *t, int direction) {
  const bench_record *record = t->record;
  int goes_on = BENCH_OK;
  int code = conv_memory_create(record->settings, record->context, &t->table->shapes[t->shape],
                                (mfq_conv_direction)direction, &t->memory);
  if (code == BENCH_OK) code = conv_sample_create(&t->memory, &t->sample);
  if (code == BENCH_OK) {
    conv_peer_create(&t->memory, conv_table_peer(t->table, t->shape, direction), &t->peer);
    check_peer(t);
  } else
    (void)snprintf(conv_table_peer(t->table, t->shape, direction), BENCH_ABOUT, "none: %s", bench_last_error());
  for (int i = 0; goes_on == BENCH_OK && i < t->table->scheme_count; ++i) {
    conv_row *row = conv_table_row(t->table, t->shape, direction, i);
    if (row->is_wanted) goes_on = code == BENCH_OK ? time_row(t, row, &t->table->schemes[i]) : end_row(t, row, code);
  }
  conv_peer_destroy(&t->peer);
  conv_sample_destroy(t->sample);
  t->sample = NULL;
  conv_memory_destroy(&t->memory);
  return goes_on;
}

int conv_time(bench_record *record, conv_table *table) {
  timing t = {.record = record, .table = table};
  t.samples = calloc((size_t)record->settings->repetitions * (RACERS + 1), sizeof *t.samples);
  int goes_on = t.samples != NULL ? BENCH_OK : bench_error(BENCH_FAILED, "no memory for the times");
  for (int i = 0; i < table->shape_count; ++i) record->total += conv_table_wanted(table, i, -1);
  for (t.shape = 0; goes_on == BENCH_OK && t.shape < table->shape_count; ++t.shape)
    for (int d = 0; goes_on == BENCH_OK && d < CONV_DIRECTIONS; ++d)
      if (conv_table_wanted(table, t.shape, d) > 0) goes_on = time_direction(&t, d);
  if (record->tells) fprintf(stderr, "\r\033[K");
  free(t.samples);
  return goes_on;
}
