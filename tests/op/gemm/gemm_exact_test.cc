// MFQ_REPRODUCIBLE, bit for bit: each run of K summed without rounding, rounded once with its scales, runs in order.
#include "support/exact_parts.h"
#include "support/exact_sum.h"

namespace {

using namespace mfq_test;

/* Elements along K that share a scale; 0: all of them do. */
int64_t group_of(const SideData &data, bool depth_is_first) {
  if (data.quantized == nullptr) return 0;
  const mfq_scheme &s = data.quantized->q.scheme;
  if (s.granularity == MFQ_GRANULARITY_GROUP) return s.group_size;
  return s.granularity != MFQ_GRANULARITY_BLOCK ? 0 : depth_is_first ? s.block_rows : s.block_cols;
}

/* Where element (row, k) of a batch stands. */
struct Index {
  int64_t batch, row_step, k_step;
  Index(const Side &side, bool k_is_first, int64_t rows, int64_t depth)
      : batch(side.is_shared ? 0 : rows * depth), row_step(k_is_first ? 1 : depth), k_step(k_is_first ? rows : 1) {}
  size_t at(int64_t i, int64_t row, int64_t k) const { return (size_t)(i * batch + row * row_step + k * k_step); }
};

std::vector<float> expected(const ProductData &data) {
  const Case &x = data.given;
  const bool a_first = x.a.is_transposed, b_first = !x.b.is_transposed;
  const ExactParts a(data.a), b(data.b);
  const int64_t a_group = group_of(data.a, a_first), b_group = group_of(data.b, b_first);
  const Index ia(x.a, a_first, x.m, x.k), ib(x.b, b_first, x.n, x.k);
  std::vector<float> d;
  for (int64_t i = 0; i < data.batches(); ++i)
    for (int64_t r = 0; r < x.m; ++r)
      for (int64_t c = 0; c < x.n; ++c) {
        float total = 0, row_factor = 1, col_factor = 1;
        ExactSum run;
        double ordered = 0;
        for (int64_t k = 0; k < x.k; ++k) {
          const size_t p = ia.at(i, r, k), q = ib.at(i, c, k);
          const double product = a.elements[p] * b.elements[q];
          const double scale = (double)a.group_scales[p] * (double)b.group_scales[q];
          row_factor = a.factors[p];
          col_factor = b.factors[q];
          if (a.is_plain || b.is_plain)
            ordered += product;
          else
            run.add(product, scale);
          const auto ends = [&](int64_t length) { return length != 0 && (k + 1) % length == 0; };
          if (k + 1 < x.k && !ends(32) && !ends(a_group) && !ends(b_group)) continue;
          if (ordered != 0) run.add(ordered, scale);
          total += run.to_f32();
          run = ExactSum();
          ordered = 0;
        }
        d.push_back(total * row_factor * col_factor);
      }
  return d;
}

testing::AssertionResult is_exact(const Case &x) {
  static const Context context = reproducible();
  trace(text_of(x));
  const ProductData data(x);
  const ProductResult result = data.run(context.get());
  auto verdict = succeeded(result.status, "the product");
  if (verdict) verdict = same_floats({result.values.begin(), result.values.end()}, expected(data));
  if (verdict && result.description.rfind("reference", 0) != 0) verdict = testing::AssertionFailure() << "another way";
  return verdict ? verdict : verdict << "; " << text_of(x) << "; " << result.description;
}

const char *const mx_schemes[] = {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4_e2m1", "mxint8"};

TEST(GemmExact, EveryPairOfMxFormats) {
  for (const char *a : mx_schemes)
    for (const char *b : mx_schemes)
      for (const int64_t k : {1, 31, 33, 127}) {
        Case x;
        x.m = 5;
        x.n = 7;
        x.k = k;
        x.a = quantized(a);
        x.b = weights(b);
        ASSERT_TRUE(is_exact(x));
      }
}

TEST(GemmExact, OtherScalesAndElements) {
  const char *const schemes[] = {"nvfp4",
                                 "e4m3fn/group:16/f32",
                                 "int8/group:32/bf16",
                                 "uint4/group:16/f32/zp",
                                 "int4/group:24/f32/zp",
                                 "int8/tensor/f32/zp",
                                 "e4m3fn/tensor/f32",
                                 "e3m2/group:128/f16",
                                 "int8nf6/channel@-2/f32",
                                 "e4m3fn/block:4x16/f32",
                                 "e5m2/block:3x40/ue8m0",
                                 "e2m1/group:7/ue4m3",
                                 "e3m4b2fn/group:1/f32",
                                 "e4m3fnuz"};
  uint32_t seed = 1;
  for (const char *a : schemes)
    for (const char *b : schemes) {
      Case x;
      x.m = 3 + seed % 4;
      x.n = 2 + seed % 7;
      x.k = 65 + seed % 50;
      x.a = quantized(a);
      x.b = weights(b);
      x.seed = seed++;
      ASSERT_TRUE(is_exact(x));
    }
}

/* Larger than one tile of any implementation in every direction. */
TEST(GemmExact, ManyTiles) {
  for (const char *b : {"mxfp4_e2m1", "mxfp8_e5m2", "e4m3fn/group:48/f32"}) {
    Case x;
    x.m = 133;
    x.n = 70;
    x.k = 300;
    x.a = quantized("mxfp8_e4m3");
    x.b = weights(b);
    ASSERT_TRUE(is_exact(x));
  }
}

TEST(GemmExact, TransposesAndBatches) {
  for (int transposes = 0; transposes < 4; ++transposes)
    for (const char *of_a : {"e4m3fn/ue8m0/group:32", "int4/f32/zp/group:16"})
      for (int shared = 0; shared < 4; ++shared)
        for (const Shape &batches : {Shape{}, Shape{3}, Shape{2, 1, 2}}) {
          Case x;
          const bool turn_a = transposes % 2 != 0, turn_b = transposes / 2 != 0;
          x.m = 5;
          x.n = 6;
          x.k = 49;
          x.batches = batches;
          x.a = quantized(std::string(of_a) + (turn_a ? "@-2" : "@-1"), turn_a);
          x.b = quantized(std::string("e2m3/group:32") + (turn_b ? "@-1" : "@-2") + "/ue8m0", turn_b);
          x.a.is_shared = shared % 2 != 0;
          x.b.is_shared = shared / 2 != 0;
          ASSERT_TRUE(is_exact(x));
        }
}

TEST(GemmExact, PlainOperandsInOrder) {
  for (const mfq_dtype dtype : kDtypes)
    for (const char *b : {"", "mxfp4_e2m1", "e4m3fn/group:16/f32", "uint4/group:16/f32/zp"})
      for (const int64_t k : {1, 31, 32, 70}) {
        Case x;
        x.m = 4;
        x.n = 9;
        x.k = k;
        x.a.dtype = dtype;
        x.a.row_padding = 3;
        x.b = weights(b);
        ASSERT_TRUE(is_exact(x));
      }
}

TEST(GemmExact, QuantizedOnTheWay) {
  for (const char *a : {"mxfp8_e4m3", "nvfp4", "int8/channel@-2/f32", "uint8/tensor/f32/zp", "e4m3fn/block:1x16/f32"})
    for (const Shape &batches : {Shape{}, Shape{2}}) {
      Case x;
      x.m = 6;
      x.n = 5;
      x.k = 81;
      x.batches = batches;
      x.a = quantized(a);
      x.a.on_the_way = true;
      x.b = weights("mxfp8_e4m3");
      x.b.on_the_way = batches.empty();
      if (x.a.scheme.find("channel") != std::string::npos && !batches.empty()) continue;
      ASSERT_TRUE(is_exact(x));
    }
}

TEST(GemmExact, SizesAtTheEdge) {
  for (const int64_t m : {0, 1, 3})
    for (const int64_t n : {0, 1, 5})
      for (const int64_t k : {0, 1, 64}) {
        Case x;
        x.m = m;
        x.n = n;
        x.k = k;
        x.a = quantized("mxfp8_e4m3");
        x.b = weights("nvfp4");
        trace(text_of(x));
        if (m * n != 0) ASSERT_TRUE(is_exact(x));
      }
}

TEST(GemmExact, Layouts) {
  const mfq_layout layouts[] = {{MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 0},
                                {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 3}};
  for (const mfq_layout &of_a : layouts)
    for (const mfq_layout &of_b : layouts) {
      Case x;
      x.m = 7;
      x.n = 131;
      x.k = 77;
      x.a = quantized("mxfp4_e2m1/group:32@0", true);
      x.b = quantized("mxfp6_e3m2/group:32@0");
      x.a.layout = of_a;
      x.b.layout = of_b;
      ASSERT_TRUE(is_exact(x));
    }
}

/* Any codes and any scales, NaN and infinities among them: nothing to compare with but themselves. */
TEST(GemmExact, ThreadsAndInstructionSetsDoNotMatter) {
  const Context one = reproducible(nullptr, 1);
  uint32_t seed = 1;
  for (const char *a : {"mxfp8_e4m3", "mxfp8_e5m2", "e4m3fn/group:16/f32", "e5m2/group:16/f32", ""})
    for (const char *b : {"mxfp4_e2m1", "e5m2/group:32/f32", "uint8/group:64/f32/zp"}) {
      Case x;
      x.m = 150;
      x.n = 67;
      x.k = 97;
      x.a = quantized(a);
      x.b = weights(b);
      x.activation = MFQ_ACTIVATION_GELU;
      x.has_bias = x.has_c = true;
      x.beta = 0.3f;
      x.seed = seed++;
      ProductData data(x);
      if (data.a.quantized != nullptr && seed % 2 == 0) give_everything(data.a.quantized.get(), seed);
      if (seed % 3 == 0) give_everything(data.b.quantized.get(), seed);
      const ProductResult want = data.run(one.get());
      ASSERT_TRUE(succeeded(want.status, a));
      for (const std::string &isa : every_isa())
        for (const int threads : {1, 2, 5}) {
          const Context context = reproducible(isa.c_str(), threads);
          ASSERT_EQ(data.run(context.get()).bytes, want.bytes) << isa << ", " << threads << "; " << text_of(x);
        }
    }
}

/* A NaN scale reaches every product of its group, even where the elements are 0. */
TEST(GemmExact, NanScales) {
  Case x;
  x.m = 3;
  x.n = 4;
  x.k = 64;
  x.a = quantized("mxfp8_e4m3");
  x.b = weights("mxfp4_e2m1");
  ProductData data(x);
  std::fill(data.a.quantized->codes.begin(), data.a.quantized->codes.end(), (uint8_t)0);
  data.a.quantized->scales[2] = 255; /* row 1, the first group */
  const Context context = reproducible();
  const ProductResult result = data.run(context.get());
  ASSERT_TRUE(succeeded(result.status, "the product"));
  for (size_t i = 0; i < result.values.size(); ++i) {
    EXPECT_EQ(std::isnan(result.values[i]), i / 4 == 1) << i;
    if (i / 4 != 1) EXPECT_EQ(result.values[i], 0.0) << i;
  }
}

/* D quantized by the run is what quantizing a plain D gives; C in place is C elsewhere. */
TEST(GemmExact, WhatBecomesOfD) {
  const Context context = reproducible();
  for (const char *scheme :
       {"mxfp8_e4m3", "nvfp4", "int8/channel@-1/f32", "e4m3fn/tensor/f32", "e2m1/group:16@-2/bf16"}) {
    Case x;
    x.m = 33;
    x.n = 70;
    x.k = 40;
    x.batches = {2};
    x.a = quantized("mxfp8_e4m3");
    x.b = weights("mxfp6_e2m3");
    x.has_bias = true;
    const ProductData data(x);
    const ProductResult plain = data.run(context.get());
    ASSERT_TRUE(succeeded(plain.status, "plain D"));
    Quantized want(parse(scheme), data.d_shape);
    quantize(context.get(), std::vector<float>(plain.values.begin(), plain.values.end()), &want);
    ProductData again(x);
    again.given.quantized_d = scheme;
    const ProductResult quantized = again.run(context.get());
    ASSERT_TRUE(succeeded(quantized.status, scheme));
    const std::vector<float> values = dequantized(context.get(), want);
    EXPECT_EQ(quantized.values, std::vector<double>(values.begin(), values.end())) << scheme;
  }
  Case x;
  x.a = quantized("mxfp8_e4m3");
  x.b = weights("mxfp8_e4m3");
  x.has_c = true;
  x.beta = -0.5f;
  x.alpha = 2.0f;
  const ProductResult elsewhere = ProductData(x).run(context.get());
  x.c_is_d = true;
  EXPECT_EQ(ProductData(x).run(context.get()).bytes, elsewhere.bytes);
}

} // namespace
