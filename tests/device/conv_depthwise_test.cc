// Depthwise convolutions on a device, by their own kernels: near sums of double, whatever is read and written, and the
// same bits each time.
#include "support/conv_cases.h"
#include "support/conv_huge.h"

namespace {

using namespace mfq_test;

class ConvDepthwise : public OnDevice {
protected:
  static mfq_context *there() {
    static const Context context = make_context_of(device_name(), MFQ_FAST);
    return context.get();
  }
  static testing::AssertionResult near(const ConvCase &x) { return conv_is_near(there(), x, "depthwise"); }
  /* Takes another way, and says why not this one. */
  static void refuses(const ConvCase &x, const std::string &why) {
    const ConvData data(x);
    const ProductResult result = run_conv(there(), data);
    ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
    EXPECT_NE(result.description.find("not depthwise: " + why), std::string::npos) << result.description;
    EXPECT_TRUE(conv_result_is_near(data, result)) << text_of(x);
  }

  static ConvCase depthwise(mfq_conv_direction direction, int64_t channels = 40) {
    ConvCase x = usual(direction);
    x.layout = MFQ_CONV_CHANNELS_LAST;
    x.groups = x.in_channels = x.out_channels = channels;
    x.in = {5, 7};
    x.filter = {3, 3};
    return x;
  }
};

/* Everything that units are decoded from, as either operand. */
TEST_F(ConvDepthwise, Schemes) {
  const char *const schemes[] = {"mxfp8_e4m3",
                                 "mxfp8_e5m2",
                                 "mxfp6_e3m2",
                                 "mxfp4_e2m1",
                                 "mxint8",
                                 "nvfp4",
                                 "e4m3fnuz",
                                 "int4/f32",
                                 "int8_tensor_zp",
                                 "int8/f32/zp/group:16",
                                 "int4/f32/zp/group:8",
                                 "e3m2/f16/group:24",
                                 "fp8_e4m3_tensor",
                                 "uint4/tensor/f32/zp"};
  uint32_t seed = 1;
  for (const mfq_conv_direction direction : kDirections)
    for (const char *scheme : schemes)
      for (const bool on_the_way : {false, true}) {
        ConvCase x = depthwise(direction);
        x.seed = seed++;
        const bool is_first = seed % 2 == 0;
        const ConvSide side = conv_side(scheme, on_the_way), other = conv_side(seed % 3 == 0 ? "mxfp8_e4m3" : "");
        set_sides(&x, is_first ? side : other, is_first ? other : side);
        ASSERT_TRUE(near(x));
        set_sides(&x, side, side);
        ASSERT_TRUE(near(x));
      }
}

TEST_F(ConvDepthwise, PlainTypes) {
  for (const mfq_conv_direction direction : kDirections)
    for (const mfq_dtype a : kDtypes)
      for (const mfq_dtype b : kDtypes) {
        ConvCase x = depthwise(direction);
        x.input.dtype = a;
        x.weight.dtype = b;
        x.output_gradient.dtype = direction == MFQ_CONV_INPUT_GRADIENT ? a : b;
        x.d = kDtypes[(a + b) % 3];
        ASSERT_TRUE(near(x));
      }
}

/* Every stride, dilation, padding and filter, 1 to 3 axes; channels that fill blocks and that do not. */
TEST_F(ConvDepthwise, Shapes) {
  std::mt19937 random(5);
  for (size_t i = 0; i < 90; ++i) {
    ConvCase x = drawn(&random, kDirections[i % 3], 1 + i / 3 % 3, 1000);
    x.layout = MFQ_CONV_CHANNELS_LAST;
    x.groups = x.in_channels = x.out_channels = 8 * (1 + (int64_t)(random() % 5));
    if (i % 10 == 0) x.groups = x.in_channels = x.out_channels = 8 * 37;
    set_sides(&x, conv_side(random() % 2 ? "mxfp8_e4m3" : ""), conv_side(random() % 2 ? "mxfp4_e2m1" : ""));
    x.has_bias = x.direction == MFQ_CONV_FORWARD && random() % 2 == 0;
    x.has_c = random() % 3 == 0;
    ASSERT_TRUE(near(x)) << "round " << i;
  }
}

/* Channels-last memory under shapes with channels first, and pixels with gaps that keep units aligned. */
TEST_F(ConvDepthwise, OtherOrders) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = depthwise(direction);
    x.layout = MFQ_CONV_CHANNELS_FIRST;
    x.d_memory = x.c_memory = Memory::kOtherOrder;
    x.has_c = true;
    set_sides(&x, conv_side("", false, Memory::kOtherOrder), conv_side("mxfp8_e4m3", true, Memory::kOtherOrder));
    if (direction == MFQ_CONV_WEIGHT_GRADIENT) x.output_gradient = conv_side("", false, Memory::kOtherOrder);
    ASSERT_TRUE(near(x));
    x.d_memory = x.c_memory = Memory::kGaps; /* the result may lie anyhow */
    ASSERT_TRUE(near(x));
    x.d_memory = Memory::kReversed;
    ASSERT_TRUE(near(x));
  }
}

TEST_F(ConvDepthwise, Finishes) {
  uint32_t seed = 0;
  for (const mfq_conv_direction direction : kDirections)
    for (const mfq_activation activation : {MFQ_ACTIVATION_NONE, MFQ_ACTIVATION_RELU, MFQ_ACTIVATION_GELU})
      for (const char *quantized : {"", "", "mxfp8_e4m3", "int8/channel@0/f32"}) {
        ConvCase x = depthwise(direction);
        const bool is_forward = direction == MFQ_CONV_FORWARD;
        x.activation = is_forward ? activation : MFQ_ACTIVATION_NONE;
        x.has_bias = is_forward && seed % 2 == 0;
        x.has_c = seed % 3 == 0;
        x.c_is_result = x.has_c && seed % 2 == 0 && *quantized == 0;
        x.beta = 0.5f;
        x.alpha = seed % 2 == 0 ? 0.7f : 1.0f;
        x.device_scalars = seed % 4 == 0;
        x.d = kDtypes[seed++ % 3];
        set_sides(&x, conv_side("int8_tensor"), conv_side("int8_channel"));
        if (direction == MFQ_CONV_INPUT_GRADIENT) x.weight = conv_side("fp8_e4m3_tensor");
        ASSERT_TRUE(near(x));
        if (*quantized == 0) continue;
        const ProductResult values = run_conv(there(), ConvData(x));
        x.d = MFQ_DTYPE_F32;
        const ProductResult plain = run_conv(there(), ConvData(x));
        x.quantized_result = quantized;
        const ProductResult result = run_conv(there(), ConvData(x));
        ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
        Quantized want(parse(quantized), shape_of(x, result_of(x)));
        quantize(devices().cpu.get(), std::vector<float>(plain.values.begin(), plain.values.end()), &want);
        const std::vector<float> expected = dequantized(devices().cpu.get(), want);
        EXPECT_EQ(result.values, std::vector<double>(expected.begin(), expected.end())) << text_of(x);
      }
}

/* Many parts of pixels: their sums are added in one order. */
TEST_F(ConvDepthwise, SameBitsEachTime) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = depthwise(direction, 24);
    x.batch = 3;
    x.in = {33, 41};
    x.filter = {1, 5};
    set_sides(&x, conv_side("mxfp8_e4m3"), conv_side(""));
    const ConvData data(x);
    const ProductResult first = run_conv(there(), data);
    EXPECT_TRUE(conv_result_is_near(data, first));
    EXPECT_EQ(run_conv(there(), data).bytes, first.bytes);
  }
}

TEST_F(ConvDepthwise, WhatItRefuses) {
  ConvCase x = depthwise(MFQ_CONV_FORWARD);
  set_sides(&x, conv_side("mxfp8_e4m3"), conv_side("mxfp8_e4m3"));
  ConvCase other = x;
  other.groups = 20;
  refuses(other, "groups have more than one channel");
  other = x;
  other.groups = other.in_channels = other.out_channels = 20;
  refuses(other, "the channels are no multiple of 8");
  other = x;
  other.layout = MFQ_CONV_CHANNELS_FIRST;
  refuses(other, "an operand's codes are not channels last");
  set_sides(&other, conv_side(""), conv_side(""));
  refuses(other, "an operand is not channels last");
  other.layout = MFQ_CONV_CHANNELS_LAST;
  other.front = 4;
  refuses(other, "an operand's channels are not aligned to 16 bytes");
  other = x;
  other.input = conv_side("e4m3fn/group:12/f32");
  refuses(other, "groups of channels are no multiples of 8");
  other.input = conv_side("e2m2/group:8/ue8m0");
  refuses(other, "bf16 does not hold an operand's codes by shift and mask");
}

TEST_F(ConvDepthwise, FiniteValuesStayFinite) {
  for (const char *scheme : kHugeSchemes) {
    ConvCase x = huge_case(MFQ_CONV_CHANNELS_LAST);
    x.groups = x.out_channels = x.in_channels;
    EXPECT_TRUE(conv_keeps_huge_values(there(), x, scheme, "depthwise", std::numeric_limits<float>::max()));
  }
}

} // namespace
