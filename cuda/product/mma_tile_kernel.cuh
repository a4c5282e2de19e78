/* cuda/product/mma_tile_kernel.cuh: the product of two operands that bf16 holds, in tiles of 128 rows of A by 128 of B.
 *
 * A block has one tile. Of every 32 elements along K each of its 256 threads brings 16 of a row of A and 16 of a row of
 * B: loaded while the matrix instructions multiply what came before, then widened to bf16 on the way into the other
 * half of shared memory. Eight warps have 64 x 32 sums each. Operands whose elements are neither bf16 nor codes along K
 * in whole words come one element at a time, and are rounded to bf16. Bytes read per tile and k: a code or a bf16 of
 * 128 rows, twice; blocks that run together share them in L2.
 * Not for group scales beyond bf16 where their products must be exact, or rows of more than 2^31 tiles. */
#ifndef MFQ_CUDA_GEMM_MMA_TILE_KERNEL_CUH
#define MFQ_CUDA_GEMM_MMA_TILE_KERNEL_CUH

#include "cuda/prim/mma.cuh"
#include "cuda/prim/widen.cuh"
#include "mma_tile_tuning.h"
#include "cuda/gemm/side.cuh"

enum tile_source {
  TILE_ELEMENTS, /* one at a time */
  TILE_BF16,     /* as they are; 16 bytes at once */
  TILE_CODES     /* words of codes */
};

typedef struct tile_side {
  side_params side;
  widen_format format;
  int32_t source; /* TILE_* */
  const uint32_t *flags;
  int32_t slabs; /* of a batch */
} tile_side;

typedef struct mma_tile_params {
  tile_side a, b;
  int32_t tiles_a, tiles_b; /* of a batch */
  int32_t is_marked;        /* only tiles of slabs with a flag */
  element_view to;          /* sum (i, r, c) is at i * to_batch + r * to_stride[0] + c * to_stride[1] */
  int64_t to_batch, to_stride[2];
  int64_t first_batch, first_row, rows; /* of A */
} mma_tile_params;

/* 16 elements of a row as they came from memory. */
typedef struct tile_unit {
  side_row row;
  int64_t k;
  int32_t count;    /* elements that exist */
  uint32_t word[8]; /* codes or bf16 */
  uint32_t stored;  /* the group's scale */
  int32_t zero_point;
} tile_unit;

typedef block_array<uint16_t, 2 * TILE_SIDE * TILE_PITCH> tile_memory; /* two buffers */

typedef struct mma_tile_place {
  int64_t batch;
  int32_t a, b; /* tiles */
} mma_tile_place;

/* Blocks walk down TILE_BAND tiles of A, then to the next tile of B. */
__device__ __forceinline__ mma_tile_place block_tile_place(const mma_tile_params &p) {
  mma_tile_place at;
  const int32_t of_batch = p.tiles_a * p.tiles_b, index = (int32_t)(blockIdx.x % (uint32_t)of_batch);
  at.batch = p.first_batch + (int64_t)(blockIdx.x / (uint32_t)of_batch);
  const int32_t of_band = TILE_BAND * p.tiles_b, band = index / of_band;
  const int32_t height = mfqn_min(p.tiles_a - band * TILE_BAND, TILE_BAND), inside = index - band * of_band;
  at.b = inside / height;
  at.a = (int32_t)(p.first_row / TILE_SIDE) + band * TILE_BAND + (inside - at.b * height);
  return at;
}

__device__ __forceinline__ int thread_is_marked(const tile_side &s, int64_t batch, int32_t slab) {
  if (!s.flags) return 0;
  const int64_t set = s.side.batch_rank == 0 ? 0 : batch;
  return ptx_load<uint32_t>(s.flags + set * s.slabs + slab) != 0;
}

/* A block's thread has row threadIdx.x / 2 of the tile, and one half of the depth. */
__device__ __forceinline__ tile_unit thread_tile_unit(const tile_side &s, int64_t batch, int32_t tile) {
  tile_unit u = {};
  const int64_t row = (int64_t)tile * TILE_SIDE + threadIdx.x / 2;
  u.count = row < s.side.rows;
  if (u.count) u.row = thread_side_row(s.side, batch, row);
  return u;
}

__device__ __forceinline__ void thread_load_words(const uint8_t *from, int32_t bits, uint32_t *word) {
  if (bits == 8) {
    const uint4 v = ptx_load<uint4>(from);
    word[0] = v.x;
    word[1] = v.y;
    word[2] = v.z;
    word[3] = v.w;
  } else if (bits == 4) {
    const uint2 v = ptx_load<uint2>(from);
    word[0] = v.x;
    word[1] = v.y;
  } else {
#pragma unroll
    for (int i = 0; i < 3; ++i) word[i] = ptx_load<uint32_t>(from + 4 * i);
  }
}

/* Starts the loads of the 16 elements from `k` on. `exists`: the row does. */
__device__ __forceinline__ void thread_fetch(const tile_side &s, int64_t k, int exists, tile_unit *u) {
  u->k = k;
  u->count = exists ? (int32_t)(s.side.depth - k < 16 ? s.side.depth - k : 16) : 0;
  if (u->count < 16 || s.source == TILE_ELEMENTS) return;
  if (s.source == TILE_BF16) {
    const uint8_t *from = s.side.plain.data + (u->row.at + k) * 2;
    thread_load_words(from, 8, u->word);
    thread_load_words(from + 16, 8, u->word + 4);
    return;
  }
  const int64_t bit = u->row.at + k * s.format.bits;
  thread_load_words(s.side.codes + (bit >> 3), s.format.bits, u->word);
  u->stored = 127;
  if (s.format.scale == MFQN_SCALE_NONE && !s.format.has_zero_point) return;
  const int64_t index = thread_side_scale_index(s.side, u->row, k);
  if (s.format.scale != MFQN_SCALE_NONE)
    u->stored = thread_slot_load(s.side.slots, thread_slot_place(s.side.slots, index));
  if (s.format.has_zero_point) u->zero_point = thread_side_zero_point(s.side, index);
}

__device__ __forceinline__ widen16 thread_widen_unit(const widen_format &f, const tile_unit &u) {
  widen16 t = f.bits == 8   ? thread_pairs_in_order<8>(u.word)
              : f.bits == 4 ? thread_pairs_in_order<4>(u.word)
                            : thread_pairs_in_order<6>(u.word);
  widen_scale scale = thread_widen_scale(f, u.stored);
  thread_widen_zero_point(&scale, u.zero_point);
  thread_widen<8, 1>(f, &scale, &t); /* which takes every format */
  return t;
}

/* Elements one at a time: 0 behind the last one. */
__device__ __forceinline__ uint32_t thread_element_bf16(const tile_side &s, const tile_unit &u, int32_t i) {
  return i < u.count ? mfqn_bf16_limited(thread_side_value(s.side, u.row, u.k + i)) : 0u;
}

/* Writes the unit as bf16 from item `to` on. */
__device__ __forceinline__ void thread_put_unit(const tile_side &s, const tile_unit &u, tile_memory &memory, int to) {
  if (s.source == TILE_ELEMENTS || u.count < 16) {
#pragma unroll 1
    for (int32_t i = 0; i < 16; i += 2)
      memory.store_as<uint32_t>(to + i, thread_element_bf16(s, u, i) | thread_element_bf16(s, u, i + 1) << 16);
    return;
  }
  widen16 t;
  if (s.source == TILE_CODES) {
    t = thread_widen_unit(s.format, u);
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) t.word[i] = u.word[i];
  }
  memory.store_as<uint4>(to, make_uint4(t.word[0], t.word[1], t.word[2], t.word[3]));
  memory.store_as<uint4>(to + 8, make_uint4(t.word[4], t.word[5], t.word[6], t.word[7]));
}

typedef struct tile_sums {
  mma_d d[TILE_WARP_ROWS / 16][TILE_WARP_COLS / 8];
} tile_sums;

/* One buffer: 32 of K. */
__device__ __forceinline__ void warp_multiply(tile_memory &a, tile_memory &b, int buffer, tile_sums *sums) {
  const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
  const int rows = warp % 2 * TILE_WARP_ROWS, cols = warp / 2 * TILE_WARP_COLS;
  const int first = buffer * TILE_SIDE * TILE_PITCH;
  const int a_at = first + (rows + lane % 16) * TILE_PITCH + lane / 16 * 8;
  const int b_at = first + (cols + lane % 8 + lane / 16 * 8) * TILE_PITCH + lane / 8 % 2 * 8;
#pragma unroll
  for (int k = 0; k < TILE_DEPTH; k += 16) {
    mma_b of_b[TILE_WARP_COLS / 8];
#pragma unroll
    for (int j = 0; j < TILE_WARP_COLS / 8; j += 2) {
      const mma_a two = ptx_load_matrices<false>(b, b_at + j * 8 * TILE_PITCH + k);
      of_b[j] = mma_b{{two.word[0], two.word[1]}};
      of_b[j + 1] = mma_b{{two.word[2], two.word[3]}};
    }
#pragma unroll
    for (int i = 0; i < TILE_WARP_ROWS / 16; ++i) {
      const mma_a of_a = ptx_load_matrices<false>(a, a_at + i * 16 * TILE_PITCH + k);
#pragma unroll
      for (int j = 0; j < TILE_WARP_COLS / 8; ++j) sums->d[i][j] = ptx_mma_bf16(of_a, of_b[j], sums->d[i][j]);
    }
  }
}

__device__ __forceinline__ void warp_store_sums(const mma_tile_params &p, const mma_tile_place &at,
                                                const tile_sums &sums) {
  const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
  const int64_t row = (int64_t)at.a * TILE_SIDE + warp % 2 * TILE_WARP_ROWS + lane / 4 - p.first_row;
  const int64_t col = (int64_t)at.b * TILE_SIDE + warp / 2 * TILE_WARP_COLS + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < TILE_WARP_ROWS / 16; ++i) {
#pragma unroll
    for (int j = 0; j < TILE_WARP_COLS / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int64_t r = row + i * 16 + e / 2 * 8, c = col + j * 8 + e % 2;
        const int64_t to = (at.batch - p.first_batch) * p.to_batch + r * p.to_stride[0] + c * p.to_stride[1];
        if (r < p.rows && c < p.b.side.rows) thread_store_element(p.to, to, mfqn_bits(sums.d[i][j].sum[e]));
      }
    }
  }
}

__device__ __forceinline__ tile_sums thread_no_sums() {
  tile_sums sums;
#pragma unroll
  for (int i = 0; i < TILE_WARP_ROWS / 16; ++i) {
#pragma unroll
    for (int j = 0; j < TILE_WARP_COLS / 8; ++j) sums.d[i][j] = mma_d{{0.0f, 0.0f, 0.0f, 0.0f}};
  }
  return sums;
}

__global__ void __launch_bounds__(TILE_THREADS, 1) mma_tile_kernel(const __grid_constant__ mma_tile_params p) {
  __shared__ tile_memory a_memory, b_memory;
  const mma_tile_place at = block_tile_place(p);
  if (p.is_marked && !thread_is_marked(p.a, at.batch, at.a) && !thread_is_marked(p.b, at.batch, at.b)) return;
  tile_unit a = thread_tile_unit(p.a, at.batch, at.a), b = thread_tile_unit(p.b, at.batch, at.b);
  const int has_a = a.count, has_b = b.count, half = (int)threadIdx.x % 2 * 16;
  const int to = (int)threadIdx.x / 2 * TILE_PITCH + half;
  tile_sums sums = thread_no_sums();
  const int64_t depth = p.a.side.depth;
  if (depth > 0) {
    thread_fetch(p.a, half, has_a, &a);
    thread_fetch(p.b, half, has_b, &b);
  }
  int buffer = 0;
  for (int64_t k = 0; k < depth; k += TILE_DEPTH, buffer ^= 1) {
    thread_put_unit(p.a, a, a_memory, buffer * TILE_SIDE * TILE_PITCH + to);
    thread_put_unit(p.b, b, b_memory, buffer * TILE_SIDE * TILE_PITCH + to);
    ptx_sync_block();
    if (k + TILE_DEPTH < depth) {
      thread_fetch(p.a, k + TILE_DEPTH + half, has_a, &a);
      thread_fetch(p.b, k + TILE_DEPTH + half, has_b, &b);
    }
    warp_multiply(a_memory, b_memory, buffer, &sums);
  }
  warp_store_sums(p, at, sums);
}

#endif
