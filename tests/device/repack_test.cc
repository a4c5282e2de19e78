// Repacking between layouts, and expanding scales and zero points.
#include "support/device.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class Repack : public OnDevice {};

mfq_layout layout_of(const mfq_scheme &scheme, const Shape &shape, size_t choice) {
  const int32_t aligns[] = {0, 1, 16, 3};
  const bool is_group = scheme.granularity == MFQ_GRANULARITY_GROUP;
  const bool has_tiles = is_group && scheme.scale >= MFQ_SCALE_UE8M0;
  const mfq_code_order turned = is_group            ? MFQ_CODES_GROUP_LAST
                                : shape.size() >= 2 ? MFQ_CODES_TRANSPOSED
                                                    : MFQ_CODES_LOGICAL;
  return {choice % 2 != 0 ? turned : MFQ_CODES_LOGICAL, choice / 2 % 2 != 0 ? MFQ_PACK_BYTE : MFQ_PACK_TIGHT,
          has_tiles && choice / 4 % 2 != 0 ? MFQ_SCALES_128X4 : MFQ_SCALES_LOGICAL, aligns[choice / 8]};
}

const Shape shapes[] = {{5, 32}, {3, 129}, {70, 33}, {3, 40, 17}, {130, 160}, {1, 1}};

/* Codes as a quantization writes them: bits that pad are 0, and tiles of scales have 0 where there is no group. */
void quantize_here(Quantized *q, uint32_t seed) {
  Operand x = awkward(MFQ_DTYPE_F32, logical_shape(*q), seed);
  const mfq_tensor src = x.here();
  ASSERT_EQ(mfq_quantize(devices().cpu.get(), &src, &q->q, nullptr), MFQ_OK) << mfq_last_error();
}

TEST_F(Repack, BetweenAllLayouts) {
  // clang-format off
  const char *const schemes[] = {"mxfp8_e4m3",  "mxfp4_e2m1/group:32@0",   "mxfp6_e3m2/group:32@1", "nvfp4",
                                 "e2m2/group:8/ue8m0", "uint4/group:8@1/f32/zp", "int3/group:16@0/bf16",  "mxint8/group:24@0",
                                 "e5m2",        "int8n/channel@1/f32", "e2m1/block:16x32/ue8m0"};
  // clang-format on
  sample({std::size(schemes), std::size(shapes), 32, 32}, 1200, [&](const std::vector<size_t> &at) {
    const mfq_scheme scheme = parse(schemes[at[0]]);
    const mfq_layout from = layout_of(scheme, shapes[at[1]], at[2]), to = layout_of(scheme, shapes[at[1]], at[3]);
    Quantized q(scheme, shapes[at[1]], &from);
    quantize_here(&q, (uint32_t)at[0]);
    ASSERT_TRUE(same_repack(q, to)) << schemes[at[0]] << ' ' << text_of(shapes[at[1]]) << at[2] << ' ' << at[3];
  });
}

TEST_F(Repack, EveryFormat) {
  for (const std::string &format : format_names())
    for (size_t choice = 0; choice < 8; ++choice) {
      const mfq_scheme scheme = parse(format + "/group:32@0/ue8m0");
      const mfq_layout from = layout_of(scheme, {66, 37}, choice), to = layout_of(scheme, {66, 37}, choice ^ 7);
      Quantized q(scheme, {66, 37}, &from);
      quantize_here(&q, (uint32_t)choice);
      ASSERT_TRUE(same_repack(q, to)) << format << choice;
      ASSERT_TRUE(same_repack(q, to, {0, 3, 5, 1})) << format << choice;
    }
}

TEST_F(Repack, WithoutElements) {
  for (const Shape &shape : std::vector<Shape>{{}, {0}, {4, 0}, {0, 32}}) {
    Quantized q(parse("mxfp4_e2m1"), shape);
    ASSERT_TRUE(same_repack(q, {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16}));
  }
}

} // namespace
