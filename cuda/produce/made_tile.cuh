/* cuda/produce/made_tile.cuh: results in the place of elements in a tile, 128 rows x 64 float32 in shared memory. */
#ifndef MFQ_CUDA_PRODUCE_MADE_TILE_CUH
#define MFQ_CUDA_PRODUCE_MADE_TILE_CUH

#include "cuda/quantize/square_kernel.cuh"
#include "made_chunk.cuh"

typedef struct produce_tile_params {
  square_params square; /* or its `tile` alone */
  made_params made;
  uint32_t first; /* tile of the launch */
  int32_t keeps;  /* plain results are written */
} produce_tile_params;

__device__ __forceinline__ void block_make_tile(const produce_tile_params &p, const tile_place &t, tile_memory &tile,
                                                int keeps) {
  constexpr int PIECES_OF_ROW = TILE_ROW_WORDS / PIECE, ROWS_AT_ONCE = TILE_THREADS / PIECES_OF_ROW;
  const made_params &m = p.made;
  const int at = (int)threadIdx.x % PIECES_OF_ROW * PIECE;
  const int64_t col = t.col0 + at, left = p.square.tile.cols - col;
  const int cols = left > PIECE ? PIECE : left > 0 ? (int)left : 0;
#pragma unroll 1
  for (int row = (int)threadIdx.x / PIECES_OF_ROW; row < TILE_ROWS; row += ROWS_AT_ONCE) {
    const int64_t line = t.outer * p.square.tile.rows + t.row0 + row;
    const int count = row < t.rows ? cols : 0;
    const piece8 y = thread_make_piece(m, line, col, count);
    if (keeps && m.plain.of.data && count > 0)
      thread_store_piece(m.plain, thread_row_offset(m, m.plain, line) + col * m.plain.col, count, m.is_plain_wide, y);
    const int to = row * TILE_ROW_WORDS + at;
    tile.store_as<uint4>(to, make_uint4(mfqn_bits(y.v[0]), mfqn_bits(y.v[1]), mfqn_bits(y.v[2]), mfqn_bits(y.v[3])));
    tile.store_as<uint4>(to + 4,
                         make_uint4(mfqn_bits(y.v[4]), mfqn_bits(y.v[5]), mfqn_bits(y.v[6]), mfqn_bits(y.v[7])));
  }
  ptx_sync_block();
}

#endif
