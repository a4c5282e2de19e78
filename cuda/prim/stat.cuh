/* cuda/prim/stat.cuh: the statistic of each scale: measured by one thread, or collected by many in a slot.
 *
 * A slot is three words, each the largest of unsigned keys and 0 at first, so that one atomic instruction merges and
 * one memset resets them: the bits of the largest magnitude, the key of the largest element, and the inverted key of
 * the smallest. The order of merging leaves no trace: keys have the order of the floats, but for -0 below +0, and no
 * scale or zero point depends on the sign of a zero limit. NaN has no place among the limits, as in
 * mfqn_statistic_add; it shows in the magnitude, which lies above infinity. */
#ifndef MFQ_CUDA_PRIM_STAT_CUH
#define MFQ_CUDA_PRIM_STAT_CUH

#include <mfq/num/group.h>

#include "box.cuh"
#include "rotation.cuh"

enum { STAT_SLOT_WORDS = 3 };

/* Where statistics come from. */
typedef struct statistics {
  uint32_t *slots;  /* NULL: whoever asks for a statistic measures it */
  rotated_view src; /* without slots */
  box_plan boxes;
  int64_t count;
  int32_t pads_short;             /* short groups count a zero: Brevitas pads them */
  divisor64 groups_inner, groups; /* scales behind the group's axis, groups along it */
} statistics;

__device__ __forceinline__ uint32_t thread_order_key(float x) {
  const uint32_t u = mfqn_bits(x);
  return u >> 31 ? ~u : u | 0x80000000u;
}

__device__ __forceinline__ float thread_of_order_key(uint32_t key) {
  return mfqn_float_of(key >> 31 ? key & MFQN_ABS : ~key);
}

/* Merges a statistic into slot `index`. */
__device__ __forceinline__ void thread_stat_merge(uint32_t *slots, int64_t index, const mfqn_statistic &s, int minmax) {
  uint32_t *slot = slots + index * STAT_SLOT_WORDS;
  ptx_atomic_max(slot, s.absmax);
  if (!minmax) return;
  ptx_atomic_max(slot + 1, thread_order_key(s.hi));
  ptx_atomic_max(slot + 2, ~thread_order_key(s.lo));
}

/* A statistic whose parts the lanes of a warp have. */
__device__ __forceinline__ mfqn_statistic warp_stat_reduce(const mfqn_statistic &s, int minmax) {
  const uint32_t all = 0xffffffffu;
  mfqn_statistic merged = s;
  merged.absmax = ptx_reduce_max(all, s.absmax);
  if (!minmax) return merged;
  merged.hi = thread_of_order_key(ptx_reduce_max(all, thread_order_key(s.hi)));
  merged.lo = thread_of_order_key(~ptx_reduce_max(all, ~thread_order_key(s.lo)));
  return merged;
}

/* The same for a whole warp whose lanes have parts of one statistic. */
__device__ __forceinline__ void warp_stat_merge(uint32_t *slots, int64_t index, const mfqn_statistic &s, int minmax) {
  const mfqn_statistic merged = warp_stat_reduce(s, minmax);
  if (threadIdx.x % 32 == 0) thread_stat_merge(slots, index, merged, minmax);
}

__device__ __forceinline__ mfqn_statistic thread_stat_load(const uint32_t *slots, int64_t index, int minmax) {
  const uint32_t *slot = slots + index * STAT_SLOT_WORDS;
  mfqn_statistic s = mfqn_statistic_none();
  s.absmax = ptx_load<uint32_t>(slot);
  if (!minmax) return s;
  const uint32_t hi = ptx_load<uint32_t>(slot + 1), lo = ptx_load<uint32_t>(slot + 2);
  if (hi != 0) s.hi = thread_of_order_key(hi);
  if (lo != 0) s.lo = thread_of_order_key(~lo);
  return s;
}

/* The statistic of elements first, first + stride, ... of a box. */
__device__ __forceinline__ mfqn_statistic thread_stat_measure(const statistics &from, const box &b, int64_t first,
                                                              int64_t stride) {
  mfqn_statistic s = mfqn_statistic_none();
  thread_box_each(from.boxes, b, first, stride,
                  [&](const linear &at) { mfqn_statistic_add(&s, thread_load_rotated(from.src, at)); });
  return s;
}

__device__ __forceinline__ int thread_pads_group(const statistics &from, int64_t scale) {
  if (!from.pads_short) return 0;
  const int64_t groups = (int64_t)from.groups.value, line = thread_divide(scale, from.groups_inner);
  return line - thread_divide(line, from.groups) * groups == groups - 1;
}

/* The whole statistic of a scale. */
__device__ __forceinline__ mfqn_statistic thread_statistic(const statistics &from, const mfqn_scheme &s,
                                                           int64_t scale) {
  mfqn_statistic statistic;
  if (from.slots)
    statistic = thread_stat_load(from.slots, scale, s.minmax);
  else
    statistic = thread_stat_measure(from, thread_box_at(from.boxes, scale), 0, 1);
  if (thread_pads_group(from, scale)) mfqn_statistic_add(&statistic, 0);
  return statistic;
}

#endif
