/* Convolutions by tiles in many small steps: what large results are cut into, done to small ones by putting smaller steps
 * into plans. */
#include "small_steps.h"

#include "support/convolution.h"

#define divisor_of conv_divisor_of /* another file of this unit has one */
#include "cuda/conv/conv_params.cu"
#undef divisor_of
#define launch launch_tiles
#include "cuda/conv/implicit/implicit.cu"
#include "cuda/conv/implicit/implicit_plan.cu"
#include "cuda/product/parts.cu"
#undef launch

namespace {

using namespace mfq_test;

size_t most_bytes; /* of the sums of a step */
int64_t count;     /* steps of the last plan */

mfq_status plan_small_conv(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const auto *p = static_cast<const mfq_conv_problem *>(of);
  EXPECT_EQ(plan_way(context, p, choice, reason), MFQ_OK) << reason->text;
  auto *plan = static_cast<mfq_implicit_plan *>(choice->state);
  EXPECT_FALSE(plan->is_direct);
  plan->steps = mfq_cuda_implicit_steps(p, most_bytes);
  count = plan->steps.count;
  return MFQ_OK;
}

class ImplicitSteps : public SmallStepsTest {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    use(80, {});
    use_for_convolutions({"implicit", plan_small_conv, run_way, nullptr});
  }
  /* Not bare: the sums go through memory. */
  void expect(ConvCase x, size_t bytes, int64_t steps) {
    most_bytes = bytes;
    x.alpha = 0.5f;
    EXPECT_TRUE(conv_is_near(context(), x));
    EXPECT_EQ(count, steps) << text_of(x) << " by " << bytes << " bytes";
  }
};

ConvCase sized(mfq_conv_direction direction) {
  ConvCase x;
  x.direction = direction;
  x.layout = MFQ_CONV_CHANNELS_LAST;
  x.batch = 3;
  x.in_channels = 16;
  x.out_channels = 32;
  x.in = {2, 4, 5};
  x.filter = {1, 2, 2};
  x.has_c = true;
  x.beta = -1.0f;
  return x;
}

/* Images, planes, lines and pixels: the result has 3 x 2 x 3 x 4 pixels of 32 channels. */
TEST_F(ImplicitSteps, Forward) {
  const ConvCase x = sized(MFQ_CONV_FORWARD);
  const size_t pixel = 32 * sizeof(float);
  expect(x, 72 * pixel, 1);
  expect(x, 71 * pixel, 2);
  expect(x, 24 * pixel, 3);
  expect(x, 23 * pixel, 6);
  expect(x, 11 * pixel, 12);
  expect(x, 4 * pixel, 18);
  expect(x, 3 * pixel, 36);
  expect(x, pixel, 72);
  expect(x, 1, 72);
}

/* With strides, so that pixels of a step are walked in phases of their own: 3 x 2 x 4 x 5 pixels of 16 channels. */
TEST_F(ImplicitSteps, InputGradient) {
  ConvCase x = sized(MFQ_CONV_INPUT_GRADIENT);
  x.stride = {1, 2, 3};
  x.padding = {0, 1, 1};
  x.filter = {1, 3, 4};
  const size_t pixel = 16 * sizeof(float);
  expect(x, 120 * pixel, 1);
  expect(x, 60 * pixel, 3);
  expect(x, 20 * pixel, 6);
  expect(x, 15 * pixel, 12);
  expect(x, 5 * pixel, 24);
  expect(x, 3 * pixel, 48);
}

/* Output channels, or groups of them. */
TEST_F(ImplicitSteps, WeightGradient) {
  ConvCase x = sized(MFQ_CONV_WEIGHT_GRADIENT);
  const size_t channel = 4 * 16 * sizeof(float);
  expect(x, 32 * channel, 1);
  expect(x, 31 * channel, 2);
  expect(x, 5 * channel, 7);
  expect(x, 1, 32);
  x.groups = 4;
  x.in_channels = 64; /* as many of a group as before; 8 output channels */
  expect(x, 32 * channel, 1);
  expect(x, 16 * channel, 2);
  expect(x, 8 * channel, 4);
  expect(x, 5 * channel, 8);
}

} // namespace
