/* cuda/product/implicit_kernel.cuh: convolutions as products of tiles, 128 rows by 128 or 64 columns, by mma.
 *
 * A block has one tile of one group, phase (implicit_gather.cuh) and part of the depth. Of every 32 elements of depth each
 * of its 256 threads brings a unit of the gathered and one of the direct operand: loaded while the matrix instructions
 * multiply what came before, then widened to bf16 on the way into the other half of shared memory. Halo, padding, stride
 * and dilation are a matter of addresses; nothing is unfolded. Depth goes over the taps, then over the channels, whose
 * last unit is filled up with zeros. Bytes read per tile and 32 of depth: the packed codes (or bf16) and scales of 128
 * rows and as many columns; taps and blocks that run together share them in the caches.
 * Not for infinities and NaN that must not meet the zeros of padding: their product is NaN here. */
#ifndef MFQ_CUDA_CONV_IMPLICIT_KERNEL_CUH
#define MFQ_CUDA_CONV_IMPLICIT_KERNEL_CUH

#include "cuda/prim/mma.cuh"
#include "implicit_gather.cuh"
#include "implicit_tuning.h"

/* Which way units lie in shared memory. */
enum implicit_kind {
  IMPLICIT_ALONG,  /* by taps: both along depth */
  IMPLICIT_ACROSS, /* by taps: the direct operand's across it */
  IMPLICIT_PIXELS  /* by pixels: both across it */
};

template <int KIND_, int COLUMNS_> struct implicit_shape {
  static constexpr int KIND = KIND_, COLUMNS = COLUMNS_;
  static constexpr bool IS_A_WIDE = KIND == IMPLICIT_PIXELS, IS_B_WIDE = KIND != IMPLICIT_ALONG;
  static constexpr int WARPS_ACROSS = COLUMNS / IMPLICIT_WARP_COLUMNS;
  static constexpr int WARP_ROWS = IMPLICIT_ROWS * WARPS_ACROSS / (IMPLICIT_THREADS / 32);
  static constexpr int BLOCKS = COLUMNS == 64 ? 2 : 1; /* on a multiprocessor: what registers allow */
  static constexpr int TALL = WARP_ROWS / 16, WIDE = IMPLICIT_WARP_COLUMNS / 8; /* tiles of mma */
};

typedef block_array<uint16_t, 2 * IMPLICIT_BUFFER> implicit_memory; /* two buffers */
typedef block_array<uint2, IMPLICIT_ROWS> implicit_places;          /* where the result's rows are */
enum : uint32_t { IMPLICIT_NOWHERE = 0x80000000u };                 /* as the high word: there is no such row */

/* What is read at another tap only, and not worth registers: implicit_taps without the phase, the rows' origins. */
typedef block_array<int32_t, 12> implicit_tap_words;
typedef block_array<int32_t, 3 * IMPLICIT_ROWS> implicit_origins;

/* What the threads of a block share beside the operands. */
struct implicit_table {
  implicit_places &places;
  implicit_tap_words &taps;
  implicit_origins &origins;
};

typedef struct implicit_place {
  int32_t group, phase, part;
  int32_t a, b; /* tiles */
} implicit_place;

/* Blocks walk down IMPLICIT_BAND tiles of rows, then to the next tile of columns. */
__device__ __forceinline__ implicit_place block_implicit_place(const implicit_params &p) {
  implicit_place at;
  const int32_t each = p.tiles_a * p.tiles_b, outer = (int32_t)blockIdx.x / each;
  const int32_t index = (int32_t)blockIdx.x - outer * each;
  const int32_t of_band = IMPLICIT_BAND * p.tiles_b, band = index / of_band;
  const int32_t height = mfqn_min(p.tiles_a - band * IMPLICIT_BAND, IMPLICIT_BAND), inside = index - band * of_band;
  at.b = inside / height;
  at.a = band * IMPLICIT_BAND + (inside - at.b * height);
  at.part = outer % p.parts;
  at.phase = outer / p.parts % p.phases;
  at.group = p.first_group + outer / p.parts / p.phases;
  return at;
}

/* ---- Which units a thread brings --------------------------------------------------------------------------------- */

/* A thread has half threadIdx.x / 128 of a piece of depth. In it a row (column) of its own, or, of units across depth,
 * unit threadIdx.x % 8 of one of the 16. */
__device__ __forceinline__ int thread_half() { return (int)threadIdx.x / IMPLICIT_ROWS; }
__device__ __forceinline__ int thread_line() { return (int)threadIdx.x % IMPLICIT_ROWS; }

__device__ __forceinline__ void thread_note_place(implicit_places &places, int row, int64_t to, int exists) {
  const uint64_t word = (uint64_t)to;
  places.store(row, make_uint2((uint32_t)word, exists ? (uint32_t)(word >> 32) : (uint32_t)IMPLICIT_NOWHERE));
}

__device__ __forceinline__ void thread_store_taps(implicit_table &table, const implicit_taps &taps) {
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    table.taps.store(4 * i, taps.first[i]);
    table.taps.store(4 * i + 1, taps.step[i]);
    table.taps.store(4 * i + 2, taps.count[i]);
    table.taps.store(4 * i + 3, taps.delta[i]);
  }
}

__device__ __forceinline__ implicit_taps thread_load_taps(implicit_table &table) {
  implicit_taps taps = {};
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    taps.first[i] = table.taps.load(4 * i);
    taps.step[i] = table.taps.load(4 * i + 1);
    taps.count[i] = table.taps.load(4 * i + 2);
    taps.delta[i] = table.taps.load(4 * i + 3);
  }
  return taps;
}

/* Pieces of depth of a part: `first` ... `end` - 1. */
typedef struct implicit_pieces {
  int32_t first, end;
} implicit_pieces;

__device__ __forceinline__ implicit_pieces block_pieces(const implicit_params &p, int32_t part, int32_t units) {
  const int32_t all = (units + 1) / 2, each = (all + p.parts - 1) / p.parts;
  return implicit_pieces{mfqn_min(part * each, all), mfqn_min((part + 1) * each, all)};
}

/* Where a thread is by taps, */
template <class Shape> struct implicit_walk {
  side_row base; /* of the row's image */
  int32_t exists;
  implicit_cursor cursor;
  implicit_column column;
  implicit_met met, tap; /* what the row and the column meet at the cursor's tap */
  implicit_pieces pieces;
  int32_t group, first_column;
};

template <class Shape>
__device__ __forceinline__ void thread_walk_meet(const implicit_params &p, implicit_table &table,
                                                 const implicit_taps &taps, implicit_walk<Shape> *w) {
  implicit_row row = {w->base, {}, w->exists, 0};
#pragma unroll
  for (int i = 0; i < 3; ++i) row.origin[i] = table.origins.load(i * IMPLICIT_ROWS + thread_line());
  w->met = thread_row_met(p, taps, row, w->cursor);
  if constexpr (Shape::KIND == IMPLICIT_ALONG)
    w->tap = thread_column_met(p, taps, w->column, w->cursor);
  else
    w->tap = thread_tap_met(p, taps, w->cursor);
}

template <class Shape>
__device__ __forceinline__ void thread_walk_start(const implicit_params &p, const implicit_place &at,
                                                  implicit_table &table, implicit_walk<Shape> *w) {
  w->group = at.group;
  w->first_column = p.first_column + at.b * Shape::COLUMNS;
  const implicit_taps taps = thread_phase_taps(p, at.phase);
  if (threadIdx.x == 0) thread_store_taps(table, taps);
  const implicit_row row = thread_pixel_row(p, taps, (uint32_t)at.a * IMPLICIT_ROWS + (uint32_t)thread_line());
  w->base = row.base;
  w->exists = row.exists;
  if (thread_half() == 0) {
    thread_note_place(table.places, thread_line(), row.to, row.exists);
#pragma unroll
    for (int i = 0; i < 3; ++i) table.origins.store(i * IMPLICIT_ROWS + thread_line(), row.origin[i]);
  }
  w->pieces = block_pieces(p, at.part, thread_depth_units(p, taps));
  w->cursor = thread_cursor_at(p, taps, 2 * w->pieces.first + thread_half());
  if constexpr (Shape::KIND == IMPLICIT_ALONG) {
    w->column = thread_column(p, at.group, w->first_column + thread_line());
    w->column.exists &= thread_line() < Shape::COLUMNS;
  }
}

/* Once the block's table is there. */
template <class Shape>
__device__ __forceinline__ void thread_walk_enter(const implicit_params &p, implicit_table &table,
                                                  implicit_walk<Shape> *w) {
  thread_walk_meet(p, table, thread_load_taps(table), w);
}

template <class Shape>
__device__ __forceinline__ void thread_walk_fetch(const implicit_params &p, implicit_table &table, int32_t,
                                                  implicit_walk<Shape> *w, implicit_unit *a, implicit_unit *b) {
  thread_fetch_gathered(p, w->met, w->cursor.unit, w->group, a);
  if constexpr (Shape::KIND == IMPLICIT_ALONG) {
    thread_fetch_along(p, w->tap, w->cursor.unit, w->group, b);
  } else {
    const int32_t unit = thread_line() % 8, column = w->first_column + unit * IMPLICIT_UNIT;
    const int32_t there = unit * IMPLICIT_UNIT < Shape::COLUMNS ? column : p.last_column;
    thread_fetch_across(p, w->tap, w->group, w->cursor.unit * IMPLICIT_UNIT + thread_line() / 8, there, b);
  }
  if (w->cursor.unit + 2 < (int32_t)p.units.value) {
    w->cursor.unit += 2;
  } else { /* another tap */
    const implicit_taps taps = thread_load_taps(table);
    thread_cursor_move(p, taps, 2, &w->cursor);
    thread_walk_meet(p, table, taps, w);
  }
}

/* and by pixels. */
template <int COLUMNS> struct implicit_walk<implicit_shape<IMPLICIT_PIXELS, COLUMNS>> {
  implicit_lines lines;
  implicit_pieces pieces;
  int32_t group, column;
};

template <int COLUMNS>
__device__ __forceinline__ void thread_walk_start(const implicit_params &p, const implicit_place &at,
                                                  implicit_table &table,
                                                  implicit_walk<implicit_shape<IMPLICIT_PIXELS, COLUMNS>> *w) {
  const int32_t unit = thread_line() % 8;
  w->group = at.group;
  w->lines = thread_lines(p, at.a * ((int)IMPLICIT_ROWS / (int)IMPLICIT_UNIT) + unit);
  const int32_t column = p.first_column + at.b * COLUMNS + unit * IMPLICIT_UNIT;
  w->column = unit * IMPLICIT_UNIT < COLUMNS ? column : p.last_column;
  w->pieces = block_pieces(p, at.part, (p.pixels + IMPLICIT_UNIT - 1) / IMPLICIT_UNIT);
  if (thread_half() != 0) return;
  const int32_t inside = thread_line() / 8;
  const int64_t to = w->lines.to + inside * p.to_stride[CONV_CHANNELS];
  thread_note_place(table.places, unit * IMPLICIT_UNIT + inside, to, inside < w->lines.count);
}

template <int COLUMNS>
__device__ __forceinline__ void thread_walk_enter(const implicit_params &, implicit_table &,
                                                  implicit_walk<implicit_shape<IMPLICIT_PIXELS, COLUMNS>> *) {}

template <int COLUMNS>
__device__ __forceinline__ void thread_walk_fetch(const implicit_params &p, implicit_table &, int32_t piece,
                                                  implicit_walk<implicit_shape<IMPLICIT_PIXELS, COLUMNS>> *w,
                                                  implicit_unit *a, implicit_unit *b) {
  const int32_t inside = thread_half() * IMPLICIT_UNIT + thread_line() / 8;
  const implicit_pixel pixel = thread_pixel(p, piece * IMPLICIT_DEPTH + inside);
  thread_fetch_met(p, w->lines, pixel, w->group, a);
  thread_fetch_pixel(p, pixel, w->group, w->column, b);
}

/* ---- Shared memory and matrix instructions ----------------------------------------------------------------------- */

/* Writes a thread's unit into a buffer. */
template <bool IS_WIDE>
__device__ __forceinline__ void thread_put_unit(const implicit_side &s, const implicit_unit &u, implicit_memory &memory,
                                                int buffer) {
  const int half = thread_half() * IMPLICIT_UNIT, line = thread_line();
  const int to =
      IS_WIDE ? (half + line / 8) * IMPLICIT_WIDE_PITCH + line % 8 * IMPLICIT_UNIT : line * IMPLICIT_PITCH + half;
  const widen16 t = thread_unit_words(s, u);
  memory.store_as<uint4>(buffer * IMPLICIT_BUFFER + to, make_uint4(t.word[0], t.word[1], t.word[2], t.word[3]));
  memory.store_as<uint4>(buffer * IMPLICIT_BUFFER + to + 8, make_uint4(t.word[4], t.word[5], t.word[6], t.word[7]));
}

template <class Shape> struct implicit_sums { mma_d d[Shape::TALL][Shape::WIDE]; };

/* Rows `row` ... `row` + 15 and depth `k` ... `k` + 15 of a buffer as fragment A. */
template <bool IS_WIDE>
__device__ __forceinline__ mma_a warp_load_a(implicit_memory &memory, int buffer, int row, int k) {
  const int lane = (int)threadIdx.x % 32, first = buffer * IMPLICIT_BUFFER;
  if constexpr (IS_WIDE)
    return ptx_load_matrices<true>(memory, first + (k + lane / 16 * 8 + lane % 8) * IMPLICIT_WIDE_PITCH + row +
                                               lane / 8 % 2 * 8);
  else
    return ptx_load_matrices<false>(memory, first + (row + lane % 16) * IMPLICIT_PITCH + k + lane / 16 * 8);
}

/* Columns `column` ... `column` + 15 of it as two fragments B, the first in words 0 and 1. */
template <bool IS_WIDE>
__device__ __forceinline__ mma_a warp_load_b(implicit_memory &memory, int buffer, int column, int k) {
  const int lane = (int)threadIdx.x % 32, first = buffer * IMPLICIT_BUFFER;
  if constexpr (IS_WIDE)
    return ptx_load_matrices<true>(memory, first + (k + lane % 16) * IMPLICIT_WIDE_PITCH + column + lane / 16 * 8);
  else
    return ptx_load_matrices<false>(memory, first + (column + lane % 8 + lane / 16 * 8) * IMPLICIT_PITCH + k +
                                                lane / 8 % 2 * 8);
}

/* Where a warp's sums begin in the tile. */
template <class Shape> __device__ __forceinline__ int warp_first_row() {
  return (int)threadIdx.x / 32 / Shape::WARPS_ACROSS * Shape::WARP_ROWS;
}
template <class Shape> __device__ __forceinline__ int warp_first_column() {
  return (int)threadIdx.x / 32 % Shape::WARPS_ACROSS * IMPLICIT_WARP_COLUMNS;
}

/* One buffer: 32 of depth. */
template <class Shape>
__device__ __forceinline__ void warp_multiply(implicit_memory &a, implicit_memory &b, int buffer,
                                              implicit_sums<Shape> *sums) {
  const int row = warp_first_row<Shape>(), column = warp_first_column<Shape>();
#pragma unroll
  for (int k = 0; k < IMPLICIT_DEPTH; k += 16) {
    mma_b of_b[Shape::WIDE];
#pragma unroll
    for (int j = 0; j < Shape::WIDE; j += 2) {
      const mma_a two = warp_load_b<Shape::IS_B_WIDE>(b, buffer, column + j * 8, k);
      of_b[j] = mma_b{{two.word[0], two.word[1]}};
      of_b[j + 1] = mma_b{{two.word[2], two.word[3]}};
    }
#pragma unroll
    for (int i = 0; i < Shape::TALL; ++i) {
      const mma_a of_a = warp_load_a<Shape::IS_A_WIDE>(a, buffer, row + i * 16, k);
#pragma unroll
      for (int j = 0; j < Shape::WIDE; ++j) sums->d[i][j] = ptx_mma_bf16(of_a, of_b[j], sums->d[i][j]);
    }
  }
}

/* ---- The result -------------------------------------------------------------------------------------------------- */

/* Two neighbouring columns of a row; `left`: how many there are. */
typedef struct implicit_pair {
  int64_t to, step;
  int32_t left;
} implicit_pair;

__device__ __forceinline__ void thread_store_pair(const implicit_params &p, const implicit_pair &at, const float *sum) {
  const uint32_t low = mfqn_bits(sum[0]), high = mfqn_bits(sum[1]);
  if (p.is_paired && at.left >= 2) {
    if (p.to.dtype == ELEMENT_F32)
      ptx_store<uint2>(p.to.data + at.to * 4, make_uint2(low, high));
    else if (p.to.dtype == ELEMENT_BF16)
      ptx_store<uint32_t>(p.to.data + at.to * 2, mfqn_bf16_from_f32(low) | mfqn_bf16_from_f32(high) << 16);
    else
      ptx_store<uint32_t>(p.to.data + at.to * 2, mfqn_f16_from_f32(low) | mfqn_f16_from_f32(high) << 16);
    return;
  }
  if (at.left >= 1) thread_store_element(p.to, at.to, low);
  if (at.left >= 2) thread_store_element(p.to, at.to + at.step, high);
}

template <class Shape>
__device__ __forceinline__ void warp_store_sums(const implicit_params &p, const implicit_place &at,
                                                implicit_places &places, const implicit_sums<Shape> &sums) {
  const int lane = (int)threadIdx.x % 32, row = warp_first_row<Shape>() + lane / 4;
  const int64_t step = p.to_stride[Shape::KIND == IMPLICIT_PIXELS ? 0 : CONV_CHANNELS];
  const int32_t column = p.first_column + at.b * Shape::COLUMNS + warp_first_column<Shape>() + lane % 4 * 2;
  const int64_t before = (at.group - p.first_group) * (int64_t)p.columns + column - p.first_column;
  const int64_t first = at.part * p.to_part + before * step;
#pragma unroll
  for (int i = 0; i < 2 * Shape::TALL; ++i) {
    const uint2 words = places.load(row + i * 8);
    if (words.y == IMPLICIT_NOWHERE) continue;
    const int64_t place = first + (int64_t)((uint64_t)words.y << 32 | words.x);
#pragma unroll
    for (int j = 0; j < Shape::WIDE; ++j) {
      const implicit_pair pair = {place + j * 8 * step, step, p.last_column - column - j * 8};
      thread_store_pair(p, pair, sums.d[i / 2][j].sum + i % 2 * 2);
    }
  }
}

template <class Shape> __device__ __forceinline__ implicit_sums<Shape> thread_no_sums() {
  implicit_sums<Shape> sums;
#pragma unroll
  for (int i = 0; i < Shape::TALL; ++i) {
#pragma unroll
    for (int j = 0; j < Shape::WIDE; ++j) sums.d[i][j] = mma_d{{0.0f, 0.0f, 0.0f, 0.0f}};
  }
  return sums;
}

/* While one piece is multiplied, the next one is loaded; one barrier for each. */
template <int KIND, int COLUMNS>
__global__ void __launch_bounds__(IMPLICIT_THREADS, implicit_shape<KIND, COLUMNS>::BLOCKS)
    implicit_kernel(const __grid_constant__ implicit_params p) {
  using Shape = implicit_shape<KIND, COLUMNS>;
  __shared__ implicit_memory a_memory, b_memory;
  __shared__ implicit_places places;
  __shared__ implicit_tap_words taps;
  __shared__ implicit_origins origins;
  implicit_table table = {places, taps, origins};
  const implicit_place at = block_implicit_place(p);
  implicit_walk<Shape> walk;
  thread_walk_start(p, at, table, &walk);
  implicit_sums<Shape> sums = thread_no_sums<Shape>();
  ptx_sync_block();
  thread_walk_enter(p, table, &walk);
  for (int32_t piece = walk.pieces.first;; ++piece) {
    implicit_unit a, b;
    const int is_more = piece < walk.pieces.end, buffer = piece % 2;
    if (is_more) thread_walk_fetch(p, table, piece, &walk, &a, &b);
    if (piece > walk.pieces.first) warp_multiply<Shape>(a_memory, b_memory, buffer ^ 1, &sums);
    if (!is_more) break;
    thread_put_unit<Shape::IS_A_WIDE>(p.a, a, a_memory, buffer);
    thread_put_unit<Shape::IS_B_WIDE>(p.b, b, b_memory, buffer);
    ptx_sync_block();
  }
  warp_store_sums<Shape>(p, at, places, sums);
}

#endif
