/* cuda/product/implicit_unit.cuh: 16 neighbours of an operand of a convolution, from memory to bf16.
 *
 * Fast where they are neighbours in memory too, as channels are in channels-last tensors: a unit is loaded in words
 * (thread_fetch_unit) and widened later (thread_unit_words), so that loads can be under way meanwhile. Everything else
 * comes one element at a time. */
#ifndef MFQ_CUDA_CONV_IMPLICIT_UNIT_CUH
#define MFQ_CUDA_CONV_IMPLICIT_UNIT_CUH

#include "cuda/prim/widen.cuh"
#include "cuda/conv/conv_side.cuh"

enum { IMPLICIT_UNIT = 16 };

enum implicit_source {
  IMPLICIT_ELEMENTS, /* one at a time, rounded to bf16 where it does not hold them */
  IMPLICIT_BF16,     /* as they are; 16 bytes at once */
  IMPLICIT_CODES     /* words of codes */
};

/* What multiplies the elements of a unit beside the widening itself. */
enum implicit_scales {
  IMPLICIT_NO_SCALE,
  IMPLICIT_ONE_SCALE,  /* of the format's kind, and perhaps a zero point */
  IMPLICIT_EACH_UE8M0, /* 16 neighbouring bytes */
  IMPLICIT_EACH_UE4M3
};

/* An operand; made by mfq_cuda_implicit_side. */
typedef struct implicit_side {
  conv_side side;
  widen_format format;
  int32_t source, scales;
  int32_t unit_axis;  /* along which a unit's elements are: the channels, or axis 0 of w */
  int32_t run_log2;   /* of elements along it that share a scale; -1: no power of two */
  int32_t has_scales; /* indices of scales are needed */
  int32_t is_padded;  /* units that end behind the last channel may be loaded whole */
} implicit_side;

/* Codes with their scales (word 4 on) and zero point (word 5) as they came, or 16 bf16. */
typedef struct implicit_unit {
  uint32_t word[8];
  int32_t codes; /* how many of the 16 exist and are to be widened; 0: the words are bf16 */
} implicit_unit;

__device__ __forceinline__ int64_t thread_scale_step(const conv_side &s, int axis, int64_t index) {
  const divisor64 &run = s.scale_run[axis];
  return (run.value == 1 ? index : thread_divide(index, run)) * s.scale_stride[axis];
}

/* `from` moved along an axis on which it was at 0. */
__device__ __forceinline__ side_row thread_unit_step(const implicit_side &s, side_row from, int axis, int64_t index) {
  from.at += index * s.side.stride[axis];
  if (s.has_scales) from.scale += thread_scale_step(s.side, axis, index);
  return from;
}

__device__ __forceinline__ void thread_load_code_words(const uint8_t *from, int32_t bits, uint32_t *word) {
  if (bits == 8) {
    const uint4 v = ptx_load<uint4>(from);
    word[0] = v.x;
    word[1] = v.y;
    word[2] = v.z;
    word[3] = v.w;
  } else if (bits == 4) {
    const uint2 v = ptx_load<uint2>(from);
    word[0] = v.x;
    word[1] = v.y;
  } else {
#pragma unroll
    for (int i = 0; i < 3; ++i) word[i] = ptx_load<uint32_t>(from + 4 * i);
  }
}

/* Elements one at a time, bf16 at once. */
__device__ __forceinline__ void thread_fetch_elements(const implicit_side &s, const side_row &place, int32_t first,
                                                      int32_t count, implicit_unit *u) {
#pragma unroll 1
  for (int32_t i = 0; i < IMPLICIT_UNIT; ++i) {
    uint32_t half = 0;
    if (i < count) half = thread_conv_bf16(s.side, thread_unit_step(s, place, s.unit_axis, first + i));
#pragma unroll
    for (int k = 0; k < 7; ++k) u->word[k] = u->word[k] >> 16 | u->word[k + 1] << 16;
    u->word[7] = u->word[7] >> 16 | half << 16;
  }
}

__device__ __forceinline__ void thread_fetch_scales(const implicit_side &s, int64_t scale, implicit_unit *u) {
  if (s.scales == IMPLICIT_ONE_SCALE) {
    const scale_slots &slots = s.side.part.slots;
    u->word[4] = s.format.scale == MFQN_SCALE_NONE ? 127u : thread_slot_load(slots, thread_slot_place(slots, scale));
    if (s.format.has_zero_point) u->word[5] = (uint32_t)thread_side_zero_point(s.side.part, scale);
    return;
  }
  const uint4 v = ptx_load<uint4>(s.side.part.slots.scales + scale);
  u->word[4] = v.x;
  u->word[5] = v.y;
  u->word[6] = v.z;
  u->word[7] = v.w;
}

/* What thread_scale_step is along the unit's axis. */
__device__ __forceinline__ int64_t thread_unit_scale(const implicit_side &s, int32_t index) {
  if (s.run_log2 < 0) return thread_scale_step(s.side, s.unit_axis, index);
  return (index >> s.run_log2) * s.side.scale_stride[s.unit_axis];
}

/* Starts the loads of `count` (0 ... 16) elements from `first` on along the unit's axis; the others are 0. `place` is
 * where the element 0 of that axis is. */
__device__ __forceinline__ void thread_fetch_unit(const implicit_side &s, const side_row &place, int32_t first,
                                                  int32_t count, implicit_unit *u) {
  u->codes = 0;
  if (count <= 0) {
#pragma unroll
    for (int i = 0; i < 8; ++i) u->word[i] = 0;
    return;
  }
  if (s.source == IMPLICIT_ELEMENTS || (count < IMPLICIT_UNIT && !s.is_padded)) {
    thread_fetch_elements(s, place, first, count, u);
    return;
  }
  const int64_t at = place.at + first * s.side.stride[s.unit_axis];
  if (s.source == IMPLICIT_BF16) {
    const uint8_t *from = s.side.part.plain.data + at * 2;
    thread_load_code_words(from, 8, u->word);
    thread_load_code_words(from + 16, 8, u->word + 4);
    return;
  }
  thread_load_code_words(s.side.part.codes + (at >> 3), s.format.bits, u->word);
  if (s.scales != IMPLICIT_NO_SCALE) thread_fetch_scales(s, place.scale + thread_unit_scale(s, first), u);
  u->codes = count;
}

/* Two powers of two, which are bytes 0 and 1 of `stored`, as bf16. */
__device__ __forceinline__ uint32_t thread_two_powers(uint32_t stored) {
  const uint32_t low = stored & 0xffu, high = stored >> 8 & 0xffu;
  uint32_t two = low << 7 | high << 23;
  if (low == 0u) two |= 0x40u; /* 2^-127 */
  if (high == 0u) two |= 0x400000u;
  if (low == 255u) two |= 0x7fffu;
  if (high == 255u) two |= 0x7fff0000u;
  return two;
}

__device__ __forceinline__ uint32_t thread_two_small_floats(uint32_t stored) {
  return mfqn_ue4m3_value(stored & 0xffu) >> 16 | (mfqn_ue4m3_value(stored >> 8 & 0xffu) & 0xffff0000u);
}

/* Times a scale for each. */
__device__ __forceinline__ void thread_scale_each(int32_t scales, int32_t is_vast, const uint32_t *stored, widen16 *t) {
#pragma unroll
  for (int p = 0; p < 8; ++p) {
    const uint32_t two = stored[p / 2] >> p % 2 * 16 & 0xffffu;
    const uint32_t by = scales == IMPLICIT_EACH_UE8M0 ? thread_two_powers(two) : thread_two_small_floats(two);
    const uint32_t product = ptx_bf16x2_multiply(t->word[p], by);
    t->word[p] = is_vast ? thread_limit_pair(product, t->word[p], by) : product;
  }
}

/* The unit as 16 bf16, the first one low. */
__device__ __forceinline__ widen16 thread_unit_words(const implicit_side &s, const implicit_unit &u) {
  widen16 t;
  if (u.codes == 0) {
#pragma unroll
    for (int i = 0; i < 8; ++i) t.word[i] = u.word[i];
    return t;
  }
  t = s.format.bits == 8   ? thread_pairs_in_order<8>(u.word)
      : s.format.bits == 4 ? thread_pairs_in_order<4>(u.word)
                           : thread_pairs_in_order<6>(u.word);
  widen_scale scale = thread_widen_scale(s.format, s.scales == IMPLICIT_ONE_SCALE ? u.word[4] : 127u);
  if (s.format.has_zero_point) thread_widen_zero_point(&scale, (int32_t)u.word[5]);
  thread_widen<8, 1>(s.format, &scale, &t); /* which takes every format */
  if (s.scales >= IMPLICIT_EACH_UE8M0) thread_scale_each(s.scales, s.format.is_vast, u.word + 4, &t);
  if (u.codes < IMPLICIT_UNIT) {
#pragma unroll
    for (int p = 0; p < 8; ++p) {
      if (2 * p >= u.codes) t.word[p] = 0;
      if (2 * p + 1 == u.codes) t.word[p] &= 0xffffu;
    }
  }
  return t;
}

#endif
