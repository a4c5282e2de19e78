/* cuda/prim/box.cuh: the elements that share a scale, which are a box of the tensor, shared out among threads. */
#ifndef MFQ_CUDA_PRIM_BOX_CUH
#define MFQ_CUDA_PRIM_BOX_CUH

#include "walk.cuh"

/* An axis along which there are several scales. */
typedef struct box_scale_axis {
  divisor64 groups;
  int64_t run, size; /* indices that share a scale, and all */
  linear step;
  int32_t inner; /* the inner axis that runs along it; -1 where a run is one index */
} box_scale_axis;

/* Boxes, and the axes within one, the innermost first. */
typedef struct box_plan {
  int32_t scale_rank, rank; /* rank >= 1 */
  box_scale_axis scale_axis[WALK_MAX_RANK];
  int64_t size[WALK_MAX_RANK]; /* of a whole run; the last may be shorter */
  linear step[WALK_MAX_RANK];
} box_plan;

typedef struct box {
  linear at;
  int64_t count;
  int64_t size[WALK_MAX_RANK];
} box;

__device__ __forceinline__ box thread_box_at(const box_plan &p, int64_t scale) {
  box b = {{0, 0, 0}, 1, {}};
#pragma unroll 1
  for (int32_t k = 0; k < p.rank; ++k) b.size[k] = p.size[k];
  int64_t rest = scale;
#pragma unroll 1
  for (int32_t k = 0; k < p.scale_rank; ++k) {
    const box_scale_axis &axis = p.scale_axis[k];
    const int64_t next = thread_divide(rest, axis.groups);
    const int64_t first = (rest - next * (int64_t)axis.groups.value) * axis.run, left = axis.size - first;
    thread_advance(&b.at, axis.step, first);
    if (axis.inner >= 0 && left < axis.run) b.size[axis.inner] = left;
    rest = next;
  }
#pragma unroll 1
  for (int32_t k = 0; k < p.rank; ++k) b.count *= b.size[k];
  return b;
}

/* `n` as a number whose digits are indices of the box. */
__device__ __forceinline__ void thread_box_digits(const box_plan &p, const box &b, int64_t n, int64_t *digit) {
#pragma unroll 1
  for (int32_t k = 0; k < p.rank; ++k) {
    digit[k] = k + 1 < p.rank ? n % b.size[k] : n;
    n /= b.size[k];
  }
}

/* Adds digits to the outer indices; `carry` comes from the innermost. */
__device__ __forceinline__ void thread_box_carry(const box_plan &p, const box &b, const int64_t *digit, int64_t carry,
                                                 int64_t *index, linear *at) {
#pragma unroll 1
  for (int32_t k = 1; k < p.rank; ++k) {
    const int64_t before = index[k];
    int64_t after = before + digit[k] + carry;
    carry = after >= b.size[k];
    if (carry) after -= b.size[k];
    thread_advance(at, p.step[k], after - before);
    index[k] = after;
  }
}

/* Visits elements first, first + stride, ... of a box. Only the first costs divisions. */
template <class Visit>
__device__ __forceinline__ void thread_box_each(const box_plan &p, const box &b, int64_t first, int64_t stride,
                                                Visit visit) {
  if (first >= b.count) return;
  int64_t index[WALK_MAX_RANK] = {first}, digit[WALK_MAX_RANK] = {stride};
  linear at = b.at;
  if (p.rank > 1) {
    thread_box_digits(p, b, first, index);
    thread_box_digits(p, b, stride, digit);
  }
#pragma unroll 1
  for (int32_t k = 0; k < p.rank; ++k) thread_advance(&at, p.step[k], index[k]);
  int64_t inner = index[0];
  const int64_t inner_step = digit[0], inner_size = b.size[0];
  const int is_nested = p.rank > 1, is_wide = stride >= inner_size;
  for (int64_t i = first;;) {
    visit(at);
    i += stride;
    if (i >= b.count) return;
    inner += inner_step;
    thread_advance(&at, p.step[0], inner_step);
    const int carry = is_nested && inner >= inner_size;
    if (carry) {
      inner -= inner_size;
      thread_advance(&at, p.step[0], -inner_size);
    }
    if (carry || (is_nested && is_wide)) thread_box_carry(p, b, digit, carry, index, &at);
  }
}

#endif
