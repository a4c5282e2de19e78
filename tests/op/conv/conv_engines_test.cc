// The engines behind fast convolutions of plain tensors, oneDNN and the loops of each instruction set: every shape in all
// three directions against double sums, within the bound of as many roundings as a sum has terms.
#include <cstdlib>
#include <thread>

#include "support/convolution.h"
#include "support/engines.h"

namespace {

using namespace mfq_test;

const mfq_conv_direction kDirections[] = {MFQ_CONV_FORWARD, MFQ_CONV_INPUT_GRADIENT, MFQ_CONV_WEIGHT_GRADIENT};

class ConvEngines : public OnEngine {
protected:
  ConvEngines() : OnEngine(2) {}

  /* Every direction, in f32 and bf16, written by the engine itself where the result is f32, or bf16 from bf16. */
  void check(ConvCase x) {
    x.layout = MFQ_CONV_CHANNELS_LAST;
    for (const mfq_conv_direction direction : kDirections)
      for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16}) {
        x.direction = direction;
        x.input.dtype = x.weight.dtype = x.output_gradient.dtype = dtype;
        x.d = x.seed % 3 == 0 ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
        ++x.seed;
        ASSERT_TRUE(conv_is_near(contexts[x.seed % 2].get(), x, "expanded"));
      }
  }
};

INSTANTIATE_TEST_SUITE_P(, ConvEngines, testing::ValuesIn(engines()), engine_name);

ConvCase shape(int64_t batch, int64_t in_channels, int64_t out_channels, const Shape &in, const Shape &filter) {
  ConvCase x;
  x.batch = batch;
  x.in_channels = in_channels;
  x.out_channels = out_channels;
  x.in = in;
  x.filter = filter;
  return x;
}

// 1 and what is odd, the edges of blocks (12, 16, 32), and a depth beyond a strip's.
TEST_P(ConvEngines, Sizes) {
  const ConvCase cases[] = {shape(1, 1, 1, {2, 1}, {2, 1}),    shape(1, 3, 5, {7, 6}, {3, 3}),
                            shape(3, 16, 32, {5, 5}, {3, 2}),  shape(2, 33, 17, {4, 9}, {1, 5}),
                            shape(2, 64, 40, {10, 8}, {3, 3}), shape(1, 130, 3, {3, 3}, {3, 3}),
                            shape(4, 2, 70, {9, 30}, {4, 1}),  shape(1, 5, 13, {40, 41}, {2, 2})};
  for (ConvCase x : cases) {
    x.padding.assign(2, x.filter[0] > 1);
    ASSERT_NO_FATAL_FAILURE(check(x));
  }
}

// Channels in whole blocks of the orders that oneDNN asks for, and in blocks with a tail (176 = 3 * 48 + 32).
TEST_P(ConvEngines, FiltersInBlocks) {
  const ConvCase cases[] = {shape(1, 64, 64, {4, 3}, {3, 3}),  shape(2, 32, 96, {3, 3}, {2, 3}),
                            shape(1, 96, 176, {3, 2}, {1, 1}), shape(1, 48, 80, {3, 3}, {3, 2}),
                            shape(1, 128, 48, {9}, {4}),       shape(1, 32, 64, {2, 3, 3}, {2, 1, 3})};
  for (ConvCase x : cases) {
    x.stride.assign(x.in.size(), x.filter[0] == 1 ? 2 : 1);
    ASSERT_NO_FATAL_FAILURE(check(x));
  }
}

TEST_P(ConvEngines, OneAndThreeAxes) {
  ConvCase line = shape(2, 6, 9, {23}, {4});
  line.stride = {2};
  line.padding = {3};
  ASSERT_NO_FATAL_FAILURE(check(line));
  ConvCase space = shape(2, 5, 7, {4, 5, 6}, {3, 2, 3});
  space.stride = {1, 2, 2};
  space.padding = {1, 0, 2};
  ASSERT_NO_FATAL_FAILURE(check(space));
  ConvCase flat = shape(1, 4, 4, {1, 6, 1}, {1, 3, 1}); /* one axis that says something */
  flat.padding = {0, 1, 0};
  ASSERT_NO_FATAL_FAILURE(check(flat));
}

// Steps that leave elements out, filters wider than the image, paddings of their own at each end, pixels that see
// nothing but padding.
TEST_P(ConvEngines, Windows) {
  struct Window {
    Shape in, filter, stride, dilation, padding, after;
  };
  const Window windows[] = {
      {{9, 8}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}},  {{9, 8}, {3, 3}, {3, 2}, {1, 1}, {0, 2}, {2, 1}},
      {{11, 7}, {3, 3}, {1, 1}, {2, 3}, {2, 3}, {2, 3}}, {{12, 10}, {2, 3}, {2, 3}, {3, 2}, {1, 0}, {3, 4}},
      {{3, 3}, {5, 5}, {1, 1}, {1, 1}, {2, 3}, {2, 1}},  {{8, 8}, {1, 1}, {2, 3}, {1, 1}, {0, 0}, {0, 0}},
      {{6, 6}, {1, 1}, {2, 2}, {1, 1}, {1, 0}, {1, 2}},  {{5, 4}, {2, 2}, {5, 4}, {1, 1}, {0, 0}, {0, 0}},
      {{4, 4}, {3, 3}, {1, 1}, {1, 1}, {4, 5}, {6, 3}},  {{7, 7}, {2, 2}, {3, 3}, {4, 4}, {4, 0}, {0, 4}},
  };
  for (const Window &w : windows) {
    ConvCase x = shape(2, 10, 12, w.in, w.filter);
    x.stride = w.stride;
    x.dilation = w.dilation;
    x.padding = w.padding;
    x.padding_after = w.after;
    ASSERT_NO_FATAL_FAILURE(check(x));
  }
}

// Groups with one channel and with many, on either side; more channels than a pass takes side by side.
TEST_P(ConvEngines, Groups) {
  const int64_t groups[][3] = {{2, 1, 1},  {7, 1, 1},  {3, 1, 2},   {5, 3, 1},  {4, 4, 4},   {2, 8, 8},
                               {2, 9, 10}, {3, 16, 5}, {300, 1, 1}, {90, 3, 3}, {2, 64, 32}, {16, 2, 4}};
  for (const auto &g : groups) {
    ConvCase x = shape(2, g[0] * g[1], g[0] * g[2], {5, 4}, {3, 2});
    x.groups = g[0];
    x.padding = {1, 1};
    x.stride = {1, 2};
    ASSERT_NO_FATAL_FAILURE(check(x));
    x.in = {9};
    x.filter = {3};
    x.padding = x.stride = {2};
    ASSERT_NO_FATAL_FAILURE(check(x));
  }
}

// One channel in a group: pixels that see some taps, all of them, or none, several at a time and one by one, on lines that
// are longer than a piece; channels in whole vectors and beside them.
TEST_P(ConvEngines, Depthwise) {
  struct Window {
    int64_t channels;
    Shape in, filter, stride, dilation, padding, after;
  };
  const Window windows[] = {{40, {3, 150}, {1, 3}, {1, 1}, {1, 1}, {0, 1}, {0, 1}},
                            {137, {7, 7}, {7, 7}, {1, 1}, {1, 1}, {3, 3}, {3, 3}},
                            {16, {9, 23}, {3, 5}, {2, 3}, {1, 1}, {1, 2}, {0, 4}},
                            {9, {5, 30}, {3, 3}, {1, 2}, {2, 4}, {2, 5}, {4, 3}},
                            {65, {4, 3}, {3, 2}, {1, 1}, {1, 1}, {5, 4}, {4, 6}},
                            {24, {70}, {4}, {1}, {2}, {3}, {3}},
                            {33, {3, 4, 9}, {2, 3, 3}, {1, 1, 2}, {1, 1, 1}, {1, 0, 1}, {1, 2, 1}}};
  for (const Window &w : windows) {
    ConvCase x = shape(2, w.channels, w.channels, w.in, w.filter);
    x.groups = w.channels;
    x.stride = w.stride;
    x.dilation = w.dilation;
    x.padding = w.padding;
    x.padding_after = w.after;
    ASSERT_NO_FATAL_FAILURE(check(x));
  }
}

// Transposed convolutions are the same three directions, changed about.
TEST_P(ConvEngines, Transposed) {
  for (const int64_t groups : {1, 2, 6}) {
    ConvCase x = shape(2, 12, 18, {5, 4}, {3, 3});
    x.transposed = true;
    x.groups = groups;
    x.stride = {2, 3};
    x.padding = {1, 0};
    x.output_padding = {1, 2};
    ASSERT_NO_FATAL_FAILURE(check(x));
  }
}

// Everything at random.
TEST_P(ConvEngines, Random) {
  std::mt19937 random(11);
  const auto pick = [&random](int64_t n) { return (int64_t)(random() % (uint64_t)n); };
  for (int round = 0; round < 40; ++round) {
    const int64_t most[] = {1, 4, 20, 40}, groups = pick(3) == 0 ? 1 + pick(6) : 1;
    const size_t space = 1 + (size_t)pick(3);
    ConvCase x = shape(1 + pick(3), groups * (1 + pick(most[pick(4)])), groups * (1 + pick(most[pick(4)])), {}, {});
    x.groups = groups;
    for (size_t i = 0; i < space; ++i) {
      x.filter.push_back(1 + pick(4));
      x.stride.push_back(1 + pick(3));
      x.dilation.push_back(1 + pick(2));
      x.padding.push_back(pick(3));
      x.padding_after.push_back(pick(3));
      x.in.push_back(x.dilation[i] * (x.filter[i] - 1) + 1 + pick(space == 1 ? 60 : 9));
    }
    x.seed = (uint32_t)round * 7 + 100;
    ASSERT_NO_FATAL_FAILURE(check(x));
  }
}

// As for products.
TEST_P(ConvEngines, IsTheOneThatIsMeant) {
  for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16}) {
    ConvCase x = shape(1, 16, 16, {8, 8}, {3, 3});
    x.input.dtype = x.weight.dtype = dtype;
    const ProductResult result = run_conv(contexts[0].get(), ConvData(x));
    ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(is_by(result.description, GetParam().isa, dtype, GetParam().is_onednn, Work::kNarrow));
  }
}

// Batches whose sums take several slabs, the last one smaller, with work that is left for behind the engine.
TEST_P(ConvEngines, Slabs) {
  ConvCase x = shape(7, 1, 64, {4800}, {2});
  x.has_bias = true;
  x.activation = MFQ_ACTIVATION_RELU;
  x.input.dtype = x.weight.dtype = MFQ_DTYPE_BF16;
  x.layout = MFQ_CONV_CHANNELS_LAST;
  ASSERT_TRUE(conv_is_near(contexts[1].get(), x, "expanded"));
  std::swap(x.in_channels, x.out_channels);
  x.has_bias = false;
  x.activation = MFQ_ACTIVATION_NONE;
  x.alpha = 0.5f;
  x.direction = MFQ_CONV_INPUT_GRADIENT;
  ASSERT_TRUE(conv_is_near(contexts[0].get(), x, "expanded"));
}

// Many threads run one plan, each with a workspace of its own.
TEST_P(ConvEngines, OnePlanManyThreads) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = shape(2, 20, 24, {7, 6}, {3, 3});
    x.direction = direction;
    x.layout = MFQ_CONV_CHANNELS_LAST;
    const ConvData data(x);
    mfq_context *context = contexts[1].get();
    const ProductResult alone = run_conv(context, data);
    ASSERT_EQ(alone.status, MFQ_OK) << mfq_last_error();
    const ConvCall planned(context, data);
    mfq_conv_plan *plan = nullptr;
    ASSERT_EQ(mfq_conv_plan_create(context, &planned.conv, &plan), MFQ_OK) << mfq_last_error();
    const size_t bytes = mfq_conv_workspace_bytes(plan);
    std::vector<std::unique_ptr<ConvCall>> calls;
    for (int i = 0; i < 4; ++i) calls.push_back(std::make_unique<ConvCall>(context, data));
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        std::vector<uint8_t> memory(bytes + 256, kPoison);
        void *workspace = memory.data() + (256 - (uintptr_t)memory.data() % 256) % 256;
        for (int round = 0; round < 10; ++round)
          EXPECT_EQ(mfq_conv_run(context, plan, &calls[(size_t)i]->conv, workspace, bytes), MFQ_OK) << mfq_last_error();
      });
    }
    for (std::thread &thread : threads) thread.join();
    for (const auto &call : calls) {
      ProductResult together;
      call->collect(&together);
      EXPECT_EQ(together.values, alone.values);
    }
    mfq_conv_plan_destroy(plan);
  }
}

} // namespace
