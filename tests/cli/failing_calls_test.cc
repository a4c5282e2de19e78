// tests/cli/failing_calls_test.cc: every call of the system that the command makes fails once, and ends the process once.
#include <cerrno>

#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

const char *const calls[] = {"open",   "openat",    "pread",    "pwrite",    "fsync",     "close",  "stat",
                             "lstat",  "fstat",     "fstatat",  "fstatvfs",  "linkat",    "flock",  "fcntl",
                             "fchown", "fchmod",    "renameat", "renameat2", "fallocate", "access", "mmap",
                             "dlopen", "fdopendir", "readdir",  "opendir",   "realpath"};

class FailingCalls : public testing::Test {
protected:
  Folder folder, marks;
  std::string in = folder.file("in"), out = folder.file("out"), mark = marks.file("mark");
  std::string whole; // the output that is right
  int made = 0;      // calls that have failed

  void SetUp() override {
    if (sanitized) GTEST_SKIP() << "the sanitizer's own library must be loaded first";
    write_file(in, file_of({{"a", "F32", {4, 64}, f32_data(gaussian(256, 1))}, {"b", "I64", {1}, "12345678"}}));
    ASSERT_TRUE(exits(run(words("quantize", in)), 0));
    whole = read_file(out);
    std::filesystem::remove(out);
  }
  std::vector<std::string> words(const std::string &command, const std::string &from) const {
    std::vector<std::string> all = {MFQ_COMMAND, command, from, "-o", out, "-f", "-q", "-j", "1"};
    if (command == "quantize") all.insert(all.end(), {"-s", "mxfp8_e4m3"});
    return all;
  }
  // Runs quantize with this call made to fail. Returns whether there was such a call.
  bool run_failing(const std::string &call, int number, int error, bool is_named, Result &r) const {
    std::filesystem::remove(mark);
    std::vector<std::string> all = {"env",
                                    std::string("LD_PRELOAD=") + MFQ_FAILING_CALLS,
                                    "MFQ_FAIL_CALL=" + call,
                                    "MFQ_FAIL_NUMBER=" + std::to_string(number),
                                    "MFQ_FAIL_MARK=" + mark,
                                    "MFQ_FAIL_ERRNO=" + std::to_string(error)};
    if (is_named) all.push_back("MFQ_NO_TMPFILE=1");
    const std::vector<std::string> command = words("quantize", in);
    all.insert(all.end(), command.begin(), command.end());
    r = run(all);
    return std::filesystem::exists(mark);
  }
  // Prepares an output to be replaced, or none.
  void prepare(bool is_there) const {
    std::filesystem::remove(out);
    if (is_there) write_file(out, "old");
  }
  std::string output() const { return std::filesystem::exists(out) ? read_file(out) : ""; }
  // Calls `check` for each call of each function, with a new output and a replaced one, with and without a name.
  void each(int error, const std::function<void(const Result &, bool is_there)> &check) {
    for (const bool is_named : {false, true})
      for (const bool is_there : {false, true})
        for (const char *call : calls)
          for (int number = 1; number < 500; ++number) {
            SCOPED_TRACE(std::string(call) + " " + std::to_string(number) + (is_named ? ", named" : ", unnamed") +
                         (is_there ? ", replaces" : ", new"));
            Result r;
            prepare(is_there);
            const bool has_failed = run_failing(call, number, error, is_named, r);
            if (has_failed) check(r, is_there);
            if (HasFailure()) return;
            made += has_failed;
            if (!has_failed) break;
          }
  }
};

// Done all the same, or one sentence, and nothing has changed.
TEST_F(FailingCalls, OneSentenceAndNothingLeft) {
  each(EIO, [&](const Result &r, bool is_there) {
    if (r.code == 0) {
      EXPECT_EQ(output(), whole);
    } else {
      EXPECT_TRUE(exits(r, 1, {"mfq: "}));
      EXPECT_EQ(output(), is_there ? "old" : "");
    }
    EXPECT_EQ(folder.names(),
              (r.code == 0 || is_there ? std::set<std::string>{"in", "out"} : std::set<std::string>{"in"}));
  });
  EXPECT_GT(made, 150);
}

// A call that a signal has interrupted is made again.
TEST_F(FailingCalls, InterruptedCallsAreMadeAgain) {
  for (const char *call : {"pread", "pwrite", "fallocate"}) {
    for (int number = 1; number < 500; ++number) {
      Result r;
      if (!run_failing(call, number, EINTR, false, r)) break;
      ++made;
      EXPECT_TRUE(exits(r, 0)) << call << " " << number;
      EXPECT_EQ(output(), whole);
    }
  }
  EXPECT_GT(made, 8);
}

// A process that ends anywhere leaves the old output or the new one, and the next one removes the rest.
TEST_F(FailingCalls, EndedAnywhere) {
  each(0, [&](const Result &r, bool is_there) {
    EXPECT_EQ(r.code, 1000 + SIGKILL);
    const std::string left = output();
    EXPECT_TRUE(left == whole || left == (is_there ? "old" : "")) << left.size() << " bytes";
    EXPECT_LE(folder.names().size(), 3u);
    const Result next = run(words("quantize", in));
    EXPECT_TRUE(exits(next, 0));
    EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"}));
  });
  EXPECT_GT(made, 150);
}

} // namespace
