/* host/io/reader_header.c: the header of a safetensors file: JSON to checked tensors. The header is hostile until
 * proven good. */
#define _GNU_SOURCE 1
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "file_dtype.h"
#include "io_error.h"
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

static mfq_status parse_metadata(mfq_reader *reader, json_t *object) {
  if (!json_is_object(object))
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL, "__metadata__ must be an object of strings");
  reader->metadata = calloc(json_object_size(object) + 1, sizeof *reader->metadata);
  if (reader->metadata == NULL) return no_memory(reader);
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    mfq_status status = check_name(reader, "metadata key", key, strlen(key));
    if (status != MFQ_OK) return status;
    if (!json_is_string(value))
      return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL, "metadata '%.200s' must be a string", key);
    mfq_reader_metadata_state *entry = &reader->metadata[reader->metadata_count++];
    entry->key = strdup(key);
    entry->value = strdup(json_string_value(value));
    if (entry->key == NULL || entry->value == NULL) return no_memory(reader);
  }
  return MFQ_OK;
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
  for (size_t i = 0; i < rank; i++) {
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
  if (t->end > reader->data_bytes) {
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name,
                  "data end at byte %" PRIu64 " of only %" PRIu64 "; the file is cut off", t->end, reader->data_bytes);
  }
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

static mfq_status parse_entries(mfq_reader *reader, json_t *root) {
  reader->tensors = calloc(json_object_size(root) + 1, sizeof *reader->tensors);
  if (reader->tensors == NULL) return no_memory(reader);
  const char *key;
  json_t *value;
  json_object_foreach(root, key, value) {
    mfq_status status;
    if (strcmp(key, "__metadata__") == 0) {
      status = parse_metadata(reader, value);
    } else {
      status = check_name(reader, "tensor name", key, strlen(key));
      if (status != MFQ_OK) return status;
      mfq_reader_tensor_state *t = &reader->tensors[reader->tensor_count];
      t->position = reader->tensor_count++;
      t->name = strdup(key);
      status = t->name == NULL ? no_memory(reader) : parse_tensor(reader, t, value);
    }
    if (status != MFQ_OK) return status;
  }
  return MFQ_OK;
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
  for (int64_t i = 0; i < reader->tensor_count; i++) {
    const mfq_reader_tensor_state *t = &reader->tensors[i];
    if (t->begin != covered) {
      return refuse(MFQ_ERROR_CORRUPT_FILE, reader, t->name,
                    "its data begin at byte %" PRIu64 ", but those before end at %" PRIu64 ": %s", t->begin, covered,
                    t->begin > covered ? "there is a hole" : "tensors overlap");
    }
    covered = t->end;
  }
  if (covered != reader->data_bytes) {
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
  for (size_t i = 0; i < count; i++) reader->by_name[i] = (int64_t)i;
  qsort_r(reader->by_name, count, sizeof *reader->by_name, by_name, reader->tensors);
  return MFQ_OK;
}

mfq_status mfq_reader_parse_header(mfq_reader *reader, const char *json, size_t bytes) {
  if (bytes == 0 || json[0] != '{') {
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL,
                  "the header must begin with '{'; this is not a safetensors file");
  }
  json_error_t error;
  json_t *root = json_loadb(json, bytes, JSON_REJECT_DUPLICATES, &error);
  if (root == NULL) {
    char *quote = strstr(error.text, " near "); /* what follows is the file's own text */
    if (quote != NULL) *quote = '\0';
    if (json_error_code(&error) == json_error_out_of_memory) return no_memory(reader);
    return refuse(MFQ_ERROR_CORRUPT_FILE, reader, NULL, "the header is not valid JSON: %s (header byte %d)", error.text,
                  error.position);
  }
  mfq_status status = parse_entries(reader, root);
  json_decref(root);
  if (status != MFQ_OK) return status;
  qsort(reader->tensors, (size_t)reader->tensor_count, sizeof *reader->tensors, by_offset);
  status = check_coverage(reader);
  return status == MFQ_OK ? index_names(reader) : status;
}
