/* tools/calibrate_run.c: steps are collected, one tensor after the other, and what was collected becomes scales. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibration.h"
#include "finite_count.h"

/* The collections of one tensor: for scales, and for zero points where there are any. */
typedef struct tensor_run {
  calibration *c;
  stream *s;
  const plan_item *item;
  mfq_collection halves[2];
  int count;
  finite_count found;       /* values that are not finite, of */
  const char *file, *batch; /* the first batch that has any */
} tensor_run;

static int fail(const tensor_run *r, const char *name) {
  return cli_error(CLI_FAILED, "calibration of '%s': tensor '%s': %s", r->item->entry->name, name,
                   cli_sentence(mfq_last_error()));
}

static int begin(tensor_run *r, const mfq_qtensor *q) {
  r->count = q->scheme.zero_point ? 2 : 1;
  for (int low = 0; low < r->count; ++low) {
    if (calibration_begin(r->c, q, low, &r->halves[low]) != MFQ_OK) return fail(r, r->item->entry->name);
    int code = stream_reserve(r->s, &r->c->values[low], (size_t)r->halves[low].scale_count * sizeof(float));
    if (code != CLI_OK) return code;
    r->halves[low].values = mfq_buffer_data(r->c->values[low].buffer);
  }
  return CLI_OK;
}

static int take_batch(tensor_run *r, const calibration_source *source, stream_slot *slot) {
  const mfq_catalog *catalog = r->c->catalogs[source->file];
  const mfq_catalog_entry *e = mfq_catalog_get(catalog, source->entry);
  finite_count count = {.dtype = mfq_dtype_from_file_dtype(e->dtype)};
  int code = stream_reserve(r->s, slot, (size_t)e->part_bytes[0]);
  if (code == CLI_OK) code = stream_load_counted(r->s, catalog, source->entry, slot, &count);
  if (code != CLI_OK) return code;
  if (r->batch == NULL && count.nan + count.infinite > 0) {
    r->found = count;
    r->file = r->c->options->files[source->file];
    r->batch = source->name;
  }
  mfq_tensor batch;
  mfq_status status = mfq_tensor_init(mfq_buffer_data(slot->buffer), count.dtype, e->rank, e->shape, &batch);
  for (int low = 0; status == MFQ_OK && low < r->count; ++low)
    status = mfq_collect(r->s->context, &r->halves[low], &batch, 1);
  return status == MFQ_OK ? CLI_OK : fail(r, source->name);
}

/* A saved collection is the beginning, or is merged into what is there. */
static int take_state(tensor_run *r, const calibration_source *source) {
  for (int low = 0; low < r->count; ++low) {
    mfq_collection *into = &r->halves[low], saved;
    int64_t entry;
    const char *text = calibration_state_text(r->c, source, low, &entry);
    if (mfq_collection_parse(text, &saved) != MFQ_OK) return fail(r, source->name);
    stream_slot *slot = into->steps == 0 ? &r->c->values[low] : &r->c->merged[low];
    const mfq_catalog *catalog = r->c->catalogs[source->file];
    int code = stream_reserve(r->s, slot, (size_t)saved.scale_count * sizeof(float));
    if (code == CLI_OK) code = stream_load(r->s, catalog, entry, MFQ_PART_CODES, slot);
    if (code != CLI_OK) return code;
    saved.values = mfq_buffer_data(slot->buffer);
    if (into->steps == 0)
      *into = saved;
    else if (mfq_collection_merge(r->s->context, into, &saved) != MFQ_OK)
      return fail(r, source->name);
  }
  return CLI_OK;
}

/* Copies the values of a collection to the host, and refuses what no scale can be made of. */
static int look_at(const tensor_run *r, int low, float *values) {
  const mfq_collection *half = &r->halves[low];
  int64_t bad = 0;
  const size_t bytes = (size_t)half->scale_count * sizeof(float);
  if (mfq_buffer_read(r->c->values[low].buffer, 0, values, bytes) != MFQ_OK) return fail(r, r->item->entry->name);
  for (int64_t i = 0; i < half->scale_count; ++i) bad += !isfinite(values[i]);
  if (bad == 0) return CLI_OK;
  if (r->batch == NULL)
    return cli_error(CLI_FAILED,
                     "calibration of '%s': %" PRId64 " of its %" PRId64
                     " statistics are NaN or infinite, of which no scales can be made; take another --observer",
                     r->item->entry->name, bad, half->scale_count);
  return cli_error(CLI_FAILED,
                   "%s: tensor '%s': %" PRId64 " values are NaN and %" PRId64
                   " infinite, so that no scales of '%s' can be made; leave it out",
                   r->file, r->batch, r->found.nan, r->found.infinite, r->item->entry->name);
}

static int keep(const tensor_run *r, int64_t index) {
  int code = CLI_OK;
  for (int low = 0; code == CLI_OK && low < r->count; ++low) {
    float *values = malloc((size_t)r->halves[low].scale_count * sizeof(float) + 1);
    if (values == NULL) return cli_error(CLI_FAILED, "no memory for statistics");
    code = look_at(r, low, values);
    if (code != CLI_OK || r->c->writer == NULL) {
      free(values);
      continue;
    }
    calibration_kept *kept = &r->c->kept[r->c->kept_count++];
    *kept = (calibration_kept){.collection = r->halves[low], .item = index, .is_low = low};
    kept->collection.values = values;
  }
  return code;
}

static int freeze(const tensor_run *r, mfq_qtensor *q) {
  mfq_transition transition;
  mfq_transition_init(&transition);
  if (q->scheme.rule != MFQ_RULE_GIVEN) transition.rule = q->scheme.rule;
  q->scheme.rule = MFQ_RULE_GIVEN;
  transition.scale = &r->halves[0];
  transition.zero_point = r->count > 1 ? &r->halves[1] : NULL;
  transition.to = q;
  return mfq_collection_scales(r->s->context, &transition) == MFQ_OK ? CLI_OK : fail(r, r->item->entry->name);
}

int calibration_scales(calibration *c, stream *s, const plan_item *item, int64_t index, stream_slot *slot,
                       mfq_qtensor *q) {
  tensor_run r = {.c = c, .s = s, .item = item};
  int code = begin(&r, q);
  while (c->next < c->count && c->sources[c->next].item < index) ++c->next;
  for (; code == CLI_OK && c->next < c->count && c->sources[c->next].item == index; ++c->next) {
    const calibration_source *source = &c->sources[c->next];
    code = source->is_state ? take_state(&r, source) : take_batch(&r, source, slot);
  }
  if (code == CLI_OK) code = keep(&r, index);
  return code == CLI_OK ? freeze(&r, q) : code;
}

void calibration_free_slots(calibration *c) {
  for (int i = 0; i < 2; ++i) {
    stream_slot_free(&c->values[i]);
    stream_slot_free(&c->merged[i]);
  }
}

/* ---- Saving ------------------------------------------------------------------------------------------------------- */

int calibration_inputs(const calibration *c, const mfq_reader **inputs, int count) {
  for (int32_t file = 0; file < c->file_count; ++file) inputs[count++] = c->readers[file];
  return count;
}

int calibration_create(calibration *c, const mfq_writer_options *options) {
  return c->options->save == NULL ? CLI_OK : cli_create(c->options->save, options, &c->writer);
}

int calibration_write(calibration *c, const plan *p) {
  mfq_status status = MFQ_OK;
  if (c->writer == NULL) return CLI_OK;
  for (int64_t i = 0; status == MFQ_OK && i < c->kept_count; ++i) {
    const mfq_collection *collection = &c->kept[i].collection;
    char text[MFQ_COLLECTION_TEXT_MAX], name[MFQ_FILE_MAX_NAME + 32];
    calibration_name(p->items[c->kept[i].item].entry->name, c->kept[i].is_low, name, sizeof name);
    if (mfq_collection_print(collection, text, sizeof text) != MFQ_OK)
      return cli_error(CLI_FAILED, "calibration of '%s': %s", name, cli_sentence(mfq_last_error()));
    status = mfq_writer_add_metadata(c->writer, name, text);
    if (status == MFQ_OK)
      status =
          mfq_writer_add_tensor(c->writer, name, MFQ_FILE_F32, collection->scale_rank, collection->scale_shape, NULL);
  }
  if (status == MFQ_OK) status = mfq_writer_begin(c->writer);
  for (int64_t i = 0; status == MFQ_OK && i < c->kept_count; ++i) {
    const mfq_collection *collection = &c->kept[i].collection;
    status = mfq_writer_write(c->writer, i, collection->values, (size_t)collection->scale_count * sizeof(float));
  }
  return status == MFQ_OK ? CLI_OK : cli_io_error(status);
}

int calibration_finish(calibration *c) {
  const mfq_status status = c->writer == NULL ? MFQ_OK : mfq_writer_finish(c->writer);
  return status == MFQ_OK ? CLI_OK : cli_io_error(status);
}
