/* cudaMalloc, copies and fills. */
#include <cstring>

#include "device_memory.h"
#include "device_state.h"

namespace simt {

static bool should_fail() {
  const hold lock(world().lock);
  return world().allocations_until_failure >= 0 && world().allocations_until_failure-- == 0;
}

static cudaError_t allocate_memory(void **pointer, size_t bytes, cudaMemoryType type) {
  if (!pointer) return cudaErrorInvalidValue;
  const cudaError_t captures = check_captures();
  if (captures != cudaSuccess) return captures;
  *pointer = nullptr;
  ++world().allocations;
  if (should_fail()) return cudaErrorMemoryAllocation;
  if (bytes == 0) return cudaSuccess;
  *pointer = allocate(bytes, current_device(), type, world().now.memory);
  return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}

/* Freeing waits for the device, as with CUDA. */
static cudaError_t free_memory(void *pointer, bool is_host) {
  if (!pointer) return cudaSuccess;
  const cudaError_t captures = check_captures();
  if (captures != cudaSuccess) return captures;
  allocation found;
  if (!find_allocation(pointer, 1, &found)) return cudaErrorInvalidValue;
  if ((found.type == cudaMemoryTypeHost) != is_host) return cudaErrorInvalidValue;
  drain_device(found.device);
  ++world().frees;
  return release(pointer) ? cudaSuccess : cudaErrorInvalidValue;
}

enum class place { host, device, both, broken };

static place place_of(const void *pointer, size_t bytes) {
  allocation found;
  if (find_allocation(pointer, bytes, &found)) {
    if (found.type == cudaMemoryTypeManaged) return place::both;
    return found.type == cudaMemoryTypeHost ? place::host : place::device;
  }
  return find_allocation(pointer, 1, &found) || !pointer ? place::broken : place::host;
}

static bool fits(cudaMemcpyKind kind, place dst, place src) {
  if (dst == place::broken || src == place::broken) return false;
  if (kind == cudaMemcpyDefault) return true;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool dst_fits = dst == place::both || to_device == (dst == place::device);
  return dst_fits && (src == place::both || from_device == (src == place::device));
}

static cudaError_t copy(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind, const stream_ref &stream) {
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (bytes == 0) return cudaSuccess;
  if (!fits(kind, place_of(dst, bytes), place_of(src, bytes))) return cudaErrorInvalidValue;
  return push(stream, [=] {
    ++world().copies;
    memmove(dst, src, bytes);
  });
}

static cudaError_t fill(void *pointer, int value, size_t bytes, const stream_ref &stream) {
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (bytes == 0) return cudaSuccess;
  const place where = place_of(pointer, bytes);
  if (where != place::device && where != place::both) return cudaErrorInvalidValue;
  return push(stream, [=] {
    ++world().copies;
    memset(pointer, value, bytes);
  });
}

static cudaError_t copy_now(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t captures = check_captures();
  if (captures != cudaSuccess) return captures;
  const cudaError_t error = copy(dst, src, bytes, kind, stream_of(nullptr));
  return error != cudaSuccess ? error : cudaStreamSynchronize(nullptr);
}

} // namespace simt

using namespace simt;

cudaError_t cudaMalloc(void **pointer, size_t bytes) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : allocate_memory(pointer, bytes, cudaMemoryTypeDevice));
}

cudaError_t cudaMallocHost(void **pointer, size_t bytes) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : allocate_memory(pointer, bytes, cudaMemoryTypeHost));
}

cudaError_t cudaMallocManaged(void **pointer, size_t bytes, unsigned flags) {
  const cudaError_t state = check_device();
  if (state != cudaSuccess) return noted(state);
  if (flags != cudaMemAttachGlobal) return noted(cudaErrorInvalidValue);
  return noted(allocate_memory(pointer, bytes, cudaMemoryTypeManaged));
}

cudaError_t cudaFreeHost(void *pointer) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : free_memory(pointer, true));
}

cudaError_t cudaFree(void *pointer) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : free_memory(pointer, false));
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
  const cudaError_t state = check_device();
  if (state != cudaSuccess) return noted(state);
  *total_bytes = world().now.memory;
  *free_bytes = *total_bytes - allocated_bytes(current_device());
  return cudaSuccess;
}

/* Device memory is host memory here, but programs are told what they would be told with a GPU. */
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *pointer) {
  const cudaError_t state = check_device();
  if (state != cudaSuccess) return noted(state);
  if (!attributes) return noted(cudaErrorInvalidValue);
  allocation found;
  void *const address = const_cast<void *>(pointer);
  if (find_allocation(pointer, 1, &found))
    *attributes = {found.type, found.device, address, found.type == cudaMemoryTypeDevice ? nullptr : address};
  else
    *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, address};
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : copy(dst, src, bytes, kind, stream_of(stream)));
}

cudaError_t cudaMemcpy(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : copy_now(dst, src, bytes, kind));
}

cudaError_t cudaMemsetAsync(void *pointer, int value, size_t bytes, cudaStream_t stream) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : fill(pointer, value, bytes, stream_of(stream)));
}

cudaError_t cudaMemset(void *pointer, int value, size_t bytes) {
  return cudaMemsetAsync(pointer, value, bytes, nullptr);
}
