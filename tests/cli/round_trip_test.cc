// tests/cli/round_trip_test.cc: mfq quantize and mfq dequantize on files.
#include <unistd.h>

#include <cmath>

#include "json_report.h"
#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

class RoundTrip : public testing::Test {
protected:
  Folder folder;
  std::string in = folder.file("in"), q = folder.file("q"), out = folder.file("out");
  std::string before;

  void SetUp() override {
    before = file_of(model(), {{"format", "pt"}, {"note", "line\nbreak"}});
    write_file(in, before);
  }
  void TearDown() override {
    EXPECT_EQ(read_file(in), before) << "the input was touched";
    for (const std::string &name : folder.names()) EXPECT_NE(name[0], '.') << "left behind: " << name;
  }
  Result quantize(std::vector<std::string> more) {
    std::vector<std::string> words = {MFQ_COMMAND, "quantize", in, "-o", q};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  Result dequantize(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {MFQ_COMMAND, "dequantize", q, "-o", out};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
};

TEST_F(RoundTrip, RestoresNamesShapesOrderAndDtypes) {
  for (const char *scheme :
       {"mxfp8_e4m3", "nvfp4", "mxfp6_e2m3", "int4/group:16/f32/zp", "int8_channel", "e5m2/block:4x4/bf16",
        "e3m4/tensor/none", "brevitas:MXFloat8e4m3Weight", "int3/group:5/f16"}) {
    SCOPED_TRACE(scheme);
    ASSERT_TRUE(exits(quantize({"--scheme", scheme, "--force"}), 0));
    ASSERT_TRUE(exits(dequantize({"--force"}), 0));
    const std::vector<Tensor> want = model(), got = tensors_of(out);
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      SCOPED_TRACE(want[i].name);
      EXPECT_EQ(got[i].name, want[i].name);
      EXPECT_EQ(got[i].dtype, want[i].dtype);
      EXPECT_EQ(got[i].shape, want[i].shape);
      EXPECT_EQ(got[i].data.size(), want[i].data.size());
      bool is_weight = want[i].name == "z.weight" || want[i].name == "a.conv";
      EXPECT_EQ(got[i].data == want[i].data, !is_weight);
    }
    Json inspected(run({MFQ_COMMAND, "inspect", out, "--json"}).out);
    json_t *metadata = json_object_get(inspected.root, "metadata");
    EXPECT_EQ(json_object_size(metadata), 2u);
    EXPECT_EQ(text(metadata, "format"), "pt");
    EXPECT_EQ(text(metadata, "note"), "line\nbreak");
  }
}

// MXFP8 by hand: groups of 32 along axis 1 of [24, 70], a power-of-two scale, errors of at most half a step.
TEST_F(RoundTrip, ErrorsAreThoseOfTheFormat) {
  ASSERT_TRUE(exits(quantize({"--scheme", "mxfp8_e4m3_rceil"}), 0));
  ASSERT_TRUE(exits(dequantize({"--dtype", "f32"}), 0));
  const std::vector<Tensor> codes = tensors_of(q);
  EXPECT_EQ(codes[0].name, "z.weight");
  EXPECT_EQ(codes[0].dtype, "F8_E4M3");
  EXPECT_EQ(codes[1].name, "z.weight_scale");
  EXPECT_EQ(codes[1].shape, (std::vector<int64_t>{24, 3}));
  const std::vector<float> want = f32_values(model()[0].data), got = f32_values(tensors_of(out)[0].data);
  for (size_t row = 0; row < 24; ++row) {
    for (size_t column = 0; column < 70; ++column) {
      const float scale = std::ldexp(1.0f, static_cast<unsigned char>(codes[1].data[row * 3 + column / 32]) - 127);
      const float value = want[row * 70 + column] / scale;
      ASSERT_LE(std::fabs(value), 448.0f); // rceil never saturates
      const float step = std::ldexp(1.0f, std::max(std::ilogb(value), -6) - 3);
      EXPECT_LE(std::fabs(got[row * 70 + column] / scale - value), 0.5f * step);
    }
  }
}

TEST_F(RoundTrip, DtypeOverridesTheOriginal) {
  ASSERT_TRUE(exits(quantize({"--scheme", "mxfp8_e4m3"}), 0));
  for (const char *dtype : {"f32", "bf16", "f16"}) {
    ASSERT_TRUE(exits(dequantize({"--force", "--dtype", dtype}), 0));
    const std::vector<Tensor> got = tensors_of(out);
    std::string upper = dtype;
    for (char &c : upper) c = static_cast<char>(toupper(c));
    EXPECT_EQ(got[0].dtype, upper);
    EXPECT_EQ(got[2].dtype, upper);
    EXPECT_EQ(got[1].dtype, "F32") << "tensors that are not quantized are copied";
  }
}

TEST_F(RoundTrip, RulesDecideInOrder) {
  Result r = quantize({"--scheme", "mxfp8_e4m3", "--rule", "conv$=keep", "--rule",
                       "^z\\.(bias|nothing)$=int4/group:5/f32", "--rule", "^[a-z]\\.=int8/channel/f32", "--json"});
  ASSERT_TRUE(exits(r, 0));
  Json report(r.out);
  EXPECT_EQ(report.integer("version"), 1);
  EXPECT_EQ(text(report.tensor("a.conv"), "scheme"), "");
  EXPECT_EQ(text(report.tensor("a.conv"), "rule"), "conv$=keep");
  EXPECT_EQ(text(report.tensor("z.bias"), "scheme"), "int4/group:5@0/f32");
  EXPECT_EQ(text(report.tensor("z.weight"), "scheme"), "int8/channel@0/f32");
  EXPECT_EQ(text(report.tensor("empty"), "scheme"), "");
  EXPECT_EQ(text(report.tensor("scale"), "scheme"), "");
  EXPECT_EQ(report.integer("file_bytes_out"), static_cast<json_int_t>(read_file(q).size()));
  const std::vector<Tensor> got = tensors_of(q);
  std::vector<std::string> names;
  for (const Tensor &t : got) names.push_back(t.name);
  EXPECT_EQ(names, (std::vector<std::string>{"z.weight", "z.weight_scale", "z.bias", "z.bias_scale", "a.conv", "ids",
                                             "empty", "scale"}));
  EXPECT_EQ(got[4], model()[2]);
}

TEST_F(RoundTrip, RulesWithoutASchemeLeaveTheRest) {
  ASSERT_TRUE(exits(quantize({"--rule", "z.weight=e4m3fn/group:32@-1/ue8m0", "--json"}), 0));
  const std::vector<Tensor> got = tensors_of(q);
  ASSERT_EQ(got.size(), 7u);
  EXPECT_EQ(got[0].dtype, "F8_E4M3");
  EXPECT_EQ(got[3], model()[2]);
  Json inspected(run({MFQ_COMMAND, "inspect", q, "--json"}).out);
  EXPECT_EQ(text(inspected.tensor("z.weight"), "scheme"), "e4m3fn/group:32@1/ue8m0") << "the axis is written out";
  EXPECT_EQ(text(inspected.tensor("z.weight_scale"), "scheme"), "scale of z.weight");
}

TEST_F(RoundTrip, RulesThatDoNotFitAreErrors) {
  EXPECT_TRUE(exits(quantize({"--rule", "no.such=int8_tensor"}), 2,
                    {"rule 'no.such=int8_tensor'", "decides no tensor: it matches no name", "mfq inspect"}));
  EXPECT_TRUE(exits(quantize({"--rule", "z=keep", "--rule", "z.bias=int8_tensor"}), 2,
                    {"rule 'z.bias=int8_tensor'", "earlier rules", "put it before them"}));
  EXPECT_TRUE(exits(quantize({"--rule", "ids=int8_tensor"}), 1, {"tensor 'ids'", "I64", "REGEX=keep"}));
  EXPECT_TRUE(exits(quantize({"--scheme", "int4/group:4@2/f32"}), 1, {"tensor 'z.weight'", "axis is 2"}));
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
}

// Vectors and scalars too, when a rule asks for them.
TEST_F(RoundTrip, AnyRankCanBeQuantized) {
  ASSERT_TRUE(exits(quantize({"--rule", "scale|bias=int8n/group:4/f32"}), 0));
  ASSERT_TRUE(exits(dequantize(), 0));
  const std::vector<Tensor> got = tensors_of(out);
  EXPECT_EQ(got[5], model()[5]) << "1 = 127 * (1 / 127) in f16";
  EXPECT_EQ(got[1].shape, model()[1].shape);
  EXPECT_NE(got[1].data, model()[1].data);
}

TEST_F(RoundTrip, PartNamesThatAreTakenAreRefused) {
  std::vector<Tensor> tensors = model();
  tensors.push_back({"a.conv_scale", "F32", {}, "1234"});
  write_file(in, before = file_of(tensors));
  EXPECT_TRUE(exits(quantize({"--scheme", "mxfp8_e4m3"}), 1,
                    {"tensor 'a.conv'", "'a.conv_scale'", "--rule '^a\\.conv$=keep'"}));
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
}

TEST_F(RoundTrip, QuantizedFilesAreNotQuantizedAgain) {
  ASSERT_TRUE(exits(quantize({"--scheme", "mxfp8_e4m3"}), 0));
  EXPECT_TRUE(
      exits(run({MFQ_COMMAND, "quantize", q, "-o", out, "-s", "int8_tensor"}), 1, {"already", "mfq dequantize"}));
}

/* The file says which rotation there is, and the way back takes it from there: an outlier costs less with one. */
TEST_F(RoundTrip, Rotations) {
  std::vector<float> x = gaussian(16 * 64, 5);
  for (size_t i = 0; i < x.size(); i += 32) x[i] *= 30.0f;
  before = file_of({{"w.weight", "F32", {16, 64}, f32_data(x)}}, {});
  write_file(in, before);
  double snr[2];
  for (const bool is_rotated : {false, true}) {
    const std::string scheme = std::string("mxfp4_e2m1") + (is_rotated ? "/hadamard:32:seed:77" : "");
    ASSERT_TRUE(exits(quantize({"--scheme", scheme, "--force"}), 0));
    const std::string shown = is_rotated ? "e2m1/group:32@1/ue8m0/hadamard:32:seed:77" : "e2m1/group:32@1/ue8m0";
    EXPECT_NE(run({MFQ_COMMAND, "inspect", q}).out.find(shown + "\n"), std::string::npos);
    ASSERT_TRUE(exits(dequantize({"--force"}), 0));
    Json compared(run({MFQ_COMMAND, "compare", in, out, "--json"}).out);
    snr[is_rotated] = json_number_value(json_object_get(json_object_get(compared.root, "all"), "sqnr_db"));
  }
  EXPECT_GT(snr[1], snr[0] + 1);
  EXPECT_TRUE(exits(quantize({"--scheme", "mxfp4_e2m1/hadamard:128", "--force"}), 1,
                    {"axis 1 of [16, 64] has 64 elements, which hadamard:128 does not divide", "--rule REGEX=keep"}));
}

TEST_F(RoundTrip, DryRunKnowsTheExactSize) {
  for (const char *scheme : {"mxfp8_e4m3", "nvfp4", "int4/group:16/f32/zp", "int3/channel/bf16"}) {
    Json planned(quantize({"--scheme", scheme, "--dry-run", "--json"}).out);
    EXPECT_EQ(folder.names(), std::set<std::string>{"in"}) << "a dry run wrote something";
    Json done(quantize({"--scheme", scheme, "--json"}).out);
    const json_int_t size = static_cast<json_int_t>(read_file(q).size());
    EXPECT_EQ(planned.integer("file_bytes_out"), size) << scheme;
    EXPECT_EQ(done.integer("file_bytes_out"), size) << scheme;
    EXPECT_GT(planned.integer("peak_memory_bytes"), 32 << 20);
    std::filesystem::remove(q);
  }
  Result without_output = run({MFQ_COMMAND, "quantize", in, "--scheme", "nvfp4", "--dry-run"});
  EXPECT_TRUE(exits(without_output, 0));
  EXPECT_NE(without_output.out.find("peak memory at most"), std::string::npos) << without_output.out;
}

TEST_F(RoundTrip, OutputsAreKeptUnlessForced) {
  write_file(q, "precious");
  EXPECT_TRUE(exits(quantize({"--scheme", "mxfp8_e4m3"}), 1, {"q: the file exists", "--force"}));
  EXPECT_TRUE(exits(quantize({"--scheme", "mxfp8_e4m3", "--dry-run"}), 1, {"exists"}));
  EXPECT_EQ(read_file(q), "precious");
  ASSERT_TRUE(exits(quantize({"--scheme", "mxfp8_e4m3", "--force"}), 0));
  write_file(out, "precious");
  EXPECT_TRUE(exits(dequantize(), 1, {"exists"}));
  EXPECT_EQ(read_file(out), "precious");
  ASSERT_TRUE(exits(dequantize({"--force"}), 0));
  EXPECT_EQ(tensors_of(out).size(), model().size());
}

TEST_F(RoundTrip, TheInputIsNeverTheOutput) {
  ASSERT_EQ(symlink("in", folder.file("link").c_str()), 0);
  for (const std::string &name : {in, folder.file("link")}) {
    EXPECT_TRUE(exits(run({MFQ_COMMAND, "quantize", in, "-o", name, "-s", "int8_tensor", "--force"}), 1,
                      {"the output is the input"}));
    EXPECT_TRUE(exits(run({MFQ_COMMAND, "dequantize", in, "-o", name, "--force"}), 1, {"the output is the input"}));
  }
}

TEST_F(RoundTrip, ThreadsAndRunsGiveTheSameBytes) {
  for (const char *scheme : {"nvfp4", "int4/group:16/f32/round:stochastic"}) {
    ASSERT_TRUE(exits(quantize({"--scheme", scheme, "-j", "1", "--seed", "7", "--force"}), 0));
    const std::string one = read_file(q);
    ASSERT_TRUE(exits(quantize({"--scheme", scheme, "-j", "2", "--seed", "7", "--force"}), 0));
    EXPECT_EQ(read_file(q), one) << scheme;
  }
  const std::string seed7 = read_file(q);
  ASSERT_TRUE(exits(quantize({"--scheme", "int4/group:16/f32/round:stochastic", "--seed", "8", "--force"}), 0));
  EXPECT_NE(read_file(q), seed7);
}

TEST_F(RoundTrip, QuietIsQuietAndVerboseNamesTensors) {
  Result quiet = quantize({"--scheme", "nvfp4", "-q"});
  EXPECT_TRUE(exits(quiet, 0));
  EXPECT_EQ(quiet.out + quiet.err, "");
  Result verbose = quantize({"--scheme", "nvfp4", "-v", "--force"});
  EXPECT_NE(verbose.err.find("z.weight: quantized\nz.bias: copied\n"), std::string::npos) << verbose.err;
  EXPECT_EQ(quantize({"--scheme", "nvfp4", "--force"}).err, "") << "no progress where nobody sees it";
}

// Metadata that promise other tensors than there are.
TEST_F(RoundTrip, LyingFilesAreRefused) {
  ASSERT_TRUE(exits(quantize({"--rule", "z.weight=mxfp8_e4m3"}), 0));
  const std::string good = read_file(q);
  struct {
    std::string from, to;
    std::vector<std::string> says;
  } const lies[] = {{"[24,70],\\\"dtype", "[70,24],\\\"dtype", {"tensor 'z.weight'", "its scheme and shape need"}},
                    {"group:32@1", "group:16@1", {"tensor 'z.weight'", "'z.weight_scale'"}},
                    {"e4m3fn/group", "e4m3xx/group", {"tensor 'z.weight'", "mfq_quantized"}},
                    {"\\\"dtype\\\":\\\"F32", "\\\"dtype\\\":\\\"I32", {"F32, BF16 or F16"}},
                    {"{\\\"z.weight", "{\\\"q.weight", {"'q.weight' is not in the file"}}};
  for (const auto &lie : lies) {
    SCOPED_TRACE(lie.to);
    std::string bad = good;
    const size_t at = bad.find(lie.from);
    ASSERT_NE(at, std::string::npos);
    bad.replace(at, lie.from.size(), lie.to);
    write_file(q, bad);
    EXPECT_TRUE(exits(dequantize(), 1, lie.says));
    EXPECT_TRUE(exits(run({MFQ_COMMAND, "inspect", q}), 1, lie.says));
    EXPECT_TRUE(exits(run({MFQ_COMMAND, "compare", in, q}), 1, lie.says));
  }
}

} // namespace
