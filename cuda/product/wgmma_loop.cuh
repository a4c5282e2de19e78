/* cuda/product/wgmma_loop.cuh: products of tiles, 128 rows by 128 or 64 columns, by the matrix instructions of
 * warpgroups, on sm_90a.
 *
 * As mma_loop.cuh, with operands that are bf16 in memory, in whole units, and with 64 of depth at once: to widen them in
 * every tile anew would take several times as long as the matrix instructions. Each of 256 threads starts copies of
 * units of both operands into one of three stages of shared memory, two stages ahead; two warpgroups, which have 64 rows
 * each, start the instructions that read a stage, and go on. Units along depth are rows of 128 bytes for K-major
 * operands, units across it for MN-major ones (prim/wgmma.cuh): a thread writes to the same places either way. Bytes
 * read per tile and 64 of depth: 128 for each row and column, from the caches mostly, as taps and blocks that run
 * together share them.
 *
 * A gatherer says where units are:
 *   params                  of the kernel: with `grid`
 *   shape                   wgmma_shape
 *   void start(p, at, rows) every thread's place, and the tile's rows
 *   tile_pieces stages      64 of depth each
 *   void copy(p, stage, to) starts the copies of a thread's units, and moves on */
#ifndef MFQ_CUDA_PRODUCT_WGMMA_LOOP_CUH
#define MFQ_CUDA_PRODUCT_WGMMA_LOOP_CUH

#include "cuda/prim/wgmma.cuh"
#include "tile.cuh"

/* None of them has been measured. */
enum {
  STAGE_DEPTH = 64,         /* four units, at once in shared memory: rows of 128 bytes */
  STAGE_UNITS = 4,          /* of such a row */
  STAGE_SEGMENT = 64 * 128, /* bytes of 64 such rows; a thread copies units at one of the four places of every 64th */
  STAGES = 3,               /* one is multiplied, the next has arrived or will, the one after is on its way */
  STAGE_BLOCKS = 2          /* at once on a multiprocessor: one multiplies while the other waits */
};

/* Registers of a thread (nvcc 13.0, sm_90a, no spills) of convolutions, for 128 and 64 columns: 128 and 90 where all
 * units lie along depth, 128 and 96 where the direct operand's lie across it, 114 and 80 by pixels. Shared memory of a
 * block: 97 and 73 KiB, and 1 KiB of rows. A stage takes a warp about 85 instructions, and 110 more at a new tap; by
 * pixels 180. */
template <bool A_WIDE, bool B_WIDE, int COLUMNS_> struct wgmma_shape {
  static constexpr int COLUMNS = COLUMNS_;
  static constexpr wgmma_major A_MAJOR = A_WIDE ? WGMMA_MN_MAJOR : WGMMA_K_MAJOR;
  static constexpr wgmma_major B_MAJOR = B_WIDE ? WGMMA_MN_MAJOR : WGMMA_K_MAJOR;
  static constexpr int A_SEGMENTS = TILE_ROWS / 64, B_SEGMENTS = COLUMNS / 64;
  static constexpr int STAGE_BYTES = (A_SEGMENTS + B_SEGMENTS) * STAGE_SEGMENT;
  /* Stages begin at multiples of 1024 bytes. */
  static constexpr int SHARED_BYTES = STAGES * STAGE_BYTES + WGMMA_PATTERN_BYTES;
};

typedef block_dynamic<uint8_t> stage_memory;

/* Where a stage is copied to. */
typedef struct stage_target {
  stage_memory *memory;
  int first; /* its first byte */
} stage_target;

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

/* A thread has place threadIdx.x % 4 and line threadIdx.x / 4 of every segment: of units along depth that unit of that
 * row (column); of units across it that unit of the segment's 64 rows (columns) at that depth. */
__device__ __forceinline__ int thread_place_of_four() { return (int)threadIdx.x % STAGE_UNITS; }
__device__ __forceinline__ int thread_line_of_segment() { return (int)threadIdx.x / STAGE_UNITS; }

/* The thread's unit of a segment: 32 bytes from `from` on, or zeros. */
__device__ __forceinline__ void thread_copy_unit(const uint8_t *from, int exists, const stage_target &stage,
                                                 int segment) {
  const int line = thread_line_of_segment(), piece = 2 * thread_place_of_four();
  const int to = stage.first + segment * STAGE_SEGMENT;
  stage.memory->copy_async16_or_zero(to + wgmma_place(line, piece), from, exists);
  stage.memory->copy_async16_or_zero(to + wgmma_place(line, piece + 1), from + 16, exists);
}

__device__ __forceinline__ const uint8_t *thread_element_at(const side_params &s, int64_t at) {
  return s.plain.data + at * 2;
}

/* ---- Matrix instructions ----------------------------------------------------------------------------------------- */

/* Bytes from 16 of the depth to the next 16. */
template <wgmma_major MAJOR>
inline constexpr uint32_t STAGE_DEPTH_STEP = MAJOR == WGMMA_K_MAJOR ? 2 * WGMMA_DEPTH : WGMMA_DEPTH *WGMMA_ROW_BYTES;

/* Descriptors of the first stage. */
typedef struct stage_operands {
  uint64_t a, b;
} stage_operands;

template <class Shape> __device__ __forceinline__ stage_operands warpgroup_operands(uint32_t address) {
  /* From one lane, so that the compiler knows that it is the same in all. */
  const uint32_t group = ptx_shuffle(~0u, threadIdx.x / 128, 0);
  const uint32_t a = address + group * STAGE_SEGMENT, b = address + Shape::A_SEGMENTS * STAGE_SEGMENT;
  return stage_operands{wgmma_descriptor({a, STAGE_SEGMENT, WGMMA_PATTERN_BYTES}),
                        wgmma_descriptor({b, STAGE_SEGMENT, WGMMA_PATTERN_BYTES})};
}

/* Starts the instructions of a stage that is `stage` bytes further. */
template <class Shape>
__device__ __forceinline__ void warpgroup_multiply(const stage_operands &of, uint32_t stage,
                                                   wgmma_d<Shape::COLUMNS> *sums) {
  const uint64_t a = wgmma_moved(of.a, stage), b = wgmma_moved(of.b, stage);
  ptx_wgmma_fence();
#pragma unroll
  for (uint32_t k = 0; k < (uint32_t)STAGE_DEPTH / (uint32_t)WGMMA_DEPTH; ++k)
    ptx_wgmma_bf16<Shape::A_MAJOR, Shape::B_MAJOR>(wgmma_moved(a, k * STAGE_DEPTH_STEP<Shape::A_MAJOR>),
                                                   wgmma_moved(b, k * STAGE_DEPTH_STEP<Shape::B_MAJOR>), sums);
  ptx_wgmma_commit();
}

/* A barrier for each stage: behind it that stage has arrived, and the one before has been multiplied by both
 * warpgroups, so that its memory takes the stage after the next. */
template <class Gatherer>
__device__ __forceinline__ void block_multiply(const typename Gatherer::params &p, stage_memory &memory, Gatherer *from,
                                               wgmma_d<Gatherer::shape::COLUMNS> *sums) {
  using Shape = typename Gatherer::shape;
  const int first = (int)((0u - memory.address_of(0)) % WGMMA_PATTERN_BYTES);
  const stage_operands operands = warpgroup_operands<Shape>(memory.address_of(first));
  const int32_t end = from->stages.end;
  int32_t next = from->stages.first;
  int buffer = 0;
#pragma unroll 1
  for (; next < from->stages.first + STAGES - 1; ++next) {
    const int to = first + (next - from->stages.first) * Shape::STAGE_BYTES;
    if (next < end) from->copy(p, next, stage_target{&memory, to});
    ptx_copy_async_commit();
  }
#pragma unroll 1
  for (int32_t stage = from->stages.first; stage < end; ++stage, ++next) {
    ptx_copy_async_wait<STAGES - 2>();
    ptx_proxy_fence();
    ptx_sync_block();
    warpgroup_multiply<Shape>(operands, (uint32_t)(buffer * Shape::STAGE_BYTES), sums);
    const int to = first + (buffer == 0 ? STAGES - 1 : buffer - 1) * Shape::STAGE_BYTES;
    if (next < end) from->copy(p, next, stage_target{&memory, to});
    ptx_copy_async_commit();
    ptx_wgmma_wait<0>(sums);
    buffer = buffer == STAGES - 1 ? 0 : buffer + 1;
  }
}

/* ---- The result -------------------------------------------------------------------------------------------------- */

/* Where a thread's sums go: rows i * 8 further, columns j * 8 further. */
typedef struct stage_result {
  int64_t row[2]; /* element of the first column */
  int32_t exists[2];
  int32_t left; /* columns from the first one on */
} stage_result;

template <class Shape>
__device__ __forceinline__ stage_result thread_stage_result(const tile_grid &g, const tile_block &at, tile_rows &rows) {
  stage_result result;
  const int lane = (int)threadIdx.x % 32, row = (int)threadIdx.x / 32 * 16 + lane / 4;
  const int32_t column = at.b * Shape::COLUMNS + lane % 4 * 2;
  result.left = g.columns - column;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint2 words = rows.load(row + i * 8);
    result.exists[i] = words.y != TILE_NOWHERE;
    result.row[i] = at.part * g.to_part + column * g.to_column + thread_noted_row(words);
  }
  return result;
}

/* An even number of columns, in pairs. */
template <int COLUMNS, int DTYPE>
__device__ __forceinline__ void thread_store_pairs(const tile_grid &g, const stage_result &result,
                                                   const wgmma_d<COLUMNS> &sums) {
#pragma unroll
  for (int n = 0; n < COLUMNS / 4; ++n) {
    const int i = n % 2, j = n / 2;
    if (!result.exists[i] || result.left <= j * 8) continue;
    const int64_t at = result.row[i] + j * 8;
    const uint32_t low = mfqn_bits(sums.sum[2 * n]), high = mfqn_bits(sums.sum[2 * n + 1]);
    if constexpr (DTYPE == ELEMENT_F32)
      ptx_store<uint2>(g.to.data + at * 4, make_uint2(low, high));
    else
      ptx_store<uint32_t>(g.to.data + at * 2, mfqn_bf16_from_f32(low) | mfqn_bf16_from_f32(high) << 16);
  }
}

/* Anything, in little code: out of shared memory, where only registers with known numbers are. */
template <int COLUMNS>
__device__ __forceinline__ void thread_store_any(const tile_grid &g, const stage_result &result, stage_memory &memory,
                                                 const wgmma_d<COLUMNS> &sums) {
  const int own = (int)threadIdx.x * 4;
#pragma unroll
  for (int n = 0; n < COLUMNS / 2; ++n) memory.store_as<uint32_t>(n * (4 * TILE_THREADS) + own, mfqn_bits(sums.sum[n]));
#pragma unroll 1
  for (int n = 0; n < COLUMNS / 4; ++n) {
    const int i = n % 2, j = n / 2;
    if (i == 0 ? !result.exists[0] : !result.exists[1]) continue;
    const int64_t row = i == 0 ? result.row[0] : result.row[1];
    const float two[2] = {mfqn_float_of(memory.load_as<uint32_t>((2 * n) * (4 * TILE_THREADS) + own)),
                          mfqn_float_of(memory.load_as<uint32_t>((2 * n + 1) * (4 * TILE_THREADS) + own))};
    thread_store_pair(g, tile_pair{row + j * 8 * g.to_column, result.left - j * 8}, two);
  }
}

/* Behind a barrier: nothing reads shared memory any more. */
template <int COLUMNS>
__device__ __forceinline__ void thread_store_stage(const tile_grid &g, const stage_result &result, stage_memory &memory,
                                                   const wgmma_d<COLUMNS> &sums) {
  const int is_even = g.is_paired && g.columns % 2 == 0;
  if (is_even && g.to.dtype == ELEMENT_F32)
    thread_store_pairs<COLUMNS, ELEMENT_F32>(g, result, sums);
  else if (is_even && g.to.dtype == ELEMENT_BF16)
    thread_store_pairs<COLUMNS, ELEMENT_BF16>(g, result, sums);
  else
    thread_store_any<COLUMNS>(g, result, memory, sums);
}

/* What says, in code that is not for sm_90a, that there is no such kernel: it cannot have the threads it needs. */
enum { STAGE_THREADS_THERE = PTX_HAS_WGMMA ? TILE_THREADS : 32 };

template <class Gatherer>
__global__ void __launch_bounds__(STAGE_THREADS_THERE, STAGE_BLOCKS)
    wgmma_product_kernel(const __grid_constant__ typename Gatherer::params p) {
  constexpr int COLUMNS = Gatherer::shape::COLUMNS;
  if constexpr (PTX_HAS_WGMMA) {
    __shared__ tile_rows rows;
    stage_memory memory(0, Gatherer::shape::SHARED_BYTES);
    const tile_block at = block_tile_place(p.grid);
    Gatherer from;
    from.start(p, at, rows);
    wgmma_d<COLUMNS> sums;
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; ++i) sums.sum[i] = 0.0f;
    block_multiply(p, memory, &from, &sums);
    ptx_sync_block();
    thread_store_stage(p.grid, thread_stage_result<typename Gatherer::shape>(p.grid, at, rows), memory, sums);
  }
}

#endif
