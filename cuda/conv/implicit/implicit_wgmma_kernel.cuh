/* cuda/conv/implicit/implicit_wgmma_kernel.cuh: convolutions as products of tiles by the matrix instructions of warpgroups
 * (product/wgmma_loop.cuh): gatherers of operands that are bf16 in whole units (widen_units_kernel.cuh). */
#ifndef MFQ_CUDA_CONV_IMPLICIT_WGMMA_KERNEL_CUH
#define MFQ_CUDA_CONV_IMPLICIT_WGMMA_KERNEL_CUH

#include "cuda/product/wgmma_loop.cuh"
#include "implicit_kernel.cuh"

/* Elements from a group's first unit to the next group's: units are whole. */
__device__ __forceinline__ int64_t thread_a_group(const implicit_params &p) { return (int64_t)p.units.value * UNIT; }

/* ---- By taps ----------------------------------------------------------------------------------------------------- */

template <int KIND, int COLUMNS> struct implicit_stages {
  using params = implicit_params;
  using shape = wgmma_shape<false, KIND != IMPLICIT_ALONG, COLUMNS>;
  static constexpr int ROWS = shape::A_SEGMENTS;
  implicit_taps taps;
  implicit_row row[ROWS];         /* whose base is what the first tap meets */
  implicit_cursor cursor, across; /* of its place; of its line, where the direct operand's units lie across */
  const uint8_t *met[ROWS];       /* the rows' channels at the cursor's tap */
  int32_t has_met[ROWS];          /* whether they exist */
  int64_t column;                 /* where the first column, or 16 of them, is in w without taps */
  const uint8_t *tap;             /* and with the tap */
  int32_t has_tap;
  tile_pieces stages;
  int32_t first_column; /* the thread's own */

  /* At a new tap. */
  __device__ __forceinline__ void meet(const implicit_params &p) {
    int32_t moved[3];
    int64_t further = 0;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      moved[i] = cursor.tap[i] * taps.delta[i];
      further += moved[i] * p.a.stride[1 + i];
    }
#pragma unroll
    for (int j = 0; j < ROWS; ++j) {
      int is_there = row[j].exists && thread_cursor_is_inside(taps, cursor);
#pragma unroll
      for (int i = 0; i < 3; ++i) is_there &= (uint32_t)(row[j].origin[i] + moved[i]) < (uint32_t)p.axis[i].size;
      met[j] = thread_element_at(p.a.part, is_there ? row[j].base.at + further : 0);
      has_met[j] = is_there;
    }
  }

  __device__ __forceinline__ void turn_to_tap(const implicit_params &p, const implicit_cursor &at) {
    has_tap = thread_cursor_is_inside(taps, at);
    const int64_t place = thread_tap_place(p, taps, at, side_row{column, 0}).at;
    tap = thread_element_at(p.b.part, has_tap ? place : 0);
  }

  __device__ __forceinline__ void start(const implicit_params &p, const tile_block &at, tile_rows &rows) {
    const int line = thread_line_of_segment(), place = thread_place_of_four();
    const implicit_product product = block_product(p, at);
    taps = thread_phase_taps(p, product.phase);
#pragma unroll
    for (int j = 0; j < ROWS; ++j) {
      row[j] = thread_pixel_row(p, taps, (uint32_t)at.a * TILE_ROWS + (uint32_t)(j * 64 + line));
      row[j].base.at += product.group * thread_a_group(p);
#pragma unroll
      for (int i = 0; i < 3; ++i) row[j].base.at += row[j].origin[i] * p.a.stride[1 + i];
      if (place == 0) thread_note_row(rows, j * 64 + line, product.to + row[j].to, row[j].exists);
    }
    stages = block_tile_pieces(p.grid, at, (thread_depth_units(p, taps) + STAGE_UNITS - 1) / STAGE_UNITS);
    const int32_t first = STAGE_UNITS * stages.first;
    first_column = p.first_column + at.b * COLUMNS;
    cursor = thread_cursor_at(p, taps, first + place);
    meet(p);
    if constexpr (KIND == IMPLICIT_ALONG) {
      first_column += line;
      column = thread_column(p, product.group, first_column).base.at;
      if (p.b.unit_axis == 0) column += product.group * thread_a_group(p);
      turn_to_tap(p, cursor);
    } else {
      first_column += place * UNIT;
      column = product.group * (int64_t)p.channels * p.b.stride[0] + first_column;
      across = thread_cursor_at(p, taps, first + line / UNIT);
      turn_to_tap(p, across);
    }
  }

  /* Whether a cursor has come to another tap. */
  __device__ __forceinline__ int moves_on(const implicit_params &p, implicit_cursor *c) const {
    if (c->unit + STAGE_UNITS < (int32_t)p.units.value) {
      c->unit += STAGE_UNITS;
      return 0;
    }
    thread_cursor_move(p, taps, STAGE_UNITS, c);
    return 1;
  }

  /* Copies of columns along depth, or of 16 columns at a channel of depth. */
  __device__ __forceinline__ void copy_columns(const implicit_params &p, const stage_target &to) {
    const uint8_t *from = tap;
    int64_t step = 64 * 2;
    int has_columns = has_tap;
    if constexpr (KIND == IMPLICIT_ALONG) {
      from += cursor.unit * (2 * UNIT);
      step *= p.b.stride[p.b.unit_axis == 0 ? CONV_CHANNELS : 0];
    } else {
      const int32_t channel = across.unit * UNIT + thread_line_of_segment() % UNIT;
      from += channel * (2 * p.b.stride[0]);
      has_columns = has_tap && channel < p.channels;
    }
#pragma unroll
    for (int j = 0; j < COLUMNS / 64; ++j)
      thread_copy_unit(from + j * step, has_columns && first_column + j * 64 < p.last_column, to, ROWS + j);
  }

  __device__ __forceinline__ void copy(const implicit_params &p, int32_t, const stage_target &to) {
#pragma unroll
    for (int j = 0; j < ROWS; ++j) thread_copy_unit(met[j] + cursor.unit * (2 * UNIT), has_met[j], to, j);
    copy_columns(p, to);
    const int is_new = moves_on(p, &cursor);
    if (is_new) meet(p);
    if constexpr (KIND == IMPLICIT_ALONG) {
      if (is_new) turn_to_tap(p, cursor);
    } else {
      if (moves_on(p, &across)) turn_to_tap(p, across);
    }
  }
};

/* ---- By pixels --------------------------------------------------------------------------------------------------- */

template <int COLUMNS> struct implicit_stages<IMPLICIT_PIXELS, COLUMNS> {
  using params = implicit_params;
  using shape = wgmma_shape<true, true, COLUMNS>;
  static constexpr int ROWS = shape::A_SEGMENTS;
  implicit_lines lines[ROWS];
  tile_pieces stages;
  int32_t group, first_column;

  __device__ __forceinline__ void start(const implicit_params &p, const tile_block &at, tile_rows &rows) {
    const int line = thread_line_of_segment();
    const implicit_product product = block_product(p, at);
    group = product.group;
    first_column = p.first_column + at.b * COLUMNS + thread_place_of_four() * UNIT;
#pragma unroll
    for (int j = 0; j < ROWS; ++j) {
      const int unit = j * STAGE_UNITS + thread_place_of_four();
      lines[j] = thread_lines(p, at.a * (TILE_ROWS / UNIT) + unit);
      const int64_t to = product.to + lines[j].to + line * p.to_stride[CONV_CHANNELS];
      if (line < UNIT) thread_note_row(rows, unit * UNIT + line, to, line < lines[j].count);
    }
    stages = block_tile_pieces(p.grid, at, (p.pixels + STAGE_DEPTH - 1) / STAGE_DEPTH);
  }

  /* Copies what lines meet from a pixel of the image at `at`. */
  __device__ __forceinline__ void copy_met(const implicit_params &p, int j, const implicit_pixel &pixel, int64_t at,
                                           const stage_target &to) const {
    int is_there = pixel.exists && lines[j].count > 0;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      const int32_t place = pixel.at[i] * p.axis[i].out_step + lines[j].offset[i];
      is_there &= (uint32_t)place < (uint32_t)p.axis[i].size;
      at += place * p.a.stride[1 + i];
    }
    thread_copy_unit(thread_element_at(p.a.part, is_there ? at + lines[j].channel : 0), is_there, to, j);
  }

  __device__ __forceinline__ void copy(const implicit_params &p, int32_t stage, const stage_target &to) {
    const implicit_pixel pixel = thread_pixel(p, stage * STAGE_DEPTH + thread_line_of_segment());
    const int64_t image = pixel.image * p.a.stride[0] + group * thread_a_group(p);
#pragma unroll
    for (int j = 0; j < ROWS; ++j) copy_met(p, j, pixel, image, to);
    const int64_t of_group = (p.columns + UNIT - 1) / UNIT * UNIT;
    int64_t place = pixel.image * p.b.stride[0] + group * of_group + first_column;
#pragma unroll
    for (int i = 0; i < 3; ++i) place += pixel.at[i] * p.b.stride[1 + i];
    const uint8_t *from = thread_element_at(p.b.part, pixel.exists ? place : 0);
#pragma unroll
    for (int j = 0; j < COLUMNS / 64; ++j)
      thread_copy_unit(from + j * (64 * 2), pixel.exists && first_column + j * 64 < p.last_column, to, ROWS + j);
  }
};

#endif
