/* bench_conv: how fast quantized convolutions run, forward and for both gradients, on the CPU or a device, beside bf16
 * convolutions of the vendor's library in the same minutes. Checks, then times, row by row. */
#include "bench/common/ceilings.h"
#include "conv_measure.h"

static int parse(int argc, char **argv, bench_settings *s, conv_choice *c) {
  const struct poptOption own[] = {
      {"shapes", 0, POPT_ARG_STRING, &c->shapes, 0,
       "NxCxHxW-KxRxS, then s<stride>, p<padding>, g<groups>, several separated by ',' (default: layers of ResNet-50, "
       "ConvNeXt and a UNet)",
       "LIST"},
      {"schemes", 's', POPT_ARG_STRING, &c->schemes, 0,
       "schemes separated by ',' (default: one, with --check the MX schemes; bf16: not quantized)", "LIST"},
      {"filter", 'f', POPT_ARG_STRING, &s->filter, 0,
       "only rows 'LAYER forward|input-gradient|weight-gradient SCHEME' that match", "REGEX"},
      {"out", 0, POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &s->out, 0, "type of the results: bf16, f32", "TYPE"},
      {"reproducible", 0, POPT_ARG_NONE, &s->is_reproducible, 0, "the policy MFQ_REPRODUCIBLE", NULL},
      {"check", 0, POPT_ARG_NONE, &c->is_check, 0, "only rows that have goals, and how far they are from them", NULL},
      POPT_TABLEEND};
  const int code = bench_parse(s, own, argc, argv);
  c->is_device = s->device != NULL;
  c->filter = s->filter;
  return code == BENCH_OK ? bench_choose_out(s) : code;
}

int main(int argc, char **argv) {
  bench_settings settings = {.threads = bench_threads(), .repetitions = 11, .out = "bf16", .seed = 1};
  conv_choice choice = {.shapes = NULL};
  mfq_context *context = NULL;
  conv_table table = {0};
  bench_record record = {.root = NULL};
  int misses = 0;
  int code = parse(argc, argv, &settings, &choice);
  if (code == BENCH_OK) code = bench_open_context(&settings, &context);
  if (code == BENCH_OK) code = conv_table_create(&choice, &table);
  if (code == BENCH_OK) code = bench_record_open("conv", &settings, context, NULL, &record);
  if (code == BENCH_OK) bench_ceilings_measure(&settings, context, &record.ceilings);
  if (code == BENCH_OK) code = conv_time(&record, &table);
  if (record.done > 0) conv_print(&record, &table);
  if (record.done > 0 && !settings.only_verify && (choice.is_check || settings.is_gate))
    misses = conv_print_goals(&settings, &table);
  code = bench_record_close(&record, code);
  conv_table_destroy(&table);
  mfq_context_destroy(context);
  return code == BENCH_OK && settings.is_gate && misses > 0 ? BENCH_GATE : code;
}
