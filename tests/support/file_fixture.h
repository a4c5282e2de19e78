// tests/support/file_fixture.h: folders that vanish, and safetensors files made by hand, without the library's writer.
#ifndef MFQ_TESTS_SUPPORT_FILE_FIXTURE_H
#define MFQ_TESTS_SUPPORT_FILE_FIXTURE_H

#include <gtest/gtest.h>
#include <mfq/io.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace fixture {

// A new folder, removed with all that is in it.
class Folder {
public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mfq_test_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) abort();
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;

  std::string file(const std::string &name) const { return (path_ / name).string(); }

  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto &entry : std::filesystem::directory_iterator(path_)) found.insert(entry.path().filename().string());
    return found;
  }

private:
  std::filesystem::path path_;
};

inline void write_file(const std::string &path, const std::string &bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.good()) << path;
}

inline std::string read_file(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

// A length field, a header and data, glued together without any check.
inline std::string safetensors(const std::string &header, const std::string &data) {
  std::string bytes(8, '\0');
  uint64_t length = header.size();
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i) & 0xff);
  return bytes + header + data;
}

// A status of mfq_io, with a sentence that says these things.
inline testing::AssertionResult io_fails(mfq_status got, mfq_status want, const std::vector<std::string> &parts) {
  const std::string sentence = mfq_io_last_error();
  if (got != want) {
    return testing::AssertionFailure() << "status " << mfq_status_name(got) << ", expected " << mfq_status_name(want)
                                       << "; last error: " << sentence;
  }
  for (const std::string &part : parts)
    if (sentence.find(part) == std::string::npos)
      return testing::AssertionFailure() << "\"" << sentence << "\" does not say \"" << part << "\"";
  return testing::AssertionSuccess();
}

inline testing::AssertionResult io_ok(mfq_status got) {
  if (got == MFQ_OK) return testing::AssertionSuccess();
  return testing::AssertionFailure() << mfq_status_name(got) << ": " << mfq_io_last_error();
}

struct CloseReader {
  void operator()(mfq_reader *reader) const { mfq_reader_close(reader); }
};
struct DestroyCatalog {
  void operator()(mfq_catalog *catalog) const { mfq_catalog_destroy(catalog); }
};
struct DestroyWriter {
  void operator()(mfq_writer *writer) const { mfq_writer_destroy(writer); }
};
using Reader = std::unique_ptr<mfq_reader, CloseReader>;
using Catalog = std::unique_ptr<mfq_catalog, DestroyCatalog>;
using Writer = std::unique_ptr<mfq_writer, DestroyWriter>;

// Opens a file that is expected to be good; NULL with a test failure otherwise.
inline Reader open_reader(const std::string &path) {
  mfq_reader *reader = nullptr;
  EXPECT_TRUE(io_ok(mfq_reader_open(path.c_str(), &reader)));
  return Reader(reader);
}
// Begins an output; NULL with a test failure where it cannot be.
inline Writer create_writer(const std::string &path, int replace = 0) {
  mfq_writer_options options;
  mfq_writer_options_init(&options);
  options.replace = replace;
  mfq_writer *writer = nullptr;
  EXPECT_TRUE(io_ok(mfq_writer_create(path.c_str(), &options, &writer)));
  return Writer(writer);
}

} // namespace fixture

#endif
