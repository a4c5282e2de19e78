/* tests/support/model.h: what quantization of finite values must give, from the public description alone.
 *
 * Scales by exact arithmetic in double, codes by the oracle's search, places by index arithmetic on the logical shape.
 * All granularities; unscaled, UE8M0 with rule floor or rceil, F32 with rule absmax with and without zero points. */
#ifndef MFQ_TESTS_SUPPORT_MODEL_H
#define MFQ_TESTS_SUPPORT_MODEL_H

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "oracle.h"
#include "plain_tensor.h"

namespace mfq_test {

/* Places along the axes of a shape, by row-major index. */
inline Shape indices_of(int64_t index, const Shape &shape) {
  Shape at(shape.size());
  for (size_t d = shape.size(); d-- > 0; index /= shape[d]) at[d] = index % shape[d];
  return at;
}
inline int64_t index_of(const Shape &at, const Shape &shape) {
  int64_t index = 0;
  for (size_t d = 0; d < shape.size(); ++d) index = index * shape[d] + at[d];
  return index;
}

class Model {
public:
  /* `x` is row-major; `words` are the random words of stochastic rounding, if any. */
  Model(const mfq_scheme &scheme, const Shape &tensor_shape, const std::vector<float> &x,
        const std::vector<uint32_t> &words = {})
      : scheme_(scheme), grid_(scheme.element), shape(tensor_shape.empty() ? Shape{1} : tensor_shape) {
    find_scale_shape();
    make_scales(x);
    for (size_t i = 0; i < count_of(shape); ++i) add_element(x[i], scale_of((int64_t)i), words.empty() ? 0 : words[i]);
  }

  /* The whole memory of the parts of `t`, padding 0 and the byte behind them kPoison. */
  std::vector<uint8_t> code_bytes(const Quantized &t) const {
    std::vector<uint8_t> bytes(t.sizes.codes_bytes, 0);
    const std::vector<size_t> order = code_order(t.q.layout);
    const Shape in_order = permuted(shape, order);
    const size_t step = t.q.layout.packing == MFQ_PACK_BYTE ? 8 : (size_t)grid_.bits();
    for (size_t i = 0; i < codes.size(); ++i) {
      const int64_t place = index_of(permuted(indices_of((int64_t)i, shape), order), in_order);
      const size_t bit =
          (size_t)(place / in_order.back()) * t.sizes.row_bits + (size_t)(place % in_order.back()) * step;
      for (size_t b = 0; b < (size_t)grid_.bits(); ++b)
        bytes[(bit + b) / 8] = (uint8_t)(bytes[(bit + b) / 8] | (codes[i] >> b & 1) << (bit + b) % 8);
    }
    bytes.push_back(kPoison);
    return bytes;
  }

  std::vector<uint8_t> scale_bytes(const Quantized &t) const {
    std::vector<uint8_t> bytes(t.sizes.scales_bytes, 0);
    for (size_t i = 0; i < scales.size() && scheme_.scale != MFQ_SCALE_NONE; ++i) {
      const int64_t slot = scale_slot((int64_t)i, t.q.layout);
      if (scheme_.scale == MFQ_SCALE_UE8M0)
        bytes[(size_t)slot] = (uint8_t)(std::ilogb(scales[i]) + 127);
      else
        std::memcpy(&bytes[(size_t)slot * 4], &scales[i], 4);
    }
    bytes.push_back(kPoison);
    return bytes;
  }

  std::vector<uint8_t> zero_point_bytes(const Quantized &t) const {
    std::vector<uint8_t> bytes(t.sizes.zero_points_bytes, 0);
    mfq_layout logical = t.q.layout;
    logical.scales = MFQ_SCALES_LOGICAL;
    for (size_t i = 0; i < zero_points.size() && scheme_.zero_point; ++i)
      bytes[(size_t)scale_slot((int64_t)i, logical)] = (uint8_t)((uint32_t)zero_points[i] & (grid_.codes() - 1));
    bytes.push_back(kPoison);
    return bytes;
  }

  testing::AssertionResult agrees(const Quantized &t) const {
    if (t.scales != scale_bytes(t)) return testing::AssertionFailure() << "scales differ";
    if (t.zero_points != zero_point_bytes(t)) return testing::AssertionFailure() << "zero points differ";
    const std::vector<uint8_t> want = code_bytes(t);
    for (size_t i = 0; i < want.size(); ++i)
      if (t.codes[i] != want[i])
        return testing::AssertionFailure()
               << "byte " << i << " of the codes is " << (int)t.codes[i] << ", expected " << (int)want[i];
    return testing::AssertionSuccess();
  }

  /* Index of the scale of an element, row-major in the scale shape in logical order. */
  int64_t scale_of(int64_t element) const { return scale_of_place(indices_of(element, shape)); }
  int64_t scale_of_place(Shape at) const {
    for (size_t d = 0; d < at.size(); ++d) at[d] /= unit_[d];
    return index_of(at, scale_shape);
  }

private:
  mfq_scheme scheme_;
  oracle::Grid grid_;
  Shape unit_; /* elements that share a scale along each axis */

public:
  Shape shape, scale_shape; /* in logical order, one entry an axis */
  size_t axis = 0;
  std::vector<float> scales;
  std::vector<int> zero_points;
  std::vector<uint32_t> codes;
  std::vector<float> values;

private:
  void find_scale_shape() {
    const size_t rank = shape.size();
    const bool group = scheme_.granularity == MFQ_GRANULARITY_GROUP;
    axis = scheme_.axis == MFQ_AXIS_AUTO ? (group ? rank - 1 : 0)
                                         : (size_t)(scheme_.axis < 0 ? scheme_.axis + (int)rank : scheme_.axis);
    for (size_t d = 0; d < rank; ++d) {
      const int64_t whole = std::max<int64_t>(shape[d], 1);
      int64_t unit = 1;
      if (scheme_.granularity == MFQ_GRANULARITY_TENSOR) unit = whole;
      if (scheme_.granularity == MFQ_GRANULARITY_CHANNEL) unit = d == axis ? 1 : whole;
      if (group && d == axis) unit = scheme_.group_size;
      if (scheme_.granularity == MFQ_GRANULARITY_BLOCK && d + 1 == rank) unit = scheme_.block_cols;
      if (scheme_.granularity == MFQ_GRANULARITY_BLOCK && d + 2 == rank) unit = scheme_.block_rows;
      unit_.push_back(unit);
      const bool collapsed = scheme_.granularity == MFQ_GRANULARITY_TENSOR ||
                             (scheme_.granularity == MFQ_GRANULARITY_CHANNEL && d != axis);
      scale_shape.push_back(collapsed ? 1 : (shape[d] + unit - 1) / unit);
    }
  }

  void make_scales(const std::vector<float> &x) {
    const size_t n = count_of(scale_shape);
    std::vector<float> lo(n, 0), hi(n, 0), absmax(n, 0);
    for (size_t i = 0; i < count_of(shape); ++i) {
      const size_t s = (size_t)scale_of((int64_t)i);
      lo[s] = std::min(lo[s], x[i]);
      hi[s] = std::max(hi[s], x[i]);
      absmax[s] = std::max(absmax[s], std::fabs(x[i]));
    }
    for (size_t s = 0; s < n; ++s) {
      const float scale = scheme_.zero_point ? range_scale(lo[s], hi[s]) : scale_from(absmax[s]);
      scales.push_back(scale);
      zero_points.push_back(scheme_.zero_point ? zero_point(lo[s], scale) : 0);
    }
  }

  int lowest() const { return scheme_.element.is_signed ? (int)grid_.decode(grid_.sign_bit()) : 0; }

  float at_least_normal(double q) const { return std::max((float)q, std::numeric_limits<float>::min()); }
  float range_scale(float lo, float hi) const {
    return at_least_normal((double)(float)((double)hi - lo) / ((int)grid_.max_code() - lowest()));
  }
  int zero_point(float lo, float scale) const {
    return (int)std::nearbyint((double)(float)((double)(float)(-(double)lo / scale) + lowest()));
  }

  float scale_from(float absmax) const {
    if (scheme_.scale == MFQ_SCALE_NONE) return 1;
    if (scheme_.scale == MFQ_SCALE_F32) return at_least_normal(absmax / grid_.max_value());
    int exp2 = -1000;
    if (absmax > 0 && scheme_.rule == MFQ_RULE_FLOOR) exp2 = std::ilogb(absmax) - std::ilogb(grid_.max_value());
    if (absmax > 0 && scheme_.rule == MFQ_RULE_RCEIL)
      for (exp2 = -200; std::ldexp((double)absmax, -exp2) > grid_.max_value();) ++exp2;
    return std::ldexp(1.0f, std::max(std::min(exp2, 127), -127));
  }

  void add_element(float x, int64_t s, uint32_t word) {
    const double scale = scales[(size_t)s], exact = x / scale;
    const int zero = zero_points[(size_t)s];
    double t = scheme_.scale == MFQ_SCALE_F32 ? (float)exact : exact; /* a float32 quotient */
    if (scheme_.zero_point) t += zero;                                /* and an exact sum */
    const uint32_t code = scheme_.rounding == MFQ_ROUND_STOCHASTIC
                              ? grid_.encode_stochastic(t, word, !scheme_.no_saturate)
                              : grid_.encode(t, scheme_.rounding, !scheme_.no_saturate);
    codes.push_back(code);
    values.push_back((float)((grid_.decode(code) - zero) * scale));
  }

  std::vector<size_t> code_order(const mfq_layout &layout) const {
    std::vector<size_t> order(shape.size());
    std::iota(order.begin(), order.end(), size_t{0});
    return in_code_order(layout, axis, order);
  }
  static Shape permuted(const Shape &of, const std::vector<size_t> &order) {
    Shape out;
    for (const size_t d : order) out.push_back(of[d]);
    return out;
  }

  /* Where a scale stands: row-major in code order, or in tiles of 128 rows by 4 groups. */
  int64_t scale_slot(int64_t scale, const mfq_layout &layout) const {
    const std::vector<size_t> order = code_order(layout);
    const Shape at = indices_of(scale, scale_shape);
    if (layout.scales == MFQ_SCALES_LOGICAL) return index_of(permuted(at, order), permuted(scale_shape, order));
    Shape outer_at = at, outer = scale_shape;
    outer_at.erase(outer_at.begin() + (std::ptrdiff_t)axis);
    outer.erase(outer.begin() + (std::ptrdiff_t)axis);
    const int64_t row = index_of(outer_at, outer), col = at[axis], tiles = (scale_shape[axis] + 3) / 4;
    return (row / 128 * tiles + col / 4) * 512 + row % 32 * 16 + row % 128 / 32 * 4 + col % 4;
  }
};

} // namespace mfq_test

#endif
