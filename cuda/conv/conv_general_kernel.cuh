/* cuda/conv/conv_general_kernel.cuh: the reproducible convolution of num/conv_run.h: any direction, operands, strides and
 * layouts, the bits of the CPU.
 *
 * A block has CONV_GENERAL_TILE channels of a group by as many lanes, which are pixels of the result, or, for
 * WEIGHT_GRADIENT, input channels of one tap; a thread has one sum. Line after line the block notes where its rows and
 * lanes stand, then copies run after run of them into shared memory as doubles, and every thread takes the dot of its row
 * and lane in order. Elements are read once for each tile and tap, one at a time: nothing here is for speed. */
#ifndef MFQ_CUDA_CONV_CONV_GENERAL_KERNEL_CUH
#define MFQ_CUDA_CONV_CONV_GENERAL_KERNEL_CUH

#include <mfq/num/conv_run.h>

#include "cuda/prim/shared.cuh"
#include "conv_side.cuh"

enum {
  CONV_GENERAL_TILE = 16,
  CONV_GENERAL_THREADS = CONV_GENERAL_TILE * CONV_GENERAL_TILE,
  CONV_GENERAL_PITCH = MFQN_DOT_RUN + 1 /* strands apart: so that a warp's reads do not meet in a bank */
};

/* An operand: `axis` is the one that lines run along. */
typedef struct conv_general_side {
  conv_side side;
  int32_t axis;
  int64_t size, group; /* of that axis; 0: its scales do not vary along a line */
} conv_general_side;

typedef struct conv_general_params {
  conv_general_side direct, gathered;
  conv_geometry geometry;
  mfqn_dot_plan plan;
  int32_t is_weight;    /* WEIGHT_GRADIENT, */
  int32_t is_forward;   /* FORWARD, or INPUT_GRADIENT */
  int64_t channels;     /* summed channels of a group, for the latter two */
  int64_t row_pixels;   /* of y */
  int64_t rows, lanes;  /* channels of the result in a group; pixels, or input channels in a group */
  int64_t tiles, lines; /* of a sum */
  divisor64 row_tiles, lane_tiles, tile_taps;
  float *sums;                           /* dense, in our order */
  int64_t row_step, lane_step, tap_step; /* of a sum's row (counted over all groups), lane and tap */
} conv_general_params;

typedef block_array<int64_t, CONV_GENERAL_TILE> conv_general_numbers;
typedef block_array<int32_t, CONV_GENERAL_TILE> conv_general_flags;
typedef block_array<double, CONV_GENERAL_TILE * CONV_GENERAL_PITCH> conv_general_elements;
typedef block_array<float, CONV_GENERAL_TILE> conv_general_scales;

/* Where the tile's strands of one operand stand, but for the axis of the line, and a run of them. */
typedef struct conv_general_strands {
  conv_general_numbers &at, &scale;
  conv_general_flags &is_there;
  conv_general_elements &elements;
  conv_general_scales &scales;
} conv_general_strands;

typedef struct conv_general_place {
  int64_t group, tap, row0, lane0;
} conv_general_place;

/* What is the same for all strands of a line. */
typedef struct conv_general_line {
  mfqn_conv_line direct, gathered;
  mfqn_conv_span span;
} conv_general_line;

__device__ __forceinline__ conv_general_place block_conv_place(const conv_general_params &p, int64_t tile) {
  conv_general_place at;
  const int64_t above_lanes = thread_divide(tile, p.lane_tiles), above_rows = thread_divide(above_lanes, p.row_tiles);
  at.lane0 = (tile - above_lanes * (int64_t)p.lane_tiles.value) * CONV_GENERAL_TILE;
  at.row0 = (above_lanes - above_rows * (int64_t)p.row_tiles.value) * CONV_GENERAL_TILE;
  at.group = thread_divide(above_rows, p.tile_taps);
  at.tap = above_rows - at.group * (int64_t)p.tile_taps.value;
  return at;
}

__device__ __forceinline__ mfqn_conv_line thread_conv_line(const conv_general_side &s, int64_t first, int64_t step) {
  mfqn_conv_line line;
  line.first = first;
  line.step = step;
  line.size = s.size;
  line.group = s.group;
  return line;
}

__device__ __forceinline__ void thread_note_strand(conv_general_strands &strands, int i, const side_row &place,
                                                   int is_there) {
  strands.at.store(i, place.at);
  strands.scale.store(i, place.scale);
  strands.is_there.store(i, is_there);
}

/* ---- FORWARD and INPUT_GRADIENT: line `index` is a tap ----------------------------------------------------------- */

/* The channel axis of the pixel that lane `i` meets. */
__device__ __forceinline__ void thread_pixel_strand(const conv_general_params &p, const conv_general_place &at,
                                                    const conv_point &tap, int i, conv_general_strands &strands) {
  side_row place = {0, 0};
  int is_there = 0;
  if (at.lane0 + i < p.lanes) {
    conv_point met;
    is_there = thread_conv_gather(p.geometry, thread_conv_point(p.geometry.pixel, at.lane0 + i), tap, &met);
    if (is_there) place = thread_conv_place(p.gathered.side, met);
  }
  thread_note_strand(strands, i, place, is_there);
}

/* The weight's summed axis of result channel `i`. */
__device__ __forceinline__ void thread_weight_strand(const conv_general_params &p, const conv_general_place &at,
                                                     conv_point tap, int i, conv_general_strands &strands) {
  const int64_t row = at.row0 + i;
  side_row place = {0, 0};
  tap.image = p.is_forward ? at.group * p.rows + row : 0;
  if (row < p.rows) {
    place = thread_conv_place(p.direct.side, tap);
    if (!p.is_forward) place = thread_conv_step(p.direct.side, place, CONV_CHANNELS, row);
  }
  thread_note_strand(strands, i, place, row < p.rows);
}

__device__ __forceinline__ conv_general_line block_tap_line(const conv_general_params &p, const conv_general_place &at,
                                                            int64_t index, conv_general_strands &direct,
                                                            conv_general_strands &gathered) {
  const conv_point tap = thread_conv_point(p.geometry.tap, index);
  const int thread = (int)threadIdx.x;
  if (thread < CONV_GENERAL_TILE) thread_pixel_strand(p, at, tap, thread, gathered);
  if (thread >= CONV_GENERAL_TILE && thread < 2 * CONV_GENERAL_TILE)
    thread_weight_strand(p, at, tap, thread - CONV_GENERAL_TILE, direct);
  conv_general_line line;
  line.direct = thread_conv_line(p.direct, p.is_forward ? 0 : at.group * p.channels, 1);
  line.gathered = thread_conv_line(p.gathered, at.group * p.channels, 1);
  line.span.begin = 0;
  line.span.end = p.channels;
  return line;
}

/* ---- WEIGHT_GRADIENT: line `index` is an image and a row of its pixels ------------------------------------------- */

/* The last spatial axis at channel `channel` of a point, which has 0 there. */
__device__ __forceinline__ void thread_channel_strand(const conv_side &side, const conv_point &point, int64_t channel,
                                                      int is_there, int i, conv_general_strands &strands) {
  side_row place = {0, 0};
  if (is_there) place = thread_conv_step(side, thread_conv_place(side, point), CONV_CHANNELS, channel);
  thread_note_strand(strands, i, place, is_there);
}

__device__ __forceinline__ conv_general_line block_row_line(const conv_general_params &p, const conv_general_place &at,
                                                            int64_t index, conv_general_strands &direct,
                                                            conv_general_strands &gathered) {
  const conv_geometry &g = p.geometry;
  const conv_window &w = g.window[2];
  const conv_point tap = thread_conv_point(g.tap, at.tap);
  const conv_point out = thread_conv_point(g.pixel, index * (int64_t)g.pixel[2].value);
  conv_point in = out;
  for (int i = 0; i < 2; ++i) in.at[i] = thread_conv_window_at(g.window[i], out.at[i], tap.at[i]);
  const int is_there = in.at[0] >= 0 && in.at[1] >= 0, thread = (int)threadIdx.x, i = thread % CONV_GENERAL_TILE;
  const int64_t lane = at.lane0 + i, row = at.row0 + i;
  if (thread < CONV_GENERAL_TILE)
    thread_channel_strand(p.gathered.side, in, at.group * p.lanes + lane, is_there && lane < p.lanes, i, gathered);
  if (thread >= CONV_GENERAL_TILE && thread < 2 * CONV_GENERAL_TILE)
    thread_channel_strand(p.direct.side, out, at.group * p.rows + row, is_there && row < p.rows, i, direct);
  conv_general_line line;
  line.direct = thread_conv_line(p.direct, 0, 1);
  line.gathered = thread_conv_line(p.gathered, tap.at[2] * w.tap_step + w.offset, w.out_step);
  line.span = mfqn_conv_line_span(line.gathered, p.row_pixels);
  if (!is_there) line.span.end = line.span.begin;
  return line;
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

/* Elements begin ... end - 1 of all strands of an operand, and the scale that each has there. */
__device__ __forceinline__ void block_load_strands(const conv_general_side &s, const mfqn_conv_line &line,
                                                   const mfqn_conv_span &run, conv_general_strands &strands) {
  const int lane = (int)threadIdx.x % MFQN_DOT_RUN;
  const int64_t element = run.begin + lane;
  for (int i = (int)threadIdx.x / MFQN_DOT_RUN; i < CONV_GENERAL_TILE; i += CONV_GENERAL_THREADS / MFQN_DOT_RUN) {
    if (element >= run.end || !strands.is_there.load(i)) continue;
    const side_row base = {strands.at.load(i), strands.scale.load(i)};
    const side_row place = thread_conv_step(s.side, base, s.axis, line.first + element * line.step);
    const int32_t zero_point = thread_side_zero_point(s.side.part, place.scale);
    strands.elements.store(i * CONV_GENERAL_PITCH + lane, thread_side_element(s.side.part, place, 0, zero_point));
    if (lane == 0) strands.scales.store(i, thread_side_group_scale(s.side.part, place.scale));
  }
}

/* Adds a line to the sum of row `i` and lane `j`. Strands are noted by some threads before, and free behind. */
__device__ __forceinline__ float block_add_line(const conv_general_params &p, const conv_general_line &line,
                                                conv_general_strands &direct, conv_general_strands &gathered,
                                                float sum) {
  const int i = (int)threadIdx.x / CONV_GENERAL_TILE, j = (int)threadIdx.x % CONV_GENERAL_TILE;
  const int is_wide = p.plan.kind == MFQN_DOT_WIDE;
  ptx_sync_block();
  mfqn_conv_span run = line.span;
  for (; run.begin < line.span.end; run.begin = run.end) {
    run.end = mfqn_conv_run_end(run.begin, line.span.end, line.direct, line.gathered);
    block_load_strands(p.direct, line.direct, run, direct);
    block_load_strands(p.gathered, line.gathered, run, gathered);
    ptx_sync_block();
    if (direct.is_there.load(i) && gathered.is_there.load(j)) {
      mfqn_dot dot = {0.0, 0.0};
      for (int k = 0; k < (int)(run.end - run.begin); ++k)
        mfqn_dot_add(&dot, direct.elements.load(i * CONV_GENERAL_PITCH + k),
                     gathered.elements.load(j * CONV_GENERAL_PITCH + k), is_wide);
      const double scale = mfqn_dmul((double)direct.scales.load(i), (double)gathered.scales.load(j));
      sum = mfqn_add(sum, mfqn_dot_round(dot, scale, p.plan));
    }
    ptx_sync_block();
  }
  return sum;
}

__global__ void __launch_bounds__(CONV_GENERAL_THREADS, 2)
    conv_general_kernel(const __grid_constant__ conv_general_params p) {
  __shared__ conv_general_numbers direct_at, direct_scale, gathered_at, gathered_scale;
  __shared__ conv_general_flags direct_is_there, gathered_is_there;
  __shared__ conv_general_elements direct_elements, gathered_elements;
  __shared__ conv_general_scales direct_scales, gathered_scales;
  conv_general_strands direct = {direct_at, direct_scale, direct_is_there, direct_elements, direct_scales};
  conv_general_strands gathered = {gathered_at, gathered_scale, gathered_is_there, gathered_elements, gathered_scales};
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
    const conv_general_place at = block_conv_place(p, tile);
    float sum = 0.0f;
    for (int64_t i = 0; i < p.lines; ++i) {
      const conv_general_line line =
          p.is_weight ? block_row_line(p, at, i, direct, gathered) : block_tap_line(p, at, i, direct, gathered);
      sum = block_add_line(p, line, direct, gathered, sum);
    }
    const int64_t row = at.row0 + threadIdx.x / CONV_GENERAL_TILE, lane = at.lane0 + threadIdx.x % CONV_GENERAL_TILE;
    if (row >= p.rows || lane >= p.lanes) continue;
    float *to = p.sums + (at.group * p.rows + row) * p.row_step + lane * p.lane_step + at.tap * p.tap_step;
    ptx_store<uint32_t>(to, mfqn_bits(sum));
  }
}

#endif
