// tests/cli/calibrate_test.cc: mfq quantize --calibrate: scales of batches in other files.
#include <cmath>
#include <limits>

#include "json_report.h"
#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

using Values = std::vector<float>;

const float inf = std::numeric_limits<float>::infinity();
const float nan_value = std::numeric_limits<float>::quiet_NaN();

Tensor tensor(const std::string &name, const std::vector<int64_t> &shape, const Values &values) {
  return {name, "F32", shape, f32_data(values)};
}

// Eight values whose largest magnitude is `most`, on the negative side.
Values up_to(float most) { return {0.0f, most / 4, -most / 2, most / 8, -most, most / 3, 0.0f, most / 5}; }

class Calibrate : public testing::Test {
protected:
  Folder folder;
  std::string in = folder.file("in"), q = folder.file("q"), batches = folder.file("batches");
  const Values x = {0.1f, 0.2f, -0.3f, 0.4f, 0.5f, -0.6f, 0.7f, 9.0f};

  void SetUp() override { write_file(in, file_of({tensor("x", {2, 4}, x)})); }
  void write_batches(const std::vector<Tensor> &tensors) const { write_file(batches, file_of(tensors)); }
  Result quantize(const std::string &scheme, std::vector<std::string> more) const {
    std::vector<std::string> words = {MFQ_COMMAND, "quantize", in, "-o", q, "-f", "-s", scheme};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  static Tensor part(const std::string &path, const std::string &name) {
    for (const Tensor &t : tensors_of(path))
      if (t.name == name) return t;
    ADD_FAILURE() << path << " has no " << name;
    return {};
  }
  // The scales that the plain rule makes of a tensor with these values.
  Values plain_scales(const std::string &scheme, const std::vector<int64_t> &shape, const Values &values,
                      const std::string &suffix = "_scale") const {
    const std::string from = folder.file("plain_in"), to = folder.file("plain_q");
    write_file(from, file_of({tensor("y", shape, values)}));
    EXPECT_TRUE(exits(run({MFQ_COMMAND, "quantize", from, "-o", to, "-f", "-r", "y=" + scheme}), 0));
    const Tensor t = part(to, "y" + suffix);
    return t.dtype == "F32" ? f32_values(t.data) : Values(t.data.begin(), t.data.end());
  }
  // The scale of x by the batches equals that of a tensor up to `most`, and codes follow from it.
  void expect_most(float most, const std::vector<std::string> &more, const std::string &scheme = "int8_tensor") const {
    std::vector<std::string> words = {"--calibrate", batches};
    words.insert(words.end(), more.begin(), more.end());
    ASSERT_TRUE(exits(quantize(scheme, words), 0));
    const Values scale = f32_values(part(q, "x_scale").data);
    ASSERT_EQ(scale, plain_scales("int8_tensor", {2, 4}, up_to(most)));
    const std::string codes = part(q, "x").data;
    for (size_t i = 0; i < x.size(); ++i) {
      const double code = std::nearbyint(static_cast<double>(x[i]) / static_cast<double>(scale[0]));
      EXPECT_EQ(static_cast<signed char>(codes[i]), std::min(127.0, std::max(-128.0, code))) << i;
    }
  }
};

TEST_F(Calibrate, TakesTheStatisticOfBatchesInOrder) {
  // Any shape is a step of one scale; names go 0, 2, 10.
  write_batches({tensor("x.10", {8}, up_to(6)), tensor("x", {2, 4}, up_to(2)), tensor("x.2", {1, 8}, up_to(1))});
  expect_most(3, {});
  expect_most(6, {"--running", "extreme"});
  expect_most(3.75f, {"--running", "momentum:0.5"}); // (2 + 1) / 2, then with 6
  expect_most((2 * 0.9f + 0.1f * 1) * 0.9f + 0.1f * 6, {"--running", "momentum"});
  expect_most(6, {"--observer", "percentile:100", "--running", "extreme"});
  expect_most(2, {"--observer", "percentile:80", "--running", "momentum:1"}); // rank 6 of the 8 of the last one
  expect_most(3, {}, "int8n/tensor/f32:given");
}

TEST_F(Calibrate, TakesEverythingForASingleTensor) {
  write_batches({tensor("a", {8}, up_to(1)), tensor("b.c", {8}, up_to(2))});
  expect_most(1.5f, {});
  const std::string more = folder.file("more");
  write_file(more, file_of({{"z", "BF16", {8}, bf16_data(up_to(6))}}));
  expect_most(3, {"--calibrate", more});
}

TEST_F(Calibrate, TakesEachTensorsOwn) {
  write_file(in, file_of({tensor("a", {2, 4}, x), tensor("a.1", {2, 4}, x), tensor("b", {2, 4}, x)}));
  write_batches({tensor("a.0", {4, 4}, Values(16, 2.0f)), tensor("a.1", {3, 4}, Values(12, 3.0f)),
                 tensor("a.1.7", {3, 4}, Values(12, 5.0f)), tensor("b.0", {1, 4}, {1, 2, 3, 4}),
                 tensor("other", {1}, {1})});
  const Result r = quantize("int8/channel@1/f32", {"--calibrate", batches, "-q"});
  EXPECT_EQ(r.err, "mfq: warning: " + batches +
                       ": tensor 'other' calibrates nothing, as 1 in all do: no tensor of this name, or of what is "
                       "before its number, is quantized\n");
  ASSERT_EQ(r.code, 0);
  for (const auto &[name, row] :
       std::map<std::string, Values>{{"a", {2, 2, 2, 2}}, {"a.1", {4, 4, 4, 4}}, {"b", {1, 2, 3, 4}}})
    EXPECT_EQ(f32_values(part(q, name + "_scale").data), plain_scales("int8/channel@1/f32", {1, 4}, row)) << name;
  const Result planned = quantize("int8/channel@1/f32", {"--calibrate", batches, "--json", "--dry-run"});
  Json report(planned.out);
  EXPECT_EQ(json_integer_value(json_object_get(report.tensor("a.1"), "calibration_steps")), 2);
}

TEST_F(Calibrate, FindsZeroPoints) {
  const std::string scheme = "uint8/tensor/f32/zp";
  write_batches({tensor("x.0", {4}, {-1, 0, 2, 3}), tensor("x.1", {4}, {-3, 1, 0, 5})});
  ASSERT_TRUE(exits(quantize(scheme, {"--calibrate", batches}), 0));
  const Values range = {-2, 4, 0, 0, 0, 0, 0, 0}; // of ranges 4 and 8, low ends -1 and -3
  EXPECT_EQ(f32_values(part(q, "x_scale").data), plain_scales(scheme, {2, 4}, range));
  const std::string zero = part(q, "x_zero_point").data;
  EXPECT_EQ(Values(zero.begin(), zero.end()), plain_scales(scheme, {2, 4}, range, "_zero_point"));
  Values many(1000);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<float>(i) - 500.0f;
  many[3] = -1e6f; // beyond both ends
  many[4] = 1e6f;
  write_batches({tensor("x", {1000}, many)});
  ASSERT_TRUE(exits(quantize(scheme, {"--calibrate", batches, "--observer", "interval:1:99"}), 0));
  const Values inner = {-490, 490, 0, 0, 0, 0, 0, 0}; // ranks 10 and 990
  EXPECT_EQ(f32_values(part(q, "x_scale").data), plain_scales(scheme, {2, 4}, inner));
}

TEST_F(Calibrate, MakesScalesOfEveryKind) {
  const std::vector<int64_t> shape = {2, 64};
  Values wide(128);
  for (size_t i = 0; i < wide.size(); ++i) wide[i] = std::sin(static_cast<float>(i * i));
  write_file(in, file_of({tensor("x", shape, gaussian(128, 3))}));
  write_batches({tensor("x", shape, wide)});
  for (const char *scheme : {"mxfp8_e4m3", "mxfp4_e2m1_even", "int4/group:16/bf16", "e2m3/block:2x32/f16", "nvfp4"}) {
    SCOPED_TRACE(scheme);
    ASSERT_TRUE(exits(quantize(scheme, {"--calibrate", batches}), 0));
    const std::string codes = part(q, "x").data, scales = part(q, "x_scale").data;
    std::swap(in, batches); // the batch has the same scales by the plain rule
    ASSERT_TRUE(exits(quantize(scheme, {}), 0));
    EXPECT_EQ(part(q, "x_scale").data, scales);
    EXPECT_NE(part(q, "x").data, codes);
    std::swap(in, batches);
  }
}

TEST_F(Calibrate, SavesAndGoesOn) {
  const std::string state = folder.file("state"), other = folder.file("other"), rest = folder.file("rest");
  const std::string scheme = "int8/tensor/f32/zp";
  write_batches({tensor("x.0", {4}, {-1, 0, 2, 3}), tensor("x.1", {4}, {-3, 1, 0, 5})});
  ASSERT_TRUE(exits(quantize(scheme, {"--calibrate", batches, "--save-calibration", state}), 0));
  const std::vector<Tensor> kept = tensors_of(state);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0], (tensor("x", {}, {6})));
  EXPECT_EQ(kept[1], (tensor("x:zero_point", {}, {-2})));
  EXPECT_NE(
      read_file(state).find("mfq-collection:1 scheme=int8/f32/zp statistic=minmax running=mean steps=2/0 shape=[]"),
      std::string::npos);
  const std::string codes = read_file(q);
  ASSERT_TRUE(exits(quantize(scheme, {"--calibrate", state}), 0));
  EXPECT_EQ(read_file(q), codes);
  // Two more batches behind what was saved, or collected apart and merged: a mean of four.
  write_file(rest, file_of({tensor("x.2", {2}, {-2, 12}), tensor("x.3", {2}, {-2, 4})}));
  ASSERT_TRUE(exits(quantize(scheme, {"--calibrate", state, "--calibrate", rest, "--save-calibration", other}), 0));
  EXPECT_NEAR(f32_values(tensors_of(other)[0].data)[0], 8, 1e-5); // ranges 4, 8, 14, 6
  ASSERT_TRUE(exits(quantize(scheme, {"--calibrate", rest, "--save-calibration", other}), 0));
  ASSERT_TRUE(exits(
      quantize(scheme, {"--calibrate", state, "--calibrate", other, "--running", "mean", "--save-calibration", rest}),
      0));
  EXPECT_EQ(tensors_of(rest)[0].data, f32_data({8}));
  EXPECT_EQ(tensors_of(rest)[1].data, f32_data({-2}));
  EXPECT_TRUE(exits(quantize(scheme, {"--calibrate", state, "--running", "extreme"}), 1,
                    {state + ": tensor 'x': a collection that was not kept as --running asks for; leave that out"}));
  EXPECT_TRUE(exits(quantize(scheme, {"--calibrate", state, "--observer", "interval:0:100"}), 1,
                    {"a collection of statistic minmax, but --observer asks for interval:0:100; leave that out"}));
  EXPECT_TRUE(exits(quantize("int8_tensor", {"--calibrate", state}), 1,
                    {"tensor 'x': a collection of scheme int8/f32/zp, but 'x' becomes int8_tensor"}));
}

TEST_F(Calibrate, RefusesWrongWords) {
  write_batches({tensor("x", {8}, up_to(1))});
  const struct {
    std::vector<std::string> words;
    std::string says;
  } rows[] = {
      {{"--observer", "absmax"},
       "--observer says how batches are collected, and there are none: give --calibrate FILE"},
      {{"--running", "mean"}, "--running says how batches are collected, and there are none: give --calibrate FILE"},
      {{"--save-calibration", "s"}, "--save-calibration says how batches are collected"},
      {{"--calibrate", batches, "--observer", "largest"},
       "--observer: \"largest\" is no statistic; allowed are absmax"},
      {{"--calibrate", batches, "--observer", "percentile:101"},
       "--observer: \"percentile:101\": the percentile is 101; allowed is 0 ... 100"},
      {{"--calibrate", batches, "--observer", "low"},
       "--observer: 'low' is for zero points, which follow by themselves; take minmax, or interval:LOW:HIGH"},
      {{"--calibrate", batches, "--running", "momentum:0"},
       "--running: 'momentum:0' is not mean, extreme, momentum, or momentum:M with an M above 0 and at most 1"},
      {{"--calibrate", batches, "--running", "max"}, "--running: 'max' is not mean, extreme"},
      {{"--calibrate", batches, "--search", "mse"},
       "--search finds scales in a tensor, --calibrate in others; give one of them"},
      {{"--calibrate", batches, "--save-calibration", q}, "--save-calibration: '" + q + "' is the output, too"}};
  for (const auto &row : rows) EXPECT_TRUE(exits(quantize("int8_tensor", row.words), 2, {row.says}));
  EXPECT_TRUE(exits(quantize("int8/tensor/f32:given", {}), 2, {"or collect them (--calibrate FILE)"}));
}

TEST_F(Calibrate, RefusesWrongBatches) {
  const struct {
    const char *scheme;
    std::vector<Tensor> tensors;
    std::string says;
  } rows[] = {
      {"int8_tensor", {}, "no tensor calibrates 'x': batches have its name, or that and a number, such as 'x.0'"},
      {"int8_tensor", {tensor("x", {0, 4}, {})}, "tensor 'x': has no elements, which are no step; leave it out"},
      {"int8_tensor",
       {{"x", "I8", {8}, std::string(8, 'a')}},
       "tensor 'x': its dtype is I8, and only F32, BF16 and F16 can be collected"},
      {"int8/channel@1/f32",
       {tensor("x.3", {2, 3}, Values(6))},
       "tensor 'x.3': its shape is [2, 3], whose scales have shape [1, 3], but those of 'x' have [1, 4]; all steps of "
       "a "
       "tensor have scales as it has"},
      {"int8/channel@1/f32", {tensor("x", {4}, Values(4))}, "axis"},
      {"int8_tensor",
       {tensor("x.0", {2}, {1, 2}), tensor("x.1", {4}, {1, nan_value, inf, nan_value}), tensor("x.2", {1}, {inf})},
       "tensor 'x.1': 2 values are NaN and 1 infinite, so that no scales of 'x' can be made; leave it out"},
      {"int8_tensor", {tensor("x", {1}, {-inf})}, "0 values are NaN and 1 infinite"},
      {"e4m3fn/none", {tensor("x", {1}, {1})}, "tensor 'x': "},
      {"mxfp4_e2m1/hadamard:32", {tensor("x", {2, 4}, x)}, "tensor 'x': "}};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.says);
    write_batches(row.tensors);
    EXPECT_TRUE(exits(quantize(row.scheme, {"--calibrate", batches}), 1, {row.says}));
  }
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "batches"}));
  write_batches({tensor("x", {1}, {1})});
  EXPECT_TRUE(exits(quantize("int8/tensor/f32/zp", {"--calibrate", batches, "--observer", "sigma:3"}), 1,
                    {"tensor 'x': its scheme has zero points, whose ranges --observer sigma:3 does not find; take "
                     "minmax, or interval:LOW:HIGH"}));
  EXPECT_TRUE(exits(quantize("int8_tensor", {"--calibrate", folder.file("none")}), 1, {"none"}));
  const Result percentile = quantize("int8_tensor", {"--calibrate", batches, "--observer", "l2", "-q"});
  EXPECT_TRUE(exits(percentile, 0));
  write_batches({tensor("x", {2}, {3e38f, 3e38f})});
  EXPECT_TRUE(exits(quantize("int8_tensor", {"--calibrate", batches, "--observer", "l2"}), 1,
                    {"calibration of 'x': 1 of its 1 statistics are NaN or infinite, of which no scales can be made; "
                     "take another --observer"}));
}

TEST_F(Calibrate, RefusesWrongStates) {
  const std::string good = "mfq-collection:1 scheme=int8_tensor statistic=absmax running=mean steps=2/0 shape=[]";
  const struct {
    const char *scheme;
    std::string text;
    Tensor values;
    std::string says;
  } rows[] = {{"int8_tensor", "mfq-collection:2 scheme", tensor("x", {}, {1}), "this library reads mfq-collection:1"},
              {"int8_tensor", good, tensor("x", {2}, {1, 2}), "it has not the values of one"},
              {"int8_tensor", good, {"x", "F16", {2}, "abcd"}, "it has not the values of one"},
              {"int8_tensor",
               "mfq-collection:1 scheme=int8/tensor/f32 statistic=absmax running=mean steps=0/0 shape=[]",
               tensor("x", {}, {1}), "tensor 'x': a collection without steps"},
              {"int8_tensor", good, tensor("x", {}, {nan_value}), "1 of its 1 statistics are NaN or infinite"},
              {"int8/tensor/f32/zp",
               "mfq-collection:1 scheme=int8/tensor/f32/zp statistic=minmax running=mean steps=2/0 shape=[]",
               tensor("x", {}, {1}), "a collection without the one for zero points, which the scheme has"}};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.says);
    write_file(batches, file_of({row.values}, {{"x", row.text}}));
    EXPECT_TRUE(exits(quantize(row.scheme, {"--calibrate", batches}), 1, {row.says}));
  }
}

TEST_F(Calibrate, NeverReplacesAnInput) {
  write_batches({tensor("x", {8}, up_to(1))});
  const std::string before = read_file(batches);
  const std::vector<std::string> words = {MFQ_COMMAND,   "quantize",    in,     "-f", "-s",
                                          "int8_tensor", "--calibrate", batches};
  for (const std::vector<std::string> &more :
       {std::vector<std::string>{"-o", batches}, {"-o", q, "--save-calibration", batches}}) {
    std::vector<std::string> all = words;
    all.insert(all.end(), more.begin(), more.end());
    EXPECT_TRUE(exits(run(all), 1, {batches}));
  }
  EXPECT_EQ(read_file(batches), before);
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "batches"}));
  ASSERT_TRUE(
      exits(quantize("int8_tensor", {"--calibrate", batches, "--save-calibration", folder.file("s"), "-n"}), 0));
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "batches"})) << "a dry run writes nothing";
}

} // namespace
