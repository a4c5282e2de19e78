/* cuda/conv/implicit/widen_units_kernel.cuh: an operand of a convolution as dense bf16, its units (product/unit.cuh) in a row.
 *
 * [the other four axes][group of channels][unit][16]: every group is filled up with zeros to whole units, so that
 * what reads it later copies 32 aligned bytes a unit and has no ends to look after. A thread has a unit.
 * Neighbouring threads have neighbouring units; or, where a unit's elements are no neighbours in memory, the same
 * unit at neighbouring places of the innermost other axis, which are. Bytes an element: the code and its share of a
 * scale, and 2 written. */
#ifndef MFQ_CUDA_CONV_WIDEN_UNITS_KERNEL_CUH
#define MFQ_CUDA_CONV_WIDEN_UNITS_KERNEL_CUH

#include "cuda/conv/conv_side.cuh"

typedef struct widen_units_params {
  conv_units from;
  uint8_t *to;
  int64_t items;           /* units */
  int32_t axis[4];         /* the others, outermost first, */
  divisor64 size[4];       /* and how long they are */
  divisor64 groups, units; /* units of one group */
  int64_t channels;        /* of one group */
  int32_t is_across;       /* the innermost other axis goes fastest */
} widen_units_params;

/* The next digit of a mixed number. */
__device__ __forceinline__ int64_t thread_take_digit(const divisor64 &d, int64_t *index) {
  const int64_t above = thread_divide(*index, d), digit = *index - above * (int64_t)d.value;
  *index = above;
  return digit;
}

__global__ void widen_units_kernel(const __grid_constant__ widen_units_params p) {
  int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (index >= p.items) return;
  int64_t innermost = 0;
  if (p.is_across) innermost = thread_take_digit(p.size[3], &index);
  const int64_t unit = thread_take_digit(p.units, &index), group = thread_take_digit(p.groups, &index);
  if (!p.is_across) innermost = thread_take_digit(p.size[3], &index);
  side_row place = thread_unit_step(p.from, side_row{0, 0}, p.axis[3], innermost);
  int64_t to = innermost, step = (int64_t)p.size[3].value;
#pragma unroll
  for (int i = 2; i >= 0; --i) {
    const int64_t at = thread_take_digit(p.size[i], &index);
    place = thread_unit_step(p.from, place, p.axis[i], at);
    to += at * step;
    step *= (int64_t)p.size[i].value;
  }
  const int64_t first = unit * UNIT, left = p.channels - first;
  unit16 u;
  thread_fetch_unit(p.from, place, (int32_t)(group * p.channels + first), mfqn_min((int32_t)left, UNIT), &u);
  const int64_t at = (to * (int64_t)p.groups.value + group) * (int64_t)p.units.value + unit;
  thread_store_unit(p.to + at * (2 * UNIT), thread_unit_words(p.from, u));
}

#endif
