// Bad arguments of layers: status, sentence, and outputs, steps and states as they were.
#include <mfq/mfq.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "support/misuse.h"

namespace {

using namespace misuse;

constexpr mfq_status unsupported = MFQ_ERROR_UNSUPPORTED;

// y [4, 48] = x [4, 64] * weight [48, 64]^T + bias [48].
class MisuseLayer : public Misuse {
protected:
  void SetUp() override {
    Misuse::SetUp();
    x = dense(x_data.data(), MFQ_DTYPE_F32, {4, 64});
    y = dense(y_data.data(), MFQ_DTYPE_F32, {4, 48});
    weight = dense(weight_data.data(), MFQ_DTYPE_F32, {48, 64});
    bias = dense(bias_data.data(), MFQ_DTYPE_F32, {48});
    dy = dense(dy_data.data(), MFQ_DTYPE_F32, {4, 48});
    dx = dense(dx_data.data(), MFQ_DTYPE_F32, {4, 64});
    dweight = dense(dweight_data.data(), MFQ_DTYPE_F32, {48, 64});
    dbias = dense(dbias_data.data(), MFQ_DTYPE_F32, {48});
    mfq_layer_options_init(&good);
    good.name = "fc1";
    good.x = &x;
    good.y = &y;
    good.weight = &weight;
    good.bias = &bias;
    mfq_layer_gradients_init(&gradients);
    gradients.dy = &dy;
    gradients.x = &x;
    gradients.dx = &dx;
    gradients.dweight = &dweight;
    gradients.dbias = &dbias;
  }
  void TearDown() override {
    mfq_layer_destroy(layer);
    Misuse::TearDown();
  }

  mfq_status create(const mfq_layer_options &options) {
    mfq_layer *made = nullptr;
    const mfq_status status = mfq_layer_create(context, &options, &made);
    EXPECT_EQ(made != nullptr, status == MFQ_OK);
    mfq_layer_destroy(made);
    return status;
  }
  void make(const char *text = nullptr) {
    mfq_layer_destroy(layer);
    layer = nullptr;
    mfq_layer_options options = good;
    if (text != nullptr) ASSERT_EQ(mfq_recipe_parse(text, &recipe), MFQ_OK) << mfq_last_error();
    if (text != nullptr) options.recipe = &recipe;
    ASSERT_EQ(mfq_layer_create(context, &options, &layer), MFQ_OK) << mfq_last_error();
  }
  mfq_status forward() { return mfq_layer_forward(layer, &x, &y); }
  mfq_status backward() { return mfq_layer_backward(layer, &gradients); }
  std::string state() const {
    char text[MFQ_LAYER_STATE_MAX];
    EXPECT_EQ(mfq_layer_state_print(layer, text, sizeof text), MFQ_OK) << mfq_last_error();
    return text;
  }
  /* All that is written. */
  std::vector<std::vector<float>> outputs() const { return {y_data, dx_data, dweight_data, dbias_data}; }

  std::vector<float> x_data = std::vector<float>(256 + 64, 0.5f), y_data = std::vector<float>(192 + 64, -7.0f),
                     weight_data = std::vector<float>(3072 + 64, 0.25f), bias_data = std::vector<float>(48 + 8, 1.0f),
                     dy_data = std::vector<float>(192 + 64, 1.5f), dx_data = std::vector<float>(256 + 64, -7.0f),
                     dweight_data = std::vector<float>(3072 + 64, -7.0f),
                     dbias_data = std::vector<float>(48 + 8, -7.0f);
  mfq_tensor x, y, weight, bias, dy, dx, dweight, dbias;
  mfq_layer_options good;
  mfq_layer_gradients gradients;
  mfq_recipe recipe;
  mfq_layer *layer = nullptr;
};

TEST_F(MisuseLayer, Null) {
  mfq_layer_memory memory;
  mfq_layer_tensor tensor;
  mfq_layer_target target;
  mfq_qtensor q;
  char text[16];
  make();
  EXPECT_TRUE(fails(mfq_layer_create(nullptr, &good, &layer), invalid, {"mfq_layer_create: context is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_create(context, &good, nullptr), invalid, {"mfq_layer_create: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_set_mode(nullptr, MFQ_LAYER_EVAL), invalid, {"mfq_layer_set_mode: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_set_step(nullptr, 1), invalid, {"mfq_layer_set_step: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_forward(nullptr, &x, &y), invalid, {"mfq_layer_forward: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_forward(layer, nullptr, &y), invalid, {"mfq_layer_forward: x is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_forward(layer, &x, nullptr), invalid, {"mfq_layer_forward: y is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_backward(nullptr, &gradients), invalid, {"mfq_layer_backward: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_backward(layer, nullptr), invalid, {"mfq_layer_backward: gradients is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_quant_weight(nullptr, &q), invalid, {"mfq_layer_quant_weight: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_quant_weight(layer, nullptr), invalid, {"mfq_layer_quant_weight: q is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_input_quant(nullptr, &x, &q), invalid, {"mfq_layer_input_quant: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_input_quant(layer, nullptr, &q), invalid, {"mfq_layer_input_quant: x is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_target_get(nullptr, MFQ_LAYER_OPERAND_X, &target), invalid,
                    {"mfq_layer_target_get: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_target_get(layer, MFQ_LAYER_OPERAND_X, nullptr), invalid,
                    {"mfq_layer_target_get: target is NULL"}));
  mfq_layer_operand unknown;
  set_raw(&unknown, 3);
  EXPECT_TRUE(fails(mfq_layer_target_get(layer, unknown, &target), invalid, {"which is 3; allowed is 0 ... 2"}));
  EXPECT_TRUE(fails(mfq_layer_memory_get(nullptr, &memory), invalid, {"mfq_layer_memory_get: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_memory_get(layer, nullptr), invalid, {"mfq_layer_memory_get: memory is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_tensor_get(nullptr, 0, &tensor), invalid, {"mfq_layer_tensor_get: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_tensor_get(layer, 0, nullptr), invalid, {"mfq_layer_tensor_get: tensor is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_tensor_read(layer, 1, nullptr, 192), invalid, {"mfq_layer_tensor_read: host is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_tensor_write(layer, 1, nullptr, 192), invalid, {"mfq_layer_tensor_write: host is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_state_print(nullptr, text, 16), invalid, {"mfq_layer_state_print: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_state_print(layer, nullptr, 16), invalid, {"mfq_layer_state_print: text is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_state_parse(nullptr, "x"), invalid, {"mfq_layer_state_parse: layer is NULL"}));
  EXPECT_TRUE(fails(mfq_layer_state_parse(layer, nullptr), invalid, {"mfq_layer_state_parse: text is NULL"}));
  mfq_layer_destroy(nullptr);
  mfq_layer_options_init(nullptr);
  mfq_layer_gradients_init(nullptr);
  EXPECT_STREQ(mfq_layer_describe(nullptr), "");
  EXPECT_STREQ(mfq_layer_name(nullptr), "");
  EXPECT_STREQ(mfq_layer_name(layer), "fc1");
  EXPECT_EQ(mfq_layer_step(nullptr), 0);
  EXPECT_EQ(mfq_layer_tensor_count(nullptr), 0);
  EXPECT_EQ(mfq_layer_needs_x(nullptr), 0);
}

TEST_F(MisuseLayer, Options) {
  const std::string long_name(200, 'a');
  const mfq_tensor short_x = dense(x_data.data(), MFQ_DTYPE_F32, {4, 63}),
                   other_rows = dense(y_data.data(), MFQ_DTYPE_F32, {3, 48}),
                   cube = dense(weight_data.data(), MFQ_DTYPE_F32, {48, 8, 8}),
                   short_bias = dense(bias_data.data(), MFQ_DTYPE_F32, {47}),
                   scalar = dense(x_data.data(), MFQ_DTYPE_F32, {});
  mfq_tensor no_data = weight, batches = dense(x_data.data(), MFQ_DTYPE_F32, {2, 2, 64}),
             y_batches = dense(y_data.data(), MFQ_DTYPE_F32, {2, 2, 48});
  no_data.data = nullptr;
  batches.strides[0] = 100;
  mfq_recipe bad;
  std::memset(&bad, 0, sizeof bad);
  bad.phases[0].places[2].take = MFQ_TAKE_SAME;
  const std::vector<Bad<mfq_layer_options>> rows = {
      {[](mfq_layer_options *o) { o->struct_size = 8; }, invalid, "options->struct_size is 8; allowed is"},
      {[](mfq_layer_options *o) { o->struct_size = 0; }, invalid, "call mfq_layer_options_init first"},
      {[&](mfq_layer_options *o) { o->name = long_name.c_str(); }, invalid,
       "options: name has 200 bytes; allowed is 1 ... 127"},
      {[](mfq_layer_options *o) { o->name = ""; }, invalid, "options: name has 0 bytes"},
      {[](mfq_layer_options *o) { o->name = "a\nb"; }, invalid, "options: name has a control character at byte 1"},
      {[](mfq_layer_options *o) { set_raw(&o->kind, 2); }, invalid, "kind is 2; allowed is 0 ... 1"},
      {[](mfq_layer_options *o) { set_raw(&o->keep, 2); }, invalid, "keep is 2; allowed is 0 ... 1"},
      {[](mfq_layer_options *o) { o->watch = 2; }, invalid, "watch is 2; allowed is 0 ... 1"},
      {[](mfq_layer_options *o) { o->x = nullptr; }, invalid, "options->x is NULL"},
      {[](mfq_layer_options *o) { o->y = nullptr; }, invalid, "options->y is NULL"},
      {[](mfq_layer_options *o) { o->weight = nullptr; }, invalid, "options->weight is NULL"},
      {[&](mfq_layer_options *o) { o->weight = &no_data; }, invalid, "data is NULL, but shape [48, 64] has 3072"},
      {[&](mfq_layer_options *o) { o->weight = &cube; }, bad_shape,
       "options->weight: its shape is [48, 8, 8], but a linear layer's weight is [N, K]"},
      {[&](mfq_layer_options *o) { o->x = &short_x; }, bad_shape,
       "options->x: its shape is [4, 63], but its last axis must be the weight's K, 64"},
      {[&](mfq_layer_options *o) { o->x = &scalar; }, bad_shape, "options->x: its shape is []"},
      {[&](mfq_layer_options *o) { o->y = &other_rows; }, bad_shape,
       "options->y: its shape is [3, 48], but it must be that of x with the weight's N, 48, in the place of K"},
      {[&](mfq_layer_options *o) { o->bias = &short_bias; }, bad_shape,
       "options->bias: its shape is [47], but the layer has 48 features of its output"},
      {[&](mfq_layer_options *o) { o->bias = &weight; }, bad_shape, "options->bias: its shape is [48, 64]"},
      {[&](mfq_layer_options *o) { o->recipe = &bad; }, invalid, {"phases[0]", "dgrad.dy"}},
      {[&](mfq_layer_options *o) {
         o->x = &batches;
         o->y = &y_batches;
       },
       unsupported,
       {"fc1: fprop.x: the strides of its tensor, of shape [2, 2, 64], do not let the axes before the last one become "
        "one without a copy; make it dense"}},
  };
  const std::string sentence = "mfq_";
  expect_refused(rows, good, sentence, [this](const mfq_layer_options *o) { return create(*o); });
  EXPECT_TRUE(fails(mfq_layer_create(context, nullptr, &layer), invalid, {"mfq_layer_create: options is NULL"}));
}

TEST_F(MisuseLayer, Convolution) {
  mfq_conv conv;
  mfq_conv_init(&conv);
  x = dense(x_data.data(), MFQ_DTYPE_F32, {1, 4, 8, 8});
  weight = dense(weight_data.data(), MFQ_DTYPE_F32, {3, 4, 3, 3});
  y = dense(y_data.data(), MFQ_DTYPE_F32, {1, 3, 6, 6});
  bias = dense(bias_data.data(), MFQ_DTYPE_F32, {3});
  good.kind = MFQ_LAYER_CONV;
  good.conv = &conv;
  ASSERT_EQ(create(good), MFQ_OK) << mfq_last_error();
  const std::vector<Bad<mfq_conv>> rows = {
      {[](mfq_conv *v) { v->struct_size = 8; }, invalid, "options->conv->struct_size is 8"},
      {[](mfq_conv *v) { v->groups = 0; }, invalid, "groups is 0; allowed is 1 ..."},
      {[](mfq_conv *v) { v->stride[0] = 0; }, invalid, "stride is 0"},
      {[](mfq_conv *v) { set_raw(&v->layout, 2); }, invalid, "layout is 2; allowed is 0 ... 1"},
      {[](mfq_conv *v) { v->groups = 3; }, bad_shape, "groups"},
      {[](mfq_conv *v) { v->padding[0] = 1; }, bad_shape, "y"},
      {[](mfq_conv *v) { v->transposed = 1; }, bad_shape, ""},
  };
  expect_refused(rows, conv, "mfq_layer_create: ", [&](const mfq_conv *of) {
    mfq_layer_options options = good;
    options.conv = of;
    return create(options);
  });
  y = dense(y_data.data(), MFQ_DTYPE_F32, {36, 3});
  EXPECT_TRUE(fails(create(good), bad_shape, {"mfq_layer_create: options->y"}));
}

TEST_F(MisuseLayer, Recipes) {
  const struct {
    const char *recipe;
    mfq_status status;
    const char *says;
  } rows[] = {
      {"x=int8/channel@2/f32", bad_shape,
       "mfq_layer_create: fc1: fprop.x: axis 2 is not one of the 2 that its tensor has here (rows and features); leave "
       "it "
       "out, and it follows from the product"},
      {"wgrad=mxfp8_e4m3/hadamard:16:fixed", bad_shape, "wgrad"}, /* 4 rows are no multiple of 16 */
  };
  for (const auto &row : rows) {
    ASSERT_EQ(mfq_recipe_parse(row.recipe, &recipe), MFQ_OK) << mfq_last_error();
    mfq_layer_options options = good;
    options.recipe = &recipe;
    EXPECT_TRUE(fails(create(options), row.status, {"mfq_layer_create: fc1: ", row.says})) << row.recipe;
  }
}

TEST_F(MisuseLayer, Runs) {
  make("all=mxfp8_e4m3");
  const std::string before = state();
  const auto untouched = outputs();
  const std::vector<Bad<mfq_tensor>> of_x = {{[](mfq_tensor *t) { t->dtype = MFQ_DTYPE_BF16; }, invalid,
                                              "its dtype is bf16, but the layer was planned for f32"},
                                             {[](mfq_tensor *t) { t->shape[0] = 3; }, bad_shape,
                                              "its shape is [3, 64], but the layer was planned for [4, 64]"},
                                             {[](mfq_tensor *t) { t->strides[0] = 65; }, bad_shape,
                                              "its strides are [65, 1], but the layer was planned for [64, 1]"},
                                             {[](mfq_tensor *t) { t->data = nullptr; }, invalid, "data is NULL"}};
  expect_refused(
      of_x, x, "mfq_layer_forward: x", [&](const mfq_tensor *t) { return mfq_layer_forward(layer, t, &y); });
  expect_refused(bad_tensors(false), x, "mfq_layer_forward: x",
                 [&](const mfq_tensor *t) { return mfq_layer_forward(layer, t, &y); });
  const mfq_tensor inside = dense(x_data.data() + 8, MFQ_DTYPE_F32, {4, 48}),
                   in_weight = dense(weight_data.data() + 8, MFQ_DTYPE_F32, {4, 48});
  EXPECT_TRUE(fails(mfq_layer_forward(layer, &x, &inside), invalid, {"mfq_layer_forward: ", "x", "y", "overlap"}));
  EXPECT_TRUE(fails(mfq_layer_forward(layer, &x, &in_weight), invalid, {"weight", "y", "overlap"}));
  EXPECT_EQ(state(), before);
  EXPECT_EQ(outputs(), untouched);
}

TEST_F(MisuseLayer, Gradients) {
  make("all=mxfp8_e4m3");
  EXPECT_TRUE(fails(backward(), invalid,
                    {"mfq_layer_backward: fc1: there is no forward to go back through; call mfq_layer_forward in "
                     "MFQ_LAYER_TRAIN first, and no other function of the layer in between"}));
  ASSERT_EQ(forward(), MFQ_OK) << mfq_last_error();
  const auto untouched = outputs();
  const std::string before = state();
  const mfq_tensor wrong = dense(dweight_data.data(), MFQ_DTYPE_F32, {64, 48}),
                   in_dx = dense(dx_data.data() + 3, MFQ_DTYPE_F32, {48}),
                   wrong_dx = dense(dx_data.data(), MFQ_DTYPE_F32, {4, 63});
  const std::vector<Bad<mfq_layer_gradients>> rows = {
      {[](mfq_layer_gradients *g) { g->struct_size = 8; }, invalid, "gradients->struct_size is 8"},
      {[](mfq_layer_gradients *g) { g->dy = nullptr; }, invalid, "gradients->dy is NULL"},
      {[&](mfq_layer_gradients *g) { g->dy = &x; }, bad_shape, "gradients->dy: its shape is [4, 64]"},
      {[&](mfq_layer_gradients *g) { g->dx = &wrong_dx; }, bad_shape, "gradients->dx: its shape is [4, 63]"},
      {[&](mfq_layer_gradients *g) { g->dweight = &wrong; }, bad_shape,
       "gradients->dweight: its shape is [64, 48], but the parameter's is [48, 64]"},
      {[&](mfq_layer_gradients *g) { g->dbias = &in_dx; }, invalid, {"gradients->dx", "gradients->dbias", "overlap"}},
      {[&](mfq_layer_gradients *g) { g->dweight = &weight; }, invalid, {"weight", "overlap"}},
      {[](mfq_layer_gradients *g) { g->accumulate = 2; }, invalid, "gradients->accumulate is 2; allowed is 0 ... 1"},
  };
  expect_refused(rows, gradients,
                 "mfq_layer_backward: ", [&](const mfq_layer_gradients *g) { return mfq_layer_backward(layer, g); });
  EXPECT_EQ(outputs(), untouched);
  EXPECT_EQ(state(), before);
  EXPECT_EQ(backward(), MFQ_OK) << mfq_last_error(); /* nothing of that counts */

  make("all=mxfp8_e4m3;ste=clipped");
  ASSERT_EQ(forward(), MFQ_OK) << mfq_last_error();
  gradients.accumulate = 1;
  EXPECT_TRUE(
      fails(backward(), invalid,
            {"mfq_layer_backward: fc1: gradients->accumulate is 1, but gradients change on their way through the "
             "quantizer of fprop.w; leave it 0 and add them"}));
  gradients.accumulate = 0;
  gradients.x = nullptr;
  EXPECT_TRUE(fails(backward(), invalid,
                    {"mfq_layer_backward: fc1: gradients->x is NULL, but backward reads it here (mfq_layer_needs_x); "
                     "give the x of forward"}));
  good.bias = nullptr;
  make();
  gradients.x = &x;
  ASSERT_EQ(forward(), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(fails(backward(), invalid, {"gradients->dbias is given, but the layer has no bias"}));
}

// A backward belongs to the forward before it: what runs in between has written over what that left.
TEST_F(MisuseLayer, BackwardAtAnotherTime) {
  make("all=mxfp8_e4m3");
  mfq_qtensor q;
  const std::function<mfq_status()> between[] = {
      [&] { return mfq_layer_set_mode(layer, MFQ_LAYER_TRAIN); }, [&] { return mfq_layer_set_step(layer, 3); },
      [&] { return mfq_layer_quant_weight(layer, &q); }, [&] { return mfq_layer_input_quant(layer, &x, &q); },
      [&] {
        const mfq_status status = mfq_layer_set_mode(layer, MFQ_LAYER_EVAL);
        return status == MFQ_OK ? forward() : status;
      }};
  for (const auto &call : between) {
    ASSERT_EQ(forward(), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(call(), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(fails(backward(), invalid, {"there is no forward to go back through"})) << &call - between;
  }
}

TEST_F(MisuseLayer, ModesAndSteps) {
  make();
  mfq_qtensor q;
  EXPECT_TRUE(fails(mfq_layer_set_step(layer, -1), invalid, {"mfq_layer_set_step: step is -1; allowed is 0 or more"}));
  mfq_layer_mode mode;
  set_raw(&mode, 2);
  EXPECT_TRUE(
      fails(mfq_layer_set_mode(layer, mode), invalid, {"mfq_layer_set_mode: ", "mode is 2; allowed is 0 ... 1"}));
  EXPECT_TRUE(fails(mfq_layer_quant_weight(layer, &q), invalid,
                    {"mfq_layer_quant_weight: fc1: fprop.w has no quantizer in this phase of the recipe"}));
  EXPECT_TRUE(fails(mfq_layer_input_quant(layer, &x, &q), invalid,
                    {"mfq_layer_input_quant: fc1: fprop.x has no quantizer in this phase of the recipe"}));
  make("x=collected:3|int8_tensor");
  ASSERT_EQ(mfq_layer_set_mode(layer, MFQ_LAYER_EVAL), MFQ_OK);
  EXPECT_TRUE(
      fails(forward(), invalid,
            {"mfq_layer_forward: fc1: x: ", "nothing was collected yet, so that there are no scales; run forward "
                                            "in MFQ_LAYER_TRAIN first"}));
}

TEST_F(MisuseLayer, Tensors) {
  make("x=delayed:3|int8_tensor");
  mfq_layer_tensor t;
  float values[48];
  EXPECT_TRUE(
      fails(mfq_layer_tensor_get(layer, -1, &t), invalid, {"mfq_layer_tensor_get: index is -1; this layer has"}));
  EXPECT_TRUE(fails(mfq_layer_tensor_get(layer, 99, &t), invalid, {"index is 99; this layer has tensors 0 ... 3"}));
  EXPECT_TRUE(fails(mfq_layer_tensor_read(layer, 1, values, 188), invalid,
                    {"mfq_layer_tensor_read: fc1: bytes is 188, but bias has 192"}));
  EXPECT_TRUE(fails(mfq_layer_tensor_write(layer, 2, values, 8), invalid,
                    {"mfq_layer_tensor_write: fc1: bytes is 8, but fprop.x.history has 12"}));
}

TEST_F(MisuseLayer, State) {
  make("x=delayed:3|int8_tensor");
  ASSERT_EQ(forward(), MFQ_OK) << mfq_last_error();
  const std::string good_line = state();
  ASSERT_EQ(good_line.substr(0, 41), "mfq-layer:1 step=1 seed=0 fprop.x=1 wgrad");
  char text[MFQ_LAYER_STATE_MAX];
  EXPECT_TRUE(fails(mfq_layer_state_print(layer, text, 20), invalid,
                    {"mfq_layer_state_print: ", "capacity is 20, but the text needs ", " bytes"}));
  const auto with = [&](const std::string &from, const std::string &to) {
    std::string line = good_line;
    return line.replace(line.find(from), from.size(), to);
  };
  const struct {
    std::string line;
    mfq_status status;
    const char *says;
  } rows[] = {
      {"", MFQ_ERROR_PARSE, "this is no state of a layer, or one of another version: it begins \"\""},
      {with("mfq-layer:1", "mfq-layer:2"), MFQ_ERROR_PARSE, "it begins \"mfq-layer:2 step=1 seed="},
      {with("mfq-layer:1 ", "mfq-layer:12 "), MFQ_ERROR_PARSE, "at column 12 there should be \" step=\""},
      {with("step=1", "step="), MFQ_ERROR_PARSE, "there should be \" step=\""},
      {with("step=1", "step=-1"), MFQ_ERROR_PARSE, "there should be \" step=\""},
      {with("step=1", "step=99999999999999999999"), MFQ_ERROR_PARSE, "column 12"},
      {with("seed=0", "seed=18446744073709551616"), MFQ_ERROR_PARSE, "at column 19 there should be \" seed=\""},
      {with("fprop.x=1", "fprop.w=1"), MFQ_ERROR_PARSE, "at column 26 there should be \" fprop.x=\""},
      {with(" recipe=", " recept="), MFQ_ERROR_PARSE, "there should be \" recipe=\""},
      {with("delayed:3", "delayed:4"), invalid, "make the layer with that recipe, or copy its weights alone"},
  };
  for (const auto &row : rows) {
    EXPECT_TRUE(
        fails(mfq_layer_state_parse(layer, row.line.c_str()), row.status, {"mfq_layer_state_parse: fc1: ", row.says}))
        << row.line;
    EXPECT_EQ(state(), good_line);
  }
}

// NaN and infinities are named with layer and step, and neither the step nor a history counts.
TEST_F(MisuseLayer, Watch) {
  good.watch = 1;
  make("all=delayed:3|fp8_e4m3_tensor");
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(forward(), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(backward(), MFQ_OK) << mfq_last_error();
  }
  const std::string before = state();
  std::fill(y_data.begin(), y_data.end(), -7.0f);
  x_data[3] = x_data[77] = NAN;
  x_data[80] = INFINITY;
  EXPECT_TRUE(
      fails(forward(), invalid,
            {"mfq_layer_forward: fc1: step 2: x has 2 NaN; look at what makes it: the layer before, the loss, or "
             "the step size"}));
  x_data[3] = x_data[77] = 1;
  EXPECT_TRUE(
      fails(forward(), invalid, {"mfq_layer_forward: fc1: step 2: x has an infinite element; look at what makes"}));
  x_data[80] = -INFINITY;
  EXPECT_TRUE(fails(forward(), invalid, {"mfq_layer_forward: fc1: step 2: x has an infinite element"}));
  EXPECT_EQ(state(), before);
  EXPECT_EQ(y_data[0], -7.0f);
  x_data[80] = 1;
  ASSERT_EQ(forward(), MFQ_OK) << mfq_last_error();
  std::fill(dx_data.begin(), dx_data.end(), -7.0f);
  const std::string after = state();
  dy_data[191] = NAN;
  EXPECT_TRUE(fails(backward(), invalid, {"mfq_layer_backward: fc1: step 2: dy has 1 NaN; look at what makes it"}));
  EXPECT_EQ(state(), after);
  EXPECT_EQ(dx_data[0], -7.0f);
  dy_data[191] = 1;
  EXPECT_EQ(backward(), MFQ_OK) << mfq_last_error();
}

} // namespace
