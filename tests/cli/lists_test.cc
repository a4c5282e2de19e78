// tests/cli/lists_test.cc: files of very many small tensors: time, memory, stack.
#include <sys/resource.h>

#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

// Experts of a mixture, as small as they get. Piece by piece: the peak memory of a process counts as that of its children.
void write_many(const std::string &path, int count) {
  std::ofstream file(path, std::ios::binary);
  uint64_t bytes = 1;
  file << "12345678{";
  for (int i = 0; i < count; ++i) {
    const std::string entry = (i == 0 ? "\"" : ",\"") + std::string("model.layers.") + std::to_string(i) +
                              ".mlp.experts." + std::to_string(i % 64) +
                              ".w\":{\"dtype\":\"BF16\",\"shape\":[2,32],\"data_offsets\":[" + std::to_string(128 * i) +
                              "," + std::to_string(128 * (i + 1)) + "]}";
    file << entry;
    bytes += entry.size();
  }
  file << "}";
  file.seekp(0);
  file.write(safetensors(std::string(++bytes, ' '), "").data(), 8);
  file.close();
  std::filesystem::resize_file(path, 8 + bytes + 128 * static_cast<uint64_t>(count));
}

uint64_t header_bytes(const std::string &path) { return mfq_reader_header_bytes(open_reader(path).get()); }

double seconds_of_children() {
  struct rusage usage = {};
  getrusage(RUSAGE_CHILDREN, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec) + 1e-6 * static_cast<double>(usage.ru_utime.tv_usec);
}

// The least user time of a few runs: what else the machine does only adds to it.
double least_seconds(const std::vector<std::string> &words) {
  Folder folder;
  double least = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double before = seconds_of_children();
    EXPECT_EQ(Process(words, folder.file("out")).wait().code, 0);
    least = std::min(least, seconds_of_children() - before);
  }
  return least;
}

class Lists : public testing::Test {
protected:
  Folder folder;
  std::string in = folder.file("in"), q = folder.file("q");
  void make(int count) {
    write_many(in, count);
    ASSERT_TRUE(exits(run({MFQ_COMMAND, "quantize", in, "-o", q, "-q", "-s", "mxfp4_e2m1"}), 0));
  }
};

// What io.h says of readers and catalogs, and what the help of the commands says.
TEST_F(Lists, MemoryStaysBelowTheStatedBounds) {
  if (sanitized) GTEST_SKIP() << "the address sanitizer multiplies memory";
  make(20000);
  const std::string back = folder.file("back"), listing = folder.file("listing");
  const long mib = 1024, in_kib = static_cast<long>(header_bytes(in) / 1024),
             q_kib = static_cast<long>(header_bytes(q) / 1024);
  const long entries_kib = 20000 / 2; // 500 bytes each
  const auto peak = [&](std::vector<std::string> words) {
    words.insert(words.begin(), MFQ_COMMAND);
    const Result r = Process(words, listing).wait();
    EXPECT_EQ(r.code, 0) << r.err;
    return r.peak_kib;
  };
  EXPECT_LE(peak({"inspect", in}), 8 * mib + 4 * in_kib + entries_kib);
  EXPECT_LE(peak({"inspect", q}), 8 * mib + 4 * q_kib + entries_kib);
  EXPECT_LE(peak({"quantize", in, "-o", back, "-q", "-s", "mxfp4_e2m1"}), 32 * mib + 24 * (in_kib + q_kib));
  EXPECT_LE(peak({"dequantize", q, "-o", back, "-q", "-f"}), 32 * mib + 16 * (in_kib + q_kib));
  EXPECT_GE(peak({"inspect", q}), 2 * q_kib) << "the header was not in memory, or the measurement is wrong";
}

// A quantized tensor is two of the file, and an entry of the metadata: 2.5 times were measured.
TEST_F(Lists, QuantizedTensorsAreListedInThreeTimesTheTime) {
  if (sanitized) GTEST_SKIP() << "the sanitizer takes most of the time";
  make(20000);
  EXPECT_LT(least_seconds({MFQ_COMMAND, "inspect", q}), 3 * least_seconds({MFQ_COMMAND, "inspect", in}) + 0.02);
}

TEST_F(Lists, AHundredThousandTensorsInTwoSeconds) {
  if (sanitized) GTEST_SKIP() << "the sanitizer takes most of the time";
  make(100000);
  EXPECT_LT(least_seconds({MFQ_COMMAND, "inspect", q}), 2.0);
}

TEST_F(Lists, ASmallStackSuffices) {
  if (sanitized) GTEST_SKIP() << "the address sanitizer multiplies stack";
  make(1000);
  const std::string back = folder.file("back"), mfq = std::string("ulimit -s 128; exec '") + MFQ_COMMAND + "' ";
  write_file(folder.file("deep"), safetensors("{\"__metadata__\":" + std::string(1 << 20, '['), ""));
  for (const std::string &words :
       {"inspect '" + q + "'", "inspect --json '" + q + "'", "compare '" + in + "' '" + q + "'",
        "dequantize '" + q + "' -o '" + back + "'", "quantize '" + in + "' -f -s nvfp4 -o '" + back + "'",
        std::string("formats"), std::string("schemes"), std::string("recipes"), std::string("recipes nvfp4"),
        std::string("caps")})
    EXPECT_EQ(run({"sh", "-c", mfq + words}).code, 0) << words;
  EXPECT_TRUE(exits(run({"sh", "-c", mfq + "inspect '" + folder.file("deep") + "'"}), 1, {"nest deeper than 16"}));
}

} // namespace
