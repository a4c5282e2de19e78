// Products whose groups have scales that bf16 does not hold: sums of codes by matrix instructions, times the scales, against
// double sums within the bounds of docs/numerics.md.
#include "support/product.h"

namespace {

using namespace mfq_test;

class GemmGroups : public OnDevice {
protected:
  static void expect(const Case &x) { EXPECT_TRUE(product_is_near(device(), x, "groups")); }
  static std::string description(const Case &x) {
    const ProductData data(x);
    const ProductResult got = data.run(device());
    EXPECT_EQ(got.status, MFQ_OK) << mfq_last_error();
    return got.description;
  }
};

TEST_F(GemmGroups, Schemes) {
  // clang-format off
  const char *const schemes[] = {"int4_group32",         "int4_group128",         "int4_group32_zp",        "int8_group64",
                                 "e2m1/group:32/f32",    "e4m3fn/group:128/f32",  "int6/group:96/f16",      "uint4/group:64/bf16/zp",
                                 "e3m2/group:32/f16",    "e4m3fn/block:64x32/f32", "e5m2/group:160/bf16",    "int8/group:32/bf16"};
  // clang-format on
  for (const char *scheme : schemes) {
    expect(sized(70, 24, 224, plain(), quantized(scheme, true)));
    expect(sized(70, 24, 96, quantized(scheme), quantized(scheme, true)));
  }
}

/* Scales of one side, of the other, of both with other groups; beside values that have theirs. */
TEST_F(GemmGroups, Pairs) {
  expect(sized(66, 130, 192, quantized("int4_group32"), plain(MFQ_DTYPE_BF16, true)));
  expect(sized(66, 70, 192, quantized("int4_group64"), quantized("e4m3fn/group:96/f32", true)));
  expect(sized(66, 70, 160, quantized("mxfp8_e4m3"), quantized("int4_group32_zp", true)));
  expect(sized(66, 70, 160, quantized("int8/channel@-2/f32"), quantized("int4_group128", true)));
  expect(sized(66, 70, 160, quantized("int4_group32"), quantized("nvfp4", true)));
}

/* More than a tile of every size, and less; tails of every kind, and a group that is all of K. */
TEST_F(GemmGroups, Sizes) {
  for (const int64_t k : {1, 31, 33, 127}) expect(sized(65, 7, k, plain(), quantized("int4_group32", true)));
  expect(sized(129, 65, 48, quantized("int4_group128"), quantized("int8_group32", true)));
  expect(sized(130, 200, 300, plain(), quantized("int4_group128", true)));
  expect(sized(70, 5, 40, plain(), quantized("int4/group:48/f32", true)));
}

TEST_F(GemmGroups, LayoutsAndResults) {
  const mfq_layout bytes = {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16};
  Side b = quantized("int4_group32_zp/group:32@-2"); /* [K, N], groups along K */
  expect(sized(66, 40, 96, plain(), b));
  b.layout = bytes;
  expect(sized(66, 40, 96, plain(), b));
  Case x = sized(70, 24, 96, plain(), quantized("int4_group32", true));
  x.batches = {2, 3};
  expect(x);
  x.batches = {};
  x.d = MFQ_DTYPE_BF16;
  x.has_c = x.has_bias = true;
  x.alpha = 0.5f;
  x.beta = -1.5f;
  x.activation = MFQ_ACTIVATION_SILU;
  expect(x);
}

TEST_F(GemmGroups, Refusals) {
  const auto why = [&](const char *a, const char *b) {
    return description(sized(70, 24, 96, quantized(a), quantized(b, true)));
  };
  EXPECT_NE(why("int4/group:16/f32", "int4_group32").find("not groups: groups are no multiples of 32"),
            std::string::npos);
  EXPECT_NE(why("mxfp8_e4m3", "nvfp4").find("not groups: no groups with scales that bf16 does not hold"),
            std::string::npos);
  EXPECT_NE(description(sized(70, 24, 96, plain(MFQ_DTYPE_F32), quantized("int4_group32", true)))
                .find("not groups: bf16 does not hold plain f32"),
            std::string::npos);
}

} // namespace
