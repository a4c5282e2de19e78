/* cuda/cuda_context.h: the members of the backend table that are no operations, and what surrounds every call. */
#ifndef MFQ_CUDA_CONTEXT_H
#define MFQ_CUDA_CONTEXT_H

#include "host/core/check/arguments.h"
#include "host/core/module/module.h"
#include "cuda_state.h"

/* Makes a device the thread's current one, and the former one again in the end. */
class mfq_cuda_scope {
public:
  explicit mfq_cuda_scope(int device);
  ~mfq_cuda_scope();
  mfq_cuda_scope(const mfq_cuda_scope &) = delete;
  mfq_cuda_scope &operator=(const mfq_cuda_scope &) = delete;
  cudaError_t error() const { return error_; }

private:
  int former_, device_;
  cudaError_t error_;
};

/* Lets this thread allocate while others capture: memory that no graph knows of cannot harm them. */
class mfq_cuda_relaxed {
public:
  mfq_cuda_relaxed();
  ~mfq_cuda_relaxed();
  mfq_cuda_relaxed(const mfq_cuda_relaxed &) = delete;
  mfq_cuda_relaxed &operator=(const mfq_cuda_relaxed &) = delete;

private:
  cudaStreamCaptureMode mode_;
};

/* Runs `work`, which returns a status, on the context's device; not once the device is lost. */
mfq_status mfq_cuda_usable(mfq_context *context, const mfq_cuda_scope &scope, const char *function);
template <class Work> mfq_status mfq_cuda_enter(mfq_context *context, const char *function, Work work) {
  const mfq_cuda_scope scope(mfq_cuda_state_of(context)->device);
  const mfq_status status = mfq_cuda_usable(context, scope, function);
  return status == MFQ_OK ? work() : status;
}

/* UNSUPPORTED while the context's stream is being captured; `what` says what cannot be done then. */
mfq_status mfq_cuda_refuse_capture(mfq_context *context, const char *function, const char *what);

/* Scratch memory of as many bytes, which is allocated where there was less before; UNSUPPORTED while the context's stream is
 * being captured then. It holds until the next call. */
mfq_status mfq_cuda_scratch(mfq_context *context, const char *function, size_t bytes, void **memory);

/* cuda_context.cu */
mfq_status mfq_cuda_open(mfq_context *context, const mfq_context_options *options);
void mfq_cuda_close(mfq_context *context);
mfq_status mfq_cuda_synchronize(mfq_context *context);
mfq_status mfq_cuda_set_stream(mfq_context *context, mfq_stream stream);
mfq_stream mfq_cuda_stream(const mfq_context *context);

/* memory_cuda.cu */
mfq_status mfq_cuda_check_memory(mfq_context *context, const mfq_parts *parts);
mfq_status mfq_cuda_buffer_alloc(mfq_context *context, size_t bytes, void **memory);
void mfq_cuda_buffer_free(mfq_context *context, void *memory);
mfq_status mfq_cuda_buffer_fill(mfq_context *context, void *memory, uint8_t value, size_t bytes);
mfq_status mfq_cuda_buffer_write(mfq_context *context, void *memory, const void *host, size_t bytes);
mfq_status mfq_cuda_buffer_read(mfq_context *context, void *host, const void *memory, size_t bytes);
mfq_status mfq_cuda_buffer_copy(mfq_context *context, void *dst, const void *src, size_t bytes);

/* devices.cu: as in mfq_module. */
int32_t mfq_cuda_device_count(char *reason, size_t capacity);
void mfq_cuda_device_describe(int32_t index, char *text, size_t capacity);
int32_t mfq_cuda_device_of(const void *pointer);

/* services.cu: takes the core's services; 0 when those of another copy of the core are taken. */
int mfq_cuda_serve(const mfq_core_services *services);

#endif
