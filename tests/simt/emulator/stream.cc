/* Streams: queues of work that run when somebody waits, in the order CUDA promises and no sooner. */
#include <ctime>

#include "device_memory.h"
#include "device_state.h"

namespace simt {

stream_ref stream_of(cudaStream_t handle) {
  world_state &w = world();
  const hold lock(w.lock);
  if (handle == nullptr || handle == cudaStreamLegacy) {
    stream_ref &legacy = w.devices[current_device()].legacy;
    if (!legacy) {
      legacy = std::make_shared<CUstream_st>();
      legacy->device = current_device();
      legacy->flags = cudaStreamDefault;
      w.streams[legacy.get()] = legacy;
    }
    return legacy;
  }
  const auto found = w.streams.find(handle);
  return found == w.streams.end() ? nullptr : found->second;
}

static void append(CUstream_st &stream, const task &work) {
  stream.queue.push_back(work);
  ++stream.pushed;
}

/* Makes `stream` wait for all that is in `other` now. */
static void wait_for(CUstream_st &stream, const stream_ref &other) {
  if (other.get() == &stream || other->done == other->pushed) return;
  append(stream, [other, serial = other->pushed] { drain(*other, serial); });
}

/* Work in stream 0 follows all earlier work of blocking streams, and the other way round. */
static void order_with_legacy(CUstream_st &stream) {
  world_state &w = world();
  const stream_ref &legacy = w.devices[stream.device].legacy;
  if (stream.flags & cudaStreamNonBlocking || !legacy) return;
  if (&stream != legacy.get()) {
    wait_for(stream, legacy);
    return;
  }
  for (const auto &each : w.streams)
    if (each.second->device == stream.device && !(each.second->flags & cudaStreamNonBlocking))
      wait_for(stream, each.second);
}

/* Stream 0 cannot be used while a stream that it waits for is recorded. */
static bool breaks_capture(const CUstream_st &stream) {
  world_state &w = world();
  if (&stream != w.devices[stream.device].legacy.get()) return false;
  bool breaks = false;
  for (const auto &each : w.streams) {
    if (!each.second->recording || each.second->flags & cudaStreamNonBlocking) continue;
    each.second->recording->is_broken = true;
    breaks = true;
  }
  return breaks;
}

cudaError_t push(const stream_ref &stream, const task &work) {
  const hold lock(world().lock);
  if (stream->recording) {
    if (stream->recording->is_broken) return cudaErrorStreamCaptureInvalidated;
    stream->recording->tasks.push_back(work);
    return cudaSuccess;
  }
  if (breaks_capture(*stream)) return cudaErrorStreamCaptureImplicit;
  order_with_legacy(*stream);
  append(*stream, work);
  return cudaSuccess;
}

/* Notes the processor time that a host thread works for a device; streams that wait for others nest. */
class working {
public:
  working() { ++depth_; }
  ~working() {
    if (--depth_ == 0) world().nanoseconds += now() - begun_;
  }

private:
  static uint64_t now() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1000000000 + static_cast<uint64_t>(time.tv_nsec);
  }
  static thread_local int depth_;
  const uint64_t begun_ = now();
};
thread_local int working::depth_ = 0;

void drain(CUstream_st &stream, uint64_t serial) {
  if (stream.done >= serial) return;
  const working clock;
  const std::lock_guard<std::mutex> run(stream.running);
  while (stream.done < serial) {
    task next;
    {
      const hold lock(world().lock);
      if (stream.queue.empty()) return; /* dropped by reset() */
      next = std::move(stream.queue.front());
      stream.queue.pop_front();
    }
    if (world().devices[stream.device].lost == cudaSuccess) next();
    ++stream.done;
  }
}

void drain_all(const stream_ref &stream) {
  uint64_t serial;
  {
    const hold lock(world().lock);
    order_with_legacy(*stream);
    serial = stream->pushed;
  }
  drain(*stream, serial);
}

void drain_device(int device) {
  std::vector<stream_ref> all;
  {
    const hold lock(world().lock);
    for (const auto &each : world().streams)
      if (each.second->device == device) all.push_back(each.second);
  }
  for (const stream_ref &each : all) drain_all(each);
}

/* The sticky error of a device, after its work is done. */
static cudaError_t finish(int device) {
  ++world().synchronisations;
  check_margins();
  return static_cast<cudaError_t>(world().devices[device].lost.load());
}

static cudaError_t synchronize(cudaStream_t handle) {
  const stream_ref stream = stream_of(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (stream->recording) {
    stream->recording->is_broken = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  drain_all(stream);
  return finish(stream->device);
}

static cudaError_t synchronize_device() {
  const cudaError_t captures = check_captures();
  if (captures != cudaSuccess) return captures;
  drain_device(current_device());
  return finish(current_device());
}

/* Polling makes progress, one task a call: nothing else would ever run it. */
static cudaError_t query(cudaStream_t handle) {
  const stream_ref stream = stream_of(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (stream->recording) {
    stream->recording->is_broken = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  if (stream->done == stream->pushed) return static_cast<cudaError_t>(world().devices[stream->device].lost.load());
  drain(*stream, stream->done + 1);
  return cudaErrorNotReady;
}

static cudaError_t create(cudaStream_t *handle, unsigned flags) {
  if (!handle || flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
  auto made = std::make_shared<CUstream_st>();
  made->device = current_device();
  made->flags = flags;
  const hold lock(world().lock);
  world().streams[made.get()] = made;
  *handle = made.get();
  return cudaSuccess;
}

/* CUDA finishes what is queued and then lets the stream go; here it is finished at once. */
static cudaError_t destroy(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return cudaErrorInvalidResourceHandle;
  const stream_ref stream = stream_of(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  drain_all(stream);
  const hold lock(world().lock);
  world().streams.erase(handle);
  return cudaSuccess;
}

} // namespace simt

using namespace simt;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : create(stream, flags));
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) { return noted(destroy(stream)); }

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : synchronize(stream));
}

cudaError_t cudaDeviceSynchronize() {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : synchronize_device());
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const cudaError_t state = check_device();
  return noted(state != cudaSuccess ? state : query(stream));
}

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned *flags) {
  const stream_ref found = stream_of(stream);
  if (!found) return noted(cudaErrorInvalidResourceHandle);
  *flags = found->flags;
  return cudaSuccess;
}
