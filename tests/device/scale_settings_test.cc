// MS-EDEN, scales in any minifloat, rules, zero points in float32: the device has the bytes of the CPU.
#include "support/device.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class Scales : public OnDevice {};

const std::vector<std::string> schemes = {
    "nvfp4_ms_eden",
    "nvfp4_ms_eden/hadamard:128:seed:7",
    "nvfp4_ms_eden/group:16@0/eden:32/hadamard:32",
    "nvfp4/eden:48",
    "nvfp4/group:48/eden:96/hadamard:32",
    "e2m1/group:8@0/scale:ue5m3fn/eden:32/gain:1.0625",
    "e2m1/group:16/scale:ue5m2ieee",
    "int8n/block:16x4/scale:ue8m0fn/bound:256",
    "mxfp4_e2m1/ue8m0:midmax",
    "mxfp8_e4m3/ue8m0:round",
    "int4n/group:32/f32:round",
    "e2m1/group:32/f32:floor/gain:1.3333334",
    "e2m1/group:32/f32:floor/round:stochastic/gain:1.3333334/hadamard:64:seed:1",
    "e4m3fn/block:16x4/f32:rceil/gain:3",
    "uint4/group:24/bf16/zpf",
    "int8/block:16x4/f32/zpf/round:floor",
    "uint8/group:32/f32:floor/zpf/min:1e-10/arith:brevitas",
};

const std::vector<Shape> shapes = {{128}, {3, 128}, {128, 5}, {2, 128, 3}, {5, 384}, {0, 128}};
const std::vector<mfq_layout> layouts = {
    {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
    {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 5},
    {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
};

bool fits(const mfq_scheme &s, const Shape &shape) {
  const int rank = (int)shape.size();
  const int axis = s.axis == MFQ_AXIS_AUTO ? rank - 1 : s.axis;
  return axis < rank && (s.rotation == 0 || shape[(size_t)axis] % s.rotation == 0);
}

mfq_layout fitting(mfq_layout layout, const mfq_scheme &s) {
  const bool is_group = s.granularity == MFQ_GRANULARITY_GROUP;
  if (!is_group || s.scale < MFQ_SCALE_UE8M0) layout.scales = MFQ_SCALES_LOGICAL;
  if (!is_group) layout.codes = MFQ_CODES_LOGICAL;
  return layout;
}

TEST_F(Scales, AreThoseOfTheCpu) {
  ASSERT_EQ(mfq_context_set_seed(device(), 5, 6), MFQ_OK);
  ASSERT_EQ(mfq_context_set_seed(cpu(), 5, 6), MFQ_OK);
  uint32_t seed = 0;
  sample_pairs({schemes.size(), shapes.size(), layouts.size(), 3}, [&](const std::vector<size_t> &at) {
    const mfq_scheme scheme = parse(schemes[at[0]]);
    const Shape &shape = shapes[at[1]];
    if (!fits(scheme, shape)) return;
    QuantizeCall call(schemes[at[0]]);
    call.row_layout = fitting(layouts[at[2]], scheme);
    Operand x(kDtypes[at[3]], shape);
    x.fill_awkward(++seed);
    ASSERT_TRUE(same_quantize(x, call));
    ASSERT_TRUE(same_fake(schemes[at[0]], x, Operand(kDtypes[(at[3] + seed) % 3], shape), seed % 2 != 0));
    Quantized q(scheme, shape, &call.row_layout);
    give_everything(&q, seed);
    ASSERT_TRUE(same_dequantize(q, Operand(kDtypes[(at[3] + seed) % 3], shape)));
    ASSERT_TRUE(same_repack(q, fitting(layouts[(at[2] + 1) % 3], scheme)));
    const Operand scales(MFQ_DTYPE_F32, scale_shape(q));
    ASSERT_TRUE(same_read(mfq_expand_scales, q, scales));
    ASSERT_TRUE(same_read(mfq_expand_zero_points, q, scales));
  });
  ASSERT_EQ(mfq_context_set_seed(device(), 0, 0), MFQ_OK);
  ASSERT_EQ(mfq_context_set_seed(cpu(), 0, 0), MFQ_OK);
}

TEST_F(Scales, InPlaceAndBothDirections) {
  for (const char *text :
       {"nvfp4_ms_eden/hadamard:128:seed:7", "nvfp4_ms_eden/group:16@0", "e2m1/group:16/scale:ue5m3fn"}) {
    Operand x(MFQ_DTYPE_BF16, {256, 128});
    x.fill_awkward(3);
    ASSERT_TRUE(same_fake_in_place(text, x));
    ASSERT_TRUE(same_quantize(x, QuantizeCall(text, "nvfp4_ms_eden/group:16@0/hadamard:16:fixed")));
  }
}

TEST_F(Scales, Given) {
  for (const char *text : {"e2m1/group:16/scale:ue5m3fn:given", "int8n/block:16x4/scale:ue8m0fn:given",
                           "uint4/group:20@0/f32:given/zpf"}) {
    Quantized q(parse(text), {32, 40});
    give_scales(&q, 4);
    Operand x(MFQ_DTYPE_F32, {32, 40});
    x.fill_awkward(5);
    ASSERT_TRUE(same_fake_given(q, x, Operand(MFQ_DTYPE_BF16, {32, 40})));
    ASSERT_TRUE(same_quantize(x, QuantizeCall(text)));
  }
}

} // namespace
