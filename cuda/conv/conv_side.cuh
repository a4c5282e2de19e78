/* cuda/conv/conv_side.cuh: an operand of a convolution on the device, and which of its elements a tap meets.
 *
 * A place is where an element's code and its scale stand. Each axis adds its part to both, so that kernels keep the sums
 * of the axes that stay: thread_conv_step(p, place, axis, index). Elements, scales and values of a place are those of
 * products (product/side.cuh), at index 0 of the depth. */
#ifndef MFQ_CUDA_CONV_CONV_SIDE_CUH
#define MFQ_CUDA_CONV_CONV_SIDE_CUH

#include <mfq/num/window.h>

#include "cuda/product/unit.cuh"

/* Axes of x, w and y: 0 is the image (of w the output channel), 1 ... 3 are spatial, 4 is the channel. */
enum { CONV_AXES = 5, CONV_CHANNELS = 4 };

/* x, w or y. Made by mfq_cuda_conv_side. */
typedef struct conv_side {
  side_params part;          /* elements, codes and scales; not its rows, strides and runs */
  int64_t stride[CONV_AXES]; /* elements, or bits of codes */
  int64_t scale_stride[CONV_AXES];
  divisor64 scale_run[CONV_AXES];
} conv_side;

/* The same, read in units along one axis. Made by mfq_cuda_conv_units. */
struct conv_units : conv_side, unit_way {
  int32_t unit_axis;
};

/* mfqn_window with a fast division. */
typedef struct conv_window {
  int64_t out_step, tap_step, offset, size;
  divisor64 divisor;
} conv_window;

/* How the sums of a convolution are made. Pixels are those of the result (FORWARD, INPUT_GRADIENT), or of y. */
typedef struct conv_geometry {
  conv_window window[3];      /* from a pixel and a tap to the gathered operand */
  divisor64 pixel[3], tap[3]; /* sizes of the spatial axes; 1 for a size of 0 */
  int64_t batch, pixels, taps;
  int64_t groups, in_channels, out_channels; /* channels of one group */
} conv_geometry;

/* An image and a place on each spatial axis. */
typedef struct conv_point {
  int64_t image, at[3];
} conv_point;

/* Point `index` of a row-major grid; of taps the image is 0. */
__device__ __forceinline__ conv_point thread_conv_point(const divisor64 *size, int64_t index) {
  conv_point point;
#pragma unroll
  for (int i = 2; i >= 0; --i) {
    const int64_t above = thread_divide(index, size[i]);
    point.at[i] = index - above * (int64_t)size[i].value;
    index = above;
  }
  point.image = index;
  return point;
}

/* As mfqn_window_at: the element, or -1. */
__device__ __forceinline__ int64_t thread_conv_window_at(const conv_window &w, int64_t o, int64_t t) {
  const int64_t place = o * w.out_step + t * w.tap_step + w.offset;
  if (place < 0) return -1;
  const int64_t at = w.divisor.value == 1 ? place : thread_divide(place, w.divisor);
  return at * (int64_t)w.divisor.value == place && at < w.size ? at : -1;
}

/* `from` moved by `index` along an axis on which it was at 0. */
__device__ __forceinline__ side_row thread_conv_step(const conv_side &p, side_row from, int axis, int64_t index) {
  from.at += index * p.stride[axis];
  if (!p.part.is_plain) from.scale += thread_divide(index, p.scale_run[axis]) * p.scale_stride[axis];
  return from;
}

/* The same of one that is read in units, without work for scales that are not there. */
__device__ __forceinline__ side_row thread_unit_step(const conv_units &s, side_row from, int axis, int64_t index) {
  const divisor64 &run = s.scale_run[axis];
  from.at += index * s.stride[axis];
  if (s.has_scales) from.scale += (run.value == 1 ? index : thread_divide(index, run)) * s.scale_stride[axis];
  return from;
}

/* Channel 0 at a point; of w the image is the output channel. */
__device__ __forceinline__ side_row thread_conv_place(const conv_side &p, const conv_point &point) {
  side_row place = {0, 0};
  place = thread_conv_step(p, place, 0, point.image);
#pragma unroll
  for (int i = 0; i < 3; ++i) place = thread_conv_step(p, place, 1 + i, point.at[i]);
  return place;
}

/* The point of the gathered operand that a tap meets from a pixel. Returns 0 where there is none: a zero, whatever the
 * zero point. */
__device__ __forceinline__ int thread_conv_gather(const conv_geometry &g, const conv_point &pixel,
                                                  const conv_point &tap, conv_point *met) {
  met->image = pixel.image;
  int is_there = 1;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    met->at[i] = thread_conv_window_at(g.window[i], pixel.at[i], tap.at[i]);
    is_there &= met->at[i] >= 0;
  }
  return is_there;
}

#endif
