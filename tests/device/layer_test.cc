// A step of a layer, its scales and its random bits have the same bits on the device and on the CPU, whatever the recipe.
#include "support/expect_failure.h"
#include "support/layer_targets.h"

namespace {

using namespace mfq_test;

class Layer : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (device() == nullptr) return;
    there_ = make_context_of(device_name(), MFQ_REPRODUCIBLE);
    here_ = make_context_of("cpu", MFQ_REPRODUCIBLE, 2);
  }

  void expect_equal(const LayerCase &c, uint32_t steps = 2) {
    trace(text_of(c));
    LayerRun there(there_.get(), c), here(here_.get(), c);
    ASSERT_EQ(here.status, MFQ_OK) << mfq_last_error();
    ASSERT_EQ(there.status, MFQ_OK) << mfq_last_error();
    for (uint32_t step = 0; step < steps; ++step) {
      const LayerValues v = values_for(here, false, step * 8);
      for (LayerRun *run : {&here, &there}) {
        run->weight.put(v.weight);
        run->bias.put(v.bias);
        ASSERT_EQ(run->forward(v.x), MFQ_OK) << mfq_last_error();
        ASSERT_EQ(run->backward(v.dy), MFQ_OK) << mfq_last_error();
      }
      ASSERT_TRUE(same_step(there, here)) << text_of(c) << " step " << step;
    }
    EXPECT_EQ(there.state(), here.state());
    for (int32_t i = 2; i < mfq_layer_tensor_count(here.get()); ++i) {
      mfq_layer_tensor t;
      ASSERT_EQ(mfq_layer_tensor_get(here.get(), i, &t), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(there.read(t.name), here.read(t.name)) << t.name;
    }
  }

private:
  Context there_, here_;
};

constexpr const char *kRecipes[] = {
    "",
    "all=mxfp8_e4m3",
    "all=e4m3fn/block:32x32/ue8m0:rceil;dgrad.w=same;wgrad.x=same;wgrad.dy=same",
    "all=nvfp4/round:stochastic;wgrad.x=again|mxfp4_e2m1",
    "x=delayed:2|fp8_e4m3_tensor;w=fp8_e4m3_tensor;dgrad.w=same;dy=delayed:1|e5m2/f32",
    "fprop.x=learned:0|int8_tensor;fprop.w=int8_channel;dgrad.w=same;wgrad.x=same;y=collected:1|int8_tensor;ste="
    "clipped",
    "x=brevitas:MXFloat8e4m3Act;w=brevitas:MXFloat8e4m3Act;dgrad.w=same;wgrad.x=same;bias=mxint8;ste=brevitas",
};

TEST_F(Layer, Linear) {
  for (const char *recipe : kRecipes)
    for (const mfq_keep keep : {MFQ_KEEP_OPERANDS, MFQ_KEEP_NOTHING}) {
      LayerCase c = linear({2, 17}, 37, 19, recipe);
      c.keep = keep;
      expect_equal(c);
    }
  expect_equal(linear({32}, 48, 16, "wgrad=fresh|mxfp8_e4m3/hadamard:16:seed:5"));
  for (const mfq_keep keep : {MFQ_KEEP_OPERANDS, MFQ_KEEP_NOTHING}) { /* whose masks are of rotated elements */
    LayerCase c = linear({32}, 64, 32, "quartet");
    c.keep = keep;
    expect_equal(c);
  }
}

TEST_F(Layer, TypesAndStrides) {
  LayerCase c = linear({2, 9}, 37, 19, "all=mxfp8_e4m3;y=mxfp8_e4m3;ste=clipped");
  c.x = c.weight = MFQ_DTYPE_BF16;
  c.y = MFQ_DTYPE_F16;
  c.memory = Memory::kGaps;
  expect_equal(c);
}

TEST_F(Layer, Convolutions) {
  ConvCase first;
  first.in_channels = 18;
  first.out_channels = 9;
  first.in = {4, 5};
  first.padding = {1, 0};
  ConvCase grouped = first, turned = first;
  grouped.groups = 3;
  grouped.layout = MFQ_CONV_CHANNELS_LAST;
  grouped.stride = {1, 2};
  turned.transposed = true;
  turned.layout = MFQ_CONV_CHANNELS_LAST;
  turned.in = {3};
  turned.filter = {3};
  turned.padding = {};
  size_t i = 0;
  for (const char *recipe : kRecipes) {
    expect_equal(convolution(first, recipe), 1 + i % 2);
    expect_equal(convolution(i % 2 == 0 ? grouped : turned, recipe), 2 - i % 2);
    ++i;
  }
}

// Codes that others write there: the bits of a layer that quantizes its operands itself.
TEST_F(Layer, Targets) {
  const Context context = make_context_of(device_name(), MFQ_REPRODUCIBLE);
  ConvCase conv;
  conv.in_channels = 18;
  conv.out_channels = 9;
  conv.in = {4, 5};
  conv.layout = MFQ_CONV_CHANNELS_LAST;
  for (const char *recipe : {"mxfp8", "mxfp8_square", "mxfp8_wgrad_hp;y=mxfp8_e4m3", "all=nvfp4;dgrad.w=same"})
    for (const LayerCase &c : {linear({2, 32}, 64, 32, recipe), convolution(conv, recipe)}) {
      LayerTargets both(context.get(), c);
      for (uint32_t step = 0; step < 2; ++step) {
        both.step(values_for(both.plain, false, step * 8));
        ASSERT_TRUE(same_step(both.plain, both.coded)) << text_of(c) << " step " << step;
      }
      EXPECT_EQ(both.taken, 5) << text_of(c);
    }
}

// NaN is found on the device too, and refused before anything is counted.
TEST_F(Layer, Watch) {
  LayerCase c = linear({3}, 37, 19, "all=delayed:2|fp8_e4m3_tensor");
  c.has_watch = true;
  const Context context = make_context_of(device_name(), MFQ_REPRODUCIBLE);
  LayerRun run(context.get(), c);
  LayerValues v = values_for(run, false);
  run.weight.put(v.weight);
  run.bias.put(v.bias);
  ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
  const std::string state = run.state();
  v.x[5] = v.x[50] = std::nan("");
  EXPECT_TRUE(fails(run.forward(v.x), invalid, {"mfq_layer_forward: fc: step 1: x has 2 NaN"}));
  EXPECT_EQ(run.state(), state);
  EXPECT_EQ(run.y.bytes(), std::vector<uint8_t>(run.y.bytes().size(), kPoison));
}

} // namespace
