// mfq_fake_quantize is mfq_quantize followed by mfq_dequantize, for every scheme that codes can hold.
#include <limits>

#include "support/plain_tensor.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::same_floats;
using mfq_test::Shape;

std::vector<std::string> exact_schemes() {
  std::vector<std::string> all = {
      "nvfp4/min:0.5",
      "e4m3fn/group:16/f16/stat:minmax",
      "e4m3fn/group:16/f32/stat:minmax",
      "int8/channel/f32/zp",
      "uint4/group:16@0/f32/zp",
      "uint4/f16/zp",
      "e5m2/nosat",
      "mxfp8_e5m2/nosat",
      "mxfp4_e2m1/group:16@0/round:floor",
      "e2m1/block:3x5/ue8m0",
      "e4m3fn/group:16/bf16",
      "e4m3fn/group:16/f16:ceil",
      "e7m0b160/group:8/ue8m0",
      "e4m3fnuz/channel@1/f32/nosat",
      "e3m2/round:dpu",
      "mxint8/group:7/round:away",
      "ue4m3fn/f32",
      "mxfp6_e2m3/round:stochastic",
  };
  for (int32_t i = 0; mfq_scheme_name(i, nullptr) != nullptr; ++i) {
    const mfq_scheme scheme = parse(mfq_scheme_name(i, nullptr));
    if (scheme.arith == MFQ_ARITH_EXACT && scheme.rule != MFQ_RULE_GIVEN) all.push_back(mfq_scheme_name(i, nullptr));
  }
  for (int32_t i = 0; mfq_format_name(i, nullptr) != nullptr; ++i) all.push_back(mfq_format_name(i, nullptr));
  return all;
}

void check(mfq_context *context, const mfq_scheme &scheme, const Shape &shape, const std::vector<float> &x) {
  Quantized t(scheme, shape);
  mfq_test::quantize(context, x, &t);
  std::vector<float> scales;
  EXPECT_TRUE(same_floats(mfq_test::faked(context, scheme, x, shape, &scales), mfq_test::dequantized(context, t)));
  EXPECT_TRUE(same_floats(scales, mfq_test::expanded_scales(context, t, mfq_test::scale_shape(t))));
}

TEST(FakeQuantize, IsTheTwoSteps) {
  const Context context = make_context();
  ASSERT_EQ(mfq_context_set_seed(context.get(), 5, 6), MFQ_OK);
  for (const std::string &text : exact_schemes())
    for (const Shape &shape : {Shape{40, 150}, Shape{2, 33, 4, 3}, Shape{3, 300}}) {
      SCOPED_TRACE(text + testing::PrintToString(shape));
      check(context.get(), parse(text), shape, mfq_test::awkward_values(mfq_test::count_of(shape), 21));
    }
  EXPECT_GE(exact_schemes().size(), 60u);
}

TEST(FakeQuantize, OddShapes) {
  const Context context = make_context();
  for (const char *text : {"mxfp8_e4m3", "nvfp4", "int8_tensor_zp", "fp8_e4m3_block128", "e4m3fn"})
    for (const Shape &shape : {Shape{}, Shape{0}, Shape{1}, Shape{5, 0}, Shape{0, 5}, Shape{2, 1, 1, 2, 1, 1, 1, 3}}) {
      SCOPED_TRACE(std::string(text) + testing::PrintToString(shape));
      check(context.get(), parse(text), shape, mfq_test::awkward_values(mfq_test::count_of(shape), 22));
    }
}

TEST(FakeQuantize, HalfPrecision) {
  const Context context = make_context();
  const std::vector<float> x = mfq_test::awkward_values(8 * 64, 23);
  for (const mfq_dtype dtype : {MFQ_DTYPE_BF16, MFQ_DTYPE_F16})
    for (const char *text : {"mxfp8_e4m3", "fp8_e4m3_channel", "int4_group32_zp"}) {
      SCOPED_TRACE(std::string(text) + ", " + mfq_dtype_name(dtype));
      const mfq_scheme scheme = parse(text);
      std::vector<uint16_t> fake(x.size(), 0xabab), steps(x.size(), 0xcdcd);
      const mfq_tensor src = mfq_test::dense(x, {8, 64});
      const mfq_tensor fake_dst = mfq_test::dense(fake, dtype, {8, 64}), dst = mfq_test::dense(steps, dtype, {8, 64});
      Quantized t(scheme, {8, 64});
      mfq_test::quantize(context.get(), x, &t);
      ASSERT_EQ(mfq_dequantize(context.get(), &t.q, &dst), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(mfq_fake_quantize(context.get(), &scheme, &src, &fake_dst, nullptr), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(fake, steps);
    }
}

/* Equal elements below 0 are a range without width and have the least scale, by which quotients are infinite. */
TEST(FakeQuantize, RangesWithoutWidth) {
  const Context fast = make_context(), reference = make_context("reference", 1);
  const Shape shape = {2, 64};
  for (const char *text : {"int8/group:16/f32/stat:minmax", "e4m3fn/group:16/f32/stat:minmax",
                           "int8/channel/f32/stat:minmax", "e4m3fn/channel/bf16/stat:minmax"})
    for (const float spread : {0.0f, 1.0f}) {
      SCOPED_TRACE(text + std::to_string(spread));
      const mfq_scheme scheme = parse(text);
      std::vector<float> x(128);
      for (size_t i = 0; i < x.size(); ++i) x[i] = -5.0f - spread * (float)(i % 3);
      Quantized got(scheme, shape), want(scheme, shape);
      mfq_test::quantize(fast.get(), x, &got);
      mfq_test::quantize(reference.get(), x, &want);
      EXPECT_EQ(got.codes, want.codes);
      EXPECT_TRUE(same_floats(mfq_test::faked(fast.get(), scheme, x, shape),
                              mfq_test::faked(reference.get(), scheme, x, shape)));
    }
}

/* Brevitas' own values, which no code holds. */
TEST(FakeQuantize, KeepsWhatBrevitasKeeps) {
  const Context context = make_context();
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {nan, inf, -inf, -0.0f, -1e-9f, 1.0f};
  const struct {
    const char *scheme;
    std::vector<float> want;
  } cases[] = {
      {"e2m1/arith:brevitas", {nan, nan, nan, -0.0f, -0.0f, 1.0f}},
      {"brevitas:Fp8e4m3FNUZWeight", {nan, nan, nan, -0.0f, -0.0f, 1.0f}},
      {"ue4m3fn/arith:brevitas", {nan, nan, nan, -0.0f, -0.0f, 1.0f}},
      {"brevitas:Fp8e5m2OCPWeight/nosat", {nan, nan, nan, -0.0f, -0.0f, 1.0f}},
  };
  for (const auto &c : cases) {
    SCOPED_TRACE(c.scheme);
    EXPECT_TRUE(same_floats(mfq_test::faked(context.get(), parse(c.scheme), x, {6}), c.want));
  }
  std::vector<float> group(32, 1.0f);
  group[7] = inf; /* one infinity makes the whole group NaN */
  EXPECT_TRUE(same_floats(mfq_test::faked(context.get(), parse("brevitas:MXFloat8e4m3Weight"), group, {1, 32}),
                          std::vector<float>(32, nan)));
}

} // namespace
