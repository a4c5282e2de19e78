// tests/cli/choice_test.cc: schemes that cannot be meant, and names from elsewhere, get offers that can be typed.
#include <mfq/mfq.h>

#include <regex>

#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

class Choice : public testing::Test {
protected:
  Folder folder;
  std::string in = folder.file("in");

  void SetUp() override { write_file(in, file_of(model())); }
  Result quantize(const std::string &option, const std::string &scheme) {
    return run({MFQ_COMMAND, "quantize", in, "-n", option, scheme});
  }
};

TEST_F(Choice, NoScaleMustBeSaid) {
  const struct {
    const char *scheme;
    std::vector<std::string> says;
  } rows[] = {{"int8", {"-128 and 127", "int8_tensor", "int8_channel", "'int8/none'"}},
              {"int8n", {"int8_channel"}},
              {"uint8", {"0 and 255", "int8_channel"}},
              {"int4", {"int4_group32"}},
              {"uint4", {"int4_group32_zp"}},
              {"int3", {"'int3/channel/f32'", "'int3/group:32/f32'"}},
              {"e4m3", {"mxfp8_e4m3", "fp8_e4m3_channel"}},
              {"e4m3fn", {"mxfp8_e4m3"}},
              {"e5m2", {"mxfp8_e5m2"}},
              {"e2m1", {"nvfp4", "mxfp4_e2m1"}},
              {"e2m3", {"mxfp6_e2m3"}},
              {"mxint8/tensor/none", {}},
              {"int8/none", {}},
              {"int8/none/round:away", {}},
              {"int8/round:away", {"'int8/round:away/none'"}},
              {"int8/tensor", {"int8_tensor"}},
              {"e3m4/nosat", {"e3m4/nosat/channel/f32"}},
              {"brevitas:Fp8e4m3Weight", {"'brevitas:Fp8e4m3Weight/none'", "fp8_e4m3_channel"}},
              {"brevitas:Fp8e4m3Weight/none", {}}};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.scheme);
    const int code = row.says.empty() ? 0 : 2;
    EXPECT_TRUE(exits(quantize("-s", row.scheme), code, row.says));
    EXPECT_TRUE(exits(quantize("-r", std::string("z.weight=") + row.scheme), code, row.says));
    EXPECT_TRUE(exits(run({MFQ_COMMAND, "schemes", row.scheme}), 0)) << "writing one out is no quantizing";
    mfq_scheme scheme;
    EXPECT_EQ(mfq_scheme_parse(row.scheme, &scheme), MFQ_OK) << "the library takes it at its word";
  }
}

TEST_F(Choice, NamesFromElsewhereAreUnderstood) {
  const struct {
    const char *typed;
    std::vector<std::string> says;
  } rows[] = {{"mxfp8", {"mxfp8_e4m3", "mxfp8_e5m2"}},
              {"MXFP8", {"mxfp8_e4m3"}},
              {"mxfp6", {"mxfp6_e2m3", "mxfp6_e3m2"}},
              {"mxfp4", {"mxfp4_e2m1"}},
              {"fp8", {"fp8_e4m3_channel", "mxfp8_e4m3"}},
              {"fp8_e4m3", {"fp8_e4m3_tensor"}},
              {"fp8-e5m2", {"mxfp8_e5m2"}},
              {"torch.float8_e4m3fn", {"fp8_e4m3_tensor"}},
              {"fp4", {"nvfp4", "mxfp4_e2m1"}},
              {"w4a16", {"int4_group128"}},
              {"w8a8", {"int8_channel"}},
              {"q8_0", {"'int8n/group:32/f16'", "GGUF"}},
              {"Q4_0", {"'int4n/group:32/f16'", "GGUF"}},
              {"q4_1", {"'uint4/group:32/f16/zp'"}},
              {"Q4_K_M", {"GGUF", "int4_group32"}},
              {"q6_k", {"'int6/group:16/f16'"}},
              {"nf4", {"bitsandbytes", "nvfp4"}},
              {"gptq", {"int4_group128"}},
              {"awq", {"int4_group128"}},
              {"bf16", {"plain dtype"}},
              {"fp16", {"plain dtype"}},
              {"auto", {"mxfp8_e4m3"}},
              {"mxfp8/round:away", {"'mxfp8'", "mxfp8_e4m3"}},
              {"nvfp5", {"did you mean \"nvfp4\""}},
              {"int8_group128_z", {"did you mean \"int8_group128_zp\""}},
              {"fp8_e4m3_chanel", {"did you mean \"fp8_e4m3_channel\""}},
              {"mxfp8_e4", {"did you mean \"mxfp8_e4m3\"? see mfq schemes"}},
              {"int8_block", {"near are int8_tensor, int8_channel"}},
              {"fp8_e4m3_rows", {"near are fp8_e4m3_tensor", "fp8_e4m3_block128"}},
              {"fp8_row", {"fp8_e4m3_channel"}},
              {"int4_group16", {"'int4_group128/group:16'"}},
              {"int4_group16_zp", {"'int4_group128_zp/group:16'"}},
              {"fp8_e4m3_group64", {"'fp8_e4m3_group128/group:64'"}},
              {"int8/chanel/f32", {"\"chanel\" is not a setting", "did you mean \"channel\"? see mfq schemes"}},
              {"skip", {"REGEX=keep"}}};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.typed);
    EXPECT_TRUE(exits(quantize("-s", row.typed), 2, row.says));
    EXPECT_TRUE(exits(quantize("-r", std::string("z=") + row.typed), 2, row.says));
    EXPECT_TRUE(exits(run({MFQ_COMMAND, "schemes", row.typed}), 2, row.says));
  }
}

TEST_F(Choice, FormatsAreUnderstoodToo) {
  const struct {
    const char *typed, *says;
  } rows[] = {{"fp8", "e4m3fn, usual for weights, and e5m2"},
              {"FP4", "is called e2m1 here"},
              {"bf16", "wider than the 8 bits"},
              {"mxfp8_e4m3", "is a scheme, and its elements are e4m3fn; see mfq schemes mxfp8_e4m3"},
              {"nvfp4", "its elements are e2m1"},
              {"e4m3f", "did you mean 'e4m3fn'? see mfq formats"}};
  for (const auto &row : rows) EXPECT_TRUE(exits(run({MFQ_COMMAND, "formats", row.typed}), 2, {row.says})) << row.typed;
}

// Whatever is offered as a name, or quoted, can be typed: the words of all messages are tried.
TEST_F(Choice, OffersCanBeTyped) {
  int offers = 0;
  // clang-format off
  for (const char *typed :
       {"mxfp8", "mxfp6", "mxfp4", "mx", "nvfp", "fp4", "fp8", "fp8_e5m2", "fp8_block", "w4a16", "int4_asym", "int8", "w8a8",
        "int8_asym", "q8_0", "q4_0", "q4_1", "q5_0", "q6_k", "q4_k", "q2_k", "nf4", "gptq", "bf16", "auto", "int4", "int5",
        "e4m3", "e2m1", "e3m4", "e2m0", "uint8", "int8_block",
        "fp8_e4m3_rows", "int4_group16", "int4_group16_zp", "int8_row"}) {
    // clang-format on
    const std::string message = quantize("-s", typed).err;
    const std::regex word("'[^']+/[^']+'|\\b(mxfp|nvfp|fp8_|mxint|int[48]_)[a-z0-9_]*\\b");
    for (std::sregex_iterator at(message.begin(), message.end(), word), end; at != end; ++at) {
      std::string offer = at->str();
      if (offer[0] == '\'') offer = offer.substr(1, offer.size() - 2);
      if (offer == typed) continue;
      ++offers;
      EXPECT_TRUE(exits(quantize("-s", offer), 0)) << typed << ": " << message;
    }
  }
  EXPECT_GT(offers, 90);
}

} // namespace
