/* bench/common/settings.c: the options that every benchmark has. */
#include "settings.h"

#include <string.h>

int bench_parse(bench_settings *s, const struct poptOption *own, int argc, char **argv) {
  const struct poptOption common[] = {
      {"threads", 'j', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &s->threads, 0, "threads, of the peer too", "N"},
      {"isa", 0, POPT_ARG_STRING, &s->isa, 0, "instruction set (default: the best; see mfq caps)", "NAME"},
      {"device", 'd', POPT_ARG_STRING, &s->device, 0, "measure cuda:0, ... in place of the CPU; see mfq caps", "NAME"},
      {"repetitions", 'r', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &s->repetitions, 0, "samples a row", "N"},
      {"seed", 0, POPT_ARG_LONGLONG | POPT_ARGFLAG_SHOW_DEFAULT, &s->seed, 0, "of the random inputs", "N"},
      {"json", 0, POPT_ARG_STRING, &s->json, 0, "write everything, anew after every row", "FILE"},
      {"csv", 0, POPT_ARG_STRING, &s->csv, 0, "write one line a row, at the end", "FILE"},
      {"commit", 0, POPT_ARG_STRING, &s->commit, 0, "what was measured, for the JSON file", "TEXT"},
      {"verify", 0, POPT_ARG_NONE, &s->only_verify, 0, "check every row, time nothing", NULL},
      {"gate", 0, POPT_ARG_NONE, &s->is_gate, 0, "exit with 3 when a row is short of its goal", NULL},
      POPT_TABLEEND};
  const struct poptOption all[] = {
      {NULL, 0, POPT_ARG_INCLUDE_TABLE, (void *)own, 0, "What is measured:", NULL},
      {NULL, 0, POPT_ARG_INCLUDE_TABLE, (void *)common, 0, "How, and where it is told:", NULL},
      POPT_AUTOHELP POPT_TABLEEND};
  /* Owns the strings: lives until the end. */
  poptContext popt = poptGetContext(NULL, argc, (const char **)argv, all, 0);
  if (popt == NULL) return bench_error(BENCH_FAILED, "no memory for the options");
  const int found = poptGetNextOpt(popt);
  if (found < -1)
    return bench_error(BENCH_USAGE, "%s: %s; see --help", poptBadOption(popt, POPT_BADOPTION_NOALIAS),
                       poptStrerror(found));
  if (poptPeekArg(popt) != NULL) return bench_error(BENCH_USAGE, "'%s': no arguments but options", poptPeekArg(popt));
  if (s->device != NULL && strcmp(s->device, "cpu") == 0) s->device = NULL;
  if (s->threads < 1 || s->repetitions < 1)
    return bench_error(BENCH_USAGE, "--threads and --repetitions are %d and %d; give 1 or more", s->threads,
                       s->repetitions);
  return BENCH_OK;
}

int bench_choose_out(bench_settings *s) {
  s->out_type = strcmp(s->out, "f32") == 0 ? MFQ_DTYPE_F32 : MFQ_DTYPE_BF16;
  if (strcmp(s->out, mfq_dtype_name(s->out_type)) == 0) return BENCH_OK;
  return bench_error(BENCH_USAGE, "--out is '%s'; allowed are f32 and bf16", s->out);
}

int bench_open_context(const bench_settings *s, mfq_context **context) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.threads = s->threads;
  options.cpu_isa = s->isa;
  options.policy = s->is_reproducible ? MFQ_REPRODUCIBLE : MFQ_FAST;
  if (s->device != NULL) options.device = s->device;
  return bench_status(mfq_context_create(&options, context), "--device, --isa, --threads");
}

json_t *bench_parameters_json(const bench_settings *s) {
  return json_pack("{s:s, s:i, s:i, s:I, s:s?, s:s?, s:s?, s:b, s:b, s:s}", "device",
                   s->device != NULL ? s->device : "cpu", "threads", s->threads, "repetitions", s->repetitions, "seed",
                   (json_int_t)s->seed, "isa", s->isa, "filter", s->filter, "out", s->out, "reproducible",
                   s->is_reproducible, "only_verified", s->only_verify, "input", "normal");
}

void bench_same_options(const bench_settings *s, char *text, size_t capacity) {
  const char *const given[][2] = {{" --out ", s->out}, {" --isa ", s->isa}, {" --device ", s->device}};
  int used = snprintf(text, capacity, " --threads %d --repetitions %d --seed %lld%s", s->threads, s->repetitions,
                      s->seed, s->is_reproducible ? " --reproducible" : "");
  for (size_t i = 0; i < sizeof given / sizeof given[0]; ++i)
    if (given[i][1] != NULL && used > 0 && (size_t)used < capacity)
      used += snprintf(text + used, capacity - (size_t)used, "%s%s", given[i][0], given[i][1]);
}
