// The workspace of large layers is bounded, whichever implementation is chosen: planned only, as a description needs no
// memory for that.
#include "support/conv_cases.h"
#include "support/conv_layers.h"

namespace {

using namespace mfq_test;

constexpr size_t kMost = (size_t)64 << 20;

/* bf16 layers in training: weights quantized before, everything else on the way in. */
struct TrainedLayer {
  mfq_conv conv;
  mfq_scheme on_the_way;
  mfq_tensor tensors[3];
  mfq_qtensor weight, result;

  TrainedLayer(const ConvLayer &l, int64_t batch, mfq_conv_direction direction, const char *scheme)
      : on_the_way(parse(scheme)) {
    const int64_t padding = l.filter / 2, out = (l.in + 2 * padding - l.filter) / l.stride + 1;
    const int64_t shapes[3][4] = {{batch, l.in, l.in, l.in_channels},
                                  {l.out_channels, l.filter, l.filter, l.in_channels / l.groups},
                                  {batch, out, out, l.out_channels}};
    const mfq_scheme of_weight = parse(direction == MFQ_CONV_INPUT_GRADIENT ? "mxfp8_e4m3/group:32@0" : "mxfp8_e4m3");
    const mfq_scheme of_result = parse("mxfp8_e4m3");
    mfq_conv_init(&conv);
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(mfq_tensor_init(nullptr, MFQ_DTYPE_BF16, 4, shapes[i], &tensors[i]), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_qtensor_init(&of_weight, 4, shapes[1], nullptr, &weight), MFQ_OK) << mfq_last_error();
    const int which = direction == MFQ_CONV_FORWARD ? 2 : direction == MFQ_CONV_INPUT_GRADIENT ? 0 : 1;
    EXPECT_EQ(mfq_qtensor_init(&of_result, 4, shapes[which], nullptr, &result), MFQ_OK) << mfq_last_error();
    mfq_operand *const operands[] = {&conv.input, nullptr, &conv.output_gradient};
    for (int i = 0; i < 3; i += 2) {
      if (i == which) continue;
      operands[i]->plain = &tensors[i];
      operands[i]->quantize_to = &on_the_way;
    }
    if (which != 1) conv.weight.quantized = &weight;
    conv.direction = direction;
    conv.layout = MFQ_CONV_CHANNELS_LAST;
    conv.groups = l.groups;
    conv.result = &tensors[which];
    for (int i = 0; i < 2; ++i) {
      conv.stride[i] = l.stride;
      conv.padding[i] = padding;
    }
  }
  TrainedLayer(const TrainedLayer &) = delete;

  void quantize_result() {
    conv.result = nullptr;
    conv.quantized_result = &result;
  }
};

/* By the compute capability that the device is taken for. */
class ConvWorkspace : public OnDevice, public testing::WithParamInterface<const char *> {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (device() == nullptr) return;
    context = make_device_context_as(GetParam());
    if (context == nullptr) GTEST_SKIP() << mfq_last_error();
  }

  struct Planned {
    std::string description;
    size_t bytes = 0;
  };
  Planned plan(const mfq_conv &conv) const {
    mfq_conv_plan *plan = nullptr;
    Planned planned;
    EXPECT_EQ(mfq_conv_plan_create(context.get(), &conv, &plan), MFQ_OK) << mfq_last_error();
    if (plan == nullptr) return planned;
    planned = {mfq_conv_plan_describe(plan), mfq_conv_workspace_bytes(plan)};
    mfq_conv_plan_destroy(plan);
    return planned;
  }
  void expect_bounded(const ConvLayer &l, int64_t batch, const char *scheme) const {
    for (const mfq_conv_direction direction : kDirections)
      for (const bool is_quantized : {false, true}) {
        TrainedLayer layer(l, batch, direction, scheme);
        if (is_quantized && direction != MFQ_CONV_FORWARD) continue;
        if (is_quantized) layer.quantize_result();
        const Planned planned = plan(layer.conv);
        EXPECT_LE(planned.bytes, kMost) << scheme << " " << l.in_channels << " channels, " << l.in
                                        << " pixels, direction " << (int)direction << ", quantized result "
                                        << is_quantized << ": " << planned.description;
        EXPECT_NE(planned.description.rfind("general", 0), 0u) << planned.description;
      }
  }

  Context context;
};

INSTANTIATE_TEST_SUITE_P(, ConvWorkspace, testing::Values("8.0", "9.0"),
                         [](const auto &info) { return std::string("cc") + info.param[0]; });

TEST_P(ConvWorkspace, ResNet50) {
  for (const ConvLayer &layer : kResNet50) expect_bounded(layer, 256, "mxfp8_e4m3");
}
TEST_P(ConvWorkspace, UNet) {
  for (const ConvLayer &layer : kUNet) expect_bounded(layer, 8, "mxfp8_e4m3");
}
TEST_P(ConvWorkspace, Depthwise) {
  for (const ConvLayer &layer : kDepthwise) expect_bounded(layer, 256, "mxfp8_e4m3");
}
/* Scales of floats: unfolded. */
TEST_P(ConvWorkspace, Unfolded) {
  for (const ConvLayer &layer : kResNet50) expect_bounded(layer, 256, "e4m3fn/group:32/f32");
}

/* As few parts as fit: not one image more in each. */
TEST_P(ConvWorkspace, FewParts) {
  const TrainedLayer whole(kResNet50[0], 256, MFQ_CONV_FORWARD, "mxfp8_e4m3"),
      few(kResNet50[0], 16, MFQ_CONV_FORWARD, "mxfp8_e4m3");
  EXPECT_NE(plan(whole.conv).description.find(" of 256 images at a time"), std::string::npos);
  EXPECT_GT(plan(whole.conv).bytes, kMost / 2);
  EXPECT_EQ(plan(few.conv).description.find("at a time"), std::string::npos);
}

/* A scale of the whole tensor is known when all of it was read. */
TEST_P(ConvWorkspace, ScalesOfAllImages) {
  for (const char *scheme : {"nvfp4", "e4m3fn/tensor/f32"}) {
    const TrainedLayer layer(kResNet50[1], 256, MFQ_CONV_FORWARD, scheme);
    const Planned planned = plan(layer.conv);
    EXPECT_EQ(planned.description.find("at a time"), std::string::npos) << planned.description;
    EXPECT_GT(planned.bytes, (size_t)256 * 56 * 56 * 64 / 2) << planned.description;
  }
}

} // namespace
