/* tests/support/random_products.h: products drawn at random: ranks, sizes, strides, transposes, operands of every kind,
 * and ends; each compared with double sums within the bound of docs/numerics.md. */
#ifndef MFQ_TESTS_SUPPORT_RANDOM_PRODUCTS_H
#define MFQ_TESTS_SUPPORT_RANDOM_PRODUCTS_H

#include "product.h"

namespace mfq_test {

class RandomProducts {
public:
  explicit RandomProducts(uint32_t seed) : random_(seed), seed_(seed * 10000) {}

  Case next() {
    Case x;
    x.seed = ++seed_;
    x.m = size(kRows);
    x.n = size(kRows);
    x.k = size(kDepths);
    for (int64_t axes = pick(3); axes > 0; --axes) x.batches.push_back(pick(40) == 0 ? 0 : 1 + pick(4));
    x.a.is_shared = pick(4) == 0;
    x.b.is_shared = pick(2) == 0;
    draw_side({x.m, x.k}, x.batches, true, &x.a);
    draw_side({x.k, x.n}, x.batches, false, &x.b);
    x.round_operands = pick(8) == 0;
    x.front = pick(4) == 0 ? 4 : 0;
    Shape d = x.a.is_shared && x.b.is_shared ? Shape{} : x.batches;
    d.insert(d.end(), {x.m, x.n});
    draw_end(d, &x);
    return x;
  }

private:
  static constexpr int64_t kRows[] = {1, 2, 3, 5, 8, 13, 16, 17, 31, 32, 37, 67};
  static constexpr int64_t kDepths[] = {1, 3, 7, 16, 31, 32, 33, 64, 65, 96, 127, 257};
  std::mt19937 random_;
  uint32_t seed_;

  int64_t pick(int64_t n) { return (int64_t)(random_() % (uint64_t)n); }
  template <size_t N> const char *one_of(const char *const (&list)[N]) { return list[pick(N)]; }
  int64_t size(const int64_t (&list)[12]) { return pick(40) == 0 ? 0 : list[pick(12)]; }

  /* Dense; or batches between the two axes of a matrix; or axes in any order, with gaps, backwards, and, of inputs, the
   * same again and again. */
  Shape any_strides(const Shape &shape, bool is_input) {
    std::vector<size_t> order(shape.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    const int64_t kind = pick(3);
    if (kind == 1) std::rotate(order.begin(), order.end() - 2, order.end() - 1);
    if (kind == 2) std::shuffle(order.begin(), order.end(), random_);
    Shape strides(shape.size());
    int64_t step = kind == 2 && pick(4) == 0 ? 2 : 1;
    for (size_t i = order.size(); i-- > 0;) {
      const size_t axis = order[i];
      strides[axis] = step;
      step *= std::max<int64_t>(1, shape[axis]);
      if (kind == 2 && pick(4) == 0) step += pick(9);
      if (kind == 2 && pick(8) == 0) strides[axis] = -strides[axis];
      if (kind == 2 && is_input && pick(8) == 0) strides[axis] = 0;
    }
    return strides;
  }

  /* A scheme whose groups run along K, which is the last axis or the one before; `rank` with the batches. */
  std::string scheme_of(bool is_depth_last, size_t rank) {
    static const char *const grouped[] = {"mxfp8_e4m3/group:32", "mxfp8_e5m2/group:32", "mxfp4_e2m1/group:32",
                                          "mxfp6_e3m2/group:32", "mxint8/group:32",     "mxfp6_e2m3/group:16",
                                          "nvfp4/group:16",      "e4m3fn/group:64",     "int4/group:32",
                                          "uint8/group:16",      "e4m3fn/group:128"};
    static const char *const ends[] = {"", "", "", "", "", "", "", "/f32", "/bf16", "/f32/zp", "/f32"};
    static const char *const channels[] = {"int8/channel", "e4m3fn/channel", "uint8/channel"};
    static const char *const channel_ends[] = {"/f32", "/f32", "/f32/zp"};
    static const char *const others[] = {"e4m3fn/tensor/f32",      "int8/tensor/f32/zp",  "e4m3fn",
                                         "e4m3fn/block:16x16/f32", "int8/block:8x32/f32", "int8/tensor/ue8m0"};
    const std::string depth = is_depth_last ? "@-1" : "@-2", row = is_depth_last ? "@-2" : "@-1";
    const int64_t kind = pick(8), i = pick(2) == 0 ? pick(6) : pick(11), c = pick(3);
    if (kind < 5) return grouped[i] + depth + ends[i];
    if (kind == 5) return channels[c] + (rank == 3 && pick(3) == 0 ? "@0" : row) + channel_ends[c];
    return one_of(others);
  }

  mfq_layout any_layout(const mfq_scheme &scheme) {
    mfq_layout layout = {};
    const bool is_group = scheme.granularity == MFQ_GRANULARITY_GROUP;
    const bool is_byte = scheme.scale == MFQ_SCALE_UE8M0 || scheme.scale == MFQ_SCALE_UE4M3;
    if (pick(2) == 0) layout.codes = is_group ? MFQ_CODES_GROUP_LAST : MFQ_CODES_TRANSPOSED;
    if (pick(4) == 0) layout.packing = MFQ_PACK_BYTE;
    if (is_group && is_byte && pick(3) == 0) layout.scales = MFQ_SCALES_128X4;
    const int32_t aligns[] = {0, 0, 1, 16};
    layout.row_align = aligns[pick(4)];
    return layout;
  }

  /* `matrix`: rows and columns of the product. */
  void draw_side(Shape matrix, const Shape &batches, bool is_a, Side *side) {
    static const mfq_dtype dtypes[] = {MFQ_DTYPE_F32, MFQ_DTYPE_F16, MFQ_DTYPE_BF16, MFQ_DTYPE_BF16};
    side->is_transposed = pick(2) == 0;
    side->dtype = dtypes[pick(4)];
    if (side->is_transposed) std::swap(matrix[0], matrix[1]);
    Shape shape = side->is_shared ? Shape{} : batches;
    shape.insert(shape.end(), matrix.begin(), matrix.end());
    side->strides = any_strides(shape, true);
    const int64_t kind = pick(4);
    if (kind == 0) return;
    side->on_the_way = kind < 3;
    side->scheme = scheme_of(is_a != side->is_transposed, shape.size());
    if (!side->on_the_way) side->layout = any_layout(parse(side->scheme));
  }

  void draw_end(const Shape &d, Case *x) {
    static const char *const quantized[] = {"mxfp8_e4m3", "nvfp4", "e4m3fn/tensor/f32", "int8/channel@-1/f32",
                                            "int4/group:16@-2/f32/zp"};
    x->d = kDtypes[pick(3)];
    x->has_bias = pick(3) == 0;
    x->has_c = pick(3) == 0;
    x->c = kDtypes[pick(3)];
    x->c_is_d = x->has_c && pick(3) == 0;
    const float alphas[] = {1.0f, 1.0f, -0.75f, 0.3f}, betas[] = {1.0f, 1.5f, 0.0f};
    x->alpha = alphas[pick(4)];
    x->beta = betas[pick(3)];
    x->bias_step = pick(4) == 0 ? pick(5) - 2 : 1;
    x->device_scalars = pick(4) == 0;
    x->activation = pick(2) == 0 ? MFQ_ACTIVATION_NONE : (mfq_activation)pick(5);
    if (pick(2) == 0) x->d_strides = any_strides(d, false);
    if (pick(2) == 0) x->c_strides = any_strides(d, true);
    if (pick(8) != 0) return;
    x->quantized_d = one_of(quantized);
    x->c_is_d = false;
    x->has_bias = true; /* so that sums of a plain D are made the same way */
  }
};

/* A quantized D is what quantizing the float32 of a plain one gives. */
inline testing::AssertionResult quantized_product_is_right(mfq_context *context, const Case &x) {
  Case plain = x;
  plain.quantized_d.clear();
  plain.d = MFQ_DTYPE_F32;
  plain.d_strides.clear();
  const ProductData data(plain);
  const ProductResult values = data.run(context), got = ProductData(x).run(context);
  auto verdict = succeeded(values.status, "the product into f32");
  if (verdict) verdict = succeeded(got.status, "the product");
  if (verdict) verdict = is_near(data, values);
  if (!verdict) return verdict << "; " << text_of(x);
  const std::vector<float> f32(values.values.begin(), values.values.end());
  Quantized want(parse(x.quantized_d), data.d_shape);
  quantize(devices().cpu.get(), f32, &want);
  const std::vector<float> expected = dequantized(devices().cpu.get(), want);
  for (size_t i = 0; i < expected.size(); ++i)
    if (!same_float((float)got.values[i], expected[i]))
      return testing::AssertionFailure() << "element " << i << " is " << got.values[i] << ", expected " << expected[i]
                                         << "; " << text_of(x) << "; " << got.description;
  return testing::AssertionSuccess();
}

inline void check_random_products(mfq_context *context, uint32_t seed, int count) {
  RandomProducts products(seed);
  for (int i = 0; i < count; ++i) {
    const Case x = products.next();
    if (x.quantized_d.empty())
      ASSERT_TRUE(product_is_near(context, x)) << "case " << i << " of seed " << seed;
    else
      ASSERT_TRUE(quantized_product_is_right(context, x)) << "case " << i << " of seed " << seed;
  }
}

} // namespace mfq_test

#endif
