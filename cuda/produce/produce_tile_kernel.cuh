/* cuda/produce/produce_tile_kernel.cuh: results as codes along columns, or along both: tiles are quantized where they are
 * made. */
#ifndef MFQ_CUDA_PRODUCE_TILE_KERNEL_CUH
#define MFQ_CUDA_PRODUCE_TILE_KERNEL_CUH

#include "made_tile.cuh"

/* Stochastic rounding or not. */
__global__ void __launch_bounds__(TILE_THREADS, PRODUCE_BLOCKS)
    produce_tile_kernel(const __grid_constant__ produce_tile_params p) {
  __shared__ tile_memory tile;
  __shared__ tile_maxima maxima;
  const tile_place t = block_tile_place<ELEMENT_F32>(p.square.tile, p.first + blockIdx.x);
  block_make_tile(p, t, tile, p.keeps);
  block_cast_tile<ELEMENT_F32, 1>(p.square.tile, t, tile, maxima);
}

#endif
