// Blocks of rows and columns, in logical order, transposed, and both from one call: the results are those of the CPU.
#include "support/device.h"

namespace {

using namespace mfq_test;

class QuantizeSquare : public OnDevice {};

const Shape shapes[] = {{128, 256}, {64, 64}, {70, 100}, {33, 65},     {1, 1},      {32, 31},
                        {129, 160}, {2, 96},  {96, 2},   {3, 40, 144}, {2, 130, 64}};
const mfq_layout kOrders[] = {{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                              {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                              {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0},
                              {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 16}};

/* One order, or two. */
QuantizeCall call_of(const std::string &scheme, size_t choice) {
  QuantizeCall call(scheme);
  call.row_layout = kOrders[choice % 4];
  if (choice / 4 == 0) return call;
  call.col = scheme;
  call.col_layout = kOrders[(choice + (choice / 4 == 1 ? 1 : 3)) % 4];
  return call;
}

TEST_F(QuantizeSquare, EverySchemeAndShape) {
  size_t turn = 0;
  for (const char *text :
       {"e4m3fn/block:16x16/ue8m0:rceil", "e4m3fn/block:32x32/ue8m0:rceil", "e4m3fn/block:128x128/ue8m0:rceil",
        "e5m2/block:32x32/ue8m0", "fp8_e4m3_block128", "e2m1/block:16x16/ue8m0", "e2m1/block:16x16/ue4m3",
        "mxint8/block:64x64", "e4m3fn/block:32x32/ue8m0/round:stochastic", "int8n/block:16x16/f32/round:stochastic",
        "e3m2/block:32x32/ue8m0", "int4n/block:16x64/f32", "e4m3fn/block:128x16/bf16"})
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &shape : shapes) {
        Operand x = awkward(dtype, shape, (uint32_t)turn);
        ASSERT_TRUE(same_quantize(x, call_of(text, turn % 12)));
        ++turn;
      }
}

TEST_F(QuantizeSquare, EveryOrder) {
  for (const char *text : {"e4m3fn/block:32x32/ue8m0:rceil", "e2m1/block:16x16/ue4m3", "fp8_e5m2_block128"})
    for (const Shape &shape : {Shape{130, 260}, {2, 48, 80}})
      for (size_t choice = 0; choice < 12; ++choice) {
        Operand x = awkward(kDtypes[choice % 3], shape, (uint32_t)choice);
        ASSERT_TRUE(same_quantize(x, call_of(text, choice)));
      }
}

/* What no tile takes: other sizes, roundings, given scales of each direction, scales that are no blocks'. */
TEST_F(QuantizeSquare, Others) {
  for (const char *text :
       {"e4m3fn/block:5x3/f32", "e4m3fn/block:16x256/f32", "e4m3fn/block:32x32/ue8m0/round:stochastic",
        "e4m3fn/block:16x16/f32:given", "uint8/block:16x16/f32/zp", "fp8_e4m3_tensor", "int8_channel", "e4m3fn"})
    for (size_t choice = 1; choice < 8; ++choice) {
      Operand x = awkward(kDtypes[choice % 3], {70, 100}, (uint32_t)choice);
      ASSERT_TRUE(same_quantize(x, call_of(text, choice)));
    }
}

} // namespace
