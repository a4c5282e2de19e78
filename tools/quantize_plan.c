/* tools/quantize_plan.c: rules and schemes against the tensors of a file. */
#define _GNU_SOURCE 1
#include "quantize_plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int apply_scheme(const plan *p, const scheme_choice *given, plan_item *item) {
  const mfq_catalog_entry *e = item->entry;
  if (mfq_dtype_from_file_dtype(e->dtype) == 0) {
    return cli_error(CLI_FAILED,
                     "%s: tensor '%s': its dtype is %s, and only F32, BF16 and F16 can be quantized; let rule '%s' "
                     "match fewer names, or put one that keeps this tensor before it (--rule REGEX=keep)",
                     p->path, e->name, mfq_file_dtype_name(e->dtype), item->rule);
  }
  mfq_scheme scheme = given->scheme;
  item->method = given->method;
  item->note = weight_write_axis(p->dialects.catalog, e, &scheme);
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

/* Undoes what would take more bytes than it saves. */
static void keep_unless_smaller(plan_item *item) {
  uint64_t before = item->entry->part_bytes[0];
  if (item->bytes_out < before || before == 0) return;
  item->verdict = (weight_verdict){.kind = WEIGHT_NOT_SMALLER, .bytes = item->bytes_out};
  if (item->rule != NULL) return;
  item->is_quantized = 0;
  item->bytes_out = before;
}

/* Decides for tensor `index`: a rule, or the default for weights. */
static int decide(const plan *p, rules *r, int64_t index) {
  plan_item *item = &p->items[index];
  const mfq_catalog_entry *e = item->entry;
  item->bytes_out = e->part_bytes[0];
  item->verdict = weight_judge(&p->dialects, index);
  const rule *found = rules_find(r, e->name);
  if (found == NULL && item->verdict.kind == WEIGHT_YES && !r->has_default) item->verdict.kind = WEIGHT_NO_RULE;
  if (found == NULL && item->verdict.kind != WEIGHT_YES) return CLI_OK;
  if (found != NULL) item->rule = found->text;
  if (found != NULL && found->keeps) return CLI_OK;
  int code = apply_scheme(p, found == NULL ? &r->default_choice : &found->choice, item);
  if (code == CLI_OK) keep_unless_smaller(item);
  return code;
}

/* Warns of what rules quantize against the command's own judgement, one line a rule. */
static void warn_of_overrides(const plan *p, const rules *r) {
  for (int i = 0; i < r->count; ++i) {
    int64_t count = 0, first = 0;
    for (int64_t j = p->count - 1; j >= 0; --j) {
      const plan_item *item = &p->items[j];
      int is_odd = item->is_quantized && item->rule == r->items[i].text &&
                   (item->verdict.kind == WEIGHT_PART || item->verdict.kind == WEIGHT_LONE_PART ||
                    item->verdict.kind == WEIGHT_NOT_SMALLER);
      if (!is_odd) continue;
      ++count;
      first = j;
    }
    if (count == 0) continue;
    char reason[WEIGHT_REASON_BYTES];
    cli_warning("%s: rule '%s' quantizes %" PRId64 " tensor%s that would be kept without it, such as '%s' (%s)",
                p->path, r->items[i].text, count, count == 1 ? "" : "s", p->items[first].entry->name,
                weight_reason(&p->dialects, first, &p->items[first].verdict, reason));
  }
}

/* Writes a name as a regular expression that matches nothing else. */
static const char *exactly(const char *name, char *text, size_t capacity) {
  size_t used = 0;
  for (; *name != '\0' && used + 3 < capacity; ++name) {
    if (strchr("\\^$.|?*+()[]{}", *name) != NULL) text[used++] = '\\';
    text[used++] = *name;
  }
  text[used] = '\0';
  return text;
}

/* Refuses a tensor whose parts would have the name of another one of the file. */
static int check_part_names(const plan *p, const mfq_catalog *catalog, const plan_item *item) {
  const struct {
    size_t bytes;
    const char *suffix, *what;
  } parts[] = {{item->sizes.scales_bytes, "_scale", "scales"},
               {item->sizes.tensor_scale_bytes, "_scale_2", "tensor scale"},
               {item->sizes.zero_points_bytes, "_zero_point", "zero points"}};
  for (size_t i = 0; item->is_quantized && i < sizeof parts / sizeof parts[0]; ++i) {
    char name[MFQ_FILE_MAX_NAME + 32], regex[2 * MFQ_FILE_MAX_NAME + 4];
    (void)snprintf(name, sizeof name, "%s%s", item->entry->name, parts[i].suffix);
    if (parts[i].bytes == 0 || mfq_catalog_find(catalog, name) < 0) continue;
    return cli_error(
        CLI_FAILED,
        "%s: tensor '%s': its %s would be stored as '%s', but the file has a tensor of that name; keep it as "
        "it is (--rule '^%s$=keep'), or rename one of the two in the input",
        p->path, item->entry->name, parts[i].what, name, exactly(item->entry->name, regex, sizeof regex));
  }
  return CLI_OK;
}

uint64_t plan_peak_memory(uint64_t largest_tensor, uint64_t header_bytes) {
  return largest_tensor * 5 / 2 + (32u << 20) + 24 * header_bytes;
}

int plan_make(const char *path, const mfq_catalog *catalog, rules *r, plan *p) {
  *p = (plan){.path = path, .count = mfq_catalog_count(catalog)};
  p->items = calloc((size_t)p->count + 1, sizeof *p->items);
  if (p->items == NULL) return cli_error(CLI_FAILED, "%s: no memory for the plan", path);
  int code = dialects_find(catalog, &p->dialects);
  if (code != CLI_OK) return code;
  for (int64_t i = 0; i < p->count; ++i) {
    plan_item *item = &p->items[i];
    item->entry = mfq_catalog_get(catalog, i);
    if (item->entry->is_quantized) {
      return cli_error(CLI_FAILED, "%s: tensor '%s': quantized by mfq already; restore it first (mfq dequantize)", path,
                       item->entry->name);
    }
    code = decide(p, r, i);
    if (code == CLI_OK) code = check_part_names(p, catalog, item);
    if (code != CLI_OK) return code;
    p->bytes_in += item->entry->part_bytes[0];
    p->bytes_out += item->bytes_out;
    if (!item->is_quantized) continue;
    ++p->quantized;
    p->weights += cli_shape_count(item->entry->rank, item->entry->shape);
    p->weight_bits += 8.0 * (double)item->bytes_out;
  }
  code = rules_check_used(r, path);
  if (code == CLI_OK) warn_of_overrides(p, r);
  return code;
}

void plan_free(plan *p) {
  dialects_free(&p->dialects);
  free(p->items);
  *p = (plan){0};
}

double plan_item_bits(const plan_item *item) {
  double count = cli_shape_count(item->entry->rank, item->entry->shape);
  return count > 0 ? 8.0 * (double)item->bytes_out / count : 0.0;
}

int plan_copy_metadata(const mfq_reader *reader, mfq_writer *writer) {
  for (int64_t i = 0; i < mfq_reader_metadata_count(reader); ++i) {
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
  uint64_t largest = p->largest_batch;
  for (int64_t i = 0; i < p->count; ++i) {
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
  p->peak_memory = plan_peak_memory(largest, mfq_reader_header_bytes(reader) + header_bytes_out) + p->kept_bytes;
  return CLI_OK;
}
