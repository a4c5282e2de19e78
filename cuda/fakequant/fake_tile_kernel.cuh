/* cuda/fakequant/fake_tile_kernel.cuh: fake-quantizes along a strided axis: quantize_tile_kernel with values in the place
 * of codes, which have the dtype of the elements and take their place in the tile.
 * Bytes moved per element: the element and the value. */
#ifndef MFQ_CUDA_FAKEQUANT_FAKE_TILE_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_FAKE_TILE_KERNEL_CUH

#include "cuda/quantize/tile_kernel.cuh"
#include "fake_target.cuh"

typedef struct fake_tile_params {
  tile_params tile;
  fake_target to;
  mask_target mask;
} fake_tile_params;

/* Puts 16 rows of a word's columns in the place of their elements. */
template <int DTYPE>
__device__ __forceinline__ void thread_replace_rows(tile_memory &tile, int first, const chunk<DTYPE> &a,
                                                    const chunk<DTYPE> &b) {
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    uint32_t word;
    if constexpr (DTYPE == ELEMENT_F32)
      word = a.word[i];
    else
      word = ptx_permute(a.word[i / 2], b.word[i / 2], i % 2 == 0 ? 0x5410u : 0x7632u);
    tile.store(first + i * TILE_ROW_WORDS, word);
  }
}

template <int DTYPE, int BY_CODES> struct column_values {
  typedef chunk<DTYPE> result;
  const fake_tile_params &p;
  __device__ __forceinline__ void begin(const tile_place &, const strip_place &, int) const {}
  __device__ __forceinline__ void put_scale(int64_t place, const mfqn_group &g) const {
    thread_put_scale(p.to, p.tile.col.how.scheme, place, g);
  }
  template <class Draw>
  __device__ __forceinline__ result put(const column_place &, const chunk<DTYPE> &x, const mfqn_group &g,
                                        uint32_t absmax, Draw draw) const {
    const values16 y = thread_fake<BY_CODES, DTYPE>(p.tile.col.how, p.to.how, x, g, absmax, draw);
    result column;
#pragma unroll
    for (int k = 0; k < result::WORDS; ++k) column.word[k] = y.word[k];
    return column;
  }
  __device__ __forceinline__ void replace(tile_memory &tile, int first, const result &a, const result &b) const {
    thread_replace_rows<DTYPE>(tile, first, a, b);
  }
};

/* ---- With the mask ----------------------------------------------------------------------------------------------- */

/* Bit i of a word's lower half to bit 2 i. */
__device__ __forceinline__ uint32_t thread_spread(uint32_t x) {
  x = (x | x << 8) & 0x00ff00ffu;
  x = (x | x << 4) & 0x0f0f0f0fu;
  x = (x | x << 2) & 0x33333333u;
  return (x | x << 1) & 0x55555555u;
}

/* The bits of a warp's columns in 16 rows, a bit a row in each lane, to the mask: by ballots, then a row a lane. Rows of
 * elements are whole bytes. */
template <int DTYPE>
__device__ __forceinline__ void warp_store_mask(const fake_tile_params &p, const tile_place &t, int top, uint32_t even,
                                                uint32_t odd) {
  constexpr int PER_WORD = 4 / ELEMENT_BYTES<DTYPE>;
  const int lane = (int)threadIdx.x % 32, word = (int)threadIdx.x % TILE_ROW_WORDS - lane;
  uint32_t mine[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const uint32_t low = ptx_ballot(0xffffffffu, even >> i & 1u);
    const uint32_t high = PER_WORD == 1 ? 0u : ptx_ballot(0xffffffffu, odd >> i & 1u);
    mine[0] = lane == i ? low : mine[0];
    mine[1] = lane == i ? high : mine[1];
  }
  if constexpr (PER_WORD == 2) {
    const uint32_t low = mine[0], high = mine[1];
    mine[0] = thread_spread(low & 0xffffu) | thread_spread(high & 0xffffu) << 1;
    mine[1] = thread_spread(low >> 16) | thread_spread(high >> 16) << 1;
  }
  const int64_t col = t.col0 + word * PER_WORD, left = p.tile.cols - col;
  if (lane >= CHUNK || top + lane >= t.rows) return;
  uint8_t *to = p.mask.bits + ((t.outer * p.tile.rows + t.row0 + top + lane) * p.tile.cols + col) / 8;
#pragma unroll
  for (int i = 0; i < 4 * PER_WORD; ++i)
    if (8 * i < left) ptx_store<uint8_t>(to + i, (uint8_t)(mine[i / 4] >> i % 4 * 8));
}

template <int DTYPE> struct masked_column_values {
  typedef struct {
    chunk<DTYPE> y;
    uint32_t bits;
  } result;
  const fake_tile_params &p;
  tile_place t;
  int top;
  __device__ __forceinline__ void begin(const tile_place &place, const strip_place &, int first) {
    t = place;
    top = first;
  }
  __device__ __forceinline__ void put_scale(int64_t place, const mfqn_group &g) const {
    thread_put_scale(p.to, p.tile.col.how.scheme, place, g);
  }
  template <class Draw>
  __device__ __forceinline__ result put(const column_place &at, const chunk<DTYPE> &x, const mfqn_group &g,
                                        uint32_t absmax, Draw draw) const {
    const uint32_t bits = thread_passes(p.tile.col.how.scheme, p.mask.how, g, x);
    return {column_values<DTYPE, 0>{p}.put(at, x, g, absmax, draw), bits};
  }
  __device__ __forceinline__ void replace(tile_memory &tile, int first, const result &a, const result &b) const {
    thread_replace_rows<DTYPE>(tile, first, a.y, b.y);
    warp_store_mask<DTYPE>(p, t, top, a.bits, b.bits);
  }
};

/* ---- Tile to target ---------------------------------------------------------------------------------------------- */

/* The first `count` elements of 16 bytes. */
template <int DTYPE> __device__ __forceinline__ void thread_store_piece(uint8_t *to, const uint4 &values, int count) {
  const uint32_t word[4] = {values.x, values.y, values.z, values.w};
#pragma unroll
  for (int i = 0; i < 16 / ELEMENT_BYTES<DTYPE>; ++i) {
    if (i >= count) continue;
    if constexpr (DTYPE == ELEMENT_F32)
      ptx_store<uint32_t>(to + 4 * i, word[i]);
    else
      ptx_store<uint16_t>(to + 2 * i, (uint16_t)(word[i / 2] >> i % 2 * 16));
  }
}

/* Where a tile's rows go. */
typedef struct tile_target {
  uint8_t *data;
  int64_t outer_bytes, row_bytes, cols;
  int32_t vector_store;
} tile_target;

template <int DTYPE>
__device__ __forceinline__ void block_store_tile(const tile_target &p, const tile_place &t, tile_memory &tile) {
  constexpr int PER_PIECE = 16 / ELEMENT_BYTES<DTYPE>, PIECES_OF_ROW = TILE_ROW_WORDS / 4;
  constexpr int ROWS_AT_ONCE = TILE_THREADS / PIECES_OF_ROW;
  const int first = (int)threadIdx.x / PIECES_OF_ROW, piece = (int)threadIdx.x % PIECES_OF_ROW;
  const int64_t col = t.col0 + piece * PER_PIECE, step = ROWS_AT_ONCE * p.row_bytes;
  const int count = mfqn_min(thread_left(col, p.cols), PER_PIECE);
  uint8_t *to = p.data + t.outer * p.outer_bytes + (t.row0 + first) * p.row_bytes + col * ELEMENT_BYTES<DTYPE>;
#pragma unroll 1
  for (int row = first; row < mfqn_min(t.rows, TILE_ROWS); row += ROWS_AT_ONCE, to += step) {
    const uint4 values = tile.template load_as<uint4>(row * TILE_ROW_WORDS + 4 * piece);
    if (p.vector_store && count == PER_PIECE)
      ptx_store<uint4>(to, values);
    else
      thread_store_piece<DTYPE>(to, values, count);
  }
}

template <int DTYPE, int BY_CODES, class Sink>
__device__ __forceinline__ void block_fake_tile(const fake_tile_params &p, const Sink &sink, tile_memory &tile,
                                                tile_maxima &maxima) {
  const tile_place t = block_tile_place<DTYPE>(p.tile, blockIdx.x);
  block_load_tile<DTYPE>(p.tile, t, tile);
  const uint2 most = block_col_max<DTYPE>(p.tile, tile, maxima);
  block_cast_cols<DTYPE, BY_CODES>(p.tile, sink, t, tile, most);
  ptx_sync_block();
  block_store_tile<DTYPE>(tile_target{p.to.data, p.to.outer_bytes, p.to.middle_bytes, p.tile.cols, p.to.vector_store},
                          t, tile);
}

template <int DTYPE, int BY_CODES>
__global__ void __launch_bounds__(TILE_THREADS, BY_CODES ? FAKE_CODES_TILE_BLOCKS : FAKE_TILE_BLOCKS)
    fake_tile_kernel(const __grid_constant__ fake_tile_params p) {
  __shared__ tile_memory tile;
  __shared__ tile_maxima maxima;
  block_fake_tile<DTYPE, BY_CODES>(p, column_values<DTYPE, BY_CODES>{p}, tile, maxima);
}

template <int DTYPE>
__global__ void __launch_bounds__(TILE_THREADS, FAKE_MASK_TILE_BLOCKS)
    fake_masked_tile_kernel(const __grid_constant__ fake_tile_params p) {
  __shared__ tile_memory tile;
  __shared__ tile_maxima maxima;
  block_fake_tile<DTYPE, 0>(p, masked_column_values<DTYPE>{p, {}, 0}, tile, maxima);
}

#endif
