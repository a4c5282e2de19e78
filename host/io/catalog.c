/* host/io/catalog.c: quantized tensors of a file, from its metadata. The metadata may lie: every part is checked. */
#define _GNU_SOURCE 1
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file_dtype.h"
#include "io_error.h"
#include "json_members.h"
#include "quantized_parts.h"

struct mfq_catalog {
  const mfq_reader *reader;
  mfq_catalog_entry *entries;
  int64_t count;
  int64_t *owners; /* by tensor of the reader: its entry */
};

static const char function[] = "mfq_catalog_create";

/* Fails with "path: tensor 'name': sentence"; without a name, "path: sentence". */
__attribute__((format(printf, 4, 5))) static mfq_status refuse(mfq_status status, const mfq_catalog *catalog,
                                                               const char *name, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const char *path = mfq_reader_path(catalog->reader);
  if (name == NULL) return mfq_io_fail(status, function, "%s: %s", path, text);
  return mfq_io_fail(status, function, "%s: tensor '%s': %s", path, name, text);
}

static mfq_status no_memory(const mfq_catalog *catalog) {
  return refuse(MFQ_ERROR_OUT_OF_MEMORY, catalog, NULL, "no memory for its catalog");
}

static mfq_status parse_shape(const mfq_catalog *catalog, mfq_catalog_entry *e, const json_t *value) {
  size_t rank = json_array_size(value);
  if (!json_is_array(value) || rank > MFQ_MAX_RANK) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name,
                  "metadata mfq_quantized: shape must be an array of at most %d sizes", MFQ_MAX_RANK);
  }
  e->rank = (int32_t)rank;
  for (size_t i = 0; i < rank; ++i) {
    const json_t *size = json_array_get(value, i);
    if (!json_is_integer(size) || json_integer_value(size) < 0) {
      return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name,
                    "metadata mfq_quantized: size of axis %zu must be an integer of at least 0", i);
    }
    e->q.shape[i] = json_integer_value(size);
  }
  return MFQ_OK;
}

/* Fills scheme, shape and dtype of an entry. */
static mfq_status parse_entry(const mfq_catalog *catalog, mfq_catalog_entry *e, const json_t *object) {
  const json_t *scheme = json_object_get(object, "scheme"), *dtype = json_object_get(object, "dtype");
  if (!json_is_string(scheme) || !json_is_string(dtype) || json_object_size(object) != 3) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name,
                  "metadata mfq_quantized: its entry must have scheme, shape and dtype, and nothing else");
  }
  e->dtype = mfq_file_dtype_find(json_string_value(dtype));
  if (mfq_dtype_from_file_dtype(e->dtype) == 0)
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name, "metadata mfq_quantized: dtype must be F32, BF16 or F16");
  mfq_status status = parse_shape(catalog, e, json_object_get(object, "shape"));
  if (status != MFQ_OK) return status;
  mfq_scheme parsed;
  char text[512];
  if (mfq_scheme_parse(json_string_value(scheme), &parsed) != MFQ_OK) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name, "metadata mfq_quantized: %s",
                  mfq_io_printable(mfq_last_error(), text, sizeof text));
  }
  if (mfq_scheme_axis_is_open(&parsed)) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name,
                  "metadata mfq_quantized: the scheme's axis must be written out");
  }
  int64_t shape[MFQ_MAX_RANK];
  memcpy(shape, e->q.shape, sizeof shape);
  mfq_layout layout;
  mfq_file_layout_init(&layout);
  if (mfq_qtensor_init(&parsed, e->rank, shape, &layout, &e->q) != MFQ_OK) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name, "metadata mfq_quantized: %s",
                  mfq_io_printable(mfq_last_error(), text, sizeof text));
  }
  return MFQ_OK;
}

/* Finds the tensor of one part and checks it; `entry` becomes its owner. */
static mfq_status claim_part(mfq_catalog *catalog, mfq_catalog_entry *e, mfq_part part, const mfq_part_spec *spec) {
  char *name = mfq_part_name(e->name, part);
  if (name == NULL) return no_memory(catalog);
  int64_t index = mfq_reader_find(catalog->reader, name);
  free(name);
  const char *suffix = mfq_part_suffixes[part];
  mfq_file_tensor tensor;
  if (index < 0 || mfq_reader_tensor(catalog->reader, index, &tensor) != MFQ_OK)
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name, "its part '%s%s' is not in the file", e->name, suffix);
  if (catalog->owners[index] >= 0) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name, "its part '%s%s' belongs to another tensor too", e->name,
                  suffix);
  }
  uint64_t bytes = 0;
  int sized = mfq_file_tensor_bytes(spec->dtype, spec->rank, spec->shape, &bytes) == 0;
  if (!sized || tensor.dtype != spec->dtype || tensor.rank != spec->rank || tensor.bytes != bytes ||
      (spec->rank > 0 && memcmp(tensor.shape, spec->shape, (size_t)spec->rank * sizeof *spec->shape) != 0)) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name,
                  "its part '%s%s' is %s with %" PRIu64 " bytes; its scheme and shape need %s with %" PRIu64
                  " and the shape that goes with them",
                  e->name, suffix, mfq_file_dtype_name(tensor.dtype), tensor.bytes, mfq_file_dtype_name(spec->dtype),
                  bytes);
  }
  catalog->owners[index] = e - catalog->entries;
  e->parts[part] = index;
  e->part_bytes[part] = bytes;
  return MFQ_OK;
}

static mfq_status not_json(const mfq_catalog *catalog, const mfq_json_members *members) {
  if (members->is_no_memory) return no_memory(catalog);
  return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, NULL,
                "metadata mfq_quantized is not a JSON object without duplicate keys: %s (its byte %zu)",
                members->why[0] != '\0' ? members->why : "duplicate object key", members->at);
}

/* Texts of entries that were read. Many tensors of a model share a scheme and a shape, and reading those takes long. */
enum { KNOWN_TEXTS = 256 };
typedef struct known_text {
  size_t from, bytes;
  const mfq_catalog_entry *entry; /* NULL: none yet */
} known_text;

static known_text *look_up(known_text known[KNOWN_TEXTS], const char *text, size_t bytes) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < bytes; ++i) hash = (hash ^ (unsigned char)text[i]) * 16777619u;
  return &known[hash % KNOWN_TEXTS];
}

/* Fills scheme, shape and dtype of an entry from its text. */
static mfq_status read_entry(const mfq_catalog *catalog, mfq_catalog_entry *e, mfq_json_members *members,
                             const mfq_json_member *member, known_text known[KNOWN_TEXTS]) {
  const size_t bytes = member->to - member->from;
  known_text *k = look_up(known, members->text + member->from, bytes);
  const int is_known = k->entry != NULL && k->bytes == bytes &&
                       memcmp(members->text + k->from, members->text + member->from, bytes) == 0;
  if (is_known) {
    e->dtype = k->entry->dtype;
    e->rank = k->entry->rank;
    e->q = k->entry->q;
    return MFQ_OK;
  }
  json_t *object = bytes > MFQ_JSON_MEMBER_BYTES ? json_null() : mfq_json_value(members, member);
  if (object == NULL) return not_json(catalog, members);
  const mfq_status status = parse_entry(catalog, e, object);
  json_decref(object);
  if (status == MFQ_OK) *k = (known_text){member->from, bytes, e};
  return status;
}

static mfq_status add_quantized(mfq_catalog *catalog, mfq_json_members *members, const mfq_json_member *member,
                                known_text known[KNOWN_TEXTS]) {
  mfq_file_tensor tensor;
  int64_t index = mfq_reader_find(catalog->reader, member->key);
  if (index < 0 || mfq_reader_tensor(catalog->reader, index, &tensor) != MFQ_OK) {
    char text[64];
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, NULL, "metadata mfq_quantized: tensor '%s' is not in the file",
                  mfq_io_printable(member->key, text, sizeof text));
  }
  if (catalog->owners[index] >= 0 && catalog->entries[catalog->owners[index]].name == tensor.name)
    return not_json(catalog, members);
  mfq_catalog_entry *e = &catalog->entries[catalog->count++]; /* one tensor each: there is room */
  e->name = tensor.name;
  e->is_quantized = 1;
  mfq_status status = read_entry(catalog, e, members, member, known);
  if (status != MFQ_OK) return status;
  mfq_part_spec specs[MFQ_PART_COUNT];
  if (mfq_parts_describe(&e->q, &e->sizes, specs) != MFQ_OK)
    return refuse(MFQ_ERROR_CORRUPT_FILE, catalog, e->name, "metadata mfq_quantized: %s", mfq_last_error());
  for (int part = 0; part < MFQ_PART_COUNT; ++part) {
    e->parts[part] = -1;
    if (specs[part].is_present) status = claim_part(catalog, e, (mfq_part)part, &specs[part]);
    if (status != MFQ_OK) return status;
  }
  return MFQ_OK;
}

static mfq_status add_all_quantized(mfq_catalog *catalog) {
  const char *text = mfq_reader_metadata_find(catalog->reader, "mfq_quantized");
  if (text == NULL) return MFQ_OK;
  mfq_json_members members;
  mfq_json_member member;
  if (!mfq_json_begin(&members, text, 0, strlen(text))) return not_json(catalog, &members);
  mfq_status status = MFQ_OK;
  known_text known[KNOWN_TEXTS] = {{0}};
  while (status == MFQ_OK && mfq_json_next(&members, &member)) {
    status = add_quantized(catalog, &members, &member, known);
    free(member.key);
  }
  return status == MFQ_OK && members.is_wrong ? not_json(catalog, &members) : status;
}

static mfq_status add_plain(mfq_catalog *catalog) {
  for (int64_t i = 0; i < mfq_reader_tensor_count(catalog->reader); ++i) {
    if (catalog->owners[i] >= 0) continue;
    mfq_file_tensor tensor;
    mfq_status status = mfq_reader_tensor(catalog->reader, i, &tensor);
    if (status != MFQ_OK) return status;
    catalog->entries[catalog->count++] = (mfq_catalog_entry){.name = tensor.name,
                                                             .dtype = tensor.dtype,
                                                             .rank = tensor.rank,
                                                             .shape = tensor.shape,
                                                             .parts = {i, -1, -1, -1},
                                                             .part_bytes = {tensor.bytes, 0, 0, 0}};
  }
  return MFQ_OK;
}

static int by_first_part(const void *a, const void *b) {
  int64_t x = ((const mfq_catalog_entry *)a)->parts[0], y = ((const mfq_catalog_entry *)b)->parts[0];
  return x < y ? -1 : x > y;
}

static void sort_entries(mfq_catalog *catalog) {
  qsort(catalog->entries, (size_t)catalog->count, sizeof *catalog->entries, by_first_part);
  for (int64_t i = 0; i < catalog->count; ++i) {
    mfq_catalog_entry *e = &catalog->entries[i];
    if (e->is_quantized) e->shape = e->q.shape; /* entries do not move any more */
    for (int part = 0; part < MFQ_PART_COUNT; ++part)
      if (e->parts[part] >= 0) catalog->owners[e->parts[part]] = i;
  }
}

mfq_status mfq_catalog_create(const mfq_reader *reader, mfq_catalog **out) {
  if (reader == NULL || out == NULL)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", reader == NULL ? "reader" : "catalog");
  *out = NULL;
  size_t count = (size_t)mfq_reader_tensor_count(reader);
  mfq_catalog *catalog = calloc(1, sizeof *catalog);
  if (catalog == NULL) return mfq_io_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "%s: no memory", mfq_reader_path(reader));
  catalog->reader = reader;
  catalog->entries = calloc(count + 1, sizeof *catalog->entries);
  catalog->owners = calloc(count + 1, sizeof *catalog->owners);
  mfq_status status = catalog->entries == NULL || catalog->owners == NULL ? no_memory(catalog) : MFQ_OK;
  for (size_t i = 0; status == MFQ_OK && i < count; ++i) catalog->owners[i] = -1;
  if (status == MFQ_OK) status = add_all_quantized(catalog);
  if (status == MFQ_OK) status = add_plain(catalog);
  if (status != MFQ_OK) {
    mfq_catalog_destroy(catalog);
    return status;
  }
  sort_entries(catalog);
  *out = catalog;
  return MFQ_OK;
}

void mfq_catalog_destroy(mfq_catalog *catalog) {
  if (catalog == NULL) return;
  free(catalog->entries);
  free(catalog->owners);
  free(catalog);
}

int64_t mfq_catalog_count(const mfq_catalog *catalog) { return catalog == NULL ? 0 : catalog->count; }

const mfq_catalog_entry *mfq_catalog_get(const mfq_catalog *catalog, int64_t index) {
  return catalog == NULL || index < 0 || index >= catalog->count ? NULL : &catalog->entries[index];
}

int64_t mfq_catalog_owner(const mfq_catalog *catalog, int64_t tensor_index) {
  if (catalog == NULL || tensor_index < 0 || tensor_index >= mfq_reader_tensor_count(catalog->reader)) return -1;
  return catalog->owners[tensor_index];
}

int64_t mfq_catalog_find(const mfq_catalog *catalog, const char *name) {
  if (catalog == NULL) return -1;
  int64_t owner = mfq_catalog_owner(catalog, mfq_reader_find(catalog->reader, name));
  return owner >= 0 && strcmp(catalog->entries[owner].name, name) == 0 ? owner : -1;
}

/* Zero points index tables elsewhere: a byte that is no code of the element must not get through. */
static mfq_status check_zero_points(const mfq_catalog *catalog, const mfq_catalog_entry *e, const void *data,
                                    size_t bytes) {
  const unsigned char *codes = data;
  int32_t bits = e->q.scheme.element.is_signed + e->q.scheme.element.man_bits;
  for (size_t i = 0; i < bytes && e->q.scheme.zero_point == 1; ++i) {
    if (codes[i] >> bits != 0) {
      return mfq_io_fail(MFQ_ERROR_CORRUPT_FILE, "mfq_catalog_read",
                         "%s: tensor '%s': zero point 0x%02x is not a code of %" PRId32 " bits",
                         mfq_reader_path(catalog->reader), e->name, codes[i], bits);
    }
  }
  return MFQ_OK;
}

mfq_status mfq_catalog_read(const mfq_catalog *catalog, int64_t index, mfq_part part, uint64_t offset, size_t bytes,
                            void *dst) {
  const mfq_catalog_entry *e = mfq_catalog_get(catalog, index);
  if (e == NULL || (int)part < 0 || (int)part >= MFQ_PART_COUNT || e->parts[part] < 0) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_catalog_read", "there is no part %d of entry %" PRId64,
                       (int)part, index);
  }
  mfq_status status = mfq_reader_read(catalog->reader, e->parts[part], offset, bytes, dst);
  return status == MFQ_OK && part == MFQ_PART_ZERO_POINTS ? check_zero_points(catalog, e, dst, bytes) : status;
}
