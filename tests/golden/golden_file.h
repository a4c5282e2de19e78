/* tests/golden/golden_file.h: the tensors of a file of golden results, read by mfq_io, as float32. */
#ifndef MFQ_TESTS_GOLDEN_GOLDEN_FILE_H
#define MFQ_TESTS_GOLDEN_GOLDEN_FILE_H

#include <set>
#include <string>
#include <vector>

#include "support/file_fixture.h"
#include "support/operand.h"

namespace golden {

/* A file of a folder of tests/golden. Remembers what was read, so that a test can tell that it left nothing out. */
class File {
public:
  explicit File(const std::string &name, const std::string &folder = "brevitas")
      : reader_(
            fixture::open_reader(std::string(MFQ_TEST_DATA_DIR) + "/golden/" + folder + "/" + name + ".safetensors")) {
    for (int64_t i = 0; reader_ && i < mfq_reader_tensor_count(reader_.get()); ++i) unread_.insert(entry(i).name);
  }

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (int64_t i = 0; reader_ && i < mfq_reader_tensor_count(reader_.get()); ++i) all.push_back(entry(i).name);
    return all;
  }
  const std::set<std::string> &unread() const { return unread_; }
  bool is_bf16(const std::string &name) const {
    return entry(mfq_reader_find(reader_.get(), name.c_str())).dtype == MFQ_FILE_BF16;
  }
  bool has(const std::string &name) const { return mfq_reader_find(reader_.get(), name.c_str()) >= 0; }

  std::string metadata(const std::string &key) const {
    const char *value = mfq_reader_metadata_find(reader_.get(), key.c_str());
    return value != nullptr ? value : "";
  }

  mfq_test::Shape shape(const std::string &name) const {
    const mfq_file_tensor t = entry(mfq_reader_find(reader_.get(), name.c_str()));
    return mfq_test::Shape(t.shape, t.shape + t.rank);
  }

  std::vector<float> read(const std::string &name) {
    const int64_t index = mfq_reader_find(reader_.get(), name.c_str());
    EXPECT_GE(index, 0) << "no tensor " << name;
    if (index < 0) return {};
    const mfq_file_tensor t = entry(index);
    EXPECT_TRUE(t.dtype == MFQ_FILE_F32 || t.dtype == MFQ_FILE_BF16) << name;
    std::vector<uint8_t> bytes(t.bytes);
    EXPECT_TRUE(fixture::io_ok(mfq_reader_read(reader_.get(), index, 0, t.bytes, bytes.data())));
    unread_.erase(name);
    const mfq_dtype dtype = t.dtype == MFQ_FILE_F32 ? MFQ_DTYPE_F32 : MFQ_DTYPE_BF16;
    const size_t size = mfq_dtype_bytes(dtype);
    std::vector<float> values;
    for (size_t i = 0; i < bytes.size(); i += size) values.push_back((float)mfq_test::value_in(dtype, &bytes[i]));
    return values;
  }

private:
  mfq_file_tensor entry(int64_t index) const {
    mfq_file_tensor t{};
    EXPECT_TRUE(fixture::io_ok(mfq_reader_tensor(reader_.get(), index, &t)));
    return t;
  }

  fixture::Reader reader_;
  std::set<std::string> unread_;
};

} // namespace golden

#endif
