/* cuda/product/mma_tile_tuning.h: the numbers of the product by tiles. */
#ifndef MFQ_CUDA_GEMM_MMA_TILE_TUNING_H
#define MFQ_CUDA_GEMM_MMA_TILE_TUNING_H

enum {
  TILE_SIDE = 128,              /* rows of A and of B */
  TILE_DEPTH = 32,              /* of K, at once in shared memory */
  TILE_PITCH = TILE_DEPTH + 8,  /* halves from row to row there: eight rows of a matrix lie in all banks */
  TILE_THREADS = 2 * TILE_SIDE, /* each widens 16 elements of either side */
  TILE_WARP_ROWS = 64,          /* of A; two warps one below the other, */
  TILE_WARP_COLS = 32,          /* of B; four beside each other */
  TILE_BAND = 8                 /* tiles of A that blocks walk down before the next tile of B: they share L2 */
};

#endif
