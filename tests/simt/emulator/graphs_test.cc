/* Captures record and do not run; what may not happen during one is refused and breaks it. */
#include "run_kernel.h"

namespace {

class Graphs : public testing::Test {
protected:
  void SetUp() override {
    simt::reset();
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  }
  void TearDown() override { EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess); }
  cudaError_t queue(uint32_t factor, uint32_t plus, cudaStream_t where) {
    return launch(step_kernel, {word.data(), factor, plus}, {dim3(1), dim3(1), 0, where});
  }
  cudaStreamCaptureStatus status() const {
    cudaStreamCaptureStatus found;
    EXPECT_EQ(cudaStreamIsCapturing(stream, &found), cudaSuccess);
    return found;
  }
  uint32_t now() const { return *word.data(); }

  const device_array<uint32_t> word{std::vector<uint32_t>{1}};
  cudaStream_t stream = nullptr;
};

TEST_F(Graphs, ReplayWhatWasRecorded) {
  EXPECT_EQ(status(), cudaStreamCaptureStatusNone);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(status(), cudaStreamCaptureStatusActive);
  EXPECT_EQ(queue(3, 1, stream), cudaSuccess);
  EXPECT_EQ(queue(2, 0, stream), cudaSuccess);
  cudaGraph_t graph;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(status(), cudaStreamCaptureStatusNone);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(now(), 1u);
  EXPECT_EQ(simt::current_counters().launches, 0u);

  cudaGraphExec_t exec;
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  EXPECT_EQ(now(), 1u);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(now(), ((1u * 3 + 1) * 2 * 3 + 1) * 2);
  EXPECT_EQ(simt::current_counters().kernels, 4u);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
}

/* Each row: a call that a capture of the strictest mode forbids. */
TEST_F(Graphs, ForbiddenCallsBreakTheCapture) {
  void *memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, 64), cudaSuccess);
  uint32_t host = 0;
  const std::vector<std::pair<const char *, std::function<cudaError_t()>>> calls = {
      {"cudaMalloc",
       [] {
         void *more;
         return cudaMalloc(&more, 64);
       }},
      {"cudaFree", [&] { return cudaFree(memory); }},
      {"cudaStreamSynchronize", [&] { return cudaStreamSynchronize(stream); }},
      {"cudaStreamQuery", [&] { return cudaStreamQuery(stream); }},
      {"cudaDeviceSynchronize", [] { return cudaDeviceSynchronize(); }},
      {"cudaMemcpy", [&] { return cudaMemcpy(&host, memory, 4, cudaMemcpyDeviceToHost); }},
  };
  for (const auto &call : calls) {
    SCOPED_TRACE(call.first);
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    EXPECT_EQ(queue(1, 1, stream), cudaSuccess);
    EXPECT_EQ(call.second(), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(status(), cudaStreamCaptureStatusInvalidated);
    EXPECT_EQ(queue(1, 1, stream), cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(status(), cudaStreamCaptureStatusNone);
  }
  cudaGetLastError();
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  EXPECT_EQ(now(), 1u);
}

TEST_F(Graphs, RelaxedCapturesAllowAllocation) {
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), cudaSuccess);
  void *memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 64), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  cudaGraph_t graph;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

TEST_F(Graphs, StreamZeroBreaksTheCaptureOfABlockingStream) {
  cudaStream_t blocking;
  ASSERT_EQ(cudaStreamCreate(&blocking), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(queue(1, 1, nullptr), cudaErrorStreamCaptureImplicit);
  cudaGraph_t graph;
  EXPECT_EQ(cudaStreamEndCapture(blocking, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamDestroy(blocking), cudaSuccess);
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
}

TEST_F(Graphs, EventsCarryTheCaptureToOtherStreams) {
  cudaStream_t other;
  cudaEvent_t fork, join;
  ASSERT_EQ(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming), cudaSuccess);
  ASSERT_EQ(cudaEventCreateWithFlags(&join, cudaEventDisableTiming), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(queue(1, 1, stream), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(fork, stream), cudaSuccess);
  EXPECT_EQ(cudaEventSynchronize(fork), cudaErrorCapturedEvent);
  EXPECT_EQ(cudaStreamWaitEvent(other, fork, 0), cudaSuccess);
  EXPECT_EQ(queue(10, 0, other), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(join, other), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(stream, join, 0), cudaSuccess);
  EXPECT_EQ(queue(1, 5, stream), cudaSuccess);
  cudaGraph_t graph;
  EXPECT_EQ(cudaStreamEndCapture(other, &graph), cudaErrorStreamCaptureUnmatched);
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  cudaGraphExec_t exec;
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, other), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(other), cudaSuccess);
  EXPECT_EQ(now(), 25u);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(fork), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(join), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(other), cudaSuccess);
}

} // namespace
