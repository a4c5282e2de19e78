// A module that fits, but takes nothing or fails: a program of its own, since a module that was opened is kept.
#include <cstdlib>

#include "support/expect_failure.h"
#include "support/small_product.h"

namespace {

using mfq_test::make_context;
using mfq_test::SmallProduct;

class OnednnFailure : public testing::Test {
protected:
  void SetUp() override { setenv("MFQ_ONEDNN_MODULE", MFQ_FAKES "/mfq_fake_onednn_whole.so", 1); }
};

TEST_F(OnednnFailure, TakesNothing) {
  setenv("MFQ_FAKE_PLANS", "none", 1);
  const auto context = make_context();
  SmallProduct product(context.get());
  EXPECT_NE(product.says().find("f32 by own loops"), std::string::npos) << product.says();
  EXPECT_NE(product.says().find("the fake takes no f32 with K = 40"), std::string::npos) << product.says();
  ASSERT_EQ(product.run(context.get()), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(product.d, std::vector<float>(15, 240.0f));
}

TEST_F(OnednnFailure, Runs) {
  setenv("MFQ_FAKE_PLANS", "all", 1);
  const auto context = make_context();
  SmallProduct product(context.get());
  EXPECT_NE(product.says().find("f32 by fakeDNN 9.8.7 (made:of_nothing)"), std::string::npos) << product.says();
  EXPECT_TRUE(fails(product.run(context.get()), MFQ_ERROR_DEVICE,
                    {"mfq_gemm_run: fakeDNN 9.8.7 fails with its status 77", "MFQ_ONEDNN_MODULE= leaves it out"}));
}

// Switched off, it is not used, even where it was opened before.
TEST_F(OnednnFailure, SwitchedOff) {
  setenv("MFQ_FAKE_PLANS", "all", 1);
  const auto context = make_context();
  const SmallProduct with(context.get());
  EXPECT_NE(with.says().find("fakeDNN"), std::string::npos) << with.says();
  setenv("MFQ_ONEDNN_MODULE", "", 1);
  const SmallProduct without(context.get());
  EXPECT_NE(without.says().find("MFQ_ONEDNN_MODULE is empty"), std::string::npos) << without.says();
}

} // namespace
