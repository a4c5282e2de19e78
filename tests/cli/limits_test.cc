// tests/cli/limits_test.cc: memory, interrupts, full disks: what a long run leaves behind.
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

const uint64_t mib = 1 << 20;

// Writes a file of `count` weights of `bytes` bytes each. The data are a hole that reads as zeros and takes no disk.
void write_sparse(const std::string &path, int count, uint64_t bytes) {
  std::vector<Tensor> tensors;
  std::string header = "{";
  for (int i = 0; i < count; ++i) {
    const uint64_t begin = static_cast<uint64_t>(i) * bytes;
    header += std::string(i == 0 ? "" : ",") + "\"layer." + std::to_string(i) +
              "\":{\"dtype\":\"F32\",\"shape\":[1024," + std::to_string(bytes / 4096) + "],\"data_offsets\":[" +
              std::to_string(begin) + "," + std::to_string(begin + bytes) + "]}";
  }
  header += "}";
  write_file(path, safetensors(header, ""));
  std::filesystem::resize_file(path, 8 + header.size() + static_cast<uint64_t>(count) * bytes);
}

TEST(Limits, MemoryStaysBelowTheStatedBound) {
  if (sanitized) GTEST_SKIP() << "the address sanitizer multiplies memory";
  Folder folder;
  const std::string in = folder.file("in"), q = folder.file("q"), d = folder.file("d");
  write_sparse(in, 8, 16 * mib);
  const long bound = static_cast<long>((16 * mib * 5 / 2 + 32 * mib) / 1024);
  for (const char *scheme : {"mxfp8_e4m3", "int4/group:16/f32/zp"}) {
    SCOPED_TRACE(scheme);
    Result planned = run({MFQ_COMMAND, "quantize", in, "-s", scheme, "--dry-run", "--json"});
    json_t *plan = json_loads(planned.out.c_str(), 0, nullptr);
    const json_int_t stated = json_integer_value(json_object_get(plan, "peak_memory_bytes"));
    json_decref(plan);
    EXPECT_GE(stated / 1024, bound);
    EXPECT_LE(stated / 1024, bound + 1024);
    const std::vector<std::vector<std::string>> runs = {
        {"quantize", in, "-o", q, "-f", "-s", scheme},
        {"quantize", in, "-o", q, "-f", "-s", scheme, "--calibrate", in},
        {"dequantize", q, "-o", d, "-f"},
        {"compare", in, q},
        {"compare", q, q}};
    for (std::vector<std::string> words : runs) {
      words.insert(words.begin(), MFQ_COMMAND);
      Result r = run(words);
      ASSERT_TRUE(exits(r, 0));
      EXPECT_LE(r.peak_kib, bound) << words[1];
      EXPECT_GE(r.peak_kib, 16 * 1024) << words[1] << ": a whole tensor was in memory, or the measurement is wrong";
    }
  }
}

// Headers of many small tensors cost about ten times their bytes, and two of them are in memory.
TEST(Limits, MemoryOfLargeHeaders) {
  if (sanitized) GTEST_SKIP() << "the address sanitizer multiplies memory";
  Folder folder;
  const std::string in = folder.file("in"), listing = folder.file("listing");
  std::string header = "{";
  for (int i = 0; i < 40000; ++i)
    header += "\"" + std::to_string(i) + "\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[" + std::to_string(i) +
              "," + std::to_string(i + 1) + "]},";
  header += R"("weight":{"dtype":"F32","shape":[2,32],"data_offsets":[40000,40256]}})";
  write_file(in, safetensors(header, std::string(40256, 'x')));
  const long header_kib = static_cast<long>(header.size() / 1024);
  const std::string q = folder.file("q");
  const Result r = run({MFQ_COMMAND, "quantize", in, "-s", "int8_tensor", "-o", q, "-q"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_LE(r.peak_kib, (16 << 10) + 2 * 12 * header_kib);
  const Result json = Process({MFQ_COMMAND, "compare", in, q, "--json"}, listing).wait();
  ASSERT_EQ(json.code, 0) << json.err;
  EXPECT_LE(json.peak_kib, (32 << 10) + 2 * 24 * header_kib);
}

// Sends a signal as soon as the output is being written.
void interrupt(int signal) {
  Folder folder;
  const std::string in = folder.file("in");
  write_sparse(in, 8, 64 * mib);
  Process process({MFQ_COMMAND, "quantize", in, "-o", folder.file("out"), "-s", "int8/group:32/f32", "-j", "1"});
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!holds_another(process.pid(), in) && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(folder.names().count("out"), 0u);
  kill(process.pid(), signal);
  Result r = process.wait();
  EXPECT_EQ(r.code, 130) << r.err;
  EXPECT_EQ(r.out, "");
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
}

TEST(Limits, InterruptLeavesNothing) { interrupt(SIGINT); }
TEST(Limits, TerminationLeavesNothing) { interrupt(SIGTERM); }

TEST(Limits, AFileSizeLimitIsAnErrorThatLeavesNothing) {
  Folder folder;
  write_file(folder.file("in"), file_of({{"x", "F32", {64, 1024}, f32_data(gaussian(65536, 1))}}));
  const std::string words = " quantize '" + folder.file("in") + "' -o '" + folder.file("out") + "' -s int8/tensor/f32";
  Result r = run({"sh", "-c", std::string("ulimit -f 8; exec '") + MFQ_COMMAND + "'" + words});
  EXPECT_TRUE(exits(r, 1, {"out: cannot reserve space", "File too large"}));
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
}

TEST(Limits, AFolderThatIsNotThereIsAnError) {
  Folder folder;
  write_file(folder.file("in"), file_of(model()));
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "quantize", folder.file("in"), "-o", folder.file("no/out"), "-s", "nvfp4"}), 1,
                    {"no/out: cannot open its folder"}));
}

// A file may claim 2^50 rows of nothing; nobody wants to wait for a loop over them.
TEST(Limits, EmptyTensorsOfHugeShapesTakeNoTime) {
  const int64_t huge = int64_t{1} << 50;
  const std::vector<std::vector<int64_t>> shapes = {{huge, 0}, {0, huge}, {1 << 20, 0, 1 << 20}};
  for (const std::vector<int64_t> &shape : shapes) {
    for (const char *scheme : {"mxfp8_e4m3", "nvfp4", "int8/tensor/f32", "int4/block:4x4/f32", "int8/channel@0/f32"}) {
      SCOPED_TRACE(scheme);
      if (shape[0] == huge && std::string(scheme).find("channel@0") != std::string::npos) continue; // 2^50 scales
      Folder folder;
      const std::string in = folder.file("in"), q = folder.file("q");
      write_file(in, file_of({{"x", "F32", shape, ""}}));
      const auto soon = [](std::vector<std::string> words) {
        words.insert(words.begin(), {"timeout", "-s", "KILL", "20", MFQ_COMMAND});
        return run(words);
      };
      EXPECT_TRUE(exits(soon({"quantize", in, "-o", q, "-s", scheme}), 1, {"nothing to quantize"}));
      ASSERT_TRUE(exits(soon({"quantize", in, "-o", q, "-r", std::string("x=") + scheme}), 0));
      ASSERT_TRUE(exits(soon({"compare", in, q, "--min-sqnr", "1"}), 0));
      ASSERT_TRUE(exits(soon({"dequantize", q, "-o", folder.file("d")}), 0));
      EXPECT_EQ(tensors_of(folder.file("d")), tensors_of(in));
    }
  }
}

// Little memory is an error with a sentence, not a crash.
TEST(Limits, TooLittleMemoryIsAnError) {
  if (sanitized) GTEST_SKIP() << "the address sanitizer needs its address space";
  Folder folder;
  write_sparse(folder.file("in"), 1, 512 * mib);
  const std::string words =
      " quantize '" + folder.file("in") + "' -o '" + folder.file("out") + "' -j 1 -s int8/tensor/f32";
  Result r = run({"sh", "-c", std::string("ulimit -v 300000; exec '") + MFQ_COMMAND + "'" + words});
  EXPECT_TRUE(exits(r, 1, {"memory"}));
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
}

} // namespace
