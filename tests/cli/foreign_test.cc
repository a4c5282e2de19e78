// tests/cli/foreign_test.cc: checkpoints that other programs have quantized are named, kept whole, and no success.
// Names, dtypes and shapes are those that the libraries write.
#include "json_report.h"
#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

struct Sample {
  const char *says;
  std::vector<Tensor> tensors;
};

std::vector<Sample> samples() {
  return {
      {"Hugging Face fp8, as in DeepSeek V3), blocks of 128 x 128: 1 tensor, such as 'l.weight'",
       {filled("l.weight", "F8_E4M3", {256, 384}), filled("l.weight_scale_inv", "F32", {2, 3})}},
      {"Hugging Face fp8, as in DeepSeek V3)",
       {filled("mlp.experts.down_proj", "F8_E4M3", {2, 128, 128}),
        filled("mlp.experts.down_proj_scale_inv", "F8_E8M0", {2, 1, 1})}},
      {"DeepSeek V4)", {filled("l.weight", "I8", {32, 48}), filled("l.weight_scale_inv", "F8_E8M0", {32, 3})}},
      {"DeepSeek V4 Flash)", {filled("l.weight", "F8_E4M3", {256, 256}), filled("l.scale", "F32", {2, 2})}},
      {"float-quantized, ModelOpt FP8, FBGEMM), one scale a row",
       {filled("l.weight", "F8_E4M3", {40, 128}), filled("l.weight_scale", "BF16", {40, 1})}},
      {"float-quantized, ModelOpt FP8, FBGEMM), one scale a row",
       {filled("l.weight", "F8_E4M3", {40, 128}), filled("l.weight_scale", "F32", {40})}},
      {"float-quantized, ModelOpt FP8, FBGEMM), one scale a tensor",
       {filled("l.weight", "F8_E4M3", {40, 128}), filled("l.weight_scale", "F32", {}),
        filled("l.input_scale", "F32", {})}},
      {"float-quantized, ModelOpt FP8, FBGEMM), blocks of 128 x 128",
       {filled("l.weight", "F8_E4M3", {136, 144}), filled("l.weight_scale", "BF16", {2, 2})}},
      {"mxfp8-quantized", {filled("l.weight", "F8_E4M3", {40, 128}), filled("l.weight_scale", "U8", {40, 4})}},
      {"mxfp4-pack-quantized", {filled("l.weight_packed", "U8", {40, 64}), filled("l.weight_scale", "U8", {40, 4})}},
      {"nvfp4-pack-quantized",
       {filled("l.weight_packed", "U8", {40, 64}), filled("l.weight_scale", "F8_E4M3", {40, 8}),
        filled("l.weight_global_scale", "F32", {1}), filled("l.input_global_scale", "F32", {1})}},
      {"compressed-tensors pack-quantized",
       {filled("l.weight_packed", "I32", {24, 32}), filled("l.weight_scale", "BF16", {24, 2}),
        filled("l.weight_zero_point", "I32", {3, 2}), filled("l.weight_shape", "I64", {2})}},
      {"int-quantized", {filled("l.weight", "I8", {40, 128}), filled("l.weight_scale", "BF16", {40, 1})}},
      {"gpt-oss",
       {filled("mlp.experts.gate_up_proj_blocks", "U8", {2, 64, 3, 16}),
        filled("mlp.experts.gate_up_proj_scales", "U8", {2, 64, 3}),
        filled("mlp.experts.gate_up_proj_bias", "BF16", {2, 64})}},
      {"gpt-oss",
       {filled("mlp.mlp1_weight.blocks", "U8", {2, 64, 3, 16}), filled("mlp.mlp1_weight.scales", "U8", {2, 64, 3})}},
      {"GPTQ",
       {filled("l.qweight", "I32", {16, 64}), filled("l.qzeros", "I32", {1, 8}), filled("l.scales", "F16", {4, 64}),
        filled("l.g_idx", "I32", {128})}},
      {"AWQ",
       {filled("l.qweight", "I32", {128, 8}), filled("l.qzeros", "I32", {4, 8}), filled("l.scales", "F16", {4, 64})}},
      {"NF4 (bitsandbytes)",
       {filled("l.weight", "U8", {4096, 1}), filled("l.weight.absmax", "F32", {128}),
        filled("l.weight.quant_map", "F32", {16}), filled("l.weight.quant_state.bitsandbytes__nf4", "U8", {90})}},
      {"LLM.int8", {filled("l.weight", "I8", {64, 64}), filled("l.SCB", "F32", {64})}},
      {"NVFP4 (ModelOpt)",
       {filled("l.weight", "U8", {32, 32}), filled("l.weight_scale", "F8_E4M3", {32, 4}),
        filled("l.weight_scale_2", "F32", {})}},
      {"AMD Quark", {filled("l.weight", "U8", {32, 32}), filled("l.weight_scale", "U8", {32, 2})}},
      {"torchao NVFP4Tensor",
       {filled("l._weight_qdata", "U8", {40, 64}), filled("l._weight_scale", "F8_E4M3", {40, 8}),
        filled("l._weight_per_tensor_scale", "F32", {})}},
      {"torchao MXTensor",
       {filled("l._weight_qdata", "F8_E4M3", {40, 128}), filled("l._weight_scale", "F8_E8M0", {40, 4})}},
      {"torchao Float8Tensor), one scale a row",
       {filled("l._weight_qdata", "F8_E4M3", {40, 128}), filled("l._weight_scale", "F32", {40, 1})}},
      {"MLX",
       {filled("l.weight", "U32", {64, 8}), filled("l.scales", "BF16", {64, 2}), filled("l.biases", "BF16", {64, 2})}},
      {"tools for image models", {filled("l.weight", "F8_E4M3", {64, 64}), filled("l.scale_weight", "F32", {})}},
      {"Quanto", {filled("l.weight._data", "I8", {64, 64}), filled("l.weight._scale", "F16", {64, 1})}},
      {"HQQ", {filled("l.W_q", "U8", {64, 64}), filled("l.scale", "F16", {128, 1}), filled("l.zero", "F16", {128, 1})}},
      {"EXL2", {filled("l.q_weight", "I32", {64, 64}), filled("l.q_scale", "I32", {4, 8})}},
      {"AQLM",
       {filled("l.codes", "I16", {64, 8, 1}), filled("l.codebooks", "F16", {1, 256, 1, 8}),
        filled("l.scales", "F16", {64, 1, 1, 1})}},
      {"TensorRT-LLM", {filled("l.weight", "F8_E4M3", {64, 64}), filled("l.weights_scaling_factor", "F32", {1})}},
      {"in a way that mfq does not know",
       {filled("m.a.kernel", "I8", {64, 64}), filled("m.a.qscales", "F32", {64, 4}), filled("m.a.more", "U8", {4, 4})}},
      {"BitNet", {filled("l.weight", "U8", {64, 64}), filled("l.weight_scale", "BF16", {1})}},
  };
}

TEST(Foreign, IsNamedAndNothingIsWritten) {
  for (const Sample &sample : samples()) {
    SCOPED_TRACE(sample.says);
    Folder folder;
    const std::string in = folder.file("in"), out = folder.file("out");
    write_file(in, file_of(sample.tensors));
    EXPECT_TRUE(exits(run({MFQ_COMMAND, "quantize", in, "-o", out, "-s", "mxfp4_e2m1"}), 1,
                      {"nothing to quantize", "another program", sample.says}));
    EXPECT_TRUE(exits(run({MFQ_COMMAND, "quantize", in, "-n", "-s", "int8_tensor"}), 1, {sample.says}));
    EXPECT_TRUE(exits(run({MFQ_COMMAND, "dequantize", in, "-o", out}), 1,
                      {"nothing to dequantize", "another program", sample.says}));
    EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
    Result listing = run({MFQ_COMMAND, "inspect", in});
    EXPECT_TRUE(exits(listing, 0));
    EXPECT_NE(listing.out.find(sample.says), std::string::npos) << listing.out;
  }
}

// What is left of such a checkpoint is quantized; the modules that were are kept to the last byte.
TEST(Foreign, ModulesAreKeptWhole) {
  for (const Sample &sample : samples()) {
    SCOPED_TRACE(sample.says);
    Folder folder;
    const std::string in = folder.file("in"), out = folder.file("out");
    std::vector<Tensor> tensors = sample.tensors;
    tensors.push_back(filled("lm_head.weight", "BF16", {12, 64}));
    write_file(in, file_of(tensors));
    Result r = run({MFQ_COMMAND, "quantize", in, "-o", out, "-s", "mxfp8_e4m3", "--json"});
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(r.err.rfind("mfq: warning: ", 0), 0u) << r.err;
    EXPECT_NE(r.err.find(sample.says), std::string::npos) << r.err;
    Json report(r.out);
    EXPECT_EQ(report.integer("quantized_tensors"), 1);
    EXPECT_NE(text(report.root, "quantized_by_others").find(sample.says), std::string::npos);
    const std::vector<Tensor> got = tensors_of(out);
    for (size_t i = 0; i < sample.tensors.size(); ++i) {
      EXPECT_EQ(got[i], sample.tensors[i]);
      EXPECT_NE(text(report.tensor(sample.tensors[i].name), "reason"), "") << sample.tensors[i].name;
    }
    Json inspected(run({MFQ_COMMAND, "inspect", in, "--json"}).out);
    EXPECT_NE(text(inspected.root, "quantized_by_others").find(sample.says), std::string::npos);
  }
}

TEST(Foreign, OwnFilesAndPlainOnesAreNot) {
  Folder folder;
  const std::string in = folder.file("in"), q = folder.file("q");
  write_file(in, file_of({filled("l.weight", "BF16", {64, 64}), filled("ids", "U8", {4, 4}),
                          filled("ids_shape", "I64", {2}), filled("mask", "BOOL", {4, 4})}));
  for (const char *scheme : {"nvfp4", "mxfp8_e4m3", "fp8_e4m3_block128", "int4_group32_zp"}) {
    SCOPED_TRACE(scheme);
    Result r = run({MFQ_COMMAND, "quantize", in, "-o", q, "-f", "-s", scheme});
    EXPECT_TRUE(exits(r, 0));
    EXPECT_EQ(r.err, "");
    for (const std::string &file : {in, q}) {
      Json inspected(run({MFQ_COMMAND, "inspect", file, "--json"}).out);
      EXPECT_TRUE(json_is_null(json_object_get(inspected.root, "quantized_by_others")));
    }
  }
}

// Several dialects in one file: the commonest is named, and that there are more.
TEST(Foreign, TheCommonestIsNamedFirst) {
  Folder folder;
  write_file(folder.file("in"), file_of({filled("a.weight", "I8", {64, 64}), filled("a.SCB", "F32", {64}),
                                         filled("b.qweight", "I32", {128, 8}), filled("b.scales", "F16", {4, 64}),
                                         filled("c.qweight", "I32", {128, 8}), filled("c.scales", "F16", {4, 64})}));
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "dequantize", folder.file("in"), "-o", folder.file("out")}), 1,
                    {"(AWQ): 2 tensors, such as 'b.qweight', and 1 in other ways"}));
}

} // namespace
