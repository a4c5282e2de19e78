// tests/io/writer_test.cc: what files are written, and which never come to be.
#include <mfq/io.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "support/file_fixture.h"

using namespace fixture;

namespace {

mfq_status add(mfq_writer *writer, const char *name, mfq_file_dtype dtype, std::vector<int64_t> shape) {
  return mfq_writer_add_tensor(writer, name, dtype, static_cast<int32_t>(shape.size()), shape.data(), nullptr);
}

// Writes a file of one tensor "x" of four bytes.
mfq_status write_four(mfq_writer *writer, const char *data) {
  mfq_status status = add(writer, "x", MFQ_FILE_U8, {4});
  if (status == MFQ_OK) status = mfq_writer_begin(writer);
  if (status == MFQ_OK) status = mfq_writer_write(writer, 0, data, 4);
  return status == MFQ_OK ? mfq_writer_finish(writer) : status;
}

TEST(Writer, WritesTheseBytes) {
  Folder folder;
  Writer w = create_writer(folder.file("out"));
  ASSERT_TRUE(io_ok(mfq_writer_add_metadata(w.get(), "k", "v\n\"\xc3\xb6")));
  int64_t b = -1, a = -1;
  const int64_t shape[] = {2, 3};
  ASSERT_TRUE(io_ok(mfq_writer_add_tensor(w.get(), "b", MFQ_FILE_U8, 2, shape, &b)));
  ASSERT_TRUE(io_ok(mfq_writer_add_tensor(w.get(), "a", MFQ_FILE_BF16, 0, nullptr, &a)));
  EXPECT_EQ(b, 0);
  EXPECT_EQ(a, 1);
  uint64_t bytes = 0;
  ASSERT_TRUE(io_ok(mfq_writer_file_bytes(w.get(), &bytes)));
  EXPECT_TRUE(folder.names().empty());
  ASSERT_TRUE(io_ok(mfq_writer_begin(w.get())));
  EXPECT_EQ(folder.names().count("out"), 0u);
  ASSERT_TRUE(io_ok(mfq_writer_write(w.get(), b, "abcd", 4)));
  ASSERT_TRUE(io_ok(mfq_writer_write(w.get(), b, "ef", 2)));
  ASSERT_TRUE(io_ok(mfq_writer_write(w.get(), a, "gh", 2)));
  ASSERT_TRUE(io_ok(mfq_writer_finish(w.get())));
  EXPECT_EQ(folder.names(), std::set<std::string>{"out"});
  std::string header = "{\"__metadata__\":{\"k\":\"v\\n\\\"\xc3\xb6\"},"
                       R"("b":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]},)"
                       R"("a":{"dtype":"BF16","shape":[],"data_offsets":[6,8]}})";
  while (header.size() % 8 != 0) header += ' ';
  EXPECT_EQ(read_file(folder.file("out")), safetensors(header, "abcdefgh"));
  EXPECT_EQ(bytes, 8 + header.size() + 8);
}

TEST(Writer, WritesAFileWithoutTensors) {
  Folder folder;
  Writer w = create_writer(folder.file("out"));
  ASSERT_TRUE(io_ok(mfq_writer_begin(w.get())));
  ASSERT_TRUE(io_ok(mfq_writer_finish(w.get())));
  EXPECT_EQ(read_file(folder.file("out")), safetensors("{}      ", ""));
}

TEST(Writer, TakesEmptyTensorsAnywhere) {
  Folder folder;
  Writer w = create_writer(folder.file("out"));
  ASSERT_TRUE(io_ok(add(w.get(), "e1", MFQ_FILE_F32, {0, 3})));
  ASSERT_TRUE(io_ok(add(w.get(), "x", MFQ_FILE_U8, {1})));
  ASSERT_TRUE(io_ok(add(w.get(), "e2", MFQ_FILE_F32, {0})));
  ASSERT_TRUE(io_ok(mfq_writer_begin(w.get())));
  ASSERT_TRUE(io_ok(mfq_writer_write(w.get(), 0, nullptr, 0)));
  ASSERT_TRUE(io_ok(mfq_writer_write(w.get(), 1, "x", 1)));
  ASSERT_TRUE(io_ok(mfq_writer_finish(w.get())));
  EXPECT_EQ(mfq_reader_tensor_count(open_reader(folder.file("out")).get()), 3);
}

TEST(Writer, RefusesBadDescriptions) {
  mfq_writer_options_init(nullptr); /* nothing to fill */
  mfq_file_layout_init(nullptr);
  Folder folder;
  Writer w = create_writer(folder.file("out"));
  ASSERT_TRUE(io_ok(add(w.get(), "x", MFQ_FILE_U8, {1})));
  const mfq_status invalid = MFQ_ERROR_INVALID_ARGUMENT;
  EXPECT_TRUE(io_fails(add(w.get(), "x", MFQ_FILE_U8, {1}), invalid, {"tensor 'x'", "taken"}));
  EXPECT_TRUE(io_fails(add(w.get(), "__metadata__", MFQ_FILE_U8, {1}), invalid, {"reserved"}));
  EXPECT_TRUE(io_fails(add(w.get(), "a\tb", MFQ_FILE_U8, {1}), invalid, {"'a?b'", "control character"}));
  EXPECT_TRUE(io_fails(add(w.get(), std::string(1025, 'n').c_str(), MFQ_FILE_U8, {1}), invalid, {"1024"}));
  EXPECT_TRUE(io_fails(add(w.get(), "\xff", MFQ_FILE_U8, {1}), invalid, {"UTF-8"}));
  EXPECT_TRUE(io_fails(add(w.get(), "y", static_cast<mfq_file_dtype>(0), {1}), invalid, {"tensor 'y'", "not a dtype"}));
  EXPECT_TRUE(io_fails(add(w.get(), "y", MFQ_FILE_F4, {3}), MFQ_ERROR_SHAPE, {"whole bytes"}));
  EXPECT_TRUE(io_fails(add(w.get(), "y", MFQ_FILE_U8, {-1}), MFQ_ERROR_SHAPE, {"negative"}));
  EXPECT_TRUE(io_fails(add(w.get(), "y", MFQ_FILE_U8, {INT64_MAX, 2}), MFQ_ERROR_SHAPE, {"overflows"}));
  EXPECT_TRUE(io_fails(add(w.get(), "y", MFQ_FILE_U8, std::vector<int64_t>(33, 1)), MFQ_ERROR_SHAPE, {"33", "32"}));
  EXPECT_TRUE(io_fails(mfq_writer_add_metadata(w.get(), "mfq_version", "1"), invalid, {"'mfq_version'"}));
  EXPECT_TRUE(io_fails(mfq_writer_add_metadata(w.get(), "mfq_quantized", "{}"), invalid, {"'mfq_quantized'"}));
  EXPECT_TRUE(io_fails(mfq_writer_add_metadata(w.get(), "k", "\xff"), invalid, {"UTF-8"}));
  ASSERT_TRUE(io_ok(mfq_writer_add_metadata(w.get(), "k", "1")));
  EXPECT_TRUE(io_fails(mfq_writer_add_metadata(w.get(), "k", "2"), invalid, {"'k'", "already"}));
  EXPECT_TRUE(io_fails(mfq_writer_finish(w.get()), invalid, {"mfq_writer_begin"}));
  EXPECT_TRUE(io_fails(mfq_writer_write(w.get(), 0, "x", 1), invalid, {"mfq_writer_begin"}));
  EXPECT_TRUE(folder.names().empty());
}

TEST(Writer, RefusesDataOutOfTurn) {
  Folder folder;
  Writer w = create_writer(folder.file("out"));
  ASSERT_TRUE(io_ok(add(w.get(), "a", MFQ_FILE_U8, {2})));
  ASSERT_TRUE(io_ok(add(w.get(), "b", MFQ_FILE_U8, {2})));
  ASSERT_TRUE(io_ok(mfq_writer_begin(w.get())));
  const mfq_status invalid = MFQ_ERROR_INVALID_ARGUMENT;
  EXPECT_TRUE(io_fails(mfq_writer_begin(w.get()), invalid, {"already"}));
  EXPECT_TRUE(io_fails(add(w.get(), "c", MFQ_FILE_U8, {2}), invalid, {"already"}));
  EXPECT_TRUE(io_fails(mfq_writer_write(w.get(), 1, "xy", 2), invalid, {"tensor 'b'", "out of turn"}));
  EXPECT_TRUE(io_fails(mfq_writer_write(w.get(), 0, "xyz", 3), invalid, {"tensor 'a'", "more than"}));
  EXPECT_TRUE(io_fails(mfq_writer_write(w.get(), 2, "xyz", 3), invalid, {"no tensor"}));
  ASSERT_TRUE(io_ok(mfq_writer_write(w.get(), 0, "xy", 2)));
  EXPECT_TRUE(io_fails(mfq_writer_write(w.get(), 0, "z", 1), invalid, {"tensor 'a'"}));
  ASSERT_TRUE(io_ok(mfq_writer_write(w.get(), 1, "x", 1)));
  EXPECT_TRUE(io_fails(mfq_writer_finish(w.get()), invalid, {"tensor 'b'", "lacks 1 bytes"}));
  EXPECT_EQ(folder.names().count("out"), 0u);
  w.reset();
  EXPECT_TRUE(folder.names().empty());
}

TEST(Writer, LeavesNothingWhenGivenUp) {
  Folder folder;
  {
    Writer described = create_writer(folder.file("a"));
    ASSERT_TRUE(io_ok(add(described.get(), "x", MFQ_FILE_U8, {2})));
    Writer begun = create_writer(folder.file("b"));
    ASSERT_TRUE(io_ok(add(begun.get(), "x", MFQ_FILE_U8, {2})));
    ASSERT_TRUE(io_ok(mfq_writer_begin(begun.get())));
    EXPECT_EQ(folder.names().count("b"), 0u);
  }
  EXPECT_TRUE(folder.names().empty());
  mfq_writer_destroy(nullptr);
}

TEST(Writer, KeepsAnOutputThatExists) {
  Folder folder;
  write_file(folder.file("out"), "precious");
  mfq_writer *writer = nullptr;
  EXPECT_TRUE(io_fails(mfq_writer_create(folder.file("out").c_str(), nullptr, &writer), MFQ_ERROR_EXISTS, {"exists"}));
  EXPECT_EQ(writer, nullptr);
  EXPECT_EQ(read_file(folder.file("out")), "precious");
  Writer w = create_writer(folder.file("out"), 1);
  ASSERT_TRUE(io_ok(write_four(w.get(), "1234")));
  EXPECT_EQ(mfq_reader_tensor_count(open_reader(folder.file("out")).get()), 1);
  EXPECT_EQ(folder.names(), std::set<std::string>{"out"});
}

TEST(Writer, KeepsAnOutputThatAppearsMeanwhile) {
  Folder folder;
  Writer w = create_writer(folder.file("out"));
  ASSERT_TRUE(io_ok(add(w.get(), "x", MFQ_FILE_U8, {0})));
  ASSERT_TRUE(io_ok(mfq_writer_begin(w.get())));
  write_file(folder.file("out"), "precious");
  EXPECT_TRUE(io_fails(mfq_writer_finish(w.get()), MFQ_ERROR_EXISTS, {"appeared meanwhile"}));
  w.reset();
  EXPECT_EQ(read_file(folder.file("out")), "precious");
  EXPECT_EQ(folder.names(), std::set<std::string>{"out"});
}

TEST(Writer, RefusesDanglingLinksWithoutReplace) {
  Folder folder;
  ASSERT_EQ(symlink("nowhere", folder.file("out").c_str()), 0);
  mfq_writer *writer = nullptr;
  EXPECT_TRUE(io_fails(mfq_writer_create(folder.file("out").c_str(), nullptr, &writer), MFQ_ERROR_EXISTS, {"exists"}));
}

TEST(Writer, NeverReplacesAnInputUnderAnyName) {
  Folder folder;
  write_file(folder.file("in"), safetensors("{}      ", ""));
  ASSERT_EQ(link(folder.file("in").c_str(), folder.file("hard").c_str()), 0);
  ASSERT_EQ(symlink("in", folder.file("soft").c_str()), 0);
  Reader reader = open_reader(folder.file("in"));
  const mfq_reader *inputs[] = {nullptr, reader.get()};
  mfq_writer_options options;
  mfq_writer_options_init(&options);
  options.replace = 1;
  options.inputs = inputs;
  options.input_count = 2;
  for (const char *name : {"in", "hard", "soft", "./in"}) {
    mfq_writer *writer = nullptr;
    EXPECT_TRUE(io_fails(mfq_writer_create(folder.file(name).c_str(), &options, &writer), MFQ_ERROR_INVALID_ARGUMENT,
                         {"the output is the input"}))
        << name;
  }
}

TEST(Writer, RefusesOutputsThatAreNotFiles) {
  Folder folder;
  mfq_writer_options options;
  mfq_writer_options_init(&options);
  options.replace = 1;
  mfq_writer *writer = nullptr;
  const mfq_status invalid = MFQ_ERROR_INVALID_ARGUMENT;
  EXPECT_TRUE(
      io_fails(mfq_writer_create("/dev/null", &options, &writer), invalid, {"/dev/null", "not a regular file"}));
  EXPECT_TRUE(
      io_fails(mfq_writer_create(folder.file("").c_str(), &options, &writer), invalid, {"not the name of a file"}));
  EXPECT_TRUE(io_fails(mfq_writer_create(folder.file("..").c_str(), &options, &writer), invalid, {"not the name"}));
  EXPECT_TRUE(
      io_fails(mfq_writer_create(folder.file("no/x").c_str(), &options, &writer), MFQ_ERROR_IO, {"its folder"}));
  EXPECT_TRUE(io_fails(mfq_writer_create(nullptr, &options, &writer), invalid, {"path is NULL"}));
  options.struct_size = 1;
  EXPECT_TRUE(io_fails(mfq_writer_create(folder.file("x").c_str(), &options, &writer), invalid, {"options_init"}));
}

TEST(Writer, StopsAtTheBeginWhenTheDiskIsTooSmall) {
  Folder folder;
  Writer w = create_writer(folder.file("out"));
  ASSERT_TRUE(io_ok(add(w.get(), "x", MFQ_FILE_U8, {int64_t{1} << 59})));
  EXPECT_TRUE(io_fails(mfq_writer_begin(w.get()), MFQ_ERROR_IO, {"bytes are needed", "free on its disk"}));
  w.reset();
  EXPECT_TRUE(folder.names().empty());
}

TEST(Writer, StopsAtTheBeginWhenTheFileMayNotBeThatLarge) {
  Folder folder;
  Writer w = create_writer(folder.file("out"));
  ASSERT_TRUE(io_ok(add(w.get(), "x", MFQ_FILE_U8, {1 << 20})));
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 4096;
  void (*handler)(int) = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  mfq_status status = mfq_writer_begin(w.get());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(io_fails(status, MFQ_ERROR_IO, {"cannot reserve space", "File too large"}));
  w.reset();
  EXPECT_TRUE(folder.names().empty());
}

TEST(Writer, DoesNotDependOnTheWorkingDirectory) {
  Folder folder, elsewhere;
  const std::string before = std::filesystem::current_path();
  ASSERT_EQ(chdir(folder.file("").c_str()), 0);
  Writer w = create_writer("out");
  ASSERT_EQ(chdir(elsewhere.file("").c_str()), 0);
  ASSERT_TRUE(io_ok(write_four(w.get(), "1234")));
  ASSERT_EQ(chdir(before.c_str()), 0);
  EXPECT_EQ(folder.names(), std::set<std::string>{"out"});
  EXPECT_TRUE(elsewhere.names().empty());
}

TEST(Writer, TwoOfOneNameDoNotMeet) {
  Folder folder;
  Writer a = create_writer(folder.file("out")), b = create_writer(folder.file("out"));
  ASSERT_TRUE(io_ok(add(a.get(), "x", MFQ_FILE_U8, {0})));
  ASSERT_TRUE(io_ok(mfq_writer_begin(a.get())));
  ASSERT_TRUE(io_ok(mfq_writer_begin(b.get())));
  ASSERT_TRUE(io_ok(mfq_writer_finish(b.get())));
  EXPECT_TRUE(io_fails(mfq_writer_finish(a.get()), MFQ_ERROR_EXISTS, {}));
  a.reset();
  EXPECT_EQ(folder.names(), std::set<std::string>{"out"});
}

// What the reader refuses, the writer does not make: many names and types go there and back.
TEST(Writer, RoundTrip) {
  Folder folder;
  Writer w = create_writer(folder.file("out"));
  std::string data;
  for (int dtype = MFQ_FILE_BOOL; dtype <= MFQ_FILE_U64; ++dtype) {
    const std::string name = "layer." + std::to_string(dtype) + ".größe \"quoted\" \\";
    ASSERT_TRUE(io_ok(add(w.get(), name.c_str(), static_cast<mfq_file_dtype>(dtype), {dtype, 8})));
  }
  ASSERT_TRUE(io_ok(mfq_writer_begin(w.get())));
  for (int dtype = MFQ_FILE_BOOL; dtype <= MFQ_FILE_U64; ++dtype) {
    const size_t bytes = static_cast<size_t>(dtype * mfq_file_dtype_bits(static_cast<mfq_file_dtype>(dtype)));
    const std::string piece(bytes, static_cast<char>('a' + dtype));
    ASSERT_TRUE(io_ok(mfq_writer_write(w.get(), dtype - 1, piece.data(), piece.size())));
    data += piece;
  }
  ASSERT_TRUE(io_ok(mfq_writer_finish(w.get())));
  Reader reader = open_reader(folder.file("out"));
  ASSERT_EQ(mfq_reader_tensor_count(reader.get()), 22);
  std::string back;
  for (int64_t i = 0; i < 22; ++i) {
    mfq_file_tensor t;
    ASSERT_TRUE(io_ok(mfq_reader_tensor(reader.get(), i, &t)));
    EXPECT_EQ(t.dtype, i + 1);
    EXPECT_EQ(t.name, "layer." + std::to_string(i + 1) + ".größe \"quoted\" \\");
    std::string piece(t.bytes, '?');
    ASSERT_TRUE(io_ok(mfq_reader_read(reader.get(), i, 0, piece.size(), piece.data())));
    back += piece;
  }
  EXPECT_EQ(back, data);
}

} // namespace
