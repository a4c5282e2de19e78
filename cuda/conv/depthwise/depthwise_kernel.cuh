/* cuda/conv/depthwise/depthwise_kernel.cuh: FORWARD and INPUT_GRADIENT of convolutions whose groups have one channel.
 *
 * A thread has 8 neighbouring channels of a strip of 4 pixels of a row; threads go along the channels first, so that a
 * warp reads whole lines of channels-last memory. The block's part of the filter lies in shared memory as float32; a thread
 * walks the rows of the filter. With stride and dilation 1 it keeps the 4 units that meet the strip in registers, and
 * loads one more for each tap: the filter's width + 3 units for 4 x width products. Otherwise it loads a unit for each
 * tap and pixel, and neighbours meet in the first-level cache. Products and sums are float32.
 * Bytes moved per element of the result: an element of the operand (rows above and below come from the caches), and the
 * result; the filter once for each block. With 3 x 3 taps in bf16 4 bytes for 9 multiplications: bound by memory. */
#ifndef MFQ_CUDA_CONV_DEPTHWISE_KERNEL_CUH
#define MFQ_CUDA_CONV_DEPTHWISE_KERNEL_CUH

#include "cuda/gemm/finish_kernel.cuh"
#include "cuda/prim/shared.cuh"
#include "depthwise_unit.cuh"

typedef struct depthwise_params {
  depthwise_side x; /* read through the filter */
  conv_side w;
  conv_geometry geometry;
  int32_t filter[3], taps;
  int32_t is_turned;       /* with stride and dilation 1: taps meet pixels in the reverse order */
  int32_t lanes;           /* threads side by side along the channels */
  divisor64 strips[3];     /* of the result: two spatial axes, and strips of a row */
  int64_t count;           /* of strips */
  int64_t width, channels; /* of the result */
  finish_params finish;
  int32_t is_bare, is_relu; /* sums go to `to` as they are */
  finish_matrix to;
} depthwise_params;

/* 8 channels of one tap, 4 at a time, those of neighbouring threads side by side. */
typedef block_dynamic<float> depthwise_filter;

__device__ __forceinline__ int thread_filter_at(int tap, int channel, int lanes) {
  return ((tap * 2 + channel % 8 / 4) * lanes + channel / 8) * 4 + channel % 4;
}

/* The filter of the block's channels, one element at a time. */
__device__ __forceinline__ void block_load_filter(const depthwise_params &p, int64_t first, depthwise_filter &filter) {
  const int channels = p.lanes * DEPTHWISE_CHANNELS;
  for (int i = (int)threadIdx.x; i < p.taps * channels; i += DEPTHWISE_THREADS) {
    const int tap = i / channels, channel = i - tap * channels;
    uint32_t value = 0;
    if (first + channel < p.channels) {
      conv_point at = thread_conv_point(p.geometry.tap, tap);
      at.image = first + channel;
      value = thread_side_value(p.w.part, thread_conv_place(p.w, at), 0);
    }
    filter.store(thread_filter_at(tap, channel, p.lanes), mfqn_float_of(value));
  }
}

__device__ __forceinline__ void thread_taps(const depthwise_params &p, depthwise_filter &filter, int tap, int lane,
                                            float *w) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint4 v = filter.load_as<uint4>(((tap * 2 + half) * p.lanes + lane) * 4);
    w[4 * half] = mfqn_float_of(v.x);
    w[4 * half + 1] = mfqn_float_of(v.y);
    w[4 * half + 2] = mfqn_float_of(v.z);
    w[4 * half + 3] = mfqn_float_of(v.w);
  }
}

__device__ __forceinline__ void thread_add_products(float *sums, const float *x, const float *w) {
#pragma unroll
  for (int i = 0; i < DEPTHWISE_CHANNELS; ++i) sums[i] = ptx_fma(x[i], w[i], sums[i]);
}

/* A thread's place in the result and in the filter's row. */
typedef struct depthwise_row {
  side_row place; /* of the operand's row */
  int64_t pixel;  /* the first one of the strip */
  int tap;        /* the first one of the filter's row */
  int lane;
} depthwise_row;

/* The unit at index `at` of the row, zeros outside. */
template <int SOURCE>
__device__ __forceinline__ void thread_unit_or_zeros(const depthwise_params &p, const side_row &row, int64_t at,
                                                     float *x) {
#pragma unroll
  for (int i = 0; i < DEPTHWISE_CHANNELS; ++i) x[i] = 0.0f;
  if (at >= 0 && at < p.geometry.window[2].size) thread_unit<SOURCE>(p.x, thread_unit_step<SOURCE>(p.x, row, 3, at), x);
}

/* A row of the filter with stride and dilation 1: units move through registers. */
template <int SOURCE>
__device__ __forceinline__ void thread_rolling_row(const depthwise_params &p, const depthwise_row &r,
                                                   depthwise_filter &filter, float (*sums)[DEPTHWISE_CHANNELS]) {
  const int width = p.filter[2];
  const int64_t first = r.pixel + p.geometry.window[2].offset - (p.is_turned ? width - 1 : 0);
  float x[DEPTHWISE_STRIP][DEPTHWISE_CHANNELS], w[DEPTHWISE_CHANNELS];
#pragma unroll
  for (int q = 1; q < DEPTHWISE_STRIP; ++q) thread_unit_or_zeros<SOURCE>(p, r.place, first + q - 1, x[q]);
  for (int t = 0; t < width; ++t) {
#pragma unroll
    for (int q = 0; q + 1 < DEPTHWISE_STRIP; ++q)
#pragma unroll
      for (int i = 0; i < DEPTHWISE_CHANNELS; ++i) x[q][i] = x[q + 1][i];
    thread_unit_or_zeros<SOURCE>(p, r.place, first + t + DEPTHWISE_STRIP - 1, x[DEPTHWISE_STRIP - 1]);
    thread_taps(p, filter, r.tap + (p.is_turned ? width - 1 - t : t), r.lane, w);
#pragma unroll
    for (int q = 0; q < DEPTHWISE_STRIP; ++q) thread_add_products(sums[q], x[q], w);
  }
}

/* A row of the filter with any stride and dilation, forward or backward. */
template <int SOURCE>
__device__ __forceinline__ void thread_any_row(const depthwise_params &p, const depthwise_row &r,
                                               depthwise_filter &filter, float (*sums)[DEPTHWISE_CHANNELS]) {
  float x[DEPTHWISE_CHANNELS], w[DEPTHWISE_CHANNELS];
  for (int t = 0; t < p.filter[2]; ++t) {
    thread_taps(p, filter, r.tap + t, r.lane, w);
#pragma unroll
    for (int q = 0; q < DEPTHWISE_STRIP; ++q) {
      const int64_t at = thread_conv_window_at(p.geometry.window[2], r.pixel + q, t);
      if (at < 0) continue;
      thread_unit<SOURCE>(p.x, thread_unit_step<SOURCE>(p.x, r.place, 3, at), x);
      thread_add_products(sums[q], x, w);
    }
  }
}

/* All taps of a strip. */
template <int SOURCE, bool ROLLING>
__device__ __forceinline__ void thread_sum_strip(const depthwise_params &p, const conv_point &at, side_row channel,
                                                 depthwise_filter &filter, float (*sums)[DEPTHWISE_CHANNELS]) {
  const conv_geometry &g = p.geometry;
  depthwise_row r;
  r.pixel = at.at[2] * DEPTHWISE_STRIP;
  r.lane = (int)threadIdx.x % p.lanes;
  const side_row image = thread_unit_step<SOURCE>(p.x, channel, 0, at.image);
  for (int t = 0; t < p.filter[0]; ++t) {
    const int64_t i = thread_conv_window_at(g.window[0], at.at[0], t);
    if (i < 0) continue;
    const side_row plane = thread_unit_step<SOURCE>(p.x, image, 1, i);
    for (int u = 0; u < p.filter[1]; ++u) {
      const int64_t j = thread_conv_window_at(g.window[1], at.at[1], u);
      if (j < 0) continue;
      r.place = thread_unit_step<SOURCE>(p.x, plane, 2, j);
      r.tap = (t * p.filter[1] + u) * p.filter[2];
      if constexpr (ROLLING)
        thread_rolling_row<SOURCE>(p, r, filter, sums);
      else
        thread_any_row<SOURCE>(p, r, filter, sums);
    }
  }
}

/* Moves the strip's second pixel to the first place, and so on: registers have no index that a loop could count. */
__device__ __forceinline__ void thread_next_pixel(float (*x)[DEPTHWISE_CHANNELS]) {
#pragma unroll
  for (int q = 0; q + 1 < DEPTHWISE_STRIP; ++q)
#pragma unroll
    for (int i = 0; i < DEPTHWISE_CHANNELS; ++i) x[q][i] = x[q + 1][i];
}

/* From sums to the result, or to where sums go. The finish stands there once: it is most of the kernel's code. */
__device__ __forceinline__ void thread_store_strip(const depthwise_params &p, const conv_point &at, int64_t channel,
                                                   float (*sums)[DEPTHWISE_CHANNELS]) {
  const int64_t first = at.at[2] * DEPTHWISE_STRIP;
  finish_place to;
  to.batch = (at.image * (int64_t)p.strips[0].value + at.at[0]) * (int64_t)p.strips[1].value + at.at[1];
  to.row = first;
  to.col = channel;
  to.count = FINISH_COLS;
  const int64_t offset = thread_matrix_offset(p.to, to);
  if (p.is_bare) {
#pragma unroll
    for (int q = 0; q < DEPTHWISE_STRIP; ++q)
      if (first + q < p.width) thread_store_at(p.to, offset + q * p.to.stride[0], FINISH_COLS, sums[q]);
    return;
  }
  const mfqn_finish e = thread_settings<MFQN_ACTIVATION_NONE>(p.finish);
#pragma unroll 1
  for (int q = 0; q < DEPTHWISE_STRIP && first + q < p.width; ++q) {
    to.row = first + q;
    thread_finish_places(p.finish, e, to, sums[0]);
#pragma unroll
    for (int i = 0; i < DEPTHWISE_CHANNELS; ++i) sums[0][i] = p.is_relu ? mfqn_relu(sums[0][i]) : sums[0][i];
    thread_store_at(p.to, offset + q * p.to.stride[0], FINISH_COLS, sums[0]);
    thread_next_pixel(sums);
  }
}

template <int SOURCE, bool ROLLING>
__global__ void __launch_bounds__(DEPTHWISE_THREADS, DEPTHWISE_RESIDENT)
    depthwise_kernel(const __grid_constant__ depthwise_params p) {
  depthwise_filter filter(0, p.taps * p.lanes * DEPTHWISE_CHANNELS);
  const int64_t first = (int64_t)blockIdx.y * p.lanes * DEPTHWISE_CHANNELS;
  block_load_filter(p, first, filter);
  ptx_sync_block();
  const int64_t channel = first + (int64_t)((int)threadIdx.x % p.lanes) * DEPTHWISE_CHANNELS;
  const int together = DEPTHWISE_THREADS / p.lanes; /* strips */
  if (channel >= p.channels || (int)threadIdx.x >= together * p.lanes) return;
  const side_row begin = thread_conv_step(p.x.side, side_row{0, 0}, CONV_CHANNELS, channel);
  int64_t strip = (int64_t)blockIdx.x * together + (int)threadIdx.x / p.lanes;
  for (; strip < p.count; strip += (int64_t)gridDim.x * together) {
    const conv_point at = thread_conv_point(p.strips, strip);
    float sums[DEPTHWISE_STRIP][DEPTHWISE_CHANNELS] = {};
    thread_sum_strip<SOURCE, ROLLING>(p, at, begin, filter, sums);
    thread_store_strip(p, at, channel, sums);
  }
}

#endif
