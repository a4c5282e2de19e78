/* tests/simt/emulator/device_state.h: streams, captures and the errors of devices, behind one lock. */
#ifndef MFQ_SIMT_DEVICE_STATE_H
#define MFQ_SIMT_DEVICE_STATE_H

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "simt.h"

namespace simt {

using task = std::function<void()>;

/* A sequence of work that is being recorded. */
struct capture {
  CUstream_st *origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool is_broken = false;
  std::vector<task> tasks;
};

} // namespace simt

/* Work of a stream waits in its queue until somebody waits for it. */
struct CUstream_st {
  int device;
  unsigned flags;
  std::deque<simt::task> queue;
  uint64_t pushed = 0;
  std::atomic<uint64_t> done{0};
  std::mutex running; /* held by the host thread that works the queue off */
  std::shared_ptr<simt::capture> recording;
};

namespace simt {

using stream_ref = std::shared_ptr<CUstream_st>;

/* What an event marks: a place in a stream. */
struct mark {
  stream_ref stream;
  uint64_t serial;
  std::chrono::steady_clock::time_point passed;
};

} // namespace simt

struct CUevent_st {
  unsigned flags;
  std::shared_ptr<simt::mark> last;
  std::shared_ptr<simt::capture> recorded_in;
};

struct CUgraph_st {
  std::vector<simt::task> tasks;
};

struct CUgraphExec_st {
  std::vector<simt::task> tasks;
};

namespace simt {

struct device_state {
  stream_ref legacy; /* stream 0 */
  std::atomic<int> lost{cudaSuccess};
};

struct world_state {
  std::recursive_mutex lock;
  settings now, at_start;
  std::map<int, device_state> devices;
  std::map<CUstream_st *, stream_ref> streams; /* legacy ones too */
  std::set<CUevent_st *> events;
  std::set<std::shared_ptr<capture>> captures;
  std::map<const void *, size_t> dynamic_shared; /* of kernels that asked for more than the default */
  int allocations_until_failure = -1;
  std::atomic<int> next_kernel_error{cudaSuccess};
  uint64_t failing_kernel = 0; /* its number, from 1 on; 0: none */
  std::atomic<uint64_t> launches{0}, kernels{0}, threads{0}, copies{0}, allocations{0}, frees{0}, synchronisations{0},
      nanoseconds{0};
};

world_state &world();
using hold = std::lock_guard<std::recursive_mutex>;

int current_device();
/* Whether the driver answers and the current device lives. */
cudaError_t check_device();
/* Notes an error for cudaGetLastError and returns it. */
cudaError_t noted(cudaError_t error);

/* The stream of a handle; null for a handle that does not exist. */
stream_ref stream_of(cudaStream_t handle);
/* Queues or records a task. */
cudaError_t push(const stream_ref &stream, const task &work);
/* Works the queue off up to `serial`. */
void drain(CUstream_st &stream, uint64_t serial);
/* All of the stream, and what the legacy stream must wait for. */
void drain_all(const stream_ref &stream);
void drain_device(int device);
/* For calls that no thread may make while a capture is going on; such a call breaks the capture. */
cudaError_t check_captures();

} // namespace simt

#endif
