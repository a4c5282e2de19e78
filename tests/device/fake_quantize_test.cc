// Quantize and dequantize in one step: values and scales, in place too.
#include "support/device.h"
#include "support/sample.h"

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
  for (const char *text : {"mxfp8_e4m3", "nvfp4", "mxfp4_e2m1/group:32@0", "e4m3fn/group:16@0/f32", "e4m3fn/tensor/f32",
                           "int8n/channel@1/f32", "uint4/group:32@0/f32/zp", "e2m1/block:8x8/ue8m0", "e5m2",
                           "brevitas:MXFloat8e4m3Weight"})
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &strides : {Shape{70, 1}, Shape{1, 33}, Shape{-90, 1}}) {
        Operand x(dtype, {33, 70}, strides);
        x.fill_awkward(seed++);
        ASSERT_TRUE(same_fake_in_place(text, x));
      }
}

/* The fast kernels: every short form, along rows and columns, from and to every dtype, whole and partial chunks, aligned to
 * 16 bytes and not, with and without scales. */
TEST_F(FakeQuantize, FastKernels) {
  const char *const elements[] = {"e4m3fn", "e5m2", "e2m1", "e3m0", "e4m3fnuz", "e2m5b40", "int8", "int4", "mxint8"};
  const char *const scales[] = {"/ue8m0",     "/f32",
                                "/ue4m3",     "/ue8m0:rceil/round:stochastic",
                                "/bf16:even", "/f32/arith:brevitas",
                                "/f16",       "/f32/round:stochastic"};
  const int sizes[] = {16, 32, 128, 512};
  const Shape all[] = {{7, 32}, {130, 136}, {3, 33}, {2, 200}, {2, 33, 24}, {300, 8}, {1, 40}, {40, 129}};
  sample({std::size(elements), std::size(scales), std::size(sizes), 2, 3, 4, std::size(all), 2, 2}, 1000,
         [&](const std::vector<size_t> &at) {
           const Shape &shape = all[at[6]];
           const int64_t axis = (int64_t)shape.size() - 1 - (int64_t)at[3];
           const std::string group = "/group:" + std::to_string(sizes[at[2]]) + "@" + std::to_string(axis);
           const std::string text = elements[at[0]] + group + scales[at[1]];
           mfq_scheme scheme;
           if (mfq_scheme_parse(text.c_str(), &scheme) != MFQ_OK) return; /* ue4m3 is not for every element */
           const mfq_dtype from = kDtypes[at[4]], to = at[5] == 3 ? from : kDtypes[at[5]];
           Operand x = awkward(from, shape, (uint32_t)(at[0] + 31 * at[6]));
           ASSERT_TRUE(same_fake(text, x, Operand(to, shape), at[7] != 0, {at[8] * mfq_dtype_bytes(MFQ_DTYPE_F32)}));
         });
}

/* Scales that are known to a thread: none, of the tensor, of channels. */
TEST_F(FakeQuantize, SharedScales) {
  uint32_t seed = 0;
  for (const char *scheme :
       {"e4m3fn", "e3m0", "int8", "e2m1/tensor/f32", "int8/channel@0/f32", "uint8/tensor/f32/zp/stat:minmax",
        "e5m2/channel@0/bf16", "e3m2/tensor/ue8m0", "e4m3fn/tensor/f32:floor/round:stochastic",
        "int8n/channel@0/f32/arith:brevitas", "uint8/channel@0/f32/zp/arith:brevitas",
        "e4m3fnuz/tensor/f32/arith:brevitas", "e4m3fn/tensor/f16"})
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &shape : {Shape{5, 300}, Shape{4, 512}, Shape{3, 2, 257}}) {
        Operand x = awkward(dtype, shape, seed);
        ASSERT_TRUE(same_fake(scheme, x, Operand(kDtypes[seed / 2 % 3], shape), seed % 3 != 0));
        ++seed;
      }
}

/* Given ones, in every order, for the fast shapes. */
TEST_F(FakeQuantize, GivenScalesOfTheFastKernels) {
  const char *const schemes[] = {"e4m3fn/group:32@%/ue8m0:given",
                                 "e2m1/group:16@%/ue4m3:given",
                                 "int8/group:64@%/f32:given",
                                 "uint4/group:32@%/f32:given/zp",
                                 "e5m2/group:16@%/f16:given/round:stochastic",
                                 "uint8/group:16@%/f32:given/zp/arith:brevitas"};
  sample({std::size(schemes), 2, 3, 2, 2, 3}, 120, [&](const std::vector<size_t> &at) {
    std::string text = schemes[at[0]];
    text.replace(text.find('%'), 1, std::to_string(at[1]));
    const Shape shape = std::array<Shape, 3>{Shape{64, 96}, Shape{130, 136}, Shape{33, 40}}[at[5]];
    mfq_layout layout = {};
    layout.codes = at[3] != 0 ? MFQ_CODES_GROUP_LAST : MFQ_CODES_LOGICAL;
    if (at[4] != 0 && parse(text).scale >= MFQ_SCALE_UE8M0) layout.scales = MFQ_SCALES_128X4;
    Quantized q(parse(text), shape, &layout);
    give_scales(&q, (uint32_t)at[0]);
    Operand x = awkward(kDtypes[at[2]], shape, 5);
    ASSERT_TRUE(same_fake_given(q, x, Operand(kDtypes[at[2]], shape)));
  });
}

} // namespace
