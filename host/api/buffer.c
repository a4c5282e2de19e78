/* host/api/buffer.c: buffers: ranges and devices are checked here, so that a backend copies and fills without a
 * question. */
#include <mfq/buffer.h>

#include <stdlib.h>
#include <string.h>

#include "host/core/module/context_state.h"
#include "host/core/error.h"
#include "host/core/process/host_memory.h"

struct mfq_buffer {
  mfq_context *context;
  void *data;
  size_t bytes;
};

mfq_status mfq_buffer_create(mfq_context *context, size_t bytes, mfq_buffer **buffer) {
  static const char function[] = "mfq_buffer_create";
  if (context == NULL || buffer == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", context == NULL ? "context" : "buffer");
  /* No object is larger than PTRDIFF_MAX, so that backends may add what alignment needs. */
  mfq_buffer *made = bytes <= PTRDIFF_MAX ? malloc(sizeof *made) : NULL;
  if (made == NULL) {
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for %zu bytes on device %s", bytes,
                    context->backend->name);
  }
  *made = (mfq_buffer){context, NULL, bytes};
  /* One byte for a size of 0, so that every buffer has an address of its own. */
  mfq_status status = context->backend->buffer_alloc(context, bytes > 0 ? bytes : 1, &made->data);
  if (status == MFQ_OK)
    *buffer = made;
  else
    free(made);
  return status;
}

void mfq_buffer_destroy(mfq_buffer *buffer) {
  if (buffer != NULL) {
    buffer->context->backend->buffer_free(buffer->context, buffer->data);
    free(buffer);
  }
}

void *mfq_buffer_data(const mfq_buffer *buffer) { return buffer != NULL ? buffer->data : NULL; }

size_t mfq_buffer_bytes(const mfq_buffer *buffer) { return buffer != NULL ? buffer->bytes : 0; }

static mfq_status check_range(const char *function, const mfq_buffer *buffer, size_t offset, size_t bytes) {
  if (buffer == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "buffer is NULL");
  if (offset > buffer->bytes || bytes > buffer->bytes - offset) {
    return mfq_fail(MFQ_ERROR_SHAPE, function, "%zu bytes at offset %zu leave the buffer of %zu bytes", bytes, offset,
                    buffer->bytes);
  }
  return MFQ_OK;
}

/* The same, and a host pointer that is there when bytes are copied. */
static mfq_status check_copy(const char *function, const mfq_buffer *buffer, size_t offset, const void *host,
                             size_t bytes) {
  mfq_status status = check_range(function, buffer, offset, bytes);
  if (status != MFQ_OK || bytes == 0) return status;
  if (host == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "host is NULL, but %zu bytes are to be copied", bytes);
  return mfq_host_memory_check(function, "host", NULL, host);
}

static char *place(const mfq_buffer *buffer, size_t offset) { return (char *)buffer->data + offset; }

mfq_status mfq_buffer_fill(mfq_buffer *buffer, size_t offset, size_t bytes, uint8_t value) {
  mfq_status status = check_range("mfq_buffer_fill", buffer, offset, bytes);
  if (status != MFQ_OK || bytes == 0) return status;
  return buffer->context->backend->buffer_fill(buffer->context, place(buffer, offset), value, bytes);
}

mfq_status mfq_buffer_write(mfq_buffer *buffer, size_t offset, const void *host, size_t bytes) {
  mfq_status status = check_copy("mfq_buffer_write", buffer, offset, host, bytes);
  if (status != MFQ_OK || bytes == 0) return status;
  return buffer->context->backend->buffer_write(buffer->context, place(buffer, offset), host, bytes);
}

mfq_status mfq_buffer_read(const mfq_buffer *buffer, size_t offset, void *host, size_t bytes) {
  mfq_status status = check_copy("mfq_buffer_read", buffer, offset, host, bytes);
  if (status != MFQ_OK || bytes == 0) return status;
  return buffer->context->backend->buffer_read(buffer->context, host, place(buffer, offset), bytes);
}

/* Characters of the device's name, with which the context's description begins. */
static int name_length(const mfq_context *context) { return (int)strcspn(context->description, ","); }

static mfq_status check_pair(const char *function, const mfq_buffer *dst, const mfq_buffer *src) {
  if (dst == NULL || src == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", dst == NULL ? "dst" : "src");
  const mfq_context *to = dst->context, *from = src->context;
  if (to->backend == from->backend && to->device_index == from->device_index) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                  "dst is on device %.*s and src on %.*s; copy through the host, with mfq_buffer_read and "
                  "mfq_buffer_write",
                  name_length(to), to->description, name_length(from), from->description);
}

mfq_status mfq_buffer_copy(mfq_buffer *dst, size_t dst_offset, const mfq_buffer *src, size_t src_offset, size_t bytes) {
  static const char function[] = "mfq_buffer_copy";
  mfq_status status = check_pair(function, dst, src);
  if (status == MFQ_OK) status = check_range(function, dst, dst_offset, bytes);
  if (status == MFQ_OK) status = check_range(function, src, src_offset, bytes);
  if (status != MFQ_OK || bytes == 0) return status;
  const size_t low = dst_offset < src_offset ? dst_offset : src_offset;
  const size_t high = dst_offset < src_offset ? src_offset : dst_offset;
  if (dst == src && high - low < bytes) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "%zu bytes at offset %zu and %zu of one buffer overlap; copy by way of another buffer", bytes,
                    src_offset, dst_offset);
  }
  return dst->context->backend->buffer_copy(dst->context, place(dst, dst_offset), place(src, src_offset), bytes);
}
