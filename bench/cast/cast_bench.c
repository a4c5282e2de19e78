/* bench_cast: how fast casts run, on the CPU or a device, as shares of the copy bandwidth of the same minutes. Checks,
 * then times, in small batches of rows with copies in turn.
 *
 * Operands rotate among slots, on a device as many as are larger together than four times the last cache, so that a launch
 * finds nothing of an earlier one there. */
#include <stdlib.h>

#include "cast_bench.h"

enum { CACHES = 4, SLOTS_OF_CPU = 4, COPIED_BY_CPU = 64 << 20, COPIED_BY_DEVICE = 128 << 20 };

static int parse(bench_run *run, int argc, char **argv) {
  bench_settings *s = &run->settings;
  cast_bench *c = run->state;
  const struct poptOption own[] = {
      {"filter", 'f', POPT_ARG_STRING, &s->filter, 0, "only rows 'OPERATION TYPE SCHEME' that match", "REGEX"},
      {"rows", 0, POPT_ARG_LONGLONG, &c->height, 0, "of the matrix (default: 4096; 8192 on a device)", "N"},
      {"cols", 0, POPT_ARG_LONGLONG, &c->width, 0, "of the matrix (default: 4096; 8192 on a device)", "N"},
      POPT_TABLEEND};
  const int code = bench_parse(s, own, argc, argv), usual = s->device != NULL ? 8192 : 4096;
  if (code != BENCH_OK) return code;
  if (c->height == 0) c->height = usual;
  if (c->width == 0) c->width = usual;
  if (c->height >= 1 && c->width >= 1 && c->height <= (1 << 20) && c->width <= (1 << 20)) return BENCH_OK;
  return bench_error(BENCH_USAGE, "--rows and --cols are %lld and %lld; allowed is 1 ... 1048576", c->height, c->width);
}

static const char *copy_name(const bench_run *run) {
  return run->settings.device != NULL ? "mfq_buffer_copy" : "memcpy";
}

static json_t *parameters(const bench_run *run) {
  const cast_bench *c = run->state;
  return json_pack("{s:I, s:I, s:s}", "rows", (json_int_t)c->height, "cols", (json_int_t)c->width, "copy",
                   copy_name(run));
}

/* A device's copies are no larger than four of the largest inputs, so that a small benchmark stays small. */
static int open_bench(bench_run *run) {
  cast_bench *c = run->state;
  const double plain = 16.0 * (double)c->height * (double)c->width;
  const size_t most = plain < COPIED_BY_DEVICE ? (size_t)plain : (size_t)COPIED_BY_DEVICE;
  c->run = run;
  (void)snprintf(run->ceilings.how, sizeof run->ceilings.how,
                 "copy: %s between the rows; here that of the last ones, for each row its own", copy_name(run));
  const int code = cast_verifier_create(run, &c->verifier);
  if (code != BENCH_OK || run->settings.only_verify) return code;
  if (run->settings.device != NULL) return bench_copies_create(run->context, most, &c->copies);
  c->copies = (bench_copies){.context = run->context, .bytes = COPIED_BY_CPU};
  return bench_slots_of(run->context, COPIED_BY_CPU, 2 * SLOTS_OF_CPU, &c->copies.slots);
}

static int create_slots(const bench_run *run, size_t bytes, bench_slots *slots) {
  return run->settings.device != NULL ? bench_slots_create(run->context, bytes, CACHES, slots)
                                      : bench_slots_of(run->context, bytes, SLOTS_OF_CPU, slots);
}

static void close_bench(bench_run *run) {
  cast_bench *c = run->state;
  cast_verifier_destroy(c->verifier);
  bench_copies_destroy(&c->copies);
}

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

static int group_of(const bench_run *run, int index) {
  return (int)((const cast_row *)bench_row_at(run, index))->dtype;
}

/* Writes the first slot and copies it to the others. */
static int fill_slots(const bench_slots *slots, const void *host, size_t bytes, mfq_context *context) {
  mfq_status status = mfq_buffer_write(slots->buffer, 0, host, bytes);
  if (status == MFQ_OK) status = bench_slots_spread(slots);
  if (status == MFQ_OK) status = mfq_context_synchronize(context); /* before `host` goes */
  return bench_status(status, "memory of the context");
}

/* Sources and targets of one dtype. */
static int begin(bench_run *run, int group) {
  cast_bench *c = run->state;
  const mfq_dtype dtype = (mfq_dtype)group;
  const int64_t count = c->height * c->width;
  const size_t bytes = mfq_dtype_bytes(dtype) * (size_t)count;
  if (run->settings.only_verify) return BENCH_OK;
  int code = create_slots(run, bytes, &c->source);
  if (code == BENCH_OK) code = create_slots(run, bytes, &c->target);
  if (code != BENCH_OK) return code;
  void *host = malloc(bytes);
  if (host == NULL) return bench_error(BENCH_FAILED, "no memory for %zu bytes", bytes);
  bench_fill_normal(host, dtype, count, (uint64_t)run->settings.seed, run->settings.threads);
  code = fill_slots(&c->source, host, bytes, run->context);
  free(host);
  return code;
}

static void end(bench_run *run) {
  cast_bench *c = run->state;
  bench_slots_destroy(&c->source);
  bench_slots_destroy(&c->target);
}

/* The scales and zero points that a row does not find itself. */
static int give(const cast_task *k) {
  const cast_row *row = k->row;
  cast_parts parts;
  if (row->scheme.rule != MFQ_RULE_GIVEN) return BENCH_OK;
  uint8_t *host = calloc(1, row->slot_bytes);
  if (host == NULL) return bench_error(BENCH_FAILED, "no memory for %zu bytes", row->slot_bytes);
  int code = bench_status(cast_parts_place(row, row->rows, row->cols, host, &parts), row->common.name);
  if (code == BENCH_OK) cast_parts_give(&parts);
  if (code == BENCH_OK) code = fill_slots(&k->parts, host, row->slot_bytes, k->bench->run->context);
  free(host);
  return code;
}

/* ---- Copies ----------------------------------------------------------------------------------------------------- */

static int launch_cpu_copy(void *state, int turn) {
  const cast_bench *c = state;
  const bench_slots *slots = &c->copies.slots;
  bench_copy(bench_slot(slots, 2 * turn + 1), bench_slot(slots, 2 * turn), c->copies.bytes, c->run->settings.threads);
  return BENCH_OK;
}

static void wake_threads(void *state) {
  const cast_bench *c = state;
  const bench_slots *slots = &c->copies.slots;
  const int threads = c->run->settings.threads;
  bench_copy(bench_slot(slots, 1), bench_slot(slots, 0), 64 * (size_t)threads, threads);
}

/* Copies are what casts are compared with, and no peer. */
static int peer(bench_run *run, char *about, bench_racer *racer) {
  cast_bench *c = run->state;
  (void)snprintf(about, BENCH_ABOUT, "none: casts are compared with copies");
  if (run->settings.only_verify) return BENCH_OK;
  if (run->settings.device != NULL) {
    racer->launches = (bench_launches){bench_copies_launch, &c->copies, 0, 1};
  } else {
    racer->launches = (bench_launches){launch_cpu_copy, c, 0, 1};
    racer->before = wake_threads;
    racer->most = 1;
  }
  double unused;
  return bench_sample(run->context, racer, &unused); /* which loads kernels */
}

static void beside(bench_run *run, bench_row *row, const bench_quantiles *copy) {
  const cast_bench *c = run->state;
  cast_row *r = (cast_row *)row;
  r->copy_seconds = *copy;
  r->copied = 2.0 * (double)c->copies.bytes;
  run->ceilings.copy = cast_row_copy(r);
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

static int launch(void *state, int turn) {
  const cast_task *k = state;
  const cast_bench *c = k->bench;
  const cast_row *row = k->row;
  cast_parts parts;
  const cast_launch slots = {k->operation, bench_slot(&c->source, turn), bench_slot(&c->source, turn + 2),
                             bench_slot(&c->target, turn)};
  mfq_status status = cast_parts_place(row, row->rows, row->cols, bench_slot(&k->parts, turn), &parts);
  if (status == MFQ_OK) status = cast_row_launch(c->run->context, row, &parts, row->rows, &slots);
  return bench_status(status, row->common.name);
}

/* Slots for a row's parts, holding what is given, and codes or a mask where the row reads them. */
static int prepare_parts(cast_task *k) {
  int code = create_slots(k->bench->run, k->row->slot_bytes, &k->parts);
  if (code == BENCH_OK) code = give(k);
  k->operation = cast_preparation(k->row->operation);
  for (int i = 0; code == BENCH_OK && k->operation != k->row->operation && i < k->parts.count; ++i) code = launch(k, i);
  k->operation = k->row->operation;
  return code;
}

static int ready(bench_run *run, bench_row *row, int place, bench_racer *racer) {
  cast_bench *c = run->state;
  cast_task *k = &c->tasks[place];
  double unused;
  *k = (cast_task){.bench = c, .row = (const cast_row *)row};
  int code = cast_verify(c->verifier, k->row);
  if (code != BENCH_OK || run->settings.only_verify) return code;
  code = prepare_parts(k);
  racer->launches = (bench_launches){launch, k, 0, 1};
  racer->most = run->settings.device == NULL;
  racer->is_quiet = 1;
  row->rotated = (double)k->parts.bytes * k->parts.count + (double)c->source.bytes * c->source.count;
  return code == BENCH_OK ? bench_sample(run->context, racer, &unused) : code;
}

static void forget(bench_run *run, int place) {
  cast_bench *c = run->state;
  bench_slots_destroy(&c->tasks[place].parts);
}

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

static double elements(const cast_row *row) { return (double)row->rows * (double)row->cols; }

static void print_heading(const bench_run *run) {
  const cast_bench *c = run->state;
  char what[160];
  (void)snprintf(what, sizeof what, "%lld x %lld, normal random input", c->height, c->width);
  bench_print_conditions(run, what);
  printf(
      "GB/s: bytes that must be read and written at least (scales of the whole tensor or of channels need two reads).\n"
      "copy: share of the bandwidth of %s, measured between the rows. ",
      copy_name(run));
  bench_print_again(run, "--filter '^OPERATION TYPE SCHEME$'");
}

static void print_row(int is_device, const cast_row *row) {
  const char *note = is_device ? "  general path" : "  general path, fewer rows";
  const bench_quantiles *seconds = &row->common.seconds;
  printf("  %-40.40s  ", row->text);
  if (row->common.verdict != BENCH_ROW_RIGHT)
    printf("%s\n", row->common.verdict == BENCH_ROW_WRONG ? "WRONG" : "FAILED");
  else
    printf("%6.2f  %5.1f%%  %3d%s  %6.3f  %8.3f  %8.3f  %8.3f%s\n", 1e-9 * cast_row_bandwidth(row), cast_row_share(row),
           row->target, cast_row_misses(row) ? "<" : " ", bench_giga(&row->common, elements(row)),
           1e3 * seconds->median, 1e3 * seconds->p10, 1e3 * seconds->p90, row->support == MFQ_SUPPORT_FAST ? "" : note);
}

static int misses(const bench_run *run) {
  int misses = 0;
  for (int i = 0; i < run->count; ++i) misses += cast_row_misses((const cast_row *)bench_row_at(run, i));
  return misses;
}

/* Rows without a time only where they are wrong or failed: a run that was stopped did not come to the others. */
static void print_table(const bench_run *run) {
  int timed = 0;
  double slowest = 0, fastest = 0;
  for (int i = 0; i < run->count; ++i) {
    const cast_row *row = (const cast_row *)bench_row_at(run, i), *before = i > 0 ? row - 1 : NULL;
    if (row->common.verdict == BENCH_WAITS) continue;
    if (before == NULL || before->operation != row->operation || before->dtype != row->dtype) {
      char title[64];
      (void)snprintf(title, sizeof title, "%s %s", cast_operation_name(row->operation), mfq_dtype_name(row->dtype));
      printf("\n%-42s  %6s  %6s  %4s  %6s  %8s  %8s  %8s\n", title, "GB/s", "copy", "goal", "Gel/s", "ms", "p10",
             "p90");
    }
    print_row(run->settings.device != NULL, row);
    if (row->common.verdict != BENCH_ROW_RIGHT) continue;
    if (timed == 0 || cast_row_copy(row) < slowest) slowest = cast_row_copy(row);
    if (timed++ == 0 || cast_row_copy(row) > fastest) fastest = cast_row_copy(row);
  }
  printf("\n%d rows, %d below their goal (<). %s: %.1f ... %.1f GB/s (read + written)\n", timed, misses(run),
         copy_name(run), 1e-9 * slowest, 1e-9 * fastest);
}

static void print_all(const bench_run *run) {
  if (run->settings.only_verify) {
    printf("%d rows: equal to the reference path, byte for byte\n", run->done - run->bad);
  } else {
    print_heading(run);
    print_table(run);
  }
}

static json_t *row_json(const bench_run *run, const bench_row *r) {
  const cast_bench *c = run->state;
  const cast_row *row = (const cast_row *)r;
  const int is_timed = r->seconds.median > 0;
  char after[96];
  (void)snprintf(after, sizeof after, " --rows %lld --cols %lld", c->height, c->width);
  return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:f, s:f, s:o, s:o, s:f, s:o, s:o, s:o, s:i, s:b, s:o}",
                   "operation", cast_operation_name(row->operation), "dtype", mfq_dtype_name(row->dtype), "scheme",
                   row->text, "equal_schemes", row->aliases, "rows", (json_int_t)row->rows, "cols",
                   (json_int_t)row->cols, "path", row->support == MFQ_SUPPORT_FAST ? "fast" : "general", "bytes_read",
                   row->read, "bytes_written", row->written, "gb_per_second",
                   bench_number_json(bench_giga(r, row->read + row->written)), "copy_seconds",
                   bench_quantiles_json(&row->copy_seconds), "copied_bytes", row->copied, "copy_gb_per_second",
                   bench_number_json(is_timed ? 1e-9 * cast_row_copy(row) : 0), "share_percent",
                   bench_number_json(is_timed ? cast_row_share(row) : 0), "gelements_per_second",
                   bench_number_json(bench_giga(r, elements(row))), "goal_percent", row->target, "is_below_goal",
                   cast_row_misses(row), "reproduce", bench_again_json(run, r, "", after));
}

static const bench_subject subject = {.name = "cast",
                                      .repetitions = 15,
                                      .row_bytes = sizeof(cast_row),
                                      .batch = BENCH_BATCH,
                                      .is_list = 1,
                                      .parse = parse,
                                      .list = cast_list,
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
  static cast_bench state;
  return bench_main(&subject, &state, argc, argv);
}
