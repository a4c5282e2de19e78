// tests/cli/search_test.cc: mfq quantize --search.
#include <cmath>
#include <random>

#include "json_report.h"
#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

class SearchOption : public testing::Test {
protected:
  Folder folder;
  std::string in = folder.file("in"), q = folder.file("q");

  void SetUp() override {
    std::mt19937 generator(3);
    std::normal_distribution<float> normal;
    std::vector<float> w(24 * 64);
    for (float &x : w) x = normal(generator);
    std::string bytes(reinterpret_cast<const char *>(w.data()), w.size() * sizeof(float));
    write_file(in, file_of({{"w.weight", "F32", {24, 64}, bytes}}));
  }
  Result quantize(std::vector<std::string> more) {
    std::vector<std::string> words = {MFQ_COMMAND, "quantize", in, "-o", q, "--force"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  double sqnr() {
    Json report(run({MFQ_COMMAND, "compare", in, q, "--json"}).out);
    return json_number_value(json_object_get(json_object_get(report.root, "changed"), "sqnr_db"));
  }
};

TEST_F(SearchOption, GainsAndKeepsTheScheme) {
  const struct {
    const char *scheme, *search;
    double least;
  } rows[] = {{"mxfp4_e2m1", "mse_up", 0.05},
              {"e2m1/tensor/f32", "mse", 0.2},
              {"nvfp4/bound:256", "4over6", 0.3},
              {"int4n/channel/f32", "percentile", 0.1},
              {"uint3/channel/f32/zpf", "hqo_zero", 0.1}};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.search);
    const std::string scheme = row.scheme;
    ASSERT_TRUE(exits(quantize({"-s", scheme}), 0));
    const double plain = sqnr();
    const std::string header = run({MFQ_COMMAND, "inspect", q, "--json"}).out;
    ASSERT_TRUE(exits(quantize({"-s", scheme, "--search", row.search}), 0));
    EXPECT_GT(sqnr(), plain + row.least);
    EXPECT_EQ(run({MFQ_COMMAND, "inspect", q, "--json"}).out, header) << "a file of the same scheme";
  }
}

TEST_F(SearchOption, NamesThatSearch) {
  const struct {
    const char *name, *scheme, *search;
  } rows[] = {{"brevitas:Int8WeightPerTensorFloatMSE/int4n", "brevitas:Int8WeightPerTensorFloat/int4n", "mse"},
              {"brevitas:Int8WeightPerChannelFloatHQO/int4n", "brevitas:Int8WeightPerChannelFloat/int4n", "hqo"},
              {"brevitas:ShiftedUint8WeightPerTensorFloatHQO/uint4",
               "brevitas:ShiftedUint8WeightPerTensorFloat/uint4/zpf", "hqo_zero"}};
  for (const auto &row : rows) {
    ASSERT_TRUE(exits(quantize({"-s", row.scheme, "--search", row.search}), 0)) << row.name;
    const std::string want = read_file(q);
    ASSERT_TRUE(exits(quantize({"-s", row.scheme}), 0)) << row.name;
    EXPECT_FALSE(read_file(q) == want) << row.name;
    ASSERT_TRUE(exits(quantize({"-s", row.name}), 0)) << row.name;
    EXPECT_TRUE(read_file(q) == want) << row.name;
    ASSERT_TRUE(exits(quantize({"--rule", std::string("w.*=") + row.name}), 0)) << row.name;
    EXPECT_TRUE(read_file(q) == want) << row.name;
  }
  ASSERT_TRUE(exits(quantize({"-s", "brevitas:MXInt8Weight", "--search", "mse_up"}), 0));
  const std::string other = read_file(q);
  ASSERT_TRUE(exits(quantize({"-s", "brevitas:MXInt8WeightMSE", "--search", "mse_up"}), 0));
  EXPECT_TRUE(read_file(q) == other) << "the option goes first";
  EXPECT_TRUE(
      exits(quantize({"-s", "brevitas:MXInt8WeightMSE", "--calibrate", in}), 2,
            {"--scheme: 'brevitas:MXInt8WeightMSE' searches its scales in a tensor (mse), --calibrate finds them "
             "in others; take one of them"}));
}

TEST_F(SearchOption, IsRefused) {
  EXPECT_TRUE(exits(quantize({"-s", "mxfp4_e2m1", "--search", "best"}), 2,
                    {"--search: 'best' is none of mse, mse_up, 4over6, percentile, hqo, hqo_zero, quest"}));
  EXPECT_TRUE(exits(quantize({"-s", "e4m3fn/none", "--search", "mse"}), 1,
                    {"tensor 'w.weight'", "the scheme has no scales to search"}));
}

} // namespace
