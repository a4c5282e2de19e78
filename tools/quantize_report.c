/* tools/quantize_report.c: the plan of `mfq quantize` as a table and as JSON. */
#include <inttypes.h>
#include <string.h>

#include "quantize_plan.h"

enum { NAME_WIDTH = 60 };

static int name_width(const plan *p) {
  size_t width = strlen("tensor");
  for (int64_t i = 0; i < p->count; ++i) {
    size_t length = strlen(p->items[i].entry->name);
    if (length > width) width = length;
  }
  return width > NAME_WIDTH ? NAME_WIDTH : (int)width;
}

/* Writes the printed scheme, or "-". Returns 0, or -1 after a message. */
static int scheme_text(const plan_item *item, char *text) {
  (void)snprintf(text, MFQ_SCHEME_TEXT_MAX, "-");
  if (!item->is_quantized || mfq_scheme_print(&item->q.scheme, text, MFQ_SCHEME_TEXT_MAX) == MFQ_OK) return 0;
  (void)cli_error(CLI_FAILED, "tensor '%s': %s", item->entry->name, cli_sentence(mfq_last_error()));
  return -1;
}

enum { REASON_BYTES = WEIGHT_REASON_BYTES + 96 };

/* Writes why a tensor is kept or which axis its scheme got; empty where a rule or nothing says it. */
static const char *reason_text(const plan *p, const plan_item *item, char *text) {
  text[0] = '\0';
  if (item->is_quantized)
    (void)snprintf(text, REASON_BYTES, "%s", item->note == NULL ? "" : item->note);
  else if (item->rule == NULL)
    (void)weight_reason(&p->dialects, item - p->items, &item->verdict, text);
  return text;
}

static void print_row(const plan *p, const plan_item *item, const char *scheme, int width) {
  char shape[CLI_SHAPE_BYTES], bits[32] = "-", reason[REASON_BYTES], found[96] = "", steps[48] = "";
  if (item->is_quantized) (void)snprintf(bits, sizeof bits, "%.3f", plan_item_bits(item));
  if (item->nan + item->infinite > 0)
    (void)snprintf(found, sizeof found, "; %" PRId64 " NaN, %" PRId64 " infinite", item->nan, item->infinite);
  if (item->steps > 0)
    (void)snprintf(steps, sizeof steps, "; %" PRId64 " step%s of calibration", item->steps,
                   item->steps == 1 ? "" : "s");
  const char *why = reason_text(p, item, reason), *by_rule = item->rule == NULL ? "" : item->rule;
  const char *between = *why != '\0' && *by_rule != '\0' ? ": " : *why == '\0' && *by_rule == '\0' ? "-" : "";
  printf("%-*s  %-20s  %-5s  %-36s  %11s  %s%s%s%s%s\n", width, item->entry->name,
         cli_shape_text(item->entry->rank, item->entry->shape, shape), mfq_file_dtype_name(item->entry->dtype), scheme,
         bits, by_rule, between, why, found, steps);
}

int plan_print_table(const plan *p, int is_written) {
  int width = name_width(p);
  printf("%-*s  %-20s  %-5s  %-36s  %11s  %s\n", width, "tensor", "shape", "dtype", "scheme", "bits/weight",
         "rule, or why");
  for (int64_t i = 0; i < p->count; ++i) {
    char scheme[MFQ_SCHEME_TEXT_MAX];
    if (scheme_text(&p->items[i], scheme) != 0) return CLI_FAILED;
    print_row(p, &p->items[i], scheme, width);
  }
  printf("\n%" PRId64 " of %" PRId64 " tensors quantized, %.4f bits per weight\n", p->quantized, p->count,
         p->weights > 0 ? p->weight_bits / p->weights : 0.0);
  if (p->nan + p->infinite > 0)
    printf("not finite: %" PRId64 " values are NaN, %" PRId64 " infinite\n", p->nan, p->infinite);
  printf("data %" PRIu64 " -> %" PRIu64 " bytes; output file %s %" PRIu64 " bytes\n", p->bytes_in, p->bytes_out,
         is_written ? "has" : "would have", p->file_bytes_out);
  if (!is_written)
    printf("peak memory at most %" PRIu64 " bytes (%.1f MiB)\n", p->peak_memory, (double)p->peak_memory / (1 << 20));
  return CLI_OK;
}

static json_t *item_json(const plan *p, const plan_item *item, int is_written) {
  char scheme[MFQ_SCHEME_TEXT_MAX], reason[REASON_BYTES];
  if (scheme_text(item, scheme) != 0) return NULL;
  const mfq_catalog_entry *e = item->entry;
  const mfq_scheme *s = &item->q.scheme;
  int is_quantized = item->is_quantized;
  int has_axis = is_quantized && s->axis != MFQ_AXIS_AUTO;
  int has_reason = *reason_text(p, item, reason) != '\0', is_counted = is_quantized && is_written;
  return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "name", e->name, "dtype",
                   mfq_file_dtype_name(e->dtype), "shape", cli_shape_json(e->rank, e->shape), "scheme",
                   is_quantized ? json_string(scheme) : json_null(), "axis",
                   has_axis ? json_integer(s->axis) : json_null(), "rule", cli_text_json(item->rule), "reason",
                   cli_text_json(has_reason ? reason : NULL), "bytes_in", (json_int_t)e->part_bytes[0], "bytes_out",
                   (json_int_t)item->bytes_out, "bits_per_weight",
                   is_quantized ? json_real(plan_item_bits(item)) : json_null(), "nan",
                   is_counted ? json_integer(item->nan) : json_null(), "infinite",
                   is_counted ? json_integer(item->infinite) : json_null(), "calibration_steps",
                   item->steps > 0 ? json_integer(item->steps) : json_null());
}

int plan_print_json(const plan *p, const char *output, int is_written) {
  json_t *tensors = json_array();
  char foreign[DIALECT_BYTES];
  for (int64_t i = 0; i < p->count; ++i) (void)json_array_append_new(tensors, item_json(p, &p->items[i], is_written));
  json_t *object = json_pack(
      "{s:i, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:o}", "version", CLI_JSON_VERSION, "input",
      cli_text_json(p->path), "output", cli_text_json(output), "dry_run", !is_written, "quantized_tensors",
      (json_int_t)p->quantized, "data_bytes_in", (json_int_t)p->bytes_in, "data_bytes_out", (json_int_t)p->bytes_out,
      "file_bytes_out", (json_int_t)p->file_bytes_out, "peak_memory_bytes", (json_int_t)p->peak_memory,
      "bits_per_weight", p->weights > 0 ? p->weight_bits / p->weights : 0.0, "nan",
      is_written ? json_integer(p->nan) : json_null(), "infinite", is_written ? json_integer(p->infinite) : json_null(),
      "quantized_by_others", cli_text_json(p->dialects.tensors > 0 ? dialects_describe(&p->dialects, foreign) : NULL),
      "tensors", tensors);
  return cli_print_json(object);
}

static void warn_of_non_finite(const plan *p) {
  int64_t count = 0, first = 0;
  for (int64_t i = p->count - 1; i >= 0; --i) {
    if (p->items[i].nan + p->items[i].infinite == 0) continue;
    ++count;
    first = i;
  }
  const plan_item *item = &p->items[first];
  if (count == 0) return;
  cli_warning("%s: %" PRId64
              " tensor%s have values that are not finite, which spoil what shares a scale with them: first "
              "'%s' with %" PRId64 " NaN and %" PRId64 " infinite; --non-finite error refuses that",
              p->path, count, count == 1 ? "" : "s", item->entry->name, item->nan, item->infinite);
}

int plan_conclude(const plan *p) {
  char what[DIALECT_BYTES];
  warn_of_non_finite(p);
  if (p->quantized == 0 && p->dialects.tensors > 0) {
    return cli_error(
        CLI_FAILED,
        "%s: nothing to quantize, and no file written: another program has quantized this checkpoint, as %s; "
        "start from the one before that",
        p->path, dialects_describe(&p->dialects, what));
  }
  if (p->quantized == 0) {
    return cli_error(
        CLI_FAILED,
        "%s: nothing to quantize, and no file written: every tensor is kept, by a rule or for the reason in the "
        "last column of the table (--dry-run); --rule REGEX=SCHEME quantizes one all the same",
        p->path);
  }
  if (p->dialects.tensors > 0)
    cli_warning("%s: another program has quantized a part of this checkpoint, as %s; these are kept with their scales",
                p->path, dialects_describe(&p->dialects, what));
  return CLI_OK;
}
