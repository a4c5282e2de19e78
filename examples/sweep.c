/* Quantizes every weight of a model by many schemes: what each costs in bits, in error and in time. */
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/sweep.h"

static const char *const default_schemes[] = {
    "mxfp8_e4m3",
    "mxfp8_e4m3_rceil",
    "mxfp8_e5m2",
    "mxfp6_e3m2",
    "mxfp6_e2m3",
    "mxfp4_e2m1",
    "mxfp4_e2m1_even",
    "mxfp4_e2m1_rceil",
    "mxint8",
    "nvfp4",
    "fp8_e4m3_tensor",
    "fp8_e4m3_channel",
    "int8_channel",
    "int8_group32",
    "int4_group32",
    "int4_group32_zp",
    "int6n/group:32/bf16",
    "e2m2/group:32/ue8m0:even",
    "brevitas:MXFloat8e4m3Weight",
    "brevitas:MXInt8Weight",
    NULL,
};

typedef struct sweep_options {
  const char **schemes;
  const char *csv, *json, *folder;
  int repetitions, threads;
} sweep_options;

static int write_outputs(const sweep_options *o, const sweep_report *report) {
  int code = SWEEP_OK;
  if (o->csv != NULL) code = sweep_write_csv(report, o->csv);
  if (code == SWEEP_OK && o->json != NULL) code = sweep_write_json(report, o->json);
  return code;
}

static int sweep(const sweep_options *o, const char *path) {
  const char *const *schemes = o->schemes != NULL ? o->schemes : (const char **)default_schemes;
  sweep_model model;
  mfq_context *context = NULL;
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.threads = o->threads;
  int count = 0, done = 0;
  while (schemes[count] != NULL) ++count;
  sweep_result *results = calloc((size_t)count, sizeof *results);
  if (results == NULL) return sweep_error(SWEEP_FAILED, "no memory");
  int code = sweep_model_load(path, &model);
  if (code == SWEEP_OK) code = sweep_status(mfq_context_create(&options, &context), "--threads", mfq_last_error());
  for (; code == SWEEP_OK && done < count; ++done) {
    code = sweep_measure(context, &model, schemes[done], o->repetitions, &results[done]);
    if (code == SWEEP_OK) code = sweep_write(&model, &results[done], o->folder);
  }
  if (code == SWEEP_OK) {
    const sweep_report report = {&model, results, count, o->repetitions, mfq_context_describe(context)};
    sweep_print(&report);
    code = write_outputs(o, &report);
  }
  for (int i = 0; i < done; ++i) sweep_result_free(&model, &results[i]);
  free(results);
  mfq_context_destroy(context);
  sweep_model_free(&model);
  return code;
}

static int parse(int argc, const char **argv, sweep_options *o, const char **path) {
  const struct poptOption table[] = {
      {"scheme", 's', POPT_ARG_ARGV, &o->schemes, 0, "a scheme to try, may be repeated (default: a choice of twenty)",
       "SCHEME"},
      {"csv", 0, POPT_ARG_STRING, &o->csv, 0, "write one line a scheme and tensor", "FILE"},
      {"json", 0, POPT_ARG_STRING, &o->json, 0, "write everything", "FILE"},
      {"write", 'w', POPT_ARG_STRING, &o->folder, 0, "write each quantized model into this folder", "FOLDER"},
      {"repetitions", 'r', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &o->repetitions, 0, "timed runs a scheme", "N"},
      {"threads", 'j', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &o->threads, 0, "0: all", "N"},
      POPT_AUTOHELP POPT_TABLEEND};
  poptContext popt = poptGetContext("sweep", argc, argv, table, 0); /* lives as long as the process: owns the strings */
  if (popt == NULL) return sweep_error(SWEEP_FAILED, "no memory for the options");
  poptSetOtherOptionHelp(popt, "MODEL.safetensors [options]");
  const int found = poptGetNextOpt(popt);
  if (found < -1)
    return sweep_error(SWEEP_USAGE, "%s: %s; see --help", poptBadOption(popt, POPT_BADOPTION_NOALIAS),
                       poptStrerror(found));
  *path = poptGetArg(popt);
  if (*path == NULL || poptPeekArg(popt) != NULL)
    return sweep_error(SWEEP_USAGE, "give one model, a safetensors file; see --help");
  if (o->repetitions < 1) return sweep_error(SWEEP_USAGE, "--repetitions is %d; give 1 or more", o->repetitions);
  return SWEEP_OK;
}

int main(int argc, char **argv) {
  sweep_options options = {.repetitions = 15};
  const char *path = NULL;
  int code = parse(argc, (const char **)argv, &options, &path);
  if (code == SWEEP_OK) code = sweep(&options, path);
  if (fclose(stdout) != 0 && code == SWEEP_OK) code = sweep_error(SWEEP_FAILED, "standard output: cannot write");
  return code;
}
