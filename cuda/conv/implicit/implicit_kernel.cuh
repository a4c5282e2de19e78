/* cuda/conv/implicit/implicit_kernel.cuh: convolutions as products of tiles by mma (product/mma_loop.cuh): gatherers.
 *
 * A block has one tile of one group, phase (implicit_gather.cuh) and part of the depth. Halo, padding, stride and dilation
 * are a matter of addresses; nothing is unfolded. Depth goes over the taps, then over the channels, whose last unit is
 * filled up with zeros. Taps and blocks that run together share what they read in the caches.
 * Not for infinities and NaN that must not meet the zeros of padding: their product is NaN here. */
#ifndef MFQ_CUDA_CONV_IMPLICIT_KERNEL_CUH
#define MFQ_CUDA_CONV_IMPLICIT_KERNEL_CUH

#include "cuda/product/mma_loop.cuh"
#include "implicit_gather.cuh"

/* Which way units lie in shared memory. */
enum implicit_kind {
  IMPLICIT_ALONG,  /* by taps: both along depth */
  IMPLICIT_ACROSS, /* by taps: the direct operand's across it */
  IMPLICIT_PIXELS  /* by pixels: both across it */
};

/* ---- What is read at another tap only: implicit_taps without the phase, the rows' origins ------------------------- */

enum { NOTED_ORIGINS = 12 };

__device__ __forceinline__ void thread_store_taps(mma_notes &notes, const implicit_taps &taps) {
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    notes.store(4 * i, taps.first[i]);
    notes.store(4 * i + 1, taps.step[i]);
    notes.store(4 * i + 2, taps.count[i]);
    notes.store(4 * i + 3, taps.delta[i]);
  }
}

__device__ __forceinline__ implicit_taps thread_load_taps(mma_notes &notes) {
  implicit_taps taps = {};
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    taps.first[i] = notes.load(4 * i);
    taps.step[i] = notes.load(4 * i + 1);
    taps.count[i] = notes.load(4 * i + 2);
    taps.delta[i] = notes.load(4 * i + 3);
  }
  return taps;
}

/* ---- By taps ----------------------------------------------------------------------------------------------------- */

template <int KIND, int COLUMNS> struct implicit_units {
  using params = implicit_params;
  using shape = mma_shape<false, KIND != IMPLICIT_ALONG, COLUMNS>;
  side_row base; /* of the row's image */
  int32_t exists;
  implicit_cursor cursor;
  implicit_column column;
  implicit_met met, tap; /* what the row and the column meet at the cursor's tap */
  tile_pieces pieces;
  int32_t group, tile; /* of columns */

  __device__ __forceinline__ void meet(const implicit_params &p, mma_notes &notes, const implicit_taps &taps) {
    implicit_row row = {base, {}, exists, 0};
#pragma unroll
    for (int i = 0; i < 3; ++i) row.origin[i] = notes.load(NOTED_ORIGINS + i * TILE_ROWS + thread_line());
    met = thread_row_met(p, taps, row, cursor);
    if constexpr (KIND == IMPLICIT_ALONG)
      tap = thread_column_met(p, taps, column, cursor);
    else
      tap = thread_tap_met(p, taps, cursor);
  }

  __device__ __forceinline__ int start(const implicit_params &p, const tile_block &at, tile_rows &rows,
                                       mma_notes &notes) {
    const implicit_product product = block_product(p, at);
    group = product.group;
    tile = at.b;
    const implicit_taps taps = thread_phase_taps(p, product.phase);
    if (threadIdx.x == 0) thread_store_taps(notes, taps);
    const implicit_row row = thread_pixel_row(p, taps, (uint32_t)at.a * TILE_ROWS + (uint32_t)thread_line());
    base = row.base;
    exists = row.exists;
    if (thread_half() == 0) {
      thread_note_row(rows, thread_line(), product.to + row.to, row.exists);
#pragma unroll
      for (int i = 0; i < 3; ++i) notes.store(NOTED_ORIGINS + i * TILE_ROWS + thread_line(), row.origin[i]);
    }
    pieces = block_tile_pieces(p.grid, at, (thread_depth_units(p, taps) + 1) / 2);
    cursor = thread_cursor_at(p, taps, 2 * pieces.first + thread_half());
    if constexpr (KIND == IMPLICIT_ALONG) {
      column = thread_column(p, group, p.first_column + tile * COLUMNS + thread_line());
      column.exists &= thread_line() < COLUMNS;
    }
    return 1;
  }

  __device__ __forceinline__ void enter(const implicit_params &p, mma_notes &notes) {
    meet(p, notes, thread_load_taps(notes));
  }

  __device__ __forceinline__ void fetch(const implicit_params &p, mma_notes &notes, int32_t, unit16 *a, unit16 *b) {
    thread_fetch_gathered(p, met, cursor.unit, group, a);
    if constexpr (KIND == IMPLICIT_ALONG) {
      thread_fetch_along(p, tap, cursor.unit, group, b);
    } else {
      const int32_t unit = thread_line() % 8, column = p.first_column + tile * COLUMNS + unit * UNIT;
      const int32_t there = unit * UNIT < COLUMNS ? column : p.last_column;
      thread_fetch_across(p, tap, group, cursor.unit * UNIT + thread_line() / 8, there, b);
    }
    if (cursor.unit + 2 < (int32_t)p.units.value) {
      cursor.unit += 2;
    } else { /* another tap */
      const implicit_taps taps = thread_load_taps(notes);
      thread_cursor_move(p, taps, 2, &cursor);
      meet(p, notes, taps);
    }
  }
};

/* ---- By pixels --------------------------------------------------------------------------------------------------- */

template <int COLUMNS> struct implicit_units<IMPLICIT_PIXELS, COLUMNS> {
  using params = implicit_params;
  using shape = mma_shape<true, true, COLUMNS>;
  implicit_lines lines;
  tile_pieces pieces;
  int32_t group, column;

  __device__ __forceinline__ int start(const implicit_params &p, const tile_block &at, tile_rows &rows, mma_notes &) {
    const implicit_product product = block_product(p, at);
    const int32_t unit = thread_line() % 8, inside = thread_line() / 8;
    group = product.group;
    lines = thread_lines(p, at.a * ((int)TILE_ROWS / (int)UNIT) + unit);
    column = unit * UNIT < COLUMNS ? p.first_column + at.b * COLUMNS + unit * UNIT : p.last_column;
    pieces = block_tile_pieces(p.grid, at, (p.pixels + MMA_DEPTH - 1) / MMA_DEPTH);
    const int64_t to = product.to + lines.to + inside * p.to_stride[CONV_CHANNELS];
    if (thread_half() == 0) thread_note_row(rows, unit * UNIT + inside, to, inside < lines.count);
    return 1;
  }

  __device__ __forceinline__ void enter(const implicit_params &, mma_notes &) {}

  __device__ __forceinline__ void fetch(const implicit_params &p, mma_notes &, int32_t piece, unit16 *a, unit16 *b) {
    const implicit_pixel pixel = thread_pixel(p, piece * MMA_DEPTH + thread_half() * UNIT + thread_line() / 8);
    thread_fetch_met(p, lines, pixel, group, a);
    thread_fetch_pixel(p, pixel, group, column, b);
  }
};

#endif
