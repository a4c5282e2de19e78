/* tools/quantize_report.c: the plan of `mfq quantize` as a table and as JSON. */
#include <inttypes.h>
#include <string.h>

#include "quantize_plan.h"

enum { NAME_WIDTH = 60 };

static int name_width(const plan *p) {
  size_t width = strlen("tensor");
  for (int64_t i = 0; i < p->count; i++) {
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

int plan_print_table(const plan *p, int is_dry_run) {
  int width = name_width(p);
  printf("%-*s  %-20s  %-5s  %-36s  %11s  %s\n", width, "tensor", "shape", "dtype", "scheme", "bits/weight", "rule");
  for (int64_t i = 0; i < p->count; i++) {
    const plan_item *item = &p->items[i];
    char shape[CLI_SHAPE_BYTES], scheme[MFQ_SCHEME_TEXT_MAX], bits[32] = "-";
    if (scheme_text(item, scheme) != 0) return CLI_FAILED;
    if (item->is_quantized) (void)snprintf(bits, sizeof bits, "%.3f", plan_item_bits(item));
    printf("%-*s  %-20s  %-5s  %-36s  %11s  %s\n", width, item->entry->name,
           cli_shape_text(item->entry->rank, item->entry->shape, shape), mfq_file_dtype_name(item->entry->dtype),
           scheme, bits, item->rule == NULL ? "-" : item->rule);
  }
  printf("\n%" PRId64 " of %" PRId64 " tensors quantized, %.4f bits per weight\n", p->quantized, p->count,
         p->weights > 0 ? p->weight_bits / p->weights : 0.0);
  printf("data %" PRIu64 " -> %" PRIu64 " bytes; output file %s %" PRIu64 " bytes\n", p->bytes_in, p->bytes_out,
         is_dry_run ? "would have" : "has", p->file_bytes_out);
  if (is_dry_run)
    printf("peak memory at most %" PRIu64 " bytes (%.1f MiB)\n", p->peak_memory, (double)p->peak_memory / (1 << 20));
  return CLI_OK;
}

static json_t *item_json(const plan_item *item) {
  char scheme[MFQ_SCHEME_TEXT_MAX];
  if (scheme_text(item, scheme) != 0) return NULL;
  const mfq_catalog_entry *e = item->entry;
  return json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:o}", "name", e->name, "dtype", mfq_file_dtype_name(e->dtype),
                   "shape", cli_shape_json(e->rank, e->shape), "scheme",
                   item->is_quantized ? json_string(scheme) : json_null(), "rule", cli_text_json(item->rule),
                   "bytes_in", (json_int_t)e->part_bytes[0], "bytes_out", (json_int_t)item->bytes_out,
                   "bits_per_weight", item->is_quantized ? json_real(plan_item_bits(item)) : json_null());
}

int plan_print_json(const plan *p, const char *output, int is_dry_run) {
  json_t *tensors = json_array();
  for (int64_t i = 0; i < p->count; i++) (void)json_array_append_new(tensors, item_json(&p->items[i]));
  json_t *object = json_pack("{s:i, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:f, s:o}", "version", CLI_JSON_VERSION,
                             "input", cli_text_json(p->path), "output", cli_text_json(output), "dry_run", is_dry_run,
                             "quantized_tensors", (json_int_t)p->quantized, "data_bytes_in", (json_int_t)p->bytes_in,
                             "data_bytes_out", (json_int_t)p->bytes_out, "file_bytes_out",
                             (json_int_t)p->file_bytes_out, "peak_memory_bytes", (json_int_t)p->peak_memory,
                             "bits_per_weight", p->weights > 0 ? p->weight_bits / p->weights : 0.0, "tensors", tensors);
  return cli_print_json(object);
}
