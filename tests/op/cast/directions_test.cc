// Both directions from one call: each as alone by the reference path, from one read; squares are one set of codes.
#include "support/machine.h"
#include "support/model.h"
#include "support/operand.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::Shape;

constexpr mfq_layout kPlain = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                     kRows = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16},
                     kTiles = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 4},
                     kLast = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 16},
                     kLastTight = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                     kLastTiles = {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 0},
                     kTurned = {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                     kTurnedRows = {MFQ_CODES_TRANSPOSED, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16};

const Shape shapes[] = {{128, 256}, {70, 4100}, {33, 65}, {1, 1}, {3, 40, 50}, {2, 128, 64}, {0, 5}};

struct Direction {
  std::string scheme;
  mfq_layout layout;
};

/* Which way the last call took. */
std::string last_message;
void keep(void *, mfq_log_level, const char *message) {
  if (std::string(message).rfind("mfq_quantize: ", 0) == 0) last_message = message;
}

Context telling_context(const char *isa) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = isa;
  options.threads = 2;
  options.log_level = MFQ_LOG_DEBUG;
  options.log = keep;
  mfq_test::poison_memory(&options);
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

class Directions : public ::testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    if (mfq_test::is_only_reference()) GTEST_SKIP() << mfq_test::kOnlyReference;
    for (const Context *context : {&reference_, &fast_})
      ASSERT_EQ(mfq_context_set_seed(context->get(), 11, 12), MFQ_OK);
  }

  /* Both by the fast path in one call, and by the reference path one after the other. */
  void compare(const Direction &row, const Direction &col, const Shape &shape) {
    SCOPED_TRACE(row.scheme + " and " + col.scheme + " on " + mfq_test::text_of(shape));
    mfq_test::Operand x(mfq_test::kDtypes[turn_++ % 3], shape);
    x.fill_awkward(turn_, turn_ % 2 == 0);
    const mfq_tensor src = x.here();
    Quantized r1(parse(row.scheme), shape, &row.layout), c1(parse(col.scheme), shape, &col.layout),
        r2(parse(row.scheme), shape, &row.layout), c2(parse(col.scheme), shape, &col.layout);
    for (Quantized *q : {&r1, &c1, &r2, &c2})
      if (q->q.scheme.rule == MFQ_RULE_GIVEN) mfq_test::give_scales(q, 3);
    ASSERT_EQ(mfq_quantize(reference_.get(), &src, &r1.q, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_quantize(reference_.get(), &src, nullptr, &c1.q), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_quantize(fast_.get(), &src, &r2.q, &c2.q), MFQ_OK) << mfq_last_error();
    ASSERT_TRUE(r2.same_bytes(r1)) << r2.difference(r1);
    ASSERT_TRUE(c2.same_bytes(c1)) << c2.difference(c1);
  }

  /* The way that such a call takes. */
  std::string way(const Direction &row, const Direction &col, const Shape &shape) {
    compare(row, col, shape);
    return last_message.substr(0, last_message.find(": ", last_message.find(": ") + 2));
  }

  Context reference_ = make_context("reference", 1), fast_ = telling_context(GetParam().c_str());
  uint32_t turn_ = 0;
};

TEST_P(Directions, OneSchemeAlongRowsAndColumns) {
  for (const char *text : {"mxfp8_e4m3", "mxfp4_e2m1", "mxfp6_e3m2", "nvfp4", "mxfp4_e2m1/round:stochastic",
                           "mxfp6_e3m2/round:stochastic", "mxint8/round:stochastic"})
    for (const Shape &shape : shapes)
      for (const mfq_layout &layout : {kPlain, kLastTiles})
        ASSERT_NO_FATAL_FAILURE(compare(
            {text, kPlain}, {std::string(text) + (shape.size() == 3 ? "/group:32@1" : "/group:32@0"), layout}, shape));
}

/* Schemes, roundings, sizes of groups, and layouts that have nothing in common. */
TEST_P(Directions, TwoSchemes) {
  const Direction pairs[][2] = {
      {{"mxfp8_e4m3/group:32@-1", kPlain}, {"mxfp8_e5m2/group:32@-2/round:stochastic", kLast}},
      {{"mxfp4_e2m1/group:32@-1", kTiles}, {"mxfp8_e4m3/group:128@-2", kLastTiles}},
      {{"nvfp4/group:16@-1", kTiles}, {"nvfp4/group:16@-2/round:stochastic", kLastTiles}},
      {{"nvfp4/group:16@-1", kPlain}, {"fp8_e4m3_tensor", kTurned}},
      {{"fp8_e4m3_group128/group:128@-1", kRows}, {"fp8_e4m3_block128", kTurned}},
      {{"fp8_e4m3_block128", kPlain}, {"mxfp4_e2m1/group:32@-2", kLast}},
      {{"mxfp6_e3m2/group:64@-2", kPlain}, {"int8_channel/channel@-2", kRows}},
      {{"fp8_e4m3_tensor", kPlain}, {"fp8_e5m2_tensor", kTurned}},
      {{"int8_tensor_zp", kRows}, {"int4_group32_zp/group:32@-2", kLast}},
      {{"mxfp8_e4m3/group:32@-1", kPlain}, {"mxfp4_e2m1/group:32@-1/round:stochastic", kPlain}},
      {{"e4m3fn/group:32@-1/ue8m0:given", kPlain}, {"mxint8/group:32@-2", kLastTight}},
      {{"int8_channel/channel@-1", kPlain}, {"e2m3/block:16x32/ue8m0:rceil", kTurnedRows}},
  };
  for (const auto &pair : pairs)
    for (const Shape &shape : shapes) {
      ASSERT_NO_FATAL_FAILURE(compare(pair[0], pair[1], shape));
      ASSERT_NO_FATAL_FAILURE(compare(pair[1], pair[0], shape));
    }
}

/* Scales that do not run along an axis: the codes of both directions are the same numbers. */
TEST_P(Directions, Squares) {
  for (const char *text :
       {"e4m3fn/block:16x16/ue8m0:rceil", "e4m3fn/block:32x32/ue8m0:rceil", "fp8_e4m3_block128",
        "e2m1/block:16x16/ue4m3", "e2m3/block:32x32/ue8m0/round:stochastic", "uint4/block:16x32/f32/zp",
        "e4m3fn/block:5x3/f32", "fp8_e4m3_tensor", "int8_channel", "int8_channel_zp/channel@-1", "e4m3fn",
        "e5m2/tensor/f32/round:stochastic", "e4m3fn/block:16x16/f32:given"})
    for (const Shape &shape : shapes) {
      ASSERT_NO_FATAL_FAILURE(compare({text, kPlain}, {text, kTurned}, shape));
      ASSERT_NO_FATAL_FAILURE(compare({text, kTurnedRows}, {text, kPlain}, shape));
      ASSERT_NO_FATAL_FAILURE(compare({text, kRows}, {text, kTurned}, shape));
    }
}

/* Square blocks against doubles: scales and codes of both orders. */
TEST_P(Directions, SquaresAreThoseOfTheModel) {
  for (const std::string side : {"16x16", "32x32", "128x128"})
    for (const std::string scale : {"/ue8m0:rceil", "/ue8m0", "/f32"})
      for (const Shape &shape : {Shape{256, 384}, {130, 70}, {3, 33, 161}}) {
        SCOPED_TRACE(side + scale + mfq_test::text_of(shape));
        const mfq_scheme scheme = parse("e4m3fn/block:" + side + scale);
        const std::vector<float> x = mfq_test::awkward_values(mfq_test::count_of(shape), ++turn_, true);
        const mfq_tensor src = mfq_test::dense(x, shape);
        Quantized row(scheme, shape), col(scheme, shape, &kTurned);
        ASSERT_EQ(mfq_quantize(fast_.get(), &src, &row.q, &col.q), MFQ_OK) << mfq_last_error();
        const mfq_test::Model model(scheme, shape, x);
        ASSERT_TRUE(model.agrees(row));
        ASSERT_TRUE(model.agrees(col));
      }
}

TEST_P(Directions, Ways) {
  const std::string square = "mfq_quantize: square", pair = "mfq_quantize: both directions from one read";
  for (const char *text : {"e4m3fn/block:16x16/ue8m0:rceil", "fp8_e4m3_block128", "fp8_e4m3_tensor", "int8_channel"})
    EXPECT_EQ(way({text, kPlain}, {text, kTurned}, {256, 256}), square);
  EXPECT_EQ(way({"e2m1/block:32x32/ue8m0", kTurned}, {"e2m1/block:32x32/ue8m0", kRows}, {2, 64, 96}), square);
  EXPECT_EQ(way({"mxfp8_e4m3", kPlain}, {"mxfp4_e2m1/group:128@0/round:stochastic", kLast}, {256, 256}), pair);
  EXPECT_EQ(way({"nvfp4", kPlain}, {"nvfp4/group:16@0", kLast}, {256, 256}), pair);
  EXPECT_EQ(way({"nvfp4", kPlain}, {"nvfp4/group:16@1", kLast}, {2, 64, 64}), pair);
  EXPECT_EQ(way({"fp8_e4m3_block128", kPlain}, {"mxfp8_e4m3/group:32@0", kLast}, {256, 256}), pair);
  EXPECT_EQ(way({"mxfp4_e2m1", kPlain}, {"mxfp4_e2m1/group:32@0", kLast}, {64, 65}), pair) << "a bundle";
  EXPECT_EQ(way({"fp8_e4m3_tensor", kPlain}, {"mxfp8_e4m3/group:32@0", kLast}, {256, 256}), pair);
}

INSTANTIATE_TEST_SUITE_P(Isa, Directions, ::testing::ValuesIn(mfq_test::fast_isas_or_reference()),
                         [](const auto &info) { return info.param; });

} // namespace
