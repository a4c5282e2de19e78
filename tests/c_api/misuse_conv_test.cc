// Bad arguments of convolutions: status, sentence, and outputs as they were.
#include <mfq/mfq.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "support/misuse_planned.h"

namespace {

using namespace misuse;

struct Conv {
  using Description = mfq_conv;
  using Plan = mfq_conv_plan;
  static constexpr const char *name = "mfq_conv", *argument = "conv", *nothing = "nothing: the result is empty";
  static constexpr auto init = mfq_conv_init;
  static constexpr auto plan_create = mfq_conv_plan_create;
  static constexpr auto run = mfq_conv_run;
  static constexpr auto workspace_bytes = mfq_conv_workspace_bytes;
  static constexpr auto describe = mfq_conv_plan_describe;
  static constexpr auto destroy = mfq_conv_plan_destroy;
};

// Output [2, 4, 4, 4] = input [2, 8, 6, 6] * weight [4, 8, 3, 3]; the weight is mxfp4, everything else f32.
class MisuseConv : public Planned<Conv> {
protected:
  MisuseConv()
      : weight("mxfp4_e2m1/group:32@1", {4, 8, 3, 3}), quantized_result("mxfp8_e4m3/group:32@1", {2, 4, 4, 4}) {
    input = dense(input_data.data(), MFQ_DTYPE_F32, {2, 8, 6, 6});
    c = dense(c_data.data(), MFQ_DTYPE_F32, {2, 4, 4, 4});
    result = dense(result_data.data(), MFQ_DTYPE_F32, {2, 4, 4, 4});
    bias = dense(bias_data.data(), MFQ_DTYPE_F32, {4});
    plain_weight = dense(weight_data.data(), MFQ_DTYPE_F32, {4, 8, 3, 3});
    std::memset(weight.codes.data(), 0x22, weight.codes.size());
    std::memset(weight.scales.data(), 127, weight.scales.size() * sizeof(float));
    good.input.plain = &input;
    good.weight.quantized = &weight.q;
    good.c = &c;
    good.bias = &bias;
    good.result = &result;
    keep(&result_data);
  }

  // A description of a gradient of the same layer.
  mfq_conv gradient(mfq_conv_direction direction, const mfq_tensor *of_output, const mfq_tensor *to) const {
    mfq_conv g = good;
    g.direction = direction;
    g.c = g.bias = nullptr;
    g.output_gradient.plain = of_output;
    g.result = to;
    g.weight = mfq_operand{direction == MFQ_CONV_INPUT_GRADIENT ? &plain_weight : nullptr, nullptr, nullptr};
    if (direction == MFQ_CONV_INPUT_GRADIENT) g.input.plain = nullptr;
    return g;
  }

  std::vector<float> input_data = std::vector<float>(2 * 8 * 36 + 64, 0.5f),
                     c_data = std::vector<float>(2 * 4 * 16 + 64, 1.0f),
                     result_data = std::vector<float>(2 * 4 * 16 + 64, -7.0f), bias_data = std::vector<float>(4, 1.0f);
  std::vector<float> weight_data = std::vector<float>(4 * 8 * 9, 0.25f);
  Owned weight, quantized_result;
  mfq_tensor input, plain_weight, c, result, bias;
  const float one = 1.0f;
};

TEST_F(MisuseConv, Null) {
  int32_t rank = 0;
  int64_t shape[MFQ_MAX_RANK];
  EXPECT_TRUE(fails(mfq_conv_output_shape(nullptr, &rank, shape), invalid, {"mfq_conv_output_shape: conv is NULL"}));
  EXPECT_TRUE(fails(mfq_conv_output_shape(&good, nullptr, shape), invalid, {"mfq_conv_output_shape: rank is NULL"}));
  EXPECT_TRUE(fails(mfq_conv_output_shape(&good, &rank, nullptr), invalid, {"mfq_conv_output_shape: shape is NULL"}));
  null_arguments();
}

TEST_F(MisuseConv, Fields) {
  const mfq_scheme *scheme = &weight.q.scheme;
  const mfq_layout transposed = {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
  Owned turned("e4m3fn/tensor/f32", {4, 8, 3, 3}, &transposed), turned_result("e4m3fn/f32", {2, 4, 4, 4}, &transposed);
  refused_at_planning({
      {[](mfq_conv *v) { v->struct_size = 8; }, invalid, "conv->struct_size is 8; allowed is"},
      {[](mfq_conv *v) { v->struct_size = 1 << 20; }, invalid, "call mfq_conv_init first"},
      {[](mfq_conv *v) { set_raw(&v->direction, 3); }, invalid, "direction is 3; allowed is 0 ... 2"},
      {[](mfq_conv *v) { set_raw(&v->layout, 2); }, invalid, "layout is 2; allowed is 0 ... 1"},
      {[](mfq_conv *v) { v->transposed = 2; }, invalid, "transposed is 2"},
      {[](mfq_conv *v) { v->same_padding = -1; }, invalid, "same_padding is -1"},
      {[](mfq_conv *v) { v->groups = 0; }, invalid, "groups is 0; allowed is 1 ..."},
      {[](mfq_conv *v) { v->stride[1] = 0; }, invalid, "stride is 0; allowed is 1 ... 2147483647"},
      {[](mfq_conv *v) { v->dilation[0] = -1; }, invalid, "dilation is -1"},
      {[](mfq_conv *v) { v->padding[0] = -1; }, invalid, "padding is -1; allowed is 0 ... 2147483647"},
      {[](mfq_conv *v) { v->padding_after[1] = -2; }, invalid, "padding_after is -2; allowed is -1"},
      {[](mfq_conv *v) { v->padding[1] = int64_t{1} << 40; }, invalid, "padding is 1099511627776"},
      {[](mfq_conv *v) { v->same_padding = v->transposed = 1; }, invalid,
       "same_padding is 1 for a transposed convolution"},
      {[](mfq_conv *v) { v->same_padding = 1, v->padding[1] = 1; }, invalid, "same_padding is 1, but padding[1] is 1"},
      {[](mfq_conv *v) { v->device_scalars = 7; }, invalid, "device_scalars is 7"},
      {[](mfq_conv *v) { set_raw(&v->activation, 5); }, invalid, "activation is 5; allowed is 0 ... 4"},
      {[](mfq_conv *v) { v->round_operands = 3; }, invalid, "round_operands is 3"},
      {[](mfq_conv *v) { v->own_workspace = 3; }, invalid, "own_workspace is 3"},
      {[](mfq_conv *v) { v->input.plain = nullptr; }, invalid, "input: plain and quantized are both NULL; give one"},
      {[&](mfq_conv *v) { v->weight.plain = &input; }, invalid, "weight: plain and quantized are both given; give one"},
      {[&](mfq_conv *v) { v->weight.quantize_to = scheme; }, invalid, "weight: quantize_to is given, but the operand"},
      {[&](mfq_conv *v) { v->output_gradient.plain = &result; }, invalid,
       "output_gradient is given, but MFQ_CONV_FORWARD has"},
      {[](mfq_conv *v) { v->direction = MFQ_CONV_INPUT_GRADIENT; }, invalid,
       "input is given, but MFQ_CONV_INPUT_GRADIENT has"},
      {[](mfq_conv *v) { v->direction = MFQ_CONV_WEIGHT_GRADIENT; }, invalid,
       "weight is given, but MFQ_CONV_WEIGHT_GRADIENT"},
      {[&](mfq_conv *v) { v->weight.quantized = &turned.q; }, invalid,
       "weight: layout.codes is TRANSPOSED, an order for matrices; convolutions take LOGICAL and GROUP_LAST"},
      {[&](mfq_conv *v) { v->result = nullptr, v->quantized_result = &turned_result.q; }, invalid,
       "quantized_result: layout.codes is TRANSPOSED, an order for matrices"},
      {[](mfq_conv *v) { v->result = nullptr; }, invalid, "result and quantized_result are both NULL; give one"},
      {[&](mfq_conv *v) { v->quantized_result = &quantized_result.q; }, invalid,
       "result and quantized_result are both given"},
      {[&](mfq_conv *v) { v->c = nullptr, v->beta = &one; }, invalid, "beta is given, but c is NULL"},
  });
  const mfq_conv to_input = gradient(MFQ_CONV_INPUT_GRADIENT, &result, &input);
  refused_at_planning(
      {{[&](mfq_conv *v) { v->bias = &bias; }, invalid, "bias is given, but MFQ_CONV_INPUT_GRADIENT has none"},
       {[](mfq_conv *v) { v->activation = MFQ_ACTIVATION_RELU; }, invalid,
        "activation is given, but MFQ_CONV_INPUT_GRADIENT has none"}},
      to_input);
  ASSERT_EQ(create(good), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(create(to_input), MFQ_OK) << mfq_last_error();
}

// What does not fit, and the sentence that says so.
TEST_F(MisuseConv, Shapes) {
  Owned wide("mxfp4_e2m1/group:32@1", {4, 9, 3, 3}), five("mxfp4_e2m1/group:32@1", {5, 8, 3, 3}),
      large("mxfp4_e2m1/group:32@1", {4, 8, 7, 3}), line("mxfp4_e2m1/group:32@1", {4, 8, 3}),
      nothing("mxfp4_e2m1/group:32@1", {4, 8, 0, 3}), matrix("mxfp4_e2m1", {4, 8});
  const mfq_tensor one = dense(input_data.data(), MFQ_DTYPE_F32, {1, 8, 6, 6}),
                   wrong = dense(result_data.data(), MFQ_DTYPE_F32, {2, 4, 4, 3}),
                   short_bias = dense(bias_data.data(), MFQ_DTYPE_F32, {3}),
                   wrong_c = dense(c_data.data(), MFQ_DTYPE_F32, {2, 4, 4, 3});
  refused_at_planning({
      {[&](mfq_conv *v) { v->input.plain = &one; }, bad_shape,
       "input has a batch of 1, but result of 2; they must be equal"},
      {[&](mfq_conv *v) { v->groups = 3; }, bad_shape, "groups is 3, which does not divide the 8 channels of input"},
      {[&](mfq_conv *v) { v->groups = 8; }, bad_shape, "groups is 8, which does not divide the 4 channels of result"},
      {[&](mfq_conv *v) { v->groups = 2; }, bad_shape, "asks for 4 in that axis of weight, but it has 8"},
      {[&](mfq_conv *v) { v->weight.quantized = &wide.q; }, bad_shape,
       "asks for 8 in that axis of weight, but it has 9"},
      {[&](mfq_conv *v) { v->weight.quantized = &five.q; }, bad_shape,
       "result has 4 channels, but axis 0 of weight has 5"},
      {[&](mfq_conv *v) { v->weight.quantized = &large.q; }, bad_shape,
       "spatial axis 0: the filter has 7 elements and spans 7, but input has only 6 with its padding of 0 and 0"},
      {[&](mfq_conv *v) { v->weight.quantized = &nothing.q; }, bad_shape, "spatial axis 0: the filter has 0 elements"},
      {[&](mfq_conv *v) { v->dilation[1] = 3; }, bad_shape, "spatial axis 1: the filter has 3 elements and spans 7"},
      {[&](mfq_conv *v) { v->dilation[1] = 0x7fffffff; }, bad_shape,
       "spatial axis 1: the filter has 3 elements and spans 4294967295"},
      {[&](mfq_conv *v) { v->stride[0] = 2; }, bad_shape,
       "spatial axis 0: input has 6 elements, with padding 0 and 0, stride 2 "
       "and a filter of 3 (dilation 1) that makes 2, "
       "but result has 4"},
      {[&](mfq_conv *v) { v->padding[1] = 1; }, bad_shape,
       "spatial axis 1: input has 6 elements, with padding 1 and 1"},
      {[&](mfq_conv *v) { v->weight.quantized = &line.q; }, bad_shape,
       "weight: rank is 3, but another tensor of this convolution has"},
      {[&](mfq_conv *v) { v->weight.quantized = &matrix.q; }, bad_shape, "weight: rank is 2; allowed is 3 ... 5"},
      {[&](mfq_conv *v) { v->result = &wrong; }, bad_shape, "spatial axis 1: input has 6 elements"},
      {[&](mfq_conv *v) { v->bias = &short_bias; }, bad_shape, "bias: shape is [3]; allowed is [K] = [4]"},
      {[&](mfq_conv *v) { v->c = &wrong_c; }, bad_shape, "c: shape is [2, 4, 4, 3]"},
  });
  mfq_conv padded = good;
  padded.c = nullptr;
  padded.weight.quantized = &large.q;
  padded.padding[0] = 2;
  padded.padding_after[0] = 2;
  ASSERT_EQ(create(padded), MFQ_OK) << mfq_last_error(); // 10 - 7 + 1 = 4
}

TEST_F(MisuseConv, SizesThatOverflow) {
  const int64_t most = int64_t{1} << 40;
  mfq_tensor huge = dense(nullptr, MFQ_DTYPE_F32, {1, 1, 1, 1}), filter = huge, out = huge;
  for (mfq_tensor *t : {&huge, &filter, &out}) std::memset(t->strides, 0, sizeof t->strides);
  huge.shape[0] = most;
  huge.shape[2] = huge.shape[3] = 1;
  filter.shape[0] = most;
  out.shape[0] = out.shape[1] = most;
  mfq_conv v;
  mfq_conv_init(&v);
  v.input.plain = &huge;
  v.weight.plain = &filter;
  v.result = &out;
  EXPECT_TRUE(fails(create(v), bad_shape, {"mfq_conv_plan_create: ", "1099511627776"}));
  int32_t rank = 0;
  int64_t shape[MFQ_MAX_RANK];
  EXPECT_TRUE(fails(mfq_conv_output_shape(&v, &rank, shape), bad_shape, {"mfq_conv_output_shape: "}));
  huge.shape[0] = filter.shape[0] = 1;
  filter.shape[1] = most;
  v.transposed = 1;
  v.groups = most;
  EXPECT_TRUE(fails(mfq_conv_output_shape(&v, &rank, shape), bad_shape, {"their product overflows"}));
}

TEST_F(MisuseConv, ScalesThatNoSumFactorsOut) {
  const mfq_conv forward = good, to_input = gradient(MFQ_CONV_INPUT_GRADIENT, &result, &input);
  mfq_conv to_weight = gradient(MFQ_CONV_WEIGHT_GRADIENT, &result, &plain_weight);
  const struct {
    const mfq_conv *base;
    const char *argument, *scheme, *says;
  } rows[] = {
      {&forward, "input", "mxfp8_e4m3/group:32@3", "groups along this axis"},
      {&forward, "input", "mxfp8_e4m3/group:32@0", "groups along the channels that are summed over (axis 1)"},
      {&forward, "input", "e4m3fn/channel@1/f32", "its axis is 1 of shape [2, 8, 6, 6]; allowed here are one scale"},
      {&forward, "input", "e4m3fn/block:4x4/f32", "blocks of the last two axes"},
      {&forward, "weight", "mxfp8_e4m3/group:32@0", "groups along this axis"},
      {&forward, "weight", "mxfp8_e4m3/group:32@2", "groups along this axis"},
      {&forward, "weight", "e4m3fn/channel@1/f32", "channels along axis 0"},
      {&to_input, "weight", "mxfp8_e4m3/group:32@1", "groups along the channels that are summed over (axis 0)"},
      {&to_input, "weight", "e4m3fn/channel@0/f32", "channels along axis 1"},
      {&to_input, "output_gradient", "mxfp8_e4m3/group:32@2", "groups along this axis"},
      {&to_weight, "input", "mxfp8_e4m3/group:32@1", "groups along batch or a spatial axis (axis 3)"},
      {&to_weight, "output_gradient", "e4m3fn/channel@0/f32", "channels along axis 1"},
  };
  for (const auto &row : rows) {
    mfq_scheme scheme;
    ASSERT_EQ(mfq_scheme_parse(row.scheme, &scheme), MFQ_OK) << mfq_last_error();
    const auto spoil = [&](mfq_conv *v) {
      mfq_operand *operand = row.argument[0] == 'i'   ? &v->input
                             : row.argument[0] == 'w' ? &v->weight
                                                      : &v->output_gradient;
      if (operand->quantized != nullptr) *operand = mfq_operand{&plain_weight, nullptr, nullptr};
      operand->quantize_to = &scheme;
    };
    SCOPED_TRACE(row.scheme);
    refused_at_planning({{spoil, unsupported, {std::string(row.argument) + ": ", row.says}}}, *row.base);
  }
  mfq_scheme given = weight.q.scheme;
  given.rule = MFQ_RULE_GIVEN;
  refused_at_planning({{[&](mfq_conv *v) { v->input.quantize_to = &given; },
                        unsupported,
                        {"input: quantize_to has the rule given", "quantize it before"}}});
}

TEST_F(MisuseConv, Rotations) {
  Owned turned("mxfp8_e4m3/hadamard:16", {1, 4, 4, 16}), to("mxfp8_e4m3/hadamard:16", {1, 4, 4, 16});
  std::vector<float> data(1 * 4 * 4 * 16, 0.5f), filter(16 * 16, 0.5f), out(data.size(), -7.0f);
  const mfq_tensor plain = dense(data.data(), MFQ_DTYPE_F32, {1, 4, 4, 16}),
                   taps = dense(filter.data(), MFQ_DTYPE_F32, {16, 1, 1, 16}),
                   sums = dense(out.data(), MFQ_DTYPE_F32, {1, 4, 4, 16});
  mfq_conv v;
  mfq_conv_init(&v);
  v.layout = MFQ_CONV_CHANNELS_LAST;
  v.input.plain = &plain;
  v.weight.plain = &taps;
  v.result = &sums;
  const mfq_scheme scheme = turned.q.scheme;
  refused_at_planning(
      {{[&](mfq_conv *c) { c->input.plain = nullptr, c->input.quantized = &turned.q; },
        unsupported,
        {"input: mxfp8_e4m3/hadamard:16: convolutions take no rotated operands", "dequantize it before"}},
       {[&](mfq_conv *c) { c->weight.quantize_to = &scheme; }, unsupported,
        "weight: e4m3fn/group:32@3/ue8m0/hadamard:16: convolutions"},
       {[&](mfq_conv *c) { c->result = nullptr, c->quantized_result = &to.q; },
        unsupported,
        {"quantized_result: mxfp8_e4m3/hadamard:16: results are not rotated", "rotate them by mfq_quantize"}}},
      v);
}

TEST_F(MisuseConv, Workspace) {
  good.input.quantize_to = &weight.q.scheme;
  workspaces();
}

TEST_F(MisuseConv, OtherContext) { other_context(); }

TEST_F(MisuseConv, OtherThanPlanned) {
  Owned other_scheme("mxfp8_e4m3/group:32@1", {4, 8, 3, 3});
  mfq_tensor wide = input, one_image = dense(input_data.data(), MFQ_DTYPE_F32, {1, 8, 6, 6}),
             one_result = dense(result_data.data(), MFQ_DTYPE_F32, {1, 4, 4, 4});
  wide.strides[0] = 8 * 36 + 8;
  std::vector<uint16_t> halves(2 * 8 * 36);
  const mfq_tensor narrow = dense(halves.data(), MFQ_DTYPE_BF16, {2, 8, 6, 6});
  refused_by_run({
      {[&](mfq_conv *v) { v->input.plain = &one_image, v->result = &one_result, v->c = nullptr; }, bad_shape,
       "conv: the batch is 1, but the plan was made for 2"},
      {[&](mfq_conv *v) { v->input.plain = &wide; }, bad_shape,
       "input: a stride is 296, but the plan was made for 288"},
      {[&](mfq_conv *v) { v->input.plain = &narrow; }, bad_shape, "input: the dtype is 2, but the plan was made for 1"},
      {[&](mfq_conv *v) { v->input.quantize_to = &weight.q.scheme; }, bad_shape, "input: the kind of operand"},
      {[&](mfq_conv *v) { v->weight.quantized = &other_scheme.q; }, bad_shape,
       "weight: the scheme is e4m3fn/group:32@1/ue8m0"},
      {[&](mfq_conv *v) { v->c = nullptr; }, bad_shape, "1 with and 0 without c is 0"},
      {[&](mfq_conv *v) { v->bias = nullptr; }, bad_shape, "1 with and 0 without bias is 0"},
      {[&](mfq_conv *v) { v->alpha = &one; }, bad_shape, "1 with and 0 without alpha is 1"},
      {[&](mfq_conv *v) { v->activation = MFQ_ACTIVATION_RELU; }, bad_shape, "the activation is 1"},
      {[&](mfq_conv *v) { v->result = nullptr, v->quantized_result = &quantized_result.q; }, bad_shape,
       "quantized result is 1"},
      {[&](mfq_conv *v) { v->round_operands = 1; }, bad_shape, "round_operands is 1"},
      {[&](mfq_conv *v) { v->stride[0] = v->stride[1] = 2, v->padding[0] = v->padding[1] = 2; }, bad_shape,
       "conv: stride is 2"},
  });
}

TEST_F(MisuseConv, Overlap) {
  const mfq_tensor over_c = dense(result_data.data() + 4, MFQ_DTYPE_F32, {2, 4, 4, 4}),
                   over_input = dense(input_data.data() + 4, MFQ_DTYPE_F32, {2, 4, 4, 4});
  mfq_qtensor no_scales = weight.q;
  no_scales.scales = nullptr;
  refused_by_run({
      {[&](mfq_conv *v) { v->c = &over_c; }, invalid, "result.data and c.data overlap"},
      {[&](mfq_conv *v) { v->result = &over_input; }, invalid, "input.data and result.data overlap"},
      {[&](mfq_conv *v) { v->weight.quantized = &no_scales; }, invalid, "weight: scales is NULL, but needs"},
  });
}

// Two elements of a result in one place, for each direction and each axis, at planning and in a run.
TEST_F(MisuseConv, ResultsThatShareMemory) {
  const std::vector<float> inputs = input_data, weights = weight_data;
  mfq_conv directions[] = {good, gradient(MFQ_CONV_INPUT_GRADIENT, &result, &input),
                           gradient(MFQ_CONV_WEIGHT_GRADIENT, &result, &plain_weight)};
  for (mfq_conv &v : directions) {
    v.c = nullptr;
    mfq_conv_plan *made = nullptr;
    ASSERT_EQ(mfq_conv_plan_create(context, &v, &made), MFQ_OK) << mfq_last_error();
    std::vector<unsigned char> memory(mfq_conv_workspace_bytes(made) + 512);
    void *aligned = memory.data() + (256 - reinterpret_cast<uintptr_t>(memory.data()) % 256);
    mfq_tensor shared = *v.result;
    for (int axis = 0; axis < 4; ++axis)
      for (const int64_t stride : {int64_t{0}, int64_t{1}, v.result->strides[axis] - 1, 1 - v.result->strides[axis]}) {
        if (stride == v.result->strides[axis]) continue;
        shared.strides[axis] = stride;
        mfq_conv bad = v;
        bad.result = &shared;
        EXPECT_TRUE(fails(create(bad), invalid, {"result: strides [", "let two elements share memory"}));
        EXPECT_TRUE(fails(mfq_conv_run(context, made, &bad, aligned, mfq_conv_workspace_bytes(made)), invalid,
                          {"mfq_conv_run: result: strides [", "let two elements share memory"}));
        shared.strides[axis] = v.result->strides[axis];
      }
    mfq_conv_plan_destroy(made);
  }
  EXPECT_EQ(input_data, inputs);
  EXPECT_EQ(weight_data, weights);
}

TEST_F(MisuseConv, OutputShapes) {
  struct Row {
    std::function<void(mfq_conv *)> set;
    std::vector<int64_t> expected; // empty: refused
  };
  const mfq_tensor turned = dense(nullptr, MFQ_DTYPE_F32, {8, 3, 3, 3});
  const std::vector<Row> rows = {
      {[](mfq_conv *) {}, {2, 4, 4, 4}},
      {[](mfq_conv *v) { v->stride[0] = 2; }, {2, 4, 2, 4}},
      {[](mfq_conv *v) { v->padding[0] = 1, v->padding_after[0] = 2; }, {2, 4, 7, 4}},
      {[](mfq_conv *v) { v->same_padding = 1, v->stride[1] = 4; }, {2, 4, 6, 2}},
      {[](mfq_conv *v) { v->dilation[0] = 2; }, {2, 4, 2, 4}},
      {[](mfq_conv *v) { v->dilation[0] = 3; }, {}},
      {[&](mfq_conv *v) {
         v->transposed = 1, v->groups = 2, v->weight = {&turned, nullptr, nullptr};
       },
       {2, 6, 8, 8}},
      {[&](mfq_conv *v) {
         v->transposed = 1, v->stride[0] = 2, v->weight = {&turned, nullptr, nullptr};
       },
       {2, 3, 13, 8}},
      {[&](mfq_conv *v) {
         v->transposed = 1, v->padding[0] = 4, v->weight = {&turned, nullptr, nullptr};
       },
       {}},
  };
  for (const Row &row : rows) {
    mfq_conv v = good;
    int32_t rank = 0;
    int64_t shape[MFQ_MAX_RANK];
    row.set(&v);
    const mfq_status status = mfq_conv_output_shape(&v, &rank, shape);
    if (row.expected.empty()) {
      EXPECT_TRUE(fails(status, bad_shape, {"mfq_conv_output_shape: spatial axis 0", "make no output"}));
      continue;
    }
    ASSERT_EQ(status, MFQ_OK) << mfq_last_error();
    EXPECT_EQ(std::vector<int64_t>(shape, shape + rank), row.expected);
  }
}

TEST_F(MisuseConv, EmptyBatchIsNoMistake) {
  mfq_tensor no_input = dense(input_data.data(), MFQ_DTYPE_F32, {0, 8, 6, 6}),
             no_result = dense(result_data.data(), MFQ_DTYPE_F32, {0, 4, 4, 4});
  good.input.plain = &no_input;
  good.result = &no_result;
  good.c = nullptr;
  nothing_to_do();
}

} // namespace
