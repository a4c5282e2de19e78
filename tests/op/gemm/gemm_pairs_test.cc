// Every pair of MX formats, sizes at the edge, and what must hold whatever the implementation; both policies.
#include "support/product_cases.h"

namespace {

using namespace mfq_test;

class GemmPairs : public testing::TestWithParam<mfq_policy> {
protected:
  Context context = make_context_of("cpu", GetParam(), 2);
};

INSTANTIATE_TEST_SUITE_P(Policies, GemmPairs, testing::Values(MFQ_FAST, MFQ_REPRODUCIBLE),
                         [](const auto &info) { return info.param == MFQ_FAST ? "fast" : "reproducible"; });

TEST_P(GemmPairs, EveryPairOfMxFormats) { check_every_pair_of_mx_formats(context.get()); }
TEST_P(GemmPairs, SizesAtTheEdge) { check_sizes_at_the_edge(context.get()); }
TEST_P(GemmPairs, Granularities) { check_granularities(context.get()); }
TEST_P(GemmPairs, TransposesAndLayouts) { check_transposes_and_layouts(context.get()); }
TEST_P(GemmPairs, Batches) { check_batches(context.get()); }
TEST_P(GemmPairs, BatchesOfAnyStrides) { check_batches_of_any_strides(context.get()); }
TEST_P(GemmPairs, FinishesAndDtypes) { check_finishes_and_dtypes(context.get()); }
TEST_P(GemmPairs, QuantizedD) { check_quantized_d(context.get()); }
TEST_P(GemmPairs, TransposedCodes) { check_transposed_codes(context.get()); }
TEST_P(GemmPairs, NanPoisonsItsRowOrColumn) { check_nan_poisons_its_row_or_column(context.get()); }
TEST_P(GemmPairs, IdentityAndPowersOfTwo) { check_identity_and_powers_of_two(context.get()); }

// The order of k inside a group does not matter to the exact dot.
TEST(GemmExactGroups, PermutationInsideAGroup) {
  const Context context = make_context_of("cpu", MFQ_REPRODUCIBLE);
  Case x;
  x.a = activations("mxfp8_e5m2");
  x.b = weights("mxfp8_e5m2");
  ProductData data(x);
  const std::vector<uint8_t> before = data.run(context.get()).bytes;
  for (SideData *side : {&data.a, &data.b})
    for (size_t first = 0; first < side->quantized->sizes.codes_bytes; first += 32)
      std::reverse(side->quantized->codes.begin() + (long)first, side->quantized->codes.begin() + (long)first + 32);
  EXPECT_EQ(data.run(context.get()).bytes, before);
}

// Same bits for any number of threads.
TEST(GemmExactGroups, ThreadsDoNotMatter) {
  Case x;
  x.m = 67;
  x.n = 129;
  x.k = 333;
  x.a = activations("mxfp8_e4m3", true);
  x.b = weights("nvfp4");
  const ProductData data(x);
  EXPECT_EQ(data.run(make_context_of("cpu", MFQ_REPRODUCIBLE, 1).get()).bytes,
            data.run(make_context_of("cpu", MFQ_REPRODUCIBLE, 3).get()).bytes);
}

} // namespace
