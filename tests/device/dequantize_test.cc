// Dequantization of codes, scales and zero points of every kind, most of which no quantization would write.
#include "support/device.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class Dequantize : public OnDevice {};

const Shape shapes[] = {{5, 32}, {3, 129}, {64, 33}, {2, 1000}, {33, 1}, {130, 40}};

TEST_F(Dequantize, EveryNamedScheme) {
  uint32_t seed = 0;
  for (const std::string &scheme : scheme_names())
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &shape : {shapes[seed % 6], shapes[(seed + 3) % 6]}) {
        Quantized q(parse(scheme), shape);
        give_everything(&q, seed++);
        ASSERT_TRUE(same_dequantize(q, Operand(dtype, shape)));
      }
}

TEST_F(Dequantize, WhatQuantizeWrote) {
  uint32_t seed = 0;
  for (const std::string &scheme : scheme_names()) {
    if (parse(scheme).rule == MFQ_RULE_GIVEN) continue;
    const Shape shape = shapes[seed % 6];
    Operand x = awkward(MFQ_DTYPE_BF16, shape, seed++);
    const mfq_tensor src = x.here();
    Quantized q(parse(scheme), shape);
    ASSERT_EQ(mfq_quantize(cpu(), &src, &q.q, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_TRUE(same_dequantize(q, Operand(kDtypes[seed % 3], shape)));
  }
}

/* Every code under every stored scale of one byte, and under f32 scales at the ends of the range. */
TEST_F(Dequantize, EveryCodeAndScale) {
  for (const std::string &format : format_names())
    for (const char *scale : {"/group:16/ue8m0", "/group:16/ue4m3", "/group:16/f32", "/group:16/bf16", ""}) {
      mfq_scheme scheme;
      if (mfq_scheme_parse((format + scale).c_str(), &scheme) != MFQ_OK) continue;
      const mfq_layout by_bytes = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0};
      Quantized q(scheme, {1024, 64}, &by_bytes);
      give_everything(&q, 1);
      const mfq_format &e = scheme.element;
      const uint8_t mask = (uint8_t)((1u << (e.is_signed + e.exp_bits + e.man_bits)) - 1);
      for (size_t i = 0; i < q.sizes.codes_bytes; ++i) q.codes[i] = (uint8_t)((i + i / 256) & mask);
      for (size_t i = 0; scheme.scale >= MFQ_SCALE_UE8M0 && i < q.sizes.scales_bytes; ++i) {
        q.scales[i] = (uint8_t)(i / 16);
        if (scheme.scale == MFQ_SCALE_UE4M3) q.scales[i] &= 0x7f;
      }
      for (const mfq_dtype dtype : kDtypes) ASSERT_TRUE(same_dequantize(q, Operand(dtype, {1024, 64})));
    }
}

/* Columns of codes, of one tile and of several: transposed, and groups along another axis than the last. */
TEST_F(Dequantize, TurnedCodes) {
  const char *const schemes[] = {"fp8_e4m3_block128",     "e2m1/block:16x16/ue4m3", "e3m2/block:4x24/ue8m0",
                                 "e4m3fn/tensor/f32",     "int8n/channel@0/f32",    "e2m1/channel@1/bf16",
                                 "mxfp8_e4m3/group:32@0", "mxfp4_e2m1/group:16@0",  "uint4/group:8@0/f32/zp",
                                 "int3/group:24@1/f32",   "e2m2/tensor/f32"};
  const Shape all[] = {{70, 33}, {129, 200}, {256, 64}, {1, 40}, {40, 1}, {2, 130, 66}, {3, 5, 2, 17}};
  sample({std::size(schemes), std::size(all), 3, 3, 2, 2}, 250, [&](const std::vector<size_t> &at) {
    const mfq_scheme scheme = parse(schemes[at[0]]);
    const Shape &shape = all[at[1]];
    const bool is_group = scheme.granularity == MFQ_GRANULARITY_GROUP;
    if (is_group && scheme.axis + 1 >= (int32_t)shape.size()) return;
    const mfq_layout layout = {
        is_group ? MFQ_CODES_GROUP_LAST : MFQ_CODES_TRANSPOSED, at[3] == 0 ? MFQ_PACK_BYTE : MFQ_PACK_TIGHT,
        is_group && at[4] != 0 && scheme.scale >= MFQ_SCALE_UE8M0 ? MFQ_SCALES_128X4 : MFQ_SCALES_LOGICAL,
        at[3] == 2 ? 16 : 0};
    Quantized q(scheme, shape, &layout);
    give_everything(&q, (uint32_t)(at[0] + at[1]));
    Shape strides = dense_strides(shape);
    if (shape.size() == 2 && at[5] != 0) strides[0] += 8;
    ASSERT_TRUE(same_dequantize(q, Operand(kDtypes[at[2]], shape, strides))) << schemes[at[0]];
  });
}

TEST_F(Dequantize, LayoutsAndPaddedTargets) {
  // clang-format off
  const char *const schemes[] = {"mxfp8_e4m3",           "mxfp4_e2m1",         "mxfp6_e3m2/group:32@0", "nvfp4",
                                 "uint4/group:8@1/f32/zp", "e2m2/group:24/f32", "int3/group:16@0/bf16",
                                 "int8n/channel@1/f32",  "e2m1/block:4x8/ue8m0", "e4m3fn/tensor/f32",
                                 "fp8_e4m3_group128"};
  // clang-format on
  const int32_t aligns[] = {0, 1, 16, 3};
  const Shape places[] = {{5, 32}, {33, 70}, {3, 40, 17}, {65, 129}};
  sample({std::size(schemes), std::size(aligns), std::size(places), 2, 2, 2, 3}, 1000,
         [&](const std::vector<size_t> &at) {
           const mfq_scheme scheme = parse(schemes[at[0]]);
           const bool is_turned = at[3] != 0, is_group = scheme.granularity == MFQ_GRANULARITY_GROUP;
           const mfq_layout layout = {is_turned && is_group ? MFQ_CODES_GROUP_LAST : MFQ_CODES_LOGICAL,
                                      at[4] != 0 ? MFQ_PACK_BYTE : MFQ_PACK_TIGHT,
                                      at[5] != 0 && is_group && scheme.scale >= MFQ_SCALE_UE8M0 ? MFQ_SCALES_128X4
                                                                                                : MFQ_SCALES_LOGICAL,
                                      aligns[at[1]]};
           Quantized q(scheme, places[at[2]], &layout);
           give_everything(&q, (uint32_t)(at[0] * 7 + at[2]));
           ASSERT_TRUE(same_dequantize(q, Operand(kDtypes[at[6]], logical_shape(q))));
           if (padded_shape(q) == logical_shape(q)) return;
           ASSERT_TRUE(same_dequantize(q, Operand(kDtypes[at[6]], padded_shape(q))));
         });
}

TEST_F(Dequantize, WithoutElements) {
  for (const Shape &shape : std::vector<Shape>{{}, {0}, {4, 0}, {0, 32}, {1}}) {
    Quantized q(parse("mxfp8_e4m3"), shape);
    give_everything(&q, 1);
    ASSERT_TRUE(same_dequantize(q, Operand(MFQ_DTYPE_F32, shape)));
  }
}

} // namespace
