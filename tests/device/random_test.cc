// Stochastic rounding draws the same words on the device, whatever the seed, the layout and the strides.
#include "support/device.h"

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

} // namespace
