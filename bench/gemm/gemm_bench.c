/* bench_gemm: how fast quantized products run, on the CPU or a device, beside bf16 products of the vendor's library in
 * the same minutes. Checks, then times, row by row. */
#include "bench/common/ceilings.h"
#include "gemm_run.h"

static int parse(int argc, char **argv, bench_settings *s, gemm_choice *c) {
  const struct poptOption own[] = {
      {"shapes", 0, POPT_ARG_STRING, &c->shapes, 0, "MxNxK, several separated by ','", "LIST"},
      {"schemes", 's', POPT_ARG_STRING, &c->schemes, 0, "schemes separated by ',' (bf16: not quantized)", "LIST"},
      {"filter", 'f', POPT_ARG_STRING, &s->filter, 0,
       "only rows 'MxNxK quantized|way-in|weight-only SCHEME' that match", "REGEX"},
      {"full", 0, POPT_ARG_NONE, &c->is_full, 0, "many more sizes (an hour on two cores)", NULL},
      {"out", 0, POPT_ARG_STRING, &s->out, 0, "type of D: f32, bf16 (default: f32; bf16 on a device)", "TYPE"},
      {"reproducible", 0, POPT_ARG_NONE, &s->is_reproducible, 0, "the policy MFQ_REPRODUCIBLE", NULL},
      {"check", 0, POPT_ARG_NONE, &c->is_check, 0, "only rows that have goals, and how far they are from them", NULL},
      POPT_TABLEEND};
  const int code = bench_parse(s, own, argc, argv);
  if (code != BENCH_OK) return code;
  c->is_device = s->device != NULL;
  c->filter = s->filter;
  if (s->out == NULL) s->out = c->is_device ? "bf16" : "f32";
  if (c->is_check && c->is_device)
    return bench_error(BENCH_USAGE, "--check: the goals are those of the CPU; leave --device out");
  return bench_choose_out(s);
}

int main(int argc, char **argv) {
  bench_settings settings = {.threads = bench_threads(), .repetitions = 11, .seed = 1};
  gemm_choice choice = {.shapes = NULL};
  mfq_context *context = NULL;
  gemm_table table = {0};
  bench_record record = {.root = NULL};
  int misses = 0;
  int code = parse(argc, argv, &settings, &choice);
  if (code == BENCH_OK) code = bench_open_context(&settings, &context);
  if (code == BENCH_OK) code = gemm_table_create(&choice, &table);
  if (code == BENCH_OK) code = bench_record_open("gemm", &settings, context, NULL, &record);
  if (code == BENCH_OK) bench_ceilings_measure(&settings, context, &record.ceilings);
  if (code == BENCH_OK) code = gemm_time(&record, &table);
  if (record.done > 0) gemm_print(&record, &table);
  if (record.done > 0 && settings.device == NULL && !settings.only_verify) misses = gemm_print_goals(&table);
  code = bench_record_close(&record, code);
  gemm_table_destroy(&table);
  mfq_context_destroy(context);
  return code == BENCH_OK && settings.is_gate && misses > 0 ? BENCH_GATE : code;
}
