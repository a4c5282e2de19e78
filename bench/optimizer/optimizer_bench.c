/* bench_optimizer: how fast steps of optimizers run, on the CPU or a device, as shares of the copy bandwidth of the same minutes.
 * Checks, then times, in small batches of rows with copies in turn. */
#include <stdlib.h>

#include "optimizer_bench.h"

enum { SLOTS_OF_CPU = 4, COPIED_BY_CPU = 64 << 20, COPIED_BY_DEVICE = 128 << 20 };

typedef struct optimizer_bench {
  long long height, width;
  const bench_run *run;
  bench_copies copies;
  optimizer_task tasks[BENCH_BATCH];
} optimizer_bench;

static int parse(bench_run *run, int argc, char **argv) {
  bench_settings *s = &run->settings;
  optimizer_bench *b = run->state;
  const struct poptOption own[] = {
      {"filter", 'f', POPT_ARG_STRING, &s->filter, 0, "only rows 'adamw|sgd TYPE MOMENTS CODES' that match", "REGEX"},
      {"rows", 0, POPT_ARG_LONGLONG, &b->height, 0, "of the tensor (default: 4096; 8192 on a device)", "N"},
      {"cols", 0, POPT_ARG_LONGLONG, &b->width, 0, "of the tensor (default: 4096; 8192 on a device)", "N"},
      POPT_TABLEEND};
  const int code = bench_parse(s, own, argc, argv), usual = s->device != NULL ? 8192 : 4096;
  if (code != BENCH_OK) return code;
  if (b->height == 0) b->height = usual;
  if (b->width == 0) b->width = usual;
  if (b->height >= 1 && b->width >= 1 && b->height <= (1 << 20) && b->width <= (1 << 20)) return BENCH_OK;
  return bench_error(BENCH_USAGE, "--rows and --cols are %lld and %lld; allowed is 1 ... 1048576", b->height, b->width);
}

static const char *copy_name(const bench_run *run) {
  return run->settings.device != NULL ? "mfq_buffer_copy" : "memcpy";
}

static int open_bench(bench_run *run) {
  optimizer_bench *b = run->state;
  const double plain = 16.0 * (double)b->height * (double)b->width;
  const size_t most = plain < COPIED_BY_DEVICE ? (size_t)plain : (size_t)COPIED_BY_DEVICE;
  b->run = run;
  (void)snprintf(run->ceilings.how, sizeof run->ceilings.how,
                 "copy: %s between the rows; here that of the last ones, for each row its own", copy_name(run));
  if (run->settings.only_verify) return BENCH_OK;
  if (run->settings.device != NULL) return bench_copies_create(run->context, most, &b->copies);
  b->copies = (bench_copies){.context = run->context, .bytes = COPIED_BY_CPU};
  return bench_slots_of(run->context, COPIED_BY_CPU, 2 * SLOTS_OF_CPU, &b->copies.slots);
}

static void close_bench(bench_run *run) {
  optimizer_bench *b = run->state;
  bench_copies_destroy(&b->copies);
}

static int group_of(const bench_run *run, int index) {
  (void)run;
  (void)index;
  return 0;
}

/* Each row has memory of its own. */
static int begin(bench_run *run, int group) {
  (void)run;
  (void)group;
  return BENCH_OK;
}

/* ---- Copies ----------------------------------------------------------------------------------------------------- */

static int launch_copy(void *state, int turn) {
  const optimizer_bench *b = state;
  const bench_slots *slots = &b->copies.slots;
  bench_copy(bench_slot(slots, 2 * turn + 1), bench_slot(slots, 2 * turn), b->copies.bytes, b->run->settings.threads);
  return BENCH_OK;
}

static void wake_threads(void *state) {
  const optimizer_bench *b = state;
  const bench_slots *slots = &b->copies.slots;
  const int threads = b->run->settings.threads;
  bench_copy(bench_slot(slots, 1), bench_slot(slots, 0), 64 * (size_t)threads, threads);
}

static int peer(bench_run *run, char *about, bench_racer *racer) {
  optimizer_bench *b = run->state;
  (void)snprintf(about, BENCH_ABOUT, "none: steps are compared with copies");
  if (run->settings.only_verify) return BENCH_OK;
  if (run->settings.device != NULL) {
    racer->launches = (bench_launches){bench_copies_launch, &b->copies, 0, 1};
  } else {
    racer->launches = (bench_launches){launch_copy, b, 0, 1};
    racer->before = wake_threads;
    racer->most = 1;
  }
  double unused;
  return bench_sample(run->context, racer, &unused);
}

static void beside(bench_run *run, bench_row *row, const bench_quantiles *copy) {
  const optimizer_bench *b = run->state;
  optimizer_row *r = (optimizer_row *)row;
  r->copy_seconds = *copy;
  r->copied = 2.0 * (double)b->copies.bytes;
  run->ceilings.copy = r->copied / copy->median;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

static int launch(void *state, int turn) {
  const optimizer_task *task = state;
  (void)turn; /* moments are larger than any cache */
  return bench_status(mfq_optimizer_step(task->optimizer), task->row->common.name);
}

static int ready(bench_run *run, bench_row *row, int place, bench_racer *racer) {
  optimizer_bench *b = run->state;
  optimizer_task *task = &b->tasks[place];
  const int64_t shape[] = {b->height, b->width};
  double unused;
  int code = optimizer_verify(run->context, (const optimizer_row *)row);
  if (code != BENCH_OK || run->settings.only_verify) return code;
  code = optimizer_task_create(run->context, (const optimizer_row *)row, shape, task);
  if (code != BENCH_OK) return code;
  (void)snprintf(row->about, sizeof row->about, "%s", mfq_optimizer_describe(task->optimizer, 0));
  row->bytes = task->bytes;
  racer->launches = (bench_launches){launch, task, 0, 1};
  racer->most = run->settings.device == NULL;
  racer->is_quiet = 1;
  return bench_sample(run->context, racer, &unused);
}

static void forget(bench_run *run, int place) {
  optimizer_bench *b = run->state;
  optimizer_task_destroy(&b->tasks[place]);
}

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

static int misses_of(const optimizer_row *row) {
  return row->common.seconds.median > 0 && optimizer_row_share(row) < row->target;
}

static int misses(const bench_run *run) {
  int count = 0;
  for (int i = 0; i < run->count; ++i) count += misses_of((const optimizer_row *)bench_row_at(run, i));
  return count;
}

static void print_row(const optimizer_row *row) {
  const bench_quantiles *seconds = &row->common.seconds;
  printf("  %-28s  ", row->common.name);
  if (row->common.verdict != BENCH_ROW_RIGHT)
    printf("%s\n", row->common.verdict == BENCH_ROW_WRONG ? "WRONG" : "FAILED");
  else
    printf("%6.2f  %5.1f%%  %3d%s  %8.3f  %8.3f  %8.3f  %s\n", bench_giga(&row->common, row->common.bytes),
           optimizer_row_share(row), row->target, misses_of(row) ? "<" : " ", 1e3 * seconds->median, 1e3 * seconds->p10,
           1e3 * seconds->p90, row->common.about);
}

static void print_all(const bench_run *run) {
  const optimizer_bench *b = run->state;
  char what[160];
  if (run->settings.only_verify) {
    printf("%d rows: equal to the reference path, byte for byte\n", run->done - run->bad);
    return;
  }
  (void)snprintf(what, sizeof what, "%lld x %lld, normal random values and gradients", b->height, b->width);
  bench_print_conditions(run, what);
  printf("GB/s: bytes that a step reads and writes at least: gradients twice, once for their norm; values and moments "
         "both\n"
         "ways; codes. copy: share of the bandwidth of %s, measured between the rows. ",
         copy_name(run));
  bench_print_again(run, "--filter '^KIND TYPE MOMENTS CODES$'");
  printf("\n  %-28s  %6s  %6s  %4s  %8s  %8s  %8s\n", "", "GB/s", "copy", "goal", "ms", "p10", "p90");
  for (int i = 0; i < run->count; ++i) {
    const optimizer_row *row = (const optimizer_row *)bench_row_at(run, i);
    if (row->common.verdict != BENCH_WAITS) print_row(row);
  }
  printf("\n%d rows are below their goal (<)\n", misses(run));
}

static json_t *row_json(const bench_run *run, const bench_row *r) {
  const optimizer_bench *b = run->state;
  const optimizer_row *row = (const optimizer_row *)r;
  char after[96];
  (void)snprintf(after, sizeof after, " --rows %lld --cols %lld", b->height, b->width);
  return json_pack("{s:o, s:f, s:o, s:i, s:b, s:o}", "copy_seconds", bench_quantiles_json(&row->copy_seconds),
                   "copied_bytes", row->copied, "share_percent", bench_number_json(optimizer_row_share(row)),
                   "goal_percent", row->target, "is_below_goal", misses_of(row), "reproduce",
                   bench_again_json(run, r, "", after));
}

static const bench_subject subject = {.name = "optimizer",
                                      .repetitions = 11,
                                      .row_bytes = sizeof(optimizer_row),
                                      .batch = 1,
                                      .is_list = 1,
                                      .parse = parse,
                                      .list = optimizer_list,
                                      .group = group_of,
                                      .open = open_bench,
                                      .close = close_bench,
                                      .begin = begin,
                                      .peer = peer,
                                      .ready = ready,
                                      .forget = forget,
                                      .beside = beside,
                                      .json = row_json,
                                      .print = print_all,
                                      .misses = misses};

int main(int argc, char **argv) {
  static optimizer_bench state;
  return bench_main(&subject, &state, argc, argv);
}
