/* cuda/quantize/quantize_tuning.h: the numbers of the fast quantizing kernels. */
#ifndef MFQ_CUDA_QUANTIZE_TUNING_H
#define MFQ_CUDA_QUANTIZE_TUNING_H

#include "cuda/prim/ptx.cuh"

/* Blocks at once on a multiprocessor, which bound the registers of a thread: 48 for 5, 64 for 4, 80 for 3, 128 for 2.
 * The code for compute capability 10.0 and newer needs more of them. */
enum {
  ROWS_BLOCKS = PTX_ARCH >= 1000 ? 3 : 5,
  TILE_BLOCKS_HALF = PTX_ARCH >= 1000 ? 2 : 4,
  TILE_BLOCKS_F32 = 3,
  ROWS_RANGED_BLOCKS = PTX_ARCH >= 1000 ? 2 : 3,
  ROWS_ROTATED_BLOCKS = PTX_ARCH >= 1000 ? 2 : 3,
  /* With the random bits of stochastic rounding. */
  ROWS_DRAWN_BLOCKS_HALF = PTX_ARCH >= 1000 ? 3 : 4,
  ROWS_DRAWN_BLOCKS_F32 = 3,
  TILE_DRAWN_BLOCKS_HALF = PTX_ARCH >= 1000 ? 2 : 3,
  TILE_DRAWN_BLOCKS_F32 = 2
};

enum {
  ROWS_THREADS = 256,
  TILE_THREADS = 256,
  TILE_ROWS = 128,     /* four strips of 32 rows: the largest group along them */
  TILE_ROW_WORDS = 64, /* 128 halves or 64 float32: two warps read a strip's columns, a word a lane */
  REDUCE_THREADS = 256,
  REDUCE_CHUNKS = 16 /* chunks that a thread of a reduction takes */
};

#endif
