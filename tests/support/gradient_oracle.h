/* tests/support/gradient_oracle.h: what fake quantization's backward must give, in double, from the description of the
 * format alone. */
#ifndef MFQ_TESTS_SUPPORT_GRADIENT_ORACLE_H
#define MFQ_TESTS_SUPPORT_GRADIENT_ORACLE_H

#include "oracle.h"

namespace oracle {

/* The same steps without an end: a format with more codes of the same meaning. */
inline mfq_format endless(mfq_format f) {
  if (f.kind == MFQ_KIND_INTEGER) return {f.kind, 1, 0, 10, 0, MFQ_SPECIALS_NONE, f.frac_bits, 0};
  return minifloat(1, f.exp_bits + 1, f.man_bits, f.bias, MFQ_SPECIALS_NONE);
}

/* dv/dt and v of an element, in double, from the description of the format alone. */
class Gradient {
public:
  explicit Gradient(const mfq_format &format) : held_(format), all_(endless(format)) {}

  struct Element {
    double slope[3], v; /* by variant */
  };

  Element at(double t, double zero_point, mfq_rounding rounding, uint32_t random) const {
    const double sum = t + zero_point, r = all_.decode(code_of(all_, sum, rounding, random));
    const bool passes = r >= lowest() && r <= held_.max_value();
    const mfq_format &f = held_.format();
    const bool normal = f.kind == MFQ_KIND_MINIFLOAT && std::fabs(t) >= std::ldexp(1.0, 1 - f.bias);
    const double inside = passes ? 1.0 : 0.0;
    return {{1.0, inside, normal && passes ? r / t : inside},
            held_.decode(code_of(held_, sum, rounding, random)) - zero_point};
  }
  double lowest() const {
    const mfq_format &f = held_.format();
    if (!f.is_signed) return 0;
    return f.kind == MFQ_KIND_INTEGER ? -held_.max_value() - (1 - f.narrow) * held_.magnitude(1) : -held_.max_value();
  }

private:
  static uint32_t code_of(const Grid &grid, double x, mfq_rounding rounding, uint32_t random) {
    return rounding == MFQ_ROUND_STOCHASTIC ? grid.encode_stochastic(x, random, true) : grid.encode(x, rounding, true);
  }
  Grid held_, all_;
};

} // namespace oracle

#endif
