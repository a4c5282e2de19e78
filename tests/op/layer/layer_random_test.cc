// Random bits of layers: each place of each step has its own, which follow from the seed, and a resumed training has them too.
#include "support/layer_oracle.h"

namespace {

using namespace mfq_test;

constexpr const char *kEverywhere = "all=mxfp4_e2m1/round:stochastic";

std::vector<LayerCase> layers(const std::string &recipe) {
  ConvCase first, last;
  first.in_channels = 18;
  first.out_channels = 9;
  first.padding = {1, 1};
  last = first;
  last.layout = MFQ_CONV_CHANNELS_LAST;
  std::vector<LayerCase> all = {linear({3, 7}, 37, 19, recipe), convolution(first, recipe), convolution(last, recipe)};
  all[0].seed = 0x123456789abcdef0;
  all[1].keep = MFQ_KEEP_NOTHING;
  return all;
}

void check_steps(mfq_context *context, const LayerCase &c, int64_t from, bool is_coarse) {
  LayerRun run(context, c);
  ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_layer_set_step(run.get(), from), MFQ_OK) << mfq_last_error();
  const LayerValues v = values_for(run, is_coarse);
  run.weight.put(v.weight);
  run.bias.put(v.bias);
  LayerOracle oracle(c);
  for (int64_t step = from; step < from + 2; ++step) {
    oracle.at_step = step;
    ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run.backward(v.dy), MFQ_OK) << mfq_last_error();
    ASSERT_TRUE(step_is_near(run, oracle.step(v.x, v.weight, v.bias, v.dy), is_coarse)) << text_of(c) << step;
  }
}

TEST(LayerRandom, EachPlaceOfEachStepHasItsBits) {
  const Context context = make_context_of("cpu", MFQ_FAST, 2);
  for (const char *recipe :
       {kEverywhere, "all=e2m1/tensor/f32:floor/round:stochastic",
        "all=mxfp4_e2m1/round:stochastic;dgrad.w=same;wgrad.x=same;wgrad.dy=same",
        "fprop=mxfp4_e2m1/round:stochastic;dgrad.w=again|mxfp6_e2m3/round:stochastic",
        "dy=mxfp8_e4m3/round:stochastic;y=mxfp8_e4m3/round:stochastic;bias=e4m3fn/round:stochastic"})
    for (const LayerCase &c : layers(recipe)) {
      check_steps(context.get(), c, 0, true);
      check_steps(context.get(), c, int64_t{1} << 40, true);
    }
}

// Signs of rotations that change from step to step: equal for both operands of a product, so that they cancel.
TEST(LayerRandom, FreshSigns) {
  const Context context = make_context_of("cpu", MFQ_REPRODUCIBLE, 2);
  const std::string fresh = "fresh|mxfp8_e4m3/hadamard:16:seed:5";
  for (const std::string &recipe : {"wgrad=" + fresh, "all=" + fresh, "all=" + fresh + ";dgrad.w=same"}) {
    LayerCase c = linear({32}, 48, 16, recipe);
    check_steps(context.get(), c, 0, false);
    check_steps(context.get(), c, 9, false);
  }
}

// The caller's own seed and offset are as they were after every call.
TEST(LayerRandom, TheContextsSeedStays) {
  const Context context = make_context_of("cpu", MFQ_FAST, 2);
  LayerRun run(context.get(), linear({7}, 37, 19, kEverywhere));
  const LayerValues v = values_for(run, true);
  run.weight.put(v.weight);
  run.bias.put(v.bias);
  const mfq_scheme scheme = parse("mxfp4_e2m1/round:stochastic");
  const std::vector<float> x = awkward_values(640, 5, true);
  ASSERT_EQ(mfq_context_set_seed(context.get(), 5, 7), MFQ_OK);
  const std::vector<float> want = faked(context.get(), scheme, x, {20, 32});
  ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(same_floats(faked(context.get(), scheme, x, {20, 32}), want));
  ASSERT_EQ(run.backward(v.dy), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(same_floats(faked(context.get(), scheme, x, {20, 32}), want));
  mfq_qtensor q;
  ASSERT_EQ(mfq_layer_quant_weight(run.get(), &q), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(same_floats(faked(context.get(), scheme, x, {20, 32}), want));
}

// Backward has the bits of its forward, however often it runs; another seed has others.
TEST(LayerRandom, BackwardBelongsToItsForward) {
  const Context context = make_context_of("cpu", MFQ_FAST, 2);
  LayerCase c = linear({7}, 37, 19, kEverywhere);
  LayerRun run(context.get(), c);
  c.seed += 1;
  LayerRun other(context.get(), c);
  const LayerValues v = values_for(run, true);
  for (LayerRun *r : {&run, &other}) {
    r->weight.put(v.weight);
    r->bias.put(v.bias);
    ASSERT_EQ(r->forward(v.x), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(r->backward(v.dy), MFQ_OK) << mfq_last_error();
  }
  EXPECT_FALSE(same_bytes(run.y, other.y, "y"));
  EXPECT_FALSE(same_bytes(run.dx, other.dx, "dx"));
  const std::vector<uint8_t> dx = run.dx.bytes(), dweight = run.dweight.bytes();
  ASSERT_EQ(run.backward(v.dy), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(run.dx.bytes(), dx);
  EXPECT_EQ(run.dweight.bytes(), dweight);
}

} // namespace
