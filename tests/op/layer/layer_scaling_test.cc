// Scales that outlive a step: of tensors before, of statistics that were collected, learned ones; and searched ones.
#include "support/gradient_oracle.h"
#include "support/layer_oracle.h"

namespace {

using namespace mfq_test;

mfq_context *cpu() { return devices().cpu.get(); }

/* The values of the codes of a tensor under given float32 scales. */
Values under(const LayerOracle &oracle, mfq_place place, const Values &values, const std::vector<float> &scales) {
  mfq_scheme scheme = oracle.scheme(place);
  scheme.rule = MFQ_RULE_GIVEN;
  const Seen seen = oracle.seen(place);
  return by_pieces(seen, values, [&](const std::vector<float> &part) {
    Quantized q(with_axis(scheme, seen), seen.shape);
    EXPECT_EQ(q.sizes.scales_bytes, scales.size() * sizeof(float));
    std::memcpy(q.scales.data(), scales.data(), q.sizes.scales_bytes);
    quantize(cpu(), part, &q);
    return dequantized(cpu(), q);
  });
}

/* The largest magnitude of the elements of each scale. */
std::vector<float> magnitudes(const LayerOracle &oracle, mfq_place place, const Values &values) {
  const Seen seen = oracle.seen(place);
  const bool is_channel = oracle.scheme(place).granularity == MFQ_GRANULARITY_CHANNEL;
  const size_t axis = (size_t)seen.axis, count = is_channel ? (size_t)seen.shape[axis] : 1;
  const size_t step = (size_t)dense_strides(seen.shape)[axis];
  std::vector<float> largest(count, 0.0f);
  for (size_t i = 0; i < values.size(); ++i) {
    float &of = largest[is_channel ? i / step % count : 0];
    of = std::max(of, (float)std::fabs(values[i]));
  }
  return largest;
}
/* The scales that follow from magnitudes: those of tensors that have one element. */
std::vector<float> scales_of(const LayerOracle &oracle, mfq_place place, const std::vector<float> &largest) {
  mfq_scheme scheme = oracle.scheme(place);
  scheme.granularity = MFQ_GRANULARITY_TENSOR;
  scheme.axis = parse("int8_tensor").axis;
  std::vector<float> all;
  for (const float value : largest) {
    std::vector<float> scale;
    faked(cpu(), scheme, {value}, {1}, &scale);
    all.push_back(scale[0]);
  }
  return all;
}

/* Values whose range changes from step to step. */
LayerValues values_of_step(const LayerRun &run, int step) {
  LayerValues v = values_for(run, false, (uint32_t)step * 8 + 1);
  const int powers[] = {0, 3, -2, -3, 1, -4, 2, 0};
  for (Values *of : {&v.x, &v.weight, &v.dy})
    for (double &value : *of) value = std::ldexp(value, powers[step % 8]);
  return v;
}

::testing::AssertionResult take_step(LayerRun *run, const LayerValues &v) {
  run->weight.put(v.weight);
  run->bias.put(v.bias);
  auto verdict = succeeded(run->forward(v.x), "forward");
  return verdict ? succeeded(run->backward(v.dy), "backward") : verdict;
}

ConvCase small_conv() {
  ConvCase conv;
  conv.in_channels = 6;
  conv.out_channels = 5;
  conv.padding = {1, 0};
  return conv;
}

/* ---- Delayed ----------------------------------------------------------------------------------------------------- */

/* The scale of the largest of the tensors before, 1 at first. */
struct Histories {
  std::array<std::vector<std::vector<float>>, MFQ_PLACES> of;

  void follow(LayerOracle *oracle) {
    oracle->quantize = [this, oracle](mfq_place place, const Values &values) {
      const std::vector<float> now = magnitudes(*oracle, place, values);
      std::vector<std::vector<float>> &before = of[place];
      std::vector<float> largest(now.size(), 0.0f);
      const size_t steps = (size_t)oracle->quantizer(place).steps, all = before.size();
      for (size_t i = all - std::min(all, steps); i < all; ++i)
        for (size_t k = 0; k < now.size(); ++k) largest[k] = std::max(largest[k], before[i][k]);
      const std::vector<float> scales =
          all == 0 ? std::vector<float>(now.size(), 1.0f) : scales_of(*oracle, place, largest);
      before.push_back(now);
      return under(*oracle, place, values, scales);
    };
  }
};

TEST(LayerScaling, Delayed) {
  const Context context = make_context_of("cpu", MFQ_FAST, 2);
  const char *const recipe = "x=delayed:2|fp8_e4m3_tensor;w=delayed:1|int8_tensor;dy=delayed:3|e5m2/tensor/f32";
  for (const char *more : {"", ";dgrad.w=same;wgrad.x=same;wgrad.dy=same", ";y=delayed:2|int8_tensor"})
    for (LayerCase c : {linear({2, 7}, 37, 19), convolution(small_conv())}) {
      c.recipe = std::string(recipe) + more;
      LayerRun run(context.get(), c);
      ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
      LayerOracle oracle(c);
      Histories histories;
      histories.follow(&oracle);
      for (int step = 0; step < 6; ++step) {
        const LayerValues v = values_of_step(run, step);
        ASSERT_TRUE(take_step(&run, v));
        const StepWanted want = oracle.step(v.x, v.weight, v.bias, v.dy);
        if (more[1] != 'y') ASSERT_TRUE(step_is_near(run, want, false)) << text_of(c) << " step " << step;
        if (step == 3) { /* a second backward changes no bit, and no history */
          const std::vector<uint8_t> dx = run.dx.bytes();
          ASSERT_EQ(run.backward(v.dy), MFQ_OK) << mfq_last_error();
          EXPECT_EQ(run.dx.bytes(), dx);
        }
      }
    }
}

/* ---- Collected --------------------------------------------------------------------------------------------------- */

/* Scales of each tensor while `steps` are collected, of what was collected from then on. */
struct Collections {
  struct One {
    mfq_collection collection;
    std::vector<float> values;
    bool is_made = false;
  };
  std::array<One, MFQ_PLACES> of;

  void follow(LayerOracle *oracle) {
    oracle->quantize = [this, oracle](mfq_place place, const Values &values) {
      const Seen seen = oracle->seen(place);
      const mfq_scheme scheme = with_axis(oracle->scheme(place), seen);
      One &one = of[place];
      if (!one.is_made) make(oracle->quantizer(place), scheme, seen, &one);
      if (one.collection.steps == one.collection.limit)
        return under(*oracle, place, values, scales_of(*oracle, place, one.values));
      std::vector<float> source(values.begin(), values.end());
      const mfq_tensor tensor = dense(source, seen.shape);
      EXPECT_EQ(mfq_collect(cpu(), &one.collection, &tensor, 1), MFQ_OK) << mfq_last_error();
      One alone; /* until enough was collected the statistic of each tensor counts */
      make(oracle->quantizer(place), scheme, seen, &alone);
      EXPECT_EQ(mfq_collect(cpu(), &alone.collection, &tensor, 1), MFQ_OK) << mfq_last_error();
      return under(*oracle, place, values, scales_of(*oracle, place, alone.values));
    };
  }

private:
  static void make(const mfq_quantizer &q, const mfq_scheme &scheme, const Seen &seen, One *one) {
    one->is_made = true;
    ASSERT_EQ(
        mfq_collection_init(&scheme, &q.observer, (int32_t)seen.shape.size(), seen.shape.data(), &one->collection),
        MFQ_OK)
        << mfq_last_error();
    one->values.assign((size_t)one->collection.scale_count, kUnwritten);
    one->collection.values = one->values.data();
    one->collection.limit = q.steps;
  }
};

TEST(LayerScaling, Collected) {
  const Context context = make_context_of("cpu", MFQ_FAST, 2);
  const char *const recipes[] = {
      "x=collected:3|int8_tensor;w=int8_channel;dy=collected:2|stat:percentile:90|fp8_e4m3_tensor",
      "all=collected:2|int8_channel;dgrad.w=same"};
  for (const char *recipe : recipes)
    for (LayerCase c : {linear({2, 7}, 37, 19), convolution(small_conv())}) {
      c.recipe = recipe;
      LayerRun run(context.get(), c);
      ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
      LayerOracle oracle(c);
      Collections collections;
      collections.follow(&oracle);
      const auto by_rule = oracle.quantize;
      const LayerOracle plain(c);
      oracle.quantize = [&](mfq_place place, const Values &values) {
        return plain.quantizer(place).scaling == MFQ_SCALING_COLLECTED ? by_rule(place, values)
                                                                       : plain.quantize(place, values);
      };
      for (int step = 0; step < 5; ++step) {
        const LayerValues v = values_of_step(run, step);
        ASSERT_TRUE(take_step(&run, v));
        ASSERT_TRUE(step_is_near(run, oracle.step(v.x, v.weight, v.bias, v.dy), false))
            << text_of(c) << " step " << step;
      }
    }
}

// In evaluation the scales of what was collected so far stand, and nothing is collected; before the first step there are none.
TEST(LayerScaling, CollectedInEvaluation) {
  const Context context = make_context_of("cpu", MFQ_FAST, 2);
  const LayerCase c = linear({9}, 37, 19, "x=collected:4|int8_tensor");
  LayerRun run(context.get(), c);
  ASSERT_EQ(mfq_layer_set_mode(run.get(), MFQ_LAYER_EVAL), MFQ_OK);
  LayerValues v = values_of_step(run, 0);
  EXPECT_EQ(run.forward(v.x), MFQ_ERROR_INVALID_ARGUMENT);
  ASSERT_EQ(mfq_layer_set_mode(run.get(), MFQ_LAYER_TRAIN), MFQ_OK);
  ASSERT_TRUE(take_step(&run, v));
  const std::string state = run.state();
  LayerOracle oracle(c);
  const std::vector<float> scales = scales_of(oracle, MFQ_PLACE_FPROP_X, magnitudes(oracle, MFQ_PLACE_FPROP_X, v.x));
  oracle.quantize = [&](mfq_place place, const Values &values) { return under(oracle, place, values, scales); };
  ASSERT_EQ(mfq_layer_set_mode(run.get(), MFQ_LAYER_EVAL), MFQ_OK);
  for (double &value : v.x) value *= 0.3;
  v.x = run.x.cut(v.x);
  ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(is_near(run.y, oracle.step(v.x, v.weight, v.bias, v.dy).y, "y"));
  EXPECT_EQ(run.state(), state);
}

/* ---- Learned ----------------------------------------------------------------------------------------------------- */

/* The gradient of a scale for the whole tensor by docs/numerics.md: terms dy (v - t), of clipped elements dy v. */
struct ScaleGradient {
  double sum = 0, magnitude = 0;

  ScaleGradient(const mfq_phase &phase, mfq_place place, double scale, const Values &source, const Values &upstream) {
    const oracle::Gradient formula(phase.places[place].scheme.element);
    for (size_t i = 0; i < source.size(); ++i) {
      const double t = (double)((float)source[i] / (float)scale);
      const oracle::Gradient::Element e = formula.at(t, 0, MFQ_ROUND_EVEN, 0);
      const double term = upstream[i] * (e.v - e.slope[phase.ste] * t);
      sum += term;
      magnitude += std::fabs(term);
    }
  }
};

void set_scale(LayerRun *run, const char *name, float value) {
  int32_t index = 0;
  (void)run->find(name, &index);
  ASSERT_EQ(mfq_layer_tensor_write(run->get(), index, &value, sizeof value), MFQ_OK) << mfq_last_error();
}

TEST(LayerScaling, Learned) {
  const Context context = make_context_of("cpu", MFQ_REPRODUCIBLE, 2);
  const mfq_place places[] = {MFQ_PLACE_FPROP_X, MFQ_PLACE_FPROP_W};
  const char *const names[] = {"fprop.x.scale", "fprop.w.scale"};
  for (const char *variant : {"", ";ste=clipped"})
    for (LayerCase c : {linear({2, 7}, 37, 19), convolution(small_conv())}) {
      c.recipe =
          std::string("fprop.x=learned:0|int8_tensor;fprop.w=learned:0|fp8_e4m3_tensor;dgrad.w=same;wgrad.x=same") +
          variant;
      const mfq_phase phase = recipe_of(c.recipe).phases[0];
      LayerRun run(context.get(), c);
      ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
      LayerOracle oracle(c);
      float scales[2] = {0, 0};
      for (int step = 0; step < 3; ++step) {
        const LayerValues v = values_of_step(run, step);
        for (int i = 0; i < 2 && step == 0; ++i)
          scales[i] = scales_of(oracle, places[i], magnitudes(oracle, places[i], i == 0 ? v.x : v.weight))[0];
        for (int i = 0; i < 2 && step > 0; ++i) set_scale(&run, names[i], scales[i] *= 0.71f);
        oracle.quantize = [&](mfq_place place, const Values &values) {
          return under(oracle, place, values, {scales[place == MFQ_PLACE_FPROP_X ? 0 : 1]});
        };
        const Values *const sources[] = {&v.x, &v.weight};
        oracle.pass = [&](mfq_place place, const Values &source, const Values &upstream) {
          const oracle::Gradient formula(phase.places[place].scheme.element);
          Values passed = upstream;
          for (size_t i = 0; i < passed.size(); ++i)
            passed[i] *= formula.at((float)source[i] / scales[place == MFQ_PLACE_FPROP_X ? 0 : 1], 0, MFQ_ROUND_EVEN, 0)
                             .slope[phase.ste];
          return passed;
        };
        ASSERT_TRUE(take_step(&run, v));
        ASSERT_TRUE(step_is_near(run, oracle.step(v.x, v.weight, v.bias, v.dy), false)) << text_of(c) << step;
        for (int i = 0; i < 2; ++i) {
          const mfq_layer_tensor t = run.find(names[i]);
          EXPECT_EQ(t.is_learned, 1);
          ASSERT_NE(t.gradient.data, nullptr);
          EXPECT_EQ(run.read(names[i]), std::vector<float>{scales[i]});
          const ScaleGradient want(phase, places[i], scales[i], *sources[i], i == 0 ? oracle.dxq : oracle.dwq);
          EXPECT_NEAR(*static_cast<const float *>(t.gradient.data), want.sum, 1e-5 * want.magnitude)
              << text_of(c) << " " << names[i] << " step " << step;
        }
      }
    }
}

/* ---- Searched ---------------------------------------------------------------------------------------------------- */

TEST(LayerScaling, Searched) {
  const Context context = make_context_of("cpu", MFQ_FAST, 2);
  const LayerCase c = linear({9}, 48, 19, "w=search:mse_up|mxfp4_e2m1;x=search:4over6|nvfp4");
  LayerOracle oracle(c);
  oracle.quantize = [&](mfq_place place, const Values &values) {
    const Seen seen = oracle.seen(place);
    return by_pieces(seen, values, [&](const std::vector<float> &part) {
      Quantized q(with_axis(oracle.scheme(place), seen), seen.shape);
      const mfq_tensor src = dense(part, seen.shape);
      mfq_search search;
      mfq_search_init(&search, oracle.quantizer(place).search);
      search.src = &src;
      search.q = &q.q;
      EXPECT_EQ(mfq_search_scales(cpu(), &search), MFQ_OK) << mfq_last_error();
      return dequantized(cpu(), q);
    });
  };
  LayerRun run(context.get(), c);
  ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
  const LayerValues v = values_of_step(run, 0);
  ASSERT_TRUE(take_step(&run, v));
  EXPECT_TRUE(step_is_near(run, oracle.step(v.x, v.weight, v.bias, v.dy), false));
}

} // namespace
