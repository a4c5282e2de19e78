// Stochastic rounding draws the same words on the device, whatever the seed, the layout and the strides.
#include "support/device.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class Random : public OnDevice {
protected:
  void seed(uint64_t key, uint64_t offset) {
    ASSERT_EQ(mfq_context_set_seed(cpu(), key, offset), MFQ_OK);
    ASSERT_EQ(mfq_context_set_seed(device(), key, offset), MFQ_OK);
  }
  void TearDown() override {
    if (device() != nullptr) seed(0, 0);
  }
};

const struct {
  uint64_t seed, offset;
} keys[] = {{0, 0}, {1, 0}, {0, 1}, {0x123456789abcdef0, 0xfedcba9876543210}, {uint64_t{1} << 32, uint64_t{7} << 33}};

const Shape shapes[] = {{1}, {77}, {9, 37}, {3, 8, 5}, {64, 64}, {33, 130}};

TEST_F(Random, EveryKeyShapeAndScheme) {
  // clang-format off
  const char *const schemes[] = {"mxfp8_e4m3",            "mxfp4_e2m1/group:16@0", "mxfp6_e3m2/group:8@1", "mxint8",
                                 "e4m3fn/f32",            "int8n/channel@1/f32",   "uint4/group:8/f32/zp", "e5m2",
                                 "e2m1/block:2x3/ue8m0", "nvfp4",                  "e5m2/nosat"};
  // clang-format on
  for (const char *scheme : schemes)
    for (const Shape &shape : shapes)
      for (const auto &key : keys) {
        const std::string text = std::string(scheme) + "/round:stochastic";
        if (!has_axes(parse(text), shape)) continue;
        seed(key.seed, key.offset);
        Operand x(kDtypes[key.seed % 3], shape);
        x.fill_awkward(9, true);
        ASSERT_TRUE(same_quantize(x, {text})) << key.seed;
        ASSERT_TRUE(same_fake(text, x, Operand(MFQ_DTYPE_F32, shape), false)) << key.seed;
      }
}

TEST_F(Random, EveryFormat) {
  seed(42, 5);
  for (const std::string &format : format_names())
    for (const char *rest : {"/round:stochastic", "/group:32/ue8m0/round:stochastic", "/tensor/f32/round:stochastic"}) {
      Operand x = awkward(MFQ_DTYPE_BF16, {40, 100}, 3);
      ASSERT_TRUE(same_quantize(x, {format + rest}));
    }
}

TEST_F(Random, StridesAndLayoutsDrawTheSameWords) {
  seed(99, 3);
  QuantizeCall call("mxfp4_e2m1/group:32@1/round:stochastic", "mxfp4_e2m1/group:32@0/round:stochastic");
  call.row_layout = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16};
  call.col_layout.codes = MFQ_CODES_GROUP_LAST;
  for (const Shape &strides : {Shape{96, 1}, Shape{1, 64}, Shape{-96, 1}, Shape{0, 1}}) {
    Operand x(MFQ_DTYPE_F32, {64, 96}, strides);
    x.fill_awkward(10);
    ASSERT_TRUE(same_quantize(x, call));
  }
}

/* The fast kernels: rows, tiles and both, whole and partial chunks, blocks that rows begin within, every kind of scale. */
TEST_F(Random, FastKernels) {
  const char *const elements[] = {"e4m3fn", "e5m2", "e2m1", "e3m2", "e4m3fnuz", "int8", "int4", "mxint8", "e2m5b40"};
  const char *const scales[] = {"/ue8m0",     "/f32",         "/ue8m0:rceil", "/ue4m3",
                                "/f32:given", "/ue8m0:given", "/bf16:floor"};
  const int sizes[] = {16, 32, 128};
  const Shape all[] = {{7, 32}, {130, 136}, {3, 33}, {2, 200}, {2, 33, 24}, {300, 8}, {1, 40}};
  sample({std::size(elements), std::size(scales), std::size(sizes), 3, 2, 3, std::size(all)}, 600,
         [&](const std::vector<size_t> &at) {
           const std::string rest = scales[at[1]] + std::string("/round:stochastic");
           const Shape &shape = all[at[6]];
           const std::string group = elements[at[0]] + ("/group:" + std::to_string(sizes[at[2]]));
           const std::string row = group + rest, col = group + "@" + std::to_string(shape.size() - 2) + rest;
           QuantizeCall call(at[3] == 1 ? col : row, at[3] == 2 ? col : "");
           mfq_scheme scheme;
           if (mfq_scheme_parse(row.c_str(), &scheme) != MFQ_OK) return; /* ue4m3 is not for every element */
           (at[3] == 1 ? call.row_layout : call.col_layout).codes =
               at[4] != 0 ? MFQ_CODES_GROUP_LAST : MFQ_CODES_LOGICAL;
           call.given_seed = (uint32_t)at[6];
           seed(at[6] + ((uint64_t)at[0] << 40), at[1]);
           Operand x = awkward(kDtypes[at[5]], shape, (uint32_t)(at[0] + 31 * at[6]));
           ASSERT_TRUE(same_quantize(x, call));
         });
}

/* Scales that are known: unscaled, of the tensor and of channels, with zero points and without. */
TEST_F(Random, KnownScales) {
  seed(3, 1);
  for (const char *scheme : {"e4m3fn", "e2m1/tensor/f32", "int8/channel@0/f32", "uint8/tensor/f32/zp/stat:minmax",
                             "e5m2/channel@0/bf16:given", "uint4/group:32/f32:given/zp", "e3m2/tensor/ue8m0"})
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &shape : {Shape{5, 300}, Shape{4, 512}, Shape{3, 2, 257}}) {
        Operand x = awkward(dtype, shape, 4);
        ASSERT_TRUE(same_quantize(x, {scheme + std::string("/round:stochastic")}));
      }
}

} // namespace
