/* tools/calibration.c: which tensors of which files calibrate what, and whether they can. */
#define _GNU_SOURCE 1
#include "calibration.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char state_word[] = "mfq-collection:", low_suffix[] = ":zero_point";

/* ---- Options ------------------------------------------------------------------------------------------------------ */

static int read_running(const char *text, calibration *c) {
  static const char momentum[] = "momentum:";
  char *end = NULL;
  c->running = MFQ_RUNNING_MEAN;
  c->momentum = 0.1;
  if (text == NULL || strcmp(text, "mean") == 0) return CLI_OK;
  c->running = MFQ_RUNNING_EXTREME;
  if (strcmp(text, "extreme") == 0) return CLI_OK;
  c->running = MFQ_RUNNING_MOMENTUM;
  if (strcmp(text, "momentum") == 0) return CLI_OK;
  if (strncmp(text, momentum, strlen(momentum)) == 0) c->momentum = strtod(text + strlen(momentum), &end);
  if (end != NULL && *end == '\0' && c->momentum > 0.0 && c->momentum <= 1.0) return CLI_OK;
  return cli_error(
      CLI_USAGE, "--running: '%s' is not mean, extreme, momentum, or momentum:M with an M above 0 and at most 1", text);
}

static int is_low_observer(const mfq_observer *o) {
  return o->observed == MFQ_OBSERVED_LOW || o->observed == MFQ_OBSERVED_LOW_PERCENTILE;
}

int calibration_read(const calibration_options *o, calibration *c) {
  *c = (calibration){.options = o};
  const char *alone = o->observer != NULL  ? "--observer"
                      : o->running != NULL ? "--running"
                      : o->save != NULL    ? "--save-calibration"
                                           : NULL;
  if (o->files == NULL && alone != NULL)
    return cli_error(CLI_USAGE, "%s says how batches are collected, and there are none: give --calibrate FILE", alone);
  if (o->observer != NULL && mfq_observer_parse(o->observer, &c->observer) != MFQ_OK)
    return cli_error(CLI_USAGE, "--observer: %s", cli_sentence(mfq_last_error()));
  if (o->observer != NULL && is_low_observer(&c->observer))
    return cli_error(CLI_USAGE,
                     "--observer: '%s' is for zero points, which follow by themselves; take minmax, or "
                     "interval:LOW:HIGH",
                     o->observer);
  return read_running(o->running, c);
}

/* ---- Collections -------------------------------------------------------------------------------------------------- */

mfq_status calibration_begin(const calibration *c, const mfq_qtensor *q, int is_low, mfq_collection *collection) {
  mfq_observer observer = c->observer;
  if (c->options->observer == NULL)
    observer = (mfq_observer){.observed = q->scheme.statistic == MFQ_STATISTIC_MINMAX ? MFQ_OBSERVED_MINMAX
                                                                                      : MFQ_OBSERVED_ABSMAX};
  if (is_low) mfq_observer_low(&observer, &observer);
  const mfq_status status = mfq_collection_init(&q->scheme, &observer, q->rank, q->shape, collection);
  if (status != MFQ_OK) return status;
  collection->running = c->running;
  collection->momentum = c->momentum;
  collection->limit = 0;
  return MFQ_OK;
}

void calibration_name(const char *tensor, int is_low, char *name, size_t capacity) {
  (void)snprintf(name, capacity, "%s%s", tensor, is_low ? low_suffix : "");
}

const char *calibration_state_text(const calibration *c, const calibration_source *source, int is_low, int64_t *entry) {
  char name[MFQ_FILE_MAX_NAME + sizeof low_suffix];
  calibration_name(source->name, is_low, name, sizeof name);
  *entry = mfq_catalog_find(c->catalogs[source->file], name);
  const char *text = *entry < 0 ? NULL : mfq_reader_metadata_find(c->readers[source->file], name);
  return text != NULL && strncmp(text, state_word, strlen(state_word)) == 0 ? text : NULL;
}

/* ---- What belongs to what ----------------------------------------------------------------------------------------- */

/* The quantized tensor of this name, or of it without ".0", ".1", ... at the end; -1 where there is none. */
static int64_t find_item(const plan *p, const char *name) {
  char base[MFQ_FILE_MAX_NAME + 1];
  int64_t index = mfq_catalog_find(p->dialects.catalog, name);
  const char *dot = strrchr(name, '.');
  if (index < 0 && dot != NULL && dot[1] != '\0' && dot[1 + strspn(dot + 1, "0123456789")] == '\0') {
    (void)snprintf(base, sizeof base, "%.*s", (int)(dot - name), name);
    index = mfq_catalog_find(p->dialects.catalog, base);
  }
  return index >= 0 && p->items[index].is_quantized ? index : -1;
}

/* Whether an entry is the second half of a saved collection. */
static int is_low_state(const calibration_source *source, const mfq_reader *reader) {
  const size_t length = strlen(source->name), cut = strlen(low_suffix);
  return length > cut && strcmp(source->name + length - cut, low_suffix) == 0 &&
         mfq_reader_metadata_find(reader, source->name) != NULL;
}

static int by_order(const void *left, const void *right) {
  const calibration_source *a = left, *b = right;
  if (a->item != b->item) return a->item < b->item ? -1 : 1;
  if (a->file != b->file) return a->file < b->file ? -1 : 1;
  return strverscmp(a->name, b->name); /* x.2 before x.10 */
}

/* What belongs to no tensor that is quantized. */
typedef struct idle_sources {
  int64_t count;
  const char *file, *name; /* of the first */
} idle_sources;

/* Lists what each file has; `only` is the tensor that all belong to, whatever their names are, or -1. */
static idle_sources list_sources(calibration *c, const plan *p, int64_t only) {
  idle_sources idle = {0};
  c->count = 0;
  for (int32_t file = 0; file < c->file_count; ++file) {
    for (int64_t i = 0; i < mfq_catalog_count(c->catalogs[file]); ++i) {
      calibration_source source = {.file = file, .entry = i, .name = mfq_catalog_get(c->catalogs[file], i)->name};
      int64_t entry;
      if (is_low_state(&source, c->readers[file])) continue;
      source.is_state = calibration_state_text(c, &source, 0, &entry) != NULL;
      source.item = only >= 0 ? only : find_item(p, source.name);
      if (source.item >= 0)
        c->sources[c->count++] = source;
      else if (idle.count++ == 0)
        idle = (idle_sources){1, c->options->files[file], source.name};
    }
  }
  return idle;
}

static int find_sources(calibration *c, const plan *p) {
  int64_t all = 0, only = 0;
  for (int32_t file = 0; file < c->file_count; ++file) all += mfq_catalog_count(c->catalogs[file]);
  c->sources = calloc((size_t)all + 1, sizeof *c->sources);
  c->kept = calloc(2 * (size_t)p->quantized + 1, sizeof *c->kept);
  if (c->sources == NULL || c->kept == NULL) return cli_error(CLI_FAILED, "no memory for the calibration");
  idle_sources idle = list_sources(c, p, -1);
  while (only < p->count && !p->items[only].is_quantized) ++only;
  if (c->count == 0 && p->quantized == 1) idle = list_sources(c, p, only);
  qsort(c->sources, (size_t)c->count, sizeof *c->sources, by_order);
  if (idle.count > 0)
    cli_warning("%s: tensor '%s' calibrates nothing, as %" PRId64
                " in all do: no tensor of this name, or of what is before its number, is quantized",
                idle.file, idle.name, idle.count);
  return CLI_OK;
}

/* ---- Checks ------------------------------------------------------------------------------------------------------- */

static int refuse(const calibration *c, const calibration_source *source, const char *why) {
  return cli_error(CLI_FAILED, "%s: tensor '%s': %s", c->options->files[source->file], source->name, why);
}

static int check_batch(const calibration *c, const calibration_source *source, const plan_item *item) {
  const mfq_catalog_entry *e = mfq_catalog_get(c->catalogs[source->file], source->entry);
  char text[3 * CLI_SHAPE_BYTES + MFQ_FILE_MAX_NAME + 128], shape[3][CLI_SHAPE_BYTES];
  mfq_qtensor_sizes sizes;
  mfq_qtensor q;
  if (e->is_quantized) return refuse(c, source, "quantized by mfq; restore it first (mfq dequantize)");
  if (mfq_dtype_from_file_dtype(e->dtype) == 0) {
    (void)snprintf(text, sizeof text, "its dtype is %s, and only F32, BF16 and F16 can be collected",
                   mfq_file_dtype_name(e->dtype));
    return refuse(c, source, text);
  }
  if (stream_is_empty(e->rank, e->shape)) return refuse(c, source, "has no elements, which are no step; leave it out");
  mfq_status status = mfq_qtensor_init(&item->q.scheme, e->rank, e->shape, NULL, &q);
  if (status == MFQ_OK) status = mfq_qtensor_sizes_get(&q, &sizes);
  if (status != MFQ_OK) return refuse(c, source, cli_sentence(mfq_last_error()));
  const size_t bytes = (size_t)sizes.scale_rank * sizeof sizes.scale_shape[0];
  if (sizes.scale_rank == item->sizes.scale_rank && memcmp(sizes.scale_shape, item->sizes.scale_shape, bytes) == 0)
    return CLI_OK;
  (void)snprintf(text, sizeof text,
                 "its shape is %s, whose scales have shape %s, but those of '%s' have %s; all steps of a tensor have "
                 "scales as it has",
                 cli_shape_text(e->rank, e->shape, shape[0]),
                 cli_shape_text(sizes.scale_rank, sizes.scale_shape, shape[1]), item->entry->name,
                 cli_shape_text(item->sizes.scale_rank, item->sizes.scale_shape, shape[2]));
  return refuse(c, source, text);
}

/* Whether a saved collection is of the scheme of its tensor, whatever the rules are. */
static int check_scheme(const calibration *c, const calibration_source *source, const mfq_collection *saved,
                        const plan_item *item) {
  char texts[2][MFQ_SCHEME_TEXT_MAX], why[2 * MFQ_SCHEME_TEXT_MAX + MFQ_FILE_MAX_NAME + 64];
  const mfq_scheme *to = &item->q.scheme;
  mfq_scheme of = saved->scheme;
  of.rule = to->rule;
  if (mfq_scheme_equal(&of, to)) return CLI_OK;
  if (mfq_scheme_print(&saved->scheme, texts[0], sizeof texts[0]) != MFQ_OK ||
      mfq_scheme_print(to, texts[1], sizeof texts[1]) != MFQ_OK)
    return refuse(c, source, cli_sentence(mfq_last_error()));
  (void)snprintf(why, sizeof why, "a collection of scheme %s, but '%s' becomes %s", texts[0], item->entry->name,
                 texts[1]);
  return refuse(c, source, why);
}

/* Whether a saved collection is the one that the options ask for, as far as they ask. */
static int check_words(const calibration *c, const calibration_source *source, const mfq_collection *saved,
                       const mfq_collection *wanted) {
  char texts[2][MFQ_OBSERVER_TEXT_MAX], why[2 * MFQ_OBSERVER_TEXT_MAX + 128];
  for (int i = 0; i < 2; ++i)
    if (mfq_observer_print(i ? &wanted->observer : &saved->observer, texts[i], sizeof texts[i]) != MFQ_OK)
      return refuse(c, source, cli_sentence(mfq_last_error()));
  if (c->options->observer != NULL && strcmp(texts[0], texts[1]) != 0) {
    (void)snprintf(why, sizeof why, "a collection of statistic %s, but --observer asks for %s; leave that out",
                   texts[0], texts[1]);
    return refuse(c, source, why);
  }
  const int differs = saved->running != wanted->running ||
                      (saved->running == MFQ_RUNNING_MOMENTUM && saved->momentum != wanted->momentum);
  if (c->options->running == NULL || !differs) return CLI_OK;
  return refuse(c, source, "a collection that was not kept as --running asks for; leave that out");
}

/* One half of a saved collection. */
static int check_state(const calibration *c, const calibration_source *source, int is_low, const plan_item *item,
                       int64_t *steps) {
  mfq_collection saved, wanted;
  int64_t entry;
  const char *text = calibration_state_text(c, source, is_low, &entry);
  if (text == NULL) return refuse(c, source, "a collection without the one for zero points, which the scheme has");
  const mfq_catalog_entry *e = mfq_catalog_get(c->catalogs[source->file], entry);
  mfq_status status = mfq_collection_parse(text, &saved);
  if (status == MFQ_OK) status = calibration_begin(c, &item->q, is_low, &wanted);
  if (status != MFQ_OK) return refuse(c, source, cli_sentence(mfq_last_error()));
  if (e->dtype != MFQ_FILE_F32 || e->part_bytes[0] / sizeof(float) != (uint64_t)saved.scale_count)
    return refuse(c, source, "its metadata say that it is a collection, but it has not the values of one");
  if (saved.steps == 0) return refuse(c, source, "a collection without steps");
  *steps = saved.steps;
  const int code = check_scheme(c, source, &saved, item);
  return code != CLI_OK ? code : check_words(c, source, &saved, &wanted);
}

static int check_source(const calibration *c, const calibration_source *source, plan *p) {
  plan_item *item = &p->items[source->item];
  const uint64_t bytes = mfq_catalog_get(c->catalogs[source->file], source->entry)->part_bytes[0];
  int64_t steps = 1;
  int code = source->is_state ? CLI_OK : check_batch(c, source, item);
  for (int low = 0; code == CLI_OK && source->is_state && low <= (item->q.scheme.zero_point != 0); ++low)
    code = check_state(c, source, low, item, &steps);
  item->steps += steps;
  p->batch_bytes += bytes;
  if (bytes > p->largest_batch) p->largest_batch = bytes;
  return code;
}

/* Whether a quantized tensor has steps, and a scheme that statistics make scales for. */
static int check_item(const calibration *c, plan *p, plan_item *item) {
  const char *name = item->entry->name;
  mfq_collection collection;
  if (calibration_begin(c, &item->q, 0, &collection) != MFQ_OK)
    return cli_error(CLI_FAILED, "tensor '%s': %s", name, cli_sentence(mfq_last_error()));
  const mfq_observed observed = collection.observer.observed;
  if (item->q.scheme.zero_point && observed != MFQ_OBSERVED_MINMAX && observed != MFQ_OBSERVED_INTERVAL)
    return cli_error(CLI_FAILED,
                     "tensor '%s': its scheme has zero points, whose ranges --observer %s does not find; take minmax, "
                     "or interval:LOW:HIGH",
                     name, c->options->observer);
  if (item->steps == 0)
    return cli_error(CLI_FAILED,
                     "%s: no tensor calibrates '%s': batches have its name, or that and a number, such as '%s.0'; keep "
                     "what is not calibrated (--rule REGEX=keep)",
                     c->options->files[0], name, name);
  p->kept_bytes += (item->q.scheme.zero_point ? 2u : 1u) * sizeof(float) * (uint64_t)collection.scale_count;
  return CLI_OK;
}

int calibration_open(calibration *c, plan *p) {
  int32_t count = 0;
  while (c->options->files != NULL && c->options->files[count] != NULL) ++count;
  if (count == 0) return CLI_OK;
  c->readers = calloc((size_t)count, sizeof *c->readers);
  c->catalogs = calloc((size_t)count, sizeof *c->catalogs);
  if (c->readers == NULL || c->catalogs == NULL) return cli_error(CLI_FAILED, "no memory for the calibration");
  int code = CLI_OK;
  for (; code == CLI_OK && c->file_count < count; ++c->file_count)
    code = cli_open(c->options->files[c->file_count], &c->readers[c->file_count], &c->catalogs[c->file_count]);
  if (code == CLI_OK) code = find_sources(c, p);
  for (int64_t i = 0; code == CLI_OK && i < c->count; ++i) code = check_source(c, &c->sources[i], p);
  for (int64_t i = 0; code == CLI_OK && i < p->count; ++i)
    if (p->items[i].is_quantized) code = check_item(c, p, &p->items[i]);
  return code;
}

void calibration_free(calibration *c) {
  for (int32_t file = 0; file < c->file_count; ++file) {
    mfq_catalog_destroy(c->catalogs[file]);
    mfq_reader_close(c->readers[file]);
  }
  for (int64_t i = 0; i < c->kept_count; ++i) free(c->kept[i].collection.values);
  mfq_writer_destroy(c->writer);
  free(c->readers);
  free(c->catalogs);
  free(c->sources);
  free(c->kept);
  *c = (calibration){0};
}
