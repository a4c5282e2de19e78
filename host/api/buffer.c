#include <mfq/buffer.h>

#include <stdlib.h>

#include "../core/context_state.h"
#include "../core/error.h"

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
  /* One byte for a size of 0, so that an address tells success from failure. */
  void *data = made != NULL ? context->backend->buffer_alloc(context, bytes > 0 ? bytes : 1) : NULL;
  if (data == NULL) {
    free(made);
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for %zu bytes on device %s", bytes,
                    context->backend->name);
  }
  *made = (mfq_buffer){context, data, bytes};
  *buffer = made;
  return MFQ_OK;
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
  if (status == MFQ_OK && host == NULL && bytes > 0)
    status = mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "host is NULL, but %zu bytes are to be copied", bytes);
  return status;
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
