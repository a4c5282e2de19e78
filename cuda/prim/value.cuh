/* cuda/prim/value.cuh: 16 elements that share a scale to the values of their codes, in the fewest steps that give the bits
 * of mfqn_fake, and into memory.
 *
 * Ties to even need no codes: bf16 to minifloats, two at a time, as in encode.cuh, but for what was added: it is taken
 * away as a number, which leaves the value, scaled already. Others are rounded likewise one at a time, in float32. Codes
 * are made and decoded for stochastic rounding, and where the even code is not the even number of steps. Groups for which
 * this does not hold take mfqn_fake itself. */
#ifndef MFQ_CUDA_PRIM_VALUE_CUH
#define MFQ_CUDA_PRIM_VALUE_CUH

#include <mfq/num/value.h>

#include "decode.cuh"
#include "element.cuh"
#include "encode.cuh"

/* 2^23 steps of what is not larger are numbers, whatever the mantissa. */
#define VALUE_LIMIT 0x1p104f

/* What values need beyond an encoder. */
typedef struct valuer {
  uint32_t limit;      /* the largest value of a minifloat, as float32 bits; the exponent of a scale is added */
  uint32_t zero_sign;  /* what zeros keep of their sign */
  uint32_t safe_scale; /* with larger ones values or their steps may be no numbers of float32 or of the target */
  int32_t dtype;       /* of the target: ELEMENT_* */
  number_fields number;
} valuer;

/* Whether values come from codes. */
static inline int valuer_needs_codes(const encoder *e) {
  const mfqn_scheme *s = &e->scheme;
  const int is_wide = e->steps == STEPS_DIVIDED && mfqn_safe_scale(s, VALUE_LIMIT) < mfqn_bits(1.0f);
  return e->is_drawn || is_wide || (!s->is_integer && s->minifloat.man_bits == 0);
}

static inline valuer valuer_of(const encoder *e, int32_t dtype) {
  const mfqn_scheme *s = &e->scheme;
  const mfqn_minifloat *f = &s->minifloat;
  valuer v = {};
  v.dtype = dtype;
  v.safe_scale = mfqn_safe_scale(s, dtype == ELEMENT_F16 ? MFQN_MAX_F16 : VALUE_LIMIT);
  v.number = number_fields_of(s, f->sign_bit - 1u);
  if (s->is_integer) return v;
  v.limit = mfqn_minifloat_limit(f, 0);
  v.zero_sign = (s->is_brevitas ? ~0u : f->neg_zero_mask) & 0x80000000u;
  return v;
}

/* Values as they stand in memory: two halves in a word, or one float32. */
typedef struct values16 {
  uint32_t word[CHUNK];
} values16;

/* ---- Two bf16 at a time ------------------------------------------------------------------------------------------ */

/* `most`: the largest value twice, with its scale. */
template <int NEG_ZERO>
__device__ __forceinline__ uint32_t thread_round_pair(uint32_t x, const packed_format &p, uint32_t most) {
  const uint32_t power = ptx_bf16x2_max(x & 0x7f807f80u, p.least), added = power + p.raise;
  const uint32_t rounded = ptx_bf16x2_add(ptx_bf16x2_add(x & 0x7fff7fffu, added), added | 0x80008000u);
  const uint32_t value = ptx_bf16x2_min(rounded, most);
  const uint32_t signs = NEG_ZERO ? x : x & (value + 0x7fff7fffu);
  return value | (signs & 0x80008000u);
}

template <int NEG_ZERO>
__device__ __forceinline__ values16 thread_round_packed(const chunk<ELEMENT_BF16> &x, const packed_format &p,
                                                        uint32_t most) {
  values16 y = {};
#pragma unroll
  for (int k = 0; k < CHUNK / 2; ++k) y.word[k] = thread_round_pair<NEG_ZERO>(x.word[k], p, most);
  return y;
}

/* ---- One at a time, as float32 ----------------------------------------------------------------------------------- */

__device__ __forceinline__ uint32_t thread_scale_value(float value, const mfqn_group &g) {
  return mfqn_bits(mfqn_mul(mfqn_mul(value, g.scale), g.tensor_scale)); /* which is 1 but for UE4M3 */
}

/* What `value_of` makes of each element's float32 bits. */
template <int DTYPE, class ValueOf>
__device__ __forceinline__ values16 thread_value_each(const chunk<DTYPE> &x, ValueOf value_of) {
  values16 y;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) y.word[i] = value_of(thread_element(x, i));
  return y;
}

template <int DTYPE>
__device__ __forceinline__ values16 thread_round_minifloat(const encoder &e, const valuer &v, const chunk<DTYPE> &x,
                                                           const mfqn_group &g) {
  const mfqn_minifloat *f = &e.scheme.minifloat;
  const int32_t exp2 = e.steps == STEPS_DIVIDED ? 0 : g.exp2;
  const mfqn_central c = mfqn_central_of(f, exp2);
  const uint32_t limit = v.limit + ((uint32_t)exp2 << 23);
  if (e.steps == STEPS_DIVIDED)
    return thread_value_each(
        x,
        [&](uint32_t u) {
          const uint32_t t = mfqn_bits(mfqn_div(mfqn_float_of(u), g.divisor));
          const float value = mfqn_float_of(mfqn_minifloat_value_central(t, f, c, limit, v.zero_sign));
          return thread_scale_value(value, g);
        });
  return thread_value_each(x, [&](uint32_t u) { return mfqn_minifloat_value_central(u, f, c, limit, v.zero_sign); });
}

template <int DTYPE>
__device__ __forceinline__ values16 thread_round_integer(const encoder &e, const chunk<DTYPE> &x, const mfqn_group &g) {
  const mfqn_integer *f = &e.scheme.integer;
  const int is_divided = e.steps == STEPS_INTEGER_DIVIDED;
  const float power = mfqn_float_of((uint32_t)(127 + f->frac_bits - (is_divided ? 0 : g.exp2)) << 23);
  const float step = mfqn_float_of((uint32_t)(127 - f->frac_bits) << 23), zero_point = (float)g.zero_point;
  const float lowest = (float)f->lowest, highest = (float)f->highest;
  if (e.scheme.is_brevitas)
    return thread_value_each(x, [&](uint32_t u) {
      const float t = mfqn_div(mfqn_float_of(u), g.divisor);
      return thread_scale_value(mfqn_brevitas_integer_central(t, zero_point, lowest, highest), g);
    });
  if (e.scheme.has_zero_point)
    return thread_value_each(x, [&](uint32_t u) {
      const float t = mfqn_div(mfqn_float_of(u), g.divisor);
      return thread_scale_value(mfqn_integer_sum_value_central(t, zero_point, f), g);
    });
  return thread_value_each(x, [&](uint32_t u) {
    const float t = is_divided ? mfqn_div(mfqn_float_of(u), g.divisor) : mfqn_float_of(u);
    return thread_scale_value(mfqn_mul(mfqn_integer_value_central(mfqn_mul(t, power), f), step), g);
  });
}

__device__ __forceinline__ values16 thread_values_of_codes(const encoder &e, const valuer &v, const codes16 &codes,
                                                           const mfqn_group &g) {
  values16 y;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const float number = thread_number(v.number, e.scheme, thread_byte(codes, i), g.zero_point);
    y.word[i] = thread_scale_value(number, g);
  }
  return y;
}

/* ---- To the target's dtype --------------------------------------------------------------------------------------- */

/* Of numbers below the safe scale's. */
__device__ __forceinline__ values16 thread_narrow(const values16 &y, int dtype) {
  if (dtype == ELEMENT_F32) return y;
  values16 halves = {};
#pragma unroll
  for (int k = 0; k < CHUNK / 2; ++k) {
    const float low = mfqn_float_of(y.word[2 * k]), high = mfqn_float_of(y.word[2 * k + 1]);
    halves.word[k] = dtype == ELEMENT_BF16 ? ptx_bf16x2_from_f32(low, high) : ptx_f16x2_from_f32(low, high);
  }
  return halves;
}

__device__ __forceinline__ values16 thread_widen_packed(const values16 &y) {
  values16 wide;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) wide.word[i] = i % 2 == 0 ? y.word[i / 2] << 16 : y.word[i / 2] & 0xffff0000u;
  return wide;
}

/* Any group, in a loop that is not unrolled: it is rare. `fraction` is asked for the random bits of each element. */
template <int DTYPE, class Fraction>
__device__ __forceinline__ values16 thread_fake_rare(const mfqn_scheme *s, chunk<DTYPE> x, const mfqn_group &g,
                                                     int dtype, Fraction fraction) {
  values16 y = {};
#pragma unroll 1
  for (int i = 0; i < CHUNK; ++i) {
    const uint32_t value = mfqn_fake(s, &g, thread_pop(&x), fraction());
    const uint32_t half = dtype == ELEMENT_BF16 ? mfqn_bf16_limited(value) : mfqn_f16_limited(value);
    const int is_wide = dtype == ELEMENT_F32;
#pragma unroll
    for (int k = 0; k < CHUNK; ++k) {
      const uint32_t next = k + 1 < CHUNK ? y.word[k + 1] : value;
      const uint32_t below = k + 1 < CHUNK / 2 ? y.word[k + 1] : half;
      y.word[k] = is_wide ? next : k < CHUNK / 2 ? y.word[k] >> 16 | below << 16 : 0u;
    }
  }
  return y;
}

/* Whether the short steps hold for a group; `absmax` as in thread_is_short. */
template <int BY_CODES>
__device__ __forceinline__ int thread_is_short_value(const encoder &e, const valuer &v, const mfqn_group &g,
                                                     uint32_t absmax) {
  if (!g.usable || (mfqn_bits(g.divisor) & MFQN_ABS) > v.safe_scale) return 0;
  if constexpr (BY_CODES) {
    if (e.is_drawn) return thread_is_short_drawn(e, g, absmax);
  }
  return thread_is_short(e, g, absmax);
}

/* The values of a chunk whose elements all belong to `g`, in dtype TO, or, where that is 0, in the valuer's. BY_CODES: as
 * valuer_needs_codes says; `draw` is asked for random bits where rounding is stochastic. */
template <int BY_CODES, int TO, int DTYPE, class Draw>
__device__ __forceinline__ values16 thread_fake(const encoder &e, const valuer &v, const chunk<DTYPE> &x,
                                                const mfqn_group &g, uint32_t absmax, Draw draw) {
  const int dtype = TO != 0 ? TO : v.dtype;
  drawn16 drawn = {};
  if constexpr (BY_CODES) {
    if (e.is_drawn) drawn = draw();
  }
  if (!thread_is_short_value<BY_CODES>(e, v, g, absmax))
    return thread_fake_rare(&e.scheme, x, g, dtype,
                            [&] { return BY_CODES && e.is_drawn ? thread_pop_fraction(&drawn) : 0u; });
  if constexpr (BY_CODES) {
    const codes16 codes = e.is_drawn ? thread_encode_drawn(e, x, g, absmax, drawn) : thread_encode(e, x, g, absmax);
    return thread_narrow(thread_values_of_codes(e, v, codes, g), dtype);
  }
  if constexpr (DTYPE == ELEMENT_BF16) {
    if (e.steps == STEPS_PACKED) {
      const packed_format p = thread_packed_format(&e.scheme.minifloat, g.exp2);
      const uint32_t most = ((v.limit + ((uint32_t)g.exp2 << 23)) >> 16) * 0x00010001u;
      const values16 y = v.zero_sign ? thread_round_packed<1>(x, p, most) : thread_round_packed<0>(x, p, most);
      return dtype == ELEMENT_BF16 ? y : thread_narrow(thread_widen_packed(y), dtype);
    }
  }
  return thread_narrow(e.scheme.is_integer ? thread_round_integer(e, x, g) : thread_round_minifloat(e, v, x, g), dtype);
}

/* Writes the first `count` values at `to`. `is_aligned`: that is a multiple of 16 bytes. */
__device__ __forceinline__ void thread_store_values(uint8_t *to, const values16 &y, int dtype, int count,
                                                    int is_aligned) {
  const int is_wide = dtype == ELEMENT_F32;
  if (is_aligned && count == CHUNK) {
#pragma unroll
    for (int k = 0; k < CHUNK; k += 4)
      if (k < CHUNK / 2 || is_wide)
        ptx_store<uint4>(to + 4 * k, make_uint4(y.word[k], y.word[k + 1], y.word[k + 2], y.word[k + 3]));
    return;
  }
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    if (i >= count) continue;
    if (is_wide)
      ptx_store<uint32_t>(to + 4 * i, y.word[i]);
    else
      ptx_store<uint16_t>(to + 2 * i, (uint16_t)(y.word[i / 2] >> i % 2 * 16));
  }
}

#endif
