/* cuda/gemm/rows/weight_rows_kernel.cuh: at most 64 rows of A times quantized weights, which are read once and as they lie.
 *
 * A warp has 16 or 32 rows of weights, a block eight warps, and a part of K. Four lanes read neighbouring bytes of a
 * row, several chunks ahead; a lane's 16 codes are the operand of four matrix instructions m16n8k16 whose 16 columns of
 * K are 4 codes of each of four lanes. Any order of K will do as long as A has the same: the block keeps a slab of A as
 * bf16 in shared memory in just that order, and every read of it is 16 bytes a lane without conflicts. Weights become
 * bf16 by shift and mask, and one packed multiplication, which carries a power-of-two scale (prim/widen.cuh); scales
 * that bf16 cannot hold together with an element multiply the f32 sum of their group (IS_PARTIAL). The parts of K are
 * added in order by a second kernel.
 *
 * Bytes a weight: the code and its share of a scale, 0.53 for 4 bits and groups of 32. Instructions a lane and weight at
 * M <= 8, counted in the machine code for sm_90a: 4.1 for 4 bits (2.9 of them to widen), 5.0 for 6; each further 8 rows
 * of A add 1/8 of a matrix instruction and 1/16 of a load of shared memory. At 4.3 TB/s on 132 multiprocessors of 1.98
 * GHz reading alone takes as long as 4.1 instructions for 4 bits, 6.3 for 6 and 8.0 for 8 (derived; not measured).
 * Not for rows of codes that start inside the unit of a load, or groups that are not 16 * 2^k (partial: 64 * 2^k). */
#ifndef MFQ_CUDA_GEMM_WEIGHT_ROWS_KERNEL_CUH
#define MFQ_CUDA_GEMM_WEIGHT_ROWS_KERNEL_CUH

#include "cuda/prim/mma.cuh"
#include "cuda/prim/widen.cuh"
#include "cuda/product/side.cuh"

enum {
  WEIGHT_THREADS = 256, /* eight warps, each with weight rows of its own */
  WEIGHT_MAX_ROWS = 64, /* of A: beyond, widening the weights once for all pays */
  WEIGHT_MAX_SPLIT = 32,
  WEIGHT_MAX_DEPTH = 1 << 30 /* of K: places along it are 32 bits */
};

/* BITS of a code; COLS: eights of A's rows; IS_PARTIAL: group scales multiply sums of groups, not elements. */
template <int BITS, int COLS, bool PARTIAL> struct weight_shape {
  static constexpr int EIGHTS = COLS;
  static constexpr bool IS_PARTIAL = PARTIAL;
  /* At once on a multiprocessor, at least: 128 registers for 2. The one that is left out would spill a register. */
  static constexpr int BLOCKS = COLS <= 4 && !(BITS == 8 && COLS == 4 && PARTIAL) ? 2 : 1;
  /* Sixteens of codes that a lane loads at once from a row; four lanes share a row: 64 neighbouring bytes of 4 bits. */
  static constexpr int UNITS = IS_PARTIAL || BITS == 8 ? 1 : 2;
  static constexpr int TILES = COLS <= 4 || PARTIAL ? 1 : 2; /* of 16 rows a warp has: they share what it reads of A */
  static constexpr int STAGES = COLS == 1 && BITS != 6 ? 4 : 2;         /* loads under way: 64 ... 128 bytes a lane */
  static constexpr int CHUNK = 64 * UNITS;                              /* of K: what four lanes load at once */
  static constexpr int SLAB = COLS == 1 ? 2048 : COLS == 4 ? 512 : 256; /* of K: A in shared memory, 32 KiB */
  static constexpr int WORDS = UNITS * BITS / 2;                        /* of a lane's load */
  static constexpr int LOAD = WORDS % 4 == 0 ? 16 : WORDS % 2 == 0 ? 8 : 4; /* bytes of one access */
  static constexpr int ROWS = WEIGHT_THREADS / 32 * 16 * TILES;             /* of weights, of a block */
};

typedef struct weight_rows_params {
  widen_format format;
  mfqn_scheme scheme;
  scale_slots slots;
  const uint8_t *codes;
  int64_t batch_bytes, row_bytes; /* of codes, from one to the next */
  int32_t code_bytes;             /* of a row, a multiple of the unit of a load */
  int32_t k;
  int64_t n;
  int64_t scale_batch, scale_row;   /* indices; along K they are neighbours */
  int32_t scale_bytes, four_scales; /* bytes from a group to the next, and from four to the next four */
  divisor64 scale_rows;             /* rows that share scales */
  int32_t group_log2;               /* along K; 30: all share one */
  int32_t group_mask;               /* 2^group_log2 - 1 */
  int32_t has_scales;               /* of groups */
  int32_t fresh_mask;               /* a unit whose number in its load has none of these bits has a new scale */
  const uint8_t *a;                 /* bf16, rows of a multiple of 16 elements */
  int64_t a_batch_bytes, a_row_bytes;
  int32_t a_depth, m;
  int32_t blocks, splits; /* blocks beside each other along N; parts of K */
  int32_t part;           /* of K, a multiple of the slab */
  float *to;              /* [split][batch][m][n] */
  int64_t batches;
} weight_rows_params;

typedef struct weight_place {
  int64_t batch, first_row;
  const uint8_t *codes; /* of the first row */
  int32_t split, first_k, chunks;
} weight_place;

/* One lane's load of one row. */
template <class Shape> struct weight_run {
  uint32_t word[Shape::WORDS];
  uint32_t stored[Shape::UNITS];
};

/* A row of weights as one lane sees it. */
typedef struct weight_row {
  int32_t code;              /* byte of its first code, from the block's first row on */
  int32_t scale, zero_point; /* byte of its first scale; index of its first zero point */
} weight_row;

template <class Shape, int COLS> struct weight_sums { mma_d d[Shape::TILES][COLS]; };

template <class Shape> struct weight_lane {
  weight_row row[2 * Shape::TILES]; /* g and g + 8 of each 16 */
  weight_run<Shape> run[Shape::STAGES][2 * Shape::TILES];
  weight_sums<Shape, Shape::EIGHTS> sums, group; /* of all groups before; of this one, where scales multiply sums */
};

template <class Shape> __device__ __forceinline__ weight_place block_weight_place(const weight_rows_params &p) {
  weight_place at;
  uint32_t index = blockIdx.x;
  at.first_row = (int64_t)(index % (uint32_t)p.blocks) * Shape::ROWS;
  index /= (uint32_t)p.blocks;
  at.split = (int32_t)(index % (uint32_t)p.splits);
  at.batch = index / (uint32_t)p.splits;
  at.codes = p.codes + at.batch * p.batch_bytes + at.first_row * p.row_bytes;
  at.first_k = at.split * p.part;
  const int32_t depth = mfqn_min(p.k - at.first_k, p.part);
  at.chunks = (depth + Shape::CHUNK - 1) / Shape::CHUNK;
  return at;
}

__device__ __forceinline__ weight_row thread_weight_row(const weight_rows_params &p, const weight_place &at,
                                                        int64_t row) {
  if (row >= p.n) row = p.n - 1; /* its sums are not stored */
  weight_row r;
  r.code = (int32_t)(row - at.first_row) * (int32_t)p.row_bytes;
  const int64_t index = at.batch * p.scale_batch + thread_divide(row, p.scale_rows) * p.scale_row;
  r.scale = (int32_t)thread_slot_place(p.slots, index) * p.slots.bytes;
  r.zero_point = (int32_t)index;
  return r;
}

/* --- scales --- */

/* Bytes from a row's first scale to its scale `group`; in the 128x4 order four lie side by side in a tile. */
__device__ __forceinline__ int32_t thread_scale_offset(const weight_rows_params &p, int32_t group) {
  return (group >> 2) * p.four_scales + (group & 3) * p.scale_bytes;
}

/* Of elements scales are one byte; of sums any. */
template <class Shape>
__device__ __forceinline__ uint32_t thread_load_scale(const weight_rows_params &p, const uint8_t *from) {
  if (!Shape::IS_PARTIAL || p.slots.bytes == 1) return ptx_load<uint8_t>(from);
  return p.slots.bytes == 4 ? ptx_load<uint32_t>(from) : ptx_load<uint16_t>(from);
}

/* Of a lane's rows, from `k` on. */
template <class Shape>
__device__ __forceinline__ void thread_load_scales(const weight_rows_params &p, const weight_row *rows, int32_t k,
                                                   weight_run<Shape> *runs) {
#pragma unroll
  for (int u = 0; u < Shape::UNITS; ++u) {
    const int32_t at = k + 16 * u, offset = thread_scale_offset(p, at >> p.group_log2);
#pragma unroll
    for (int r = 0; r < 2 * Shape::TILES; ++r) {
      if (u & p.fresh_mask) continue;
      runs[r].stored[u] = at < p.k ? thread_load_scale<Shape>(p, p.slots.scales + (rows[r].scale + offset)) : 0u;
    }
  }
}

/* --- weights --- */

/* The codes behind the last element become 0: what pads a row may be no number. */
template <int BITS, class Shape>
__device__ __forceinline__ void thread_clear_tail(const weight_rows_params &p, int32_t k, weight_run<Shape> *run) {
  const int32_t codes = mfqn_clamp(p.k - k, 0, 16 * Shape::UNITS);
#pragma unroll
  for (int i = 0; i < Shape::WORDS; ++i) {
    const int32_t kept = mfqn_clamp(codes * BITS - 32 * i, 0, 32);
    if (kept < 32) run->word[i] &= (1u << kept) - 1u;
  }
}

template <int BITS, class Shape>
__device__ __forceinline__ void thread_load_run(const weight_rows_params &p, const uint8_t *codes, int32_t k,
                                                weight_run<Shape> *run) {
  constexpr int bytes = Shape::WORDS * 4, step = Shape::LOAD / 4;
  const int32_t first = k / (16 * Shape::UNITS) * bytes;
#pragma unroll
  for (int i = 0; i < Shape::WORDS; i += step) {
    uint4 v = make_uint4(0, 0, 0, 0);
    if (first + 4 * i < p.code_bytes) {
      if constexpr (step == 4) {
        v = ptx_load<uint4>(codes + first + 4 * i);
      } else if constexpr (step == 2) {
        const uint2 two = ptx_load<uint2>(codes + first + 4 * i);
        v.x = two.x;
        v.y = two.y;
      } else {
        v.x = ptx_load<uint32_t>(codes + first + 4 * i);
      }
    }
    const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int j = 0; j < step; ++j) run->word[i + j] = words[j];
  }
  if (k + 16 * Shape::UNITS > p.k) thread_clear_tail<BITS>(p, k, run);
}

/* 16 codes of a load. */
typedef struct weight_unit {
  int32_t k; /* of the first one */
  int u;     /* their number in the load */
} weight_unit;

/* A unit of each of a lane's rows, as bf16. */
template <int BITS, class Shape>
__device__ __forceinline__ void thread_weights(const weight_rows_params &p, const weight_row *rows,
                                               const weight_run<Shape> *runs, const weight_unit &at,
                                               widen_scale *scales, widen16 *w) {
  constexpr int ROWS = 2 * Shape::TILES;
#pragma unroll
  for (int r = 0; r < ROWS; ++r) w[r] = thread_pairs_apart<BITS>(runs[r].word + at.u * (BITS / 2));
  if (!(at.u & p.fresh_mask)) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r)
      scales[r] = thread_widen_scale(p.format, Shape::IS_PARTIAL ? 127u : runs[r].stored[at.u]);
  }
  if (WIDEN_INTEGERS<BITS> && p.format.has_zero_point && at.k < p.k) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      const int32_t index = rows[r].zero_point + (at.k >> p.group_log2);
      thread_widen_zero_point(&scales[r], thread_zero_point_load(p.slots, p.scheme, index));
    }
  }
  thread_widen<BITS, ROWS>(p.format, scales, w);
}

/* --- A --- */

typedef block_array<uint32_t, 32 * 1024 / 4> weight_memory;

/* Where the 16 bytes of a half of a unit are, for one row of A, in words: lanes g, t of a warp read 32 neighbours. */
template <class Shape, int COLS> __device__ __forceinline__ int thread_a_place(int unit, int half, int row) {
  const int lane = unit / Shape::UNITS % 4, chunk = unit / (4 * Shape::UNITS), u = unit % Shape::UNITS;
  return (((chunk * Shape::UNITS + u) * 2 + half) * (8 * COLS) + row) * 16 + lane * 4;
}

/* 16 elements of A in the order of the codes that they meet. */
template <int BITS> __device__ __forceinline__ widen16 thread_reorder(const uint32_t *word) {
  widen16 t;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int first = thread_first_of_pair<BITS>(i), second = first + PAIR_DISTANCE<BITS>;
    t.word[i] = ptx_permute(word[first / 2], word[second / 2], first % 2 ? 0x7632u : 0x5410u);
  }
  return t;
}

/* Brings the slab of A from `first_k` on; zeros behind its end, and in rows that pad it. */
template <int BITS, class Shape, int COLS>
__device__ __forceinline__ void block_load_slab(const weight_rows_params &p, const weight_place &at, int32_t first_k,
                                                weight_memory &memory) {
  constexpr int units = Shape::SLAB / 16;
#pragma unroll 1
  for (int i = (int)threadIdx.x; i < units * 8 * COLS; i += WEIGHT_THREADS) {
    const int unit = i % units, row = i / units;
    const int32_t k = first_k + 16 * unit;
    uint4 low = make_uint4(0, 0, 0, 0), high = low;
    if (row < p.m && k < p.a_depth) {
      const uint8_t *from = p.a + at.batch * p.a_batch_bytes + row * p.a_row_bytes + (int64_t)2 * k;
      low = ptx_load<uint4>(from);
      high = ptx_load<uint4>(from + 16);
    }
    const uint32_t word[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    const widen16 t = thread_reorder<BITS>(word);
    memory.store_as<uint4>(thread_a_place<Shape, COLS>(unit, 0, row),
                           make_uint4(t.word[0], t.word[1], t.word[2], t.word[3]));
    memory.store_as<uint4>(thread_a_place<Shape, COLS>(unit, 1, row),
                           make_uint4(t.word[4], t.word[5], t.word[6], t.word[7]));
  }
}

/* --- products --- */

/* A unit of every row of the warp, which `w` has (rows g and g + 8 of tile i at 2i and 2i + 1), times A. */
template <class Shape, int COLS>
__device__ __forceinline__ void warp_multiply_unit(const widen16 *w, weight_memory &memory, int unit,
                                                   weight_sums<Shape, COLS> *sums) {
  const int g = (int)threadIdx.x % 32 / 4;
#pragma unroll
  for (int j = 0; j < COLS; ++j) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 b = memory.load_as<uint4>(thread_a_place<Shape, COLS>(unit, half, 8 * j + g));
#pragma unroll
      for (int i = 0; i < Shape::TILES; ++i) {
        const uint32_t *upper = w[2 * i].word + 4 * half, *lower = w[2 * i + 1].word + 4 * half;
        mma_d *d = &sums->d[i][j];
        *d = ptx_mma_bf16(mma_a{{upper[0], lower[0], upper[1], lower[1]}}, mma_b{{b.x, b.y}}, *d);
        *d = ptx_mma_bf16(mma_a{{upper[2], lower[2], upper[3], lower[3]}}, mma_b{{b.z, b.w}}, *d);
      }
    }
  }
}

/* The loads of chunk `chunk` of the part. */
template <int BITS, class Shape>
__device__ __forceinline__ void thread_load_chunk(const weight_rows_params &p, const weight_place &at, int32_t chunk,
                                                  const weight_row *rows, weight_run<Shape> *runs) {
  if (chunk >= at.chunks) return;
  const int32_t first = at.first_k + chunk * Shape::CHUNK, k = first + (int)threadIdx.x % 4 * (16 * Shape::UNITS);
#pragma unroll
  for (int r = 0; r < 2 * Shape::TILES; ++r) thread_load_run<BITS, Shape>(p, at.codes + rows[r].code, k, &runs[r]);
  if (Shape::IS_PARTIAL) return; /* they are wanted after the chunk only */
  if (p.has_scales) {
    thread_load_scales<Shape>(p, rows, k, runs);
    return;
  }
#pragma unroll
  for (int i = 0; i < Shape::UNITS * 2 * Shape::TILES; ++i) runs[i / Shape::UNITS].stored[i % Shape::UNITS] = 127;
}

/* One chunk, whose first code is at `k` for this lane; its place in the slab is `unit`. */
template <int BITS, class Shape, int COLS>
__device__ __forceinline__ void warp_multiply_chunk(const weight_rows_params &p, const weight_row *rows,
                                                    const weight_run<Shape> *runs, const weight_unit &first,
                                                    weight_memory &memory, weight_sums<Shape, COLS> *sums) {
  widen_scale scales[2 * Shape::TILES];
#pragma unroll
  for (int u = 0; u < Shape::UNITS; ++u) {
    widen16 w[2 * Shape::TILES];
    thread_weights<BITS, Shape>(p, rows, runs, weight_unit{first.k + 16 * u, u}, scales, w);
    warp_multiply_unit<Shape, COLS>(w, memory, first.u + u, sums);
  }
}

template <class Shape, int COLS> __device__ __forceinline__ void thread_clear_sums(weight_sums<Shape, COLS> *sums) {
#pragma unroll
  for (int i = 0; i < Shape::TILES; ++i) {
#pragma unroll
    for (int j = 0; j < COLS; ++j) sums->d[i][j] = mma_d{{0.0f, 0.0f, 0.0f, 0.0f}};
  }
}

/* Adds the sums of a group, times the scales of its rows, and begins anew. */
template <class Shape, int COLS>
__device__ __forceinline__ void thread_add_group(const weight_rows_params &p, const weight_run<Shape> *runs,
                                                 weight_sums<Shape, COLS> *group, weight_sums<Shape, COLS> *sums) {
#pragma unroll
  for (int i = 0; i < Shape::TILES; ++i) {
    const float upper = mfqn_group_load(&p.scheme, runs[2 * i].stored[0], 1.0f).scale;
    const float lower = mfqn_group_load(&p.scheme, runs[2 * i + 1].stored[0], 1.0f).scale;
#pragma unroll
    for (int j = 0; j < COLS; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        float *sum = &sums->d[i][j].sum[e];
        *sum = mfqn_add(*sum, mfqn_mul(group->d[i][j].sum[e], e < 2 ? upper : lower));
      }
    }
  }
  thread_clear_sums<Shape, COLS>(group);
}

template <class Shape, int COLS>
__device__ __forceinline__ void warp_store_part(const weight_rows_params &p, const weight_place &at,
                                                const weight_sums<Shape, COLS> &sums) {
  const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
  float *to = p.to + (at.split * p.batches + at.batch) * (p.m * p.n);
  const int64_t row = at.first_row + warp * (16 * Shape::TILES) + lane / 4;
#pragma unroll
  for (int i = 0; i < Shape::TILES; ++i) {
#pragma unroll
    for (int j = 0; j < COLS; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int64_t n = row + 16 * i + e / 2 * 8;
        const int m = 8 * j + lane % 4 * 2 + e % 2;
        if (n < p.n && m < p.m) ptx_store<uint32_t>(to + m * p.n + n, mfqn_bits(sums.d[i][j].sum[e]));
      }
    }
  }
}

/* All chunks of a slab that is in shared memory; `lane.run` holds the first ones, and then those that follow. */
template <int BITS, class Shape, int COLS>
__device__ __forceinline__ void warp_multiply_slab(const weight_rows_params &p, const weight_place &at, int32_t slab,
                                                   weight_lane<Shape> *lane, weight_memory &memory) {
  constexpr int chunks = Shape::SLAB / Shape::CHUNK;
  const int t = (int)threadIdx.x % 4;
#pragma unroll 1
  for (int c = 0; c < chunks; c += Shape::STAGES) {
#pragma unroll
    for (int s = 0; s < Shape::STAGES; ++s) {
      const int32_t chunk = slab * chunks + c + s, k = at.first_k + chunk * Shape::CHUNK;
      if (chunk >= at.chunks) return;
      const weight_unit first = {k + t * (16 * Shape::UNITS), ((c + s) * 4 + t) * Shape::UNITS};
      weight_run<Shape> *runs = lane->run[s];
      if constexpr (Shape::IS_PARTIAL) {
        thread_load_scales<Shape>(p, lane->row, k, runs);
        warp_multiply_chunk<BITS, Shape, COLS>(p, lane->row, runs, first, memory, &lane->group);
        const int is_end = chunk + 1 == at.chunks || ((k + Shape::CHUNK) & p.group_mask) == 0;
        if (is_end) thread_add_group<Shape, COLS>(p, runs, &lane->group, &lane->sums);
      } else {
        warp_multiply_chunk<BITS, Shape, COLS>(p, lane->row, runs, first, memory, &lane->sums);
      }
      thread_load_chunk<BITS, Shape>(p, at, chunk + Shape::STAGES, lane->row, runs);
    }
  }
}

template <int BITS, int COLS, bool IS_PARTIAL>
__global__ void __launch_bounds__(WEIGHT_THREADS, weight_shape<BITS, COLS, IS_PARTIAL>::BLOCKS)
    weight_rows_kernel(const __grid_constant__ weight_rows_params p) {
  using Shape = weight_shape<BITS, COLS, IS_PARTIAL>;
  __shared__ weight_memory memory;
  const weight_place at = block_weight_place<Shape>(p);
  weight_lane<Shape> lane;
  const int first = (int)threadIdx.x / 32 * (16 * Shape::TILES) + (int)threadIdx.x % 32 / 4;
#pragma unroll
  for (int r = 0; r < 2 * Shape::TILES; ++r) lane.row[r] = thread_weight_row(p, at, at.first_row + first + 8 * r);
  thread_clear_sums<Shape, COLS>(&lane.sums);
  thread_clear_sums<Shape, COLS>(&lane.group);
#pragma unroll
  for (int s = 0; s < Shape::STAGES; ++s) thread_load_chunk<BITS, Shape>(p, at, s, lane.row, lane.run[s]);
  for (int32_t slab = 0; slab * (Shape::SLAB / Shape::CHUNK) < at.chunks; ++slab) {
    ptx_sync_block(); /* the slab before has been read */
    block_load_slab<BITS, Shape, COLS>(p, at, at.first_k + slab * Shape::SLAB, memory);
    ptx_sync_block();
    warp_multiply_slab<BITS, Shape, COLS>(p, at, slab, &lane, memory);
  }
  warp_store_part<Shape, COLS>(p, at, lane.sums);
}

/* ---- A as bf16 --------------------------------------------------------------------------------------------------- */

typedef struct narrow_params {
  side_params side;
  uint8_t *to;           /* bf16, [batch][rows][pairs * 2] */
  int64_t items;         /* pairs of all rows of all batches */
  divisor64 pairs, rows; /* pairs of a row, zeros behind its end */
} narrow_params;

/* A thread has two elements: times group scales, rounded to bf16 where it does not hold them. */
__global__ void narrow_side_kernel(const __grid_constant__ narrow_params p) {
  const int64_t item = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (item >= p.items) return;
  const int64_t line = thread_divide(item, p.pairs), batch = thread_divide(line, p.rows);
  const int64_t k = 2 * (item - line * (int64_t)p.pairs.value);
  const side_row row = thread_side_row(p.side, batch, line - batch * (int64_t)p.rows.value);
  uint32_t both = 0;
#pragma unroll 1
  for (int i = 0; i < 2; ++i)
    if (k + i < p.side.depth) both |= mfqn_bf16_limited(thread_side_value(p.side, row, k + i)) << 16 * i;
  ptx_store<uint32_t>(p.to + 4 * item, both);
}

#endif
