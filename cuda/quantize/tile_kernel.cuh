/* cuda/quantize/tile_kernel.cuh: quantizes along the strided axis, the contiguous one, or both from one read.
 *
 * A block copies a tile of 128 rows x 256 bytes into shared memory, 16 bytes at a time. Along rows it then works as
 * quantize_rows_kernel does, 16 neighbouring elements a thread. Along columns a lane reads one word (two halves or a
 * float32) of each of 32 rows, so that a warp reads whole lines of shared memory; 16 rows of one column are a chunk,
 * and strips of 32 rows that share a group tell each other their maxima. Codes of columns that are stored along rows
 * take the place of their elements in the tile and are written from there; turned ones (group last) go straight out.
 * Not for groups but 16, 32, 64, 128; row groups beyond the width of a tile (128 float32); zero points to be measured;
 * rows of codes that start inside a byte. */
#ifndef MFQ_CUDA_QUANTIZE_TILE_KERNEL_CUH
#define MFQ_CUDA_QUANTIZE_TILE_KERNEL_CUH

#include "../prim/divide.cuh"
#include "../prim/shared.cuh"
#include "direction.cuh"
#include "quantize_tuning.h"

typedef struct tile_params {
  cast_direction row, col;
  int32_t has_row, has_col;
  const uint8_t *src;
  int64_t outer_bytes, row_bytes; /* of the source */
  int64_t rows, cols, tiles;
  divisor64 tiles_down, tiles_across;
  int64_t row_groups, col_groups; /* scales along one row, one column */
  int32_t row_group_log2;         /* chunks of a row group */
  int32_t col_group_log2;         /* elements of a column group */
  int32_t is_turned;              /* codes of columns are stored with the group last */
  int32_t vector_load;
} tile_params;

enum {
  TILE_WORDS = (int)TILE_ROWS * (int)TILE_ROW_WORDS,
  STRIP_ROWS = 32,
  STRIPS = (int)TILE_ROWS / STRIP_ROWS,
  TILE_PIECES = TILE_WORDS / 4 /* of 16 bytes */
};
static_assert(TILE_THREADS == (int)STRIPS * (int)TILE_ROW_WORDS, "a thread for each word of each strip");

typedef block_array<uint32_t, TILE_WORDS> tile_memory;
typedef block_array<uint32_t, STRIPS * TILE_ROW_WORDS> tile_maxima;

/* The tile of a block. */
typedef struct tile_place {
  int64_t outer, row0, col0;
} tile_place;

template <int DTYPE> inline constexpr int TILE_COLS = TILE_ROW_WORDS * 4 / ELEMENT_BYTES<DTYPE>;

template <int DTYPE> __device__ __forceinline__ tile_place block_tile_place(const tile_params &p) {
  const int64_t down = thread_divide(blockIdx.x, p.tiles_across);
  const int64_t outer = thread_divide(down, p.tiles_down);
  return tile_place{outer, (down - outer * (int64_t)p.tiles_down.value) * TILE_ROWS,
                    ((int64_t)blockIdx.x - down * (int64_t)p.tiles_across.value) * TILE_COLS<DTYPE>};
}

/* ---- Source to tile ---------------------------------------------------------------------------------------------- */

/* 16 bytes of which `count` elements are there. */
template <int DTYPE> __device__ __forceinline__ uint4 thread_load_piece(const uint8_t *from, int count) {
  uint32_t word[4] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < 16 / ELEMENT_BYTES<DTYPE>; ++i) {
    if (i >= count) continue;
    if constexpr (DTYPE == ELEMENT_F32)
      word[i] = ptx_load<uint32_t>(from + 4 * i);
    else
      word[i / 2] |= (uint32_t)ptx_load<uint16_t>(from + 2 * i) << i % 2 * 16;
  }
  return make_uint4(word[0], word[1], word[2], word[3]);
}

template <int DTYPE>
__device__ __forceinline__ void block_load_tile(const tile_params &p, const tile_place &t, tile_memory &tile) {
  constexpr int PER_PIECE = 16 / ELEMENT_BYTES<DTYPE>, PIECES_OF_ROW = TILE_ROW_WORDS / 4;
#pragma unroll
  for (int k = 0; k < TILE_PIECES / TILE_THREADS; ++k) {
    const int piece = k * TILE_THREADS + (int)threadIdx.x;
    const int64_t row = t.row0 + piece / PIECES_OF_ROW, col = t.col0 + piece % PIECES_OF_ROW * PER_PIECE;
    const int64_t cols = row < p.rows ? p.cols : 0;
    const uint8_t *from = p.src + t.outer * p.outer_bytes + row * p.row_bytes + col * ELEMENT_BYTES<DTYPE>;
    if (p.vector_load && cols - col >= PER_PIECE)
      tile.copy_async16(4 * piece, from);
    else
      tile.template store_as<uint4>(4 * piece, thread_load_piece<DTYPE>(from, thread_count(col, cols)));
  }
  ptx_copy_async_commit();
  ptx_copy_async_wait<0>();
  ptx_sync_block();
}

/* ---- Along rows -------------------------------------------------------------------------------------------------- */

/* Row and first column, in the tile, of the k-th chunk of a thread. */
template <int DTYPE> __device__ __forceinline__ int2 thread_row_chunk(int k) {
  constexpr int CHUNKS_OF_ROW = TILE_COLS<DTYPE> / CHUNK;
  const int index = k * TILE_THREADS + (int)threadIdx.x;
  return make_int2(index / CHUNKS_OF_ROW, index % CHUNKS_OF_ROW * CHUNK);
}

template <int DTYPE>
inline constexpr int ROW_CHUNKS = TILE_ROWS *TILE_COLS<DTYPE> / CHUNK / TILE_THREADS; /* of a thread */

template <int DTYPE> __device__ __forceinline__ chunk<DTYPE> thread_tile_chunk(tile_memory &tile, int2 at) {
  chunk<DTYPE> x;
#pragma unroll
  for (int k = 0; k < chunk<DTYPE>::WORDS; k += 4) {
    const uint4 v = tile.template load_as<uint4>(at.x * TILE_ROW_WORDS + at.y * ELEMENT_BYTES<DTYPE> / 4 + k);
    x.word[k] = v.x;
    x.word[k + 1] = v.y;
    x.word[k + 2] = v.z;
    x.word[k + 3] = v.w;
  }
  return x;
}

template <int DTYPE>
__device__ __forceinline__ void block_cast_rows(const tile_params &p, const tile_place &t, tile_memory &tile) {
#pragma unroll 1
  for (int k = 0; k < ROW_CHUNKS<DTYPE>; ++k) {
    const int2 in_tile = thread_row_chunk<DTYPE>(k);
    const chunk<DTYPE> x = thread_tile_chunk<DTYPE>(tile, in_tile);
    uint32_t absmax = thread_absmax(x);
    if (!p.row.is_known) absmax = warp_group_max(absmax, p.row_group_log2);
    const int64_t row = t.row0 + in_tile.x, col = t.col0 + in_tile.y, step = col / CHUNK;
    const int64_t group = step >> p.row_group_log2, line = t.outer * p.rows + row;
    const int is_first = (step & ((1 << p.row_group_log2) - 1)) == 0;
    if (row >= p.rows || group >= p.row_groups) continue;
    if (p.row.absmax) {
      if (is_first) thread_collect(p.row.absmax, absmax);
      continue;
    }
    const int64_t index = thread_slot_index(p.row.slots, line * p.row_groups + group, line, group);
    const mfqn_group g = thread_group(p.row, index, absmax);
    if (is_first && !p.row.is_known) thread_slot_store(p.row.slots, index, g.stored);
    thread_store_chunk(p.row, thread_encode(p.row.how, x, g, absmax), chunk_place{line, col, p.cols});
  }
}

/* ---- Along columns ----------------------------------------------------------------------------------------------- */

/* A thread's word in the tile, the same in each row of its strip. */
typedef struct strip_place {
  int strip, word;
} strip_place;

__device__ __forceinline__ strip_place thread_strip() {
  return strip_place{(int)threadIdx.x / TILE_ROW_WORDS, (int)threadIdx.x % TILE_ROW_WORDS};
}

/* The larger magnitudes of 16 rows. */
template <int DTYPE>
__device__ __forceinline__ uint32_t thread_half_max(tile_memory &tile, const strip_place &at, int half) {
  uint32_t most = 0;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i)
    most = thread_larger<DTYPE>(most, tile.load((at.strip * STRIP_ROWS + half * CHUNK + i) * TILE_ROW_WORDS + at.word));
  return most;
}

/* The larger magnitudes of the groups that the two halves of a strip belong to. */
template <int DTYPE>
__device__ __forceinline__ uint2 block_col_max(const tile_params &p, tile_memory &tile, tile_maxima &maxima) {
  const strip_place at = thread_strip();
  uint2 most = make_uint2(thread_half_max<DTYPE>(tile, at, 0), thread_half_max<DTYPE>(tile, at, 1));
  if (1 << p.col_group_log2 == CHUNK) return most;
  uint32_t both = thread_larger<DTYPE>(most.x, most.y);
  const int strips = (1 << p.col_group_log2) / STRIP_ROWS;
  if (strips > 1) {
    const int first = at.strip & -strips;
    maxima.store((int)threadIdx.x, both);
    ptx_sync_block();
    for (int k = first; k < first + strips; ++k)
      both = thread_larger<DTYPE>(both, maxima.load(k * TILE_ROW_WORDS + at.word));
  }
  return make_uint2(both, both);
}

/* 16 rows from word `first` of the tile on, as a chunk: column `which` of the words. */
template <int DTYPE> __device__ __forceinline__ chunk<DTYPE> thread_column(tile_memory &tile, int first, int which) {
  const uint32_t halves = which == 0 ? 0x5410u : 0x7632u;
  chunk<DTYPE> x;
#pragma unroll
  for (int k = 0; k < chunk<DTYPE>::WORDS; ++k) {
    if constexpr (DTYPE == ELEMENT_F32)
      x.word[k] = tile.load(first + k * TILE_ROW_WORDS);
    else
      x.word[k] = ptx_permute(tile.load(first + 2 * k * TILE_ROW_WORDS),
                              tile.load(first + (2 * k + 1) * TILE_ROW_WORDS), halves);
  }
  return x;
}

/* Scale and codes of 16 rows of one column. */
template <int DTYPE>
__device__ __forceinline__ codes16 thread_cast_column(const tile_params &p, const tile_place &t, int64_t row,
                                                      int64_t col, const chunk<DTYPE> &x, uint32_t absmax) {
  const cast_direction &d = p.col;
  const int64_t group = row >> p.col_group_log2, line = t.outer * p.cols + col;
  const int is_first = (row & ((1 << p.col_group_log2) - 1)) == 0;
  if (row >= p.rows || col >= p.cols) return codes16{{0u, 0u, 0u, 0u}};
  if (d.absmax) {
    if (is_first) thread_collect(d.absmax, absmax);
    return codes16{{0u, 0u, 0u, 0u}};
  }
  const int64_t straight = (t.outer * p.col_groups + group) * p.cols + col;
  const int64_t index = thread_slot_index(d.slots, p.is_turned ? line * p.col_groups + group : straight, line, group);
  const mfqn_group g = thread_group(d, index, absmax);
  if (is_first && !d.is_known) thread_slot_store(d.slots, index, g.stored);
  const codes16 codes = thread_encode(d.how, x, g, absmax);
  if (p.is_turned) thread_store_chunk(d, codes, chunk_place{line, row, p.rows});
  return codes;
}

/* Puts the codes of a word's columns, a byte each, in the place of the elements of 16 rows. */
__device__ __forceinline__ void thread_replace(tile_memory &tile, int first, const codes16 &a, const codes16 &b) {
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const uint32_t byte = i % 4, left = a.word[i / 4], right = b.word[i / 4];
    tile.store(first + i * TILE_ROW_WORDS, ptx_permute(left, right, byte | (4u + byte) << 4));
  }
}

/* One chunk at a time, read anew: registers are what limits the number of blocks. */
template <int DTYPE>
__device__ __forceinline__ void block_cast_cols(const tile_params &p, const tile_place &t, tile_memory &tile,
                                                uint2 most) {
  constexpr int PER_WORD = 4 / ELEMENT_BYTES<DTYPE>;
  const strip_place at = thread_strip();
#pragma unroll 1
  for (int half = 0; half < STRIP_ROWS / CHUNK; ++half) {
    const int top = at.strip * STRIP_ROWS + half * CHUNK, first = top * TILE_ROW_WORDS + at.word;
    const uint32_t collected = half == 0 ? most.x : most.y;
    codes16 left = {}, right = {};
#pragma unroll 1
    for (int j = 0; j < PER_WORD; ++j) {
      uint32_t absmax = collected;
      if constexpr (DTYPE != ELEMENT_F32) absmax = thread_widen<DTYPE>(collected >> 16 * j & 0xffffu);
      left = right;
      right = thread_cast_column(p, t, t.row0 + top, t.col0 + at.word * PER_WORD + j,
                                 thread_column<DTYPE>(tile, first, j), absmax);
    }
    if (!p.is_turned) thread_replace(tile, first, PER_WORD == 1 ? right : left, right);
  }
}

/* Writes codes of columns that are stored along rows, out of the tile. */
template <int DTYPE>
__device__ __forceinline__ void block_store_rows(const tile_params &p, const tile_place &t, tile_memory &tile) {
  ptx_sync_block();
#pragma unroll 1
  for (int k = 0; k < ROW_CHUNKS<DTYPE>; ++k) {
    const int2 at = thread_row_chunk<DTYPE>(k);
    const chunk<DTYPE> x = thread_tile_chunk<DTYPE>(tile, at);
    codes16 codes;
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      if constexpr (DTYPE == ELEMENT_F32) {
        const uint32_t low = ptx_permute(x.word[4 * w], x.word[4 * w + 1], 0x0040u);
        const uint32_t high = ptx_permute(x.word[4 * w + 2], x.word[4 * w + 3], 0x0040u);
        codes.word[w] = ptx_permute(low, high, 0x5410u);
      } else {
        codes.word[w] = ptx_permute(x.word[2 * w], x.word[2 * w + 1], 0x5410u);
      }
    }
    const int64_t row = t.row0 + at.x;
    if (row < p.rows) thread_store_chunk(p.col, codes, chunk_place{t.outer * p.rows + row, t.col0 + at.y, p.cols});
  }
}

template <int DTYPE>
__global__ void __launch_bounds__(TILE_THREADS, TILE_BLOCKS)
    quantize_tile_kernel(const __grid_constant__ tile_params p) {
  __shared__ tile_memory tile;
  __shared__ tile_maxima maxima;
  const tile_place t = block_tile_place<DTYPE>(p);
  block_load_tile<DTYPE>(p, t, tile);
  if (p.has_row) block_cast_rows<DTYPE>(p, t, tile);
  if (!p.has_col) return;
  const uint2 most = block_col_max<DTYPE>(p, tile, maxima);
  const int is_stored_by_rows = !p.is_turned && !p.col.absmax;
  if (p.has_row && is_stored_by_rows) ptx_sync_block(); /* elements give way to codes: rows are through with them */
  block_cast_cols<DTYPE>(p, t, tile, most);
  if (is_stored_by_rows) block_store_rows<DTYPE>(p, t, tile);
}

#endif
