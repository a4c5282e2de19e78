// Groups along an axis that is not the last: code orders, tails of both axes, every named scheme of groups.
#include "support/device.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class QuantizeCol : public OnDevice {};

const Shape planes[] = {{32, 64}, {70, 33}, {129, 5}, {33, 129}, {1, 40}, {64, 1}, {31, 64}, {100, 130}, {257, 16}};

std::string along(const std::string &scheme, int size, int axis) {
  return scheme + "/group:" + std::to_string(size) + "@" + std::to_string(axis);
}

TEST_F(QuantizeCol, EveryNamedSchemeOfGroups) {
  uint32_t seed = 0;
  for (const std::string &name : scheme_names()) {
    const mfq_scheme scheme = parse(name);
    if (scheme.granularity != MFQ_GRANULARITY_GROUP) continue;
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &shape : {planes[seed % 9], planes[(seed + 4) % 9]})
        for (const mfq_code_order order : {MFQ_CODES_LOGICAL, MFQ_CODES_GROUP_LAST}) {
          Operand x = awkward(dtype, shape, seed++);
          QuantizeCall call{along(name, scheme.group_size, 0)};
          call.row_layout.codes = order;
          ASSERT_TRUE(same_quantize(x, call));
        }
  }
}

TEST_F(QuantizeCol, SizesAxesAndLayouts) {
  const char *const starts[] = {"e4m3fn/ue8m0", "e2m1/ue8m0",   "e3m2/ue8m0:even", "int3/f32",
                                "e2m1/ue4m3",   "uint4/f32/zp", "mxint8/ue8m0"};
  const int sizes[] = {32, 16, 64, 128, 1, 3, 8, 24};
  const int32_t aligns[] = {0, 1, 16};
  const struct {
    Shape shape;
    int axis;
  } places[] = {{{70, 33}, 0},      {{128, 64}, 0},    {{33, 130}, 0},   {{3, 40, 17}, 1},   {{3, 40, 17}, 0},
                {{2, 33, 5, 4}, 1}, {{1, 96, 257}, 1}, {{5, 64, 32}, 1}, {{2, 3, 65, 9}, 2}, {{131, 1}, 0}};
  sample({std::size(starts), std::size(sizes), std::size(aligns), 2, 2, 2, 3, std::size(places)}, 2000,
         [&](const std::vector<size_t> &at) {
           QuantizeCall call{along(starts[at[0]], sizes[at[1]], places[at[7]].axis)};
           const bool by_bytes = parse(call.row).scale >= MFQ_SCALE_UE8M0;
           call.row_layout = {at[3] != 0 ? MFQ_CODES_GROUP_LAST : MFQ_CODES_LOGICAL,
                              at[4] != 0 ? MFQ_PACK_BYTE : MFQ_PACK_TIGHT,
                              at[5] != 0 && by_bytes ? MFQ_SCALES_128X4 : MFQ_SCALES_LOGICAL, aligns[at[2]]};
           Operand x = awkward(kDtypes[at[6]], places[at[7]].shape, (uint32_t)(at[0] + 7 * at[1]));
           ASSERT_TRUE(same_quantize(x, call));
         });
}

} // namespace
