// Reproducible convolutions on a device: the bytes of the CPU, whatever the operands, layouts and finish.
#include "support/conv_cases.h"

namespace {

using namespace mfq_test;

class ConvGeneral : public OnDevice {
protected:
  static mfq_context *there() {
    static const Context context = make_context_of(device_name(), MFQ_REPRODUCIBLE);
    return context.get();
  }
  static testing::AssertionResult same(const ConvData &data) {
    static const Context here = make_context_of("cpu", MFQ_REPRODUCIBLE);
    const ConvCase &x = data.given;
    trace(text_of(x));
    const ProductResult want = run_conv(here.get(), data);
    auto verdict = succeeded(want.status, "on the CPU");
    if (!verdict) return verdict << "; " << text_of(x);
    const ProductResult got = run_conv(there(), data);
    verdict = succeeded(got.status, "on the device");
    const size_t element = x.quantized_result.empty() ? mfq_dtype_bytes(x.d) : 1;
    if (verdict) verdict = same_memory(got.bytes, want.bytes, element);
    const bool is_general = count_of(data.result_shape) == 0 || got.description.find("general: ") != std::string::npos;
    if (verdict && !is_general) verdict = testing::AssertionFailure() << "another way";
    return verdict ? verdict : verdict << "; " << text_of(x) << "; " << got.description;
  }
  static testing::AssertionResult same_of(const ConvCase &x) { return same(ConvData(x)); }
};

TEST_F(ConvGeneral, PairsOfSchemes) {
  const char *const schemes[] = {"",
                                 "mxfp8_e4m3",
                                 "mxfp6_e3m2",
                                 "mxfp4_e2m1",
                                 "mxint8",
                                 "nvfp4",
                                 "e4m3fn/group:16/f32",
                                 "uint4/group:24/f32/zp",
                                 "int8_tensor_zp",
                                 "fp8_e4m3_channel",
                                 "e3m2/group:5/f16"};
  uint32_t seed = 1;
  for (const mfq_conv_direction direction : kDirections)
    for (const char *a : schemes)
      for (const char *b : schemes) {
        ConvCase x = usual(direction);
        x.batch = 1 + seed % 2;
        x.in_channels = direction == MFQ_CONV_FORWARD ? 33 + seed % 4 : 1 + seed % 3;
        x.out_channels = direction == MFQ_CONV_INPUT_GRADIENT ? 33 + seed % 4 : 1 + seed % 5;
        x.in = {2, 3};
        x.filter = {2, 2};
        x.layout = kConvLayouts[seed % 2];
        set_sides(&x, conv_side(a, seed % 3 == 0), conv_side(b, seed % 5 == 0));
        x.d = kDtypes[seed / 3 % 3];
        x.seed = seed++;
        ASSERT_TRUE(same_of(x));
      }
}

/* Codes, scales and zero points of every kind: NaN, infinities, zeros, the ends of the range. */
TEST_F(ConvGeneral, EveryKindOfCodesAndScales) {
  uint32_t seed = 1;
  for (const mfq_conv_direction direction : kDirections)
    for (const char *a : {"mxfp8_e5m2", "nvfp4", "e5m2/group:16/f32", "uint4/group:32/f32/zp"})
      for (const char *b : {"mxfp4_e2m1", "e5m2/group:32/f32", "int8_channel"}) {
        ConvCase x = usual(direction);
        x.batch = 1;
        x.in_channels = direction == MFQ_CONV_FORWARD ? 37 : 3;
        x.out_channels = direction == MFQ_CONV_INPUT_GRADIENT ? 37 : 2;
        x.in = {3, 3};
        x.seed = seed++;
        set_sides(&x, conv_side(a), conv_side(b));
        ConvData data(x);
        for (const auto &side : data.sides)
          if (side != nullptr && side->quantized != nullptr && (seed + (side == data.sides[kInput])) % 3 != 0)
            give_everything(side->quantized.get(), seed);
        ASSERT_TRUE(same(data));
      }
}

TEST_F(ConvGeneral, DrawnParameters) { check_conv_parameters(same_of, 90, 2000); }

/* More than one tile in every direction, and more channels than a run. */
TEST_F(ConvGeneral, ManyTiles) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = usual(direction);
    x.in = {3, 7};
    x.groups = 2;
    x.in_channels = direction == MFQ_CONV_FORWARD ? 70 : 38;
    x.out_channels = direction == MFQ_CONV_INPUT_GRADIENT ? 70 : 36;
    set_sides(&x, conv_side("mxfp8_e5m2"), conv_side("nvfp4"));
    ASSERT_TRUE(same_of(x));
  }
}

/* The gradient of the weight: scales along images, rows and pixels, and lines longer than a run. */
TEST_F(ConvGeneral, GroupsOfPixels) {
  for (const mfq_conv_layout layout : kConvLayouts)
    for (int axis = 0; axis < 3; ++axis)
      for (const int64_t stride : {1, 3})
        for (const bool transposed : {false, true}) {
          ConvCase x = usual(MFQ_CONV_WEIGHT_GRADIENT);
          x.layout = layout;
          x.in_channels = 3;
          x.out_channels = 2;
          x.in = {2, transposed ? 14 : 38};
          x.filter = {1, 3};
          x.padding = {0, 2};
          x.stride = {1, stride};
          x.transposed = transposed;
          const int at = axis == 0 || layout == MFQ_CONV_CHANNELS_LAST ? axis : axis + 1;
          const std::string grouped = std::string(stride == 1 ? "mxfp8_e4m3/group:2@" : "nvfp4/group:16@");
          set_sides(&x, conv_side(grouped + std::to_string(at)), conv_side("int4/f32/zp/group:5"));
          ASSERT_TRUE(same_of(x));
          set_sides(&x, conv_side("int4/f32/zp/group:5"), conv_side(grouped + std::to_string(at)));
          ASSERT_TRUE(same_of(x));
        }
}

TEST_F(ConvGeneral, QuantizedResult) {
  for (const mfq_conv_direction direction : kDirections)
    for (const mfq_conv_layout layout : kConvLayouts)
      for (const char *scheme : {"mxfp8_e4m3/group:32@1", "nvfp4", "int8/channel@1/f32", "e2m1/group:16@0/bf16"}) {
        ConvCase x = usual(direction);
        x.layout = layout;
        x.in_channels = 5;
        x.out_channels = 7;
        x.in = {3, 4};
        x.quantized_result = scheme;
        set_sides(&x, conv_side("mxfp8_e4m3", true), conv_side("mxfp4_e2m1"));
        ASSERT_TRUE(same_of(x));
      }
}

} // namespace
