// Convolutions by our own kernel of tiles, which takes what bf16 holds where cuBLASLt is missing: with small integers,
// whose sums are exact in any order, bit for bit; with random numbers within the bounds of docs/numerics.md.
#include "support/conv_huge.h"
#include "support/conv_small.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

/* Before any context is made: where cuBLASLt is, operands whose channels are no neighbours are unfolded for it. */
const int no_cublaslt = setenv("MFQ_CUBLASLT", "", 1);

/* The device is taken for one without larger matrix instructions. */
class ConvImplicit : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (device() == nullptr) return;
    context_ = make_device_context_as("8.0");
    ASSERT_NE(context_, nullptr) << mfq_last_error();
  }
  mfq_context *context() const { return context_.get(); }
  void expect_exact(const ConvCase &x) const {
    ASSERT_EQ(no_cublaslt, 0);
    expect_exact_by(context(), "implicit", x);
  }
  void expect_near(const ConvCase &x) const { EXPECT_TRUE(conv_is_near(context(), x, "implicit")); }
  std::string description(const ConvCase &x) const {
    const ConvData data(x);
    const ConvCall call(context(), data);
    mfq_conv_plan *plan = nullptr;
    EXPECT_EQ(mfq_conv_plan_create(context(), &call.conv, &plan), MFQ_OK) << mfq_last_error();
    const std::string says = plan != nullptr ? mfq_conv_plan_describe(plan) : "";
    mfq_conv_plan_destroy(plan);
    return says;
  }

private:
  Context context_;
};

TEST_F(ConvImplicit, Sizes) {
  for (const mfq_conv_direction direction : kDirections) {
    expect_exact(sized(direction, 2, 16, 16, {6, 7}, {3, 3}));
    expect_exact(sized(direction, 2, 5, 7, {6, 7}, {2, 3}));
    expect_exact(sized(direction, 1, 40, 70, {9}, {4}));
    expect_exact(sized(direction, 1, 24, 8, {3, 4, 5}, {2, 1, 3}));
    expect_exact(sized(direction, 1, 1, 1, {2, 1}, {2, 1}));
    expect_exact(sized(direction, 3, 33, 129, {5, 9}, {1, 2})); /* several tiles either way */
    expect_exact(sized(direction, 1, 130, 65, {12, 13}, {3, 1}));
  }
}

/* Strides, dilations, paddings; filters that lie outside altogether, pixels that no tap meets. */
TEST_F(ConvImplicit, Windows) {
  struct Window {
    Shape stride, dilation, padding, after;
  };
  const Window windows[] = {
      {{1, 1}, {}, {1, 1}, {}},         {{2, 2}, {}, {1, 0}, {0, 2}}, {{2, 3}, {2, 1}, {2, 1}, {}},
      {{3, 1}, {3, 2}, {0, 4}, {5, 0}}, {{4, 5}, {}, {}, {}},         {{2, 2}, {2, 4}, {3, 4}, {}},
      {{6, 4}, {4, 6}, {7, 8}, {8, 7}}};
  for (const mfq_conv_direction direction : kDirections)
    for (const Window &w : windows)
      for (const bool is_quantized : {false, true}) {
        ConvCase x = sized(direction, 2, 16, 32, {9, 11}, {3, 2});
        if (is_quantized) x = of_scheme(x, "mxfp8_e4m3", true);
        x.stride = w.stride;
        x.dilation = w.dilation;
        x.padding = w.padding;
        x.padding_after = w.after;
        expect_exact(x);
      }
}

TEST_F(ConvImplicit, Schemes) {
  // clang-format off
  const char *const schemes[] = {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4_e2m1", "mxint8",
                                 "int8/tensor/f32", "uint4/group:32/ue8m0/zp", "e4m3fnuz/group:16/ue8m0",
                                 "e4m3fn/channel/f32", "int4/group:16/ue8m0", "uint8/tensor/f32/zp",
                                 "e3m0/group:16/bf16"};
  // clang-format on
  sample_pairs({std::size(schemes), 3, 2}, [&](const std::vector<size_t> &at) {
    ConvCase x = sized(kDirections[at[1]], 2, at[2] != 0 ? 48 : 32, 64, {5, 8}, {3, 2});
    x.padding = {1, 1};
    expect_near(of_scheme(x, schemes[at[0]], at[2] != 0));
  });
}

TEST_F(ConvImplicit, SchemesExact) {
  const char *const schemes[] = {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4_e2m1", "mxint8"};
  sample_pairs({std::size(schemes), 3, 2, 2}, [&](const std::vector<size_t> &at) {
    ConvCase x = sized(kDirections[at[1]], 2, 64, 32, {5, 8}, {3, 3});
    x.padding = {1, 1};
    if (at[3] != 0) { /* channels that end inside a unit, in padded rows of codes */
      x.in_channels = 20;
      x.out_channels = 36;
    }
    expect_exact(of_scheme(x, schemes[at[0]], at[2] != 0));
  });
}

TEST_F(ConvImplicit, NvFp4) {
  for (const mfq_conv_direction direction : kDirections)
    for (const bool on_the_way : {false, true})
      expect_near(of_scheme(sized(direction, 2, 32, 48, {6, 6}, {3, 3}), "nvfp4", on_the_way));
}

/* Channels first, gaps and reversed axes come one element at a time; so do groups whose channels are no whole units. */
TEST_F(ConvImplicit, Layouts) {
  constexpr Memory memories[] = {Memory::kDense, Memory::kOtherOrder, Memory::kGaps, Memory::kReversed};
  sample_pairs({3, 2, std::size(memories), 3}, [&](const std::vector<size_t> &at) {
    ConvCase x = sized(kDirections[at[0]], 2, 16, 24, {5, 4}, {3, 2});
    x.layout = at[1] == 0 ? MFQ_CONV_CHANNELS_FIRST : MFQ_CONV_CHANNELS_LAST;
    x.stride = {2, 1};
    x.padding = {1, 1};
    x.input.memory = x.weight.memory = x.output_gradient.memory = memories[at[2]];
    x.d_memory = memories[at[2]];
    x.front = at[3] == 0 ? 0 : 8;
    expect_exact(at[3] == 2 ? of_scheme(x, "mxfp6_e3m2") : x);
  });
}

TEST_F(ConvImplicit, WeightCodesAlongTheSummedAxis) {
  ConvCase x = sized(MFQ_CONV_INPUT_GRADIENT, 2, 24, 64, {6, 5}, {3, 3});
  x = of_scheme(x, "mxfp8_e4m3");
  x.weight.layout = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 16};
  expect_exact(x);
  x.groups = 2;
  expect_exact(x);
}

TEST_F(ConvImplicit, Groups) {
  constexpr const char *schemes[] = {"", "mxfp4_e2m1", "mxfp8_e4m3", "mxfp8_e4m3/group:16"};
  sample_pairs({3, std::size(schemes), 3, 2}, [&](const std::vector<size_t> &at) {
    const int64_t groups = (int64_t)at[2] + 2;
    const bool is_whole_units = at[3] == 0;
    ConvCase x = sized(kDirections[at[0]], 2, (is_whole_units ? 16 : 5) * groups, (is_whole_units ? 32 : 3) * groups,
                       {5, 6}, {3, 3});
    x.groups = groups;
    x.stride = {2, 1};
    x.padding = {1, 0};
    expect_exact(of_scheme(x, schemes[at[1]], is_whole_units || groups == 2));
  });
}

/* Few tiles and a long sum: the depth is parted. */
TEST_F(ConvImplicit, PartsOfTheDepth) {
  for (const mfq_conv_direction direction : kDirections)
    for (const char *scheme : {"", "mxfp8_e4m3"}) {
      ConvCase x = sized(direction, 1, 112, 96, {5, 5}, {3, 3});
      if (direction == MFQ_CONV_WEIGHT_GRADIENT) x = sized(direction, 2, 16, 48, {16, 32}, {2, 2});
      x = of_scheme(x, scheme, true);
      x.d = MFQ_DTYPE_BF16;
      const ConvData data(x);
      const ProductResult got = run_conv(context(), data), again = run_conv(context(), data);
      EXPECT_TRUE(succeeded(got.status, "parts"));
      EXPECT_EQ(got.description.find("in 1 parts"), std::string::npos) << got.description;
      EXPECT_TRUE(conv_result_is_near(data, got));
      EXPECT_EQ(got.bytes, again.bytes);
    }
}

TEST_F(ConvImplicit, EndsOfSums) {
  for (const mfq_conv_direction direction : kDirections)
    for (const mfq_dtype dtype : kDtypes) {
      ConvCase x = sized(direction, 2, 16, 24, {5, 6}, {3, 3});
      x.d = dtype;
      expect_near(x);
      x.has_c = true;
      x.alpha = 0.5f;
      x.beta = -2.0f;
      if (direction == MFQ_CONV_FORWARD) {
        x.has_bias = true;
        x.activation = MFQ_ACTIVATION_GELU;
      }
      expect_near(of_scheme(x, "mxfp8_e4m3/group:16", true));
      x.d_memory = Memory::kGaps;
      x.c_is_result = true;
      expect_near(of_scheme(x, "int8/channel/f32"));
    }
}

TEST_F(ConvImplicit, QuantizedResults) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = sized(direction, 2, 32, 32, {5, 6}, {3, 3});
    x.quantized_result = "int8/tensor/f32";
    const ConvData data(x);
    const ProductResult got = run_conv(context(), data), same = run_conv(devices().cpu.get(), data);
    EXPECT_TRUE(succeeded(got.status, "quantized result"));
    ASSERT_EQ(got.values.size(), same.values.size());
    double most = 0;
    for (const double value : same.values) most = std::max(most, std::fabs(value));
    for (size_t i = 0; i < got.values.size(); ++i) /* sums in another order may fall on the other side of a tie */
      ASSERT_NEAR(got.values[i], same.values[i], most / 127 * 1.01) << i;
  }
}

TEST_F(ConvImplicit, RoundedOperands) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = sized(direction, 2, 16, 24, {5, 6}, {3, 3});
    for (ConvSide *side : {&x.input, &x.weight, &x.output_gradient}) side->dtype = MFQ_DTYPE_F32;
    x.round_operands = true;
    expect_near(x);
    expect_near(of_scheme(x, "int8/group:16/f32"));
  }
}

TEST_F(ConvImplicit, Transposed) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = sized(direction, 2, 32, 16, {4, 5}, {3, 4});
    x.transposed = true;
    x.stride = {2, 3};
    x.padding = {1, 2};
    x.output_padding = {1, 0};
    expect_exact(x);
    expect_exact(of_scheme(x, "mxfp8_e4m3/group:16", true));
  }
}

/* Scales of every channel of a unit: powers of two from the least to NaN, and those of NVFP4. */
TEST_F(ConvImplicit, ScaleOfEachElement) {
  for (const char *scheme : {"mxfp4_e2m1", "mxfp8_e4m3", "mxint8"})
    for (const mfq_conv_direction direction : {MFQ_CONV_INPUT_GRADIENT, MFQ_CONV_WEIGHT_GRADIENT}) {
      ConvCase x = of_scheme(sized(direction, 1, 32, 32, {3, 5}, {1, 1}), scheme);
      x.stride = {2, 2}; /* every tap is met where any is: NaN times the zeros of padding is not the same everywhere */
      ConvData data(x);
      const ConvTensor which = direction == MFQ_CONV_INPUT_GRADIENT ? kWeight : kOutput;
      std::vector<uint8_t> &scales = data.side(which).quantized->scales;
      const uint8_t some[] = {10, 60, 100, 127, 140, 180, 200};
      for (size_t i = 0; i < scales.size(); ++i) scales[i] = some[i % 32 % 7]; /* by channel */
      scales[5] = 255;
      data.side(which).requantized();
      const ProductResult got = run_conv(context(), data);
      ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(conv_result_is_near(data, got)) << scheme << " " << direction;
      EXPECT_TRUE(std::any_of(got.values.begin(), got.values.end(), [](double v) { return std::isnan(v); }));
    }
}

/* Scale code 0 is 2^-127, which bf16 has as a subnormal number. */
TEST_F(ConvImplicit, LeastScaleOfEachElement) {
  ConvData data(of_scheme(sized(MFQ_CONV_INPUT_GRADIENT, 1, 32, 32, {3, 5}, {1, 2}), "mxfp4_e2m1"));
  for (uint8_t &scale : data.side(kWeight).quantized->scales) scale = 0;
  for (uint8_t &scale : data.side(kOutput).quantized->scales) scale = 250;
  data.side(kWeight).requantized();
  data.side(kOutput).requantized();
  const ProductResult got = run_conv(context(), data);
  ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(conv_result_is_near(data, got));
}

/* Whatever comes: sizes around units and tiles, windows, groups, layouts, schemes. */
TEST_F(ConvImplicit, RandomCalls) {
  const uint32_t seed = 20;
  std::mt19937 generator(seed);
  const auto pick = [&](int64_t from, int64_t to) { return from + (int64_t)(generator() % (uint32_t)(to - from + 1)); };
  const char *const schemes[] = {"", "", "mxfp8_e4m3", "mxfp6_e2m3", "mxfp4_e2m1", "mxint8", "mxfp8_e5m2/group:16"};
  for (size_t i = 0; i < drawn_cases(150); ++i) {
    const size_t rank = (size_t)pick(1, 3);
    ConvCase x = sized(kDirections[pick(0, 2)], pick(1, 3), 1, 1, Shape(rank), Shape(rank));
    x.layout = pick(0, 3) == 0 ? MFQ_CONV_CHANNELS_FIRST : MFQ_CONV_CHANNELS_LAST;
    x.groups = pick(0, 2) == 0 ? pick(2, 3) : 1;
    x.in_channels = x.groups * (pick(0, 1) == 0 ? 16 * pick(1, 4) : pick(1, 40));
    x.out_channels = x.groups * (pick(0, 1) == 0 ? 16 * pick(1, 5) : pick(1, 70));
    x.stride = x.dilation = x.padding = x.padding_after = Shape(rank);
    for (size_t d = 0; d < rank; ++d) {
      x.filter[d] = pick(1, 4);
      x.stride[d] = pick(1, 4);
      x.dilation[d] = pick(1, 3);
      x.padding[d] = pick(0, 4);
      x.padding_after[d] = pick(0, 3);
      x.in[d] = pick(1, rank == 1 ? 60 : 6);
      x.in[d] = std::max(x.in[d], reach(x, d) + 1 - x.padding[d] - x.padding_after[d]);
    }
    x = of_scheme(x, schemes[pick(0, 6)], pick(0, 1) == 0);
    x.seed = seed + (uint32_t)i;
    trace("seed " + std::to_string(seed) + " call " + std::to_string(i));
    const Shape one(rank, 1);
    const bool is_product = x.groups == 1 && x.filter == one && x.stride == one && x.padding == Shape(rank) &&
                            x.padding_after == Shape(rank);
    if (!is_product) expect_exact(x);
  }
}

/* What is loaded in whole units, and what is not. */
TEST_F(ConvImplicit, Sources) {
  const auto is_from = [this](const ConvCase &x, const char *sources) {
    const std::string says = description(x);
    EXPECT_EQ(says.substr(0, 10 + strlen(sources)), std::string("implicit: ") + sources) << text_of(x);
  };
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = sized(direction, 1, 32, 64, {5, 6}, {3, 3});
    is_from(x, "bf16 x bf16 as");
    for (const char *scheme : {"mxfp8_e4m3", "mxfp6_e3m2", "mxfp4_e2m1", "mxint8", "nvfp4", "int8/tensor/f32"}) {
      is_from(of_scheme(x, scheme, true), "codes x codes as");
      is_from(of_scheme(x, scheme), "codes x codes as");
    }
    is_from(of_scheme(x, "uint4/tensor/f32/zp"), "codes x codes as");
    is_from(of_scheme(x, "uint7/tensor/f32/zp"), "elements x elements as"); /* 7 bits are no words */
    is_from(of_scheme(x, "mxfp8_e4m3/group:8"), direction == MFQ_CONV_WEIGHT_GRADIENT  ? "codes x codes as"
                                                : direction == MFQ_CONV_INPUT_GRADIENT ? "elements x codes as"
                                                                                       : "elements x elements as");
    x.groups = 2;
    is_from(of_scheme(x, "mxfp8_e4m3", true), "codes x codes as");
    x.layout = MFQ_CONV_CHANNELS_FIRST;
    is_from(x, "elements x elements as");
    is_from(of_scheme(x, "mxfp8_e4m3"), "elements x elements as");
    is_from(of_scheme(x, "mxfp8_e4m3", true), "codes x codes as");
  }
}

TEST_F(ConvImplicit, SaysWhyNot) {
  ConvCase x = sized(MFQ_CONV_FORWARD, 1, 16, 16, {3, 3}, {2, 2});
  x.input.dtype = MFQ_DTYPE_F32;
  EXPECT_NE(description(x).find("not implicit: bf16 does not hold plain"), std::string::npos) << description(x);
  x.input = quantized("int8/group:16/f32");
  EXPECT_NE(description(x).find("not implicit: bf16 does not hold elements"), std::string::npos) << description(x);
}

TEST_F(ConvImplicit, FiniteValuesStayFinite) {
  for (const char *scheme : kHugeSchemes)
    EXPECT_TRUE(conv_keeps_huge_values(context(), huge_case(MFQ_CONV_CHANNELS_LAST), scheme, "implicit", 0x1.fep127));
}

} // namespace
