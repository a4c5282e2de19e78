/* cuda/product/tile.cuh: what the tiles of a product share, whichever matrix instructions multiply them: which tile and
 * part of the depth a block has, and where its sums go.
 *
 * The operands of a tile come from a gatherer, which knows where rows are: of a matrix (gemm/tile), or pixels and taps
 * of a filter (conv/implicit). The main loops (mma_loop.cuh, wgmma_loop.cuh) know nothing but units. */
#ifndef MFQ_CUDA_PRODUCT_TILE_CUH
#define MFQ_CUDA_PRODUCT_TILE_CUH

#include "cuda/prim/mma.cuh"
#include "unit.cuh"

enum {
  TILE_ROWS = 128,
  TILE_THREADS = 256,
  TILE_BAND = 8 /* tiles of rows that blocks walk down before the next tile of columns: they share L2 */
};

/* The tiles of a launch, of several products of one shape, and where sums go. */
typedef struct tile_grid {
  int32_t tiles_a, tiles_b; /* of one product */
  int32_t parts;            /* of the depth, in blocks of their own, */
  int64_t to_part;          /* whose sums are so far apart */
  int32_t columns;          /* of a product */
  int32_t is_paired;        /* columns 2i and 2i + 1 are neighbours, and aligned together */
  element_view to;
  int64_t to_column; /* from a column to the next */
} tile_grid;

typedef struct tile_block {
  int32_t product, part;
  int32_t a, b; /* tiles */
} tile_block;

/* Blocks walk down TILE_BAND tiles of rows, then to the next tile of columns. */
__device__ __forceinline__ tile_block block_tile_place(const tile_grid &g) {
  tile_block at;
  const int32_t each = g.tiles_a * g.tiles_b, outer = (int32_t)blockIdx.x / each;
  const int32_t index = (int32_t)blockIdx.x - outer * each;
  const int32_t of_band = TILE_BAND * g.tiles_b, band = index / of_band;
  const int32_t height = mfqn_min(g.tiles_a - band * TILE_BAND, TILE_BAND), inside = index - band * of_band;
  at.b = inside / height;
  at.a = band * TILE_BAND + (inside - at.b * height);
  at.part = outer % g.parts;
  at.product = outer / g.parts;
  return at;
}

/* Pieces of depth of a part: `first` ... `end` - 1. */
typedef struct tile_pieces {
  int32_t first, end;
} tile_pieces;

__device__ __forceinline__ tile_pieces block_tile_pieces(const tile_grid &g, const tile_block &at, int32_t all) {
  const int32_t each = (all + g.parts - 1) / g.parts;
  return tile_pieces{mfqn_min(at.part * each, all), mfqn_min((at.part + 1) * each, all)};
}

/* ---- The result -------------------------------------------------------------------------------------------------- */

/* Where each row's first column of the product goes; the gatherer notes it, but for the part. */
typedef block_array<uint2, TILE_ROWS> tile_rows;
enum : uint32_t { TILE_NOWHERE = 0x80000000u }; /* as the high word: there is no such row */

__device__ __forceinline__ void thread_note_row(tile_rows &rows, int row, int64_t to, int exists) {
  const uint64_t word = (uint64_t)to;
  rows.store(row, make_uint2((uint32_t)word, exists ? (uint32_t)(word >> 32) : (uint32_t)TILE_NOWHERE));
}

__device__ __forceinline__ int64_t thread_noted_row(const uint2 &words) {
  return (int64_t)((uint64_t)words.y << 32 | words.x);
}

/* Two neighbouring columns of a row; `left`: how many there are. */
typedef struct tile_pair {
  int64_t to;
  int32_t left;
} tile_pair;

__device__ __forceinline__ void thread_store_pair(const tile_grid &g, const tile_pair &at, const float *sum) {
  const uint32_t low = mfqn_bits(sum[0]), high = mfqn_bits(sum[1]);
  if (g.is_paired && at.left >= 2) {
    if (g.to.dtype == ELEMENT_F32)
      ptx_store<uint2>(g.to.data + at.to * 4, make_uint2(low, high));
    else if (g.to.dtype == ELEMENT_BF16)
      ptx_store<uint32_t>(g.to.data + at.to * 2, mfqn_bf16_from_f32(low) | mfqn_bf16_from_f32(high) << 16);
    else
      ptx_store<uint32_t>(g.to.data + at.to * 2, mfqn_f16_from_f32(low) | mfqn_f16_from_f32(high) << 16);
    return;
  }
  if (at.left >= 1) thread_store_element(g.to, at.to, low);
  if (at.left >= 2) thread_store_element(g.to, at.to + g.to_column, high);
}

#endif
