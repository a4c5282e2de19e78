/* cuda/prim/decode.cuh: codes that are numbers to float32, before their scale: exponent and mantissa are put into the
 * fields of a float32, and one multiplication repairs the bias, exactly. */
#ifndef MFQ_CUDA_PRIM_DECODE_CUH
#define MFQ_CUDA_PRIM_DECODE_CUH

#include <mfq/num/group.h>

#include "ptx.cuh"

/* Of a code, as float32 fields. */
typedef struct number_fields {
  int32_t field_shift, sign_shift;
  uint32_t field_mask, sign_mask;
  float unbias;
} number_fields;

/* Whether float32 holds every value of a format, of `exp_bits` bits of exponent, as a normal number: then one
 * multiplication repairs the bias. */
static inline int number_fields_hold(const mfqn_scheme *s, int32_t exp_bits) {
  const mfqn_minifloat *f = &s->minifloat;
  return s->is_integer || (f->bias >= 0 && f->bias + f->man_bits <= 120 && (1 << exp_bits) - 1 - f->bias <= 120);
}

/* `magnitudes`: the bits of a code without its sign. */
static inline number_fields number_fields_of(const mfqn_scheme *s, uint32_t magnitudes) {
  const mfqn_minifloat *f = &s->minifloat;
  number_fields n = {};
  if (s->is_integer) {
    n.unbias = mfqn_float_of((uint32_t)(127 - s->integer.frac_bits) << 23);
    return n;
  }
  n.field_shift = 23 - f->man_bits;
  n.sign_shift = f->sign_bit ? f->sign_shift : 0;
  n.field_mask = magnitudes << n.field_shift;
  n.sign_mask = f->sign_bit ? 0x80000000u : 0u;
  n.unbias = mfqn_float_of((uint32_t)(254 - f->bias) << 23);
  return n;
}

/* The value of a code that is a number. */
__device__ __forceinline__ float thread_number(const number_fields &n, const mfqn_scheme &s, uint32_t code,
                                               int32_t zero_point) {
  if (s.is_integer) { /* through the last bits of 1.5 * 2^23 */
    const int32_t value = mfqn_integer_value(code, &s.integer) - zero_point;
    return mfqn_mul(mfqn_sub(mfqn_float_of(0x4b400000u + (uint32_t)value), 12582912.0f), n.unbias);
  }
  const uint32_t fields = code << n.field_shift & n.field_mask;
  return mfqn_mul(mfqn_float_of(fields | (code << n.sign_shift & n.sign_mask)), n.unbias);
}

#endif
