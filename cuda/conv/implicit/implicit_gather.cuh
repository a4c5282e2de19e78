/* cuda/conv/implicit/implicit_gather.cuh: where the units of a convolution are that a tile in shared memory is made of.
 *
 * The product is gathered x direct (conv_problem.h), with rows of the gathered operand and columns of the direct one. A
 * unit is 16 channels of one operand at one place (product/unit.cuh); the caller writes its 16 bf16 wherever its layout
 * of shared memory wants them. Channels that do not exist and places outside of an operand are 0.
 *
 *   by taps    FORWARD, INPUT_GRADIENT: rows are pixels of the result, depth is (tap, unit of channels). A row keeps what
 *              its first tap meets; a cursor counts taps and units. Units of the direct operand lie along depth too, or,
 *              where its channels are the columns, across it: then a cursor's unit is 16 of them, one below the other.
 *   by pixels  WEIGHT_GRADIENT: rows are (tap, unit of channels) of the result, depth is pixels of y. Units lie across
 *              depth in both operands.
 *
 * Pixels of INPUT_GRADIENT are walked in phases: those that are equal modulo the stride, which the same taps meet. Other
 * taps are left out, and what is left moves by whole elements: no division in the loop, and no work for zeros.
 * Not for more than 2^31 rows, or axes longer than 2^30. */
#ifndef MFQ_CUDA_CONV_IMPLICIT_GATHER_CUH
#define MFQ_CUDA_CONV_IMPLICIT_GATHER_CUH

#include "cuda/conv/conv_side.cuh"
#include "cuda/product/tile.cuh"

/* ---- Numbers that a launch knows ----------------------------------------------------------------------------------*/

/* A spatial axis: tap t meets element (o * out_step + t * tap_step + offset) / divisor from o. */
typedef struct implicit_axis {
  int32_t out_step, tap_step, offset, divisor, size;
  int32_t filter;
  int32_t tap_every; /* taps that meet are so far apart */
} implicit_axis;

/* A launch. The result's columns are its channels (by taps) or output channels (by pixels). Products are groups and, in
 * them, phases. */
typedef struct implicit_params {
  tile_grid grid;
  conv_units a, b; /* gathered, direct */
  implicit_axis axis[3];
  int32_t channels;                  /* of the gathered operand, of one group */
  divisor32 units;                   /* they are */
  int32_t columns;                   /* of one group */
  int32_t groups;                    /* of this launch */
  int32_t first_group;               /* and where it begins */
  int32_t first_column, last_column; /* of a group; only parts of a single one */
  int32_t lo[4], size[4];            /* by taps: images and pixels of the result that this launch has */
  int32_t pixels;                    /* by pixels: of y, with all images, */
  divisor32 pixel[3];                /* and along each axis */
  int32_t phases;                    /* 1, or all combinations of the strides */
  int64_t to_stride[CONV_AXES];      /* of the result; from where this launch begins */
} implicit_params;

/* The taps that meet something from the pixels of a phase: first + i * step, i < count, each `delta` elements of the
 * gathered operand from the one before. */
typedef struct implicit_taps {
  int32_t phase[3];
  int32_t first[3], step[3], count[3], delta[3];
} implicit_taps;

__device__ __forceinline__ void thread_axis_taps(const implicit_axis &x, int32_t lo, int i, implicit_taps *taps) {
  const int32_t place = (lo + taps->phase[i]) * x.out_step + x.offset;
  int32_t first = 0;
#pragma unroll 1
  while (first < x.tap_every && (place + first * x.tap_step) % x.divisor != 0) ++first;
  taps->first[i] = first;
  taps->step[i] = x.tap_every;
  taps->delta[i] = x.tap_every * x.tap_step / x.divisor;
  taps->count[i] = first >= x.tap_every || first >= x.filter ? 0 : (x.filter - first + x.tap_every - 1) / x.tap_every;
}

__device__ __forceinline__ implicit_taps thread_phase_taps(const implicit_params &p, int32_t phase) {
  implicit_taps taps;
#pragma unroll
  for (int i = 2; i >= 0; --i) {
    taps.phase[i] = phase % p.axis[i].divisor;
    phase /= p.axis[i].divisor;
    thread_axis_taps(p.axis[i], p.lo[1 + i], i, &taps);
  }
  return taps;
}

/* The group and the phase of a block, and where the result's first column of the group is. */
typedef struct implicit_product {
  int32_t group, phase;
  int64_t to;
} implicit_product;

__device__ __forceinline__ implicit_product block_product(const implicit_params &p, const tile_block &at) {
  const int32_t group = at.product / p.phases;
  return implicit_product{p.first_group + group, at.product % p.phases, group * (int64_t)p.columns * p.grid.to_column};
}

/* Units of depth. */
__device__ __forceinline__ int32_t thread_depth_units(const implicit_params &p, const implicit_taps &taps) {
  return taps.count[0] * taps.count[1] * taps.count[2] * (int32_t)p.units.value;
}

/* ---- By taps: rows and cursors ----------------------------------------------------------------------------------- */

/* A pixel of the result. */
typedef struct implicit_row {
  side_row base;     /* of the gathered operand: its image */
  int32_t origin[3]; /* the element that the first of the taps meets */
  int32_t exists;
  int64_t to; /* where the result is */
} implicit_row;

__device__ __forceinline__ int32_t thread_pixels_of_phase(const implicit_params &p, const implicit_taps &taps, int i) {
  const int32_t left = p.size[1 + i] - taps.phase[i];
  return left > 0 ? (left + p.axis[i].divisor - 1) / p.axis[i].divisor : 0;
}

/* Row `index` of a phase. */
__device__ __forceinline__ implicit_row thread_pixel_row(const implicit_params &p, const implicit_taps &taps,
                                                         uint32_t index) {
  implicit_row row = {};
#pragma unroll
  for (int i = 2; i >= 0; --i) {
    const implicit_axis &x = p.axis[i];
    const uint32_t many = (uint32_t)thread_pixels_of_phase(p, taps, i);
    if (many == 0) return row;
    const int32_t at = taps.phase[i] + (int32_t)(index % many) * x.divisor;
    index /= many;
    row.to += at * p.to_stride[1 + i];
    row.origin[i] = ((p.lo[1 + i] + at) * x.out_step + x.offset + taps.first[i] * x.tap_step) / x.divisor;
  }
  row.exists = index < (uint32_t)p.size[0];
  row.to += (int64_t)index * p.to_stride[0];
  row.base = thread_unit_step(p.a, side_row{0, 0}, 0, p.lo[0] + (int64_t)index);
  return row;
}

/* A unit of depth: unit `unit` of the channels at tap `tap` of those that meet. */
typedef struct implicit_cursor {
  int32_t unit, tap[3];
} implicit_cursor;

__device__ __forceinline__ implicit_cursor thread_cursor_at(const implicit_params &p, const implicit_taps &taps,
                                                            int32_t index) {
  implicit_cursor c;
  int32_t tap = thread_divide32(index, p.units);
  c.unit = index - tap * (int32_t)p.units.value;
#pragma unroll
  for (int i = 2; i > 0; --i) {
    const int32_t many = mfqn_max(taps.count[i], 1);
    c.tap[i] = tap % many;
    tap /= many;
  }
  c.tap[0] = tap;
  return c;
}

__device__ __forceinline__ void thread_cursor_move(const implicit_params &p, const implicit_taps &taps, int32_t units,
                                                   implicit_cursor *c) {
  c->unit += units;
  while (c->unit >= (int32_t)p.units.value) {
    c->unit -= (int32_t)p.units.value;
    if (++c->tap[2] < taps.count[2]) continue;
    c->tap[2] = 0;
    if (++c->tap[1] < taps.count[1]) continue;
    c->tap[1] = 0;
    ++c->tap[0];
  }
}

__device__ __forceinline__ int thread_cursor_is_inside(const implicit_taps &taps, const implicit_cursor &c) {
  return c.tap[0] < taps.count[0];
}

/* Where an operand's channels are at a cursor's tap; the same for all units of the tap. */
typedef struct implicit_met {
  side_row place; /* channel 0 */
  int32_t is_there;
} implicit_met;

__device__ __forceinline__ implicit_met thread_row_met(const implicit_params &p, const implicit_taps &taps,
                                                       const implicit_row &row, const implicit_cursor &c) {
  implicit_met met = {row.base, row.exists && thread_cursor_is_inside(taps, c)};
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const int32_t at = row.origin[i] + c.tap[i] * taps.delta[i];
    met.is_there &= (uint32_t)at < (uint32_t)p.axis[i].size;
    met.place = thread_unit_step(p.a, met.place, 1 + i, at < 0 ? 0 : at);
  }
  return met;
}

/* The row's unit `unit` there. */
__device__ __forceinline__ void thread_fetch_gathered(const implicit_params &p, const implicit_met &met, int32_t unit,
                                                      int32_t group, unit16 *u) {
  const int32_t channel = unit * UNIT, count = mfqn_min(p.channels - channel, UNIT);
  thread_fetch_unit(p.a, met.place, group * p.channels + channel, met.is_there ? count : 0, u);
}

/* The tap at a cursor in w, from where the other axes are. */
__device__ __forceinline__ side_row thread_tap_place(const implicit_params &p, const implicit_taps &taps,
                                                     const implicit_cursor &c, side_row place) {
#pragma unroll
  for (int i = 0; i < 3; ++i) place = thread_unit_step(p.b, place, 1 + i, taps.first[i] + c.tap[i] * taps.step[i]);
  return place;
}

/* A column of the direct operand with depth along its units: units along axis 4 have the column on axis 0, and the other
 * way round. */
typedef struct implicit_column {
  side_row base;
  int32_t exists;
} implicit_column;

__device__ __forceinline__ implicit_column thread_column(const implicit_params &p, int32_t group, int32_t column) {
  const int axis = p.b.unit_axis == 0 ? CONV_CHANNELS : 0;
  const int64_t index = axis == 0 ? group * (int64_t)p.columns + column : column;
  return implicit_column{thread_unit_step(p.b, side_row{0, 0}, axis, index), column < p.last_column};
}

__device__ __forceinline__ implicit_met thread_column_met(const implicit_params &p, const implicit_taps &taps,
                                                          const implicit_column &column, const implicit_cursor &c) {
  return implicit_met{thread_tap_place(p, taps, c, column.base), column.exists && thread_cursor_is_inside(taps, c)};
}

/* The column's unit `unit` there. */
__device__ __forceinline__ void thread_fetch_along(const implicit_params &p, const implicit_met &met, int32_t unit,
                                                   int32_t group, unit16 *u) {
  const int32_t channel = unit * UNIT, count = mfqn_min(p.channels - channel, UNIT);
  const int32_t first = p.b.unit_axis == 0 ? group * p.channels + channel : channel;
  thread_fetch_unit(p.b, met.place, first, met.is_there ? count : 0, u);
}

/* INPUT_GRADIENT: where a tap is in w, without its output channel. */
__device__ __forceinline__ implicit_met thread_tap_met(const implicit_params &p, const implicit_taps &taps,
                                                       const implicit_cursor &c) {
  return implicit_met{thread_tap_place(p, taps, c, side_row{0, 0}), thread_cursor_is_inside(taps, c)};
}

/* 16 columns from `column` on there, of output channel `channel` of a group. */
__device__ __forceinline__ void thread_fetch_across(const implicit_params &p, const implicit_met &met, int32_t group,
                                                    int32_t channel, int32_t column, unit16 *u) {
  const int32_t count = mfqn_min(p.last_column - column, UNIT);
  const side_row place = thread_unit_step(p.b, met.place, 0, group * (int64_t)p.channels + channel);
  thread_fetch_unit(p.b, place, column, met.is_there && channel < p.channels ? count : 0, u);
}

/* ---- By pixels --------------------------------------------------------------------------------------------------- */

/* A unit of rows: 16 channels at one tap. */
typedef struct implicit_lines {
  int32_t offset[3]; /* of what the tap meets from pixel 0 */
  int32_t channel, count;
  int64_t to; /* where the result of the first is */
} implicit_lines;

__device__ __forceinline__ implicit_lines thread_lines(const implicit_params &p, int32_t index) {
  implicit_lines lines;
  int32_t tap = thread_divide32(index, p.units);
  lines.channel = (index - tap * (int32_t)p.units.value) * UNIT;
  lines.count = mfqn_min(p.channels - lines.channel, UNIT);
  lines.to = lines.channel * p.to_stride[CONV_CHANNELS];
#pragma unroll
  for (int i = 2; i >= 0; --i) {
    const int32_t above = tap / p.axis[i].filter, at = tap - above * p.axis[i].filter;
    lines.offset[i] = at * p.axis[i].tap_step + p.axis[i].offset;
    lines.to += at * p.to_stride[1 + i];
    tap = above;
  }
  if (tap > 0) lines.count = 0; /* behind the last tap */
  return lines;
}

/* A pixel of y. */
typedef struct implicit_pixel {
  int32_t image, at[3];
  int32_t exists;
} implicit_pixel;

__device__ __forceinline__ implicit_pixel thread_pixel(const implicit_params &p, int32_t index) {
  implicit_pixel pixel;
  pixel.exists = index < p.pixels;
#pragma unroll
  for (int i = 2; i >= 0; --i) {
    const int32_t above = thread_divide32(index, p.pixel[i]);
    pixel.at[i] = index - above * (int32_t)p.pixel[i].value;
    index = above;
  }
  pixel.image = index;
  return pixel;
}

/* What the lines meet from a pixel. */
__device__ __forceinline__ void thread_fetch_met(const implicit_params &p, const implicit_lines &lines,
                                                 const implicit_pixel &pixel, int32_t group, unit16 *u) {
  side_row place = thread_unit_step(p.a, side_row{0, 0}, 0, pixel.image);
  int is_there = pixel.exists;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const int32_t at = pixel.at[i] * p.axis[i].out_step + lines.offset[i];
    is_there &= (uint32_t)at < (uint32_t)p.axis[i].size;
    if (is_there) place = thread_unit_step(p.a, place, 1 + i, at);
  }
  thread_fetch_unit(p.a, place, group * p.channels + lines.channel, is_there ? lines.count : 0, u);
}

/* 16 columns of a pixel of y. */
__device__ __forceinline__ void thread_fetch_pixel(const implicit_params &p, const implicit_pixel &pixel, int32_t group,
                                                   int32_t column, unit16 *u) {
  side_row place = thread_unit_step(p.b, side_row{0, 0}, 0, pixel.image);
#pragma unroll
  for (int i = 0; i < 3; ++i) place = thread_unit_step(p.b, place, 1 + i, pixel.at[i]);
  const int32_t left = mfqn_min(p.last_column - column, UNIT);
  thread_fetch_unit(p.b, place, group * p.columns + column, pixel.exists ? left : 0, u);
}

#endif
