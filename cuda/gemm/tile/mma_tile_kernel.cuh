/* cuda/gemm/tile/mma_tile_kernel.cuh: products of two matrices that bf16 holds, in tiles (product/tile.cuh): gatherers of
 * their rows.
 *
 * For mma units are codes or bf16 along K in whole words, or come one element at a time, and are rounded to bf16; for
 * the matrix instructions of warpgroups both matrices are bf16 in whole units.
 * Not for group scales beyond bf16 where their products must be exact. */
#ifndef MFQ_CUDA_GEMM_MMA_TILE_KERNEL_CUH
#define MFQ_CUDA_GEMM_MMA_TILE_KERNEL_CUH

#include "cuda/product/mma_groups.cuh"
#include "cuda/product/wgmma_loop.cuh"

struct tile_side : unit_way {
  side_params part;
  const uint32_t *flags;
  int32_t slabs; /* of a batch */
};

typedef struct mma_tile_params {
  tile_grid grid; /* products are batches */
  tile_side a, b;
  int32_t is_marked;                    /* only tiles of slabs with a flag */
  int64_t to_batch, to_row;             /* of sums; from where this launch begins */
  int64_t first_batch, first_row, rows; /* of A */
} mma_tile_params;

__device__ __forceinline__ int thread_is_marked(const tile_side &s, int64_t batch, int32_t slab) {
  if (!s.flags) return 0;
  const int64_t set = s.part.batch_rank == 0 ? 0 : batch;
  return ptx_load<uint32_t>(s.flags + set * s.slabs + slab) != 0;
}

/* Row `index` of a batch. */
typedef struct tile_row {
  side_row at;
  int32_t exists;
} tile_row;

__device__ __forceinline__ tile_row thread_tile_row(const tile_side &s, int64_t batch, int64_t index) {
  tile_row row = {{0, 0}, index < s.part.rows};
  if (row.exists) row.at = thread_side_row(s.part, batch, index);
  return row;
}

__device__ __forceinline__ void thread_fetch_row(const tile_side &s, const tile_row &row, int64_t k, unit16 *u) {
  const int64_t left = row.exists ? s.part.depth - k : 0;
  thread_fetch_unit(s, row.at, k, left < UNIT ? (int32_t)left : (int32_t)UNIT, u);
}

/* Notes where row `line` of a tile goes. */
__device__ __forceinline__ void thread_note_sums(const mma_tile_params &p, const tile_block &at, int line,
                                                 tile_rows &rows) {
  const int64_t row = (int64_t)at.a * TILE_ROWS + line;
  thread_note_row(rows, line, at.product * p.to_batch + row * p.to_row, row < p.rows);
}

/* A thread's rows of both matrices, for tiles of COLUMNS columns. */
template <int COLUMNS> struct matrix_rows {
  using shape = mma_shape<false, false, COLUMNS>;
  tile_row a, b;
  tile_pieces pieces;

  __device__ __forceinline__ void place(const mma_tile_params &p, const tile_block &at, tile_rows &rows) {
    const int64_t batch = p.first_batch + at.product, first = p.first_row + (int64_t)at.a * TILE_ROWS;
    a = thread_tile_row(p.a, batch, first + thread_line());
    b = tile_row{{0, 0}, 0};
    if (thread_line() < COLUMNS) b = thread_tile_row(p.b, batch, (int64_t)at.b * COLUMNS + thread_line());
    if (thread_half() == 0) thread_note_sums(p, at, thread_line(), rows);
    pieces = block_tile_pieces(p.grid, at, (int32_t)((p.a.part.depth + MMA_DEPTH - 1) / MMA_DEPTH));
  }

  __device__ __forceinline__ void enter(const mma_tile_params &, mma_notes &) {}

  __device__ __forceinline__ void fetch(const mma_tile_params &p, mma_notes &, int32_t piece, unit16 *of_a,
                                        unit16 *of_b) {
    const int64_t k = (int64_t)piece * MMA_DEPTH + thread_half() * UNIT;
    thread_fetch_row(p.a, a, k, of_a);
    thread_fetch_row(p.b, b, k, of_b);
  }
};

struct matrix_units : matrix_rows<TILE_ROWS> {
  using params = mma_tile_params;

  __device__ __forceinline__ int start(const mma_tile_params &p, const tile_block &at, tile_rows &rows, mma_notes &) {
    const int64_t batch = p.first_batch + at.product, first = p.first_row + (int64_t)at.a * TILE_ROWS;
    if (p.is_marked && !thread_is_marked(p.a, batch, (int32_t)(first / TILE_ROWS)) &&
        !thread_is_marked(p.b, batch, at.b))
      return 0;
    place(p, at, rows);
    return 1;
  }
};

/* Codes without the scales of their groups, which come apart. */
typedef struct mma_groups_params : mma_tile_params {
  side_params scaled[2]; /* the operands with their scales; of one whose values have them, or that has none, group 0 */
  int32_t period;        /* pieces from the beginning of a group of either to the next */
} mma_groups_params;

struct matrix_groups : matrix_rows<64> {
  using params = mma_groups_params;

  __device__ __forceinline__ int start(const mma_groups_params &p, const tile_block &at, tile_rows &rows, mma_notes &) {
    place(p, at, rows);
    return 1;
  }

  __device__ __forceinline__ int begins(const mma_groups_params &p, int32_t piece) const {
    return piece % p.period == 0;
  }

  __device__ __forceinline__ float scale(const mma_groups_params &p, int32_t piece) const {
    const int is_column = thread_half(), exists = is_column ? b.exists : a.exists;
    const side_params &of = p.scaled[is_column];
    if (of.group == 0 || !exists) return 1.0f;
    const side_row at = {0, is_column ? b.at.scale : a.at.scale};
    return thread_side_group_scale(of, thread_side_scale_index(of, at, (int64_t)piece * MMA_DEPTH));
  }

  __device__ __forceinline__ int has_row_scales(const mma_groups_params &p) const { return p.scaled[0].group != 0; }
};

/* Of bf16 in whole units along K. */
template <int COLUMNS> struct matrix_stages {
  using params = mma_tile_params;
  using shape = wgmma_shape<false, false, COLUMNS>;
  static constexpr int ROWS = shape::A_SEGMENTS, ALL = ROWS + shape::B_SEGMENTS;
  const uint8_t *from[ALL]; /* the thread's unit of the first stage of every segment's row */
  int32_t exists[ALL];
  tile_pieces stages;

  __device__ __forceinline__ void start(const mma_tile_params &p, const tile_block &at, tile_rows &rows) {
    const int64_t batch = p.first_batch + at.product;
#pragma unroll
    for (int j = 0; j < ALL; ++j) {
      const int line = (j < ROWS ? j : j - ROWS) * 64 + thread_line_of_segment();
      const tile_side &s = j < ROWS ? p.a : p.b;
      const int64_t first = j < ROWS ? p.first_row + (int64_t)at.a * TILE_ROWS : (int64_t)at.b * COLUMNS;
      const tile_row row = thread_tile_row(s, batch, first + line);
      from[j] = thread_element_at(s.part, row.at.at + thread_place_of_four() * UNIT);
      exists[j] = row.exists;
      if (j < ROWS && thread_place_of_four() == 0) thread_note_sums(p, at, line, rows);
    }
    stages = block_tile_pieces(p.grid, at, (int32_t)((p.a.part.depth + STAGE_DEPTH - 1) / STAGE_DEPTH));
  }

  __device__ __forceinline__ void copy(const mma_tile_params &p, int32_t stage, const stage_target &to) const {
    const int64_t k = (int64_t)stage * STAGE_DEPTH;
    const int is_inside = k + thread_place_of_four() * UNIT < p.a.part.depth;
#pragma unroll
    for (int j = 0; j < ALL; ++j) {
      const int is_there = is_inside && exists[j];
      thread_copy_unit(is_there ? from[j] + k * 2 : p.a.part.plain.data, is_there, to, j);
    }
  }
};

#endif
