/* cuda/devices.cu: which GPUs there are, or why there is none. Nothing here makes a CUDA context. */
#include <stdio.h>

#include "cuda_context.h"

namespace {

struct version {
  int major, minor;
};
version version_of(int number) { return {number / 1000, number % 1000 / 10}; }

void explain_driver(int driver, char *reason, size_t capacity) {
  int runtime = 0;
  (void)cudaRuntimeGetVersion(&runtime);
  const version has = version_of(driver), needs = version_of(runtime);
  if (driver == 0) {
    (void)snprintf(reason, capacity, "there is no NVIDIA driver on this machine (libcuda.so.1)");
  } else {
    (void)snprintf(reason, capacity,
                   "the NVIDIA driver is for CUDA %d.%d at most, and libmfq_cuda was built with CUDA %d.%d; update the "
                   "driver",
                   has.major, has.minor, needs.major, needs.minor);
  }
}

} // namespace

int32_t mfq_cuda_device_count(char *reason, size_t capacity) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return count;
  (void)cudaGetLastError();
  int driver = 0; /* stays 0 where there is none */
  (void)cudaDriverGetVersion(&driver);
  if (error == cudaErrorInsufficientDriver || driver == 0) {
    explain_driver(driver, reason, capacity);
  } else if (error == cudaErrorNoDevice || error == cudaSuccess) {
    (void)snprintf(reason, capacity,
                   "there is an NVIDIA driver but no GPU that this process may see (CUDA_VISIBLE_DEVICES, nvidia-smi)");
  } else {
    (void)snprintf(reason, capacity, "CUDA cannot list its devices: %s (%s)", cudaGetErrorString(error),
                   cudaGetErrorName(error));
  }
  return 0;
}

void mfq_cuda_device_describe(int32_t index, char *text, size_t capacity) {
  cudaDeviceProp p;
  const cudaError_t error = cudaGetDeviceProperties(&p, index);
  if (error != cudaSuccess) {
    (void)cudaGetLastError();
    (void)snprintf(text, capacity, "a GPU of which CUDA says: %s", cudaGetErrorString(error));
    return;
  }
  (void)snprintf(text, capacity, "%.80s, sm_%d%d, %d multiprocessors, %zu GiB", p.name, p.major, p.minor,
                 p.multiProcessorCount, p.totalGlobalMem >> 30);
}

int32_t mfq_cuda_device_of(const void *pointer) {
  cudaPointerAttributes attributes;
  if (cudaPointerGetAttributes(&attributes, pointer) != cudaSuccess) {
    (void)cudaGetLastError(); /* older runtimes fail for memory that they do not know */
    return -1;
  }
  return attributes.type == cudaMemoryTypeDevice ? attributes.device : -1;
}
