/* tests/support/f32_inputs.h: sets of float32 inputs, as bits, that find rounding faults. */
#ifndef MFQ_TESTS_SUPPORT_F32_INPUTS_H
#define MFQ_TESTS_SUPPORT_F32_INPUTS_H

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "oracle.h"

namespace inputs {

inline float f32(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline uint32_t bits_of(float x) {
  uint32_t u;
  std::memcpy(&u, &x, sizeof u);
  return u;
}

inline bool is_nan(uint32_t bits) { return (bits & 0x7fffffffu) > 0x7f800000u; }

/* Equal bits, or both NaN. */
inline bool same(uint32_t a, uint32_t b) { return a == b || (is_nan(a) && is_nan(b)); }

/* All 2^32 inputs are tried only on request. */
inline bool exhaustive() {
  const char *value = std::getenv("MFQ_TEST_EXHAUSTIVE");
  return value != nullptr && value[0] == '1';
}

/* SplitMix64: the same numbers on every platform. */
class Random {
public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint32_t word() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
  }

private:
  uint64_t state_;
};

/* All signs and exponents with mantissas at both ends, of single bits, and of runs of ones: zeros, subnormals,
 * infinities and NaN are among them. */
inline std::vector<uint32_t> structured() {
  std::vector<uint32_t> fractions = {0, 1, 2, 3, 0x2aaaaau, 0x555555u, 0x7ffffdu, 0x7ffffeu};
  for (int bit = 2; bit < 23; ++bit) {
    fractions.push_back(1u << bit);
    fractions.push_back((1u << bit) + 1);
    fractions.push_back(0x7fffffu & ~((1u << bit) - 1));
    fractions.push_back(0x7fffffu & ~(1u << bit));
  }
  fractions.push_back(0x7fffffu);
  std::vector<uint32_t> all;
  for (uint32_t high = 0; high < 512; ++high)
    for (uint32_t fraction : fractions) all.push_back(high << 23 | fraction);
  return all;
}

/* `count` random bit patterns. */
inline std::vector<uint32_t> random(uint64_t seed, int count) {
  Random source(seed);
  std::vector<uint32_t> all((size_t)count);
  for (uint32_t &u : all) u = source.word();
  return all;
}

/* Appends t, its float32 neighbours and t (1 +- 2^-12), with both signs. */
inline void add_near(double t, std::vector<uint32_t> *all) {
  if (!(std::fabs(t) < 3.4e38)) return;
  const float x = (float)t;
  const float near[] = {x, std::nextafter(x, HUGE_VALF), std::nextafter(x, 0.0f), (float)(t * (1 + 1.0 / 4096)),
                        (float)(t * (1 - 1.0 / 4096))};
  for (float y : near) {
    all->push_back(bits_of(y));
    all->push_back(bits_of(-y));
  }
}

/* Around every value of a grid and every middle between two, times 2^exp2. */
inline std::vector<uint32_t> boundaries(const oracle::Grid &grid, int exp2) {
  std::vector<uint32_t> all;
  for (uint32_t code = 0; code <= grid.max_code(); ++code) {
    const double v = grid.magnitude(code), middle = (v + grid.magnitude(code + 1)) / 2;
    add_near(std::ldexp(v, exp2), &all);
    add_near(std::ldexp(middle, exp2), &all);
  }
  add_near(std::ldexp(grid.magnitude(grid.max_code() + 1), exp2), &all);
  return all;
}

} // namespace inputs

#endif
