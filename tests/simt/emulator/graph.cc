/* Captures and graphs. A graph is the list of the tasks that were recorded; replay queues them again. */
#include "device_state.h"

namespace simt {

/* What this thread may still do while captures go on (cudaThreadExchangeStreamCaptureMode). */
static thread_local cudaStreamCaptureMode mode_of_thread = cudaStreamCaptureModeGlobal;

cudaError_t check_captures() {
  if (mode_of_thread == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  world_state &w = world();
  const hold lock(w.lock);
  for (const auto &each : w.captures) {
    const bool is_ours = each->thread == std::this_thread::get_id();
    const bool forbids = is_ours ? each->mode != cudaStreamCaptureModeRelaxed
                                 : each->mode == mode_of_thread && mode_of_thread == cudaStreamCaptureModeGlobal;
    if (!forbids) continue;
    each->is_broken = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  return cudaSuccess;
}

static cudaError_t begin_capture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  world_state &w = world();
  const hold lock(w.lock);
  const stream_ref stream = stream_of(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (stream == w.devices[stream->device].legacy) return cudaErrorStreamCaptureUnsupported;
  if (stream->recording) return cudaErrorIllegalState;
  stream->recording = std::make_shared<capture>();
  stream->recording->origin = stream.get();
  stream->recording->mode = mode;
  stream->recording->thread = std::this_thread::get_id();
  w.captures.insert(stream->recording);
  return cudaSuccess;
}

static cudaError_t end_capture(cudaStream_t handle, cudaGraph_t *graph) {
  world_state &w = world();
  const hold lock(w.lock);
  if (!graph) return cudaErrorInvalidValue;
  *graph = nullptr;
  const stream_ref stream = stream_of(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  const std::shared_ptr<capture> done = stream->recording;
  if (!done) return cudaErrorIllegalState;
  if (done->origin != stream.get()) return cudaErrorStreamCaptureUnmatched;
  if (done->mode != cudaStreamCaptureModeRelaxed && done->thread != std::this_thread::get_id())
    return cudaErrorStreamCaptureWrongThread;
  for (const auto &each : w.streams)
    if (each.second->recording == done) each.second->recording.reset();
  w.captures.erase(done);
  if (done->is_broken) return cudaErrorStreamCaptureInvalidated;
  *graph = new CUgraph_st{done->tasks};
  return cudaSuccess;
}

static cudaError_t launch_graph(cudaGraphExec_t exec, cudaStream_t handle) {
  const stream_ref stream = stream_of(handle);
  if (!exec || !stream) return cudaErrorInvalidResourceHandle;
  for (const task &each : exec->tasks) {
    const cudaError_t error = push(stream, each);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

} // namespace simt

using namespace simt;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : begin_capture(stream, mode));
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : end_capture(stream, graph));
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *mode) {
  if (!mode) return noted(cudaErrorInvalidValue);
  std::swap(mode_of_thread, *mode);
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *status) {
  const cudaError_t state = check_device();
  if (state != cudaSuccess) return noted(state);
  const stream_ref stream = stream_of(handle);
  if (!stream || !status) return noted(cudaErrorInvalidValue);
  const hold lock(world().lock);
  *status = !stream->recording             ? cudaStreamCaptureStatusNone
            : stream->recording->is_broken ? cudaStreamCaptureStatusInvalidated
                                           : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
  if (!exec || !graph) return noted(cudaErrorInvalidValue);
  *exec = new CUgraphExec_st{graph->tasks};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : launch_graph(exec, stream));
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return exec ? cudaSuccess : noted(cudaErrorInvalidValue);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return graph ? cudaSuccess : noted(cudaErrorInvalidValue);
}
