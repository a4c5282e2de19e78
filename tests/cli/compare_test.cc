// tests/cli/compare_test.cc: mfq compare: numbers that can be computed by hand, and the gate.
#include <cmath>
#include <limits>

#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

class Compare : public testing::Test {
protected:
  Folder folder;
  std::string a = folder.file("a"), b = folder.file("b");

  Result compare(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {MFQ_COMMAND, "compare", a, b};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
};

json_t *find(json_t *root, const std::string &name) {
  size_t i;
  json_t *t;
  json_array_foreach(json_object_get(root, "tensors"), i, t) {
    if (name == json_string_value(json_object_get(t, "name"))) return t;
  }
  return nullptr;
}

double real(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }
std::string text(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }

const float inf = std::numeric_limits<float>::infinity();
const float nan = std::numeric_limits<float>::quiet_NaN();

TEST_F(Compare, NumbersByHand) {
  write_file(a, file_of({{"x", "F32", {2}, f32_data({3, 4})},
                         {"y", "F32", {2}, f32_data({1, 2})},
                         {"z", "F32", {2}, f32_data({0, 0})},
                         {"wide", "F32", {3}, f32_data({1.5f, -0.25f, 1e-6f})},
                         {"special", "F32", {3}, f32_data({nan, inf, -inf})},
                         {"broken", "F32", {3}, f32_data({nan, inf, 1})},
                         {"only", "U8", {1}, "x"},
                         {"bytes", "U8", {3}, "abc"},
                         {"shape", "F32", {2, 1}, f32_data({1, 2})},
                         {"type", "U8", {4}, "1234"}}));
  write_file(b, file_of({{"y", "F32", {2}, f32_data({1, 2})},
                         {"x", "F32", {2}, f32_data({3, 3.5})},
                         {"z", "F32", {2}, f32_data({0, 1})},
                         {"wide", "BF16", {3}, bf16_data({1.5f, -0.25f, 0})},
                         {"special", "F32", {3}, f32_data({nan, inf, -inf})},
                         {"broken", "F32", {3}, f32_data({1, -inf, 1})},
                         {"bytes", "U8", {3}, "aXX"},
                         {"shape", "F32", {1, 2}, f32_data({1, 2})},
                         {"type", "F32", {4}, f32_data({1, 2, 3, 4})},
                         {"extra", "U8", {1}, "x"}}));
  Result r = compare({"--json"});
  ASSERT_TRUE(exits(r, 0));
  json_t *root = json_loads(r.out.c_str(), 0, nullptr);
  ASSERT_NE(root, nullptr) << r.out;
  EXPECT_EQ(json_integer_value(json_object_get(root, "version")), 1);
  EXPECT_NEAR(real(find(root, "x"), "sqnr_db"), 10 * std::log10(25 / 0.25), 1e-12);
  EXPECT_EQ(real(find(root, "x"), "max_abs_error"), 0.5);
  EXPECT_TRUE(json_is_true(json_object_get(find(root, "y"), "exact")));
  EXPECT_TRUE(json_is_null(json_object_get(find(root, "y"), "sqnr_db")));
  EXPECT_TRUE(json_is_false(json_object_get(find(root, "z"), "exact")));
  EXPECT_TRUE(json_is_null(json_object_get(find(root, "z"), "sqnr_db")));
  const double tiny = static_cast<double>(1e-6f);
  EXPECT_NEAR(real(find(root, "wide"), "sqnr_db"), 10 * std::log10((2.25 + 0.0625 + tiny * tiny) / (tiny * tiny)),
              1e-9);
  EXPECT_TRUE(json_is_true(json_object_get(find(root, "special"), "exact")));
  EXPECT_EQ(json_integer_value(json_object_get(find(root, "broken"), "nonfinite_mismatches")), 2);
  EXPECT_EQ(text(find(root, "only"), "compared"), "only in A");
  EXPECT_EQ(text(find(root, "extra"), "compared"), "only in B");
  EXPECT_EQ(json_integer_value(json_object_get(find(root, "bytes"), "bytes_differing")), 2);
  EXPECT_EQ(text(find(root, "shape"), "compared"), "shape or dtype differs");
  EXPECT_EQ(text(find(root, "type"), "compared"), "shape or dtype differs");
  EXPECT_EQ(json_integer_value(json_object_get(json_object_get(root, "all"), "elements")), 15);
  json_decref(root);
  Result table = compare();
  EXPECT_NE(table.out.find("20.000"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("exact"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("only: only in A"), std::string::npos) << table.out;
}

TEST_F(Compare, F16AndF64AreDecoded) {
  // 1, -2, 65504, 2^-24 (the smallest subnormal), 0.333251953125
  const std::string f16("\x00\x3c\x00\xc0\xff\x7b\x01\x00\x55\x35", 10);
  const double same[] = {1, -2, 65504, std::ldexp(1, -24), 0.333251953125};
  write_file(a, file_of({{"x", "F16", {5}, f16}}));
  write_file(b, file_of({{"x", "F64", {5}, std::string(reinterpret_cast<const char *>(same), sizeof same)}}));
  Result r = compare();
  EXPECT_TRUE(exits(r, 0));
  EXPECT_NE(r.out.find("exact"), std::string::npos) << r.out;
}

TEST_F(Compare, GateExitsWith3) {
  const std::string x = f32_data({3, 4});
  write_file(a, file_of({{"x", "F32", {2}, x}}));
  write_file(b, file_of({{"x", "F32", {2}, f32_data({3, 3.5})}})); // 20 dB
  EXPECT_TRUE(exits(compare({"--min-sqnr", "19.9"}), 0));
  EXPECT_TRUE(exits(compare({"--min-sqnr", "20.1"}), 3, {"tensor 'x' has 20.000 dB", "20.1 dB"}));
  EXPECT_TRUE(exits(compare(), 0));
  const struct {
    const char *name;
    std::vector<Tensor> tensors;
    int code;
  } rows[] = {{"equal", {{"x", "F32", {2}, x}}, 0},
              {"missing", {}, 3},
              {"extra", {{"x", "F32", {2}, x}, {"y", "U8", {0}, ""}}, 3},
              {"shape", {{"x", "F32", {2, 1}, x}}, 3},
              {"NaN", {{"x", "F32", {2}, f32_data({3, nan})}}, 3},
              {"bytes", {{"x", "U8", {8}, x}}, 3}};
  for (const auto &row : rows) {
    write_file(b, file_of(row.tensors));
    EXPECT_TRUE(exits(compare({"--min-sqnr", "-1000"}), row.code)) << row.name;
  }
}

TEST_F(Compare, EitherSideMayBeQuantized) {
  const std::string q = folder.file("q"), d = folder.file("d");
  write_file(a, file_of(model()));
  ASSERT_TRUE(exits(run({MFQ_COMMAND, "quantize", a, "-o", q, "-s", "mxfp8_e4m3"}), 0));
  ASSERT_TRUE(exits(run({MFQ_COMMAND, "dequantize", q, "-o", d}), 0));
  const auto table = [](const std::string &x, const std::string &y, const std::string &gate) {
    return run({MFQ_COMMAND, "compare", x, y, "--min-sqnr", gate});
  };
  EXPECT_TRUE(exits(table(a, q, "25"), 0));
  EXPECT_TRUE(exits(table(a, q, "60"), 3));
  EXPECT_EQ(table(a, q, "25").out, table(a, d, "25").out);
  EXPECT_TRUE(exits(table(q, d, "1e9"), 0)) << "what mfq dequantize writes is what mfq compare reads";
  EXPECT_TRUE(exits(table(d, q, "1e9"), 0));
  EXPECT_TRUE(exits(table(q, q, "1e9"), 0));
}

// Copied tensors, however large, do not make a quantized model look better.
TEST_F(Compare, TotalsAreOfWhatIsQuantizedOrDiffers) {
  std::vector<Tensor> tensors = {{"copied", "F32", {2}, f32_data({1e6f, 1e6f})}, {"ids", "U8", {3}, "abc"}};
  for (const char *name : {"w0", "w1", "w2", "w3", "w4", "w5", "w6"})
    tensors.push_back({name, "F32", {2}, f32_data({3, 4})});
  write_file(a, file_of(tensors));
  for (size_t i = 2; i < tensors.size(); ++i)
    tensors[i].data = f32_data({3, 4.0f - 0.125f * static_cast<float>(i)}); // w6 is worst: 4 - 1
  tensors.back().data = f32_data({3, 3});
  write_file(b, file_of(tensors));
  json_t *root = json_loads(compare({"--json"}).out.c_str(), 0, nullptr);
  ASSERT_NE(root, nullptr);
  double noise = 1.0;
  for (size_t i = 2; i < 8; ++i) noise += std::pow(0.125 * static_cast<double>(i), 2);
  const json_t *changed = json_object_get(root, "changed");
  EXPECT_NEAR(real(changed, "sqnr_db"), 10 * std::log10(7 * 25 / noise), 1e-12);
  EXPECT_EQ(json_integer_value(json_object_get(changed, "elements")), 14);
  EXPECT_EQ(json_integer_value(json_object_get(root, "changed_tensors")), 7);
  EXPECT_GT(real(json_object_get(root, "all"), "sqnr_db"), 100);
  const char *const worst[] = {"w6", "w5", "w4", "w3", "w2"};
  ASSERT_EQ(json_array_size(json_object_get(root, "worst")), 5u);
  for (size_t i = 0; i < 5; ++i)
    EXPECT_STREQ(json_string_value(json_array_get(json_object_get(root, "worst"), i)), worst[i]);
  json_decref(root);
  const std::string table = compare().out;
  EXPECT_NE(table.find("(7 quantized or different tensors together)\n"), std::string::npos) << table;
  EXPECT_NE(table.find("(2 other tensors)\n"), std::string::npos) << table;
  EXPECT_NE(table.find("worst: w6 13.979 dB, w5 "), std::string::npos) << table;
}

TEST_F(Compare, NothingComparedIsNotExact) {
  const std::string x = f32_data({3, 4});
  const struct {
    std::vector<Tensor> b;
    const char *says;
  } rows[] = {{{{"x", "F32", {2, 1}, x}}, "1 differing in shape or dtype"},
              {{{"x", "I64", {1}, x}}, "1 differing in shape or dtype"},
              {{{"y", "F32", {2}, x}}, "1 only in A, 1 only in B"},
              {{}, "1 only in A"}};
  write_file(a, file_of({{"x", "F32", {2}, x}}));
  for (const auto &row : rows) {
    SCOPED_TRACE(row.says);
    write_file(b, file_of(row.b));
    for (const std::vector<std::string> &more : {std::vector<std::string>{}, {"-q"}, {"--json"}}) {
      Result r = compare(more);
      EXPECT_TRUE(exits(r, 1, {"nothing to compare: ", row.says}));
      EXPECT_EQ(r.out.find("exact\": true"), std::string::npos) << r.out;
      EXPECT_EQ(r.out.find("exact  "), std::string::npos) << r.out;
    }
    EXPECT_TRUE(exits(compare({"--min-sqnr", "1"}), 3, {"nothing to compare"}));
  }
  write_file(a, file_of({}));
  EXPECT_TRUE(exits(compare(), 1, {"nothing to compare: no tensors"}));
}

TEST_F(Compare, QuietLeavesTheExitCode) {
  write_file(a, file_of({{"x", "F32", {2}, f32_data({3, 4})}}));
  write_file(b, file_of({{"x", "F32", {2}, f32_data({3, 3.5})}}));
  Result r = compare({"-q", "--min-sqnr", "19"});
  EXPECT_TRUE(exits(r, 0));
  EXPECT_EQ(r.out + r.err, "");
  r = compare({"--quiet", "--min-sqnr", "21"});
  EXPECT_TRUE(exits(r, 3, {"tensor 'x' has 20.000 dB", "asks for 21 dB"}));
  EXPECT_EQ(r.out, "");
}

// Longer than one piece of reading, with the difference at the far end.
TEST_F(Compare, SeesTheLastElement) {
  std::vector<float> values(3'000'001, 1.0f);
  write_file(a, file_of({{"x", "F32", {3'000'001}, f32_data(values)}}));
  values.back() = 2.0f;
  write_file(b, file_of({{"x", "F32", {3'000'001}, f32_data(values)}}));
  Result r = compare({"--json"});
  json_t *root = json_loads(r.out.c_str(), 0, nullptr);
  EXPECT_NEAR(real(find(root, "x"), "sqnr_db"), 10 * std::log10(3'000'001.0), 1e-9);
  EXPECT_EQ(real(find(root, "x"), "max_abs_error"), 1.0);
  json_decref(root);
}

} // namespace
