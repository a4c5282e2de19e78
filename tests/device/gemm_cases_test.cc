// What must hold of products on a device, whatever implementation is chosen; both policies.
#include "support/product_cases.h"

namespace {

using namespace mfq_test;

class GemmCases : public testing::TestWithParam<mfq_policy> {
protected:
  void SetUp() override {
    if (devices().device != nullptr) {
      context = make_context_of(device_name(), GetParam());
      return;
    }
    if (std::getenv("MFQ_CUDA_MODULE") != nullptr) GTEST_FAIL() << devices().reason;
    GTEST_SKIP() << devices().reason;
  }
  Context context;
};

INSTANTIATE_TEST_SUITE_P(Policies, GemmCases, testing::Values(MFQ_FAST, MFQ_REPRODUCIBLE),
                         [](const auto &info) { return info.param == MFQ_FAST ? "fast" : "reproducible"; });

TEST_P(GemmCases, EveryPairOfMxFormats) { check_every_pair_of_mx_formats(context.get()); }
TEST_P(GemmCases, SizesAtTheEdge) { check_sizes_at_the_edge(context.get()); }
TEST_P(GemmCases, Granularities) { check_granularities(context.get()); }
TEST_P(GemmCases, TransposesAndLayouts) { check_transposes_and_layouts(context.get()); }
TEST_P(GemmCases, Batches) { check_batches(context.get()); }
TEST_P(GemmCases, BatchesOfAnyStrides) { check_batches_of_any_strides(context.get()); }
TEST_P(GemmCases, FinishesAndDtypes) { check_finishes_and_dtypes(context.get()); }
TEST_P(GemmCases, QuantizedD) { check_quantized_d(context.get()); }
TEST_P(GemmCases, TransposedCodes) { check_transposed_codes(context.get()); }
TEST_P(GemmCases, NanPoisonsItsRowOrColumn) { check_nan_poisons_its_row_or_column(context.get()); }
TEST_P(GemmCases, IdentityAndPowersOfTwo) { check_identity_and_powers_of_two(context.get()); }

} // namespace
