/* host/io/reader.c: opening safetensors files, and reading their bytes. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foreign_file.h"
#include "high_fd.h"
#include "io_error.h"
#include "reader_state.h"

enum { LENGTH_BYTES = 8 }; /* of the field before the header */

static mfq_status stat_file(const mfq_reader *reader, const char *function, struct stat *info) {
  if (fstat(reader->fd, info) == 0) return MFQ_OK;
  return mfq_io_fail(MFQ_ERROR_IO, function, "%s: cannot stat: %s", reader->path, strerror(errno));
}

/* What was read since the file was opened belongs together. */
static mfq_status check_unchanged(const mfq_reader *reader, const char *function) {
  struct stat info;
  mfq_status status = stat_file(reader, function, &info);
  if (status != MFQ_OK) return status;
  const struct timespec *then = &reader->changed, *now = &info.st_mtim;
  if ((uint64_t)info.st_size == reader->file_bytes && now->tv_sec == then->tv_sec && now->tv_nsec == then->tv_nsec)
    return MFQ_OK;
  return mfq_io_fail(MFQ_ERROR_IO, function, "%s: the file was changed while it was read; keep it unchanged",
                     reader->path);
}

mfq_status mfq_reader_read_at(const mfq_reader *reader, const char *function, uint64_t offset, size_t bytes,
                              void *dst) {
  char *out = dst;
  while (bytes > 0) {
    ssize_t got = pread(reader->fd, out, bytes, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return mfq_io_fail(MFQ_ERROR_IO, function, "%s: cannot read at byte %" PRIu64 ": %s", reader->path, offset,
                         strerror(errno));
    }
    if (got == 0) {
      return mfq_io_fail(MFQ_ERROR_IO, function,
                         "%s: the file became shorter while it was read: no byte %" PRIu64 " of %" PRIu64
                         "; keep it unchanged",
                         reader->path, offset, reader->file_bytes);
    }
    out += got;
    offset += (uint64_t)got;
    bytes -= (size_t)got;
  }
  return check_unchanged(reader, function);
}

/* Opens the path and notes which file it is. */
static mfq_status open_file(mfq_reader *reader) {
  const char *function = "mfq_reader_open";
  struct stat info;
  /* Before it is opened: opening a socket fails, opening a device may do something. */
  mfq_status status = stat(reader->path, &info) == 0 ? mfq_foreign_check_mode(reader, info.st_mode) : MFQ_OK;
  if (status != MFQ_OK) return status;
  /* Not blocking: a pipe without a writer would wait for ever. */
  reader->fd = mfq_high_fd(open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (reader->fd < 0) {
    status = errno == ENOENT || errno == ENOTDIR ? MFQ_ERROR_NOT_FOUND : MFQ_ERROR_IO;
    return mfq_io_fail(status, function, "%s: cannot open: %s", reader->path, strerror(errno));
  }
  status = stat_file(reader, function, &info);
  if (status == MFQ_OK) status = mfq_foreign_check_mode(reader, info.st_mode);
  if (status != MFQ_OK) return status;
  reader->device = info.st_dev;
  reader->inode = info.st_ino;
  reader->changed = info.st_mtim;
  reader->file_bytes = (uint64_t)info.st_size;
  return mfq_foreign_check_bytes(reader);
}

/* Reads the header's length and checks it before anything of that size is allocated. */
static mfq_status read_length(mfq_reader *reader) {
  const char *function = "mfq_reader_open";
  if (reader->file_bytes < LENGTH_BYTES) {
    return mfq_io_fail(MFQ_ERROR_CORRUPT_FILE, function,
                       "%s: too short for a safetensors file: %" PRIu64 " bytes, at least 8 are needed", reader->path,
                       reader->file_bytes);
  }
  uint64_t length = 0;
  mfq_status status = mfq_reader_read_at(reader, function, 0, LENGTH_BYTES, &length);
  if (status != MFQ_OK) return status;
  if (length > MFQ_FILE_MAX_HEADER) {
    return mfq_io_fail(MFQ_ERROR_CORRUPT_FILE, function,
                       "%s: header length %" PRIu64 " is above the limit of %u; this is not a safetensors file",
                       reader->path, length, MFQ_FILE_MAX_HEADER);
  }
  if (length > reader->file_bytes - LENGTH_BYTES) {
    return mfq_io_fail(MFQ_ERROR_CORRUPT_FILE, function,
                       "%s: header length %" PRIu64 " does not fit in a file of %" PRIu64
                       " bytes: the file is cut off, or damaged; copy or download it again",
                       reader->path, length, reader->file_bytes);
  }
  reader->header_bytes = length;
  reader->data_bytes = reader->file_bytes - LENGTH_BYTES - length;
  return MFQ_OK;
}

static mfq_status read_header(mfq_reader *reader) {
  mfq_status status = read_length(reader);
  if (status != MFQ_OK) return status;
  size_t bytes = (size_t)reader->header_bytes;
  char *text = malloc(bytes + 1);
  if (text == NULL) {
    return mfq_io_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_reader_open", "%s: no memory for a header of %zu bytes",
                       reader->path, bytes);
  }
  status = mfq_reader_read_at(reader, "mfq_reader_open", LENGTH_BYTES, bytes, text);
  text[bytes] = '\0';
  if (status == MFQ_OK) status = mfq_reader_parse_header(reader, text, bytes);
  free(text);
  return status;
}

mfq_status mfq_reader_open(const char *path, mfq_reader **out) {
  if (path == NULL || out == NULL)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_reader_open", "%s is NULL", path == NULL ? "path" : "reader");
  *out = NULL;
  mfq_reader *reader = calloc(1, sizeof *reader);
  if (reader != NULL) {
    reader->fd = -1;
    reader->path = strdup(path);
  }
  if (reader == NULL || reader->path == NULL) {
    mfq_reader_close(reader);
    return mfq_io_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_reader_open", "%s: no memory for a reader", path);
  }
  mfq_status status = open_file(reader);
  if (status == MFQ_OK) status = read_header(reader);
  if (status != MFQ_OK) {
    mfq_reader_close(reader);
    return status;
  }
  *out = reader;
  return MFQ_OK;
}

void mfq_reader_close(mfq_reader *reader) {
  if (reader == NULL) return;
  for (int64_t i = 0; i < reader->tensor_count; ++i) {
    free(reader->tensors[i].name);
    free(reader->tensors[i].shape);
  }
  for (int64_t i = 0; i < reader->metadata_count; ++i) {
    free(reader->metadata[i].key);
    free(reader->metadata[i].value);
  }
  free(reader->tensors);
  free(reader->metadata);
  free(reader->by_name);
  free(reader->path);
  if (reader->fd >= 0) close(reader->fd);
  free(reader);
}

const char *mfq_reader_path(const mfq_reader *reader) { return reader == NULL ? "" : reader->path; }

uint64_t mfq_reader_file_bytes(const mfq_reader *reader) { return reader == NULL ? 0 : reader->file_bytes; }

uint64_t mfq_reader_header_bytes(const mfq_reader *reader) { return reader == NULL ? 0 : reader->header_bytes; }

int64_t mfq_reader_tensor_count(const mfq_reader *reader) { return reader == NULL ? 0 : reader->tensor_count; }

int64_t mfq_reader_metadata_count(const mfq_reader *reader) { return reader == NULL ? 0 : reader->metadata_count; }

/* Checks the arguments that functions with an index share. */
static mfq_status check_index(const char *function, const mfq_reader *reader, int64_t index, int64_t count) {
  if (reader == NULL) return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "reader is NULL");
  if (index < 0 || index >= count) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "index %" PRId64 " is not in 0 ... %" PRId64, index,
                       count - 1);
  }
  return MFQ_OK;
}

mfq_status mfq_reader_tensor(const mfq_reader *reader, int64_t index, mfq_file_tensor *tensor) {
  mfq_status status = check_index("mfq_reader_tensor", reader, index, mfq_reader_tensor_count(reader));
  if (status != MFQ_OK) return status;
  if (tensor == NULL) return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_reader_tensor", "tensor is NULL");
  const mfq_reader_tensor_state *t = &reader->tensors[index];
  *tensor = (mfq_file_tensor){t->name, t->dtype, t->rank, t->shape, t->begin, t->end - t->begin};
  return MFQ_OK;
}

int64_t mfq_reader_find(const mfq_reader *reader, const char *name) {
  if (reader == NULL || name == NULL) return -1;
  int64_t low = 0, high = reader->tensor_count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    int order = strcmp(name, reader->tensors[reader->by_name[middle]].name);
    if (order == 0) return reader->by_name[middle];
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return -1;
}

mfq_status mfq_reader_metadata(const mfq_reader *reader, int64_t index, const char **key, const char **value) {
  mfq_status status = check_index("mfq_reader_metadata", reader, index, mfq_reader_metadata_count(reader));
  if (status != MFQ_OK) return status;
  if (key == NULL || value == NULL)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_reader_metadata", "%s is NULL", key == NULL ? "key" : "value");
  *key = reader->metadata[index].key;
  *value = reader->metadata[index].value;
  return MFQ_OK;
}

const char *mfq_reader_metadata_find(const mfq_reader *reader, const char *key) {
  if (reader == NULL || key == NULL) return NULL;
  for (int64_t i = 0; i < reader->metadata_count; ++i)
    if (strcmp(reader->metadata[i].key, key) == 0) return reader->metadata[i].value;
  return NULL;
}

mfq_status mfq_reader_read(const mfq_reader *reader, int64_t index, uint64_t offset, size_t bytes, void *dst) {
  const char *function = "mfq_reader_read";
  mfq_status status = check_index(function, reader, index, mfq_reader_tensor_count(reader));
  if (status != MFQ_OK) return status;
  const mfq_reader_tensor_state *t = &reader->tensors[index];
  uint64_t size = t->end - t->begin;
  if (offset > size || bytes > size - offset) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                       "%s: tensor '%s': %zu bytes at %" PRIu64 " are not within its %" PRIu64 " bytes", reader->path,
                       t->name, bytes, offset, size);
  }
  if (dst == NULL && bytes > 0) return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "dst is NULL");
  return mfq_reader_read_at(reader, function, LENGTH_BYTES + reader->header_bytes + t->begin + offset, bytes, dst);
}
