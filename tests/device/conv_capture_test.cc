// Convolutions in CUDA graphs, one for each implementation: a run allocates nothing, waits for nothing, and replays.
#include "capture.h"
#include "support/conv_cases.h"

namespace {

using namespace mfq_test;

ConvCase sized(mfq_conv_direction direction, const ConvSide &side, int64_t channels, int64_t groups) {
  ConvCase x;
  x.direction = direction;
  x.layout = MFQ_CONV_CHANNELS_LAST;
  x.in_channels = x.out_channels = channels;
  x.groups = groups;
  x.padding = {1, 1};
  set_sides(&x, side, side);
  return x;
}

std::vector<ConvCase> cases() {
  ConvSide f32;
  f32.dtype = MFQ_DTYPE_F32;
  std::vector<ConvCase> list;
  for (const mfq_conv_direction direction : kDirections) {
    list.push_back(sized(direction, ConvSide(), 64, 1));
    list.push_back(sized(direction, conv_side("mxfp8_e4m3"), 64, 1));
    list.push_back(sized(direction, conv_side("mxfp4_e2m1", true), 32, 1));
    list.push_back(sized(direction, ConvSide(), 16, 16));
    list.push_back(sized(direction, f32, 16, 1));
    list.push_back(sized(direction, conv_side("e4m3fn/group:16/f32", true), 32, 2));
  }
  const size_t count = list.size();
  for (size_t i = 0; i < count; ++i) {
    ConvCase x = list[i];
    if (x.direction != MFQ_CONV_FORWARD) continue;
    x.quantized_result = "mxfp8_e4m3";
    x.has_bias = true;
    x.device_scalars = true;
    x.alpha = 0.5f;
    list.push_back(x);
  }
  return list;
}

class ConvCapture : public OnDevice {
protected:
  /* Replays every case on a new context, and returns the names of the implementations. */
  static std::string replay_all(const Context &context) {
    EXPECT_NE(context, nullptr) << mfq_last_error();
    std::string names;
    for (const ConvCase &x : cases()) {
      trace(text_of(x));
      const ConvData data(x);
      const ProductResult want = run_conv(context.get(), data);
      EXPECT_EQ(want.status, MFQ_OK) << mfq_last_error();
      names += want.description.substr(0, want.description.find(':')) + " ";
      const ProductResult got = run_conv(
          context.get(), data, [&](const std::function<mfq_status()> &work) { return captured(context.get(), work); });
      EXPECT_EQ(got.status, MFQ_OK) << mfq_last_error() << text_of(x);
      EXPECT_EQ(got.bytes, want.bytes) << text_of(x) << "; " << want.description;
    }
    return names;
  }
};

TEST_F(ConvCapture, EveryImplementationReplays) {
  std::string names = replay_all(make_device_context());
  names += replay_all(make_device_context_as("8.0")); /* where there are no instructions of warpgroups */
  if (is_emulated())
    for (const char *name : {"depthwise", "warpgroups", "implicit", "unfolded"})
      EXPECT_NE(names.find(name), std::string::npos) << name << " is none of " << names;
  names = replay_all(make_context_of(device_name(), MFQ_REPRODUCIBLE));
  EXPECT_EQ(names.find("general"), 0u);
  for (size_t at = names.find(' '); at + 1 < names.size(); at = names.find(' ', at + 1))
    EXPECT_EQ(names.compare(at + 1, 7, "general"), 0) << names;
}

TEST_F(ConvCapture, NoPlanIsMadeInACapture) {
  const Context context = make_context_of(device_name(), MFQ_FAST);
  const ConvCase x = sized(MFQ_CONV_FORWARD, ConvSide(), 16, 1);
  const ConvData data(x);
  const ConvCall call(context.get(), data);
  const cudaStream_t stream = mfq_context_stream(context.get());
  ASSERT_EQ(mfq_context_synchronize(context.get()), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  mfq_conv_plan *plan = nullptr;
  EXPECT_EQ(mfq_conv_plan_create(context.get(), &call.conv, &plan), MFQ_ERROR_UNSUPPORTED);
  EXPECT_NE(std::string(mfq_last_error()).find("mfq_conv_plan_create"), std::string::npos) << mfq_last_error();
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

} // namespace
