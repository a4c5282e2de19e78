/* cuda/prim/random.cuh: the random bits of a thread's elements, each block of eight made once: when the first of its
 * elements asks, for the chunk that they are part of, or for the lanes that have their columns. */
#ifndef MFQ_CUDA_PRIM_RANDOM_CUH
#define MFQ_CUDA_PRIM_RANDOM_CUH

#include <mfq/num/group.h>
#include <mfq/num/random.h>

#include "chunk.cuh"

typedef struct random_source {
  uint64_t seed, offset, block; /* the one that is held; at first one that no index has */
  mfqn_philox held;
  int32_t is_wanted;
} random_source;

__device__ __forceinline__ random_source thread_random_source(const mfqn_scheme &s, uint64_t seed, uint64_t offset) {
  return random_source{seed, offset, ~0ull, {{0u, 0u, 0u, 0u}}, s.rounding == MFQN_ROUND_STOCHASTIC};
}

/* The bits of the element with row-major index `logical`; 0 where rounding is not stochastic. */
__device__ __forceinline__ uint32_t thread_random(random_source *r, int64_t logical) {
  if (!r->is_wanted) return 0;
  const uint64_t index = (uint64_t)logical, block = index >> 3;
  if (block != r->block) {
    r->block = block;
    r->held = mfqn_random_block(r->seed, r->offset, block);
  }
  return mfqn_random_of_block(&r->held, index);
}

/* ---- Chunks ------------------------------------------------------------------------------------------------------ */

typedef struct random_key {
  uint64_t seed, offset;
} random_key;

/* The random bits of a chunk, half a word each, the first one lowest. */
typedef struct drawn16 {
  uint32_t word[CHUNK / 2];
} drawn16;

/* Those of element i; i is known when the loop around it is unrolled. */
__device__ __forceinline__ uint32_t thread_half(const drawn16 &d, int i) {
  return d.word[i / 2] >> i % 2 * 16 & 0xffffu;
}

/* Takes the fraction of element 0 out and moves the others down. */
__device__ __forceinline__ uint32_t thread_pop_fraction(drawn16 *d) {
  const uint32_t first = mfqn_random_fraction(thread_half(*d, 0));
#pragma unroll
  for (int k = 0; k < CHUNK / 2; ++k) d->word[k] = d->word[k] >> 16 | (k + 1 < CHUNK / 2 ? d->word[k + 1] << 16 : 0u);
  return first;
}

/* Of two whole blocks. */
__device__ __forceinline__ drawn16 thread_draw_blocks(const random_key &key, int64_t block) {
  const mfqn_philox a = mfqn_random_block(key.seed, key.offset, (uint64_t)block);
  const mfqn_philox b = mfqn_random_block(key.seed, key.offset, (uint64_t)block + 1);
  return drawn16{{a.word[0], a.word[1], a.word[2], a.word[3], b.word[0], b.word[1], b.word[2], b.word[3]}};
}

/* Of elements with the row-major indices first, first + 1, ... */
__device__ __forceinline__ drawn16 thread_draw(const random_key &key, int64_t first) {
  enum { WORDS = CHUNK / 2 };
  const int64_t block = first >> 3;
  const int skipped = (int)(first & 7);
  drawn16 d = thread_draw_blocks(key, block);
  if (skipped == 0) return d;
  const mfqn_philox rest = mfqn_random_block(key.seed, key.offset, (uint64_t)block + 2);
  uint32_t w[WORDS + 4];
#pragma unroll
  for (int i = 0; i < WORDS + 4; ++i) w[i] = i < WORDS ? d.word[i] : rest.word[i - WORDS];
#pragma unroll
  for (int i = 0; i < WORDS + 2; ++i) w[i] = skipped & 4 ? w[i + 2] : w[i];
#pragma unroll
  for (int i = 0; i < WORDS + 1; ++i) w[i] = skipped & 2 ? w[i + 1] : w[i];
#pragma unroll
  for (int i = 0; i < WORDS; ++i) d.word[i] = skipped & 1 ? w[i] >> 16 | w[i + 1] << 16 : w[i];
  return d;
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

/* Lanes have neighbouring words of rows. A block is that of one row and of the words of four lanes (halves) or eight
 * (float32): each of them makes the blocks of some rows, and they exchange words. */

/* The random bits of 16 rows of a word's columns: of halves, a word a row; of float32, as a chunk. */
template <int DTYPE> struct drawn_columns { uint32_t word[DTYPE == ELEMENT_F32 ? CHUNK / 2 : CHUNK]; };

/* Among four lanes, `apart` from one another: word i of lane j for word j of lane i. */
__device__ __forceinline__ void warp_transpose4(uint32_t *w, int apart) {
#pragma unroll
  for (int step = 1; step <= 2; ++step) {
    const int is_upper = (threadIdx.x & (unsigned)(apart * step)) != 0;
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const int low = step == 1 ? 2 * k : k, high = low + step;
      const uint32_t got = ptx_shuffle_xor(0xffffffffu, is_upper ? w[low] : w[high], apart * step);
      w[low] = is_upper ? got : w[low];
      w[high] = is_upper ? w[high] : got;
    }
  }
}

/* Between neighbouring lanes, which have a word of every other row: half i of it is lane i's. */
__device__ __forceinline__ void warp_exchange_halves(const uint32_t *w, uint32_t *column) {
  const int is_upper = threadIdx.x & 1;
#pragma unroll
  for (int k = 0; k < 4; k += 2) {
    const uint32_t others = ptx_permute(w[k], w[k + 1], is_upper ? 0x5410u : 0x7632u);
    const uint32_t got = ptx_shuffle_xor(0xffffffffu, others, 1);
    column[k] = ptx_permute(w[k], got, is_upper ? 0x3254u : 0x5410u);
    column[k + 1] = ptx_permute(w[k + 1], got, is_upper ? 0x3276u : 0x7610u);
  }
}

/* All lanes of a warp. `first`: row-major index of the first of a lane's elements; rows are `cols` elements, a multiple
 * of 8. */
template <int DTYPE>
__device__ __forceinline__ drawn_columns<DTYPE> warp_draw_columns(const random_key &key, int64_t first, int64_t cols) {
  constexpr int LANES = 2 * ELEMENT_BYTES<DTYPE>; /* that share a block */
  const int64_t block = first >> 3, step = cols >> 3;
  drawn_columns<DTYPE> d;
#pragma unroll
  for (int row = 0; row < CHUNK; row += LANES) {
    const int64_t mine = block + (row + (int)(threadIdx.x % LANES)) * step;
    mfqn_philox made = mfqn_random_block(key.seed, key.offset, (uint64_t)mine);
    warp_transpose4(made.word, LANES / 4);
    if constexpr (DTYPE == ELEMENT_F32) {
      warp_exchange_halves(made.word, d.word + row / 2);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) d.word[row + i] = made.word[i];
    }
  }
  return d;
}

/* Those of column `which` of the word, as a chunk. */
template <int DTYPE> __device__ __forceinline__ drawn16 thread_drawn_column(const drawn_columns<DTYPE> &d, int which) {
  const uint32_t halves = which == 0 ? 0x5410u : 0x7632u;
  drawn16 column;
#pragma unroll
  for (int k = 0; k < CHUNK / 2; ++k)
    if constexpr (DTYPE == ELEMENT_F32)
      column.word[k] = d.word[k];
    else
      column.word[k] = ptx_permute(d.word[2 * k], d.word[2 * k + 1], halves);
  return column;
}

#endif
