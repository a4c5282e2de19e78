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

/* One scale for many, repeated, and equal ones as one. */
TEST_F(Repack, OtherGroups) {
  struct Row {
    const char *coarse, *fine;
    Shape shape;
  };
  const Row rows[] = {{"mxfp8_e4m3_tied", "mxfp8_e4m3", {5, 300}},
                      {"mxfp8_e4m3_square", "mxfp8_e4m3_rceil/group:32@-2", {130, 140}},
                      {"mxfp8_e4m3_square", "mxfp8_e4m3_square32", {2, 140, 70}},
                      {"int4n/channel@0/bf16", "int4n/group:8/bf16", {5, 20}},
                      {"uint8/tensor/f32/zp", "uint8/group:16@0/f32/zp", {33, 3}},
                      {"mxfp8_e4m3_tied", "mxfp8_e4m3", {0, 128}}};
  for (const Row &row : rows)
    for (size_t from = 0; from < 8; ++from) {
      const mfq_scheme coarse = parse(row.coarse), fine = parse(row.fine);
      const mfq_layout one = layout_of(coarse, row.shape, from),
                       other = layout_of(fine, row.shape, (from * 5 + 3) % 32);
      Quantized q(coarse, row.shape, &one), there(fine, row.shape, &other);
      quantize_here(&q, 3);
      ASSERT_TRUE(same_repack(q, fine, other)) << row.coarse << from;
      ASSERT_EQ(mfq_repack(devices().cpu.get(), &q.q, &there.q), MFQ_OK) << mfq_last_error();
      ASSERT_TRUE(same_repack(there, coarse, one)) << row.fine << from;
    }
}

TEST_F(Repack, ScalesThatDiffer) {
  Quantized fine(parse("mxfp8_e4m3"), {3, 300}), coarse(parse("mxfp8_e4m3_tied"), {3, 300});
  std::fill(fine.scales.begin(), fine.scales.end(), (uint8_t)127);
  fine.scales[25] = fine.scales[17] = 0;
  const Transfer transfer(devices().device.get());
  const DeviceQuantized from(devices().device.get(), fine), to(devices().device.get(), coarse);
  transfer.upload();
  EXPECT_EQ(mfq_repack(devices().device.get(), &from.q, &to.q), MFQ_ERROR_INVALID_ARGUMENT);
  EXPECT_NE(std::string(mfq_last_error()).find("begins at element [1, 128] differ"), std::string::npos)
      << mfq_last_error();
  transfer.download();
}

TEST_F(Repack, WithoutElements) {
  for (const Shape &shape : std::vector<Shape>{{}, {0}, {4, 0}, {0, 32}}) {
    Quantized q(parse("mxfp4_e2m1"), shape);
    ASSERT_TRUE(same_repack(q, {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16}));
  }
}

} // namespace
