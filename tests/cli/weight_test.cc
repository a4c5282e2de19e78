// tests/cli/weight_test.cc: what mfq quantize takes for a weight, along which axis, and what it says of the rest.
#include "json_report.h"
#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

class Weights : public testing::Test {
protected:
  Folder folder;
  std::string in = folder.file("in"), q = folder.file("q");

  void TearDown() override {
    for (const std::string &name : folder.names()) EXPECT_NE(name[0], '.') << "left behind: " << name;
  }
  Result quantize(std::vector<std::string> more) {
    std::vector<std::string> words = {MFQ_COMMAND, "quantize", in, "-o", q, "-f"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
};

// A weight that makes every file worth writing, and one tensor that is looked at.
const Tensor plain = filled("plain.weight", "F32", {64, 64});

struct Kept {
  std::vector<Tensor> tensors; // the first one is looked at
  std::string reason;          // "": it is a weight
};

std::vector<Kept> kept() {
  return {
      {{filled("fc.weight", "F32", {8, 64})}, ""},
      {{filled("fc.weight", "F16", {1, 64})}, ""}, // one output
      {{filled("embed_tokens.weight", "BF16", {100, 64})}, ""},
      {{filled("conv.weight", "BF16", {8, 64, 3, 3})}, ""},
      {{filled("fc.bias", "F32", {64})}, "a vector"},
      {{filled("norm.weight", "F32", {64})}, "a vector"},
      {{filled("cls_token", "F32", {1, 1, 64})}, "a vector"},
      {{filled("layer_scale", "F32", {64, 1, 1})}, "a vector"},
      {{filled("temperature", "F32", {})}, "a scalar"},
      {{filled("none", "F32", {0, 64})}, "no elements"},
      {{filled("mlp.experts.gate_up_proj_bias", "BF16", {4, 64})}, "a bias"},
      {{filled("attn.bias", "F32", {1, 1, 32, 32})}, "a bias"},
      {{filled("attention_biases", "F32", {8, 49})}, "a bias"},
      {{filled("bias", "F32", {2, 64})}, "a bias"},
      {{filled("relative_position_bias_table", "F32", {169, 32})}, "a bias"},
      {{filled("relative_attention_bias.weight", "F32", {32, 64})}, ""},
      {{filled("debiased", "F32", {32, 64})}, ""},
      {{filled("ids", "I64", {3, 4})}, "I64 is not F32, BF16 or F16"},
      {{filled("wide", "F64", {3, 4})}, "F64 is not F32, BF16 or F16"},
      {{filled("cast.weight", "F8_E4M3", {32, 64})}, "F8_E4M3: quantized already"},
      // Scales of a tensor that is there.
      {{filled("a.w_scale", "F32", {4, 2}), filled("a.w", "F64", {16, 16})}, "scale of a.w"},
      {{filled("a.weight_scale_inv", "F32", {2, 2}), filled("a.weight", "F8_E4M3", {256, 256})}, "scale of a.weight"},
      {{filled("m.scales", "F16", {2, 64}), filled("m.qweight", "I32", {8, 64})}, "scale of m.qweight"},
      {{filled("m.zero", "F16", {64, 1}), filled("m.W_q", "U8", {64, 32})}, "zero point of m.W_q"},
      {{filled("m.biases", "F16", {64, 2}), filled("m.weight", "U32", {64, 8})}, "zero point of m.weight"},
      {{filled("m.scale_weight", "F32", {2, 2}), filled("m.weight", "F8_E5M2", {64, 64})}, "scale of m.weight"},
      // Names that say it alone: the other tensor is in another shard.
      {{filled("a.weight_scale_inv", "F32", {2, 2})}, "scale, by its name"},
      {{filled("a.weight_scale", "BF16", {64, 1})}, "scale, by its name"},
      {{filled("a.weight_zero_point", "F32", {4, 4})}, "zero point, by its name"},
      {{filled("experts.gate_up_proj_scale", "BF16", {4, 1, 64})}, "scale, by its name"},
      {{filled("experts.w13_weight_scale", "BF16", {4, 64, 1})}, "scale, by its name"},
      // Codes in a dialect that nobody knows, and what is beside them.
      {{filled("m.qscales", "F32", {64, 4}), filled("m.kernel", "I8", {64, 64})}, "part of the codes beside it"},
      {{filled("m.zeros_x", "F16", {64, 4}), filled("m.w", "U8", {64, 32})}, "part of the codes beside it"},
      {{filled("m.qscales", "F32", {64, 4}), filled("m.token_ids", "I64", {64, 64})}, ""},
      {{filled("n.qscales", "F32", {64, 4}), filled("m.kernel", "I8", {64, 64})}, ""},
      {{filled("m.proj", "F32", {64, 4}), filled("m.kernel", "I8", {64, 64})}, ""},
      {{filled("a.weight_quantizer._amax", "F32", {64, 1})}, "largest value, by its name"},
      {{filled("a.weight_quant.tensor_quant.scaling_impl.value", "F32", {64, 1})}, "state of a quantizer, by its name"},
      // Names that only look like it.
      {{filled("logit_scale", "F32", {1})}, "a vector"},
      {{filled("logit_scale", "F32", {8, 64})}, ""},
      {{filled("layer_scale.weight", "F32", {8, 64})}, ""},
      {{filled("scales.0.conv.weight", "F32", {8, 64})}, ""},
      {{filled("mod.scale", "F32", {8, 64}), filled("mod.weight", "F32", {64, 64})}, ""},
      {{filled("style_scale", "F32", {8, 64}), filled("style", "F32", {64})}, ""}, // more than it could scale
      {{filled("vector_quantizer.embedding.weight", "F32", {16, 64})}, ""},
      {{filled("upscale", "F32", {8, 64}), filled("up", "F32", {64})}, ""},
  };
}

TEST_F(Weights, WhatIsKeptHasAReason) {
  for (const Kept &row : kept()) {
    const std::string name = row.tensors.front().name;
    SCOPED_TRACE(name);
    std::vector<Tensor> tensors = row.tensors;
    tensors.push_back(plain);
    write_file(in, file_of(tensors));
    Result r = quantize({"-s", "mxfp8_e4m3", "--json"});
    ASSERT_TRUE(exits(r, 0));
    Json report(r.out);
    EXPECT_EQ(text(report.tensor(name), "reason").substr(0, row.reason.size()), row.reason);
    EXPECT_EQ(json_is_string(json_object_get(report.tensor(name), "scheme")), row.reason.empty());
    if (row.reason.empty()) continue;
    Result table = quantize({"-s", "mxfp8_e4m3", "-n"});
    EXPECT_NE(table.out.find("  " + row.reason), std::string::npos) << table.out;
    for (const Tensor &t : tensors_of(q))
      if (t.name == name) EXPECT_EQ(t, row.tensors.front());
  }
}

TEST_F(Weights, WhatWouldNotBecomeSmallerIsKept) {
  const struct {
    const char *scheme, *dtype;
    std::vector<int64_t> shape;
    const char *reason;
  } rows[] = {{"fp8_e4m3_group128", "BF16", {64, 1, 3, 3}, "would be larger: 1344 bytes instead of 1152"},
              {"int4_group128_zp", "BF16", {64, 2}, "would be larger: 384 bytes instead of 256"},
              {"int8/group:4/f32", "BF16", {8, 4}, "would be no smaller: 64 bytes instead of 64"},
              {"int8/group:4/f32", "F32", {8, 4}, nullptr},
              {"mxfp8_e4m3", "BF16", {64, 1, 3, 3}, nullptr}};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.scheme);
    const Tensor small = filled("x", row.dtype, row.shape);
    write_file(in, file_of({small, plain}));
    Json report(quantize({"-s", row.scheme, "--json"}).out);
    EXPECT_LT(report.integer("data_bytes_out"), report.integer("data_bytes_in"));
    EXPECT_EQ(json_is_null(json_object_get(report.tensor("x"), "scheme")), row.reason != nullptr);
    if (row.reason == nullptr) continue;
    EXPECT_EQ(text(report.tensor("x"), "reason"), row.reason);
    EXPECT_EQ(tensors_of(q).front(), small);
  }
}

TEST_F(Weights, AxesFollowTheShapeAndAreShown) {
  const struct {
    const char *name;
    std::vector<int64_t> shape;
    const char *scheme, *got;
    int axis;
    const char *note;
  } rows[] = {
      {"fc.weight", {8, 64}, "mxfp8_e4m3", "e4m3fn/group:32@1/ue8m0", 1, ""},
      {"conv.weight", {8, 64, 3, 3}, "mxfp8_e4m3", "e4m3fn/group:32@1/ue8m0", 1, ""},
      {"conv.weight", {8, 64, 5}, "int8_channel", "int8n/channel@0/f32", 0, ""},
      {"dw.weight", {64, 1, 3, 7}, "mxfp8_e4m3", "e4m3fn/group:32@3/ue8m0", 3, "depthwise"},
      {"dw.weight", {64, 1, 31}, "mxfp8_e4m3", "e4m3fn/group:32@2/ue8m0", 2, "depthwise"},
      {"dw.weight", {64, 1, 5, 3}, "mxfp8_e4m3", "e4m3fn/group:32@2/ue8m0", 2, "depthwise"},
      {"dw.weight", {64, 1, 3, 3}, "int8_channel", "int8n/channel@0/f32", 0, ""},
      {"dw.weight", {64, 1, 3, 3}, "int8/group:4@0/f32", "int8/group:4@0/f32", 0, ""},
      {"l.mlp.experts.gate_up_proj", {4, 64, 96}, "mxfp8_e4m3", "e4m3fn/group:32@2/ue8m0", 2, "stacked experts"},
      {"block_sparse_moe.w1", {4, 64, 96}, "mxfp4_e2m1", "e2m1/group:32@2/ue8m0", 2, "stacked experts"},
      {"blk.0.ffn_up_exps.weight", {4, 64, 96}, "nvfp4", "e2m1/group:16@2/ue4m3", 2, "stacked experts"},
      {"l.mlp.experts.down_proj", {4, 64, 96}, "int8_channel", "int8n/group:96@2/f32", 2, "stacked experts"},
      {"l.mlp.experts.down_proj", {4, 64, 96}, "int8/group:32@1/f32", "int8/group:32@1/f32", 1, ""},
      {"l.mlp.experts.3.down_proj.weight", {64, 96}, "mxfp8_e4m3", "e4m3fn/group:32@1/ue8m0", 1, ""},
      {"smoe_conv.weight", {8, 64, 5}, "mxfp8_e4m3", "e4m3fn/group:32@1/ue8m0", 1, ""}, // no word by itself
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(std::string(row.name) + " " + row.scheme);
    write_file(in, file_of({filled(row.name, "F32", row.shape)}));
    Json report(quantize({"-s", row.scheme, "--json"}).out);
    const json_t *t = report.tensor(row.name);
    EXPECT_EQ(json_integer_value(json_object_get(t, "axis")), row.axis);
    EXPECT_EQ(text(t, "reason").substr(0, std::strlen(row.note)), row.note);
    EXPECT_EQ(text(t, "reason").empty(), *row.note == '\0');
    EXPECT_EQ(text(t, "scheme"), row.got);
    Result table = quantize({"-s", row.scheme, "-n"});
    EXPECT_NE(table.out.find("@" + std::to_string(row.axis)), std::string::npos) << table.out;
    ASSERT_TRUE(exits(run({MFQ_COMMAND, "dequantize", q, "-o", folder.file("d"), "-f"}), 0));
    EXPECT_EQ(tensors_of(folder.file("d")).front().shape, row.shape);
  }
}

// Experts as [E, in, out]: the two tensors of an expert fit one way round only.
TEST_F(Weights, SizesTellTransposedExperts) {
  const struct {
    std::vector<int64_t> up, down;
    int axis;
  } rows[] = {{{2, 64, 96}, {2, 96, 32}, 2}, // [E, 2 i, h], [E, h, i]
              {{2, 96, 64}, {2, 32, 96}, 1}, // [E, h, 2 i], [E, i, h]
              {{2, 96, 64}, {2, 96, 64}, 2}, // neither fits
              {{2, 64, 64}, {2, 64, 32}, 2},
              {{2, 64, 64}, {2, 32, 64}, 1}};
  for (const auto &row : rows) {
    write_file(in, file_of({filled("mlp.experts.gate_up_proj", "BF16", row.up),
                            filled("mlp.experts.down_proj", "BF16", row.down)}));
    for (const char *name : {"mlp.experts.gate_up_proj", "mlp.experts.down_proj"}) {
      Json report(quantize({"-s", "mxfp8_e4m3", "--json"}).out);
      EXPECT_EQ(json_integer_value(json_object_get(report.tensor(name), "axis")), row.axis) << row.up[1];
      Json channels(quantize({"-s", "int8_channel", "--json"}).out);
      const std::vector<int64_t> &shape = name == std::string("mlp.experts.down_proj") ? row.down : row.up;
      EXPECT_EQ(text(channels.tensor(name), "scheme"),
                "int8n/group:" + std::to_string(shape[static_cast<size_t>(row.axis)]) + "@" + std::to_string(row.axis) +
                    "/f32");
    }
  }
}

// One row of one expert has its own scale: an outlier in it leaves the others as they are.
TEST_F(Weights, ChannelsOfExpertsAreTheRowsOfEach) {
  std::vector<float> values(2 * 3 * 4, 1.0f);
  values[4] = 1000.0f; // expert 0, row 1
  write_file(in, file_of({{"experts.w", "F32", {2, 3, 4}, f32_data(values)}, plain}));
  ASSERT_TRUE(exits(quantize({"-s", "int8_channel"}), 0));
  ASSERT_TRUE(exits(run({MFQ_COMMAND, "dequantize", q, "-o", folder.file("d")}), 0));
  const std::vector<float> got = f32_values(tensors_of(folder.file("d"))[0].data);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], i == 4 ? 1000.0f : i / 4 == 1 ? 0.0f : 1.0f) << i;
}

TEST_F(Weights, RulesOverrideReasonsWithAWarning) {
  const Tensor scale = filled("a.w_scale", "F32", {4, 2}), w = filled("a.w", "BF16", {16, 16});
  write_file(in, file_of({scale, w, filled("b.bias", "F32", {64}), filled("s", "BF16", {2, 2})}));
  Result r = quantize({"-r", "_scale$=int8_tensor"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.err.rfind("mfq: warning: " + in + ": rule '_scale$=int8_tensor' quantizes 1 tensor", 0), 0u) << r.err;
  EXPECT_NE(r.err.find("'a.w_scale' (scale of a.w)"), std::string::npos) << r.err;
  r = quantize({"-r", "^s$=int8/group:1/f32"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_NE(r.err.find("would be larger: 20 bytes instead of 8"), std::string::npos) << r.err;
  // Biases and vectors are what rules are for.
  r = quantize({"-r", "bias=int8_tensor"});
  EXPECT_TRUE(exits(r, 0));
  EXPECT_EQ(r.err, "");
  EXPECT_TRUE(exits(quantize({"-s", "mxfp8_e4m3"}), 1, {"tensor 'a.w'", "'a.w_scale'", "keep"}));
  EXPECT_TRUE(exits(quantize({"-s", "mxfp8_e4m3", "-r", "^a\\.w$=keep"}), 0));
}

TEST_F(Weights, NothingQuantizedIsNoSuccess) {
  write_file(in, file_of({filled("norm", "F32", {64}), filled("ids", "I64", {4})}));
  std::vector<std::vector<std::string>> runs = {{"-s", "mxfp8_e4m3"},
                                                {"-s", "mxfp8_e4m3", "-n"},
                                                {"-s", "nvfp4", "--json"},
                                                {"-s", "nvfp4", "-q"},
                                                {"-r", ".=keep"}};
  for (const std::vector<std::string> &words : runs)
    EXPECT_TRUE(exits(quantize(words), 1, {"nothing to quantize", "no file written"})) << words.back();
  write_file(in, file_of({plain}));
  EXPECT_TRUE(exits(quantize({"-s", "nvfp4", "-r", ".=keep"}), 1, {"nothing to quantize"}));
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "dequantize", in, "-o", q}), 1, {"nothing to dequantize", "by mfq"}));
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
  Result table = quantize({"-r", ".=keep"});
  EXPECT_NE(table.out.find("0 of 1 tensors quantized"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find(".=keep"), std::string::npos) << table.out;
}

} // namespace
