// Optimizers: every bad argument is refused with a sentence, before anything is written.
#include <cmath>

#include "support/misuse.h"

namespace {

using namespace misuse;

// Good arguments: two tensors of one group, the second with codes.
struct Arguments {
  mfq_optimizer_options options;
  std::vector<mfq_optimizer_group> groups;
  std::vector<mfq_optimizer_tensor> tensors;
  mfq_qtensor row, col;
  mfq_scheme first, second;
  mfq_context *context;

  // Copies point at what they have themselves.
  void point() {
    options.groups = groups.data();
    options.tensors = tensors.data();
    if (tensors.size() > 1) tensors[1].row = &row;
    if (tensors.size() > 1) tensors[1].col = &col;
  }
};

mfq_scheme scheme_of(const char *text) {
  mfq_scheme s;
  EXPECT_EQ(mfq_scheme_parse(text, &s), MFQ_OK) << mfq_last_error();
  return s;
}

class MisuseOptimizer : public Misuse {
protected:
  std::vector<float> memory = std::vector<float>(4 * 4096, 0.5f);
  Owned row{"mxfp8_e4m3", {4, 64}}, col{"mxfp8_e4m3/group:32@0", {4, 64}};

  Arguments good(mfq_optimizer_kind kind = MFQ_OPTIMIZER_ADAMW) {
    Arguments a;
    mfq_optimizer_options_init(&a.options);
    a.options.kind = kind;
    a.groups.resize(2);
    for (mfq_optimizer_group &g : a.groups) mfq_optimizer_group_init(kind, &g);
    a.options.group_count = 2;
    a.tensors.resize(2);
    for (size_t i = 0; i < 2; ++i) {
      a.tensors[i] = {};
      a.tensors[i].name = i == 0 ? "one" : "two";
      a.tensors[i].value = dense(&memory[i * 8192], MFQ_DTYPE_F32, {4, 64});
      a.tensors[i].gradient = dense(&memory[i * 8192 + 4096], MFQ_DTYPE_F32, {4, 64});
    }
    a.options.tensor_count = 2;
    a.row = row.q;
    a.col = col.q;
    a.context = context;
    return a;
  }
  static mfq_status create(Arguments *a) {
    mfq_optimizer *optimizer = nullptr;
    a->point();
    const mfq_status status = mfq_optimizer_create(a->context, &a->options, &optimizer);
    EXPECT_EQ(optimizer == nullptr, status != MFQ_OK);
    mfq_optimizer_destroy(optimizer);
    return status;
  }
  void expect(const std::vector<Bad<Arguments>> &rows, mfq_optimizer_kind kind = MFQ_OPTIMIZER_ADAMW) {
    for (const Bad<Arguments> &bad : rows) {
      Arguments a = good(kind);
      EXPECT_EQ(create(&a), MFQ_OK) << mfq_last_error();
      bad.spoil(&a);
      std::vector<std::string> says = bad.says;
      says.push_back("mfq_optimizer_create: ");
      EXPECT_TRUE(fails(create(&a), bad.status, says));
    }
  }
};

TEST_F(MisuseOptimizer, Options) {
  expect({{[](Arguments *a) { a->context = nullptr; }, invalid, "context is NULL"},
          {[](Arguments *a) { a->options.struct_size = 8; }, invalid, "mfq_optimizer_options_init first"},
          {[](Arguments *a) { set_raw(&a->options.kind, 2); }, invalid, "kind is 2; allowed is 0 ... 1"},
          {[](Arguments *a) { a->options.name = ""; }, invalid, "name has 0 bytes; allowed is 1 ... 127"},
          {[](Arguments *a) { a->options.name = "a\nb"; }, invalid, "control character at byte 1"},
          {[](Arguments *a) { a->options.group_count = -1; }, invalid, "group_count is -1; allowed is 0 ... 64"},
          {[](Arguments *a) { a->options.group_count = 65; }, invalid, "group_count is 65; allowed is 0 ... 64"},
          {[](Arguments *a) { a->options.tensor_count = -1; }, invalid, "tensor_count is -1"},
          {[](Arguments *a) { a->options.clip_norm = -1; }, invalid, "clip_norm is -1; allowed is 0, for none, or"},
          {[](Arguments *a) { a->options.clip_norm = NAN; }, invalid, "clip_norm is NaN"},
          {[](Arguments *a) { a->options.clip_norm = HUGE_VALF; }, invalid, "clip_norm is infinite"}});
  mfq_optimizer *optimizer = nullptr;
  EXPECT_TRUE(fails(mfq_optimizer_create(context, nullptr, &optimizer), invalid, {"options is NULL"}));
  Arguments a = good();
  a.point();
  EXPECT_TRUE(fails(mfq_optimizer_create(context, &a.options, nullptr), invalid, {"optimizer is NULL"}));
  a.options.groups = nullptr;
  EXPECT_TRUE(fails(mfq_optimizer_create(context, &a.options, &optimizer), invalid, {"options->groups is NULL"}));
  a.point();
  a.options.tensors = nullptr;
  EXPECT_TRUE(fails(mfq_optimizer_create(context, &a.options, &optimizer), invalid, {"options->tensors is NULL"}));
  mfq_optimizer_options_init(nullptr);
  mfq_optimizer_group_init(MFQ_OPTIMIZER_SGD, nullptr);
  mfq_optimizer_destroy(nullptr);
}

TEST_F(MisuseOptimizer, Groups) {
  static const char share[] = "allowed is 0 or more, and less than 1";
  expect(
      {{[](Arguments *a) { a->groups[1].struct_size = 0; },
        invalid,
        {"options->groups[1]->struct_size is 0", "mfq_optimizer_group_init first"}},
       {[](Arguments *a) { a->groups[1].rate = -0.5; },
        invalid,
        {"options->groups[1]: rate is -0.5; allowed is a finite number from 0 on"}},
       {[](Arguments *a) { a->groups[0].rate = NAN; }, invalid, "options->groups[0]: rate is NaN"},
       {[](Arguments *a) { a->groups[0].rate = HUGE_VAL; }, invalid, "rate is infinite"},
       {[](Arguments *a) { a->groups[0].beta1 = 1; }, invalid, {"beta1 is 1", share}},
       {[](Arguments *a) { a->groups[0].beta1 = -0.25; }, invalid, {"beta1 is -0.25", share}},
       {[](Arguments *a) { a->groups[0].beta1 = NAN; }, invalid, {"beta1 is NaN", share}},
       {[](Arguments *a) { a->groups[0].beta2 = 1.5; }, invalid, {"beta2 is 1.5", share}},
       {[](Arguments *a) { a->groups[0].epsilon = 0; }, invalid, "epsilon is 0; allowed is a finite number above 0"},
       {[](Arguments *a) { a->groups[0].epsilon = 1e-60; }, invalid, "epsilon is 1e-60"},
       {[](Arguments *a) { a->groups[0].epsilon = -1; }, invalid, "epsilon is -1"},
       {[](Arguments *a) { a->groups[0].epsilon = 1e39; }, invalid, "epsilon is 1e+39"},
       {[](Arguments *a) { a->groups[0].rate = 1e39; }, invalid,
        "rate is 1e+39; allowed is a finite number from 0 on, which float32 holds"},
       {[](Arguments *a) { a->options.group_count = 0; }, invalid, "options->groups is given, but there are 0 of them"},
       {[](Arguments *a) { a->options.tensor_count = 0; }, invalid,
        "options->tensors is given, but there are 0 of them"},
       {[](Arguments *a) { a->groups[0].weight_decay = -1; }, invalid, "weight_decay is -1"},
       {[](Arguments *a) { a->groups[0].nesterov = 1; }, invalid, "nesterov is 1; allowed is 0 ... 0"}});
  expect({{[](Arguments *a) { a->groups[0].beta2 = 0.5; }, invalid, "beta2 is 0.5; allowed is 0 for SGD"},
          {[](Arguments *a) { a->groups[0].epsilon = 1; }, invalid, "epsilon is 1; allowed is 0 for SGD"},
          {[](Arguments *a) { a->groups[0].nesterov = 1; }, invalid, "nesterov is 1; allowed is 0 ... 0"},
          {[](Arguments *a) {
             a->groups[0].beta1 = 0.5;
             a->groups[0].nesterov = 2;
           },
           invalid, "nesterov is 2; allowed is 0 ... 1"}},
         MFQ_OPTIMIZER_SGD);
}

TEST_F(MisuseOptimizer, Moments) {
  const auto first = [](const char *text) {
    return [text](Arguments *a) {
      a->first = scheme_of(text);
      a->options.first = &a->first;
    };
  };
  const auto second = [](const char *text) {
    return [text](Arguments *a) {
      a->second = scheme_of(text);
      a->options.second = &a->second;
    };
  };
  expect({{first("e4m3fn"), invalid, {"options->first", "no scales that moments would be measured for"}},
          {first("int8/group:32/f32:given"), invalid, {"options->first", "rule given reads scales", "(absmax)"}},
          {first("int8/channel@0/f32"), invalid, {"a scale for each channel, but moments are one row of elements"}},
          {first("int8/block:16x16/f32"), invalid, "a scale for each block"},
          {first("int8/group:32/f32/round:stochastic"), MFQ_ERROR_UNSUPPORTED, "draws random bits"},
          {first("nvfp4_ms_eden"), MFQ_ERROR_UNSUPPORTED, "draws random bits"},
          {first("mxfp4_e2m1/hadamard:32"), MFQ_ERROR_UNSUPPORTED, "rotates elements (hadamard:32)"},
          {first("uint8/group:32/f32"), invalid, "first moments have both signs"},
          {first("int8/group:32@1/f32"), bad_shape, "axis is 1, but the rank is 1"},
          {[](Arguments *a) {
             a->first = scheme_of("int8/group:32/f32");
             a->first.group_size = 0;
             a->options.first = &a->first;
           },
           invalid, "group_size is 0"},
          {second("e4m3fn"), invalid, {"options->second", "no scales"}}});
  expect({{second("uint8/group:32/f32"), invalid, "SGD has no second moments; leave it NULL"}}, MFQ_OPTIMIZER_SGD);
}

TEST_F(MisuseOptimizer, Tensors) {
  static const std::string longest(128, 'n');
  expect({{[](Arguments *a) { a->tensors[1].name = nullptr; }, invalid, "options->tensors[1].name is NULL"},
          {[](Arguments *a) { a->tensors[1].name = ""; }, invalid, "options->tensors[1].name has 0 bytes"},
          {[](Arguments *a) { a->tensors[1].name = longest.c_str(); }, invalid, "has 128 bytes; allowed is 1 ... 127"},
          {[](Arguments *a) { a->tensors[1].name = "\t"; }, invalid, "control character at byte 0"},
          {[](Arguments *a) { a->tensors[1].name = "one"; }, invalid,
           "options->tensors[0] and options->tensors[1] are both named 'one'"},
          {[](Arguments *a) { a->tensors[1].group = 2; },
           invalid,
           {"options->tensors[1] (two): group is 2; allowed is 0 ... 1"}},
          {[](Arguments *a) { a->tensors[0].group = -1; }, invalid, "group is -1"},
          {[](Arguments *a) { a->tensors[0].stochastic = 1; },
           invalid,
           {"options->tensors[0].value (one): stochastic is 1; allowed is 0 ... 0"}},
          {[](Arguments *a) { a->tensors[0].value.dtype = MFQ_DTYPE_F16; }, invalid,
           "dtype is f16; allowed are f32 and bf16"},
          {[](Arguments *a) { a->tensors[0].value.strides[0] = 128; },
           MFQ_ERROR_UNSUPPORTED,
           {"options->tensors[0].value (one)", "are not dense"}},
          {[](Arguments *a) { a->tensors[1].gradient.strides[0] = 0; },
           MFQ_ERROR_UNSUPPORTED,
           {"options->tensors[1].gradient (two)", "are not dense"}},
          {[](Arguments *a) { a->tensors[1].gradient.shape[0] = 3; },
           bad_shape,
           {"options->tensors[1].gradient (two): shape is [3, 64], but options->tensors[1].value (two) has [4, 64]"}},
          {[](Arguments *a) { a->tensors[0].value.data = nullptr; }, invalid, "data is NULL"},
          {[](Arguments *a) { a->tensors[0].gradient.data = nullptr; }, invalid, "data is NULL"},
          {[](Arguments *a) { set_raw(&a->tensors[0].gradient.dtype, 9); }, invalid, "dtype is 9"},
          {[](Arguments *a) { a->tensors[0].gradient.data = a->tensors[0].value.data; }, invalid, "overlap in memory"},
          {[](Arguments *a) { a->tensors[1].gradient.data = a->tensors[0].value.data; },
           invalid,
           {"options->tensors[0].value (one): data and options->tensors[1].gradient (two): data overlap in memory"}},
          {[](Arguments *a) { a->tensors[1].value.data = a->tensors[0].value.data; }, invalid, "overlap in memory"}});
  // One gradient may be that of two tensors.
  Arguments a = good();
  a.tensors[1].gradient.data = a.tensors[0].gradient.data;
  EXPECT_EQ(create(&a), MFQ_OK) << mfq_last_error();
}

TEST_F(MisuseOptimizer, Codes) {
  expect({{[](Arguments *a) { a->row.shape[1] = 32; },
           bad_shape,
           {"options->tensors[1].row (two): shape is [4, 32], but options->tensors[1].value (two) has [4, 64]"}},
          {[](Arguments *a) { a->col.codes = nullptr; }, invalid, {"options->tensors[1].col (two): codes is NULL"}},
          {[](Arguments *a) { a->col.codes = a->row.codes; }, invalid, "overlap in memory"},
          {[](Arguments *a) { a->row.scales = a->tensors[0].value.data; },
           invalid,
           {"options->tensors[0].value (one)", "options->tensors[1].row (two): scales overlap in memory"}},
          {[](Arguments *a) { a->row.scheme.rounding = MFQ_ROUND_STOCHASTIC; },
           MFQ_ERROR_UNSUPPORTED,
           {"options->tensors[1].row (two)", "draws random bits"}},
          {[](Arguments *a) { a->row.scheme.group_size = 0; }, invalid, "group_size is 0"}});
}

TEST_F(MisuseOptimizer, Settings) {
  Arguments a = good(MFQ_OPTIMIZER_SGD);
  mfq_optimizer *o = nullptr;
  a.point();
  ASSERT_EQ(mfq_optimizer_create(context, &a.options, &o), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(fails(mfq_optimizer_step(nullptr), invalid, {"optimizer is NULL"}));
  EXPECT_TRUE(fails(mfq_optimizer_set_rate(nullptr, 0, 1), invalid, {"optimizer is NULL"}));
  EXPECT_TRUE(fails(mfq_optimizer_set_rate(o, 2, 1), invalid, {"optimizer: group is 2; allowed is 0 ... 1"}));
  EXPECT_TRUE(fails(mfq_optimizer_set_rate(o, 0, -1), invalid, {"rate is -1"}));
  EXPECT_TRUE(fails(mfq_optimizer_set_group(o, 0, nullptr), invalid, {"numbers is NULL"}));
  mfq_optimizer_group g = a.groups[0];
  g.beta1 = 0.5;
  EXPECT_TRUE(fails(mfq_optimizer_set_group(o, 1, &g), invalid,
                    {"beta1 is above 0, but group 1 of 'optimizer' was made without a momentum"}));
  for (const auto &[scale, word] :
       {std::pair<float, const char *>{0.0f, "scale is 0"}, {-1.0f, "negative"}, {NAN, "NaN"}, {HUGE_VALF, "infinite"}})
    EXPECT_TRUE(
        fails(mfq_optimizer_set_gradient_scale(o, scale), invalid, {word, "allowed is a finite number above 0"}));
  EXPECT_TRUE(fails(mfq_optimizer_set_gradient_scale(nullptr, 1), invalid, {"optimizer is NULL"}));
  mfq_optimizer_report report;
  mfq_optimizer_memory bytes;
  EXPECT_TRUE(fails(mfq_optimizer_report_get(nullptr, &report), invalid, {"optimizer is NULL"}));
  EXPECT_TRUE(fails(mfq_optimizer_report_get(o, nullptr), invalid, {"report is NULL"}));
  EXPECT_TRUE(fails(mfq_optimizer_memory_get(o, nullptr), invalid, {"memory is NULL"}));
  EXPECT_TRUE(fails(mfq_optimizer_memory_get(nullptr, &bytes), invalid, {"optimizer is NULL"}));
  EXPECT_EQ(mfq_optimizer_memory_get(o, &bytes), MFQ_OK);
  EXPECT_EQ(bytes.moments, 0u); /* no group has a momentum */
  EXPECT_STREQ(mfq_optimizer_name(nullptr), "");
  EXPECT_STREQ(mfq_optimizer_name(o), "optimizer");
  EXPECT_EQ(mfq_optimizer_describe(o, 2), nullptr);
  EXPECT_EQ(mfq_optimizer_describe(nullptr, 0), nullptr);
  EXPECT_NE(mfq_optimizer_describe(o, 1), nullptr);
  mfq_optimizer_destroy(o);
}

TEST_F(MisuseOptimizer, PartsAndState) {
  Arguments a = good();
  a.options.name = "adam";
  mfq_optimizer *o = nullptr;
  a.point();
  ASSERT_EQ(mfq_optimizer_create(context, &a.options, &o), MFQ_OK) << mfq_last_error();
  mfq_optimizer_part part;
  std::vector<float> host(256);
  EXPECT_EQ(mfq_optimizer_part_count(nullptr), 0);
  ASSERT_EQ(mfq_optimizer_part_count(o), 4);
  EXPECT_TRUE(fails(mfq_optimizer_part_get(o, 4, &part), invalid, {"index is 4; this optimizer has parts 0 ... 3"}));
  EXPECT_TRUE(fails(mfq_optimizer_part_get(o, -1, &part), invalid, {"index is -1"}));
  EXPECT_TRUE(fails(mfq_optimizer_part_get(o, 0, nullptr), invalid, {"part is NULL"}));
  EXPECT_TRUE(fails(mfq_optimizer_part_read(o, 0, host.data(), 1023), invalid,
                    {"adam: bytes is 1023, but one.first has 1024"}));
  EXPECT_TRUE(fails(mfq_optimizer_part_write(o, 3, host.data(), 1025), invalid, {"but two.second has 1024"}));
  EXPECT_TRUE(fails(mfq_optimizer_part_write(o, 3, nullptr, 1024), invalid, {"host is NULL"}));
  char text[MFQ_OPTIMIZER_STATE_MAX];
  EXPECT_TRUE(fails(mfq_optimizer_state_print(nullptr, text, sizeof text), invalid, {"optimizer is NULL"}));
  EXPECT_TRUE(fails(mfq_optimizer_state_print(o, nullptr, sizeof text), invalid, {"text is NULL"}));
  EXPECT_TRUE(fails(mfq_optimizer_state_print(o, text, 20), invalid, {"capacity is 20, but the text needs "}));
  ASSERT_EQ(mfq_optimizer_state_print(o, text, sizeof text), MFQ_OK) << mfq_last_error();
  const std::string line = text;
  EXPECT_EQ(line, "mfq-optimizer:1 kind=adamw steps=0 skipped=0 seed=0 scale=1 first=f32 second=f32 "
                  "group=0.001,0.9,0.999,1e-08,0.01,1,1,0 group=0.001,0.9,0.999,1e-08,0.01,1,1,0");
  EXPECT_TRUE(fails(mfq_optimizer_state_parse(o, nullptr), invalid, {"text is NULL"}));
  EXPECT_TRUE(fails(mfq_optimizer_state_parse(nullptr, text), invalid, {"optimizer is NULL"}));
  const auto with = [&](const std::string &from, const std::string &to) {
    std::string changed = line;
    changed.replace(changed.find(from), from.size(), to);
    return changed;
  };
  const struct {
    std::string text;
    mfq_status status;
    std::string says;
  } rows[] = {
      {"", MFQ_ERROR_PARSE, "adam: this is no state of an optimizer"},
      {with("optimizer:1", "optimizer:2"), MFQ_ERROR_PARSE, "or one of another version"},
      {with(" kind", " kin"), MFQ_ERROR_PARSE, "at column 16 there should be \" kind=\""},
      {with("adamw", "sgd"), invalid, "the state has kind=sgd, but the optimizer adamw"},
      {with("steps=0", "steps=-1"), MFQ_ERROR_PARSE, "\" steps=\""},
      {with("steps=0", "steps=9223372036854775808"), MFQ_ERROR_PARSE, "\" steps=\""},
      {with("skipped=0", "skipped=x"), MFQ_ERROR_PARSE, "\" skipped=\""},
      {with("seed=0", "seed="), MFQ_ERROR_PARSE, "\" seed=\""},
      {with("scale=1", "scale=0"), MFQ_ERROR_PARSE, "\" scale=\""},
      {with("scale=1", "scale=0.1000000000001"), MFQ_ERROR_PARSE, "\" scale=\""},
      {with("first=f32", "first=int8/group:128/f32"), invalid, "first=int8/group:128/f32, but the optimizer f32"},
      {with("second=f32", "secnd=f32"), MFQ_ERROR_PARSE, "\" second=\""},
      {with("group=0.001", "group=-0.001"), MFQ_ERROR_PARSE, "\" group=\""},
      {with("0.9,0.999", "1,0.999"), MFQ_ERROR_PARSE, "\" group=\""},
      {with(",1,1,0", ",1,2,0"), MFQ_ERROR_PARSE, "\" group=\""},
      {with(",1,1,0", ",1,1,2"), MFQ_ERROR_PARSE, "\" group=\""},
      {with(",1,1,0", ",1,0"), MFQ_ERROR_PARSE, "\" group=\""},
      {line.substr(0, line.rfind(" group")), invalid, "of fewer groups than the 2"},
      {line + line.substr(line.rfind(" group")), invalid, "of more groups than the 2"},
      {line + " ", MFQ_ERROR_PARSE, "\" group=\""},
  };
  for (const auto &row : rows) {
    EXPECT_TRUE(fails(mfq_optimizer_state_parse(o, row.text.c_str()), row.status, {row.says})) << row.text;
    ASSERT_EQ(mfq_optimizer_state_print(o, text, sizeof text), MFQ_OK);
    EXPECT_EQ(line, text);
  }
  mfq_optimizer_destroy(o);
}

} // namespace
