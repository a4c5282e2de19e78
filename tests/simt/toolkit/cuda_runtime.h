/* tests/simt/toolkit/cuda_runtime.h: the part of the CUDA runtime that mfq uses, for the build of the CUDA backend
 * against the emulator (compile with -DMFQ_SIMT -I tests/simt/toolkit). Values are CUDA's own.
 *
 * Differences that tests rely on: streams run nothing until something waits for them; host memory counts as
 * page-locked, so an asynchronous copy touches it as late as it may. */
#ifndef MFQ_SIMT_CUDA_RUNTIME_H
#define MFQ_SIMT_CUDA_RUNTIME_H

#include <functional>
#include <utility>

#include "simt_device.h"
#include "simt_driver_types.h"

#define CUDART_VERSION 13000

namespace simt {

/* One kernel launch: where, and what runs one thread of it. */
struct launch {
  const void *kernel; /* its address */
  const char *params; /* text that names the parameter structure */
  dim3 grid, block;
  size_t shared_bytes;
  std::function<void()> body;
};
MFQ_SIMT_EXPORT cudaError_t launch_kernel(launch &&work, cudaStream_t stream);
MFQ_SIMT_EXPORT cudaError_t function_attribute(const void *kernel, cudaFuncAttribute attribute, int value);
MFQ_SIMT_EXPORT cudaError_t occupancy(int *blocks, int block_threads, size_t shared_bytes);

} // namespace simt

/* The argument is copied here, when the kernel is launched. */
template <class P>
cudaError_t cudaLaunchKernel(void (*kernel)(P), dim3 grid, dim3 block, void **args, size_t shared,
                             cudaStream_t stream) {
  static_assert(std::is_trivially_copyable_v<P>, "CUDA copies parameters byte by byte");
  static_assert(sizeof(P) <= 4096, "parameters of a kernel end at 4096 bytes");
  P params;
  memcpy(&params, args[0], sizeof params);
  return simt::launch_kernel({reinterpret_cast<const void *>(kernel), __PRETTY_FUNCTION__, grid, block, shared,
                              [kernel, params] { kernel(params); }},
                             stream);
}

template <class P> cudaError_t cudaFuncSetAttribute(void (*kernel)(P), cudaFuncAttribute attribute, int value) {
  return simt::function_attribute(reinterpret_cast<const void *>(kernel), attribute, value);
}

template <class P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void (*)(P), int threads, size_t shared) {
  return simt::occupancy(blocks, threads, shared);
}

extern "C" {
#pragma GCC visibility push(default)

cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaDeviceReset(void);

cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);

cudaError_t cudaMalloc(void **pointer, size_t bytes);
cudaError_t cudaFree(void *pointer);
cudaError_t cudaMallocHost(void **pointer, size_t bytes); /* page-locked */
cudaError_t cudaMallocManaged(void **pointer, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void *pointer);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *pointer);
cudaError_t cudaMemcpy(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemset(void *pointer, int value, size_t bytes);
cudaError_t cudaMemsetAsync(void *pointer, int value, size_t bytes, cudaStream_t stream);

cudaError_t cudaStreamCreate(cudaStream_t *stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned *flags);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *mode);
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);

cudaError_t cudaEventCreate(cudaEvent_t *event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end);

#pragma GCC visibility pop
}

template <class T> cudaError_t cudaMallocHost(T **pointer, size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void **>(pointer), bytes);
}

template <class T> cudaError_t cudaMallocManaged(T **pointer, size_t bytes, unsigned flags = cudaMemAttachGlobal) {
  return cudaMallocManaged(reinterpret_cast<void **>(pointer), bytes, flags);
}

template <class T> cudaError_t cudaMalloc(T **pointer, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void **>(pointer), bytes);
}

#endif
