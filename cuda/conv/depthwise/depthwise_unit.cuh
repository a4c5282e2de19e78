/* cuda/conv/depthwise/depthwise_unit.cuh: 8 neighbouring channels of an operand as float32: bf16, f16, f32, or codes of 4, 6 or 8
 * bits with a scale and zero point for the 8 or for each. A unit is loaded by one instruction (6 bits: three). */
#ifndef MFQ_CUDA_CONV_DEPTHWISE_UNIT_CUH
#define MFQ_CUDA_CONV_DEPTHWISE_UNIT_CUH

#include "cuda/prim/widen.cuh"
#include "cuda/conv/conv_side.cuh"

enum {
  DEPTHWISE_THREADS = 128,
  DEPTHWISE_RESIDENT = 3,            /* least blocks of a multiprocessor: 168 registers a thread */
  DEPTHWISE_CHANNELS = 8,            /* of a thread: 16 bytes of bf16 */
  DEPTHWISE_STRIP = 4,               /* neighbouring pixels of a thread: with 8 channels 32 sums in registers */
  DEPTHWISE_LANES = 32,              /* most threads side by side along the channels */
  DEPTHWISE_FILTER_BYTES = 40 << 10, /* most shared memory for a block's part of the filter */
  DEPTHWISE_BLOCKS = 8,              /* of a multiprocessor, so that blocks load their filters seldom */
  /* Gradient of the weight. */
  DEPTHWISE_TAPS = 3,         /* sums of a thread along the filter's last axis */
  DEPTHWISE_PART_STRIPS = 32, /* strips of a thread before its sums are stored */
  DEPTHWISE_PARTS = 2048      /* most blocks, so that partial sums stay few */
};

/* What a kernel is compiled for; the others are bits of a code. */
enum { DEPTHWISE_BF16 = 16, DEPTHWISE_PLAIN = 0 };

typedef struct depthwise_side {
  conv_side side;
  int32_t source;      /* DEPTHWISE_*, or 4, 6, 8 */
  widen_format format; /* without scale and zero point */
  int32_t is_bytes;    /* unsigned integers of 8 bits, which `format` does not have */
  float step;          /* of integers */
  uint32_t safe_scale; /* larger scales may make values that are to be limited */
  int32_t has_zero_point, has_scales;
  int64_t channel_scales; /* from one channel's scale to the next; 0: the 8 share one */
} depthwise_side;

/* f32 or f16. */
__device__ __forceinline__ void thread_plain_unit(const element_view &view, int64_t at, float *x) {
  if (view.dtype == ELEMENT_F32) {
    const uint4 a = ptx_load<uint4>(view.data + at * 4), b = ptx_load<uint4>(view.data + at * 4 + 16);
    const uint32_t word[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = mfqn_float_of(word[i]);
    return;
  }
  const uint4 v = ptx_load<uint4>(view.data + at * 2);
  const uint32_t word[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] = mfqn_float_of(mfqn_f32_from_f16(word[i / 2] >> 16 * (i % 2) & 0xffffu));
}

/* Pairs of bf16 as float32. */
__device__ __forceinline__ void thread_unpack_pairs(const uint32_t *pair, float *x) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = mfqn_float_of(pair[i] << 16);
    x[2 * i + 1] = mfqn_float_of(pair[i] & 0xffff0000u);
  }
}

/* The scale of a unit's group. Most are powers of two. */
__device__ __forceinline__ float thread_unit_scale(const depthwise_side &s, const side_row &place) {
  if (s.side.part.scheme.scale != MFQN_SCALE_UE8M0) return thread_side_group_scale(s.side.part, place.scale);
  const scale_slots &slots = s.side.part.slots;
  const uint32_t stored = thread_slot_load(slots, thread_slot_place(slots, place.scale));
  return mfqn_float_of(stored == 255u ? MFQN_NAN : stored == 0 ? 0x00400000u : stored << 23);
}

typedef struct depthwise_scale {
  float zero, scale;
} depthwise_scale;

__device__ __forceinline__ depthwise_scale thread_load_scale(const depthwise_side &s, const side_row &place) {
  depthwise_scale at = {0.0f, 1.0f};
  if (s.has_zero_point) at.zero = mfqn_mul((float)thread_side_zero_point(s.side.part, place.scale), s.step);
  if (s.has_scales) at.scale = thread_unit_scale(s, place);
  return at;
}

__device__ __forceinline__ float thread_scaled(const depthwise_side &s, const depthwise_scale &at, float x) {
  const float value = mfqn_sub(x, at.zero);
  const int is_vast = (mfqn_bits(at.scale) & MFQN_ABS) > s.safe_scale;
  return is_vast ? mfqn_mul_limited(value, at.scale) : mfqn_mul(value, at.scale);
}

/* Less zero points, times group scales. Where each channel has its own, values move past the one place that loads them:
 * eight such places would be most of the kernel's code. */
__device__ __forceinline__ void thread_scale_unit(const depthwise_side &s, side_row place, float *x) {
  if (s.channel_scales == 0) {
    const depthwise_scale at = thread_load_scale(s, place);
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = thread_scaled(s, at, x[i]);
    return;
  }
#pragma unroll 1
  for (int i = 0; i < 8; ++i, place.scale += s.channel_scales) {
    const float scaled = thread_scaled(s, thread_load_scale(s, place), x[0]);
#pragma unroll
    for (int k = 0; k < 7; ++k) x[k] = x[k + 1];
    x[7] = scaled;
  }
}

__device__ __forceinline__ void thread_byte_unit(const depthwise_side &s, const uint2 &codes, float *x) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const uint32_t byte = (i < 4 ? codes.x : codes.y) >> 8 * (i % 4) & 0xffu;
    x[i] = mfqn_mul(mfqn_sub(mfqn_float_of(0x4b000000u | byte), 8388608.0f), s.step); /* 2^23 + byte */
  }
}

template <int BITS> __device__ __forceinline__ void thread_code_unit(const depthwise_side &s, int64_t bit, float *x) {
  const uint8_t *from = s.side.part.codes + (bit >> 3);
  uint32_t stream[4] = {}; /* only the first half is used of what works on 16 codes */
  if constexpr (BITS == 8) {
    const uint2 v = ptx_load<uint2>(from);
    if (s.is_bytes) {
      thread_byte_unit(s, v, x);
      return;
    }
    stream[0] = v.x;
    stream[1] = v.y;
  } else if constexpr (BITS == 4) {
    stream[0] = ptx_load<uint32_t>(from);
  } else {
    stream[0] = ptx_load<uint16_t>(from) | (uint32_t)ptx_load<uint16_t>(from + 2) << 16;
    stream[1] = ptx_load<uint16_t>(from + 4);
  }
  widen16 t = thread_pairs_in_order<BITS>(stream);
  const widen_scale power = thread_widen_power(s.format, s.format.exp2);
  thread_widen<BITS, 1>(s.format, &power, &t);
  thread_unpack_pairs(t.word, x);
}

/* The 8 values from `place` on, group scales included and factors not. */
template <int SOURCE> __device__ __forceinline__ void thread_unit(const depthwise_side &s, side_row place, float *x) {
  if constexpr (SOURCE == DEPTHWISE_PLAIN) {
    thread_plain_unit(s.side.part.plain, place.at, x);
  } else if constexpr (SOURCE == DEPTHWISE_BF16) {
    const uint4 v = ptx_load<uint4>(s.side.part.plain.data + place.at * 2);
    const uint32_t pair[4] = {v.x, v.y, v.z, v.w};
    thread_unpack_pairs(pair, x);
  } else {
    thread_code_unit<SOURCE>(s, place.at, x);
    if (s.has_zero_point || s.has_scales) thread_scale_unit(s, place, x);
  }
}

/* The same for a source that the kernel learns when it runs. */
__device__ __forceinline__ void thread_any_unit(const depthwise_side &s, const side_row &place, float *x) {
  switch (s.source) {
    case DEPTHWISE_BF16: thread_unit<DEPTHWISE_BF16>(s, place, x); return;
    case 4: thread_code_unit<4>(s, place.at, x); break;
    case 6: thread_code_unit<6>(s, place.at, x); break;
    case 8: thread_code_unit<8>(s, place.at, x); break;
    default: thread_unit<DEPTHWISE_PLAIN>(s, place, x); return;
  }
  if (s.has_zero_point || s.has_scales) thread_scale_unit(s, place, x);
}

/* `from` moved along a spatial axis on which it was at 0. */
template <int SOURCE>
__device__ __forceinline__ side_row thread_unit_step(const depthwise_side &s, side_row from, int axis, int64_t index) {
  from.at += index * s.side.stride[axis];
  if constexpr (SOURCE != DEPTHWISE_PLAIN && SOURCE != DEPTHWISE_BF16)
    if (s.has_scales || s.has_zero_point)
      from.scale += thread_divide(index, s.side.scale_run[axis]) * s.side.scale_stride[axis];
  return from;
}

#endif
