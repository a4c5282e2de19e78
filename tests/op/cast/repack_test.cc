// Repacking from every layout to every other gives the bytes that quantizing to it gives, and the way back the first
// ones.
#include <memory>

#include "support/plain_tensor.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::same_floats;
using mfq_test::Shape;

std::vector<mfq_layout> layouts_of(const mfq_scheme &scheme, size_t rank) {
  std::vector<mfq_layout> all;
  for (const mfq_packing packing : {MFQ_PACK_TIGHT, MFQ_PACK_BYTE})
    for (const int32_t align : {0, 1, 16})
      for (const mfq_code_order codes : {MFQ_CODES_LOGICAL, MFQ_CODES_GROUP_LAST, MFQ_CODES_TRANSPOSED})
        for (const mfq_scale_order scales : {MFQ_SCALES_LOGICAL, MFQ_SCALES_128X4}) {
          const mfq_layout layout = {codes, packing, scales, align};
          if (mfq_test::allows(scheme, rank, layout)) all.push_back(layout);
        }
  return all;
}

struct Case {
  const char *scheme;
  Shape shape;
};

const Case cases[] = {
    {"mxfp8_e4m3", {5, 70}},
    {"mxfp6_e3m2", {3, 33}},
    {"mxfp4_e2m1", {7, 41}},
    {"mxfp4_e2m1/group:8@0", {21, 5}},
    {"mxfp6_e2m3/group:16@1", {2, 35, 3}},
    {"e2m0/group:4@0/ue8m0", {9, 2, 3}},
    {"e2m2/group:8@1/ue8m0", {2, 9, 3, 5}},
    {"nvfp4", {4, 50}},
    {"nvfp4/group:16@0", {50, 3}},
    {"mxfp4_e2m1", {33}},
    {"mxfp4_e2m1", {}},
    {"mxfp8_e4m3", {0, 40}},
    {"mxfp4_e2m1/group:32@0", {130, 129}},      /* more than one tile of scales */
    {"mxfp6_e3m2/group:32@1", {2, 140, 3, 50}}, /* and of codes */
    {"nvfp4/group:16@0", {70, 150}},
    {"uint4/group:8@0/f32/zp", {21, 5}},
    {"uint3/group:8@1/bf16/zp", {2, 20, 3}},
    {"int4n/channel@1/f32", {3, 7}},
    {"int8/channel/f32/zp", {3, 7}},
    {"e5m2/tensor/f16", {5, 5}},
    {"e2m1/block:2x3/ue8m0", {5, 7}},
    {"e4m3fn/block:16x16/f32", {2, 133, 50}},
    {"int5/block:2x2/f16", {150, 135}},
    {"int4n/channel@0/f32", {4, 3, 7}},
    {"e3m2", {5, 7}},
    {"e5m2/tensor/f16", {0, 5}}, /* scales of no elements */
    {"int4n/channel@0/f32", {4, 0}},
};

void check_pair(mfq_context *context, const Quantized &from, const Quantized &to) {
  const Shape shape(from.q.shape, from.q.shape + from.q.rank);
  Quantized there(from.q.scheme, shape, &to.q.layout), back(from.q.scheme, shape, &from.q.layout);
  ASSERT_EQ(mfq_repack(context, &from.q, &there.q), MFQ_OK) << mfq_last_error();
  ASSERT_TRUE(there.same_bytes(to)) << there.difference(to);
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context, there), mfq_test::dequantized(context, from)));
  ASSERT_EQ(mfq_repack(context, &there.q, &back.q), MFQ_OK) << mfq_last_error();
  ASSERT_TRUE(back.same_bytes(from)) << back.difference(from);
}

class Repack : public testing::TestWithParam<std::string> {};

TEST_P(Repack, EveryPairOfLayouts) {
  const Context context = make_context(GetParam().c_str());
  for (const Case &c : cases) {
    const mfq_scheme scheme = parse(c.scheme);
    const std::vector<float> x = mfq_test::awkward_values(mfq_test::count_of(c.shape), 17);
    std::vector<std::unique_ptr<Quantized>> all;
    for (const mfq_layout &layout : layouts_of(scheme, c.shape.size())) {
      all.push_back(std::make_unique<Quantized>(scheme, c.shape, &layout));
      mfq_test::quantize(context.get(), x, all.back().get());
    }
    for (size_t from = 0; from < all.size(); ++from)
      for (size_t to = 0; to < all.size(); ++to) {
        if (x.size() > 4000 && (from * 5 + to) % 7 != 0) continue;
        SCOPED_TRACE(std::string(c.scheme) + testing::PrintToString(c.shape) + ", layout " + std::to_string(from) +
                     " to " + std::to_string(to));
        check_pair(context.get(), *all[from], *all[to]);
        if (testing::Test::HasFailure()) return;
      }
  }
}

/* Codes and scales that quantization never writes are carried as they are. */
TEST_P(Repack, EveryCode) {
  const Context context = make_context(GetParam().c_str());
  const mfq_layout turned = {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0};
  for (const char *text : {"e4m3fn/group:16@0/f32", "int8n/group:16@0/f32", "e4m3fnuz/group:16@0/f32"}) {
    Quantized t(parse(text), {16, 16}), there(parse(text), {16, 16}, &turned), back(parse(text), {16, 16});
    const uint32_t scales[] = {0x7f800001, 0x80000000, 0xff800000,
                               1}; /* a signalling NaN, -0, -infinity, the smallest */
    for (size_t i = 0; i < 256; ++i) t.codes[i] = (uint8_t)i;
    for (size_t i = 0; i < 16; ++i) std::memcpy(&t.scales[i * 4], &scales[i % 4], 4);
    ASSERT_EQ(mfq_repack(context.get(), &t.q, &there.q), MFQ_OK) << mfq_last_error();
    for (size_t i = 0; i < 256; ++i) EXPECT_EQ(there.codes[i % 16 * 16 + i / 16], i);
    ASSERT_EQ(mfq_repack(context.get(), &there.q, &back.q), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(back.same_bytes(t)) << back.difference(t);
  }
}

/* What a packing of bytes holds beside its codes is not carried on. */
TEST_P(Repack, BitsThatAreNoCode) {
  const Context context = make_context(GetParam().c_str());
  const mfq_layout bytes = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0};
  for (const char *text : {"e2m1", "e3m2", "int3"}) {
    Quantized from(parse(text), {150, 37}, &bytes), to(parse(text), {150, 37}), back(parse(text), {150, 37}, &bytes);
    for (size_t i = 0; i < from.sizes.codes_bytes; ++i) from.codes[i] = (uint8_t)(i * 37);
    ASSERT_EQ(mfq_repack(context.get(), &from.q, &to.q), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_repack(context.get(), &from.q, &back.q), MFQ_OK) << mfq_last_error();
    const mfq_format &e = from.q.scheme.element;
    const uint32_t mask = (1u << (e.is_signed + e.exp_bits + e.man_bits)) - 1;
    for (int64_t i = 0; i < 150 * 37; ++i) {
      ASSERT_EQ(mfq_test::code_at(to, 0, i), from.codes[(size_t)i] & mask);
      ASSERT_EQ(back.codes[(size_t)i], from.codes[(size_t)i] & mask);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Repack, testing::ValuesIn(mfq_test::every_isa()),
                         [](const auto &param) { return param.param; });

} // namespace
