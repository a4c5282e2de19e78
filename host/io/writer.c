/* host/io/writer.c: describing a safetensors file: its tensors, its metadata, its header. */
#define _GNU_SOURCE 1
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "file_dtype.h"
#include "io_error.h"
#include "writer_state.h"

enum { LENGTH_BYTES = 8, HEADER_ALIGN = 8 };

static mfq_status no_memory(const mfq_writer *writer, const char *function) {
  return mfq_io_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "%s: no memory for the header's entries", writer->path);
}

mfq_status mfq_writer_check_describing(const mfq_writer *writer, const char *function) {
  if (writer == NULL) return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "writer is NULL");
  if (writer->stage != MFQ_WRITER_DESCRIBING) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                       "%s: the file is being written already; describe it before mfq_writer_begin", writer->path);
  }
  return MFQ_OK;
}

static mfq_status set_metadata(mfq_writer *writer, const char *function, const char *key, const char *value) {
  json_t *text = json_string(value);
  if (text == NULL || json_object_set_new(writer->metadata, key, text) != 0) {
    if (mfq_io_is_utf8(key) && mfq_io_is_utf8(value)) return no_memory(writer, function);
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: a metadata key or its value is not UTF-8",
                       writer->path);
  }
  return MFQ_OK;
}

mfq_status mfq_writer_add_metadata(mfq_writer *writer, const char *key, const char *value) {
  const char *function = "mfq_writer_add_metadata";
  mfq_status status = mfq_writer_check_describing(writer, function);
  if (status != MFQ_OK) return status;
  if (key == NULL || value == NULL)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", key == NULL ? "key" : "value");
  if (strcmp(key, "mfq_version") == 0 || strcmp(key, "mfq_quantized") == 0) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: metadata '%s' is filled by the writer itself",
                       writer->path, key);
  }
  if (strlen(key) > MFQ_FILE_MAX_NAME || mfq_io_find_control(key) >= 0) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                       "%s: a metadata key has a control character or more than %d bytes", writer->path,
                       MFQ_FILE_MAX_NAME);
  }
  if (json_object_get(writer->metadata, key) != NULL)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: metadata '%s' is there already", writer->path, key);
  return set_metadata(writer, function, key, value);
}

static mfq_status check_tensor(const mfq_writer *writer, const char *function, const char *name, int32_t rank,
                               const int64_t *shape) {
  if (name == NULL) return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "name is NULL");
  char text[64];
  mfq_io_printable(name, text, sizeof text);
  if (strlen(name) > MFQ_FILE_MAX_NAME || mfq_io_find_control(name) >= 0 || strcmp(name, "__metadata__") == 0) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                       "%s: tensor '%s': its name is reserved, has a control character, or has more than %d bytes",
                       writer->path, text, MFQ_FILE_MAX_NAME);
  }
  if (json_object_get(writer->names, name) != NULL) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                       "%s: tensor '%s': the name is taken already; rename one of the two", writer->path, name);
  }
  if (rank < 0 || rank > MFQ_FILE_MAX_RANK) {
    return mfq_io_fail(MFQ_ERROR_SHAPE, function, "%s: tensor '%s': rank %" PRId32 " is not in 0 ... %d", writer->path,
                       name, rank, MFQ_FILE_MAX_RANK);
  }
  if (shape == NULL && rank > 0) return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "shape is NULL");
  return MFQ_OK;
}

/* Makes room for one more tensor. Returns 0, or -1 when out of memory. */
static int grow(mfq_writer *writer) {
  if (writer->tensor_count < writer->tensor_capacity) return 0;
  int64_t capacity = writer->tensor_capacity == 0 ? 64 : 2 * writer->tensor_capacity;
  void *grown = realloc(writer->tensors, (size_t)capacity * sizeof *writer->tensors);
  if (grown == NULL) return -1;
  writer->tensors = grown;
  writer->tensor_capacity = capacity;
  return 0;
}

static json_t *entry_json(const char *dtype, int32_t rank, const int64_t *shape, const mfq_writer_tensor_state *t) {
  json_t *sizes = json_array();
  for (int32_t i = 0; i < rank; ++i) {
    if (json_array_append_new(sizes, json_integer(shape[i])) != 0) {
      json_decref(sizes);
      return NULL;
    }
  }
  return json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtype, "shape", sizes, "data_offsets", (json_int_t)t->begin,
                   (json_int_t)t->end);
}

mfq_status mfq_writer_add_tensor(mfq_writer *writer, const char *name, mfq_file_dtype dtype, int32_t rank,
                                 const int64_t *shape, int64_t *index) {
  const char *function = "mfq_writer_add_tensor";
  mfq_status status = mfq_writer_check_describing(writer, function);
  if (status == MFQ_OK) status = check_tensor(writer, function, name, rank, shape);
  if (status != MFQ_OK) return status;
  if (mfq_file_dtype_bits(dtype) == 0) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: tensor '%s': %d is not a dtype", writer->path, name,
                       (int)dtype);
  }
  uint64_t bytes = 0, end = 0;
  if (mfq_file_tensor_bytes(dtype, rank, shape, &bytes) != 0 ||
      __builtin_add_overflow(writer->data_bytes, bytes, &end) || end > INT64_MAX / 2) {
    return mfq_io_fail(MFQ_ERROR_SHAPE, function,
                       "%s: tensor '%s': its size is negative, overflows or is not whole bytes", writer->path, name);
  }
  if (grow(writer) != 0) return no_memory(writer, function);
  mfq_writer_tensor_state t = {strdup(name), writer->data_bytes, end};
  json_t *entry = t.name == NULL ? NULL : entry_json(mfq_file_dtype_name(dtype), rank, shape, &t);
  if (entry == NULL) {
    free(t.name);
    return no_memory(writer, function);
  }
  if (json_object_set_new(writer->names, name, json_true()) != 0) {
    json_decref(entry);
    free(t.name);
    if (mfq_io_is_utf8(name)) return no_memory(writer, function);
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: the name of a tensor is not UTF-8", writer->path);
  }
  if (mfq_member_text_add(&writer->header, name, entry) != 0) {
    (void)json_object_del(writer->names, name);
    free(t.name);
    return no_memory(writer, function);
  }
  if (index != NULL) *index = writer->tensor_count;
  writer->tensors[writer->tensor_count++] = t;
  writer->data_bytes = end;
  return MFQ_OK;
}

/* Writes what the writer says itself into the metadata. */
static mfq_status set_own_metadata(mfq_writer *writer, const char *function) {
  const size_t bytes = writer->quantized.bytes;
  if (bytes == 0) return MFQ_OK;
  char *text = malloc(bytes + sizeof "{}");
  if (text == NULL) return no_memory(writer, function);
  text[0] = '{';
  memcpy(text + 1, writer->quantized.text, bytes);
  memcpy(text + 1 + bytes, "}", sizeof "}");
  mfq_status status = set_metadata(writer, function, "mfq_version", MFQ_VERSION_STRING);
  if (status == MFQ_OK) status = set_metadata(writer, function, "mfq_quantized", text);
  free(text);
  return status;
}

char *mfq_writer_header_text(mfq_writer *writer, const char *function, size_t *bytes, mfq_status *status) {
  *status = set_own_metadata(writer, function);
  if (*status != MFQ_OK) return NULL;
  mfq_member_text metadata = {NULL, 0, 0};
  const mfq_member_text *header = &writer->header;
  const int has_metadata = json_object_size(writer->metadata) > 0;
  const int failed = has_metadata && mfq_member_text_add(&metadata, "__metadata__", json_incref(writer->metadata)) != 0;
  const int has_both = metadata.bytes > 0 && header->bytes > 0;
  const size_t length = metadata.bytes + header->bytes + (size_t)has_both + 2;
  const size_t padded = (length + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
  char *text = NULL;
  if (failed) {
    *status = no_memory(writer, function);
  } else if (padded > MFQ_FILE_MAX_HEADER) {
    *status = mfq_io_fail(MFQ_ERROR_UNSUPPORTED, function, "%s: the header has %zu bytes; at most %u are allowed",
                          writer->path, padded, MFQ_FILE_MAX_HEADER);
  } else if ((text = malloc(padded)) == NULL) {
    *status = no_memory(writer, function);
  } else {
    memset(text, ' ', padded);
    text[0] = '{';
    if (metadata.bytes > 0) memcpy(text + 1, metadata.text, metadata.bytes);
    if (has_both) text[1 + metadata.bytes] = ',';
    if (header->bytes > 0) memcpy(text + length - 1 - header->bytes, header->text, header->bytes);
    text[length - 1] = '}';
    *bytes = padded;
  }
  free(metadata.text);
  return text;
}

mfq_status mfq_writer_file_bytes(mfq_writer *writer, uint64_t *bytes) {
  const char *function = "mfq_writer_file_bytes";
  if (writer == NULL || bytes == NULL)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", writer == NULL ? "writer" : "bytes");
  size_t header_bytes = 0;
  mfq_status status = MFQ_OK;
  char *text = mfq_writer_header_text(writer, function, &header_bytes, &status);
  if (text == NULL) return status;
  free(text);
  *bytes = LENGTH_BYTES + header_bytes + writer->data_bytes;
  return MFQ_OK;
}
