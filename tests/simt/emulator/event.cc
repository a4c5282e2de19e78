/* Events: marks in streams. */
#include "device_state.h"

namespace simt {

static bool is_event(cudaEvent_t event) { return world().events.count(event) != 0; }

static cudaError_t record(cudaEvent_t event, cudaStream_t handle) {
  const hold lock(world().lock);
  const stream_ref stream = stream_of(handle);
  if (!stream || !is_event(event)) return cudaErrorInvalidResourceHandle;
  if (stream->recording) {
    event->recorded_in = stream->recording;
    event->last.reset();
    return stream->recording->is_broken ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
  }
  auto made = std::make_shared<mark>();
  const cudaError_t error = push(stream, [made] { made->passed = std::chrono::steady_clock::now(); });
  if (error != cudaSuccess) return error;
  made->stream = stream;
  made->serial = stream->pushed;
  event->last = made;
  event->recorded_in.reset();
  return cudaSuccess;
}

static cudaError_t wait(cudaStream_t handle, cudaEvent_t event) {
  const hold lock(world().lock);
  const stream_ref stream = stream_of(handle);
  if (!stream || !is_event(event)) return cudaErrorInvalidResourceHandle;
  if (event->recorded_in) {
    /* The stream joins the capture; its tasks come after all recorded so far, which is one of the allowed orders. */
    if (stream->recording && stream->recording != event->recorded_in) return cudaErrorStreamCaptureMerge;
    if (world().captures.count(event->recorded_in) == 0) return cudaErrorCapturedEvent;
    stream->recording = event->recorded_in;
    return cudaSuccess;
  }
  if (!event->last) return cudaSuccess;
  if (stream->recording) {
    stream->recording->is_broken = true;
    return cudaErrorStreamCaptureIsolation;
  }
  return push(stream, [last = event->last] { drain(*last->stream, last->serial); });
}

static cudaError_t find_mark(cudaEvent_t event, std::shared_ptr<mark> *last) {
  const hold lock(world().lock);
  if (!is_event(event)) return cudaErrorInvalidResourceHandle;
  if (event->recorded_in) return cudaErrorCapturedEvent;
  *last = event->last;
  return cudaSuccess;
}

static cudaError_t lost(const std::shared_ptr<mark> &last) {
  return static_cast<cudaError_t>(world().devices[last->stream->device].lost.load());
}

static cudaError_t synchronize(cudaEvent_t event) {
  std::shared_ptr<mark> last;
  const cudaError_t error = find_mark(event, &last);
  if (error != cudaSuccess || !last) return error;
  ++world().synchronisations;
  drain(*last->stream, last->serial);
  return lost(last);
}

static cudaError_t query(cudaEvent_t event) {
  std::shared_ptr<mark> last;
  const cudaError_t error = find_mark(event, &last);
  if (error != cudaSuccess || !last) return error;
  if (last->stream->done >= last->serial) return lost(last);
  drain(*last->stream, last->stream->done + 1);
  return cudaErrorNotReady;
}

static cudaError_t elapsed(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
  std::shared_ptr<mark> first, last;
  cudaError_t error = find_mark(start, &first);
  if (error == cudaSuccess) error = find_mark(end, &last);
  if (error != cudaSuccess) return error;
  if (!first || !last || (start->flags | end->flags) & cudaEventDisableTiming) return cudaErrorInvalidResourceHandle;
  if (first->stream->done < first->serial || last->stream->done < last->serial) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(last->passed - first->passed).count();
  return cudaSuccess;
}

} // namespace simt

using namespace simt;

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
  const cudaError_t state = check_device();
  if (state != cudaSuccess) return noted(state);
  if (!event || flags > (cudaEventBlockingSync | cudaEventDisableTiming)) return noted(cudaErrorInvalidValue);
  const hold lock(world().lock);
  *event = new CUevent_st{flags, nullptr, nullptr};
  world().events.insert(*event);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const hold lock(world().lock);
  if (world().events.erase(event) == 0) return noted(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : record(event, stream));
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : wait(stream, event));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : synchronize(event));
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : query(event));
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : elapsed(milliseconds, start, end));
}
