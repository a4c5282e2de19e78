/* host/io/reader_header.c: the header of a safetensors file: JSON to checked tensors. The header is hostile until
 * proven good. */
#define _GNU_SOURCE 1
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file_dtype.h"
#include "io_error.h"
#include "json_members.h"
#include "reader_state.h"

static const char function[] = "mfq_reader_open";

/* Fails with "path: tensor 'name': sentence"; without a name, "path: sentence". */
__attribute__((format(printf, 4, 5))) static mfq_status refuse(mfq_status status, const mfq_reader *reader,
                                                               const char *name, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (name == NULL) return mfq_io_fail(status, function, "%s: %s", reader->path, text);
  return mfq_io_fail(status, function, "%s: tensor '%s': %s", reader->path, name, text);
}

static mfq_status no_memory(const mfq_reader *reader) {
  return refuse(MFQ_ERROR_OUT_OF_MEMORY, reader, NULL, "no memory for the header's entries");
}

static mfq_status check_name(const mfq_reader *reader, const char *what, const char *name, size_t bytes) {
  if (bytes > MFQ_FILE_MAX_NAME) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL, "a %s has %zu bytes; at most %d are allowed", what, bytes,
                  MFQ_FILE_MAX_NAME);
  }
  ptrdiff_t at = mfq_io_find_control(name);
  if (at >= 0) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL, "a %s has a control character at its byte %td; none is allowed",
                  what, at);
  }
  return MFQ_OK;
}

static mfq_status not_json(const mfq_reader *reader, const mfq_json_members *members) {
  if (members->is_no_memory) return no_memory(reader);
  return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL, "the header is not valid JSON: %s (header byte %zu)",
                members->why, members->at);
}

static mfq_status duplicate(const mfq_reader *reader, const char *what, const char *name) {
  char text[256];
  return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL, "the header has a duplicate %s: '%s'", what,
                mfq_io_printable(name, text, sizeof text));
}

/* Makes room for one more than `count` items, in steps of powers of two; NULL when there is no memory. */
static void *room_for_more(void *items, int64_t count, size_t bytes) {
  if ((count & (count - 1)) != 0) return items;
  return reallocarray(items, count > 0 ? 2 * (size_t)count : 1, bytes);
}

static mfq_status parse_metadata_entry(mfq_reader *reader, mfq_json_members *members, const mfq_json_member *member,
                                       mfq_reader_metadata_state *entry) {
  mfq_status status = check_name(reader, "metadata key", entry->key, strlen(entry->key));
  if (status != MFQ_OK) return status;
  if (members->text[member->from] != '"') {
    char text[256];
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL, "metadata '%s' must be a string",
                  mfq_io_printable(entry->key, text, sizeof text));
  }
  entry->value = mfq_json_text(members, member);
  return entry->value != NULL ? MFQ_OK : not_json(reader, members);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static mfq_status check_metadata_keys(const mfq_reader *reader) {
  const size_t count = (size_t)reader->metadata_count;
  const char **keys = calloc(count + 1, sizeof *keys);
  if (keys == NULL) return no_memory(reader);
  for (size_t i = 0; i < count; ++i) keys[i] = reader->metadata[i].key;
  qsort(keys, count, sizeof *keys, by_text);
  mfq_status status = MFQ_OK;
  for (size_t i = 1; i < count && status == MFQ_OK; ++i)
    if (strcmp(keys[i - 1], keys[i]) == 0) status = duplicate(reader, "metadata key", keys[i]);
  free(keys);
  return status;
}

static mfq_status parse_metadata(mfq_reader *reader, const char *json, const mfq_json_member *object) {
  if (object->to - object->from == 4 && memcmp(json + object->from, "null", 4) == 0)
    return MFQ_OK; /* the reference implementation takes it for none */
  if (json[object->from] != '{')
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL, "__metadata__ must be an object of strings, or null");
  mfq_json_members members;
  mfq_json_member member;
  if (!mfq_json_begin(&members, json, object->from, object->to)) return not_json(reader, &members);
  while (mfq_json_next(&members, &member)) {
    void *grown = room_for_more(reader->metadata, reader->metadata_count, sizeof *reader->metadata);
    if (grown == NULL) {
      free(member.key);
      return no_memory(reader);
    }
    reader->metadata = grown;
    mfq_reader_metadata_state *entry = &reader->metadata[reader->metadata_count++];
    *entry = (mfq_reader_metadata_state){.key = member.key};
    mfq_status status = parse_metadata_entry(reader, &members, &member, entry);
    if (status != MFQ_OK) return status;
  }
  return members.is_wrong ? not_json(reader, &members) : check_metadata_keys(reader);
}

static mfq_status parse_dtype(const mfq_reader *reader, mfq_reader_tensor_state *t, const json_t *value) {
  if (!json_is_string(value)) return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name, "dtype must be a string");
  t->dtype = mfq_file_dtype_find(json_string_value(value));
  if (t->dtype != 0) return MFQ_OK;
  char text[64];
  return refuse(MFQ_ERROR_UNSUPPORTED, reader, t->name, "dtype '%s' is not known to this version",
                mfq_io_printable(json_string_value(value), text, sizeof text));
}

static mfq_status parse_shape(const mfq_reader *reader, mfq_reader_tensor_state *t, const json_t *value) {
  if (!json_is_array(value)) return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name, "shape must be an array");
  size_t rank = json_array_size(value);
  if (rank > MFQ_FILE_MAX_RANK) {
    return refuse(MFQ_ERROR_UNSUPPORTED, reader, t->name, "%zu axes; at most %d are supported", rank,
                  MFQ_FILE_MAX_RANK);
  }
  t->rank = (int32_t)rank;
  t->shape = rank == 0 ? NULL : calloc(rank, sizeof *t->shape);
  if (rank > 0 && t->shape == NULL) return no_memory(reader);
  for (size_t i = 0; i < rank; ++i) {
    const json_t *size = json_array_get(value, i);
    if (!json_is_integer(size) || json_integer_value(size) < 0)
      return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name, "size of axis %zu must be an integer of at least 0", i);
    t->shape[i] = json_integer_value(size);
  }
  return MFQ_OK;
}

static mfq_status parse_offsets(const mfq_reader *reader, mfq_reader_tensor_state *t, const json_t *value) {
  const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
  if (json_array_size(value) != 2 || !json_is_integer(begin) || !json_is_integer(end) || json_integer_value(begin) < 0)
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name, "data_offsets must be two integers of at least 0");
  if (json_integer_value(end) < json_integer_value(begin))
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name, "data_offsets are reversed: the end is before the begin");
  t->begin = (uint64_t)json_integer_value(begin);
  t->end = (uint64_t)json_integer_value(end);
  return MFQ_OK;
}

static mfq_status parse_tensor(const mfq_reader *reader, mfq_reader_tensor_state *t, const json_t *entry) {
  const json_t *dtype = json_object_get(entry, "dtype");
  const json_t *shape = json_object_get(entry, "shape");
  const json_t *offsets = json_object_get(entry, "data_offsets");
  if (!json_is_object(entry) || dtype == NULL || shape == NULL || offsets == NULL || json_object_size(entry) != 3) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name,
                  "its entry must have dtype, shape and data_offsets, and nothing else");
  }
  mfq_status status = parse_dtype(reader, t, dtype);
  if (status == MFQ_OK) status = parse_shape(reader, t, shape);
  if (status == MFQ_OK) status = parse_offsets(reader, t, offsets);
  if (status != MFQ_OK) return status;
  uint64_t bytes = 0;
  if (mfq_file_tensor_bytes(t->dtype, t->rank, t->shape, &bytes) != 0) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name,
                  "its shape gives a size that overflows or is not whole bytes");
  }
  if (bytes != t->end - t->begin) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name,
                  "shape and dtype need %" PRIu64 " bytes, but data_offsets span %" PRIu64, bytes, t->end - t->begin);
  }
  return MFQ_OK;
}

static mfq_status add_tensor(mfq_reader *reader, mfq_json_members *members, const mfq_json_member *member) {
  void *grown = room_for_more(reader->tensors, reader->tensor_count, sizeof *reader->tensors);
  if (grown == NULL) {
    free(member->key);
    return no_memory(reader);
  }
  reader->tensors = grown;
  mfq_reader_tensor_state *t = &reader->tensors[reader->tensor_count];
  *t = (mfq_reader_tensor_state){.name = member->key, .position = reader->tensor_count++};
  mfq_status status = check_name(reader, "tensor name", t->name, strlen(t->name));
  if (status != MFQ_OK) return status;
  if (member->to - member->from > MFQ_JSON_MEMBER_BYTES) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name, "its entry has %zu bytes; at most %d are allowed",
                  member->to - member->from, MFQ_JSON_MEMBER_BYTES);
  }
  json_t *entry = mfq_json_value(members, member);
  if (entry == NULL) return not_json(reader, members);
  status = parse_tensor(reader, t, entry);
  json_decref(entry);
  return status;
}

static mfq_status parse_entries(mfq_reader *reader, const char *json, size_t bytes) {
  mfq_json_members members;
  mfq_json_member member;
  int has_metadata = 0;
  if (!mfq_json_begin(&members, json, 0, bytes)) return not_json(reader, &members);
  while (mfq_json_next(&members, &member)) {
    mfq_status status;
    if (strcmp(member.key, "__metadata__") == 0) {
      free(member.key);
      status = has_metadata ? duplicate(reader, "key", "__metadata__") : parse_metadata(reader, json, &member);
      has_metadata = 1;
    } else {
      status = add_tensor(reader, &members, &member);
    }
    if (status != MFQ_OK) return status;
  }
  return members.is_wrong ? not_json(reader, &members) : MFQ_OK;
}

static int by_offset(const void *a, const void *b) {
  const mfq_reader_tensor_state *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return x->position < y->position ? -1 : x->position > y->position;
}

/* The tensors, by offset, must cover the data without holes and overlaps. */
static mfq_status check_coverage(const mfq_reader *reader) {
  uint64_t covered = 0;
  for (int64_t i = 0; i < reader->tensor_count; ++i) {
    const mfq_reader_tensor_state *t = &reader->tensors[i];
    if (t->begin != covered) {
      return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name,
                    "its data begin at byte %" PRIu64 ", but those before end at %" PRIu64 ": %s", t->begin, covered,
                    t->begin > covered ? "there is a hole" : "tensors overlap");
    }
    covered = t->end;
  }
  if (covered > reader->data_bytes) {
    const uint64_t missing = covered - reader->data_bytes;
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL,
                  "the file is cut off: it has %" PRIu64 " bytes, and its header promises %" PRIu64
                  " more; copy or download it again",
                  reader->file_bytes, missing);
  }
  if (covered < reader->data_bytes) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL,
                  "tensors end at byte %" PRIu64 " of the data, but there are %" PRIu64 ": trailing bytes", covered,
                  reader->data_bytes);
  }
  return MFQ_OK;
}

static int by_name(const void *a, const void *b, void *tensors) {
  const mfq_reader_tensor_state *t = tensors;
  return strcmp(t[*(const int64_t *)a].name, t[*(const int64_t *)b].name);
}

static mfq_status index_names(mfq_reader *reader) {
  size_t count = (size_t)reader->tensor_count;
  reader->by_name = calloc(count + 1, sizeof *reader->by_name);
  if (reader->by_name == NULL) return no_memory(reader);
  for (size_t i = 0; i < count; ++i) reader->by_name[i] = (int64_t)i;
  qsort_r(reader->by_name, count, sizeof *reader->by_name, by_name, reader->tensors);
  for (size_t i = 1; i < count; ++i) {
    const char *name = reader->tensors[reader->by_name[i]].name;
    if (strcmp(reader->tensors[reader->by_name[i - 1]].name, name) == 0) return duplicate(reader, "tensor", name);
  }
  return MFQ_OK;
}

mfq_status mfq_reader_parse_header(mfq_reader *reader, const char *json, size_t bytes) {
  if (bytes == 0 || json[0] != '{') {
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL,
                  "the header must begin with '{'; this is not a safetensors file");
  }
  mfq_status status = parse_entries(reader, json, bytes);
  if (status != MFQ_OK) return status;
  if (reader->tensor_count > 0)
    qsort(reader->tensors, (size_t)reader->tensor_count, sizeof *reader->tensors, by_offset);
  status = index_names(reader);
  return status == MFQ_OK ? check_coverage(reader) : status;
}
