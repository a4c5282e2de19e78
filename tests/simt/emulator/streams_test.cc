/* Streams run nothing before somebody waits; events, stream 0 and several host threads keep the promised order. */
#include <thread>

#include "run_kernel.h"

namespace {

const shape one = {dim3(1), dim3(1)};

class Streams : public testing::Test {
protected:
  void SetUp() override {
    simt::reset();
    ASSERT_EQ(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking), cudaSuccess);
  }
  void TearDown() override {
    EXPECT_EQ(cudaStreamDestroy(first), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(second), cudaSuccess);
  }
  void queue(cudaStream_t stream, uint32_t factor, uint32_t plus) {
    shape at = one;
    at.stream = stream;
    ASSERT_EQ(launch(step_kernel, {word.data(), factor, plus}, at), cudaSuccess);
  }
  /* Reads behind CUDA's back. */
  uint32_t now() const { return *word.data(); }

  const device_array<uint32_t> word{std::vector<uint32_t>{1}};
  cudaStream_t first = nullptr, second = nullptr;
};

TEST_F(Streams, AreLazy) {
  queue(first, 2, 5);
  EXPECT_EQ(now(), 1u);
  EXPECT_EQ(cudaStreamSynchronize(second), cudaSuccess);
  EXPECT_EQ(now(), 1u);
  EXPECT_EQ(simt::current_counters().seconds, 0.0);
  EXPECT_EQ(cudaStreamSynchronize(first), cudaSuccess);
  EXPECT_EQ(now(), 7u);
  const simt::counters counted = simt::current_counters();
  EXPECT_EQ(counted.launches, 1u);
  EXPECT_EQ(counted.kernels, 1u);
  EXPECT_EQ(counted.threads, 1u);
  EXPECT_EQ(counted.synchronisations, 2u);
  EXPECT_GT(counted.seconds, 0.0);
}

TEST_F(Streams, CopiesTouchTheHostLate) {
  uint32_t from = 3, to = 0;
  ASSERT_EQ(cudaMemcpyAsync(word.data(), &from, 4, cudaMemcpyHostToDevice, first), cudaSuccess);
  queue(first, 10, 0);
  ASSERT_EQ(cudaMemcpyAsync(&to, word.data(), 4, cudaMemcpyDeviceToHost, first), cudaSuccess);
  ASSERT_EQ(cudaMemsetAsync(word.data(), 1, 4, first), cudaSuccess);
  from = 4;
  EXPECT_EQ(to, 0u);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(to, 40u);
  EXPECT_EQ(now(), 0x01010101u);
}

TEST_F(Streams, WaitForEvents) {
  cudaEvent_t event;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  queue(first, 1, 1);
  ASSERT_EQ(cudaEventRecord(event, first), cudaSuccess);
  queue(first, 0, 0); /* after the event: must not run yet */
  ASSERT_EQ(cudaStreamWaitEvent(second, event, 0), cudaSuccess);
  queue(second, 10, 0);
  EXPECT_EQ(cudaStreamSynchronize(second), cudaSuccess);
  EXPECT_EQ(now(), 20u);
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);
  EXPECT_EQ(now(), 20u);
  EXPECT_EQ(cudaStreamSynchronize(first), cudaSuccess);
  EXPECT_EQ(now(), 0u);
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
}

TEST_F(Streams, PollingMakesProgress) {
  cudaEvent_t event;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  queue(first, 1, 1);
  queue(first, 1, 1);
  ASSERT_EQ(cudaEventRecord(event, first), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  EXPECT_EQ(now(), 2u);
  while (cudaEventQuery(event) == cudaErrorNotReady) {
  }
  EXPECT_EQ(now(), 3u);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  queue(first, 1, 1);
  while (cudaStreamQuery(first) == cudaErrorNotReady) {
  }
  EXPECT_EQ(now(), 4u);
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
}

TEST_F(Streams, EventsMeasureTime) {
  cudaEvent_t start, end;
  ASSERT_EQ(cudaEventCreate(&start), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorInvalidResourceHandle);
  ASSERT_EQ(cudaEventRecord(start, first), cudaSuccess);
  queue(first, 1, 1);
  ASSERT_EQ(cudaEventRecord(end, first), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorNotReady);
  EXPECT_EQ(cudaEventSynchronize(end), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaSuccess);
  EXPECT_GE(milliseconds, 0);
  EXPECT_EQ(cudaEventDestroy(start), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(end), cudaSuccess);
}

/* Stream 0 follows blocking streams and they follow it; non-blocking ones do not care. */
TEST_F(Streams, StreamZero) {
  cudaStream_t blocking;
  ASSERT_EQ(cudaStreamCreate(&blocking), cudaSuccess);
  queue(blocking, 1, 1);
  queue(nullptr, 10, 0);
  queue(blocking, 1, 3);
  queue(first, 100, 0);
  EXPECT_EQ(cudaStreamSynchronize(blocking), cudaSuccess);
  EXPECT_EQ(now(), 23u);
  queue(blocking, 2, 0);
  uint32_t read = 0;
  EXPECT_EQ(cudaMemcpy(&read, word.data(), 4, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(read, 46u);
  EXPECT_EQ(cudaStreamSynchronize(first), cudaSuccess);
  EXPECT_EQ(now(), 4600u);
  EXPECT_EQ(cudaStreamDestroy(blocking), cudaSuccess);
}

TEST_F(Streams, FreeAndDestroyFinishTheWork) {
  queue(first, 1, 1);
  void *other = nullptr;
  ASSERT_EQ(cudaMalloc(&other, 16), cudaSuccess);
  EXPECT_EQ(now(), 1u);
  EXPECT_EQ(cudaFree(other), cudaSuccess);
  EXPECT_EQ(now(), 2u);
  cudaStream_t third;
  ASSERT_EQ(cudaStreamCreateWithFlags(&third, cudaStreamNonBlocking), cudaSuccess);
  queue(third, 1, 1);
  EXPECT_EQ(cudaStreamDestroy(third), cudaSuccess);
  EXPECT_EQ(now(), 3u);
  EXPECT_EQ(cudaStreamSynchronize(third), cudaErrorInvalidResourceHandle);
}

struct many {
  uint32_t *out;
  uint32_t value;
};

__global__ void many_kernel(const __grid_constant__ many p) {
  __shared__ block_array<uint32_t, 64> cells;
  cells.store((int)threadIdx.x, p.value);
  ptx_sync_block();
  const uint32_t sum = cells.load((int)threadIdx.x ^ 63) + ptx_shuffle(all_lanes, threadIdx.x, 1);
  ptx_store<uint32_t>(p.out + global_thread(), sum);
}

TEST_F(Streams, SeveralHostThreads) {
  const uint32_t thread_count = 4, per_thread = 64 * 50;
  const device_array<uint32_t> out(thread_count * per_thread);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < thread_count; ++i) {
    threads.emplace_back([&, i] {
      cudaStream_t stream;
      ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
      for (uint32_t round = 0; round < 10; ++round) {
        const shape at = {dim3(per_thread / 64), dim3(64), 0, stream};
        ASSERT_EQ(launch(many_kernel, {out.data() + i * per_thread, 100 * i + round}, at), cudaSuccess);
        const bool waits = round % 3 == 0;
        EXPECT_EQ(waits ? cudaStreamSynchronize(stream) : cudaSuccess, cudaSuccess);
        void *memory = nullptr;
        ASSERT_EQ(cudaMalloc(&memory, 1000), cudaSuccess);
        ASSERT_EQ(cudaFree(memory), cudaSuccess);
      }
      EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
    });
  }
  for (std::thread &each : threads) each.join();
  const auto got = out.read();
  for (uint32_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], 100 * (i / per_thread) + 9 + (i / 32 % 2 * 32 + 1)) << i;
}

} // namespace
