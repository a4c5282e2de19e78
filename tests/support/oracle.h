/* tests/support/oracle.h: what a format holds and how values round to it, by search in a list of exact doubles.
 *
 * It shares nothing with the library but the public description of a format: a grid is built by adding steps, rounding
 * looks at the two neighbours, and what overflows, NaN and -0 become is written out below. */
#ifndef MFQ_TESTS_SUPPORT_ORACLE_H
#define MFQ_TESTS_SUPPORT_ORACLE_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include <mfq/types.h>

namespace oracle {

struct NamedFormat {
  std::string name;
  mfq_format format;
};

inline void PrintTo(const NamedFormat &row, std::ostream *out) { *out << row.name; }

/* The rows of formats.def. */
inline std::vector<NamedFormat> named_formats() {
  std::vector<NamedFormat> rows;
#define MFQ_MINIFLOAT(name, is_signed, exp_bits, man_bits, bias, specials, about)                                      \
  rows.push_back({#name, {MFQ_KIND_MINIFLOAT, is_signed, exp_bits, man_bits, bias, MFQ_SPECIALS_##specials, 0, 0}});
#define MFQ_INTEGER(name, is_signed, bits, frac_bits, narrow, about)                                                   \
  rows.push_back({#name, {MFQ_KIND_INTEGER, is_signed, 0, bits - is_signed, 0, MFQ_SPECIALS_NONE, frac_bits, narrow}});
#include <mfq/formats.def>
  return rows;
}

inline mfq_format minifloat(int is_signed, int exp_bits, int man_bits, int bias, mfq_specials specials) {
  return {MFQ_KIND_MINIFLOAT, is_signed, exp_bits, man_bits, bias, specials, 0, 0};
}

inline mfq_format named(const std::string &name) {
  for (const NamedFormat &row : named_formats())
    if (row.name == name) return row.format;
  return {};
}

/* How many of the highest magnitudes are not numbers. */
inline int reserved_codes(const mfq_format &f) {
  return f.specials == MFQ_SPECIALS_FN ? 1 : f.specials == MFQ_SPECIALS_IEEE ? 1 << f.man_bits : 0;
}

/* Every minifloat of 2 ... 8 bits with these biases. */
inline std::vector<mfq_format> generic_formats(const std::vector<int> &biases) {
  std::vector<mfq_format> formats;
  for (int is_signed = 0; is_signed <= 1; ++is_signed)
    for (int exp_bits = 1; exp_bits <= 8 - is_signed; ++exp_bits)
      for (int man_bits = 0; is_signed + exp_bits + man_bits <= 8; ++man_bits)
        for (int specials = MFQ_SPECIALS_NONE; specials <= MFQ_SPECIALS_IEEE; ++specials)
          for (int bias : biases) {
            const mfq_format f = minifloat(is_signed, exp_bits, man_bits, bias, (mfq_specials)specials);
            const bool too_small = is_signed + exp_bits + man_bits < 2;
            const bool no_nan_left = specials == MFQ_SPECIALS_IEEE && man_bits == 0;
            const bool no_sign = specials == MFQ_SPECIALS_FNUZ && !is_signed;
            const bool only_zero = (1 << (exp_bits + man_bits)) - reserved_codes(f) < 2;
            if (!too_small && !no_nan_left && !no_sign && !only_zero) formats.push_back(f);
          }
  return formats;
}

inline std::string describe(const mfq_format &f) {
  const char *const specials[] = {"none", "fn", "fnuz", "ieee"};
  if (f.kind == MFQ_KIND_INTEGER)
    return std::string(f.is_signed ? "int" : "uint") + std::to_string(f.is_signed + f.man_bits) + "f" +
           std::to_string(f.frac_bits) + (f.narrow ? "n" : "");
  return std::string(f.is_signed ? "e" : "ue") + std::to_string(f.exp_bits) + "m" + std::to_string(f.man_bits) + "b" +
         std::to_string(f.bias) + specials[f.specials];
}

/* Where a magnitude lies: value(lower) + fraction * (value(lower + 1) - value(lower)), 0 <= fraction < 1, exactly. */
struct Place {
  uint32_t lower;
  double fraction;
};

/* The magnitudes of a format in ascending order, which is the order of their codes, and one more with the format's own
 * spacing (integers: some more), so that rounding sees no upper end. */
class Grid {
public:
  explicit Grid(const mfq_format &format) : format_(format) {
    if (is_integer())
      add_integer_magnitudes();
    else
      add_minifloat_magnitudes();
  }

  const mfq_format &format() const { return format_; }
  bool is_integer() const { return format_.kind == MFQ_KIND_INTEGER; }
  int bits() const { return format_.is_signed + format_.exp_bits + format_.man_bits; }
  uint32_t codes() const { return 1u << bits(); }
  uint32_t sign_bit() const { return format_.is_signed ? codes() / 2 : 0; }
  uint32_t max_code() const { return max_code_; } /* of the largest finite value */
  double max_value() const { return value_[max_code_]; }
  double magnitude(uint32_t index) const { return value_[index]; } /* up to max_code() + 1 */

  double decode(uint32_t code) const {
    if (is_integer()) {
      const int n = (int)code, half = (int)sign_bit();
      return (format_.is_signed && n >= half ? n - 2 * half : n) * value_[1];
    }
    const uint32_t low = format_.is_signed ? code & (sign_bit() - 1) : code;
    const bool negative = (code & sign_bit()) != 0;
    double v;
    if (format_.specials == MFQ_SPECIALS_FNUZ && code == sign_bit())
      v = std::numeric_limits<double>::quiet_NaN();
    else if (low <= max_code_)
      v = value_[low];
    else if (format_.specials == MFQ_SPECIALS_IEEE && low == max_code_ + 1)
      v = std::numeric_limits<double>::infinity();
    else
      v = std::numeric_limits<double>::quiet_NaN();
    return negative ? -v : v;
  }

  Place place(double x) const {
    const double a = std::fabs(x);
    const uint32_t last = (uint32_t)value_.size() - 1;
    if (!(a < value_[last])) return {last, 0.0};
    const uint32_t lower = (uint32_t)(std::upper_bound(value_.begin(), value_.end(), a) - value_.begin()) - 1;
    return {lower, (a - value_[lower]) / (value_[lower + 1] - value_[lower])};
  }

  uint32_t encode(double x, mfq_rounding rounding, bool saturate) const {
    return encode_at(x, place(x), rounding, saturate);
  }
  uint32_t encode_at(double x, const Place &p, mfq_rounding rounding, bool saturate) const {
    return code_of(x, p.lower + (goes_up(p, std::signbit(x), rounding) ? 1 : 0), saturate);
  }

  /* Up when the discarded part, as a fraction of 32 bits, carries when `random` is added. */
  uint32_t encode_stochastic(double x, uint32_t random, bool saturate) const {
    const Place p = place(x);
    const double sum = std::floor(p.fraction * 4294967296.0) + random;
    return code_of(x, p.lower + (sum >= 4294967296.0 ? 1 : 0), saturate);
  }

private:
  void add_minifloat_magnitudes() {
    const uint32_t binade = 1u << format_.man_bits, all = 1u << (format_.exp_bits + format_.man_bits);
    max_code_ = all - 1 - (uint32_t)reserved_codes(format_);
    double step = std::ldexp(1.0, 1 - format_.bias - format_.man_bits), v = 0;
    for (uint32_t code = 0; code <= max_code_ + 1; ++code) {
      value_.push_back(v);
      if (code >= 2 * binade && code % binade == 0) step *= 2; /* subnormals and the first binade share a step */
      v += step;
    }
  }

  void add_integer_magnitudes() {
    const int high = format_.is_signed ? (1 << format_.man_bits) - 1 : (1 << format_.man_bits) - 1 - format_.narrow;
    max_code_ = (uint32_t)high;
    const double step = std::ldexp(1.0, -format_.frac_bits);
    for (int n = 0; n <= 2 * high + 3; ++n) value_.push_back(n * step);
  }

  static bool goes_up(const Place &p, bool negative, mfq_rounding rounding) {
    const bool odd = (p.lower & 1) != 0, tie = p.fraction == 0.5;
    switch (rounding) {
      case MFQ_ROUND_AWAY: return p.fraction >= 0.5;
      case MFQ_ROUND_ZERO: return false;
      case MFQ_ROUND_FLOOR: return negative && p.fraction > 0;
      case MFQ_ROUND_CEIL: return !negative && p.fraction > 0;
      case MFQ_ROUND_DPU: return tie ? !negative && odd : p.fraction > 0.5;
      default: return tie ? odd : p.fraction > 0.5;
    }
  }

  uint32_t code_of(double x, uint32_t index, bool saturate) const {
    const bool negative = std::signbit(x);
    if (is_integer()) {
      const int high = (int)max_code_, low = format_.is_signed ? -high - 1 + format_.narrow : 0;
      const int n = std::isnan(x) ? high : std::clamp(negative ? -(int)index : (int)index, low, high);
      return (uint32_t)n & (codes() - 1);
    }
    const uint32_t ones = (format_.is_signed ? sign_bit() : codes()) - 1;
    const uint32_t nan = format_.specials == MFQ_SPECIALS_NONE   ? max_code_
                         : format_.specials == MFQ_SPECIALS_FNUZ ? sign_bit()
                                                                 : ones;
    if (std::isnan(x)) return nan;
    if (negative && !format_.is_signed) return 0;
    uint32_t code = index;
    if (index > max_code_) code = saturate ? max_code_ : format_.specials == MFQ_SPECIALS_IEEE ? max_code_ + 1 : nan;
    if (format_.specials == MFQ_SPECIALS_FNUZ && code == 0) return 0;
    return negative ? code | sign_bit() : code;
  }

  mfq_format format_;
  std::vector<double> value_;
  uint32_t max_code_ = 0;
};

/* Whether q is the float32 nearest to a / b (ties to even), for positive a and b and a quotient in the normal range.
 * Both sides of the comparison are exact in double: q * b has 48 bits, and its difference from a fewer. */
inline bool is_nearest_quotient(float q, float a, float b) {
  int exponent;
  std::frexp(q, &exponent);
  const double ulp = std::ldexp(1.0, exponent - 24), rest = std::fabs((double)a - (double)q * b);
  const bool odd = std::fmod(std::ldexp((double)q, 24 - exponent), 2.0) != 0;
  const double half = (double)b * ulp / 2;
  /* Below a power of two the spacing is half as wide. */
  const bool is_power = std::frexp(q, &exponent) == 0.5f;
  if (is_power && (double)a < (double)q * b) return rest <= half / 2;
  return rest < half || (rest == half && !odd);
}

} // namespace oracle

#endif
