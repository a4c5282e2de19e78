// What a layer remembers: steps, phases, the weight of evaluation, and all that a training needs to go on with the same bits.
#include "support/layer_oracle.h"

namespace {

using namespace mfq_test;

const char *const kRecipes[] = {
    "all=mxfp8_e4m3",
    "all=mxfp4_e2m1/round:stochastic;dgrad.w=same",
    "all=delayed:3|fp8_e4m3_tensor",
    "x=collected:5|int8_tensor;w=int8_channel;y=learned:2|int8_tensor;bias=learned:1|int8_tensor",
    "fprop=learned:0|int8_tensor;ste=clipped",
    "all=mxfp8_e4m3;switch=3;all=delayed:4|fp8_e4m3_tensor",
    "wgrad=fresh|mxfp8_e4m3/hadamard:16:seed:5",
};

class LayerState : public testing::Test {
protected:
  Context context = make_context_of("cpu", MFQ_FAST, 2);

  static LayerCase layer(const std::string &recipe) { return linear({2, 16}, 37, 19, recipe); }

  /* Step `seed` of a training whose weights change from step to step. */
  static void step(LayerRun *run, uint32_t seed) {
    const LayerValues v = values_for(*run, false, seed * 8);
    run->weight.put(v.weight);
    run->bias.put(v.bias);
    ASSERT_EQ(run->forward(v.x), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run->backward(v.dy), MFQ_OK) << mfq_last_error();
  }

  /* Everything of one layer in another: its state as text, and the bytes of its tensors. */
  static void copy(LayerRun *from, LayerRun *to) {
    ASSERT_EQ(mfq_layer_state_parse(to->get(), from->state().c_str()), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_layer_tensor_count(from->get()), mfq_layer_tensor_count(to->get()));
    for (int32_t i = 0; i < mfq_layer_tensor_count(from->get()); ++i) {
      mfq_layer_tensor t, there;
      ASSERT_EQ(mfq_layer_tensor_get(from->get(), i, &t), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(mfq_layer_tensor_get(to->get(), i, &there), MFQ_OK) << mfq_last_error();
      ASSERT_STREQ(t.name, there.name);
      size_t bytes = mfq_dtype_bytes(t.tensor.dtype);
      for (int32_t d = 0; d < t.tensor.rank; ++d) bytes *= (size_t)t.tensor.shape[d];
      std::vector<uint8_t> host(bytes);
      ASSERT_EQ(mfq_layer_tensor_read(from->get(), i, host.data(), bytes), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(mfq_layer_tensor_write(to->get(), i, host.data(), bytes), MFQ_OK) << mfq_last_error();
    }
    EXPECT_EQ(from->state(), to->state());
  }
};

// Stopped anywhere and resumed in a new layer, a training has the bits of one that was not.
TEST_F(LayerState, ResumesBitForBit) {
  for (const char *recipe : kRecipes)
    for (const uint32_t stop : {0u, 1u, 2u, 4u}) {
      LayerRun unbroken(context.get(), layer(recipe)), before(context.get(), layer(recipe)),
          after(context.get(), layer(recipe));
      ASSERT_EQ(unbroken.status, MFQ_OK) << mfq_last_error();
      for (uint32_t i = 0; i < stop; ++i) {
        step(&unbroken, i);
        step(&before, i);
      }
      copy(&before, &after);
      EXPECT_EQ(mfq_layer_step(after.get()), (int64_t)stop);
      for (uint32_t i = stop; i < 6; ++i) {
        step(&unbroken, i);
        step(&after, i);
        ASSERT_TRUE(same_step(unbroken, after)) << recipe << ", stopped at " << stop << ", step " << i;
      }
      EXPECT_EQ(unbroken.state(), after.state());
    }
}

// Each step's forward and its backward are of one phase.
TEST_F(LayerState, Phases) {
  const LayerCase c = layer("all=mxfp8_e4m3;switch=2;all=mxfp4_e2m1;wgrad=none");
  LayerRun run(context.get(), c);
  ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
  LayerOracle first(c, 0), second(c, 1);
  const LayerValues v = values_for(run, true);
  run.weight.put(v.weight);
  run.bias.put(v.bias);
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(mfq_layer_step(run.get()), i);
    ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run.backward(v.dy), MFQ_OK) << mfq_last_error();
    LayerOracle *const oracle = i < 2 ? &first : &second;
    EXPECT_TRUE(step_is_near(run, oracle->step(v.x, v.weight, v.bias, v.dy), true)) << "step " << i;
  }
  ASSERT_EQ(mfq_layer_set_step(run.get(), 1), MFQ_OK) << mfq_last_error(); /* and back */
  ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(run.backward(v.dy), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(step_is_near(run, first.step(v.x, v.weight, v.bias, v.dy), true));
}

// In evaluation the weight is quantized once, until the mode is set again; no step counts, and nothing is written for backward.
TEST_F(LayerState, Evaluation) {
  for (const char *recipe : {"", "all=mxfp8_e4m3", "x=mxfp8_e4m3;w=mxfp4_e2m1/group:16;y=mxfp8_e4m3"}) {
    const LayerCase c = layer(recipe);
    LayerRun run(context.get(), c);
    const LayerValues v = values_for(run, true), other = values_for(run, true, 90);
    LayerOracle oracle(c);
    const auto is_y_of = [&](const Values &x, const Values &weight) {
      return is_near(run.y, exact(oracle.step(x, weight, v.bias, v.dy).y), "y");
    };
    run.weight.put(v.weight);
    run.bias.put(v.bias);
    ASSERT_EQ(mfq_layer_set_mode(run.get(), MFQ_LAYER_EVAL), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(is_y_of(v.x, v.weight)) << recipe;
    EXPECT_EQ(mfq_layer_step(run.get()), 0);
    run.weight.put(other.weight);
    ASSERT_EQ(run.forward(other.x), MFQ_OK) << mfq_last_error();
    if (*recipe != '\0') EXPECT_TRUE(is_y_of(other.x, v.weight)) << recipe; /* the one that was quantized */
    ASSERT_EQ(mfq_layer_set_mode(run.get(), MFQ_LAYER_EVAL), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run.forward(other.x), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(is_y_of(other.x, other.weight)) << recipe;
    ASSERT_EQ(mfq_layer_set_mode(run.get(), MFQ_LAYER_TRAIN), MFQ_OK) << mfq_last_error();
    run.weight.put(v.weight);
    ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run.backward(v.dy), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(step_is_near(run, oracle.step(v.x, v.weight, v.bias, v.dy), true)) << recipe;
    EXPECT_EQ(mfq_layer_step(run.get()), 1);
  }
}

/* The parts of a quantized tensor are those that mfq_quantize writes for the same scheme and layout. */
void expect_quantized(mfq_context *context, const mfq_qtensor &q, const LayerOracle &oracle, mfq_place place,
                      const Values &values) {
  const Seen seen = oracle.seen(place);
  const mfq_scheme scheme = with_axis(oracle.scheme(place), seen);
  const Shape shape(q.shape, q.shape + q.rank);
  EXPECT_EQ(count_of(shape), values.size());
  std::vector<float> got(values.size(), kUnwritten);
  const mfq_tensor to = dense(got, shape);
  ASSERT_EQ(mfq_dequantize(context, &q, &to), MFQ_OK) << mfq_last_error();
  const Values want = quantized_values(context, seen, scheme, values);
  EXPECT_EQ(Values(got.begin(), got.end()), want);
  mfq_scheme shown = q.scheme;
  const bool has_axis = shown.axis != MFQ_AXIS_AUTO && shown.axis < 0;
  if (has_axis) shown.axis += q.rank;
  EXPECT_EQ(shown.element.man_bits, scheme.element.man_bits);
  EXPECT_EQ(shown.granularity, scheme.granularity);
}

// layer.quant_weight() and layer.input_quant(x).
TEST_F(LayerState, QuantizedOperands) {
  ConvCase conv;
  conv.in_channels = 18;
  conv.out_channels = 9;
  for (const char *recipe : {"all=mxfp8_e4m3", "all=mxfp4_e2m1/group:16;dgrad.w=same", "x=int8_tensor;w=int8_channel"})
    for (const LayerCase &c : {linear({2, 16}, 37, 19, recipe), convolution(conv, recipe)}) {
      LayerRun run(context.get(), c);
      const LayerOracle oracle(c);
      const LayerValues v = values_for(run, false);
      run.weight.put(v.weight);
      run.x.put(v.x);
      mfq_qtensor q;
      ASSERT_EQ(mfq_layer_quant_weight(run.get(), &q), MFQ_OK) << mfq_last_error();
      expect_quantized(context.get(), q, oracle, MFQ_PLACE_FPROP_W, v.weight);
      EXPECT_EQ(Shape(q.shape, q.shape + q.rank), shape_of(c, kWeight)) << recipe;
      ASSERT_EQ(mfq_layer_input_quant(run.get(), &run.x.tensor, &q), MFQ_OK) << mfq_last_error();
      expect_quantized(context.get(), q, oracle, MFQ_PLACE_FPROP_X, v.x);
      EXPECT_EQ(mfq_layer_step(run.get()), 0);
    }
}

// Each product's operands and way, as the phase of the next step has them.
TEST_F(LayerState, Describes) {
  LayerRun run(context.get(), layer("all=mxfp8_e4m3;dgrad.w=same;switch=1;all=mxfp4_e2m1;wgrad=none"));
  ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
  const auto says = [&](const std::vector<std::string> &parts) {
    const std::string text = run.description();
    size_t at = 0;
    for (const std::string &part : parts) {
      at = text.find(part, at);
      EXPECT_NE(at, std::string::npos) << part << " is not in its place in\n" << text;
    }
  };
  says({"fprop.x: e4m3fn/group:32@1/ue8m0", "fprop.w: e4m3fn/group:32@1/ue8m0",
        "multiplied by codes\nfprop: ", "dgrad.dy: e4m3fn/group:32@1/ue8m0",
        "dgrad.w: e4m3fn/group:32@1/ue8m0, those of fprop.w, multiplied by their values",
        "\ndgrad: ", "wgrad.dy: e4m3fn/group:32@0/ue8m0", "\nwgrad: "});
  step(&run, 1);
  step(&run, 2);
  says({"fprop.x: e2m1/group:32@1/ue8m0", "dgrad.w: e2m1/group:32@0/ue8m0, multiplied by codes", "wgrad.x: as it is"});
}

// "mxfp8_square" keeps activations and weights in 8 bits.
TEST_F(LayerState, KeptBytes) {
  const std::string square = "all=e4m3fn/block:32x32/ue8m0:rceil;dgrad.w=same;wgrad.x=same;wgrad.dy=same";
  struct Row {
    const char *recipe;
    size_t most;
  };
  const size_t x = 64 * 128, w = 96 * 128;
  const Row rows[] = {{square.c_str(), x + w + (x + w) / 1024 + 512}, {"all=mxfp8_e4m3", 2 * (x + w) * 33 / 32 + 1024}};
  for (const Row &row : rows) {
    LayerRun run(context.get(), linear({64}, 128, 96, row.recipe));
    mfq_layer_memory memory;
    ASSERT_EQ(mfq_layer_memory_get(run.get(), &memory), MFQ_OK) << mfq_last_error();
    EXPECT_LE(memory.kept, row.most) << row.recipe;
    EXPECT_GE(memory.kept, x) << row.recipe;
  }
}

} // namespace
