/* cuda/memory_cuda.cu: buffers, and whose memory a pointer is. */
#include "cuda_context.h"
#include "launch.cuh"

namespace {

/* Waits for a copy to or from the host that was just queued. */
mfq_status finish_copy(mfq_context *context, cudaError_t queued, const char *function) {
  const mfq_status status = mfq_cuda_queued(context, queued, function);
  if (status != MFQ_OK) return status;
  return mfq_cuda_status(context, cudaStreamSynchronize(mfq_cuda_state_of(context)->stream), function);
}

/* A copy between host and device, which is over when it returns. */
mfq_status copy_and_wait(mfq_context *context, void *dst, const void *src, size_t bytes, cudaMemcpyKind kind) {
  const char *function = kind == cudaMemcpyHostToDevice ? "mfq_buffer_write" : "mfq_buffer_read";
  return mfq_cuda_enter(context, function, [&] {
    const mfq_status status = mfq_cuda_refuse_capture(context, function, "copies to and from the host wait for it");
    if (status != MFQ_OK) return status;
    return finish_copy(context, cudaMemcpyAsync(dst, src, bytes, kind, mfq_cuda_state_of(context)->stream), function);
  });
}

mfq_status fail_memory(const mfq_context *context, size_t bytes, const char *function) {
  size_t free_bytes = 0, total = 0;
  (void)cudaGetLastError();
  (void)cudaMemGetInfo(&free_bytes, &total);
  return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function,
                  "no memory for %zu bytes on device cuda:%d: %zu of its %zu bytes "
                  "are free",
                  bytes, mfq_cuda_state_of(context)->device, free_bytes, total);
}

/* Whether kernels of `device` can use memory with these attributes. */
bool is_reachable(const cudaPointerAttributes &attributes, const void *memory, int device) {
  switch (attributes.type) {
    case cudaMemoryTypeManaged: return true;
    case cudaMemoryTypeDevice: return attributes.device == device;
    case cudaMemoryTypeHost: return attributes.devicePointer == memory; /* page-locked, and mapped at its own address */
    default: return false;
  }
}

/* On the context's device. */
mfq_status check_part(mfq_context *context, const mfq_memory *part) {
  const char *function = part->where.function, *argument = part->where.argument, *name = part->name;
  const void *memory = (const void *)part->bytes.low;
  const int device = mfq_cuda_state_of(context)->device;
  cudaPointerAttributes attributes = {};
  const cudaError_t error = cudaPointerGetAttributes(&attributes, memory);
  if (error == cudaErrorInvalidValue) {
    (void)cudaGetLastError(); /* memory that CUDA does not know */
    attributes.type = cudaMemoryTypeUnregistered;
  } else if (error != cudaSuccess) {
    return mfq_cuda_status(context, error, function);
  }
  if (is_reachable(attributes, memory, device)) return MFQ_OK;
  if (attributes.type == cudaMemoryTypeDevice)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "%s: %s is %p, memory of device cuda:%d, but the context's device is cuda:%d; copy it there or use "
                    "a context on cuda:%d",
                    argument, name, memory, attributes.device, device, attributes.device);
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                  "%s: %s is %p, memory of the host, but the context's device is cuda:%d; copy it to a buffer "
                  "(mfq_buffer_write) or use a context on cpu",
                  argument, name, memory, device);
}

} // namespace

mfq_status mfq_cuda_check_memory(mfq_context *context, const mfq_parts *parts) {
  const mfq_memory *part = parts->items, *end = part + parts->count;
  while (part < end && part->bytes.low == part->bytes.high) ++part;
  if (part == end) return MFQ_OK;
  return mfq_cuda_enter(context, part->where.function, [&] {
    mfq_status status = MFQ_OK;
    for (; part < end && status == MFQ_OK; ++part)
      if (part->bytes.low != part->bytes.high) status = check_part(context, part);
    return status;
  });
}

mfq_status mfq_cuda_buffer_alloc(mfq_context *context, size_t bytes, void **memory) {
  static const char function[] = "mfq_buffer_create";
  return mfq_cuda_enter(context, function, [&] {
    const mfq_status status = mfq_cuda_refuse_capture(context, function, "memory cannot become part of it");
    if (status != MFQ_OK) return status;
    const mfq_cuda_relaxed relaxed;
    const cudaError_t error = cudaMalloc(memory, bytes);
    return error == cudaErrorMemoryAllocation ? fail_memory(context, bytes, function)
                                              : mfq_cuda_status(context, error, function);
  });
}

void mfq_cuda_buffer_free(mfq_context *context, void *memory) {
  const mfq_cuda_state *state = mfq_cuda_state_of(context);
  const mfq_cuda_scope scope(state->device);
  const mfq_cuda_relaxed relaxed;
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusActive;
  if (state->lost == cudaSuccess && cudaStreamIsCapturing(state->stream, &capture) == cudaSuccess &&
      capture == cudaStreamCaptureStatusNone)
    (void)cudaStreamSynchronize(state->stream); /* an error there comes again at the next call */
  (void)cudaFree(memory);
  (void)cudaGetLastError();
}

mfq_status mfq_cuda_buffer_fill(mfq_context *context, void *memory, uint8_t value, size_t bytes) {
  static const char function[] = "mfq_buffer_fill";
  return mfq_cuda_enter(context, function, [&] {
    return mfq_cuda_queued(context, cudaMemsetAsync(memory, value, bytes, mfq_cuda_state_of(context)->stream),
                           function);
  });
}

mfq_status mfq_cuda_buffer_write(mfq_context *context, void *memory, const void *host, size_t bytes) {
  return copy_and_wait(context, memory, host, bytes, cudaMemcpyHostToDevice);
}

mfq_status mfq_cuda_buffer_read(mfq_context *context, void *host, const void *memory, size_t bytes) {
  return copy_and_wait(context, host, memory, bytes, cudaMemcpyDeviceToHost);
}

mfq_status mfq_cuda_buffer_copy(mfq_context *context, void *dst, const void *src, size_t bytes) {
  static const char function[] = "mfq_buffer_copy";
  return mfq_cuda_enter(context, function, [&] {
    const cudaStream_t stream = mfq_cuda_state_of(context)->stream;
    return mfq_cuda_queued(context, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, stream), function);
  });
}
