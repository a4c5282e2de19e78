/* host/cpu/kernels/decode_loops.h: codes to values. */
#ifndef MFQ_HOST_CPU_KERNELS_DECODE_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_DECODE_LOOPS_H

#include "loops.h"

/* Which codes of a format may be no numbers. */
enum { ALL_NUMBERS, NAN_AT_TOP, ANY_SPECIALS };

/* The unscaled value of a code whose format lies within the normal numbers of float32. */
INLINE float value_of(const mfqn_minifloat *f, uint32_t code, uint32_t magnitude_mask, int specials) {
  const uint32_t magnitude = code & magnitude_mask, base = magnitude << (23 - f->man_bits);
  const uint32_t offset = (uint32_t)(127 - f->bias) << 23, one = MFQN_MIN_NORMAL;
  const uint32_t subnormal = mfqn_bits(mfqn_sub(mfqn_float_of(base + offset + one), mfqn_float_of(offset + one)));
  uint32_t v = base < one ? subnormal : base + offset;
  if (specials == ANY_SPECIALS) v = magnitude == f->inf_code ? MFQN_INF : v;
  v |= (code & f->sign_bit) << f->sign_shift;
  if (specials != ALL_NUMBERS) v = magnitude >= f->nan_from ? MFQN_NAN : v;
  if (specials == ANY_SPECIALS) v = code == f->lone_nan ? MFQN_NAN : v;
  return mfqn_float_of(v);
}

INLINE void minifloat_values(const mfqn_minifloat *format, const uint8_t *restrict codes, int64_t n, float *restrict v,
                             int specials) {
  const mfqn_minifloat f = *format;
  const uint32_t mask = f.sign_bit != 0 ? f.sign_bit - 1u : 0xffu;
  for (int64_t i = 0; i < n; ++i) v[i] = value_of(&f, codes[i], mask, specials);
}

/* Unscaled values of `n` codes, by format alone; a zero point is subtracted with the scale. */
INLINE void values_of_codes(const mfqn_scheme *s, const uint8_t *restrict codes, int64_t n, float *restrict v) {
  const mfqn_minifloat *f = &s->minifloat;
  const mfqn_integer integer = s->integer;
  const uint32_t none = 0xffffffffu;
  if (s->is_integer)
    for (int64_t i = 0; i < n; ++i) v[i] = (float)mfqn_integer_value(codes[i], &integer);
  else if (f->inf_code == none && f->lone_nan == none && f->nan_from == none)
    minifloat_values(f, codes, n, v, ALL_NUMBERS);
  else if (f->inf_code == none && f->lone_nan == none)
    minifloat_values(f, codes, n, v, NAN_AT_TOP);
  else
    minifloat_values(f, codes, n, v, ANY_SPECIALS);
}

/* What a value is scaled by. */
typedef struct decode_scale {
  float scale, zero_point, step, tensor_scale;
} decode_scale;

/* What a loop need not do: scales that are all finite make no NaN, only UE4M3 has a tensor scale beside 1, and only large
 * scales make values that are to be limited. */
typedef struct decode_kind {
  int is_integer;
  int plain;
  int is_vast;
} decode_kind;

/* A step of a fixed point is a power of two and does not round. */
INLINE uint32_t scaled(float v, decode_scale by, decode_kind kind) {
  const float exact = kind.is_integer ? mfqn_mul(mfqn_sub(v, by.zero_point), by.step) : v;
  if (kind.is_vast) return mfqn_one_nan(mfqn_mul_limited(mfqn_mul_limited(exact, by.scale), by.tensor_scale));
  const float y = mfqn_mul(exact, by.scale);
  return kind.plain ? mfqn_bits(y) : mfqn_one_nan(mfqn_mul(y, by.tensor_scale));
}

INLINE void scale_run(const float *restrict v, int64_t run, decode_scale by, uint32_t *restrict x, decode_kind kind) {
  for (int64_t j = 0; j < run; ++j) x[j] = scaled(v[j], by, kind);
}

INLINE void scale_runs(const float *v, mfq_stretch span, const mfq_lanes *lanes, float step, uint32_t *x,
                       decode_kind kind) {
  decode_scale by = {0.0f, 0.0f, step, lanes->tensor_scale};
  const int64_t run = span.run;
  for (int64_t i = 0; i * run < span.n; ++i) {
    by.scale = lanes->scale[span.first + i];
    by.zero_point = lanes->zero_point[span.first + i];
    const int64_t length = span.n - i * run < run ? span.n - i * run : run;
    if (length == 32)
      scale_run(v + i * run, 32, by, x + i * run, kind);
    else
      scale_run(v + i * run, length, by, x + i * run, kind);
  }
}

INLINE void scale_elems(const float *restrict v, int64_t n, const mfq_lanes *restrict lanes, float step,
                        uint32_t *restrict x, decode_kind kind) {
  const float tensor_scale = lanes->tensor_scale;
  for (int64_t i = 0; i < n; ++i)
    x[i] = scaled(v[i], (decode_scale){lanes->scale[i], lanes->zero_point[i], step, tensor_scale}, kind);
}

INLINE void scale_span(const float *v, mfq_stretch span, const mfq_lanes *lanes, float step, uint32_t *x,
                       decode_kind kind) {
  if (span.run == 0)
    scale_elems(v, span.n, lanes, step, x, kind);
  else
    scale_runs(v, span, lanes, step, x, kind);
}

#endif
