// Rotated schemes: codes are those of elements that the test has rotated itself, values are rotated back, and so are
// gradients; every way gives the bytes of the reference.
#include "support/half.h"
#include "support/rotation.h"
#include "support/sample.h"

namespace {

using mfq_test::Context;
using mfq_test::count_of;
using mfq_test::dense;
using mfq_test::make_context;
using mfq_test::Model;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::rotated;
using mfq_test::rotated_back;
using mfq_test::same_floats;
using mfq_test::Shape;
using mfq_test::unrotated;

const std::vector<std::string> schemes = {
    "mxfp8_e4m3/hadamard:32",
    "mxfp4_e2m1/hadamard:16:seed:77",
    "mxfp6_e3m2_rceil/hadamard:128:fixed",
    "mxfp4_e2m1/group:128/hadamard:16:fixed",
    "mxfp4_e2m1/group:16@0/hadamard:128:seed:3",
    "mxfp6_e2m3/group:64@1/hadamard:64",
    "mxfp8_e5m2/group:128@-2/hadamard:16",
    "e4m3fn/group:40/f32/hadamard:16:fixed",
    "e2m0/group:3@0/ue8m0/hadamard:32",
    "int8/group:300@-2/f32/hadamard:16",
    "uint4/group:16/f32/zp/hadamard:64:fixed",
    "uint8/group:48@0/f32/zp/hadamard:16:seed:18446744073709551615",
};

const std::vector<Shape> shapes = {
    {128}, {128, 128}, {0, 128}, {128, 0}, {3, 256}, {256, 5}, {2, 128, 3}, {384, 9}, {128, 1, 128}, {1, 4224},
};

const std::vector<mfq_layout> layouts = {
    {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
    {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 5},
    {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16},
    {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
    {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 7},
};

/* Whether whole rotations lie along the scheme's axis, which is one of the tensor's. */
bool fits(const mfq_scheme &scheme, const Shape &shape) {
  const int rank = (int)shape.size();
  const int axis = scheme.axis == MFQ_AXIS_AUTO ? rank - 1 : scheme.axis < 0 ? scheme.axis + rank : scheme.axis;
  return axis >= 0 && axis < rank && shape[(size_t)axis] % scheme.rotation == 0;
}

mfq_layout fitting(mfq_layout layout, const mfq_scheme &scheme) {
  if (scheme.scale != MFQ_SCALE_UE8M0) layout.scales = MFQ_SCALES_LOGICAL;
  return layout;
}

/* No sum of these leaves float32. */
std::vector<float> bounded_values(size_t n, uint32_t seed) {
  std::vector<float> x = mfq_test::awkward_values(n, seed, true);
  for (float &v : x) v = std::fabs(v) > 1e30f ? v * 1e-8f : v;
  return x;
}

std::string words(const std::string &scheme, const Shape &shape) {
  return scheme + " on " + testing::PrintToString(shape);
}

class Rotation : public testing::TestWithParam<std::string> {};

TEST_P(Rotation, CodesAreThoseOfRotatedElements) {
  const Context context = make_context(GetParam().c_str());
  int checked = 0;
  mfq_test::sample_pairs({schemes.size(), shapes.size(), layouts.size()}, [&](const std::vector<size_t> &at) {
    const mfq_scheme scheme = parse(schemes[at[0]]);
    const Shape &shape = shapes[at[1]];
    if (!fits(scheme, shape)) return;
    SCOPED_TRACE(words(schemes[at[0]], shape) + ", layout " + std::to_string(at[2]));
    const mfq_layout layout = fitting(layouts[at[2]], scheme);
    const std::vector<float> x = bounded_values(count_of(shape), 7 + (uint32_t)at[1]);
    const Model model(unrotated(scheme), shape, rotated(scheme, shape, x));
    Quantized t(scheme, shape, &layout);
    mfq_test::quantize(context.get(), x, &t);
    EXPECT_TRUE(model.agrees(t));
    const std::vector<float> values = rotated_back(scheme, shape, model.values);
    EXPECT_TRUE(same_floats(mfq_test::dequantized(context.get(), t), values));
    EXPECT_TRUE(same_floats(mfq_test::faked(context.get(), scheme, x, shape), values));
    ++checked;
  });
  EXPECT_GT(checked, mfq_test::is_set("MFQ_TEST_FEW") ? 6 : 60);
}

/* Behind the elements stands the value of padding, which nothing rotates. */
TEST_P(Rotation, PaddedTargets) {
  const Context context = make_context(GetParam().c_str());
  for (const char *text : {"e4m3fn/group:40/f32/hadamard:16", "uint4/group:24@0/f32/zp/hadamard:32:fixed"}) {
    const mfq_scheme scheme = parse(text);
    const Shape shape = {64, 128};
    const std::vector<float> x = bounded_values(count_of(shape), 3);
    Quantized t(scheme, shape);
    mfq_test::quantize(context.get(), x, &t);
    const Shape padded = mfq_test::padded_shape(t);
    const std::vector<float> all = mfq_test::dequantized(context.get(), t, padded);
    const std::vector<float> inside = mfq_test::dequantized(context.get(), t);
    for (size_t i = 0; i < all.size(); ++i) {
      const Shape at = mfq_test::indices_of((int64_t)i, padded);
      const bool is_inside = at[0] < shape[0] && at[1] < shape[1];
      ASSERT_EQ(all[i], is_inside ? inside[(size_t)mfq_test::index_of(at, shape)] : 0.0f) << i;
    }
  }
}

/* The backward of the scheme on rotated elements and a rotated upstream, rotated back. */
TEST_P(Rotation, Gradients) {
  const Context context = make_context(GetParam().c_str());
  for (const std::string &text : schemes)
    for (const Shape &shape : {Shape{128, 256}, Shape{128, 128, 1}}) {
      const mfq_scheme scheme = parse(text), inner = unrotated(scheme);
      if (!fits(scheme, shape)) continue;
      SCOPED_TRACE(words(text, shape));
      const std::vector<float> x = bounded_values(count_of(shape), 11), dy = bounded_values(count_of(shape), 12);
      const std::vector<float> turned_x = rotated(scheme, shape, x), turned_dy = rotated(scheme, shape, dy);
      const Quantized sized(scheme, shape);
      const Shape counts = mfq_test::scale_shape(sized);
      std::vector<float> dx(x.size()), want(x.size()), sums(count_of(counts)), want_sums(count_of(counts));
      const auto run = [&](const mfq_scheme &s, const std::vector<float> &from, const std::vector<float> &upstream,
                           std::vector<float> *to, std::vector<float> *of_scale) {
        const mfq_tensor src = dense(from, shape), dy_view = dense(upstream, shape), dst = dense(*to, shape),
                         grad_scale = dense(*of_scale, counts);
        mfq_fake_gradient g;
        mfq_fake_gradient_init(&g);
        g.src = &src;
        g.upstream = &dy_view;
        g.dx = &dst;
        g.scheme = &s;
        g.ste = MFQ_STE_CLIPPED;
        g.through_scale = 1;
        g.grad_scale = &grad_scale;
        ASSERT_EQ(mfq_fake_quantize_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
      };
      run(scheme, x, dy, &dx, &sums);
      run(inner, turned_x, turned_dy, &want, &want_sums);
      EXPECT_TRUE(same_floats(dx, rotated_back(scheme, shape, want)));
      EXPECT_TRUE(same_floats(sums, want_sums));
    }
}

INSTANTIATE_TEST_SUITE_P(Isa, Rotation, testing::ValuesIn(mfq_test::every_isa()),
                         [](const auto &param) { return param.param; });

/* ---- Every way against the reference ----------------------------------------------------------------------------- */

/* Elements of a dtype in memory of any strides. */
struct Plain {
  mfq_dtype dtype;
  Shape shape, strides;
  std::vector<uint8_t> bytes;

  Plain(mfq_dtype of, const Shape &size, const Shape &steps, uint32_t seed) : dtype(of), shape(size), strides(steps) {
    int64_t reach = 1;
    for (size_t d = 0; d < shape.size(); ++d) reach += (shape[d] - 1) * strides[d];
    const std::vector<float> x = mfq_test::awkward_values((size_t)reach, seed);
    for (const float v : x) {
      const uint32_t u = mfq_test::float_bits(v);
      const uint16_t h = dtype == MFQ_DTYPE_F16 ? mfq_test::half_bits(v) : (uint16_t)(u >> 16);
      const uint8_t *from = dtype == MFQ_DTYPE_F32 ? (const uint8_t *)&u : (const uint8_t *)&h;
      bytes.insert(bytes.end(), from, from + mfq_dtype_bytes(dtype));
    }
  }
  mfq_tensor view() const { return mfq_test::strided(bytes.data(), dtype, shape, strides); }
};

const std::vector<std::string> any_schemes = {
    "nvfp4/hadamard:16:fixed",
    "nvfp4/group:16@0/hadamard:128",
    "mxfp4_e2m1/hadamard:64/round:stochastic",
    "mxfp8_e5m2/group:32@0/hadamard:32/round:stochastic/nosat",
    "mxfp4_e2m1/group:5000/hadamard:128:seed:1",
    "int4/group:7/f16/stat:minmax/hadamard:16",
    "uint8/group:2@0/bf16/zp/hadamard:128",
    "e3m2/group:8000@0/f32/hadamard:64",
    "e7m0b160/group:32/ue8m0/hadamard:32",
    "mxfp8_e4m3/group:256@0/hadamard:64:fixed",
};

struct Place {
  Shape shape, strides;
};
const std::vector<Place> places = {
    {{128, 128}, {128, 1}},   {{128, 384}, {400, 1}}, {{128, 256}, {1, 128}},
    {{256, 128}, {0, 1}},     {{128, 128}, {400, 3}}, {{256, 32}, {32, 1}},
    {{128, 1300}, {1300, 1}}, {{3, 4224}, {4224, 1}}, {{128, 3, 128}, {1, 128 * 128, 128}},
};

mfq_status backward(mfq_context *context, const mfq_scheme &scheme, const Plain &x, const Plain &dy, Plain *dx) {
  const mfq_tensor src = x.view(), upstream = dy.view(), dst = dx->view();
  mfq_fake_gradient g;
  mfq_fake_gradient_init(&g);
  g.src = &src;
  g.upstream = &upstream;
  g.dx = &dst;
  g.scheme = &scheme;
  g.ste = MFQ_STE_CLIPPED;
  return mfq_fake_quantize_backward(context, &g);
}

TEST(RotationPaths, EqualTheReference) {
  const Context reference = make_context("reference");
  const mfq_dtype dtypes[] = {MFQ_DTYPE_F32, MFQ_DTYPE_BF16, MFQ_DTYPE_F16};
  const std::vector<std::string> isas = mfq_test::fast_isas();
  const size_t counts[] = {any_schemes.size(), places.size(), layouts.size(), 3, isas.size()};
  uint32_t seed = 100;
  mfq_test::sample_pairs({std::begin(counts), std::end(counts)}, [&](const std::vector<size_t> &at) {
    const mfq_scheme scheme = parse(any_schemes[at[0]]);
    const Place &place = places[at[1]];
    if (!fits(scheme, place.shape)) return;
    const mfq_dtype dtype = dtypes[at[3]], other = dtypes[(at[3] + at[1]) % 3];
    const Context fast = make_context(isas[at[4]].c_str(), 1 + (int)(at[1] % 3));
    SCOPED_TRACE(words(any_schemes[at[0]], place.shape) + ", " + mfq_dtype_name(dtype) + ", " + isas[at[4]] +
                 ", layout " + std::to_string(at[2]));
    const mfq_layout layout = fitting(layouts[at[2]], scheme);
    const Plain src(dtype, place.shape, place.strides, ++seed);
    const mfq_tensor x = src.view();
    Quantized a(scheme, place.shape, &layout), b(scheme, place.shape, &layout);
    ASSERT_EQ(mfq_quantize(reference.get(), &x, &a.q, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_quantize(fast.get(), &x, &b.q, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_TRUE(a.same_bytes(b)) << a.difference(b);
    const Shape steps = place.strides[0] == 0 ? mfq_test::dense_strides(place.shape) : place.strides;
    Plain y(other, place.shape, steps, 1), z = y;
    mfq_tensor y_view = y.view(), z_view = z.view();
    ASSERT_EQ(mfq_dequantize(reference.get(), &a.q, &y_view), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_dequantize(fast.get(), &a.q, &z_view), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(y.bytes, z.bytes) << "values";
    ASSERT_EQ(mfq_fake_quantize(fast.get(), &scheme, &x, &z_view, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(y.bytes, z.bytes) << "values without codes";
    Plain in_place(dtype, place.shape, steps, seed), same = in_place;
    const mfq_tensor p = in_place.view(), q = same.view();
    ASSERT_EQ(mfq_fake_quantize(reference.get(), &scheme, &p, &p, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_fake_quantize(fast.get(), &scheme, &q, &q, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(in_place.bytes, same.bytes) << "in place";
    const Plain dy(dtype, place.shape, place.strides, seed + 1);
    ASSERT_EQ(backward(reference.get(), scheme, src, dy, &y), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(backward(fast.get(), scheme, src, dy, &z), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(y.bytes, z.bytes) << "gradients";
  });
}

/* Both directions of a matrix, with rotations of their own, are the two by themselves. */
TEST(RotationPaths, BothDirections) {
  const Context context = make_context();
  const Shape shape = {256, 384};
  const std::vector<float> x = mfq_test::awkward_values(count_of(shape), 5);
  const mfq_tensor src = dense(x, shape);
  const mfq_layout turned = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
  for (const char *of_rows : {"mxfp4_e2m1/hadamard:32", "mxfp4_e2m1"})
    for (const char *of_cols :
         {"mxfp4_e2m1/group:32@0/hadamard:16:fixed", "mxfp4_e2m1/group:16@0/hadamard:128", "mxfp4_e2m1/group:32@0"}) {
      SCOPED_TRACE(std::string(of_rows) + " and " + of_cols);
      Quantized row(parse(of_rows), shape), col(parse(of_cols), shape, &turned), row_alone(parse(of_rows), shape),
          col_alone(parse(of_cols), shape, &turned);
      ASSERT_EQ(mfq_quantize(context.get(), &src, &row.q, &col.q), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(mfq_quantize(context.get(), &src, &row_alone.q, nullptr), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(mfq_quantize(context.get(), &src, nullptr, &col_alone.q), MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(row.same_bytes(row_alone)) << row.difference(row_alone);
      EXPECT_TRUE(col.same_bytes(col_alone)) << col.difference(col_alone);
    }
}

/* An outlier is spread over its rotation: what the rotation is for. */
TEST(RotationPaths, SpreadsOutliers) {
  const Context context = make_context();
  const Shape shape = {64, 128};
  std::vector<float> x = mfq_test::awkward_values(count_of(shape), 9, true);
  for (size_t i = 0; i < x.size(); ++i) x[i] = i % 32 == 7 ? 40.0f : std::fmod(x[i], 1.0f);
  const auto error = [&](const char *text) {
    const std::vector<float> y = mfq_test::faked(context.get(), parse(text), x, shape);
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += ((double)y[i] - x[i]) * ((double)y[i] - x[i]);
    return sum;
  };
  EXPECT_LT(error("mxfp4_e2m1/hadamard:32"), error("mxfp4_e2m1"));
}

TEST(RotationPaths, AreTheOnesThatAreMeant) {
  const Context context = make_context();
  const struct {
    const char *scheme;
    mfq_support support;
    const char *begin;
  } rows[] = {{"mxfp4_e2m1/hadamard:32", MFQ_SUPPORT_FAST, "panels"},
              {"nvfp4/group:16@0/hadamard:128", MFQ_SUPPORT_FAST, "panels"},
              {"mxfp4_e2m1/group:5000@0/hadamard:64", MFQ_SUPPORT_FAST, "panels"},
              {"mxfp4_e2m1/group:100@0/hadamard:128", MFQ_SUPPORT_GENERAL, "rotated copies: in float32, and "}};
  for (const auto &row : rows)
    for (const mfq_op op : {MFQ_OP_QUANTIZE, MFQ_OP_DEQUANTIZE, MFQ_OP_FAKE_QUANTIZE}) {
      const mfq_scheme scheme = parse(row.scheme);
      mfq_support support = MFQ_SUPPORT_NO;
      char reason[400] = "";
      ASSERT_EQ(mfq_supported(context.get(), op, &scheme, &support, reason, sizeof reason), MFQ_OK);
      EXPECT_EQ(support, row.support) << row.scheme;
      EXPECT_EQ(std::string(reason).rfind(row.begin, 0), 0u) << row.scheme << ": " << reason;
    }
}

} // namespace
