/* cuda/fakequant/gradient_tile_kernel.cuh: the backward of fake quantization along a strided axis.
 *
 * A block has the tile of quantize_tile_kernel. Lanes read 16 rows of one column of the upstream gradient, a warp whole lines
 * of it; of halves both columns of a word, one after the other, the second from the first-level cache. Gradients take the place of the elements in the tile, and are written from there. A thread
 * sums the terms of 16 rows of a column; what belongs to a group lies in up to eight threads, which tell each other their
 * sums, and where the first of their largest elements is, which gets what goes back through the scale.
 * Bytes moved per element: the element, the upstream gradient and the gradient, once each.
 * Not for stochastic rounding, and zero points that are to be measured. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_TILE_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_GRADIENT_TILE_KERNEL_CUH

#include "fake_tile_kernel.cuh"
#include "gradient_chunk.cuh"

typedef struct gradient_tile_params {
  tile_params tile; /* of the elements; upstream gradient and result lie alike */
  gradient_how how;
} gradient_tile_params;

/* Blocks at once on a multiprocessor. */
enum { GRADIENT_TILE_BLOCKS = 2 };

enum { HALVES = (int)TILE_ROWS / (int)CHUNK, HALF_COLS = 2 * (int)TILE_ROW_WORDS };

/* What 16 rows of a column come to: sums of terms; with a scale that sends something back a bit for the row of the first
 * largest element, or none, with the element's sign, and its gradient, which has the place of the zero point's sum. */
typedef block_array<uint32_t, HALVES * HALF_COLS> half_words;
typedef struct half_memory {
  half_words &sums, &spots, &others;
} half_memory;

/* A thread's place among these. */
__device__ __forceinline__ int thread_half_at(int half, const strip_place &at, int per_word, int which) {
  return half * HALF_COLS + at.word * per_word + which;
}

/* An element's gradient to column `which` of word `at` of the tile. */
template <int DTYPE>
__device__ __forceinline__ void thread_put_gradient(tile_memory &tile, int at, int which, uint32_t y) {
  if constexpr (DTYPE == ELEMENT_F32)
    tile.store(at, y);
  else
    tile.store(at, ptx_permute(tile.load(at), y, which == 0 ? 0x3254u : 0x5410u));
}

/* Each column's gradients are put where its elements were before the next column is begun: of registers there are few. */
template <int DTYPE, int HAS_SUMS> struct column_gradients {
  static constexpr int PER_WORD = 4 / ELEMENT_BYTES<DTYPE>;
  typedef struct {
  } result;
  const gradient_tile_params &p;
  const half_memory memory;
  tile_memory &tile;
  const uint8_t *upstream; /* row `top` of the word's first column */
  int place, first;        /* of that column among all halves; its word in the tile */
  chunk_place of_group;

  __device__ __forceinline__ void begin(const tile_place &t, const strip_place &at, int top) {
    const int in_group = top & ((1 << p.tile.col_group_log2) - 1);
    upstream = p.how.upstream + t.outer * p.tile.outer_bytes + (t.row0 + top) * p.tile.row_bytes +
               (t.col0 + at.word * PER_WORD) * ELEMENT_BYTES<DTYPE>;
    place = thread_half_at(top / CHUNK, at, PER_WORD, 0);
    first = top * TILE_ROW_WORDS + at.word;
    of_group = thread_chunk_place(in_group, mfqn_min(1 << p.tile.col_group_log2, t.rows - (top - in_group)));
  }

  __device__ __forceinline__ void put_scale(int64_t, const mfqn_group &) const {}

  /* A bit for the row of the first element of the largest magnitude, and its sign. An index of the row would make the
   * gradients an array in memory. */
  __device__ __forceinline__ uint32_t find_spot(const values16 &x, uint32_t absmax) const {
    uint32_t spot = 0;
#pragma unroll
    for (int i = CHUNK; i-- > 0;)
      if (i < of_group.there && (x.word[i] & MFQN_ABS) == absmax) spot = 1u << i | (x.word[i] & 0x80000000u);
    return spot;
  }

  /* Notes its gradient; the others get nothing through the scale, which is added too. */
  __device__ __forceinline__ void put_spot(int at, uint32_t spot, values16 *gradients) const {
    uint32_t own = 0;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) {
      own |= (spot >> i & 1u) != 0 ? gradients->word[i] : 0u;
      gradients->word[i] = mfqn_one_nan(mfqn_add(mfqn_float_of(gradients->word[i]), 0.0f));
    }
    memory.spots.store(at, spot);
    memory.others.store(at, own);
  }

  template <class Draw>
  __device__ __forceinline__ result put(const column_place &at, const chunk<DTYPE> &x, const mfqn_group &g,
                                        uint32_t absmax, Draw) const {
    gradient16 io;
    io.x = thread_widen_chunk(x);
    const uint8_t *from = upstream + at.which * ELEMENT_BYTES<DTYPE>;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i, from += p.tile.row_bytes)
      if constexpr (DTYPE == ELEMENT_F32)
        io.dy.word[i] = i < of_group.there ? ptx_load<uint32_t>(from) : 0u;
      else
        io.dy.word[i] = thread_widen<DTYPE>(i < of_group.there ? ptx_load<uint16_t>(from) : 0u);
    uint32_t spot = 0;
    if constexpr (HAS_SUMS) {
      if (p.how.through_scale) spot = find_spot(io.x, absmax);
    }
    const chunk_sums sums = thread_chunk_gradients<HAS_SUMS>(p.tile.col.how.scheme, p.how, g, absmax, of_group, &io);
    if constexpr (HAS_SUMS) {
      memory.sums.store(place + at.which, mfqn_bits(sums.scale));
      if (p.how.through_scale)
        put_spot(place + at.which, spot, &io.dy);
      else
        memory.others.store(place + at.which, mfqn_bits(sums.zero_point));
    }
#pragma unroll
    for (int i = 0; i < CHUNK; ++i)
      thread_put_gradient<DTYPE>(tile, first + i * TILE_ROW_WORDS, at.which,
                                 thread_narrow_gradient<DTYPE>(io.dy.word[i]));
    return {};
  }

  __device__ __forceinline__ void replace(tile_memory &, int, const result &, const result &) const {}
};

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* A second time through the columns, when all halves have their sums: those of groups, and what follows from them. */
template <int DTYPE> struct column_sums {
  static constexpr int PER_WORD = 4 / ELEMENT_BYTES<DTYPE>;
  typedef struct {
  } result;
  const gradient_tile_params &p;
  const half_memory memory;
  tile_memory &tile;
  int half, word, column; /* this half, the word in the tile's rows, and its first column among those of a half */
  int first, end, rows;   /* halves of the group, and its elements */

  __device__ __forceinline__ void begin(const tile_place &t, const strip_place &at, int top) {
    const int log2 = p.tile.col_group_log2 - 4;
    half = top / CHUNK;
    word = at.word;
    column = thread_half_at(0, at, PER_WORD, 0);
    first = half & -(1 << log2);
    rows = mfqn_min(CHUNK << log2, t.rows - first * CHUNK);
    end = first + (1 << log2);
  }

  __device__ __forceinline__ void put_scale(int64_t, const mfqn_group &) const {}

  __device__ __forceinline__ float sum(half_words &words, int which) const {
    float t[HALVES];
#pragma unroll
    for (int i = 0; i < HALVES; ++i) {
      const chunk_place at = thread_chunk_place(i * CHUNK, rows);
      t[i] = at.reach == CHUNK ? 0.0f : -0.0f;
      if (i < end - first && at.there > 0) t[i] = mfqn_float_of(words.load((first + i) * HALF_COLS + column + which));
    }
    return thread_tree(t);
  }

  /* Where the first largest element of the group is in this half, it is written once more. */
  __device__ __forceinline__ void go_through(const mfqn_group &g, uint32_t absmax, float sum, int which) const {
    const int at = column + which;
    for (int k = first; k < half; ++k)
      if (memory.spots.load(k * HALF_COLS + at) != 0) return;
    const uint32_t spot = memory.spots.load(half * HALF_COLS + at);
    if (spot == 0) return;
    const float through = thread_through(p.tile.col.how.scheme, g, absmax, spot & 0x80000000u, sum);
    const float own = mfqn_float_of(memory.others.load(half * HALF_COLS + at));
    thread_put_gradient<DTYPE>(tile, (half * CHUNK + mfqn_msb(spot & MFQN_ABS)) * TILE_ROW_WORDS + word, which,
                               thread_narrow_gradient<DTYPE>(mfqn_one_nan(mfqn_add(own, through))));
  }

  template <class Draw>
  __device__ __forceinline__ result put(const column_place &at, const chunk<DTYPE> &, const mfqn_group &g,
                                        uint32_t absmax, Draw) const {
    if (!at.is_first && !p.how.through_scale) return {};
    const float of_scale = sum(memory.sums, at.which);
    if (p.how.through_scale) go_through(g, absmax, of_scale, at.which);
    if (at.is_first)
      thread_put_sums(p.tile.col.how.scheme, p.how, at.index, g,
                      {of_scale, p.how.grad_zero_point ? sum(memory.others, at.which) : 0.0f});
    return {};
  }

  __device__ __forceinline__ void replace(tile_memory &, int, const result &, const result &) const {}
};

/* ---- The kernel -------------------------------------------------------------------------------------------------- */

template <int DTYPE, int HAS_SUMS>
__global__ void __launch_bounds__(TILE_THREADS, GRADIENT_TILE_BLOCKS)
    gradient_tile_kernel(const __grid_constant__ gradient_tile_params p) {
  __shared__ tile_memory tile;
  __shared__ tile_maxima maxima;
  __shared__ half_words sums, spots, others;
  const half_memory memory = {sums, spots, others};
  const tile_place t = block_tile_place<DTYPE>(p.tile, blockIdx.x);
  block_load_tile<DTYPE>(p.tile, t, tile);
  const uint2 most = block_col_max<DTYPE>(p.tile, tile, maxima);
  block_cast_cols<DTYPE, 0>(p.tile, column_gradients<DTYPE, HAS_SUMS>{p, memory, tile, nullptr, 0, 0, {}}, t, tile,
                            most);
  ptx_sync_block();
  if constexpr (HAS_SUMS) {
    block_cast_cols<DTYPE, 0>(p.tile, column_sums<DTYPE>{p, memory, tile, 0, 0, 0, 0, 0, 0}, t, tile, most);
    if (p.how.through_scale) ptx_sync_block();
  }
  block_store_tile<DTYPE>(tile_target{p.how.dx, p.tile.outer_bytes, p.tile.row_bytes, p.tile.cols, p.how.is_aligned}, t,
                          tile);
}

#endif
