/* cuda/conv/depthwise/depthwise_weight_kernel.cuh: WEIGHT_GRADIENT of convolutions whose groups have one channel: sums over pixels,
 * in an order that only the shape decides.
 *
 * A block has a part of all strips of 4 pixels, some channels, and up to 3 taps of a row of the filter; a thread has 8
 * channels of every so many strips. Its sums meet those of the block's other threads in shared memory, in their order,
 * and go to the workspace; a second kernel adds the parts, in their order.
 * Bytes moved: x and y once for each row of 3 taps (blocks that read the same run together, so that one of them finds
 * it in memory and the others in the second-level cache), and sums of a few parts. */
#ifndef MFQ_CUDA_CONV_DEPTHWISE_WEIGHT_KERNEL_CUH
#define MFQ_CUDA_CONV_DEPTHWISE_WEIGHT_KERNEL_CUH

#include "cuda/prim/shared.cuh"
#include "depthwise_unit.cuh"

typedef struct depthwise_weight_params {
  depthwise_side x, y;
  conv_geometry geometry;
  int32_t filter[3], taps;
  int32_t row_pieces; /* of DEPTHWISE_TAPS taps, of a row of the filter */
  int32_t lanes;
  divisor64 strips[3]; /* of y, as in depthwise_params */
  int64_t count;       /* of strips, */
  int64_t of_part;     /* and in a part */
  int64_t width, channels, parts;
  float *partial; /* [parts, taps, channels] */
} depthwise_weight_params;

/* By tap, channel of 8, and thread: neighbours in neighbouring banks. */
typedef block_array<float, DEPTHWISE_THREADS> depthwise_sums;

/* Taps of a row of the filter: `tap` on, of which the block has `count`. */
typedef struct depthwise_piece {
  int32_t plane, line, tap, count;
} depthwise_piece;

__device__ __forceinline__ depthwise_piece block_filter_piece(const depthwise_weight_params &p) {
  const int row = (int)blockIdx.x % (p.filter[0] * p.filter[1] * p.row_pieces), line = row / p.row_pieces;
  depthwise_piece piece;
  piece.plane = line / p.filter[1];
  piece.line = line - piece.plane * p.filter[1];
  piece.tap = (row - line * p.row_pieces) * DEPTHWISE_TAPS;
  piece.count = mfqn_min(p.filter[2] - piece.tap, DEPTHWISE_TAPS);
  return piece;
}

/* Adds the products of a strip: each pixel of y with the pixels of x that the taps meet. */
__device__ __forceinline__ void thread_add_strip(const depthwise_weight_params &p, const depthwise_piece &piece,
                                                 const conv_point &at, int64_t channel,
                                                 float (*sums)[DEPTHWISE_CHANNELS]) {
  const conv_geometry &g = p.geometry;
  conv_point met = at;
  met.at[0] = thread_conv_window_at(g.window[0], at.at[0], piece.plane);
  met.at[1] = thread_conv_window_at(g.window[1], at.at[1], piece.line);
  if (met.at[0] < 0 || met.at[1] < 0) return;
  conv_point from = at;
  from.at[2] = met.at[2] = 0;
  const side_row y_row = thread_conv_step(p.y.side, thread_conv_place(p.y.side, from), CONV_CHANNELS, channel);
  const side_row x_row = thread_conv_step(p.x.side, thread_conv_place(p.x.side, met), CONV_CHANNELS, channel);
  float x[DEPTHWISE_CHANNELS], y[DEPTHWISE_CHANNELS];
#pragma unroll 1
  for (int q = 0; q < DEPTHWISE_STRIP; ++q) {
    const int64_t pixel = at.at[2] * DEPTHWISE_STRIP + q;
    if (pixel >= p.width) return;
    thread_any_unit(p.y, thread_conv_step(p.y.side, y_row, 3, pixel), y);
#pragma unroll
    for (int t = 0; t < DEPTHWISE_TAPS; ++t) {
      const int64_t i = t < piece.count ? thread_conv_window_at(g.window[2], pixel, piece.tap + t) : -1;
      if (i < 0) continue;
      thread_any_unit(p.x, thread_conv_step(p.x.side, x_row, 3, i), x);
#pragma unroll
      for (int k = 0; k < DEPTHWISE_CHANNELS; ++k) sums[t][k] = ptx_fma(x[k], y[k], sums[t][k]);
    }
  }
}

/* One value of each thread: those of the same lane are added in order, and the first of them has the sum. */
__device__ __forceinline__ float block_add_lanes(int lanes, float value, depthwise_sums &shared) {
  const int thread = (int)threadIdx.x;
  ptx_sync_block();
  shared.store(thread, value);
  ptx_sync_block();
  float sum = 0.0f;
  for (int i = thread; thread < lanes && i < DEPTHWISE_THREADS; i += lanes) sum = mfqn_add(sum, shared.load(i));
  return sum;
}

__global__ void __launch_bounds__(DEPTHWISE_THREADS, DEPTHWISE_RESIDENT)
    depthwise_weight_kernel(const __grid_constant__ depthwise_weight_params p) {
  __shared__ depthwise_sums shared;
  const depthwise_piece piece = block_filter_piece(p);
  const int64_t part = (int)blockIdx.x / (p.filter[0] * p.filter[1] * p.row_pieces);
  const int64_t channel = ((int64_t)blockIdx.y * p.lanes + (int)threadIdx.x % p.lanes) * DEPTHWISE_CHANNELS;
  const int64_t behind = (part + 1) * p.of_part, end = behind < p.count ? behind : p.count;
  float sums[DEPTHWISE_TAPS][DEPTHWISE_CHANNELS] = {};
  const int together = DEPTHWISE_THREADS / p.lanes, worker = (int)threadIdx.x / p.lanes;
  int64_t strip = worker < together ? part * p.of_part + worker : end;
  for (; strip < end && channel < p.channels; strip += together)
    thread_add_strip(p, piece, thread_conv_point(p.strips, strip), channel, sums);
  const int first = (piece.plane * p.filter[1] + piece.line) * p.filter[2] + piece.tap;
#pragma unroll
  for (int t = 0; t < DEPTHWISE_TAPS; ++t)
#pragma unroll
    for (int k = 0; k < DEPTHWISE_CHANNELS; ++k) {
      const float sum = block_add_lanes(p.lanes, sums[t][k], shared);
      if ((int)threadIdx.x >= p.lanes || channel >= p.channels || t >= piece.count) continue;
      ptx_store<uint32_t>(p.partial + (part * p.taps + first + t) * p.channels + channel + k, mfqn_bits(sum));
    }
}

/* ---- The parts together ------------------------------------------------------------------------------------------ */

typedef struct depthwise_total_params {
  const float *partial; /* [parts, taps, channels] */
  float *sums;          /* [channels, taps] */
  int64_t parts, taps, channels;
} depthwise_total_params;

/* A thread has one sum: bytes moved are those of the parts. */
__global__ void __launch_bounds__(DEPTHWISE_THREADS)
    depthwise_total_kernel(const __grid_constant__ depthwise_total_params p) {
  const int64_t count = p.taps * p.channels, i = (int64_t)blockIdx.x * DEPTHWISE_THREADS + threadIdx.x;
  if (i >= count) return;
  float sum = 0.0f;
  for (int64_t part = 0; part < p.parts; ++part)
    sum = mfqn_add(sum, mfqn_float_of(ptx_load<uint32_t>(p.partial + part * count + i)));
  const int64_t tap = i / p.channels, channel = i - tap * p.channels;
  ptx_store<uint32_t>(p.sums + channel * p.taps + tap, mfqn_bits(sum));
}

#endif
