// The shorter encodings of the vector loops against the general one, wherever they claim to hold.
#include <gtest/gtest.h>

#include <mfq/num/random.h>
#include <mfq/num/value.h>

#include "num_formats.h"
#include "support/f32_inputs.h"
#include "support/oracle.h"

namespace {

const std::vector<int> &exponents() {
  static const std::vector<int> all = {-150, -127, -126, -125, -120, -119, -65, -8,  -1,
                                       0,    1,    7,    34,   64,   100,  105, 112, 127};
  return all;
}

/* Infinities and NaN may come in where the exponent is at most 0 and the format well within float32. */
bool holds_for_all(const mfq_format &format, int exp2) {
  return exp2 <= 0 && (1 << format.exp_bits) - 1 - format.bias <= 120;
}

/* The ends of what is drawn, the middle, and one that depends on the input. */
std::vector<uint32_t> halves(uint32_t u) { return {0, 1, 0x7fff, 0x8000, 0xffff, u * 2654435761u >> 16}; }

/* Whether stochastic rounding agrees too, for an input and an exponent. */
bool draws_alike(const mfqn_minifloat &f, int exp2, uint32_t u) {
  const bool finite = (u & 0x7fffffffu) < 0x7f800000u;
  for (const uint32_t half : halves(u))
    if (mfqn_minifloat_encode_drawn(u, &f, mfqn_central_of(&f, exp2), half, finite, f.neg_zero_mask != 0) !=
        mfqn_minifloat_encode(u, &f, exp2, MFQN_ROUND_STOCHASTIC, mfqn_random_fraction(half)))
      return false;
  return true;
}

/* Whether the value without a code is that of the code. */
bool values_alike(const mfqn_minifloat &f, int exp2, uint32_t u, uint32_t code) {
  const int top = (int)(f.max_code >> f.man_bits) - f.bias + exp2;
  if (f.man_bits == 0 || top > 103 || (u & 0x7fffffffu) > 0x7f800000u) return true; /* what it is not for */
  const uint32_t limit = mfqn_minifloat_limit(&f, exp2), zero_sign = f.neg_zero_mask & 0x80000000u;
  return mfqn_minifloat_value_central(u, &f, mfqn_central_of(&f, exp2), limit, zero_sign) ==
         mfqn_minifloat_decode(code, &f, exp2);
}

/* Compares over `inputs`; returns how many exponents the short form held for. */
int compare(const mfq_format &format, const std::vector<uint32_t> &inputs) {
  int held = 0;
  const mfqn_minifloat f = num_minifloat(format, true);
  for (const int exp2 : exponents()) {
    if (!mfqn_minifloat_is_central(&f, exp2)) continue;
    ++held;
    const bool any = holds_for_all(format, exp2);
    const bool draws = f.man_bits <= 6 && mfqn_minifloat_is_central(&f, exp2 - 1 - MFQN_DRAWN_BITS);
    const mfqn_central central = mfqn_central_of(&f, exp2);
    for (const uint32_t u : inputs) {
      const bool finite = (u & 0x7fffffffu) < 0x7f800000u;
      if (!finite && !any) continue;
      const uint32_t expected = mfqn_minifloat_encode(u, &f, exp2, MFQN_ROUND_EVEN, 0);
      EXPECT_EQ(mfqn_minifloat_encode_central(u, &f, central, finite, f.neg_zero_mask != 0), expected)
          << oracle::describe(format) << " of " << std::hex << u << " * 2^-" << std::dec << exp2;
      EXPECT_TRUE(values_alike(f, exp2, u, expected))
          << oracle::describe(format) << " of " << std::hex << u << " * 2^-" << std::dec << exp2 << ", its value";
      EXPECT_TRUE(!draws || draws_alike(f, exp2, u))
          << oracle::describe(format) << " of " << std::hex << u << " * 2^-" << std::dec << exp2 << ", drawn";
      if (testing::Test::HasFailure()) return held;
    }
  }
  return held;
}

TEST(EncodeCentral, EveryHalfInputOfEveryRow) {
  std::vector<uint32_t> inputs;
  for (uint32_t h = 0; h < 65536; ++h) {
    inputs.push_back(mfqn_f32_from_bf16(h));
    inputs.push_back(mfqn_f32_from_f16(h));
  }
  for (const auto &row : oracle::named_formats()) {
    if (row.format.kind != MFQ_KIND_MINIFLOAT || !row.format.is_signed) continue;
    EXPECT_GT(compare(row.format, inputs), 4) << row.name;
  }
}

TEST(EncodeCentral, GenericFormatsAtTheirBoundaries) {
  int formats = 0;
  for (const mfq_format &format : oracle::generic_formats({-64, -7, 0, 1, 7, 15, 100, 160})) {
    if (!format.is_signed) continue;
    std::vector<uint32_t> inputs = inputs::random(17, 3000);
    for (uint32_t field = 0; field < 255; ++field)
      for (const uint32_t man : {0u, 1u, 0x3fffffu, 0x400000u, 0x400001u, 0x7fffffu})
        for (const uint32_t sign : {0u, 0x80000000u}) inputs.push_back(sign | field << 23 | man);
    formats += compare(format, inputs) > 0;
  }
  EXPECT_GT(formats, 500);
}

TEST(EncodeCentral, Integers) {
  std::vector<uint32_t> inputs = inputs::structured();
  for (const uint32_t u : inputs::random(5, 20000)) inputs.push_back(u);
  for (int i = -1100; i <= 1100; ++i) inputs.push_back(inputs::bits_of((float)i / 4)); /* every tie */
  int held = 0;
  for (const auto &row : oracle::named_formats()) {
    if (row.format.kind != MFQ_KIND_INTEGER) continue;
    const mfqn_integer f = num_integer(row.format);
    for (const int exp2 : exponents()) {
      if (!mfqn_integer_is_central(&f, exp2)) continue;
      ++held;
      const float power = inputs::f32((uint32_t)(127 + f.frac_bits - exp2) << 23);
      for (const uint32_t u : inputs) {
        if ((u & 0x7fffffffu) >= 0x7f800000u) continue;
        ASSERT_EQ(mfqn_integer_encode_central(inputs::f32(u) * power, &f),
                  mfqn_integer_encode(u, &f, exp2, MFQN_ROUND_EVEN, 0))
            << row.name << " of " << std::hex << u << " * 2^-" << std::dec << exp2;
        const int32_t value = mfqn_integer_round(u, &f, exp2, MFQN_ROUND_EVEN, 0);
        ASSERT_EQ(mfqn_bits(mfqn_integer_value_central(inputs::f32(u) * power, &f)), mfqn_bits((float)value))
            << row.name << " of " << std::hex << u << " * 2^-" << std::dec << exp2;
        if (!mfqn_integer_is_central(&f, exp2 - 1 - MFQN_DRAWN_BITS)) continue;
        const float drawn = inputs::f32((uint32_t)(127 + MFQN_DRAWN_BITS + f.frac_bits - exp2) << 23);
        for (const uint32_t half : halves(u))
          ASSERT_EQ(mfqn_integer_encode_drawn(inputs::f32(u) * drawn, &f, half),
                    mfqn_integer_encode(u, &f, exp2, MFQN_ROUND_STOCHASTIC, mfqn_random_fraction(half)))
              << row.name << " of " << std::hex << u << " * 2^-" << std::dec << exp2 << ", drawn";
      }
    }
  }
  EXPECT_GT(held, 100);
}

/* With a zero point, added exactly and in float32: infinite quotients too. */
TEST(EncodeCentral, SumsWithZeroPoints) {
  std::vector<uint32_t> inputs = inputs::structured();
  for (int i = -1100; i <= 1100; ++i) inputs.push_back(inputs::bits_of((float)i / 4));
  for (const auto &row : oracle::named_formats()) {
    const mfqn_integer f = num_integer(row.format);
    if (row.format.kind != MFQ_KIND_INTEGER || f.frac_bits != 0) continue;
    const float lowest = (float)f.lowest, highest = (float)f.highest;
    for (const int32_t zero_point : {f.lowest, 0, 1, f.highest})
      for (const uint32_t u : inputs) {
        if ((u & 0x7fffffffu) > 0x7f800000u) continue;
        const float t = inputs::f32(u), z = (float)zero_point;
        const int32_t sum = mfqn_integer_round_sum(u, zero_point, &f, MFQN_ROUND_EVEN, 0);
        ASSERT_EQ(mfqn_bits(mfqn_integer_sum_value_central(t, z, &f)), mfqn_bits((float)(sum - zero_point)))
            << row.name << " of " << std::hex << u << " + " << std::dec << zero_point;
        ASSERT_EQ(mfqn_bits(mfqn_brevitas_integer_central(t, z, lowest, highest)),
                  mfqn_bits(mfqn_sub(mfqn_brevitas_integer(t, z, lowest, highest, MFQN_ROUND_EVEN), z)))
            << row.name << " of " << std::hex << u << " + " << std::dec << zero_point << ", Brevitas";
      }
  }
}

} // namespace
