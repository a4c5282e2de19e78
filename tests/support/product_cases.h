/* tests/support/product_cases.h: what must hold of products whatever runs them; each function is a test of a context. */
#ifndef MFQ_TESTS_SUPPORT_PRODUCT_CASES_H
#define MFQ_TESTS_SUPPORT_PRODUCT_CASES_H

#include "product.h"
#include "sample.h"

namespace mfq_test {

constexpr const char *kMxSchemes[] = {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4_e2m1", "mxint8"};

inline Side activations(const std::string &scheme, bool on_the_way = false) {
  Side side = quantized(scheme);
  side.on_the_way = on_the_way;
  return side;
}

inline void check_every_pair_of_mx_formats(mfq_context *context) {
  for (const char *a : kMxSchemes)
    for (const char *b : kMxSchemes)
      for (const bool on_the_way : {false, true})
        ASSERT_TRUE(product_is_near(context, sized(19, 21, 100, activations(a, on_the_way), weights(b))));
}

inline void check_sizes_at_the_edge(mfq_context *context) {
  const int64_t ks[] = {0, 1, 31, 33, 127}, sizes[] = {0, 1, 5};
  for (const char *scheme :
       {"mxfp8_e4m3", "mxfp6_e3m2", "mxfp4_e2m1", "nvfp4", "int4/group:16/f32/zp", "int8/tensor/f32"})
    for (const int64_t k : ks)
      for (const int64_t m : sizes)
        for (const int64_t n : sizes) {
          Case x = sized(m, n, k, activations(scheme), weights(scheme));
          x.has_bias = true;
          x.has_c = true;
          x.beta = 0.5f;
          ASSERT_TRUE(product_is_near(context, x));
        }
}

// Weight-only, plain by plain, and granularities that have a meaning, in pairs.
inline void check_granularities(mfq_context *context) {
  // clang-format off
  const char *const schemes[] = {"e4m3fn/tensor/f32", "e4m3fn/channel@-2/f32", "e4m3fn/group:128/f32",
                                 "e4m3fn/block:16x16/f32", "int8/channel@-2/f32", "uint8/group:16/f32/zp",
                                 "int4/group:32/bf16", "nvfp4", "e3m4/tensor/f32", "mxfp8_e4m3/group:16", "e5m2", ""};
  // clang-format on
  for (const char *a : schemes)
    for (const char *b : schemes) ASSERT_TRUE(product_is_near(context, sized(9, 35, 70, activations(a), weights(b))));
}

inline void check_transposes_and_layouts(mfq_context *context) {
  sample(
      {2, 2, 3, 2, 2, 3, 2}, 200,
      [&](const std::vector<size_t> &at) {
        const mfq_layout layouts[] = {{},
                                      {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                      {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16}};
        Case x;
        x.m = 17;
        x.n = 13;
        x.k = 65;
        x.a.is_transposed = at[0] != 0;
        x.b.is_transposed = at[1] != 0;
        x.a.scheme = at[0] != 0 ? "mxfp6_e2m3/group:32@-2" : "mxfp6_e2m3";
        x.b.scheme = at[1] != 0 ? "mxfp4_e2m1" : "mxfp4_e2m1/group:32@-2";
        x.b.layout = layouts[at[2]];
        x.a.layout = layouts[at[5]];
        if (at[3] != 0) x.a.scheme = "", x.a.row_padding = 3;
        x.a.on_the_way = at[6] != 0 && at[3] == 0;
        if (x.a.on_the_way) x.a.row_padding = 5;
        x.front = at[4] != 0 ? 4 : 0;
        ASSERT_TRUE(product_is_near(context, x));
      });
}

inline void check_batches(mfq_context *context) {
  for (const Shape &batches : {Shape{3}, Shape{2, 3}, Shape{1}, Shape{0}})
    for (const int shared : {0, 1, 2})
      for (const char *scheme : {"mxfp8_e4m3", "uint8/group:16/f32/zp", "int8/tensor/f32", "e3m4/group:32/f16", ""}) {
        Case x;
        x.m = 5;
        x.n = 7;
        x.k = 40;
        x.batches = batches;
        x.a = activations(scheme, shared == 2);
        x.b = weights(scheme);
        (shared == 1 ? x.a : x.b).is_shared = shared != 0;
        x.has_c = true;
        ASSERT_TRUE(product_is_near(context, x));
      }
}

// Batches whose axes do not merge, and transposed ones.
inline void check_batches_of_any_strides(mfq_context *context) {
  for (const char *scheme : {"mxfp4_e2m1/group:32@-2", "uint8/group:16@-2/f32/zp", ""})
    for (const bool on_the_way : {false, true})
      for (const bool shared : {false, true}) {
        Case x;
        x.m = 6;
        x.n = 9;
        x.k = 50;
        x.batches = {2, 1, 3};
        x.a = activations(scheme, on_the_way && scheme[0] != '\0');
        x.a.is_transposed = true;
        x.a.row_padding = 2;
        x.b = activations(scheme);
        x.b.is_shared = shared;
        ASSERT_TRUE(product_is_near(context, x));
      }
}

inline void check_finishes_and_dtypes(mfq_context *context) {
  sample(
      {5, 3, 2, 2, 2, 3, 2}, 240,
      [&](const std::vector<size_t> &at) {
        Case x;
        x.m = 6;
        x.n = 18;
        x.k = 64;
        x.activation = (mfq_activation)at[0];
        x.d = kDtypes[at[1]];
        x.has_c = at[2] != 0;
        x.has_bias = at[3] != 0;
        x.c_is_d = x.has_c && at[4] != 0;
        x.alpha = at[5] == 0 ? 1.0f : at[5] == 1 ? -0.75f : 0.3f;
        x.beta = at[5] == 2 ? 0.0f : 1.5f;
        x.device_scalars = at[6] != 0;
        x.a = activations("mxfp8_e4m3");
        x.b = weights("e4m3fn/channel@-2/f32");
        ASSERT_TRUE(product_is_near(context, x));
      });
}

// A quantized D is what quantizing the f32 D gives.
inline void check_quantized_d(mfq_context *context) {
  for (const char *scheme : {"mxfp8_e4m3", "mxfp4_e2m1", "e4m3fn/tensor/f32", "int8/channel@1/f32", "nvfp4",
                             "mxfp6_e2m3/group:32@0", "int4/group:16/f32/zp"}) {
    Case x;
    x.m = 33;
    x.n = 70;
    x.a = activations("mxfp8_e4m3");
    x.b = weights("mxfp4_e2m1");
    x.has_bias = true;
    x.activation = MFQ_ACTIVATION_SILU;
    const ProductData plain(x);
    const ProductResult values = plain.run(context);
    ASSERT_EQ(values.status, MFQ_OK) << mfq_last_error();
    x.quantized_d = scheme;
    const ProductResult got = ProductData(x).run(context);
    ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
    const std::vector<float> f32(values.values.begin(), values.values.end());
    Quantized want(parse(scheme), {33, 70});
    quantize(devices().cpu.get(), f32, &want);
    const std::vector<float> expected = dequantized(devices().cpu.get(), want);
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(got.values[i], expected[i]) << scheme << " element " << i;
  }
}

// Codes that are stored transposed are the transposed operand's: the same way, the same bits of D. And they can be D.
inline void check_transposed_codes(mfq_context *context) {
  const struct {
    const char *scheme, *exchanged;
  } pairs[] = {{"e4m3fn/block:16x8/f32", "e4m3fn/block:8x16/f32"}, {"e2m1/block:16x16/ue8m0", "e2m1/block:16x16/ue8m0"},
               {"int8/channel@-1/f32", "int8/channel@-2/f32"},     {"uint4/tensor/f32/zp", "uint4/tensor/f32/zp"},
               {"e3m2/channel@0/f32", "e3m2/channel@0/f32"},       {"e4m3fn", "e4m3fn"}};
  for (const auto &pair : pairs)
    for (const bool is_transposed : {false, true})
      for (const Shape &batches : {Shape{}, Shape{3}}) {
        const bool by_batch = pair.scheme[5] == 'c' && pair.scheme[13] == '0', by_row = pair.scheme[5] == 'c';
        if (by_batch ? batches.empty() : by_row && is_transposed) continue; /* a channel would run along K */
        Case x = sized(17, 33, 70, activations("mxfp8_e4m3"), quantized(pair.scheme, is_transposed));
        x.batches = batches;
        x.b.layout = {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 16};
        Case turned = x;
        turned.b = quantized(pair.exchanged, !is_transposed);
        turned.b.layout.row_align = 16;
        const ProductData data(x);
        ProductData want(turned);
        want.b.quantized->codes = data.b.quantized->codes;
        want.b.quantized->scales = data.b.quantized->scales;
        want.b.quantized->zero_points = data.b.quantized->zero_points;
        const ProductResult a = data.run(context), b = want.run(context);
        ASSERT_EQ(a.status, MFQ_OK) << mfq_last_error();
        ASSERT_EQ(b.status, MFQ_OK) << mfq_last_error();
        ASSERT_TRUE(is_near(data, a)) << text_of(x);
        ASSERT_EQ(a.description, b.description) << text_of(x);
        ASSERT_EQ(a.bytes, b.bytes) << text_of(x);
      }
  Case x = sized(33, 70, 64, activations("mxfp8_e4m3"), weights("mxfp8_e4m3"));
  const ProductResult values = ProductData(x).run(context);
  x.quantized_d = "e4m3fn/block:16x32/f32";
  x.d_layout.codes = MFQ_CODES_TRANSPOSED;
  const ProductResult got = ProductData(x).run(context);
  ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
  Quantized want(parse(x.quantized_d), {33, 70}, &x.d_layout);
  quantize(devices().cpu.get(), std::vector<float>(values.values.begin(), values.values.end()), &want);
  std::vector<uint8_t> bytes = want.codes;
  bytes.insert(bytes.end(), want.scales.begin(), want.scales.end());
  bytes.insert(bytes.end(), want.zero_points.begin(), want.zero_points.end());
  ASSERT_EQ(got.bytes, bytes);
}

// A NaN scale or code poisons exactly its row of D, or its column.
inline void check_nan_poisons_its_row_or_column(mfq_context *context) {
  for (const char *scheme : kMxSchemes)
    for (const bool is_a : {true, false}) {
      const Case x = sized(40, 37, 96, activations(scheme), weights(scheme));
      ProductData data(x);
      SideData &side = is_a ? data.a : data.b;
      side.quantized->scales[7 * 3 + 1] = 255; /* row 7, second group */
      side.requantized();
      const ProductResult result = data.run(context);
      ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
      ASSERT_TRUE(is_near(data, result)) << scheme << ' ' << result.description;
      for (int64_t i = 0; i < x.m * x.n; ++i)
        ASSERT_EQ(std::isnan(result.values[(size_t)i]), (is_a ? i / x.n : i % x.n) == 7) << scheme << " element " << i;
    }
}

// With the identity as A, D has the values of B's rows; a power of two on a scale scales the result exactly.
inline void check_identity_and_powers_of_two(mfq_context *context) {
  for (const char *scheme : kMxSchemes) {
    Case x;
    x.m = x.n = x.k = 64;
    x.b = weights(scheme);
    ProductData data(x);
    data.a.plain->fill([](size_t i) { return i % 65 == 0 ? 0x3f800000u : 0u; });
    std::vector<double> before = data.run(context).values;
    for (int64_t i = 0; i < 64; ++i)
      for (int64_t j = 0; j < 64; ++j)
        ASSERT_EQ(before[(size_t)(i * 64 + j)], data.b.values[(size_t)(j * 64 + i)]) << scheme;
    x.a = activations("mxfp8_e4m3");
    ProductData scaled(x);
    before = scaled.run(context).values;
    for (size_t i = 0; i < scaled.b.quantized->sizes.scales_bytes; ++i) scaled.b.quantized->scales[i] += 5;
    const std::vector<double> after = scaled.run(context).values;
    for (size_t i = 0; i < before.size(); ++i) ASSERT_EQ(after[i], before[i] * 32) << scheme;
  }
}

} // namespace mfq_test

#endif
