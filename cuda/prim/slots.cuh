/* cuda/prim/slots.cuh: scales, zero points and the tensor scale in memory, in their formats and orders. */
#ifndef MFQ_CUDA_PRIM_SLOTS_CUH
#define MFQ_CUDA_PRIM_SLOTS_CUH

#include <mfq/num/group.h>
#include <mfq/num/pack.h>

#include "divide.cuh"

/* The place of a scale is its index in the scale shape, or its byte in the 128x4 order. Zero points stand by index. */
typedef struct scale_slots {
  uint8_t *scales;      /* NULL: there are none */
  uint8_t *zero_points; /* NULL: there are none */
  float *tensor_scale;  /* NULL: it is 1 */
  int32_t bytes;        /* of a scale */
  int32_t is_tiled;     /* the 128x4 order: rows of `groups` scales, a row for each index beside the group's axis */
  divisor64 groups, inner;
} scale_slots;

/* The place of the scale with this index, which is scale `group` of tile row `row`. */
__device__ __forceinline__ int64_t thread_slot_index(const scale_slots &slots, int64_t index, int64_t row,
                                                     int64_t group) {
  return slots.is_tiled ? mfqn_scale_128x4(row, group, (int64_t)slots.groups.value) : index;
}

/* The same when only the index is known. */
__device__ __forceinline__ int64_t thread_slot_place(const scale_slots &slots, int64_t index) {
  if (!slots.is_tiled) return index;
  const int64_t line = thread_divide(index, slots.inner), outer = thread_divide(line, slots.groups);
  const int64_t inner = (int64_t)slots.inner.value, groups = (int64_t)slots.groups.value;
  return mfqn_scale_128x4(outer * inner + (index - line * inner), line - outer * groups, groups);
}

__device__ __forceinline__ void thread_slot_store(const scale_slots &slots, int64_t place, uint32_t stored) {
  uint8_t *at = slots.scales + place * slots.bytes;
  if (slots.bytes == 4) ptx_store<uint32_t>(at, stored);
  if (slots.bytes == 2) ptx_store<uint16_t>(at, (uint16_t)stored);
  if (slots.bytes == 1) ptx_store<uint8_t>(at, (uint8_t)stored);
}

/* The scale as stored; 0 where there are none. */
__device__ __forceinline__ uint32_t thread_slot_load(const scale_slots &slots, int64_t place) {
  if (!slots.scales) return 0;
  const uint8_t *at = slots.scales + place * slots.bytes;
  if (slots.bytes == 4) return ptx_load<uint32_t>(at);
  return slots.bytes == 2 ? ptx_load<uint16_t>(at) : ptx_load<uint8_t>(at);
}

__device__ __forceinline__ void thread_zero_point_store(const scale_slots &slots, const mfqn_scheme &s, int64_t index,
                                                        int32_t zero_point) {
  if (slots.zero_points && s.zero_is_float) ptx_store<uint32_t>(slots.zero_points + index * 4, (uint32_t)zero_point);
  if (slots.zero_points && !s.zero_is_float)
    ptx_store<uint8_t>(slots.zero_points + index, (uint8_t)mfqn_integer_code(zero_point, &s.integer));
}

/* As an integer, not a code, or the bits of a float; 0 where there are none. */
__device__ __forceinline__ int32_t thread_zero_point_load(const scale_slots &slots, const mfqn_scheme &s,
                                                          int64_t index) {
  if (s.zero_is_float) return slots.zero_points ? (int32_t)ptx_load<uint32_t>(slots.zero_points + index * 4) : 0;
  return slots.zero_points ? mfqn_integer_value(ptx_load<uint8_t>(slots.zero_points + index), &s.integer) : 0;
}

__device__ __forceinline__ float thread_tensor_scale(const scale_slots &slots) {
  return slots.tensor_scale ? mfqn_float_of(ptx_load<uint32_t>(slots.tensor_scale)) : 1.0f;
}

/* The group of a stored scale. `place` is its index too: not for the 128x4 order with zero points. */
__device__ __forceinline__ mfqn_group thread_slot_group(const scale_slots &slots, const mfqn_scheme &s, int64_t place) {
  mfqn_group g = mfqn_group_load(&s, thread_slot_load(slots, place), thread_tensor_scale(slots));
  g.zero_point = thread_zero_point_load(slots, s, place);
  return g;
}

/* The group of the stored scale with this index, whatever the order. */
__device__ __forceinline__ mfqn_group thread_stored_group(const scale_slots &slots, const mfqn_scheme &s, int64_t index,
                                                          float tensor_scale) {
  mfqn_group g = mfqn_group_load(&s, thread_slot_load(slots, thread_slot_place(slots, index)), tensor_scale);
  g.zero_point = thread_zero_point_load(slots, s, index);
  return g;
}

#endif
