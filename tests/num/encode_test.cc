/* Encoding against the oracle: every bfloat16 and float16 input, and float32 inputs around every code boundary. */
#include <atomic>
#include <cstdio>
#include <thread>

#include <gtest/gtest.h>

#include <mfq/num/bits.h>

#include "num_formats.h"
#include "support/f32_inputs.h"
#include "support/oracle.h"

namespace {

const mfq_rounding kRoundings[] = {MFQ_ROUND_EVEN,  MFQ_ROUND_AWAY, MFQ_ROUND_ZERO,
                                   MFQ_ROUND_FLOOR, MFQ_ROUND_CEIL, MFQ_ROUND_DPU};

/* One format with and without saturation. */
struct Subject {
  explicit Subject(const mfq_format &format)
      : grid(format), num{NumFormat(format, false), NumFormat(format, true)}, name(oracle::describe(format)) {}
  oracle::Grid grid;
  NumFormat num[2]; /* by saturate */
  std::string name;
};

/* The input u * 2^-exp2 in every rounding and with and without saturation. */
testing::AssertionResult agrees(const Subject &s, uint32_t u, int exp2) {
  const double x = std::ldexp((double)inputs::f32(u), -exp2);
  const oracle::Place place = s.grid.place(x);
  for (int saturate = 0; saturate <= 1; ++saturate)
    for (mfq_rounding rounding : kRoundings) {
      const uint32_t want = s.grid.encode_at(x, place, rounding, saturate);
      const uint32_t got = s.num[saturate].encode(u, exp2, rounding);
      if (got != want)
        return testing::AssertionFailure()
               << s.name << " of " << inputs::f32(u) << " * 2^-" << exp2 << ", rounding " << rounding << ", saturate "
               << saturate << ": got code " << got << ", want " << want;
    }
  return testing::AssertionSuccess();
}

void check_all(const Subject &s, const std::vector<uint32_t> &all, int exp2) {
  for (uint32_t u : all) ASSERT_TRUE(agrees(s, u, exp2));
}

class EncodeNamed : public testing::TestWithParam<oracle::NamedFormat> {};

TEST_P(EncodeNamed, EveryBfloat16) {
  const Subject s(GetParam().format);
  for (uint32_t h = 0; h < 65536; ++h) ASSERT_TRUE(agrees(s, h << 16, 0));
}

TEST_P(EncodeNamed, EveryFloat16) {
  const Subject s(GetParam().format);
  for (uint32_t h = 0; h < 65536; ++h) ASSERT_TRUE(agrees(s, mfqn_f32_from_f16(h), 0));
}

TEST_P(EncodeNamed, Float32) {
  const Subject s(GetParam().format);
  check_all(s, inputs::boundaries(s.grid, 0), 0);
  check_all(s, inputs::structured(), 0);
  check_all(s, inputs::random(21, 20000), 0);
}

TEST_P(EncodeNamed, PowerOfTwoScalesFoldIntoTheBias) {
  const Subject s(GetParam().format);
  const std::vector<uint32_t> random = inputs::random(22, 1000);
  for (int exp2 : {-127, -126, -90, -64, -24, -8, -1, 1, 7, 24, 63, 100, 125, 126, 127}) {
    check_all(s, inputs::boundaries(s.grid, exp2), exp2);
    check_all(s, random, exp2);
  }
}

/* A code survives decoding and encoding in every rounding. */
TEST_P(EncodeNamed, EveryValueIsAFixedPoint) {
  const Subject s(GetParam().format);
  for (uint32_t code = 0; code < s.grid.codes(); ++code) {
    const double v = s.grid.decode(code);
    if (!std::isfinite(v)) continue;
    const uint32_t want = s.grid.encode(v, MFQ_ROUND_EVEN, true);
    for (mfq_rounding rounding : kRoundings)
      ASSERT_EQ(s.num[1].encode(s.num[1].decode(code, 0), 0, rounding), want) << s.name << " code " << code;
    const bool is_unused = s.grid.is_integer() && GetParam().format.narrow && want != code;
    ASSERT_TRUE(want == code || is_unused) << s.name << " code " << code;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, EncodeNamed, testing::ValuesIn(oracle::named_formats()),
                         [](const auto &row) { return row.param.name; });

/* All 2^32 inputs, nearest even, saturating, on two threads. Returns the first input that differs, or 2^64 - 1. */
uint64_t first_difference(const Subject &s) {
  std::atomic<uint64_t> bad{UINT64_MAX};
  auto half = [&](uint64_t from) {
    for (uint64_t u = from; u < from + (1ull << 31) && bad == UINT64_MAX; ++u) {
      const double x = inputs::f32((uint32_t)u);
      if (s.num[1].encode((uint32_t)u, 0, MFQ_ROUND_EVEN) != s.grid.encode(x, MFQ_ROUND_EVEN, true)) bad = u;
    }
  };
  std::thread other(half, 1ull << 31);
  half(0);
  other.join();
  return bad;
}

TEST(EncodeExhaustive, EveryFloat32) {
  if (!inputs::exhaustive())
    GTEST_SKIP() << "set MFQ_TEST_EXHAUSTIVE=1 to try all 2^32 inputs; the other tests try the structured ones";
  for (const oracle::NamedFormat &row : oracle::named_formats()) {
    ASSERT_EQ(first_difference(Subject(row.format)), UINT64_MAX) << row.name << ": first input that differs";
    std::printf("%s: all 2^32 inputs\n", row.name.c_str());
    std::fflush(stdout);
  }
}

/* Every exponent with a few mantissas. */
std::vector<uint32_t> every_exponent() {
  std::vector<uint32_t> all;
  for (uint32_t high = 0; high < 512; ++high)
    for (uint32_t fraction : {0u, 1u, 0x400000u, 0x7fffffu}) all.push_back(high << 23 | fraction);
  return all;
}

TEST(EncodeGeneric, EveryMinifloatAroundItsBoundaries) {
  const std::vector<uint32_t> exponents = every_exponent();
  for (const mfq_format &format : oracle::generic_formats({-64, -7, 0, 1, 7, 15, 127, 160})) {
    const Subject s(format);
    check_all(s, inputs::boundaries(s.grid, 0), 0);
    check_all(s, exponents, 0);
    if (HasFatalFailure()) return;
  }
}

TEST(EncodeGeneric, EveryIntegerAroundItsBoundaries) {
  const std::vector<uint32_t> exponents = every_exponent();
  for (int is_signed = 0; is_signed <= 1; ++is_signed)
    for (int bits = 2; bits <= 8; ++bits)
      for (int frac_bits : {-16, -1, 0, 3, 16})
        for (int narrow = 0; narrow <= 1; ++narrow) {
          const Subject s({MFQ_KIND_INTEGER, is_signed, 0, bits - is_signed, 0, MFQ_SPECIALS_NONE, frac_bits, narrow});
          for (int exp2 : {-127, -5, 0, 9, 127}) {
            check_all(s, inputs::boundaries(s.grid, exp2), exp2);
            check_all(s, exponents, exp2);
          }
          if (HasFatalFailure()) return;
        }
}

/* Without `wide`, subnormal inputs are not normalised; where the format's smallest normal value is above them all, that
 * must not show. */
TEST(EncodeGeneric, NarrowFormEqualsWideForm) {
  std::vector<uint32_t> all = every_exponent();
  for (uint32_t u : inputs::random(23, 500)) {
    all.push_back(u);
    all.push_back(u & 0x807fffffu);
    all.push_back(u & 0x8000ffffu);
  }
  int formats = 0;
  for (const mfq_format &format : oracle::generic_formats({-64, 0, 7, 126, 127, 160})) {
    const mfqn_minifloat f = num_minifloat(format, true);
    for (int exp2 : {-127, -1, 0, 1, 34, 127}) {
      if (format.bias - exp2 >= 127) continue;
      ++formats;
      for (uint32_t u : all)
        for (int rounding = MFQ_ROUND_EVEN; rounding <= MFQ_ROUND_STOCHASTIC; ++rounding)
          ASSERT_EQ(mfqn_minifloat_encode_as(u, &f, exp2, rounding, 0x9abcdef1u, 0),
                    mfqn_minifloat_encode_as(u, &f, exp2, rounding, 0x9abcdef1u, 1))
              << oracle::describe(format) << " of " << inputs::f32(u) << " * 2^-" << exp2 << ", rounding " << rounding;
    }
  }
  EXPECT_GT(formats, 1000);
}

/* The ties of e2m1 that every description of FP4 prints. */
TEST(EncodeGeneric, TiesOfFp4) {
  const NumFormat num(oracle::named("e2m1"), true);
  const struct {
    float x, nearest;
  } ties[] = {{0.25f, 0}, {0.75f, 1}, {1.25f, 1}, {1.75f, 2}, {2.5f, 2}, {3.5f, 4}, {5, 4}, {7, 6}, {1e30f, 6}};
  for (const auto &tie : ties) {
    const uint32_t code = num.encode(inputs::bits_of(tie.x), 0, MFQ_ROUND_EVEN);
    EXPECT_EQ(inputs::f32(num.decode(code, 0)), tie.nearest) << tie.x;
  }
}

} // namespace
