/* tests/support/half.h: f16 by the compiler's own type, or by arithmetic where it has none (clang before 15 on x86). */
#ifndef MFQ_TESTS_SUPPORT_HALF_H
#define MFQ_TESTS_SUPPORT_HALF_H

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__aarch64__)
#define MFQ_TEST_FLOAT16 __fp16 /* GCC before 13 has no _Float16 in C++ there */
#elif defined(__FLT16_MAX__)
#define MFQ_TEST_FLOAT16 _Float16
#endif

namespace mfq_test {

/* The nearest f16, ties to even. */
inline uint16_t half_bits(float x) {
#ifdef MFQ_TEST_FLOAT16
  const MFQ_TEST_FLOAT16 half = (MFQ_TEST_FLOAT16)x;
  uint16_t bits;
  std::memcpy(&bits, &half, sizeof bits);
  return bits;
#else
  const int sign = std::signbit(x) ? 0x8000 : 0, exponent = std::ilogb(x);
  const double a = std::fabs((double)x);
  if (std::isnan(x)) return (uint16_t)(sign | 0x7e00);
  if (a >= 65520) return (uint16_t)(sign | 0x7c00);
  if (a < 0x1p-14) return (uint16_t)(sign | (int)std::nearbyint(std::ldexp(a, 24)));
  return (uint16_t)(sign | ((exponent + 14) * 1024 + (int)std::nearbyint(std::ldexp(a, 10 - exponent))));
#endif
}

inline float half_value(uint16_t bits) {
#ifdef MFQ_TEST_FLOAT16
  MFQ_TEST_FLOAT16 half;
  std::memcpy(&half, &bits, sizeof half);
  return (float)half;
#else
  const int field = bits >> 10 & 31, fraction = bits & 1023;
  double a = std::ldexp(field == 0 ? fraction : 1024 + fraction, (field == 0 ? 1 : field) - 25);
  if (field == 31) a = fraction == 0 ? HUGE_VAL : NAN;
  return (float)((bits & 0x8000) != 0 ? -a : a);
#endif
}

} // namespace mfq_test

#endif
