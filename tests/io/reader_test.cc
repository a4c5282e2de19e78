// tests/io/reader_test.cc: reading good files, written by hand.
#include <mfq/io.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "support/file_fixture.h"

using namespace fixture;

namespace {

std::string read_tensor(const mfq_reader *reader, int64_t index) {
  mfq_file_tensor t;
  EXPECT_TRUE(io_ok(mfq_reader_tensor(reader, index, &t)));
  std::string bytes(t.bytes, '?');
  EXPECT_TRUE(io_ok(mfq_reader_read(reader, index, 0, bytes.size(), bytes.data())));
  return bytes;
}

TEST(Reader, ListsTensorsByOffsetWhateverTheHeaderSays) {
  Folder folder;
  const std::string path = folder.file("a");
  write_file(path, safetensors(R"({"second":{"dtype":"U8","shape":[2],"data_offsets":[3,5]},)"
                               R"("__metadata__":{"k":"v","empty":""},)"
                               R"("first":{"data_offsets":[0,3],"shape":[3,1],"dtype":"I8"}}   )",
                               "abcde"));
  Reader reader = open_reader(path);
  ASSERT_TRUE(reader);
  ASSERT_EQ(mfq_reader_tensor_count(reader.get()), 2);
  mfq_file_tensor t;
  ASSERT_TRUE(io_ok(mfq_reader_tensor(reader.get(), 0, &t)));
  EXPECT_STREQ(t.name, "first");
  EXPECT_EQ(t.dtype, MFQ_FILE_I8);
  ASSERT_EQ(t.rank, 2);
  EXPECT_EQ(t.shape[0], 3);
  EXPECT_EQ(t.shape[1], 1);
  EXPECT_EQ(t.offset, 0u);
  EXPECT_EQ(t.bytes, 3u);
  EXPECT_EQ(read_tensor(reader.get(), 0), "abc");
  EXPECT_EQ(read_tensor(reader.get(), 1), "de");
  EXPECT_EQ(mfq_reader_find(reader.get(), "second"), 1);
  EXPECT_EQ(mfq_reader_find(reader.get(), "third"), -1);
  EXPECT_EQ(mfq_reader_find(reader.get(), "__metadata__"), -1);
  ASSERT_EQ(mfq_reader_metadata_count(reader.get()), 2);
  const char *key, *value;
  ASSERT_TRUE(io_ok(mfq_reader_metadata(reader.get(), 0, &key, &value)));
  EXPECT_STREQ(key, "k");
  EXPECT_STREQ(value, "v");
  EXPECT_STREQ(mfq_reader_metadata_find(reader.get(), "empty"), "");
  EXPECT_EQ(mfq_reader_metadata_find(reader.get(), "none"), nullptr);
  EXPECT_STREQ(mfq_reader_path(reader.get()), path.c_str());
  EXPECT_EQ(mfq_reader_file_bytes(reader.get()), read_file(path).size());
}

TEST(Reader, KnowsEveryDtype) {
  struct {
    const char *name;
    int bits;
  } const rows[] = {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
                    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
                    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
                    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};
  Folder folder;
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const std::string bytes = std::to_string(row.bits); // eight elements
    write_file(folder.file("a"), safetensors(std::string(R"({"x":{"dtype":")") + row.name +
                                                 R"(","shape":[2,4],"data_offsets":[0,)" + bytes + "]}}",
                                             std::string(static_cast<size_t>(row.bits), 'x')));
    Reader reader = open_reader(folder.file("a"));
    mfq_file_tensor t;
    ASSERT_TRUE(io_ok(mfq_reader_tensor(reader.get(), 0, &t)));
    EXPECT_STREQ(mfq_file_dtype_name(t.dtype), row.name);
    EXPECT_EQ(mfq_file_dtype_bits(t.dtype), row.bits);
  }
  EXPECT_STREQ(mfq_file_dtype_name(static_cast<mfq_file_dtype>(0)), "unknown dtype");
  EXPECT_EQ(mfq_file_dtype_bits(static_cast<mfq_file_dtype>(23)), 0);
}

TEST(Reader, ConvertsPlainDtypes) {
  EXPECT_EQ(mfq_file_dtype_from_dtype(MFQ_DTYPE_F32), MFQ_FILE_F32);
  EXPECT_EQ(mfq_file_dtype_from_dtype(MFQ_DTYPE_BF16), MFQ_FILE_BF16);
  EXPECT_EQ(mfq_dtype_from_file_dtype(MFQ_FILE_F16), MFQ_DTYPE_F16);
  EXPECT_EQ(mfq_dtype_from_file_dtype(MFQ_FILE_F64), 0);
}

TEST(Reader, TakesScalarsEmptiesAndEmptyFiles) {
  Folder folder;
  write_file(folder.file("empty"), safetensors("{}", ""));
  EXPECT_EQ(mfq_reader_tensor_count(open_reader(folder.file("empty")).get()), 0);
  write_file(folder.file("a"), safetensors(R"({"e2":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},)"
                                           R"("s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                                           R"("e1":{"dtype":"F32","shape":[3,0,5],"data_offsets":[0,0]}})",
                                           "1234"));
  Reader reader = open_reader(folder.file("a"));
  mfq_file_tensor t;
  const char *const names[] = {"e1", "s", "e2"};
  for (int64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(io_ok(mfq_reader_tensor(reader.get(), i, &t)));
    EXPECT_STREQ(t.name, names[i]);
  }
  EXPECT_EQ(read_tensor(reader.get(), 1), "1234");
  EXPECT_TRUE(io_ok(mfq_reader_read(reader.get(), 0, 0, 0, nullptr)));
}

TEST(Reader, ReadsRangesAndRefusesOthers) {
  Folder folder;
  write_file(folder.file("a"), safetensors(R"({"x":{"dtype":"U8","shape":[6],"data_offsets":[0,6]}})", "abcdef"));
  Reader reader = open_reader(folder.file("a"));
  char out[6];
  ASSERT_TRUE(io_ok(mfq_reader_read(reader.get(), 0, 2, 3, out)));
  EXPECT_EQ(std::string(out, 3), "cde");
  EXPECT_TRUE(io_fails(mfq_reader_read(reader.get(), 0, 4, 3, out), MFQ_ERROR_INVALID_ARGUMENT, {"tensor 'x'", "6"}));
  EXPECT_TRUE(io_fails(mfq_reader_read(reader.get(), 0, 7, 0, out), MFQ_ERROR_INVALID_ARGUMENT, {"tensor 'x'"}));
  EXPECT_TRUE(io_fails(mfq_reader_read(reader.get(), 0, UINT64_MAX, 6, out), MFQ_ERROR_INVALID_ARGUMENT, {}));
  EXPECT_TRUE(io_fails(mfq_reader_read(reader.get(), 1, 0, 1, out), MFQ_ERROR_INVALID_ARGUMENT, {"index 1"}));
  EXPECT_TRUE(io_fails(mfq_reader_read(reader.get(), 0, 0, 1, nullptr), MFQ_ERROR_INVALID_ARGUMENT, {"dst is NULL"}));
  std::filesystem::resize_file(folder.file("a"), mfq_reader_file_bytes(reader.get()) - 3);
  EXPECT_TRUE(io_fails(mfq_reader_read(reader.get(), 0, 0, 6, out), MFQ_ERROR_IO, {"became shorter"}));
}

// Bytes of two versions of a file do not get into one result.
TEST(Reader, NoticesAFileThatChanges) {
  Folder folder;
  const std::string path = folder.file("a");
  const std::string bytes = safetensors(R"({"x":{"dtype":"U8","shape":[6],"data_offsets":[0,6]}})", "abcdef");
  char out[6];
  write_file(path, bytes);
  Reader reader = open_reader(path);
  ASSERT_TRUE(io_ok(mfq_reader_read(reader.get(), 0, 0, 6, out)));
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  ASSERT_TRUE(io_ok(mfq_reader_read(reader.get(), 0, 0, 6, out))) << "a mode is no content";
  std::filesystem::resize_file(path, bytes.size() + 1);
  EXPECT_TRUE(io_fails(mfq_reader_read(reader.get(), 0, 0, 6, out), MFQ_ERROR_IO, {"was changed while it was read"}));
  write_file(path, bytes);
  Reader again = open_reader(path);
  const struct timespec times[2] = {{0, UTIME_OMIT}, {1000000, 0}}; // as a write at another time
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_TRUE(io_fails(mfq_reader_read(again.get(), 0, 0, 6, out), MFQ_ERROR_IO, {"was changed while it was read"}));
  Reader third = open_reader(path);
  write_file(folder.file("b"), bytes);
  std::filesystem::rename(folder.file("b"), path);
  EXPECT_TRUE(io_ok(mfq_reader_read(third.get(), 0, 0, 6, out))) << "the old file is still whole";
}

// As the reference implementation reads it.
TEST(Reader, TakesMetadataOfNull) {
  Folder folder;
  write_file(folder.file("a"), safetensors(R"({"__metadata__": null ,"x":{"dtype":"U8","shape":[1],)"
                                           R"("data_offsets":[0,1]}})",
                                           "x"));
  Reader reader = open_reader(folder.file("a"));
  EXPECT_EQ(mfq_reader_metadata_count(reader.get()), 0);
  EXPECT_EQ(mfq_reader_tensor_count(reader.get()), 1);
}

TEST(Reader, KeepsNamesOutsideAscii) {
  Folder folder;
  write_file(folder.file("a"), safetensors(R"({"gr\u00f6\u00dfe \ud83d\ude00":{"dtype":"U8","shape":[1],)"
                                           R"("data_offsets":[0,1]}})",
                                           "x"));
  EXPECT_EQ(mfq_reader_find(open_reader(folder.file("a")).get(), "größe 😀"), 0);
}

TEST(Reader, RefusesWhatIsNotAFile) {
  Folder folder;
  mfq_reader *reader = nullptr;
  EXPECT_TRUE(
      io_fails(mfq_reader_open(folder.file("none").c_str(), &reader), MFQ_ERROR_NOT_FOUND, {"none", "cannot open"}));
  EXPECT_EQ(reader, nullptr);
  EXPECT_TRUE(io_fails(mfq_reader_open(nullptr, &reader), MFQ_ERROR_INVALID_ARGUMENT, {"path is NULL"}));
  EXPECT_TRUE(io_fails(mfq_reader_open("x", nullptr), MFQ_ERROR_INVALID_ARGUMENT, {"reader is NULL"}));
  mfq_reader_close(nullptr);
}

} // namespace
