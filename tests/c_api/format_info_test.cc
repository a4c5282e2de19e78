// What formats hold: the published ranges, and every code decoded against a definition in double of its own.
#include <mfq/types.h>

#include <cmath>
#include <limits>

#include "support/expect_failure.h"

namespace {

mfq_format parsed(const char *text) {
  mfq_format f{};
  EXPECT_EQ(mfq_format_parse(text, &f), MFQ_OK) << mfq_last_error();
  return f;
}

struct Published {
  const char *name;
  double max_finite, min_normal, min_positive;
  int emax, nan_code, inf_code;
};

// OFP8 1.0 section 5, OCP MX 1.0 section 5.3, StableHLO, Noune et al. 2022.
const Published published[] = {
    {"e5m2", 57344, 0x1p-14, 0x1p-16, 15, 0x7f, 0x7c},
    {"e4m3fn", 448, 0x1p-6, 0x1p-9, 8, 0x7f, -1},
    {"e4m3ieee", 240, 0x1p-6, 0x1p-9, 7, 0x7f, 0x78},
    {"e3m4ieee", 15.5, 0x1p-2, 0x1p-6, 3, 0x7f, 0x70},
    {"e4m3fnuz", 240, 0x1p-7, 0x1p-10, 7, 0x80, -1},
    {"e5m2fnuz", 57344, 0x1p-15, 0x1p-17, 15, 0x80, -1},
    {"e4m3b11fnuz", 30, 0x1p-10, 0x1p-13, 4, 0x80, -1},
    {"e4m3", 480, 0x1p-6, 0x1p-9, 8, -1, -1},
    {"e5m2none", 114688, 0x1p-14, 0x1p-16, 16, -1, -1},
    {"e3m2", 28, 0x1p-2, 0x1p-4, 4, -1, -1},
    {"e2m3", 7.5, 1, 0x1p-3, 2, -1, -1},
    {"e2m1", 6, 1, 0.5, 2, -1, -1},
    {"e3m0", 16, 0x1p-2, 0x1p-2, 4, -1, -1},
    {"e7m0", 0x1p64, 0x1p-62, 0x1p-62, 64, -1, -1},
    {"e1m6", 3.96875, 2, 0x1p-5, 1, -1, -1},
    {"e6m1", 6442450944.0, 0x1p-30, 0x1p-31, 32, -1, -1},
    {"ue4m3fn", 448, 0x1p-6, 0x1p-9, 8, 0x7f, -1},
    {"mxint8", 127.0 / 64, 0x1p-6, 0x1p-6, 0, -1, -1},
    {"int8", 127, 1, 1, 6, -1, -1},
    {"uint4", 15, 1, 1, 3, -1, -1},
    {"uint4n", 14, 1, 1, 3, -1, -1},
    {"int4f-2", 28, 4, 4, 4, -1, -1},
};

TEST(FormatInfo, PublishedRanges) {
  for (const Published &p : published) {
    const mfq_format f = parsed(p.name);
    mfq_format_info info;
    ASSERT_EQ(mfq_format_info_get(&f, &info), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(info.max_finite, p.max_finite) << p.name;
    EXPECT_EQ(info.min_normal, p.min_normal) << p.name;
    EXPECT_EQ(info.min_positive, p.min_positive) << p.name;
    EXPECT_EQ(info.emax, p.emax) << p.name;
    EXPECT_EQ(info.nan_code, p.nan_code) << p.name;
    EXPECT_EQ(info.inf_code, p.inf_code) << p.name;
    EXPECT_EQ(info.codes, 1 << info.bits) << p.name;
  }
}

TEST(FormatInfo, LowestValues) {
  const struct {
    const char *name;
    double lowest;
  } cases[] = {{"e4m3fn", -448}, {"ue4m3fn", 0}, {"int8", -128},
               {"int8n", -127},  {"uint8", 0},   {"mxint8", -127.0 / 64}};
  for (const auto &c : cases) {
    const mfq_format f = parsed(c.name);
    mfq_format_info info;
    ASSERT_EQ(mfq_format_info_get(&f, &info), MFQ_OK);
    EXPECT_EQ(info.min_finite, c.lowest) << c.name;
  }
}

// The value of a code by its bits, written without the library's code.
double decode(const mfq_format &f, unsigned code) {
  if (f.kind == MFQ_KIND_INTEGER) {
    const int bits = f.man_bits + f.is_signed;
    const int sign_weight = f.is_signed ? 1 << (bits - 1) : 0;
    const int rest = static_cast<int>(code) & (f.is_signed ? sign_weight - 1 : (1 << bits) - 1);
    const int number = rest - (static_cast<int>(code) & sign_weight);
    return number * std::pow(2.0, -f.frac_bits);
  }
  const unsigned mantissa = code % (1u << f.man_bits);
  const unsigned exponent = code / (1u << f.man_bits) % (1u << f.exp_bits);
  const bool negative = f.is_signed && code >> (f.exp_bits + f.man_bits);
  const bool ones = exponent == (1u << f.exp_bits) - 1;
  const double sign = negative ? -1 : 1;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (f.specials == MFQ_SPECIALS_FN && ones && mantissa == (1u << f.man_bits) - 1) return nan;
  if (f.specials == MFQ_SPECIALS_FNUZ && negative && exponent == 0 && mantissa == 0) return nan;
  if (f.specials == MFQ_SPECIALS_IEEE && ones) return mantissa ? nan : sign * std::numeric_limits<double>::infinity();
  const double fraction = mantissa / static_cast<double>(1u << f.man_bits);
  if (exponent == 0) return sign * fraction * std::pow(2.0, 1 - f.bias);
  return sign * (1 + fraction) * std::pow(2.0, static_cast<int>(exponent) - f.bias);
}

void check_codes(const mfq_format &f) {
  mfq_format_info info;
  ASSERT_EQ(mfq_format_info_get(&f, &info), MFQ_OK) << mfq_last_error();
  double largest = 0, smallest = std::numeric_limits<double>::infinity();
  for (unsigned code = 0; code < static_cast<unsigned>(info.codes); ++code) {
    double got = 0;
    ASSERT_EQ(mfq_format_decode(&f, code, &got), MFQ_OK) << mfq_last_error();
    const double want = decode(f, code);
    ASSERT_EQ(std::isnan(got), std::isnan(want)) << code;
    if (std::isnan(want)) continue;
    ASSERT_EQ(got, want) << code;
    ASSERT_EQ(std::signbit(got), std::signbit(want)) << code;
    // A narrow integer leaves out one code, which decodes all the same.
    const bool left_out = f.narrow && (f.is_signed ? want < info.min_finite : want > info.max_finite);
    if (std::isfinite(want) && !left_out) {
      largest = std::fmax(largest, want);
      ASSERT_GE(want, info.min_finite);
      if (want > 0) smallest = std::fmin(smallest, want);
    }
  }
  EXPECT_EQ(info.max_finite, largest);
  EXPECT_EQ(info.min_positive, smallest);
  double special = 0;
  if (info.nan_code >= 0) {
    ASSERT_EQ(mfq_format_decode(&f, static_cast<uint32_t>(info.nan_code), &special), MFQ_OK);
    EXPECT_TRUE(std::isnan(special));
  }
  if (info.inf_code >= 0) {
    ASSERT_EQ(mfq_format_decode(&f, static_cast<uint32_t>(info.inf_code), &special), MFQ_OK);
    EXPECT_EQ(special, std::numeric_limits<double>::infinity());
  }
}

TEST(FormatInfo, EveryCodeOfEveryMinifloat) {
  int formats = 0;
  for (int is_signed = 0; is_signed <= 1; ++is_signed)
    for (int exp_bits = 1; exp_bits <= 8; ++exp_bits)
      for (int man_bits = 0; man_bits <= 7; ++man_bits)
        for (int specials = 0; specials <= 3; ++specials)
          for (int bias : {-64, -3, 0, 1, 7, 15, 127, 160}) {
            const mfq_format f{
                MFQ_KIND_MINIFLOAT, is_signed, exp_bits, man_bits, bias, static_cast<mfq_specials>(specials), 0, 0};
            char text[MFQ_FORMAT_TEXT_MAX];
            if (mfq_format_print(&f, text, sizeof text) != MFQ_OK) continue;
            SCOPED_TRACE(text);
            ASSERT_NO_FATAL_FAILURE(check_codes(f));
            ++formats;
          }
  EXPECT_GT(formats, 1500);
}

TEST(FormatInfo, EveryCodeOfEveryInteger) {
  for (int is_signed = 0; is_signed <= 1; ++is_signed)
    for (int bits = 2; bits <= 8; ++bits)
      for (int frac_bits : {-16, -1, 0, 6, 16})
        for (int narrow = 0; narrow <= 1; ++narrow)
          ASSERT_NO_FATAL_FAILURE(check_codes(
              mfq_format{MFQ_KIND_INTEGER, is_signed, 0, bits - is_signed, 0, MFQ_SPECIALS_NONE, frac_bits, narrow}));
}

TEST(FormatInfo, Misuse) {
  mfq_format f = parsed("e2m1");
  mfq_format_info info;
  double value = 0;
  EXPECT_TRUE(fails(mfq_format_decode(&f, 16, &value), MFQ_ERROR_INVALID_ARGUMENT, {"code is 16", "0 ... 15"}));
  EXPECT_TRUE(fails(mfq_format_decode(&f, 0, nullptr), MFQ_ERROR_INVALID_ARGUMENT, {"value is NULL"}));
  EXPECT_TRUE(fails(mfq_format_info_get(&f, nullptr), MFQ_ERROR_INVALID_ARGUMENT, {"info is NULL"}));
  EXPECT_TRUE(fails(mfq_format_info_get(nullptr, &info), MFQ_ERROR_INVALID_ARGUMENT, {"format is NULL"}));
  f.exp_bits = 0;
  EXPECT_TRUE(fails(mfq_format_info_get(&f, &info), MFQ_ERROR_INVALID_ARGUMENT, {"exp_bits is 0"}));
  EXPECT_TRUE(fails(mfq_format_decode(&f, 0, &value), MFQ_ERROR_INVALID_ARGUMENT, {"mfq_format_decode", "exp_bits"}));
}

} // namespace
