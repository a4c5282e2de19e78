/* tests/fuzz/cast_model.h: what docs/numerics.md says of casts, in doubles, for any scheme.
 *
 * Places of codes and scales by index arithmetic, rounding by the search of support/oracle.h; shares no code with the
 * library. Scales are computed for MFQ_ARITH_EXACT; codes follow from the scales that are stored, computed or given. */
#ifndef MFQ_TESTS_FUZZ_CAST_MODEL_H
#define MFQ_TESTS_FUZZ_CAST_MODEL_H

#include <array>
#include <cmath>
#include <limits>

#include "any_tensor.h"

namespace fuzz {

constexpr double kLargest = std::numeric_limits<float>::max();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/* ---- Types ------------------------------------------------------------------------------------------------------ */

/* A float32 in a type, nearest even; the bits of NaN are always the same. */
inline uint32_t rounded_bits(mfq_dtype dtype, float x) {
  if (std::isnan(x)) return dtype == MFQ_DTYPE_F32 ? 0x7fc00000u : dtype == MFQ_DTYPE_BF16 ? 0x7fc0u : 0x7e00u;
  uint32_t u;
  std::memcpy(&u, &x, sizeof u);
  if (dtype == MFQ_DTYPE_F32) return u;
  if (dtype == MFQ_DTYPE_BF16) return (u + 0x7fff + (u >> 16 & 1)) >> 16;
  return mfq_test::half_bits(x);
}
inline float value_of_bits(mfq_dtype dtype, uint32_t bits) {
  if (dtype == MFQ_DTYPE_F16) return mfq_test::half_value((uint16_t)bits);
  if (dtype == MFQ_DTYPE_BF16) bits <<= 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline uint32_t largest_bits(mfq_dtype dtype) {
  return dtype == MFQ_DTYPE_F32 ? 0x7f7fffffu : dtype == MFQ_DTYPE_BF16 ? 0x7f7fu : 0x7bffu;
}
inline uint32_t sign_of(mfq_dtype dtype) { return dtype == MFQ_DTYPE_F32 ? 0x80000000u : 0x8000u; }

/* Whether `bits` are what `exact`, which code and scale give, becomes in a type: float32 first. */
inline bool is_rounded(mfq_dtype dtype, uint32_t bits, double exact) {
  const uint32_t want = rounded_bits(dtype, (float)exact);
  if (!std::isfinite(exact) || std::isfinite(value_of_bits(dtype, want))) return bits == want;
  const uint32_t largest = largest_bits(dtype) | (exact < 0 ? sign_of(dtype) : 0u);
  return bits == largest;
}

/* Indices along the axes of a tensor. */
using At = std::array<int64_t, MFQ_MAX_RANK>;

/* ---- The model -------------------------------------------------------------------------------------------------- */

class CastModel {
public:
  const mfq_test::Quantized &t;
  const mfq_scheme scheme;
  const oracle::Grid grid;
  Shape shape, scale_shape; /* one entry an axis, in the tensor's own order */
  int axis = -1;

  explicit CastModel(const mfq_test::Quantized &quantized)
      : t(quantized), scheme(quantized.q.scheme), grid(scheme.element), shape(mfq_test::logical_shape(quantized)),
        kept_(scheme.scale == MFQ_SCALE_MINIFLOAT ? scheme.scale_element
                                                  : oracle::minifloat(0, 4, 3, 7, MFQ_SPECIALS_FN)) {
    if (shape.empty()) shape = {1};
    const int rank = (int)shape.size();
    const bool is_group = scheme.granularity == MFQ_GRANULARITY_GROUP;
    if (is_group || scheme.granularity == MFQ_GRANULARITY_CHANNEL)
      axis = scheme.axis == MFQ_AXIS_AUTO ? (is_group ? rank - 1 : 0)
             : scheme.axis < 0            ? scheme.axis + rank
                                          : scheme.axis;
    for (int d = 0; d < rank; ++d) {
      int64_t unit = std::max<int64_t>(shape[(size_t)d], 1);
      if (scheme.granularity == MFQ_GRANULARITY_CHANNEL && d == axis) unit = 1;
      if (is_group) unit = d == axis ? scheme.group_size : 1;
      if (scheme.granularity == MFQ_GRANULARITY_BLOCK)
        unit = d == rank - 1 ? scheme.block_cols : d == rank - 2 ? scheme.block_rows : 1;
      const bool is_one = scheme.granularity == MFQ_GRANULARITY_TENSOR || (!is_group && axis >= 0 && d != axis);
      unit_.push_back(unit);
      scale_shape.push_back(is_one ? 1 : (shape[(size_t)d] + unit - 1) / unit);
    }
    shape_in_order_ = code_order(shape);
    scale_shape_in_order_ = code_order(scale_shape);
  }

  /* ---- Places ---- */

  static At places(int64_t index, const Shape &of) {
    At at{};
    for (size_t d = of.size(); d-- > 0; index /= of[d]) at[d] = index % of[d];
    return at;
  }
  static int64_t index_of(const At &at, const Shape &of) {
    int64_t index = 0;
    for (size_t d = 0; d < of.size(); ++d) index = index * of[d] + at[d];
    return index;
  }
  int64_t scale_of(At at) const {
    for (size_t d = 0; d < unit_.size(); ++d) at[d] /= unit_[d];
    return index_of(at, scale_shape);
  }
  template <typename Row> Row code_order(Row of) const {
    const auto begin = of.begin() + axis, end = of.begin() + (std::ptrdiff_t)shape.size();
    if (t.q.layout.codes == MFQ_CODES_GROUP_LAST) std::rotate(begin, begin + 1, end);
    if (t.q.layout.codes == MFQ_CODES_TRANSPOSED) std::swap(end[-1], end[-2]);
    return of;
  }
  size_t code_bit(const At &at) const {
    const Shape &order = shape_in_order_;
    const int64_t index = index_of(code_order(at), order);
    const size_t step = t.q.layout.packing == MFQ_PACK_BYTE ? 8 : (size_t)grid.bits();
    return (size_t)(index / order.back()) * t.sizes.row_bits + (size_t)(index % order.back()) * step;
  }
  uint32_t code(const At &at) const {
    const size_t bit = code_bit(at);
    uint32_t code = 0;
    for (size_t b = 0; b < (size_t)grid.bits(); ++b)
      code |= (uint32_t)(t.codes[(bit + b) / 8] >> (bit + b) % 8 & 1) << b;
    return code;
  }
  int64_t zero_point_slot(int64_t index) const {
    return index_of(code_order(places(index, scale_shape)), scale_shape_in_order_);
  }
  int64_t scale_slot(int64_t index) const {
    if (t.q.layout.scales == MFQ_SCALES_LOGICAL) return zero_point_slot(index);
    At at = places(index, scale_shape);
    Shape outer = scale_shape;
    const int64_t column = at[(size_t)axis], tiles = (scale_shape[(size_t)axis] + 3) / 4;
    std::copy(at.begin() + axis + 1, at.end(), at.begin() + axis);
    outer.erase(outer.begin() + axis);
    const int64_t row = index_of(at, outer);
    return (row / 128 * tiles + column / 4) * 512 + row % 32 * 16 + row % 128 / 32 * 4 + column % 4;
  }

  /* ---- What is stored ---- */

  size_t scale_size() const {
    return scheme.scale == MFQ_SCALE_F32 ? 4 : scheme.scale == MFQ_SCALE_BF16 || scheme.scale == MFQ_SCALE_F16 ? 2 : 1;
  }
  uint32_t stored(int64_t index) const {
    uint32_t bits = 0;
    std::memcpy(&bits, &t.scales[(size_t)scale_slot(index) * scale_size()], scale_size());
    return bits;
  }
  /* A scale without the tensor scale; 1 where there is none. */
  double scale(int64_t index) const {
    switch (scheme.scale) {
      case MFQ_SCALE_NONE: return 1;
      case MFQ_SCALE_F32: return value_of_bits(MFQ_DTYPE_F32, stored(index));
      case MFQ_SCALE_BF16: return value_of_bits(MFQ_DTYPE_BF16, stored(index));
      case MFQ_SCALE_F16: return value_of_bits(MFQ_DTYPE_F16, stored(index));
      case MFQ_SCALE_UE8M0: return stored(index) == 255 ? kNan : std::ldexp(1.0, (int)stored(index) - 127);
      default: return kept_.decode(stored(index) & (kept_.codes() - 1));
    }
  }
  bool has_tensor_scale() const { return scheme.scale >= MFQ_SCALE_UE4M3; }
  double tensor_scale() const { return has_tensor_scale() ? t.tensor_scale : 1.0; }
  /* What elements are divided by. */
  double divisor(int64_t index) const {
    const double s = scale(index);
    return has_tensor_scale() ? (float)(s * (double)t.tensor_scale) : s;
  }
  int integer_of(uint32_t code_bits) const { return (int)grid.decode(code_bits & (grid.codes() - 1)); }
  int zero_point(int64_t index) const {
    return scheme.zero_point ? integer_of(t.zero_points[(size_t)zero_point_slot(index)]) : 0;
  }
  int lowest() const { return !scheme.element.is_signed ? 0 : -(1 << scheme.element.man_bits) + scheme.element.narrow; }

  /* The value of a code under a scale before the last rounding to float32, and whether float32 holds all that is
   * multiplied: elsewhere the library promises nothing that is checked here. */
  double value(uint32_t bits, int64_t scale_index) const {
    double v = grid.decode(bits);
    if (scheme.zero_point) v -= zero_point(scale_index);
    if (!has_tensor_scale()) return v * scale(scale_index);
    const float below = (float)(v * scale(scale_index)); /* is at most the largest number where both are finite */
    const bool is_beyond = std::isinf(below) && std::isfinite(v) && std::isfinite(scale(scale_index));
    return (is_beyond ? std::copysign(kLargest, (double)below) : (double)below) * tensor_scale();
  }
  bool is_within_float() const {
    if (scheme.scale == MFQ_SCALE_NONE || scheme.scale == MFQ_SCALE_UE8M0) return true;
    const double smallest = grid.magnitude(1);
    return smallest >= 0x1p-120 && grid.max_value() <= 0x1p110;
  }

  /* ---- Codes ---- */

  /* Whether a code is what an element of value x becomes under the stored scale. */
  bool is_code_of(uint32_t got, double x, int64_t index) const {
    const double s = divisor(index);
    if (scheme.scale != MFQ_SCALE_NONE && (s == 0 || !std::isfinite(s))) return got == 0;
    const bool by_exponent = !scheme.zero_point && (scheme.scale == MFQ_SCALE_NONE || scheme.scale == MFQ_SCALE_UE8M0 ||
                                                    (is_power() && scheme.scale_gain == 0));
    if (by_exponent) return is_encoded(got, x / s);
    double quotient = (float)(x / s);
    if (!scheme.zero_point) return is_encoded(got, quotient);
    /* The sum is exact. A part far below a step counts as one that double can add, of its sign. */
    if (quotient != 0 && std::fabs(quotient) < 0x1p-20) quotient = std::copysign(0x1p-20, quotient);
    return is_encoded(got, quotient + zero_point(index));
  }

  /* ---- Scales ---- */

  /* hi - lo, one float32 subtraction; where that is wider than float32, of the halves, doubled. */
  static double range(double hi, double lo) {
    const double width = std::fabs(hi - lo);
    return std::isinf((float)width) ? 2.0 * (double)(float)(hi / 2 - lo / 2) : (double)(float)width;
  }
  /* The largest magnitude, or range, of finite elements from lo to hi. */
  double statistic(double lo, double hi) const {
    double a = std::max(std::fabs(lo), std::fabs(hi));
    if (scheme.statistic == MFQ_STATISTIC_MINMAX)
      a = range((scheme.zero_point ? std::max(hi, 0.0) : hi), std::min(lo, 0.0));
    return std::max(a, (double)scheme.statistic_min);
  }
  /* The scale of a group whose elements are finite: as it is stored, before its type. */
  double computed(double a, double tensor) const {
    if (scheme.rule == MFQ_RULE_ABSMAX) return quotient_scale(a, tensor);
    const int low = scheme.scale == MFQ_SCALE_UE8M0 ? -127 : scheme.scale == MFQ_SCALE_F16 ? -24 : -126;
    const int high = scheme.scale == MFQ_SCALE_F16 ? 15 : 127;
    const double power = std::ldexp(1.0, a == 0 ? low : std::clamp(exponent(a), low, high));
    if (scheme.scale_gain == 0) return power;
    return std::clamp((double)(float)std::min(power * (double)scheme.scale_gain, kLargest), 0x1p-126, kLargest);
  }
  /* The tensor scale of UE4M3 for the largest magnitude of finite groups. */
  double computed_tensor(double a) const {
    a = std::max(a, (double)scheme.statistic_min);
    if (a == 0) return 1;
    return std::max(
        (double)(float)(a / (double)(float)(highest_quotient() * (scheme.scale_bound != 0 ? (double)scheme.scale_bound
                                                                                          : kept_.max_value()))),
        0x1p-126);
  }

private:
  Shape unit_, shape_in_order_, scale_shape_in_order_;
  const oracle::Grid kept_; /* scales below that of a tensor */

  bool is_encoded(uint32_t got, double x) const {
    const bool saturate = !scheme.no_saturate;
    if (scheme.rounding != MFQ_ROUND_STOCHASTIC) return got == grid.encode(x, scheme.rounding, saturate);
    const oracle::Place place = grid.place(x);
    if (got == grid.encode_at(x, {place.lower, 0}, MFQ_ROUND_ZERO, saturate)) return true;
    return place.fraction > 0 && got == grid.encode_at(x, {place.lower + 1, 0}, MFQ_ROUND_ZERO, saturate);
  }

  bool is_power() const { return scheme.rule != MFQ_RULE_ABSMAX && scheme.rule != MFQ_RULE_GIVEN; }

  double highest_quotient() const { /* what the statistic is divided by */
    const double most = scheme.zero_point ? grid.max_code() - lowest() : grid.max_value();
    return scheme.scale_gain != 0 && !is_power() ? (float)(most / (double)scheme.scale_gain) : most;
  }

  double quotient_scale(double a, double tensor) const {
    double q = a > kLargest ? 2.0 * (double)(float)(a / 2 / highest_quotient()) : (float)(a / highest_quotient());
    switch (scheme.scale) {
      case MFQ_SCALE_F32: return std::clamp(q, 0x1p-126, kLargest);
      case MFQ_SCALE_BF16:
        return std::clamp((double)value_of_bits(MFQ_DTYPE_BF16, rounded_bits(MFQ_DTYPE_BF16, (float)q)), 0x1p-126,
                          (double)value_of_bits(MFQ_DTYPE_BF16, 0x7f7f));
      case MFQ_SCALE_F16:
        return std::clamp((double)value_of_bits(MFQ_DTYPE_F16, rounded_bits(MFQ_DTYPE_F16, (float)q)), 0x1p-24,
                          65504.0);
      default: break;
    }
    q = (float)(q / tensor);
    const uint32_t code = kept_.encode(q, MFQ_ROUND_EVEN, true);
    return a == 0 ? 0 : kept_.decode(std::max(code, 1u));
  }

  /* Of a power-of-two scale for a > 0. */
  int exponent(double a) const {
    const double v = highest_quotient();
    const int e = std::ilogb(a), emax = std::ilogb(v);
    const double fraction = std::ldexp(a, -e); /* 1 ... 2 */
    bool up = false;
    if (scheme.rule == MFQ_RULE_CEIL) up = fraction > 1;
    if (scheme.rule == MFQ_RULE_RCEIL) up = fraction > std::ldexp(v, -emax);
    if (scheme.rule == MFQ_RULE_EVEN) { /* half a step of the largest value's binade below 2 */
      const double step = scheme.zero_point ? 1 : grid.magnitude(grid.max_code() + 1) - grid.max_value();
      up = fraction >= 2 - std::ldexp(step, -emax) / 2;
    }
    if (scheme.rule == MFQ_RULE_MIDMAX) up = fraction > (std::ldexp(v, -emax) + 2) / 2;
    if (scheme.rule == MFQ_RULE_ROUND) return (int)std::nearbyint(std::log2(a)) - (int)std::nearbyint(std::log2(v));
    return e - emax + up;
  }
};

} // namespace fuzz

#endif
