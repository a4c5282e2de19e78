// What the products of a layer multiply: the codes of each place's scheme along the axes that its product sums over, or the
// numbers of another place.
#include "support/conv_cases.h"
#include "support/layer_oracle.h"

namespace {

using namespace mfq_test;

/* Sums of coarse values in these schemes are exact; of the others they are near. */
constexpr const char *kPowers[] = {
    "mxfp8_e4m3", "mxfp4_e2m1/group:16", "mxfp6_e2m3", "e2m1/block:8x16/ue8m0:floor", "mxint8", "e5m2"};
constexpr const char *kFloats[] = {"int8_tensor", "int8_channel", "nvfp4", "uint8/group:16/f32/zp", "fp8_e4m3_tensor"};

/* Layers of every kind, with features and rows that no group divides. */
std::vector<LayerCase> layers() {
  ConvCase plane;
  plane.in_channels = 18;
  plane.out_channels = 20;
  plane.in = {3, 19};
  plane.filter = {2, 3};
  plane.padding = {1, 0};
  ConvCase last = plane, grouped = plane, depthwise = plane, turned = plane, line = plane;
  last.layout = MFQ_CONV_CHANNELS_LAST;
  last.stride = {2, 1};
  grouped.groups = 2;
  grouped.dilation = {1, 2};
  depthwise.groups = depthwise.in_channels = depthwise.out_channels = 18;
  depthwise.same = true;
  depthwise.padding = {};
  turned.transposed = true;
  turned.groups = 2;
  turned.stride = {1, 2};
  line.in = {37};
  line.filter = {1};
  line.padding = {};
  std::vector<LayerCase> all = {linear({2, 19}, 37, 35), linear({}, 33, 17)};
  for (const ConvCase &conv : {plane, last, grouped, depthwise, turned, line}) all.push_back(convolution(conv));
  return all;
}

class LayerOperands : public testing::TestWithParam<mfq_policy> {
protected:
  Context context = make_context_of("cpu", GetParam(), 2);

  void check(LayerCase c, const std::string &recipe, bool is_exact) {
    c.recipe = recipe;
    ASSERT_TRUE(layer_is_near(context.get(), c, is_exact ? Of::kCoarseAndExact : Of::kFine));
  }
};

INSTANTIATE_TEST_SUITE_P(Policies, LayerOperands, testing::Values(MFQ_FAST, MFQ_REPRODUCIBLE),
                         [](const auto &info) { return info.param == MFQ_FAST ? "fast" : "reproducible"; });

const char *const kPlaces[] = {"fprop.x", "fprop.w", "dgrad.dy", "dgrad.w", "wgrad.dy", "wgrad.x"};

// One quantizer, wherever it stands; the five other places are plain.
TEST_P(LayerOperands, OnePlace) {
  const std::vector<LayerCase> all = layers();
  sample(
      {std::size(kPlaces), std::size(kPowers), all.size()}, 60,
      [&](const std::vector<size_t> &at) {
        check(all[at[2]], std::string(kPlaces[at[0]]) + "=" + kPowers[at[1]], true);
      });
  sample({std::size(kPlaces), std::size(kFloats), all.size()}, 40, [&](const std::vector<size_t> &at) {
    check(all[at[2]], std::string(kPlaces[at[0]]) + "=" + kFloats[at[1]], false);
  });
}

// All six places, each by itself, the same numbers, or the numbers of before quantized once more.
TEST_P(LayerOperands, Takes) {
  const char *const recipes[] = {
      "all=mxfp8_e4m3",
      "all=mxfp8_e4m3;dy=mxfp8_e5m2",
      "all=mxfp8_e4m3;wgrad=none",
      "x=mxfp8_e4m3;w=mxfp4_e2m1;dgrad.w=same;wgrad.x=same",
      "all=mxfp8_e4m3;dgrad.w=same;wgrad.x=same;wgrad.dy=same",
      "all=e2m1/block:8x16/ue8m0:floor;dgrad.w=same;wgrad.x=same;wgrad.dy=same",
      "all=mxfp8_e4m3;dgrad.w=again|mxfp4_e2m1;wgrad.x=again|mxfp6_e2m3;wgrad.dy=again|mxfp8_e5m2",
      "fprop.x=mxint8;wgrad.x=same",
      "fprop.w=mxfp4_e2m1;dgrad.w=again|mxfp4_e2m1",
      "dgrad.dy=mxfp8_e5m2;wgrad.dy=same",
  };
  for (const LayerCase &c : layers())
    for (const char *recipe : recipes) check(c, recipe, true);
}

// An axis that is named is the tensor's own: images and the first spatial axis, beside what a product sums over.
TEST_P(LayerOperands, AxesThatAreNamed) {
  ConvCase conv;
  conv.batch = 19;
  conv.in_channels = conv.out_channels = 5;
  conv.in = {4, 3};
  for (const char *recipe :
       {"wgrad=mxfp8_e4m3/group:16@0", "wgrad=mxfp8_e4m3/group:2@2", "fprop.x=mxfp8_e4m3/group:4@3",
        "fprop.w=mxfp8_e4m3/group:2@0", "dgrad.dy=e4m3fn/channel@1/f32:rceil"})
    check(convolution(conv), recipe, true);
  for (const char *recipe : {"fprop.x=mxfp8_e4m3/group:16@-1", "dgrad.w=mxfp8_e4m3/group:16@1"})
    check(linear({19}, 21, 18), recipe, true);
}

/* Everything that a recipe may have, in one. */
constexpr const char *kMany[] = {
    "",
    "all=mxfp8_e4m3",
    "all=mxfp4_e2m1/round:stochastic;wgrad.x=same;dgrad.w=again|mxfp8_e4m3/round:stochastic",
    "all=e4m3fn/block:32x32/ue8m0:rceil;dgrad.w=same;wgrad.x=same;wgrad.dy=same",
    "x=int8_tensor;w=int8_channel;ste=clipped;y=int8_tensor",
    "all=nvfp4;wgrad=nvfp4/hadamard:16:fixed",
    "all=delayed:3|fp8_e4m3_tensor",
};

// What is kept of forward changes no bit of backward.
TEST_P(LayerOperands, KeptOrMadeAgain) {
  for (const LayerCase &layer : {layers()[0], layers()[2], layers()[6]})
    for (const char *recipe : kMany) {
      LayerCase c = layer;
      if (c.conv && std::string(recipe).find("hadamard") != std::string::npos) continue;
      c.rows = {4, 16};
      c.recipe = recipe;
      LayerRun kept(context.get(), c);
      c.keep = MFQ_KEEP_NOTHING;
      LayerRun again(context.get(), c);
      ASSERT_EQ(kept.status, MFQ_OK) << mfq_last_error() << recipe;
      for (uint32_t step = 0; step < 3; ++step) {
        const LayerValues v = values_for(kept, false, step * 10);
        for (LayerRun *run : {&kept, &again}) {
          run->weight.put(v.weight);
          run->bias.put(v.bias);
          ASSERT_EQ(run->forward(v.x), MFQ_OK) << mfq_last_error();
          ASSERT_EQ(run->backward(v.dy), MFQ_OK) << mfq_last_error();
        }
        ASSERT_TRUE(same_step(kept, again)) << recipe;
      }
      mfq_layer_memory memory;
      ASSERT_EQ(mfq_layer_memory_get(again.get(), &memory), MFQ_OK);
      /* but for the result as it was before its quantizer, which x and weight do not bring back */
      const bool has_y = std::string(recipe).find(";y=") != std::string::npos;
      EXPECT_EQ(memory.kept != 0, has_y) << recipe;
    }
}

// Where backward has what it needs it does without x, and says so.
TEST_P(LayerOperands, NeedsX) {
  struct Row {
    const char *recipe;
    mfq_keep keep;
    int needs;
  };
  const Row rows[] = {{"", MFQ_KEEP_OPERANDS, 1},
                      {"all=mxfp8_e4m3", MFQ_KEEP_OPERANDS, 0},
                      {"all=mxfp8_e4m3", MFQ_KEEP_NOTHING, 1},
                      {"all=mxfp8_e4m3;wgrad.x=same", MFQ_KEEP_OPERANDS, 0},
                      {"all=mxfp8_e4m3;wgrad=none", MFQ_KEEP_OPERANDS, 1},
                      {"all=mxfp8_e4m3;ste=brevitas", MFQ_KEEP_OPERANDS, 1}};
  for (const Row &row : rows) {
    LayerCase c = linear({7}, 33, 9, row.recipe);
    c.keep = row.keep;
    LayerRun run(context.get(), c);
    ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_layer_needs_x(run.get()), row.needs) << row.recipe << row.keep;
    const LayerValues v = values_for(run, true);
    run.weight.put(v.weight);
    run.bias.put(v.bias);
    ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
    if (row.needs == 0) run.x.poison();
    Wanted wanted;
    wanted.x = row.needs != 0;
    ASSERT_EQ(run.backward(v.dy, wanted), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(step_is_near(run, LayerOracle(c).step(v.x, v.weight, v.bias, v.dy), true)) << row.recipe;
  }
}

} // namespace
