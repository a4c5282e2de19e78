// Rule given: scales, zero points and the tensor scale are read, never written; also those that make no sense.
#include <cmath>
#include <limits>

#include "support/operand.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::same_floats;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class Given : public testing::TestWithParam<std::string> {};

template <typename T> void put_scales(Quantized *t, const std::vector<T> &scales) {
  ASSERT_EQ(t->sizes.scales_bytes, scales.size() * sizeof(T));
  std::memcpy(t->scales.data(), scales.data(), t->sizes.scales_bytes);
}

TEST_P(Given, FloatScales) {
  const Context context = make_context(GetParam().c_str());
  Quantized t(parse("e4m3fn/channel@0/f32:given"), {6, 4});
  /* A negative scale is one; 0, infinity and NaN give code 0. */
  put_scales<float>(&t, {0.5f, 4.0f, -0.5f, 0.0f, kInf, kNan});
  const std::vector<uint8_t> before = t.scales;
  const std::vector<float> row = {1.0f, 224.0f, -1000.0f, 0.75f};
  std::vector<float> x;
  for (int i = 0; i < 6; ++i) x.insert(x.end(), row.begin(), row.end());
  mfq_test::quantize(context.get(), x, &t);
  EXPECT_EQ(t.scales, before);
  EXPECT_EQ(mfq_test::all_codes(t),
            (std::vector<uint32_t>{0x40, 0x7e, 0xfe, 0x3c, /* 2, 448, saturated, 1.5 */
                                   0x28, 0x66, 0xf8, 0x24, /* 0.25, 56, -250 ties to -256, 0.1875 */
                                   0xc0, 0xfe, 0x7e, 0xbc, /* the signs of the first row turned */
                                   0,    0,    0,    0,    0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context.get(), t),
                          {1, 224, -224, 0.75f, 1,    224,  -1024, 0.75f, 1,    224,  -224, 0.75f,
                           0, 0,   0,    0,     kNan, kNan, kNan,  kNan,  kNan, kNan, kNan, kNan}));
  EXPECT_TRUE(same_floats(mfq_test::expanded_scales(context.get(), t, {6, 1}), {0.5f, 4.0f, -0.5f, 0.0f, kInf, kNan}));
}

TEST_P(Given, PowersOfTwo) {
  const Context context = make_context(GetParam().c_str());
  Quantized t(parse("e2m1/group:4/ue8m0:given"), {4, 4});
  put_scales<uint8_t>(&t, {0, 127, 254, 255});
  const std::vector<uint8_t> before = t.scales;
  const std::vector<float> row = {1.0f, -3.0f, 0x1p-126f, 0x1.8p127f};
  std::vector<float> x;
  for (int i = 0; i < 4; ++i) x.insert(x.end(), row.begin(), row.end());
  mfq_test::quantize(context.get(), x, &t);
  EXPECT_EQ(t.scales, before);
  EXPECT_EQ(mfq_test::all_codes(t), (std::vector<uint32_t>{7, 15, 4, 7,   /* in units of 2^-127: 2^-126 is 2 */
                                                           2, 13, 0, 7,   /* of 1 */
                                                           0, 8, 0, 3,    /* of 2^127: 1.5 */
                                                           0, 0, 0, 0})); /* of NaN */
  EXPECT_TRUE(
      same_floats(mfq_test::dequantized(context.get(), t), {0x1.8p-125f, -0x1.8p-125f, 0x1p-126f, 0x1.8p-125f, 1, -3, 0,
                                                            6, 0, -0.0f, 0, 0x1.8p127f, kNan, kNan, kNan, kNan}));
  EXPECT_TRUE(same_floats(mfq_test::expanded_scales(context.get(), t, {4, 1}), {0x1p-127f, 1, 0x1p127f, kNan}));
}

TEST_P(Given, ZeroPoints) {
  const Context context = make_context(GetParam().c_str());
  Quantized t(parse("uint4/group:4/f32:given/zp"), {3, 4});
  put_scales<float>(&t, {0.5f, 0.5f, 2.0f});
  const uint8_t zero_points[] = {0, 8, 15};
  std::copy(zero_points, zero_points + 3, t.zero_points.begin());
  const std::vector<uint8_t> scales = t.scales, zeros = t.zero_points;
  const std::vector<float> x = {0.0f, 1.0f, -1.0f, 100.0f, 0.0f, 1.0f, -1.0f, 100.0f, 0.0f, 1.0f, -1.0f, -100.0f};
  mfq_test::quantize(context.get(), x, &t);
  EXPECT_EQ(t.scales, scales);
  EXPECT_EQ(t.zero_points, zeros);
  /* 15 + 0.5 is clamped, 15 - 0.5 ties to 14 */
  EXPECT_EQ(mfq_test::all_codes(t), (std::vector<uint32_t>{0, 2, 0, 15, 8, 10, 6, 15, 15, 15, 14, 0}));
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context.get(), t), {0, 1, 0, 7.5f, 0, 1, -1, 3.5f, 0, 0, -2, -30}));
  EXPECT_TRUE(same_floats(mfq_test::expanded_zero_points(context.get(), t, {3, 1}), {0, 8, 15}));
}

TEST_P(Given, TensorScale) {
  const Context context = make_context(GetParam().c_str());
  Quantized t(parse("e2m1/group:4/ue4m3:given"), {3, 4});
  put_scales<uint8_t>(&t, {0x38, 0x40, 0x7f}); /* 1, 2, NaN */
  t.tensor_scale = 0.25f;
  const std::vector<uint8_t> before = t.scales;
  const std::vector<float> x = {1, 0.5f, -0.25f, 100, 1, 0.5f, -0.25f, 100, 1, 0.5f, -0.25f, 100};
  mfq_test::quantize(context.get(), x, &t);
  EXPECT_EQ(t.scales, before);
  EXPECT_EQ(t.tensor_scale, 0.25f);
  EXPECT_EQ(mfq_test::all_codes(t), (std::vector<uint32_t>{6, 4, 10, 7, 4, 2, 9, 7, 0, 0, 0, 0}));
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context.get(), t),
                          {1, 0.5f, -0.25f, 1.5f, 1, 0.5f, -0.25f, 3, kNan, kNan, kNan, kNan}));
  EXPECT_TRUE(same_floats(mfq_test::expanded_scales(context.get(), t, {3, 1}), {0.25f, 0.5f, kNan}));
}

/* What quantization measured, given back, leads to the same codes. */
TEST_P(Given, MeasuredScalesGiveTheSameCodes) {
  const Context context = make_context(GetParam().c_str());
  const std::vector<float> x = mfq_test::awkward_values(48 * 70, 3, true);
  for (const char *text : {"mxfp8_e4m3", "mxfp4_e2m1_rceil", "nvfp4", "e4m3fn/tensor/f32", "int4n/channel/f16",
                           "uint4/group:32/f32/zp", "e5m2/block:5x7/bf16"}) {
    SCOPED_TRACE(text);
    mfq_scheme scheme = parse(text);
    Quantized measured(scheme, {48, 70});
    mfq_test::quantize(context.get(), x, &measured);
    scheme.rule = MFQ_RULE_GIVEN;
    Quantized given(scheme, {48, 70});
    given.scales = measured.scales;
    given.q.scales = given.scales.data();
    given.zero_points = measured.zero_points;
    given.q.zero_points = given.zero_points.data();
    given.tensor_scale = measured.tensor_scale;
    mfq_test::quantize(context.get(), x, &given);
    EXPECT_TRUE(given.same_bytes(measured)) << given.difference(measured);
  }
}

/* ---- In one step ------------------------------------------------------------------------------------------------ */

std::vector<std::string> schemes_with_scales() {
  std::vector<std::string> all = {"int4/channel@1/f16:given",
                                  "e5m2/block:5x7/bf16:given",
                                  "e4m3fn/tensor/bf16:given/nosat",
                                  "e2m1/group:16@0/ue4m3:given",
                                  "uint4/block:3x4/ue8m0:given/zp/round:floor",
                                  "mxfp4_e2m1/ue8m0:given/round:stochastic",
                                  "e4m3fn"};
  for (const std::string &name : mfq_test::scheme_names())
    if (parse(name).arith == MFQ_ARITH_EXACT) all.push_back(name);
  return all;
}

mfq_scheme given(const std::string &text) {
  mfq_scheme scheme = parse(text);
  if (scheme.scale != MFQ_SCALE_NONE) scheme.rule = MFQ_RULE_GIVEN;
  return scheme;
}

/* Into each type, from and to strided memory, the bytes of the two steps; in place as well. */
void expect_two_steps(mfq_context *context, const Quantized &t, mfq_dtype from, mfq_dtype to, uint32_t seed) {
  const mfq_test::Shape shape = logical_shape(t), turned = {1, shape[0]};
  mfq_test::Operand x(from, shape, turned), fake(to, shape, {shape[1] + 3, 1}), steps(to, shape, {shape[1] + 3, 1});
  x.fill_awkward(seed);
  const mfq_tensor src = x.here(), fake_dst = fake.here(), dst = steps.here();
  mfq_qtensor parts = t.q;
  parts.codes = nullptr;
  ASSERT_EQ(mfq_quantize(context, &src, &t.q, nullptr), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_dequantize(context, &t.q, &dst), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_fake_quantize_given(context, &parts, &src, &fake_dst), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(fake.bytes, steps.bytes);
  mfq_test::Operand want(from, shape, turned);
  const mfq_tensor in_place = want.here();
  ASSERT_EQ(mfq_dequantize(context, &t.q, &in_place), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_fake_quantize_given(context, &parts, &src, &src), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(x.bytes, want.bytes);
}

TEST_P(Given, FakeIsTheTwoSteps) {
  const Context context = make_context(GetParam().c_str());
  ASSERT_EQ(mfq_context_set_seed(context.get(), 5, 6), MFQ_OK);
  uint32_t seed = 0;
  for (const std::string &text : schemes_with_scales()) {
    SCOPED_TRACE(text);
    const mfq_scheme scheme = given(text);
    mfq_layout layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
    const bool is_group = scheme.granularity == MFQ_GRANULARITY_GROUP;
    if (seed % 2 == 1) layout.codes = is_group ? MFQ_CODES_GROUP_LAST : MFQ_CODES_TRANSPOSED;
    if (is_group && seed % 3 != 0 && scheme.scale >= MFQ_SCALE_UE8M0) layout.scales = MFQ_SCALES_128X4;
    Quantized t(scheme, {19, 70}, &layout);
    mfq_test::give_scales(&t, seed);
    const std::vector<uint8_t> scales = t.scales, zeros = t.zero_points;
    expect_two_steps(context.get(), t, mfq_test::kDtypes[seed % 3], mfq_test::kDtypes[seed / 3 % 3], seed);
    EXPECT_EQ(t.scales, scales);
    EXPECT_EQ(t.zero_points, zeros);
    ++seed;
  }
}

TEST_P(Given, FakeOfOddShapes) {
  const Context context = make_context(GetParam().c_str());
  for (const char *text : {"mxfp8_e4m3", "nvfp4", "int8_tensor_zp", "fp8_e4m3_block128", "e4m3fn"})
    for (const mfq_test::Shape &shape : {mfq_test::Shape{}, {0}, {1}, {5, 0}, {0, 5}, {2, 1, 1, 2, 1, 1, 1, 3}}) {
      SCOPED_TRACE(std::string(text) + testing::PrintToString(shape));
      const mfq_scheme scheme = given(text);
      Quantized t(scheme, shape);
      mfq_test::give_scales(&t, 3);
      const std::vector<float> x = mfq_test::awkward_values(mfq_test::count_of(shape), 22);
      mfq_test::quantize(context.get(), x, &t);
      EXPECT_TRUE(same_floats(mfq_test::faked_given(context.get(), t, x), mfq_test::dequantized(context.get(), t)));
    }
}

/* Under scales that are no numbers to divide by, Brevitas' values are NaN. */
TEST_P(Given, FakeByBrevitas) {
  const Context context = make_context(GetParam().c_str());
  Quantized t(parse("e4m3fn/channel@0/f32:given/arith:brevitas"), {5, 3});
  put_scales<float>(&t, {0.5f, -0.5f, 0.0f, kInf, kNan});
  const std::vector<float> row = {1.0f, -1000.0f, kNan};
  std::vector<float> x;
  for (int i = 0; i < 5; ++i) x.insert(x.end(), row.begin(), row.end());
  EXPECT_TRUE(same_floats(mfq_test::faked_given(context.get(), t, x),
                          {1, -224, kNan, 1, -224, kNan, kNan, kNan, kNan, kNan, kNan, kNan, kNan, kNan, kNan}));
}

INSTANTIATE_TEST_SUITE_P(Isa, Given, testing::ValuesIn(mfq_test::every_isa()),
                         [](const auto &param) { return param.param; });

} // namespace
