/* Devices, drivers, memory limits and errors as CUDA answers them, planned by the test. */
#include "run_kernel.h"

namespace {

__global__ void store_kernel(const __grid_constant__ words p) { ptx_store<uint32_t>(p.out, 7); }

const shape one = {dim3(1), dim3(1)};

class Errors : public testing::Test {
protected:
  void SetUp() override { simt::reset(); }
  void TearDown() override { simt::reset(); }
};

TEST_F(Errors, NoDriverAndOldDriver) {
  simt::settings changed = simt::current_settings();
  int count = -1, version = -1;
  changed.kind = simt::driver::none;
  simt::change_settings(changed);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(count, 0);
  EXPECT_EQ(cudaDriverGetVersion(&version), cudaSuccess);
  EXPECT_EQ(version, 0);
  void *memory;
  EXPECT_EQ(cudaMalloc(&memory, 4), cudaErrorNoDevice);
  changed.kind = simt::driver::old;
  simt::change_settings(changed);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  EXPECT_EQ(cudaDriverGetVersion(&version), cudaSuccess);
  EXPECT_GT(version, 0);
  EXPECT_LT(version, CUDART_VERSION);
  changed = {0, simt::driver::present, 90, 1 << 20};
  simt::change_settings(changed);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaErrorNoDevice);
}

TEST_F(Errors, SeveralDevicesOfACapability) {
  simt::change_settings({3, simt::driver::present, 120, size_t{1} << 30, 132});
  int value = 0;
  EXPECT_EQ(cudaGetDeviceCount(&value), cudaSuccess);
  EXPECT_EQ(value, 3);
  EXPECT_EQ(cudaSetDevice(3), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaSetDevice(2), cudaSuccess);
  EXPECT_EQ(cudaGetDevice(&value), cudaSuccess);
  EXPECT_EQ(value, 2);
  cudaDeviceProp properties;
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 2), cudaSuccess);
  EXPECT_EQ(properties.major * 10 + properties.minor, 120);
  EXPECT_EQ(properties.totalGlobalMem, size_t{1} << 30);
  EXPECT_EQ(properties.sharedMemPerBlockOptin, size_t{99} << 10);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 2), cudaSuccess);
  EXPECT_EQ(value, 132);
  EXPECT_EQ(value, properties.multiProcessorCount);
  cudaStream_t stream;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_EQ(launch(store_kernel, {nullptr, nullptr}, {dim3(1), dim3(1), 0, stream}), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
}

TEST_F(Errors, MemoryEnds) {
  simt::change_settings({1, simt::driver::present, 90, 10000});
  void *first = nullptr, *second = nullptr;
  EXPECT_EQ(cudaMalloc(&first, 6000), cudaSuccess);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 256, 0u);
  EXPECT_EQ(cudaMalloc(&second, 6000), cudaErrorMemoryAllocation);
  EXPECT_EQ(second, nullptr);
  size_t left = 0, total = 0;
  EXPECT_EQ(cudaMemGetInfo(&left, &total), cudaSuccess);
  EXPECT_EQ(left, 4000u);
  EXPECT_EQ(total, 10000u);
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 6000), cudaSuccess);
  EXPECT_EQ(cudaFree(second), cudaSuccess);
  EXPECT_EQ(cudaFree(second), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMalloc(&first, 0), cudaSuccess);
  EXPECT_EQ(first, nullptr);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  simt::fail_allocation(1);
  EXPECT_EQ(cudaMalloc(&first, 16), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 16), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&second, 16), cudaSuccess);
  EXPECT_EQ(simt::current_counters().allocations, 7u);
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(cudaFree(second), cudaSuccess);
}

TEST_F(Errors, PointersKnowTheirPlace) {
  const device_array<uint32_t> memory(10);
  uint32_t host = 0;
  cudaPointerAttributes found;
  EXPECT_EQ(cudaPointerGetAttributes(&found, memory.data() + 9), cudaSuccess);
  EXPECT_EQ(found.type, cudaMemoryTypeDevice);
  EXPECT_EQ(found.device, 0);
  EXPECT_EQ(cudaPointerGetAttributes(&found, &host), cudaSuccess);
  EXPECT_EQ(found.type, cudaMemoryTypeUnregistered);
  EXPECT_EQ(cudaPointerGetAttributes(&found, memory.data() + 10), cudaSuccess);
  EXPECT_EQ(found.type, cudaMemoryTypeUnregistered);
}

/* Kernels reach page-locked and managed memory; the host reaches it too. */
TEST_F(Errors, MemoryForBoth) {
  uint32_t *pinned = nullptr, *managed = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, 400), cudaSuccess);
  ASSERT_EQ(cudaMallocManaged(&managed, 400), cudaSuccess);
  const std::pair<uint32_t *, cudaMemoryType> both[] = {{pinned, cudaMemoryTypeHost}, {managed, cudaMemoryTypeManaged}};
  for (const auto &each : both) {
    cudaPointerAttributes found;
    EXPECT_EQ(cudaPointerGetAttributes(&found, each.first), cudaSuccess);
    EXPECT_EQ(found.type, each.second);
    EXPECT_EQ(found.devicePointer, each.first);
    EXPECT_EQ(found.hostPointer, each.first);
    run_kernel(store_kernel, {nullptr, each.first}, one);
    EXPECT_EQ(*each.first, 7u);
  }
  EXPECT_EQ(cudaMemcpy(pinned, managed, 400, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(pinned, managed, 400, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(pinned), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(managed), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(managed), cudaSuccess);
}

TEST_F(Errors, CopiesThatDoNotFit) {
  const device_array<uint32_t> memory(10);
  uint32_t host[20] = {};
  EXPECT_EQ(cudaMemcpyAsync(memory.data(), host, 44, cudaMemcpyHostToDevice, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyAsync(host, memory.data(), 4, cudaMemcpyHostToDevice, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyAsync(host, memory.data(), 4, (cudaMemcpyKind)9, nullptr), cudaErrorInvalidMemcpyDirection);
  EXPECT_EQ(cudaMemsetAsync(host, 0, 4, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(memory.data(), 0, 41, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, memory.data(), 40, cudaMemcpyDefault), cudaSuccess);
}

TEST_F(Errors, ImpossibleLaunches) {
  const words none = {nullptr, nullptr};
  const dim3 grids[] = {dim3(0), dim3(1, 65536), dim3(1, 1, 65536), dim3(0x80000000u)};
  for (const dim3 &grid : grids) EXPECT_EQ(launch(store_kernel, none, {grid, dim3(1)}), cudaErrorInvalidConfiguration);
  const dim3 blocks[] = {dim3(0), dim3(1025), dim3(32, 33), dim3(1, 1, 65)};
  for (const dim3 &block : blocks)
    EXPECT_EQ(launch(store_kernel, none, {dim3(1), block}), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(store_kernel, none, {dim3(1), dim3(1), (48 << 10) + 1}), cudaErrorInvalidValue);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(Errors, AsynchronousErrorsStay) {
  const device_array<uint32_t> memory(1);
  simt::fail_next_kernel(cudaErrorIllegalAddress);
  EXPECT_EQ(launch(store_kernel, {nullptr, memory.data()}, one), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  EXPECT_EQ(launch(store_kernel, {nullptr, memory.data()}, one), cudaErrorIllegalAddress);
  void *more;
  EXPECT_EQ(cudaMalloc(&more, 4), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(*memory.data(), 0u);
  simt::reset();
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  run_kernel(store_kernel, {nullptr, memory.data()}, one);
  EXPECT_EQ(*memory.data(), 7u);
}

TEST_F(Errors, HaveNamesAndTexts) {
  EXPECT_STREQ(cudaGetErrorName(cudaErrorIllegalAddress), "cudaErrorIllegalAddress");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorNoDevice), "no CUDA-capable device is detected");
  EXPECT_STREQ(cudaGetErrorName((cudaError_t)12345), "unrecognized error code");
}

} // namespace
