// Rows and columns from one call: both results are those of the CPU.
#include "support/device.h"

namespace {

using namespace mfq_test;

class QuantizeBoth : public OnDevice {};

const Shape shapes[] = {{128, 256}, {64, 64}, {70, 100}, {33, 65}, {1, 1}, {32, 31}, {129, 160}, {2, 96}, {96, 2}};

QuantizeCall call_of(const std::string &row, const std::string &col, size_t layout) {
  const mfq_layout layouts[] = {{},
                                {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16},
                                {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0}};
  QuantizeCall call{row, col};
  call.row_layout = call.col_layout = layouts[layout % 3];
  if (layout < 3) call.col_layout.codes = MFQ_CODES_GROUP_LAST;
  return call;
}

TEST_F(QuantizeBoth, EveryMxScheme) {
  size_t turn = 0;
  for (const std::string &name : scheme_names()) {
    if ((name.compare(0, 2, "mx") != 0 && name != "nvfp4") || parse(name).granularity != MFQ_GRANULARITY_GROUP)
      continue;
    for (const mfq_dtype dtype : kDtypes)
      for (const size_t shape : {turn % 9, (turn + 5) % 9}) {
        const std::string group = "/group:" + std::to_string(parse(name).group_size);
        Operand x = awkward(dtype, shapes[shape], (uint32_t)turn);
        ASSERT_TRUE(same_quantize(x, call_of(name + group + "@1", name + group + "@0", turn++ % 6)));
      }
  }
}

TEST_F(QuantizeBoth, EveryShapeAndLayout) {
  for (const char *name : {"mxfp8_e4m3", "mxfp4_e2m1", "mxfp6_e3m2"})
    for (const Shape &shape : shapes)
      for (size_t layout = 0; layout < 6; ++layout) {
        Operand x = awkward(MFQ_DTYPE_BF16, shape, (uint32_t)layout);
        ASSERT_TRUE(same_quantize(x, call_of(name, std::string(name) + "/group:32@0", layout)));
      }
}

TEST_F(QuantizeBoth, TwoDifferentSchemes) {
  const struct {
    const char *row, *col;
    Shape shape;
  } pairs[] = {{"mxfp8_e4m3", "mxfp8_e5m2/group:32@0", {64, 96}},
               {"mxfp8_e4m3/group:64@1", "mxfp4_e2m1/group:16@0", {70, 90}},
               {"int8_channel", "fp8_e4m3_tensor", {40, 70}},
               {"nvfp4", "fp8_e4m3_block128", {130, 140}},
               {"mxfp6_e2m3/group:32@2", "mxfp6_e2m3/group:32@1", {3, 40, 50}},
               {"mxfp4_e2m1/round:stochastic", "mxfp4_e2m1/group:32@0/round:stochastic", {33, 64}},
               {"e4m3fn/group:32/ue8m0:given", "mxint8/group:32@0", {32, 64}},
               {"mxfp8_e4m3", "mxfp8_e4m3", {64, 64}}};
  for (const auto &pair : pairs)
    for (const mfq_dtype dtype : kDtypes) {
      Operand x = awkward(dtype, pair.shape, 8);
      ASSERT_TRUE(same_quantize(x, {pair.row, pair.col}));
    }
}

TEST_F(QuantizeBoth, OnlyColumns) {
  Operand x = awkward(MFQ_DTYPE_F32, {70, 40}, 9);
  ASSERT_TRUE(same_quantize(x, {"", "mxfp8_e4m3/group:32@0"}));
  ASSERT_TRUE(same_quantize(x, {"", "e4m3fn/tensor/f32"}));
}

} // namespace
