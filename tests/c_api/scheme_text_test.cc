// The text of schemes: every row and every valid scheme survives print and parse; bad texts are refused where they are.
#include <mfq/types.h>

#include <chrono>
#include <clocale>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>

#include "support/expect_failure.h"
#include "support/parsed.h"
#include "support/raw_enum.h"

namespace {

using mfq_test::parse;

std::string printed(const mfq_scheme &s) {
  char text[MFQ_SCHEME_TEXT_MAX] = "";
  EXPECT_EQ(mfq_scheme_print(&s, text, sizeof text), MFQ_OK) << mfq_last_error();
  return text;
}

TEST(SchemeText, RowsSurvive) {
  std::set<std::string> names;
  const char *about = nullptr;
  int32_t rows = 0;
  for (; mfq_scheme_name(rows, &about) != nullptr; ++rows) {
    const std::string name = mfq_scheme_name(rows, nullptr);
    ASSERT_TRUE(names.insert(name).second) << name << " twice";
    ASSERT_NE(about, nullptr);
    EXPECT_GT(std::strlen(about), 3u) << name;
    const mfq_scheme s = parse(name);
    ASSERT_EQ(mfq_scheme_check(&s), MFQ_OK) << name << ": " << mfq_last_error();
    const std::string text = printed(s);
    EXPECT_TRUE(names.count(text)) << name << " prints as " << text << ", which is no earlier name";
    const mfq_scheme again = parse(text);
    EXPECT_TRUE(mfq_scheme_equal(&s, &again)) << name;
    const bool is_brevitas = name.rfind("brevitas:", 0) == 0;
    EXPECT_EQ(s.arith == MFQ_ARITH_BREVITAS, is_brevitas) << name;
    EXPECT_EQ(s.statistic_min, is_brevitas && s.scale != MFQ_SCALE_NONE ? 1e-10f : 0.0f) << name;
  }
  EXPECT_GT(rows, 80);
  EXPECT_EQ(about, nullptr);
  EXPECT_EQ(mfq_scheme_name(-1, nullptr), nullptr);
}

TEST(SchemeText, RowsMean) {
  mfq_scheme s = parse("mxfp8_e4m3");
  EXPECT_EQ(s.granularity, MFQ_GRANULARITY_GROUP);
  EXPECT_EQ(s.group_size, 32);
  EXPECT_EQ(s.axis, MFQ_AXIS_AUTO);
  EXPECT_EQ(s.scale, MFQ_SCALE_UE8M0);
  EXPECT_EQ(s.rule, MFQ_RULE_FLOOR);
  EXPECT_EQ(s.rounding, MFQ_ROUND_EVEN);
  EXPECT_EQ(s.no_saturate, 0);
  EXPECT_EQ(parse("mxfp4_e2m1_rceil").rule, MFQ_RULE_RCEIL);
  EXPECT_EQ(parse("mxint8").element.frac_bits, 6);
  s = parse("nvfp4");
  EXPECT_EQ(s.group_size, 16);
  EXPECT_EQ(s.scale, MFQ_SCALE_UE4M3);
  EXPECT_EQ(s.rule, MFQ_RULE_ABSMAX);
  s = parse("brevitas:ShiftedMXUInt8Weight");
  EXPECT_EQ(s.element.is_signed, 0);
  EXPECT_EQ(s.axis, 1);
  EXPECT_EQ(s.zero_point, 1);
  EXPECT_EQ(s.statistic, MFQ_STATISTIC_MINMAX);
  EXPECT_EQ(s.scale, MFQ_SCALE_F32);
  EXPECT_EQ(s.rule, MFQ_RULE_FLOOR);
  s = parse("fp8_e5m2_block128");
  EXPECT_EQ(s.block_rows, 128);
  EXPECT_EQ(s.block_cols, 128);
}

// Text and the text it prints as.
TEST(SchemeText, Canonical) {
  const struct {
    const char *text, *printed;
  } cases[] = {
      {"e4m3fn", "e4m3fn"},
      {"e4m3fn/tensor/none", "e4m3fn"},
      {"e4m3fn/tensor/f32", "fp8_e4m3_tensor"},
      {"e2m1/group:32/ue8m0:even", "mxfp4_e2m1_even"},
      {"mxfp4_e2m1/group:64", "e2m1/group:64/ue8m0"},
      {"mxfp4_e2m1/ue8m0:even/ue8m0", "mxfp4_e2m1"},
      {"int4/group:16@0/f32/zp", "int4/group:16@0/f32/zp"},
      {"int4/group:16@0/f32/zp/nozp", "int4/group:16@0/f32"},
      {"int8/f32/stat:minmax", "int8/f32/stat:minmax"},
      {"fp8_e4m3_block128/group:4", "e4m3fn/group:4/f32"},
      {"mxfp8_e4m3/tensor", "e4m3fn/ue8m0"},
      {"brevitas:MXFloat8e4m3Weight/e5m2/group:8@1", "e5m2/group:8@1/f32:floor/min:1e-10/arith:brevitas"},
      {"brevitas:MXFloat8e4m3WeightMSE", "brevitas:MXFloat8e4m3Weight"},
      {"brevitas:MXFloat8e4m3Act/e4m3fn", "brevitas:MXFloat8e4m3Act"},
      {"brevitas:MXFloat8e4m3Act/e4m3", "e4m3/group:32/f32:floor/min:1e-10/arith:brevitas"}, /* not OCP */
      {"e2m1/block:1x2147483647/bf16/nosat/round:dpu", "e2m1/block:1x2147483647/bf16/round:dpu/nosat"},
      {"e3m2/channel@-1/f16:rceil/min:0.5", "e3m2/channel@-1/f16:rceil/min:0.5"},
      {"int8nf6", "int8nf6"},
      {"mxint8/tensor/none", "int8nf6"},
      {"mxfp8_e4m3/mxint8", "mxint8"},
      {"ue4m3", "ue4m3"},
      {"ue8m0/sat/round:even/arith:exact/stat:absmax/min:0", "ue8m0"},
      {"e4m3fn/ue8m0:given", "e4m3fn/ue8m0:given"},
  };
  for (const auto &c : cases) {
    const mfq_scheme s = parse(c.text);
    EXPECT_EQ(printed(s), c.printed) << c.text;
    const mfq_scheme again = parse(c.printed);
    EXPECT_TRUE(mfq_scheme_equal(&s, &again)) << c.text;
  }
}

mfq_format random_format(std::mt19937 *random) {
  auto pick = [&](int low, int high) {
    return low + static_cast<int>((*random)() % static_cast<unsigned>(high - low + 1));
  };
  mfq_format f{};
  if (pick(0, 1)) {
    f = mfq_format{MFQ_KIND_INTEGER, pick(0, 1), 0, pick(1, 8), 0, MFQ_SPECIALS_NONE, 0, pick(0, 1)};
    if (pick(0, 3) == 0) f.frac_bits = pick(-16, 16);
  } else {
    f = mfq_format{
        MFQ_KIND_MINIFLOAT, pick(0, 1), pick(1, 8), pick(0, 7), 0, static_cast<mfq_specials>(pick(0, 3)), 0, 0};
    f.bias = pick(0, 1) ? (1 << (f.exp_bits - 1)) - 1 : pick(-64, 160);
  }
  return f;
}

mfq_scheme random_scheme(std::mt19937 *random) {
  auto pick = [&](int low, int high) {
    return low + static_cast<int>((*random)() % static_cast<unsigned>(high - low + 1));
  };
  mfq_scheme s{};
  s.element = random_format(random);
  s.granularity = static_cast<mfq_granularity>(pick(0, 3));
  s.axis = MFQ_AXIS_AUTO;
  if (s.granularity == MFQ_GRANULARITY_CHANNEL || s.granularity == MFQ_GRANULARITY_GROUP)
    s.axis = pick(0, 1) ? pick(-8, 7) : MFQ_AXIS_AUTO;
  if (s.granularity == MFQ_GRANULARITY_GROUP) s.group_size = pick(1, 300);
  if (s.granularity == MFQ_GRANULARITY_BLOCK) s.block_rows = pick(1, 300), s.block_cols = 2147483647 - pick(0, 9);
  s.scale = static_cast<mfq_scale_format>(pick(0, 5));
  s.rule = static_cast<mfq_scale_rule>(pick(0, 5));
  s.statistic = static_cast<mfq_statistic>(pick(0, 1));
  s.rounding = static_cast<mfq_rounding>(pick(0, 6));
  s.no_saturate = pick(0, 1);
  s.zero_point = pick(0, 3) == 0;
  s.arith = pick(0, 3) == 0 ? MFQ_ARITH_BREVITAS : MFQ_ARITH_EXACT;
  if (pick(0, 1)) {
    const uint32_t bits = static_cast<uint32_t>((*random)()) % 0x7f800000u;
    std::memcpy(&s.statistic_min, &bits, sizeof bits);
  }
  if (s.granularity == MFQ_GRANULARITY_GROUP && pick(0, 1)) {
    s.rotation = 16 << pick(0, 3);
    s.signs = static_cast<mfq_signs>(pick(0, 2));
    if (s.signs == MFQ_SIGNS_SEEDED)
      s.sign_seed = (static_cast<uint64_t>((*random)()) << 32 | (*random)()) >> pick(0, 63);
  }
  return s;
}

TEST(SchemeText, RandomSchemesSurvive) {
  std::mt19937 random(20240611);
  int valid = 0, refused = 0;
  while (valid < 2000) {
    const mfq_scheme s = random_scheme(&random);
    char text[MFQ_SCHEME_TEXT_MAX] = "kept";
    if (mfq_scheme_check(&s) != MFQ_OK) {
      ASSERT_EQ(mfq_scheme_print(&s, text, sizeof text), MFQ_ERROR_INVALID_ARGUMENT);
      ASSERT_STREQ(text, "kept");
      ++refused;
      continue;
    }
    ++valid;
    ASSERT_EQ(mfq_scheme_print(&s, text, sizeof text), MFQ_OK) << mfq_last_error();
    mfq_scheme read{};
    ASSERT_EQ(mfq_scheme_parse(text, &read), MFQ_OK) << mfq_last_error();
    ASSERT_TRUE(mfq_scheme_equal(&s, &read)) << text;
  }
  EXPECT_GT(refused, 0);
}

// The printed text is the name of the first row that means the same; without such a row, nothing can be left out of it.
TEST(SchemeText, NothingShorterMeansTheSame) {
  for (int32_t i = 0; mfq_scheme_name(i, nullptr) != nullptr; ++i) {
    const mfq_scheme s = parse(mfq_scheme_name(i, nullptr));
    int32_t first = 0;
    for (mfq_scheme row = parse(mfq_scheme_name(0, nullptr)); !mfq_scheme_equal(&s, &row);)
      row = parse(mfq_scheme_name(++first, nullptr));
    EXPECT_EQ(printed(s), mfq_scheme_name(first, nullptr));
  }
  std::mt19937 random(7);
  for (int valid = 0; valid < 500;) {
    const mfq_scheme s = random_scheme(&random);
    if (mfq_scheme_check(&s) != MFQ_OK) continue;
    ++valid;
    const std::string text = printed(s);
    for (size_t at = text.find('/'); at != std::string::npos; at = text.find('/', at + 1)) {
      std::string shorter = text;
      shorter.erase(at, text.find('/', at + 1) - at);
      mfq_scheme read{};
      EXPECT_FALSE(mfq_scheme_parse(shorter.c_str(), &read) == MFQ_OK && mfq_scheme_equal(&s, &read))
          << text << " could be " << shorter;
    }
    const size_t min = text.find("/min:");
    if (min == std::string::npos) continue;
    char number[320];
    int digits = 1;
    do std::snprintf(number, sizeof number, "%.*g", digits++, static_cast<double>(s.statistic_min));
    while (std::strtof(number, nullptr) != s.statistic_min);
    EXPECT_EQ(text.substr(min + 5, text.find('/', min + 5) - min - 5), number);
  }
}

// Nanoseconds of a call, the least of some rounds.
template <typename Call> double cost(const Call &call) {
  double least = 1e9;
  for (int round = 0; round < 9; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i) call();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    least = std::min(least, took.count() / 100);
  }
  return least;
}

// Names are looked up, not parsed one after the other: that costs hundreds of times what reading a text costs.
// Measured: 0.4 times for a name, twice for a text.
TEST(SchemeText, PrintingCostsAboutWhatParsingDoes) {
  for (const char *text : {"brevitas:Int8DynamicActPerTensorFloat", "int4/group:16@0/f32/zp"}) {
    const mfq_scheme s = parse(text);
    mfq_scheme read;
    char out[MFQ_SCHEME_TEXT_MAX];
    const double parse = cost([&] { EXPECT_EQ(mfq_scheme_parse(text, &read), MFQ_OK); });
    const double print = cost([&] { EXPECT_EQ(mfq_scheme_print(&s, out, sizeof out), MFQ_OK); });
    EXPECT_LT(print, 8 * parse) << text;
  }
}

// What is cut off says so, and no character is cut in two.
TEST(SchemeText, LongWordsEndInDots) {
  mfq_scheme s{};
  const std::string longest(80, 'x'), long_word = longest + "y";
  EXPECT_TRUE(fails(mfq_scheme_parse(longest.c_str(), &s), MFQ_ERROR_PARSE, {": \"" + longest + "\" is neither"}));
  EXPECT_TRUE(fails(mfq_scheme_parse(long_word.c_str(), &s), MFQ_ERROR_PARSE, {": \"" + longest + "...\" is neither"}));
  EXPECT_TRUE(fails(mfq_scheme_parse(("int8/" + long_word).c_str(), &s), MFQ_ERROR_PARSE,
                    {"\"" + longest + "...\" is not a setting"}));
  EXPECT_TRUE(fails(mfq_scheme_parse(("int8/f32:" + long_word).c_str(), &s), MFQ_ERROR_PARSE,
                    {"\"" + longest + "...\" is not a scale rule"}));
  EXPECT_TRUE(fails(mfq_scheme_parse((std::string(79, 'x') + "\xc3\xa4" + "y").c_str(), &s), MFQ_ERROR_PARSE,
                    {": \"" + std::string(79, 'x') + "...\" is neither"}));
  const std::string text = "int8/" + std::string(200, 'y');
  EXPECT_TRUE(fails(mfq_scheme_parse(text.c_str(), &s), MFQ_ERROR_PARSE,
                    {"mfq_scheme_parse: \"" + text.substr(0, 160) + "...\", column 6:"}));
  mfq_format f{};
  EXPECT_TRUE(fails(mfq_format_parse(long_word.c_str(), &f), MFQ_ERROR_PARSE,
                    {"mfq_format_parse: \"" + longest + "...\", column 1:"}));
}

// Text, where it is bad, and what the sentence says.
const struct {
  const char *text, *column, *says;
} bad_texts[] = {
    {"", "column 1:", "neither a scheme's name nor an element format"},
    {"/tensor", "column 1:", "neither a scheme's name nor an element format"},
    {"tensor", "column 1:", "neither a scheme's name nor an element format"},
    {"MXFP8_E4M3", "column 1:", "did you mean \"mxfp8_e4m3\"?"},
    {"mxfp8_e4m", "column 1:", "did you mean \"mxfp8_e4m3\"?"},
    {"mxfp4", "column 1:", "did you mean \"mxfp4_e2m1\"?"},
    {"fp8_E5M2", "column 1:", "did you mean \"fp8_e5m2_tensor\"?"},
    {"brevitas:MXFloat8e4m3weight", "column 1:", "did you mean \"brevitas:MXFloat8e4m3Weight\"?"},
    {"e4m3f", "column 5:", "did you mean \"e4m3fn\"?"},
    {"e9m3", "column 1:", "exp_bits is 9"},
    {"e4m3fn/", "column 8:", "\"\" is not a setting"},
    {"e4m3fn//f32", "column 8:", "\"\" is not a setting"},
    {"e4m3fn/grup:32/f32", "column 8:", "did you mean \"group\"?"},
    {"e4m3fn/F32", "column 8:", "did you mean \"f32\"?"},
    {"e4m3fn/f64", "column 8:", "allowed are an element format, tensor, channel[@axis]"},
    {"e4m3fn/mxfp8_e4m3", "column 8:", "the name of a scheme goes first"},
    {"e4m3fn/e4mx", "column 11:", "mantissa bits"},
    {"e4m3fn/group/f32", "column 8:", "group needs ':' and a size"},
    {"e4m3fn/group:/f32", "column 14:", "a size is needed here"},
    {"e4m3fn/group:0/f32", "column 14:", "a size is needed here"},
    {"e4m3fn/group:-3/f32", "column 14:", "a size is needed here"},
    {"e4m3fn/group:3x/f32", "column 14:", "a size is needed here"},
    {"e4m3fn/group:2147483648/f32", "column 14:", "a size is needed here"},
    {"e4m3fn/group:32@/f32", "column 17:", "after '@' comes an axis"},
    {"e4m3fn/group:32@8/f32", "column 17:", "0 ... 7, or -1 ... -8"},
    {"e4m3fn/group:32@-9/f32", "column 17:", "0 ... 7, or -1 ... -8"},
    {"e4m3fn/channel:3/f32", "column 16:", "channel takes nothing after ':'"},
    {"e4m3fn/tensor@1/f32", "column 15:", "only channel and group take '@'"},
    {"e4m3fn/block:4x4@1/f32", "column 18:", "only channel and group take '@'"},
    {"e4m3fn/block:44/f32", "column 14:", "block needs two sizes"},
    {"e4m3fn/block:4x0/f32", "column 16:", "a size is needed here"},
    {"e4m3fn/block:x4/f32", "column 14:", "a size is needed here"},
    {"e4m3fn/ue8m0:flor", "column 14:", "did you mean \"floor\"?"},
    {"e4m3fn/ue8m0:", "column 14:", "allowed are absmax, floor, ceil, rceil, even, given,"},
    {"e4m3fn/round:nearest", "column 14:", "allowed are even, away, zero, floor, ceil, dpu, stochastic"},
    {"e4m3fn/round", "column 8:", "round needs ':'"},
    {"e4m3fn/stat:max", "column 13:", "allowed are absmax, minmax"},
    {"e4m3fn/arith:fast", "column 14:", "allowed are exact, brevitas"},
    {"e4m3fn/sat:1", "column 12:", "sat takes nothing after ':'"},
    {"e4m3fn/min:", "column 12:", "a decimal number is needed"},
    {"e4m3fn/min:inf", "column 12:", "a decimal number is needed"},
    {"e4m3fn/min:0x1", "column 12:", "a decimal number is needed"},
    {"e4m3fn/min:1e", "column 12:", "a decimal number is needed"},
    {"e4m3fn/min:1e99", "column 8:", "statistic_min is inf"},
    {"e4m3fn/min:-1", "column 8:", "statistic_min is -1"},
    {"e4m3fn/group:32", "column 8:", "granularity group needs a scale"},
    {"e4m3fn/channel", "column 8:", "granularity channel needs a scale"},
    {"e4m3fn/f32/block:2x2/none", "column 12:", "granularity block needs a scale"},
    {"e4m3fn/none:floor", "column 8:", "scale none has no rule floor"},
    {"e4m3fn/ue8m0:absmax", "column 8:", "scale ue8m0 has no rule absmax; allowed is floor, ceil, rceil, even, given"},
    {"e4m3fn/group:16/ue4m3:floor", "column 17:", "scale ue4m3 has no rule floor"},
    {"e4m3fn/tensor/ue4m3", "column 8:", "granularity tensor has no ue4m3 scale"},
    {"e4m3fn/f32/zp", "column 12:", "a zero point needs an integer element"},
    {"mxint8/f32/zp", "column 12:", "a zero point needs an integer element without fraction bits"},
    {"uint8/zp", "column 7:", "a zero point needs scale f32, bf16, f16 or ue8m0, not none"},
    {"uint8/group:16/ue4m3/zp", "column 22:", "a zero point needs scale f32, bf16, f16 or ue8m0, not ue4m3"},
    {"uint8/f32/zp/stat:absmax", "column 14:", "a zero point needs statistic minmax"},
    {"uint8/stat:minmax", "column 7:", "statistic minmax needs scale"},
    {"e4m3fn/ue8m0/arith:brevitas", "column 14:", "arith brevitas has scales none and f32 only, not ue8m0"},
    {"e4m3fn/tensor/f32:even/arith:brevitas", "column 24:", "arith brevitas has rules absmax, floor,"},
    {"int8f6/tensor/f32/arith:brevitas", "column 19:", "integers without fraction bits only"},
    {"e4m3fn/arith:brevitas/round:stochastic", "column 8:", "arith brevitas has no stochastic rounding"},
    {"e8m0/f32", "column 1:", "the width in bits is 9"},
    {"e8m0none/f32", "column 1:", "the width in bits is 9"},
    {"ue8m0/f32", "column 7:",
     "they lie between 1.17549435e-38 and 3.40282367e+38, and float32 holds 1.40129846e-45 to "
     "3.40282347e+38; use scale ue8m0 or none, or another bias"},
    {"e2m1b160/bf16", "column 10:", "scale bf16 multiplies elements as float32"},
    {"ue4m1b150/f32:given", "column 11:", "they lie between 7.00649232e-46 and"},
    {"ue4m1b155/tensor/f32:given", "column 18:", "they lie between 2.18952885e-47 and"},
    {"e7m0b-1/f16:floor", "column 9:", "and 3.40282367e+38, and float32"},
    {"e2m1b160/group:16/ue4m3:given", "column 19:", "scale ue4m3 multiplies elements as float32"},
    {"ue4m1b149/f32", "column 11:", "is below the smallest normal float32, 1.17549435e-38"},
    {"ue8m0b126/f32", "column 11:", "and 6.80564734e+38, and float32"},
    {"ue8m0b127none/f32", "column 15:", "and 3.40282367e+38, and float32"}, /* 2^128, no float */
};

/* Elements of which float32 just holds all, and any with scales that do not multiply them. */
TEST(SchemeText, ElementsAtTheEndsOfFloat32) {
  for (const char *text : {"ue4m1b149/f32:given", "ue4m1b149/bf16:floor", "e7m0b0/f32", "e7m0b0/f16:given", "ue4m1b155",
                           "ue4m1b155/ue8m0", "e7m0b-64/group:32/ue8m0", "e7m0b-64", "e2m1b160/ue8m0:given"})
    (void)parse(text);
}

TEST(SchemeText, BadTexts) {
  for (const auto &c : bad_texts) {
    mfq_scheme s = {};
    s.axis = 77;
    EXPECT_TRUE(fails(mfq_scheme_parse(c.text, &s), MFQ_ERROR_PARSE,
                      {"mfq_scheme_parse: \"" + std::string(c.text) + "\"", c.column, c.says}));
    EXPECT_EQ(s.axis, 77) << c.text << " changed the output";
  }
  mfq_scheme s;
  EXPECT_TRUE(fails(mfq_scheme_parse(nullptr, &s), MFQ_ERROR_INVALID_ARGUMENT, {"text is NULL"}));
  EXPECT_TRUE(fails(mfq_scheme_parse("int8", nullptr), MFQ_ERROR_INVALID_ARGUMENT, {"scheme is NULL"}));
}

TEST(SchemeText, BadFields) {
  const mfq_scheme good = parse("mxfp8_e4m3");
  const struct {
    void (*spoil)(mfq_scheme *);
    const char *says;
  } cases[] = {
      {[](mfq_scheme *s) { s->element.exp_bits = 0; }, "element: exp_bits is 0"},
      {[](mfq_scheme *s) { set_raw(&s->granularity, 4); }, "granularity is enumerator 4"},
      {[](mfq_scheme *s) { set_raw(&s->scale, 7); }, "scale format is enumerator 7"},
      {[](mfq_scheme *s) { set_raw(&s->rule, 8); }, "scale rule is enumerator 8"},
      {[](mfq_scheme *s) { set_raw(&s->rounding, 7); }, "rounding is enumerator 7"},
      {[](mfq_scheme *s) { set_raw(&s->statistic, 2); }, "statistic is enumerator 2"},
      {[](mfq_scheme *s) { set_raw(&s->arith, 2); }, "arithmetic is enumerator 2"},
      {[](mfq_scheme *s) { s->no_saturate = 2; }, "no_saturate is 2"},
      {[](mfq_scheme *s) { s->zero_point = -1; }, "zero_point is -1"},
      {[](mfq_scheme *s) { s->group_size = 0; }, "group_size is 0; it must be at least 1"},
      {[](mfq_scheme *s) { s->block_rows = 1; }, "block_rows is 1; it must be 0"},
      {[](mfq_scheme *s) { s->block_cols = -1; }, "block_cols is -1; it must be 0"},
      {[](mfq_scheme *s) { s->axis = 8; }, "axis is 8"},
      {[](mfq_scheme *s) { s->axis = -9; }, "axis is -9"},
      {[](mfq_scheme *s) { s->granularity = MFQ_GRANULARITY_TENSOR, s->group_size = 0, s->axis = 0; },
       "axis is 0; allowed is only MFQ_AXIS_AUTO"},
      {[](mfq_scheme *s) { s->statistic_min = -1.0f; }, "statistic_min is -1"},
      {[](mfq_scheme *s) { s->statistic_min = NAN; }, "statistic_min is"},
      {[](mfq_scheme *s) { s->statistic_min = INFINITY; }, "statistic_min is inf"},
  };
  ASSERT_EQ(mfq_scheme_check(&good), MFQ_OK);
  for (const auto &c : cases) {
    mfq_scheme s = good;
    c.spoil(&s);
    EXPECT_TRUE(fails(mfq_scheme_check(&s), MFQ_ERROR_INVALID_ARGUMENT, {"mfq_scheme_check: scheme: ", c.says}));
    char text[MFQ_SCHEME_TEXT_MAX];
    EXPECT_TRUE(
        fails(mfq_scheme_print(&s, text, sizeof text), MFQ_ERROR_INVALID_ARGUMENT, {"mfq_scheme_print", c.says}));
    EXPECT_EQ(mfq_scheme_equal(&s, &good), 0) << c.says;
  }
  EXPECT_TRUE(fails(mfq_scheme_check(nullptr), MFQ_ERROR_INVALID_ARGUMENT, {"scheme is NULL"}));
}

TEST(SchemeText, Capacity) {
  const mfq_scheme s = parse("nvfp4");
  char text[MFQ_SCHEME_TEXT_MAX] = "kept";
  EXPECT_TRUE(fails(mfq_scheme_print(&s, text, 5), MFQ_ERROR_INVALID_ARGUMENT, {"capacity is 5", "6 bytes"}));
  EXPECT_STREQ(text, "kept");
  EXPECT_EQ(mfq_scheme_print(&s, text, 6), MFQ_OK);
  EXPECT_STREQ(text, "nvfp4");
  EXPECT_TRUE(fails(mfq_scheme_print(&s, nullptr, 6), MFQ_ERROR_INVALID_ARGUMENT, {"text is NULL"}));
}

// LC_NUMERIC of a locale with a decimal comma, as localedef writes it: glibc's magic number for the category, the
// number of strings and where they are: decimal point, thousands separator, grouping, both as wide characters, code set.
const unsigned char comma_numeric[] = {0x14, 0x11, 0x03, 0x20, 6,   0, 0,    0,   0x20, 0,   0,    0, 0x22, 0,
                                       0,    0,    0x24, 0,    0,   0, 0x28, 0,   0,    0,   0x2c, 0, 0,    0,
                                       0x30, 0,    0,    0,    ',', 0, '.',  0,   3,    3,   0,    0, ',',  0,
                                       0,    0,    '.',  0,    0,   0, 'U',  'T', 'F',  '-', '8',  0};

TEST(SchemeText, LocaleDoesNotMatter) {
  std::string home = (std::filesystem::temp_directory_path() / "mfq_locale_XXXXXX").string();
  ASSERT_NE(mkdtemp(home.data()), nullptr);
  std::filesystem::create_directory(home + "/comma");
  std::ofstream(home + "/comma/LC_NUMERIC", std::ios::binary)
      .write(reinterpret_cast<const char *>(comma_numeric), sizeof comma_numeric);
  setenv("LOCPATH", home.c_str(), 1);
  const bool is_comma =
      std::setlocale(LC_NUMERIC, "comma") != nullptr && std::string(std::localeconv()->decimal_point) == ",";
  unsetenv("LOCPATH");
  std::filesystem::remove_all(home);
  if (!is_comma) GTEST_SKIP() << "this C library reads no locale from a file as glibc writes it";
  const mfq_scheme s = parse("int8/f32/min:0.5");
  EXPECT_EQ(s.statistic_min, 0.5f);
  EXPECT_EQ(printed(s), "int8/f32/min:0.5");
  mfq_scheme bad{};
  EXPECT_TRUE(fails(mfq_scheme_parse("int8/f32/min:0,5", &bad), MFQ_ERROR_PARSE, {"a decimal number is needed"}));
  EXPECT_TRUE(fails(mfq_scheme_parse("int8/f32/min:-0.5", &bad), MFQ_ERROR_PARSE, {"statistic_min is -0.5"}));
  std::setlocale(LC_NUMERIC, "C");
}

/* A sentence can be printed, whatever it quotes. */
TEST(SchemeText, SentencesHaveNoControlCharacters) {
  mfq_scheme s;
  EXPECT_TRUE(fails(mfq_scheme_parse("int8/\x1b[2J\x7f", &s), MFQ_ERROR_PARSE, {"\"?[2J?\""}));
  EXPECT_TRUE(fails(mfq_scheme_parse("int8/a\xc2\x9b\xc3\xa4", &s), MFQ_ERROR_PARSE, {"\"a??\xc3\xa4\""}));
}

} // namespace
