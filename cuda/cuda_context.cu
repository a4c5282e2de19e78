/* cuda/cuda_context.cu: opening and closing a context on a GPU, its streams, and waiting. */
#include "cuda_context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/gemm/cublaslt/cublaslt.h"
#include "launch.cuh"

namespace {

enum { CAPABILITY_MIN = 80 };

const char create[] = "mfq_context_create", set_stream[] = "mfq_context_set_stream";

/* What MFQ_CUDA_CAPABILITY may say, the least first. */
const struct {
  const char *name;
  int capability;
} levels[] = {{"8.0", 80}, {"8.6", 86}, {"8.9", 89}, {"9.0", 90}, {"10.0", 100}, {"12.0", 120}};

/* Has the context believe no more of its device than MFQ_CUDA_CAPABILITY says. */
mfq_status limit_device(mfq_context *context) {
  static const char variable[] = "MFQ_CUDA_CAPABILITY";
  mfq_cuda_state *state = mfq_cuda_state_of(context);
  const char *word = secure_getenv(variable);
  if (word == NULL || word[0] == '\0') return MFQ_OK;
  char allowed[64] = "";
  size_t used = 0;
  for (const auto &level : levels) {
    if (level.capability > state->capability) break;
    if (strcmp(word, level.name) == 0) {
      const size_t length = strlen(context->description);
      (void)snprintf(context->description + length, sizeof context->description - length, ", taken as %s", word);
      state->capability = level.capability;
      return MFQ_OK;
    }
    used += (size_t)snprintf(allowed + used, sizeof allowed - used, " %s", level.name);
  }
  return mfq_fail(
      MFQ_ERROR_INVALID_ARGUMENT, create,
      "the environment variable %s is '%s'; cuda:%d, of compute capability %d.%d, may be taken as:%s; unset "
      "it to use all of the device",
      variable, word, state->device, state->capability / 10, state->capability % 10, allowed);
}

mfq_status read_device(mfq_context *context) {
  mfq_cuda_state *state = mfq_cuda_state_of(context);
  int major = 0, minor = 0;
  cudaError_t error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, state->device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, state->device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&state->processors, cudaDevAttrMultiProcessorCount, state->device);
  if (error != cudaSuccess) return mfq_cuda_status(context, error, create);
  state->capability = 10 * major + minor;
  char about[120];
  mfq_cuda_device_describe(state->device, about, sizeof about);
  (void)snprintf(context->description, sizeof context->description, "cuda:%d, %s", state->device, about);
  if (state->capability >= CAPABILITY_MIN) return limit_device(context);
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, create,
                  "options->device is \"cuda:%d\" (%s), of compute capability %d.%d; the kernels need %d.%d or newer",
                  state->device, about, major, minor, CAPABILITY_MIN / 10, CAPABILITY_MIN % 10);
}

cudaError_t is_capturing(cudaStream_t stream, bool *captured) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  const cudaError_t error = cudaStreamIsCapturing(stream, &status);
  *captured = status != cudaStreamCaptureStatusNone;
  return error;
}

/* Fails for a stream of another device, which CUDA tells when an event is recorded there. */
cudaError_t try_stream(mfq_cuda_state *state, cudaStream_t stream, bool *captured) {
  const cudaError_t error = is_capturing(stream, captured);
  if (error == cudaErrorInvalidValue) return cudaErrorInvalidResourceHandle;
  return error == cudaSuccess && !*captured ? cudaEventRecord(state->order, stream) : error;
}

cudaError_t make_own_stream(mfq_cuda_state *state) {
  if (state->own_stream != NULL) return cudaSuccess;
  return cudaStreamCreateWithFlags(&state->own_stream, cudaStreamNonBlocking);
}

mfq_status make_resources(mfq_context *context, cudaStream_t given) {
  mfq_cuda_state *state = mfq_cuda_state_of(context);
  bool captured = false;
  cudaError_t error = cudaEventCreateWithFlags(&state->order, cudaEventDisableTiming);
  if (error == cudaSuccess) error = given != NULL ? try_stream(state, given, &captured) : make_own_stream(state);
  state->stream = given != NULL ? given : state->own_stream;
  const size_t bytes = (size_t)MFQ_CUDA_SCRATCH_BYTES + (size_t)MFQ_CUDA_MADE_BYTES;
  if (error == cudaSuccess) error = cudaMalloc((void **)&state->scratch, bytes);
  return mfq_cuda_status(context, error, create);
}

/* What is there of a state; errors have been reported or nobody waits for them. */
void release(mfq_context *context) {
  mfq_cuda_state *state = mfq_cuda_state_of(context);
  mfq_cublaslt_close(context);
  if (state->scratch != NULL) (void)cudaFree(state->scratch);
  for (int32_t i = 0; i < state->large_count; ++i) (void)cudaFree(state->large[i]);
  if (state->order != NULL) (void)cudaEventDestroy(state->order);
  if (state->own_stream != NULL) (void)cudaStreamDestroy(state->own_stream);
  (void)cudaGetLastError();
  context->free(context->alloc_user, state);
}

} // namespace

mfq_cuda_scope::mfq_cuda_scope(int device) : former_(device), device_(device), error_(cudaGetDevice(&former_)) {
  if (error_ == cudaSuccess && former_ != device_) error_ = cudaSetDevice(device_);
}

mfq_cuda_scope::~mfq_cuda_scope() {
  if (former_ != device_) (void)cudaSetDevice(former_);
}

mfq_cuda_relaxed::mfq_cuda_relaxed() : mode_(cudaStreamCaptureModeRelaxed) {
  (void)cudaThreadExchangeStreamCaptureMode(&mode_);
}

mfq_cuda_relaxed::~mfq_cuda_relaxed() { (void)cudaThreadExchangeStreamCaptureMode(&mode_); }

mfq_status mfq_cuda_usable(mfq_context *context, const mfq_cuda_scope &scope, const char *function) {
  const mfq_cuda_state *state = mfq_cuda_state_of(context);
  if (state->lost == cudaSuccess) return mfq_cuda_status(context, scope.error(), function);
  return mfq_fail(MFQ_ERROR_DEVICE, function,
                  "cuda:%d failed before (%s), and this context cannot be used any more; destroy it and start the "
                  "process anew",
                  state->device, cudaGetErrorName(state->lost));
}

mfq_status mfq_cuda_refuse_capture(mfq_context *context, const char *function, const char *what) {
  bool captured = false;
  const cudaError_t error = is_capturing(mfq_cuda_state_of(context)->stream, &captured);
  if (error != cudaSuccess || !captured) return mfq_cuda_status(context, error, function);
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, function,
                  "the context's stream is being captured into a graph, and %s; do it before the capture or after its "
                  "end",
                  what);
}

mfq_status mfq_cuda_scratch(mfq_context *context, const char *function, size_t bytes, void **memory) {
  mfq_cuda_state *state = mfq_cuda_state_of(context);
  if (bytes > state->large_bytes) {
    const mfq_status status =
        mfq_cuda_refuse_capture(context, function, "the scratch memory that it needs cannot be allocated then");
    if (status != MFQ_OK) return status;
    const size_t wanted = bytes > 2 * state->large_bytes ? bytes : 2 * state->large_bytes;
    const mfq_cuda_relaxed relaxed;
    void *larger = NULL;
    const cudaError_t error = cudaMalloc(&larger, wanted);
    if (error != cudaSuccess) return mfq_cuda_status(context, error, function);
    state->large[state->large_count++] = larger;
    state->large_bytes = wanted;
  }
  *memory = state->large_count > 0 ? state->large[state->large_count - 1] : NULL;
  return MFQ_OK;
}

mfq_status mfq_cuda_open(mfq_context *context, const mfq_context_options *options) {
  mfq_cuda_state *state = (mfq_cuda_state *)context->alloc(context->alloc_user, sizeof *state);
  if (state == NULL)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, create, "no memory for %zu bytes of state", sizeof *state);
  memset(state, 0, sizeof *state);
  state->device = context->device_index;
  context->backend_state = state;
  const mfq_cuda_scope scope(state->device);
  const mfq_cuda_relaxed relaxed;
  mfq_status status = mfq_cuda_status(context, scope.error(), create);
  if (status == MFQ_OK) status = read_device(context);
  if (status == MFQ_OK) status = make_resources(context, options->stream);
  if (status != MFQ_OK) release(context);
  return status;
}

void mfq_cuda_close(mfq_context *context) {
  mfq_cuda_state *state = mfq_cuda_state_of(context);
  const mfq_cuda_scope scope(state->device);
  const mfq_cuda_relaxed relaxed;
  bool captured = false;
  if (state->lost == cudaSuccess && is_capturing(state->stream, &captured) == cudaSuccess && !captured)
    (void)cudaStreamSynchronize(state->stream);
  release(context);
}

mfq_status mfq_cuda_synchronize(mfq_context *context) {
  static const char function[] = "mfq_context_synchronize";
  return mfq_cuda_enter(context, function, [&] {
    const mfq_status status = mfq_cuda_refuse_capture(context, function, "nothing can wait for it");
    if (status != MFQ_OK) return status;
    return mfq_cuda_status(context, cudaStreamSynchronize(mfq_cuda_state_of(context)->stream), function);
  });
}

mfq_status mfq_cuda_set_stream(mfq_context *context, mfq_stream stream) {
  mfq_cuda_state *state = mfq_cuda_state_of(context);
  return mfq_cuda_enter(context, set_stream, [&] {
    cudaError_t error = stream == NULL ? make_own_stream(state) : cudaSuccess;
    const cudaStream_t next = stream != NULL ? stream : state->own_stream;
    if (error != cudaSuccess || next == state->stream) return mfq_cuda_status(context, error, set_stream);
    bool next_captured = false, former_captured = false;
    error = try_stream(state, next, &next_captured);
    if (error == cudaSuccess) error = is_capturing(state->stream, &former_captured);
    if (error == cudaSuccess && !next_captured && !former_captured) {
      error = cudaEventRecord(state->order, state->stream);
      if (error == cudaSuccess) error = cudaStreamWaitEvent(next, state->order, cudaEventWaitDefault);
    }
    if (error == cudaSuccess) state->stream = next;
    return mfq_cuda_status(context, error, set_stream);
  });
}

mfq_stream mfq_cuda_stream(const mfq_context *context) { return mfq_cuda_state_of(context)->stream; }
