/* tests/support/exact_sum.h: sums of products of doubles without any rounding, and the float32 nearest to them.
 *
 * A fixed-point number of 5120 bits, its lowest worth 2^-2400: products of finite doubles whose exponents are at most
 * about a thousand either way are multiples of that. */
#ifndef MFQ_TESTS_SUPPORT_EXACT_SUM_H
#define MFQ_TESTS_SUPPORT_EXACT_SUM_H

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>

namespace mfq_test {

class ExactSum {
public:
  /* Adds x * y; both are finite. */
  void add(double x, double y = 1.0) {
    if (x == 0 || y == 0) return;
    int ex, ey;
    const auto mx = (int64_t)std::ldexp(std::frexp(x, &ex), 53), my = (int64_t)std::ldexp(std::frexp(y, &ey), 53);
    const wide product = (wide)(uint64_t)std::llabs(mx) * (uint64_t)std::llabs(my);
    add_bits(product, ex + ey - 106 - kLowest, (mx < 0) != (my < 0) ? -1 : 1);
  }

  /* Ties to even, subnormals and infinity as IEEE 754 wants them. A sum of zero is +0. */
  float to_f32() const {
    Limbs magnitude = limbs_;
    const bool negative = normalise(&magnitude);
    int top = kBits - 1;
    while (top >= 0 && !bit(magnitude, top)) --top;
    if (top < 0) return 0.0f;
    const int last = std::max(top - 23, -149 - kLowest); /* the place of the result's last digit */
    uint64_t digits = 0;
    for (int i = top; i >= last; --i) digits = digits * 2 + (uint64_t)bit(magnitude, i);
    bool below = false;
    for (int i = 0; i < last - 1; ++i) below = below || bit(magnitude, i);
    if (bit(magnitude, last - 1) && (below || digits % 2 != 0)) ++digits;
    const double value = std::ldexp((double)digits, last + kLowest);
    const float rounded = value >= 0x1p128 ? std::numeric_limits<float>::infinity() : (float)value; /* exact */
    return negative ? -rounded : rounded;
  }

private:
  __extension__ typedef unsigned __int128 wide;
  static constexpr int kLimbs = 160, kBits = kLimbs * 32, kLowest = -2400;
  using Limbs = std::array<int64_t, kLimbs>; /* of 32 bits, with room for carries and signs */

  void add_bits(wide value, int place, int sign) {
    wide low = value << place % 32; /* 106 bits and 31 more do not fit: the rest goes on top */
    const uint64_t above = place % 32 == 0 ? 0 : (uint64_t)(value >> (128 - place % 32));
    for (int i = place / 32, n = 0; n < 4; ++i, ++n, low >>= 32) limbs_[(size_t)i] += sign * (int64_t)(uint32_t)low;
    limbs_[(size_t)(place / 32 + 4)] += sign * (int64_t)above;
  }

  /* Makes every limb 0 ... 2^32 - 1; returns whether the sum is negative, and leaves its magnitude. */
  static bool normalise(Limbs *limbs) {
    if (!carry(limbs)) return false;
    for (int64_t &limb : *limbs) limb = -limb;
    carry(limbs);
    return true;
  }
  static bool carry(Limbs *limbs) {
    int64_t rest = 0;
    for (int64_t &limb : *limbs) {
      const int64_t sum = limb + rest;
      limb = sum & 0xffffffff;
      rest = (sum - limb) / 4294967296;
    }
    if (rest < 0) limbs->back() += rest * 4294967296; /* so that the negated sum comes out right */
    return rest < 0;
  }
  static bool bit(const Limbs &limbs, int i) { return (limbs[(size_t)(i / 32)] >> i % 32 & 1) != 0; }

  Limbs limbs_ = {};
};

} // namespace mfq_test

#endif
