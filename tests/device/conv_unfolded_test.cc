// Convolutions whose operands bf16 does not hold: unfolded, and multiplied by cuBLASLt in float32.
#include "support/conv_cases.h"
#include "support/conv_layers.h"

#if defined(MFQ_SIMT)
#include "simt/cublaslt/cublaslt_standin.h"
#endif

namespace {

using namespace mfq_test;

constexpr const char *kUnfolded = "unfolded";

class ConvUnfolded : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    mfq_conv_plan *plan = nullptr;
    ConvCase x; /* asks whether there is a cuBLASLt */
    set_sides(&x, f32(), f32());
    const ConvData data(x);
    const ConvCall call(device(), data);
    ASSERT_EQ(mfq_conv_plan_create(device(), &call.conv, &plan), MFQ_OK) << mfq_last_error();
    const std::string description = mfq_conv_plan_describe(plan);
    mfq_conv_plan_destroy(plan);
    if (description.rfind("unfolded: ", 0) != 0) {
#if defined(MFQ_SIMT)
      GTEST_FAIL() << description;
#else
      GTEST_SKIP() << description;
#endif
    }
  }
#if defined(MFQ_SIMT)
  void TearDown() override {
    for (const std::string &refusal : simt::take_lt_refusals()) ADD_FAILURE() << refusal;
    (void)simt::take_lt_records();
  }
#endif
  static ConvSide f32(Memory memory = Memory::kDense) {
    ConvSide side;
    side.dtype = MFQ_DTYPE_F32;
    side.memory = memory;
    return side;
  }
  static void expect(const ConvCase &x) { EXPECT_TRUE(conv_is_near(device(), x, kUnfolded)); }
  static ConvCase sized(mfq_conv_direction direction, const ConvSide &through, const ConvSide &other) {
    ConvCase x = usual(direction);
    set_sides(&x, through, other);
    return x;
  }
};

TEST_F(ConvUnfolded, OperandsOfFloat32) {
  for (const mfq_conv_direction direction : kDirections)
    for (const mfq_conv_layout layout : kConvLayouts)
      for (const Memory memory :
           {Memory::kDense, Memory::kOtherOrder, Memory::kGaps, Memory::kReversed, Memory::kBroadcast}) {
        ConvCase x = sized(direction, f32(memory), f32(memory));
        x.layout = layout;
        expect(x);
        x.in_channels = 16;
        x.out_channels = 20;
        x.d_memory = memory == Memory::kBroadcast ? Memory::kDense : memory;
        expect(x);
      }
}

TEST_F(ConvUnfolded, GroupScalesOfFloats) {
  for (const mfq_conv_direction direction : kDirections)
    for (const char *scheme :
         {"e4m3fn/group:32/f32", "int8/group:16/bf16", "uint8/group:8/f32/zp", "e4m3fn/group:5/f16"})
      for (const bool on_the_way : {false, true}) {
        expect(sized(direction, conv_side(scheme, on_the_way), conv_side(scheme)));
        expect(sized(direction, conv_side(scheme), conv_side("mxfp8_e4m3", on_the_way)));
        expect(sized(direction, f32(), conv_side(scheme, on_the_way)));
      }
}

TEST_F(ConvUnfolded, FiltersAndImages) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = sized(direction, f32(), f32());
    x.stride = {2, 3};
    x.dilation = {2, 1};
    x.padding = {2, 0};
    x.padding_after = {1, 1};
    expect(x);
    x = sized(direction, f32(), f32());
    x.transposed = true;
    x.stride = {2, 2};
    x.output_padding = {1, 0};
    expect(x);
    x = sized(direction, f32(), f32());
    x.in = {19};
    x.filter = {5};
    x.padding = {2};
    expect(x);
    x.in = {3, 4, 3};
    x.filter = {2, 1, 3};
    x.padding = {1, 0, 1};
    expect(x);
    x = sized(direction, f32(), f32());
    x.filter = {1, 1};
    x.padding = {};
    x.stride = {2, 1};
    expect(x);
  }
}

TEST_F(ConvUnfolded, Groups) {
  for (const mfq_conv_direction direction : kDirections)
    for (const int64_t groups : {2, 3}) {
      ConvCase x = sized(direction, f32(), f32());
      x.in_channels = 12;
      x.out_channels = 18;
      x.groups = groups;
      expect(x);
      x.has_c = true;
      x.alpha = 0.5f;
      x.beta = -2.0f;
      expect(x);
    }
}

TEST_F(ConvUnfolded, Ends) {
  for (const mfq_conv_direction direction : kDirections)
    for (const mfq_dtype d : kDtypes)
      for (const bool is_large : {false, true}) {
        ConvCase x = sized(direction, f32(), f32());
        x.d = d;
        x.has_c = is_large;
        x.c_is_result = is_large;
        x.alpha = is_large ? 0.75f : 1.0f;
        x.device_scalars = is_large;
        if (direction == MFQ_CONV_FORWARD) {
          x.has_bias = true;
          x.activation = is_large ? MFQ_ACTIVATION_GELU : MFQ_ACTIVATION_NONE;
        }
        expect(x);
      }
}

/* The description of a layer without memory: for planning only. */
struct PlannedLayer {
  mfq_conv conv;
  mfq_tensor tensors[3];
  mfq_qtensor codes[3];

  PlannedLayer(const ConvLayer &l, int64_t batch, mfq_conv_direction direction, bool is_quantized) {
    const int64_t padding = l.filter / 2, out = (l.in + 2 * padding - l.filter) / l.stride + 1;
    const int64_t shapes[3][4] = {{batch, l.in, l.in, l.in_channels},
                                  {l.out_channels, l.filter, l.filter, l.in_channels},
                                  {batch, out, out, l.out_channels}};
    const int result = direction == MFQ_CONV_FORWARD ? 2 : direction == MFQ_CONV_INPUT_GRADIENT ? 0 : 1;
    mfq_conv_init(&conv);
    mfq_operand *const operands[] = {&conv.input, &conv.weight, &conv.output_gradient};
    for (int i = 0; i < 3; ++i) {
      const int32_t axis = direction == MFQ_CONV_WEIGHT_GRADIENT ? 2 : i == 1 && result == 0 ? 0 : 3;
      const mfq_scheme scheme = parse("e4m3fn/group:32@" + std::to_string(axis) + "/f32");
      EXPECT_EQ(mfq_tensor_init(nullptr, MFQ_DTYPE_F32, 4, shapes[i], &tensors[i]), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(mfq_qtensor_init(&scheme, 4, shapes[i], nullptr, &codes[i]), MFQ_OK) << mfq_last_error();
      if (i == result) continue;
      if (is_quantized)
        operands[i]->quantized = &codes[i];
      else
        operands[i]->plain = &tensors[i];
    }
    conv.direction = direction;
    conv.layout = MFQ_CONV_CHANNELS_LAST;
    conv.result = &tensors[result];
    for (int i = 0; i < 2; ++i) {
      conv.stride[i] = l.stride;
      conv.padding[i] = padding;
    }
  }
};

TEST_F(ConvUnfolded, WorkspaceIsBounded) {
  for (const ConvLayer &layer : kResNet50)
    for (const mfq_conv_direction direction : kDirections)
      for (const bool is_quantized : {false, true}) {
        const PlannedLayer planned(layer, 256, direction, is_quantized);
        mfq_conv_plan *plan = nullptr;
        ASSERT_EQ(mfq_conv_plan_create(device(), &planned.conv, &plan), MFQ_OK) << mfq_last_error();
        const std::string description = mfq_conv_plan_describe(plan);
        EXPECT_EQ(description.rfind("unfolded: f32 by ", 0), 0u) << description;
        EXPECT_LE(mfq_conv_workspace_bytes(plan), (size_t)64 << 20) << description;
        mfq_conv_plan_destroy(plan);
      }
}

TEST_F(ConvUnfolded, NotWithoutItsLibrary) {
  const char *former = std::getenv("MFQ_CUBLASLT");
  const std::string file = former != nullptr ? former : "";
  setenv("MFQ_CUBLASLT", "", 1);
  const Context context = make_device_context();
  ConvCase x = sized(MFQ_CONV_FORWARD, f32(), f32());
  const ProductResult result = run_conv(context.get(), ConvData(x));
  if (former != nullptr)
    setenv("MFQ_CUBLASLT", file.c_str(), 1);
  else
    unsetenv("MFQ_CUBLASLT");
  ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
  EXPECT_EQ(result.description.rfind("general", 0), 0u) << result.description;
  EXPECT_NE(result.description.find("; not unfolded: "), std::string::npos) << result.description;
  EXPECT_NE(result.description.find("MFQ_CUBLASLT"), std::string::npos) << result.description;
}

/* 35 MiB unfolded: more than a step takes. */
TEST_F(ConvUnfolded, LargerThanAStep) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x;
    x.direction = direction;
    x.layout = MFQ_CONV_CHANNELS_LAST;
    x.batch = 1;
    x.in_channels = 4;
    x.out_channels = 4;
    x.in = {70000};
    x.filter = {33};
    x.padding = {16};
    set_sides(&x, f32(), f32());
    const ConvData data(x);
    const ProductResult got = run_conv(device(), data);
    ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
    EXPECT_NE(got.description.find("steps"), std::string::npos) << got.description;
    EXPECT_TRUE(conv_result_is_near(data, got)) << got.description;
  }
}

} // namespace
