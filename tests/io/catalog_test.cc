// tests/io/catalog_test.cc: quantized tensors in files: how their parts are stored, and metadata that lie.
#include <mfq/io.h>

#include "support/file_fixture.h"

using namespace fixture;

namespace {

mfq_qtensor qtensor(const std::string &scheme_text, std::vector<int64_t> shape) {
  mfq_scheme scheme;
  mfq_layout layout;
  mfq_qtensor q;
  EXPECT_EQ(mfq_scheme_parse(scheme_text.c_str(), &scheme), MFQ_OK) << mfq_last_error();
  mfq_file_layout_init(&layout);
  EXPECT_EQ(mfq_qtensor_init(&scheme, static_cast<int32_t>(shape.size()), shape.data(), &layout, &q), MFQ_OK)
      << mfq_last_error();
  return q;
}

struct Part {
  const char *name;
  mfq_file_dtype dtype;
  std::vector<int64_t> shape;
};

struct Row {
  const char *scheme;
  std::vector<int64_t> shape;
  std::vector<Part> parts;
};

const std::vector<Row> &rows() {
  static const std::vector<Row> all = {
      {"e4m3fn/group:32@1/ue8m0", {3, 40}, {{"w", MFQ_FILE_F8_E4M3, {3, 40}}, {"w_scale", MFQ_FILE_U8, {3, 2}}}},
      {"e5m2/tensor/f32", {3, 40}, {{"w", MFQ_FILE_F8_E5M2, {3, 40}}, {"w_scale", MFQ_FILE_F32, {}}}},
      {"e4m3fnuz/channel@0/bf16", {3, 40}, {{"w", MFQ_FILE_F8_E4M3FNUZ, {3, 40}}, {"w_scale", MFQ_FILE_BF16, {3, 1}}}},
      {"e5m2fnuz/channel@1/f16", {3, 40}, {{"w", MFQ_FILE_F8_E5M2FNUZ, {3, 40}}, {"w_scale", MFQ_FILE_F16, {1, 40}}}},
      {"e3m4/tensor/none", {3, 40}, {{"w", MFQ_FILE_U8, {3, 40}}}},
      {"e2m1/group:16@1/ue4m3",
       {3, 5},
       {{"w", MFQ_FILE_U8, {8}}, {"w_scale", MFQ_FILE_F8_E4M3, {3, 1}}, {"w_scale_2", MFQ_FILE_F32, {}}}},
      {"e3m2/group:4@0/f32", {5, 2, 3}, {{"w", MFQ_FILE_U8, {23}}, {"w_scale", MFQ_FILE_F32, {2, 2, 3}}}},
      {"int8/group:4@1/f32/zp",
       {2, 6},
       {{"w", MFQ_FILE_I8, {2, 6}}, {"w_scale", MFQ_FILE_F32, {2, 2}}, {"w_zero_point", MFQ_FILE_I8, {2, 2}}}},
      {"uint8/tensor/f32/zp",
       {2, 6},
       {{"w", MFQ_FILE_U8, {2, 6}}, {"w_scale", MFQ_FILE_F32, {}}, {"w_zero_point", MFQ_FILE_U8, {}}}},
      {"int4/group:4@1/f32/zp",
       {2, 6},
       {{"w", MFQ_FILE_U8, {2, 3}}, {"w_scale", MFQ_FILE_F32, {2, 2}}, {"w_zero_point", MFQ_FILE_U8, {2, 2}}}},
      {"int3/tensor/f32", {}, {{"w", MFQ_FILE_U8, {1}}, {"w_scale", MFQ_FILE_F32, {}}}},
      {"int4/group:4@1/f32", {0, 6}, {{"w", MFQ_FILE_U8, {0, 3}}, {"w_scale", MFQ_FILE_F32, {0, 2}}}},
      {"int4/group:4@1/f32", {6, 0}, {{"w", MFQ_FILE_U8, {6, 0}}, {"w_scale", MFQ_FILE_F32, {6, 0}}}}};
  return all;
}

// Writes a file with a quantized tensor "w" between two plain ones; the data count up from 0 modulo 4.
void write_quantized(const std::string &path, const mfq_qtensor &q) {
  mfq_writer *raw = nullptr;
  ASSERT_TRUE(io_ok(mfq_writer_create(path.c_str(), nullptr, &raw)));
  Writer w(raw);
  const int64_t one = 1;
  int64_t parts[MFQ_PART_COUNT], first = -1, last = -1;
  ASSERT_TRUE(io_ok(mfq_writer_add_metadata(raw, "kept", "yes")));
  ASSERT_TRUE(io_ok(mfq_writer_add_tensor(raw, "first", MFQ_FILE_I64, 1, &one, &first)));
  ASSERT_TRUE(io_ok(mfq_writer_add_quantized(raw, "w", MFQ_DTYPE_BF16, &q, parts)));
  ASSERT_TRUE(io_ok(mfq_writer_add_tensor(raw, "last", MFQ_FILE_U8, 1, &one, &last)));
  ASSERT_TRUE(io_ok(mfq_writer_begin(raw)));
  ASSERT_TRUE(io_ok(mfq_writer_write(raw, first, "12345678", 8)));
  mfq_qtensor_sizes sizes;
  ASSERT_EQ(mfq_qtensor_sizes_get(&q, &sizes), MFQ_OK);
  const size_t bytes[] = {sizes.codes_bytes, sizes.scales_bytes, sizes.tensor_scale_bytes, sizes.zero_points_bytes};
  for (int part = 0; part < MFQ_PART_COUNT; ++part) {
    EXPECT_EQ(parts[part] >= 0, part == 0 || bytes[part] > 0 || (part == 1 && q.scheme.scale != MFQ_SCALE_NONE));
    std::string data;
    for (size_t i = 0; i < bytes[part]; ++i) data += static_cast<char>(i % 4);
    if (parts[part] < 0) continue;
    ASSERT_TRUE(io_ok(mfq_writer_write(raw, parts[part], data.data(), data.size())));
  }
  ASSERT_TRUE(io_ok(mfq_writer_write(raw, last, "z", 1)));
  ASSERT_TRUE(io_ok(mfq_writer_finish(raw)));
}

TEST(Catalog, StoresPartsAsDocumentedAndFindsThemAgain) {
  for (const Row &row : rows()) {
    SCOPED_TRACE(row.scheme);
    Folder folder;
    mfq_qtensor q = qtensor(row.scheme, row.shape);
    write_quantized(folder.file("q"), q);
    Reader reader = open_reader(folder.file("q"));
    ASSERT_TRUE(reader);
    ASSERT_EQ(mfq_reader_tensor_count(reader.get()), static_cast<int64_t>(row.parts.size()) + 2);
    for (const Part &part : row.parts) {
      SCOPED_TRACE(part.name);
      mfq_file_tensor t;
      ASSERT_TRUE(io_ok(mfq_reader_tensor(reader.get(), mfq_reader_find(reader.get(), part.name), &t)));
      EXPECT_STREQ(mfq_file_dtype_name(t.dtype), mfq_file_dtype_name(part.dtype));
      EXPECT_EQ(std::vector<int64_t>(t.shape, t.shape + t.rank), part.shape);
    }
    EXPECT_STREQ(mfq_reader_metadata_find(reader.get(), "kept"), "yes");
    EXPECT_STREQ(mfq_reader_metadata_find(reader.get(), "mfq_version"), MFQ_VERSION_STRING);
    mfq_catalog *raw = nullptr;
    ASSERT_TRUE(io_ok(mfq_catalog_create(reader.get(), &raw)));
    Catalog catalog(raw);
    ASSERT_EQ(mfq_catalog_count(raw), 3);
    const mfq_catalog_entry *e = mfq_catalog_get(raw, 1);
    EXPECT_STREQ(e->name, "w");
    EXPECT_EQ(e->is_quantized, 1);
    EXPECT_EQ(e->dtype, MFQ_FILE_BF16);
    EXPECT_TRUE(mfq_scheme_equal(&e->q.scheme, &q.scheme));
    EXPECT_EQ(std::vector<int64_t>(e->shape, e->shape + e->rank), row.shape);
    EXPECT_EQ(mfq_catalog_find(raw, "w"), 1);
    EXPECT_EQ(mfq_catalog_find(raw, "last"), 2);
    EXPECT_EQ(mfq_catalog_find(raw, "w_scale"), -1);
    EXPECT_EQ(mfq_catalog_owner(raw, mfq_reader_find(reader.get(), row.parts.back().name)), 1);
    for (int part = 0; part < MFQ_PART_COUNT; ++part) {
      if (e->parts[part] < 0) continue;
      std::string data(e->part_bytes[part], '?');
      ASSERT_TRUE(io_ok(mfq_catalog_read(raw, 1, static_cast<mfq_part>(part), 0, data.size(), data.data())));
      for (size_t i = 0; i < data.size(); ++i) ASSERT_EQ(data[i], static_cast<char>(i % 4));
    }
    EXPECT_TRUE(
        io_fails(mfq_catalog_read(raw, 0, MFQ_PART_SCALES, 0, 0, nullptr), MFQ_ERROR_INVALID_ARGUMENT, {"no part 1"}));
    EXPECT_EQ(mfq_catalog_get(raw, 3), nullptr);
  }
}

TEST(Catalog, RefusesBadDescriptions) {
  Folder folder;
  mfq_writer *raw = nullptr;
  ASSERT_TRUE(io_ok(mfq_writer_create(folder.file("q").c_str(), nullptr, &raw)));
  Writer w(raw);
  const mfq_status invalid = MFQ_ERROR_INVALID_ARGUMENT;
  mfq_qtensor q = qtensor("e4m3fn/group:32/ue8m0", {3, 40});
  EXPECT_TRUE(
      io_fails(mfq_writer_add_quantized(raw, "w", MFQ_DTYPE_F32, &q, nullptr), invalid, {"tensor 'w'", "automatic"}));
  q = qtensor("e4m3fn/group:32@1/ue8m0", {3, 40});
  EXPECT_TRUE(
      io_fails(mfq_writer_add_quantized(raw, "w", static_cast<mfq_dtype>(0), &q, nullptr), invalid, {"not a dtype"}));
  q.layout.codes = MFQ_CODES_GROUP_LAST;
  EXPECT_TRUE(io_fails(mfq_writer_add_quantized(raw, "w", MFQ_DTYPE_F32, &q, nullptr), invalid, {"mfq_repack"}));
  q.layout.codes = MFQ_CODES_LOGICAL;
  const int64_t one = 1;
  ASSERT_TRUE(io_ok(mfq_writer_add_tensor(raw, "w_scale", MFQ_FILE_U8, 1, &one, nullptr)));
  EXPECT_TRUE(
      io_fails(mfq_writer_add_quantized(raw, "w", MFQ_DTYPE_F32, &q, nullptr), invalid, {"'w_scale'", "taken"}));
}

TEST(Catalog, FilesOfOthersArePlain) {
  Folder folder;
  write_file(folder.file("a"), safetensors(R"({"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},)"
                                           R"("w_scale":{"dtype":"F32","shape":[],"data_offsets":[4,8]}})",
                                           "12345678"));
  Reader reader = open_reader(folder.file("a"));
  mfq_catalog *raw = nullptr;
  ASSERT_TRUE(io_ok(mfq_catalog_create(reader.get(), &raw)));
  Catalog catalog(raw);
  EXPECT_EQ(mfq_catalog_count(raw), 2);
  EXPECT_EQ(mfq_catalog_get(raw, 0)->is_quantized, 0);
  EXPECT_EQ(mfq_catalog_find(raw, "w_scale"), 1);
  mfq_catalog_destroy(nullptr);
}

std::string quote(const std::string &text) {
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return quoted + "\"";
}

struct Lie {
  const char *name;
  std::string metadata; // the text of mfq_quantized
  std::vector<std::string> says;
};

// A file that holds a 2 x 4 tensor in "e4m3fn/group:4@1/ue8m0" and a plain U8 tensor "x".
std::string lying(const std::string &metadata) {
  return safetensors("{\"__metadata__\":{\"mfq_quantized\":" + quote(metadata) + "}," +
                         R"("w":{"dtype":"F8_E4M3","shape":[2,4],"data_offsets":[0,8]},)"
                         R"("w_scale":{"dtype":"U8","shape":[2,1],"data_offsets":[8,10]},)"
                         R"("x":{"dtype":"U8","shape":[2,1],"data_offsets":[10,12]}})",
                     "123456781212");
}

std::string says(const std::string &name, const std::string &scheme, const std::string &shape,
                 const std::string &dtype) {
  return "{" + quote(name) + ":{\"scheme\":" + quote(scheme) + ",\"shape\":" + shape + ",\"dtype\":" + quote(dtype) +
         "}}";
}

TEST(Catalog, LyingMetadata) {
  const std::string good = "e4m3fn/group:4@1/ue8m0";
  const std::vector<Lie> lies = {
      {"not JSON", "{", {"not a JSON object"}},
      {"a list", "[]", {"not a JSON object"}},
      {"duplicate",
       says("w", good, "[2,4]", "F32").replace(says("w", good, "[2,4]", "F32").size() - 1, 1, R"(,"w":2})"),
       {"not a JSON object without duplicate keys"}},
      {"deep", std::string(50000, '['), {"not a JSON object"}},
      {"more entries than tensors", R"({"a":1,"b":1,"c":1,"d":1})", {"'a' is not in the file"}},
      {"entry is a number", R"({"w":1})", {"tensor 'w'", "scheme, shape and dtype"}},
      {"extra field", R"({"w":{"scheme":"int8","shape":[],"dtype":"F32","x":1}})", {"nothing else"}},
      {"no such tensor", says("y", good, "[2,4]", "F32"), {"'y' is not in the file"}},
      {"no such tensor, with ESC", R"({"\u001b[2J":{}})", {"'?[2J' is not in the file"}},
      {"bad scheme", says("w", "e4m3fn/gruop:4", "[2,4]", "F32"), {"tensor 'w'", "gruop"}},
      {"long scheme", says("w", std::string(100000, 'e'), "[2,4]", "F32"), {"tensor 'w'"}},
      {"no axis", says("w", "e4m3fn/group:4/ue8m0", "[2,4]", "F32"), {"tensor 'w'", "axis must be written out"}},
      {"axis out of range", says("w", "e4m3fn/group:4@2/ue8m0", "[2,4]", "F32"), {"tensor 'w'", "axis"}},
      {"bad dtype", says("w", good, "[2,4]", "F64"), {"F32, BF16 or F16"}},
      {"shape is text", says("w", good, "\"2,4\"", "F32"), {"shape must be an array"}},
      {"nine axes", says("w", good, "[1,1,1,1,1,1,1,2,4]", "F32"), {"at most 8"}},
      {"negative size", says("w", good, "[-2,4]", "F32"), {"axis 0"}},
      {"huge shape", says("w", good, "[4611686018427387904,4]", "F32"), {"tensor 'w'", "mfq_quantized"}},
      {"another shape", says("w", good, "[4,2]", "F32"), {"tensor 'w'", "'w' is F8_E4M3"}},
      {"larger shape", says("w", good, "[200000000,4]", "F32"), {"tensor 'w'", "800000000"}},
      {"another element", says("w", "e5m2/group:4@1/ue8m0", "[2,4]", "F32"), {"F8_E4M3", "need F8_E5M2"}},
      {"another scale", says("w", "e4m3fn/group:4@1/f32", "[2,4]", "F32"), {"'w_scale' is U8", "need F32"}},
      {"another group", says("w", "e4m3fn/group:2@1/ue8m0", "[2,4]", "F32"), {"'w_scale' is U8 with 2 bytes"}},
      {"scale of no scheme",
       says("w_scale", "uint8/tensor/f32", "[2,1]", "F32"),
       {"'w_scale_scale' is not in the file"}},
      {"zero point missing", says("x", "uint8/tensor/f32/zp", "[2,1]", "F32"), {"'x_scale' is not in the file"}},
      {"a part with two owners",
       "{\"w_scale\":{\"scheme\":\"uint8/tensor/none\",\"shape\":[2,1],\"dtype\":\"F32\"}," +
           says("w", good, "[2,4]", "F32").substr(1),
       {"tensor 'w'", "'w_scale' belongs to another tensor"}}};
  Folder folder;
  mfq_catalog *raw = nullptr;
  write_file(folder.file("good"), lying(says("w", good, "[2,4]", "F32")));
  Reader honest = open_reader(folder.file("good"));
  ASSERT_TRUE(io_ok(mfq_catalog_create(honest.get(), &raw)));
  mfq_catalog_destroy(raw);
  for (const Lie &lie : lies) {
    SCOPED_TRACE(lie.name);
    write_file(folder.file("lie"), lying(lie.metadata));
    Reader reader = open_reader(folder.file("lie"));
    ASSERT_TRUE(reader);
    EXPECT_TRUE(io_fails(mfq_catalog_create(reader.get(), &raw), MFQ_ERROR_CORRUPT_FILE, lie.says));
    EXPECT_EQ(raw, nullptr);
    for (const char *p = mfq_io_last_error(); *p != '\0'; ++p) EXPECT_GE(static_cast<unsigned char>(*p), 0x20);
  }
}

TEST(Catalog, ZeroPointsThatAreNoCodesDoNotGetThrough) {
  Folder folder;
  write_file(folder.file("z"), safetensors("{\"__metadata__\":{\"mfq_quantized\":" +
                                               quote(says("w", "uint4/tensor/f32/zp", "[2]", "F32")) + "}," +
                                               R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                               R"("w_scale":{"dtype":"F32","shape":[],"data_offsets":[1,5]},)"
                                               R"("w_zero_point":{"dtype":"U8","shape":[],"data_offsets":[5,6]}})",
                                           std::string("a1234\x10", 6)));
  Reader reader = open_reader(folder.file("z"));
  mfq_catalog *raw = nullptr;
  ASSERT_TRUE(io_ok(mfq_catalog_create(reader.get(), &raw)));
  Catalog catalog(raw);
  char byte;
  EXPECT_TRUE(io_fails(mfq_catalog_read(raw, 0, MFQ_PART_ZERO_POINTS, 0, 1, &byte), MFQ_ERROR_CORRUPT_FILE,
                       {"tensor 'w'", "0x10", "4 bits"}));
}

} // namespace
