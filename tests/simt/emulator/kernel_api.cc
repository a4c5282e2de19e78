/* Kernel launches: checked as CUDA does, then queued. */
#include "block.h"
#include "device_limits.h"
#include "device_state.h"

namespace simt {

static size_t dynamic_limit(const void *kernel) {
  const hold lock(world().lock);
  const auto found = world().dynamic_shared.find(kernel);
  return found == world().dynamic_shared.end() ? static_shared_limit : found->second;
}

static cudaError_t check_launch(const launch &work) {
  const dim3 &block = work.block, &grid = work.grid;
  if (!work.kernel) return cudaErrorInvalidDeviceFunction;
  if (block.x == 0 || block.y == 0 || block.z == 0 || grid.x == 0 || grid.y == 0 || grid.z == 0)
    return cudaErrorInvalidConfiguration;
  if (block.x > 1024 || block.y > 1024 || block.z > 64 || uint64_t{block.x} * block.y * block.z > 1024)
    return cudaErrorInvalidConfiguration;
  if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) return cudaErrorInvalidConfiguration;
  return work.shared_bytes > dynamic_limit(work.kernel) ? cudaErrorInvalidValue : cudaSuccess;
}

static void run(const launch &work, int device) {
  world_state &w = world();
  int injected = w.next_kernel_error.exchange(cudaSuccess);
  if (w.kernels + 1 == w.failing_kernel) injected = cudaErrorLaunchFailure;
  if (injected != cudaSuccess) {
    w.devices[device].lost = injected;
    return;
  }
  ++w.kernels;
  w.threads += uint64_t{work.grid.x} * work.grid.y * work.grid.z * work.block.x * work.block.y * work.block.z;
  run_grid(work, device);
}

static cudaError_t queue_kernel(launch &&work, cudaStream_t handle) {
  const cudaError_t error = check_launch(work);
  if (error != cudaSuccess) return error;
  const stream_ref stream = stream_of(handle);
  if (!stream || stream->device != current_device()) return cudaErrorInvalidResourceHandle;
  if (!stream->recording) ++world().launches;
  const auto shared = std::make_shared<const launch>(std::move(work));
  return push(stream, [shared, device = stream->device] { run(*shared, device); });
}

cudaError_t launch_kernel(launch &&work, cudaStream_t stream) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : queue_kernel(std::move(work), stream));
}

cudaError_t function_attribute(const void *kernel, cudaFuncAttribute attribute, int value) {
  const cudaError_t state = check_device();
  if (state != cudaSuccess) return noted(state);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  const hold lock(world().lock);
  if (value < 0 || static_cast<size_t>(value) > shared_limit(world().now.capability))
    return noted(cudaErrorInvalidValue);
  world().dynamic_shared[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}

/* An upper bound: the emulator does not know registers or static arrays. */
cudaError_t occupancy(int *blocks, int block_threads, size_t shared_bytes) {
  const cudaError_t state = check_device();
  if (state != cudaSuccess) return noted(state);
  if (!blocks || block_threads < 1 || block_threads > 1024) return noted(cudaErrorInvalidValue);
  *blocks = std::min(32, 2048 / block_threads);
  if (shared_bytes) {
    const size_t fitting = shared_limit(current_settings().capability) / shared_bytes;
    *blocks = std::min(*blocks, static_cast<int>(fitting));
  }
  return cudaSuccess;
}

} // namespace simt
