/* cuda/produce/made_chunk.cuh: results in the place of elements that the kernels of cuda/quantize load, as float32. */
#ifndef MFQ_CUDA_PRODUCE_MADE_CHUNK_CUH
#define MFQ_CUDA_PRODUCE_MADE_CHUNK_CUH

#include "cuda/prim/chunk.cuh"
#include "made_value.cuh"

/* Blocks at once on a multiprocessor: 128 registers a thread. */
enum { PRODUCE_BLOCKS = 2 };

/* `count` results of a row from column `col` on, a multiple of 8, at most 16, zeros behind them; `keeps`: they are written to
 * the plain tensor too, where there is one. One body makes both halves. */
__device__ __forceinline__ chunk<ELEMENT_F32> thread_make_chunk(const made_params &p, int64_t row, int64_t col,
                                                                int count, int keeps) {
  chunk<ELEMENT_F32> x;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) x.word[i] = 0;
  if (count == 0) return x;
#pragma unroll 1
  for (int half = 0; half < 2; ++half) {
    const int here = mfqn_clamp(count - half * PIECE, 0, PIECE);
    const piece8 y = thread_make_piece(p, row, col + half * PIECE, here);
    if (keeps && p.plain.of.data && here > 0)
      thread_store_piece(p.plain, thread_row_offset(p, p.plain, row) + (col + half * PIECE) * p.plain.col, here,
                         p.is_plain_wide, y);
#pragma unroll
    for (int i = 0; i < PIECE; ++i) {
      x.word[i] = x.word[PIECE + i];
      x.word[PIECE + i] = mfqn_bits(y.v[i]);
    }
  }
  return x;
}

#endif
