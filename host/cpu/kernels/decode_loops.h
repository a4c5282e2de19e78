/* host/cpu/kernels/decode_loops.h: codes to values. */
#ifndef MFQ_HOST_CPU_KERNELS_DECODE_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_DECODE_LOOPS_H

#include "loops.h"

/* The unscaled value of a code whose format lies within the normal numbers of float32. */
INLINE float value_of(const mfqn_minifloat *f, uint32_t code, uint32_t magnitude_mask, int32_t sign_shift) {
  const uint32_t magnitude = code & magnitude_mask, base = magnitude << (23 - f->man_bits);
  const uint32_t offset = (uint32_t)(127 - f->bias) << 23, one = MFQN_MIN_NORMAL;
  const uint32_t subnormal = mfqn_bits(mfqn_sub(mfqn_float_of(base + offset + one), mfqn_float_of(offset + one)));
  uint32_t v = base < one ? subnormal : base + offset;
  v = magnitude == f->inf_code ? MFQN_INF : v;
  v |= (code & f->sign_bit) << sign_shift;
  v = magnitude >= f->nan_from || code == f->lone_nan ? MFQN_NAN : v;
  return mfqn_float_of(v);
}

/* Unscaled values of `n` codes, by format alone; a zero point is subtracted with the scale. */
INLINE void values_of_codes(const mfqn_scheme *s, const uint8_t *restrict codes, int64_t n, float *restrict v) {
  const mfqn_scheme local = *s;
  const int32_t sign_shift = 31 - (s->bits - (s->minifloat.sign_bit != 0));
  const uint32_t mask = (1u << (31 - sign_shift)) - 1u;
  if (s->is_integer)
    for (int64_t i = 0; i < n; ++i) v[i] = (float)mfqn_integer_value(codes[i], &local.integer);
  else
    for (int64_t i = 0; i < n; ++i) v[i] = value_of(&local.minifloat, codes[i], mask, sign_shift);
}

/* What a value is scaled by. */
typedef struct decode_scale {
  float scale, zero_point, step, tensor_scale;
} decode_scale;

/* A step of a fixed point is a power of two, and the tensor scale is 1 but above UE4M3: neither rounds. */
INLINE uint32_t scaled(float v, decode_scale by, int is_integer) {
  const float exact = is_integer ? mfqn_mul(mfqn_sub(v, by.zero_point), by.step) : v;
  return mfqn_one_nan(mfqn_mul(mfqn_mul(exact, by.scale), by.tensor_scale));
}

INLINE void scale_run(const float *restrict v, int64_t run, decode_scale by, uint32_t *restrict x, int is_integer) {
  for (int64_t j = 0; j < run; ++j) x[j] = scaled(v[j], by, is_integer);
}

INLINE void scale_runs(const float *v, mfq_span span, const mfq_lanes *lanes, float step, uint32_t *x, int is_integer) {
  decode_scale by = {0.0f, 0.0f, step, lanes->tensor_scale};
  const int64_t run = span.run;
  for (int64_t i = 0; i * run < span.n; ++i) {
    by.scale = lanes->scale[span.first + i];
    by.zero_point = lanes->zero_point[span.first + i];
    const int64_t length = span.n - i * run < run ? span.n - i * run : run;
    if (length == 32)
      scale_run(v + i * run, 32, by, x + i * run, is_integer);
    else
      scale_run(v + i * run, length, by, x + i * run, is_integer);
  }
}

INLINE void scale_elems(const float *restrict v, int64_t n, const mfq_lanes *restrict lanes, float step,
                        uint32_t *restrict x, int is_integer) {
  const float tensor_scale = lanes->tensor_scale;
  for (int64_t i = 0; i < n; ++i)
    x[i] = scaled(v[i], (decode_scale){lanes->scale[i], lanes->zero_point[i], step, tensor_scale}, is_integer);
}

static void decode(const mfqn_scheme *s, const uint8_t *codes, mfq_span span, const mfq_lanes *lanes, uint32_t *x) {
  float v[MFQ_CHUNK];
  const float step = mfqn_float_of(mfqn_pow2(-s->integer.frac_bits));
  values_of_codes(s, codes, span.n, v);
  if (s->is_integer && span.run == 0)
    scale_elems(v, span.n, lanes, step, x, 1);
  else if (s->is_integer)
    scale_runs(v, span, lanes, step, x, 1);
  else if (span.run == 0)
    scale_elems(v, span.n, lanes, step, x, 0);
  else
    scale_runs(v, span, lanes, step, x, 0);
}

#endif
