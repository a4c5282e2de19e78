/* cuda/produce/produce_square_kernel.cuh: results as codes of blocks, in one order or in both: tiles are quantized where they
 * are made. Of blocks with the columns of two tiles both are made, the other one for its magnitudes alone. */
#ifndef MFQ_CUDA_PRODUCE_SQUARE_KERNEL_CUH
#define MFQ_CUDA_PRODUCE_SQUARE_KERNEL_CUH

#include "made_tile.cuh"

/* The largest magnitudes of the chunks of the other tile of a block, which was made before. */
struct other_tile {
  square_rows &largest;
  __device__ __forceinline__ uint32_t other_max(const tile_place &, int row, int at) const {
    return largest.load(row * row_chunks<ELEMENT_F32>::OF_ROW + at / CHUNK);
  }
};

__device__ __forceinline__ void block_keep_maxima(tile_memory &tile, square_rows &largest) {
  const row_chunks<ELEMENT_F32> mine = thread_row_chunks<ELEMENT_F32>();
#pragma unroll 1
  for (int k = 0; k < row_chunks<ELEMENT_F32>::COUNT; ++k) {
    const int row = mine.row + k * row_chunks<ELEMENT_F32>::STEP;
    const uint32_t most = thread_absmax(thread_tile_chunk<ELEMENT_F32>(tile, row, mine.col));
    largest.store(row * row_chunks<ELEMENT_F32>::OF_ROW + mine.col / CHUNK, most);
  }
  ptx_sync_block();
}

__global__ void __launch_bounds__(TILE_THREADS, PRODUCE_BLOCKS)
    produce_square_kernel(const __grid_constant__ produce_tile_params p) {
  __shared__ tile_memory tile;
  __shared__ square_rows rows, others;
  __shared__ square_strips strips;
  tile_place t = block_tile_place<ELEMENT_F32>(p.square.tile, p.first + blockIdx.x);
#pragma unroll 1
  for (int own = !p.square.is_wide; own < 2; ++own) { /* the other tile of the block, then this one, by one body */
    if (p.square.is_wide) t.col0 ^= TILE_COLS<ELEMENT_F32>;
    block_make_tile(p, t, tile, own && p.keeps);
    if (!own) block_keep_maxima(tile, others);
  }
  block_cast_square_tile<ELEMENT_F32, 1>(p.square, other_tile{others}, t, tile, rows, strips);
}

#endif
