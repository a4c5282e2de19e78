// The oneDNN module: why there is none, in the plan's own words; and products run all the same.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "support/small_product.h"

namespace {

using mfq_test::make_context;
using mfq_test::SmallProduct;

class OnednnModule : public testing::TestWithParam<std::pair<const char *, std::vector<std::string>>> {};

TEST_P(OnednnModule, IsRefused) {
  const auto &[file, says] = GetParam();
  const std::string name = file;
  unsetenv("MFQ_CPU_ISA"); /* the reference path asks for no oneDNN */
  const bool is_ours = name.rfind("mfq_fake", 0) == 0;
  setenv("MFQ_ONEDNN_MODULE", is_ours ? (std::string(MFQ_FAKES) + "/" + name).c_str() : file, 1);
  const auto context = make_context();
  SmallProduct product(context.get());
  EXPECT_NE(product.says().find("f32 by own loops"), std::string::npos) << product.says();
  for (const std::string &part : says) EXPECT_NE(product.says().find(part), std::string::npos) << product.says();
  ASSERT_EQ(product.run(context.get()), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(product.d, std::vector<float>(15, 240.0f));
}

INSTANTIATE_TEST_SUITE_P(
    , OnednnModule,
    testing::Values(
        std::pair("", std::vector<std::string>{"MFQ_ONEDNN_MODULE is empty, which leaves oneDNN out"}),
        std::pair("/not_there.so", std::vector<std::string>{"the module that MFQ_ONEDNN_MODULE names cannot be opened",
                                                            "/not_there.so", "No such file"}),
        std::pair("not_there.so",
                  std::vector<std::string>{"MFQ_ONEDNN_MODULE is \"not_there.so\", which is no absolute path"}),
        std::pair("/etc/passwd", std::vector<std::string>{"cannot be opened", "/etc/passwd"}),
        std::pair("mfq_fake_version.so",
                  std::vector<std::string>{"mfq_fake_version.so is no module of mfq", "mfq_onednn_module"}),
        std::pair("mfq_fake_onednn_version.so",
                  std::vector<std::string>{"is of version 0.0.9", "libmfq of " MFQ_VERSION_STRING, "must be equal"}),
        std::pair("mfq_fake_onednn_build.so",
                  std::vector<std::string>{"is of another build of version " MFQ_VERSION_STRING})));

// Without a name, nothing lies beside this test, nor where the loader searches.
TEST(OnednnSearch, NotInstalled) {
  unsetenv("MFQ_ONEDNN_MODULE");
  unsetenv("MFQ_CPU_ISA");
  const auto context = make_context();
  const SmallProduct product(context.get());
  if (product.says().find("by oneDNN") != std::string::npos) GTEST_SKIP() << "libmfq_onednn is installed here";
  const char *reason = "there is no oneDNN module: this package was built without oneDNN, or libmfq_onednn.so.";
  EXPECT_NE(product.says().find(reason), std::string::npos) << product.says();
}

// The reason is kept, and the file left alone, until the variable says something else.
TEST(OnednnSearch, RefusedOnce) {
  const std::string mark = std::filesystem::temp_directory_path() / ("mfq_onednn_" + std::to_string(getpid()));
  setenv("MFQ_FAKE_MARK", mark.c_str(), 1);
  const auto context = make_context();
  for (size_t turn = 1; turn <= 2; ++turn) {
    setenv("MFQ_ONEDNN_MODULE", turn == 1 ? MFQ_FAKES "/mfq_fake_version.so" : MFQ_FAKES "/mfq_fake_build.so", 1);
    for (int i = 0; i < 4; ++i)
      EXPECT_NE(SmallProduct(context.get()).says().find("is no module of mfq"), std::string::npos);
    EXPECT_EQ(std::filesystem::file_size(mark), turn);
  }
  unsetenv("MFQ_FAKE_MARK");
  std::filesystem::remove(mark);
}

// Many threads ask at once, for what is not there.
TEST(OnednnSearch, Threads) {
  setenv("MFQ_ONEDNN_MODULE", MFQ_FAKES "/mfq_fake_onednn_version.so", 1);
  unsetenv("MFQ_CPU_ISA");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      const auto context = make_context(nullptr, 1);
      for (int round = 0; round < 30; ++round) {
        const SmallProduct product(context.get());
        EXPECT_NE(product.says().find("is of version 0.0.9"), std::string::npos) << product.says();
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
}

} // namespace
