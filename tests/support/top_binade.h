/* tests/support/top_binade.h: tensors of the largest numbers of a type, and what their codes stand for, in double.
 *
 * The oracle knows formats and schemes from their public description. Scales and zero points are the library's own, as
 * stored: other tests say which they must be. */
#ifndef MFQ_TESTS_SUPPORT_TOP_BINADE_H
#define MFQ_TESTS_SUPPORT_TOP_BINADE_H

#include <cmath>
#include <limits>

#include "operand.h"
#include "oracle.h"

namespace mfq_test {

/* ---- Types ------------------------------------------------------------------------------------------------------- */

inline int fraction_bits(mfq_dtype dtype) { return dtype == MFQ_DTYPE_F32 ? 23 : dtype == MFQ_DTYPE_BF16 ? 7 : 10; }
inline double largest_of(mfq_dtype dtype) {
  return (2 - std::ldexp(1.0, -fraction_bits(dtype))) * std::ldexp(1.0, dtype == MFQ_DTYPE_F16 ? 15 : 127);
}

/* The nearest value of a type, ties to even, as IEEE 754 has it but for finite numbers, which stay finite. */
inline double limited_to(mfq_dtype dtype, double x) {
  if (!std::isfinite(x) || x == 0) return x;
  const int least = (dtype == MFQ_DTYPE_F16 ? -14 : -126) - fraction_bits(dtype);
  const double step = std::ldexp(1.0, std::max(std::ilogb(x) - fraction_bits(dtype), least));
  const double nearest = std::nearbyint(x / step) * step, most = largest_of(dtype);
  return std::clamp(nearest, -most, most);
}

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

/* Rows of 64 of which each has another largest magnitude, down from the largest number through its binade: every number
 * of it for bf16, every eighth for f16, and a sample with all ends for f32. A third of the rows is positive, a third
 * negative, a third both. Then one number of a lower binade and zeros. */
inline Operand top_binade(mfq_dtype dtype, int64_t rows) {
  const uint32_t numbers = 1u << fraction_bits(dtype), last = bits_in(dtype, (float)largest_of(dtype));
  const uint32_t sign = dtype == MFQ_DTYPE_F32 ? 0x80000000u : 0x8000u;
  Operand x(dtype, {rows, 64});
  return x.fill([&](size_t i) {
    const uint32_t row = (uint32_t)i / 64, column = (uint32_t)i % 64, step = numbers / 128;
    if (column % 32 >= 30) return column % 2 != 0 ? 0u : last - 3 * numbers;
    const uint32_t down = row < 4 ? row : (row - 3) * step - (row & 1); /* from the largest number of the row */
    const uint32_t further = column % 32 == 0 ? 0 : column * column * (step + 1);
    const uint32_t bits = last - std::min(down + further, numbers - 1);
    return row % 3 == 0 || (row % 3 == 1 && column % 2 != 0) ? bits | sign : bits;
  });
}

/* ---- Codes and values -------------------------------------------------------------------------------------------- */

/* A quantized tensor [rows, 64] with the scale and the zero point of each element, as doubles. */
struct Decoded {
  const mfq_scheme &scheme;
  oracle::Grid grid;
  std::vector<uint32_t> codes;
  std::vector<float> scales, zero_points;
  float tensor_scale = 1.0f;

  Decoded(mfq_context *context, const Quantized &t)
      : scheme(t.q.scheme), grid(t.q.scheme.element), codes(all_codes(t)), scales(codes.size(), 1.0f),
        zero_points(codes.size(), 0.0f) {
    float one = 1.0f;
    mfq_qtensor q = t.q;
    if (q.tensor_scale != nullptr) tensor_scale = *q.tensor_scale;
    if (q.tensor_scale != nullptr) q.tensor_scale = &one; /* group scales alone */
    const mfq_tensor to_scales = dense(scales, logical_shape(t)), to_zeros = dense(zero_points, logical_shape(t));
    if (scheme.scale != MFQ_SCALE_NONE) EXPECT_EQ(mfq_expand_scales(context, &q, &to_scales), MFQ_OK);
    if (scheme.zero_point) EXPECT_EQ(mfq_expand_zero_points(context, &q, &to_zeros), MFQ_OK);
  }

  /* Every product here is exact in double: elements have at most 8 bits, scales 24, UE4M3 4. */
  double value(size_t i, mfq_dtype dtype) const {
    const double v = (grid.decode(codes[i]) - (double)zero_points[i]) * (double)scales[i] * (double)tensor_scale;
    return limited_to(dtype, limited_to(MFQ_DTYPE_F32, v));
  }

  bool by_exponent() const {
    const bool is_power = scheme.rule != MFQ_RULE_ABSMAX && scheme.rule != MFQ_RULE_GIVEN;
    return !scheme.zero_point && (scheme.scale == MFQ_SCALE_NONE || scheme.scale == MFQ_SCALE_UE8M0 || is_power);
  }
  /* Of arith exact. The sum with a zero point is exact in long double for quotients of 2^-30 and more. */
  uint32_t code(size_t i, double x) const {
    const float divisor = scales[i] * tensor_scale;
    if (by_exponent()) return grid.encode(x / (double)divisor, scheme.rounding, !scheme.no_saturate);
    const float t = (float)x / divisor;
    if (!scheme.zero_point) return grid.encode((double)t, scheme.rounding, !scheme.no_saturate);
    const long double sum = (long double)t + (long double)zero_points[i];
    const long double nearest = std::nearbyint(sum); /* the named schemes round to even */
    const double low = grid.format().is_signed ? -(double)grid.sign_bit() : 0.0;
    return (uint32_t)(int32_t)std::clamp((double)nearest, low, (double)grid.max_code()) & (grid.codes() - 1);
  }
};

} // namespace mfq_test

#endif
