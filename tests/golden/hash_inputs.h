/* tests/golden/hash_inputs.h: inputs that a formula gives, and the hash that stands for a result.
 *
 * Source of formulas and hashes: Brevitas 0.12.1 run on a CPU build of PyTorch 1.13. */
#ifndef MFQ_TESTS_GOLDEN_HASH_INPUTS_H
#define MFQ_TESTS_GOLDEN_HASH_INPUTS_H

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "support/plain_tensor.h"

namespace golden {

/* FNV-1a 64 over the little-endian bytes of each float32; every NaN counts as 7fc00000. */
inline uint64_t hash(const std::vector<float> &values) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const float value : values) {
    const uint32_t u = value != value ? 0x7fc00000u : mfq_test::float_bits(value);
    for (int shift = 0; shift < 32; shift += 8) h = (h ^ (u >> shift & 0xff)) * 0x100000001b3u;
  }
  return h;
}

inline uint32_t mixed(uint32_t i) { return i * 2654435761u + 12345u; }
inline uint32_t fraction(uint32_t i) { return (mixed(i) * 2246822519u) >> 9; }

/* X: 24,465 values of all binades, around powers of two, at every tie of small formats, and special ones. */
inline std::vector<float> x_values() {
  std::vector<uint32_t> bits;
  for (uint32_t i = 0; i < 16384; ++i) {
    const uint32_t u = mixed(i), exponent = 64 + (u >> 23 & 0xff) % 128;
    bits.push_back((u & 0x80000000u) | exponent << 23 | fraction(i));
  }
  for (const uint32_t sign : {0u, 0x80000000u})
    for (int k = -60; k <= 60; ++k)
      for (int d = -24; d <= 2; ++d) bits.push_back((((uint32_t)(127 + k) << 23) + (uint32_t)d) | sign);
  std::vector<float> x;
  for (const uint32_t u : bits) x.push_back(mfq_test::float_of(u));
  for (int k = -12; k <= 6; ++k)
    for (int n = -40; n <= 40; ++n) x.push_back((float)std::ldexp(n + 0.5, k));
  const float inf = std::numeric_limits<float>::infinity();
  for (const float s : {0.0f, -0.0f, inf, -inf, std::numeric_limits<float>::quiet_NaN(), 1e-40f, -1e-40f, 0x1p-126f})
    x.push_back(s);
  return x;
}

/* C: 512 groups of 32 around very different magnitudes; among them a zero, a tiny and an almost empty one. */
inline std::vector<float> c_values() {
  std::vector<float> c;
  for (uint32_t i = 0; i < 16384; ++i) {
    const uint32_t u = mixed(i), exponent = 119 + (u >> 23 & 0xff) % 16 + 7 * (i / 32) % 61 - 30;
    c.push_back(mfq_test::float_of((u & 0x80000000u) | exponent << 23 | fraction(i)));
  }
  for (size_t j = 0; j < 32; ++j) {
    c[3 * 32 + j] = 0.0f;
    c[5 * 32 + j] = 1e-11f;
    if (j > 0) c[9 * 32 + j] = 0.0f;
  }
  c[7 * 32] = std::nextafter(0x1p20f, 0.0f);
  return c;
}

/* M: 128 groups of 128, each with one value far above the others. */
inline std::vector<float> m_values() {
  std::vector<float> m;
  for (uint32_t i = 0; i < 16384; ++i) {
    const uint32_t g = i / 128;
    const double size = std::ldexp(1.0, (int)(g % 20) - 10), spread = mixed(i) / 2147483648.0 - 1;
    m.push_back(i % 128 == 0 ? (float)(size * (1 + g % 7 / 8.0)) : (float)(0.3 * spread * size));
  }
  return m;
}

} // namespace golden

#endif
