// The text of formats: every valid format survives print and parse, every bad text is refused where it is bad.
#include <mfq/types.h>

#include <cstring>
#include <set>
#include <string>

#include "support/expect_failure.h"
#include "support/raw_enum.h"

namespace {

bool equal(const mfq_format &a, const mfq_format &b) {
  return a.kind == b.kind && a.is_signed == b.is_signed && a.exp_bits == b.exp_bits && a.man_bits == b.man_bits &&
         a.bias == b.bias && a.specials == b.specials && a.frac_bits == b.frac_bits && a.narrow == b.narrow;
}

mfq_format minifloat(int is_signed, int exp_bits, int man_bits, int bias, mfq_specials specials) {
  return mfq_format{MFQ_KIND_MINIFLOAT, is_signed, exp_bits, man_bits, bias, specials, 0, 0};
}

mfq_format integer(int is_signed, int bits, int frac_bits, int narrow) {
  return mfq_format{MFQ_KIND_INTEGER, is_signed, 0, bits - is_signed, 0, MFQ_SPECIALS_NONE, frac_bits, narrow};
}

// The rule of types.h, restated.
bool is_valid_minifloat(const mfq_format &f) {
  const int bits = f.is_signed + f.exp_bits + f.man_bits;
  if (bits < 2 || bits > 8) return false;
  switch (f.specials) {
    case MFQ_SPECIALS_NONE: return true;
    case MFQ_SPECIALS_FN: return f.exp_bits + f.man_bits >= 2;
    case MFQ_SPECIALS_FNUZ: return f.is_signed == 1;
    case MFQ_SPECIALS_IEEE: return f.man_bits >= 1;
  }
  return false;
}

void check_round_trip(const mfq_format &f, std::set<std::string> *texts) {
  char text[MFQ_FORMAT_TEXT_MAX];
  ASSERT_EQ(mfq_format_print(&f, text, sizeof text), MFQ_OK) << mfq_last_error();
  ASSERT_TRUE(texts->insert(text).second) << text << " stands for two formats";
  mfq_format read;
  ASSERT_EQ(mfq_format_parse(text, &read), MFQ_OK) << mfq_last_error();
  ASSERT_TRUE(equal(f, read)) << text;
}

TEST(FormatText, EveryMinifloatSurvives) {
  std::set<std::string> texts;
  for (int is_signed = 0; is_signed <= 1; ++is_signed)
    for (int exp_bits = 1; exp_bits <= 8; ++exp_bits)
      for (int man_bits = 0; man_bits <= 7; ++man_bits)
        for (int specials = 0; specials <= 3; ++specials)
          for (int bias = -64; bias <= 160; ++bias) {
            const mfq_format f = minifloat(is_signed, exp_bits, man_bits, bias, static_cast<mfq_specials>(specials));
            if (is_valid_minifloat(f)) {
              ASSERT_NO_FATAL_FAILURE(check_round_trip(f, &texts));
            } else {
              char text[MFQ_FORMAT_TEXT_MAX];
              ASSERT_EQ(mfq_format_print(&f, text, sizeof text), MFQ_ERROR_INVALID_ARGUMENT);
            }
          }
  EXPECT_GT(texts.size(), 40000u);
}

TEST(FormatText, EveryIntegerSurvives) {
  std::set<std::string> texts;
  for (int is_signed = 0; is_signed <= 1; ++is_signed)
    for (int bits = 2; bits <= 8; ++bits)
      for (int frac_bits = -16; frac_bits <= 16; ++frac_bits)
        for (int narrow = 0; narrow <= 1; ++narrow)
          ASSERT_NO_FATAL_FAILURE(check_round_trip(integer(is_signed, bits, frac_bits, narrow), &texts));
  EXPECT_EQ(texts.size(), 2u * 7u * 33u * 2u);
}

TEST(FormatText, RowsArePrintedByName) {
  std::set<std::string> names;
  const char *about = nullptr;
  int32_t rows = 0;
  for (; mfq_format_name(rows, &about) != nullptr; ++rows) {
    const char *name = mfq_format_name(rows, nullptr);
    ASSERT_TRUE(names.insert(name).second) << name << " twice";
    ASSERT_NE(about, nullptr);
    EXPECT_GT(std::strlen(about), 3u) << name;
    mfq_format f;
    ASSERT_EQ(mfq_format_parse(name, &f), MFQ_OK) << mfq_last_error();
    char text[MFQ_FORMAT_TEXT_MAX];
    ASSERT_EQ(mfq_format_print(&f, text, sizeof text), MFQ_OK);
    EXPECT_STREQ(text, name);
  }
  EXPECT_GE(rows, 20);
  EXPECT_EQ(about, nullptr);
  EXPECT_EQ(mfq_format_name(-1, nullptr), nullptr);
}

TEST(FormatText, Meanings) {
  const struct {
    const char *text;
    mfq_format format;
    const char *printed;
  } cases[] = {
      {"e4m3fn", minifloat(1, 4, 3, 7, MFQ_SPECIALS_FN), "e4m3fn"},
      {"e4m3b7fn", minifloat(1, 4, 3, 7, MFQ_SPECIALS_FN), "e4m3fn"},
      {"e4m3none", minifloat(1, 4, 3, 7, MFQ_SPECIALS_NONE), "e4m3"},
      {"e5m2", minifloat(1, 5, 2, 15, MFQ_SPECIALS_IEEE), "e5m2"},
      {"e5m2ieee", minifloat(1, 5, 2, 15, MFQ_SPECIALS_IEEE), "e5m2"},
      {"e5m2b15", minifloat(1, 5, 2, 15, MFQ_SPECIALS_NONE), "e5m2none"},
      {"e5m2b14", minifloat(1, 5, 2, 14, MFQ_SPECIALS_NONE), "e5m2b14"},
      {"e4m3fnuz", minifloat(1, 4, 3, 8, MFQ_SPECIALS_FNUZ), "e4m3fnuz"},
      {"e4m3b11fnuz", minifloat(1, 4, 3, 11, MFQ_SPECIALS_FNUZ), "e4m3b11fnuz"},
      {"e4m3b7fnuz", minifloat(1, 4, 3, 7, MFQ_SPECIALS_FNUZ), "e4m3b7fnuz"},
      {"e3m2b-5", minifloat(1, 3, 2, -5, MFQ_SPECIALS_NONE), "e3m2b-5"},
      {"ue4m3fn", minifloat(0, 4, 3, 7, MFQ_SPECIALS_FN), "ue4m3fn"},
      {"ue8m0fn", minifloat(0, 8, 0, 127, MFQ_SPECIALS_FN), "ue8m0fn"},
      {"e1m0", minifloat(1, 1, 0, 0, MFQ_SPECIALS_NONE), "e1m0"},
      {"int8nf6", integer(1, 8, 6, 1), "mxint8"},
      {"int8f6", integer(1, 8, 6, 0), "int8f6"},
      {"int5f-2", integer(1, 5, -2, 0), "int5f-2"},
      {"uint4n", integer(0, 4, 0, 1), "uint4n"},
      {"uint2", integer(0, 2, 0, 0), "uint2"},
  };
  for (const auto &c : cases) {
    mfq_format f;
    ASSERT_EQ(mfq_format_parse(c.text, &f), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(equal(f, c.format)) << c.text;
    char text[MFQ_FORMAT_TEXT_MAX];
    ASSERT_EQ(mfq_format_print(&f, text, sizeof text), MFQ_OK);
    EXPECT_STREQ(text, c.printed) << c.text;
  }
}

TEST(FormatText, BadTexts) {
  const struct {
    const char *text, *column, *says;
  } cases[] = {
      {"", "column 1:", "a format is a name"},
      {"bf16", "column 1:", "a format is a name"},
      {"E4M3FN", "column 1:", "a format is a name"},
      {"e", "column 2:", "exponent bits"},
      {"em3", "column 2:", "exponent bits"},
      {"e4", "column 3:", "'m'"},
      {"e4m", "column 4:", "mantissa bits"},
      {"e4m3b", "column 6:", "bias"},
      {"e4m3bfn", "column 6:", "bias"},
      {"e4m3fnu", "column 5:", "none, fn, fnuz, ieee"},
      {"e4m3fnn", "column 5:", "none, fn, fnuz, ieee"},
      {"e4m3 ", "column 5:", "none, fn, fnuz, ieee"},
      {"e4m3fnb7", "column 5:", "none, fn, fnuz, ieee"},
      {"e9m0", "column 1:", "exp_bits is 9; allowed is 1 ... 8"},
      {"e0m3", "column 1:", "exp_bits is 0; allowed is 1 ... 8"},
      {"e1m8", "column 1:", "man_bits is 8; allowed is 0 ... 7"},
      {"e4m4", "column 1:", "the width in bits is 9; allowed is 2 ... 8"},
      {"ue1m0", "column 1:", "the width in bits is 1; allowed is 2 ... 8"},
      {"e4m3b161", "column 1:", "bias is 161; allowed is -64 ... 160"},
      {"e4m3b-65", "column 1:", "bias is -65; allowed is -64 ... 160"},
      {"e4m3b99999999999", "column 6:", "bias"},
      {"ue4m3fnuz", "column 1:", "fnuz needs a sign"},
      {"e4m0ieee", "column 1:", "ieee needs a mantissa bit"},
      {"e1m0fn", "column 1:", "fn takes the only code"},
      {"int", "column 4:", "bits"},
      {"int9", "column 1:", "the width in bits is 9; allowed is 2 ... 8"},
      {"int1", "column 1:", "the width in bits is 1; allowed is 2 ... 8"},
      {"uint99999999999", "column 5:", "bits"},
      {"int8f", "column 6:", "fraction bits"},
      {"int8f17", "column 1:", "frac_bits is 17; allowed is -16 ... 16"},
      {"int8f6n", "column 7:", "n (narrow) and f<fraction bits>"},
      {"int8x", "column 5:", "n (narrow) and f<fraction bits>"},
      {"uuint8", "column 1:", "a format is a name"},
  };
  for (const auto &c : cases) {
    mfq_format f = integer(1, 3, 1, 1);
    EXPECT_TRUE(fails(mfq_format_parse(c.text, &f), MFQ_ERROR_PARSE,
                      {"mfq_format_parse: \"" + std::string(c.text) + "\"", c.column, c.says}));
    EXPECT_TRUE(equal(f, integer(1, 3, 1, 1))) << c.text << " changed the output";
  }
  mfq_format f;
  EXPECT_TRUE(fails(mfq_format_parse(nullptr, &f), MFQ_ERROR_INVALID_ARGUMENT, {"text is NULL"}));
  EXPECT_TRUE(fails(mfq_format_parse("int8", nullptr), MFQ_ERROR_INVALID_ARGUMENT, {"format is NULL"}));
}

TEST(FormatText, LongTextsAreCut) {
  const std::string text(5000, 'q');
  mfq_format f;
  EXPECT_TRUE(fails(mfq_format_parse(text.c_str(), &f), MFQ_ERROR_PARSE, {"column 1"}));
  EXPECT_LT(std::strlen(mfq_last_error()), 600u);
}

TEST(FormatText, BadFieldsAndCapacity) {
  char text[MFQ_FORMAT_TEXT_MAX] = "kept";
  mfq_format f = minifloat(2, 4, 3, 7, MFQ_SPECIALS_FN);
  EXPECT_TRUE(fails(mfq_format_print(&f, text, sizeof text), MFQ_ERROR_INVALID_ARGUMENT, {"is_signed is 2"}));
  f = minifloat(1, 4, 3, 7, MFQ_SPECIALS_FN);
  set_raw(&f.specials, 4);
  EXPECT_TRUE(fails(mfq_format_print(&f, text, sizeof text), MFQ_ERROR_INVALID_ARGUMENT, {"specials is 4"}));
  f = minifloat(1, 4, 3, 7, MFQ_SPECIALS_FN);
  f.frac_bits = 1;
  EXPECT_TRUE(fails(mfq_format_print(&f, text, sizeof text), MFQ_ERROR_INVALID_ARGUMENT, {"frac_bits of a minifloat"}));
  f = integer(1, 8, 0, 2);
  EXPECT_TRUE(fails(mfq_format_print(&f, text, sizeof text), MFQ_ERROR_INVALID_ARGUMENT, {"narrow is 2"}));
  f = integer(1, 8, 0, 0);
  f.bias = 1;
  EXPECT_TRUE(fails(mfq_format_print(&f, text, sizeof text), MFQ_ERROR_INVALID_ARGUMENT, {"bias of an integer is 1"}));
  f = integer(1, 8, 0, 0);
  set_raw(&f.kind, 7);
  EXPECT_TRUE(fails(mfq_format_print(&f, text, sizeof text), MFQ_ERROR_INVALID_ARGUMENT, {"kind is 7"}));
  EXPECT_TRUE(fails(mfq_format_print(nullptr, text, sizeof text), MFQ_ERROR_INVALID_ARGUMENT, {"format is NULL"}));
  f = integer(1, 8, 0, 0);
  EXPECT_TRUE(fails(mfq_format_print(&f, nullptr, 9), MFQ_ERROR_INVALID_ARGUMENT, {"text is NULL"}));
  EXPECT_TRUE(fails(mfq_format_print(&f, text, 4), MFQ_ERROR_INVALID_ARGUMENT, {"capacity is 4", "5 bytes"}));
  EXPECT_STREQ(text, "kept");
  EXPECT_EQ(mfq_format_print(&f, text, 5), MFQ_OK);
  EXPECT_STREQ(text, "int8");
}

} // namespace
