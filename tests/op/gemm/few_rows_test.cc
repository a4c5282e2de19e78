// Products of few rows with packed weights on the CPU: every width of codes, kind of group, scale and zero point, by every
// instruction set, against double sums within the bounds of docs/numerics.md.
#include "support/machine.h"
#include "support/product.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

Case few(int64_t m, int64_t n, int64_t k, const std::string &scheme, const mfq_layout &layout = {}) {
  Case x = sized(m, n, k, plain(MFQ_DTYPE_F32), weights(scheme));
  x.b.layout = layout;
  return x;
}

constexpr mfq_layout kBytes = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0};
constexpr mfq_layout kAligned = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 16};
constexpr mfq_layout kTiled = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16};

class FewRows : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    if (is_only_reference()) GTEST_SKIP() << kOnlyReference;
    context_ = make_context(GetParam().c_str(), 2);
  }
  void expect(const Case &x) { ASSERT_TRUE(product_is_near(context_.get(), x, "few rows")); }

  Context context_;
};
INSTANTIATE_TEST_SUITE_P(, FewRows, testing::ValuesIn(fast_isas_or_reference()),
                         [](const auto &info) { return info.param; });

// clang-format off
const char *const kSchemes[] = {
    "int2/group:32/bf16", "int3/group:16/f16", "uint3/group:64/f32/zp", "int5/group:32/ue8m0", "uint6/group:32/f32/zp",
    "int7n/group:128/f32", "int8_group32", "uint8/group:16/f32/zp", "int4_group32", "int4_group128", "uint4/group:16/f32/zp",
    "int4_group32_zp", "int8_channel", "uint8/channel@0/f32/zp", "int4/tensor/f32", "uint4/channel@0/f32/zp", "mxint8",
    "e2m1/group:48/ue8m0", "mxfp4_e2m1", "nvfp4", "e3m0/group:96/bf16", "e1m2/group:2048/ue8m0", "e2m1/group:5024/ue8m0",
    "e2m2/group:16/ue4m3", "e1m1/group:32/ue8m0", "e2m0/group:112/f32", "mxfp6_e2m3", "mxfp6_e3m2", "e3m3/group:64/f16",
    "mxfp8_e4m3", "mxfp8_e5m2", "e4m3fnuz/group:32/ue8m0", "e5m2fnuz/group:64/f32", "e3m4/group:32/ue8m0",
    "fp8_e4m3_block128", "e4m3fn/block:16x32/ue8m0", "fp8_e4m3_channel", "e4m3/tensor/f32", "e5m2none/group:32/ue8m0"};
// clang-format on

TEST_P(FewRows, EverySchemeAndShape) {
  const int64_t rows[] = {1, 2, 3, 4, 5, 8, 9, 16}, depths[] = {1, 31, 33, 200, 300, 4100, 5100};
  const mfq_layout layouts[] = {{}, kBytes, kAligned};
  uint32_t seed = 0;
  sample_between({std::size(kSchemes), std::size(rows), std::size(depths), std::size(layouts), 2}, 100, 250,
                 [&](const std::vector<size_t> &at) {
                   Case x = few(rows[at[1]], 21, depths[at[2]], kSchemes[at[0]], layouts[at[3]]);
                   if (x.k % 8 != 0 && at[3] == 0) x.b.layout = kAligned; /* else rows begin inside bytes */
                   x.a.dtype = at[4] == 0 ? MFQ_DTYPE_F32 : MFQ_DTYPE_BF16;
                   x.seed = ++seed;
                   expect(x);
                 });
}

TEST_P(FewRows, Batches) {
  uint32_t seed = 500;
  for (const char *scheme : {"mxfp4_e2m1", "int8_channel", "uint4/group:32/f32/zp", "nvfp4"})
    for (const Shape &batches : {Shape{3}, Shape{2, 2}})
      for (const int shared : {0, 1, 2}) {
        Case x = few(3, 19, 96, scheme); /* A with one B is one product with more rows */
        if (shared == 1 && std::string(scheme) == "int8_channel") x.b.scheme = "int8/channel@-2/f32";
        if (shared != 1 && std::string(scheme) == "int8_channel") x.b.scheme = "int8/tensor/f32";
        x.batches = batches;
        x.a.is_shared = shared == 1;
        x.b.is_shared = shared == 2;
        x.seed = ++seed;
        if (shared == 1 && batches.size() == 2 && x.b.scheme.find("channel") != std::string::npos) continue;
        expect(x);
      }
}

/* Any strides, a few columns of B, and few rows that are quantized. */
TEST_P(FewRows, KindsOfTheFewRows) {
  for (const char *scheme : {"mxfp4_e2m1", "mxfp6_e3m2", "int8_channel", "nvfp4"}) {
    Case x = few(6, 40, 96, scheme);
    x.a = plain(MFQ_DTYPE_F16, true);
    expect(x);
    x.a = plain(MFQ_DTYPE_BF16);
    x.a.row_padding = 3;
    expect(x);
    x.round_operands = true;
    expect(x);
    x = few(6, 40, 96, scheme);
    for (const char *of_a : {"mxfp8_e4m3", "int8_channel", "uint8/tensor/f32/zp", "nvfp4", "fp8_e4m3_block128"})
      for (const bool on_the_way : {false, true}) {
        x.a = quantized(of_a);
        x.a.on_the_way = on_the_way;
        expect(x);
      }
    Case mirrored = sized(40, 7, 300, quantized(scheme), plain(MFQ_DTYPE_F32));
    expect(mirrored);
    mirrored.b = quantized("int8/tensor/f32");
    mirrored.b.on_the_way = true;
    expect(mirrored);
  }
}

TEST_P(FewRows, Finishes) {
  for (const mfq_dtype dtype : kDtypes) {
    Case x = few(4, 24, 160, "fp8_e4m3_channel");
    x.d = dtype;
    x.has_c = x.has_bias = true;
    x.alpha = 0.5f;
    x.activation = MFQ_ACTIVATION_SILU;
    expect(x);
    x.quantized_d = "mxfp8_e4m3";
    ASSERT_EQ(ProductData(x).run(context_.get()).status, MFQ_OK) << mfq_last_error();
  }
}

/* What pads a row is 0 where we write it; others leave anything there. */
TEST_P(FewRows, BitsThatPad) {
  for (const char *scheme : {"mxfp4_e2m1", "mxfp6_e2m3", "mxfp8_e5m2", "int3/group:32/f32"})
    for (const int64_t m : {1, 4}) {
      ProductData data(few(m, 9, 35, scheme, kAligned));
      Quantized &q = *data.b.quantized;
      const size_t bits =
          (size_t)(q.q.scheme.element.is_signed + q.q.scheme.element.exp_bits + q.q.scheme.element.man_bits);
      for (size_t r = 0; r < 9; ++r)
        for (size_t bit = 35 * bits; bit < q.sizes.row_bits; ++bit)
          q.codes[(r * q.sizes.row_bits + bit) / 8] |= (uint8_t)(1 << (r * q.sizes.row_bits + bit) % 8);
      const ProductResult got = data.run(context_.get());
      EXPECT_EQ(got.description.rfind("few rows: ", 0), 0u) << got.description;
      EXPECT_TRUE(is_near(data, got)) << scheme;
    }
}

/* NaN and infinity as elements, codes and scales make NaN or infinity where they are, and nowhere else; sums that are
 * finite once they are scaled are so. */
TEST_P(FewRows, ValuesAtTheEndsOfF32) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const char *scheme : {"mxfp8_e4m3", "mxfp8_e5m2", "e4m3fnuz/group:32/ue8m0", "mxfp4_e2m1", "int8/group:32/f32"})
    for (const int64_t m : {1, 2, 4}) {
      ProductData data(few(m, 12, 96, scheme));
      Quantized &q = *data.b.quantized;
      data.a.plain->put(40, float_bits(3e38f)); /* and scales of its group: */
      const size_t scale_bytes = q.sizes.scales_bytes / 36;
      for (size_t r = 0; r < 12; ++r) {
        uint8_t *scale = &q.scales[(3 * r + 1) * scale_bytes];
        const float tiny = 0x1p-100f, huge = 0x1p120f;
        if (scale_bytes == 1) scale[0] = (uint8_t)(r == 5 ? 255 : r == 6 ? 254 : 27);
        if (scale_bytes == 4) std::memcpy(scale, r == 5 ? &inf : r == 6 ? &huge : &tiny, 4);
      }
      if (q.sizes.row_bits == 96 * 8) {
        q.codes[96 * 3 + 7] = 0x80; /* the NaN of FNUZ */
        q.codes[96 * 4 + 95] = 0x7f;
        q.codes[96 * 8 + 12] = 0xfe;
      }
      data.a.values.clear();
      for (size_t i = 0; i < (size_t)m * 96; ++i)
        data.a.values.push_back(value_in(MFQ_DTYPE_F32, &data.a.plain->bytes[4 * i]));
      data.b.requantized();
      const ProductResult got = data.run(context_.get());
      ASSERT_EQ(got.description.rfind("few rows: ", 0), 0u) << got.description;
      std::vector<double> want, bounds;
      data.expected(&want, &bounds);
      for (size_t i = 0; i < want.size(); ++i) {
        if (bounds[i] > (96 + 8) * 0x1p-24 * 3.4e38) continue; /* some sum of the products leaves f32 */
        if (std::isnan(want[i]))
          EXPECT_TRUE(std::isnan(got.values[i])) << scheme << " element " << i;
        else
          EXPECT_NEAR(got.values[i], want[i], bounds[i] + std::ldexp(1.0, -120)) << scheme << " element " << i;
      }
    }
}

} // namespace
