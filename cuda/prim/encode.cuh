/* cuda/prim/encode.cuh: 16 elements that share a scale to codes, in the fewest steps that give the bits of mfqn_encode.
 *
 * bf16 to minifloats, two at a time: adding 2^(7 - man_bits) of the larger of the element's and the format's smallest
 * power of two rounds at the format's step, because a bf16 has 8 significant bits; what was added, taken away again as
 * an integer, leaves the code. The scale is in the smallest power of two and costs nothing. Others go through the
 * central forms of num/, or with stochastic rounding the drawn ones. Groups at the ends of float32's range, with NaN or
 * infinities, take mfqn_encode itself. */
#ifndef MFQ_CUDA_PRIM_ENCODE_CUH
#define MFQ_CUDA_PRIM_ENCODE_CUH

#include <mfq/num/group.h>

#include "chunk.cuh"
#include "codes.cuh"
#include "random.cuh"

enum { STEPS_PACKED, STEPS_CENTRAL, STEPS_DIVIDED, STEPS_INTEGER, STEPS_INTEGER_DIVIDED, STEPS_NONE };

typedef struct encoder {
  mfqn_scheme scheme;
  int32_t steps, is_drawn; /* those of encoder_drawn_steps */
} encoder;

/* The steps that hold for a scheme and elements of a dtype; STEPS_NONE: only mfqn_encode does. Ties to even. */
static inline int32_t encoder_steps(const mfqn_scheme *s, int dtype) {
  const mfqn_minifloat *f = &s->minifloat;
  if (s->rounding != MFQN_ROUND_EVEN) return STEPS_NONE;
  if (s->is_integer) return mfqn_by_exponent(s) ? STEPS_INTEGER : STEPS_INTEGER_DIVIDED;
  const int saturates = f->overflow_code == f->max_code && (!s->is_brevitas || s->brevitas.beyond == 0);
  if (f->sign_bit == 0 || !saturates || (s->is_brevitas && f->man_bits == 0)) return STEPS_NONE;
  if (mfqn_by_exponent(s))
    return dtype == ELEMENT_BF16 && f->man_bits >= 1 && f->man_bits <= 6 ? STEPS_PACKED : STEPS_CENTRAL;
  /* Quotients by given scales may be infinite: the largest value must be below 2^121. */
  const int32_t top = (int32_t)(f->max_code >> f->man_bits) - f->bias;
  return mfqn_minifloat_is_central(f, 0) && top <= 120 ? STEPS_DIVIDED : STEPS_NONE;
}

/* Those of stochastic rounding, for thread_encode_drawn. */
static inline int32_t encoder_drawn_steps(const mfqn_scheme *s) {
  mfqn_scheme even = *s;
  if (s->rounding != MFQN_ROUND_STOCHASTIC || s->is_brevitas) return STEPS_NONE;
  if (!s->is_integer && s->minifloat.man_bits > 6) return STEPS_NONE;
  even.rounding = MFQN_ROUND_EVEN;
  const int32_t steps = encoder_steps(&even, ELEMENT_F32);
  const int is_central = mfqn_minifloat_is_central(&s->minifloat, -1 - MFQN_DRAWN_BITS);
  return steps == STEPS_DIVIDED && !is_central ? STEPS_NONE : steps;
}

/* ---- Two bf16 at a time ------------------------------------------------------------------------------------------ */

/* A format and a scale, for both halves of a word. */
typedef struct packed_format {
  uint32_t least; /* the smallest power of two whose code is normal */
  uint32_t raise; /* 7 - man_bits in the exponent fields */
  uint32_t most;  /* the largest code */
  uint32_t sign;
  int32_t shift, sign_shift;
} packed_format;

__device__ __forceinline__ packed_format thread_packed_format(const mfqn_minifloat *f, int32_t exp2) {
  const uint32_t both = 0x00010001u;
  packed_format p;
  p.least = (uint32_t)(128 - f->bias + exp2) * both << 7;
  p.raise = (uint32_t)(7 - f->man_bits) * both << 7;
  p.most = f->max_code * both;
  p.sign = f->sign_bit * both;
  p.shift = 7 - f->man_bits;
  p.sign_shift = f->sign_shift - 16;
  return p;
}

/* Whether all that is added stays a normal bf16; `absmax` is finite. */
__device__ __forceinline__ int thread_is_packed(const mfqn_minifloat *f, int32_t exp2, uint32_t absmax) {
  const int32_t least = 128 - f->bias + exp2, top = mfqn_max(least, (int32_t)(absmax >> 23));
  return least >= 1 && top + 7 - f->man_bits <= 254;
}

/* Codes of the halves of `x`, in the low bits of each half. */
template <int NEG_ZERO> __device__ __forceinline__ uint32_t thread_encode_pair(uint32_t x, const packed_format &p) {
  const uint32_t power = ptx_bf16x2_max(x & 0x7f807f80u, p.least), added = power + p.raise;
  const uint32_t rounded = ptx_bf16x2_add(x & 0x7fff7fffu, added) - added;
  const uint32_t code = ptx_bf16x2_min(rounded + ((power - p.least) >> p.shift), p.most); /* small: subnormal bf16 */
  const uint32_t signs = NEG_ZERO ? x : x & (code + 0x7fff7fffu);
  return code | (signs >> p.sign_shift & p.sign);
}

template <int NEG_ZERO>
__device__ __forceinline__ codes16 thread_encode_packed(const chunk<ELEMENT_BF16> &x, const packed_format &p) {
  codes16 c;
#pragma unroll
  for (int k = 0; k < 4; ++k)
    c.word[k] = ptx_permute(thread_encode_pair<NEG_ZERO>(x.word[2 * k], p),
                            thread_encode_pair<NEG_ZERO>(x.word[2 * k + 1], p), 0x6420u);
  return c;
}

/* ---- One at a time ----------------------------------------------------------------------------------------------- */

/* What `code_of` makes of each element's float32 bits and its place in the chunk. */
template <int DTYPE, class CodeOf>
__device__ __forceinline__ codes16 thread_encode_each(const chunk<DTYPE> &x, CodeOf code_of) {
  codes16 c;
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const auto code = [&](int i) { return code_of(thread_element(x, 4 * k + i), 4 * k + i); };
    const uint32_t low = code(0) | code(1) << 8, high = code(2) | code(3) << 8;
    c.word[k] = low | high << 16;
  }
  return c;
}

/* Any group, in a loop that is not unrolled: it is rare. `fraction` is asked for the random bits of each element. */
template <int DTYPE, class Fraction>
__device__ __forceinline__ codes16 thread_encode_rare(const mfqn_scheme *s, chunk<DTYPE> x, const mfqn_group &g,
                                                      Fraction fraction) {
  codes16 c = {{0u, 0u, 0u, 0u}};
#pragma unroll 1
  for (int i = 0; i < CHUNK; ++i) {
    const uint32_t code = mfqn_encode(s, &g, thread_pop(&x), fraction());
    for (int k = 0; k < 3; ++k) c.word[k] = c.word[k] >> 8 | c.word[k + 1] << 24;
    c.word[3] = c.word[3] >> 8 | code << 24;
  }
  return c;
}

template <int DTYPE>
__device__ __forceinline__ codes16 thread_encode_minifloat(const encoder &e, const chunk<DTYPE> &x,
                                                           const mfqn_group &g) {
  const mfqn_minifloat *f = &e.scheme.minifloat;
  const int neg_zero = f->neg_zero_mask != 0;
  const mfqn_central c = mfqn_central_of(f, e.steps == STEPS_DIVIDED ? 0 : g.exp2);
  if (e.steps == STEPS_DIVIDED) /* a quotient by a given scale may be infinite */
    return thread_encode_each(
        x,
        [&](uint32_t u, int) {
          const uint32_t v = mfqn_bits(mfqn_div(mfqn_float_of(u), g.divisor));
          return mfqn_minifloat_encode_central(v, f, c, 0, neg_zero);
        });
  return thread_encode_each(x, [&](uint32_t u, int) { return mfqn_minifloat_encode_central(u, f, c, 1, neg_zero); });
}

template <int DTYPE>
__device__ __forceinline__ codes16 thread_encode_integer(const encoder &e, const chunk<DTYPE> &x, const mfqn_group &g) {
  const mfqn_integer *f = &e.scheme.integer;
  const int is_divided = e.steps == STEPS_INTEGER_DIVIDED;
  const float power = mfqn_float_of((uint32_t)(127 + f->frac_bits - (is_divided ? 0 : g.exp2)) << 23);
  /* Brevitas adds zero points in float32 and then rounds; adding 0 changes nothing. */
  const float zero_point = (float)g.zero_point;
  const float before = e.scheme.is_brevitas ? zero_point : 0.0f, after = e.scheme.is_brevitas ? 0.0f : zero_point;
  if (is_divided)
    return thread_encode_each(
        x,
        [&](uint32_t u, int) {
          const float t = mfqn_add(mfqn_div(mfqn_float_of(u), g.divisor), before);
          return mfqn_integer_code(mfqn_integer_sum_central(mfqn_mul(t, power), after, f), f);
        });
  return thread_encode_each(
      x, [&](uint32_t u, int) { return mfqn_integer_encode_central(mfqn_mul(mfqn_float_of(u), power), f); });
}

/* Whether the short steps hold for a group; `absmax` is the largest magnitude of the elements to be encoded. */
__device__ __forceinline__ int thread_is_short(const encoder &e, const mfqn_group &g, uint32_t absmax) {
  const mfqn_scheme *s = &e.scheme;
  if (absmax >= MFQN_INF) return 0;
  switch (e.steps) {
    case STEPS_PACKED: return thread_is_packed(&s->minifloat, g.exp2, absmax);
    case STEPS_CENTRAL: return mfqn_minifloat_is_central(&s->minifloat, g.exp2);
    case STEPS_INTEGER: return mfqn_integer_is_central(&s->integer, g.exp2);
    case STEPS_DIVIDED: /* an infinite quotient is NaN in Brevitas */
      return !s->is_brevitas || (mfqn_bits(mfqn_div(mfqn_float_of(absmax), g.divisor)) & MFQN_ABS) < MFQN_INF;
    default: return 1;
  }
}

/* The codes of a chunk whose elements all belong to `g`. */
template <int DTYPE>
__device__ __forceinline__ codes16 thread_encode(const encoder &e, const chunk<DTYPE> &x, const mfqn_group &g,
                                                 uint32_t absmax) {
  if (!g.usable) return codes16{{0u, 0u, 0u, 0u}};
  if (!thread_is_short(e, g, absmax)) return thread_encode_rare(&e.scheme, x, g, [] { return 0u; });
  if constexpr (DTYPE == ELEMENT_BF16) {
    if (e.steps == STEPS_PACKED) {
      const packed_format p = thread_packed_format(&e.scheme.minifloat, g.exp2);
      return e.scheme.minifloat.neg_zero_mask != 0 ? thread_encode_packed<1>(x, p) : thread_encode_packed<0>(x, p);
    }
  }
  return e.scheme.is_integer ? thread_encode_integer(e, x, g) : thread_encode_minifloat(e, x, g);
}

/* ---- Stochastic rounding ----------------------------------------------------------------------------------------- */

template <int DTYPE>
__device__ __forceinline__ codes16 thread_draw_minifloat(const encoder &e, const chunk<DTYPE> &x, const mfqn_group &g,
                                                         const drawn16 &drawn) {
  const mfqn_minifloat *f = &e.scheme.minifloat;
  const int neg_zero = f->neg_zero_mask != 0, is_divided = e.steps == STEPS_DIVIDED;
  const mfqn_central c = mfqn_central_of(f, is_divided ? 0 : g.exp2);
  if (is_divided)
    return thread_encode_each(
        x,
        [&](uint32_t u, int i) {
          const uint32_t v = mfqn_bits(mfqn_div(mfqn_float_of(u), g.divisor));
          return mfqn_minifloat_encode_drawn(v, f, c, thread_half(drawn, i), 0, neg_zero);
        });
  return thread_encode_each(
      x, [&](uint32_t u, int i) { return mfqn_minifloat_encode_drawn(u, f, c, thread_half(drawn, i), 1, neg_zero); });
}

template <int DTYPE>
__device__ __forceinline__ codes16 thread_draw_integer(const encoder &e, const chunk<DTYPE> &x, const mfqn_group &g,
                                                       const drawn16 &drawn) {
  const mfqn_integer *f = &e.scheme.integer;
  const int is_divided = e.steps == STEPS_INTEGER_DIVIDED;
  const int32_t up = MFQN_DRAWN_BITS + f->frac_bits - (is_divided ? 0 : g.exp2);
  const float power = mfqn_float_of((uint32_t)(127 + up) << 23), zero_point = (float)g.zero_point;
  return thread_encode_each(x, [&](uint32_t u, int i) {
    const float t = is_divided ? mfqn_div(mfqn_float_of(u), g.divisor) : mfqn_float_of(u);
    return e.scheme.has_zero_point
               ? mfqn_integer_code(mfqn_integer_sum_drawn(t, zero_point, f, thread_half(drawn, i)), f)
               : mfqn_integer_encode_drawn(mfqn_mul(t, power), f, thread_half(drawn, i));
  });
}

/* Whether the short steps hold for a group, as thread_is_short. */
__device__ __forceinline__ int thread_is_short_drawn(const encoder &e, const mfqn_group &g, uint32_t absmax) {
  const mfqn_scheme *s = &e.scheme;
  if (absmax >= MFQN_INF) return 0;
  if (e.steps == STEPS_INTEGER) return mfqn_integer_is_central(&s->integer, g.exp2 - MFQN_DRAWN_BITS);
  return e.steps != STEPS_CENTRAL || (mfqn_minifloat_is_central(&s->minifloat, g.exp2 - 1 - MFQN_DRAWN_BITS) &&
                                      mfqn_minifloat_is_central(&s->minifloat, g.exp2));
}

/* thread_encode with stochastic rounding. */
template <int DTYPE>
__device__ __forceinline__ codes16 thread_encode_drawn(const encoder &e, const chunk<DTYPE> &x, const mfqn_group &g,
                                                       uint32_t absmax, const drawn16 &drawn) {
  if (!g.usable) return codes16{{0u, 0u, 0u, 0u}};
  if (!thread_is_short_drawn(e, g, absmax)) {
    drawn16 rest = drawn;
    return thread_encode_rare(&e.scheme, x, g, [&] { return thread_pop_fraction(&rest); });
  }
  return e.scheme.is_integer ? thread_draw_integer(e, x, g, drawn) : thread_draw_minifloat(e, x, g, drawn);
}

#endif
