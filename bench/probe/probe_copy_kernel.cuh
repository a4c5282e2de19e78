/* bench/probe/probe_copy_kernel.cuh: a copy of global memory, and copies into shared memory as convolutions make
 * them. */
#ifndef MFQ_BENCH_PROBE_PROBE_COPY_KERNEL_CUH
#define MFQ_BENCH_PROBE_PROBE_COPY_KERNEL_CUH

#include "probe_device.cuh"

/* ---- From global memory to global memory ------------------------------------------------------------------------- */

enum { COPY_THREADS = 256, COPY_EACH = 4 }; /* pieces of 16 bytes of a thread */
enum { COPY_BLOCK_BYTES = COPY_THREADS * COPY_EACH * 16 };

struct device_copy_params {
  const uint8_t *from;
  uint8_t *to;
};

__global__ void __launch_bounds__(COPY_THREADS) device_copy_kernel(const __grid_constant__ device_copy_params p) {
  const size_t first = (size_t)blockIdx.x * COPY_BLOCK_BYTES + threadIdx.x * 16;
  uint4 piece[COPY_EACH];
#pragma unroll
  for (int i = 0; i < COPY_EACH; ++i) piece[i] = ptx_load<uint4>(p.from + first + i * (COPY_THREADS * 16));
#pragma unroll
  for (int i = 0; i < COPY_EACH; ++i) ptx_store<uint4>(p.to + first + i * (COPY_THREADS * 16), piece[i]);
}

/* ---- Into shared memory ------------------------------------------------------------------------------------------ */

/* As product/wgmma_loop.cuh: stages of 256 rows of 128 bytes, two of them under way, two blocks at once. */
enum {
  GATHER_THREADS = 256,
  GATHER_ROWS = 256,
  GATHER_STAGES = 3,
  GATHER_STAGE_BYTES = GATHER_ROWS * WGMMA_ROW_BYTES,
  GATHER_SHARED_BYTES = GATHER_STAGES * GATHER_STAGE_BYTES + WGMMA_PATTERN_BYTES
};

struct gather_params {
  const uint8_t *from; /* `rows` + GATHER_ROWS rows, the first of them of each stage somewhere among `rows` */
  uint32_t rows;       /* a power of two */
  int32_t row_bytes;   /* from one to the next; 128 of them are copied */
  int32_t stages;
};

typedef block_dynamic<uint8_t> gather_memory;

/* Starts a stage's copies to byte `to`. Whole rows: eight lanes copy the eight pieces of a row in one instruction.
 * Halves: a lane has 32 neighbouring bytes, a sector, and copies them in two instructions. */
template <bool WHOLE_ROWS>
__device__ __forceinline__ void thread_gather(const gather_params &p, int stage, gather_memory &memory, int to) {
  const uint32_t row = (blockIdx.x * 977u + (uint32_t)stage) * GATHER_ROWS % p.rows;
  const int lanes = WHOLE_ROWS ? 8 : 4, lane = (int)threadIdx.x % lanes;
  const uint8_t *from = p.from + (size_t)row * (size_t)p.row_bytes + lane * (WGMMA_ROW_BYTES / lanes);
#pragma unroll
  for (int i = 0; i < GATHER_ROWS * lanes / GATHER_THREADS; ++i) {
    const int line = i * (GATHER_THREADS / lanes) + (int)threadIdx.x / lanes;
    const uint8_t *piece = from + line * p.row_bytes;
#pragma unroll
    for (int half = 0; half < 8 / lanes; ++half)
      memory.copy_async16(to + wgmma_place(line, lane * (8 / lanes) + half), piece + half * 16);
  }
  ptx_copy_async_commit();
}

template <bool WHOLE_ROWS, bool FENCE>
__global__ void __launch_bounds__(GATHER_THREADS, 2) gather_kernel(const __grid_constant__ gather_params p) {
  gather_memory memory(0, GATHER_SHARED_BYTES);
  const int first = (int)((0u - memory.address_of(0)) % WGMMA_PATTERN_BYTES);
  for (int stage = 0; stage < GATHER_STAGES - 1; ++stage)
    thread_gather<WHOLE_ROWS>(p, stage, memory, first + stage * GATHER_STAGE_BYTES);
  int buffer = GATHER_STAGES - 1;
#pragma unroll 1
  for (int stage = GATHER_STAGES - 1; stage < p.stages; ++stage) {
    ptx_copy_async_wait<GATHER_STAGES - 2>();
    if constexpr (FENCE && PTX_HAS_WGMMA) ptx_proxy_fence();
    ptx_sync_block();
    thread_gather<WHOLE_ROWS>(p, stage, memory, first + buffer * GATHER_STAGE_BYTES);
    buffer = buffer == GATHER_STAGES - 1 ? 0 : buffer + 1;
  }
  ptx_copy_async_wait<0>();
}

#endif
