// Products of few rows with quantized weights by our own kernel, against double sums within the bounds of
// docs/numerics.md.
#include "support/product.h"

namespace {

using namespace mfq_test;

Case few(int64_t m, int64_t n, int64_t k, const std::string &scheme, const mfq_layout &layout = {}) {
  Case x = sized(m, n, k, plain(), weights(scheme));
  x.b.layout = layout;
  return x;
}

constexpr mfq_layout kAligned = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 16};
constexpr mfq_layout kBytes = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16};
constexpr mfq_layout kTiled = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16};

class GemmWeightRows : public OnDevice {
protected:
  static void expect(const Case &x) { EXPECT_TRUE(product_is_near(device(), x, "few rows")); }
  static std::string description(const Case &x) { return ProductData(x).run(device()).description; }
};

/* Elements times scales. */
TEST_F(GemmWeightRows, ScalesThatBf16Holds) {
  for (const char *scheme :
       {"mxfp4_e2m1", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2", "mxint8", "nvfp4", "int4/group:16/ue8m0",
        "e2m1/group:128/ue8m0", "e4m3fn/tensor/f32", "int8/channel@0/f32", "e2m3/block:32x32/ue8m0",
        "e4m3fnuz/group:64/ue8m0", "uint4/group:32/ue8m0/zp", "int8/channel@0/f32/zp", "e4m3fn/group:16/ue4m3"})
    expect(few(5, 37, 384, scheme));
}

/* Sums times scales. */
TEST_F(GemmWeightRows, ScalesBeyondBf16) {
  for (const char *scheme : {"int4/group:128/f16", "int4/group:64/f32", "uint4/group:128/bf16/zp",
                             "e4m3fn/group:128/f32", "e2m3/group:64/f32", "e3m0/group:64/bf16",
                             "e4m3fn/block:128x128/f32", "int4/group:1024/f32", "int8/group:64/ue4m3"})
    for (const int64_t m : {3, 12}) expect(few(m, 37, 384, scheme));
  expect(few(40, 37, 384, "int4/group:128/f32"));
}

TEST_F(GemmWeightRows, RowsOfA) {
  for (const int64_t m : {1, 2, 7, 8, 9, 31, 32, 33, 64})
    for (const char *scheme : {"mxfp4_e2m1", "mxfp6_e3m2", "mxfp8_e4m3"}) expect(few(m, 19, 128, scheme));
}

TEST_F(GemmWeightRows, Tails) {
  for (const int64_t k : {1, 31, 33, 127, 129, 257})
    for (const char *scheme : {"mxfp4_e2m1", "mxfp6_e2m3", "mxfp8_e4m3", "nvfp4", "int4/group:64/f32",
                               "int4/group:32/ue8m0/zp", "e2m3/group:64/f16"})
      for (const int64_t m : {2, 10}) expect(few(m, 35, k, scheme, kAligned));
  expect(few(3, 5, 0, "mxfp4_e2m1"));
  expect(few(3, 1, 64, "mxfp4_e2m1"));
}

/* What pads a row is 0 where we write it; others leave anything there. */
TEST_F(GemmWeightRows, BitsThatPad) {
  for (const char *scheme : {"mxfp4_e2m1", "mxfp6_e2m3", "mxfp8_e5m2", "int4/group:64/f32"}) {
    ProductData data(few(4, 9, 35, scheme, kAligned));
    Quantized &q = *data.b.quantized;
    const size_t bits =
        (size_t)(q.q.scheme.element.is_signed + q.q.scheme.element.exp_bits + q.q.scheme.element.man_bits);
    for (size_t r = 0; r < 9; ++r)
      for (size_t bit = 35 * bits; bit < q.sizes.row_bits; ++bit)
        q.codes[(r * q.sizes.row_bits + bit) / 8] |= (uint8_t)(1 << (r * q.sizes.row_bits + bit) % 8);
    const ProductResult got = data.run(device());
    EXPECT_EQ(got.description.substr(0, 10), "few rows: ") << got.description;
    EXPECT_TRUE(is_near(data, got)) << scheme;
  }
}

/* K long enough for several slabs and parts, N for several blocks. */
TEST_F(GemmWeightRows, PartsAndBlocks) {
  expect(few(2, 150, 8192 + 64, "mxfp4_e2m1"));
  expect(few(2, 20, 4096 + 2048 + 96, "mxfp8_e4m3"));
  expect(few(12, 300, 2048 + 96, "mxfp6_e2m3"));
  expect(few(50, 20, 1024 + 64, "mxfp4_e2m1"));
  expect(few(3, 20, 4096 + 2048, "int4/group:4096/f32"));
  EXPECT_NE(description(few(2, 20, 8192, "mxfp4_e2m1")).find("K in 4 parts"), std::string::npos);
}

TEST_F(GemmWeightRows, Layouts) {
  for (const char *scheme : {"mxfp4_e2m1", "mxfp6_e3m2", "mxfp8_e4m3", "int4/group:64/f32"})
    expect(few(6, 40, 160, scheme, kBytes));
  for (const char *scheme : {"mxfp4_e2m1", "mxfp8_e4m3", "nvfp4"}) expect(few(6, 140, 288, scheme, kTiled));
}

TEST_F(GemmWeightRows, OtherKindsOfA) {
  Case x = few(6, 40, 96, "mxfp4_e2m1");
  x.a = plain(MFQ_DTYPE_BF16, true);
  expect(x);
  x.a = plain();
  x.a.row_padding = 3;
  expect(x);
  x.a = Side();
  for (const char *scheme : {"uint8/tensor/f32/zp", "mxfp8_e4m3"}) {
    x.a.scheme = scheme;
    expect(x);
  }
  x.a.on_the_way = x.b.on_the_way = true;
  expect(x);
  for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_F16}) {
    x = few(6, 40, 96, "mxfp4_e2m1");
    x.a = plain(dtype);
    x.round_operands = true;
    expect(x);
  }
  x = few(6, 40, 96, "mxfp8_e4m3");
  x.front = 2; /* A is copied, and codes are read elsewhere */
  EXPECT_EQ(description(x).rfind("few rows", 0), std::string::npos);
}

TEST_F(GemmWeightRows, Batches) {
  for (const bool is_shared : {false, true}) {
    Case x = few(3, 20, 64, "mxfp4_e2m1");
    x.batches = {3};
    x.b.is_shared = is_shared;
    expect(x);
    x.a.is_shared = !is_shared;
    expect(x);
    x.batches = {2, 2};
    expect(x);
  }
}

TEST_F(GemmWeightRows, Finishes) {
  for (const mfq_dtype dtype : kDtypes) {
    Case x = few(4, 24, 4096 + 64, "e4m3fn/channel@0/f32");
    x.d = dtype;
    expect(x);
    x.has_c = x.has_bias = true;
    x.alpha = 0.5f;
    x.activation = MFQ_ACTIVATION_GELU;
    expect(x);
  }
}

/* Every code, at every place of a group, with scales small and large, and NaN: one code a row is not 0. */
TEST_F(GemmWeightRows, EveryCode) {
  const uint8_t scales[] = {127, 0, 254, 100, 130, 255};
  for (const char *scheme : {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e3m2", "mxfp6_e2m3", "mxfp4_e2m1", "mxint8",
                             "e4m3fnuz/group:32/ue8m0", "e5m2fnuz/group:32/ue8m0", "nvfp4", "int4/group:16/ue8m0"}) {
    ProductData data(few(2, 6 * 256, 32, scheme));
    Quantized &q = *data.b.quantized;
    const size_t bits = q.sizes.row_bits / 32, per_row = q.sizes.scales_bytes / (6 * 256);
    const uint8_t mask = std::string(scheme) == "nvfp4" ? 0x7f : 0xff;
    std::fill(q.codes.begin(), q.codes.end(), 0);
    for (size_t r = 0; r < 6 * 256; ++r) {
      const size_t bit = r * q.sizes.row_bits + r * 7 % 32 * bits, code = r & ((1u << bits) - 1);
      q.codes[bit / 8] |= (uint8_t)(code << bit % 8);
      if (bit % 8 + bits > 8) q.codes[bit / 8 + 1] |= (uint8_t)(code >> (8 - bit % 8));
      for (size_t i = 0; i < per_row; ++i) q.scales[r * per_row + i] = scales[r / 256] & mask;
    }
    data.b.requantized();
    data.a.plain->fill([](size_t) { return 0x3f80; });
    std::fill(data.a.values.begin(), data.a.values.end(), 1.0);
    const ProductResult got = data.run(device());
    ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
    EXPECT_EQ(got.description.substr(0, 10), "few rows: ") << got.description;
    std::vector<double> want, unused;
    data.expected(&want, &unused);
    for (size_t i = 0; i < want.size(); ++i) {
      const bool is_tiny = std::fabs(want[i]) < std::ldexp(1.0, -126); /* rounded to the grid of bf16 */
      if (std::isfinite(want[i])) want[i] = std::clamp(want[i], -0x1.fep127, 0x1.fep127); /* which ends there */
      ASSERT_TRUE(std::isnan(want[i]) ? std::isnan(got.values[i])
                  : is_tiny           ? std::fabs(got.values[i] - want[i]) <= std::ldexp(1.0, -134)
                                      : got.values[i] == want[i])
          << scheme << " row " << i % (6 * 256) << ": " << got.values[i] << ", expected " << want[i];
    }
  }
}

TEST_F(GemmWeightRows, NaNPoisonsItsRowAlone) {
  for (const char *scheme : {"mxfp4_e2m1", "mxfp8_e4m3", "int4/group:64/f32"}) {
    ProductData data(few(5, 40, 192, scheme));
    Quantized &q = *data.b.quantized;
    const size_t bytes = (size_t)q.sizes.scale_count / 40 * (q.q.scheme.scale == MFQ_SCALE_F32 ? 4 : 1);
    for (size_t i = 0; i < (bytes > 6 ? 4u : 1u); ++i) q.scales[17 * bytes + i] = 255; /* the first group of row 17 */
    data.a.plain->put(3 * 192 + 100, 0x7fc0);
    data.b.requantized();
    data.a.values[3 * 192 + 100] = NAN;
    const ProductResult got = data.run(device());
    EXPECT_EQ(got.description.substr(0, 10), "few rows: ") << got.description;
    EXPECT_TRUE(is_near(data, got)) << scheme;
    for (size_t i = 0; i < got.values.size(); ++i)
      EXPECT_EQ(std::isnan(got.values[i]), i / 40 == 3 || i % 40 == 17) << scheme << " " << i;
  }
}

TEST_F(GemmWeightRows, RunTwiceEqual) {
  const ProductData data(few(7, 33, 4096, "mxfp4_e2m1"));
  EXPECT_EQ(data.run(device()).bytes, data.run(device()).bytes);
}

TEST_F(GemmWeightRows, SaysWhyNot) {
  const struct {
    Case x;
    const char *why;
  } cases[] = {
      {few(65, 16, 64, "mxfp4_e2m1"), "M is 65, at most 64"},
      {few(4, 16, 33, "mxfp4_e2m1"), "rows of B's codes are not aligned to 16 bytes"},
      {few(4, 16, 96, "int4/group:24/ue8m0"), "groups must be 16 * 2^k long"},
      {few(4, 16, 96, "int4/group:32/f16"), "groups with scales beyond bf16 must be 64 * 2^k long"},
      {few(4, 16, 96, "uint8/tensor/f32"), "B's codes have no short way to bf16"},
      {few(4, 16, 96, "int3/tensor/f32"), "B's codes have no short way to bf16"},
  };
  for (const auto &each : cases)
    EXPECT_NE(description(each.x).find(std::string("not few rows: ") + each.why), std::string::npos)
        << description(each.x);
  Case f32 = few(4, 16, 64, "mxfp4_e2m1");
  f32.a = plain(MFQ_DTYPE_F32);
  EXPECT_NE(description(f32).find("not few rows: bf16 does not hold plain f32"), std::string::npos);
  f32 = few(4, 16, 64, "mxfp4_e2m1/group:32@0");
  f32.b.is_transposed = false;
  EXPECT_NE(description(f32).find("not few rows: codes of B do not lie along K"), std::string::npos);
}

} // namespace
