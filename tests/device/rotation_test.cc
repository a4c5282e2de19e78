// Rotated schemes: the device has the bytes of the CPU, whose rotations are checked elsewhere.
#include "support/device.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class Rotation : public OnDevice {};

const std::vector<std::string> schemes = {
    "mxfp4_e2m1/hadamard:32",
    "nvfp4/hadamard:16:fixed",
    "mxfp8_e4m3/hadamard:128:seed:77",
    "mxfp6_e3m2/group:16@0/hadamard:64:fixed",
    "mxfp4_e2m1/group:16/hadamard:32/round:stochastic",
    "int8/group:48@0/f32/hadamard:16:seed:5",
    "uint4/group:32/bf16/zp/hadamard:16",
    "e5m2/group:128@0/f16/stat:minmax/hadamard:128",
    "mxfp8_e5m2/group:640/hadamard:64",
    "e3m2/group:7@-2/ue8m0/hadamard:16:fixed",
};

struct Place {
  Shape shape, strides;
};
const std::vector<Place> places = {
    {{128, 16}, {16, 1}}, {{3, 128}, {130, 1}}, {{128, 5}, {5, 1}}, {{16, 128}, {1, 16}},        {{6, 128}, {0, 1}},
    {{384, 4}, {-5, 1}},  {{2, 128, 3}, {}},    {{1, 640}, {}},     {{16, 1, 128}, {256, 7, 2}},
};

const std::vector<mfq_layout> layouts = {
    {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
    {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 5},
    {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16},
    {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
};

bool fits(const mfq_scheme &scheme, const Shape &shape) {
  const int rank = (int)shape.size();
  const int axis = scheme.axis == MFQ_AXIS_AUTO ? rank - 1 : scheme.axis < 0 ? scheme.axis + rank : scheme.axis;
  return axis >= 0 && axis < rank && shape[(size_t)axis] % scheme.rotation == 0;
}

TEST_F(Rotation, CodesAndValues) {
  uint32_t seed = 0;
  sample_pairs({schemes.size(), places.size(), layouts.size(), 3}, [&](const std::vector<size_t> &at) {
    const mfq_scheme scheme = parse(schemes[at[0]]);
    const Place &place = places[at[1]];
    if (!fits(scheme, place.shape)) return;
    const mfq_dtype dtype = kDtypes[at[3]], other = kDtypes[(at[3] + at[0]) % 3];
    QuantizeCall call(schemes[at[0]]);
    call.row_layout = layouts[at[2]];
    if (scheme.scale != MFQ_SCALE_UE8M0) call.row_layout.scales = MFQ_SCALES_LOGICAL;
    Operand x(dtype, place.shape, place.strides.empty() ? dense_strides(place.shape) : place.strides);
    x.fill_awkward(++seed);
    ASSERT_TRUE(same_quantize(x, call)) << testing::PrintToString(place.shape);
    Quantized q(scheme, place.shape, &call.row_layout);
    give_everything(&q, seed);
    ASSERT_TRUE(same_dequantize(q, Operand(other, place.shape))) << schemes[at[0]];
    const mfq_tensor src = x.here();
    ASSERT_EQ(mfq_quantize(cpu(), &src, &q.q, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_TRUE(same_dequantize(q, Operand(other, place.shape))) << schemes[at[0]];
  });
}

TEST_F(Rotation, ValuesWithoutCodes) {
  uint32_t seed = 0;
  sample_pairs({schemes.size(), places.size(), 3, 2}, [&](const std::vector<size_t> &at) {
    const mfq_scheme scheme = parse(schemes[at[0]]);
    const Place &place = places[at[1]];
    if (!fits(scheme, place.shape)) return;
    Operand x(kDtypes[at[2]], place.shape, place.strides.empty() ? dense_strides(place.shape) : place.strides);
    x.fill_awkward(++seed);
    ASSERT_TRUE(same_fake(schemes[at[0]], x, Operand(kDtypes[(at[2] + at[0]) % 3], place.shape), at[3] != 0));
    mfq_scheme given = scheme;
    given.rule = MFQ_RULE_GIVEN;
    Quantized q(given, place.shape);
    give_scales(&q, seed);
    ASSERT_TRUE(same_fake_given(q, x, Operand(kDtypes[at[2]], place.shape))) << schemes[at[0]];
  });
}

TEST_F(Rotation, InPlace) {
  uint32_t seed = 0;
  for (const char *text : {"mxfp4_e2m1/hadamard:32", "nvfp4/hadamard:16:fixed", "mxfp8_e4m3/group:16@0/hadamard:128",
                           "int8/group:384@0/f32/hadamard:64", "uint4/group:32@0/f32/zp/hadamard:16"})
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &strides : {Shape{32, 1}, Shape{1, 384}}) {
        Operand x(dtype, {384, 32}, strides);
        x.fill_awkward(seed++);
        ASSERT_TRUE(same_fake_in_place(text, x));
      }
}

TEST_F(Rotation, WaysAreTheOnesThatAreMeant) {
  const struct {
    const char *scheme, *quantize, *others;
  } rows[] = {{"mxfp4_e2m1/hadamard:32", "rows: ", "rotations: "},
              {"nvfp4/hadamard:128/round:stochastic", "rows: ", "rotations: "},
              {"mxfp4_e2m1/group:32@0/hadamard:32", "general: ", "rotations: "}};
  for (const auto &row : rows)
    for (const mfq_op op : {MFQ_OP_QUANTIZE, MFQ_OP_DEQUANTIZE, MFQ_OP_FAKE_QUANTIZE}) {
      const mfq_scheme scheme = parse(row.scheme);
      const std::string begin = op == MFQ_OP_QUANTIZE ? row.quantize : row.others;
      mfq_support support = MFQ_SUPPORT_NO;
      char reason[400] = "";
      ASSERT_EQ(mfq_supported(device(), op, &scheme, &support, reason, sizeof reason), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(std::string(reason).rfind(begin, 0), 0u) << row.scheme << ": " << reason;
    }
}

/* A span of whole groups and rotations that no block has. */
TEST_F(Rotation, WhatIsNotOffered) {
  const mfq_scheme wide = parse("mxfp4_e2m1/group:5/hadamard:128");
  const DeviceMemory memory(device(), nullptr, 128 * 4), other(device(), nullptr, 128 * 4);
  Operand x(MFQ_DTYPE_F32, {128});
  const mfq_tensor there = x.at(memory.data()), upstream = x.at(other.data());
  const char *const sentence = "rotated elements are not offered here; quantize and dequantize them, or use the CPU";
  EXPECT_EQ(mfq_fake_quantize(device(), &wide, &there, &there, nullptr), MFQ_ERROR_UNSUPPORTED);
  EXPECT_NE(std::strstr(mfq_last_error(), sentence), nullptr) << mfq_last_error();
  mfq_fake_gradient g;
  mfq_fake_gradient_init(&g);
  g.src = &there;
  g.upstream = g.dx = &upstream;
  g.scheme = &wide;
  EXPECT_EQ(mfq_fake_quantize_backward(device(), &g), MFQ_ERROR_UNSUPPORTED);
  EXPECT_NE(std::strstr(mfq_last_error(), sentence), nullptr) << mfq_last_error();
}

} // namespace
