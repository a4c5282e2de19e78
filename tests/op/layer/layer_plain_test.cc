// Layers without quantizers: forward and gradients beside double sums, whatever the sizes, types and strides.
#include "support/conv_cases.h"
#include "support/layer_oracle.h"

namespace {

using namespace mfq_test;

class LayerPlain : public testing::TestWithParam<mfq_policy> {
protected:
  Context context = make_context_of("cpu", GetParam(), 2);
};

INSTANTIATE_TEST_SUITE_P(Policies, LayerPlain, testing::Values(MFQ_FAST, MFQ_REPRODUCIBLE),
                         [](const auto &info) { return info.param == MFQ_FAST ? "fast" : "reproducible"; });

TEST_P(LayerPlain, Sizes) {
  const Shape rows[] = {{}, {1}, {7}, {0}, {2, 3}, {2, 1, 3}, {3, 0}, {65}};
  const int64_t features[] = {1, 0, 5, 37, 64};
  sample({std::size(rows), std::size(features), std::size(features), 2}, 60, [&](const std::vector<size_t> &at) {
    LayerCase c = linear(rows[at[0]], features[at[1]], features[at[2]]);
    c.has_bias = at[3] != 0;
    ASSERT_TRUE(layer_is_near(context.get(), c, Of::kFine));
  });
}

TEST_P(LayerPlain, TypesAndStrides) {
  constexpr Memory memories[] = {Memory::kDense, Memory::kGaps, Memory::kReversed};
  sample({3, 3, 3, 3, 3, 3, 3, 3}, 40, [&](const std::vector<size_t> &at) {
    LayerCase c = linear({2, 3}, 21, 13);
    c.x = kDtypes[at[0]];
    c.y = kDtypes[at[1]];
    c.weight = kDtypes[at[2]];
    c.bias = kDtypes[at[3]];
    c.dweight = kDtypes[at[4]];
    c.dbias = kDtypes[at[5]];
    c.memory = memories[at[6]];
    c.weight_memory = memories[at[7]];
    ASSERT_TRUE(layer_is_near(context.get(), c, Of::kFine));
  });
}

// Convolutions of 1, 2 and 3 axes: strides, dilation, padding of both kinds, groups, transposed ones.
TEST_P(LayerPlain, Convolutions) {
  constexpr Memory memories[] = {Memory::kDense, Memory::kOtherOrder, Memory::kGaps, Memory::kReversed};
  std::mt19937 random(11);
  for (size_t i = 0; i < drawn_cases(36); ++i) {
    LayerCase c = convolution(drawn(&random, MFQ_CONV_FORWARD, 1 + i % 3, 20000));
    c.has_bias = i % 4 != 0;
    c.memory = memories[random() % 4];
    c.weight_memory = memories[random() % 4];
    c.x = kDtypes[random() % 3];
    c.y = kDtypes[random() % 3];
    c.weight = kDtypes[random() % 3];
    ASSERT_TRUE(layer_is_near(context.get(), c, Of::kFine)) << "round " << i;
  }
}

// What is not asked for is not needed, nor computed otherwise.
TEST_P(LayerPlain, GradientsThatAreWanted) {
  const LayerCase c = linear({6}, 19, 7);
  LayerRun all(context.get(), c), some(context.get(), c);
  const LayerValues v = values_for(all, false);
  for (LayerRun *run : {&all, &some}) {
    run->weight.put(v.weight);
    run->bias.put(v.bias);
    ASSERT_EQ(run->forward(v.x), MFQ_OK) << mfq_last_error();
  }
  ASSERT_EQ(all.backward(v.dy), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_layer_needs_x(all.get()), 1);
  for (const int wanted : {0, 1, 2, 3, 4, 5, 6}) {
    Wanted which;
    which.dx = (wanted & 1) != 0;
    which.dweight = (wanted & 2) != 0;
    which.dbias = (wanted & 4) != 0;
    ASSERT_EQ(some.backward(v.dy, which), MFQ_OK) << mfq_last_error() << wanted;
    if (which.dx) EXPECT_TRUE(same_bytes(some.dx, all.dx, "dx"));
    if (which.dweight) EXPECT_TRUE(same_bytes(some.dweight, all.dweight, "dweight"));
    if (which.dbias) EXPECT_TRUE(same_bytes(some.dbias, all.dbias, "dbias"));
    for (const LayerTensor *t : {&some.dx, &some.dweight, &some.dbias}) {
      const bool is_wanted = t == &some.dx ? which.dx : t == &some.dweight ? which.dweight : which.dbias;
      if (!is_wanted) EXPECT_EQ(t->bytes(), std::vector<uint8_t>(t->bytes().size(), kPoison)) << wanted;
    }
  }
}

// Two steps into the same gradients are their sum: of multiples of 1/256, exactly.
TEST_P(LayerPlain, Accumulates) {
  ConvCase conv;
  conv.padding = {1, 1};
  conv.groups = 2;
  for (const LayerCase &c : {linear({2, 5}, 19, 7), convolution(conv)}) {
    LayerRun run(context.get(), c);
    const LayerValues v = values_for(run, true), second = values_for(run, true, 50);
    run.weight.put(v.weight);
    run.bias.put(v.bias);
    LayerOracle oracle(c);
    StepWanted want = oracle.step(v.x, v.weight, v.bias, v.dy);
    const StepWanted more = oracle.step(second.x, v.weight, v.bias, second.dy);
    for (size_t i = 0; i < want.dweight.values.size(); ++i) want.dweight.values[i] += more.dweight.values[i];
    for (size_t i = 0; i < want.dbias.values.size(); ++i) want.dbias.values[i] += more.dbias.values[i];
    ASSERT_EQ(run.forward(v.x), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run.backward(v.dy), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run.forward(second.x), MFQ_OK) << mfq_last_error();
    Wanted again;
    again.accumulate = true;
    ASSERT_EQ(run.backward(second.dy, again), MFQ_OK) << mfq_last_error();
    want.y = more.y;
    want.dx = more.dx;
    EXPECT_TRUE(step_is_near(run, want, true)) << text_of(c);
  }
}

// The gradients that everything here is held against are those of the forward, by central differences of its double sums.
TEST(LayerOracle, GradientsAreDifferences) {
  ConvCase conv;
  conv.groups = 2;
  conv.stride = {2, 1};
  conv.dilation = {1, 2};
  conv.padding = {2, 1};
  conv.in_channels = 4;
  ConvCase transposed = conv;
  transposed.transposed = true;
  transposed.padding = {};
  for (const LayerCase &c : {linear({2, 3}, 9, 7), convolution(conv), convolution(transposed)}) {
    LayerOracle oracle(c);
    const size_t counts[] = {count_of(shape_of(c, kInput)), count_of(shape_of(c, kWeight)), (size_t)features_of(c)};
    Values of[] = {coarse_values(counts[0], 1), coarse_values(counts[1], 2), coarse_values(counts[2], 3)};
    const Values dy = coarse_values(count_of(shape_of(c, kOutput)), 4);
    const StepWanted at = oracle.step(of[0], of[1], of[2], dy);
    const Values *const gradients[] = {&at.dx.values, &at.dweight.values, &at.dbias.values};
    const auto loss = [&] {
      const Values y = oracle.step(of[0], of[1], of[2], dy).y.values;
      double sum = 0;
      for (size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
      return sum;
    };
    for (size_t which = 0; which < 3; ++which)
      for (size_t i = 0; i < counts[which]; i += counts[which] / 5 + 1) {
        const double before = of[which][i];
        of[which][i] = before + 0.5;
        const double above = loss();
        of[which][i] = before - 0.5;
        EXPECT_EQ(above - loss(), (*gradients[which])[i]) << text_of(c) << " " << which << " " << i;
        of[which][i] = before;
      }
  }
}

} // namespace
