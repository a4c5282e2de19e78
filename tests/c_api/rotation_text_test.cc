// Rotations in the text and in the fields of schemes: what they print as, and what is refused with which words.
#include <mfq/types.h>

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

TEST(RotationText, Fields) {
  const mfq_scheme s = parse("mxfp4_e2m1/hadamard:128:seed:77"), fixed = parse("nvfp4/hadamard:16:fixed");
  EXPECT_EQ(s.rotation, 128);
  EXPECT_EQ(s.signs, MFQ_SIGNS_SEEDED);
  EXPECT_EQ(s.sign_seed, 77u);
  EXPECT_EQ(fixed.rotation, 16);
  EXPECT_EQ(fixed.signs, MFQ_SIGNS_FIXED);
  EXPECT_EQ(fixed.sign_seed, 0u);
}

TEST(RotationText, Canonical) {
  const struct {
    const char *text, *printed;
  } cases[] = {
      {"e2m1/group:32/ue8m0/hadamard:32", "mxfp4_e2m1/hadamard:32"},
      {"nvfp4/hadamard:16:fixed", "nvfp4/hadamard:16:fixed"},
      {"nvfp4/hadamard:16:fixed/hadamard:64", "nvfp4/hadamard:64"},
      {"nvfp4/hadamard:128:seed:077/group:8@0", "e2m1/group:8@0/ue4m3/hadamard:128:seed:77"},
      {"nvfp4/hadamard:128:seed:0", "nvfp4/hadamard:128:seed:0"},
      {"nvfp4/hadamard:128:seed:18446744073709551615", "nvfp4/hadamard:128:seed:18446744073709551615"},
  };
  for (const auto &c : cases) {
    const mfq_scheme s = parse(c.text), again = parse(c.printed);
    EXPECT_EQ(printed(s), c.printed) << c.text;
    EXPECT_TRUE(mfq_scheme_equal(&s, &again)) << c.text;
  }
}

TEST(RotationText, BadTexts) {
  const struct {
    const char *text, *column, *says;
  } cases[] = {
      {"nvfp4/hadamard", "column 7:", "hadamard needs ':' and a size, such as hadamard:32"},
      {"nvfp4/hadamard:", "column 16:", "a size is needed here"},
      {"nvfp4/hadamard:x", "column 16:", "a size is needed here"},
      {"nvfp4/hadamard:20", "column 7:", "rotation is 20; allowed are 0 (none), 16, 32, 64 and 128"},
      {"nvfp4/hadamard:16:", "column 19:", "behind the size of a rotation come no signs, \"fixed\", or \"seed:\""},
      {"nvfp4/hadamard:16:none", "column 19:", "no signs, \"fixed\", or \"seed:\""},
      {"nvfp4/hadamard:16:fixed:1", "column 19:", "no signs, \"fixed\", or \"seed:\""},
      {"nvfp4/hadamard:16:seed", "column 19:", "such as hadamard:128:seed:77"},
      {"nvfp4/hadamard:16:seed:", "column 19:", "such as hadamard:128:seed:77"},
      {"nvfp4/hadamard:16:seed:-1", "column 19:", "a whole number of at most 64 bits"},
      {"nvfp4/hadamard:16:seed:18446744073709551616", "column 19:", "a whole number of at most 64 bits"},
      {"nvfp4/hadamard:16@0", "column 19:", "hadamard has no axis"},
      {"int8/f32/hadamard:16",
       "column 10:", "a rotation runs along the axis of groups, but granularity is tensor; use group"},
      {"brevitas:MXFloat8e4m3Weight/hadamard:32", "column 29:", "arith brevitas has no rotation; use arith exact"},
  };
  for (const auto &c : cases) {
    mfq_scheme s{};
    EXPECT_TRUE(fails(mfq_scheme_parse(c.text, &s), MFQ_ERROR_PARSE, {c.column, c.says})) << c.text;
  }
}

TEST(RotationText, BadFields) {
  const mfq_scheme good = parse("mxfp8_e4m3");
  const struct {
    void (*spoil)(mfq_scheme *);
    const char *says;
  } cases[] = {
      {[](mfq_scheme *s) { s->rotation = 256; }, "rotation is 256; allowed are 0 (none), 16, 32, 64 and 128"},
      {[](mfq_scheme *s) { s->rotation = -16; }, "rotation is -16"},
      {[](mfq_scheme *s) { set_raw(&s->signs, 3); },
       "the signs is enumerator 3; allowed is 0 ... 2: none, fixed, seed"},
      {[](mfq_scheme *s) { s->signs = MFQ_SIGNS_FIXED; }, "signs are fixed, but rotation is 0"},
      {[](mfq_scheme *s) { s->rotation = 32, s->sign_seed = 5; }, "sign_seed is 5; it must be 0 unless"},
      {[](mfq_scheme *s) { s->sign_seed = 5; }, "sign_seed is 5; it must be 0 unless"},
  };
  for (const auto &c : cases) {
    mfq_scheme s = good;
    c.spoil(&s);
    EXPECT_TRUE(fails(mfq_scheme_check(&s), MFQ_ERROR_INVALID_ARGUMENT, {"mfq_scheme_check: scheme: ", c.says}));
    EXPECT_EQ(mfq_scheme_equal(&s, &good), 0) << c.says;
  }
}

} // namespace
