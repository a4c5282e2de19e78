/* tests/simt/emulator/run_kernel.h: device arrays and launches for tests of the emulator. */
#ifndef MFQ_SIMT_RUN_KERNEL_H
#define MFQ_SIMT_RUN_KERNEL_H

#include <gtest/gtest.h>

#include <vector>

#include "cuda/prim/shared.cuh"
#include "simt.h"

namespace {

constexpr uint32_t all_lanes = 0xffffffffu;

/* Device memory with contents, freed in the end. */
template <class T> class device_array {
public:
  explicit device_array(const std::vector<T> &contents) : count_(contents.size()) {
    EXPECT_EQ(cudaMalloc(&data_, bytes()), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(data_, contents.data(), bytes(), cudaMemcpyHostToDevice), cudaSuccess);
  }
  explicit device_array(size_t count) : device_array(std::vector<T>(count)) {}
  ~device_array() { EXPECT_EQ(cudaFree(data_), cudaSuccess); }
  device_array(const device_array &) = delete;
  device_array &operator=(const device_array &) = delete;

  T *data() const { return data_; }
  size_t bytes() const { return count_ * sizeof(T); }
  std::vector<T> read() const {
    std::vector<T> contents(count_);
    EXPECT_EQ(cudaMemcpy(contents.data(), data_, bytes(), cudaMemcpyDeviceToHost), cudaSuccess);
    return contents;
  }

private:
  size_t count_;
  T *data_ = nullptr;
};

struct shape {
  dim3 grid, block;
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

template <class P> cudaError_t launch(void (*kernel)(P), const P &params, const shape &at) {
  P copy = params;
  void *arguments[] = {&copy};
  return cudaLaunchKernel(kernel, at.grid, at.block, arguments, at.shared_bytes, at.stream);
}

/* Launches and waits. */
template <class P> void run_kernel(void (*kernel)(P), const P &params, const shape &at) {
  ASSERT_EQ(launch(kernel, params, at), cudaSuccess);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

/* What most kernels here take. */
struct words {
  const uint32_t *in;
  uint32_t *out;
};

/* A step that shows in which order steps ran. */
struct step {
  uint32_t *word;
  uint32_t factor, plus;
};

inline __global__ void step_kernel(const __grid_constant__ step p) {
  ptx_store<uint32_t>(p.word, ptx_load<uint32_t>(p.word) * p.factor + p.plus);
}

__device__ __forceinline__ uint32_t global_thread() { return blockIdx.x * blockDim.x + threadIdx.x; }

} // namespace

#endif
