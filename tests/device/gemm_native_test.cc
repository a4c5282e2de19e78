// Products that tensor cores compute from the codes, for each compute capability: what is asked of cuBLASLt, and that
// the numbers are right.
#include "support/product.h"

#if defined(MFQ_SIMT)
#include "simt/cublaslt/cublaslt_standin.h"
#endif

namespace {

using namespace mfq_test;

Side with_tiles(Side s) {
  s.layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16};
  return s;
}

Side on_the_way(Side s) {
  s.on_the_way = true;
  return s;
}

class GemmNative : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (device() == nullptr) return;
    const std::string why = why_no_cublaslt(device());
    if (is_emulated()) ASSERT_EQ(why, "");
    if (!why.empty()) GTEST_SKIP() << why;
  }
  static std::string run(mfq_context *context, const Case &x) {
    trace(text_of(x));
    const ProductData data(x);
    const ProductResult got = data.run(context);
    EXPECT_EQ(got.status, MFQ_OK) << mfq_last_error() << "; " << text_of(x);
    if (got.status == MFQ_OK) EXPECT_TRUE(is_near(data, got)) << text_of(x) << "; " << got.description;
    return got.description;
  }
};

/* Runs on any device, whatever it takes natively. */
TEST_F(GemmNative, ThisDevice) {
  for (const char *scheme :
       {"e4m3fn/tensor/f32", "e4m3fn/channel@-2/f32", "e4m3fn/group:128/f32", "mxfp8_e4m3", "nvfp4"}) {
    Case x = sized(72, 32, 256, quantized(scheme), weights(scheme));
    run(device(), x);
    x.a = on_the_way(x.a);
    x.b = on_the_way(x.b);
    run(device(), x);
  }
}

/* Contexts on emulated devices of a compute capability; on a real one taken for a lesser device, where numbers must be
 * right and cuBLASLt may take what the stand-in's rules do not. */
class GemmNativeOn : public GemmNative, public testing::WithParamInterface<int> {
protected:
#if defined(MFQ_SIMT)
  void SetUp() override {
    GemmNative::SetUp();
    if (HasFatalFailure()) return;
    simt::settings settings = former_ = simt::current_settings();
    settings.capability = GetParam();
    simt::change_settings(settings);
    context_ = make_device_context();
    ASSERT_NE(context_, nullptr) << mfq_last_error();
    records();
  }
  void TearDown() override {
    context_.reset();
    simt::change_settings(former_);
  }
  static std::vector<simt::lt_record> records() {
    for (const std::string &refusal : simt::take_lt_refusals()) EXPECT_NE(refusal.rfind("fault", 0), 0u) << refusal;
    return simt::take_lt_records();
  }
#else
  void SetUp() override {
    GemmNative::SetUp();
    if (device() == nullptr || IsSkipped()) return;
    const std::string capability = std::to_string(GetParam() / 10) + "." + std::to_string(GetParam() % 10);
    context_ = make_device_context_as(capability.c_str());
    if (context_ == nullptr) GTEST_SKIP() << mfq_last_error();
  }
#endif
  static bool has(std::initializer_list<int> capabilities) {
    return std::find(capabilities.begin(), capabilities.end(), GetParam()) != capabilities.end();
  }

  /* Where `is_native` holds, the product must be asked for as `text`; elsewhere the reason must hold `why`. */
  void expect(const Case &x, [[maybe_unused]] bool is_native, [[maybe_unused]] const std::string &text,
              [[maybe_unused]] const std::string &why) {
    const std::string description = run(context_.get(), x);
#if defined(MFQ_SIMT)
    const std::vector<simt::lt_record> all = records();
    if (is_native) {
      EXPECT_EQ(description.rfind("native: ", 0), 0u) << description << "; " << text_of(x);
      ASSERT_FALSE(all.empty()) << text_of(x);
      for (const simt::lt_record &record : all) EXPECT_EQ(record.text, text);
    } else {
      EXPECT_NE(description.rfind("native: ", 0), 0u) << description << "; " << text_of(x);
      EXPECT_NE(description.find("not native: "), std::string::npos) << description;
      EXPECT_NE(description.find(why), std::string::npos) << description << "; expected " << why;
    }
#endif
  }
  mfq_context *context() const { return context_.get(); }

private:
  Context context_;
#if defined(MFQ_SIMT)
  simt::settings former_;
#endif
};

const char old[] = "need compute capability 8.9";

TEST_P(GemmNativeOn, OneScale) {
  const bool is_new = !has({80});
  const std::pair<const char *, const char *> pairs[] = {{"e4m3fn", "e4m3fn"}, {"e4m3fn", "e5m2"}, {"e5m2", "e4m3fn"}};
  for (const auto &pair : pairs) {
    const std::string a = pair.first, b = pair.second;
    Case x = sized(72, 32, 64, quantized(a + "/tensor/f32"), weights(b + "/tensor/f32"));
    const std::string types = b.substr(0, 4) + " x " + a.substr(0, 4);
    expect(x, is_new, "TN 32x72x64: " + types + " -> f32; scales 0, 0", old);
    x.d = MFQ_DTYPE_BF16;
    expect(x, is_new, "TN 32x72x64: " + types + " -> bf16; scales 0, 0", old);
    x.d = MFQ_DTYPE_F16;
    x.has_c = x.c_is_d = true;
    x.alpha = 0.5f;
    x.beta = -1.5f;
    expect(x, is_new, "TN 32x72x64: " + types + " -> f16; scales 0, 0", old);
    Case biased = x;
    biased.d = MFQ_DTYPE_F32;
    biased.has_bias = true; /* of f32, which no product of 8-bit floats takes */
    expect(biased, is_new, "TN 32x72x64: " + types + " -> f32", old);
    x.activation = MFQ_ACTIVATION_SILU; /* the finish's, and so are the scales */
    expect(x, is_new, "TN 32x72x64: " + types + " -> f32", old);
  }
  expect(sized(72, 32, 64, quantized("e5m2/tensor/f32"), weights("e5m2/tensor/f32")), false, "",
         is_new ? "do not multiply two such elements" : old);
}

TEST_P(GemmNativeOn, ScalesOfRows) {
  const Case x = sized(72, 32, 64, quantized("e4m3fn/channel@-2/f32"), weights("e4m3fn/channel@-2/f32"));
  const std::string text = "TN 32x72x64: e4m3 x e4m3 -> f32";
  expect(x, !has({80}), has({90}) ? text + "; scales 3, 3" : text, old);
  Case mixed = x;
  mixed.b = weights("e4m3fn/tensor/f32");
  expect(mixed, !has({80}), text, old);
  mixed.b = weights("e4m3fn/tensor/bf16"); /* no scale of cuBLASLt */
  expect(mixed, !has({80}), text, old);
}

TEST_P(GemmNativeOn, ScalesForEach128) {
  const char *const why = has({80}) ? old : "need compute capability 9.0";
  const std::string text = "TN 32x72x320: e4m3 x e4m3 -> f32; scales ";
  const char group[] = "e4m3fn/group:128/f32", block[] = "e4m3fn/block:128x128/f32";
  expect(sized(72, 32, 320, quantized(group), weights(group)), has({90}), text + "4, 4", why);
  expect(sized(72, 32, 320, quantized(group), weights(block)), has({90}), text + "5, 4", why);
  expect(sized(72, 32, 320, quantized(block), weights(group)), has({90}), text + "4, 5", why);
  /* One scale of a block stands for each of its rows: of A, or of B where A has rows that 4 does not divide. */
  expect(sized(72, 32, 320, quantized(block), weights(block)), has({90}), text + "5, 4", why);
  expect(sized(132, 32, 320, quantized(block), weights(block)), has({90}),
         "TN 32x132x320: e4m3 x e4m3 -> f32; scales 5, 4", why);
  expect(sized(132, 32, 320, quantized(group), weights(block)), has({90}),
         "TN 32x132x320: e4m3 x e4m3 -> f32; scales 5, 4", why);
  expect(sized(73, 32, 320, quantized(group), weights(group)), false, "", has({90}) ? "multiples of 4" : why);
  expect(sized(72, 32, 320, on_the_way(quantized(group)), on_the_way(weights(block))), has({90}), text + "5, 4", why);
  expect(sized(72, 32, 320, quantized(group), weights("e4m3fn/tensor/f32")), false, "",
         has({90}) ? "scales of different kinds" : why);
}

/* Four groups of 32 with one power of two, or blocks: each device has its own name for them. */
TEST_P(GemmNativeOn, TiedScales) {
  const bool is_native = has({90, 100, 120});
  const char *const why = has({80}) ? old : "need compute capability 9.0";
  const char group[] = "e4m3fn/group:128/ue8m0:rceil", block[] = "e4m3fn/block:128x128/ue8m0:rceil";
  const std::string text = "TN 32x132x320: e4m3 x e4m3 -> f32; scales ";
  const auto modes = [this](const char *hopper) { return has({90}) ? hopper : "2, 2"; };
  expect(sized(132, 32, 320, quantized(group), weights(group)), is_native, text + modes("4, 4"), why);
  expect(sized(132, 32, 320, quantized(group), weights(block)), is_native, text + modes("5, 4"), why);
  expect(sized(132, 32, 320, quantized(block), weights(group)), is_native, text + modes("4, 5"), why);
  expect(sized(132, 32, 320, quantized(block), weights(block)), is_native, text + modes("5, 4"), why);
  expect(sized(132, 32, 320, on_the_way(quantized(group)), on_the_way(weights(block))), is_native, text + modes("5, 4"),
         why);
  expect(sized(132, 32, 320, quantized("e4m3fn/group:256/ue8m0"), weights("e5m2/block:256x128/ue8m0")), is_native,
         std::string("TN 32x132x320: e5m2 x e4m3 -> f32; scales ") + modes("5, 4"), why);
  Case x = sized(132, 32, 320, quantized(group), weights(block));
  x.batches = {2};
  expect(x, is_native, text + modes("5, 4"), why);
  /* Blocks of 32 x 32 are groups of 32 to a device that has those. */
  const char small[] = "e4m3fn/block:32x32/ue8m0:rceil";
  expect(sized(72, 32, 320, quantized(small), weights(small)), has({100, 120}),
         "TN 32x72x320: e4m3 x e4m3 -> f32; scales 2, 2", has({80}) ? old : "need compute capability 10.0");
}

TEST_P(GemmNativeOn, MicroscalingGroups) {
  const bool is_native = has({100, 120});
  const char *const why = has({80}) ? old : "need compute capability 10.0";
  const Side a = quantized("mxfp8_e4m3"), b = weights("mxfp8_e4m3");
  const std::string text = "TN 32x72x320: e4m3 x e4m3 -> f32; scales 2, 2";
  expect(sized(72, 32, 320, with_tiles(a), with_tiles(b)), is_native, text, why);
  expect(sized(72, 32, 320, on_the_way(a), on_the_way(b)), is_native, text, why);
  expect(sized(72, 32, 320, a, b), is_native, text, why); /* scales are put into the order 128x4 */
  expect(sized(72, 32, 320, with_tiles(a), b), is_native, text, why);
  expect(sized(200, 144, 96, with_tiles(a), with_tiles(b)), is_native, "TN 144x200x96: e4m3 x e4m3 -> f32; scales 2, 2",
         why);
  /* Padding that rows of codes have anyway is zeros. */
  expect(sized(72, 32, 77, with_tiles(a), with_tiles(b)), is_native, "TN 32x72x80: e4m3 x e4m3 -> f32; scales 2, 2",
         why);
}

TEST_P(GemmNativeOn, Nvfp4) {
  const bool is_native = has({100, 120});
  const char *const why = has({80}) ? old : "need compute capability 10.0";
  const Side a = quantized("nvfp4"), b = weights("nvfp4");
  const std::string text = "TN 32x72x320: e2m1 x e2m1 -> f32; scales 1, 1";
  Case x = sized(72, 32, 320, with_tiles(a), with_tiles(b));
  expect(x, is_native, text, why);
  x.d = MFQ_DTYPE_BF16; /* the tensor scales are the finish's */
  x.has_bias = true;
  expect(x, is_native, text, why);
  expect(sized(72, 32, 320, on_the_way(a), on_the_way(b)), is_native, text, why);
}

TEST_P(GemmNativeOn, Batches) {
  Case x = sized(72, 32, 64, quantized("e4m3fn/tensor/f32"), weights("e4m3fn/tensor/f32"));
  x.batches = {3};
  expect(x, !has({80}), "TN 32x72x64: e4m3 x e4m3 -> f32 batch 3; scales 0, 0", old);
  x.a = quantized("e4m3fn/channel@-2/f32"); /* scales of rows and of batches are too much for cuBLASLt */
  x.b = weights("e4m3fn/channel@-2/f32");
  expect(x, !has({80}), "TN 32x72x64: e4m3 x e4m3 -> f32 batch 3", old);
  x.a = quantized("e4m3fn/group:128/f32");
  x.b = weights("e4m3fn/group:128/f32");
  expect(x, has({90}), "TN 32x72x64: e4m3 x e4m3 -> f32; scales 4, 4", has({80}) ? old : "need compute capability 9.0");
  x = sized(128, 128, 64, with_tiles(quantized("mxfp8_e4m3")), with_tiles(weights("mxfp8_e4m3")));
  x.batches = {2};
  expect(x, has({100, 120}), "TN 128x128x64: e4m3 x e4m3 -> f32; scales 2, 2",
         has({80}) ? old : "need compute capability 10.0");
}

TEST_P(GemmNativeOn, WhatCublasltRefuses) {
  const char scheme[] = "e4m3fn/tensor/f32";
  const Case odd_k = sized(72, 32, 40, quantized(scheme), weights(scheme));
  expect(odd_k, false, "", has({80}) ? old : "16 bytes");
  const Case odd_n = sized(72, 31, 64, quantized(scheme), weights(scheme));
  expect(odd_n, false, "", has({80}) ? old : "no algorithm for it");
  Case moved = sized(72, 32, 64, quantized(scheme), weights(scheme));
  moved.front = 4;
  expect(moved, false, "", has({80}) ? old : "not aligned to 16");
  /* B as [K, N]: an order that only some can read. */
  const Case turned = sized(72, 32, 64, quantized(scheme), quantized(scheme));
  expect(turned, has({100}), "NN 32x72x64: e4m3 x e4m3 -> f32; scales 0, 0",
         has({80}) ? old : "K is not the contiguous axis");
}

TEST_P(GemmNativeOn, NotForReproducibleProducts) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.device = device_name();
  options.policy = MFQ_REPRODUCIBLE;
  mfq_context *made = nullptr;
  ASSERT_EQ(mfq_context_create(&options, &made), MFQ_OK) << mfq_last_error();
  const Context exact(made);
  const Case x = sized(16, 16, 32, quantized("e4m3fn/tensor/f32"), weights("e4m3fn/tensor/f32"));
  EXPECT_EQ(run(exact.get(), x).rfind("general", 0), 0u);
#if defined(MFQ_SIMT)
  EXPECT_TRUE(records().empty());
#endif
}

INSTANTIATE_TEST_SUITE_P(Capabilities, GemmNativeOn, testing::Values(80, 89, 90, 100, 120),
                         [](const auto &info) { return "Sm" + std::to_string(info.param); });

} // namespace
