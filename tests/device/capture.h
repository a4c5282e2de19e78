/* tests/device/capture.h: runs in CUDA graphs, which must neither allocate nor wait. */
#ifndef MFQ_TESTS_DEVICE_CAPTURE_H
#define MFQ_TESTS_DEVICE_CAPTURE_H

#include <cuda_runtime.h>

#include "support/device.h"

#if defined(MFQ_SIMT)
#include "simt/emulator/simt.h"
#endif

namespace mfq_test {

/* Allocations, frees and waits so far; a real runtime only refuses them in a capture. */
inline uint64_t toll() {
#if defined(MFQ_SIMT)
  const simt::counters c = simt::current_counters();
  return c.allocations + c.frees + c.synchronisations;
#else
  return 0;
#endif
}

/* Does some work in a capture, and replays it twice. */
inline mfq_status captured(mfq_context *context, const std::function<mfq_status()> &work) {
  const cudaStream_t stream = mfq_context_stream(context);
  EXPECT_EQ(mfq_context_synchronize(context), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  const uint64_t before = toll();
  const mfq_status status = work();
  EXPECT_EQ(toll(), before) << "a run allocated, freed or waited";
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess) << "a run broke the capture";
  EXPECT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  return status;
}

} // namespace mfq_test

#endif
