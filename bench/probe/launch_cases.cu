/* bench/probe/launch_cases.cu: seconds of a launch, queued and in a graph, and of what every call of the library asks
 * the runtime for. */
#include "probe_device.cuh"

namespace {

constexpr int graph_launches = 100;

struct empty_params {
  int32_t nothing;
};
__global__ void empty_kernel(const __grid_constant__ empty_params) {}

void launch_nothing(cudaStream_t stream) { probe_launch({1, 32, 0, stream}, empty_kernel, {0}); }

int calls(const probe_settings &settings) { return settings.is_quick ? 10 : 1000; }

/* The host's seconds of one call: the median of several times many. */
template <class Call> double host_seconds(const probe_settings &settings, const Call &call) {
  std::vector<double> seconds;
  for (int time = 0; time < 9; ++time) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls(settings); ++i) call();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    probe_need(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); /* a queue that is full makes the host wait */
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2] / calls(settings);
}

class stream {
public:
  stream() { probe_need(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"); }
  ~stream() { (void)cudaStreamDestroy(stream_); }
  stream(const stream &) = delete;
  stream &operator=(const stream &) = delete;
  cudaStream_t get() const { return stream_; }

private:
  cudaStream_t stream_ = nullptr;
};

probe_answer ask_queued(const probe_settings &settings) {
  const stream own;
  const double seconds = probe_seconds(settings, {9, calls(settings), own.get()}, [&] { launch_nothing(own.get()); });
  return {"measured", seconds, "s", "an empty kernel, queued again and again"};
}

probe_answer ask_graph(const probe_settings &settings) {
  const stream own;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  probe_need(cudaStreamBeginCapture(own.get(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  for (int i = 0; i < graph_launches; ++i) launch_nothing(own.get());
  probe_need(cudaStreamEndCapture(own.get(), &graph), "cudaStreamEndCapture");
  probe_need(cudaGraphInstantiate(&ready, graph, 0), "cudaGraphInstantiate");
  const double seconds = probe_seconds(settings, {21, 1, own.get()},
                                       [&] { probe_need(cudaGraphLaunch(ready, own.get()), "cudaGraphLaunch"); });
  probe_need(cudaGraphExecDestroy(ready), "cudaGraphExecDestroy");
  probe_need(cudaGraphDestroy(graph), "cudaGraphDestroy");
  return {"measured", seconds / graph_launches, "s", probe_text("each of %d empty kernels in a graph", graph_launches)};
}

probe_answer ask_host_launch(const probe_settings &settings) {
  const stream own;
  return {"measured", host_seconds(settings, [&] { launch_nothing(own.get()); }), "s",
          "of the host, to queue an empty kernel"};
}

probe_answer ask_pointer(const probe_settings &settings) {
  const probe_memory memory(1 << 20);
  cudaPointerAttributes attributes;
  const double seconds = host_seconds(
      settings, [&] { probe_need(cudaPointerGetAttributes(&attributes, memory.data()), "cudaPointerGetAttributes"); });
  return {"measured", seconds, "s", "of the host"};
}

probe_answer ask_device(const probe_settings &settings) {
  int device = 0;
  return {"measured", host_seconds(settings, [&] { probe_need(cudaGetDevice(&device), "cudaGetDevice"); }), "s",
          "of the host"};
}

} // namespace

void probe_add_launching(const probe_settings &, probe_cases *cases) {
  cases->push_back({PROBE_LAUNCHING, "launch queued", "", ask_queued});
  cases->push_back({PROBE_LAUNCHING, "launch in a graph", "", ask_graph});
  cases->push_back({PROBE_LAUNCHING, "launch, seconds of the host", "", ask_host_launch});
  cases->push_back({PROBE_LAUNCHING, "cudaPointerGetAttributes", "", ask_pointer});
  cases->push_back({PROBE_LAUNCHING, "cudaGetDevice", "", ask_device});
}
