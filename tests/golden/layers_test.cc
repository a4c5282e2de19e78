// Layers as Brevitas and torchao compute them: the convolutions of Brevitas' tutorial, its loss curves of a classifier that learns,
// and torchao's three products of a linear layer.
#include "golden_layers.h"
#include "support/layer.h"

namespace {

using namespace mfq_test;
using golden::Layer;

Values values_of(const std::vector<float> &x) { return Values(x.begin(), x.end()); }

double largest_of(const std::vector<float> &x) {
  double largest = 0;
  for (const float value : x) largest = std::max(largest, (double)std::fabs(value));
  return largest;
}

/* Within 1e-5 of the largest, and of bf16 one unit more. */
testing::AssertionResult is_near(const LayerTensor &got, const std::vector<float> &want, const char *what) {
  const Values values = got.values();
  if (values.size() != want.size()) return testing::AssertionFailure() << what << " has " << values.size();
  const double unit = got.tensor.dtype == MFQ_DTYPE_BF16 ? std::ldexp(1.0, -7) : 0, largest = largest_of(want);
  for (size_t i = 0; i < want.size(); ++i)
    if (!(std::fabs(values[i] - want[i]) <= 1e-5 * largest + unit * std::fabs(want[i])))
      return testing::AssertionFailure() << what << ": element " << i << " is " << values[i] << ", expected "
                                         << want[i];
  return testing::AssertionSuccess();
}

/* ---- Convolutions ------------------------------------------------------------------------------------------------ */

class BrevitasLayers : public testing::TestWithParam<Layer> {};

INSTANTIATE_TEST_SUITE_P(Brevitas, BrevitasLayers, testing::ValuesIn(golden::layers),
                         [](const auto &info) { return std::string(info.param.file); });

/* The scheme with its groups along the axis that a layer chooses. */
std::string with_auto_axis(const char *text) {
  mfq_scheme scheme = parse(text);
  scheme.axis = MFQ_AXIS_AUTO;
  char printed[MFQ_SCHEME_TEXT_MAX];
  EXPECT_EQ(mfq_scheme_print(&scheme, printed, sizeof printed), MFQ_OK) << mfq_last_error();
  return printed;
}

/* What a layer shows as quantized has Brevitas' values and scales. */
void check_operand(mfq_context *context, const mfq_qtensor &q, golden::File *file, const std::string &name) {
  SCOPED_TRACE(name);
  const Shape shape(q.shape, q.shape + q.rank);
  ASSERT_EQ(shape, file->shape(name + "_value"));
  std::vector<float> values(count_of(shape), kUnwritten);
  const mfq_tensor to = dense(values, shape);
  ASSERT_EQ(mfq_dequantize(context, &q, &to), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(same_floats(values, file->read(name + "_value"), true));
  const Quantized logical(q.scheme, shape); /* a layer has the order that its products like */
  ASSERT_EQ(mfq_repack(context, &q, &logical.q), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(same_floats(expanded_scales(context, logical, scale_shape(logical)), file->read(name + "_scale")));
}

// layer(x), layer.quant_weight(), layer.input_quant(x) of Brevitas' tutorial.
TEST_P(BrevitasLayers, OutputsAndOperands) {
  const Layer &layer = GetParam();
  golden::File file(layer.file);
  const bool is_static = parse(layer.input).rule == MFQ_RULE_GIVEN; /* its scale is a state of the layer */
  for (const bool is_auto : {true, false}) {
    LayerCase c;
    c.conv = golden::case_of(layer, file);
    const std::string x = is_auto ? with_auto_axis(layer.input) : layer.input,
                      w = is_auto ? with_auto_axis(layer.weight) : layer.weight;
    c.recipe =
        "fprop.x=" + (is_static ? "learned:0|" + x + "/f32:absmax" : x) + ";wgrad.x=same;w=" + w + ";ste=brevitas";
    const Context context = make_context_of("cpu", MFQ_FAST, 2);
    LayerRun run(context.get(), c);
    ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
    run.weight.put(values_of(file.read("weight")));
    run.bias.put(values_of(file.read("bias")));
    const Values input = values_of(file.read("x"));
    if (is_static) { /* a first step, whose scale is replaced by the one that Brevitas had */
      ASSERT_EQ(run.forward(input), MFQ_OK) << mfq_last_error();
      int32_t index = 0;
      (void)run.find("fprop.x.scale", &index);
      const std::vector<float> scale = file.read("input_scale");
      ASSERT_EQ(mfq_layer_tensor_write(run.get(), index, scale.data(), scale.size() * 4), MFQ_OK) << mfq_last_error();
    }
    ASSERT_EQ(mfq_layer_set_mode(run.get(), MFQ_LAYER_EVAL), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(run.forward(input), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(is_near(run.y, file.read("out"), "out")) << run.description();
    mfq_qtensor q;
    ASSERT_EQ(mfq_layer_quant_weight(run.get(), &q), MFQ_OK) << mfq_last_error();
    check_operand(context.get(), q, &file, "weight");
    ASSERT_EQ(mfq_layer_input_quant(run.get(), &run.x.tensor, &q), MFQ_OK) << mfq_last_error();
    check_operand(context.get(), q, &file, "input");
  }
}

/* ---- Training ---------------------------------------------------------------------------------------------------- */

/* Two linear layers with ReLU between, and the mean cross-entropy of their outputs. */
class Classifier {
public:
  Classifier(mfq_context *context, golden::File *file, const std::string &recipe)
      : labels_(file->read("labels")), first_(context, sized(file, "w1", recipe)),
        second_(context, sized(file, "w2", recipe)), x_(values_of(file->read("x"))) {
    EXPECT_EQ(first_.status, MFQ_OK) << mfq_last_error();
    EXPECT_EQ(second_.status, MFQ_OK) << mfq_last_error();
    first_.weight.put(values_of(file->read("w1")));
    first_.bias.put(values_of(file->read("b1")));
    second_.weight.put(values_of(file->read("w2")));
    second_.bias.put(values_of(file->read("b2")));
  }

  /* One step of gradient descent; returns the loss before it. */
  double step() {
    EXPECT_EQ(first_.forward(x_), MFQ_OK) << mfq_last_error();
    const Values before = first_.y.values();
    Values hidden = before;
    for (double &v : hidden) v = std::max(v, 0.0);
    EXPECT_EQ(second_.forward(hidden), MFQ_OK) << mfq_last_error();
    Values gradient = second_.y.values();
    const double loss = cross_entropy(&gradient);
    EXPECT_EQ(second_.backward(gradient), MFQ_OK) << mfq_last_error();
    Values back = second_.dx.values();
    for (size_t i = 0; i < back.size(); ++i) back[i] *= before[i] > 0 ? 1 : 0;
    EXPECT_EQ(first_.backward(back), MFQ_OK) << mfq_last_error();
    for (LayerRun *layer : {&first_, &second_}) {
      descend(&layer->weight, layer->dweight);
      descend(&layer->bias, layer->dbias);
    }
    return loss;
  }

private:
  std::vector<float> labels_;
  LayerRun first_, second_;
  Values x_;

  static LayerCase sized(golden::File *file, const char *weight, const std::string &recipe) {
    const Shape w = file->shape(weight);
    return linear({file->shape("x")[0]}, w[1], w[0], recipe);
  }
  /* The outputs become the gradient of the mean loss. */
  double cross_entropy(Values *outputs) const {
    const size_t rows = labels_.size(), classes = outputs->size() / rows;
    double loss = 0;
    for (size_t r = 0; r < rows; ++r) {
      double *const y = outputs->data() + r * classes;
      const double largest = *std::max_element(y, y + classes), label = y[(size_t)labels_[r]] - largest;
      double sum = 0;
      for (size_t k = 0; k < classes; ++k) sum += y[k] = std::exp(y[k] - largest);
      loss += (std::log(sum) - label) / (double)rows;
      for (size_t k = 0; k < classes; ++k) y[k] = (y[k] / sum - (k == (size_t)labels_[r])) / (double)rows;
    }
    return loss;
  }
  static void descend(LayerTensor *parameter, const LayerTensor &gradient) {
    Values values = parameter->values();
    const Values slopes = gradient.values();
    for (size_t i = 0; i < values.size(); ++i) values[i] -= 0.5 * slopes[i];
    parameter->put(values);
  }
};

class Training : public testing::TestWithParam<std::array<const char *, 2>> {};

INSTANTIATE_TEST_SUITE_P(
    Brevitas, Training,
    testing::Values(std::array<const char *, 2>{"training_mxfp8",
                                                "x=brevitas:MXFloat8e4m3Act;w=brevitas:MXFloat8e4m3Weight"},
                    std::array<const char *, 2>{"training_mxint8", "x=brevitas:MXInt8Act;w=brevitas:MXInt8Weight"}),
    [](const auto &info) { return std::string(info.param[0]); });

TEST_P(Training, LossOfEachStep) {
  for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE}) {
    const Context context = make_context_of("cpu", policy, 2);
    golden::File file(GetParam()[0]);
    const std::vector<float> loss = file.read("loss");
    ASSERT_EQ(loss.size(), 20u);
    Classifier net(context.get(), &file, std::string(GetParam()[1]) + ";dgrad.w=same;wgrad.x=same;ste=brevitas");
    for (size_t i = 0; i < loss.size(); ++i) ASSERT_NEAR(net.step(), loss[i], 1e-3 * loss[i]) << "step " << i;
  }
}

/* ---- Three products ---------------------------------------------------------------------------------------------- */

TEST(Torchao, ThreeProducts) {
  const char *const rows[][2] = {{"linear_mxfp8_floor_bf16", "all=mxfp8_e4m3"},
                                 {"linear_mxfp8_rceil_f32", "all=mxfp8_e4m3/ue8m0:rceil"},
                                 {"linear_mxfp8_wgrad_hp_bf16", "all=mxfp8_e4m3/ue8m0:rceil;wgrad=none"},
                                 {"linear_mxfp4_floor_f32", "all=mxfp4_e2m1"}};
  for (const auto &row : rows) {
    golden::File file(row[0], "torchao");
    const Shape w = file.shape("w");
    LayerCase c = linear({file.shape("x")[0]}, w[1], w[0], row[1]);
    c.has_bias = false;
    c.x = c.y = c.weight = c.dweight = file.is_bf16("x") ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
    for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE}) {
      const Context context = make_context_of("cpu", policy, 2);
      LayerRun run(context.get(), c);
      ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
      run.weight.put(values_of(file.read("w")));
      ASSERT_EQ(run.forward(values_of(file.read("x"))), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(run.backward(values_of(file.read("dy"))), MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(is_near(run.y, file.read("y"), "y")) << row[0];
      EXPECT_TRUE(is_near(run.dx, file.read("dx"), "dx")) << row[0];
      EXPECT_TRUE(is_near(run.dweight, file.read("dw"), "dw")) << row[0];
    }
    EXPECT_TRUE(file.unread().empty()) << *file.unread().begin();
  }
}

} // namespace
