/* cuda/product/unit.cuh: 16 neighbours of an operand, from memory to bf16: what feeds the matrix instructions.
 *
 * Fast where they are neighbours in memory too, as K of a packed matrix or channels of channels-last tensors are: a unit
 * is loaded in words (thread_fetch_unit) and widened later (thread_unit_words), so that loads can be under way
 * meanwhile. Everything else comes one element at a time. */
#ifndef MFQ_CUDA_PRODUCT_UNIT_CUH
#define MFQ_CUDA_PRODUCT_UNIT_CUH

#include "cuda/prim/codes.cuh"
#include "cuda/prim/widen.cuh"
#include "side.cuh"

enum { UNIT = 16 };

enum unit_source {
  UNIT_ELEMENTS, /* one at a time, rounded to bf16 where it does not hold them */
  UNIT_BF16,     /* as they are; 16 bytes at once */
  UNIT_CODES     /* words of codes */
};

/* What multiplies the elements of a unit beside the widening itself. */
enum unit_scales {
  UNIT_NO_SCALE,
  UNIT_ONE_SCALE,  /* of the format's kind, and perhaps a zero point */
  UNIT_EACH_UE8M0, /* 16 neighbouring bytes */
  UNIT_EACH_UE4M3
};

/* How an operand is read along one of its axes; made by mfq_cuda_unit_way. What the functions below call a Side is one
 * of these with the `part` that it reads. */
typedef struct unit_way {
  widen_format format;
  int32_t source, scales;
  int32_t has_scales; /* indices of scales are needed */
  int32_t is_padded;  /* units that end behind the last element may be loaded whole */
  int32_t run_log2;   /* of unit_run; -1: no power of two */
  int64_t unit_step;  /* from element to element: elements, or bits of codes */
  divisor64 unit_run; /* elements that share a scale, */
  int64_t scale_step; /* and from such a scale to the next */
} unit_way;

/* Codes with their scales (word 4 on) and zero point (word 5) as they came, or 16 bf16. */
typedef struct unit16 {
  uint32_t word[8];
  int32_t codes; /* how many of the 16 exist and are to be widened; 0: the words are bf16 */
} unit16;

/* What scales of elements are counted from where the first one's is. */
template <class Index> __device__ __forceinline__ int64_t thread_unit_scale(const unit_way &s, Index index) {
  if (s.run_log2 >= 0) return (index >> s.run_log2) * s.scale_step;
  return thread_divide(index, s.unit_run) * s.scale_step;
}

/* Elements one at a time, bf16 at once. */
template <class Side, class Index>
__device__ __forceinline__ void thread_fetch_elements(const Side &s, const side_row &place, Index first, int32_t count,
                                                      unit16 *u) {
#pragma unroll 1
  for (int32_t i = 0; i < UNIT; ++i) {
    uint32_t half = 0;
    if (i < count) {
      side_row at = {place.at + (first + i) * s.unit_step, place.scale};
      if (s.has_scales) at.scale += thread_unit_scale(s, first + i);
      half = mfqn_bf16_limited(thread_side_value(s.part, at, 0));
    }
#pragma unroll
    for (int k = 0; k < 7; ++k) u->word[k] = u->word[k] >> 16 | u->word[k + 1] << 16;
    u->word[7] = u->word[7] >> 16 | half << 16;
  }
}

template <class Side> __device__ __forceinline__ void thread_fetch_scales(const Side &s, int64_t scale, unit16 *u) {
  if (s.scales == UNIT_ONE_SCALE) {
    const scale_slots &slots = s.part.slots;
    u->word[4] = s.format.scale == MFQN_SCALE_NONE ? 127u : thread_slot_load(slots, thread_slot_place(slots, scale));
    if (s.format.has_zero_point) u->word[5] = (uint32_t)thread_side_zero_point(s.part, scale);
    return;
  }
  const uint4 v = ptx_load<uint4>(s.part.slots.scales + scale);
  u->word[4] = v.x;
  u->word[5] = v.y;
  u->word[6] = v.z;
  u->word[7] = v.w;
}

/* Starts the loads of `count` (0 ... 16) elements from `first` on; the others are 0. `place` is where element 0 of the
 * axis is. */
template <class Side, class Index>
__device__ __forceinline__ void thread_fetch_unit(const Side &s, const side_row &place, Index first, int32_t count,
                                                  unit16 *u) {
  u->codes = 0;
  if (count <= 0) {
#pragma unroll
    for (int i = 0; i < 8; ++i) u->word[i] = 0;
    return;
  }
  if (s.source == UNIT_ELEMENTS || (count < UNIT && !s.is_padded)) {
    thread_fetch_elements(s, place, first, count, u);
    return;
  }
  const int64_t at = place.at + first * s.unit_step;
  if (s.source == UNIT_BF16) {
    const uint8_t *from = s.part.plain.data + at * 2;
    thread_load_words(from, 8, u->word);
    thread_load_words(from + 16, 8, u->word + 4);
    return;
  }
  thread_load_words(s.part.codes + (at >> 3), s.format.bits, u->word);
  if (s.scales != UNIT_NO_SCALE) thread_fetch_scales(s, place.scale + thread_unit_scale(s, first), u);
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
    const uint32_t by = scales == UNIT_EACH_UE8M0 ? thread_two_powers(two) : thread_two_small_floats(two);
    const uint32_t product = ptx_bf16x2_multiply(t->word[p], by);
    t->word[p] = is_vast ? thread_limit_pair(product, t->word[p], by) : product;
  }
}

/* The unit as 16 bf16, the first one low. */
__device__ __forceinline__ widen16 thread_unit_words(const unit_way &s, const unit16 &u) {
  widen16 t;
  if (u.codes == 0) {
#pragma unroll
    for (int i = 0; i < 8; ++i) t.word[i] = u.word[i];
    return t;
  }
  t = s.format.bits == 8   ? thread_pairs_in_order<8>(u.word)
      : s.format.bits == 4 ? thread_pairs_in_order<4>(u.word)
                           : thread_pairs_in_order<6>(u.word);
  widen_scale scale = thread_widen_scale(s.format, s.scales == UNIT_ONE_SCALE ? u.word[4] : 127u);
  if (s.format.has_zero_point) thread_widen_zero_point(&scale, (int32_t)u.word[5]);
  thread_widen<8, 1>(s.format, &scale, &t); /* which takes every format */
  if (s.scales >= UNIT_EACH_UE8M0) thread_scale_each(s.scales, s.format.is_vast, u.word + 4, &t);
  if (u.codes < UNIT) {
#pragma unroll
    for (int p = 0; p < 8; ++p) {
      if (2 * p >= u.codes) t.word[p] = 0;
      if (2 * p + 1 == u.codes) t.word[p] &= 0xffffu;
    }
  }
  return t;
}

/* The same where 32 bytes are to be in memory. */
__device__ __forceinline__ void thread_store_unit(uint8_t *to, const widen16 &t) {
  ptx_store<uint4>(to, make_uint4(t.word[0], t.word[1], t.word[2], t.word[3]));
  ptx_store<uint4>(to + 16, make_uint4(t.word[4], t.word[5], t.word[6], t.word[7]));
}

#endif
