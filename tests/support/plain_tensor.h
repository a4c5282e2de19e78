/* tests/support/plain_tensor.h: views of vectors as tensors, and the operations as functions of vectors. */
#ifndef MFQ_TESTS_SUPPORT_PLAIN_TENSOR_H
#define MFQ_TESTS_SUPPORT_PLAIN_TENSOR_H

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <mfq/mfq.h>

#include "quantized.h"

namespace mfq_test {

using Shape = std::vector<int64_t>;

inline size_t count_of(const Shape &shape) {
  size_t n = 1;
  for (const int64_t size : shape) n *= (size_t)size;
  return n;
}

inline Shape dense_strides(const Shape &shape) {
  Shape strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * std::max<int64_t>(shape[d], 1);
  return strides;
}

/* A view whose element with all indices 0 is at `origin`. */
inline mfq_tensor strided(const void *origin, mfq_dtype dtype, const Shape &shape, const Shape &strides) {
  mfq_tensor t;
  std::memset(&t, 0, sizeof t);
  t.data = const_cast<void *>(origin);
  t.dtype = dtype;
  t.rank = (int32_t)shape.size();
  std::copy(shape.begin(), shape.end(), t.shape);
  std::copy(strides.begin(), strides.end(), t.strides);
  return t;
}

inline mfq_tensor dense(const std::vector<float> &x, const Shape &shape) {
  EXPECT_GE(x.size(), count_of(shape));
  return strided(x.data(), MFQ_DTYPE_F32, shape, dense_strides(shape));
}

inline mfq_tensor dense(const std::vector<uint16_t> &x, mfq_dtype dtype, const Shape &shape) {
  EXPECT_GE(x.size(), count_of(shape));
  return strided(x.data(), dtype, shape, dense_strides(shape));
}

inline Shape padded_shape(const Quantized &t) { return Shape(t.sizes.padded_shape, t.sizes.padded_shape + t.q.rank); }
inline Shape logical_shape(const Quantized &t) { return Shape(t.q.shape, t.q.shape + t.q.rank); }
inline Shape scale_shape(const Quantized &t) {
  return Shape(t.sizes.scale_shape, t.sizes.scale_shape + t.sizes.scale_rank);
}

/* All instruction sets, "reference" last. */
inline std::vector<std::string> every_isa() {
  std::vector<std::string> names = fast_isas();
  names.push_back("reference");
  return names;
}

/* What every result holds before it is written. */
constexpr float kUnwritten = -12345.75f;

inline void quantize(mfq_context *context, const std::vector<float> &x, Quantized *t) {
  const mfq_tensor src = dense(x, logical_shape(*t));
  ASSERT_EQ(mfq_quantize(context, &src, &t->q, nullptr), MFQ_OK) << mfq_last_error();
}

inline std::vector<float> dequantized(mfq_context *context, const Quantized &t, const Shape &shape) {
  std::vector<float> y(count_of(shape), kUnwritten);
  const mfq_tensor dst = dense(y, shape);
  EXPECT_EQ(mfq_dequantize(context, &t.q, &dst), MFQ_OK) << mfq_last_error();
  return y;
}
inline std::vector<float> dequantized(mfq_context *context, const Quantized &t) {
  return dequantized(context, t, logical_shape(t));
}

inline std::vector<float> expanded_scales(mfq_context *context, const Quantized &t, const Shape &shape) {
  std::vector<float> y(count_of(shape), kUnwritten);
  const mfq_tensor dst = dense(y, shape);
  EXPECT_EQ(mfq_expand_scales(context, &t.q, &dst), MFQ_OK) << mfq_last_error();
  return y;
}

inline std::vector<float> expanded_zero_points(mfq_context *context, const Quantized &t, const Shape &shape) {
  std::vector<float> y(count_of(shape), kUnwritten);
  const mfq_tensor dst = dense(y, shape);
  EXPECT_EQ(mfq_expand_zero_points(context, &t.q, &dst), MFQ_OK) << mfq_last_error();
  return y;
}

/* mfq_fake_quantize; `scales` is NULL or resized to the scale shape and filled. */
inline std::vector<float> faked(mfq_context *context, const mfq_scheme &scheme, const std::vector<float> &x,
                                const Shape &shape, std::vector<float> *scales = nullptr) {
  std::vector<float> y(count_of(shape), kUnwritten);
  const mfq_tensor src = dense(x, shape), dst = dense(y, shape);
  mfq_tensor scale_view;
  if (scales != nullptr) {
    const Quantized sized(scheme, shape);
    scales->assign((size_t)sized.sizes.scale_count, kUnwritten);
    scale_view = dense(*scales, scale_shape(sized));
  }
  EXPECT_EQ(mfq_fake_quantize(context, &scheme, &src, &dst, scales != nullptr ? &scale_view : nullptr), MFQ_OK)
      << mfq_last_error();
  return y;
}

/* mfq_fake_quantize_given with the scales of `t` and without its codes. */
inline std::vector<float> faked_given(mfq_context *context, const Quantized &t, const std::vector<float> &x) {
  std::vector<float> y(x.size(), kUnwritten);
  const mfq_tensor src = dense(x, logical_shape(t)), dst = dense(y, logical_shape(t));
  mfq_qtensor given = t.q;
  given.codes = nullptr;
  EXPECT_EQ(mfq_fake_quantize_given(context, &given, &src, &dst), MFQ_OK) << mfq_last_error();
  return y;
}

/* Code `index` of the stream or of its row, read bit by bit from the definition in types.h. */
inline uint32_t code_at(const Quantized &t, int64_t row, int64_t column) {
  const mfq_format &e = t.q.scheme.element;
  const size_t bits = (size_t)(e.is_signed + e.exp_bits + e.man_bits);
  const size_t step = t.q.layout.packing == MFQ_PACK_BYTE ? 8 : bits;
  const size_t first = (size_t)row * t.sizes.row_bits + (size_t)column * step;
  uint32_t code = 0;
  for (size_t b = 0; b < bits; ++b) code |= (uint32_t)(t.codes[(first + b) / 8] >> (first + b) % 8 & 1) << b;
  return code;
}

/* What belongs to each axis of a tensor in the order of its codes, and back. `axis` is the scheme's. */
template <typename Row> Row in_code_order(const mfq_layout &layout, size_t axis, Row of) {
  const auto begin = of.begin() + (std::ptrdiff_t)axis;
  if (layout.codes == MFQ_CODES_GROUP_LAST) std::rotate(begin, begin + 1, of.end());
  if (layout.codes == MFQ_CODES_TRANSPOSED) std::swap(of.end()[-1], of.end()[-2]);
  return of;
}
template <typename Row> Row in_axis_order(const mfq_layout &layout, size_t axis, Row of) {
  if (layout.codes == MFQ_CODES_GROUP_LAST) std::rotate(of.begin() + (std::ptrdiff_t)axis, of.end() - 1, of.end());
  if (layout.codes == MFQ_CODES_TRANSPOSED) std::swap(of.end()[-1], of.end()[-2]);
  return of;
}

/* Whether a scheme's codes and scales of a rank can lie so. */
inline bool allows(const mfq_scheme &scheme, size_t rank, const mfq_layout &layout) {
  const bool is_group = scheme.granularity == MFQ_GRANULARITY_GROUP, is_byte = scheme.scale >= MFQ_SCALE_UE8M0;
  return (is_group || layout.codes != MFQ_CODES_GROUP_LAST) && (!is_group || layout.codes != MFQ_CODES_TRANSPOSED) &&
         (rank >= 2 || layout.codes != MFQ_CODES_TRANSPOSED) &&
         ((is_group && is_byte) || layout.scales == MFQ_SCALES_LOGICAL);
}

/* All codes in code order. */
inline std::vector<uint32_t> all_codes(const Quantized &t) {
  Shape shape = logical_shape(t);
  if (shape.empty()) shape.push_back(1);
  shape = in_code_order(t.q.layout, (size_t)std::max(t.sizes.axis, 0), shape);
  const size_t n = count_of(shape);
  std::vector<uint32_t> codes;
  for (size_t i = 0; i < n; ++i) codes.push_back(code_at(t, (int64_t)i / shape.back(), (int64_t)i % shape.back()));
  return codes;
}

/* ---- Comparison: equal bits, all NaN being one ------------------------------------------------------------------- */

inline uint32_t float_bits(float x) {
  uint32_t u;
  std::memcpy(&u, &x, sizeof u);
  return u;
}
inline float float_of(uint32_t u) {
  float x;
  std::memcpy(&x, &u, sizeof x);
  return x;
}
inline bool same_float(float a, float b) { return (a != a && b != b) || float_bits(a) == float_bits(b); }

inline testing::AssertionResult same_floats(const std::vector<float> &got, const std::vector<float> &want,
                                            bool zeros_are_equal = false) {
  if (got.size() != want.size())
    return testing::AssertionFailure() << got.size() << " values, expected " << want.size();
  for (size_t i = 0; i < got.size(); ++i) {
    if (same_float(got[i], want[i]) || (zeros_are_equal && got[i] == want[i])) continue;
    char text[160];
    std::snprintf(text, sizeof text, "element %zu is %.9g (%08x), expected %.9g (%08x)", i, (double)got[i],
                  float_bits(got[i]), (double)want[i], float_bits(want[i]));
    return testing::AssertionFailure() << text;
  }
  return testing::AssertionSuccess();
}

} // namespace mfq_test

#endif
