// Operands that others write into a layer's memory: the bits of a layer that quantizes them itself, and nothing is read that is
// said not to be.
#include "support/expect_failure.h"
#include "support/layer_targets.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

std::vector<std::string> recipes() {
  std::vector<std::string> all = {"fprop.x=mxfp8_e4m3",
                                  "wgrad.x=mxfp8_e4m3;dgrad.w=mxint8",
                                  "all=mxfp8_e4m3;dgrad.w=same;wgrad.x=same;wgrad.dy=same",
                                  "all=nvfp4;dy=mxfp8_e5m2;y=mxfp8_e4m3",
                                  "all=mxfp8_e4m3;y=mxfp8_e4m3;ste=clipped",
                                  "x=mxfp8_e4m3;w=uint8/group:16/f32/zp;dgrad.dy=mxfp8_e5m2;wgrad.dy=same",
                                  "all=e2m1/block:8x16/ue8m0:floor;dgrad.w=same;wgrad.x=mxfp4_e2m1"};
  for (int32_t i = 0; mfq_recipe_name(i, nullptr, nullptr) != nullptr; ++i)
    all.emplace_back(mfq_recipe_name(i, nullptr, nullptr));
  return all;
}

std::vector<LayerCase> layers() {
  ConvCase first;
  first.in_channels = 18;
  first.out_channels = 20;
  first.in = {3, 19};
  first.padding = {1, 1};
  ConvCase last = first;
  last.layout = MFQ_CONV_CHANNELS_LAST;
  LayerCase gaps = linear({2, 64}, 128, 256);
  gaps.x = MFQ_DTYPE_BF16;
  gaps.memory = Memory::kGaps;
  return {linear({128}, 128, 128), gaps, linear({2, 19}, 37, 35), convolution(first), convolution(last)};
}

bool is_rotated(const std::string &recipe) {
  const mfq_recipe r = recipe_of(recipe);
  bool is = false;
  for (const mfq_quantizer &z : r.phases[0].places) is = is || z.scheme.rotation != 0;
  return is;
}

class LayerTargetsTest : public testing::Test {
protected:
  Context context = make_context_of("cpu", MFQ_FAST, 2);
};

// Every named recipe and others, in three steps whose weights change.
TEST_F(LayerTargetsTest, HaveTheBitsOfThePlainWay) {
  const std::vector<LayerCase> all = layers();
  const std::vector<std::string> names = recipes();
  int taken = 0;
  sample({names.size(), all.size()}, 70, [&](const std::vector<size_t> &at) {
    LayerCase c = all[at[1]];
    c.recipe = names[at[0]];
    if (at[1] >= 2 && is_rotated(c.recipe)) return; /* of sizes that no rotation divides */
    LayerTargets both(context.get(), c);
    ASSERT_EQ(both.plain.status, MFQ_OK) << mfq_last_error();
    for (uint32_t step = 0; step < 3; ++step) {
      both.step(values_for(both.plain, false, step * 8));
      ASSERT_TRUE(same_step(both.plain, both.coded)) << text_of(c) << " step " << step;
    }
    taken += both.taken;
  });
  EXPECT_GT(taken, 70);
}

/* A layer, and codes of other values than its tensors have. */
struct Other {
  LayerRun run, other;
  LayerValues v, w;
  Other(mfq_context *context, const LayerCase &c)
      : run(context, c), other(context, c), v(values_for(run, false)), w(values_for(run, false, 70)) {
    for (LayerRun *r : {&run, &other}) {
      r->weight.put(v.weight);
      r->bias.put(v.bias);
    }
  }
  void write(mfq_context *context, mfq_layer_operand which, LayerTensor *t, const Values &values, const Values &after) {
    mfq_layer_target target;
    ASSERT_EQ(mfq_layer_target_get(run.get(), which, &target), MFQ_OK) << mfq_last_error();
    t->put(values);
    ASSERT_EQ(mfq_quantize(context, &t->tensor, target.has_row ? &target.row : nullptr,
                           target.has_col ? &target.col : nullptr),
              MFQ_OK)
        << mfq_last_error();
    t->put(after);
  }
};

// Codes are taken, and not the tensor: once of x, by all backwards of dy, and of the weight until it is written or asked for.
TEST_F(LayerTargetsTest, AreTakenAsLongAsIsSaid) {
  for (const char *recipe : {"mxfp8", "mxfp8_square"}) {
    Other o(context.get(), linear({64}, 96, 32, recipe));
    ASSERT_EQ(o.run.status, MFQ_OK) << mfq_last_error();
    const auto forward = [&](const Values &x, const Values &want) {
      ASSERT_EQ(o.run.forward(x), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(o.other.forward(want), MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(same_bytes(o.run.y, o.other.y, "y")) << recipe;
    };
    const auto backward = [&](const Values &dy, const Values &want) {
      ASSERT_EQ(o.run.backward(dy), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(o.other.backward(want), MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(same_bytes(o.run.dx, o.other.dx, "dx")) << recipe;
      EXPECT_TRUE(same_bytes(o.run.dweight, o.other.dweight, "dweight")) << recipe;
    };
    o.write(context.get(), MFQ_LAYER_OPERAND_X, &o.run.x, o.w.x, o.v.x);
    forward(o.v.x, o.w.x);
    o.write(context.get(), MFQ_LAYER_OPERAND_DY, &o.run.dy, o.w.dy, o.v.dy);
    backward(o.v.dy, o.w.dy);
    backward(o.v.dy, o.w.dy); /* again */
    forward(o.v.x, o.v.x);
    backward(o.v.dy, o.v.dy);
    o.write(context.get(), MFQ_LAYER_OPERAND_X, &o.run.x, o.w.x, o.v.x);
    o.write(context.get(), MFQ_LAYER_OPERAND_WEIGHT, &o.run.weight, o.w.weight, o.v.weight);
    o.other.weight.put(o.w.weight);
    forward(o.v.x, o.w.x);
    ASSERT_EQ(mfq_layer_set_mode(o.run.get(), MFQ_LAYER_EVAL), MFQ_OK) << mfq_last_error();
    forward(o.v.x, o.v.x);
    o.write(context.get(), MFQ_LAYER_OPERAND_X, &o.run.x, o.w.x, o.v.x);
    forward(o.v.x, o.w.x); /* in evaluation too */
    o.write(context.get(), MFQ_LAYER_OPERAND_X, &o.run.x, o.w.x, o.v.x);
    ASSERT_EQ(mfq_layer_set_mode(o.run.get(), MFQ_LAYER_TRAIN), MFQ_OK) << mfq_last_error();
    forward(o.v.x, o.v.x); /* which ended it */
    backward(o.v.dy, o.v.dy);
    mfq_qtensor q;
    o.write(context.get(), MFQ_LAYER_OPERAND_X, &o.run.x, o.w.x, o.v.x);
    ASSERT_EQ(mfq_layer_input_quant(o.run.get(), &o.run.x.tensor, &q), MFQ_OK) << mfq_last_error();
    forward(o.v.x, o.v.x);
    std::vector<float> weight(o.v.weight.begin(), o.v.weight.end());
    ASSERT_EQ(mfq_layer_tensor_write(o.run.get(), 0, weight.data(), weight.size() * sizeof(float)), MFQ_OK);
    o.other.weight.put(o.v.weight);
    forward(o.v.x, o.v.x);
    backward(o.v.dy, o.v.dy);
    o.run.weight.put(o.w.weight); /* nobody writes its codes */
    forward(o.w.x, o.w.x);
    mfq_layer_target target;
    ASSERT_EQ(mfq_layer_target_get(o.run.get(), MFQ_LAYER_OPERAND_WEIGHT, &target), MFQ_OK) << mfq_last_error();
    o.other.weight.put(o.w.weight);
    forward(o.v.x, o.v.x);
    backward(o.v.dy, o.v.dy);
  }
}

// Memory stays where it is for as long as a phase, wherever tensors lie; another phase wants other codes.
TEST_F(LayerTargetsTest, Phases) {
  LayerCase c = linear({32}, 64, 96, "mxfp8;switch=2;nvfp4;dy=mxfp8_e4m3");
  LayerTargets both(context.get(), c);
  for (uint32_t step = 0; step < 4; ++step) {
    both.step(values_for(both.plain, false, step * 8));
    ASSERT_TRUE(same_step(both.plain, both.coded)) << "step " << step;
  }
  EXPECT_EQ(both.taken, 4 + 4 + 2);
  LayerTargets old(context.get(), c); /* of the first phase are the only codes of the weight */
  for (uint32_t step = 0; step < 4; ++step) {
    const LayerValues v = values_for(old.plain, false, step * 8);
    mfq_layer_target target;
    for (LayerRun *run : {&old.plain, &old.coded}) run->weight.put(v.weight);
    for (LayerRun *run : {&old.plain, &old.coded}) run->bias.put(v.bias);
    if (step < 2)
      ASSERT_EQ(mfq_layer_target_get(old.coded.get(), MFQ_LAYER_OPERAND_WEIGHT, &target), MFQ_OK) << mfq_last_error();
    for (LayerRun *run : {&old.plain, &old.coded}) {
      ASSERT_EQ(run->forward(v.x), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(run->backward(v.dy), MFQ_OK) << mfq_last_error();
    }
    ASSERT_TRUE(same_step(old.plain, old.coded)) << "step " << step;
  }
  LayerRun run(context.get(), c);
  const LayerValues v = values_for(run, false);
  run.weight.put(v.weight);
  run.bias.put(v.bias);
  mfq_layer_target target, again;
  for (const mfq_layer_operand which : {MFQ_LAYER_OPERAND_X, MFQ_LAYER_OPERAND_WEIGHT, MFQ_LAYER_OPERAND_DY}) {
    ASSERT_EQ(mfq_layer_target_get(run.get(), which, &target), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run.backward(v.dy), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_layer_set_step(run.get(), 1), MFQ_OK);
    mfq_tensor odd = run.x.tensor; /* aligned worse than planned */
    std::vector<float> memory((size_t)(odd.shape[0] * odd.shape[1]) + 1, 1.0f);
    odd.data = memory.data() + 1;
    ASSERT_EQ(mfq_layer_forward(run.get(), &odd, &run.y.tensor), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_layer_set_step(run.get(), 1), MFQ_OK);
    ASSERT_EQ(mfq_layer_target_get(run.get(), which, &again), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(target.row.codes, again.row.codes);
    EXPECT_EQ(target.col.codes, again.col.codes);
  }
  ASSERT_EQ(mfq_layer_target_get(run.get(), MFQ_LAYER_OPERAND_X, &target), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_layer_set_step(run.get(), 2), MFQ_OK);
  EXPECT_TRUE(fails(mfq_layer_forward(run.get(), nullptr, &run.y.tensor), invalid, {"x is NULL, and fc has no codes"}));
}

/* What is refused, and why. */
struct Refused {
  const char *recipe;
  mfq_layer_operand which;
  const char *why;
};
const Refused kRefused[] = {
    {"none", MFQ_LAYER_OPERAND_X, "fc: x: the recipe has no quantizer for it in this phase"},
    {"wgrad=mxfp8_e4m3", MFQ_LAYER_OPERAND_WEIGHT, "fc: weight: the recipe has no quantizer for it"},
    {"fp8_delayed", MFQ_LAYER_OPERAND_X, "fc: fprop.x: its scales are delayed"},
    {"x=collected:2|int8_tensor", MFQ_LAYER_OPERAND_X, "fc: fprop.x: its scales are collected"},
    {"fprop.w=learned:0|int8_tensor", MFQ_LAYER_OPERAND_WEIGHT, "fc: fprop.w: its scales are learned"},
    {"nvfp4_46", MFQ_LAYER_OPERAND_WEIGHT, "fc: fprop.w: its scales are searched"},
    {"mxfp4_qat", MFQ_LAYER_OPERAND_WEIGHT, "fc: dgrad.w: it quantizes again what another place has"},
    {"nvfp4", MFQ_LAYER_OPERAND_DY, "fc: dgrad.dy: its random bits follow from the step"},
    {"wgrad.x=fresh|mxfp8_e4m3/hadamard:16:seed:5", MFQ_LAYER_OPERAND_X,
     "fc: wgrad.x: the signs of its rotation follow"},
    {"all=mxfp8_e4m3;y=mxfp8_e4m3;ste=clipped", MFQ_LAYER_OPERAND_DY, "fc: dy: the quantizer of y changes it"},
};

TEST_F(LayerTargetsTest, Refusals) {
  for (const Refused &r : kRefused) {
    LayerRun run(context.get(), linear({32}, 64, 96, r.recipe));
    ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
    mfq_layer_target target = {};
    target.needs_plain = 7;
    EXPECT_TRUE(fails(mfq_layer_target_get(run.get(), r.which, &target), MFQ_ERROR_UNSUPPORTED,
                      {"mfq_layer_target_get: ", r.why, "; give the layer the tensor, which it quantizes itself"}));
    EXPECT_EQ(target.needs_plain, 7);
  }
  LayerCase c = linear({32}, 64, 96, "mxfp8");
  c.keep = MFQ_KEEP_NOTHING;
  LayerRun run(context.get(), c);
  mfq_layer_target target;
  EXPECT_TRUE(fails(mfq_layer_target_get(run.get(), MFQ_LAYER_OPERAND_X, &target), MFQ_ERROR_UNSUPPORTED,
                    {"fc: x: options.keep is MFQ_KEEP_NOTHING"}));
  EXPECT_EQ(mfq_layer_target_get(run.get(), MFQ_LAYER_OPERAND_DY, &target), MFQ_OK) << mfq_last_error();
}

// Who reads the tensor beside its codes is named where it is not given.
TEST_F(LayerTargetsTest, WhatIsReadPlain) {
  struct Row {
    const char *recipe;
    bool has_watch;
    const char *x, *dy;
  };
  const Row rows[] = {{"mxfp8", false, nullptr, nullptr},
                      {"mxfp8", true, "in fc options.watch reads it", "in fc options.watch reads it"},
                      {"mxfp8_wgrad_hp", false, "in fc wgrad.x reads it", "in fc wgrad.dy reads it"},
                      {"all=mxfp8_e4m3;ste=clipped", false, "in fc the way back of gradients through its", nullptr}};
  for (const Row &row : rows) {
    LayerCase c = linear({32}, 64, 96, row.recipe);
    c.has_watch = row.has_watch;
    LayerRun run(context.get(), c);
    const LayerValues v = values_for(run, false);
    run.weight.put(v.weight);
    run.bias.put(v.bias);
    mfq_layer_gradients g;
    mfq_layer_gradients_init(&g);
    g.x = &run.x.tensor;
    g.dx = &run.dx.tensor;
    EXPECT_TRUE(
        fails(mfq_layer_forward(run.get(), nullptr, &run.y.tensor), invalid, {"x is NULL, and fc has no codes"}));
    ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(fails(mfq_layer_backward(run.get(), &g), invalid, {"gradients->dy is NULL, and fc has no codes"}));
    mfq_layer_target target;
    ASSERT_EQ(mfq_layer_target_get(run.get(), MFQ_LAYER_OPERAND_X, &target), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(target.needs_plain, row.x != nullptr) << row.recipe;
    if (row.x != nullptr)
      EXPECT_TRUE(fails(mfq_layer_forward(run.get(), nullptr, &run.y.tensor), invalid, {"x is NULL, but ", row.x}));
    ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_layer_target_get(run.get(), MFQ_LAYER_OPERAND_DY, &target), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(target.needs_plain, row.dy != nullptr) << row.recipe;
    if (row.dy != nullptr)
      EXPECT_TRUE(fails(mfq_layer_backward(run.get(), &g), invalid, {"gradients->dy is NULL, but ", row.dy}));
    g.dbias = &run.dbias.tensor;
    EXPECT_TRUE(fails(mfq_layer_backward(run.get(), &g), invalid, {"gradients->dy is NULL"}));
  }
}

// Memory that others write is counted where it would be otherwise, and activations are what follows from x.
TEST_F(LayerTargetsTest, Memory) {
  struct Row {
    const char *recipe;
    size_t weight, kept, activations;
  };
  /* 64 x 128 activations, 96 x 128 weights; each part takes whole 256 bytes. */
  const size_t x = 64 * 128, w = 96 * 128;
  const Row rows[] = {{"mxfp8_square", w + 256, x + 256, x + 256},
                      {"mxfp8", w + 512, x + 256 + w + 512, x + 256},
                      {"nvfp4", w / 2 + 256 + 256, x / 2 + 512 + 256, x / 2 + 512 + 256},
                      {"mxfp8_wgrad_hp", w + 512, w + 512, 0},
                      {"all=mxfp8_e4m3;y=mxfp8_e4m3", w + 512, x + 256 + w + 512 + 4 * 64 * 96, x + 256 + 4 * 64 * 96}};
  for (const Row &row : rows) {
    LayerRun run(context.get(), linear({64}, 128, 96, row.recipe));
    mfq_layer_memory before, after;
    ASSERT_EQ(mfq_layer_memory_get(run.get(), &before), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(before.weight, row.weight) << row.recipe;
    EXPECT_EQ(before.kept, row.kept) << row.recipe;
    EXPECT_EQ(before.activations, row.activations) << row.recipe;
    size_t other = 0; /* that was in the workspace, and is memory of its own now */
    for (const mfq_layer_operand which : {MFQ_LAYER_OPERAND_X, MFQ_LAYER_OPERAND_WEIGHT, MFQ_LAYER_OPERAND_DY}) {
      mfq_layer_target target;
      if (mfq_layer_target_get(run.get(), which, &target) != MFQ_OK) continue;
      mfq_qtensor_sizes sizes;
      for (const mfq_qtensor *q : {&target.row, &target.col}) {
        if (q->codes == nullptr) continue;
        ASSERT_EQ(mfq_qtensor_sizes_get(q, &sizes), MFQ_OK);
        other += sizes.codes_bytes + sizes.scales_bytes + 1024;
      }
    }
    ASSERT_EQ(mfq_layer_memory_get(run.get(), &after), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(after.weight, row.weight) << row.recipe;
    EXPECT_EQ(after.kept, row.kept) << row.recipe;
    EXPECT_EQ(after.activations, row.activations) << row.recipe;
    EXPECT_EQ(after.state, before.state);
    EXPECT_LE(after.workspace, before.workspace + other) << row.recipe;
  }
}

} // namespace
