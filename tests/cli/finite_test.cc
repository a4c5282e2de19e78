// tests/cli/finite_test.cc: NaN and infinite inputs of mfq quantize are counted, shown, and refused where that is asked for.
#include <limits>

#include "json_report.h"
#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

const float inf = std::numeric_limits<float>::infinity();
const float nan = std::numeric_limits<float>::quiet_NaN();

std::string u16_data(const std::vector<uint16_t> &words) {
  std::string data(2 * words.size(), '\0');
  std::memcpy(data.data(), words.data(), data.size());
  return data;
}

class Finite : public testing::Test {
protected:
  Folder folder;
  std::string in = folder.file("in"), q = folder.file("q");

  Result quantize(std::vector<std::string> more) {
    std::vector<std::string> words = {MFQ_COMMAND, "quantize", in, "-o", q, "-f", "-s", "int8_tensor"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
};

json_int_t integer(const json_t *object, const char *key) { return json_integer_value(json_object_get(object, key)); }

TEST_F(Finite, CountedInEachTensorAndInAll) {
  std::vector<uint16_t> bf16(64, 0x3f80), f16(64, 0x7bff); // 1; the largest finite F16
  bf16[3] = 0x7f80, bf16[4] = 0xff80, bf16[5] = 0xffc0;    // infinity, -infinity, -NaN
  f16[63] = 0x7c01;                                        // a NaN; 0xfbff is finite
  f16[62] = 0xfbff;
  std::vector<float> f32(64, std::numeric_limits<float>::max());
  write_file(in, file_of({{"f32", "F32", {8, 8}, f32_data(f32)},
                          {"bf16", "BF16", {8, 8}, u16_data(bf16)},
                          {"f16", "F16", {8, 8}, u16_data(f16)},
                          {"mask", "F32", {2}, f32_data({-inf, nan})}}));
  Result r = quantize({"--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  Json report(r.out);
  const struct {
    const char *name;
    json_int_t nan, infinite;
  } rows[] = {{"f32", 0, 0}, {"bf16", 1, 2}, {"f16", 1, 0}};
  for (const auto &row : rows) {
    EXPECT_EQ(integer(report.tensor(row.name), "nan"), row.nan) << row.name;
    EXPECT_EQ(integer(report.tensor(row.name), "infinite"), row.infinite) << row.name;
  }
  EXPECT_TRUE(json_is_null(json_object_get(report.tensor("mask"), "nan"))) << "what is copied is not looked at";
  EXPECT_EQ(report.integer("nan"), 2);
  EXPECT_EQ(report.integer("infinite"), 2);
  EXPECT_EQ(r.err.rfind("mfq: warning: " + in + ": 2 tensors have values that are not finite", 0), 0u) << r.err;
  EXPECT_NE(r.err.find("'bf16' with 1 NaN and 2 infinite"), std::string::npos) << r.err;
  Result table = quantize({});
  EXPECT_NE(table.out.find("; 1 NaN, 2 infinite\n"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("not finite: 2 values are NaN, 2 infinite\n"), std::string::npos) << table.out;
  EXPECT_TRUE(json_is_null(json_object_get(Json(quantize({"--json", "-n"}).out).root, "nan"))) << "data are not read";
}

// Every place of a block, of a piece, and of the rest behind them.
TEST_F(Finite, NoPlaceIsOverlooked) {
  const int64_t rows = 1'050'000; // one and a bit of a piece of four MiB
  std::vector<float> values(static_cast<size_t>(rows) * 2, 0.5f);
  for (size_t at : {size_t{0}, size_t{1023}, size_t{1024}, size_t{1048575}, size_t{1048576}, values.size() - 1}) {
    values[at] = at % 2 == 0 ? nan : -inf;
    write_file(in, file_of({{"x", "F32", {rows, 2}, f32_data(values)}}));
    Json report(quantize({"--json"}).out);
    EXPECT_EQ(report.integer("nan") + report.integer("infinite"), 1) << at;
    EXPECT_EQ(report.integer("nan"), at % 2 == 0) << at;
    values[at] = 0.5f;
  }
}

TEST_F(Finite, FiniteFilesSayNothing) {
  write_file(in, file_of(model()));
  Result r = quantize({"--non-finite", "error"});
  EXPECT_TRUE(exits(r, 0));
  EXPECT_EQ(r.err, "");
  EXPECT_EQ(r.out.find("not finite"), std::string::npos) << r.out;
}

TEST_F(Finite, ErrorLeavesNothing) {
  write_file(in, file_of({{"good", "F32", {8, 8}, f32_data(std::vector<float>(64, 1))},
                          {"bad", "F32", {1, 4}, f32_data({1, nan, inf, nan})}}));
  EXPECT_TRUE(exits(quantize({"--non-finite", "error"}), 1, {"tensor 'bad'", "2 values are NaN and 1 infinite"}));
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
  EXPECT_TRUE(exits(quantize({"--non-finite", "error", "-r", "bad=keep"}), 0)) << "what is copied may hold anything";
  EXPECT_TRUE(exits(quantize({"--non-finite", "loud"}), 2, {"'loud' is not warn or error"}));
}

} // namespace
