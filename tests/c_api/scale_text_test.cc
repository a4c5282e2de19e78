// How scales are made, in the text and in the fields of schemes: gain, bound, eden, formats below that of a tensor.
#include <mfq/types.h>

#include <cmath>
#include <random>
#include <string>

#include "support/expect_failure.h"
#include "support/quantized.h"

namespace {

using mfq_test::parse;

std::string printed(const mfq_scheme &s) {
  char text[MFQ_SCHEME_TEXT_MAX] = "";
  EXPECT_EQ(mfq_scheme_print(&s, text, sizeof text), MFQ_OK) << mfq_last_error();
  return text;
}

TEST(ScaleText, Canonical) {
  const struct {
    const char *text, *printed;
  } cases[] = {
      {"nvfp4/bound:255.99/gain:1.0625", "e2m1/group:16/ue4m3/gain:1.0625/bound:255.99"},
      {"nvfp4/bound:256/gain:2/gain:0/bound:0", "nvfp4"},
      {"nvfp4/gain:0.988125/bound:255.99/eden:128", "nvfp4_ms_eden"},
      {"nvfp4_ms_eden/hadamard:128:seed:5", "nvfp4_ms_eden/hadamard:128:seed:5"},
      {"nvfp4/eden:32", "e2m1/group:16/ue4m3/eden:32"},
      {"nvfp4_ms_eden/ue4m3:given", "e2m1/group:16/ue4m3:given/gain:0.988125/bound:255.99/eden:128"},
      {"e2m1/group:32/f32:floor/gain:1.3333334", "e2m1/group:32/f32:floor/gain:1.3333334"},
      {"e2m1/group:16/scale:ue5m3fn", "e2m1/group:16/scale:ue5m3fn"},
      {"nvfp4/scale:ue5m2ieee:given", "e2m1/group:16/scale:ue5m2ieee:given"},
      {"e2m1/group:16/scale:ue5m3fn/ue4m3", "nvfp4"},
      {"mxfp4_e2m1/ue8m0:midmax", "e2m1/group:32/ue8m0:midmax"},
      {"int8/bf16:round", "int8/bf16:round"},
      {"int4_group32_zp/zpf", "uint4/group:32/f32/zpf"},
      {"uint4/group:32/f32/zpf/zp", "int4_group32_zp"},
      {"uint4/group:32/f32/zpf/nozp", "uint4/group:32/f32"},
  };
  for (const auto &c : cases) {
    const mfq_scheme s = parse(c.text), again = parse(c.printed);
    EXPECT_EQ(printed(s), c.printed) << c.text;
    EXPECT_TRUE(mfq_scheme_equal(&s, &again)) << c.text;
  }
}

TEST(ScaleText, NumbersSurvive) {
  std::mt19937 random(5);
  for (int i = 0; i < 300; ++i) {
    mfq_scheme s = parse("nvfp4");
    s.scale_gain = 0.0625f + static_cast<float>(random() % 0xffffff) / 0x1p20f;
    s.scale_bound = 1 + static_cast<float>(random() % 0xffffff) / 0x1p16f;
    const std::string text = printed(s);
    const mfq_scheme again = parse(text.c_str());
    ASSERT_TRUE(mfq_scheme_equal(&s, &again)) << text;
  }
}

TEST(ScaleText, BadTexts) {
  const struct {
    const char *text, *column, *says;
  } cases[] = {
      {"nvfp4/gain:x", "column 12:", "a decimal number is needed"},
      {"nvfp4/gain", "column 7:", "gain needs ':' and a number, such as gain:1.0625"},
      {"nvfp4/bound", "column 7:", "bound needs ':' and a number, such as bound:256"},
      {"nvfp4/gain:17", "column 7:", "scale_gain is 17; allowed are 0 (not said) and 0.0625 to 16"},
      {"nvfp4/gain:1", "column 7:", "scale_gain is 1, which it is without being said; leave it 0"},
      {"nvfp4/bound:448", "column 7:", "scale_bound is 448, which it is without being said; leave it 0"},
      {"nvfp4/bound:0.5", "column 7:", "scale_bound is 0.5; allowed are 0 (not said) and 1 to 448"},
      {"nvfp4/eden", "column 7:", "eden needs ':' and a size, such as eden:128"},
      {"uint4/f32/zpf/round:stochastic", "column 11:", "zero points in f32 have no stochastic rounding; use zp, or"},
      {"e4m3fn/f32/zpf", "column 12:", "a zero point needs an integer element"},
      {"nvfp4/eden:0", "column 12:", "a size is needed here"},
      {"nvfp4/eden:24",
       "column 7:", "eden is 24; allowed are multiples of the group size, 16, and of the rotation, 0, up"},
      {"nvfp4/eden:2048", "column 7:", "up to 1024"},
      {"nvfp4/hadamard:32/eden:48", "column 19:", "and of the rotation, 32, up to 1024"},
      {"nvfp4/eden:16/round:stochastic", "column 7:", "eden rounds scales stochastically in place of elements"},
      {"mxfp4_e2m1/eden:32", "column 12:", "eden needs groups with scale ue4m3 or minifloat, whose scales it corrects"},
      {"e2m1/block:16x16/ue4m3/eden:32", "column 24:", "eden needs groups with scale"},
      {"nvfp4/scale", "column 7:", "scale needs ':' and a minifloat without a sign"},
      {"nvfp4/scale:", "column 13:", "a format is a name such as e4m3fn"},
      {"nvfp4/scale:ue5m3fn:floor", "column 7:", "scale minifloat has no rule floor; allowed is absmax, given"},
      {"nvfp4/scale:ue5m3fn:flor", "column 21:", "did you mean \"floor\"?"},
      {"nvfp4/scale:e4m3fn", "column 7:", "scales are stored in a minifloat without a sign, with a NaN (fn or ieee)"},
      {"nvfp4/scale:ue5m3", "column 7:", "scales are stored in a minifloat without a sign, with a NaN (fn or ieee)"},
      {"nvfp4/scale:uint8", "column 7:", "scales are stored in a minifloat without a sign"},
      {"nvfp4/scale:ue4m3fn", "column 7:", "this format of scales has a name of its own: ue4m3"},
      {"nvfp4/scale:ue8m0fn", "column 7:", "leave float32; say a bound of less than 2.83568622e+37, such as bound:448"},
      {"int8/tensor/scale:ue5m3fn", "column 6:", "granularity tensor has no minifloat scale"},
      {"int8/f32/bound:256", "column 10:", "a bound needs scale ue4m3 or minifloat, whose tensor scale it sets"},
      {"mxfp4_e2m1/gain:2",
       "column 12:", "a gain needs scales that are computed by rule absmax, or by any rule in f32, with arith exact"},
      {"int8/gain:2", "column 6:", "a gain needs scales that are computed by rule absmax"},
      {"int8/f32/gain:2/arith:brevitas", "column 10:", "a gain needs scales that are computed by rule absmax"},
  };
  for (const auto &c : cases) {
    mfq_scheme s{};
    EXPECT_TRUE(fails(mfq_scheme_parse(c.text, &s), MFQ_ERROR_PARSE, {c.column, c.says})) << c.text;
  }
}

TEST(ScaleText, BadFields) {
  const struct {
    const char *text;
    void (*spoil)(mfq_scheme *);
    const char *says;
  } cases[] = {
      {"nvfp4", [](mfq_scheme *s) { s->scale_gain = NAN; }, "scale_gain is nan; allowed are 0 (not said)"},
      {"nvfp4", [](mfq_scheme *s) { s->scale_bound = -1; }, "scale_bound is -1; allowed are 0 (not said)"},
      {"int8", [](mfq_scheme *s) { s->scale_gain = 2; }, "a gain needs scales"},
      {"mxfp4_e2m1", [](mfq_scheme *s) { s->scale_bound = 256; }, "a bound needs scale ue4m3 or minifloat"},
      {"mxfp4_e2m1", [](mfq_scheme *s) { s->scale_element.exp_bits = 5; }, "scale_element must be all 0 unless"},
      {"int4_group32_zp", [](mfq_scheme *s) { s->zero_point = 3; },
       "zero_point is 3; allowed are 0, 1 (a code) and 2 (a f32)"},
      {"nvfp4", [](mfq_scheme *s) { s->eden = -16; }, "eden is -16; allowed are multiples"},
      {"e2m1/group:16/scale:ue5m3fn", [](mfq_scheme *s) { s->scale_element.man_bits = 9; }, "man_bits is 9"},
  };
  for (const auto &c : cases) {
    const mfq_scheme good = parse(c.text);
    mfq_scheme s = good;
    c.spoil(&s);
    EXPECT_TRUE(fails(mfq_scheme_check(&s), MFQ_ERROR_INVALID_ARGUMENT, {"mfq_scheme_check: scheme: ", c.says}));
    EXPECT_EQ(mfq_scheme_equal(&s, &good), 0) << c.says;
  }
}

} // namespace
