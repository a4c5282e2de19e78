/* Every code of every format, against the oracle's list and against the public decoder. */
#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "num_formats.h"
#include "support/f32_inputs.h"
#include "support/oracle.h"

namespace {

/* Finite values stay finite. */
uint32_t f32_bits_of(double exact) {
  const double most = std::numeric_limits<float>::max();
  return inputs::bits_of((float)(std::isfinite(exact) ? std::clamp(exact, -most, most) : exact));
}

/* Equal, and of equal sign where both are 0. */
bool same_double(double a, double b) { return a == b && std::signbit(a) == std::signbit(b); }

void check_codes(const mfq_format &format) {
  const oracle::Grid grid(format);
  const NumFormat num(format, true);
  const std::string name = oracle::describe(format);
  for (uint32_t code = 0; code < grid.codes(); ++code) {
    const double want = grid.decode(code);
    double published = 0;
    ASSERT_EQ(mfq_format_decode(&format, code, &published), MFQ_OK) << name << " code " << code;
    ASSERT_TRUE(std::isnan(want) ? std::isnan(published) : same_double(published, want)) << name << " code " << code;
    for (int exp2 : {0, -127, -40, -3, 1, 30, 127}) {
      const uint32_t got = num.decode(code, exp2), expected = f32_bits_of(std::ldexp(want, exp2));
      ASSERT_TRUE(inputs::same(got, expected)) << name << " code " << code << " exp2 " << exp2 << ": got "
                                               << inputs::f32(got) << ", want " << inputs::f32(expected);
    }
  }
}

TEST(Decode, EveryCodeOfEveryNamedFormat) {
  for (const oracle::NamedFormat &row : oracle::named_formats()) check_codes(row.format);
}

TEST(Decode, EveryCodeOfEveryGenericMinifloat) {
  const auto formats = oracle::generic_formats({-64, -7, 0, 1, 7, 15, 127, 160});
  ASSERT_GT(formats.size(), 1500u);
  for (const mfq_format &format : formats) {
    check_codes(format);
    if (HasFatalFailure()) return;
  }
}

TEST(Decode, EveryCodeOfEveryInteger) {
  for (int is_signed = 0; is_signed <= 1; ++is_signed)
    for (int bits = 2; bits <= 8; ++bits)
      for (int frac_bits : {-16, -1, 0, 3, 16})
        for (int narrow = 0; narrow <= 1; ++narrow)
          check_codes({MFQ_KIND_INTEGER, is_signed, 0, bits - is_signed, 0, MFQ_SPECIALS_NONE, frac_bits, narrow});
}

/* Values that the standards print. */
TEST(Decode, PublishedLimits) {
  struct Row {
    const char *name;
    double highest, smallest;
  };
  const Row rows[] = {{"e4m3fn", 448, 0x1p-9},      {"e5m2", 57344, 0x1p-16},
                      {"e4m3ieee", 240, 0x1p-9},    {"e3m4ieee", 15.5, 0x1p-6},
                      {"e4m3fnuz", 240, 0x1p-10},   {"e5m2fnuz", 57344, 0x1p-17},
                      {"e4m3b11fnuz", 30, 0x1p-13}, {"e3m2", 28, 0x1p-4},
                      {"e2m3", 7.5, 0x1p-3},        {"e2m1", 6, 0.5},
                      {"mxint8", 1.984375, 0x1p-6}, {"e4m3", 480, 0x1p-9},
                      {"e5m2none", 114688, 0x1p-16}};
  for (const Row &row : rows) {
    const mfq_format format = oracle::named(row.name);
    const NumFormat num(format, true);
    const uint32_t highest = num.is_integer ? (uint32_t)num.integer.highest : num.minifloat.max_code;
    EXPECT_EQ(inputs::f32(num.decode(highest, 0)), row.highest) << row.name;
    EXPECT_EQ(inputs::f32(num.decode(1, 0)), row.smallest) << row.name;
    EXPECT_EQ(oracle::Grid(format).max_value(), row.highest) << row.name;
  }
}

} // namespace
