// Repacking to other groups: one scale for many is repeated, equal ones become one, and what differs is refused.
#include "support/misuse.h"
#include "support/plain_tensor.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::same_floats;
using mfq_test::Shape;

const mfq_layout by_rows = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
const mfq_layout tiles = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16};
const mfq_layout turned = {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
const mfq_layout groups_last = {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0};
const mfq_layout tiles_last = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 0};

struct Pair {
  const char *coarse, *fine;
  Shape shape;
  mfq_layout from, to;
};
const Pair pairs[] = {
    {"mxfp8_e4m3_tied", "mxfp8_e4m3_rceil", {5, 300}, by_rows, by_rows},
    {"mxfp8_e4m3_tied", "mxfp8_e4m3", {150, 700}, by_rows, tiles}, /* made by another rule, of the same values */
    {"mxfp8_e4m3_tied", "mxfp8_e4m3_rceil", {3, 96}, tiles, by_rows},
    {"mxfp8_e4m3_tied", "mxfp8_e4m3_rceil", {2, 128}, by_rows, by_rows},
    {"mxfp8_e4m3_square", "mxfp8_e4m3_rceil", {200, 300}, by_rows, tiles},
    {"mxfp8_e4m3_square", "mxfp8_e4m3_rceil/group:32@0", {200, 300}, by_rows, by_rows},
    {"mxfp8_e4m3_square", "mxfp8_e4m3_rceil/group:32@0", {200, 300}, by_rows, groups_last},
    {"mxfp8_e4m3_square", "mxfp8_e4m3_rceil/group:32@0", {200, 300}, turned, tiles_last},
    {"mxfp8_e4m3_square", "mxfp8_e4m3_square32", {3, 140, 130}, turned, by_rows},
    {"mxfp8_e4m3_square32", "mxfp8_e4m3_rceil/group:32@-2", {3, 70, 50}, turned, groups_last}, /* neither is logical */
    {"e2m1/tensor/f32", "e2m1/block:2x4/f32", {7, 9}, by_rows, by_rows},
    {"int4n/channel@0/bf16", "int4n/group:8/bf16", {5, 20}, by_rows, by_rows},
    {"int4n/channel@1/f32", "int4n/group:3@0/f32", {2, 7, 3}, by_rows, groups_last},
    {"uint8/group:64/f32/zp", "uint8/group:16/f32/zp", {3, 130}, by_rows, by_rows},
    {"e2m1/group:32/ue4m3", "nvfp4", {4, 50}, by_rows, tiles},
    {"e4m3fn/channel/ue8m0", "mxfp8_e4m3", {100, 32}, by_rows, tiles}, /* the same groups in other shapes of scales */
    {"e4m3fn/block:1x32/ue8m0", "mxfp8_e4m3", {64, 128}, by_rows, tiles},
    {"e4m3fn/block:1x32/ue8m0", "mxfp8_e4m3", {6, 64}, turned, by_rows},
    {"e4m3fn/block:1x32/ue8m0", "mxfp8_e4m3", {6, 64}, by_rows, groups_last},
    {"e4m3fn/group:1@0/ue8m0", "e4m3fn/group:1@1/ue8m0", {3, 4}, groups_last, groups_last},
    {"mxfp4_e2m1/group:64@-1/hadamard:32", "mxfp4_e2m1/hadamard:32", {3, 128}, by_rows, by_rows},
    {"mxfp8_e4m3_tied", "mxfp8_e4m3_rceil", {5, 32}, by_rows, by_rows},
    {"mxfp8_e4m3_tied", "mxfp8_e4m3_rceil", {0, 128}, by_rows, by_rows},
    {"mxfp8_e4m3_tied", "mxfp8_e4m3_rceil", {4, 0}, by_rows, by_rows},
    {"mxfp8_e4m3_tied", "mxfp8_e4m3_rceil", {1}, by_rows, by_rows},
};

class Regroup : public testing::TestWithParam<std::string> {};

TEST_P(Regroup, ThereAndBack) {
  const Context context = make_context(GetParam().c_str());
  for (const Pair &p : pairs) {
    SCOPED_TRACE(std::string(p.coarse) + " to " + p.fine + testing::PrintToString(p.shape));
    const mfq_scheme coarse = parse(p.coarse), fine = parse(p.fine);
    Quantized from(coarse, p.shape, &p.from), there(fine, p.shape, &p.to), back(coarse, p.shape, &p.from);
    mfq_test::quantize(context.get(), mfq_test::awkward_values(mfq_test::count_of(p.shape), 5, true), &from);
    ASSERT_EQ(mfq_repack(context.get(), &from.q, &there.q), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(same_floats(mfq_test::dequantized(context.get(), there), mfq_test::dequantized(context.get(), from)));
    ASSERT_EQ(mfq_repack(context.get(), &there.q, &back.q), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(back.same_bytes(from)) << back.difference(from);
  }
}

/* Any element whose scale is another one is found, and nothing is written. */
TEST_P(Regroup, ScalesThatDiffer) {
  const Context context = make_context(GetParam().c_str());
  struct Row {
    const char *fine, *coarse;
    Shape shape;
    size_t scale; /* the one that is changed */
    const char *begin;
  };
  const Row rows[] = {{"mxfp8_e4m3", "mxfp8_e4m3_tied", {3, 300}, 10 + 5, "[1, 128]"},
                      {"mxfp8_e4m3", "mxfp8_e4m3_tied", {3, 300}, 29, "[2, 256]"},
                      {"mxfp8_e4m3", "mxfp8_e4m3_square", {300, 260}, 9 * 131 + 4, "[128, 128]"},
                      {"mxfp8_e4m3/group:32@0", "mxfp8_e4m3_square", {300, 260}, 260 * 9 + 259, "[256, 256]"},
                      {"mxfp8_e4m3", "e4m3fn/channel/ue8m0", {3, 70}, 8, "[2, 0]"},
                      {"mxfp8_e4m3", "e4m3fn/tensor/ue8m0", {3, 70}, 3, "[0, 0]"}};
  for (const Row &row : rows) {
    Quantized from(parse(row.fine), row.shape), to(parse(row.coarse), row.shape);
    std::fill(from.codes.begin(), from.codes.end(), (uint8_t)0x38);
    std::fill(from.scales.begin(), from.scales.end(), (uint8_t)127);
    const auto scales = to.scales;
    const auto codes = to.codes;
    from.scales[row.scale] = 128;
    EXPECT_TRUE(fails(mfq_repack(context.get(), &from.q, &to.q), MFQ_ERROR_INVALID_ARGUMENT,
                      {"mfq_repack: src: its scales within the group of dst that begins at element ", row.begin,
                       "keep the groups of src, or quantize"}))
        << row.coarse << ' ' << row.scale;
    EXPECT_TRUE(to.scales == scales && to.codes == codes);
    from.scales[row.scale] = 127;
    EXPECT_EQ(mfq_repack(context.get(), &from.q, &to.q), MFQ_OK) << mfq_last_error();
  }
  Quantized zp(parse("uint8/group:16/f32/zp"), {2, 64}), wide(parse("uint8/group:64/f32/zp"), {2, 64});
  std::fill(zp.scales.begin(), zp.scales.end(), (uint8_t)0x3f);
  std::fill(zp.zero_points.begin(), zp.zero_points.end(), (uint8_t)7);
  EXPECT_EQ(mfq_repack(context.get(), &zp.q, &wide.q), MFQ_OK) << mfq_last_error();
  zp.zero_points[5] = 8;
  EXPECT_TRUE(fails(mfq_repack(context.get(), &zp.q, &wide.q), MFQ_ERROR_INVALID_ARGUMENT, {"[1, 0]"}));
}

/* Where only scales change, the codes may stay where they are. */
TEST_P(Regroup, CodesThatStay) {
  const Context context = make_context(GetParam().c_str());
  const Shape shape = {200, 300};
  Quantized from(parse("mxfp8_e4m3_square"), shape), to(parse("mxfp8_e4m3_rceil"), shape);
  mfq_test::quantize(context.get(), mfq_test::awkward_values(60000, 9, true), &from);
  const auto codes = from.codes;
  const std::vector<float> values = mfq_test::dequantized(context.get(), from);
  to.q.codes = from.q.codes;
  ASSERT_EQ(mfq_repack(context.get(), &from.q, &to.q), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(from.codes == codes);
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context.get(), to), values));
  Quantized packed(parse("mxfp8_e4m3_rceil"), shape, &tiles); /* rows at 16 bytes: other places */
  packed.q.codes = from.q.codes;
  EXPECT_TRUE(fails(mfq_repack(context.get(), &from.q, &packed.q), MFQ_ERROR_INVALID_ARGUMENT,
                    {"src.codes and dst.codes overlap"}));
}

/* What has no elements has no groups, but channels and a tensor have scales all the same. */
TEST_P(Regroup, NoElements) {
  const Context context = make_context(GetParam().c_str());
  for (const char *coarse : {"e4m3fn/tensor/ue8m0", "e4m3fn/channel@0/ue8m0", "e4m3fn/block:2x2/ue8m0"})
    for (const Shape &shape : {Shape{0}, Shape{4, 0}, Shape{0, 4}}) {
      if (shape.size() == 1 && parse(coarse).granularity == MFQ_GRANULARITY_BLOCK) continue;
      Quantized from(parse("mxfp8_e4m3"), shape), to(parse(coarse), shape), want(parse(coarse), shape);
      from.q.scales = nullptr;
      mfq_test::quantize(context.get(), {}, &want);
      ASSERT_EQ(mfq_repack(context.get(), &from.q, &to.q), MFQ_OK) << mfq_last_error() << coarse;
      EXPECT_TRUE(to.same_bytes(want)) << coarse << ' ' << to.difference(want);
    }
}

TEST_P(Regroup, GroupsThatCross) {
  const Context context = make_context(GetParam().c_str());
  Quantized from(parse("mxfp8_e4m3/group:48"), {2, 100}), to(parse("mxfp8_e4m3"), {2, 100});
  EXPECT_TRUE(fails(mfq_repack(context.get(), &from.q, &to.q), MFQ_ERROR_SHAPE,
                    {"dst: its groups have 32 elements along axis 1, those of src 48; one must be a multiple"}));
  Quantized other(parse("mxfp8_e5m2"), {2, 100});
  EXPECT_TRUE(fails(mfq_repack(context.get(), &from.q, &other.q), MFQ_ERROR_INVALID_ARGUMENT,
                    {"dst: the scheme is mxfp8_e5m2, but src has "}));
}

INSTANTIATE_TEST_SUITE_P(Isa, Regroup, testing::ValuesIn(mfq_test::every_isa()),
                         [](const auto &param) { return param.param; });

} // namespace
