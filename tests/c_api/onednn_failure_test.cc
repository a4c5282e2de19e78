// A module that fits, but takes nothing or fails: a program of its own, since a module that was opened is kept.
#include <cstdlib>

#include "support/expect_failure.h"
#include <mfq/conv.h>

#include "support/environment.h"
#include "support/small_product.h"

namespace {

using mfq_test::make_context;
using mfq_test::SmallProduct;

/* Twos [2, 10, 3] convolved with threes [4, 3, 3]: 54 everywhere. */
struct SmallConv {
  std::vector<float> x = std::vector<float>(60, 2.0f), w = std::vector<float>(36, 3.0f), y = std::vector<float>(64);
  mfq_tensor tensors[3] = {};
  mfq_conv conv = {};
  mfq_conv_plan *plan = nullptr;

  explicit SmallConv(mfq_context *context) {
    const int64_t shapes[3][3] = {{2, 10, 3}, {4, 3, 3}, {2, 8, 4}};
    float *const data[] = {x.data(), w.data(), y.data()};
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(mfq_tensor_init(data[i], MFQ_DTYPE_F32, 3, shapes[i], &tensors[i]), MFQ_OK) << mfq_last_error();
    mfq_conv_init(&conv);
    conv.layout = MFQ_CONV_CHANNELS_LAST;
    conv.input.plain = &tensors[0];
    conv.weight.plain = &tensors[1];
    conv.result = &tensors[2];
    conv.own_workspace = 1;
    EXPECT_EQ(mfq_conv_plan_create(context, &conv, &plan), MFQ_OK) << mfq_last_error();
  }
  ~SmallConv() { mfq_conv_plan_destroy(plan); }
  SmallConv(const SmallConv &) = delete;
  SmallConv &operator=(const SmallConv &) = delete;

  std::string says() const { return plan != nullptr ? mfq_conv_plan_describe(plan) : "no plan"; }
  mfq_status run(mfq_context *context) { return mfq_conv_run(context, plan, &conv, nullptr, 0); }
};

class OnednnFailure : public testing::Test {
protected:
  void SetUp() override {
    setenv("MFQ_ONEDNN_MODULE", MFQ_FAKES "/mfq_fake_onednn_whole.so", 1);
    unsetenv("MFQ_CPU_ISA"); /* the reference path asks for no oneDNN */
  }
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

TEST_F(OnednnFailure, TakesNoConvolution) {
  setenv("MFQ_FAKE_PLANS", "none", 1);
  const auto context = make_context();
  SmallConv conv(context.get());
  EXPECT_NE(conv.says().find("f32 by own loops"), std::string::npos) << conv.says();
  EXPECT_NE(conv.says().find("the fake takes no f32 with a batch of 2"), std::string::npos) << conv.says();
  ASSERT_EQ(conv.run(context.get()), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(conv.y, std::vector<float>(64, 54.0f));
}

TEST_F(OnednnFailure, RunsConvolution) {
  setenv("MFQ_FAKE_PLANS", "all", 1);
  const auto context = make_context();
  SmallConv conv(context.get());
  EXPECT_NE(conv.says().find("f32 by fakeDNN 9.8.7 (made:of_nothing)"), std::string::npos) << conv.says();
  EXPECT_TRUE(fails(conv.run(context.get()), MFQ_ERROR_DEVICE,
                    {"mfq_conv_run: fakeDNN 9.8.7 fails with its status 77", "MFQ_ONEDNN_MODULE= leaves it out"}));
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

// Used before, it cannot be limited, and a context that MFQ_CPU_ISA limits does without; within the limit that it was
// given first, it goes on.
TEST_F(OnednnFailure, DoesNotKeepWithin) {
  setenv("MFQ_FAKE_PLANS", "all", 1);
  const auto any = make_context();
  const SmallProduct with(any.get());
  EXPECT_NE(with.says().find("fakeDNN"), std::string::npos) << with.says();
  const mfq_test::Variable limit("MFQ_CPU_ISA", "baseline");
  const auto limited = make_context();
  SmallProduct without(limited.get());
  EXPECT_EQ(without.says().rfind("expanded: f32 by own loops, baseline: fakeDNN 9.8.7 does not keep within "
                                 "MFQ_CPU_ISA=baseline: it was used in this process before",
                                 0),
            0u)
      << without.says();
  ASSERT_EQ(without.run(limited.get()), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(without.d, std::vector<float>(15, 240.0f));
  const SmallConv conv(limited.get());
  EXPECT_NE(conv.says().find("does not keep within MFQ_CPU_ISA=baseline"), std::string::npos) << conv.says();
  const SmallProduct again(any.get());
  EXPECT_NE(again.says().find("fakeDNN"), std::string::npos) << again.says();
}

} // namespace
