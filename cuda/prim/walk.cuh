/* cuda/prim/walk.cuh: from the number of a code to its element, its scale and whatever else is linear in its indices.
 *
 * Codes are numbered in the order they are stored. Axes that continue each other are merged on the host, so that most
 * tensors have one or two; finding an element then costs a few multiplications, and neighbouring threads take
 * neighbouring elements. */
#ifndef MFQ_CUDA_PRIM_WALK_CUH
#define MFQ_CUDA_PRIM_WALK_CUH

#include "divide.cuh"

enum { WALK_MAX_RANK = 8 };

/* What is linear in the indices: two places in memory (elements, or bits of codes) and the number of the element in the
 * tensor's own order. */
typedef struct linear {
  int64_t offset, other, logical;
} linear;

__device__ __forceinline__ void thread_advance(linear *at, const linear &step, int64_t n) {
  at->offset += n * step.offset;
  at->other += n * step.other;
  at->logical += n * step.logical;
}

typedef struct walk_axis {
  divisor64 size, run; /* indices, and how many of them share a scale */
  int64_t limit;       /* indices from here on are padding */
  int64_t scale;       /* from one run's scale to the next */
  linear step;
} walk_axis;

typedef struct walk_plan {
  int32_t rank;                  /* >= 1 */
  int64_t count;                 /* codes */
  walk_axis axis[WALK_MAX_RANK]; /* the innermost first */
} walk_plan;

typedef struct walk_place {
  int64_t number, scale;
  linear at;
  int64_t index, in_run; /* along the innermost axis */
  int32_t is_padding;
} walk_place;

__device__ __forceinline__ walk_place thread_walk_at(const walk_plan &p, int64_t number) {
  walk_place w = {number, 0, {0, 0, 0}, 0, 0, 0};
  int64_t rest = number;
#pragma unroll 1
  for (int32_t k = 0; k < p.rank; ++k) {
    const walk_axis &axis = p.axis[k];
    const int64_t next = k + 1 < p.rank ? thread_divide(rest, axis.size) : 0;
    const int64_t index = rest - next * (int64_t)axis.size.value, run = thread_divide(index, axis.run);
    thread_advance(&w.at, axis.step, index);
    w.scale += run * axis.scale;
    w.is_padding |= index >= axis.limit;
    if (k == 0) {
      w.index = index;
      w.in_run = index - run * (int64_t)axis.run.value;
    }
    rest = next;
  }
  return w;
}

/* On to the next code, if there is one. Does not keep `is_padding`. */
__device__ __forceinline__ void thread_walk_next(const walk_plan &p, walk_place *w) {
  const walk_axis &axis = p.axis[0];
  if (w->index + 1 >= (int64_t)axis.size.value) {
    *w = thread_walk_at(p, w->number + 1);
    return;
  }
  ++w->number;
  ++w->index;
  thread_advance(&w->at, axis.step, 1);
  if (++w->in_run == (int64_t)axis.run.value) {
    w->in_run = 0;
    w->scale += axis.scale;
  }
}

#endif
