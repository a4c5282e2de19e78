// Gradients of convolutions: adjoint identities, central differences of the forward direction, and the gradients of
// quantized operands, which are those of the values that they stand for.
#include "support/conv_cases.h"

namespace {

using namespace mfq_test;

/* Small layers of every kind; with them all sums below are exact. */
std::vector<ConvCase> layers() {
  std::vector<ConvCase> all(7);
  for (ConvCase &x : all) {
    x.in_channels = 4;
    x.out_channels = 6;
    x.in = {4, 5};
    x.padding = {1, 0};
    x.input.dtype = x.weight.dtype = x.output_gradient.dtype = MFQ_DTYPE_F32;
  }
  all[1].stride = {2, 3};
  all[1].padding_after = {0, 2};
  all[2].dilation = {1, 2};
  all[2].groups = 2;
  all[3].groups = 4;
  all[3].out_channels = 8;
  all[3].layout = MFQ_CONV_CHANNELS_LAST;
  all[4].transposed = true;
  all[4].stride = {2, 2};
  all[4].output_padding = {1, 0};
  all[4].groups = 2;
  all[5].in = {9};
  all[5].filter = {4};
  all[5].padding = {2};
  all[6].in = {3, 2, 4};
  all[6].filter = {2, 1, 3};
  all[6].padding = {};
  all[6].same = true;
  return all;
}

ConvCase in_direction(ConvCase x, mfq_conv_direction direction) {
  x.direction = direction;
  return x;
}

/* Multiples of 1/16 below 4: products and their sums, and those of what lies 1/2 beside them, are exact in float32. */
void make_coarse(SideData *side, uint32_t seed) {
  std::mt19937 random(seed);
  side->plain->fill([&](size_t) { return float_bits((float)((int)(random() % 127) - 63) / 16); });
  side->renew();
}
void make_coarse(ConvData *data) {
  for (const ConvTensor which : {kInput, kWeight, kOutput})
    if (data->sides[which] != nullptr) make_coarse(data->sides[which].get(), 40 + which);
}

std::vector<double> run_values(mfq_context *context, const ConvData &data) {
  const ProductResult result = run_conv(context, data);
  EXPECT_EQ(result.status, MFQ_OK) << mfq_last_error();
  return result.values;
}

double dot(const std::vector<double> &a, const std::vector<double> &b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) sum += a[i] * b[i];
  return sum;
}

class ConvGradient : public testing::TestWithParam<mfq_policy> {
protected:
  Context context = make_context_of("cpu", GetParam(), 2);
};

INSTANTIATE_TEST_SUITE_P(Policies, ConvGradient, testing::Values(MFQ_FAST, MFQ_REPRODUCIBLE),
                         [](const auto &info) { return info.param == MFQ_FAST ? "fast" : "reproducible"; });

// <y(x, w), g> = <x, dx(g, w)> = <w, dw(x, g)>: all sums are exact, so equality is as well.
TEST_P(ConvGradient, AdjointIdentities) {
  for (const ConvCase &x : layers()) {
    ConvData forward(in_direction(x, MFQ_CONV_FORWARD)), of_input(in_direction(x, MFQ_CONV_INPUT_GRADIENT)),
        of_weight(in_direction(x, MFQ_CONV_WEIGHT_GRADIENT));
    for (ConvData *data : {&forward, &of_input, &of_weight}) make_coarse(data);
    const double y = dot(run_values(context.get(), forward), of_input.side(kOutput).values);
    EXPECT_NE(y, 0);
    EXPECT_EQ(dot(forward.side(kInput).values, run_values(context.get(), of_input)), y) << text_of(x);
    EXPECT_EQ(dot(forward.side(kWeight).values, run_values(context.get(), of_weight)), y) << text_of(x);
  }
}

/* (<y(+1/2), g> - <y(-1/2), g>) / 1 for an element of an operand. */
double central_difference(mfq_context *context, ConvData *forward, ConvTensor which, size_t element,
                          const std::vector<double> &g) {
  SideData &side = forward->side(which);
  const std::vector<uint8_t> before = side.plain->bytes;
  const float value = (float)side.values[element];
  double loss[2];
  for (int i = 0; i < 2; ++i) {
    side.plain->put(element, float_bits(value + (i == 0 ? 0.5f : -0.5f)));
    loss[i] = dot(run_values(context, *forward), g);
    side.plain->bytes = before;
  }
  return loss[0] - loss[1];
}

// The forward direction is linear in each operand, so its central differences are its gradients: here exactly.
TEST_P(ConvGradient, CentralDifferences) {
  for (const ConvCase &x : layers()) {
    ConvData forward(in_direction(x, MFQ_CONV_FORWARD)), of_input(in_direction(x, MFQ_CONV_INPUT_GRADIENT)),
        of_weight(in_direction(x, MFQ_CONV_WEIGHT_GRADIENT));
    for (ConvData *data : {&forward, &of_input, &of_weight}) make_coarse(data);
    const std::vector<double> &g = of_input.side(kOutput).values;
    const std::vector<double> gradients[] = {run_values(context.get(), of_input), run_values(context.get(), of_weight)};
    for (const ConvTensor which : {kInput, kWeight}) {
      const std::vector<double> &gradient = gradients[which];
      ASSERT_EQ(gradient.size(), forward.side(which).values.size());
      for (size_t i = 0; i < gradient.size(); i += 3)
        ASSERT_EQ(central_difference(context.get(), &forward, which, i, g), gradient[i])
            << (which == kInput ? "input " : "weight ") << i << "; " << text_of(x);
    }
  }
}

// The same with an operand that is quantized once: one scale for the tensor serves every direction.
TEST_P(ConvGradient, AdjointIdentitiesOfQuantizedOperands) {
  for (ConvCase x : layers()) {
    for (ConvSide *side : {&x.input, &x.weight, &x.output_gradient}) side->scheme = "fp8_e4m3_tensor";
    const ConvData forward(in_direction(x, MFQ_CONV_FORWARD)), of_input(in_direction(x, MFQ_CONV_INPUT_GRADIENT)),
        of_weight(in_direction(x, MFQ_CONV_WEIGHT_GRADIENT));
    const std::vector<double> &g = of_input.sides[kOutput]->values, &input = forward.sides[kInput]->values,
                              &weight = forward.sides[kWeight]->values;
    ASSERT_EQ(of_weight.sides[kOutput]->values, g);
    ASSERT_EQ(of_weight.sides[kInput]->values, input);
    ASSERT_EQ(of_input.sides[kWeight]->values, weight);
    const auto tolerance = [](const ConvData &data, const std::vector<double> &other) {
      std::vector<double> values, bounds;
      data.expected(&values, &bounds);
      double sum = 0;
      for (size_t i = 0; i < bounds.size(); ++i) sum += bounds[i] * std::fabs(other[i]);
      return sum;
    };
    const double y = dot(run_values(context.get(), forward), g), of_y = tolerance(forward, g);
    EXPECT_NEAR(dot(input, run_values(context.get(), of_input)), y, of_y + tolerance(of_input, input)) << text_of(x);
    EXPECT_NEAR(dot(weight, run_values(context.get(), of_weight)), y, of_y + tolerance(of_weight, weight))
        << text_of(x);
  }
}

// A training step: groups along the channels for the output, along the output channels for the input's gradient, along
// pixels for the weight's. Each gradient is that of the values which its own operands stand for.
TEST_P(ConvGradient, OfQuantizedOperandsAreOfTheirValues) {
  for (const char *scheme : {"mxfp8_e4m3", "mxfp4_e2m1", "nvfp4", "mxint8", "int4/group:4/f32", "uint8/group:3/f32/zp"})
    for (const ConvCase &layer : layers())
      for (const mfq_conv_direction direction : kDirections)
        for (const bool on_the_way : {false, true}) {
          ConvCase x = in_direction(layer, direction);
          set_sides(&x, conv_side(scheme, on_the_way), conv_side(scheme, on_the_way));
          ASSERT_TRUE(conv_is_near(context.get(), x));
        }
}

// A transposed convolution is the gradient of a convolution's input, bit for bit.
TEST_P(ConvGradient, ATransposedConvolutionIsAnInputGradient) {
  for (const char *scheme : {"", "mxfp8_e4m3"}) {
    ConvCase x = layers()[1];
    x.direction = MFQ_CONV_INPUT_GRADIENT;
    set_sides(&x, conv_side(scheme), conv_side(scheme));
    const ConvData gradient(x);
    ConvCase t = x;
    t.direction = MFQ_CONV_FORWARD;
    t.transposed = true;
    t.in_channels = x.out_channels;
    t.out_channels = x.in_channels;
    t.in = out_sizes(x);
    for (size_t i = 0; i < 2; ++i) t.output_padding.push_back(x.in[i] - out_sizes(t)[i]);
    t.input = x.output_gradient;
    ConvData transposed(t);
    ASSERT_EQ(transposed.result_shape, gradient.result_shape);
    const std::array<ConvTensor, 2> pairs[] = {{kInput, kOutput}, {kWeight, kWeight}};
    for (const auto &[to, from] : pairs) {
      ASSERT_EQ(transposed.sides[to]->shape, gradient.sides[from]->shape);
      transposed.sides[to]->plain->bytes = gradient.sides[from]->plain->bytes;
      transposed.sides[to]->renew();
    }
    EXPECT_EQ(run_conv(context.get(), transposed).bytes, run_conv(context.get(), gradient).bytes) << scheme;
  }
}

} // namespace
