// Reproducible products on a device: the bytes of the CPU, whatever the operands, layouts and finish.
#include "support/product.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class GemmGeneral : public OnDevice {
protected:
  static testing::AssertionResult same(const ProductData &data) {
    static const Context here = make_context_of("cpu", MFQ_REPRODUCIBLE),
                         there = make_context_of(device_name(), MFQ_REPRODUCIBLE);
    const Case &x = data.given;
    trace(text_of(x));
    const ProductResult want = data.run(here.get());
    auto verdict = succeeded(want.status, "on the CPU");
    if (!verdict) return verdict << "; " << text_of(x);
    const ProductResult got = data.run(there.get());
    verdict = succeeded(got.status, "on the device");
    const size_t element = x.quantized_d.empty() ? mfq_dtype_bytes(x.d) : 1;
    if (verdict) verdict = same_memory(got.bytes, want.bytes, element);
    const bool is_general = x.m * x.n == 0 || got.description.rfind("general: ", 0) == 0;
    if (verdict && !is_general) verdict = testing::AssertionFailure() << "another way";
    return verdict ? verdict : verdict << "; " << text_of(x) << "; " << got.description;
  }
  static testing::AssertionResult same(const Case &x) { return same(ProductData(x)); }
};

TEST_F(GemmGeneral, PairsOfSchemes) {
  const char *const schemes[] = {"",
                                 "mxfp8_e4m3",
                                 "mxfp8_e5m2",
                                 "mxfp6_e3m2",
                                 "mxfp4_e2m1",
                                 "mxint8",
                                 "nvfp4",
                                 "e4m3fn/group:16/f32",
                                 "int8/group:32/bf16",
                                 "uint4/group:24/f32/zp",
                                 "int8/tensor/f32/zp",
                                 "e5m2/channel@-2/f32",
                                 "e3m2/group:128/f16",
                                 "e4m3fn/block:4x16/f32",
                                 "e6m1/group:32/ue8m0",
                                 "e3m4b2fn/group:1/f32"};
  uint32_t seed = 1;
  for (const char *a : schemes)
    for (const char *b : schemes) {
      Case x;
      x.m = 1 + seed % 19;
      x.n = 1 + seed % 23;
      x.k = 1 + seed % 70;
      x.a = quantized(a);
      x.b = weights(b);
      x.a.dtype = kDtypes[seed % 3];
      x.d = kDtypes[seed / 3 % 3];
      x.seed = seed++;
      ASSERT_TRUE(same(x));
    }
}

/* Codes, scales and zero points of every kind: NaN, infinities, zeros, the ends of the range. */
TEST_F(GemmGeneral, EveryKindOfCodesAndScales) {
  uint32_t seed = 1;
  for (const char *a : {"mxfp8_e4m3", "mxfp8_e5m2", "nvfp4", "e5m2/group:16/f32", "uint4/group:32/f32/zp"})
    for (const char *b : {"mxfp4_e2m1", "mxfp8_e5m2", "e5m2/group:32/f32", "int8/channel@-2/f32"})
      for (int i = 0; i < 3; ++i) {
        Case x;
        x.m = 18;
        x.n = 17;
        x.k = 65;
        x.a = quantized(a);
        x.b = weights(b);
        x.seed = seed++;
        ProductData data(x);
        give_everything(data.a.quantized.get(), seed);
        if (i != 0) give_everything(data.b.quantized.get(), seed + 100);
        ASSERT_TRUE(same(data));
      }
}

TEST_F(GemmGeneral, LayoutsTransposesAndBatches) {
  const mfq_layout layouts[] = {{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 0},
                                {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 3}};
  const Shape batches[] = {{}, {3}, {2, 2}};
  sample({3, 3, 3, 2, 2, 2, 2, 3}, 150, [&](const std::vector<size_t> &at) {
    Case x;
    x.m = 17;
    x.n = 9;
    x.k = 40;
    x.batches = batches[at[2]];
    x.a = quantized(std::string(at[7] == 0 ? "e3m2" : "e2m1") + (at[3] ? "/group:32@-2" : "/group:32@-1") + "/ue8m0",
                    at[3] != 0);
    x.b = quantized(at[4] ? "e4m3fn/group:16@-1/ue8m0" : "e4m3fn/group:16@-2/ue8m0", at[4] != 0);
    x.a.layout = layouts[at[0]];
    x.b.layout = layouts[at[1]];
    x.a.is_shared = at[5] != 0;
    x.b.is_shared = at[6] != 0;
    if (at[7] == 2) x.a = Side{};
    x.a.is_transposed = at[3] != 0;
    x.seed = (uint32_t)(at[0] + 3 * at[1]);
    ASSERT_TRUE(same(x));
  });
}

TEST_F(GemmGeneral, Finishes) {
  const char *const targets[] = {"", "", "", "mxfp8_e4m3", "nvfp4", "int8/channel@-1/f32", "e2m1/group:16@-2/bf16"};
  sample({5, 7, 3, 2, 2, 2, 2, 2}, 200, [&](const std::vector<size_t> &at) {
    Case x;
    x.m = 21;
    x.n = 34;
    x.k = 33;
    x.a = quantized("mxfp8_e4m3");
    x.b = weights(at[2] == 0 ? "nvfp4" : "int8/channel@-2/f32");
    x.activation = (mfq_activation)at[0];
    x.quantized_d = targets[at[1]];
    x.d = kDtypes[at[2]];
    x.has_c = at[3] != 0;
    x.c_is_d = at[4] != 0 && x.quantized_d.empty();
    x.has_bias = at[5] != 0;
    x.device_scalars = at[6] != 0;
    x.alpha = at[7] ? 0.7f : 1.0f;
    x.beta = at[5] ? -0.3f : at[0] == 1 ? 0.0f : 1.0f;
    x.seed = (uint32_t)at[0] + 1;
    ASSERT_TRUE(same(x));
  });
}

TEST_F(GemmGeneral, QuantizedOnTheWay) {
  uint32_t seed = 1;
  for (const char *a : {"mxfp8_e4m3", "nvfp4", "int8/channel@-2/f32", "uint8/tensor/f32/zp", "e4m3fn/block:1x16/f32"})
    for (const char *b : {"mxfp4_e2m1", "nvfp4"})
      for (const int turned : {0, 1}) {
        Case x;
        x.m = 20;
        x.n = 18;
        x.k = 81;
        x.a = quantized(a);
        x.b = turned ? weights(b) : quantized(std::string(b) + "/group:16@-2");
        x.a.on_the_way = x.b.on_the_way = true;
        x.a.dtype = kDtypes[seed % 3];
        x.a.row_padding = 5;
        x.quantized_d = turned ? "mxfp8_e4m3" : "";
        x.seed = seed++;
        ASSERT_TRUE(same(x));
      }
}

TEST_F(GemmGeneral, SizesAndAlignmentAtTheEdge) {
  for (const int64_t m : {0, 1, 16})
    for (const int64_t n : {0, 1, 17})
      for (const int64_t k : {0, 1, 32, 95}) {
        Case x;
        x.m = m;
        x.n = n;
        x.k = k;
        x.a = quantized("mxfp4_e2m1");
        x.b = weights("nvfp4");
        x.has_bias = true;
        x.front = (size_t)(4 * (k % 3));
        ASSERT_TRUE(same(x));
      }
}

/* More tiles than one, in batches, with B for all of them. */
TEST_F(GemmGeneral, ManyTiles) {
  Case x;
  x.m = 70;
  x.n = 53;
  x.k = 150;
  x.batches = {2};
  x.a = quantized("mxfp8_e5m2");
  x.b = weights("mxfp8_e5m2");
  x.b.is_shared = true;
  ASSERT_TRUE(same(x));
}

} // namespace
