/* cuda/quantize/quantize_tuning.h: the numbers of the fast quantizing kernels. */
#ifndef MFQ_CUDA_QUANTIZE_TUNING_H
#define MFQ_CUDA_QUANTIZE_TUNING_H

enum {
  ROWS_THREADS = 256,
  TILE_THREADS = 256,
  TILE_BLOCKS_HALF = 4,
  TILE_BLOCKS_F32 = 3,
  TILE_ROWS = 128,     /* four strips of 32 rows: the largest group along them */
  TILE_ROW_WORDS = 64, /* 128 halves or 64 float32: two warps read a strip's columns, a word a lane */
  REDUCE_THREADS = 256,
  REDUCE_CHUNKS = 16 /* chunks that a thread of a reduction takes */
};

#endif
