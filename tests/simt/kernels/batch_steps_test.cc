/* Convolutions in parts of their batch: what large ones are taken apart into, done to small ones by a smaller bound on
 * the workspace. */
#include "small_steps.h"

#include "support/conv_cases.h"

#define divisor_of conv_divisor_of /* other files of this unit have one */
#define conv_side device_conv_side
#include "cuda/conv/conv_params.cu"
#undef divisor_of
#include "cuda/conv/batch_part.cu"
#include "cuda/conv/batch_steps.cu"
#undef conv_side

namespace {

using namespace mfq_test;

constexpr size_t kMostBytes = (size_t)64 << 20;
const mfq_ways *module; /* whose choices are those of the parts */
int64_t most_images;    /* of a part; 0: of any number */
int64_t planned_parts;  /* of the last plan */

/* A plan that needs too much for more images than these. */
mfq_status plan_part(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *) {
  const auto *problem = static_cast<const mfq_conv_problem *>(of);
  mfq_status status = mfq_choice_state(context, "mfq_conv_plan_create", sizeof(mfq_choice), choice);
  auto *of_module = static_cast<mfq_choice *>(choice->state);
  if (status == MFQ_OK) status = mfq_choose(context, module, problem, of_module);
  if (status == MFQ_OK) mfq_choice_hand_on(choice, of_module);
  if (most_images > 0 && problem->batch > most_images) /* half an image more does not fit */
    choice->workspace_bytes = kMostBytes * 2 * (size_t)problem->batch / (size_t)(2 * most_images + 1);
  return status;
}
mfq_status run_part(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  return mfq_choice_run(context, static_cast<const mfq_choice *>(state), problem, workspace);
}
void free_part(mfq_context *context, void *state) { mfq_choice_free(context, static_cast<mfq_choice *>(state)); }
const OnlyWay part = {{"", plan_part, run_part, free_part}};

mfq_status plan_all(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *) {
  const auto *problem = static_cast<const mfq_conv_problem *>(of);
  const mfq_status status = mfq_cuda_batch_plan(context, &part.ways, problem, kMostBytes, choice);
  if (status != MFQ_OK) return status;
  const auto *b = static_cast<const batch_plan *>(choice->state);
  planned_parts = (problem->batch + b->images - 1) / b->images;
  return status;
}

class BatchSteps : public SmallStepsTest {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    use(90, {});
    module = context()->backend->ways[MFQ_OP_CONV];
    use_for_convolutions({"", plan_all, mfq_cuda_batch_run, mfq_cuda_batch_free});
  }
  ProductResult run(const ConvData &data, int64_t images, int64_t parts) {
    most_images = images;
    const ProductResult result = run_conv(context(), data);
    EXPECT_TRUE(succeeded(result.status, "the convolution"));
    EXPECT_EQ(planned_parts, parts) << text_of(data.given) << "; " << result.description;
    EXPECT_EQ(result.description.find("at a time") != std::string::npos, parts > 1) << result.description;
    return result;
  }
  /* Pixels do not depend on other images, so that parts change no bit of them; sums over images may be rounded
   * otherwise. */
  void expect(const ConvCase &x, int64_t images, int64_t parts) {
    trace(text_of(x));
    const ConvData data(x);
    const ProductResult got = run(data, images, parts);
    EXPECT_TRUE(conv_result_is_near(data, got)) << text_of(x) << "; " << got.description;
    if (x.direction != MFQ_CONV_WEIGHT_GRADIENT)
      EXPECT_EQ(got.bytes, run(data, 0, 1).bytes) << text_of(x) << "; " << got.description;
  }
};

ConvCase sized(mfq_conv_direction direction, const ConvSide &through, const ConvSide &other) {
  ConvCase x;
  x.direction = direction;
  x.layout = MFQ_CONV_CHANNELS_LAST;
  x.batch = 5;
  x.in_channels = 32;
  x.out_channels = 32;
  x.in = {4, 5};
  x.padding = {1, 1};
  set_sides(&x, through, other);
  return x;
}

TEST_F(BatchSteps, Operands) {
  const char *const schemes[] = {"mxfp8_e4m3", "mxfp6_e2m3", "int4/group:16/f32", "int8/group:4/f32/zp", ""};
  sample_pairs({3, 2, std::size(schemes), 2}, [&](const std::vector<size_t> &at) {
    ConvCase x = sized(kDirections[at[0]], conv_side(schemes[at[2]], at[3] != 0), conv_side("mxfp8_e4m3"));
    x.layout = kConvLayouts[at[1]];
    expect(x, 2, 3);
    expect(x, 1, 5);
  });
}

/* Factors of an image, and of the channels of the result. */
TEST_F(BatchSteps, Factors) {
  for (const mfq_conv_direction direction : kDirections) {
    const char *const factor = direction == MFQ_CONV_WEIGHT_GRADIENT ? "int8/channel@3/f32" : "int8/channel@0/f32";
    expect(sized(direction, conv_side(factor), conv_side("mxfp8_e4m3")), 2, 3);
    if (direction != MFQ_CONV_WEIGHT_GRADIENT)
      expect(sized(direction, conv_side(factor, true), conv_side("int8_tensor_zp")), 2, 3);
    expect(sized(direction, conv_side("fp8_e4m3_tensor"), conv_side("nvfp4")), 2, 3);
  }
}

TEST_F(BatchSteps, Ends) {
  for (const mfq_conv_direction direction : kDirections)
    for (const Memory memory : {Memory::kDense, Memory::kOtherOrder, Memory::kGaps, Memory::kReversed}) {
      ConvCase x = sized(direction, conv_side("mxfp4_e2m1"), conv_side("fp8_e4m3_tensor"));
      x.d = MFQ_DTYPE_BF16;
      x.d_memory = memory;
      x.has_c = true;
      x.c_memory = memory;
      x.alpha = 0.5f;
      x.beta = -2.0f;
      expect(x, 2, 3);
      x.device_scalars = true;
      x.has_bias = direction == MFQ_CONV_FORWARD;
      expect(x, 1, 5);
      x.c_is_result = true;
      expect(x, 2, 3);
    }
}

TEST_F(BatchSteps, OtherShapes) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = sized(direction, conv_side("mxfp8_e4m3", true), conv_side("mxfp8_e4m3", true));
    x.transposed = true;
    x.stride = {2, 1};
    expect(x, 2, 3);
    x = sized(direction, conv_side("mxfp8_e4m3", true), conv_side("mxfp8_e4m3"));
    x.groups = 32; /* depthwise */
    expect(x, 2, 3);
    x.groups = 4;
    x.in = {3, 2, 4};
    x.filter = {2, 1, 3};
    x.padding = {1, 0, 1};
    expect(x, 2, 3);
    /* 7 * 3 elements of bf16: images that are aligned to 2 bytes only. */
    x = sized(direction, conv_side(""), conv_side("mxfp8_e4m3"));
    x.in_channels = x.out_channels = 3;
    x.in = {7};
    x.filter = {3};
    x.padding = {1};
    expect(x, 1, 5);
    ConvSide f32;
    f32.dtype = MFQ_DTYPE_F32;
    expect(sized(direction, f32, conv_side("mxfp8_e4m3", true)), 2, 3); /* unfolded */
  }
}

TEST_F(BatchSteps, QuantizedResults) {
  for (const mfq_conv_direction direction : kDirections)
    for (const char *scheme : {"mxfp8_e4m3", "mxfp6_e2m3/group:16@1", "int8/channel@0/f32", "int4/group:16/f32/zp"}) {
      ConvCase x = sized(direction, conv_side("mxfp8_e4m3"), conv_side("mxfp4_e2m1"));
      const ConvData plain(x);
      const ProductResult values = run(plain, 2, 3);
      x.quantized_result = scheme;
      const ProductResult got = run(ConvData(x), 2, 3);
      const std::vector<float> f32(values.values.begin(), values.values.end());
      Quantized want(parse(scheme), plain.result_shape);
      quantize(devices().cpu.get(), f32, &want);
      const std::vector<float> expected = dequantized(devices().cpu.get(), want);
      EXPECT_EQ(got.values, std::vector<double>(expected.begin(), expected.end())) << scheme << "; " << text_of(x);
    }
}

/* Scales and random numbers of the whole tensor, scales of several images, codes that begin within a byte. */
TEST_F(BatchSteps, WhatIsNotTakenApart) {
  for (const char *scheme : {"nvfp4", "e4m3fn/tensor/f32", "int8_tensor_zp", "mxfp8_e4m3/round:stochastic"}) {
    for (const mfq_conv_direction direction : kDirections)
      (void)run(ConvData(sized(direction, conv_side(scheme, true), conv_side("mxfp8_e4m3"))), 2, 1);
    ConvCase x = sized(MFQ_CONV_FORWARD, conv_side("mxfp8_e4m3"), conv_side("mxfp8_e4m3"));
    x.quantized_result = scheme;
    (void)run(ConvData(x), 2, 1);
    x.direction = MFQ_CONV_WEIGHT_GRADIENT; /* whose result has no images */
    (void)run(ConvData(x), 2, 3);
  }
  (void)run(ConvData(sized(MFQ_CONV_WEIGHT_GRADIENT, conv_side("mxfp8_e4m3/group:2@0"), conv_side(""))), 2, 1);
  ConvCase x = sized(MFQ_CONV_FORWARD, conv_side("mxfp4_e2m1"), conv_side(""));
  x.in_channels = 3; /* 15 codes of 4 bits an image */
  x.in = {5};
  x.filter = {3};
  x.padding = {1};
  x.batch = 6;
  expect(x, 2, 3);
  (void)run(ConvData(x), 1, 1);
}

/* Reproducible pixels are the same in parts; sums over images would not be. */
TEST_F(BatchSteps, Reproducible) {
  context()->policy = MFQ_REPRODUCIBLE;
  for (const mfq_conv_direction direction : kDirections) {
    const int is_weight = direction == MFQ_CONV_WEIGHT_GRADIENT;
    const ConvData data(sized(direction, conv_side("mxfp8_e4m3", true), conv_side("mxfp4_e2m1")));
    const ProductResult got = run(data, 2, is_weight ? 1 : 3), whole = run(data, 0, 1);
    EXPECT_EQ(got.bytes, whole.bytes);
    const Context cpu = make_context_of("cpu", MFQ_REPRODUCIBLE, 2);
    EXPECT_EQ(got.bytes, run_conv(cpu.get(), data).bytes);
  }
}

/* What a plan takes for granted holds of every part. */
TEST(BatchPart, PlannedMemoryIsTheLeastAligned) {
  const auto alignment = [](uintptr_t at) { return at == 0 ? (uintptr_t)1 << 30 : at & (0 - at); };
  for (uintptr_t start = 0; start <= 512; start += 2)
    for (int64_t bytes = -40; bytes <= 40; bytes += 2)
      for (const int64_t images : {1, 3, 8}) {
        const mfq_images planned = {images, images, 1};
        uintptr_t least = alignment(4096 + start);
        for (int64_t part = 0; part < 8; ++part) {
          const mfq_images at = {part * images, images, 0};
          void *const first = moved(&at, reinterpret_cast<void *>(4096 + start), bytes * 8);
          const uintptr_t memory = reinterpret_cast<uintptr_t>(first);
          ASSERT_EQ(memory, 4096 + start + (uintptr_t)(part * images * bytes));
          least = std::min(least, alignment(memory));
        }
        void *const memory = moved(&planned, reinterpret_cast<void *>(4096 + start), bytes * 8);
        ASSERT_EQ(alignment(reinterpret_cast<uintptr_t>(memory)), least) << start << " " << bytes << " " << images;
      }
}

/* The bound is kept where that is possible, by parts that are about equal. */
TEST_F(BatchSteps, NumberOfParts) {
  EXPECT_EQ(fewer_images(256, 256, 64, 128), 128);
  EXPECT_EQ(fewer_images(256, 256, 64, 100), 128); /* 163 would leave 93 */
  EXPECT_EQ(fewer_images(256, 128, 64, 65), 80);   /* 112, and three equal parts, in eights */
  EXPECT_EQ(fewer_images(5, 5, 1, 1e9), 1);
  EXPECT_EQ(fewer_images(2, 2, 64, 65), 1);
  for (int64_t images = 1000, before = 1001; images > 1; images = fewer_images(1000, images, 64, 64.001)) {
    ASSERT_LT(images, before);
    before = images;
  }
}

} // namespace
