/* cuda/quantize/square_kernel.cuh: quantizes blocks of rows and columns, with codes in logical order, transposed, or both
 * from one read and one encoding.
 *
 * A block has the tile of quantize_tile_kernel. Threads find the largest magnitude of 16 neighbouring elements, then of 16
 * rows of those, then of their block; they encode the 16, write them along the row, and leave them, a byte each, where the
 * elements were. From there a thread takes 16 rows of four columns, turns them by permutes, and writes four pieces of
 * columns: neighbouring threads those of one column.
 * Blocks of twice a tile's columns (128 of float32) are measured by both of its tiles, each out of the other's memory, too.
 * Not for blocks but 16, 32, 64, 128 rows and columns, zero points to be measured, rows of codes that start inside a byte,
 * or stochastic rounding where rows of elements start inside a random block. */
#ifndef MFQ_CUDA_QUANTIZE_SQUARE_KERNEL_CUH
#define MFQ_CUDA_QUANTIZE_SQUARE_KERNEL_CUH

#include "tile_kernel.cuh"

/* `tile.row` is the direction in logical order, `tile.col` the transposed one; of groups nothing is used. */
typedef struct square_params {
  tile_params tile;
  int32_t rows_log2, cols_log2; /* of a block, in 16 rows and in 16 columns */
  int32_t is_wide;              /* a block has the columns of two tiles */
  int64_t down, across;         /* blocks of a matrix */
} square_params;

enum { SQUARE_STRIPS = (int)TILE_ROWS / (int)CHUNK, SQUARE_CHUNKS = (int)TILE_ROW_WORDS * 2 / (int)CHUNK };

typedef block_array<uint32_t, (int)TILE_ROWS * SQUARE_CHUNKS> square_rows;
typedef block_array<uint32_t, SQUARE_STRIPS * SQUARE_CHUNKS> square_strips;

/* The largest magnitude of the chunk that has a chunk's place in the other tile of its block, as it lies in memory. */
template <int DTYPE> struct tile_elements {
  const tile_params &p;
  __device__ __forceinline__ uint32_t other_max(const tile_place &t, int row, int at) const {
    const int64_t col = (t.col0 ^ TILE_COLS<DTYPE>)+at;
    const int count = row < t.rows ? mfqn_min(thread_left(col, p.cols), CHUNK) : 0;
    if (count == 0) return 0;
    const uint8_t *from = p.src + t.outer * p.outer_bytes + (t.row0 + row) * p.row_bytes + col * ELEMENT_BYTES<DTYPE>;
    return thread_absmax(thread_load_chunk<DTYPE>(from, count, p.vector_load));
  }
};

/* The largest magnitudes of chunks of 16 rows. */
template <int DTYPE, class Source>
__device__ __forceinline__ void block_square_maxima(const square_params &p, const Source &source, const tile_place &t,
                                                    tile_memory &tile, square_rows &rows, square_strips &strips) {
  constexpr int OF_ROW = row_chunks<DTYPE>::OF_ROW;
  const row_chunks<DTYPE> mine = thread_row_chunks<DTYPE>();
#pragma unroll 1
  for (int k = 0; k < row_chunks<DTYPE>::COUNT; ++k) {
    const int row = mine.row + k * row_chunks<DTYPE>::STEP;
    uint32_t most = thread_absmax(thread_tile_chunk<DTYPE>(tile, row, mine.col));
    if (p.is_wide) most = mfqn_umax(most, source.other_max(t, row, mine.col));
    rows.store(row * OF_ROW + mine.col / CHUNK, most);
  }
  ptx_sync_block();
  const int strip = (int)threadIdx.x / OF_ROW, at = (int)threadIdx.x % OF_ROW;
  if (strip < SQUARE_STRIPS) {
    uint32_t most = 0;
    for (int i = 0; i < CHUNK; ++i) most = mfqn_umax(most, rows.load((strip * CHUNK + i) * OF_ROW + at));
    strips.store((int)threadIdx.x, most);
  }
  ptx_sync_block();
}

/* The largest magnitude of the block that a chunk of a strip belongs to. */
template <int DTYPE>
__device__ __forceinline__ uint32_t thread_square_max(const square_params &p, square_strips &strips, int strip,
                                                      int at) {
  const int rows = 1 << p.rows_log2, cols = 1 << p.cols_log2 >> p.is_wide, top = strip & -rows, left = at & -cols;
  uint32_t most = 0;
  for (int i = top; i < top + rows; ++i)
    for (int k = left; k < left + cols; ++k) most = mfqn_umax(most, strips.load(i * row_chunks<DTYPE>::OF_ROW + k));
  return most;
}

/* The word of the tile where the codes of a chunk begin: strips take turns in the chunk's words, for the banks' sake. */
template <int DTYPE> __device__ __forceinline__ int square_word(int row, int at) {
  constexpr int WORDS = chunk<DTYPE>::WORDS;
  return row * TILE_ROW_WORDS + at * WORDS + (row / CHUNK & (WORDS / 4 - 1)) * 4;
}

/* A chunk's block: its scale in both orders, and whether the block begins with the chunk. */
typedef struct square_place {
  int64_t in_rows, in_cols;
  int is_first;
} square_place;

template <int DTYPE>
__device__ __forceinline__ square_place thread_square_place(const square_params &p, const tile_place &t, int row,
                                                            int col) {
  const int64_t down = (t.row0 + row) / CHUNK >> p.rows_log2, across = (t.col0 + col) / CHUNK >> p.cols_log2;
  square_place at;
  at.in_rows = (t.outer * p.down + down) * p.across + across;
  at.in_cols = (t.outer * p.across + across) * p.down + down;
  at.is_first = (row & ((CHUNK << p.rows_log2) - 1)) == 0 && ((t.col0 + col) & ((CHUNK << p.cols_log2) - 1)) == 0;
  return at;
}

/* Scale and codes of a chunk, whose random bits `draw` is asked for. */
template <int DRAWN, int DTYPE, class Draw>
__device__ __forceinline__ codes16 thread_cast_square(const square_params &p, const square_place &at,
                                                      const chunk<DTYPE> &x, uint32_t absmax, Draw draw) {
  const tile_params &tile = p.tile;
  const cast_direction &d = tile.has_row ? tile.row : tile.col;
  const mfqn_group g = thread_group(d, tile.has_row ? at.in_rows : at.in_cols, absmax);
  if (at.is_first && !d.is_known) {
    if (tile.has_row) thread_slot_store(tile.row.slots, at.in_rows, g.stored);
    if (tile.has_col) thread_slot_store(tile.col.slots, at.in_cols, g.stored);
  }
  return thread_encode_chunk<DRAWN>(d.how, x, g, absmax, draw);
}

template <int DTYPE, int DRAWN>
__device__ __forceinline__ void block_cast_squares(const square_params &p, const tile_place &t, tile_memory &tile,
                                                   square_strips &strips) {
  constexpr int STEP = row_chunks<DTYPE>::STEP;
  const row_chunks<DTYPE> mine = thread_row_chunks<DTYPE>();
  const int64_t col = t.col0 + mine.col, line = t.outer * p.tile.rows + t.row0 + mine.row;
  const int left = thread_left(col, p.tile.cols);
  uint32_t *collect = p.tile.has_row ? p.tile.row.absmax : p.tile.col.absmax;
  if (left == 0) return;
#pragma unroll 1
  for (int k = 0; k < row_chunks<DTYPE>::COUNT; ++k) {
    const int row = mine.row + k * STEP;
    if (row >= t.rows) return;
    const uint32_t absmax = thread_square_max<DTYPE>(p, strips, row / CHUNK, mine.col / CHUNK);
    const square_place at = thread_square_place<DTYPE>(p, t, row, mine.col);
    if (collect) {
      if (at.is_first) thread_collect(collect, absmax);
      continue;
    }
    const auto draw = [&] { return thread_draw_blocks(p.tile.key, ((line + k * STEP) * p.tile.cols + col) >> 3); };
    const codes16 codes = thread_cast_square<DRAWN>(p, at, thread_tile_chunk<DTYPE>(tile, row, mine.col), absmax, draw);
    if (p.tile.has_row) thread_store_chunk(p.tile.row, thread_codes_at(p.tile.row, line + k * STEP, col), codes, left);
    if (p.tile.has_col)
      tile.template store_as<uint4>(square_word<DTYPE>(row, mine.col / CHUNK),
                                    make_uint4(codes.word[0], codes.word[1], codes.word[2], codes.word[3]));
  }
}

/* Codes of four columns, 16 rows a thread, from where block_cast_squares left them. */
template <int DTYPE>
__device__ __forceinline__ void block_store_turned(const square_params &p, const tile_place &t, tile_memory &tile) {
  enum { COLS = 4 };
  const int strip = (int)threadIdx.x % SQUARE_STRIPS, first = (int)threadIdx.x / SQUARE_STRIPS * COLS;
  const int64_t row = t.row0 + strip * CHUNK, col = t.col0 + first;
  const int left = thread_left(row, p.tile.rows);
  if (first >= TILE_COLS<DTYPE> || left == 0) return;
  uint32_t word[CHUNK];
#pragma unroll
  for (int i = 0; i < CHUNK; ++i)
    word[i] = tile.load(square_word<DTYPE>(strip * CHUNK + i, first / CHUNK) + first % CHUNK / COLS);
  const cast_direction &d = p.tile.col;
  const int64_t line = t.outer * p.tile.cols + col;
#pragma unroll 1
  for (uint32_t j = 0; j < COLS && col + j < p.tile.cols; ++j) {
    const uint32_t pair = j | (4u + j) << 4; /* byte j of two words */
    codes16 codes;
#pragma unroll
    for (int k = 0; k < 4; ++k)
      codes.word[k] = ptx_permute(ptx_permute(word[4 * k], word[4 * k + 1], pair),
                                  ptx_permute(word[4 * k + 2], word[4 * k + 3], pair), 0x5410u);
    thread_store_chunk(d, thread_codes_at(d, line + j, row), codes, left);
  }
}

/* Codes and scales of a tile that is in shared memory; `source` knows those of its neighbour. DRAWN: rounding is
 * stochastic. */
template <int DTYPE, int DRAWN, class Source>
__device__ __forceinline__ void block_cast_square_tile(const square_params &p, const Source &source,
                                                       const tile_place &t, tile_memory &tile, square_rows &rows,
                                                       square_strips &strips) {
  block_square_maxima<DTYPE>(p, source, t, tile, rows, strips);
  block_cast_squares<DTYPE, DRAWN>(p, t, tile, strips);
  if (!p.tile.has_col || p.tile.col.absmax) return;
  ptx_sync_block();
  block_store_turned<DTYPE>(p, t, tile);
}

template <int DTYPE, int DRAWN>
__global__ void __launch_bounds__(TILE_THREADS, TILE_BLOCKS<DTYPE, DRAWN>)
    quantize_square_kernel(const __grid_constant__ square_params p) {
  __shared__ tile_memory tile;
  __shared__ square_rows rows;
  __shared__ square_strips strips;
  const tile_place t = block_tile_place<DTYPE>(p.tile, blockIdx.x);
  block_load_tile<DTYPE>(p.tile, t, tile);
  block_cast_square_tile<DTYPE, DRAWN>(p, tile_elements<DTYPE>{p.tile}, t, tile, rows, strips);
}

#endif
