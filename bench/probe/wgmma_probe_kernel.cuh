/* bench/probe/wgmma_probe_kernel.cuh: matrix instructions of a warpgroup, one tile of them and as many as there can be.
 * BYTES of an element: 2, bf16, or 1, an 8-bit float (e4m3). */
#ifndef MFQ_BENCH_PROBE_WGMMA_PROBE_KERNEL_CUH
#define MFQ_BENCH_PROBE_WGMMA_PROBE_KERNEL_CUH

#include "probe_device.cuh"

typedef block_dynamic<uint8_t> tile_memory;

enum {
  TILE_STEPS = 4,                              /* instructions along rows of 128 bytes */
  TILE_SEGMENT = WGMMA_ROWS * WGMMA_ROW_BYTES, /* bytes of 64 rows, or of 64 of depth */
  TILE_THREADS = 128,                          /* a warpgroup */
  STREAM_THREADS = 2 * TILE_THREADS,
  STREAM_SLOTS = 2 /* of both operands, which take turns */
};

/* Starts the instructions of a tile. */
template <int BYTES, wgmma_major A, wgmma_major B, int N>
__device__ __forceinline__ void warpgroup_multiply_tile(uint64_t a, uint64_t b, wgmma_d<N> *sums) {
  constexpr uint32_t A_STEP = A == WGMMA_K_MAJOR ? 32 : WGMMA_DEPTH * WGMMA_ROW_BYTES;
  constexpr uint32_t B_STEP = B == WGMMA_K_MAJOR ? 32 : WGMMA_DEPTH * WGMMA_ROW_BYTES;
  ptx_wgmma_fence();
#pragma unroll
  for (uint32_t i = 0; i < TILE_STEPS; ++i)
    if constexpr (BYTES == 2)
      ptx_wgmma_bf16<A, B>(wgmma_moved(a, i * A_STEP), wgmma_moved(b, i * B_STEP), sums);
    else
      ptx_wgmma_fp8_43(wgmma_moved(a, i * A_STEP), wgmma_moved(b, i * B_STEP), sums);
  ptx_wgmma_commit();
}

template <int N> __device__ __forceinline__ void thread_zero(wgmma_d<N> *sums) {
#pragma unroll
  for (int i = 0; i < N / 2; ++i) sums->sum[i] = 0.0f;
}

/* ---- One tile, whose sums are looked at -------------------------------------------------------------------------- */

struct one_tile_params {
  const uint8_t *a, *b; /* 64 and N rows, 128 bytes deep */
  uint8_t *sums;        /* float32, row by row */
  uint32_t stride;      /* from eight rows to the next in the descriptor of A; right is 1024 */
};

template <int N> inline constexpr int TILE_SHARED_BYTES = TILE_SEGMENT + N *WGMMA_ROW_BYTES + WGMMA_PATTERN_BYTES;

/* Where element (row, k) stands in a tile. */
template <int BYTES, wgmma_major MAJOR> __device__ __forceinline__ int tile_place(int row, int k) {
  if (MAJOR == WGMMA_K_MAJOR) return wgmma_place(row, k * BYTES / 16) + k * BYTES % 16;
  return row / 64 * TILE_SEGMENT + wgmma_place(k, row % 64 * BYTES / 16) + row * BYTES % 16;
}

template <int BYTES, wgmma_major MAJOR>
__device__ __forceinline__ void block_store_tile(tile_memory &memory, int to, const uint8_t *from, int rows) {
  constexpr int DEPTH = WGMMA_ROW_BYTES / BYTES;
  for (int i = (int)threadIdx.x; i < rows * DEPTH; i += TILE_THREADS) {
    const int at = to + tile_place<BYTES, MAJOR>(i / DEPTH, i % DEPTH);
    if constexpr (BYTES == 2)
      memory.store_as<uint16_t>(at, ptx_load<uint16_t>(from + i * 2));
    else
      memory.store_as<uint8_t>(at, ptx_load<uint8_t>(from + i));
  }
}

template <int BYTES, wgmma_major A, wgmma_major B, int N>
__global__ void __launch_bounds__(probe_wgmma_threads(TILE_THREADS))
    one_tile_kernel(const __grid_constant__ one_tile_params p) {
  if constexpr (PTX_HAS_WGMMA) {
    tile_memory memory(0, TILE_SHARED_BYTES<N>);
    const int first = (int)((0u - memory.address_of(0)) % WGMMA_PATTERN_BYTES);
    block_store_tile<BYTES, A>(memory, first, p.a, WGMMA_ROWS);
    block_store_tile<BYTES, B>(memory, first + TILE_SEGMENT, p.b, N);
    ptx_proxy_fence();
    ptx_sync_block();
    const uint32_t address = memory.address_of(first);
    wgmma_d<N> sums;
    thread_zero(&sums);
    warpgroup_multiply_tile<BYTES, A, B>(wgmma_descriptor({address, TILE_SEGMENT, p.stride}),
                                         wgmma_descriptor({address + TILE_SEGMENT, TILE_SEGMENT, WGMMA_PATTERN_BYTES}),
                                         &sums);
    ptx_wgmma_wait<0>(&sums);
    const int lane = (int)threadIdx.x % 32, row = (int)threadIdx.x / 32 * 16 + lane / 4, column = lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < N / 2; ++i) {
      const int at = (row + i / 2 % 2 * 8) * N + i / 4 * 8 + column + i % 2;
      ptx_store<uint32_t>(p.sums + at * 4, mfqn_bits(sums.sum[i]));
    }
  }
}

/* ---- As many as there can be ------------------------------------------------------------------------------------- */

struct stream_params {
  uint8_t *sums; /* float32, one for each thread */
  int32_t tiles;
};

/* Two segments of A, for two warpgroups, and B of both. */
template <int N> inline constexpr int STREAM_SLOT_BYTES = 2 * TILE_SEGMENT + N *WGMMA_ROW_BYTES;
template <int N> inline constexpr int STREAM_SHARED_BYTES = STREAM_SLOTS *STREAM_SLOT_BYTES<N> + WGMMA_PATTERN_BYTES;

/* PENDING: groups of instructions that may be under way when the next is started. */
template <int BYTES, int N, int PENDING>
__global__ void __launch_bounds__(probe_wgmma_threads(STREAM_THREADS), N == 256 ? 1 : 2)
    stream_kernel(const __grid_constant__ stream_params p) {
  if constexpr (PTX_HAS_WGMMA) {
    tile_memory memory(0, STREAM_SHARED_BYTES<N>);
    const int first = (int)((0u - memory.address_of(0)) % WGMMA_PATTERN_BYTES);
    for (int i = (int)threadIdx.x; i < STREAM_SLOTS * STREAM_SLOT_BYTES<N> / 4; i += STREAM_THREADS) {
      uint32_t word = 0;
      for (int j = 0; j < 4 / BYTES; ++j)
        word |= probe_element(BYTES, blockIdx.x, (uint32_t)(i * (4 / BYTES) + j)) << j * 8 * BYTES;
      memory.store_as<uint32_t>(first + i * 4, word);
    }
    ptx_proxy_fence();
    ptx_sync_block();
    /* From one lane, so that the compiler knows that it is the same in all. */
    const uint32_t group = ptx_shuffle(~0u, threadIdx.x / TILE_THREADS, 0), address = memory.address_of(first);
    const uint64_t a = wgmma_descriptor({address + group * TILE_SEGMENT, TILE_SEGMENT, WGMMA_PATTERN_BYTES});
    const uint64_t b = wgmma_descriptor({address + 2 * TILE_SEGMENT, TILE_SEGMENT, WGMMA_PATTERN_BYTES});
    wgmma_d<N> sums;
    thread_zero(&sums);
#pragma unroll 1
    for (int tile = 0; tile < p.tiles; ++tile) {
      const uint32_t slot = (uint32_t)(tile % STREAM_SLOTS * STREAM_SLOT_BYTES<N>);
      warpgroup_multiply_tile<BYTES, WGMMA_K_MAJOR, WGMMA_K_MAJOR>(wgmma_moved(a, slot), wgmma_moved(b, slot), &sums);
      ptx_wgmma_wait<PENDING>(&sums);
    }
    ptx_wgmma_wait<0>(&sums);
    float all = 0.0f;
#pragma unroll
    for (int i = 0; i < N / 2; ++i) all += sums.sum[i];
    ptx_store<uint32_t>(p.sums + (blockIdx.x * STREAM_THREADS + threadIdx.x) * 4, mfqn_bits(all));
  }
}

#endif
