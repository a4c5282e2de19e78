/* The part of the CUDA driver that benchmarks open for themselves: graphs and events. Handles and errors are the
 * runtime's own. */
#include "simt.h"

/* Every stream of a device has its one context, which is known by its address only. */
static char primary_context;

extern "C" {
#pragma GCC visibility push(default)

int cuStreamGetCtx(cudaStream_t, void **context) {
  *context = &primary_context;
  return cudaSuccess;
}

int cuCtxSetCurrent(void *context) { return context == &primary_context ? cudaSuccess : cudaErrorInvalidValue; }

int cuStreamBeginCapture_v2(cudaStream_t stream, int mode) {
  return cudaStreamBeginCapture(stream, static_cast<cudaStreamCaptureMode>(mode));
}

int cuStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) { return cudaStreamEndCapture(stream, graph); }

int cuGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags) {
  return cudaGraphInstantiate(exec, graph, flags);
}

int cuGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) { return cudaGraphLaunch(exec, stream); }
int cuGraphExecDestroy(cudaGraphExec_t exec) { return cudaGraphExecDestroy(exec); }
int cuGraphDestroy(cudaGraph_t graph) { return cudaGraphDestroy(graph); }

int cuEventCreate(cudaEvent_t *event, unsigned flags) { return cudaEventCreateWithFlags(event, flags); }
int cuEventRecord(cudaEvent_t event, cudaStream_t stream) { return cudaEventRecord(event, stream); }
int cuEventSynchronize(cudaEvent_t event) { return cudaEventSynchronize(event); }
int cuEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return cudaEventElapsedTime(milliseconds, start, end);
}
int cuEventDestroy_v2(cudaEvent_t event) { return cudaEventDestroy(event); }

#pragma GCC visibility pop
}
