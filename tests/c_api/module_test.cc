// The CUDA module: why there is none, in a sentence; and the CPU works on.
#include <mfq/mfq.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "support/expect_failure.h"

namespace {

mfq_status create(const char *device, mfq_stream stream = nullptr) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.device = device;
  options.stream = stream;
  mfq_context *context = nullptr;
  const mfq_status status = mfq_context_create(&options, &context);
  EXPECT_EQ(context != nullptr, status == MFQ_OK);
  mfq_context_destroy(context);
  return status;
}

class Module : public testing::TestWithParam<std::pair<const char *, std::vector<std::string>>> {};

TEST_P(Module, IsRefused) {
  const auto &[file, says] = GetParam();
  const std::string path = file[0] == '/' || file[0] == '\0' ? file : std::string(MFQ_FAKES) + "/" + file;
  setenv("MFQ_CUDA_MODULE", path.c_str(), 1);
  for (const char *device : {"cuda", "cuda:0", "cuda:7"}) {
    EXPECT_TRUE(fails(create(device), MFQ_ERROR_UNSUPPORTED, {"mfq_context_create: ", device}));
    EXPECT_TRUE(fails(create(device), MFQ_ERROR_UNSUPPORTED, says));
  }
  EXPECT_EQ(create("cpu"), MFQ_OK) << mfq_last_error();
  EXPECT_STREQ(mfq_device_name(0, nullptr), "cpu");
  EXPECT_EQ(mfq_device_name(1, nullptr), nullptr);
  const char *missing = mfq_device_missing("cuda");
  ASSERT_NE(missing, nullptr);
  for (const std::string &part : says) EXPECT_NE(std::string(missing).find(part), std::string::npos) << missing;
}

INSTANTIATE_TEST_SUITE_P(
    , Module,
    testing::Values(
        std::pair("", std::vector<std::string>{"MFQ_CUDA_MODULE is empty, which leaves CUDA out"}),
        std::pair("not_there.so", std::vector<std::string>{"the module that MFQ_CUDA_MODULE names cannot be opened",
                                                           "not_there.so", "No such file"}),
        std::pair("/etc/passwd", std::vector<std::string>{"cannot be opened", "/etc/passwd"}),
        std::pair("mfq_fake_version.so", std::vector<std::string>{"mfq_fake_version.so is of version 0.0.9",
                                                                  "libmfq of " MFQ_VERSION_STRING, "must be equal"}),
        std::pair("mfq_fake_build.so",
                  std::vector<std::string>{"mfq_fake_build.so is of another build of version " MFQ_VERSION_STRING}),
        std::pair("mfq_fake_taken.so", std::vector<std::string>{"mfq_fake_taken.so serves another copy of libmfq"})));

TEST(ModuleSearch, NotOneOfOurs) {
  setenv("MFQ_CUDA_MODULE", MFQ_FAKES "/mfq_fake_onednn_whole.so", 1);
  EXPECT_TRUE(fails(create("cuda"), MFQ_ERROR_UNSUPPORTED,
                    {"mfq_fake_onednn_whole.so is no module of mfq", "no symbol mfq_cuda_module"}));
}

// How often a fake was opened.
class Marks {
public:
  Marks() : file_(std::filesystem::temp_directory_path() / ("mfq_mark_" + std::to_string(getpid()))) {
    setenv("MFQ_FAKE_MARK", file_.c_str(), 1);
  }
  ~Marks() {
    unsetenv("MFQ_FAKE_MARK");
    std::filesystem::remove(file_);
  }
  size_t count() const { return std::filesystem::exists(file_) ? std::filesystem::file_size(file_) : 0; }

private:
  std::filesystem::path file_;
};

TEST(ModuleSearch, RelativePathsAreRefused) {
  const Marks marks;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(MFQ_FAKES);
  for (const std::string path : {"mfq_fake_version.so", "./mfq_fake_version.so", "../fakes/mfq_fake_version.so"}) {
    setenv("MFQ_CUDA_MODULE", path.c_str(), 1);
    EXPECT_TRUE(fails(create("cuda"), MFQ_ERROR_UNSUPPORTED,
                      {"MFQ_CUDA_MODULE is \"" + path + "\", which is no absolute path"}));
  }
  std::filesystem::current_path(before);
  const std::string longest = "/" + std::string(5000, 'x'), quoted = "\"" + longest.substr(0, 160) + "...\"";
  setenv("MFQ_CUDA_MODULE", longest.c_str(), 1);
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(fails(create("cuda"), MFQ_ERROR_UNSUPPORTED,
                      {"MFQ_CUDA_MODULE is " + quoted + ", which is no absolute path of less than"}));
  EXPECT_EQ(marks.count(), 0u);
}

// The reason is kept, and the file left alone, until the variable says something else.
TEST(ModuleSearch, RefusedOnce) {
  const Marks marks;
  for (size_t turn = 1; turn <= 3; ++turn) {
    const bool is_version = turn != 2;
    setenv("MFQ_CUDA_MODULE", is_version ? MFQ_FAKES "/mfq_fake_version.so" : MFQ_FAKES "/mfq_fake_build.so", 1);
    for (int i = 0; i < 5; ++i) {
      const char *missing = mfq_device_missing("cuda");
      ASSERT_NE(missing, nullptr);
      const char *says = is_version ? "is of version 0.0.9" : "is of another build";
      EXPECT_NE(std::string(missing).find(says), std::string::npos) << missing;
      EXPECT_TRUE(fails(create("cuda:1"), MFQ_ERROR_UNSUPPORTED, {says}));
    }
    EXPECT_EQ(marks.count(), turn);
  }
  unsetenv("MFQ_CUDA_MODULE");
  (void)mfq_device_missing("cuda");
  setenv("MFQ_CUDA_MODULE", "", 1);
  EXPECT_TRUE(fails(create("cuda"), MFQ_ERROR_UNSUPPORTED, {"MFQ_CUDA_MODULE is empty"}));
  EXPECT_EQ(marks.count(), 3u);
}

TEST(Devices, LongNamesEndInDots) {
  setenv("MFQ_CUDA_MODULE", "", 1);
  const std::string longest(80, 'x');
  EXPECT_TRUE(fails(create(longest.c_str()), invalid, {"options->device is \"" + longest + "\";"}));
  EXPECT_TRUE(fails(create((longest + "y").c_str()), invalid, {"options->device is \"" + longest + "...\";"}));
}

// Many threads ask at once, for what is not there.
TEST(ModuleSearch, Threads) {
  setenv("MFQ_CUDA_MODULE", MFQ_FAKES "/mfq_fake_version.so", 1);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 50; ++round)
        EXPECT_TRUE(fails(create("cuda"), MFQ_ERROR_UNSUPPORTED, {"is of version 0.0.9"}));
    });
  }
  for (std::thread &thread : threads) thread.join();
}

TEST(Devices, List) {
  setenv("MFQ_CUDA_MODULE", "", 1);
  const char *about = nullptr;
  EXPECT_STREQ(mfq_device_name(0, &about), "cpu");
  ASSERT_NE(about, nullptr);
  EXPECT_NE(std::string(about), "");
  for (const int32_t index : {-1, 1, 2, INT32_MAX, INT32_MIN}) {
    about = "set";
    EXPECT_EQ(mfq_device_name(index, &about), nullptr);
    EXPECT_EQ(about, nullptr);
  }
  EXPECT_EQ(mfq_device_missing("cpu"), nullptr);
  for (const char *kind : {"tpu", "", static_cast<const char *>(nullptr)}) {
    const char *why = mfq_device_missing(kind);
    ASSERT_NE(why, nullptr);
    EXPECT_NE(std::string(why).find("\"cpu\" and \"cuda\" only"), std::string::npos) << why;
  }
}

TEST(Streams, OnCpu) {
  const mfq_stream some = reinterpret_cast<mfq_stream>(uintptr_t{0x40});
  mfq_context_options options;
  mfq_context_options_init(&options);
  EXPECT_EQ(options.stream, nullptr);
  EXPECT_TRUE(fails(create("cpu", some), invalid, {"options->stream is 0x40", "\"cpu\", which has no streams"}));
  mfq_context *context = nullptr;
  ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK);
  EXPECT_EQ(mfq_context_set_stream(context, nullptr), MFQ_OK);
  EXPECT_TRUE(fails(mfq_context_set_stream(context, some), MFQ_ERROR_UNSUPPORTED,
                    {"mfq_context_set_stream: stream is 0x40", "cpu, which has no streams; give NULL"}));
  EXPECT_EQ(mfq_context_stream(context), nullptr);
  EXPECT_EQ(mfq_context_synchronize(context), MFQ_OK);
  mfq_context_destroy(context);
  EXPECT_EQ(mfq_context_stream(nullptr), nullptr);
  EXPECT_TRUE(fails(mfq_context_set_stream(nullptr, nullptr), invalid, {"mfq_context_set_stream: context is NULL"}));
  EXPECT_TRUE(fails(mfq_context_synchronize(nullptr), invalid, {"mfq_context_synchronize: context is NULL"}));
}

} // namespace
