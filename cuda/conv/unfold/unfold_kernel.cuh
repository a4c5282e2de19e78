/* cuda/conv/unfold/unfold_kernel.cuh: parts of an operand as lines of a matrix: for each pixel and group of channels the
 * elements that the taps meet, channels within taps.
 *
 * A thread makes 16 bytes of a line, or of codes 32; neighbouring threads have neighbouring places. Where the channels of
 * a tap are whole units and lie beside each other, a unit is one load: as it is, or 16 codes that are widened; otherwise
 * elements come one at a time. Moves the elements of a part once for each tap (neighbouring pixels meet in L2), and the
 * lines once. Elements carry their group scales, and no factors; what no tap meets, and the padding of lines, is 0. */
#ifndef MFQ_CUDA_CONV_UNFOLD_KERNEL_CUH
#define MFQ_CUDA_CONV_UNFOLD_KERNEL_CUH

#include "cuda/index_plans.h"
#include "cuda/conv/conv_side.cuh"

enum unfold_source { UNFOLD_ELEMENTS, UNFOLD_COPY, UNFOLD_CODES };

typedef struct unfold_params {
  conv_units side;
  conv_geometry geometry; /* window, pixel, tap, taps */
  int32_t dtype;          /* of the lines: ELEMENT_* */
  int64_t items;          /* units of all lines */
  divisor64 units;        /* of a line */
  divisor64 groups;       /* of a row */
  divisor64 channels;     /* of a tap */
  int64_t first_row, first_group, first_channel;
  int64_t group_images, group_channels; /* from one group to the next */
  uint8_t *to;
  int64_t to_image, to_pixel, to_group; /* elements */
  int64_t to_first;                     /* of the first row, which is at `to` */
} unfold_params;

/* A unit: from where its elements come, and where it goes. */
typedef struct unfold_unit {
  conv_point pixel;
  int64_t tap, channel; /* of its first element; a tap behind the last: padding */
  int64_t first_channel;
  int64_t to;
} unfold_unit;

template <int SOURCE> __device__ __forceinline__ int32_t unfold_elements(const unfold_params &p) {
  return SOURCE == UNFOLD_CODES ? 16 : p.dtype == ELEMENT_F32 ? 4 : 8;
}

template <int SOURCE> __device__ __forceinline__ unfold_unit thread_unfold_unit(const unfold_params &p, int64_t item) {
  const int64_t line = thread_divide(item, p.units), row = thread_divide(line, p.groups);
  const int64_t group = line - row * (int64_t)p.groups.value;
  const int64_t column = (item - line * (int64_t)p.units.value) * unfold_elements<SOURCE>(p);
  const int64_t all = p.first_group + group;
  unfold_unit u;
  u.pixel = thread_conv_point(p.geometry.pixel, p.first_row + row);
  const int64_t pixel = p.first_row + row - u.pixel.image * p.geometry.pixels;
  u.to = u.pixel.image * p.to_image + pixel * p.to_pixel + group * p.to_group + column - p.to_first;
  u.pixel.image += all * p.group_images;
  u.tap = thread_divide(column, p.channels);
  u.channel = column - u.tap * (int64_t)p.channels.value;
  u.first_channel = p.first_channel + all * p.group_channels;
  return u;
}

/* Where the elements of a tap begin that a pixel meets. Returns 0 where there are none. */
__device__ __forceinline__ int thread_unfold_meet(const unfold_params &p, const unfold_unit &u, side_row *place) {
  const conv_point tap = thread_conv_point(p.geometry.tap, u.tap);
  conv_point met;
  if (u.tap >= p.geometry.taps || !thread_conv_gather(p.geometry, u.pixel, tap, &met)) return 0;
  *place = thread_conv_place(p.side, met);
  return 1;
}

__device__ __forceinline__ uint32_t unfold_half(const unfold_params &p, uint32_t f32) {
  return p.dtype == ELEMENT_F16 ? mfqn_f16_limited(f32) : mfqn_bf16_limited(f32);
}

/* The next element as it is stored; moves on. */
__device__ __forceinline__ uint32_t thread_unfold_next(const unfold_params &p, unfold_unit *u, int *is_met,
                                                       side_row *place) {
  uint32_t value = 0;
  if (*is_met)
    value = thread_side_value(p.side.part,
                              thread_conv_step(p.side, *place, CONV_CHANNELS, u->first_channel + u->channel), 0);
  if (++u->channel == (int64_t)p.channels.value) {
    u->channel = 0;
    ++u->tap;
    *is_met = thread_unfold_meet(p, *u, place);
  }
  return p.dtype == ELEMENT_F32 ? value : unfold_half(p, value);
}

__device__ __forceinline__ void thread_unfold_elements(const unfold_params &p, unfold_unit u) {
  side_row place = {0, 0};
  int is_met = thread_unfold_meet(p, u, &place);
  uint32_t word[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    word[i] = thread_unfold_next(p, &u, &is_met, &place);
    if (p.dtype != ELEMENT_F32) word[i] |= thread_unfold_next(p, &u, &is_met, &place) << 16;
  }
  const int64_t bytes = p.dtype == ELEMENT_F32 ? 4 : 2;
  ptx_store<uint4>(p.to + u.to * bytes, make_uint4(word[0], word[1], word[2], word[3]));
}

__device__ __forceinline__ void thread_unfold_copy(const unfold_params &p, const unfold_unit &u) {
  const int64_t bytes = p.dtype == ELEMENT_F32 ? 4 : 2;
  side_row place;
  uint4 v = make_uint4(0u, 0u, 0u, 0u);
  if (thread_unfold_meet(p, u, &place))
    v = ptx_load<uint4>(p.side.part.plain.data + (place.at + u.first_channel + u.channel) * bytes);
  ptx_store<uint4>(p.to + u.to * bytes, v);
}

__device__ __forceinline__ void thread_unfold_codes(const unfold_params &p, const unfold_unit &u) {
  side_row place;
  unit16 codes = {};
  if (thread_unfold_meet(p, u, &place)) thread_fetch_unit(p.side, place, u.first_channel + u.channel, UNIT, &codes);
  thread_store_unit(p.to + u.to * 2, thread_unit_words(p.side, codes));
}

template <int SOURCE>
static __global__ void __launch_bounds__(ITEM_THREADS) unfold_kernel(const __grid_constant__ unfold_params p) {
  for (int64_t i = thread_item(); i < p.items; i += thread_items()) {
    const unfold_unit u = thread_unfold_unit<SOURCE>(p, i);
    if constexpr (SOURCE == UNFOLD_ELEMENTS) thread_unfold_elements(p, u);
    if constexpr (SOURCE == UNFOLD_COPY) thread_unfold_copy(p, u);
    if constexpr (SOURCE == UNFOLD_CODES) thread_unfold_codes(p, u);
  }
}

#endif
