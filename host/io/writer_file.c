/* host/io/writer_file.c: the temporary file of a writer, from its creation to its final name. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "foreign_file.h"
#include "high_fd.h"
#include "io_error.h"
#include "reader_state.h"
#include "writer_state.h"

enum { LENGTH_BYTES = 8 };

static mfq_status system_error(const mfq_writer *writer, const char *function, const char *what) {
  return mfq_io_fail(MFQ_ERROR_IO, function, "%s: %s: %s", writer->path, what, strerror(errno));
}

void mfq_writer_options_init(mfq_writer_options *options) {
  if (options != NULL) *options = (mfq_writer_options){.struct_size = sizeof *options};
}

/* Splits the path and opens the folder, so that later steps do not depend on the working directory. */
static mfq_status open_folder(mfq_writer *writer, const char *path) {
  const char *function = "mfq_writer_create";
  const char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: not the name of a file", writer->path);
  char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
  writer->file_name = strdup(name);
  if (folder == NULL || writer->file_name == NULL) {
    free(folder);
    return mfq_io_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "%s: no memory for the path", writer->path);
  }
  writer->folder_fd = mfq_high_fd(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  free(folder);
  return writer->folder_fd < 0 ? system_error(writer, function, "cannot open its folder") : MFQ_OK;
}

/* A link may be replaced: then what it leads to is. */
static mfq_status open_target(mfq_writer *writer) {
  struct stat info;
  if (!writer->replace || lstat(writer->path, &info) != 0 || !S_ISLNK(info.st_mode))
    return open_folder(writer, writer->path);
  char *target = realpath(writer->path, NULL);
  if (target == NULL) return system_error(writer, "mfq_writer_create", "cannot follow the link");
  mfq_status status = open_folder(writer, target);
  free(target);
  return status;
}

/* Refuses outputs that are inputs, not regular files, or there already. */
static mfq_status check_output(const mfq_writer *writer, const mfq_writer_options *options) {
  const char *function = "mfq_writer_create";
  struct stat info;
  if (fstatat(writer->folder_fd, writer->file_name, &info, 0) == 0) {
    for (int32_t i = 0; i < options->input_count; ++i) {
      const mfq_reader *input = options->inputs[i];
      if (input != NULL && input->device == info.st_dev && input->inode == info.st_ino) {
        return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: the output is the input %s; choose another name",
                           writer->path, input->path);
      }
    }
    if (!S_ISREG(info.st_mode)) {
      return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: %s, not a regular file; choose another name",
                         writer->path, mfq_mode_name(info.st_mode));
    }
  } else if (errno != ENOENT) {
    return system_error(writer, function, "cannot use this name");
  }
  if (!options->replace && fstatat(writer->folder_fd, writer->file_name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
    return mfq_io_fail(MFQ_ERROR_EXISTS, function, "%s: the file exists; choose another name or allow its replacement",
                       writer->path);
  }
  return MFQ_OK;
}

mfq_status mfq_writer_create(const char *path, const mfq_writer_options *options, mfq_writer **out) {
  const char *function = "mfq_writer_create";
  if (path == NULL || out == NULL)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", path == NULL ? "path" : "writer");
  *out = NULL;
  mfq_writer_options defaults;
  mfq_writer_options_init(&defaults);
  if (options == NULL) options = &defaults;
  if (options->struct_size != sizeof *options || (options->input_count > 0 && options->inputs == NULL))
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "options were not filled by mfq_writer_options_init");
  mfq_writer *writer = calloc(1, sizeof *writer);
  if (writer == NULL) return mfq_io_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "%s: no memory for a writer", path);
  writer->file.fd = writer->folder_fd = -1;
  writer->replace = options->replace;
  writer->path = strdup(path);
  writer->names = json_object();
  writer->metadata = json_object();
  mfq_status status = MFQ_OK;
  if (!writer->path || !writer->names || !writer->metadata)
    status = mfq_io_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "%s: no memory for a writer", path);
  if (status == MFQ_OK) status = open_target(writer);
  if (status == MFQ_OK) status = check_output(writer, options);
  if (status != MFQ_OK) {
    mfq_writer_destroy(writer);
    return status;
  }
  *out = writer;
  return MFQ_OK;
}

void mfq_writer_destroy(mfq_writer *writer) {
  if (writer == NULL) return;
  mfq_temp_discard(&writer->file);
  if (writer->folder_fd >= 0) close(writer->folder_fd);
  for (int64_t i = 0; i < writer->tensor_count; ++i) free(writer->tensors[i].name);
  free(writer->tensors);
  json_decref(writer->names);
  json_decref(writer->metadata);
  free(writer->header.text);
  free(writer->quantized.text);
  free(writer->file_name);
  free(writer->path);
  free(writer);
}

static mfq_status write_at(const mfq_writer *writer, const char *function, uint64_t offset, const void *data,
                           size_t bytes) {
  const char *in = data;
  while (bytes > 0) {
    ssize_t put = pwrite(writer->file.fd, in, bytes, (off_t)offset);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return system_error(writer, function, "cannot write");
    in += put;
    offset += (uint64_t)put;
    bytes -= (size_t)put;
  }
  return MFQ_OK;
}

static mfq_status create_temp(mfq_writer *writer) {
  mfq_temp_sweep(writer->folder_fd);
  if (mfq_temp_create(writer->folder_fd, &writer->file) != 0)
    return system_error(writer, "mfq_writer_begin", "cannot create a temporary file in its folder");
  writer->stage = MFQ_WRITER_WRITING;
  return MFQ_OK;
}

/* Takes the whole size from the disk now, so that a full disk stops the work at its begin. */
static mfq_status reserve(const mfq_writer *writer, uint64_t bytes) {
  const char *function = "mfq_writer_begin";
  struct statvfs disk;
  if (fstatvfs(writer->file.fd, &disk) == 0 && disk.f_blocks > 0) { /* some virtual file systems count no blocks */
    uint64_t unit = disk.f_frsize == 0 ? 1 : disk.f_frsize;
    if (bytes / unit > disk.f_bavail) {
      return mfq_io_fail(MFQ_ERROR_IO, function,
                         "%s: %" PRIu64 " bytes are needed, but only %" PRIu64
                         " are free on its disk; make room or choose another disk",
                         writer->path, bytes, (uint64_t)disk.f_bavail * unit);
    }
  }
  int result;
  do {
    result = fallocate(writer->file.fd, 0, 0, (off_t)bytes);
  } while (result != 0 && errno == EINTR);
  if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS) return MFQ_OK; /* not every file system can reserve */
  return system_error(writer, function, "cannot reserve space for the file");
}

mfq_status mfq_writer_begin(mfq_writer *writer) {
  const char *function = "mfq_writer_begin";
  mfq_status status = mfq_writer_check_describing(writer, function);
  if (status != MFQ_OK) return status;
  size_t bytes = 0;
  char *text = mfq_writer_header_text(writer, function, &bytes, &status);
  if (text == NULL) return status;
  uint64_t length = writer->header_bytes = bytes;
  status = create_temp(writer);
  if (status == MFQ_OK) status = reserve(writer, LENGTH_BYTES + length + writer->data_bytes);
  if (status == MFQ_OK) status = write_at(writer, function, 0, &length, LENGTH_BYTES);
  if (status == MFQ_OK) status = write_at(writer, function, LENGTH_BYTES, text, bytes);
  free(text);
  return status;
}

/* Moves `current` past complete tensors, empty ones included. */
static void skip_complete(mfq_writer *writer) {
  while (writer->current < writer->tensor_count && writer->tensors[writer->current].end <= writer->written)
    ++writer->current;
}

mfq_status mfq_writer_write(mfq_writer *writer, int64_t index, const void *data, size_t bytes) {
  const char *function = "mfq_writer_write";
  if (writer == NULL || (data == NULL && bytes > 0))
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", writer == NULL ? "writer" : "data");
  if (writer->stage != MFQ_WRITER_WRITING || index < 0 || index >= writer->tensor_count) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: %s", writer->path,
                       writer->stage == MFQ_WRITER_WRITING ? "no tensor has this index"
                                                           : "data go between mfq_writer_begin and mfq_writer_finish");
  }
  if (bytes == 0) return MFQ_OK;
  skip_complete(writer);
  const mfq_writer_tensor_state *t = &writer->tensors[index];
  if (index != writer->current || bytes > t->end - writer->written) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: tensor '%s': %zu bytes %s", writer->path, t->name,
                       bytes,
                       index == writer->current ? "are more than it still lacks"
                                                : "are out of turn: tensors are written in the order they were added");
  }
  mfq_status status = write_at(writer, function, LENGTH_BYTES + writer->header_bytes + writer->written, data, bytes);
  if (status == MFQ_OK) writer->written += bytes;
  return status;
}

/* Brings the file to the disk. Some file systems say only when a descriptor is closed that they could not. */
static mfq_status flush(const mfq_writer *writer) {
  const char *function = "mfq_writer_finish";
  if (fsync(writer->file.fd) != 0) return system_error(writer, function, "cannot flush");
  const int copy = fcntl(writer->file.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  return copy < 0 || close(copy) != 0 ? system_error(writer, function, "cannot close") : MFQ_OK;
}

/* A file that replaces another has its mode, and its owner and group as far as this process may give them. */
static void take_rights(const mfq_writer *writer) {
  struct stat old;
  if (!writer->replace || fstatat(writer->folder_fd, writer->file_name, &old, AT_SYMLINK_NOFOLLOW) != 0) return;
  const int fd = writer->file.fd;
  const int is_group = fchown(fd, old.st_uid, old.st_gid) == 0 || fchown(fd, (uid_t)-1, old.st_gid) == 0;
  (void)fchmod(fd, old.st_mode & (is_group ? 0777 : 0707)); /* another group gets nothing */
}

static mfq_status publish(mfq_writer *writer) {
  const char *function = "mfq_writer_finish";
  if (mfq_temp_publish(&writer->file, writer->file_name, writer->replace) == 0) return MFQ_OK;
  if (errno == EEXIST) {
    return mfq_io_fail(MFQ_ERROR_EXISTS, function,
                       "%s: a file of that name has appeared meanwhile; it was left as it is", writer->path);
  }
  return system_error(writer, function, "cannot give the file its name");
}

mfq_status mfq_writer_finish(mfq_writer *writer) {
  const char *function = "mfq_writer_finish";
  if (writer == NULL) return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "writer is NULL");
  if (writer->stage != MFQ_WRITER_WRITING)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: call it once, after mfq_writer_begin", writer->path);
  skip_complete(writer);
  if (writer->current < writer->tensor_count) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: tensor '%s' lacks %" PRIu64 " bytes", writer->path,
                       writer->tensors[writer->current].name, writer->tensors[writer->current].end - writer->written);
  }
  take_rights(writer);
  mfq_status status = flush(writer);
  if (status == MFQ_OK) status = publish(writer);
  if (status != MFQ_OK) return status;
  writer->stage = MFQ_WRITER_FINISHED;
  (void)fsync(writer->folder_fd); /* the file is complete either way; not every file system can flush a folder */
  return MFQ_OK;
}
