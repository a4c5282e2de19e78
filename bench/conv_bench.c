/* bench_conv: how fast quantized convolutions run, forward and for both gradients, on the CPU or a device, beside bf16
 * convolutions of the vendor's library in the same minutes. Checks first, then times. */
#include <popt.h>
#include <stdio.h>
#include <string.h>

#include "support/conv_measure.h"

typedef struct conv_options {
  conv_settings settings;
  conv_choice choice;
  const char *json, *csv, *commit, *out;
  long long seed;
  int is_gate;
} conv_options;

static int check(conv_options *o) {
  conv_settings *s = &o->settings;
  if (s->device != NULL && strcmp(s->device, "cpu") == 0) s->device = NULL;
  o->choice.is_device = s->device != NULL;
  s->out = strcmp(o->out, "f32") == 0 ? MFQ_DTYPE_F32 : MFQ_DTYPE_BF16;
  s->seed = o->seed;
  if (strcmp(o->out, "f32") != 0 && strcmp(o->out, "bf16") != 0)
    return bench_error(BENCH_USAGE, "--out is '%s'; allowed are f32 and bf16", o->out);
  if (s->threads < 1 || s->repetitions < 1)
    return bench_error(BENCH_USAGE, "--threads and --repetitions are %d and %d; give 1 or more", s->threads,
                       s->repetitions);
  return BENCH_OK;
}

static int parse(int argc, const char **argv, conv_options *o) {
  conv_settings *s = &o->settings;
  conv_choice *c = &o->choice;
  const struct poptOption table[] = {
      {"threads", 'j', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &s->threads, 0, "threads of convolutions and peer",
       "N"},
      {"isa", 0, POPT_ARG_STRING, &s->isa, 0, "instruction set (default: the best; see mfq caps)", "NAME"},
      {"device", 'd', POPT_ARG_STRING, &s->device, 0, "measure cuda:0, ... in place of the CPU; see mfq caps", "NAME"},
      {"shapes", 0, POPT_ARG_STRING, &c->shapes, 0,
       "NxCxHxW-KxRxS, then s<stride>, p<padding>, g<groups>, several separated by ',' (default: layers of ResNet-50, "
       "ConvNeXt and a UNet)",
       "LIST"},
      {"schemes", 's', POPT_ARG_STRING, &c->schemes, 0,
       "schemes separated by ',' (default: one, with --check the MX schemes; bf16: not quantized)", "LIST"},
      {"filter", 'f', POPT_ARG_STRING, &c->filter, 0,
       "only rows 'LAYER forward|input-gradient|weight-gradient SCHEME' that match", "REGEX"},
      {"out", 0, POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &o->out, 0, "type of the results: bf16, f32", "TYPE"},
      {"reproducible", 0, POPT_ARG_NONE, &s->is_reproducible, 0, "the policy MFQ_REPRODUCIBLE", NULL},
      {"repetitions", 'r', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &s->repetitions, 0, "samples a row", "N"},
      {"seed", 0, POPT_ARG_LONGLONG | POPT_ARGFLAG_SHOW_DEFAULT, &o->seed, 0, "of the random inputs", "N"},
      {"json", 0, POPT_ARG_STRING, &o->json, 0, "write everything", "FILE"},
      {"csv", 0, POPT_ARG_STRING, &o->csv, 0, "write one line a row", "FILE"},
      {"commit", 0, POPT_ARG_STRING, &o->commit, 0, "what was measured, for the JSON file", "TEXT"},
      {"verify", 0, POPT_ARG_NONE, &s->only_verify, 0, "check every row, time nothing", NULL},
      {"check", 0, POPT_ARG_NONE, &c->is_check, 0, "only rows that have goals, and how far they are from them", NULL},
      {"gate", 0, POPT_ARG_NONE, &o->is_gate, 0, "exit with 3 when a row is short of its goal", NULL},
      POPT_AUTOHELP POPT_TABLEEND};
  poptContext popt = poptGetContext("bench_conv", argc, argv, table, 0); /* owns the strings: lives until the end */
  if (popt == NULL) return bench_error(BENCH_FAILED, "no memory for the options");
  const int found = poptGetNextOpt(popt);
  if (found < -1)
    return bench_error(BENCH_USAGE, "%s: %s; see --help", poptBadOption(popt, POPT_BADOPTION_NOALIAS),
                       poptStrerror(found));
  if (poptPeekArg(popt) != NULL) return bench_error(BENCH_USAGE, "'%s': no arguments but options", poptPeekArg(popt));
  return check(o);
}

static int report(const conv_options *o, const mfq_context *context, const conv_table *table) {
  int code = BENCH_OK;
  conv_print(&o->settings, context, table);
  if (o->settings.only_verify) return code;
  const int misses = o->choice.is_check || o->is_gate ? conv_print_goals(&o->settings, table) : 0;
  if (o->csv != NULL) code = conv_write_csv(table, o->csv);
  if (code == BENCH_OK && o->json != NULL) {
    json_t *machine = bench_machine_json(context, o->settings.threads, o->commit);
    code = conv_write_json(&o->settings, machine, table, o->json);
    json_decref(machine);
  }
  return code == BENCH_OK && o->is_gate && misses > 0 ? BENCH_GATE : code;
}

int main(int argc, char **argv) {
  conv_options o = {.settings = {.threads = bench_threads(), .repetitions = 11}, .out = "bf16", .seed = 1};
  mfq_context *context = NULL;
  mfq_context_options options;
  conv_table table = {0};
  mfq_context_options_init(&options);
  int code = parse(argc, (const char **)argv, &o);
  options.threads = o.settings.threads;
  options.cpu_isa = o.settings.isa;
  options.policy = o.settings.is_reproducible ? MFQ_REPRODUCIBLE : MFQ_FAST;
  if (o.settings.device != NULL) options.device = o.settings.device;
  if (code == BENCH_OK) code = bench_status(mfq_context_create(&options, &context), "--device, --isa, --threads");
  if (code == BENCH_OK) code = conv_table_create(&o.choice, &table);
  if (code == BENCH_OK) code = conv_time(&o.settings, context, &table);
  if (code == BENCH_OK) code = report(&o, context, &table);
  conv_table_destroy(&table);
  mfq_context_destroy(context);
  return code;
}
