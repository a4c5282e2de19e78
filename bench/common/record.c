/* bench/common/record.c: verdicts, limits and the document of all rows. */
#define _POSIX_C_SOURCE 200809L
#include "record.h"

#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "subject.h"

/* ---- One row ---------------------------------------------------------------------------------------------------- */

mfq_status bench_spoil(const char *name, mfq_buffer *result, size_t byte) {
  const char *wanted = getenv("MFQ_BENCH_SPOIL");
  regex_t regex;
  if (wanted == NULL || *wanted == '\0' || regcomp(&regex, wanted, REG_EXTENDED | REG_NOSUB) != 0) return MFQ_OK;
  const int is_meant = regexec(&regex, name, 0, NULL, 0) == 0;
  regfree(&regex);
  uint8_t value = 0;
  mfq_status status = is_meant ? mfq_buffer_read(result, byte, &value, 1) : MFQ_OK;
  value ^= 0x40;
  return status == MFQ_OK && is_meant ? mfq_buffer_write(result, byte, &value, 1) : status;
}

/* The last error is this row's; it mostly begins with the row's name, which is told anyway. */
static void judge(bench_row *row, int code) {
  const size_t length = strlen(row->name);
  const char *why = bench_last_error();
  row->verdict = code == BENCH_OK ? BENCH_ROW_RIGHT : code == BENCH_WRONG ? BENCH_ROW_WRONG : BENCH_ROW_FAILED;
  if (code == BENCH_OK) return;
  if (strncmp(why, row->name, length) == 0 && strncmp(why + length, ": ", 2) == 0) why += length + 2;
  (void)snprintf(row->why, sizeof row->why, "%s", why);
  row->seconds = row->peer_seconds = (bench_quantiles){0, 0, 0};
  row->share = 0;
}

/* Where FP8's rate was not measured there is no such unit, or nothing that uses it. */
static void find_limit(const bench_ceilings *c, bench_row *row) {
  const int is_fp8 = row->is_fp8 && c->fp8 > 0;
  const double rate = is_fp8 ? c->fp8 : c->bf16;
  if (c->copy <= 0 || (row->flops > 0 && rate <= 0)) return;
  const double copy = row->bytes / c->copy, product = row->flops > 0 ? row->flops / rate : 0;
  row->limit_seconds = copy > product ? copy : product;
  row->limit = copy > product ? "copy" : is_fp8 ? "fp8" : "bf16";
}

json_t *bench_number_json(double number) { return isnormal(number) ? json_real(number) : json_null(); }

json_t *bench_quantiles_json(const bench_quantiles *q) {
  if (!(q->median > 0)) return json_null();
  return json_pack("{s:f, s:f, s:f}", "median", q->median, "p10", q->p10, "p90", q->p90);
}

/* No character of a row's name means anything else in a regular expression. */
json_t *bench_again_json(const bench_run *run, const bench_row *row, const char *before, const char *after) {
  char same[256];
  bench_same_options(&run->settings, same, sizeof same);
  return json_sprintf("bench_%s %s--filter '^%s$'%s%s", run->subject->name, before, row->name, after, same);
}

double bench_giga(const bench_row *row, double amount) {
  return row->seconds.median > 0 ? 1e-9 * amount / row->seconds.median : 0;
}

static json_t *row_json(const bench_row *r) {
  static const char *const verdicts[] = {"waits", "right", "wrong", "failed"};
  const int is_timed = r->seconds.median > 0;
  return json_pack("{s:s, s:s, s:s?, s:s, s:o, s:s?, s:i, s:o, s:f, s:f, s:o, s:s?, s:o, s:s?, s:o, s:o}", "name",
                   r->name, "status", verdicts[r->verdict], "why", r->verdict == BENCH_ROW_RIGHT ? NULL : r->why,
                   "plan", r->about, "seconds", bench_quantiles_json(&r->seconds), "timing",
                   is_timed ? r->timing : NULL, "launches_a_sample", r->launches, "rotated_bytes",
                   bench_number_json(r->rotated), "bytes", r->bytes, "flops", r->flops, "limit_seconds",
                   bench_number_json(r->limit_seconds), "limit", r->limit, "share_of_limit",
                   bench_number_json(is_timed ? r->limit_seconds / r->seconds.median : 0), "peer", r->peer,
                   "peer_seconds", bench_quantiles_json(&r->peer_seconds), "times_peer", bench_number_json(r->share));
}

/* ---- The record ------------------------------------------------------------------------------------------------- */

static int write_json(const bench_run *run) {
  const bench_ceilings *c = &run->ceilings;
  json_t *ceilings =
      json_pack("{s:o, s:o, s:o, s:s}", "copy_bytes_per_second", bench_number_json(c->copy), "bf16_flops",
                bench_number_json(c->bf16), "fp8_flops", bench_number_json(c->fp8), "how", c->how);
  if (json_object_set_new(run->root, "ceilings", ceilings) != 0)
    return bench_error(BENCH_FAILED, "no memory for the results");
  return bench_write_json(run->root, run->settings.json);
}

int bench_record_open(bench_run *run, json_t *more) {
  const bench_settings *s = &run->settings;
  json_t *parameters = bench_parameters_json(s);
  run->tells = isatty(STDERR_FILENO);
  (void)snprintf(run->ceilings.how, sizeof run->ceilings.how, "not measured");
  if (more != NULL) (void)json_object_update(parameters, more);
  json_decref(more);
  run->root = json_pack("{s:i, s:s, s:b, s:n, s:o, s:o, s:n, s:[]}", "version", 2, "benchmark", run->subject->name,
                        "complete", 0, "stopped", "machine", bench_machine_json(run->context, s->threads, s->commit),
                        "parameters", parameters, "ceilings", "rows");
  return run->root != NULL ? write_json(run) : bench_error(BENCH_FAILED, "no memory for the results");
}

void bench_record_tell(const bench_run *run, const char *name) {
  if (run->tells) fprintf(stderr, "\r\033[Kbench: %d of %d rows, %s", run->done, run->wanted, name);
}

int bench_record_row(bench_run *run, bench_row *row, int code, json_t *own) {
  judge(row, code);
  find_limit(&run->ceilings, row);
  json_t *json = row_json(row);
  const int has_memory = json != NULL && own != NULL && json_object_update(json, own) == 0 &&
                         json_array_append(json_object_get(run->root, "rows"), json) == 0;
  json_decref(json);
  json_decref(own);
  if (!has_memory) return bench_error(BENCH_FAILED, "no memory for the results");
  ++run->done;
  run->bad += code != BENCH_OK;
  const int is_lost = code != BENCH_OK && mfq_context_synchronize(run->context) != MFQ_OK;
  if (is_lost)
    return bench_error(BENCH_FAILED, "the device is lost, so that nothing can be measured any more: %s", row->why);
  return write_json(run);
}

void bench_record_print_bad(const bench_run *run) {
  size_t i;
  json_t *row;
  if (run->bad > 0) printf("\n%d of %d rows are wrong or failed:\n", run->bad, run->done);
  json_array_foreach(json_object_get(run->root, "rows"), i, row) {
    const char *status = json_string_value(json_object_get(row, "status"));
    if (strcmp(status, "right") == 0) continue;
    printf("  %s: %s: %s\n", json_string_value(json_object_get(row, "name")), status,
           json_string_value(json_object_get(row, "why")));
  }
}

int bench_record_close(bench_run *run, int code) {
  if (run->root == NULL) return code;
  if (code == BENCH_OK)
    (void)json_object_set_new(run->root, "complete", json_true());
  else
    (void)json_object_set_new(run->root, "stopped", json_string(bench_last_error()));
  int written = write_json(run);
  if (written == BENCH_OK) written = bench_write_csv(json_object_get(run->root, "rows"), run->settings.csv);
  if (code == BENCH_OK) code = written;
  json_decref(run->root);
  run->root = NULL;
  return code == BENCH_OK && run->bad > 0 ? BENCH_FAILED : code;
}

/* ---- What every table begins with ------------------------------------------------------------------------------- */

void bench_print_conditions(const bench_run *run, const char *what) {
  const bench_settings *s = &run->settings;
  const bench_ceilings *c = &run->ceilings;
  char model[256];
  bench_cpu_model(model, sizeof model);
  if (s->device == NULL) printf("%s; ", model);
  printf("%s\n%s, seed %lld; median of %d samples%s%s\n", mfq_context_describe(run->context), what, s->seed,
         s->repetitions, s->is_reproducible ? "; MFQ_REPRODUCIBLE" : "", s->only_verify ? "; checked, not timed" : "");
  if (bench_is_emulated(run->context)) printf("THE DEVICE IS EMULATED: THESE TIMES SAY NOTHING ABOUT ANY GPU\n");
  if (run->ceilings.bf16 > 0)
    printf("limit: share of what is possible, by a copy of %.1f GB/s and products of %.1f TFLOP/s (bf16), %.1f (FP8)\n",
           1e-9 * c->copy, 1e-12 * c->bf16, 1e-12 * c->fp8);
}

void bench_print_again(const bench_run *run, const char *options) {
  const char *device = run->settings.device;
  printf("One row again:\n  bench_%s %s%s%s%s\n", run->subject->name, device != NULL ? "--device " : "",
         device != NULL ? device : "", device != NULL ? " " : "", options);
}
