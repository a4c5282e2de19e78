/* mfq/buffer.h: memory on a context's device. */
#ifndef MFQ_BUFFER_H
#define MFQ_BUFFER_H

#include <mfq/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Memory of one device, and which. Since 0.1. */
typedef struct mfq_buffer mfq_buffer;

/* Creates a buffer of `bytes` bytes (0 is allowed), aligned to 256, contents unspecified.
 * Memory: from the context's allocator, on CUDA from cudaMalloc; the context must outlive the buffer.
 * Errors: OUT_OF_MEMORY; on CUDA also DEVICE, and UNSUPPORTED while the stream is being captured into a graph.
 * Since 0.1. */
MFQ_API mfq_status mfq_buffer_create(mfq_context *context, size_t bytes, mfq_buffer **buffer);
/* Frees a buffer, on CUDA once the work of the context's stream is done. NULL is allowed. Since 0.1. */
MFQ_EXPORT void mfq_buffer_destroy(mfq_buffer *buffer);

/* Returns the address on the device; on "cpu" the host may use it directly. NULL for NULL. Since 0.1. */
MFQ_EXPORT void *mfq_buffer_data(const mfq_buffer *buffer);
/* Returns the size in bytes; 0 for NULL. Since 0.1. */
MFQ_EXPORT size_t mfq_buffer_bytes(const mfq_buffer *buffer);

/* Sets every byte of [offset, offset + bytes) to `value`.
 * Async: on CUDA, queued on the context's stream. Errors: SHAPE when the range leaves the buffer; DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_buffer_fill(mfq_buffer *buffer, size_t offset, size_t bytes, uint8_t value);
/* Copies `bytes` bytes from host memory into the buffer at `offset`.
 * Async: after all work of the context's stream; returns when the copy is done.
 * Errors: SHAPE when the range leaves the buffer; INVALID_ARGUMENT for NULL or memory that only a GPU can read; DEVICE;
 *   UNSUPPORTED while the stream is being captured into a graph.
 * Since 0.1. */
MFQ_API mfq_status mfq_buffer_write(mfq_buffer *buffer, size_t offset, const void *host, size_t bytes);
/* Copies `bytes` bytes of the buffer from `offset` to host memory. Async and errors: as for mfq_buffer_write.
 * Since 0.1. */
MFQ_API mfq_status mfq_buffer_read(const mfq_buffer *buffer, size_t offset, void *host, size_t bytes);
/* Copies `bytes` bytes of `src` from `src_offset` into `dst` at `dst_offset`; the buffers are on one device.
 * Memory: the ranges must not overlap.
 * Async: on CUDA, queued on the stream of `dst`'s context; what another context has queued for `src` is not waited for.
 * Errors: SHAPE when a range leaves its buffer; INVALID_ARGUMENT for two devices or ranges that overlap; DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_buffer_copy(mfq_buffer *dst, size_t dst_offset, const mfq_buffer *src, size_t src_offset,
                                   size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
