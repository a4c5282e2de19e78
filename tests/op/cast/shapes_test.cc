// Every shape and layout against a model of the public description: bytes of codes, scales and zero points, padding
// included; values; padded targets; expanded scales.
#include "support/model.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::Model;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::same_floats;
using mfq_test::Shape;

const char *const schemes[] = {
    "mxfp8_e4m3",
    "mxfp6_e3m2_rceil",
    "mxfp4_e2m1",
    "mxint8",
    "mxfp4_e2m1/group:5",
    "mxfp6_e2m3/group:16@0",
    "mxfp4_e2m1/group:8@-2",
    "e2m0/group:3@1/ue8m0",
    "e4m3fn/f32",
    "e5m2/channel/f32",
    "int8n/channel@-1/f32",
    "int4n/block:2x4/f32",
    "e2m1/block:3x32/ue8m0",
    "uint4/group:8/f32/zp",
    "int8/channel/f32/zp",
    "uint8/group:4@0/f32/zp",
    "e4m3fn",
    "int3",
};

const Shape shapes[] = {
    {},
    {0},
    {1},
    {2},
    {31},
    {32},
    {33},
    {100},
    {0, 7},
    {7, 0},
    {3, 0, 5},
    {1, 1},
    {3, 33},
    {5, 64},
    {9, 17},
    {40, 3},
    {2, 3, 37},
    {4, 33, 5},
    {2, 3, 4, 5},
    {1, 8, 1, 3, 2},
    {2, 1, 3, 1, 2, 5},
    {2, 2, 1, 3, 2, 1, 4},
    {2, 1, 3, 1, 2, 1, 2, 5},
};

const mfq_layout layouts[] = {
    {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
    {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0},
    {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 1},
    {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16},
    {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
    {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 3},
    {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 7},
    {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
    {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 16},
    {MFQ_CODES_TRANSPOSED, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 7},
};

/* Whether the scheme's axis is one of the tensor's. */
bool has_axis(const mfq_scheme &scheme, const Shape &shape) {
  const int rank = std::max((int)shape.size(), 1);
  return scheme.axis == MFQ_AXIS_AUTO || (scheme.axis < rank && scheme.axis >= -rank);
}

std::string words(const std::string &scheme, const Shape &shape, const mfq_layout &layout) {
  return scheme + " on " + testing::PrintToString(shape) + ", codes " + std::to_string(layout.codes) + ", packing " +
         std::to_string(layout.packing) + ", scales " + std::to_string(layout.scales) + ", align " +
         std::to_string(layout.row_align);
}

/* The value that stands at each place of a larger target: `inside` where the logical tensor has the place. */
template <typename Outside>
std::vector<float> in_padded(const Shape &padded, const Model &model, const std::vector<float> &inside,
                             Outside outside) {
  std::vector<float> all;
  for (size_t i = 0; i < mfq_test::count_of(padded); ++i) {
    const Shape at = mfq_test::indices_of((int64_t)i, padded);
    bool is_inside = true;
    for (size_t d = 0; d < at.size(); ++d) is_inside &= at[d] < model.shape[d];
    all.push_back(is_inside ? inside[(size_t)mfq_test::index_of(at, model.shape)] : outside(at));
  }
  return all;
}

/* The scale shape as the sizes have it: in code order, and without axes for a single scale. */
Shape stored_scale_shape(const Model &model, const Quantized &t) {
  if (t.q.scheme.granularity == MFQ_GRANULARITY_TENSOR) return {};
  return mfq_test::in_code_order(t.q.layout, model.axis, model.scale_shape);
}

/* Compressed scales and zero points in logical order. */
std::vector<float> compressed(const Model &model, const Quantized &t, const std::vector<float> &in_code_order) {
  const Shape shape = stored_scale_shape(model, t);
  if (shape.empty()) return in_code_order;
  std::vector<float> out(in_code_order.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const Shape at = mfq_test::in_axis_order(t.q.layout, model.axis, mfq_test::indices_of((int64_t)i, shape));
    out[(size_t)mfq_test::index_of(at, model.scale_shape)] = in_code_order[i];
  }
  return out;
}

void check_expanded(mfq_context *context, const Model &model, const Quantized &t) {
  const Shape padded = mfq_test::padded_shape(t), scale_shape = mfq_test::scale_shape(t);
  EXPECT_EQ(scale_shape, stored_scale_shape(model, t));
  std::vector<float> each_scale, each_zero;
  for (size_t i = 0; i < model.codes.size(); ++i) {
    each_scale.push_back(model.scales[(size_t)model.scale_of((int64_t)i)]);
    each_zero.push_back((float)model.zero_points[(size_t)model.scale_of((int64_t)i)]);
  }
  const std::vector<float> zero_points(model.zero_points.begin(), model.zero_points.end());
  EXPECT_TRUE(same_floats(compressed(model, t, mfq_test::expanded_scales(context, t, scale_shape)), model.scales));
  EXPECT_TRUE(same_floats(compressed(model, t, mfq_test::expanded_zero_points(context, t, scale_shape)), zero_points));
  EXPECT_TRUE(same_floats(mfq_test::expanded_scales(context, t, model.shape), each_scale));
  EXPECT_TRUE(same_floats(mfq_test::expanded_zero_points(context, t, model.shape), each_zero));
  const auto scale_outside = [&](const Shape &at) { return model.scales[(size_t)model.scale_of_place(at)]; };
  const auto zero_outside = [&](const Shape &at) { return zero_points[(size_t)model.scale_of_place(at)]; };
  EXPECT_TRUE(
      same_floats(mfq_test::expanded_scales(context, t, padded), in_padded(padded, model, each_scale, scale_outside)));
  EXPECT_TRUE(same_floats(mfq_test::expanded_zero_points(context, t, padded),
                          in_padded(padded, model, each_zero, zero_outside)));
}

void check(mfq_context *context, const mfq_scheme &scheme, const Shape &shape, const mfq_layout &layout) {
  const std::vector<float> x = mfq_test::awkward_values(mfq_test::count_of(shape), 5 + (uint32_t)shape.size(), true);
  const Model model(scheme, shape, x);
  Quantized t(scheme, shape, &layout);
  mfq_test::quantize(context, x, &t);
  ASSERT_TRUE(model.agrees(t));
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context, t), model.values));
  Shape padded(t.sizes.padded_shape, t.sizes.padded_shape + model.shape.size());
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context, t, padded),
                          in_padded(padded, model, model.values, [](const Shape &) { return 0.0f; })));
  if (!shape.empty()) check_expanded(context, model, t);
}

class Shapes : public testing::TestWithParam<std::string> {};

TEST_P(Shapes, EveryLayout) {
  const Context context = make_context(GetParam().c_str());
  int checked = 0;
  for (const char *text : schemes)
    for (const Shape &shape : shapes)
      for (const mfq_layout &layout : layouts) {
        const mfq_scheme scheme = parse(text);
        if (!has_axis(scheme, shape) || !mfq_test::allows(scheme, shape.size(), layout)) continue;
        SCOPED_TRACE(words(text, shape, layout));
        check(context.get(), scheme, shape, layout);
        if (testing::Test::HasFailure()) return;
        ++checked;
      }
  EXPECT_GT(checked, 2000);
}

/* Several tiles of 128 rows by 4 scales, and not whole ones. */
TEST_P(Shapes, TilesOfScales) {
  const Context context = make_context(GetParam().c_str());
  const mfq_layout tiles = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 0};
  const mfq_layout turned = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 0};
  for (const mfq_layout &layout : {tiles, turned}) {
    check(context.get(), parse("mxfp8_e4m3"), {259, 290}, layout);
    check(context.get(), parse("mxfp4_e2m1/group:16@0"), {150, 200}, layout);
    check(context.get(), parse("mxfp6_e3m2/group:8@1"), {3, 41, 50}, layout);
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Shapes, testing::ValuesIn(mfq_test::every_isa()),
                         [](const auto &param) { return param.param; });

} // namespace
