// Operands that are too large to be widened at once: made in slabs, they give what all of them give, and a plan asks for no
// more memory than its share.
#include "support/environment.h"
#include "support/machine.h"
#include "support/product.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

/* 2.4 MB in f32 where 2 MB are half of what is kept, in rows of which some 60 would fit. */
enum { SIDE = 72, DEPTH = 8224 };

class ProductSlabs : public testing::TestWithParam<bool> {
protected:
  ProductSlabs() : onednn("MFQ_ONEDNN_MODULE", GetParam() ? std::getenv("MFQ_ONEDNN_MODULE") : "") {}
  void SetUp() override {
    if (is_only_reference()) GTEST_SKIP() << kOnlyReference;
    if (GetParam() && !has_onednn()) GTEST_SKIP() << "there is no oneDNN here";
  }
  Variable onednn;
};

INSTANTIATE_TEST_SUITE_P(, ProductSlabs, testing::Bool(),
                         [](const testing::TestParamInfo<bool> &info) { return info.param ? "onednn" : "own"; });

bool is_in_slabs(const ProductResult &result) { return result.description.find(", in slabs of ") != std::string::npos; }

/* A quantized D has 127 steps up to its largest value, and is half of one off. */
testing::AssertionResult is_near_slabs(const ProductData &data, const ProductResult &result) {
  std::vector<double> want, bounds;
  data.expected(&want, &bounds);
  double largest = 0;
  for (const double value : want) largest = std::max(largest, std::fabs(value));
  for (double &bound : bounds)
    if (!data.given.quantized_d.empty()) bound += 0.51 * largest / 127;
  return values_are_near(result.values, want, bounds, data.given.d);
}

// Every kind of scale, in both orders of codes, under other operands and finishes.
TEST_P(ProductSlabs, OfAnyOperand) {
  const char *const schemes[][2] = {{"mxfp4_e2m1", "mxfp4_e2m1/group:32@-2"},
                                    {"nvfp4", "nvfp4/group:16@-2"},
                                    {"int8_channel/channel@-2", "int8_channel/channel@-1"},
                                    {"int4_group32_zp", "int4_group32_zp/group:32@-2"},
                                    {"fp8_e4m3_block128", "fp8_e4m3_block128"},
                                    {"int3/group:32/bf16", "int3/group:32@-2/bf16"}};
  const Context context = make_context(nullptr, 2);
  size_t cut = 0, all = 0;
  sample_pairs({std::size(schemes), 2, 3, 3}, [&](const std::vector<size_t> &at) {
    const std::string scheme = schemes[at[0]][0];
    const Side b = at[1] == 0 ? weights(scheme) : quantized(schemes[at[0]][1]);
    const Side sides[] = {plain(MFQ_DTYPE_F32), plain(MFQ_DTYPE_BF16), plain(MFQ_DTYPE_BF16, true)};
    Case x = sized(at[1] == 0 && at[0] % 3 == 0 ? 17 : 5, SIDE, DEPTH, sides[at[2]],
                   b); /* more than few rows, where these take the codes */
    x.has_bias = at[3] == 1;
    if (at[3] == 2) x.quantized_d = "int8_tensor";
    const ProductData data(x);
    const ProductResult result = data.run(context.get());
    ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
    ASSERT_TRUE(is_near_slabs(data, result)) << text_of(x) << "; " << result.description;
    cut += is_in_slabs(result);
    ++all;
  });
  EXPECT_GT(cut, all / 3);
}

// Both operands: rows of A are made anew for every slab of B.
TEST_P(ProductSlabs, OfBothOperands) {
  const Context context = make_context(nullptr, 2);
  for (const char *scheme : {"mxfp8_e4m3", "int4_group32_zp"}) {
    const ProductData data(sized(SIDE + 30, SIDE, DEPTH, quantized(scheme), weights(scheme)));
    const ProductResult result = data.run(context.get());
    ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(is_near(data, result)) << result.description;
    EXPECT_EQ(is_in_slabs(result), result.description.find(": f32") != std::string::npos) << result.description;
  }
}

// Scales and formats that the loops of dequantization do not have are not for those of slabs.
TEST_P(ProductSlabs, WhatLoopsDoNotHave) {
  const Context context = make_context(nullptr, 2);
  for (const std::string scheme : {"e2m1/group:16@AXIS/scale:ue5m3fn", "e4m3b130fn/group:32@AXIS/ue8m0"})
    for (const bool is_across : {false, true}) {
      std::string text = scheme;
      text.replace(text.find("AXIS"), 4, is_across ? "-2" : "-1");
      const ProductData data(sized(70, SIDE, 96, plain(MFQ_DTYPE_F32), is_across ? quantized(text) : weights(text)));
      const ProductResult result = data.run(context.get());
      ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(is_near(data, result)) << text << "; " << result.description;
    }
}

// Many small matrices stay together.
TEST_P(ProductSlabs, NotOfManyBatches) {
  Case x = sized(33, 64, 256, plain(MFQ_DTYPE_F32), quantized("mxfp8_e4m3/group:32@-2"));
  x.batches = {70};
  const ProductData data(x);
  const ProductResult result = data.run(make_context(nullptr, 2).get());
  ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(is_near(data, result));
  EXPECT_FALSE(is_in_slabs(result)) << result.description;
}

/* What a plan of weights [SIZE, SIZE] asks for. */
size_t workspace_of(mfq_context *context, const std::string &scheme, int64_t m, mfq_dtype dtype) {
  enum { SIZE = 4096 };
  const int64_t of_a[] = {m, SIZE}, of_b[] = {SIZE, SIZE}, of_d[] = {m, SIZE};
  mfq_tensor a, d;
  mfq_qtensor b;
  const mfq_scheme parsed = parse(scheme);
  EXPECT_EQ(mfq_tensor_init(nullptr, dtype, 2, of_a, &a), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_tensor_init(nullptr, MFQ_DTYPE_BF16, 2, of_d, &d), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_qtensor_init(&parsed, 2, of_b, nullptr, &b), MFQ_OK) << mfq_last_error();
  mfq_gemm gemm;
  mfq_gemm_init(&gemm);
  gemm.a.plain = &a;
  gemm.b.quantized = &b;
  gemm.transpose_b = 1;
  gemm.d = &d;
  mfq_gemm_plan *plan = nullptr;
  EXPECT_EQ(mfq_gemm_plan_create(context, &gemm, &plan), MFQ_OK) << mfq_last_error();
  const size_t bytes = mfq_gemm_workspace_bytes(plan);
  mfq_gemm_plan_destroy(plan);
  return bytes;
}

// One part in eight of the weights in f32, which are 64 MiB, at any M; whole rows of A and sums of D included.
TEST_P(ProductSlabs, KeepWithin) {
  const Context context = make_context(nullptr, 2);
  for (const char *scheme : {"mxfp4_e2m1", "int8_channel/channel@-2", "int4_group32"})
    for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16})
      for (const int64_t m : {1, 8, 64, 100, 512, 4096})
        EXPECT_LE(workspace_of(context.get(), scheme, m, dtype), (size_t)8 << 20) << scheme << ' ' << dtype << ' ' << m;
}

} // namespace
