// Quantization along the last axis: the device writes the bytes of the CPU, for every scheme, dtype, layout and tail.
#include "support/device.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class QuantizeRow : public OnDevice {};

const int64_t widths[] = {1, 15, 16, 31, 32, 33, 127, 128, 129, 1000};

TEST_F(QuantizeRow, EveryNamedScheme) {
  uint32_t seed = 0;
  for (const std::string &scheme : scheme_names())
    for (const mfq_dtype dtype : kDtypes)
      for (const int64_t cols : widths) {
        Operand x = awkward(dtype, {cols < 200 ? 5 : 3, cols}, seed++);
        ASSERT_TRUE(same_quantize(x, {scheme}));
      }
}

TEST_F(QuantizeRow, EveryFormatInGroups) {
  uint32_t seed = 0;
  for (const std::string &format : format_names())
    for (const char *scale : {"/group:32/ue8m0", "/group:16/f32", "/group:8/bf16", "/group:32/f16"})
      for (const mfq_dtype dtype : kDtypes)
        for (const int64_t cols : {32, 72, 129}) {
          Operand x = awkward(dtype, {4, cols}, seed++);
          ASSERT_TRUE(same_quantize(x, {format + scale}));
        }
}

/* Elements of every width, group sizes with and without a fast path, and every layout. */
TEST_F(QuantizeRow, GroupSizesAndLayouts) {
  const char *const starts[] = {"e4m3fn", "e2m1", "e3m2", "e2m2", "int3", "int2", "uint4", "mxint8", "e5m2"};
  const char *const ends[] = {"/ue8m0", "/f32", "/ue8m0:rceil", "/ue4m3"};
  const int sizes[] = {16, 32, 64, 128, 1, 3, 8, 24, 200};
  const int32_t aligns[] = {0, 1, 16, 5};
  const Shape shapes[] = {{7, 32}, {3, 33},  {2, 128},   {1, 129},   {3, 1000},     {130, 33},
                          {5, 1},  {9, 256}, {2, 3, 96}, {129, 160}, {2, 2, 3, 65}, {77}};
  sample({std::size(starts), std::size(ends), std::size(sizes), std::size(aligns), 2, 2, 3, std::size(shapes)}, 2500,
         [&](const std::vector<size_t> &at) {
           const std::string element = starts[at[0]], end = ends[at[1]];
           const bool by_bytes = end != "/f32";
           QuantizeCall call;
           call.row = element + "/group:" + std::to_string(sizes[at[2]]) + end;
           mfq_scheme scheme;
           if (mfq_scheme_parse(call.row.c_str(), &scheme) != MFQ_OK) return; /* ue4m3 is not for every element */
           call.row_layout = {MFQ_CODES_LOGICAL, at[4] != 0 ? MFQ_PACK_BYTE : MFQ_PACK_TIGHT,
                              at[5] != 0 && by_bytes ? MFQ_SCALES_128X4 : MFQ_SCALES_LOGICAL, aligns[at[3]]};
           Operand x = awkward(kDtypes[at[6]], shapes[at[7]], (uint32_t)(at[0] + 31 * at[7]));
           ASSERT_TRUE(same_quantize(x, call));
         });
}

/* Ranges that groups measure, and zero points; into codes and, without them, into values. */
TEST_F(QuantizeRow, Ranges) {
  const char *const schemes[] = {"uint4/group:32/f32/zp",
                                 "int8/group:64/bf16/zp",
                                 "uint8/group:128/f32/zp/arith:brevitas",
                                 "int4/group:16/f16/zp",
                                 "e4m3fn/group:32/f32/stat:minmax",
                                 "e2m1/group:16/ue4m3/stat:minmax",
                                 "int8/group:512/f32/stat:minmax",
                                 "e5m2/group:32/ue8m0:floor/stat:minmax",
                                 "int8n/group:32/f32/stat:minmax/arith:brevitas"};
  const Shape shapes[] = {{7, 32}, {3, 34}, {2, 200}, {1, 40}, {40, 130}, {2, 3, 72}, {5, 2}, {3, 1030}};
  sample({std::size(schemes), 3, std::size(shapes), 3, 2, 2}, 250, [&](const std::vector<size_t> &at) {
    const std::string text = schemes[at[0]];
    mfq_scheme scheme;
    if (mfq_scheme_parse(text.c_str(), &scheme) != MFQ_OK) return; /* not every scale has ranges */
    const Shape &shape = shapes[at[2]];
    Operand x(kDtypes[at[1]], shape);
    x.fill_awkward((uint32_t)(at[0] + 31 * at[2]), at[4] != 0);
    ASSERT_TRUE(same_quantize(x, {text}));
    ASSERT_TRUE(same_fake(text, x, Operand(kDtypes[at[3]], shape), at[5] != 0));
  });
}

/* The fast shapes: whole groups, many rows; more than one block of every kernel. */
TEST_F(QuantizeRow, ManyRowsOfWholeGroups) {
  for (const char *scheme : {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp4_e2m1", "nvfp4", "mxint8", "int8_group32",
                             "int4_group64_zp", "fp8_e4m3_group128"})
    for (const mfq_dtype dtype : kDtypes) {
      Operand x = awkward(dtype, {67, 384}, 5);
      ASSERT_TRUE(same_quantize(x, {scheme}));
      QuantizeCall swizzled{scheme};
      if (parse(scheme).scale == MFQ_SCALE_UE8M0) swizzled.row_layout.scales = MFQ_SCALES_128X4;
      swizzled.row_layout.row_align = 16;
      ASSERT_TRUE(same_quantize(x, swizzled));
    }
}

TEST_F(QuantizeRow, ShapesWithoutElementsAndScalars) {
  for (const char *scheme : {"mxfp8_e4m3", "nvfp4", "e4m3fn/tensor/f32", "int8n/channel@0/f32", "e5m2", "mxfp4_e2m1"})
    for (const Shape &shape : std::vector<Shape>{{}, {0}, {1}, {0, 32}, {4, 0}, {3, 0, 5}, {1, 1, 1, 1}}) {
      if (!has_axes(parse(scheme), shape)) continue;
      if (shape.empty() && parse(scheme).granularity == MFQ_GRANULARITY_CHANNEL) continue; /* no axis to take */
      Operand x = awkward(MFQ_DTYPE_F32, shape, 3);
      ASSERT_TRUE(same_quantize(x, {scheme})) << scheme;
    }
}

} // namespace
