/* tools/quantize_plan.c: rules and schemes against the tensors of a file. */
#define _GNU_SOURCE 1
#include "quantize_plan.h"

#include <stdlib.h>
#include <string.h>

/* Writes out the axis: input channels of a weight [out, in, ...] for groups, output channels for channels. */
static void write_out_axis(mfq_scheme *scheme, int32_t rank) {
  if (scheme->granularity == MFQ_GRANULARITY_GROUP && scheme->axis == MFQ_AXIS_AUTO) scheme->axis = rank >= 2 ? 1 : 0;
  if (scheme->granularity == MFQ_GRANULARITY_CHANNEL && scheme->axis == MFQ_AXIS_AUTO) scheme->axis = 0;
  int has_axis = scheme->granularity == MFQ_GRANULARITY_GROUP || scheme->granularity == MFQ_GRANULARITY_CHANNEL;
  if (has_axis && scheme->axis < 0 && scheme->axis >= -rank) scheme->axis += rank;
}

static int apply_scheme(const plan *p, const mfq_scheme *given, plan_item *item) {
  const mfq_catalog_entry *e = item->entry;
  if (mfq_dtype_from_file_dtype(e->dtype) == 0) {
    return cli_error(CLI_FAILED,
                     "%s: tensor '%s': its dtype is %s, and only F32, BF16 and F16 can be quantized; put a rule "
                     "that keeps it first (--rule REGEX=keep)",
                     p->path, e->name, mfq_file_dtype_name(e->dtype));
  }
  mfq_scheme scheme = *given;
  write_out_axis(&scheme, e->rank);
  mfq_layout layout;
  mfq_file_layout_init(&layout);
  mfq_status status = mfq_qtensor_init(&scheme, e->rank, e->shape, &layout, &item->q);
  if (status == MFQ_OK) status = mfq_qtensor_sizes_get(&item->q, &item->sizes);
  if (status != MFQ_OK) {
    return cli_error(CLI_FAILED, "%s: tensor '%s': %s; or keep it as it is (--rule REGEX=keep)", p->path, e->name,
                     cli_sentence(mfq_last_error()));
  }
  item->is_quantized = 1;
  item->bytes_out = (uint64_t)item->sizes.codes_bytes + item->sizes.scales_bytes + item->sizes.tensor_scale_bytes +
                    item->sizes.zero_points_bytes;
  return CLI_OK;
}

/* Decides for one tensor: a rule, or the default for matrices and what has more axes. */
static int decide(const plan *p, rules *r, plan_item *item) {
  const mfq_catalog_entry *e = item->entry;
  item->bytes_out = e->part_bytes[0];
  const rule *found = rules_find(r, e->name);
  if (found != NULL) {
    item->rule = found->text;
    return found->keeps ? CLI_OK : apply_scheme(p, &found->scheme, item);
  }
  int is_weight = e->rank >= 2 && mfq_dtype_from_file_dtype(e->dtype) != 0;
  return r->has_default && is_weight ? apply_scheme(p, &r->default_scheme, item) : CLI_OK;
}

uint64_t plan_peak_memory(uint64_t largest_tensor, uint64_t header_bytes) {
  return largest_tensor * 5 / 2 + (32u << 20) + 24 * header_bytes;
}

int plan_make(const char *path, const mfq_catalog *catalog, rules *r, plan *p) {
  *p = (plan){.path = path, .count = mfq_catalog_count(catalog)};
  p->items = calloc((size_t)p->count + 1, sizeof *p->items);
  if (p->items == NULL) return cli_error(CLI_FAILED, "%s: no memory for the plan", path);
  for (int64_t i = 0; i < p->count; i++) {
    plan_item *item = &p->items[i];
    item->entry = mfq_catalog_get(catalog, i);
    if (item->entry->is_quantized) {
      return cli_error(CLI_FAILED, "%s: tensor '%s': quantized by mfq already; use mfq dequantize first", path,
                       item->entry->name);
    }
    int code = decide(p, r, item);
    if (code != CLI_OK) return code;
    p->bytes_in += item->entry->part_bytes[0];
    p->bytes_out += item->bytes_out;
    if (!item->is_quantized) continue;
    p->quantized++;
    p->weights += cli_shape_count(item->entry->rank, item->entry->shape);
    p->weight_bits += 8.0 * (double)item->bytes_out;
  }
  return rules_check_used(r, path);
}

void plan_free(plan *p) {
  free(p->items);
  *p = (plan){0};
}

double plan_item_bits(const plan_item *item) {
  double count = cli_shape_count(item->entry->rank, item->entry->shape);
  return count > 0 ? 8.0 * (double)item->bytes_out / count : 0.0;
}

int plan_copy_metadata(const mfq_reader *reader, mfq_writer *writer) {
  for (int64_t i = 0; i < mfq_reader_metadata_count(reader); i++) {
    const char *key, *value;
    mfq_status status = mfq_reader_metadata(reader, i, &key, &value);
    int is_own = status == MFQ_OK && (strcmp(key, "mfq_version") == 0 || strcmp(key, "mfq_quantized") == 0);
    if (status == MFQ_OK && !is_own) status = mfq_writer_add_metadata(writer, key, value);
    if (status != MFQ_OK) return cli_io_error(status);
  }
  return CLI_OK;
}

int plan_declare(plan *p, const mfq_reader *reader, mfq_writer *writer) {
  int code = plan_copy_metadata(reader, writer);
  if (code != CLI_OK) return code;
  uint64_t largest = 0;
  for (int64_t i = 0; i < p->count; i++) {
    plan_item *item = &p->items[i];
    const mfq_catalog_entry *e = item->entry;
    mfq_status status =
        item->is_quantized
            ? mfq_writer_add_quantized(writer, e->name, mfq_dtype_from_file_dtype(e->dtype), &item->q, item->parts)
            : mfq_writer_add_tensor(writer, e->name, e->dtype, e->rank, e->shape, &item->parts[0]);
    if (status != MFQ_OK) return cli_io_error(status);
    uint64_t bytes = item->bytes_out > e->part_bytes[0] ? item->bytes_out : e->part_bytes[0];
    if (item->is_quantized && bytes > largest) largest = bytes;
  }
  mfq_status status = mfq_writer_file_bytes(writer, &p->file_bytes_out);
  if (status != MFQ_OK) return cli_io_error(status);
  uint64_t header_bytes_out = p->file_bytes_out - p->bytes_out;
  p->peak_memory = plan_peak_memory(largest, mfq_reader_header_bytes(reader) + header_bytes_out);
  return CLI_OK;
}
