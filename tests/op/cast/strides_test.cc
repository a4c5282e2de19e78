// Strided tensors in and out, of every dtype: a tensor means its values, wherever they lie, and outputs leave the
// memory between their elements alone.
#include "support/half.h"
#include "support/model.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::Model;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::Shape;

const char *const schemes[] = {"mxfp8_e4m3",           "mxfp4_e2m1/group:8@0", "mxfp6_e3m2/group:16@1",
                               "mxint8/group:5",       "e4m3fn/f32",           "int8n/channel@1/f32",
                               "uint4/group:8/f32/zp", "e2m1/block:2x4/ue8m0", "e5m2"};

struct View {
  const char *what;
  Shape shape, strides;
};

const View views[] = {
    {"dense", {6, 40}, {40, 1}},
    {"rows apart", {6, 40}, {64, 1}},
    {"every third element", {6, 40}, {120, 3}},
    {"transposed", {6, 40}, {1, 6}},
    {"rows backwards", {6, 40}, {-40, 1}},
    {"elements backwards", {6, 40}, {40, -1}},
    {"both backwards and apart", {6, 40}, {-101, -2}},
    {"dense, 3 axes", {3, 8, 10}, {80, 10, 1}},
    {"permuted", {3, 8, 10}, {1, 30, 3}},
    {"axes that do not merge", {3, 8, 10}, {200, 20, 1}},
    {"mixed signs", {3, 8, 10}, {-100, 12, -1}},
    {"4 axes, channels last", {2, 6, 3, 5}, {90, 1, 30, 6}},
    {"a size-1 axis with a wild stride", {1, 6, 40}, {-999999, 40, 1}},
};

const View repeated[] = {
    {"one row", {6, 40}, {0, 1}},          {"one column", {6, 40}, {1, 0}},
    {"one element", {6, 40}, {0, 0}},      {"overlapping windows", {6, 40}, {1, 1}},
    {"one plane", {3, 8, 10}, {0, 10, 1}}, {"repeated in the middle", {3, 8, 10}, {10, 0, 1}},
};

/* Memory of a view: values that bf16 and f16 hold too, in a band around the origin. */
class Band {
public:
  Band(const View &v, mfq_dtype dtype, uint32_t seed) : dtype_(dtype), shape_(v.shape), strides_(v.strides) {
    int64_t low = 0, high = 0;
    for (size_t d = 0; d < v.shape.size(); ++d)
      if (v.shape[d] > 1) (v.strides[d] < 0 ? low : high) += (v.shape[d] - 1) * v.strides[d];
    origin_ = 5 - low;
    std::mt19937 generator(seed);
    for (int64_t i = 0; i < high - low + 11; ++i)
      values_.push_back(std::ldexp((float)((int)(generator() % 511) - 255), (int)(generator() % 8) - 8));
    bytes_.resize(values_.size() * mfq_dtype_bytes(dtype));
    for (size_t i = 0; i < values_.size(); ++i) store(i, values_[i]);
  }

  mfq_tensor tensor() {
    return mfq_test::strided(bytes_.data() + (size_t)origin_ * mfq_dtype_bytes(dtype_), dtype_, shape_, strides_);
  }
  /* The values in row-major order. */
  std::vector<float> logical() const {
    std::vector<float> x;
    for (size_t i = 0; i < mfq_test::count_of(shape_); ++i) x.push_back(values_[place((int64_t)i)]);
    return x;
  }
  /* What an operation must leave when it writes these values. */
  void expect(const std::vector<float> &y) {
    for (size_t i = 0; i < y.size(); ++i) store(place((int64_t)i), y[i]);
  }
  const std::vector<uint8_t> &bytes() const { return bytes_; }

private:
  size_t place(int64_t index) const {
    const Shape at = mfq_test::indices_of(index, shape_);
    int64_t offset = origin_;
    for (size_t d = 0; d < at.size(); ++d) offset += at[d] * strides_[d];
    return (size_t)offset;
  }
  void store(size_t i, float value) {
    if (dtype_ == MFQ_DTYPE_F32) std::memcpy(&bytes_[i * 4], &value, 4);
    if (dtype_ == MFQ_DTYPE_F32) return;
    const uint16_t half = dtype_ == MFQ_DTYPE_F16 ? mfq_test::half_bits(value) : nearest_bf16(value);
    std::memcpy(&bytes_[i * 2], &half, 2);
  }
  static uint16_t nearest_bf16(float value) {
    const uint32_t u = mfq_test::float_bits(value), rest = u & 0xffff,
                   up = rest > 0x8000 || (rest == 0x8000 && (u >> 16 & 1));
    return (uint16_t)((u >> 16) + up);
  }

  mfq_dtype dtype_;
  Shape shape_, strides_;
  int64_t origin_;
  std::vector<float> values_;
  std::vector<uint8_t> bytes_;
};

bool has_axis(const mfq_scheme &scheme, const Shape &shape) {
  return scheme.axis == MFQ_AXIS_AUTO || scheme.axis < (int)shape.size();
}

constexpr mfq_dtype dtypes[] = {MFQ_DTYPE_F32, MFQ_DTYPE_BF16, MFQ_DTYPE_F16};

class Strides : public testing::TestWithParam<std::string> {
protected:
  /* Calls check(scheme, view, dtype) for every combination. */
  template <typename Check> void for_each(const View *first, const View *last, Check check) {
    for (const char *text : schemes)
      for (const View *v = first; v != last; ++v)
        for (const mfq_dtype dtype : dtypes) {
          const mfq_scheme scheme = parse(text);
          if (!has_axis(scheme, v->shape)) continue;
          SCOPED_TRACE(std::string(text) + ", " + v->what + ", " + mfq_dtype_name(dtype));
          check(scheme, *v, dtype);
        }
  }
  Context context_ = make_context(GetParam().c_str());
};

TEST_P(Strides, Inputs) {
  const auto check = [&](const mfq_scheme &scheme, const View &v, mfq_dtype dtype) {
    Band in(v, dtype, 1);
    const std::vector<uint8_t> before = in.bytes();
    const mfq_tensor src = in.tensor();
    Quantized t(scheme, v.shape);
    ASSERT_EQ(mfq_quantize(context_.get(), &src, &t.q, nullptr), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(Model(scheme, v.shape, in.logical()).agrees(t));
    EXPECT_EQ(in.bytes(), before);
  };
  for_each(std::begin(views), std::end(views), check);
  for_each(std::begin(repeated), std::end(repeated), check);
}

TEST_P(Strides, Outputs) {
  for_each(
      std::begin(views), std::end(views),
      [&](const mfq_scheme &scheme, const View &v, mfq_dtype dtype) {
        const Band in({"", v.shape, mfq_test::dense_strides(v.shape)}, MFQ_DTYPE_F32, 2);
        const Model model(scheme, v.shape, in.logical());
        Quantized t(scheme, v.shape);
        mfq_test::quantize(context_.get(), in.logical(), &t);
        Band out(v, dtype, 3), want(v, dtype, 3);
        mfq_tensor dst = out.tensor();
        ASSERT_EQ(mfq_dequantize(context_.get(), &t.q, &dst), MFQ_OK) << mfq_last_error();
        want.expect(model.values);
        EXPECT_EQ(out.bytes(), want.bytes());

        Band scales(v, dtype, 4), want_scales(v, dtype, 4);
        dst = scales.tensor();
        ASSERT_EQ(mfq_expand_scales(context_.get(), &t.q, &dst), MFQ_OK) << mfq_last_error();
        std::vector<float> each;
        for (size_t i = 0; i < model.codes.size(); ++i)
          each.push_back(model.scales[(size_t)model.scale_of((int64_t)i)]);
        want_scales.expect(each);
        EXPECT_EQ(scales.bytes(), want_scales.bytes());
      });
}

TEST_P(Strides, FakeQuantize) {
  for_each(
      std::begin(views), std::end(views),
      [&](const mfq_scheme &scheme, const View &v, mfq_dtype dtype) {
        Band in({"", v.shape, mfq_test::dense_strides(v.shape)}, MFQ_DTYPE_F32, 5), out(v, dtype, 6), want(v, dtype, 6);
        const mfq_tensor src = in.tensor(), dst = out.tensor();
        ASSERT_EQ(mfq_fake_quantize(context_.get(), &scheme, &src, &dst, nullptr), MFQ_OK) << mfq_last_error();
        want.expect(Model(scheme, v.shape, in.logical()).values);
        EXPECT_EQ(out.bytes(), want.bytes());
      });
}

TEST_P(Strides, FakeQuantizeInPlace) {
  for_each(
      std::begin(views), std::end(views),
      [&](const mfq_scheme &scheme, const View &v, mfq_dtype dtype) {
        Band both(v, dtype, 7), want(v, dtype, 7);
        const mfq_tensor view = both.tensor();
        ASSERT_EQ(mfq_fake_quantize(context_.get(), &scheme, &view, &view, nullptr), MFQ_OK) << mfq_last_error();
        want.expect(Model(scheme, v.shape, want.logical()).values);
        EXPECT_EQ(both.bytes(), want.bytes());
      });
}

/* A dense target of the padded shape with gaps: the padding of the groups is written, the gaps are not. */
TEST_P(Strides, PaddedOutputs) {
  const mfq_scheme scheme = parse("mxfp8_e4m3/group:16@1");
  const View v = {"", {4, 48}, {-60, 1}};
  const Band in({"", {4, 40}, {40, 1}}, MFQ_DTYPE_F32, 8);
  Quantized t(scheme, {4, 40});
  mfq_test::quantize(context_.get(), in.logical(), &t);
  const Model model(scheme, {4, 40}, in.logical());
  std::vector<float> padded(4 * 48, 0.0f);
  for (size_t i = 0; i < model.values.size(); ++i) padded[i / 40 * 48 + i % 40] = model.values[i];
  Band out(v, MFQ_DTYPE_BF16, 9), want(v, MFQ_DTYPE_BF16, 9);
  const mfq_tensor dst = out.tensor();
  ASSERT_EQ(mfq_dequantize(context_.get(), &t.q, &dst), MFQ_OK) << mfq_last_error();
  want.expect(padded);
  EXPECT_EQ(out.bytes(), want.bytes());
}

INSTANTIATE_TEST_SUITE_P(Isa, Strides, testing::ValuesIn(mfq_test::every_isa()),
                         [](const auto &param) { return param.param; });

} // namespace
