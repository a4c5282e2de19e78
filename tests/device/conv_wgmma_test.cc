// Convolutions by the matrix instructions of warpgroups, which devices of compute capability 9.0 have and the emulated
// one has by default: with small integers, whose sums are exact in any order, bit for bit; with random numbers within
// the bounds of docs/numerics.md.
#include "support/conv_huge.h"
#include "support/conv_small.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class ConvWgmma : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (device() == nullptr) return;
    if (description_of(sized(MFQ_CONV_FORWARD, 16, 16, {4, 4}, {3, 3})).find("only 9.0 has") != std::string::npos)
      GTEST_SKIP() << "the device has no matrix instructions of warpgroups";
  }
  static std::string description_of(const ConvCase &x) { return run_conv(device(), ConvData(x)).description; }
  static void expect_exact(const ConvCase &x) { expect_exact_by(device(), "warpgroups", x); }
  static void expect_near(const ConvCase &x) { EXPECT_TRUE(conv_is_near(device(), x, "warpgroups")) << text_of(x); }
};

TEST_F(ConvWgmma, Plain) {
  for (const mfq_conv_direction direction : kDirections) {
    expect_exact(sized(direction, 16, 16, {6, 7}, {3, 3}));
    expect_exact(sized(direction, 5, 7, {6, 7}, {2, 3}));
    expect_exact(sized(direction, 40, 70, {9}, {4}));
    expect_exact(sized(direction, 24, 8, {3, 4, 5}, {2, 1, 3}));
  }
}

/* Tails of tiles, units and stages; more than one tile of rows and of columns, both widths. */
TEST_F(ConvWgmma, Sizes) {
  for (const mfq_conv_direction direction : kDirections) {
    for (const int64_t channels : {1, 3, 15, 17, 33, 64, 65})
      expect_exact(sized(direction, channels, 68 - channels, {5, 4}, {3, 2}));
    expect_exact(sized(direction, 64, 64, {8, 9}, {3, 3}));
    expect_exact(sized(direction, 100, 130, {7, 6}, {2, 2}));
    expect_exact(sized(direction, 200, 96, {4, 5}, {3, 3}));
    ConvCase x = sized(direction, 32, 32, {11, 13}, {3, 3});
    x.batch = 3;
    expect_exact(x);
  }
}

TEST_F(ConvWgmma, Windows) {
  for (const mfq_conv_direction direction : kDirections)
    for (const int64_t stride : {1, 2, 3})
      for (const int64_t dilation : {1, 2, 3}) {
        ConvCase x = sized(direction, 20, 36, {9, 11}, {3, 2});
        x.stride = {stride, 2};
        x.dilation = {1, dilation};
        x.padding = {2, 1};
        x.padding_after = {0, 3};
        expect_exact(x);
        x.in = {10};
        x.filter = {5};
        x.stride = {stride};
        x.dilation = {dilation};
        x.padding = {4};
        x.padding_after = {};
        expect_exact(x);
      }
}

TEST_F(ConvWgmma, Groups) {
  constexpr int64_t channels[] = {5, 16, 32, 40};
  sample_pairs({3, 2, std::size(channels), 2}, [&](const std::vector<size_t> &at) {
    const int64_t groups = (int64_t)at[1] + 2, each = channels[at[2]];
    ConvCase x = sized(kDirections[at[0]], groups * each, groups * 2 * each, {5, 6}, {3, 3});
    x.groups = groups;
    x.padding = {1, 1};
    expect_exact(at[3] == 0 ? x : of_scheme(x, "mxfp8_e4m3"));
  });
}

TEST_F(ConvWgmma, Transposed) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = sized(direction, 24, 40, {4, 5}, {3, 4});
    x.transposed = true;
    x.stride = {2, 3};
    x.padding = {1, 0};
    x.output_padding = {1, 2};
    expect_exact(x);
    expect_exact(of_scheme(x, "mxfp4_e2m1"));
  }
}

/* Few tiles, and a long way through the depth. */
TEST_F(ConvWgmma, PartsOfTheDepth) {
  for (const mfq_conv_direction direction : kDirections) {
    const bool is_forward = direction == MFQ_CONV_FORWARD;
    ConvCase x = sized(direction, is_forward ? 200 : 40, is_forward ? 40 : 200, {4, 3}, {3, 3});
    x.padding = {1, 1};
    if (direction == MFQ_CONV_WEIGHT_GRADIENT) {
      x = sized(direction, 10, 24, {23, 22}, {3, 2});
      x.batch = 3;
    }
    EXPECT_EQ(description_of(x).find("depth in 1 parts"), std::string::npos) << description_of(x);
    expect_exact(x);
    x.d = MFQ_DTYPE_BF16;
    x.has_c = true;
    expect_near(of_scheme(x, "mxfp8_e4m3"));
  }
}

TEST_F(ConvWgmma, Schemes) {
  // clang-format off
  const char *const schemes[] = {"mxfp8_e4m3", "mxfp8_e5m2",      "mxfp6_e2m3",              "mxfp6_e3m2",
                                 "mxfp4_e2m1", "nvfp4",           "e4m3fnuz/group:32/ue8m0", "uint4/group:32/ue8m0/zp",
                                 "e4m3fn/channel/f32", "int8/tensor/f32", "uint8/tensor/f32/zp"};
  // clang-format on
  sample_pairs({3, std::size(schemes), 3}, [&](const std::vector<size_t> &at) {
    ConvCase x = sized(kDirections[at[0]], 48, 40, {6, 7}, {3, 3});
    x.padding = {1, 1};
    if (at[2] != 0) x.layout = MFQ_CONV_CHANNELS_FIRST;
    expect_near(of_scheme(x, schemes[at[1]], at[2] == 2));
  });
}

TEST_F(ConvWgmma, Memory) {
  for (const mfq_conv_direction direction : kDirections)
    for (const mfq_conv_layout layout : {MFQ_CONV_CHANNELS_FIRST, MFQ_CONV_CHANNELS_LAST})
      for (const Memory memory : {Memory::kOtherOrder, Memory::kGaps, Memory::kReversed, Memory::kBroadcast}) {
        ConvCase x = sized(direction, 32, 48, {5, 6}, {3, 2});
        x.layout = layout;
        x.input.memory = x.weight.memory = x.output_gradient.memory = memory;
        x.d_memory = memory == Memory::kBroadcast ? Memory::kGaps : memory;
        expect_exact(x);
      }
  ConvCase x = sized(MFQ_CONV_FORWARD, 32, 48, {5, 6}, {3, 2});
  x.front = 4;
  expect_exact(x);
}

TEST_F(ConvWgmma, RoundedOperands) {
  for (const mfq_conv_direction direction : kDirections)
    for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_F16}) {
      ConvCase x = sized(direction, 20, 36, {5, 6}, {3, 3});
      for (ConvSide *side : {&x.input, &x.weight, &x.output_gradient}) side->dtype = dtype;
      x.round_operands = true;
      expect_near(x);
    }
}

TEST_F(ConvWgmma, FinishesAndQuantizedResults) {
  for (const mfq_conv_direction direction : kDirections)
    for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16, MFQ_DTYPE_F16}) {
      ConvCase x = sized(direction, 32, 24, {6, 5}, {3, 3});
      x.d = dtype;
      expect_near(x);
      x.has_c = true;
      x.alpha = 0.5f;
      if (direction == MFQ_CONV_FORWARD) {
        x.has_bias = true;
        x.activation = MFQ_ACTIVATION_SILU;
      }
      expect_near(of_scheme(x, "mxfp8_e4m3"));
      expect_near(of_scheme(x, "nvfp4", true));
    }
}

/* Zeros of the padding are zeros beside NaN and infinite scales, too: an element that no tap meets poisons nothing. */
TEST_F(ConvWgmma, SkippedElementsDoNotMatter) {
  ConvCase x = sized(MFQ_CONV_FORWARD, 32, 16, {5, 5}, {1, 2});
  x.stride = {2, 1};
  ConvData data(of_scheme(x, "mxfp8_e4m3"));
  SideData &input = data.side(kInput);
  for (size_t image = 0; image < 2; ++image)
    for (size_t column = 0; column < 5; ++column) input.quantized->scales[(image * 5 + 1) * 5 + column] = 255;
  input.requantized();
  const ProductResult got = run_conv(device(), data);
  ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
  EXPECT_EQ(got.description.substr(0, 12), "warpgroups: ");
  for (const double value : got.values) EXPECT_FALSE(std::isnan(value));
}

TEST_F(ConvWgmma, SaysWhyNot) {
  ConvCase x = sized(MFQ_CONV_FORWARD, 32, 32, {9, 9}, {1, 1});
  x.stride = {2, 2};
  const std::string once = description_of(of_scheme(x, "mxfp8_e4m3"));
  EXPECT_NE(once.find("not warpgroups: elements meet one tap"), std::string::npos) << once;
  x = sized(MFQ_CONV_FORWARD, 32, 32, {9, 9}, {3, 3});
  x.input.dtype = MFQ_DTYPE_F32;
  EXPECT_NE(description_of(x).find("not warpgroups: bf16 does not hold"), std::string::npos);
}

TEST_F(ConvWgmma, FiniteValuesStayFinite) {
  for (const char *scheme : kHugeSchemes)
    EXPECT_TRUE(conv_keeps_huge_values(device(), huge_case(MFQ_CONV_CHANNELS_LAST), scheme, "warpgroups", 0x1.fep127));
}

} // namespace
