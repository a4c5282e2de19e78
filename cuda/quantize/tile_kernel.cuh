/* cuda/quantize/tile_kernel.cuh: quantizes along the strided axis, the contiguous one, or both from one read.
 *
 * A block copies a tile of 128 rows x 256 bytes into shared memory, 16 bytes at a time. Along rows it then works as
 * quantize_rows_kernel does, 16 neighbouring elements a thread. Along columns a lane reads one word (two halves or a
 * float32) of each of 32 rows, so that a warp reads whole lines of shared memory; 16 rows of one column are a chunk,
 * and strips of 32 rows that share a group tell each other their maxima. Codes of columns that are stored along rows
 * take the place of their elements in the tile and are written from there; turned ones (group last) go straight out.
 * Not for groups but 16, 32, 64, 128; row groups beyond the width of a tile (128 float32); zero points to be measured;
 * rows of codes that start inside a byte; stochastic rounding where rows of elements start inside a random block. */
#ifndef MFQ_CUDA_QUANTIZE_TILE_KERNEL_CUH
#define MFQ_CUDA_QUANTIZE_TILE_KERNEL_CUH

#include "cuda/prim/divide.cuh"
#include "cuda/prim/shared.cuh"
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
  random_key key;
} tile_params;

enum { TILE_WORDS = (int)TILE_ROWS * (int)TILE_ROW_WORDS, STRIP_ROWS = 32, STRIPS = (int)TILE_ROWS / STRIP_ROWS };
static_assert(TILE_THREADS == (int)STRIPS * (int)TILE_ROW_WORDS, "a thread for each word of each strip");

/* DRAWN: the rounding of a direction is stochastic. */
template <int DTYPE, int DRAWN>
inline constexpr int TILE_BLOCKS = DTYPE == ELEMENT_F32 ? (DRAWN ? TILE_DRAWN_BLOCKS_F32 : TILE_BLOCKS_F32)
                                   : DRAWN              ? TILE_DRAWN_BLOCKS_HALF
                                                        : TILE_BLOCKS_HALF;

typedef block_array<uint32_t, TILE_WORDS> tile_memory;
typedef block_array<uint32_t, STRIPS * TILE_ROW_WORDS> tile_maxima;

/* The tile of a block. */
typedef struct tile_place {
  int64_t outer, row0, col0;
  int rows; /* from row0 on, up to one more than a tile's */
} tile_place;

template <int DTYPE> inline constexpr int TILE_COLS = TILE_ROW_WORDS * 4 / ELEMENT_BYTES<DTYPE>;

template <int DTYPE> __device__ __forceinline__ tile_place block_tile_place(const tile_params &p, uint32_t number) {
  const int64_t down = thread_divide(number, p.tiles_across);
  const int64_t outer = thread_divide(down, p.tiles_down);
  tile_place t;
  t.outer = outer;
  t.row0 = (down - outer * (int64_t)p.tiles_down.value) * TILE_ROWS;
  t.col0 = ((int64_t)number - down * (int64_t)p.tiles_across.value) * TILE_COLS<DTYPE>;
  t.rows = p.rows - t.row0 > TILE_ROWS ? TILE_ROWS + 1 : (int)(p.rows - t.row0);
  return t;
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
  constexpr int ROWS_AT_ONCE = TILE_THREADS / PIECES_OF_ROW;
  const int first = (int)threadIdx.x / PIECES_OF_ROW;
  const int64_t col = t.col0 + (int)threadIdx.x % PIECES_OF_ROW * PER_PIECE, step = ROWS_AT_ONCE * p.row_bytes;
  const int count = mfqn_min(thread_left(col, p.cols), PER_PIECE);
  const uint8_t *from = p.src + t.outer * p.outer_bytes + (t.row0 + first) * p.row_bytes + col * ELEMENT_BYTES<DTYPE>;
  if (p.vector_load && count == PER_PIECE && t.rows >= TILE_ROWS) {
#pragma unroll
    for (int k = 0; k < TILE_ROWS / ROWS_AT_ONCE; ++k)
      tile.copy_async16(4 * (k * TILE_THREADS + (int)threadIdx.x), from + k * step);
  } else {
#pragma unroll 1
    for (int k = 0; k < TILE_ROWS / ROWS_AT_ONCE; ++k) {
      const int there = first + k * ROWS_AT_ONCE < t.rows ? count : 0, to = 4 * (k * TILE_THREADS + (int)threadIdx.x);
      if (p.vector_load && there == PER_PIECE)
        tile.copy_async16(to, from + k * step);
      else
        tile.template store_as<uint4>(to, thread_load_piece<DTYPE>(from + k * step, there));
    }
  }
  ptx_copy_async_commit();
  ptx_copy_async_wait<0>();
  ptx_sync_block();
}

/* ---- Along rows -------------------------------------------------------------------------------------------------- */

/* A thread's chunks: the same columns in every so-many-th row of the tile. */
template <int DTYPE> struct row_chunks {
  static constexpr int OF_ROW = TILE_COLS<DTYPE> / CHUNK, STEP = TILE_THREADS / OF_ROW, COUNT = TILE_ROWS / STEP;
  int row, col; /* in the tile */
};

template <int DTYPE> __device__ __forceinline__ row_chunks<DTYPE> thread_row_chunks() {
  return {(int)threadIdx.x / row_chunks<DTYPE>::OF_ROW, (int)threadIdx.x % row_chunks<DTYPE>::OF_ROW * CHUNK};
}

template <int DTYPE> __device__ __forceinline__ chunk<DTYPE> thread_tile_chunk(tile_memory &tile, int row, int col) {
  chunk<DTYPE> x;
#pragma unroll
  for (int k = 0; k < chunk<DTYPE>::WORDS; k += 4) {
    const uint4 v = tile.template load_as<uint4>(row * TILE_ROW_WORDS + col * ELEMENT_BYTES<DTYPE> / 4 + k);
    x.word[k] = v.x;
    x.word[k + 1] = v.y;
    x.word[k + 2] = v.z;
    x.word[k + 3] = v.w;
  }
  return x;
}

/* Where the codes of a direction along rows go: of row `line` from column `col` on. */
__device__ __forceinline__ uint8_t *thread_codes_at(const cast_direction &d, int64_t line, int64_t col) {
  return d.codes + line * d.row_bytes + col / 8 * d.bits;
}

template <int DTYPE, int DRAWN>
__device__ __forceinline__ void block_cast_rows(const tile_params &p, const tile_place &t, tile_memory &tile) {
  constexpr int STEP = row_chunks<DTYPE>::STEP;
  const row_chunks<DTYPE> mine = thread_row_chunks<DTYPE>();
  const int64_t col = t.col0 + mine.col, line = t.outer * p.rows + t.row0 + mine.row;
  const int64_t group = col / CHUNK >> p.row_group_log2;
  const int left = thread_left(col, p.cols), is_there = group < p.row_groups;
  const int is_first = (col / CHUNK & ((1 << p.row_group_log2) - 1)) == 0;
  uint8_t *to = thread_codes_at(p.row, line, col);
  int64_t index = line * p.row_groups + group;
#pragma unroll 1
  for (int k = 0; k < row_chunks<DTYPE>::COUNT; ++k) {
    const int row = mine.row + k * STEP;
    const chunk<DTYPE> x = thread_tile_chunk<DTYPE>(tile, row, mine.col);
    uint32_t absmax = thread_absmax(x);
    if (!p.row.is_known) absmax = warp_group_max(absmax, p.row_group_log2);
    if (row < t.rows && is_there) {
      if (p.row.absmax) {
        if (is_first) thread_collect(p.row.absmax, absmax);
      } else {
        const int64_t place = thread_slot_index(p.row.slots, index, line + k * STEP, group);
        const mfqn_group g = thread_group(p.row, place, absmax);
        if (is_first && !p.row.is_known) thread_slot_store(p.row.slots, place, g.stored);
        const auto draw = [&] { return thread_draw_blocks(p.key, ((line + k * STEP) * p.cols + col) >> 3); };
        thread_store_chunk(p.row, to, thread_encode_chunk<DRAWN>(p.row.how, x, g, absmax, draw), left);
      }
    }
    to += STEP * p.row.row_bytes;
    index += STEP * p.row_groups;
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

/* 16 rows of one column: the group, and where its scale and codes go. */
typedef struct column_place {
  int64_t line, group, index; /* row of 128x4 scales, group in it, and index of the scale */
  uint8_t *to;                /* turned codes */
  int left, is_first;         /* rows from here on (thread_left); whether a group begins here */
  int which;                  /* column of the word */
} column_place;

/* What becomes of 16 rows of a column, the result, and of a word's columns in the tile: codes, a byte each. A sink is told
 * the rows from `top` of the tile on before their columns, and the scale of a group that is measured; `draw` is asked for
 * random bits. DRAWN: rounding is stochastic. */
template <int DRAWN> struct column_codes {
  typedef codes16 result;
  const tile_params &p;
  __device__ __forceinline__ void begin(const tile_place &, const strip_place &, int) const {}
  __device__ __forceinline__ void put_scale(int64_t place, const mfqn_group &g) const {
    thread_slot_store(p.col.slots, place, g.stored);
  }
  template <int DTYPE, class Draw>
  __device__ __forceinline__ codes16 put(const column_place &at, const chunk<DTYPE> &x, const mfqn_group &g,
                                         uint32_t absmax, Draw draw) const {
    const codes16 codes = thread_encode_chunk<DRAWN>(p.col.how, x, g, absmax, draw);
    if (p.is_turned) thread_store_chunk(p.col, at.to, codes, at.left);
    return codes;
  }
  /* In the place of the elements of 16 rows. */
  __device__ __forceinline__ void replace(tile_memory &tile, int first, const codes16 &a, const codes16 &b) const {
    if (p.is_turned) return;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) {
      const uint32_t byte = i % 4, left = a.word[i / 4], right = b.word[i / 4];
      tile.store(first + i * TILE_ROW_WORDS, ptx_permute(left, right, byte | (4u + byte) << 4));
    }
  }
};

/* Scale and result of 16 rows of one column. */
template <int DTYPE, class Sink, class Draw>
__device__ __forceinline__ typename Sink::result thread_cast_column(const tile_params &p, Sink &sink,
                                                                    const column_place &at, const chunk<DTYPE> &x,
                                                                    uint32_t absmax, Draw draw) {
  const cast_direction &d = p.col;
  if (d.absmax) {
    if (at.is_first) thread_collect(d.absmax, absmax);
    return {};
  }
  const int64_t place = thread_slot_index(d.slots, at.index, at.line, at.group);
  const mfqn_group g = thread_group(d, place, absmax);
  if (at.is_first && !d.is_known) sink.put_scale(place, g);
  return sink.put(at, x, g, absmax, draw);
}

/* The first of a thread's chunks of columns from row `top` of the tile on. */
template <int DTYPE>
__device__ __forceinline__ column_place thread_column_place(const tile_params &p, const tile_place &t,
                                                            const strip_place &at, int top) {
  const int64_t row = t.row0 + top, col = t.col0 + at.word * (4 / ELEMENT_BYTES<DTYPE>);
  column_place place;
  place.line = t.outer * p.cols + col;
  place.group = row >> p.col_group_log2;
  place.index =
      p.is_turned ? place.line * p.col_groups + place.group : (t.outer * p.col_groups + place.group) * p.cols + col;
  place.to = thread_codes_at(p.col, place.line, row);
  place.left = mfqn_clamp(t.rows - top, 0, CHUNK + 1);
  place.is_first = (top & ((1 << p.col_group_log2) - 1)) == 0;
  place.which = 0;
  return place;
}

/* One chunk at a time, read anew: registers are what limits the number of blocks. */
template <int DTYPE, int DRAWN, class Sink>
__device__ __forceinline__ void block_cast_cols(const tile_params &p, Sink sink, const tile_place &t, tile_memory &tile,
                                                uint2 most) {
  constexpr int PER_WORD = 4 / ELEMENT_BYTES<DTYPE>;
  const strip_place at = thread_strip();
  const int cols = mfqn_min(thread_left(t.col0 + at.word * PER_WORD, p.cols), PER_WORD);
#pragma unroll 1
  for (int half = 0; half < STRIP_ROWS / CHUNK; ++half) {
    const int top = at.strip * STRIP_ROWS + half * CHUNK, first = top * TILE_ROW_WORDS + at.word;
    const uint32_t collected = half == 0 ? most.x : most.y;
    column_place place = thread_column_place<DTYPE>(p, t, at, top);
    drawn_columns<DTYPE> drawn = {};
    if constexpr (DRAWN) {
      const int64_t row = t.outer * p.rows + t.row0 + top;
      if (p.col.how.is_drawn && !p.col.absmax)
        drawn = warp_draw_columns<DTYPE>(p.key, row * p.cols + t.col0 + at.word * PER_WORD, p.cols);
    }
    typename Sink::result left = {}, right = {};
    sink.begin(t, at, top);
#pragma unroll 1
    for (int j = 0; j < PER_WORD; ++j) {
      uint32_t absmax = collected;
      if constexpr (DTYPE != ELEMENT_F32) absmax = thread_widen<DTYPE>(collected >> 16 * j & 0xffffu);
      left = right;
      right = {};
      if (place.left > 0 && j < cols)
        right = thread_cast_column(p, sink, place, thread_column<DTYPE>(tile, first, j), absmax,
                                   [&] { return thread_drawn_column(drawn, j); });
      ++place.which;
      ++place.line;
      place.index += p.is_turned ? p.col_groups : 1;
      place.to += p.col.row_bytes;
    }
    sink.replace(tile, first, PER_WORD == 1 ? right : left, right);
  }
}

/* Writes codes of columns that are stored along rows, out of the tile. */
template <int DTYPE>
__device__ __forceinline__ void block_store_rows(const tile_params &p, const tile_place &t, tile_memory &tile) {
  constexpr int STEP = row_chunks<DTYPE>::STEP;
  const row_chunks<DTYPE> mine = thread_row_chunks<DTYPE>();
  const int64_t col = t.col0 + mine.col, line = t.outer * p.rows + t.row0 + mine.row;
  const int left = thread_left(col, p.cols);
  uint8_t *to = thread_codes_at(p.col, line, col);
  ptx_sync_block();
#pragma unroll 1
  for (int row = mine.row; row < mfqn_min(t.rows, TILE_ROWS); row += STEP, to += STEP * p.col.row_bytes) {
    const chunk<DTYPE> x = thread_tile_chunk<DTYPE>(tile, row, mine.col);
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
    thread_store_chunk(p.col, to, codes, left);
  }
}

/* ---- A tile that is in shared memory ------------------------------------------------------------------------------ */

/* Codes and scales of the directions that are wanted; elements give way to codes. */
template <int DTYPE, int DRAWN>
__device__ __forceinline__ void block_cast_tile(const tile_params &p, const tile_place &t, tile_memory &tile,
                                                tile_maxima &maxima) {
  if (p.has_row) block_cast_rows<DTYPE, DRAWN>(p, t, tile);
  if (!p.has_col) return;
  const uint2 most = block_col_max<DTYPE>(p, tile, maxima);
  const int is_stored_by_rows = !p.is_turned && !p.col.absmax;
  if (p.has_row && is_stored_by_rows) ptx_sync_block(); /* rows are through with the elements */
  block_cast_cols<DTYPE, DRAWN>(p, column_codes<DRAWN>{p}, t, tile, most);
  if (is_stored_by_rows) block_store_rows<DTYPE>(p, t, tile);
}

template <int DTYPE, int DRAWN>
__global__ void __launch_bounds__(TILE_THREADS, TILE_BLOCKS<DTYPE, DRAWN>)
    quantize_tile_kernel(const __grid_constant__ tile_params p) {
  __shared__ tile_memory tile;
  __shared__ tile_maxima maxima;
  const tile_place t = block_tile_place<DTYPE>(p, blockIdx.x);
  block_load_tile<DTYPE>(p, t, tile);
  block_cast_tile<DTYPE, DRAWN>(p, t, tile, maxima);
}

#endif
