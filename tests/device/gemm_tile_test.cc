// Products by our own kernel of tiles, which is what runs where cuBLASLt is missing, against double sums within the
// bounds of docs/numerics.md.
#include "support/product.h"

namespace {

using namespace mfq_test;

/* Before any context is made: without cuBLASLt the product by tiles is next. */
const int no_cublaslt = setenv("MFQ_CUBLASLT", "", 1);

class GemmTile : public OnDevice {
protected:
  static void expect(const Case &x) {
    ASSERT_EQ(no_cublaslt, 0);
    EXPECT_TRUE(product_is_near(device(), x, "tile"));
  }
};

TEST_F(GemmTile, SchemesThatBf16Holds) {
  // clang-format off
  const char *const schemes[] = {"mxfp8_e4m3",           "mxfp8_e5m2",            "mxfp6_e2m3",  "mxfp6_e3m2",
                                 "mxfp4_e2m1",           "mxint8",                "nvfp4",       "int8/tensor/f32",
                                 "uint4/group:32/ue8m0", "e4m3fn/channel@-2/f32", "uint7/tensor/f32/zp",
                                 "e4m3fnuz/group:32/ue8m0", "e3m0/group:32/bf16", "int4/group:16/ue8m0/zp", "e4m3fn/block:32x32/ue8m0",
                                 "uint8/tensor/f32/zp"};
  // clang-format on
  for (const char *scheme : schemes) expect(sized(70, 24, 96, quantized(scheme), quantized(scheme, true)));
}

/* More than a tile of every size, and less; tails of every kind. */
TEST_F(GemmTile, Sizes) {
  for (const int64_t k : {1, 31, 33, 127}) {
    expect(sized(65, 7, k, plain(), quantized("mxfp8_e4m3", true)));
    expect(sized(66, 9, k, quantized("mxfp4_e2m1"), quantized("mxfp6_e2m3", true)));
  }
  expect(sized(129, 131, 48, plain(), plain(MFQ_DTYPE_BF16, true)));
  expect(sized(65, 257, 64, quantized("mxfp8_e4m3"), quantized("mxfp4_e2m1", true)));
  expect(sized(1, 1, 1, plain(), plain()));
  expect(sized(70, 5, 0, plain(), quantized("mxfp8_e4m3", true)));
}

TEST_F(GemmTile, BandsOfTiles) { expect(sized(9 * 128 + 1, 130, 16, plain(), plain(MFQ_DTYPE_BF16, true))); }

TEST_F(GemmTile, Layouts) {
  const mfq_layout bytes = {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16};
  const mfq_layout tiles = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16};
  for (const mfq_layout &layout : {bytes, tiles})
    for (const char *scheme : {"mxfp6_e3m2", "mxfp4_e2m1", "mxfp8_e5m2"}) {
      Side a = quantized(scheme), b = quantized(scheme, true);
      a.layout = b.layout = layout;
      expect(sized(65, 13, 77, a, b));
      a = quantized(scheme + std::string("/group:32@-2"), true);
      b = quantized(scheme + std::string("/group:32@-2"));
      a.layout = b.layout = layout;
      expect(sized(65, 13, 77, a, b));
    }
}

TEST_F(GemmTile, StridesAndAlignment) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const size_t front : {0, 4, 8}) {
        Case x = sized(66, 10, 40, plain(MFQ_DTYPE_BF16, ta), quantized("mxfp8_e4m3", tb));
        if (!tb) x.b.scheme = "mxfp8_e4m3/group:32@-2";
        x.a.row_padding = 3;
        x.front = front;
        expect(x);
      }
}

TEST_F(GemmTile, Batches) {
  for (const bool shared_a : {false, true}) {
    Case x = sized(65, 6, 32, plain(), quantized("mxfp4_e2m1", true));
    x.batches = {2, 3};
    x.a.is_shared = shared_a;
    x.b.is_shared = !shared_a;
    expect(x);
    x.a = quantized("mxfp8_e4m3");
    x.b.is_shared = false;
    expect(x);
  }
}

TEST_F(GemmTile, RoundedOperands) {
  for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_F16}) {
    Case x = sized(65, 9, 50, plain(dtype), quantized("int8/group:16/f32", true));
    x.round_operands = true;
    expect(x);
  }
}

TEST_F(GemmTile, FinishesAndQuantizedResults) {
  for (const mfq_dtype dtype : kDtypes) {
    Case x = sized(65, 9, 32, plain(), quantized("mxfp4_e2m1", true));
    x.d = dtype;
    expect(x);
    x.has_c = x.has_bias = true;
    x.alpha = 0.5f;
    x.activation = MFQ_ACTIVATION_SILU;
    expect(x);
  }
  Case x = sized(66, 32, 64, quantized("nvfp4"), quantized("mxfp8_e4m3", true));
  x.a.on_the_way = x.b.on_the_way = true;
  expect(x);
}

/* Every code, at every place of a group, with scales small and large, of powers of two also NaN: one code a row is not
 * 0, so that an infinity comes out as one, and what bf16 does not reach as its largest number. */
TEST_F(GemmTile, EveryCode) {
  const uint8_t scales[] = {127, 0, 254, 100, 130, 255};
  for (const char *scheme : {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e3m2", "mxfp6_e2m3", "mxfp4_e2m1", "mxint8",
                             "e4m3fnuz/group:32/ue8m0", "e5m2fnuz/group:32/ue8m0", "nvfp4", "uint6/group:16/ue8m0"}) {
    ProductData data(sized(6 * 256, 3, 32, quantized(scheme), plain(MFQ_DTYPE_BF16, true)));
    Quantized &q = *data.a.quantized;
    const size_t bits = q.sizes.row_bits / 32, per_row = q.sizes.scales_bytes / (6 * 256);
    std::fill(q.codes.begin(), q.codes.end(), 0);
    for (size_t r = 0; r < 6 * 256; ++r) {
      const size_t bit = r * q.sizes.row_bits + r * 7 % 32 * bits, code = r & ((1u << bits) - 1);
      q.codes[bit / 8] |= (uint8_t)(code << bit % 8);
      if (bit % 8 + bits > 8) q.codes[bit / 8 + 1] |= (uint8_t)(code >> (8 - bit % 8));
      for (size_t i = 0; i < per_row; ++i)
        q.scales[r * per_row + i] = (uint8_t)(scales[r / 256] & (per_row == 2 ? 0x7f : 0xff));
    }
    data.a.requantized();
    data.b.plain->fill([](size_t) { return 0x3f80; });
    std::fill(data.b.values.begin(), data.b.values.end(), 1.0);
    const ProductResult got = data.run(device());
    ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
    EXPECT_EQ(got.description.substr(0, 6), "tile: ");
    std::vector<double> want, unused;
    data.expected(&want, &unused);
    for (size_t i = 0; i < want.size(); ++i) {
      const bool is_tiny = std::fabs(want[i]) < std::ldexp(1.0, -126); /* rounded to the grid of bf16 */
      if (std::isfinite(want[i])) want[i] = std::clamp(want[i], -0x1.fep127, 0x1.fep127); /* which ends there */
      ASSERT_TRUE(std::isnan(want[i]) ? std::isnan(got.values[i])
                  : is_tiny           ? std::fabs(got.values[i] - want[i]) <= std::ldexp(1.0, -134)
                                      : got.values[i] == want[i])
          << scheme << " row " << i / 3 << ": " << got.values[i] << ", expected " << want[i];
    }
  }
}

TEST_F(GemmTile, NaNScalePoisonsItsRowAlone) {
  Case x = sized(70, 20, 64, quantized("mxfp8_e4m3"), quantized("mxfp4_e2m1", true));
  ProductData data(x);
  data.a.quantized->scales[2 * 5 + 1] = 255; /* row 5, second group */
  data.b.quantized->scales[2 * 3] = 255;     /* column 3, first group */
  data.a.requantized();
  data.b.requantized();
  const ProductResult got = data.run(device());
  ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(is_near(data, got));
  for (size_t i = 0; i < got.values.size(); ++i) EXPECT_EQ(std::isnan(got.values[i]), i / 20 == 5 || i % 20 == 3) << i;
}

TEST_F(GemmTile, SaysWhyNot) {
  const auto description = [](const Case &x) { return ProductData(x).run(device()).description; };
  EXPECT_NE(description(sized(65, 8, 32, plain(MFQ_DTYPE_F32), plain())).find("not tile: bf16 does not hold plain"),
            std::string::npos);
  EXPECT_NE(description(sized(65, 8, 32, quantized("int8/group:16/f32"), plain())).find("not tile: bf16 does not hold"),
            std::string::npos);
}

} // namespace
