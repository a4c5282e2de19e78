// Quantize and dequantize in one step: values and scales, in place too.
#include "support/device.h"

namespace {

using namespace mfq_test;

class FakeQuantize : public OnDevice {};

const Shape shapes[] = {{5, 32}, {3, 129}, {33, 70}, {3, 40, 17}, {1, 1000}, {64, 96}};

bool can_fake(const std::string &scheme) { return parse(scheme).rule != MFQ_RULE_GIVEN; }

TEST_F(FakeQuantize, EveryNamedScheme) {
  uint32_t seed = 0;
  for (const std::string &scheme : scheme_names())
    for (const mfq_dtype dtype : kDtypes) {
      if (!can_fake(scheme)) continue;
      const Shape &shape = shapes[seed % 6];
      Operand x = awkward(dtype, shape, seed);
      ASSERT_TRUE(same_fake(scheme, x, Operand(kDtypes[seed / 3 % 3], shape), seed % 2 == 0));
      ++seed;
    }
}

TEST_F(FakeQuantize, EveryFormatAndGranularity) {
  uint32_t seed = 0;
  for (const std::string &format : format_names())
    for (const char *rest :
         {"", "/group:32/ue8m0", "/group:8@0/f32", "/channel@0/f32", "/tensor/bf16", "/block:4x8/ue8m0",
          "/group:16/ue4m3", "/group:32/ue8m0/arith:brevitas", "/round:floor", "/nosat"}) {
      mfq_scheme scheme;
      if (mfq_scheme_parse((format + rest).c_str(), &scheme) != MFQ_OK) continue;
      const Shape &shape = shapes[seed % 6];
      Operand x = awkward(kDtypes[seed % 3], shape, seed);
      ASSERT_TRUE(same_fake(format + rest, x, Operand(MFQ_DTYPE_F32, shape), true));
      ++seed;
    }
}

/* Scales of every kind, in every order. */
TEST_F(FakeQuantize, GivenScales) {
  uint32_t seed = 0;
  for (const std::string &name : scheme_names())
    for (const mfq_dtype dtype : kDtypes) {
      mfq_scheme scheme = parse(name);
      if (scheme.scale != MFQ_SCALE_NONE) scheme.rule = MFQ_RULE_GIVEN;
      const Shape &shape = shapes[seed % 6];
      mfq_layout layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
      const bool is_group = scheme.granularity == MFQ_GRANULARITY_GROUP;
      if (is_group && seed % 2 == 0) layout.codes = MFQ_CODES_GROUP_LAST;
      if (is_group && seed % 5 < 3 && scheme.scale >= MFQ_SCALE_UE8M0) layout.scales = MFQ_SCALES_128X4;
      Quantized q(scheme, shape, &layout);
      give_scales(&q, seed);
      Operand x = awkward(dtype, shape, seed);
      ASSERT_TRUE(same_fake_given(q, x, Operand(kDtypes[seed / 3 % 3], shape))) << name;
      ++seed;
    }
}

TEST_F(FakeQuantize, GivenInPlace) {
  Quantized q(parse("uint8/group:32@0/f32:given/zp"), {33, 70});
  give_scales(&q, 5);
  const DeviceQuantized there(device(), q);
  for (const Shape &strides : {Shape{70, 1}, Shape{1, 33}, Shape{-90, 1}}) {
    Operand x(MFQ_DTYPE_F32, {33, 70}, strides);
    x.fill_awkward(7);
    const DeviceMemory memory(device(), x.bytes.data(), x.bytes.size());
    const mfq_tensor here = x.here(), on_device = x.at(memory.data());
    ASSERT_EQ(mfq_fake_quantize_given(cpu(), &q.q, &here, &here), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_fake_quantize_given(device(), &there.q, &on_device, &on_device), MFQ_OK) << mfq_last_error();
    ASSERT_TRUE(same_memory(memory.read(), x.bytes, 4));
  }
}

TEST_F(FakeQuantize, InPlace) {
  uint32_t seed = 0;
  for (const char *text : {"mxfp8_e4m3", "nvfp4", "e4m3fn/tensor/f32", "int8n/channel@1/f32", "uint4/group:32@0/f32/zp",
                           "e2m1/block:8x8/ue8m0", "e5m2", "brevitas:MXFloat8e4m3Weight"})
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &strides : {Shape{70, 1}, Shape{1, 33}, Shape{-90, 1}}) {
        const mfq_scheme scheme = parse(text);
        Operand x(dtype, {33, 70}, strides);
        x.fill_awkward(seed++);
        const DeviceMemory memory(device(), x.bytes.data(), x.bytes.size());
        const mfq_tensor here = x.here(), there = x.at(memory.data());
        ASSERT_EQ(mfq_fake_quantize(cpu(), &scheme, &here, &here, nullptr), MFQ_OK) << mfq_last_error();
        ASSERT_EQ(mfq_fake_quantize(device(), &scheme, &there, &there, nullptr), MFQ_OK) << mfq_last_error();
        ASSERT_TRUE(same_memory(memory.read(), x.bytes, mfq_dtype_bytes(dtype))) << text;
      }
}

} // namespace
