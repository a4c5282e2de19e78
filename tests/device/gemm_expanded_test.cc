// Products by cuBLASLt of expanded operands, against double sums within the bounds of docs/numerics.md.
#include "support/product.h"

#if defined(MFQ_SIMT)
#include "simt/cublaslt/cublaslt_standin.h"
#endif

namespace {

using namespace mfq_test;

/* The device is taken for one that has no faster way for any of these products. */
class GemmExpanded : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (device() == nullptr) return;
    context_ = make_device_context_as("8.0");
    ASSERT_NE(context_, nullptr) << mfq_last_error();
    const std::string why = why_no_cublaslt(context());
    if (is_emulated()) ASSERT_EQ(why, "");
    if (!why.empty()) GTEST_SKIP() << why;
    take_records();
  }
  mfq_context *context() const { return context_.get(); }

  /* Runs a case that must be near, and returns its description. */
  std::string run(const Case &x) const {
    trace(text_of(x));
    const ProductData data(x);
    const ProductResult got = data.run(context());
    EXPECT_EQ(got.status, MFQ_OK) << mfq_last_error() << "; " << text_of(x);
    if (got.status == MFQ_OK) EXPECT_TRUE(is_near(data, got)) << text_of(x) << "; " << got.description;
    return got.description;
  }
  /* The same, run by cuBLASLt as `how` says. */
  void expect(const Case &x, const std::string &how) const {
    const std::string description = run(x);
#if defined(MFQ_SIMT)
    EXPECT_EQ(description.substr(0, description.find(" by ")), "expanded: " + how) << description << "; " << text_of(x);
#else
    (void)how;
#endif
  }

#if defined(MFQ_SIMT)
  static std::vector<simt::lt_record> take_records() {
    for (const std::string &refusal : simt::take_lt_refusals()) EXPECT_NE(refusal.rfind("fault", 0), 0u) << refusal;
    return simt::take_lt_records();
  }
  static void expect_record(const std::string &text) {
    const std::vector<simt::lt_record> records = take_records();
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].text, text);
  }
#else
  static void take_records() {}
  static void expect_record(const std::string &) {} /* only the emulator's cuBLASLt tells */
#endif

private:
  Context context_;
};

TEST_F(GemmExpanded, SchemesThatBf16Holds) {
  /* Large enough that the kernel for few rows does not take them. */
  // clang-format off
  const char *const schemes[] = {"mxfp8_e4m3", "mxfp8_e5m2", "mxint8", "nvfp4", "int8/tensor/f32",
                                 "uint4/group:32/ue8m0", "e4m3fn/channel@-2/f32", "uint8/tensor/f32/zp",
                                 "e3m0/group:32/bf16", "int2/group:32/bf16"};
  // clang-format on
  for (const char *scheme : schemes) {
    std::string b = scheme;
    const Case x = sized(70, 24, 96, quantized(scheme), quantized(b, true));
    expect(x, "bf16");
  }
}

TEST_F(GemmExpanded, SchemesThatNeedF32) {
  for (const char *scheme :
       {"e4m3fn/group:16/f32", "int8/group:16/bf16", "e2m1/group:48/f16", "e4m3fn/block:16x16/f32"})
    expect(sized(70, 24, 96, quantized(scheme), quantized(scheme, true)), "f32");
  Case rounded = sized(70, 24, 96, quantized("int8/group:16/f32"), plain(MFQ_DTYPE_F32));
  expect(rounded, "f32");
  rounded.round_operands = true;
  expect(rounded, "bf16");
}

TEST_F(GemmExpanded, PlainOperandsLieWhereTheyAre) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      expect(sized(70, 24, 40, plain(MFQ_DTYPE_BF16, ta), plain(MFQ_DTYPE_BF16, tb)), "bf16");
      expect_record(std::string(tb ? "T" : "N") + (ta ? "T" : "N") + " 24x70x40: bf16 x bf16 -> f32");
      expect(sized(70, 24, 40, plain(MFQ_DTYPE_F32, ta), plain(MFQ_DTYPE_F32, tb)), "f32");
      expect_record(std::string(tb ? "T" : "N") + (ta ? "T" : "N") + " 24x70x40: f32 x f32 -> f32");
      expect(sized(70, 24, 40, plain(MFQ_DTYPE_F16, ta), plain(MFQ_DTYPE_F16, tb)), "f16");
      expect_record(std::string(tb ? "T" : "N") + (ta ? "T" : "N") + " 24x70x40: f16 x f16 -> f32");
    }
}

TEST_F(GemmExpanded, MixedPlainOperandsAreConverted) {
  for (const bool ta : {false, true}) {
    expect(sized(70, 9, 33, plain(MFQ_DTYPE_BF16, ta), plain(MFQ_DTYPE_F32)), "f32");
    expect(sized(70, 9, 33, plain(MFQ_DTYPE_F16, ta), quantized("mxfp4_e2m1", true)), "f32");
    expect(sized(70, 9, 33, plain(MFQ_DTYPE_BF16, ta), quantized("mxfp4_e2m1", true)), "bf16");
  }
}

TEST_F(GemmExpanded, LayoutsAndOddSizes) {
  mfq_layout bytes = {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16};
  mfq_layout tiles = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 0};
  for (const mfq_layout &layout : {mfq_layout{}, bytes, tiles}) {
    Side a = quantized("mxfp6_e3m2"), b = quantized("mxfp8_e4m3", true);
    a.layout = b.layout = layout;
    for (const int64_t k : {1, 31, 32, 77}) expect(sized(65, 13, k, a, b), "bf16");
    a = quantized("mxfp6_e3m2/group:32@-2", true);
    b = quantized("mxfp8_e4m3/group:32@-2");
    a.layout = b.layout = layout;
    expect(sized(65, 13, 77, a, b), "bf16");
  }
}

TEST_F(GemmExpanded, OnTheWay) {
  for (const char *scheme : {"mxfp8_e4m3", "nvfp4", "int8/tensor/f32", "e4m3fn/channel@-2/f32", "mxint8"}) {
    Side a = quantized(scheme);
    a.on_the_way = true;
    expect(sized(66, 20, 64, a, quantized("mxfp4_e2m1", true)), "bf16");
  }
  Side b = quantized("mxfp8_e4m3/group:32@-2");
  b.on_the_way = true;
  expect(sized(66, 20, 64, plain(MFQ_DTYPE_BF16), b), "bf16");
}

TEST_F(GemmExpanded, Finishes) {
  for (const mfq_dtype d : kDtypes)
    for (int bits = 0; bits < 16; ++bits) {
      Case x = sized(65, 20, 48, plain(MFQ_DTYPE_BF16), quantized("mxfp4_e2m1", true));
      x.d = d;
      x.has_c = bits & 1;
      x.c_is_d = bits & 2;
      x.has_bias = bits & 4;
      x.alpha = bits & 8 ? -0.75f : 1.0f;
      x.beta = bits & 8 ? 0.5f : 1.0f;
      if (x.c_is_d && !x.has_c) continue;
      run(x);
      x.device_scalars = true;
      run(x);
    }
  for (const mfq_activation act : {MFQ_ACTIVATION_RELU, MFQ_ACTIVATION_GELU, MFQ_ACTIVATION_SILU}) {
    Case x = sized(65, 20, 48, plain(MFQ_DTYPE_BF16), quantized("mxfp4_e2m1", true));
    x.activation = act;
    x.has_bias = true;
    run(x);
  }
}

TEST_F(GemmExpanded, WritesDAtOnce) {
  Case x = sized(66, 24, 48, plain(MFQ_DTYPE_BF16), quantized("mxfp4_e2m1", true));
  x.d = MFQ_DTYPE_BF16;
  expect(x, "bf16");
  expect_record("TN 24x66x48: bf16 x bf16 -> bf16");
  x.d = MFQ_DTYPE_F32;
  x.has_c = x.has_bias = true;
  expect(x, "bf16");
  expect_record("TN 24x66x48: bf16 x bf16 -> f32 + bias f32");
  x.d = MFQ_DTYPE_F16; /* cuBLASLt has no such result */
  expect(x, "bf16");
  expect_record("TN 24x66x48: bf16 x bf16 -> f32");
}

TEST_F(GemmExpanded, QuantizedD) {
  for (const char *scheme : {"mxfp8_e4m3", "nvfp4", "int8/tensor/f32"}) {
    Case x = sized(65, 64, 48, plain(MFQ_DTYPE_BF16), quantized("mxfp4_e2m1", true));
    x.quantized_d = scheme;
    const ProductData data(x);
    const ProductResult got = data.run(context());
    ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
    std::vector<double> want, bounds;
    data.expected(&want, &bounds);
    double largest = 0;
    for (const double w : want) largest = std::max(largest, std::fabs(w));
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(got.values[i], want[i], largest / 4) << scheme; /* of a 4-bit float, half a step at its top */
  }
}

TEST_F(GemmExpanded, Batches) {
  for (const bool a_shared : {false, true})
    for (const bool b_shared : {false, true}) {
      Case x = sized(65, 12, 64, quantized("mxfp8_e4m3"), quantized("mxfp4_e2m1", true));
      x.batches = {2, 3};
      x.a.is_shared = a_shared;
      x.b.is_shared = b_shared;
      expect(x, "bf16");
      x.a = plain(MFQ_DTYPE_BF16);
      x.a.is_shared = a_shared;
      x.a.row_padding = 3;
      x.d = MFQ_DTYPE_BF16;
      expect(x, "bf16");
      x.a = quantized("int8/channel@-2/f32");
      x.a.is_shared = a_shared;
      expect(x, "bf16");
    }
}

TEST_F(GemmExpanded, MisalignedMemory) {
  for (const size_t front : {4, 8, 12, 100}) {
    Case x = sized(65, 12, 64, plain(MFQ_DTYPE_F32), plain(MFQ_DTYPE_F32, true));
    x.front = front;
    x.has_bias = true;
    expect(x, "f32");
    x.b = quantized("mxfp4_e2m1", true);
    expect(x, "f32");
  }
}

} // namespace
