/* bench_produce: how fast producers run, as shares of the copy bandwidth of the same minutes. Checks each against the CPU's
 * reference path on a small matrix, then times, in small batches of rows with copies in turn. */
#include <stdlib.h>
#include <string.h>

#include "produce_bench.h"

enum { CACHES = 4, SLOTS_OF_CPU = 3, COPIED_BY_CPU = 64 << 20, COPIED_BY_DEVICE = 128 << 20 };

static int parse(bench_run *run, int argc, char **argv) {
  bench_settings *s = &run->settings;
  produce_bench *b = run->state;
  const struct poptOption own[] = {
      {"filter", 'f', POPT_ARG_STRING, &s->filter, 0, "only rows 'PRODUCER TYPE TARGET' that match", "REGEX"},
      {"rows", 0, POPT_ARG_LONGLONG, &b->height, 0, "of the results (default: 2048; 8192 on a device)", "N"},
      {"cols", 0, POPT_ARG_LONGLONG, &b->width, 0, "of the results (default: 4096)", "N"},
      POPT_TABLEEND};
  const int code = bench_parse(s, own, argc, argv);
  if (code != BENCH_OK) return code;
  if (b->height == 0) b->height = s->device != NULL ? 8192 : 2048;
  if (b->width == 0) b->width = 4096;
  if (b->height >= 1 && b->width >= 1 && b->height <= (1 << 20) && b->width <= (1 << 20)) return BENCH_OK;
  return bench_error(BENCH_USAGE, "--rows and --cols are %lld and %lld; allowed is 1 ... 1048576", b->height, b->width);
}

static const char *copy_name(const bench_run *run) {
  return run->settings.device != NULL ? "mfq_buffer_copy" : "memcpy";
}

static json_t *parameters(const bench_run *run) {
  const produce_bench *b = run->state;
  return json_pack("{s:I, s:I, s:s}", "rows", (json_int_t)b->height, "cols", (json_int_t)b->width, "copy",
                   copy_name(run));
}

static int open_bench(bench_run *run) {
  produce_bench *b = run->state;
  mfq_context_options options;
  b->run = run;
  (void)snprintf(run->ceilings.how, sizeof run->ceilings.how,
                 "copy: %s between the rows; here that of the last ones, for each row its own", copy_name(run));
  mfq_context_options_init(&options);
  options.cpu_isa = "reference";
  int code = bench_status(mfq_context_create(&options, &b->reference), "the reference path");
  if (code != BENCH_OK || run->settings.only_verify) return code;
  if (run->settings.device != NULL) return bench_copies_create(run->context, COPIED_BY_DEVICE, &b->copies);
  b->copies = (bench_copies){.context = run->context, .bytes = COPIED_BY_CPU};
  return bench_slots_of(run->context, COPIED_BY_CPU, 2 * SLOTS_OF_CPU, &b->copies.slots);
}

static void close_bench(bench_run *run) {
  produce_bench *b = run->state;
  bench_copies_destroy(&b->copies);
  mfq_context_destroy(b->reference);
}

static int group_of(const bench_run *run, int index) {
  (void)run;
  (void)index;
  return 0;
}

/* Rows have memory of their own. */
static int begin(bench_run *run, int group) {
  (void)run;
  (void)group;
  return BENCH_OK;
}
static void end(bench_run *run) { (void)run; }

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

static int launch_cpu_copy(void *state, int turn) {
  const produce_bench *b = state;
  const bench_slots *slots = &b->copies.slots;
  bench_copy(bench_slot(slots, 2 * turn + 1), bench_slot(slots, 2 * turn), b->copies.bytes, b->run->settings.threads);
  return BENCH_OK;
}

static void wake_threads(void *state) {
  const produce_bench *b = state;
  const bench_slots *slots = &b->copies.slots;
  const int threads = b->run->settings.threads;
  bench_copy(bench_slot(slots, 1), bench_slot(slots, 0), 64 * (size_t)threads, threads);
}

/* Copies are what producers are compared with, and no peer. */
static int peer(bench_run *run, char *about, bench_racer *racer) {
  produce_bench *b = run->state;
  double unused;
  (void)snprintf(about, BENCH_ABOUT, "none: producers are compared with copies");
  if (run->settings.only_verify) return BENCH_OK;
  if (run->settings.device != NULL) {
    racer->launches = (bench_launches){bench_copies_launch, &b->copies, 0, 1};
  } else {
    racer->launches = (bench_launches){launch_cpu_copy, b, 0, 1};
    racer->before = wake_threads;
    racer->most = 1;
  }
  return bench_sample(run->context, racer, &unused);
}

static void beside(bench_run *run, bench_row *row, const bench_quantiles *copy) {
  const produce_bench *b = run->state;
  made_row *r = (made_row *)row;
  r->copy_seconds = *copy;
  r->copied = 2.0 * (double)b->copies.bytes;
  run->ceilings.copy = made_row_copy(r);
}

/* ---- Checks ------------------------------------------------------------------------------------------------------ */

/* Parameters in float32 beside inputs of bf16 have two of these numbers' bits: numbers as well. */
static void random_inputs(const made_row *row, uint8_t *inputs, size_t bytes, int threads) {
  bench_fill_normal(inputs, row->dtype, (int64_t)(bytes / mfq_dtype_bytes(row->dtype)), 1, threads);
}

typedef struct made_side {
  mfq_context *context;
  mfq_buffer *inputs, *outputs;
  uint8_t *result;
} made_side;

static mfq_status make_small(made_side *s, const made_row *row, const int64_t shape[2], const uint8_t *random) {
  made_memory memory = {.inputs = NULL};
  mfq_status status = made_call(NULL, row, shape[0], shape[1], &memory);
  if (status == MFQ_OK) status = mfq_buffer_create(s->context, memory.input_bytes, &s->inputs);
  if (status == MFQ_OK) status = mfq_buffer_create(s->context, memory.output_bytes, &s->outputs);
  if (status == MFQ_OK) status = mfq_buffer_write(s->inputs, 0, random, memory.input_bytes);
  if (status == MFQ_OK) status = mfq_buffer_fill(s->outputs, 0, memory.output_bytes, 0xff);
  if (status != MFQ_OK) return status;
  memory.inputs = mfq_buffer_data(s->inputs);
  memory.outputs = mfq_buffer_data(s->outputs);
  status = made_call(s->context, row, shape[0], shape[1], &memory);
  s->result = malloc(memory.output_bytes);
  if (status == MFQ_OK && s->result == NULL) return MFQ_ERROR_OUT_OF_MEMORY;
  return status == MFQ_OK ? mfq_buffer_read(s->outputs, 0, s->result, memory.output_bytes) : status;
}

static int compare(const produce_bench *b, const made_row *row, const int64_t shape[2]) {
  enum { HERE, REFERENCE, SIDES };
  made_side sides[SIDES] = {{.context = b->run->context}, {.context = b->reference}};
  made_memory memory = {.inputs = NULL};
  int code = bench_status(made_call(NULL, row, shape[0], shape[1], &memory), row->common.name);
  uint8_t *random = malloc(memory.input_bytes + 1);
  if (random == NULL) return bench_error(BENCH_FAILED, "no memory");
  if (code == BENCH_OK) random_inputs(row, random, memory.input_bytes, 1);
  for (int i = 0; code == BENCH_OK && i < SIDES; ++i) {
    code = bench_status(make_small(&sides[i], row, shape, random), row->common.name);
    if (code == BENCH_OK && i == HERE)
      code = bench_status(bench_spoil(row->common.name, sides[i].outputs, 0), row->common.name);
    if (code == BENCH_OK && i == HERE)
      code = bench_status(mfq_buffer_read(sides[i].outputs, 0, sides[i].result, memory.output_bytes), row->common.name);
  }
  for (size_t i = 0; code == BENCH_OK && i < memory.output_bytes; ++i)
    if (sides[HERE].result[i] != sides[REFERENCE].result[i])
      code = bench_error(BENCH_WRONG, "%s: byte %zu of the results is 0x%02x, the reference path says 0x%02x",
                         row->common.name, i, sides[HERE].result[i], sides[REFERENCE].result[i]);
  for (int i = 0; i < SIDES; ++i) {
    mfq_buffer_destroy(sides[i].inputs);
    mfq_buffer_destroy(sides[i].outputs);
    free(sides[i].result);
  }
  free(random);
  return code;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static int launch(void *state, int turn) {
  const made_task *k = state;
  made_memory memory = {bench_slot(&k->inputs, turn), bench_slot(&k->outputs, turn), 0, 0, 0, 0};
  const mfq_status status = made_call(k->bench->run->context, k->row, k->row->rows, k->row->cols, &memory);
  return bench_status(status, k->row->common.name);
}

static int create_slots(const bench_run *run, size_t bytes, bench_slots *slots) {
  return run->settings.device != NULL ? bench_slots_create(run->context, bytes, CACHES, slots)
                                      : bench_slots_of(run->context, bytes, SLOTS_OF_CPU, slots);
}

static int fill_inputs(const made_task *k) {
  const bench_run *run = k->bench->run;
  uint8_t *host = malloc(k->inputs.bytes);
  if (host == NULL) return bench_error(BENCH_FAILED, "no memory for %zu bytes", k->inputs.bytes);
  random_inputs(k->row, host, k->inputs.bytes, run->settings.threads);
  mfq_status status = mfq_buffer_write(k->inputs.buffer, 0, host, k->inputs.bytes);
  if (status == MFQ_OK) status = bench_slots_spread(&k->inputs);
  if (status == MFQ_OK) status = mfq_context_synchronize(run->context);
  free(host);
  return bench_status(status, "inputs");
}

static int ready(bench_run *run, bench_row *row, int place, bench_racer *racer) {
  static const int64_t shapes[][2] = {{70, 416}, {128, 512}};
  produce_bench *b = run->state;
  made_task *k = &b->tasks[place];
  double unused;
  *k = (made_task){.bench = b, .row = (const made_row *)row};
  int code = compare(b, k->row, shapes[0]);
  if (code == BENCH_OK) code = compare(b, k->row, shapes[1]);
  if (code != BENCH_OK || run->settings.only_verify) return code;
  code = create_slots(run, k->row->input_bytes, &k->inputs);
  if (code == BENCH_OK) code = create_slots(run, k->row->output_bytes, &k->outputs);
  if (code == BENCH_OK) code = fill_inputs(k);
  racer->launches = (bench_launches){launch, k, 0, 1};
  racer->most = run->settings.device == NULL;
  racer->is_quiet = 1;
  row->rotated = (double)k->inputs.bytes * k->inputs.count + (double)k->outputs.bytes * k->outputs.count;
  return code == BENCH_OK ? bench_sample(run->context, racer, &unused) : code;
}

static void forget(bench_run *run, int place) {
  produce_bench *b = run->state;
  bench_slots_destroy(&b->tasks[place].inputs);
  bench_slots_destroy(&b->tasks[place].outputs);
}

/* ---- Reports ----------------------------------------------------------------------------------------------------- */

static double elements(const made_row *row) { return (double)row->rows * (double)row->cols; }

static int misses(const bench_run *run) {
  int misses = 0;
  for (int i = 0; i < run->count; ++i) misses += made_row_misses((const made_row *)bench_row_at(run, i));
  return misses;
}

static void print_row(const made_row *row) {
  const bench_quantiles *seconds = &row->common.seconds;
  printf("  %-22.22s  ", row->target->name);
  if (row->common.verdict != BENCH_ROW_RIGHT)
    printf("%s\n", row->common.verdict == BENCH_ROW_WRONG ? "WRONG" : "FAILED");
  else
    printf("%6.2f  %5.1f%%  %3d%s  %6.3f  %8.3f  %8.3f  %8.3f\n", 1e-9 * made_row_bandwidth(row), made_row_share(row),
           row->goal, made_row_misses(row) ? "<" : " ", bench_giga(&row->common, elements(row)), 1e3 * seconds->median,
           1e3 * seconds->p10, 1e3 * seconds->p90);
}

static void print_table(const bench_run *run) {
  const made_row *before = NULL;
  int timed = 0;
  for (int i = 0; i < run->count; ++i) {
    const made_row *row = (const made_row *)bench_row_at(run, i);
    if (row->common.verdict == BENCH_WAITS) continue;
    if (before == NULL || before->kind != row->kind || before->dtype != row->dtype) {
      char title[64];
      (void)snprintf(title, sizeof title, "%s %s", made_kind_name(row->kind), mfq_dtype_name(row->dtype));
      printf("\n%-24s  %6s  %6s  %4s  %6s  %8s  %8s  %8s\n", title, "GB/s", "copy", "goal", "Gel/s", "ms", "p10",
             "p90");
    }
    before = row;
    print_row(row);
    timed += row->common.verdict == BENCH_ROW_RIGHT;
  }
  printf("\n%d rows, %d below their goal (<)\n", timed, misses(run));
}

static void print_all(const bench_run *run) {
  const produce_bench *b = run->state;
  char what[160];
  if (run->settings.only_verify) {
    printf("%d rows: equal to the reference path, byte for byte\n", run->done - run->bad);
    return;
  }
  (void)snprintf(what, sizeof what, "results of %lld x %lld, normal random inputs", b->height, b->width);
  bench_print_conditions(run, what);
  printf(
      "GB/s: bytes of inputs and results, each once. copy: share of the bandwidth of %s, measured between the rows. ",
      copy_name(run));
  bench_print_again(run, "--filter '^PRODUCER TYPE TARGET$'");
  print_table(run);
}

static json_t *row_json(const bench_run *run, const bench_row *r) {
  const produce_bench *b = run->state;
  const made_row *row = (const made_row *)r;
  const int is_timed = r->seconds.median > 0;
  char after[96];
  (void)snprintf(after, sizeof after, " --rows %lld --cols %lld", b->height, b->width);
  return json_pack("{s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:o, s:o, s:f, s:o, s:o, s:o, s:i, s:b, s:o}", "producer",
                   made_kind_name(row->kind), "dtype", mfq_dtype_name(row->dtype), "target", row->target->name, "rows",
                   (json_int_t)row->rows, "cols", (json_int_t)row->cols, "bytes_read", row->read, "bytes_written",
                   row->written, "gb_per_second", bench_number_json(bench_giga(r, row->read + row->written)),
                   "copy_seconds", bench_quantiles_json(&row->copy_seconds), "copied_bytes", row->copied,
                   "copy_gb_per_second", bench_number_json(is_timed ? 1e-9 * made_row_copy(row) : 0), "share_percent",
                   bench_number_json(is_timed ? made_row_share(row) : 0), "gelements_per_second",
                   bench_number_json(bench_giga(r, elements(row))), "goal_percent", row->goal, "is_below_goal",
                   made_row_misses(row), "reproduce", bench_again_json(run, r, "", after));
}

static const bench_subject subject = {.name = "produce",
                                      .repetitions = 15,
                                      .row_bytes = sizeof(made_row),
                                      .batch = BENCH_BATCH,
                                      .is_list = 1,
                                      .parse = parse,
                                      .list = made_list,
                                      .group = group_of,
                                      .parameters = parameters,
                                      .open = open_bench,
                                      .close = close_bench,
                                      .begin = begin,
                                      .peer = peer,
                                      .end = end,
                                      .ready = ready,
                                      .forget = forget,
                                      .beside = beside,
                                      .json = row_json,
                                      .print = print_all,
                                      .misses = misses};

int main(int argc, char **argv) {
  static produce_bench state;
  return bench_main(&subject, &state, argc, argv);
}
