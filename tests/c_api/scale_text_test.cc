// How scales are made, in the text and in the fields of schemes: gain and bound.
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
      {"int8/f32/bound:256", "column 10:", "a bound needs scale ue4m3 with rule absmax, whose tensor scale it sets"},
      {"nvfp4/ue4m3:given/bound:256", "column 19:", "a bound needs scale ue4m3 with rule absmax"},
      {"mxfp4_e2m1/gain:2", "column 12:", "a gain needs scales that are computed by rule absmax with arith exact"},
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
      {"mxfp4_e2m1", [](mfq_scheme *s) { s->scale_bound = 256; }, "a bound needs scale ue4m3"},
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
