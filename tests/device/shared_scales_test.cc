// Scales that many groups of threads share: one of the tensor, of channels first, middle and last, of blocks; given
// scales; NVFP4's tensor scale; zero points and ranges.
#include "support/device.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class SharedScales : public OnDevice {};

const Shape shapes[] = {{64, 96},      {1, 1},    {3, 1000}, {1000, 3},     {130, 257},  {2, 33, 40},
                        {5, 7, 3, 11}, {1, 3000}, {2500, 1}, {16, 8, 3, 3}, {4, 4, 128}, {31}};

const char *const settings[] = {"/f32",       "/ue8m0",           "/ue8m0:rceil", "/bf16",       "/f16",
                                "/f32:floor", "/f32/stat:minmax", "/f32:ceil",    "/f32/min:0.5"};

TEST_F(SharedScales, TensorsChannelsAndBlocks) {
  const char *const elements[] = {"e4m3fn", "e5m2", "int8n", "e2m1", "e3m2", "int4", "e4m3fnuz", "e2m2"};
  const char *const shared[] = {"/tensor",     "/channel@0",  "/channel@1",     "/channel@2",
                                "/channel",    "/block:2x4",  "/block:128x128", "/block:7x33",
                                "/block:1x32", "/block:32x1", "/channel@-1"};
  sample({std::size(elements), std::size(shared), std::size(settings), std::size(shapes), 3, 2}, 2500,
         [&](const std::vector<size_t> &at) {
           const std::string element = elements[at[0]];
           QuantizeCall call(element + shared[at[1]] + settings[at[2]]);
           if (!has_axes(parse(call.row), shapes[at[3]])) return;
           call.row_layout.packing = at[5] != 0 ? MFQ_PACK_BYTE : MFQ_PACK_TIGHT;
           Operand x(kDtypes[at[4]], shapes[at[3]]);
           x.fill_awkward((uint32_t)at[0], at[2] % 2 == 0);
           ASSERT_TRUE(same_quantize(x, call));
         });
}

TEST_F(SharedScales, ZeroPoints) {
  const char *const places[] = {"/tensor",   "/channel@0", "/channel@1",  "/block:8x16",
                                "/group:32", "/group:5@0", "/group:16@1", "/group:128"};
  uint32_t seed = 0;
  for (const char *element : {"uint4", "uint8", "int8", "int3", "int4"})
    for (const char *place : places)
      for (const char *scale : {"/f32/zp", "/bf16/zp", "/f16/zp"})
        for (const Shape &shape : {Shape{33, 70}, Shape{4, 40, 9}}) {
          if (!has_axes(parse(std::string(element) + place + scale), shape)) continue;
          Operand x(kDtypes[seed % 3], shape);
          x.fill_awkward(seed, seed % 4 != 0);
          ++seed;
          ASSERT_TRUE(same_quantize(x, {std::string(element) + place + scale}));
        }
}

TEST_F(SharedScales, Given) {
  // clang-format off
  const char *const schemes[] = {
      "e4m3fn/channel@0/f32:given",  "e2m1/group:32/ue8m0:given",     "int4/group:16@0/bf16:given",
      "uint4/group:16/f32:given/zp", "e2m1/group:16/ue4m3:given",     "e4m3fn/tensor/f32:given",
      "e5m2/group:8@0/ue8m0:given",  "int4/channel@0/f32:given",      "e5m2/tensor/f32:given/nosat",
      "e3m2/block:4x8/f16:given",    "mxint8/group:64/ue8m0:given",   "e4m3fnuz/channel@1/f32:given",
      "int8/tensor/f32:given/zp",    "e4m3fn/group:128/f32:given",    "int4/channel@0/f32:given/round:floor",
      "e2m1/group:16@0/ue4m3:given", "e4m3fn/tensor/f32:given/arith:brevitas"};
  // clang-format on
  uint32_t seed = 0;
  for (const char *scheme : schemes)
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &shape : {Shape{48, 96}, Shape{33, 37}}) {
        Operand x = awkward(dtype, shape, seed);
        QuantizeCall call(scheme);
        call.given_seed = seed++;
        ASSERT_TRUE(same_quantize(x, call));
      }
}

/* The tensor scale follows from the largest finite group: of all groups, of one, of none. */
TEST_F(SharedScales, Nvfp4) {
  for (const mfq_dtype dtype : kDtypes)
    for (const Shape &shape : {Shape{40, 80}, Shape{3, 17}, Shape{1, 5000}, Shape{300, 16}})
      for (const char *scheme : {"nvfp4", "nvfp4/group:16@0", "e2m1/group:32/ue4m3", "e4m3fn/group:16@0/ue4m3"})
        for (int kind = 0; kind < 4; ++kind) {
          Operand x = awkward(dtype, shape, (uint32_t)kind);
          if (kind == 1) x.fill([](size_t) { return 0; });
          if (kind == 2) x.fill([&](size_t) { return bits_in(dtype, NAN); });
          if (kind == 3) x.fill([&](size_t i) { return i == 5 ? bits_in(dtype, -7.5f) : 0; });
          ASSERT_TRUE(same_quantize(x, {scheme})) << "kind " << kind;
        }
}

/* A NaN, an infinity or the largest value in the first or last place decides the scale. */
TEST_F(SharedScales, OneElementDecides) {
  for (const char *scheme : {"e4m3fn/tensor/f32", "int8n/channel@0/f32", "e4m3fn/channel@1/f32", "uint8/tensor/f32/zp",
                             "e5m2/block:128x128/f32", "int8/tensor/f32/stat:minmax", "nvfp4"})
    for (const float decisive : {(float)NAN, HUGE_VALF, -HUGE_VALF, 3e38f, -100.0f, 1e-40f})
      for (const size_t place : {size_t{0}, size_t{4099}, size_t{70 * 130 - 1}}) {
        Operand x(MFQ_DTYPE_F32, {70, 130});
        x.fill([](size_t i) { return bits_in(MFQ_DTYPE_F32, (float)((int)(i % 13) - 6) / 1e6f); });
        x.put(place, bits_in(MFQ_DTYPE_F32, decisive));
        ASSERT_TRUE(same_quantize(x, {scheme})) << decisive << " at " << place;
      }
}

/* What stands for no element is 0 in the last byte of a row, also where the code of 0 is another: with zero points, and -0
 * under negative scales. */
TEST_F(SharedScales, RowsThatEndInsideAByte) {
  for (const char *scheme : {"uint4/tensor/f32/zp", "uint4/channel@0/f32/zp", "int3/tensor/f32/zp",
                             "e2m1/tensor/f32:given", "uint4/group:16/f32:given/zp", "e2m1/group:32/f32:given"})
    for (const mfq_dtype dtype : kDtypes)
      for (const int32_t row_align : {0, 1, 16})
        for (const Shape &shape : {Shape{6, 265}, Shape{1, 319}, Shape{300, 1}}) {
          Operand x = awkward(dtype, shape, 7);
          QuantizeCall call(scheme);
          call.row_layout.row_align = row_align;
          call.given_seed = (uint32_t)shape[0];
          ASSERT_TRUE(same_quantize(x, call));
        }
}

} // namespace
