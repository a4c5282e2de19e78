/* Devices, their errors, and what tests may change of them. */
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "device_limits.h"
#include "device_state.h"

namespace simt {

static settings settings_of_environment() {
  settings found = {1, driver::present, 90, size_t{1} << 34};
  if (const char *text = getenv("MFQ_SIMT_DEVICES")) found.devices = atoi(text);
  if (const char *text = getenv("MFQ_SIMT_CAPABILITY")) found.capability = atoi(text);
  if (const char *text = getenv("MFQ_SIMT_MEMORY")) found.memory = strtoull(text, nullptr, 0);
  if (const char *text = getenv("MFQ_SIMT_PROCESSORS")) found.processors = atoi(text);
  if (const char *text = getenv("MFQ_SIMT_DRIVER")) {
    if (strcmp(text, "none") == 0) found.kind = driver::none;
    if (strcmp(text, "old") == 0) found.kind = driver::old;
  }
  return found;
}

static void report() {
  const counters c = current_counters();
  fprintf(stderr,
          "simt: %ju allocations, %ju frees, %ju copies, %ju synchronisations, %ju launches, %.3f seconds of work\n",
          uintmax_t{c.allocations}, uintmax_t{c.frees}, uintmax_t{c.copies}, uintmax_t{c.synchronisations},
          uintmax_t{c.launches}, c.seconds);
}

/* Never destroyed: host threads may still use streams when the process ends. */
world_state &world() {
  static world_state *const state = [] {
    auto *made = new world_state;
    made->now = made->at_start = settings_of_environment();
    if (const char *text = getenv("MFQ_SIMT_FAILING_KERNEL")) made->failing_kernel = strtoull(text, nullptr, 0);
    for (int device = 0; device < 64; ++device) made->devices[device].legacy = nullptr;
    const char *text = getenv("MFQ_SIMT_REPORT");
    if (text && strcmp(text, "1") == 0) atexit(report);
    return made;
  }();
  return *state;
}

static thread_local int device_of_thread;
static thread_local cudaError_t last_error;

int current_device() { return device_of_thread; }

cudaError_t noted(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

static cudaError_t check_driver() {
  const hold lock(world().lock);
  if (world().now.kind == driver::old) return cudaErrorInsufficientDriver;
  return world().now.kind == driver::none || world().now.devices < 1 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t check_device() {
  const cudaError_t state = check_driver();
  return state != cudaSuccess ? state : static_cast<cudaError_t>(world().devices[current_device()].lost.load());
}

settings current_settings() {
  const hold lock(world().lock);
  return world().now;
}

void change_settings(const settings &to) {
  const hold lock(world().lock);
  world().now = to;
}

counters current_counters() {
  const world_state &w = world();
  return {w.launches,    w.kernels, w.threads,          w.copies,
          w.allocations, w.frees,   w.synchronisations, 1e-9 * static_cast<double>(w.nanoseconds)};
}

void fail_next_kernel(cudaError_t error) { world().next_kernel_error = error; }

void fail_allocation(int after) {
  const hold lock(world().lock);
  world().allocations_until_failure = after;
}

void reset() {
  world_state &w = world();
  const hold lock(w.lock);
  w.now = w.at_start;
  w.allocations_until_failure = -1;
  w.next_kernel_error = cudaSuccess;
  w.failing_kernel = 0;
  for (auto &each : w.devices) each.second.lost = cudaSuccess;
  for (auto &each : w.streams) {
    each.second->queue.clear();
    each.second->done = each.second->pushed;
    each.second->recording.reset();
  }
  w.captures.clear();
  w.launches = w.kernels = w.threads = w.copies = w.allocations = w.frees = w.synchronisations = w.nanoseconds = 0;
  last_error = cudaSuccess;
}

static bool is_device(int device) { return device >= 0 && device < current_settings().devices; }

static int attribute_of(cudaDeviceAttr attribute) {
  const int capability = current_settings().capability;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: return 1024;
    case cudaDevAttrMaxGridDimX: return 0x7fffffff;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: return 65535;
    case cudaDevAttrMaxSharedMemoryPerBlock: return static_cast<int>(static_shared_limit);
    case cudaDevAttrWarpSize: return warpSize;
    case cudaDevAttrMaxRegistersPerBlock: return 65536;
    case cudaDevAttrClockRate: return 1000000;
    case cudaDevAttrMultiProcessorCount: return current_settings().processors;
    case cudaDevAttrMemoryClockRate: return 1000000;
    case cudaDevAttrGlobalMemoryBusWidth: return 64;
    case cudaDevAttrL2CacheSize: return 4 << 20;
    case cudaDevAttrMaxThreadsPerMultiProcessor: return 2048;
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrUnifiedAddressing: return 1;
    case cudaDevAttrComputeCapabilityMajor: return capability / 10;
    case cudaDevAttrComputeCapabilityMinor: return capability % 10;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: return static_cast<int>(shared_limit(capability));
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: return static_cast<int>(shared_limit(capability) + 1024);
    case cudaDevAttrMaxBlocksPerMultiprocessor: return 32;
    case cudaDevAttrMemoryPoolsSupported: return 0;
  }
  return -1;
}

} // namespace simt

using namespace simt;

cudaError_t cudaDriverGetVersion(int *version) {
  if (!version) return noted(cudaErrorInvalidValue);
  const driver kind = current_settings().kind;
  *version = kind == driver::none ? 0 : kind == driver::old ? 11040 : CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
  if (!version) return noted(cudaErrorInvalidValue);
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count) {
  if (!count) return noted(cudaErrorInvalidValue);
  const cudaError_t state = check_driver();
  *count = state == cudaSuccess ? current_settings().devices : 0;
  return noted(state);
}

cudaError_t cudaSetDevice(int device) {
  const cudaError_t state = check_driver();
  if (state != cudaSuccess) return noted(state);
  if (!is_device(device)) return noted(cudaErrorInvalidDevice);
  device_of_thread = device;
  return noted(check_device());
}

cudaError_t cudaGetDevice(int *device) {
  const cudaError_t state = check_driver();
  if (state != cudaSuccess) return noted(state);
  if (!device) return noted(cudaErrorInvalidValue);
  *device = current_device();
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
  const cudaError_t state = check_driver();
  if (state != cudaSuccess) return noted(state);
  if (!is_device(device)) return noted(cudaErrorInvalidDevice);
  const int found = attribute_of(attribute);
  if (!value || found < 0) return noted(cudaErrorInvalidValue);
  *value = found;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
  const cudaError_t state = check_driver();
  if (state != cudaSuccess) return noted(state);
  if (!is_device(device)) return noted(cudaErrorInvalidDevice);
  cudaDeviceProp &p = *properties = {};
  p.totalGlobalMem = current_settings().memory;
  p.sharedMemPerBlock = static_shared_limit;
  p.sharedMemPerBlockOptin = static_cast<size_t>(attribute_of(cudaDevAttrMaxSharedMemoryPerBlockOptin));
  p.sharedMemPerMultiprocessor = static_cast<size_t>(attribute_of(cudaDevAttrMaxSharedMemoryPerMultiprocessor));
  p.regsPerBlock = attribute_of(cudaDevAttrMaxRegistersPerBlock);
  p.warpSize = warpSize;
  p.maxThreadsPerBlock = attribute_of(cudaDevAttrMaxThreadsPerBlock);
  p.maxThreadsPerMultiProcessor = attribute_of(cudaDevAttrMaxThreadsPerMultiProcessor);
  p.multiProcessorCount = attribute_of(cudaDevAttrMultiProcessorCount);
  p.major = attribute_of(cudaDevAttrComputeCapabilityMajor);
  p.minor = attribute_of(cudaDevAttrComputeCapabilityMinor);
  p.l2CacheSize = attribute_of(cudaDevAttrL2CacheSize);
  p.memoryBusWidth = attribute_of(cudaDevAttrGlobalMemoryBusWidth);
  p.concurrentKernels = 1;
  snprintf(p.name, sizeof p.name, "MFQ SIMT emulator %d (sm_%d%d)", device, p.major, p.minor);
  return cudaSuccess;
}

cudaError_t cudaDeviceReset() {
  const cudaError_t state = check_driver();
  if (state != cudaSuccess) return noted(state);
  world().devices[current_device()].lost = cudaSuccess;
  return cudaSuccess;
}

cudaError_t cudaPeekAtLastError() {
  const auto lost = static_cast<cudaError_t>(world().devices[current_device()].lost.load());
  return lost != cudaSuccess ? lost : last_error;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  last_error = cudaSuccess;
  return error;
}
