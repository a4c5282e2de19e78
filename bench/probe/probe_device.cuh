/* bench/probe/probe_device.cuh: what questions need of a device: launches, memory, times, random operands. */
#ifndef MFQ_BENCH_PROBE_DEVICE_CUH
#define MFQ_BENCH_PROBE_DEVICE_CUH

#include <algorithm>
#include <chrono>

#include "cuda/prim/wgmma.cuh"
#include "probe.h"

inline void probe_need(cudaError_t error, const char *call) {
  if (error == cudaSuccess) return;
  throw probe_failure{probe_text("%s: %s (%s)", call, cudaGetErrorString(error), cudaGetErrorName(error))};
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

class probe_memory {
public:
  explicit probe_memory(size_t bytes) { probe_need(cudaMalloc(&data_, bytes), "cudaMalloc"); }
  template <class T> explicit probe_memory(const std::vector<T> &contents) : probe_memory(contents.size() * sizeof(T)) {
    const size_t bytes = contents.size() * sizeof(T);
    probe_need(cudaMemcpy(data_, contents.data(), bytes, cudaMemcpyHostToDevice), "cudaMemcpy to the device");
  }
  ~probe_memory() { (void)cudaFree(data_); }
  probe_memory(const probe_memory &) = delete;
  probe_memory &operator=(const probe_memory &) = delete;

  uint8_t *data() const { return data_; }
  /* `count` items from byte `first` on. */
  template <class T> std::vector<T> read(size_t first, size_t count) const {
    std::vector<T> items(count);
    probe_need(cudaMemcpy(items.data(), data_ + first, count * sizeof(T), cudaMemcpyDeviceToHost),
               "cudaMemcpy to the host");
    return items;
  }

private:
  uint8_t *data_ = nullptr;
};

/* ---- Launches ---------------------------------------------------------------------------------------------------- */

struct probe_grid {
  unsigned blocks, threads;
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

template <class Params>
void probe_launch(const probe_grid &grid, void (*kernel)(Params), const std::type_identity_t<Params> &params) {
  Params copy = params;
  void *arguments[] = {&copy};
  probe_need(cudaLaunchKernel(kernel, dim3(grid.blocks), dim3(grid.threads), arguments, grid.shared_bytes, grid.stream),
             "cudaLaunchKernel");
}

/* Blocks of a kernel that a multiprocessor runs at once; 0: the build has no machine code of it for this device. */
template <class Params> int probe_blocks_at_once(void (*kernel)(Params), int threads, int shared_bytes) {
  int blocks = 0;
  cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  if (error == cudaSuccess)
    error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, (size_t)shared_bytes);
  if (error != cudaSuccess) (void)cudaGetLastError();
  return error == cudaSuccess ? blocks : 0;
}

/* Threads of a kernel that only 9.0 runs: elsewhere it cannot have as many as it is launched with. */
constexpr int probe_wgmma_threads(int threads) { return PTX_HAS_WGMMA ? threads : 32; }

/* Why there is no such kernel, or nothing. */
inline std::string probe_lacks_wgmma(const probe_settings &settings, int blocks_at_once) {
  if (settings.capability != 90)
    return probe_text("needs 9.0, and the device is %d.%d", settings.capability / 10, settings.capability % 10);
  return blocks_at_once > 0 ? "" : "this build has no machine code for sm_90a";
}

/* ---- Times ------------------------------------------------------------------------------------------------------- */

class probe_event {
public:
  probe_event() { probe_need(cudaEventCreate(&event_), "cudaEventCreate"); }
  ~probe_event() { (void)cudaEventDestroy(event_); }
  probe_event(const probe_event &) = delete;
  probe_event &operator=(const probe_event &) = delete;
  void record(cudaStream_t stream) { probe_need(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  double seconds_since(const probe_event &start) {
    float milliseconds = 0;
    probe_need(cudaEventSynchronize(event_), "cudaEventSynchronize");
    probe_need(cudaEventElapsedTime(&milliseconds, start.event_, event_), "cudaEventElapsedTime");
    return 1e-3 * (double)milliseconds;
  }

private:
  cudaEvent_t event_ = nullptr;
};

/* How often work is timed, and how much of it at a time. */
struct probe_repeats {
  int times, each = 1;
  cudaStream_t stream = nullptr;
};

/* The device's seconds for one piece of `work`, which queues it: the median, behind as much work as lifts the clocks. */
template <class Work>
double probe_seconds(const probe_settings &settings, const probe_repeats &repeats, const Work &work) {
  const auto since = std::chrono::steady_clock::now();
  const std::chrono::milliseconds warm(settings.is_quick ? 0 : 30);
  do {
    work();
    probe_need(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  } while (std::chrono::steady_clock::now() - since < warm);
  std::vector<double> seconds;
  probe_event start, end;
  for (int i = 0; i < (settings.is_quick ? 1 : repeats.times); ++i) {
    start.record(repeats.stream);
    for (int j = 0; j < repeats.each; ++j) work();
    end.record(repeats.stream);
    seconds.push_back(end.seconds_since(start) / repeats.each);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

/* ---- Random operands --------------------------------------------------------------------------------------------- */

__device__ __host__ __forceinline__ uint32_t probe_random(uint32_t seed, uint32_t index) {
  uint32_t x = seed * 0x9e3779b9u ^ index;
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}

/* bf16 (2 bytes) or an 8-bit float (e4m3), between 1/4 and 4, with random sign and every bit of mantissa: what
 * instructions draw, and so the clock, depends on the bits that they see. */
__device__ __host__ __forceinline__ uint32_t probe_element(int bytes, uint32_t seed, uint32_t index) {
  const uint32_t r = probe_random(seed, index);
  return bytes == 2 ? (r >> 16 & 0x8000u) | (0x3e80u + (r & 0x1ffu)) : (r >> 24 & 0x80u) | (0x28u + (r & 0x1fu));
}

inline double probe_fp8_value(uint32_t code) {
  const int exponent = (int)(code >> 3 & 15u);
  const double magnitude = exponent == 0 ? std::ldexp(code & 7u, -9) : std::ldexp(8.0 + (code & 7u), exponent - 10);
  return code & 0x80u ? -magnitude : magnitude;
}
inline double probe_value(int bytes, uint32_t code) {
  return bytes == 2 ? (double)mfqn_float_of(code << 16) : probe_fp8_value(code);
}

#endif
