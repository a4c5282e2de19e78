// What must hold of convolutions on a device, whatever implementation is chosen: MFQ_FAST is near sums of double,
// MFQ_REPRODUCIBLE has the bytes of the CPU. Few points of each list: the emulated device is slow.
#include "support/conv_cases.h"

namespace {

using namespace mfq_test;

/* With cuBLASLt, or only by kernels of our own. */
class ConvCases : public testing::TestWithParam<bool> {
protected:
  void SetUp() override {
    if (devices().device == nullptr && std::getenv("MFQ_CUDA_MODULE") != nullptr) GTEST_FAIL() << devices().reason;
    if (devices().device == nullptr) GTEST_SKIP() << devices().reason;
    if (!GetParam()) none_ = std::make_unique<Variable>("MFQ_CUBLASLT", "");
    fast = make_context_of(device_name(), MFQ_FAST);
    reproducible = make_context_of(device_name(), MFQ_REPRODUCIBLE);
    cpu_reproducible = make_context_of("cpu", MFQ_REPRODUCIBLE, 2);
  }

  Context fast, reproducible, cpu_reproducible;
  /* Reproducible results do not depend on cuBLASLt, so they are looked at once. */
  ConvVerdict right = [this](const ConvCase &x) {
    auto verdict = conv_is_near(fast.get(), x);
    if (verdict && GetParam()) verdict = conv_is_equal(cpu_reproducible.get(), reproducible.get(), x);
    return verdict;
  };

private:
  std::unique_ptr<Variable> none_;
};

INSTANTIATE_TEST_SUITE_P(, ConvCases, testing::Bool(),
                         [](const auto &info) { return info.param ? "cublaslt" : "own_kernels"; });

TEST_P(ConvCases, Schemes) { check_conv_schemes(right, 30); }
TEST_P(ConvCases, Layers) { check_conv_layers(right, 16); }
TEST_P(ConvCases, Edges) { check_conv_edges(right); }
TEST_P(ConvCases, Parameters) { check_conv_parameters(right, 60, 100000, 11); }
TEST_P(ConvCases, Memory) { check_conv_memory(right, 24); }
TEST_P(ConvCases, CodeLayouts) { check_conv_code_layouts(right, 24); }
TEST_P(ConvCases, Groups) { check_conv_groups(right, 16); }
TEST_P(ConvCases, Factors) { check_conv_factors(right); }
TEST_P(ConvCases, Products) { check_conv_products(right, 30); }
TEST_P(ConvCases, Finishes) { check_conv_finishes(right, 30); }
TEST_P(ConvCases, Empty) { check_conv_empty(right); }
TEST_P(ConvCases, QuantizedResult) { check_conv_quantized_result(fast.get()); }
TEST_P(ConvCases, Nan) {
  check_conv_nan(fast.get(), false);
  check_conv_nan(reproducible.get(), true);
}
TEST_P(ConvCases, Identity) { check_conv_identity(fast.get()); }

} // namespace
