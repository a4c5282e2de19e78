/* cuda/product/mma_loop.cuh: products of tiles, 128 rows by 128 or 64 columns, by mma.
 *
 * A block has one tile and a part of the depth. Of every 32 elements of depth each of its 256 threads brings a unit of
 * either operand: loaded while the matrix instructions multiply what came before, then widened to bf16 on the way into
 * the other half of shared memory. Eight warps have 64 x 32 sums each, or 32 x 32. Bytes read per tile and 32 of depth:
 * the packed codes (or bf16) and scales of 128 rows and as many columns; blocks that run together share them in L2.
 *
 * A gatherer says where units are:
 *   params                          of the kernel: `grid`, and Sides `a` and `b` (unit.cuh)
 *   shape                           mma_shape
 *   int start(p, at, rows, notes)   every thread's place, and the tile's rows; 0: the tile is left out, for all threads
 *   void enter(p, notes)            behind a barrier, once the block's notes are there
 *   tile_pieces pieces              32 of depth each
 *   void fetch(p, notes, piece, a, b)   starts the loads of a thread's units, and moves on */
#ifndef MFQ_CUDA_PRODUCT_MMA_LOOP_CUH
#define MFQ_CUDA_PRODUCT_MMA_LOOP_CUH

#include "tile.cuh"

enum {
  MMA_DEPTH = 32,                     /* two units, at once in shared memory */
  MMA_PITCH = MMA_DEPTH + 8,          /* halves from row to row there: eight rows of a matrix lie in all banks */
  MMA_WIDE_PITCH = TILE_ROWS + 8,     /* the same where rows of shared memory are depth */
  MMA_BUFFER = TILE_ROWS * MMA_PITCH, /* halves of an operand; one of two */
  MMA_WARP_COLUMNS = 32
};

/* Units lie along the depth, or, WIDE, across it: 16 rows (columns) at one place of it.
 *
 * Registers by ptxas 13.0 for sm_80 and sm_90a, none of them spilled: tiles of 64 columns 128 and, WIDE both, 120 and 124,
 * so that two blocks of 256 threads fit a multiprocessor; of 128 columns 187 to 192, WIDE both 168 and 172, of matrices
 * 164 and 168: one block. */
template <bool A_WIDE, bool B_WIDE, int COLUMNS_> struct mma_shape {
  static constexpr bool IS_A_WIDE = A_WIDE, IS_B_WIDE = B_WIDE;
  static constexpr int COLUMNS = COLUMNS_, WARPS_ACROSS = COLUMNS / MMA_WARP_COLUMNS;
  static constexpr int WARP_ROWS = TILE_ROWS * WARPS_ACROSS / (TILE_THREADS / 32);
  static constexpr int BLOCKS = COLUMNS == 64 ? 2 : 1; /* on a multiprocessor: what registers allow */
  static constexpr int TALL = WARP_ROWS / 16, WIDE = MMA_WARP_COLUMNS / 8; /* tiles of mma */
};

typedef block_array<uint16_t, 2 * MMA_BUFFER> mma_memory; /* two buffers */
/* What a gatherer reads seldom, and is not worth registers. */
typedef block_array<int32_t, 12 + 3 * TILE_ROWS> mma_notes;

/* A thread has half threadIdx.x / 128 of a piece of depth. In it a row (column) of its own, or, of units across depth,
 * unit threadIdx.x % 8 of one of the 16. */
__device__ __forceinline__ int thread_half() { return (int)threadIdx.x / TILE_ROWS; }
__device__ __forceinline__ int thread_line() { return (int)threadIdx.x % TILE_ROWS; }

/* Writes a thread's unit into a buffer. */
template <bool IS_WIDE>
__device__ __forceinline__ void thread_put_unit(const unit_way &s, const unit16 &u, mma_memory &memory, int buffer) {
  const int half = thread_half() * UNIT, line = thread_line();
  const int to = IS_WIDE ? (half + line / 8) * MMA_WIDE_PITCH + line % 8 * UNIT : line * MMA_PITCH + half;
  const widen16 t = thread_unit_words(s, u);
  memory.store_as<uint4>(buffer * MMA_BUFFER + to, make_uint4(t.word[0], t.word[1], t.word[2], t.word[3]));
  memory.store_as<uint4>(buffer * MMA_BUFFER + to + 8, make_uint4(t.word[4], t.word[5], t.word[6], t.word[7]));
}

template <class Shape> struct mma_sums { mma_d d[Shape::TALL][Shape::WIDE]; };

/* Rows `row` ... `row` + 15 and depth `k` ... `k` + 15 of a buffer as fragment A. */
template <bool IS_WIDE> __device__ __forceinline__ mma_a warp_load_a(mma_memory &memory, int buffer, int row, int k) {
  const int lane = (int)threadIdx.x % 32, first = buffer * MMA_BUFFER;
  if constexpr (IS_WIDE)
    return ptx_load_matrices<true>(memory,
                                   first + (k + lane / 16 * 8 + lane % 8) * MMA_WIDE_PITCH + row + lane / 8 % 2 * 8);
  else
    return ptx_load_matrices<false>(memory, first + (row + lane % 16) * MMA_PITCH + k + lane / 16 * 8);
}

/* Columns `column` ... `column` + 15 of it as two fragments B, the first in words 0 and 1. */
template <bool IS_WIDE>
__device__ __forceinline__ mma_a warp_load_b(mma_memory &memory, int buffer, int column, int k) {
  const int lane = (int)threadIdx.x % 32, first = buffer * MMA_BUFFER;
  if constexpr (IS_WIDE)
    return ptx_load_matrices<true>(memory, first + (k + lane % 16) * MMA_WIDE_PITCH + column + lane / 16 * 8);
  else
    return ptx_load_matrices<false>(memory,
                                    first + (column + lane % 8 + lane / 16 * 8) * MMA_PITCH + k + lane / 8 % 2 * 8);
}

/* Where a warp's sums begin in the tile. */
template <class Shape> __device__ __forceinline__ int warp_first_row() {
  return (int)threadIdx.x / 32 / Shape::WARPS_ACROSS * Shape::WARP_ROWS;
}
template <class Shape> __device__ __forceinline__ int warp_first_column() {
  return (int)threadIdx.x / 32 % Shape::WARPS_ACROSS * MMA_WARP_COLUMNS;
}

/* One buffer: 32 of depth. */
template <class Shape>
__device__ __forceinline__ void warp_multiply(mma_memory &a, mma_memory &b, int buffer, mma_sums<Shape> *sums) {
  const int row = warp_first_row<Shape>(), column = warp_first_column<Shape>();
#pragma unroll
  for (int k = 0; k < MMA_DEPTH; k += 16) {
    mma_b of_b[Shape::WIDE];
#pragma unroll
    for (int j = 0; j < Shape::WIDE; j += 2) {
      const mma_a two = warp_load_b<Shape::IS_B_WIDE>(b, buffer, column + j * 8, k);
      of_b[j] = mma_b{{two.word[0], two.word[1]}};
      of_b[j + 1] = mma_b{{two.word[2], two.word[3]}};
    }
#pragma unroll
    for (int i = 0; i < Shape::TALL; ++i) {
      const mma_a of_a = warp_load_a<Shape::IS_A_WIDE>(a, buffer, row + i * 16, k);
#pragma unroll
      for (int j = 0; j < Shape::WIDE; ++j) sums->d[i][j] = ptx_mma_bf16(of_a, of_b[j], sums->d[i][j]);
    }
  }
}

template <class Shape>
__device__ __forceinline__ void warp_store_sums(const tile_grid &g, const tile_block &at, tile_rows &rows,
                                                const mma_sums<Shape> &sums) {
  const int lane = (int)threadIdx.x % 32, row = warp_first_row<Shape>() + lane / 4;
  const int32_t column = at.b * Shape::COLUMNS + warp_first_column<Shape>() + lane % 4 * 2;
  const int64_t first = at.part * g.to_part + column * g.to_column;
#pragma unroll
  for (int i = 0; i < 2 * Shape::TALL; ++i) {
    const uint2 words = rows.load(row + i * 8);
    if (words.y == TILE_NOWHERE) continue;
    const int64_t to = first + thread_noted_row(words);
#pragma unroll
    for (int j = 0; j < Shape::WIDE; ++j) {
      const tile_pair pair = {to + j * 8 * g.to_column, g.columns - column - j * 8};
      thread_store_pair(g, pair, sums.d[i / 2][j].sum + i % 2 * 2);
    }
  }
}

template <class Shape> __device__ __forceinline__ mma_sums<Shape> thread_no_sums() {
  mma_sums<Shape> sums;
#pragma unroll
  for (int i = 0; i < Shape::TALL; ++i) {
#pragma unroll
    for (int j = 0; j < Shape::WIDE; ++j) sums.d[i][j] = mma_d{{0.0f, 0.0f, 0.0f, 0.0f}};
  }
  return sums;
}

/* While one piece is multiplied, the next one is loaded; one barrier for each. */
template <class Gatherer>
__global__ void __launch_bounds__(TILE_THREADS, Gatherer::shape::BLOCKS)
    mma_product_kernel(const __grid_constant__ typename Gatherer::params p) {
  using Shape = typename Gatherer::shape;
  __shared__ mma_memory a_memory, b_memory;
  __shared__ tile_rows rows;
  __shared__ mma_notes notes;
  const tile_block at = block_tile_place(p.grid);
  Gatherer from;
  if (!from.start(p, at, rows, notes)) return;
  mma_sums<Shape> sums = thread_no_sums<Shape>();
  ptx_sync_block();
  from.enter(p, notes);
  for (int32_t piece = from.pieces.first;; ++piece) {
    unit16 a, b;
    const int is_more = piece < from.pieces.end, buffer = piece % 2;
    if (is_more) from.fetch(p, notes, piece, &a, &b);
    if (piece > from.pieces.first) warp_multiply<Shape>(a_memory, b_memory, buffer ^ 1, &sums);
    if (!is_more) break;
    thread_put_unit<Shape::IS_A_WIDE>(p.a, a, a_memory, buffer);
    thread_put_unit<Shape::IS_B_WIDE>(p.b, b, b_memory, buffer);
    ptx_sync_block();
  }
  warp_store_sums<Shape>(p.grid, at, rows, sums);
}

#endif
