/* The twins of packed arithmetic against definitions written another way. */
#include <cmath>

#include "simt/emulator/run_kernel.h"

namespace {

uint32_t pack(uint32_t low, uint32_t high) { return low | high << 16; }

double value_of_bf16(uint32_t h) {
  const int exponent = (int)(h >> 7 & 0xff), mantissa = (int)(h & 0x7f);
  const double magnitude = exponent == 0     ? std::ldexp(mantissa, -133)
                           : exponent == 255 ? (mantissa ? NAN : INFINITY)
                                             : std::ldexp(128 + mantissa, exponent - 134);
  return h & 0x8000 ? -magnitude : magnitude;
}

double value_of_f16(uint32_t h) {
  const int exponent = (int)(h >> 10 & 0x1f), mantissa = (int)(h & 0x3ff);
  const double magnitude = exponent == 0    ? std::ldexp(mantissa, -24)
                           : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                            : std::ldexp(1024 + mantissa, exponent - 25);
  return h & 0x8000 ? -magnitude : magnitude;
}

/* The bf16 nearest to magnitude + rest, ties to even; `rest` is less than a step of double beside `magnitude`. */
uint32_t nearest_bf16(double magnitude, double rest) {
  /* The largest code not above the magnitude, and the midpoint to the next one. */
  uint32_t code = 0;
  for (uint32_t bit = 0x4000; bit; bit >>= 1)
    if ((code | bit) < 0x7f80 && value_of_bf16(code | bit) <= magnitude) code |= bit;
  if (value_of_bf16(code) == magnitude && rest == 0) return code;
  if (value_of_bf16(code) == magnitude && rest < 0) --code;
  const double above = code == 0x7f7f ? std::ldexp(1, 128) : value_of_bf16(code + 1);
  const double middle = (value_of_bf16(code) + above) / 2;
  const double side = magnitude != middle ? magnitude - middle : rest;
  return side > 0 || (side == 0 && code % 2) ? code + 1 : code;
}

/* The bf16 nearest to the exact a + b, found from the sum in double and what that leaves out. */
uint32_t add_oracle(uint32_t a, uint32_t b) {
  const double x = value_of_bf16(a), y = value_of_bf16(b), sum = x + y;
  if (std::isnan(sum)) return 0x7fff;
  const uint32_t sign = std::signbit(sum) ? 0x8000 : 0;
  if (std::isinf(sum)) return sign | 0x7f80;
  const double larger = std::fabs(x) >= std::fabs(y) ? x : y, smaller = larger == x ? y : x;
  const double rest = smaller - (sum - larger);
  return sign | nearest_bf16(std::fabs(sum), sign ? -rest : rest);
}

TEST(Ptx, AddOfBf16IsRoundedOnce) {
  const uint32_t mantissas[] = {0x00, 0x01, 0x40, 0x55, 0x7e, 0x7f};
  uint64_t wrong = 0;
  for (uint32_t i = 0; i < 512; ++i) {
    for (uint32_t j = 0; j < 512; ++j) {
      for (uint32_t k = 0; k < 6; ++k) {
        const uint32_t a = i << 7 | mantissas[k], b = j << 7 | mantissas[(k + i + j) % 6];
        const uint32_t want = add_oracle(a, b), got = ptx_bf16x2_add(pack(a, b), pack(b, a));
        if (got == pack(want, want) || ++wrong > 5) continue;
        ADD_FAILURE() << std::hex << a << " + " << b << " is " << want << ", not " << got;
      }
    }
  }
  EXPECT_EQ(wrong, 0u);
}

TEST(Ptx, AddOfBf16ByHand) {
  EXPECT_EQ(ptx_bf16x2_add(pack(0x0001, 0x3f80), pack(0x0001, 0x3b80)), pack(0x0002, 0x3f80)); /* subnormal; tie */
  EXPECT_EQ(ptx_bf16x2_add(pack(0x8000, 0x3f80), pack(0x8000, 0xbf80)), pack(0x8000, 0x0000));
  EXPECT_EQ(ptx_bf16x2_add(pack(0x7f7f, 0x7f80), pack(0x7f7f, 0xff80)), pack(0x7f80, 0x7fff));
  EXPECT_EQ(ptx_bf16x2_add(pack(0xffc1, 0x3f81), pack(0x3f80, 0x3b80)), pack(0x7fff, 0x3f82)); /* NaN; tie to even */
}

/* Every number times numbers of every exponent; products are exact in double. */
TEST(Ptx, ProductOfBf16IsRoundedOnce) {
  uint64_t wrong = 0;
  for (uint32_t a = 0; a < 0x10000; ++a) {
    if ((a & 0x7fff) >= 0x7f80) continue;
    for (uint32_t j = 0; j < 16; ++j) {
      const uint32_t b = (a * 40503u + j * 4099u) % 0x7f80 & (j % 2 ? 0x7fffu : 0x7f80u); /* odd turns: any mantissa */
      const uint32_t want = ((a & 0x8000) | nearest_bf16(std::fabs(value_of_bf16(a) * value_of_bf16(b)), 0));
      const uint32_t got = ptx_bf16x2_multiply(pack(a, b), pack(b, a));
      if (got == pack(want, want) || ++wrong > 5) continue;
      ADD_FAILURE() << std::hex << a << " * " << b << " is " << want << ", not " << got;
    }
  }
  EXPECT_EQ(wrong, 0u);
}

/* Every code against a set that has each class and its neighbours. */
const uint32_t partners[] = {0x0000, 0x8000, 0x0001, 0x8001, 0x007f, 0x0080, 0x3f80, 0xbf80,
                             0x03ff, 0x0400, 0x3c00, 0xbc01, 0x7bff, 0x7c00, 0xfc00, 0x7c01,
                             0x7e00, 0xfe01, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7f81, 0xffc0};

/* The larger or the smaller of two values; -0 is below +0. */
uint32_t select_oracle(uint32_t a, uint32_t b, double x, double y, bool largest) {
  const bool a_is_less = x < y || (x == y && std::signbit(x) > std::signbit(y));
  return a_is_less == largest ? b : a;
}

TEST(Ptx, MaxAndMinOfBf16) {
  for (uint32_t a = 0; a < 0x10000; ++a) {
    for (const uint32_t b : partners) {
      const double x = value_of_bf16(a), y = value_of_bf16(b);
      uint32_t largest = select_oracle(a, b, x, y, true), smallest = select_oracle(a, b, x, y, false);
      if (std::isnan(x)) largest = smallest = b;
      if (std::isnan(y)) largest = smallest = a;
      if (std::isnan(x) && std::isnan(y)) largest = smallest = 0x7fff;
      const uint32_t with_nan = std::isnan(x) || std::isnan(y) ? 0x7fff : largest;
      ASSERT_EQ(ptx_bf16x2_max(pack(a, b), pack(b, a)), pack(largest, largest)) << std::hex << a << " " << b;
      ASSERT_EQ(ptx_bf16x2_min(pack(a, b), pack(b, a)), pack(smallest, smallest)) << std::hex << a << " " << b;
      ASSERT_EQ(ptx_bf16x2_max_nan(pack(a, b), pack(b, a)), pack(with_nan, with_nan)) << std::hex << a << " " << b;
    }
  }
}

TEST(Ptx, MaxOfF16) {
  for (uint32_t a = 0; a < 0x10000; ++a) {
    for (const uint32_t b : partners) {
      const double x = value_of_f16(a), y = value_of_f16(b);
      const uint32_t want = std::isnan(x) || std::isnan(y) ? 0x7fff : select_oracle(a, b, x, y, true);
      ASSERT_EQ(ptx_f16x2_max_nan(pack(a, b), pack(b, a)), pack(want, want)) << std::hex << a << " " << b;
    }
  }
}

TEST(Ptx, Permute) {
  const uint32_t a = 0x83726150, b = 0xc7b6a594;
  const uint8_t bytes[8] = {0x50, 0x61, 0x72, 0x83, 0x94, 0xa5, 0xb6, 0xc7};
  for (uint32_t selector = 0; selector < 0x10000; ++selector) {
    uint8_t want[4];
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t nibble = selector >> 4 * i & 15;
      want[i] = nibble < 8 ? bytes[nibble] : bytes[nibble - 8] >= 0x80 ? 0xff : 0x00;
    }
    const uint32_t got = ptx_permute(a, b, selector);
    ASSERT_EQ(got, want[0] | want[1] << 8 | want[2] << 16 | (uint32_t)want[3] << 24) << std::hex << selector;
  }
}

TEST(Ptx, HighWordOfAProduct) {
  const uint64_t numbers[] = {0, 1, 2, 0xffffffffu, 0x100000000u, 0x123456789abcdef0u, ~uint64_t{0} - 1, ~uint64_t{0}};
  for (const uint64_t a : numbers) {
    for (const uint64_t b : numbers) {
      /* By halves, as on paper. */
      const uint64_t low = (a & 0xffffffffu) * (b & 0xffffffffu), left = (a >> 32) * (b & 0xffffffffu);
      const uint64_t right = (a & 0xffffffffu) * (b >> 32), high = (a >> 32) * (b >> 32);
      const uint64_t middle = (low >> 32) + (left & 0xffffffffu) + (right & 0xffffffffu);
      EXPECT_EQ(ptx_multiply_high(a, b), high + (left >> 32) + (right >> 32) + (middle >> 32));
    }
  }
}

/* Rounding of float32: the codes themselves, and the midpoints between them with their neighbours. */
TEST(Ptx, HalvesFromFloat) {
  for (uint32_t h = 0; h < 0x7f7f; ++h) {
    const float middle = (float)((value_of_bf16(h) + value_of_bf16(h + 1)) / 2);
    const uint32_t even = h + h % 2;
    ASSERT_EQ(ptx_bf16x2_from_f32((float)value_of_bf16(h), middle), pack(h, even));
    ASSERT_EQ(ptx_bf16x2_from_f32(std::nextafter(middle, 0.f), std::nextafter(middle, INFINITY)), pack(h, h + 1));
    ASSERT_EQ(ptx_bf16x2_from_f32(-middle, -std::nextafter(middle, 0.f)), pack(even | 0x8000, h | 0x8000));
  }
  for (uint32_t h = 0; h < 0x7bff; ++h) {
    const float middle = (float)((value_of_f16(h) + value_of_f16(h + 1)) / 2);
    const uint32_t even = h + h % 2;
    ASSERT_EQ(ptx_f16x2_from_f32((float)value_of_f16(h), middle), pack(h, even));
    ASSERT_EQ(ptx_f16x2_from_f32(std::nextafter(middle, 0.f), std::nextafter(middle, INFINITY)), pack(h, h + 1));
  }
  EXPECT_EQ(ptx_bf16x2_from_f32(INFINITY, -3.4e38f), pack(0x7f80, 0xff80));
  EXPECT_EQ(ptx_f16x2_from_f32(65520.f, -65519.f), pack(0x7c00, 0xfbff));
}

} // namespace
